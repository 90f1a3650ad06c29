"""The describer's second look: each object that the cells found is cut out, enlarged, and named as a whole.

Patterns are a few pixels wide on a small object; enlarged to one size they are seen at one scale. Features of the
frozen network are pooled over the object's cells (for its noun) and over its body (for colour and pattern).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import nn

from .dense import CELL, COLOUR_NAMES, GRID, PATTERN_NAMES, FrozenNet
from .scene import SIZE
from .vocabulary import NOUNS

ZOOM = 144
"""Side in pixels of the enlarged cut-out."""

_BODY_LAYERS = ("blocks.0", "blocks.2", "blocks.4", "blocks.7", "blocks.10")
_NOUN_LAYERS = ("blocks.10", "blocks.15", "head")
_BINS = 6  # levels a channel of the colour histogram
_HIDDEN = 384
_RINGS, _SECTORS = 9, 12  # cells of the power spectrum: spatial frequency and orientation
_BODY_LENGTH = 2 * (16 + 24 + 40 + 80 + 112) + _RINGS * _SECTORS
_NOUN_LENGTH = 2 * (112 + 320 + 1280)
_COLOUR_LENGTH = _BINS**3 + 9
LENGTH = _BODY_LENGTH + _NOUN_LENGTH + _COLOUR_LENGTH
"""Number of features of an object."""

OUTPUTS: dict[str, int] = {"noun": len(NOUNS), "colour": len(COLOUR_NAMES), "pattern": len(PATTERN_NAMES)}


@dataclass(frozen=True)
class Cutout:
    """A square of the picture, enlarged to ZOOM. inside, body: float32 [ZOOM, ZOOM] weights, 0..1."""

    pixels: np.ndarray
    inside: np.ndarray
    body: np.ndarray


def cut_out(image: np.ndarray, cells: np.ndarray, body: np.ndarray) -> Cutout:
    """The square around an object. cells: bool [28, 28], not empty; body: float [28, 28], probability of body."""
    rows, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
    top, bottom = rows[0] * CELL, (rows[-1] + 1) * CELL
    left, right = columns[0] * CELL, (columns[-1] + 1) * CELL
    side = min(SIZE, max(bottom - top, right - left) + CELL)
    x = min(max(0, (left + right - side) / 2), SIZE - side)
    y = min(max(0, (top + bottom - side) / 2), SIZE - side)
    square = (x, y, x + side, y + side)

    def enlarge(values: np.ndarray, divisor: float = 1) -> np.ndarray:
        box = tuple(edge / divisor for edge in square)
        return np.asarray(Image.fromarray(values).resize((ZOOM, ZOOM), Image.Resampling.BILINEAR, box=box))

    weights = (cells * np.maximum(body, 0.02)).astype(np.float32)
    return Cutout(enlarge(image), enlarge(cells.astype(np.float32), CELL), enlarge(weights, CELL))


def object_features(net: FrozenNet, image: np.ndarray, cells: np.ndarray, body: np.ndarray) -> torch.Tensor:
    """float32 [LENGTH]: one object of a picture, uint8 [224, 224, 3]."""
    cutout = cut_out(image, cells, body)
    maps = net.maps(cutout.pixels, sorted({*_BODY_LAYERS, *_NOUN_LAYERS}))
    parts = []
    parts.append(torch.from_numpy(_spectrum(cutout)))
    for weights, layers in ((cutout.body, _BODY_LAYERS), (cutout.inside, _NOUN_LAYERS)):
        for layer in layers:
            values = maps[layer].flatten(1)
            side = maps[layer].shape[-1]
            share = torch.from_numpy(np.array(Image.fromarray(weights).resize((side, side), Image.Resampling.BOX)))
            share = share.flatten() / share.sum()
            mean = values @ share
            parts += [mean, ((values**2) @ share - mean**2).clamp(min=0).sqrt()]
    parts.append(torch.from_numpy(_colours(cutout)))
    return torch.cat(parts)


@lru_cache(maxsize=1)
def _spectrum_cells() -> np.ndarray:
    """int64 [ZOOM, ZOOM // 2 + 1]: which cell of the spectrum a frequency falls into, or the one past the last."""
    ky, kx = np.fft.fftfreq(ZOOM)[:, None] * ZOOM, np.fft.rfftfreq(ZOOM)[None] * ZOOM
    frequency, angle = np.hypot(ky, kx), np.arctan2(ky, kx) % np.pi
    ring = np.floor(np.log2(np.maximum(frequency, 1e-9) / 2.5) * 2).astype(np.int64)  # half octaves from 2.5 cycles
    sector = np.round(angle / np.pi * _SECTORS).astype(np.int64) % _SECTORS
    return np.where((ring >= 0) & (ring < _RINGS), ring * _SECTORS + sector, _RINGS * _SECTORS)


def _spectrum(cutout: Cutout) -> np.ndarray:
    """float32: logarithm of the body's mean power (its contrast set to 1) by spatial frequency and orientation."""
    gray = cutout.pixels @ np.array([0.299, 0.587, 0.114])
    weights = cutout.body / cutout.body.sum()
    centred = (gray - (gray * weights).sum()) * cutout.body
    power = np.abs(np.fft.rfft2(centred / (np.sqrt((centred**2).mean()) + 1e-6))) ** 2
    cells, length = _spectrum_cells().ravel(), _RINGS * _SECTORS
    total = np.bincount(cells, power.ravel(), minlength=length + 1)[:length]
    return np.log(total / np.bincount(cells, minlength=length + 1)[:length].clip(1) + 1.0).astype(np.float32)


def _colours(cutout: Cutout) -> np.ndarray:
    """float32: square roots of a joint RGB histogram of the body, then mean, deviation and weighted median of RGB."""
    pixels, weights = cutout.pixels[::2, ::2].reshape(-1, 3), cutout.body[::2, ::2].ravel()
    weights = weights / weights.sum()
    index = (pixels.astype(np.int64) * _BINS // 256) @ np.array([_BINS * _BINS, _BINS, 1])
    histogram = np.bincount(index, weights, minlength=_BINS**3)
    scaled = pixels / 255.0
    mean = weights @ scaled
    deviation = np.sqrt(np.maximum(weights @ scaled**2 - mean**2, 0))
    medians = []
    for channel in scaled.T:
        order = np.argsort(channel, kind="stable")
        middle = min(int(np.searchsorted(np.cumsum(weights[order]), 0.5)), len(order) - 1)
        medians.append(channel[order[middle]])
    return np.concatenate([np.sqrt(histogram), mean, deviation, medians]).astype(np.float32)


class ObjectHead(nn.Module):
    """Names objects: float32 [B, LENGTH] to {name of OUTPUTS: float32 [B, values]} (logits).

    A branch for each family, on the features that can tell: together, they would learn nouns by colour.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(LENGTH))
        self.register_buffer("scale", torch.ones(LENGTH))
        lengths = {"noun": _NOUN_LENGTH, "colour": _BODY_LENGTH + _COLOUR_LENGTH, "pattern": _BODY_LENGTH}
        for name, values in OUTPUTS.items():
            self.add_module(
                name,
                nn.Sequential(
                    nn.Dropout(0.2),
                    nn.Linear(lengths[name], _HIDDEN),
                    nn.ReLU(),
                    nn.Dropout(0.5),
                    nn.Linear(_HIDDEN, values),
                ),
            )

    def forward(self, vectors: torch.Tensor) -> dict[str, torch.Tensor]:
        scaled = ((vectors - self.mean) * self.scale).clamp(-6, 6)
        body, noun, colour = scaled.split([_BODY_LENGTH, _NOUN_LENGTH, _COLOUR_LENGTH], dim=1)
        inputs = {"noun": noun, "colour": torch.cat([body, colour], 1), "pattern": body}
        return {name: getattr(self, name)(inputs[name]) for name in OUTPUTS}


def name_object(
    net: FrozenNet, head: ObjectHead, image: np.ndarray, cells: np.ndarray, body: np.ndarray
) -> tuple[str, str, str]:
    """(noun, colour, pattern) of the object that takes the cells; deterministic."""
    with torch.inference_mode():
        logits = head(object_features(net, image, cells, body)[None])
    noun, colour, pattern = (int(logits[name][0].argmax()) for name in OUTPUTS)
    return tuple(NOUNS)[noun], COLOUR_NAMES[colour], PATTERN_NAMES[pattern]


assert GRID * CELL == SIZE
