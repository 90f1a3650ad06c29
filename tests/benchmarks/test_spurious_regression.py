"""Regressions on units: what l1 chooses, what a refit is, and intervals, against references."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.benchmarks.applications.spurious_problem import variance_shares
from maia.benchmarks.applications.spurious_regression import (
    Path,
    random_subsets,
    reach,
    scaling,
    tuned,
    unregularised,
)
from maia.benchmarks.applications.spurious_rows import (
    AGENT,
    L1_SAME,
    RANDOM,
    Row,
    Rows,
    Split,
    balanced_rows,
    difference,
    over_seeds,
    student,
    unbalanced_rows,
    wilson,
)
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

PLANTED = (3, 7, 11, 18)
"""Columns that tell the classes; one for each."""
SHORTCUT = (0, 1, 2)
"""Columns that tell the background, which goes with the class in training only."""


def pictures(count: int, paired: bool, seed: int, columns: int = 24) -> Split:
    """Rows of noise, in which PLANTED columns follow the class and SHORTCUT columns the background."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 4
    places = labels if paired else (labels + 1 + rng.integers(3, size=count)) % 4
    features = rng.normal(0, 1, (count, columns)) * 5 + 20
    for label, column in enumerate(PLANTED):
        features[:, column] += 12 * (labels == label)
    for place, column in enumerate(SHORTCUT):
        features[:, column] += 40 * (places == place)
    return Split(features.astype(np.float32), labels)


def test_l1_reaches_the_number_and_finds_what_is_planted() -> None:
    data = pictures(240, paired=False, seed=1)
    found = reach(data.features, data.labels, 4)
    assert found.units == PLANTED
    for count in (1, 2, 7, 12):
        assert len(reach(data.features, data.labels, count).units) == count


def test_fewer_informative_units_than_wanted_are_all_that_there_are() -> None:
    data = pictures(160, paired=False, seed=2)
    features = np.full((160, 30), 3.0, np.float32)
    features[:, :3] = data.features[:, list(PLANTED[:3])]
    found = reach(features, data.labels, 10)
    assert found.units == (0, 1, 2)


def test_no_unit_at_all_is_an_error() -> None:
    with pytest.raises(ValueError, match="no unit varies"):
        reach(np.ones((20, 5)), np.arange(20) % 2, 3)
    with pytest.raises(ValueError, match="two classes"):
        reach(np.random.default_rng(0).normal(size=(20, 5)), np.zeros(20, int), 3)


def test_below_the_strongest_no_unit_is_used_and_just_above_one_is() -> None:
    data = pictures(120, paired=False, seed=3)
    path = Path(data.features, data.labels)
    assert path.at(path.strongest * 0.98).units == ()
    assert len(path.at(path.strongest * 1.1).units) >= 1


def test_a_strength_is_scikit_learns() -> None:
    """Warm starts do not change where the fit ends."""
    data = pictures(120, paired=False, seed=4)
    path = Path(data.features, data.labels)
    strength = path.strongest * 4
    path.at(path.strongest * 2)
    ours = path.at(strength)
    scaled = StandardScaler().fit_transform(data.features.astype(float))
    theirs = LogisticRegression(C=strength, l1_ratio=1.0, solver="saga", max_iter=5000, tol=1e-6, random_state=0)
    theirs.fit(scaled, data.labels)
    assert ours.units == tuple(np.flatnonzero((theirs.coef_ != 0).any(0)))
    np.testing.assert_allclose(ours.regression.model.coef_, theirs.coef_, atol=2e-2)


def test_a_refit_is_lbfgs_without_a_penalty_on_the_kept_columns() -> None:
    data, other = pictures(400, paired=False, seed=5), pictures(100, paired=False, seed=6)
    noisy = Split(data.features + np.random.default_rng(7).normal(0, 8, data.features.shape), data.labels)
    columns = (3, 18, 5)  # not in order: columns are the caller's
    ours = unregularised(noisy.features, noisy.labels, columns)
    scaler = StandardScaler().fit(noisy.features[:, list(columns)])
    theirs = LogisticRegression(C=np.inf, max_iter=2000).fit(
        scaler.transform(noisy.features[:, list(columns)]), noisy.labels
    )
    np.testing.assert_allclose(ours.model.coef_, theirs.coef_, rtol=1e-3, atol=1e-3)
    expected = theirs.score(scaler.transform(other.features[:, list(columns)]), other.labels)
    assert ours.accuracy(other.features, other.labels) == pytest.approx(expected)
    with pytest.raises(ValueError, match="at least one"):
        unregularised(data.features, data.labels, ())


