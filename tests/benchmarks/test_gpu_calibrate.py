"""Calibration of a profile's models: on the CPU with tiny pipelines, up to where a plan reads it."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from maia.benchmarks.gpu import calibrate
from maia.benchmarks.gpu.calibrate import calibrate_command, fitted_duration, measured
from maia.engine.calibration import MEASURED_MARGIN, Calibration, peak_bytes
from maia.engine.plan import Duration, Workspace
from maia.engine.profile import load_profile
from maia.engine.sizing import sized_models
from maia.models.errors import UserError
from tiny_diffusion import tiny_folder

CPU = torch.device("cpu")


def tiny_lab(**options):
    """The lab's profile with tiny pipelines, on the CPU."""
    lab = load_profile("lab")
    own = {"steps": 2, "size": 32, **options}
    chosen = {
        task: {**getattr(lab, task), "path": str(tiny_folder(getattr(lab, task)["model"])), **own}
        for task in ("text2image", "edit")
    }
    return replace(lab, device="cpu", target="efficientnet-lite0", vlm=None, **chosen)


@pytest.fixture(autouse=True)
def few_pictures_for_targets(monkeypatch):
    """Those of a GPU's batch take seconds on a CPU."""
    monkeypatch.setattr(calibrate, "TARGET_BATCH", 2)


def test_what_was_measured_is_what_plans_then_count_with(tmp_path):
    profile, known, said = tiny_lab(max_batch=1), Calibration(), []
    before = {model.facts.name: model for model in sized_models(profile, known)}
    assert not {model.workspace for model in before.values()} & {"measured"}
    calibrate.calibrate(profile, CPU, known, (1, 2), repeats=1, say=said.append)
    known.save(tmp_path / "calibration.json")
    after = sized_models(profile, Calibration.load(tmp_path / "calibration.json"))
    assert [model.workspace for model in after] == [model.duration for model in after] == ["measured"] * 3
    for model in after:
        assert model.facts.workspace != before[model.facts.name].facts.workspace
        assert model.facts.workspace.nbytes(1) > 0 and model.facts.duration.seconds(1) > 0
    assert len(said) == 3 and "stable-diffusion-v1-5" in said[0]
    # Another setting is not what was measured.
    assert sized_models(replace(profile, edit={**profile.edit, "steps": 3}), known)[1].workspace != "measured"


def test_a_workspace_covers_every_batch_that_was_measured():
    weight = torch.zeros(1000)
    run = lambda batch: weight.expand(batch, 1000) + 1  # noqa: E731
    found = measured(run, CPU, (4, 1, 2), 2, "it")
    assert found.workspace.nbytes(4) >= peak_bytes(lambda: run(4)) * MEASURED_MARGIN - 1 >= 4 * 4000
    assert found.workspace.nbytes(4) < 4 * 4000 * 1.2


def test_batches_that_do_not_fit_are_left_out_and_the_first_one_must():
    tried = []

    def run(batch):
        tried.append(batch)
        if batch > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return torch.zeros(batch * 1000)

    found = measured(run, CPU, (1, 2, 4, 8), 1, "it")
    assert 8 not in tried and found.workspace == Workspace(0, int(4000 * MEASURED_MARGIN))
    with pytest.raises(UserError, match="batch of 4 of it"):
        measured(run, CPU, (4, 8), 1, "it")


@given(st.floats(0, 10), st.floats(0.001, 10), st.sets(st.integers(1, 16), min_size=2))
def test_durations_on_a_line_are_found_again(fixed, per_item, batches):
    found = fitted_duration({batch: fixed + per_item * batch for batch in batches})
    for batch in batches:
        assert found.seconds(batch) == pytest.approx(fixed + per_item * batch, rel=1e-5, abs=1e-5)


@given(st.dictionaries(st.integers(1, 16), st.floats(0.001, 10), min_size=1))
def test_durations_are_never_negative(times):
    found = fitted_duration(times)
    assert found.fixed >= 0 and found.per_item >= 0
    assert min(times.values()) / 16 <= found.seconds(max(times))


def test_durations_of_one_batch_and_of_none():
    assert fitted_duration({4: 2.0}) == Duration(0.0, 0.5)
    assert fitted_duration({1: 2.0, 2: 1.0}) == Duration(1.5, 0.0)
    with pytest.raises(ValueError, match="no times"):
        fitted_duration({})


def test_filled_batches_are_measured_at_their_own_size():
    options = {"fixed_batch": True, "max_batch": 4}
    profile = replace(tiny_lab(**options), edit=None)
    known = Calibration()
    calibrate.calibrate(profile, CPU, known, (1, 2), repeats=1, say=lambda line: None)
    workspace = sized_models(profile, known)[0].facts.workspace
    assert workspace.nbytes(2) > 1.3 * workspace.nbytes(1)


@pytest.mark.parametrize("gpu", [False, True])
def test_without_a_gpu_one_sentence_says_so(monkeypatch, capsys, tmp_path, gpu):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    profile = tmp_path / "mine.yaml"
    lab = load_profile("lab")
    monkeypatch.setattr(calibrate, "load_profile", lambda name: replace(lab, device="cpu" if gpu else None))
    with pytest.raises(UserError, match="device is cpu" if gpu else "torch finds none") as problem:
        calibrate_command(str(profile))
    assert str(problem.value).count(". ") == 0
    assert calibrate.main(["--profile", "lab"]) == 2 and "CUDA GPU" in capsys.readouterr().err


def test_the_command_adds_to_what_was_known(monkeypatch, tmp_path):
    file = tmp_path / "calibration.json"
    older = Calibration()
    older.add("other", "setting", calibrate.Measured(Workspace(1, 2)))
    older.save(file)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"a GPU called {device}")
    monkeypatch.setattr(calibrate, "calibration_file", lambda: file)

    def measure(profile, device, known, random_weights, say):
        assert (str(device), random_weights) == ("cuda:0", True)
        known.add("mine", "setting", calibrate.Measured(Workspace(3, 4)))

    monkeypatch.setattr(calibrate, "calibrate", measure)
    assert "a GPU called cuda:0" in calibrate_command("lab", random_weights=True)
    assert set(Calibration.load(file).entries) == {"other", "mine"}
