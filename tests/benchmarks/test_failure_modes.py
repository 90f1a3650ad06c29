"""Failures counted from transcripts, with guards off and on: the bad backbone shows each, and mends it when told to."""

import io
import json
from pathlib import Path

import pytest
from maia.agent.backbones.scripted.backbone import ScriptedBackbone
from maia.agent.backbones.scripted.hypotheses import Hypothesis
from maia.agent.guards import GUARDS
from maia.agent.transcript import NOT_RUN, Conclusion, Experiment, LogEntry, Notice, Record, Reply
from maia.benchmarks.quality.failure_counts import (
    AFTER_LAST,
    CODE_CHECK,
    FORCED,
    MODES,
    RUNTIME,
    UNREADABLE,
    Failing,
    UnitFailures,
    failures_of,
    summary,
)
from maia.benchmarks.quality.failure_modes import failure_modes_command, units_of
from maia.benchmarks.quality.failure_table import EXPLANATION, MEANING, table
from maia.benchmarks.quality.flawed import DEFAULT_RATES, FlawedBackbone
from maia.benchmarks.quality.testbed_study import wilson
from maia.models.errors import UserError
from rich.console import Console
from simulated_units import play, start

COPY = '[CODE]:\n```python\ntools.text2image(["a dog on the grass"])\n```\n'
COPY_CODE = 'tools.text2image(["a dog on the grass"])\n'
END = "[DESCRIPTION]: The unit responds to buses.\n[LABEL]: bus\n"


def test_every_way_to_fail_is_found_in_a_transcript() -> None:
    records: list[Record] = [
        start(turns=6),
        Reply(1, "what?"),
        Notice(1, UNREADABLE, "neither"),
        Reply(2, COPY),
        Notice(2, "guard/copied-example", "examples"),
        Reply(3, COPY),
        Experiment(3, COPY_CODE, "error", "NameError: tools"),
        Reply(4, "[CODE]:\n```python\nsystem.x()\n```"),
        Notice(4, CODE_CHECK, "system has no x"),
        Reply(5, "[CODE]:\n```python\nsystem.y()\n```"),
        Experiment(5, "system.y()\n", NOT_RUN, "system has no y"),
        Notice(6, "last-turn", "no more"),
        Reply(7, COPY),
        Notice(7, AFTER_LAST, "not run"),
        Reply(8, END),
        Conclusion(8, "The unit responds to buses.", ["bus"], True),
    ]
    unit = failures_of(records, found=True)
    assert sorted((one.turn, one.mode, one.acted) for one in unit.failures) == [
        (1, UNREADABLE, False),
        (2, "copied-example", False),
        (3, "copied-example", True),
        (3, RUNTIME, True),
        (4, CODE_CHECK, False),
        (5, CODE_CHECK, False),
        (7, AFTER_LAST, False),
        (8, FORCED, True),
        (8, "thin-evidence", True),
    ]
    assert (unit.replies, unit.finished, unit.found) == (7, True, True)


def test_a_good_unit_has_no_failures() -> None:
    unit = failures_of(play(ScriptedBackbone(), Hypothesis("single", "boat")), found=True)
    assert unit.failures == [] and unit.finished


def test_rates_are_of_replies_and_of_units() -> None:
    bad = UnitFailures(
        6,
        True,
        [
            Failing(1, "copied-example", False),
            Failing(2, "copied-example", True),
            Failing(3, "copied-example", True),
            Failing(4, UNREADABLE, False),
        ],
        found=False,
    )
    counted = summary([bad, UnitFailures(4, False, [], found=True)])
    copied, lost = counted["modes"]["copied-example"], counted["modes"][UNREADABLE]
    assert (copied["shown"]["count"], copied["stands"]["count"], copied["units"]["count"]) == (3, 2, 1)
    assert copied["stands"]["rate"] == 0.2 and copied["stands"]["interval"] == list(wilson(2, 10))
    assert copied["units"]["rate"] == 0.5
    assert lost["stands"]["count"] == 1, "a reply that was lost stands though nothing was done with it"
    assert counted["finished"]["rate"] == counted["truth found"]["rate"] == 0.5
    assert summary([])["modes"][FORCED]["stands"]["rate"] is None


def _stands(mode: str, guards: tuple[str, ...], deaf: bool = False) -> int:
    """Replies in which the failure stands, over two neurons of a backbone that has only this failure, always."""
    truths = (Hypothesis("single", "bus"), Hypothesis("given", "ball", "snow"))
    backbone = FlawedBackbone({mode: 1.0}, deaf)
    units = [failures_of(play(backbone, truth, guards, turns=6, seed=k)) for k, truth in enumerate(truths)]
    return int(summary(units)["modes"][mode]["stands"]["count"])


@pytest.mark.parametrize("mode", GUARDS)
def test_each_failure_is_shown_and_cured_by_its_guard(mode: str) -> None:
    off, on = _stands(mode, ()), _stands(mode, (mode,))
    assert on < off, f"{mode}: {on} with its guard, {off} without"
    others = tuple(name for name in GUARDS if name != mode)
    assert _stands(mode, others) > on, "no other guard cures it"


