"""A network as data: its module, how a picture becomes its input, and which modules' outputs are layers of units."""

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn

from ..errors import UserError
from ..pictures import RESAMPLING, SquareView
from ..targets import nearest_first

Layout = Literal["map", "nhwc", "tokens", "vector"]
"""Of a layer's output: [B, C, H, W], [B, H, W, C], [B, N, C] or [B, C]."""


@dataclass(frozen=True)
class LayerSpec:
    """Where the units of a layer are found, and how its output is read.

    module: dotted path inside `Network.module`. units: C. prefix: tokens before the positions (class and register
    tokens). grid: (rows, columns) of the positions; tokens only. output: the element of a tuple (int) or dict (str)
    that holds the activations; None where the module returns a tensor.
    """

    module: str
    units: int
    layout: Layout
    prefix: int = 0
    grid: tuple[int, int] | None = None
    output: int | str | None = None

    def __post_init__(self) -> None:
        if self.layout not in ("map", "nhwc", "tokens", "vector"):
            raise ValueError(f"layout {self.layout!r} is none of map, nhwc, tokens, vector")
        if self.units < 1 or self.prefix < 0:
            raise ValueError(f"{self.module}: units must be at least 1 and prefix at least 0")
        if (self.layout == "tokens") != (self.grid is not None):
            raise ValueError(f"{self.module}: tokens have a grid, other layouts have none")
        if self.prefix and self.layout != "tokens":
            raise ValueError(f"{self.module}: only tokens have a prefix")


@dataclass(frozen=True)
class Preprocess(SquareView):
    """How a picture becomes a network's input: what is looked at of it (`SquareView`), and how that is scaled.

    mean, std: of red, green and blue on a scale of 0..1.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        if not 0 < self.size <= self.resize:
            raise ValueError(f"size {self.size} must be positive and at most resize {self.resize}")
        if self.interpolation not in RESAMPLING:
            raise ValueError(f"interpolation {self.interpolation!r} is none of {', '.join(RESAMPLING)}")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError("mean and std need three numbers each, and std must be positive")

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """float32 [B, 3, size, size] in channels-last memory, (p / 255 - mean) / std, of uint8 [B, size, size, 3].

        On the device of `pixels`. Raises ValueError for another dtype or shape.
        """
        if pixels.dtype != torch.uint8 or pixels.ndim != 4 or pixels.shape[1:] != (self.size, self.size, 3):
            raise ValueError(
                f"pixels must be uint8 [B, {self.size}, {self.size}, 3], not {pixels.dtype} {list(pixels.shape)}"
            )
        # On the scale of 0..255 the mean of whole grey levels (127 and 128, TensorFlow's) is exact.
        mean, std = (torch.tensor([255 * v for v in values], device=pixels.device) for values in (self.mean, self.std))
        return pixels.to(torch.float32).sub_(mean).div_(std).permute(0, 3, 1, 2)


@dataclass(frozen=True, eq=False)
class Network:
    """A network whose units can be looked at.

    name: the target's name, without a "." (see `registry.target_name`). module: in eval mode, without gradients,
    takes float32 [B, 3, size, size]. layers: the recommended ones, in order of depth. fingerprint: hex sha256 that
    changes when weights or definition change (`fingerprint.fingerprint_of` says what it covers). description: one
    line. other_layers: every other module whose output holds units, in order of depth.
    """

    name: str
    module: nn.Module
    preprocess: Preprocess
    layers: dict[str, LayerSpec]
    fingerprint: str
    description: str
    other_layers: dict[str, LayerSpec] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if "." in self.name or not self.name or any(character.isspace() for character in self.name):
            raise ValueError(f"the target's name {self.name!r} is empty or holds a dot or a blank")
        if not self.layers:
            raise ValueError(f"{self.name} has no layers")
        if twice := sorted(self.layers.keys() & self.other_layers.keys()):
            raise ValueError(f"{self.name}: layers and other_layers both hold {', '.join(twice)}")
        self.module.eval().requires_grad_(False)

    def layer(self, name: str) -> LayerSpec:
        """The layer of that name, recommended or not. Raises UserError that lists the nearest names."""
        found = self.layers.get(name) or self.other_layers.get(name)
        if found is None:
            raise UserError(f"{self.name} has no layer {name!r}: choose from {self._choices(name)}.")
        return found

    def specs(self, names: Iterable[str]) -> dict[str, LayerSpec]:
        """The layers of those names, in their order. Raises UserError for an unknown one."""
        return {name: self.layer(name) for name in names}

    def example(self, batch: int = 1) -> torch.Tensor:
        """Zeros of the input's shape, float32 [batch, 3, size, size] in channels-last memory."""
        size = self.preprocess.size
        return torch.zeros(batch, size, size, 3).permute(0, 3, 1, 2)

    def _choices(self, name: str) -> str:
        others = difflib.get_close_matches(name, list(self.other_layers), n=3, cutoff=0.5)
        return nearest_first(name, [*self.layers, *others])


def square_grid(tokens: int, prefix: int | None = None) -> tuple[int, tuple[int, int]]:
    """(prefix, (rows, columns)) of `tokens` tokens: what is over from the largest square comes first.

    prefix: where it is known. Raises ValueError if the rest is no square.
    """
    side = math.isqrt(tokens if prefix is None else tokens - prefix)
    over = tokens - side * side
    if side < 1 or (prefix is not None and over != prefix):
        raise ValueError(f"{tokens} tokens of which {prefix} come first are no square grid")
    return over, (side, side)
