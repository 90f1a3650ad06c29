"""`maia bench scheduler`: its figures are those of the replays, its medians those of its scenarios."""

import json
import statistics
from pathlib import Path
from xml.etree import ElementTree

import pytest
from maia.benchmarks.scheduling import bench
from maia.benchmarks.scheduling.bench_table import tables
from maia.benchmarks.scheduling.figure import draw
from maia.benchmarks.scheduling.replay import replay
from maia.benchmarks.scheduling.scenarios import QUICK, SLOW_LINK, TESTBED_CALLS, Synthetic, from_record
from maia.models.errors import UserError
from rich.console import Console


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded run of two agents on the testbed's models."""
    path = tmp_path_factory.mktemp("record") / "calls.jsonl"
    lines, clock = [], 0.0
    for turn in range(6):
        for agent in ("a", "b"):
            for model, items in (("world", 4), ("net" if turn % 2 else "truth", 4), ("describer", 4)):
                lines.append({"agent": agent, "model": model, "items": items, "asked": clock, "answered": clock + 0.2})
                clock += 0.25
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


@pytest.fixture(scope="module")
def result(record: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    file = tmp_path_factory.mktemp("bench") / "scheduler.json"
    steps: list = []
    found = bench.run(file, quick=True, records=[record], progress=lambda *step: steps.append(step))
    assert json.loads(file.read_text()) == found
    assert [step[1:] for step in steps] == [(n, 4) for n in range(4)]
    return found


def test_goals_and_medians_are_over_the_scenarios_under_pressure(result: dict) -> None:
    pressed = [s for s in result["scenarios"] if s["pressure"]]
    assert 0 < len(pressed) < len(result["scenarios"]) and result["scenarios_under_pressure"] == len(pressed)
    for name in ("swap_bytes_vs_lru", "swap_bytes_vs_optimum"):
        assert result[name] == statistics.median(s[name] for s in pressed)
        assert result["goals_met"][name] is (result[name] <= bench.GOALS[name])
        assert result["spread"][name]["worst"] == max(s[name] for s in pressed)
    assert result["p95_latency_vs_lru"] == statistics.median(s["p95_latency_vs_lru"] for s in result["scenarios"])
    assert result["budget_violations"] == 0


def test_a_scenario_holds_what_its_replay_gives(result: dict) -> None:
    scenario = QUICK[0].build(0)
    measured = result["scenarios"][0]
    outcome = replay(scenario.plan, scenario.trace)
    assert measured["policies"]["ours"]["swap_bytes"] == outcome.swap_bytes
    assert measured["swap_bytes_vs_optimum"] == pytest.approx(outcome.swap_bytes / measured["bound"]["bytes"], abs=1e-4)
    assert measured["bound"]["bytes"] <= measured["bound"]["best_found_bytes"]
    for figures in measured["policies"].values():
        assert figures["swap_bytes"] >= measured["bound"]["bytes"] and figures["failed_items"] == 0


def test_where_all_fits_everybody_loads_all_once(result: dict) -> None:
    roomy = result["scenarios"][2]
    assert not roomy["pressure"]
    assert roomy["swap_bytes_vs_optimum"] == roomy["swap_bytes_vs_lru"] == 1.0


def test_violations_and_bytes_over_a_goal_are_reported(result: dict) -> None:
    bad = json.loads(json.dumps(result["scenarios"]))
    bad[0]["budget_violations"] = 2
    for scenario in bad:
        scenario["swap_bytes_vs_lru"] = 0.8
    summary = bench.summarise(bad)
    assert summary["budget_violations"] == 2
    assert summary["goals_met"]["budget_violations"] is False and summary["goals_met"]["swap_bytes_vs_lru"] is False
    assert summary["spread"]["swap_bytes_vs_lru"]["reach_the_goal"] == 0


def test_a_recorded_run_takes_real_models_places(record: Path, tmp_path: Path) -> None:
    scenario = from_record(record)
    assert set(scenario.plan.places) == {"sd-1.5", "llava-next-7b-4bit", "resnet-152", "grounded-sam"}
    assert set(scenario.trace) == {"a", "b"} and len(scenario.trace["a"]) == 18
    missing = tmp_path / "other.jsonl"
    missing.write_text("no")
    with pytest.raises(UserError, match=r"other\.jsonl, line 1"):
        bench.run(quick=True, records=[missing])


def test_the_recorded_run_of_the_testbed_is_replayed() -> None:
    scenario = from_record(TESTBED_CALLS, memory_gib=8)
    calls = len(TESTBED_CALLS.read_text().splitlines())
    assert len(scenario.trace) == 4 and set(scenario.plan.places) == {"sd-1.5", "grounded-sam", "llava-next-7b-4bit"}
    measured = bench.measure(scenario)
    assert measured["requests"] == calls and measured["pressure"] and measured["budget_violations"] == 0


def test_several_devices_are_one_scenario() -> None:
    scenario = Synthetic("paper-4bit", 12, 6, 1, SLOW_LINK, devices=2).build(3)
    measured = bench.measure(scenario)
    assert {entry["device"] for entry in measured["plan"].values()} == {"gpu0", "gpu1"}
    assert measured["swap_bytes_vs_optimum"] >= 1.0 and measured["budget_violations"] == 0


def test_tables_and_figure_show_every_scenario(result: dict) -> None:
    console = Console(width=220, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for table in tables(result):
        console.print(table)
    text = console.export_text()
    svg = draw(result)
    ElementTree.fromstring(svg)
    for scenario in result["scenarios"]:
        assert scenario["name"] in text
        assert (scenario["name"] in svg) is scenario["pressure"]
    assert svg.count('fill="#1d4ed8"') == result["scenarios_under_pressure"] + 1, "a mark each, and the legend's"
