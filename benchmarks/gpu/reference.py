"""What the kernels must compute, in numpy and float64 from the definitions: slow, and sharing no code with them."""

from dataclasses import dataclass

import numpy as np

from ...kernels.mask import OUTLINE_WIDTH, apply_region
from ...kernels.sketch import BINS, bin_edges


@dataclass(frozen=True)
class ReducedReference:
    """maxima float64 [B, C], positions int64 [B, C], counts int64 [C, BINS]; the meaning is reduce.py's."""

    maxima: np.ndarray
    positions: np.ndarray
    counts: np.ndarray


def bins_of(values: np.ndarray) -> np.ndarray:
    """int64: the bin of each value (float64, not NaN), by search among the edges."""
    edges = bin_edges()
    # A bin holds its edge nearer to zero: the left one for positive values, the right one for negative ones.
    above = np.searchsorted(edges[1:-1], values, side="right")
    below = np.searchsorted(edges[1:-1], values, side="left")
    return np.where(values >= 0, above, below)


def reduce_reference(
    cells: np.ndarray, phases: np.ndarray, samples: int | None, valid: np.ndarray | None = None
) -> ReducedReference:
    """cells: float64 [B, P, C]; phases: int [B]; valid: bool [B] or None."""
    batch, positions, units = cells.shape
    filled = np.where(np.isnan(cells), -np.inf, cells)
    maxima = filled.max(axis=1)
    hits = (cells == maxima[:, None, :]) & ~np.isnan(cells)
    first = np.where(hits.any(axis=1), hits.argmax(axis=1), -1)
    stride = 1 if samples is None else max(1, positions // samples)
    counts = np.zeros((units, BINS), dtype=np.int64)
    for image in range(batch):
        if valid is not None and not valid[image]:
            maxima[image], first[image] = -np.inf, -1
            continue
        offset = (int(phases[image]) * stride) >> 32
        sampled = cells[image, np.arange(positions) % stride == offset]
        for unit in range(units):
            column = sampled[:, unit]
            counts[unit] += np.bincount(bins_of(column[~np.isnan(column)]), minlength=BINS)
    return ReducedReference(maxima, first, counts)


def topk_reference(candidates: np.ndarray, ids: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Values float64 [C, k] and ids int64 [C, k] of candidates [B, C] with ids [B], by sorting everything."""
    units = candidates.shape[1]
    values, chosen = np.full((units, k), -np.inf), np.full((units, k), -1, dtype=np.int64)
    for unit in range(units):
        usable = [(-v, i) for v, i in zip(candidates[:, unit].tolist(), ids.tolist(), strict=True) if v > -np.inf]
        for slot, (value, identity) in enumerate(sorted(usable)[:k]):
            values[unit, slot], chosen[unit, slot] = -value, identity
    return values, chosen


def upsample_reference(maps: np.ndarray, height: int, width: int) -> np.ndarray:
    """float64 [N, height, width] from maps float64 [N, h, w]: bilinear, corners not aligned."""

    def weights(target: int, source: int) -> np.ndarray:
        matrix = np.zeros((target, source))
        at = np.maximum((np.arange(target) + 0.5) * source / target - 0.5, 0.0)
        low = np.minimum(at.astype(np.int64), source - 1)
        matrix[np.arange(target), low] += 1 - (at - low)
        matrix[np.arange(target), np.minimum(low + 1, source - 1)] += at - low
        return matrix

    return weights(height, maps.shape[1]) @ maps @ weights(width, maps.shape[2]).T


def mask_reference(images: np.ndarray, maps: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Masked pictures uint8 [N, H, W, 3], and bool [N, H, W]: pixels that rounding of float32 may decide otherwise.

    images: uint8 [N, H, W, 3]; maps: float64 [N, h, w]; thresholds: float64 [N].
    """
    count, height, width = images.shape[:3]
    values = upsample_reference(maps, height, width)
    masked = np.stack([apply_region(images[n], values[n] > thresholds[n]) for n in range(count)])
    magnitude = np.abs(maps).max(axis=(1, 2))
    tolerance = max(maps.shape[1:]) * 2.0**-21 * magnitude if maps.shape[1:] != (height, width) else 0 * magnitude
    close = np.abs(values - thresholds[:, None, None]) < tolerance[:, None, None]
    padded = np.pad(close, ((0, 0), (OUTLINE_WIDTH, OUTLINE_WIDTH), (OUTLINE_WIDTH, OUTLINE_WIDTH)))
    undecided = np.zeros_like(close)
    for down in range(2 * OUTLINE_WIDTH + 1):
        for across in range(2 * OUTLINE_WIDTH + 1):
            undecided |= padded[:, down : down + height, across : across + width]
    return masked, undecided