def test_tuning_leaves_no_shortcut_that_balanced_pictures_do_not_have() -> None:
    balanced, test = pictures(80, paired=False, seed=8), pictures(300, paired=False, seed=9)
    found = tuned(balanced.features, balanced.labels)
    assert set(PLANTED) <= set(found.units)
    assert found.regression.accuracy(test.features, test.labels) > 0.75


@given(st.integers(2, 30), st.integers(1, 30), st.integers(0, 5))
@settings(max_examples=40)
def test_random_subsets(units: int, count: int, seed: int) -> None:
    names = [3 * i for i in range(units)]
    if count > units:
        with pytest.raises(ValueError):
            list(random_subsets(names, count, 3, seed))
        return
    drawn = list(random_subsets(names, count, 5, seed))
    assert drawn == list(random_subsets(names, count, 5, seed))
    assert all(len(set(d)) == count and set(d) <= set(names) and list(d) == sorted(d) for d in drawn)


@given(st.lists(st.floats(-1e3, 1e3), min_size=4, max_size=30))
@settings(max_examples=40)
def test_scaled_columns_have_mean_0_and_variance_1_or_are_0(values: list[float]) -> None:
    column = np.array(values)[:, None]
    mean, scale = scaling(column)
    scaled = (column - mean) / scale
    assert abs(scaled.mean()) < 1e-6
    assert scaled.std() == pytest.approx(1.0, abs=1e-6) or np.allclose(scaled, 0, atol=1e-6)


def test_rows_show_what_the_shortcut_costs() -> None:
    """Trained where the shortcut holds, tested where it does not: the planted units are worth more than others."""
    train, test = pictures(200, paired=True, seed=10), pictures(200, paired=False, seed=11)
    top = (*SHORTCUT, *PLANTED, 20, 21)
    rows = unbalanced_rows(train, test, top, PLANTED, seed=0, draws=8)
    agent, random_row = rows.of(AGENT), rows.of(RANDOM)
    assert agent and random_row and agent.accuracy and random_row.accuracy is not None
    assert agent.units == random_row.units == 4
    assert agent.accuracy > 0.8 > random_row.accuracy + 0.2
    assert agent.interval and agent.interval[0] < agent.accuracy < agent.interval[1]
    same = rows.of(L1_SAME)
    assert same and same.accuracy is not None and same.accuracy < 0.5


def test_an_agent_that_keeps_nothing_is_told() -> None:
    train, test = pictures(80, paired=True, seed=10), pictures(80, paired=False, seed=11)
    rows = unbalanced_rows(train, test, (*SHORTCUT, *PLANTED), (), seed=0, draws=3)
    agent = rows.of(AGENT)
    assert agent and agent.accuracy is None and "kept no unit" in agent.skipped


def test_balanced_rows() -> None:
    pool, test = pictures(96, paired=False, seed=12), pictures(120, paired=False, seed=13)
    rows = balanced_rows(pool, [list(range(48)), list(range(48, 96))], test, 4, seed=0)
    assert all(row.balanced and row.accuracy and row.accuracy > 0.6 for row in rows.rows)
    assert rows.rows[1].units == 4


def test_intervals_against_published_values() -> None:
    # Newcombe 1998, table I: 81 of 263 by Wilson's score method without continuity correction.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    found = student([1.0, 2.0, 3.0, 4.0, 5.0])
    assert found == pytest.approx((3 - 2.776445 * 0.7071068, 3 + 2.776445 * 0.7071068))
    assert student([1.0]) is None


def test_seeds_are_paired() -> None:
    studies = {
        seed: Rows([Row(AGENT, 20, False, base + 0.3), Row(RANDOM, 20, False, base)])
        for seed, base in enumerate((0.2, 0.5, 0.4))
    }
    gap = difference(studies, AGENT, RANDOM)
    assert gap and gap[0] == pytest.approx(0.3) and gap[1] == pytest.approx((0.3, 0.3))
    studies[3] = Rows([Row(AGENT, 0, False, None, skipped="it kept no unit"), Row(RANDOM, 20, False, 0.9)])
    assert difference(studies, AGENT, RANDOM) == gap
    assert over_seeds(studies)[AGENT].over == "3 seeds" and over_seeds(studies)[RANDOM].over == "4 seeds"


def test_shares_of_variance() -> None:
    labels, places = np.repeat([0, 1], 50), np.tile([0, 1], 50)
    assert variance_shares(labels * 2.0 + 1, labels, places) == pytest.approx((1.0, 0.0))
    assert variance_shares(labels + places, labels, places) == pytest.approx((0.5, 0.5))
    assert variance_shares(np.ones(100), labels, places) == (0.0, 0.0)
