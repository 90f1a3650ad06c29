"""`maia plan`: sums that add up, sources that are right, errors that name what would fit."""

import json
import re
from dataclasses import replace

import pytest
import torch
from maia.engine import sizing
from maia.engine.calibration import Calibration, Measured
from maia.engine.explain import plan_command, plan_profile, server_share
from maia.engine.placement import DoesNotFit, place
from maia.engine.plan import Component, Duration, Workspace
from maia.engine.profile import load_profile
from maia.engine.sizing import devices_of, memory_of, models_of, sized_models, with_components
from maia.models.errors import UserError
from safetensors.torch import save_file

GIB = 2**30


@pytest.fixture(autouse=True)
def nothing_here(monkeypatch, tmp_path):
    """No weights, no measurements, no GPU, whatever this machine has."""
    monkeypatch.setenv("MAIA_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("MAIA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sizing, "_gpus", list)


def amounts(lines):
    """(text, hundredths of a GiB) of the lines of a sum."""
    found = [re.fullmatch(r"(.{50}) *(\d+\.\d\d)(  .*)?", line) for line in lines]
    return [(match[1].strip(), round(float(match[2]) * 100)) for match in found if match]


def assert_sums_add_up(text):
    """Every "=" line is the sum of what is above it, beside what stays."""
    checked = 0
    for section in re.split(r"\n(?=cuda:\d\n)", text)[1:]:
        rows = amounts(section.splitlines())
        first = [label for label, _ in rows].index("= for models")
        memory, *kept, models = (value for _, value in rows[: first + 1])
        assert memory - sum(kept) == models
        stays, total = 0, 0
        for label, value in rows[first + 1 :]:
            if label == "= taken at any time":
                assert value == total
                stays, checked = value, checked + 1
            elif label == "= with what stays":
                assert value == stays + total
                checked += 1
            elif label == "at most in use":
                most = value
            elif label == "left":
                assert value == models - most and value >= 0
            else:
                total += value
                continue
            total = 0
    return checked


@pytest.mark.parametrize(
    ("memory", "gpus"), [("22GiB", 1), ("24GB", 1), ("40GiB", 1), ("80GiB", 1), ("24GiB", 2), ("141GiB", 1)]
)
def test_the_sums_add_up_and_fit_a_terminal(memory, gpus):
    text = plan_command("lab", memory, gpus)
    assert assert_sums_add_up(text) >= gpus
    assert max(map(len, text.splitlines())) <= 80
    for name in ("text2image", "edit", "vlm", "resnet152"):
        assert re.search(rf"^{name} +cuda:\d +(stays|when needed)", text, re.MULTILINE)
    assert "estimate" in text and "catalogue" in text and "not measured" in text


def test_the_plan_in_numbers_is_the_plan_in_words(tmp_path):
    text = plan_command("lab", "24GiB", jobs=4, json=tmp_path / "plan.json")
    data = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    assert data["jobs"] == 4 and data["exact"] and "4 agents" in text
    vlm = data["models"]["vlm"]
    assert f"--max-num-seqs {vlm['batch']} " in text and f"{vlm['server_share']:.3f}" in text
    # The server's share and what it takes beyond it are within what the plan holds for it.
    assert vlm["server_share"] * 24 * GIB + GIB <= vlm["weights"] + vlm["workspace"]
    assert vlm["server_share"] * 24 * GIB + GIB >= (vlm["weights"] + vlm["workspace"]) - 0.001 * 24 * GIB
    with pytest.raises(UserError, match="cannot be written"):
        plan_command("lab", "24GiB", json=tmp_path / "no" / "plan.json")


@pytest.mark.parametrize("memory", ["8GiB", "12GiB", "16GiB", "20GiB"])
def test_what_does_not_fit_comes_with_what_would(memory):
    with pytest.raises(DoesNotFit) as caught:
        plan_command("lab", memory)
    text = str(caught.value)
    assert max(map(len, text.splitlines())) <= 80
    # The memory it asks for is enough, and a hundredth of a GiB less is not.
    asked = float(re.search(r"- (\d+\.\d\d) GiB of memory", text)[1])
    assert "cuda:0" in plan_command("lab", f"{asked}GiB")
    with pytest.raises(DoesNotFit):
        plan_command("lab", f"{asked - 0.02:.2f}GiB")
    assert "4bit" in text or "sleep" in text


