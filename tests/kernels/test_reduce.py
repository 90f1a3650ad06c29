"""The torch branch of the reduction against the float64 reference: layouts, strides, sampling, NaN policy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from maia.benchmarks.gpu.reference import reduce_reference
from maia.kernels.empty import NO_POSITION
from maia.kernels.reduce import (
    PHASES,
    Layout,
    first_argmax,
    reduce_layer,
    sampling_offsets,
    sampling_stride,
    view_cells,
)
from maia.kernels.sketch import BINS

SETTINGS = settings(deadline=None, max_examples=60)
VALUES = st.one_of(
    st.sampled_from([0.0, -0.0, 1.5, np.nan, np.nan, np.inf, -np.inf]), st.floats(width=16, allow_nan=False)
)
MAPS = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 6), st.integers(1, 6)),
    elements=VALUES,
)
DTYPES = [torch.float32, torch.float16, torch.bfloat16]


def check(
    x: torch.Tensor,
    layout: Layout,
    phases: list[int],
    samples: int | None,
    prefix: int = 0,
    valid: torch.Tensor | None = None,
) -> None:
    cells = view_cells(x, layout, prefix)
    batch, units = cells.shape[0], cells.shape[3]
    counts = torch.ones(units, BINS, dtype=torch.int32)
    result = reduce_layer(x, layout, counts, torch.tensor(phases), samples, prefix, valid)
    expected = reduce_reference(
        cells.double().numpy().reshape(batch, -1, units),
        np.array(phases),
        samples,
        None if valid is None else valid.numpy(),
    )
    assert result.branch == "torch" and result.positions is not None
    assert result.maxima.dtype == torch.float32 and result.positions.dtype == torch.int32
    assert np.array_equal(result.maxima.double().numpy(), expected.maxima)
    assert np.array_equal(result.positions.numpy(), expected.positions)
    assert np.array_equal(counts.numpy() - 1, expected.counts)
    assert not torch.signbit(result.maxima[result.maxima == 0]).any()
    alone = reduce_layer(x, layout, None, prefix=prefix, valid=valid, positions=False)
    assert alone.positions is None and torch.equal(alone.maxima, result.maxima)


@SETTINGS
@given(MAPS, st.sampled_from(DTYPES), st.sampled_from([None, 1, 2, 5, 99]), st.data())
def test_maps_in_every_layout(maps: np.ndarray, dtype: torch.dtype, samples: int | None, data: st.DataObject) -> None:
    x = torch.from_numpy(maps).to(dtype)
    batch = len(x)
    phases = data.draw(st.lists(st.integers(0, PHASES - 1), min_size=batch, max_size=batch))
    valid = torch.tensor(data.draw(st.lists(st.booleans(), min_size=batch, max_size=batch)))
    check(x, "map", phases, samples)
    check(x.contiguous(memory_format=torch.channels_last), "map", phases, samples, valid=valid)
    check(x.permute(0, 2, 3, 1), "nhwc", phases, samples)
    check(x.flatten(2).transpose(1, 2), "tokens", phases, samples)
    check(x[:, :, 0, 0], "vector", phases, samples, valid=valid)
    check(x[:, :, ::2, 1:] if x.shape[3] > 1 else x.transpose(2, 3), "map", phases, samples)


def test_prefix_tokens_are_no_positions() -> None:
    x = torch.randn(3, 11, 4)
    x[:, :5] = 100.0
    x[:, 5] = 50.0
    check(x, "tokens", [0, 2**31, 2**32 - 1], 2, prefix=5)
    result = reduce_layer(x, "tokens", None, prefix=5)
    assert (result.maxima == 50).all() and (result.positions == 0).all()


@SETTINGS
@given(st.integers(1, 13000), st.one_of(st.none(), st.integers(1, 64)), st.integers(0, PHASES - 1))
def test_what_is_sampled(cells: int, samples: int | None, phase: int) -> None:
    stride = sampling_stride(cells, samples)
    offset = int(sampling_offsets(torch.tensor([phase]), stride)[0])
    assert 0 <= offset < stride
    taken = len(range(offset, cells, stride))
    assert taken >= min(cells, samples or cells)
    assert taken <= (2 * samples if samples else cells)


def test_phases_spread_over_all_positions() -> None:
    """Each position is sampled by the same share of the phases (exactly, where the stride divides 2^32)."""
    phases = torch.arange(0, PHASES, PHASES // 64)
    offsets = sampling_offsets(phases, sampling_stride(32, 2))
    assert torch.bincount(offsets, minlength=16).tolist() == [4] * 16


def test_sampling_depends_on_the_phase_and_not_on_the_batch() -> None:
    x, phases = torch.randn(6, 3, 8, 8), torch.randint(0, PHASES, (6,))
    whole = torch.zeros(3, BINS, dtype=torch.int32)
    reduce_layer(x, "map", whole, phases, 4)
    parts = torch.zeros_like(whole)
    for rows in ([5, 0, 3], [2], [1, 4]):
        reduce_layer(x[rows], "map", parts, phases[rows], 4)
    assert torch.equal(whole, parts)


@SETTINGS
@given(arrays.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 40)), elements=VALUES))
def test_first_argmax(maps: np.ndarray) -> None:
    expected = reduce_reference(maps.astype(np.float64)[:, :, None], np.zeros(len(maps), np.int64), None).positions
    assert np.array_equal(first_argmax(torch.from_numpy(maps)).numpy(), expected[:, 0])


def test_first_argmax_of_nothing_is_no_position() -> None:
    maps = torch.tensor([[torch.nan, torch.nan], [torch.nan, -torch.inf], [3.0, 3.0]])
    assert first_argmax(maps).tolist() == [NO_POSITION, 1, 0]
    assert first_argmax(maps[:0]).tolist() == []


def test_an_empty_batch_is_no_error() -> None:
    counts = torch.zeros(3, BINS, dtype=torch.int32)
    result = reduce_layer(torch.zeros(0, 3, 4, 4), "map", counts, torch.zeros(0, dtype=torch.int64), 2)
    assert result.maxima.shape == (0, 3) and not counts.any()


def test_nothing_is_copied_for_a_view() -> None:
    x = torch.randn(2, 5, 4, 4)
    for layout, tensor in (("map", x), ("nhwc", x), ("tokens", x[0]), ("vector", x[0, 0])):
        assert view_cells(tensor, layout).data_ptr() == tensor.data_ptr()


COUNTS = torch.zeros(3, BINS, dtype=torch.int32)
PHASE = torch.zeros(2, dtype=torch.int64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layout": "tokens"}, "3 dimensions"),
        ({"layout": "chw"}, "a layout is one of"),
        ({"prefix": 1}, "prefix"),
        ({"counts": COUNTS.long(), "phases": PHASE}, "int32"),
        ({"counts": COUNTS[:2], "phases": PHASE}, "counts"),
        ({"counts": COUNTS}, "phases"),
        ({"counts": COUNTS, "phases": PHASE[:1]}, "phases"),
        ({"counts": COUNTS, "phases": PHASE, "samples": 0}, "samples"),
        ({"valid": torch.ones(2)}, "valid"),
        ({"valid": torch.ones(3, dtype=torch.bool)}, "valid"),
        ({"x": torch.zeros(2, 3, 0, 4)}, "no positions"),
        ({"x": torch.zeros(2, 4, 3), "layout": "tokens", "prefix": 4}, "no positions"),
        ({"branch": "cuda"}, "branch"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict, message: str) -> None:
    usual = {"x": torch.zeros(2, 3, 4, 4), "layout": "map", "counts": None}
    with pytest.raises(ValueError, match=message):
        reduce_layer(**(usual | arguments))


def test_other_dtypes_are_refused() -> None:
    with pytest.raises(TypeError, match="float64"):
        reduce_layer(torch.zeros(2, 3, 4, 4, dtype=torch.float64), "map", None)
