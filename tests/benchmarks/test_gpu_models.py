"""Measurements of generators, swaps and memory: the same code as on a GPU, on the CPU with tiny pipelines."""

import copy
import json
import math
from dataclasses import replace

import pytest
import torch
from maia.benchmarks.gpu import check, measures
from maia.benchmarks.gpu.generators import (
    CLOSE_SINGLE,
    after_swap,
    network_of,
    overhead,
    record,
    same_bits,
    same_picture,
    sample_jobs,
)
from maia.benchmarks.gpu.measures import Setup, measure_models
from maia.benchmarks.gpu.rows import Findings, Goal, as_line, promise_row, row, spread_row
from maia.benchmarks.gpu.swaps import swap_rows
from maia.benchmarks.gpu.workspaces import peak_of, workspace_rows
from maia.engine.calibration import line_above, peak_bytes
from maia.engine.plan import Workspace
from maia.engine.profile import load_profile
from maia.models.generators import GeneratorOptions, load_editor, load_text_to_image
from tiny_diffusion import drawer, editor, tiny_folder

CPU = torch.device("cpu")
SD, EDIT = "stable-diffusion-v1-5", "instruct-pix2pix"
SIDE = 32


def found_by(rows):
    """Rows by the part of their name after the colon."""
    return {found["name"].rpartition(": ")[2]: found for found in rows}


@pytest.fixture(scope="module")
def all_rows():
    """The whole check of models, but for compiling: what was compiled is recorded."""
    compiled = []
    lab = load_profile("lab")
    small = {task: {**getattr(lab, task), "steps": 2, "size": SIDE} for task in ("text2image", "edit")}
    profile = replace(lab, target="efficientnet-lite0", **small)
    setup = Setup(profile, True, 2, (1, 2), repeats=2, steps_single=2, target_weights=None, compile_seconds=0)
    findings = Findings(say=lambda line: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measures, "TARGET_BATCH", 2)
        patch.setattr(torch.nn.Module, "compile", lambda module: compiled.append(type(module).__name__))
        measure_models(CPU, findings, setup)
    assert compiled == ["UNet2DConditionModel"]
    return findings.rows


def test_every_row_is_there_and_has_its_fields(all_rows):
    assert len(all_rows) == 25 and len({found["name"] for found in all_rows}) == 25
    for found in all_rows:
        assert {"name", "value", "unit", "goal", "met"} <= set(found) and "error" not in found, found
        assert (found["goal"] == "") == (found["met"] is None)
        if "repeats" in found:
            assert found["p20"] <= found["value"] <= found["p80"] and found["repeats"] == 2
        assert found["value"] is True if found.get("promise") else math.isfinite(found["value"])
    assert sum(bool(found.get("promise")) for found in all_rows) == 5
    assert check.is_right({"models": json.loads(json.dumps(all_rows))})


def test_values_of_the_rows_agree_with_each_other(all_rows):
    named = {found["name"]: found for found in all_rows}
    for name in ("drawing, batch 1", "drawing, batch 2", "editing", "compiled"):
        found = named[f"{name}: picture over its 2 network passes"]
        assert found["value"] > 0 and found["network_seconds"] > 0
        assert found["steps_per_second"] == pytest.approx(2 / found["picture_seconds"])
        assert found["batch"] == (2 if name.endswith("2") else 1)
    speed = named["compiled and channels-last against plain diffusers"]
    assert speed["published_steps_per_second_a100"] == {"plain": 31, "compiled, channels-last": 47, "TensorRT": 61}
    assert speed["steps_per_second"] > 0 < speed["plain_steps_per_second"] and speed["first_seconds"] > 0
    for task in ("text2image", "edit"):
        one, two = (named[f"{task}, batch {batch}: allocator's peak over the plan's workspace"] for batch in (1, 2))
        assert one["reserved_bytes"] < two["reserved_bytes"] and one["plan_bytes"] < two["plan_bytes"]
    bus = named["loading text2image: share of the bus"]
    assert bus["bytes_per_second"] == pytest.approx(bus["bytes"] / bus["load_seconds"])
    assert "31" in as_line(speed) and "MISSED" in as_line({**speed, "met": False})