def test_proposed_changes_are_enough():
    lab = load_profile("lab")
    amounts, devices = {"cuda:0": 16 * GIB}, devices_of(lab, "16GiB")
    with pytest.raises(DoesNotFit) as caught:
        plan_profile(lab, sized_models(lab), amounts)
    assert any("quantization: 4bit" in remedy for remedy in caught.value.remedies)
    assert place(models_of(replace(lab, vlm={**lab.vlm, "quantization": "4bit"})), devices, lab.jobs).places
    assert not any("sleep: true" in remedy for remedy in caught.value.remedies)
    # 8 GiB take three changes together, one or two do not.
    with pytest.raises(DoesNotFit) as caught:
        plan_command("lab", "8GiB")
    assert all(remedy.count(" and ") == 2 for remedy in caught.value.remedies) and caught.value.remedies


def test_a_server_that_sleeps_keeps_something_and_is_weighed_without_it():
    lab = load_profile("lab")
    asleep = replace(lab, vlm={**lab.vlm, "sleep": True})
    kept = GIB + 644245094
    (awake_device,), (device,) = devices_of(lab, "20GiB"), devices_of(asleep, "20GiB")
    assert awake_device.memory - device.memory == kept
    served, sleeping = (models_of(profile)[2] for profile in (lab, asleep))
    assert served.held(3) - sleeping.held(3) == kept and sleeping.can_sleep
    # Alone on its GPU both ways need the same; beside others the one that sleeps fits where the other does not.
    amounts = {"cuda:0": 20 * GIB}
    with pytest.raises(DoesNotFit) as caught:
        plan_profile(lab, sized_models(lab), amounts)
    assert any("sleep: true" in remedy for remedy in caught.value.remedies)
    plan = plan_profile(asleep, sized_models(asleep), amounts)
    assert not plan.places["vlm"].resident
    share = server_share(plan, "vlm", amounts) * 20 * GIB
    held = plan.facts("vlm").held(plan.places["vlm"].batch)
    assert held + 644245094 - 0.001 * 20 * GIB <= share <= held + 644245094
    assert share + GIB <= 20 * GIB - 644245094  # what vLLM takes beyond its share, and this program's context


def test_files_and_measurements_come_before_the_catalogue(tmp_path):
    lab = load_profile("lab")
    folder = tmp_path / "weights" / "stable-diffusion-v1-5"
    (folder / "unet").mkdir(parents=True)
    (folder / "model_index.json").write_text("{}", encoding="utf-8")
    save_file({"w": torch.zeros(1000)}, folder / "unet" / "diffusion_pytorch_model.safetensors")
    drawing = sized_models(lab)[0]
    assert (drawing.weights, drawing.parts, drawing.facts.nbytes) == ("files", ("unet",), 2000)
    known = Calibration()
    setting = "fp16, 512 px, 25 steps, 2 passes, slicing True"
    known.add("stable-diffusion-v1-5", setting, Measured(Workspace(7, 5), Duration(1, 2)))
    known.save(sizing.calibration_file())
    drawing = sized_models(lab)[0]
    assert (drawing.workspace, drawing.duration) == ("measured", "measured")
    assert drawing.facts.workspace == Workspace(7, 5) and drawing.facts.duration == Duration(1, 2)
    other = replace(lab, text2image={**lab.text2image, "steps": 9})
    assert sized_models(other)[0].duration == "estimate"


def test_a_model_of_ones_own_is_sized_by_its_files(tmp_path):
    lab = load_profile("lab")
    file = tmp_path / "mine.safetensors"
    save_file({"model.diffusion_model.w": torch.zeros(500), "first_stage_model.w": torch.zeros(50)}, file)
    drawing = sized_models(replace(lab, text2image={"model": "mine", "path": str(file), "dtype": "fp32"}))[0]
    assert drawing.facts.nbytes == 2200 and drawing.workspace == "as stable-diffusion-v1-5"


