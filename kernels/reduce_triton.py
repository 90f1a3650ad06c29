"""The Triton kernel of reduce.py: every value comes from memory once.

How it is laid out, for GPUs with many processors and much bandwidth:

- A program takes a tile of positions x channels of one image and walks over the positions. The innermost dimension
  of memory gets the long side of the tile (channels if they lie last, positions in NCHW), so that loads coalesce;
  where a map's rows follow on each other it is walked as one row, without division.
- In the loop a value costs a comparison and two selections, in registers and without exchange between threads: each
  lane keeps its own maximum. What is rare or small (order of ties, NaN, zero's sign, bins) is done after it.
- Maps with few channels give few programs, so that the positions are split too (conv1 with channels last at batch
  64: 64 tiles of channels for over a hundred processors); parts are joined by a second, small kernel.
- Sampled positions are read again, while they are still in the cache; computing bins for all would cost more than
  the memory takes. Zeros, most of a rectified map, are summed before they are added: one atomic addition a channel.

Additions are of integers and maxima of keys that order (value, lower position): no result depends on the order.
"""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl

from . import sketch
from .empty import NO_POSITION

_TILE = 2048
"""Values in a tile: 16 for each of 128 threads, so that maxima and positions stay in registers."""

_LINE = 64
"""Channels of a tile where they lie last: 256 bytes of float32 in a row."""

_ROW = 1024
"""Positions of a tile, at most, where they lie last."""

_PROGRAMS = 2048
"""As many programs keep the memory of a large GPU busy; below it positions are split."""

_STEPS = 4
"""Tiles that a part of a split map has at least."""

_MAX_CELLS = 2**31 - 1

_BINS = tl.constexpr(sketch.BINS)
_ZERO_BIN = tl.constexpr(sketch.ZERO_BIN)
_SIDE = tl.constexpr(sketch.SIDE)
_FIRST = tl.constexpr(sketch.FIRST)
_SHIFT = tl.constexpr(sketch.SHIFT)
_MAGNITUDE = tl.constexpr(sketch.MAGNITUDE)
_INFINITY_BITS = tl.constexpr(sketch.INFINITY_BITS)
_NO_POSITION = tl.constexpr(NO_POSITION)
_NO_KEY = tl.constexpr(-(2**63))
_LAST = tl.constexpr(0x7FFFFFFF)


@dataclass(frozen=True)
class Tiling:
    """positions x channels of a tile (powers of two), the parts that a map's positions are split into, and the
    positions of a part (a multiple of the tile's)."""

    positions: int
    channels: int
    parts: int
    part: int


