"""Models compared on held-out neurons: counts and intervals of backbones whose every reply is known, and a real one."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.agent.backbones.base import Message
from maia.agent.seeds import derive_seed
from maia.benchmarks.quality import finetune_study
from maia.benchmarks.quality.finetune_study import Arm, StudyOptions, arms_of, evaluate
from maia.benchmarks.quality.finetune_study_command import finetune_evaluate_command, named_folders
from maia.benchmarks.quality.finetune_study_counts import (
    UnitCounts,
    difference,
    paired_rates,
    ratio_difference,
    reply_rate,
    summary,
)
from maia.benchmarks.quality.finetune_study_table import EXPLANATION, ROWS, rows, table, to_markdown
from maia.benchmarks.quality.predictive import bootstrap_mean
from maia.benchmarks.quality.testbed_study import KINDS, ground_truth_units, wilson
from maia.engine.profile import Profile
from maia.engine.targets import load_target
from maia.models.errors import UserError
from maia.models.registry import GROUND_TRUTH_HELD_OUT
from maia.models.targets import Unit
from maia.models.testbed.world import World
from rich.console import Console
from talking import profile_of

TURNS = 4
OPTIONS = StudyOptions(per_kind=2, turns=TURNS, jobs=2, seed=3)
PROFILE = Profile("testbed", "ground-truth", "scripted", 40, 2, TURNS, device="cpu")
Study = tuple[dict[str, Any], Path, list[Arm]]
UNREADABLE = "I like round things."


def code(body: str) -> str:
    lines = ["[HYPOTHESIS LIST]:", "Hypothesis_1: things", "[CODE]:", "```python", "def run_experiment(system, tools):"]
    return "\n".join([*lines, f"    {body}", "```", ""])


OK, ERROR = code("print('done')"), code("raise ValueError('no')")
COPIED = code('tools.text2image(["a dog on the grass", "a cat on the grass"])')
INVENTED = OK.replace("things", "things (a cat laying on the grass, activation: 14.21)")


def end(label: str) -> str:
    return f"[DESCRIPTION]: The unit responds to {label}.\n[LABEL]: {label}\n"


class PlannedBackbone:
    """Gives each unit's replies in turn, the last one again and again; it knows a unit and its turn by the seed."""

    def __init__(self, name: str, plans: Mapping[str, Sequence[str]], seed: int = OPTIONS.seed) -> None:
        self.name, self.asked = name, 0
        self._replies = {
            derive_seed(f"{seed}/{unit}/{turn}/reply"): plan[min(turn, len(plan)) - 1]
            for unit, plan in plans.items()
            for turn in range(1, TURNS + 3)
        }

    async def reply(self, messages: Sequence[Message], seed: int, grammar: str | None = None) -> str:
        self.asked += 1
        return self._replies[seed]


@pytest.fixture(scope="module")
def truths() -> dict[str, str]:
    target = load_target(GROUND_TRUTH_HELD_OUT, World())
    return {str(u): target.neuron(u).truth for u in ground_truth_units(2, OPTIONS.seed, GROUND_TRUTH_HELD_OUT)}  # type: ignore[attr-defined]


def weak(truths: Mapping[str, str]) -> PlannedBackbone:
    plans = {
        "single": [UNREADABLE, ERROR, INVENTED, "TRUTH"],
        "or": [COPIED, end("boat")],
        "conditional": [ERROR],  # never ends
    }
    plan_of = {unit: plans[Unit.parse(unit).layer] for unit in truths}
    right = {unit: end(truth) for unit, truth in truths.items()}
    return PlannedBackbone("weak", {u: [right[u] if r == "TRUTH" else r for r in plan_of[u]] for u in truths})


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, truths: dict[str, str]) -> Study:
    """Weak against one that is right at once."""
    out = tmp_path_factory.mktemp("study")
    strong = PlannedBackbone("strong", {unit: [OK, end(truth)] for unit, truth in truths.items()})
    arms = [Arm("base", PROFILE, weak(truths)), Arm("tuned", PROFILE, strong)]
    return evaluate(arms, out, OPTIONS), out, arms


