"""What a stretch of a dataset adds to an exemplar index: one layer's exemplars, histograms and extremes.

`combine` is associative and commutative: whatever stretches a dataset was cut into, and in whatever order and grouping
they are combined, the result is the same to the bit. All counts are integers, and ties go to the lower id.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np

from ..kernels.sketch import BINS


@dataclass(frozen=True)
class SparseCounts:
    """Counts of a [C, BINS] histogram that are not zero. at: int64 [n], unit * BINS + bin, rising; n: int64 [n]."""

    at: np.ndarray
    n: np.ndarray

    @classmethod
    def empty(cls) -> Self:
        return cls(np.empty(0, np.int64), np.empty(0, np.int64))

    @classmethod
    def sum(cls, parts: "Sequence[SparseCounts]") -> Self:
        """The histogram that holds the counts of all parts."""
        at = np.concatenate([np.empty(0, np.int64), *(part.at for part in parts)])
        n = np.concatenate([np.empty(0, np.int64), *(part.n for part in parts)])
        order = np.argsort(at, kind="stable")
        at, n = at[order], n[order]
        first = np.flatnonzero(np.diff(at, prepend=-1))
        return cls(at[first], np.add.reduceat(n, first) if len(first) else n)

    def row(self, unit: int) -> np.ndarray:
        """int64 [BINS]: the histogram of one unit."""
        start, stop = np.searchsorted(self.at, (unit * BINS, (unit + 1) * BINS))
        dense = np.zeros(BINS, np.int64)
        dense[self.at[start:stop] - unit * BINS] = self.n[start:stop]
        return dense


@dataclass(frozen=True)
class LayerPart:
    """One layer over some images.

    Exemplars, in rows sorted by unit, then activation (highest first), then id: units int32 [E], ids int64 [E], values
    float32 [E], positions int32 [E] (row-major place of the maximum; -1 where there are no maps), maps float32
    [E, h, w] (h = w = 0 where there are none). At most k of a unit, and at least those of its k best over these
    images that no k images of the same index known elsewhere beat.
    cells: histogram of map values at the sampled positions. maxima: histogram of the images' activations.
    lowest, highest: float32 [C], extremes of the activations (+inf and -inf where there are none); lowest_count,
    highest_count: int64 [C], how many images have them.
    """

    units: np.ndarray
    ids: np.ndarray
    values: np.ndarray
    positions: np.ndarray
    maps: np.ndarray
    cells: SparseCounts
    maxima: SparseCounts
    lowest: np.ndarray
    lowest_count: np.ndarray
    highest: np.ndarray
    highest_count: np.ndarray

    def tensors(self) -> dict[str, np.ndarray]:
        """All arrays by name, for a file."""
        found: dict[str, np.ndarray] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, SparseCounts):
                found |= {f"{field.name}_at": value.at, f"{field.name}_n": value.n}
            else:
                found[field.name] = value
        return found

    @classmethod
    def from_tensors(cls, tensors: dict[str, np.ndarray]) -> Self:
        """The part that `tensors` wrote. Raises KeyError if one is missing."""
        values: dict[str, Any] = {
            field.name: SparseCounts(tensors[f"{field.name}_at"], tensors[f"{field.name}_n"])
            if field.name in ("cells", "maxima")
            else tensors[field.name]
            for field in fields(cls)
        }
        return cls(**values)

    def rows(self, chosen: np.ndarray) -> dict[str, np.ndarray]:
        """The exemplars' arrays at these rows."""
        return {name: getattr(self, name)[chosen] for name in ("units", "ids", "values", "positions", "maps")}


def best_rows(units: np.ndarray, values: np.ndarray, ids: np.ndarray, k: int) -> np.ndarray:
    """int64: rows of each unit's k best, by unit, then value (highest first), then id; a (unit, id) counts once."""
    order = np.lexsort((ids, -values.astype(np.float64), units))
    sorted_units, sorted_ids, sorted_values = units[order], ids[order], values[order]
    again = np.zeros(len(order), bool)
    again[1:] = (
        (sorted_units[1:] == sorted_units[:-1])
        & (sorted_ids[1:] == sorted_ids[:-1])
        & (sorted_values[1:] == sorted_values[:-1])
    )
    order, sorted_units = order[~again], sorted_units[~again]
    starts = np.searchsorted(sorted_units, sorted_units, side="left")
    return order[np.arange(len(order)) - starts < k]


def combine(parts: Sequence[LayerPart], k: int) -> LayerPart:
    """The part of all the images of `parts`, which have none in common. k: exemplars kept of a unit.

    Raises ValueError for no parts, or parts of layers of different size.
    """
    if not parts:
        raise ValueError("there are no parts to combine")
    shapes = {part.maps.shape[1:] for part in parts if len(part.units)}  # a part without exemplars knows no shape
    if len(shapes) > 1 or len({part.lowest.shape for part in parts}) > 1:
        raise ValueError("parts of different layers cannot be combined")
    units, ids, values = (np.concatenate([getattr(p, name) for p in parts]) for name in ("units", "ids", "values"))
    chosen = best_rows(units, values, ids, k)
    positions = np.concatenate([part.positions for part in parts])[chosen]
    starts = np.cumsum([0, *(len(part.units) for part in parts)])
    maps = np.empty((len(chosen), *next(iter(shapes), (0, 0))), np.float32)
    for part, start in zip(parts, starts[:-1], strict=True):  # only what is kept is copied, from one part at a time
        here = (chosen >= start) & (chosen < start + len(part.units))
        if here.any():
            maps[here] = part.maps[chosen[here] - start]
    lowest = np.minimum.reduce([part.lowest for part in parts])
    highest = np.maximum.reduce([part.highest for part in parts])
    return LayerPart(
        units[chosen],
        ids[chosen],
        values[chosen],
        positions,
        maps,
        SparseCounts.sum([part.cells for part in parts]),
        SparseCounts.sum([part.maxima for part in parts]),
        lowest,
        sum((np.where(p.lowest == lowest, p.lowest_count, 0) for p in parts), np.zeros_like(parts[0].lowest_count)),
        highest,
        sum((np.where(p.highest == highest, p.highest_count, 0) for p in parts), np.zeros_like(parts[0].highest_count)),
    )
