"""A quantile sketch that merges by addition: exact counts in fixed bins of logarithmic width.

The bins are those of a float32's sign, exponent and first MANTISSA_BITS bits of the mantissa, so that a value's bin
is integer arithmetic on its bits and the same on every device. Counts of parts add up to the counts of the whole,
in any order and to the last bit; sketches whose summary depends on the order (t-digest, KLL, GK) do not. The idea of
bins of constant relative width is DDSketch's (Masson, Rim and Lee, 2019).
"""

import numpy as np
import torch

MANTISSA_BITS = 6
LOWEST_EXPONENT = -24
HIGHEST_EXPONENT = 16

_STEPS = 2**MANTISSA_BITS
SIDE = (HIGHEST_EXPONENT - LOWEST_EXPONENT) * _STEPS + 1
"""Bins of one sign; the outermost holds 2^HIGHEST_EXPONENT to infinity."""

BINS = 2 * SIDE + 1
"""Bins in all: the negative ones, zero, the positive ones."""

ZERO_BIN = SIDE
"""The bin of -2^LOWEST_EXPONENT < v < 2^LOWEST_EXPONENT."""

RELATIVE_ERROR = 2.0**-MANTISSA_BITS
ABSOLUTE_ERROR = 2.0**LOWEST_EXPONENT

# A float32's bits, shifted right by SHIFT, are its biased exponent and the kept bits of its mantissa; FIRST is one
# less than that number for 2^LOWEST_EXPONENT. (The kernel of reduce_triton.py reads these constants too.)
SHIFT = 23 - MANTISSA_BITS
FIRST = (LOWEST_EXPONENT + 127) * _STEPS - 1
MAGNITUDE = 0x7FFFFFFF
INFINITY_BITS = 0x7F800000

_ROWS_AT_ONCE = 256  # Bounds the memory of `quantile`: 256 units' cumulative counts are 10 MB.


def bin_of(values: torch.Tensor) -> torch.Tensor:
    """int64, the shape of `values`: the bin of each value, 0 .. BINS - 1, rising with the value; -1 for NaN.

    values: any float dtype of at most 32 bits (half precisions widen exactly). Raises TypeError for others.
    """
    return _bin32(values).long()


def _bin32(values: torch.Tensor) -> torch.Tensor:
    if values.dtype not in (torch.float32, torch.float16, torch.bfloat16):
        raise TypeError(f"the sketch counts float32, float16 and bfloat16 values, not {values.dtype}")
    bits = values.float().view(torch.int32)
    magnitude = bits & MAGNITUDE
    missing = magnitude > INFINITY_BITS
    steps = (magnitude >> SHIFT).clamp_(FIRST, FIRST + SIDE).sub_(FIRST)
    negative = bits >> 31  # 0, or -1 which is all ones: (n ^ -1) - -1 is -n.
    return steps.bitwise_xor_(negative).sub_(negative).add_(ZERO_BIN).masked_fill_(missing, -1)


def bin_edges() -> np.ndarray:
    """float64 [BINS + 1]: bin i lies between edges i and i + 1; the first is -inf, the last inf.

    A bin holds the edge that is nearer to zero and not the other one; the zero bin holds neither.
    """
    exponents = np.arange(LOWEST_EXPONENT, HIGHEST_EXPONENT)
    finite = (2.0 ** exponents[:, None] * (1 + np.arange(_STEPS) / _STEPS)).ravel()
    positive = np.concatenate([finite, [2.0**HIGHEST_EXPONENT, np.inf]])
    return np.concatenate([-positive[::-1], positive])


def add(counts: torch.Tensor, values: torch.Tensor) -> None:
    """Count values [B, C] into `counts` int32 or int64 [C, BINS], in place. NaN is skipped, infinities are counted.

    A count may not pass the dtype's limit (2^31 - 1 for int32): the caller sums int32 counts into int64 in time.
    Raises ValueError for counts of another shape or dtype.
    """
    units = values.shape[1]
    check_counts(counts, units)
    # Unit by unit, so that the counts that are touched one after the other lie together: three times as fast on a CPU.
    bins = _bin32(values.T.contiguous())
    missing = bins < 0
    places = bins + torch.arange(0, units * BINS, BINS, device=bins.device)[:, None]
    flat = places[~missing] if bool(missing.any()) else places.view(-1)
    counts.view(-1).scatter_add_(0, flat, torch.ones((), dtype=counts.dtype, device=counts.device).expand(len(flat)))