def test_counts_are_those_of_the_replies(study: Study) -> None:
    base = study[0]["arms"]["base"]
    rates = base["rates"]
    # Two neurons of each kind: single 4 replies, or 2, conditional 4 experiments and 2 refused after the last turn.
    assert base["replies"] == rates["format_rate"]["of"] == 2 * (4 + 2 + 6)
    assert (rates["executable_rate"]["count"], rates["executable_rate"]["of"]) == (2 * (1 + 1 + 0), 2 * (2 + 1 + 4))
    assert rates["format_rate"]["count"] == 24 - 2
    assert rates["invented_result"]["count"] == 2 and rates["copied_example"]["count"] == 2
    assert rates["code_after_last_turn"]["count"] == 2 * 2
    assert rates["finished"]["count"] == 4 and rates["forced_conclusion"]["count"] == 0
    assert rates["all_code_ran"]["count"] == 2
    assert {kind: entry["count"] for kind, entry in base["truth"].items()} == {"single": 2, "or": 0, "conditional": 0}
    assert base["means"]["turns"]["mean"] == 4
    assert base["by_kind"]["conditional"]["turns"]["mean"] == 6
    assert base["by_kind"]["conditional"]["predictive_score"]["mean"] == 0, "no label predicts nothing"
    assert base["by_kind"]["single"]["predictive_score"]["mean"] > 0.5
    assert sorted(base["failed"]) == [u["unit"] for u in base["units"] if u["kind"] == "conditional"]
    # By hand: ratios of 1/2, 1/1, 0/4 twice each vary far more between neurons than 14 independent replies would.
    effect = rates["executable_rate"]["design_effect"]
    p = 4 / 14
    spread = 2 * ((1 - 2 * p) ** 2 + (1 - p) ** 2 + (4 * p) ** 2) * 6 / 5 / 14**2
    assert effect == pytest.approx(spread / (p * (1 - p) / 14)) and effect > 1.2
    assert rates["executable_rate"]["interval"] == pytest.approx(wilson(4 / effect, 14 / effect))


def test_what_is_judged_stands_at_the_top(study: Study) -> None:
    result, out, _ = study
    assert result["judged"] == "tuned"
    for name in ("executable_rate", "format_rate", "truth_single", "truth_or", "truth_conditional"):
        assert result[name] == 1.0
        assert result["intervals"][name][0] < 1.0 == result["intervals"][name][1]
    assert result["intervals"]["truth_or"] == list(wilson(2, 2))
    change = result["differences"]["base"]
    assert change["rates"]["executable_rate"]["difference"] == pytest.approx(1 - 4 / 14)
    assert change["truth"]["single"]["difference"] == 0 and change["truth"]["or"]["gained"] == 2
    assert change["means"]["turns"]["difference"] == -2
    assert json.loads((out / "evaluation.json").read_text()) == json.loads(json.dumps(result))


def test_all_models_met_the_same_neurons_without_help(study: Study) -> None:
    result, out, _ = study
    runs = [json.loads((out / name / "run.json").read_text()) for name in ("base", "tuned")]
    assert [run["units"] for run in runs] == [[u["unit"] for u in result["arms"]["base"]["units"]]] * 2
    assert all(unit.startswith(f"{GROUND_TRUTH_HELD_OUT}.") for unit in runs[0]["units"])
    assert all(run["guards"] == [] and run["check_code"] is False and run["seed"] == 3 for run in runs)


def test_again_asks_nobody_and_counts_the_same(study: Study, monkeypatch) -> None:
    result, out, arms = study
    asked = [arm.backbone.asked for arm in arms]  # type: ignore[union-attr]
    monkeypatch.setattr(finetune_study, "describe", None)
    monkeypatch.setattr(finetune_study, "score_labels", None)
    assert json.dumps(evaluate(arms, out, OPTIONS)) == json.dumps(result)
    assert [arm.backbone.asked for arm in arms] == asked  # type: ignore[union-attr]


