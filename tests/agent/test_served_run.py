"""Whole runs with a real vLLM server of a tiny checkpoint, and with the same checkpoint in this process.

Its weights are random, so that its labels are nonsense: what is looked at is that every unit finishes, that replies
hold to the grammar, that pictures reach the model, and that the run can be read and resumed.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import maia.agent.experiment
import pytest
from maia.agent.report import build_report
from maia.agent.run import Run, describe
from maia.agent.transcript import Conclusion, Experiment, Notice, Reply, Transcript
from maia.benchmarks.quality.score_run import score_run
from maia.engine.profile import Profile
from served import Served
from talking import profile_of

UNITS = "single=16:or=18"

# The tiny model chooses the words; all else stands here, so that its experiments run.
EXPERIMENTS = r"""
root ::= experiment
experiment ::= head body "```\n"
head ::= "[HYPOTHESIS LIST]:\nHypothesis_1: " noun "\n[CODE]:\n```python\ndef run_experiment(system, tools):\n"
body ::= prompts measure
prompts ::= "    prompts = ['a " colour " " noun "', 'a " colour " " noun "', 'a " colour " " noun "']\n"
measure ::= "    images = tools.text2image(prompts)\n    activations, masked = system.neuron(images)\n" log
log ::= "    lines = tools.describe_images(masked, prompts) + tools.summarize_images(masked)\n" show
show ::= "    tools.log_experiment(activations, masked, prompts, lines)\n"
colour ::= "red" | "blue" | "green" | "yellow"
noun ::= "dog" | "ball" | "car" | "cat" | "umbrella" | "boat"
"""
CONCLUSION = r"""
root ::= "[DESCRIPTION]: It responds to something " colour ".\n[LABEL]: " colour " " noun "\n"
colour ::= "red" | "blue" | "green" | "yellow"
noun ::= "dog" | "ball" | "car" | "cat" | "umbrella" | "boat"
"""


def served_profile(served: Served, **vlm: Any) -> Profile:
    return profile_of(served.path, model=served.model, url=served.url, **{"max_tokens": 700} | vlm)


def test_a_run_without_any_help_finishes_every_unit(served: Served, tmp_path: Path) -> None:
    run = describe(UNITS, tmp_path, profile=replace(served_profile(served), turns=2))
    for transcript in run.transcripts:
        assert isinstance(transcript.end, Conclusion) and transcript.end.labels, transcript.records[-1]
        assert sum(1 for _ in transcript.of(Reply)) >= 1
    facts = json.loads((tmp_path / "run.json").read_text())
    assert facts["backbone"] == "served tiny" and facts["vlm"]["family"] == "llava-next"
    counts = json.loads((tmp_path / "metrics.json").read_text())["backbone"]
    assert counts["requests"] >= 4 and counts["failed"] == 0 and counts["answer_tokens"] > 0
    score_run(run)
    page = build_report(tmp_path).read_text()
    assert "Vision-language model, last call" in page and "served tiny" in page


def experimenting(profile: Profile, out: Path, monkeypatch: pytest.MonkeyPatch, turns: int = 3) -> Run:
    """A run whose replies are sound experiments, described by the model itself, and then a conclusion."""
    grammars = {False: EXPERIMENTS, True: CONCLUSION}
    monkeypatch.setattr(maia.agent.experiment, "reply_grammar", lambda endings, final: grammars[final])
    return describe(UNITS, out, profile=replace(profile, describer="vlm", turns=turns))


def check(run: Run, turns: int = 3) -> None:
    for transcript in run.transcripts:
        assert isinstance(transcript.end, Conclusion) and transcript.end.forced
        done = [record for record in transcript.of(Experiment) if record.outcome == "ok"]
        refused = [record for record in transcript.of(Notice) if record.kind == "guard/repeated-experiment"]
        assert len(done) >= 1 and len(done) + len(refused) == turns, transcript.records
        for record in done:
            (entry,) = record.log
            assert len(entry.images) == len(entry.activations) == 3
            assert entry.text.count(": ") >= 3, "each picture was described by the model"


def test_a_run_whose_experiments_run(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = experimenting(served_profile(served), tmp_path, monkeypatch)
    check(run)
    counts = json.loads((tmp_path / "metrics.json").read_text())["backbone"]
    assert counts["cached_tokens"] > 0.3 * counts["prompt_tokens"], "dialogues begin as they began before"
    for transcript in run.transcripts:  # what was finished is not asked again
        before = transcript.path.read_bytes()
        again = experimenting(served_profile(served), tmp_path, monkeypatch)
        assert transcript.path.read_bytes() == before
        assert all(isinstance(other.end, Conclusion) for other in again.transcripts)


def test_the_same_in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profiles = [profile_of(backbone="in-process", max_tokens=320, concurrent=count) for count in (4, 1)]
    run, same = (
        experimenting(profile, tmp_path / name, monkeypatch, 1) for profile, name in zip(profiles, "ab", strict=True)
    )
    check(run, 1)
    # Sampled, and yet the same, whatever shared a batch: seeds are each request's own.
    assert [labels(one) for one in run.transcripts] == [labels(other) for other in same.transcripts]


def labels(transcript: Transcript) -> list[str]:
    assert isinstance(transcript.end, Conclusion)
    return transcript.end.labels
