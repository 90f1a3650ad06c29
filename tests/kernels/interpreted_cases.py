"""The Triton kernels against their twins and the float64 references; collected by test_interpreted.py only.

Triton decides while it is imported whether it interprets, and the test processes import it for other reasons, in any
order. So these cases run in a process of their own: under TRITON_INTERPRET=1 on the CPU, or compiled on a GPU.
"""

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from maia.benchmarks.gpu.reference import mask_reference, reduce_reference, topk_reference
from maia.kernels import mask_triton, reduce_triton, topk_triton
from maia.kernels.dispatch import interpreted
from maia.kernels.mask import mask_batch, mask_image
from maia.kernels.reduce import Layout, reduce_layer, view_cells
from maia.kernels.sketch import BINS
from maia.kernels.topk import MAX_ID, empty_topk, merge_topk

DEVICE = "cpu" if interpreted() else "cuda"
DTYPES = [torch.float32, torch.float16, torch.bfloat16]


def values(shape: tuple[int, ...], dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    """Values with ties, zeros of both signs, NaN and infinities among them."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator)
    kind = torch.randint(0, 12, shape, generator=generator)
    for number, value in enumerate((0.0, -0.0, 1.5, 1.5, torch.nan, torch.inf, -torch.inf)):
        x[kind == number] = value
    return x.to(dtype).to(DEVICE)


def check_reduce(
    x: torch.Tensor,
    layout: Layout = "map",
    samples: int | None = 3,
    prefix: int = 0,
    valid: torch.Tensor | None = None,
    positions: bool = True,
) -> None:
    """Triton equals the twin and the float64 reference to the last bit."""
    cells = view_cells(x, layout, prefix)
    batch, units = cells.shape[0], cells.shape[3]
    phases = torch.randint(0, 2**32, (batch,), generator=torch.Generator().manual_seed(1))
    expected = reduce_reference(
        cells.double().cpu().numpy().reshape(batch, -1, units),
        phases.numpy(),
        samples,
        None if valid is None else valid.numpy(),
    )
    for branch in ("triton", "torch"):
        counts = torch.zeros(units, BINS, dtype=torch.int32, device=x.device)
        result = reduce_layer(x, layout, counts, phases, samples, prefix, valid, positions, branch)
        assert result.branch == branch
        assert np.array_equal(result.maxima.double().cpu().numpy(), expected.maxima), branch
        assert not torch.signbit(result.maxima[result.maxima == 0]).any()
        assert np.array_equal(counts.cpu().numpy(), expected.counts), branch
        if positions:
            assert result.positions.dtype == torch.int32
            assert np.array_equal(result.positions.cpu().numpy(), expected.positions), branch
        else:
            assert result.positions is None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape", [(2, 3, 7, 5), (1, 1, 1, 1), (3, 70, 1, 3), (2, 1, 33, 35), (1, 9, 13, 1), (4, 5, 2, 2)]
)
@pytest.mark.parametrize("channels_last", [False, True])
def test_maps_of_ragged_shapes(dtype: torch.dtype, shape: tuple[int, ...], channels_last: bool) -> None:
    x = values(shape, dtype)
    check_reduce(x.contiguous(memory_format=torch.channels_last) if channels_last else x)


STRIDED = {
    "slice": lambda x: x[:, 1:, ::2, 1:],
    "every other channel": lambda x: x[:, ::2],
    "channels last, cut": lambda x: x.contiguous(memory_format=torch.channels_last)[:, :-1, 1:, ::2],
    "transposed": lambda x: x.transpose(2, 3),
    "batch and channels swapped": lambda x: x.transpose(0, 1),
    "expanded over the batch": lambda x: x[:1].expand(3, -1, -1, -1),
    "expanded over positions": lambda x: x[:, :, :1, :1].expand(-1, -1, 4, 5),
    "one row": lambda x: x[:, :, 2:3],
    "one column": lambda x: x[..., 2:3],
}


@pytest.mark.parametrize("view", STRIDED)
def test_strides(view: str) -> None:
    check_reduce(STRIDED[view](values((3, 6, 7, 5))))


@pytest.mark.parametrize("samples", [None, 1, 5, 1000])
@pytest.mark.parametrize("channels_last", [False, True])
def test_maps_that_are_split_into_parts(samples: int | None, channels_last: bool) -> None:
    x = values((2, 3, 90, 100))
    cells = view_cells(x, "map")
    assert reduce_triton.tiling(2, 9000, 3, channels_last).parts > 1
    assert cells.shape == (2, 90, 100, 3)
    check_reduce(x.contiguous(memory_format=torch.channels_last) if channels_last else x, samples=samples)


def test_parts_can_all_be_missing() -> None:
    x = values((2, 3, 90, 100))
    x[0, 0], x[0, 1] = torch.nan, -torch.inf
    x[0, 1, :50] = torch.nan
    x[1, 2, :, 1:] = torch.nan
    check_reduce(x)
    check_reduce(x, positions=False)


@pytest.mark.parametrize("fill", [0.0, -2.5, torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("positions", [True, False])
def test_all_equal(fill: float, positions: bool) -> None:
    check_reduce(torch.full((2, 3, 5, 4), fill, device=DEVICE), positions=positions)


@pytest.mark.parametrize("dtype", DTYPES)
def test_other_layouts(dtype: torch.dtype) -> None:
    check_reduce(values((2, 6, 5, 9), dtype), "nhwc")
    check_reduce(values((2, 11, 9), dtype), "tokens", prefix=5)
    check_reduce(values((2, 9, 11), dtype).transpose(1, 2), "tokens", prefix=1)
    check_reduce(values((3, 200), dtype), "vector")
    check_reduce(values((3, 1), dtype), "vector", positions=False)


@pytest.mark.parametrize("valid", [[True, False, True], [False, False, False], [True, True, True]])
def test_rows_that_are_not_valid(valid: list[bool]) -> None:
    check_reduce(values((3, 5, 6, 4)), valid=torch.tensor(valid))
    check_reduce(values((3, 5)), "vector", valid=torch.tensor(valid))


def test_offsets_beyond_32_bits() -> None:
    """Strides that fit 32 bits, offsets that do not: 4 GiB of addresses, of which a few pages are ever touched."""
    far = torch.empty(2**31 + 64, dtype=torch.float16, device=DEVICE)
    x = far.as_strided((2, 3, 3, 4), (12, 2**30, 4, 1))
    x.copy_(values((2, 3, 3, 4), torch.float16))
    check_reduce(x)


def check_topk(count: int, units: int, k: int, seed: int) -> None:
    batch = values((count, units), seed=seed)
    ids = torch.randperm(4 * count, generator=torch.Generator().manual_seed(seed))[:count]
    ids[0] = MAX_ID
    expected_values, expected_ids = topk_reference(batch.double().cpu().numpy(), ids.numpy(), k)
    for branch in ("triton", "torch"):
        held = empty_topk(units, k, DEVICE)
        for part in (slice(0, count // 3), slice(count // 3, count)):
            merged = merge_topk(*held, batch[part], ids[part], branch)
            if batch[part].numel():
                assert merged.branch == branch
            held = merged.values, merged.ids
            inside = (merged.ids.cpu()[None] == ids[part][:, None, None]).any(dim=2)
            assert torch.equal(merged.taken.cpu(), inside), branch
        assert np.array_equal(held[0].double().cpu().numpy(), expected_values), branch
        assert np.array_equal(held[1].cpu().numpy(), expected_ids), branch
        assert not torch.signbit(held[0][held[0] == 0]).any()


@pytest.mark.parametrize(
    ("count", "units", "k"), [(1, 1, 1), (5, 3, 4), (20, 9, 15), (40, 17, 3), (3, 2, 16), (300, 2, 15)]
)
def test_topk(count: int, units: int, k: int) -> None:
    check_topk(count, units, k, seed=count)


def test_topk_of_strided_candidates() -> None:
    batch = values((6, 10))[:, ::2]
    expected = merge_topk(*empty_topk(5, 3, DEVICE), batch, torch.arange(6), "torch")
    found = merge_topk(*empty_topk(5, 3, DEVICE), batch.T.contiguous().T, torch.arange(6), "triton")
    assert torch.equal(found.values, expected.values) and torch.equal(found.ids, expected.ids)


def check_mask(map_shape: tuple[int, int], picture: tuple[int, int], count: int = 2) -> None:
    generator = torch.Generator().manual_seed(sum(map_shape))
    images = torch.randint(0, 256, (count, *picture, 3), dtype=torch.uint8, generator=generator)
    maps = torch.randn((count, *map_shape), generator=generator)
    thresholds = torch.linspace(-0.5, 1.0, count)
    expected, undecided = mask_reference(images.numpy(), maps.double().numpy(), thresholds.double().numpy())
    assert undecided.mean() < 0.01
    for branch in ("triton", "torch"):
        masked = mask_batch(images.to(DEVICE), maps.to(DEVICE), thresholds.to(DEVICE), branch).cpu().numpy()
        assert masked.shape == expected.shape and masked.dtype == np.uint8
        assert np.array_equal(masked[~undecided], expected[~undecided]), branch
    for n in range(count):
        one = mask_image(images[n].numpy(), maps[n].numpy(), float(thresholds[n]))
        assert np.array_equal(one[~undecided[n]], expected[n][~undecided[n]])


@pytest.mark.parametrize(
    ("map_shape", "picture"),
    [
        ((7, 7), (40, 33)),
        ((1, 1), (5, 9)),
        ((3, 5), (1, 1)),
        ((14, 9), (30, 40)),
        ((28, 28), (14, 20)),
        ((31, 17), (31, 17)),
    ],
)
def test_masks(map_shape: tuple[int, int], picture: tuple[int, int]) -> None:
    check_mask(map_shape, picture)


def test_a_threshold_that_nothing_passes_leaves_no_region() -> None:
    maps = torch.randn((4, 7, 7), generator=torch.Generator().manual_seed(0)).to(DEVICE)
    images = torch.full((4, 20, 25, 3), 200, dtype=torch.uint8, device=DEVICE)
    assert (mask_batch(images, maps, maps.amax(dim=(1, 2)), "triton") == 50).all()


# Kernels that are wrong on purpose: each is what a small slip would make of the right one.


@triton.jit
def position_one_off(p, columns, row_stride, column_stride, FLAT: tl.constexpr, WIDE: tl.constexpr):
    return (p + 1) * column_stride


@triton.jit
def bin_one_off(value):
    bits = value.to(tl.int32, bitcast=True)
    steps = tl.minimum(tl.maximum((bits & 0x7FFFFFFF) >> 17, 6591), 9152) - 6591
    return tl.where(bits < 0, -steps, steps) + 2562


@triton.jit
def later_position_first(maxima, positions, index, key, mask, POSITIONS: tl.constexpr):
    ordered = (key >> 32).to(tl.int32)
    value = (ordered ^ ((ordered >> 31) & 0x7FFFFFFF)).to(tl.float32, bitcast=True)
    tl.store(maxima + index, value, mask=mask)
    tl.store(positions + index, (key.to(tl.int32) ^ 0x7FFFFFFF) + 1, mask=mask)


@triton.jit
def higher_id_first(value, ids):
    bits = tl.where(value == 0.0, 0.0, value).to(tl.int32, bitcast=True)
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    key = (ordered.to(tl.int64) << 32) | ids
    return tl.where((value > float("-inf")) & (ids >= 0), key, -(2**63))


@triton.jit
def nan_is_taken(value, ids):
    bits = value.to(tl.int32, bitcast=True)
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    key = (ordered.to(tl.int64) << 32) | (ids ^ 0x7FFFFFFF)
    return tl.where(ids >= 0, key, -(2**63))


@triton.jit
def corners_aligned(position, source, target):
    at = position.to(tl.float32) * (source - 1).to(tl.float32) / tl.maximum(target - 1, 1).to(tl.float32)
    low = tl.minimum(at.to(tl.int32), source - 1)
    return low, tl.minimum(low + 1, source - 1), at - low.to(tl.float32)


@pytest.mark.parametrize(
    ("module", "name", "wrong", "check"),
    [
        (reduce_triton, "_place", position_one_off, lambda: check_reduce(values((2, 3, 7, 5)))),
        (reduce_triton, "_bin_of", bin_one_off, lambda: check_reduce(values((2, 3, 7, 5)))),
        (reduce_triton, "_write", later_position_first, lambda: check_reduce(values((2, 3, 7, 5)))),
        (topk_triton, "_key", higher_id_first, lambda: check_topk(20, 9, 15, 0)),
        (topk_triton, "_key", nan_is_taken, lambda: check_topk(20, 9, 15, 0)),
        (mask_triton, "_source", corners_aligned, lambda: check_mask((7, 7), (40, 33))),
    ],
)
def test_a_wrong_kernel_is_found(monkeypatch: pytest.MonkeyPatch, module, name: str, wrong, check) -> None:
    if not interpreted():
        pytest.skip("compiled kernels keep what they were compiled from")
    check()
    monkeypatch.setattr(module, name, wrong)
    with pytest.raises(AssertionError, match="triton"):
        check()
