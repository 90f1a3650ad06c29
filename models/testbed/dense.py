"""The describer's eye: frozen EfficientNet-Lite0 features, local colour, and a small head that labels every cell.

The picture is cut into 28x28 cells of 8 pixels. For each the head says which noun covers it (or the background, or
a close-up surface), and the colour and pattern of the body there; background cells say which background it is.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ..efficientnet import load_module
from ..threads import one_thread
from .vocabulary import BACKGROUNDS, COLOURS, NOUNS, PATTERNS, PLAIN

GRID = 28
CELL = 8
NOUN_NAMES: tuple[str, ...] = (*NOUNS, "background", "surface")
BACKGROUND_CELL, SURFACE_CELL = len(NOUNS), len(NOUNS) + 1
COLOUR_NAMES: tuple[str, ...] = tuple(COLOURS)
PATTERN_NAMES: tuple[str, ...] = (*PATTERNS, PLAIN)
BACKGROUND_NAMES: tuple[str, ...] = tuple(BACKGROUNDS)
OUTPUTS: dict[str, int] = {
    "noun": len(NOUN_NAMES),
    "colour": len(COLOUR_NAMES),
    "pattern": len(PATTERN_NAMES),
    "background": len(BACKGROUND_NAMES),
    "body": 1,
}
"""Channels of the head's output, in this order."""

LAYERS = ("blocks.0", "blocks.2", "blocks.4", "blocks.7", "blocks.10", "blocks.15")
FINE, MIDDLE, COARSE = 16 * 2 + 24 * 2 + 40 + 12 + len(COLOURS), 80 + 112, 320
"""Feature channels at 28x28, 14x14 and 7x7."""

WIDTH, MIXERS = 96, 3

Features = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class FrozenNet:
    """EfficientNet-Lite0 without its crop: takes pictures of any size. Raises UserError if its weights are missing."""

    def __init__(self) -> None:
        self.module = load_module()
        self._chain = self.module.chain()

    def maps(self, image: np.ndarray, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """float32 [C, h, w] of each layer, for one picture uint8 [H, W, 3]. One thread: same picture, same bits."""
        x = ((torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() - 127) / 128).contiguous(
            memory_format=torch.channels_last
        )
        found: dict[str, torch.Tensor] = {}
        with one_thread(), torch.inference_mode():
            for name, module in self._chain.items():
                if len(found) == len(layers):
                    break
                x = module(x)
                if name in layers:
                    found[name] = x[0].contiguous()
        return found


def features(net: FrozenNet, image: np.ndarray) -> Features:
    """Features of one picture, uint8 [224, 224, 3]: float32 [FINE, 28, 28], [MIDDLE, 14, 14], [COARSE, 7, 7]."""
    maps = net.maps(image, LAYERS)
    fine = torch.cat([*_pooled(maps["blocks.0"], 4), *_pooled(maps["blocks.2"], 2), maps["blocks.4"], _colour(image)])
    return fine, torch.cat([maps["blocks.7"], maps["blocks.10"]]), maps["blocks.15"]


def _pooled(values: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation over squares: the deviation is how much texture there is."""
    mean = functional.avg_pool2d(values[None], size)[0]
    square = functional.avg_pool2d(values[None] ** 2, size)[0]
    return mean, (square - mean**2).clamp(min=0).sqrt()


def _colour(image: np.ndarray) -> torch.Tensor:
    """float32 [12 + 12, 28, 28]: mean, deviation, minimum, maximum of RGB, and the share of each colour name."""
    pixels = torch.from_numpy(image).permute(2, 0, 1).float()[None] / 255
    mean, deviation = _pooled(pixels[0], CELL)
    high, low = functional.max_pool2d(pixels, CELL)[0], -functional.max_pool2d(-pixels, CELL)[0]
    names = torch.tensor(list(COLOURS.values())).float() / 255
    # Every second pixel is enough for shares.
    distance = ((pixels[0, :, None, ::2, ::2] - names.T[:, :, None, None]) ** 2).sum(0)
    shares = functional.avg_pool2d(torch.softmax(-distance / 0.02, 0)[None], CELL // 2)[0]
    return torch.cat([mean, deviation, low, high, shares])


class _Mixer(nn.Module):
    """Residual block: looks around (40 pixels), then mixes channels."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Conv2d(WIDTH, WIDTH, 5, padding=2, groups=WIDTH)
        self.norm = nn.GroupNorm(8, WIDTH)
        self.mix = nn.Conv2d(WIDTH, WIDTH, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + functional.relu(self.mix(self.norm(self.look(x))))


class DenseHead(nn.Module):
    """Labels cells: Features with a batch dimension to {name of OUTPUTS: float32 [B, channels, 28, 28]} (logits)."""

    def __init__(self) -> None:
        super().__init__()
        for name, channels in (("fine", FINE), ("middle", MIDDLE), ("coarse", COARSE)):
            self.register_buffer(f"{name}_mean", torch.zeros(channels, 1, 1))
            self.register_buffer(f"{name}_scale", torch.ones(channels, 1, 1))
            self.add_module(name, nn.Conv2d(channels, WIDTH, 1))
        self.mixers = nn.Sequential(nn.ReLU(), *[_Mixer() for _ in range(MIXERS)])
        self.out = nn.Conv2d(WIDTH, sum(OUTPUTS.values()), 1)

    def forward(self, fine: torch.Tensor, middle: torch.Tensor, coarse: torch.Tensor) -> dict[str, torch.Tensor]:
        parts = []
        for name, values in (("fine", fine), ("middle", middle), ("coarse", coarse)):
            values = (values - getattr(self, f"{name}_mean")) * getattr(self, f"{name}_scale")
            values = values.clamp(-6, 6).contiguous(memory_format=torch.channels_last)
            values = getattr(self, name)(values)
            if values.shape[-1] != GRID:
                values = functional.interpolate(values, size=(GRID, GRID), mode="bilinear", align_corners=False)
            parts.append(values)
        out = self.out(self.mixers(parts[0] + parts[1] + parts[2]))
        return dict(zip(OUTPUTS, out.split(list(OUTPUTS.values()), dim=1), strict=True))


def look(net: FrozenNet, head: DenseHead, image: np.ndarray) -> dict[str, np.ndarray]:
    """Log-probabilities of one picture, uint8 [224, 224, 3]: see `read_cells`."""
    with one_thread(), torch.inference_mode():
        return read_cells(head, features(net, image))


def read_cells(head: DenseHead, found: Features) -> dict[str, np.ndarray]:
    """Log-probabilities from one picture's features: {name of OUTPUTS: float32 [channels, 28, 28]}.

    "body" is the log-probability that the cell carries its object's colour and pattern.
    """
    with torch.inference_mode():
        logits = head(*(values[None] for values in found))
        read = {name: torch.log_softmax(values[0], 0) for name, values in logits.items() if name != "body"}
        read["body"] = functional.logsigmoid(logits["body"][0])
    return {name: values.numpy() for name, values in read.items()}
