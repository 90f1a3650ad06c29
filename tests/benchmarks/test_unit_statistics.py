"""Paired comparisons over units: order, seeds, intervals, the sign test, and how many units a difference needs."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.benchmarks.quality.unit_statistics import (
    by_unit,
    compare_units,
    smallest_difference,
    summarise_units,
    units_needed,
)
from scipy.stats import binomtest

VALUES = st.floats(-100, 100).map(lambda value: round(value, 3))
UNITS = st.dictionaries(st.integers(0, 12).map(lambda k: f"t.l.{k}"), VALUES, max_size=9)


@settings(max_examples=40)
@given(UNITS, UNITS, st.randoms(use_true_random=False))
def test_order_plays_no_part_and_sides_are_symmetric(
    a: dict[str, float], b: dict[str, float], draw: random.Random
) -> None:
    shuffled = list(a.items())
    draw.shuffle(shuffled)
    forward, again, back = compare_units(a, b), compare_units(dict(shuffled), b), compare_units(b, a)
    assert again == forward
    assert (back.wins, back.losses, back.ties, back.p) == (forward.losses, forward.wins, forward.ties, forward.p)
    assert back.differences == {unit: -value for unit, value in forward.differences.items()}
    assert (back.only_a, back.only_b) == (forward.only_b, forward.only_a)


@settings(max_examples=40)
@given(UNITS, UNITS)
def test_units_that_lack_a_method_count_nowhere(a: dict[str, float], b: dict[str, float]) -> None:
    paired = compare_units(a, b)
    shared = a.keys() & b.keys()
    assert set(paired.differences) == shared and paired.units == paired.summary.units == len(shared)
    assert set(paired.only_a) == a.keys() - b.keys() and set(paired.only_b) == b.keys() - a.keys()
    only_shared = compare_units({unit: a[unit] for unit in shared}, {unit: b[unit] for unit in shared})
    assert (only_shared.summary, only_shared.p, only_shared.sd) == (paired.summary, paired.p, paired.sd)


@settings(max_examples=40)
@given(UNITS, UNITS)
def test_sign_test_is_the_exact_one_without_ties(a: dict[str, float], b: dict[str, float]) -> None:
    paired = compare_units(a, b)
    differences = [a[unit] - b[unit] for unit in a.keys() & b.keys()]
    wins, losses = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    assert (paired.wins, paired.losses, paired.ties) == (wins, losses, len(differences) - wins - losses)
    assert paired.p == pytest.approx(binomtest(wins, wins + losses).pvalue if wins + losses else 1.0)


def test_a_known_comparison() -> None:
    a = {f"t.l.{k}": float(k) for k in range(10)}
    b = {f"t.l.{k}": k - (1.0 if k < 8 else 0.0) for k in range(10)} | {"t.l.99": 5.0}
    paired = compare_units(a, b)
    assert (paired.wins, paired.losses, paired.ties) == (8, 0, 2)
    assert paired.p == pytest.approx(2 / 256), "eight wins of eight"
    assert paired.summary.mean == pytest.approx(0.8) and paired.sd == pytest.approx(np.std([1] * 8 + [0] * 2, ddof=1))
    assert paired.only_b == ("t.l.99",)


def test_rounding_makes_no_winner() -> None:
    paired = compare_units({"t.l.0": 0.1 + 0.2, "t.l.1": 1e-17}, {"t.l.0": 0.3, "t.l.1": 0.0})
    assert (paired.wins, paired.losses, paired.ties) == (0, 0, 2)


@settings(max_examples=40)
@given(st.lists(VALUES, min_size=2, max_size=12))
def test_interval_lies_among_the_values_and_holds_the_mean(values: list[float]) -> None:
    found = summarise_units({f"u{k:02}": value for k, value in enumerate(values)})
    assert found.mean == pytest.approx(np.mean(values)) and found.interval is not None and found.mean is not None
    low, high = found.interval
    assert min(values) - 1e-9 <= low <= found.mean + 1e-9 and found.mean - 1e-9 <= high <= max(values) + 1e-9


def test_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(150):
        values = rng.normal(3.0, 2.0, 40)
        interval = summarise_units({f"u{k:02}": float(v) for k, v in enumerate(values)}, seed=trial).interval
        assert interval is not None
        covered += interval[0] <= 3.0 <= interval[1]
    assert 0.88 <= covered / 150 <= 0.99


def test_few_units() -> None:
    assert summarise_units({}).mean is None and summarise_units({}).interval is None
    assert summarise_units({"a": 2.0}).mean == 2.0 and summarise_units({"a": 2.0}).interval is None
    empty = compare_units({"a": 1.0}, {"b": 1.0})
    assert (empty.units, empty.p, empty.sd, empty.summary.mean) == (0, 1.0, None, None)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from("abcd"), VALUES), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_seeds_are_averaged_within_a_unit(values: list[tuple[str, float]], draw: random.Random) -> None:
    found = by_unit(values)
    for unit in {unit for unit, _ in values}:
        assert found[unit] == pytest.approx(np.mean([value for other, value in values if other == unit]), abs=1e-9)
    shuffled = list(values)
    draw.shuffle(shuffled)
    assert by_unit(shuffled) == found and list(found) == sorted(found)


def test_more_seeds_of_the_same_units_are_no_further_units() -> None:
    once = compare_units(by_unit([("a", 1.0), ("b", 2.0)]), by_unit([("a", 0.0), ("b", 3.0)]))
    seeds = compare_units(by_unit([("a", 1.0), ("b", 2.0)] * 8), by_unit([("a", 0.0), ("b", 3.0)] * 8))
    assert seeds == once and once.units == 2 and once.p == 1.0


def test_units_needed_for_known_cases() -> None:
    # (1.95996 + 0.84162)^2 = 7.8489
    assert units_needed(0.5, 1.0) == units_needed(-0.5, 1.0) == math.ceil(7.8489 / 0.25) == 32
    assert units_needed(0.2, 1.0) == math.ceil(7.8489 / 0.04) == 197
    assert units_needed(10.0, 1.0) == 2 and units_needed(0.0, 1.0) is None
    assert smallest_difference(100, 2.0) == pytest.approx(2.80158 * 2 / 10, rel=1e-5)
    assert smallest_difference(1, 2.0) is None


@given(st.integers(2, 5000), st.floats(0.01, 100))
def test_the_smallest_difference_needs_the_units_that_there_are(units: int, sd: float) -> None:
    smallest = smallest_difference(units, sd)
    assert smallest is not None and units_needed(smallest, sd) == max(2, units)
    assert (units_needed(smallest * 0.99, sd) or 0) >= units


def test_so_many_units_do_have_the_power() -> None:
    units = units_needed(0.5, 1.0)
    assert units is not None
    means = np.random.default_rng(1).normal(0.5, 1.0, (4000, units)).mean(1)
    assert np.mean(np.abs(means) * math.sqrt(units) > 1.959964) == pytest.approx(0.8, abs=0.025)


@pytest.mark.parametrize("arguments", [(0.5, -1.0), (0.5, 1.0, 0.0), (0.5, 1.0, 0.8, 1.0)])
def test_nonsense_is_refused(arguments: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"not negative|between 0 and 1"):
        units_needed(*arguments)