def test_what_was_cut_off_goes_on(study: Study, truths: dict[str, str], tmp_path) -> None:
    """Half of a run copied: the rest is described, and the counts are those of the whole run."""
    import shutil

    result, out, _ = study
    shutil.copytree(out / "base", tmp_path / "base")
    unit = next(iter(truths))
    transcript = tmp_path / "base/units" / unit / "transcript.jsonl"
    lines = transcript.read_bytes().splitlines(keepends=True)
    transcript.write_bytes(b"".join(lines[:4]) + lines[4][:20])
    backbone = weak(truths)
    again = evaluate([Arm("base", PROFILE, backbone)], tmp_path, OPTIONS)
    assert again["arms"]["base"] == result["arms"]["base"] and 0 < backbone.asked < 4
    assert transcript.read_bytes() == b"".join(lines)


def test_another_runs_directory_is_refused(study: Study, truths: dict[str, str]) -> None:
    _, out, _ = study
    with pytest.raises(UserError, match="turns"):
        evaluate([Arm("base", PROFILE, weak(truths))], out, replace(OPTIONS, turns=9))
    with pytest.raises(UserError, match="backbone"):
        evaluate([Arm("base", PROFILE, PlannedBackbone("other", {}))], out, OPTIONS)


def test_a_run_that_is_there_serves_as_reference(study: Study, tmp_path) -> None:
    result, out, arms = study
    (reference,) = arms_of(PROFILE, runs={"before": out / "base"})
    told: list[str] = []
    compared = evaluate([reference, *arms[1:]], out, OPTIONS, told.append)
    assert compared["judged"] == "tuned" and compared["differences"]["before"] == result["differences"]["base"]
    assert compared["arms"]["before"]["units"] == result["arms"]["base"]["units"] and "other settings" not in str(told)
    evaluate([reference], tmp_path, replace(OPTIONS, guards=("thin-evidence",)), told.append)
    assert "other settings (guards)" in told[-1]
    with pytest.raises(UserError, match=r"lacks \d+ of the 9 neurons"):
        evaluate([reference], tmp_path, replace(OPTIONS, per_kind=3))
    with pytest.raises(UserError, match=r"run\.json"):
        evaluate([replace(reference, run=tmp_path)], tmp_path, OPTIONS)


def test_a_backbone_that_always_errs(tmp_path: Path, truths: dict[str, str]) -> None:
    arm = Arm("bad", PROFILE, PlannedBackbone("bad", {unit: [ERROR] for unit in truths}))
    result = evaluate([arm], tmp_path, replace(OPTIONS, score=False, per_kind=1))
    assert result["executable_rate"] == 0.0 and result["truth_single"] == result["truth_or"] == 0.0
    assert result["differences"] == {} and result["arms"]["bad"]["means"]["predictive_score"] is None
    assert result["intervals"]["executable_rate"] == list(wilson(0, 12))
    assert "bad" in to_markdown(result)


def test_unseen_drawings_are_asked_for(tmp_path: Path, truths: dict[str, str], monkeypatch) -> None:
    seen: list[str] = []
    draw = World.draw

    def drawn(self: World, prompt: str, seed: int, purpose: str = "exploration") -> Any:
        seen.append(purpose)
        return draw(self, prompt, seed, purpose)  # type: ignore[arg-type]

    monkeypatch.setattr(World, "draw", drawn)
    (unit, *_) = truths
    plans = {unit: [code('tools.text2image(["a red ball"])'), end("ball")]}
    units = [Unit.parse(unit)]
    for drawings in ("exploration", "evaluation"):
        monkeypatch.setattr(finetune_study, "ground_truth_units", lambda *_: units)
        options = replace(OPTIONS, drawings=drawings, score=False)
        evaluate([Arm("one", PROFILE, PlannedBackbone("one", plans))], tmp_path / drawings, options)
        assert seen.pop() == drawings and not seen
    with pytest.raises(UserError, match="drawings"):
        evaluate(
            [Arm("one", PROFILE, PlannedBackbone("one", plans))],
            tmp_path / "evaluation",
            replace(options, drawings="exploration"),
        )


