"""How many bytes a kernel has to move, and what share of the measured copy bandwidth a time is. Plain arithmetic.

Counted is what must cross the memory bus at least once: inputs read, outputs written. What a kernel reads again out of
a cache (sampled positions, neighbours' regions) is not counted, so that a share says how near to perfect a kernel is.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

GOAL = 0.85
"""Share of the copy bandwidth that the reduction is meant to reach."""


def reduce_bytes(images: int, cells: int, units: int, itemsize: int, positions: bool, sampled: int) -> int:
    """Of a reduction: the map read; maxima and positions (4 bytes each) written; a count of 4 bytes read and written
    for each value sampled (`sampled`: positions counted in an image)."""
    outputs = images * units * (8 if positions else 4)
    return images * cells * units * itemsize + outputs + images * units * sampled * 8


def topk_bytes(units: int, k: int, candidates: int) -> int:
    """Of a merge: slots of 12 bytes read and written, candidates of 4 bytes read, a byte each written."""
    return units * (k * 12 * 2 + candidates * 5)


def mask_bytes(count: int, height: int, width: int, map_cells: int) -> int:
    """Of masked pictures: the picture read and written, the region (a byte a pixel) written and read, the map read."""
    return count * (height * width * (6 + 2) + map_cells * 4)


def copy_bandwidth(copied: int, seconds: float) -> float:
    """Bytes per second of a copy of `copied` bytes, each read and written."""
    return 2 * copied / seconds


def speed_row(moved: int, seconds: Sequence[float], copy_bytes_per_second: float) -> dict[str, Any]:
    """Figures of one timed kernel: median, p20 and p80 of its seconds, and its share of the copy bandwidth.

    Raises ValueError without times, or for a time or bandwidth that is not positive.
    """
    if not seconds or min(seconds) <= 0 or copy_bytes_per_second <= 0:
        raise ValueError("a share needs times and a bandwidth, all above 0")
    p20, median, p80 = (float(value) for value in np.percentile(seconds, [20, 50, 80]))
    rate = moved / median
    return {
        "bytes_moved": moved,
        "seconds_median": median,
        "seconds_p20": p20,
        "seconds_p80": p80,
        "bytes_per_second": rate,
        "share_of_copy_bandwidth": rate / copy_bytes_per_second,
        "goal": GOAL,
    }
