"""All measurements of generators, swaps, workspaces and the detector, in one order, with random weights of the
published shapes."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ...engine.calibration import Calibration
from ...engine.plan import Workspace
from ...engine.profile import GENERATORS, Profile, generator_options, load_profile
from ...engine.sizing import TARGET_BATCH, sized_models
from ...engine.targets import NetworkTarget, load_target
from ...models.diffusion.architectures import random_pipeline
from ...models.diffusion.folder import load_folder
from ...models.diffusion.options import GeneratorOptions
from ...models.diffusion.quiet import quiet
from ...models.diffusion.settings import set_sampler, torch_dtype
from ...models.generators import EditGenerator, TextToImageGenerator, load_editor, load_text_to_image
from .detectors import detector_rows
from .generators import (
    CLOSE_HALF,
    CLOSE_SINGLE,
    Generator,
    Recorded,
    against_plain,
    batch_gain,
    overhead,
    record,
    same_bits,
    same_picture,
    sample_jobs,
)
from .rows import Findings, Row
from .swaps import swap_rows
from .workspaces import target_run, workspace_rows

SINGLE = "single precision"


@dataclass(frozen=True)
class Setup:
    """What is measured. profile: its options; its models are made with random weights. tiny: a few hundred thousand of
    them. batch: pictures of the larger batch; batches: those whose memory is measured. steps_single: of pictures in
    float32. target_weights: see `load_target`. compile_seconds: what compiling takes, roughly."""

    profile: Profile
    tiny: bool = False
    batch: int = 8
    batches: tuple[int, ...] = (1, 4, 8)
    repeats: int = 5
    steps_single: int = 5
    target_weights: str | None = "random"
    compile_seconds: float = 120.0


def lab_setup() -> Setup:
    """The lab's profile at full size."""
    return Setup(load_profile("lab"))


def measure_models(device: torch.device, findings: Findings, setup: Setup) -> None:
    """Adds all rows to the findings. Weights are written to a temporary directory (2 GB for each of two pipelines in
    16 bits) and removed at the end."""
    with tempfile.TemporaryDirectory(prefix="maia-gpu-check-") as scratch:
        bench = _Bench(device, findings, setup, Path(scratch))
        if findings.attempt("pipelines with random weights", bench.build, needs=60):
            bench.pictures()
            name = "compiled and channels-last against plain diffusers"
            findings.attempt(name, bench.compiled, needs=setup.compile_seconds)
            bench.memory()
            bench.swaps()
            bench.single_precision()
        findings.attempt(f"{setup.profile.target}: workspace", bench.target, needs=20)
    size = "tiny" if setup.tiny else "base"
    findings.attempt("detector", lambda: detector_rows(device, size, setup.repeats), needs=40)