def check_counts(counts: torch.Tensor, units: int) -> None:
    """Raise ValueError unless `counts` is a contiguous int32 or int64 [units, BINS]."""
    if counts.dtype not in (torch.int32, torch.int64) or tuple(counts.shape) != (units, BINS):
        raise ValueError(f"counts are int32 or int64 [{units}, {BINS}], not {counts.dtype} {list(counts.shape)}")
    if not counts.is_contiguous():
        raise ValueError("counts must be contiguous: they are updated in place")


def quantile(
    counts: np.ndarray, q: float, lowest: float | np.ndarray | None = None, highest: float | np.ndarray | None = None
) -> float | np.ndarray:
    """The q-quantile (0 <= q <= 1) of what was counted: float for counts [BINS], float64 [C] for counts [C, BINS].

    It is the one at rank q * (n - 1), between order statistics linear, as numpy's default. An order statistic is
    placed in its bin as if the bin's values were spread evenly over it; one in the zero bin is 0. `lowest` and
    `highest` are bounds that every value respects (the exact extremes, where known: a number, or one for each unit);
    the result respects them, too. NaN where nothing was counted.

    Error against the exact quantile of the counted values: every order statistic x is estimated within its bin, that
    is within 2^-6 |x| for 2^-24 <= |x| < 2^16 and within 2^-24 for smaller ones; between two order statistics the
    errors are interpolated as the values are. Values beyond 2^16 are only known to lie between 2^16 and `highest`
    (2^16 is given where it is unknown or infinite). Raises ValueError for other shapes or q outside 0 .. 1.
    """
    table = np.asarray(counts)
    if table.ndim not in (1, 2) or table.shape[-1] != BINS:
        raise ValueError(f"counts are [{BINS}] or [C, {BINS}], not {list(table.shape)}")
    if not 0 <= q <= 1:
        raise ValueError(f"a quantile is between 0 and 1, not {q}")
    if table.ndim == 1:
        return float(_quantiles(table[None], q, np.full(1, _bound(lowest, -1)), np.full(1, _bound(highest, 1)))[0])
    least = np.broadcast_to(_bound(lowest, -1), len(table))
    greatest = np.broadcast_to(_bound(highest, 1), len(table))
    result = np.empty(len(table))
    for start in range(0, len(table), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        result[rows] = _quantiles(table[rows], q, least[rows], greatest[rows])
    return result


def _bound(value: float | np.ndarray | None, sign: int) -> np.ndarray:
    return np.asarray(sign * np.inf if value is None else value, dtype=np.float64)


def _quantiles(table: np.ndarray, q: float, lowest: np.ndarray, highest: np.ndarray) -> np.ndarray:
    """float64 [C] from counts [C, BINS] and bounds [C]."""
    below = np.cumsum(table, axis=1, dtype=np.int64)
    total = below[:, -1]
    rank = q * np.maximum(total - 1, 0)
    lower = np.floor(rank).astype(np.int64)
    upper = np.minimum(lower + 1, np.maximum(total - 1, 0))
    first = _order_statistic(table, below, lower, lowest, highest)
    second = _order_statistic(table, below, upper, lowest, highest)
    return np.where(total > 0, first + (rank - lower) * (second - first), np.nan)


def _order_statistic(
    table: np.ndarray, below: np.ndarray, rank: np.ndarray, lowest: np.ndarray, highest: np.ndarray
) -> np.ndarray:
    """float64 [C]: the value of rank 0 .. n - 1 (any number where n is 0)."""
    place = np.minimum((below <= rank[:, None]).sum(axis=1), BINS - 1)
    each = np.arange(len(table))
    inside = table[each, place]
    left, right = np.clip(_EDGES[place], lowest, highest), np.clip(_EDGES[place + 1], lowest, highest)
    # The outermost bins have one end only where no finite bound is known.
    left, right = np.where(np.isinf(left), right, left), np.where(np.isinf(right), left, right)
    share = (rank - (below[each, place] - inside) + 0.5) / np.maximum(inside, 1)
    value = left + share * (right - left)
    return np.where(place == ZERO_BIN, np.clip(0.0, lowest, highest), value)


_EDGES = bin_edges()
