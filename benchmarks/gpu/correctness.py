"""Every kernel against the float64 references, over a table of shapes, dtypes and layouts, on any device and branch."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from ...kernels.dispatch import Branch, choose
from ...kernels.mask import mask_batch
from ...kernels.reduce import Layout, reduce_layer, view_cells
from ...kernels.sketch import BINS
from ...kernels.topk import MAX_ID, empty_topk, merge_topk
from .reference import mask_reference, reduce_reference, topk_reference

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
MAPS: tuple[tuple[int, ...], ...] = (
    (1, 1, 1, 1), (2, 3, 7, 5), (4, 130, 13, 17), (2, 64, 112, 112), (2, 256, 56, 56), (4, 2048, 7, 7), (3, 5, 90, 100),
)  # fmt: skip
TOKENS: tuple[tuple[int, int, int], ...] = ((2, 785, 384), (3, 50, 33), (2, 6, 5))
PREFIX = 5
TOPK: tuple[tuple[int, int, int], ...] = ((64, 2048, 15), (1, 1, 1), (7, 33, 20), (256, 65, 15))
MASKS = (((7, 7), (224, 224)), ((14, 9), (50, 131)), ((1, 1), (5, 9)), ((40, 56), (40, 56)))


def check_all(device: torch.device, branch: Branch) -> Iterator[dict[str, Any]]:
    """Rows {kernel, shape, dtype, layout, branch, equal}: `equal` is False where a kernel is wrong."""
    for dtype in DTYPES:
        for shape in MAPS:
            x = odd_values(shape, dtype).to(device)
            yield check_reduce(x, "map", branch, "NCHW")
            yield check_reduce(x.contiguous(memory_format=torch.channels_last), "map", branch, "channels last")
            yield check_reduce(x[:, :, ::2], "map", branch, "every other row")
        for tokens in TOKENS:
            yield check_reduce(odd_values(tokens, dtype).to(device), "tokens", branch, "tokens")
        yield check_reduce(odd_values((16, 1000), dtype).to(device), "vector", branch, "vector")
    for count, units, k in TOPK:
        yield check_topk(count, units, k, device, branch)
    for map_shape, picture in MASKS:
        yield check_mask(map_shape, picture, device, branch)


def odd_values(shape: tuple[int, ...], dtype: torch.dtype, seed: int = 0) -> torch.Tensor:
    """Normal values, a third of them ties, zeros of both signs, NaN and infinities; the first unit's map is all NaN."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator)
    kind = torch.randint(0, 20, shape, generator=generator)
    for number, value in enumerate((0.0, -0.0, 2.5, 2.5, torch.nan, torch.inf, -torch.inf)):
        x[kind == number] = value
    x[0, 0] = torch.nan
    return x.to(dtype)


def check_reduce(x: torch.Tensor, layout: Layout, branch: Branch, name: str, samples: int = 16) -> dict[str, Any]:
    """Maxima, positions and counts, to the last bit; one image of more than two is not valid."""
    prefix = PREFIX if layout == "tokens" else 0
    cells = view_cells(x, layout, prefix)
    batch, units = cells.shape[0], cells.shape[3]
    phases = torch.randint(0, 2**32, (batch,), generator=torch.Generator().manual_seed(1))
    valid = torch.arange(batch) != 2
    expected = reduce_reference(
        cells.double().cpu().numpy().reshape(batch, -1, units), phases.numpy(), samples, valid.numpy()
    )
    counts = torch.zeros(units, BINS, dtype=torch.int32, device=x.device)
    found = reduce_layer(x, layout, counts, phases, samples, prefix, valid, True, branch)
    alone = reduce_layer(x, layout, None, prefix=prefix, valid=valid, positions=False, branch=branch)
    assert found.positions is not None
    equal = (
        np.array_equal(found.maxima.double().cpu().numpy(), expected.maxima)
        and np.array_equal(found.positions.cpu().numpy(), expected.positions)
        and np.array_equal(counts.cpu().numpy(), expected.counts)
        and torch.equal(alone.maxima, found.maxima)
    )
    return _row("reduce", list(x.shape), x.dtype, name, found.branch, equal)


def check_topk(count: int, units: int, k: int, device: torch.device, branch: Branch) -> dict[str, Any]:
    """Two merges against sorting all candidates."""
    batch = odd_values((count, units), torch.float32)
    ids = torch.randperm(2 * count, generator=torch.Generator().manual_seed(1))[:count]
    ids[-1] = MAX_ID
    values, held, ran = *empty_topk(units, k, device), ""
    for part in (slice(0, (count + 1) // 2), slice((count + 1) // 2, count)):
        merged = merge_topk(values, held, batch[part].to(device), ids[part], branch)
        values, held, ran = merged.values, merged.ids, ran or merged.branch
    expected_values, expected_ids = topk_reference(batch.double().numpy(), ids.numpy(), k)
    equal = np.array_equal(values.double().cpu().numpy(), expected_values)
    equal = equal and np.array_equal(held.cpu().numpy(), expected_ids)
    return _row("topk", [count, units, k], batch.dtype, "", ran, equal)


def check_mask(
    map_shape: tuple[int, int], picture: tuple[int, int], device: torch.device, branch: Branch
) -> dict[str, Any]:
    """Every pixel that rounding leaves decided (reference.py)."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (4, *picture, 3), dtype=torch.uint8, generator=generator)
    maps = torch.randn((4, *map_shape), generator=generator)
    thresholds = torch.linspace(-0.5, 1.0, 4)
    masked = mask_batch(images.to(device), maps.to(device), thresholds.to(device), branch).cpu().numpy()
    expected, undecided = mask_reference(images.numpy(), maps.double().numpy(), thresholds.double().numpy())
    equal = undecided.mean() < 0.01 and np.array_equal(masked[~undecided], expected[~undecided])
    ran = choose(branch, maps.to(device))  # As mask_batch chooses, whose result is the pictures alone.
    return _row("mask", [*map_shape, *picture], maps.dtype, "", ran, bool(equal))


def _row(kernel: str, shape: list[int], dtype: torch.dtype, layout: str, branch: str, equal: bool) -> dict[str, Any]:
    name = str(dtype).removeprefix("torch.")
    return {"kernel": kernel, "shape": shape, "dtype": name, "layout": layout, "branch": branch, "equal": equal}