def test_the_network_s_part_is_what_a_picture_runs():
    generator = drawer(size=SIDE)
    jobs = sample_jobs(generator, 2)
    calls = []
    recorded = record(generator, jobs)
    assert recorded.calls == generator.options.steps
    hook = network_of(generator).register_forward_pre_hook(lambda module, given: calls.append(given[0].shape))
    recorded.passes(network_of(generator))()
    with_network = calls.copy()
    calls.clear()
    generator.floats(jobs)
    hook.remove()
    # Both halves of the guidance, two pictures; and nothing is left behind that would go on recording.
    assert with_network == calls == [(4, 4, SIDE // 4, SIDE // 4)] * generator.options.steps
    assert not network_of(generator)._forward_pre_hooks
    (found,) = overhead("drawing", generator, jobs, 3, CPU, recorded)
    assert found["value"] > 0 and found["goal"] == "<= 1.1"


def broken(change):
    """A generator whose pictures `change` (jobs, pictures) alters; the pipeline itself is sound."""
    generator = copy.copy(drawer(size=SIDE))
    right = generator.floats

    def floats(jobs):
        pictures, flags = right(jobs)
        return change(jobs, pictures), flags

    generator.floats = floats
    return generator


CHANGES = {
    "no seed": lambda jobs, pictures: pictures[:1].expand(len(jobs), -1, -1, -1) * 0 + 0.5,
    "batch": lambda jobs, pictures: (pictures + 0.01 * (len(jobs) - 1)).clamp(0, 1),
    "place": lambda jobs, pictures: pictures + torch.arange(len(jobs)).view(-1, 1, 1, 1) * 2.0**-20,
    "not finite": lambda jobs, pictures: pictures * math.nan,
}


@pytest.mark.parametrize("fault", [None, *CHANGES])
def test_same_pictures_and_generators_that_break_the_rule(fault):
    generator = drawer(size=SIDE) if fault is None else broken(CHANGES[fault])
    jobs = sample_jobs(generator, 3)
    close, seeds = same_picture("drawing", generator, jobs, CLOSE_SINGLE)
    (bits,) = same_bits("drawing", generator, jobs)
    expected = {
        None: (True, True, True),
        "no seed": (True, False, True),
        "batch": (False, True, False),
        "place": (True, True, False),
        "not finite": (False, False, False),
    }[fault]
    assert (close["met"], seeds["met"], bits["met"]) == expected
    assert check.is_right({"models": [close, seeds, bits]}) == (fault is None)
    assert generator.options.fixed_batch is False


def own_generators():
    """Tiny ones that share what they can, and whose weights a store may take."""
    options = {"steps": 2, "size": SIDE}
    draws = load_text_to_image(GeneratorOptions(path=tiny_folder(SD), **options))
    edits = load_editor(GeneratorOptions(path=tiny_folder(EDIT), **options), share_with=[draws])
    return {"text2image": draws, "edit": edits}


def test_swaps_copy_what_is_not_there_and_change_no_picture():
    generators = own_generators()
    unet = next(part for part in generators["edit"].components if part.name == "unet")
    rows = found_by(swap_rows(generators, sample_jobs(generators["text2image"], 1), 3, CPU))
    share, shared = rows["share of the bus"], rows["what edit shares with text2image is not copied again"]
    assert share["repeats"] == 3 and share["value"] > 0
    assert share["bytes"] == sum(part.nbytes for part in generators["text2image"].components)
    assert shared["met"] and shared["bytes_copied"] == unet.nbytes
    assert rows["the same picture, to the last bit, before and after swaps"]["met"]
    assert rows["bytes that torch holds for weights over the ledger's"]["value"] == 1.0


def test_a_swap_that_spoils_weights_or_copies_twice_is_found(monkeypatch):
    generators = own_generators()
    from maia.benchmarks.gpu import swaps

    right = swaps.WeightStore.load

    def load(store, name, device):
        copied = right(store, name, device)
        if name == "edit":
            return copied + 1
        generators["text2image"].pipeline.unet.conv_in.weight.data *= 1.1
        return copied

    monkeypatch.setattr(swaps.WeightStore, "load", load)
    rows = [found for found in swap_rows(generators, sample_jobs(generators["text2image"], 1), 1, CPU)]
    assert [found["met"] for found in rows if found.get("promise")] == [False, False]
    assert not check.is_right({"models": rows})


def test_a_swap_compiles_nothing_again(monkeypatch):
    from torch._dynamo.utils import counters

    right = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: right(module, backend="eager"))
    generator = load_text_to_image(GeneratorOptions(path=tiny_folder(SD), steps=2, size=SIDE, compile=True))
    jobs = sample_jobs(generator, 1)
    torch._dynamo.reset()
    counters.clear()
    generator.floats(jobs)
    assert counters["stats"]["unique_graphs"] == 1
    (found,) = after_swap(generator, jobs, 1.0, CPU)
    assert found["value"] == found["seconds"] > 0 and counters["stats"]["unique_graphs"] == 1
    torch._dynamo.reset()


def test_workspaces_against_what_was_planned():
    generator = editor(size=SIDE)
    run = lambda batch: generator.floats(sample_jobs(generator, batch))  # noqa: E731
    points = {batch: peak_bytes(lambda batch=batch: run(batch)) for batch in (1, 2, 3)}
    rows = list(workspace_rows("edit", run, line_above(points), CPU, (1, 2, 3)))
    assert all(found["met"] and 0.9 < found["value"] <= 1 for found in rows)
    assert [found["allocated_bytes"] for found in rows] == list(points.values())
    short = Workspace(0, points[2] // 2 - 1)
    (found,) = workspace_rows("edit", run, short, CPU, (2,))
    assert found["met"] is False and found["value"] > 1


def test_peaks_on_a_gpu_are_differences_of_the_allocator_s(monkeypatch):
    # Weights: 100 in use, 120 held; the second run takes 30 more in use, 70 more held.
    state = {"peak": (500, 600), "runs": 0}
    for name, value in (("memory_allocated", 100), ("memory_reserved", 120)):
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: state["peak"][0])
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: state["peak"][1])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: state.update(peak=(100, 120)))
    for name in ("synchronize", "empty_cache"):
        monkeypatch.setattr(torch.cuda, name, lambda *device: None)

    def run():
        state["runs"] += 1
        state["peak"] = (130, 190) if state["runs"] == 2 else (10**6, 10**6)

    peak = peak_of(run, torch.device("cuda", 0))
    assert (peak.allocated, peak.reserved, state["runs"]) == (30, 70, 2)


