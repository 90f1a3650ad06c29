"""What the vision part looks at: EfficientNet-Lite0's features of a restored picture, and its local colour."""

import torch
from torch import nn
from torch.nn import functional

from ...efficientnet import EfficientNetLite0
from ...testbed.vocabulary import COLOURS
from .restore import restore

SIDE, GRID = 224, 28
FINE, MIDDLE, COARSE = 16 * 2 + 24 * 2 + 40 + 12 + len(COLOURS), 80 + 112, 320
"""Channels at 28x28, 14x14 and 7x7."""
_LAST = "blocks.15"

Features = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class Eye(nn.Module):
    """Frozen: EfficientNet-Lite0 behind the undoing of the mask. Computes in float32."""

    def __init__(self) -> None:
        super().__init__()
        self.net = EfficientNetLite0()
        for name in ("head", "logits", "probabilities"):  # nothing here looks at them
            setattr(self.net, name, nn.Identity())

    def forward(self, pixels: torch.Tensor) -> tuple[Features, torch.Tensor]:
        """float [B, 3, 224, 224] in 0..1 to the features by cells, [B, 784, FINE], [B, 196, MIDDLE] and
        [B, 49, COARSE], and the share of every cell that is bright, [B, 1, 28, 28]; all float32."""
        # Whole grey levels survive bfloat16: its steps below 1 are at most 1/256.
        levels = (pixels.float() * 255).round()
        picture, region = restore(levels)
        maps = self._maps((picture - 127) / 128)
        fine = torch.cat(
            [*_pooled(maps["blocks.0"], 4), *_pooled(maps["blocks.2"], 2), maps["blocks.4"], _colour(picture / 255)], 1
        )
        middle = torch.cat([maps["blocks.7"], maps["blocks.10"]], 1)
        return (_cells(fine), _cells(middle), _cells(maps[_LAST])), functional.avg_pool2d(region, SIDE // GRID)

    def _maps(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.net.stem(x)
        maps = {}
        for place, block in enumerate(self.net.blocks):
            x = block(x)
            maps[f"blocks.{place}"] = x
        return maps


def _cells(values: torch.Tensor) -> torch.Tensor:
    """[B, C, h, w] to [B, h * w, C]."""
    return values.flatten(2).transpose(1, 2).contiguous()


def _pooled(values: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation over squares: the deviation is how much texture there is."""
    mean = functional.avg_pool2d(values, size)
    square = functional.avg_pool2d(values**2, size)
    return mean, (square - mean**2).clamp(min=0).sqrt()


def _colour(picture: torch.Tensor) -> torch.Tensor:
    """[B, 12 + 12, 28, 28]: mean, deviation, minimum, maximum of RGB, and the share of each colour name."""
    cell = SIDE // GRID
    mean, deviation = _pooled(picture, cell)
    high, low = functional.max_pool2d(picture, cell), -functional.max_pool2d(-picture, cell)
    names = picture.new_tensor(list(COLOURS.values())) / 255
    # Every second pixel is enough for shares.
    distance = ((picture[:, None, :, ::2, ::2] - names[None, :, :, None, None]) ** 2).sum(2)
    shares = functional.avg_pool2d(torch.softmax(-distance / 0.02, 1), cell // 2)
    return torch.cat([mean, deviation, low, high, shares], 1)