def test_options_change_the_workspace_as_they_change_the_work():
    lab = load_profile("lab")

    def item(**entries):
        return sized_models(replace(lab, text2image={**lab.text2image, **entries}))[0].facts.workspace

    base = item()
    assert item(size=1024).per_item == pytest.approx(4 * base.per_item, rel=1e-6)
    assert item(dtype="fp32").per_item == pytest.approx(2 * base.per_item, rel=1e-6)
    assert item(guidance=1).per_item == pytest.approx(base.per_item / 2, rel=1e-6)
    # Decoding all pictures at once takes as much for each as one by one for the first.
    assert item(vae_slicing=False).nbytes(1) == base.nbytes(1) and item(vae_slicing=False).fixed == 0
    served = next(model for model in models_of(lab) if model.kind == "server")
    half = next(m for m in models_of(replace(lab, vlm={**lab.vlm, "context": 8192})) if m.kind == "server")
    assert half.workspace.per_item * 2 == served.workspace.per_item == 16384 * 57344


def test_both_pipelines_of_stable_diffusion_share_two_parts():
    drawing, editing, *_ = models_of(load_profile("lab"))
    shared = {part.key for part in drawing.components} & {part.key for part in editing.components}
    assert len(shared) == 2
    measured = with_components(drawing, [Component("hash", 5)])
    assert measured.nbytes == 5 and measured.workspace == drawing.workspace


def test_memory_comes_from_the_command_the_profile_or_the_machine(monkeypatch):
    lab = load_profile("lab")
    with pytest.raises(UserError, match="no GPU here"):
        memory_of(lab)
    assert memory_of(replace(lab, memory="10GiB")) == {"cuda:0": 10 * GIB}
    assert memory_of(replace(lab, memory="10GiB"), "1GiB", 2) == {"cuda:0": GIB, "cuda:1": GIB}
    by_gpu = replace(lab, memory={"cuda:0": "2GiB", "cuda:3": "1GiB"})
    assert memory_of(by_gpu) == {"cuda:0": 2 * GIB, "cuda:3": GIB} and list(memory_of(by_gpu, gpus=1)) == ["cuda:0"]
    with pytest.raises(UserError, match="names 2 GPUs, not 3"):
        memory_of(by_gpu, gpus=3)
    with pytest.raises(UserError, match="at least 1"):
        memory_of(lab, "1GiB", 0)
    assert list(memory_of(load_profile("testbed"))) == ["cpu"]
    monkeypatch.setattr(sizing, "_gpus", lambda: [24 * GIB, 48 * GIB])
    assert memory_of(lab) == {"cuda:0": 24 * GIB - sizing.SPARED, "cuda:1": 48 * GIB - sizing.SPARED}
    assert list(memory_of(replace(lab, device="cuda:1"))) == ["cuda:1"]
    with pytest.raises(UserError, match="2 GPUs"):
        memory_of(lab, gpus=3)
    with pytest.raises(UserError, match="less than the 80"):
        memory_of(replace(lab, memory={"cuda:0": "80GiB"}))
    assert memory_of(lab, "80GiB", 1) == {"cuda:0": 80 * GIB}
    # A share is one of the card that is there, not of the part of it that may be used.
    small = replace(lab, memory="30GiB", device="cuda:1")
    plan = plan_profile(small, sized_models(small), memory_of(small))
    assert server_share(plan, "vlm", memory_of(small)) < 30 / 48


def test_the_testbed_has_a_plan_too():
    text = plan_command("testbed")
    assert "efficientnet-lite0" in text and "draws and describes on the CPU" in text


@pytest.mark.parametrize(
    ("target", "source"),
    [("ground-truth", "none"), ("timm:resnet10t", "architecture"), ("my.module:build", "assumed: as resnet152")],
)
def test_targets_that_are_not_in_the_catalogue(target, source):
    sized = sized_models(replace(load_profile("testbed"), target=target))[-1]
    assert sized.weights == source and bool(sized.facts.components) == (target != "ground-truth")
