"""The quantile sketch: bins against a search among the edges, merging, the stated bound on quantiles."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from maia.benchmarks.gpu.reference import bins_of
from maia.kernels import sketch
from maia.kernels.sketch import ABSOLUTE_ERROR, BINS, RELATIVE_ERROR, ZERO_BIN, add, bin_edges, bin_of, quantile

SETTINGS = settings(deadline=None, max_examples=60)
FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True)
# Of the size that activations have; atoms (zeros and other repeated values) are likely.
ACTIVATIONS = st.one_of(
    st.floats(-100, 100, width=32), st.sampled_from([0.0, -0.0, 1.0, 6.0, -1.0]), st.floats(-(2**-20), 2**-20, width=32)
)


def counted(values: np.ndarray) -> np.ndarray:
    """int64 [BINS] of float32 values [n]."""
    counts = torch.zeros(1, BINS, dtype=torch.int64)
    add(counts, torch.from_numpy(values.astype(np.float32))[:, None])
    return counts[0].numpy()


def test_the_size_is_as_stated() -> None:
    edges = bin_edges()
    assert (BINS, ZERO_BIN, len(edges)) == (5123, 2561, 5124)
    assert (np.diff(edges) > 0).all()
    assert edges[0] == -np.inf and edges[-1] == np.inf
    assert edges[ZERO_BIN] == -(2.0**-24) and edges[ZERO_BIN + 1] == 2.0**-24
    widths = np.diff(edges[ZERO_BIN + 1 : -1]) / edges[ZERO_BIN + 1 : -2]
    assert widths.max() <= RELATIVE_ERROR


@SETTINGS
@given(arrays.arrays(np.float32, st.integers(1, 50), elements=FLOATS))
def test_bins_equal_a_search_among_the_edges(values: np.ndarray) -> None:
    bins = bin_of(torch.from_numpy(values)).numpy()
    missing = np.isnan(values)
    assert (bins[missing] == -1).all()
    assert np.array_equal(bins[~missing], bins_of(values[~missing].astype(np.float64)))


def test_bins_at_the_edges() -> None:
    edges = bin_edges()[1:-1].astype(np.float32)
    around = np.concatenate([edges, np.nextafter(edges, np.float32(np.inf)), np.nextafter(edges, np.float32(-np.inf))])
    assert np.array_equal(bin_of(torch.from_numpy(around)).numpy(), bins_of(around.astype(np.float64)))
    ends = torch.tensor([-torch.inf, -(2.0**16), 2.0**16, torch.inf, 0.0, -0.0, 2.0**-25])
    assert bin_of(ends).tolist() == [0, 0, BINS - 1, BINS - 1, ZERO_BIN, ZERO_BIN, ZERO_BIN]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_every_half_has_the_bin_of_its_float(dtype: torch.dtype) -> None:
    every = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    bins = bin_of(every)
    assert torch.equal(bins, bin_of(every.float()))
    assert torch.equal(bins == -1, every.isnan())
    ordered = every[~every.isnan()].float().sort().values
    assert (bin_of(ordered).diff() >= 0).all()


def test_doubles_are_refused() -> None:
    with pytest.raises(TypeError, match="float64"):
        bin_of(torch.zeros(2, dtype=torch.float64))


@SETTINGS
@given(arrays.arrays(np.float32, st.tuples(st.integers(0, 30), st.integers(1, 4)), elements=FLOATS), st.randoms())
def test_any_split_and_order_gives_the_same_counts(values: np.ndarray, random) -> None:
    whole = torch.zeros(values.shape[1], BINS, dtype=torch.int32)
    add(whole, torch.from_numpy(values))
    rows = list(range(len(values)))
    random.shuffle(rows)
    cut = random.randint(0, len(rows))
    parts = []
    for part in (rows[:cut], rows[cut:]):
        parts.append(torch.zeros_like(whole))
        add(parts[-1], torch.from_numpy(values[part]))
    assert torch.equal(parts[0] + parts[1], whole) and torch.equal(parts[1] + parts[0], whole)
    assert int(whole.sum()) == int((~np.isnan(values)).sum())


def check_bound(values: np.ndarray, q: float, lowest: float | None, highest: float | None) -> None:
    """The estimate is within the bound of each of the two order statistics that the exact quantile lies between."""
    estimate = quantile(counted(values), q, lowest, highest)
    ordered = np.sort(values.astype(np.float64))
    rank = q * (len(ordered) - 1)
    pair = ordered[int(np.floor(rank))], ordered[int(np.ceil(rank))]
    share = rank - np.floor(rank)
    errors = [max(RELATIVE_ERROR * abs(x), ABSOLUTE_ERROR) for x in pair]
    allowed = (1 - share) * errors[0] + share * errors[1] + 1e-12 * max(abs(x) for x in pair)
    assert abs(estimate - np.quantile(values.astype(np.float64), q)) <= allowed
    if lowest is not None and highest is not None:
        assert lowest <= estimate <= highest


@SETTINGS
@given(arrays.arrays(np.float32, st.integers(1, 60), elements=ACTIVATIONS), st.floats(0, 1), st.booleans())
def test_quantiles_keep_the_stated_bound(values: np.ndarray, q: float, known: bool) -> None:
    check_bound(values, q, *((float(values.min()), float(values.max())) if known else (None, None)))


@pytest.mark.parametrize("q", [0.0, 0.5, 0.95, 0.99, 0.999, 1.0])
def test_quantiles_of_many_values(q: float) -> None:
    random = np.random.default_rng(0)
    for values in (random.normal(size=20000), random.lognormal(0, 2, 20000), np.maximum(random.normal(size=20000), 0)):
        check_bound(values.astype(np.float32), q, None, None)


def test_an_atom_is_exact_where_it_is_zero_or_the_extreme() -> None:
    relu6 = np.clip(np.random.default_rng(1).normal(3, 5, 5000), 0, 6).astype(np.float32)
    assert quantile(counted(relu6), 0.1, 0.0, 6.0) == 0.0
    assert quantile(counted(np.full(9, 6.1, np.float32)), 0.99, 6.1, 6.1) == 6.1


def test_values_beyond_the_range_use_what_is_known() -> None:
    counts = counted(np.array([1e6, 2e6, np.inf], np.float32))
    assert quantile(counts, 0.5) == 2.0**16
    assert 2.0**16 <= quantile(counts, 0.5, None, 2e6) <= 2e6
    assert quantile(counts, 0.5, None, np.inf) == 2.0**16
    assert quantile(counted(np.array([-1e6], np.float32)), 0.5) == -(2.0**16)


def test_units_are_apart_and_none_counted_is_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketch, "_ROWS_AT_ONCE", 2)
    values = np.random.default_rng(2).normal(size=(100, 5)).astype(np.float32) * [1, 2, 3, 4, 5]
    counts = torch.zeros(6, BINS, dtype=torch.int64)
    add(counts[:5], torch.from_numpy(values.astype(np.float32)))
    lowest = np.append(values.min(axis=0), 0)
    result = quantile(counts.numpy(), 0.9, lowest, None)
    assert np.isnan(result[5])
    for unit in range(5):
        assert result[unit] == quantile(counts[unit].numpy(), 0.9, lowest[unit], None)


@pytest.mark.parametrize(
    "counts",
    [
        torch.zeros(2, BINS - 1, dtype=torch.int32),
        torch.zeros(3, BINS, dtype=torch.int32),
        torch.zeros(2, BINS),
        torch.zeros(BINS, 2, dtype=torch.int32).T,
    ],
)
def test_counts_that_do_not_fit_are_refused(counts: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="counts"):
        add(counts, torch.zeros(4, 2))


def test_quantile_refuses_what_is_none() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        quantile(np.zeros(BINS, np.int64), 1.5)
    with pytest.raises(ValueError, match="5123"):
        quantile(np.zeros(5, np.int64), 0.5)
