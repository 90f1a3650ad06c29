"""One read of a layer's output: of each image and unit the maximum and its position, and counts for the quantiles."""

from dataclasses import dataclass
from typing import Literal

import torch

from . import sketch
from .dispatch import Branch, RanBranch, choose, on_device_of
from .empty import NO_POSITION

Layout = Literal["map", "nhwc", "tokens", "vector"]
"""[B, C, H, W] with any strides | [B, H, W, C] | [B, N, C] | [B, C]."""

PHASES = 2**32
"""A phase is 0 .. PHASES - 1."""

DTYPES = (torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Reduced:
    """What one read of a layer gives.

    maxima: float32 [B, C]. positions: int32 [B, C] (row-major index of the first position of the maximum; NO_POSITION
    where there is none), or None where they were not asked for. branch: what ran.
    """

    maxima: torch.Tensor
    positions: torch.Tensor | None
    branch: RanBranch


def reduce_layer(
    x: torch.Tensor,
    layout: Layout,
    counts: torch.Tensor | None,
    phases: torch.Tensor | None = None,
    samples: int | None = None,
    prefix: int = 0,
    valid: torch.Tensor | None = None,
    positions: bool = True,
    branch: Branch = "auto",
) -> Reduced:
    """Maxima and positions over a layer's positions, and the sampled positions' values counted into `counts`.

    x: float32, float16 or bfloat16 in `layout`, with any strides. `prefix` tokens at the start (class and register
    tokens) are no positions. counts: int32 [C, BINS] (sketch.py), updated in place, or None.
    phases: int64 [B], 0 .. 2^32 - 1, one for each image (say, from a hash of its key); may be None without counts.

    Counted is, of the `cells` positions of a valid image b, each p with (p - offset_b) % stride == 0, where
    stride = max(1, cells // samples) and offset_b = (phases[b] * stride) >> 32; all where `samples` is None. So an
    image is sampled alike in any batch. Images with valid[b] False (bool [B]; None: all are valid) have maxima -inf
    and no positions and are not counted.

    NaN is missing: never the maximum and never counted; a map of nothing else has the maximum -inf and no position.
    Infinities are values. A maximum of -0 is given as 0. Raises ValueError for arguments that do not fit, TypeError
    for another dtype, BranchUnavailable (see dispatch.py).
    """
    cells_view = view_cells(x, layout, prefix)
    batch, rows, columns, units = cells_view.shape
    stride = sampling_stride(rows * columns, samples)
    offsets = None
    if counts is not None:
        if counts.dtype != torch.int32:
            raise ValueError(f"counts are int32, not {counts.dtype}")
        sketch.check_counts(counts, units)
        if phases is None or phases.dtype != torch.int64 or tuple(phases.shape) != (batch,):
            raise ValueError(f"phases are int64 [{batch}], one for each image that is counted")
        offsets = sampling_offsets(phases, stride).to(x.device, non_blocking=True)
    if valid is not None:
        if valid.dtype != torch.bool or tuple(valid.shape) != (batch,):
            raise ValueError(f"valid is bool [{batch}], not {valid.dtype} {list(valid.shape)}")
        valid = valid.to(x.device, non_blocking=True)
    ran = choose(branch, x)
    if ran == "triton" and batch and units:
        from .reduce_triton import reduce_cells

        with on_device_of(x):
            maxima, places = reduce_cells(cells_view, counts, offsets, stride, valid, positions)
        return Reduced(maxima, places, "triton")
    if counts is not None and offsets is not None:
        sketch.add(counts, sampled_values(cells_view, offsets, stride, valid))
    maxima, places = _maxima(cells_view), _positions(cells_view) if positions else None
    if valid is not None:
        maxima.masked_fill_(~valid[:, None], -torch.inf)
        if places is not None:
            places.masked_fill_(~valid[:, None], NO_POSITION)
    return Reduced(maxima, places, ran)


def view_cells(x: torch.Tensor, layout: Layout, prefix: int = 0) -> torch.Tensor:
    """[B, H, W, C] view of a layer's output, nothing copied; tokens are one row of N - prefix columns.

    Raises ValueError for a shape that is not the layout's or has no positions, TypeError for the dtype.
    """
    if x.dtype not in DTYPES:
        raise TypeError(f"a layer's output is float32, float16 or bfloat16, not {x.dtype}")
    dimensions = {"map": 4, "nhwc": 4, "tokens": 3, "vector": 2}
    if layout not in dimensions:
        raise ValueError(f"a layout is one of {', '.join(dimensions)}, not {layout!r}")
    if x.ndim != dimensions[layout]:
        raise ValueError(f"layout {layout!r} has {dimensions[layout]} dimensions, not the shape {list(x.shape)}")
    if (prefix and layout != "tokens") or prefix < 0:
        raise ValueError(f"prefix counts tokens: it is 0 for layout {layout!r}, or a number from 0 on, not {prefix}")
    if layout == "map":
        view = x.permute(0, 2, 3, 1)
    elif layout == "nhwc":
        view = x
    elif layout == "tokens":
        view = x[:, None, prefix:]
    else:
        view = x[:, None, None]
    if not view.shape[1] * view.shape[2]:
        raise ValueError(f"there are no positions in {list(x.shape)} after {prefix} prefix tokens")
    return view


def sampling_stride(cells: int, samples: int | None) -> int:
    """The distance of sampled positions: about `samples` of `cells` (at least that many while cells >= samples)."""
    if samples is None:
        return 1
    if samples < 1:
        raise ValueError(f"samples is a number from 1 on or None for all, not {samples}")
    return max(1, cells // samples)


def sampling_offsets(phases: torch.Tensor, stride: int) -> torch.Tensor:
    """int64 [B], 0 .. stride - 1: the first sampled position of each image. stride < 2^31."""
    return (phases * stride) >> 32


def sampled_values(
    cells_view: torch.Tensor, offsets: torch.Tensor, stride: int, valid: torch.Tensor | None = None
) -> torch.Tensor:
    """[R, C]: the values at the sampled positions of the valid images of [B, H, W, C]."""
    batch, rows, columns, _ = cells_view.shape
    cells = rows * columns
    position = offsets[:, None] + torch.arange(0, cells, stride, device=offsets.device)
    sampled = position < cells
    if valid is not None:
        sampled &= valid[:, None]
    image = torch.arange(batch, device=offsets.device)[:, None].expand_as(position)[sampled]
    position = position[sampled]
    return cells_view[image, position // columns, position % columns]


def first_argmax(maps: torch.Tensor) -> torch.Tensor:
    """int64 [E]: the lowest index of the maximum of each row of maps [E, P], P >= 1; NaN is missing.

    NO_POSITION for a row of NaN. (torch's argmax gives the first of equal maxima, but takes NaN for the maximum.)
    """
    best = maps.argmax(dim=1)
    top = maps.gather(1, best[:, None])[:, 0]
    # Rows that need care are rare: NaN anywhere shows as the maximum.
    odd = top.isnan().nonzero()[:, 0]
    if len(odd):
        some = maps[odd]
        present = ~some.isnan()
        highest = some.masked_fill(~present, -torch.inf).amax(dim=1, keepdim=True)
        hits = present & (some == highest)
        best[odd] = torch.where(hits.any(dim=1), hits.int().argmax(dim=1), NO_POSITION)
    return best


def _maxima(cells_view: torch.Tensor) -> torch.Tensor:
    """float32 [B, C]: torch's amax, one read; a NaN in it says which maps need a second look."""
    rows, columns = cells_view.shape[1:3]
    # With channels last torch is faster when it reduces one dimension at a time.
    channels_last = cells_view.stride(3) == 1
    highest = cells_view.amax(dim=2).amax(dim=1) if channels_last else cells_view.amax(dim=(1, 2))
    maxima = highest.float() + 0.0  # -0 + 0 is +0
    missing = maxima.isnan()
    if bool(missing.any()):
        image, unit = missing.nonzero(as_tuple=True)
        maps = cells_view[image, :, :, unit].reshape(len(image), rows * columns)
        maxima[image, unit] = maps.masked_fill(maps.isnan(), -torch.inf).amax(dim=1).float() + 0.0
    return maxima


def _positions(cells_view: torch.Tensor) -> torch.Tensor:
    batch, rows, columns, units = cells_view.shape
    maps = cells_view.permute(0, 3, 1, 2).reshape(batch * units, rows * columns)
    return first_argmax(maps).view(batch, units).int()