def test_a_real_model_in_this_process_is_evaluated(tmp_path: Path) -> None:
    """The tiny one, of random weights: nothing that it says can be read, and that is what is counted."""
    profile = replace(profile_of(max_tokens=24), dataset_images=40, turns=1)
    console = Console(file=io.StringIO(), width=120)
    result = finetune_evaluate_command(
        tmp_path / "out",
        tmp_path / "figures.json",
        console,
        profile=profile,
        options=StudyOptions(per_kind=1, turns=1, jobs=3),
        references=["scripted"],
    )
    written = json.loads((tmp_path / "figures.json").read_text())
    assert written == json.loads(json.dumps(result))
    assert {"executable_rate", "format_rate", "truth_single", "truth_or", "truth_conditional"} < written.keys()
    assert written["judged"] == "base" and written["format_rate"] == 0.0 and written["executable_rate"] is None
    assert written["arms"]["base"]["replies"] == 3 * 3 and written["arms"]["base"]["vlm"]["structured"] is False
    assert written["arms"]["scripted"]["rates"]["format_rate"]["rate"] == 1.0
    assert written["differences"]["scripted"]["rates"]["format_rate"]["difference"] == -1.0
    assert written["differences"]["scripted"]["rates"]["executable_rate"] is None
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert ("truth, conditional" in shown and "base less scripted" in shown.replace("\n", " ")) or "scripted" in shown


def test_models_adapters_and_references_in_order(tmp_path: Path) -> None:
    arms = arms_of(
        profile_of(),
        adapters={"tuned": tmp_path, "there": None},
        models={"merged": tmp_path},
        references=["scripted"],
        structured=True,
        temperature=0.0,
    )
    assert [(arm.name, arm.backbone, arm.reference) for arm in arms] == [
        ("base", "in-process", False),
        ("tuned", "in-process", False),
        ("there", "in-process", False),
        ("merged", "in-process", False),
        ("scripted", "scripted", True),
    ]
    entries = [arm.profile.vlm or {} for arm in arms]
    assert [entry.get("adapter") for entry in entries] == [None, "tuned", "there", None, None]
    assert entries[1]["adapters"] == {"tuned": str(tmp_path)} and entries[1]["path"] == entries[0]["path"]
    assert entries[3]["path"] == str(tmp_path) and "adapters" not in entries[3]
    assert all(entry["structured"] is True and entry["temperature"] == 0.0 for entry in entries[:4])
    assert arms_of(profile_of())[0].profile.vlm["structured"] is False  # type: ignore[index]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "nothing is to be evaluated"),
        ({"adapters": {"a": "b"}}, "--vlm"),
        ({"references": ["scripted"], "runs": {"scripted": "x"}}, "scripted"),
        ({"runs": {"../up": "x"}}, "cannot be a model's name"),
        ({"backbone": "scripted"}, "in-process"),
    ],
)
def test_what_cannot_be_compared_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        arms_of(PROFILE, **given)


def test_worlds_and_targets_without_truth_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="testbed"):
        evaluate([Arm("a", replace(PROFILE, world="diffusers"))], tmp_path, OPTIONS)
    with pytest.raises(UserError, match="ground-truth-heldout"):
        evaluate([Arm("a", PROFILE)], tmp_path, replace(OPTIONS, target="resnet18"))


def test_folders_by_name() -> None:
    assert named_folders(["a=b", "c=d=e"], "--model") == {"a": "b", "c": "d=e"}
    for wrong in (["a"], ["=b"], ["a="], ["a=b", "a=c"]):
        with pytest.raises(UserError, match="--model"):
            named_folders(wrong, "--model")