def test_the_guards_are_the_cure_only_if_the_backbone_listens() -> None:
    assert _stands("invented-result", GUARDS, deaf=True) > _stands("invented-result", GUARDS)


@pytest.mark.parametrize("mode", ["unreadable-reply", "empty-reply", "endless-reply", "several-blocks"])
def test_replies_that_cannot_be_read_are_shown_and_mended(mode: str) -> None:
    truth = Hypothesis("single", "bus")
    deaf, listening = (failures_of(play(FlawedBackbone({mode: 1.0}, deaf), truth, turns=10)) for deaf in (True, False))
    lost = sum(one.mode == UNREADABLE for one in deaf.failures)
    if mode == "several-blocks":  # its conclusion has no code: it comes when it is asked for
        assert lost == 10 and deaf.finished
    else:
        assert lost == deaf.replies == 12 and not deaf.finished
    assert listening.finished
    assert 0 < sum(one.mode == UNREADABLE for one in listening.failures) < listening.replies


@pytest.mark.parametrize("mode", ["syntax-error", "unknown-method"])
def test_code_that_does_not_run_is_shown_and_mended(mode: str) -> None:
    unit = failures_of(play(FlawedBackbone({mode: 1.0}), Hypothesis("single", "bus"), turns=14))
    assert unit.finished and any(one.mode == RUNTIME for one in unit.failures)


def test_code_after_the_last_turn_is_shown() -> None:
    records = play(FlawedBackbone({"code-after-last-turn": 1.0}, deaf=True), Hypothesis("single", "bus"), turns=2)
    unit = failures_of(records)
    assert [one.mode for one in unit.failures] == [AFTER_LAST, AFTER_LAST] and not unit.finished


def test_units_are_of_each_kind_in_turn() -> None:
    units = units_of(5, seed=1)
    assert [unit.layer for unit in units] == ["single", "or", "conditional", "single", "or"]
    assert len(set(units)) == 5 and units == units_of(5, seed=1)
    with pytest.raises(UserError, match="--units"):
        units_of(10_000, seed=0)


def test_the_table_shows_every_way_to_fail_with_what_it_means() -> None:
    arm = summary([UnitFailures(4, True, [Failing(1, "copied-example", True)], True)])
    sent = summary([UnitFailures(4, True, [Failing(1, "copied-example", False)], True)])
    console = Console(file=io.StringIO(), width=80)
    console.print(table({"backbone": "flawed", "seed": 0, "off": arm, "on": sent}))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert set(MEANING) == set(MODES) and all(mode in text for mode in MODES)
    lines = text.splitlines()
    place = next(i for i, line in enumerate(lines) if "copied-example" in line)
    cells = [[cell.strip() for cell in line.split("│")[2:5]] for line in lines[place : place + 2]]
    assert cells == [["25 %", "0 %", "1"], ["[5-70]", "[0-49]", ""]]
    assert "Wilson" in EXPLANATION and all(meaning in EXPLANATION for meaning in MEANING.values())
    assert max(map(len, EXPLANATION.splitlines())) <= 80


PROFILE = "world: testbed\ntarget: ground-truth\nbackbone: scripted\ndataset_images: 240\njobs: 1\nturns: 4\n"


def test_the_command_on_the_testbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = tmp_path / "small.yaml"
    profile.write_text(PROFILE)
    rates = dict.fromkeys(DEFAULT_RATES, 0.0) | {"picture-description": 1.0, "thin-evidence": 1.0}
    monkeypatch.setattr("maia.benchmarks.quality.flawed.DEFAULT_RATES", rates)
    console = Console(file=io.StringIO(), width=160)
    out, written = tmp_path / "run", tmp_path / "modes.json"
    result = failure_modes_command("flawed", 1, out, written, console, profile=str(profile))
    assert json.loads(written.read_text()) == result == json.loads((out / "failure-modes.json").read_text())
    off, on = result["off"]["modes"], result["on"]["modes"]
    assert off["thin-evidence"]["stands"]["count"] == off["thin-evidence"]["units"]["of"] == 1
    assert on["thin-evidence"]["shown"]["count"] > on["thin-evidence"]["stands"]["count"]
    assert result["off"]["finished"]["count"] == result["on"]["finished"]["count"] == 1
    assert "sent back" in console.file.getvalue()  # type: ignore[attr-defined]
    # The same command again asks nobody anything: both runs are finished.
    monkeypatch.setattr(FlawedBackbone, "reply", None)
    assert failure_modes_command("flawed", 1, out, None, console, profile=str(profile)) == result


def test_a_profile_without_neurons_of_known_truth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="testbed"):
        failure_modes_command("scripted", 1, tmp_path, None, Console(file=io.StringIO()), profile="lab")


def test_logs_without_a_start_are_counted_too() -> None:
    log = [LogEntry([1.0], ["a"], ["bus"], "")]
    assert failures_of([Reply(1, END), Experiment(1, "x", "ok", log=log)]).replies == 1
