"""Aggregation of a study: rates, intervals, tables."""

import pytest
from maia.benchmarks.quality.score_run import METHODS
from maia.benchmarks.quality.study_table import to_markdown
from maia.benchmarks.quality.testbed_study import ground_truth_units, summarise, wilson


def _entry(truth: str | None, found: bool, agent: float, other: float, normalised: bool = True) -> dict:
    values = {"agent": agent, "exemplar-only": other, "random": 0.0}
    methods = {
        method: {"difference": v, "over_p95": v, "over_p95_minus_median": v if normalised else None}
        for method, v in values.items()
    }
    by = {"agent": found, "exemplar-only": False, "random": False} if truth else dict.fromkeys(METHODS)
    return {"truth": truth, "truth_found": by["agent"], "truth_found_by": by, "methods": methods}


def test_rates_and_paired_differences_by_group() -> None:
    scores = {
        "ground-truth.single.1": _entry("dog", True, 0.9, 0.5, normalised=False),
        "ground-truth.single.2": _entry("cat", False, 0.5, 0.5),
        "ground-truth.or.3": _entry("dog OR cat", True, 0.8, 0.4),
        "net.blocks.10.4": _entry(None, False, 1.0, 0.2),
        "net.blocks.10.5": _entry(None, False, 2.0, 0.4),
    }
    groups = summarise(scores)
    assert groups["single"]["agent"]["truth_found"]["rate"] == 0.5
    assert groups["ground truth"]["agent"]["truth_found"]["found"] == 2
    assert groups["single"]["agent"]["over_p95_minus_median"]["units"] == 1, "units without the figure are left out"
    assert groups["real units"]["agent"]["over_p95"]["mean"] == pytest.approx(1.5)
    assert groups["real units"]["agent minus exemplar-only, over_p95"]["mean"] == pytest.approx(1.2)
    assert "truth_found" not in groups["net blocks.10"]["agent"]
    table = to_markdown({"groups": groups})
    assert "| single | 1 of 2: 0.50" in table and "| real units | 2 | +1.50" in table


def test_wilson_interval() -> None:
    # 8 of 10: published value for the Wilson score interval without continuity correction.
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-3)
    assert wilson(0, 5)[0] == 0.0 and wilson(5, 5)[1] == 1.0


def test_units_are_drawn_by_the_seed() -> None:
    units = ground_truth_units(3, seed=4)
    assert units == ground_truth_units(3, seed=4) != ground_truth_units(3, seed=5)
    assert [unit.layer for unit in units] == ["single"] * 3 + ["or"] * 3 + ["conditional"] * 3