class _Bench:
    """The state between measurements: where the random weights are, and what is loaded of them."""

    def __init__(self, device: torch.device, findings: Findings, setup: Setup, scratch: Path) -> None:
        self.device, self.findings, self.setup, self.scratch = device, findings, setup, scratch
        self.profile = replace(setup.profile, vlm=None, device=str(device))
        self.loaded: dict[str, Any] = {}
        self.recorded: Recorded | None = None

    def build(self) -> Iterable[Row]:
        """Write both pipelines and load them; no rows."""
        for task in GENERATORS:
            chosen: Mapping[str, Any] = getattr(self.profile, task)
            own = {**chosen, "path": str(self.scratch / task), "max_batch": self.setup.batch}
            changed: dict[str, Any] = {task: own}
            self.profile = replace(self.profile, **changed)
            dtype = torch_dtype(self.options(task), self.device)
            random_pipeline(chosen["model"], self.scratch / task, self.setup.tiny, dtype=dtype)
        self.loaded["text2image"] = load_text_to_image(self.options("text2image"), self.device).to(self.device)
        self.loaded["edit"] = load_editor(self.options("edit"), self.device, self.loaded.values()).to(self.device)
        return ()

    def options(self, task: str) -> GeneratorOptions:
        """Of the profile, with the path of the random weights."""
        return generator_options(self.profile, task)[1]

    @property
    def drawer(self) -> TextToImageGenerator:
        """The drawing pipeline."""
        return self.loaded["text2image"]

    @property
    def editor(self) -> EditGenerator:
        """The editing pipeline."""
        return self.loaded["edit"]

    def pictures(self) -> None:
        """Time of a picture, alone and in a batch; the same picture in any batch; one edit."""
        many, repeats = self.setup.batch, self.setup.repeats
        for batch in (1, many):
            self.findings.attempt(f"drawing, batch {batch}", partial(self._overhead, batch))
        drawer, jobs = self.drawer, sample_jobs(self.drawer, many)
        self.findings.attempt("drawing", lambda: batch_gain("drawing", drawer, jobs, repeats, self.device))
        goal = CLOSE_HALF if drawer.dtype.itemsize == 2 else CLOSE_SINGLE
        name = f"drawing in {str(drawer.dtype).removeprefix('torch.')}"
        self.findings.attempt(f"{name}: same picture", lambda: same_picture(name, drawer, jobs, goal))
        self.findings.attempt(f"{name}: same bits", lambda: same_bits(name, drawer, jobs))
        self.findings.attempt("editing", self._one_edit)

    def _overhead(self, batch: int) -> Iterator[Row]:
        jobs = sample_jobs(self.drawer, batch)
        recorded = record(self.drawer, jobs)
        if batch == 1:
            self.recorded = recorded
        yield from overhead(f"drawing, batch {batch}", self.drawer, jobs, self.setup.repeats, self.device, recorded)

    def _one_edit(self) -> Iterator[Row]:
        jobs = sample_jobs(self.editor, 1)
        recorded = record(self.editor, jobs)
        yield from overhead("editing", self.editor, jobs, self.setup.repeats, self.device, recorded)

    def compiled(self) -> Iterator[Row]:
        """Compiled against plain, one picture at a time."""
        if self.recorded is None:
            raise RuntimeError("drawing a single picture failed before, on whose figures this depends")
        options = replace(self.options("text2image"), channels_last=True, compile=True)
        with quiet():
            plain = load_folder(self.scratch / "text2image", torch_dtype(options, self.device), safety_checker=False)
            plain.to(self.device)
        plain.set_progress_bar_config(disable=True)
        set_sampler(plain, options, "plain")
        ours = load_text_to_image(options, self.device).to(self.device)
        jobs = sample_jobs(ours, 1)
        yield from against_plain(plain, ours, jobs, self.setup.repeats, self.device, self.recorded)

    def memory(self) -> None:
        """Workspaces of both pipelines against the plan's."""
        for task, generator in self.loaded.items():
            run = partial(_draw, generator)
            for batch in self.setup.batches:
                measure = partial(workspace_rows, task, run, self._planned(task), self.device, (batch,))
                self.findings.attempt(f"{task}, batch {batch}: workspace", measure)

    def _planned(self, name: str) -> Workspace:
        """What a plan counts with that knows of no measurements."""
        sized = {model.facts.name: model.facts for model in sized_models(self.profile, Calibration())}
        return sized[name].workspace

    def swaps(self) -> None:
        """Loads and offloads; the loaded pipelines are of no use afterwards."""
        jobs = sample_jobs(self.drawer, 1)
        self.findings.attempt("swaps", lambda: swap_rows(self.loaded, jobs, self.setup.repeats, self.device))
        self._drop()

    def _drop(self) -> None:
        self.loaded.clear()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def single_precision(self) -> None:
        """The same picture in any batch, in float32 without TF32."""

        def measure() -> Iterator[Row]:
            options = replace(self.options("text2image"), dtype="fp32", steps=self.setup.steps_single)
            self.loaded["text2image"] = load_text_to_image(options, self.device).to(self.device)
            with _full_float32(self.device):
                yield from same_picture(
                    f"drawing in {SINGLE}", self.drawer, sample_jobs(self.drawer, self.setup.batch), CLOSE_SINGLE
                )

        self.findings.attempt(f"drawing in {SINGLE}: same picture", measure, needs=30)
        self._drop()

    def target(self) -> Iterator[Row]:
        """A target's batch."""
        self._drop()
        target = load_target(self.profile.target, weights=self.setup.target_weights, device=self.device)
        name = self.profile.target
        assert isinstance(target, NetworkTarget)
        planned = sized_models(replace(self.profile, text2image=None, edit=None), Calibration())[-1].facts.workspace
        yield from workspace_rows(name, target_run(target), planned, self.device, (TARGET_BATCH,))


def _draw(generator: Generator, batch: int) -> torch.Tensor:
    return generator.floats(sample_jobs(generator, batch))[0]


def _full_float32(device: torch.device) -> AbstractContextManager[object]:
    """Convolutions in float32 with all its bits; matrix products have them unless told otherwise."""
    if device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
