"""How well replies could be used, in the report."""

import json
from pathlib import Path

import pytest
from fakes import UNIT
from maia.agent.report import build_report, render_report
from maia.agent.report_data import UnitRun, load_run
from maia.agent.report_replies import reply_tables
from maia.agent.transcript import Conclusion, Experiment, Failure, Notice, Remark, Reply, Transcript, unit_directory

SPOILT = [
    Reply(1, "?"),
    Notice(1, "unreadable-reply", "neither"),
    Reply(2, "code"),
    Notice(2, "code-check", "wrong"),
    Reply(3, "code"),
    Experiment(3, "code", "timeout", remarks=[Remark("guard/invented-result", "7.3 stands nowhere")]),
    Reply(4, "label"),
    Notice(4, "guard/thin-evidence", "too early"),
    Reply(5, "label"),
    Conclusion(5, "d", ["dog"], True, [Remark("let-pass/thin-evidence", "still early")]),
]
SOUND = [Reply(1, "code"), Experiment(1, "code", "ok"), Reply(2, "label"), Conclusion(2, "d", ["dog"])]


def test_what_went_wrong_is_counted_by_reply_and_by_unit() -> None:
    units = [UnitRun("a", [*SPOILT]), UnitRun("b", [*SPOILT]), UnitRun("c", [*SOUND]), UnitRun("d", [Failure(0, "x")])]
    tables = reply_tables(units, {"guards": ["thin-evidence"]})
    assert tables.replies == 12 and tables.watched == "thin-evidence"
    assert tables.rows == [
        ("Reply without readable sections", "2", "2"),
        ("Code found wrong before it ran", "2", "2"),
        ("Code ran out of time or broke a limit", "2", "2"),
        ("Answer only when the turns were used up", "2", "2"),
        ("No answer", "1", "1"),
    ]
    assert tables.guards == [("invented-result", "0", "2", "0", "2"), ("thin-evidence", "2", "0", "2", "2")]


def test_a_sound_run_has_nothing_to_tell(run: Path) -> None:
    write(run, SOUND)
    assert "no guard had anything to say" in build_report(run).read_text()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run.json").write_text(json.dumps({"units": [str(UNIT)], "target": ["fake"], "guards": []}))
    return tmp_path


def write(run: Path, records: list) -> None:
    transcript = Transcript(unit_directory(run, str(UNIT)) / "transcript.jsonl")
    transcript.append(*records)


def test_remarks_and_counts_stand_on_the_page(run: Path) -> None:
    write(run, SPOILT)
    counts = {"requests": 5, "prompt_tokens": 1000, "cached_tokens": 900, "prefix_hits": 0.9, "restarts": 2}
    (run / "metrics.json").write_text(json.dumps({"seconds": 1, "models": {}, "devices": {}, "backbone": counts}))
    page = build_report(run).read_text()
    for words in ("7.3 stands nowhere", "still early", "Restarts of the server", "90.0%", "guards: none"):
        assert words in page, words


def test_counts_of_another_shape_are_named_and_cost_nothing_else(run: Path) -> None:
    write(run, SPOILT)
    damaged = {"seconds": 1, "models": {}, "devices": {}, "backbone": {"requests": "many"}}
    (run / "metrics.json").write_text(json.dumps(damaged))
    data = load_run(run)
    assert any("metrics.json" in problem for problem in data.problems)
    assert "7.3 stands nowhere" in render_report(data)