def test_the_paired_interval_is_newcombes() -> None:
    """Fagerland, Lydersen and Laake (Statistics in Medicine 2014), airway hyper-responsiveness before and after
    a transplantation: 1, 1, 7, 12 of 21; Newcombe's interval is -0.507 to -0.026."""
    entry = paired_rates([(True, True)] + [(True, False)] + [(False, True)] * 7 + [(False, False)] * 12)
    assert entry is not None and (entry["gained"], entry["lost"]) == (1, 7)
    assert [round(bound, 3) for bound in entry["interval"]] == [-0.507, -0.026]
    same = paired_rates([(True, True)] * 20)
    assert same is not None and same["difference"] == 0 and same["interval"][0] < -0.05 < 0.05 < same["interval"][1]
    assert paired_rates([]) is None


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Neurons with rates of their own (beta-binomial): Wilson's interval over all replies is too narrow."""
    rng, held, naive = np.random.default_rng(1), 0, 0
    for _ in range(400):
        of = rng.integers(3, 12, size=60)
        counts = rng.binomial(of, rng.beta(1.6, 0.4, size=60))
        pairs = [(int(a), int(b)) for a, b in zip(counts, of, strict=True)]
        low, high = reply_rate(pairs)["interval"]
        held += low <= 0.8 <= high
        low, high = wilson(int(counts.sum()), int(of.sum()))
        naive += low <= 0.8 <= high
    assert held / 400 > 0.91 and naive / 400 < 0.85


pairs = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).map(lambda p: (min(p), max(p))), max_size=12)


@settings(max_examples=60)
@given(pairs)
def test_rates_of_replies(counted: list[tuple[int, int]]) -> None:
    entry = reply_rate(counted)
    count, of = sum(a for a, _ in counted), sum(b for _, b in counted)
    assert (entry["count"], entry["of"]) == (count, of)
    low, high = entry["interval"]
    plain = wilson(count, of)
    assert 0 <= low <= high <= 1 and high - low >= plain[1] - plain[0] - 1e-12
    if of:
        assert low <= entry["rate"] <= high
        change = ratio_difference(counted, counted)
        assert change is not None and change["difference"] == 0 and change["interval"] == [0, 0]
    else:
        assert entry["rate"] is None and ratio_difference(counted, counted) is None


@settings(max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_paired_rates(found: list[tuple[bool, bool]]) -> None:
    entry, turned = paired_rates(found), paired_rates([(b, a) for a, b in found])
    assert entry is not None and turned is not None
    low, high = entry["interval"]
    assert -1 - 1e-9 <= low <= entry["difference"] <= high <= 1 + 1e-9
    assert turned["interval"] == pytest.approx([-high, -low]) and turned["gained"] == entry["lost"]


def unit(name: str, kind: str, found: bool, score: float | None) -> UnitCounts:
    return UnitCounts(name, kind, "t", 3, 2, 1, 3, {}, "t", found, False, score)


def test_means_and_differences_are_over_the_same_neurons() -> None:
    own = [unit(f"u{i}", KINDS[i % 3], i % 2 == 0, i / 10) for i in range(9)]
    base = [unit(f"u{i}", KINDS[i % 3], False, None if i == 8 else 0.0) for i in range(9)]
    told = summary(own)["means"]["predictive_score"]
    assert told["mean"] == pytest.approx(0.4) and told["interval"] == list(bootstrap_mean([i / 10 for i in range(9)]))
    change = difference(own, base)
    assert change["means"]["predictive_score"]["units"] == 8
    assert change["rates"]["truth_found"]["difference"] == pytest.approx(5 / 9)
    with pytest.raises(ValueError, match="same neurons"):
        difference(own, base[::-1])


def test_the_tables_show_every_measure(study: Study) -> None:
    result, out, _ = study
    console = Console(file=io.StringIO(), width=100)
    console.print(table(result))
    text, document = console.file.getvalue(), (out / "evaluation.md").read_text()  # type: ignore[attr-defined]
    names = [name for name, _, _ in rows(result)]
    assert names == [*(f"truth, {kind}" for kind in KINDS), *ROWS]
    assert {*result["arms"]["base"]["rates"], *result["arms"]["base"]["means"]} == set(ROWS)
    for name in names:
        assert name in text and f"| {name} |" in document
    (line,) = [line for line in document.splitlines() if line.startswith("| truth, or ")]
    assert "0 of 2, 0 %" in line and "2 of 2, 100 %" in line and "+100" in line
    assert all(len(line.split("|")) == 6 for line in document.splitlines())
    assert all(meaning in EXPLANATION for meaning in ROWS.values())
