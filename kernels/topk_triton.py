"""The Triton kernel of topk.py.

A program merges _UNITS units: their slots and candidates fit into registers as packed keys (topk.py), and k times the
largest key is taken and struck out. Neighbouring units are together so that reading a column of the batch uses whole
sectors of memory. The work is small beside the reduction's; what it costs is the launch.
"""

import torch
import triton
import triton.language as tl

from .empty import EMPTY_ID, EMPTY_KEY

_UNITS = 8
_LANES = 4096
"""Keys of a program, at most."""

MAX_CANDIDATES = 4096
"""Images in a batch, at most."""

_EMPTY_KEY = tl.constexpr(EMPTY_KEY)
_EMPTY_ID = tl.constexpr(EMPTY_ID)
_LAST = tl.constexpr(0x7FFFFFFF)


@triton.jit
def _key(value, ids):
    """int64 keys as `topk.sort_key` makes them."""
    bits = tl.where(value == 0.0, 0.0, value).to(tl.int32, bitcast=True)
    ordered = bits ^ ((bits >> 31) & _LAST)
    key = (ordered.to(tl.int64) << 32) | (ids ^ _LAST)
    return tl.where((value > float("-inf")) & (ids >= 0), key, _EMPTY_KEY)


@triton.jit
def _merge_kernel(
    values, ids, batch, batch_ids, new_values, new_ids, taken,
    units, k, count, value_stride, id_stride, row_stride, column_stride,
    UNITS: tl.constexpr, SLOTS: tl.constexpr, CANDIDATES: tl.constexpr,
):  # fmt: skip
    """UNITS units; values and ids [C, k] with row strides, batch [B, C] with both strides, results contiguous."""
    unit = tl.program_id(0).to(tl.int64) * UNITS + tl.arange(0, UNITS)
    slot = tl.arange(0, SLOTS)
    candidate = tl.arange(0, CANDIDATES)
    is_unit = unit < units
    slots = is_unit[:, None] & (slot < k)[None, :]
    held = _key(
        tl.load(values + unit[:, None] * value_stride + slot[None, :], mask=slots, other=float("-inf")),
        tl.load(ids + unit[:, None] * id_stride + slot[None, :], mask=slots, other=_EMPTY_ID),
    )
    offered = is_unit[:, None] & (candidate < count)[None, :]
    place = candidate.to(tl.int64)[None, :] * row_stride + unit[:, None] * column_stride
    value = tl.load(batch + place, mask=offered, other=float("-inf"))
    number = tl.load(batch_ids + candidate, mask=candidate < count, other=_EMPTY_ID)
    new = _key(value, number[None, :])

    left = new
    worst = tl.full((UNITS,), _EMPTY_KEY, tl.int64)
    for place_taken in range(k):
        worst = tl.maximum(tl.max(held, axis=1), tl.max(left, axis=1))
        held = tl.where(held == worst[:, None], _EMPTY_KEY, held)
        left = tl.where(left == worst[:, None], _EMPTY_KEY, left)
        ordered = (worst >> 32).to(tl.int32)
        best = (ordered ^ ((ordered >> 31) & _LAST)).to(tl.float32, bitcast=True)
        empty = worst == _EMPTY_KEY
        index = unit * k + place_taken
        tl.store(new_values + index, tl.where(empty, float("-inf"), best), mask=is_unit)
        # The lower half of a key is _LAST less the id.
        tl.store(new_ids + index, tl.where(empty, _EMPTY_ID, (worst & 0xFFFFFFFF) ^ _LAST), mask=is_unit)
    chosen = (new >= worst[:, None]) & (new != _EMPTY_KEY)
    tl.store(taken + candidate.to(tl.int64)[None, :] * units + unit[:, None], chosen.to(tl.int8), mask=offered)


def merge(
    values: torch.Tensor, ids: torch.Tensor, batch: torch.Tensor, batch_ids: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """New values [C, k], ids [C, k] and taken bool [B, C]; see `topk.merge_topk`, which checks. B, C and k >= 1.

    Raises ValueError for more than MAX_CANDIDATES images.
    """
    (units, k), count = values.shape, batch.shape[0]
    if count > MAX_CANDIDATES:
        raise ValueError(f"a batch has at most {MAX_CANDIDATES} images, not {count}")
    values, ids = (table if table.stride(1) == 1 else table.contiguous() for table in (values, ids))
    new_values = torch.empty((units, k), dtype=torch.float32, device=batch.device)
    new_ids = torch.empty((units, k), dtype=torch.int64, device=batch.device)
    taken = torch.empty((count, units), dtype=torch.int8, device=batch.device)
    slots, candidates = triton.next_power_of_2(k), triton.next_power_of_2(count)
    together = max(1, min(_UNITS, _LANES // (slots + candidates)))
    together = 2 ** (together.bit_length() - 1)
    _merge_kernel[(triton.cdiv(units, together),)](
        values, ids, batch, batch_ids.contiguous(), new_values, new_ids, taken,
        units, k, count, values.stride(0), ids.stride(0), batch.stride(0), batch.stride(1),
        UNITS=together, SLOTS=slots, CANDIDATES=candidates,
    )  # fmt: skip
    return new_values, new_ids, taken.view(torch.bool)