def tiling(batch: int, cells: int, units: int, channels_last: bool) -> Tiling:
    """How [batch, cells, units] is cut into programs; all arguments at least 1."""
    all_cells, all_units = triton.next_power_of_2(cells), triton.next_power_of_2(units)
    if channels_last:
        channels = min(all_units, max(_LINE, min(_TILE // all_cells, _ROW)))
        positions = min(all_cells, max(1, _TILE // channels))
    else:
        positions = min(all_cells, _ROW)
        channels = min(all_units, max(1, _TILE // positions))
    programs = batch * triton.cdiv(units, channels)
    most = max(1, cells // (positions * _STEPS))
    parts = min(most, max(1, _PROGRAMS // programs))
    part = triton.cdiv(triton.cdiv(cells, parts), positions) * positions
    return Tiling(positions, channels, triton.cdiv(cells, part), part)


@triton.jit
def _ordered(value):
    """int32 that orders as the float32 does; both zeros alike."""
    bits = tl.where(value == 0.0, 0.0, value).to(tl.int32, bitcast=True)
    return bits ^ ((bits >> 31) & _LAST)


@triton.jit
def _bin_of(value):
    """The bin of sketch.py; for NaN any number."""
    bits = value.to(tl.int32, bitcast=True)
    steps = tl.minimum(tl.maximum((bits & _MAGNITUDE) >> _SHIFT, _FIRST), _FIRST + _SIDE) - _FIRST
    return tl.where(bits < 0, -steps, steps) + _ZERO_BIN


@triton.jit
def _place(p, columns, row_stride, column_stride, FLAT: tl.constexpr, WIDE: tl.constexpr):
    """Offset in memory of position p within its map."""
    if WIDE:
        p = p.to(tl.int64)
    if FLAT:
        return p * column_stride
    return (p // columns) * row_stride + (p % columns) * column_stride


@triton.jit
def _write(maxima, positions, index, key, mask, POSITIONS: tl.constexpr):
    """Store what a key stands for: (ordered value, position counted from the end)."""
    ordered = (key >> 32).to(tl.int32)
    value = (ordered ^ ((ordered >> 31) & _LAST)).to(tl.float32, bitcast=True)
    tl.store(maxima + index, tl.where(key == _NO_KEY, float("-inf"), value), mask=mask)
    if POSITIONS:
        position = key.to(tl.int32) ^ _LAST  # The lower half, which is _LAST less the position.
        tl.store(positions + index, tl.where(key == _NO_KEY, _NO_POSITION, position), mask=mask)


@triton.jit
def _count(base, p, place, c, mask, channel_offset, counts):
    """Add the values at positions p [P] of the channels c [C] to the counts, each where mask [P, C] says so."""
    value = tl.load(base + place[:, None] + channel_offset[None, :], mask=mask, other=float("nan")).to(tl.float32)
    present = value == value
    bins = _bin_of(value)
    row = counts + c.to(tl.int64) * _BINS
    zero = present & (bins == _ZERO_BIN)
    zeros = tl.sum(zero.to(tl.int32), axis=0)
    tl.atomic_add(row + _ZERO_BIN, zeros, mask=zeros > 0, sem="relaxed")
    tl.atomic_add(row[None, :] + bins, tl.full(bins.shape, 1, tl.int32), mask=present & ~zero, sem="relaxed")


@triton.jit
def _reduce_kernel(
    x, maxima, positions, keys, counts, offsets, valid,
    units, cells, columns, batch, stride, part,
    batch_stride, row_stride, column_stride, channel_stride,
    BLOCK_P: tl.constexpr, BLOCK_S: tl.constexpr, BLOCK_C: tl.constexpr, PARTS: tl.constexpr,
    FLAT: tl.constexpr, WIDE: tl.constexpr, POSITIONS: tl.constexpr, COUNT: tl.constexpr, VALID: tl.constexpr,
):  # fmt: skip
    """One part of the positions of BLOCK_C channels of one image; BLOCK_S sampled ones are counted at a time."""
    blocks = tl.cdiv(units, BLOCK_C)
    program = tl.program_id(0)
    c = (program % blocks) * BLOCK_C + tl.arange(0, BLOCK_C)
    share = (program // blocks) % PARTS
    b = (program // blocks // PARTS).to(tl.int64)
    is_unit = c < units
    start = share * part
    end = tl.minimum(start + part, cells)
    if VALID:
        end = tl.where(tl.load(valid + b) != 0, end, start)
    base = x + b * batch_stride
    channel_offset = c.to(tl.int64) * channel_stride if WIDE else c * channel_stride
    lane = tl.arange(0, BLOCK_P)

    best = tl.full((BLOCK_P, BLOCK_C), float("-inf"), tl.float32)
    where = tl.full((BLOCK_P, BLOCK_C), _NO_POSITION, tl.int32)
    for first in range(start, end, BLOCK_P):
        p = first + lane
        place = _place(p, columns, row_stride, column_stride, FLAT, WIDE)
        mask = (p < end)[:, None] & is_unit[None, :]
        value = tl.load(base + place[:, None] + channel_offset[None, :], mask=mask, other=float("-inf"))
        value = value.to(tl.float32)
        higher = value > best  # False for NaN, and for a later position of an equal value.
        best = tl.where(higher, value, best)
        if POSITIONS:
            where = tl.where(higher, p[:, None], where)

    if POSITIONS:
        # Nothing above -inf: -inf itself may be there, with a position. Rare, so it may cost a second walk.
        nothing = (tl.max(best, axis=0) == float("-inf")) & is_unit
        if tl.sum(nothing.to(tl.int32), axis=0) > 0:
            for first in range(start, end, BLOCK_P):
                p = first + lane
                place = _place(p, columns, row_stride, column_stride, FLAT, WIDE)
                mask = (p < end)[:, None] & nothing[None, :]
                value = tl.load(base + place[:, None] + channel_offset[None, :], mask=mask, other=float("nan"))
                found = (value.to(tl.float32) == float("-inf")) & (where == _NO_POSITION)
                where = tl.where(found, p[:, None], where)
        key = (_ordered(best).to(tl.int64) << 32) | (where ^ _LAST).to(tl.int64)
        key = tl.max(tl.where(where == _NO_POSITION, _NO_KEY, key), axis=0)
    else:
        key = _ordered(tl.max(best, axis=0)).to(tl.int64) << 32

    index = b * units + c
    if PARTS == 1:
        _write(maxima, positions, index, key, is_unit, POSITIONS)
    else:
        tl.store(keys + share.to(tl.int64) * batch * units + index, key, mask=is_unit)

    if COUNT:
        offset = tl.load(offsets + b).to(tl.int32)
        # The first sampled position from `start` on (the quotient is not positive only where start < offset).
        sampled = offset + tl.maximum(tl.cdiv(start - offset, stride), 0) * stride
        for first in range(sampled, end, BLOCK_S * stride):
            p = first + tl.arange(0, BLOCK_S) * stride
            place = _place(p, columns, row_stride, column_stride, FLAT, WIDE)
            _count(base, p, place, c, (p < end)[:, None] & is_unit[None, :], channel_offset, counts)


@triton.jit
def _join_kernel(keys, maxima, positions, count, PARTS: tl.constexpr, POSITIONS: tl.constexpr, BLOCK: tl.constexpr):
    """Maxima and positions [count] from the parts' keys [PARTS, count]."""
    index = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    mask = index < count
    best = tl.full((BLOCK,), _NO_KEY, tl.int64)
    for share in range(PARTS):
        best = tl.maximum(best, tl.load(keys + share * count + index, mask=mask, other=_NO_KEY))
    _write(maxima, positions, index, best, mask, POSITIONS)


def reduce_cells(
    cells_view: torch.Tensor,
    counts: torch.Tensor | None,
    offsets: torch.Tensor | None,
    stride: int,
    valid: torch.Tensor | None,
    positions: bool,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Maxima float32 [B, C] and positions int32 [B, C] of a view [B, H, W, C]; see reduce.py, which checks.

    counts: int32 [C, BINS], updated, with offsets int64 [B] and the stride of sampled positions. valid: bool [B].
    Raises ValueError for maps of 2^31 positions or more.
    """
    batch, rows, columns, units = cells_view.shape
    cells = rows * columns
    if cells >= _MAX_CELLS:
        raise ValueError(f"a map has fewer than {_MAX_CELLS} positions, not {cells}")
    batch_stride, row_stride, column_stride, channel_stride = cells_view.stride()
    if rows == 1 or columns == 1:
        # A dimension of one has no stride of its own; the map is one row.
        flat, column_stride = True, column_stride if rows == 1 else row_stride
    else:
        flat = row_stride == columns * column_stride
    extent = (rows - 1) * row_stride + (columns - 1) * column_stride + (units - 1) * channel_stride
    cut = tiling(batch, cells, units, channel_stride <= column_stride or cells == 1)
    # Index arithmetic runs past the end by up to a tile (or a tile's worth of sampled positions) before it is masked.
    reach = extent + (cut.positions * (stride + 1) + cut.channels) * max(row_stride, column_stride, channel_stride)

    maxima = torch.empty((batch, units), dtype=torch.float32, device=cells_view.device)
    places = torch.empty((batch, units), dtype=torch.int32, device=cells_view.device) if positions else None
    keys = None
    if cut.parts > 1:
        keys = torch.empty((cut.parts, batch, units), dtype=torch.int64, device=cells_view.device)
    in_part = min(cut.positions, triton.next_power_of_2(triton.cdiv(cut.part, stride)))
    # A pointer that the kernel will not follow: any tensor does.
    unused = maxima
    grid = (batch * triton.cdiv(units, cut.channels) * cut.parts,)
    _reduce_kernel[grid](
        cells_view, maxima, unused if places is None else places, unused if keys is None else keys,
        unused if counts is None else counts, unused if offsets is None else offsets,
        unused if valid is None else valid.view(torch.uint8),
        units, cells, columns, batch, stride, cut.part,
        batch_stride, row_stride, column_stride, channel_stride,
        BLOCK_P=cut.positions, BLOCK_S=in_part, BLOCK_C=cut.channels, PARTS=cut.parts, FLAT=flat, WIDE=reach >= 2**31,
        POSITIONS=positions, COUNT=counts is not None, VALID=valid is not None,
    )  # fmt: skip
    if keys is not None:
        block = 256
        _join_kernel[(triton.cdiv(batch * units, block),)](
            keys, maxima, unused if places is None else places, batch * units,
            PARTS=cut.parts, POSITIONS=positions, BLOCK=block,
        )  # fmt: skip
    return maxima, places