def test_a_failure_costs_its_row_and_the_clock_ends_the_rest():
    now, said = [0.0], []
    findings = Findings(10.0, said.append, lambda: now[0])

    def out_of_memory():
        yield row("first", 1.0, "s")
        raise torch.OutOfMemoryError("CUDA out of memory.\nmore")

    assert findings.attempt("second", out_of_memory) is False
    assert findings.attempt("third", lambda: [row("third", math.nan, "x", Goal("<=", 1), between=math.inf)], needs=10)
    now[0] = 1.0
    assert findings.attempt("fourth", lambda: pytest.fail("was begun"), needs=10) is False
    first, second, third, fourth = findings.rows
    assert first["value"] == 1.0 and first["met"] is None
    assert second["error"] == "OutOfMemoryError: CUDA out of memory." and second["value"] is None
    assert (third["value"], third["met"], third["between"]) == (None, False, None)
    assert "skipped" in fourth["error"] and "9 s" in fourth["error"] and len(said) == 4
    json.dumps(findings.rows, allow_nan=False)


def test_goals_are_limits():
    assert Goal("<=", 1.1).met(1.1) and not Goal("<=", 1.1).met(1.11) and not Goal("<=", 1.1).met(math.nan)
    assert Goal(">=", 1.5).met(1.5) and not Goal(">=", 1.5).met(1.4)
    found = spread_row("a", [3.0, 1.0, 2.0], "x", Goal(">=", 2.5))
    assert (found["value"], found["met"], found["goal"]) == (2.0, False, ">= 2.5")
    assert "NO" in as_line(promise_row("b", False))


def test_a_part_that_fails_does_not_cost_the_other(monkeypatch, tmp_path):
    monkeypatch.setattr(check, "require_gpu", lambda: CPU)
    monkeypatch.setattr(check, "check_kernels", lambda device: 1 / 0)
    monkeypatch.setattr(
        check, "measure_models", lambda device, findings, setup: findings.rows.append(row("a", 1.0, "x"))
    )
    file = tmp_path / "found.json"
    assert check.main(["--json", str(file)]) == 1
    found = json.loads(file.read_text())
    assert "ZeroDivisionError" in found["kernels_error"] and found["models"][0]["name"] == "a"
    assert check.main(["--json", str(file), "--only", "models"]) == 0
    found = json.loads(file.read_text())
    assert "kernels_error" not in found and found["models"]

    def wrong(device, findings, setup):
        findings.rows.append(promise_row("b", False))

    monkeypatch.setattr(check, "measure_models", wrong)
    assert check.main(["--only", "models"]) == 1


def test_the_full_size_is_the_lab_s():
    setup = measures.lab_setup()
    assert not setup.tiny and setup.profile.text2image["model"] == SD and setup.profile.target == "resnet152"
    assert setup.profile.text2image["steps"] == 25 and setup.batches == (1, 4, 8) and setup.batch == 8
