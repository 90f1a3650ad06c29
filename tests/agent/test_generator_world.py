"""Experiments on pictures that diffusion pipelines make: through the scheduler, under a budget that makes them swap."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command import call
from fakes import CONCLUSION, UNIT, CannedBackbone, experiment, services
from maia.agent.experiment import Settings, run_units
from maia.agent.run_facts import facts_of
from maia.agent.services import Services
from maia.agent.transcript import Conclusion, Experiment, Transcript
from maia.engine.placement import DoesNotFit
from maia.engine.profile import Profile, load_profile
from tiny_diffusion import STEPS, tiny_folder

DRAW_AND_EDIT = experiment(
    """
images, titles = tools.edit_images(["a dog on the grass", "a cat"], ["replace the animal with a car"])
activations, masked = system.neuron(images)
tools.log_experiment(activations, masked, titles, tools.describe_images(images, titles))
more, titles = tools.edit_images(images[:1], ["make it blue"])
tools.display(more[1])
"""
)
LONG = experiment('tools.display(tools.text2image(["a dog " * 60])[0])')
BAD = experiment('tools.display(tools.text2image(["a dog", "  "])[0])')


def profile(**changes: object) -> Profile:
    """Tiny pipelines; workspaces are the catalogue's, much too large for them."""
    tasks = {"text2image": "stable-diffusion-v1-5", "edit": "instruct-pix2pix"}
    generators = {task: {"model": name, "path": str(tiny_folder(name)), "steps": STEPS} for task, name in tasks.items()}
    return replace(load_profile("testbed"), world="diffusers", device="cpu", **generators, **changes)


def interpret(run: Path, replies: list[str], chosen: Profile) -> tuple[Transcript, Services]:
    offered = services(run, profile=chosen)
    work = run_units([UNIT], CannedBackbone(replies), {"fake": offered}, Settings(turns=6), run, jobs=1)
    (transcript,) = asyncio.run(work)
    return transcript, offered


def least_memory(run: Path) -> int:
    with pytest.raises(DoesNotFit) as refused:
        services(run, profile=profile(memory=1))
    return refused.value.smallest


def test_an_experiment_draws_and_edits_with_pipelines_and_is_the_same_under_any_budget(tmp_path: Path) -> None:
    ample, ample_services = interpret(tmp_path / "ample", [DRAW_AND_EDIT, CONCLUSION], profile())
    assert isinstance(ample.end, Conclusion)
    (record,) = ample.of(Experiment)
    assert record.outcome == "ok", record.error
    log = record.log[0]
    assert len(set(log.images)) == 4 and "replace the animal with a car" in log.titles[1]
    tight = profile(memory=least_memory(tmp_path / "least"))
    again, offered = interpret(tmp_path / "tight", [DRAW_AND_EDIT, CONCLUSION], tight)
    metrics = offered.scheduler.metrics.report()
    assert metrics["devices"]["cpu"]["peak"] <= tight.memory
    assert sum(metrics["models"][name]["offloads"] for name in ("text2image", "edit")) > 0, "the budget made no swap"
    other = next(again.of(Experiment)).log[0]
    assert other.titles == log.titles and other.activations == pytest.approx(log.activations, abs=0.005)
    for one, two in zip(log.images, other.images, strict=True):
        pictures = [np.asarray(ample_services.images.get(one), int), np.asarray(offered.images.get(two), int)]
        assert np.abs(pictures[0] - pictures[1]).max() <= 1, "another batch may round one level otherwise"


def test_what_was_cut_of_a_prompt_is_told_and_what_is_no_prompt_is_refused(tmp_path: Path) -> None:
    transcript, _ = interpret(tmp_path, [LONG, BAD, CONCLUSION], profile())
    long, bad = transcript.of(Experiment)
    assert long.log[0].text.startswith("Prompt 1: ") and not long.log[0].images
    assert len(long.log[1].images) == 1, "the picture itself is there"
    assert bad.outcome == "error" and "Prompt 2: " in bad.error and "Prompt 1" not in bad.error


def test_a_run_says_what_drew_its_pictures() -> None:
    chosen = profile(index=None)
    facts = facts_of([UNIT], "canned", chosen, Settings())
    assert facts["generators"]["edit"]["model"] == "instruct-pix2pix"
    assert "generators" not in facts_of([UNIT], "canned", load_profile("testbed"), Settings())


@pytest.mark.parametrize(("target", "words"), [
    ("ground-truth", "only see what the world testbed draws"),
    ("efficientnet-lite0", "has no dataset: build an index"),
])  # fmt: skip
def test_what_pipelines_cannot_serve_is_refused_at_once(tmp_path: Path, target: str, words: str) -> None:
    path = tmp_path / "profile.yaml"
    fields = {name: value for name, value in vars(profile()).items() if value is not None}
    path.write_text(json.dumps(fields | {"dataset_images": None, "target": target}), encoding="utf-8")
    layer = {"ground-truth": "single", "efficientnet-lite0": "blocks.10"}[target]
    said = call("describe", "--profile", path, "--units", f"{layer}=1", "--out", tmp_path / "run")
    assert words in said.sentence()
