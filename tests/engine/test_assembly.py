"""A run's scheduler from a profile: which devices, how much memory, whose weights."""

from dataclasses import replace

import pytest
import torch
from fakes import FlatDescriber, FlatWorld, RednessTarget
from maia.engine.assembly import CPU, DRAWING, assemble
from maia.engine.placement import DoesNotFit
from maia.engine.profile import Profile, load_profile
from maia.engine.scheduler import Scheduler
from tiny import tiny_target
from tiny_diffusion import STEPS, tiny_folder

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU would be chosen")


def scheduler(profile: Profile | None = None) -> Scheduler:
    targets = {"fake": RednessTarget()}
    return assemble(targets, FlatWorld(), FlatDescriber(), 4, profile)


def pipelines(**changes: object) -> Profile:
    tasks = {"text2image": "stable-diffusion-v1-5", "edit": "instruct-pix2pix"}
    entries = {task: {"model": name, "path": str(tiny_folder(name)), "steps": STEPS} for task, name in tasks.items()}
    return replace(load_profile("testbed"), world="diffusers", **entries, **changes)


@without_gpu
def test_memory_given_without_a_gpu_is_the_limit_of_the_cpu() -> None:
    plan = scheduler(pipelines(memory="2GiB")).plan
    assert {device.name: device.memory for device in plan.devices if device.name != DRAWING} == {CPU: 2**31}
    assert plan.places["text2image"].device == CPU and plan.places["world"].device == DRAWING
    with pytest.raises(DoesNotFit):
        scheduler(pipelines(memory="1MiB"))


@without_gpu
def test_a_served_model_is_not_planned_for_by_a_run_that_serves_none() -> None:
    assert "vlm" not in scheduler(pipelines(vlm={"model": "qwen2.5-vl-7b"})).plan.places


def test_weights_that_pipelines_share_are_one_component_in_the_plan() -> None:
    plan = scheduler(pipelines(device="cpu")).plan
    keys = [{part.key for part in plan.facts(task).components} for task in ("text2image", "edit")]
    assert len(keys[0]) == len(keys[1]) == 3 and len(keys[0] & keys[1]) == 2, "text encoder and VAE"


def test_a_networks_weights_are_counted_as_they_are_and_on_no_device_before_they_are_asked_for() -> None:
    target = tiny_target()
    nbytes = sum(tensor.nbytes for tensor in target.network.module.state_dict().values())
    made = assemble({"tiny": target}, FlatWorld(), FlatDescriber(), 4)
    assert made.plan.facts("tiny").nbytes == nbytes
    assert all(parameter.numel() == 0 for parameter in target.network.module.parameters())
    assert made.loaded() == []
