"""Workspaces and durations of a profile's models, measured on this machine's GPU and kept for plans.

    python -m maia.benchmarks.gpu.calibrate [--profile lab] [--random-weights]

`maia plan` then says "measured" where it said "traced" or "estimate". The served model is not measured.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ...engine.calibration import MEASURED_MARGIN, Calibration, Measured, line_above, measure_workspace, peak_bytes
from ...engine.plan import Duration
from ...engine.profile import GENERATORS, Profile, generator_options, load_profile
from ...engine.sizes import format_bytes
from ...engine.sizing import CPU, TARGET_BATCH, calibration_file, sized_models
from ...engine.targets import NetworkTarget, load_target, resolve_device
from ...models.diffusion.architectures import random_pipeline
from ...models.diffusion.settings import torch_dtype
from ...models.errors import UserError
from ...models.generators import load_editor, load_text_to_image
from ..throughput.timing import seconds_of, summary
from .generators import Generator, sample_jobs
from .workspaces import target_run

BATCHES = (1, 2, 4, 8)
REPEATS = 3


def calibrate_command(profile: str, random_weights: bool = False, say: Callable[[str], None] = print) -> str:
    """Measures the models of a profile (a built-in one's name, or a path) on the GPU that it uses, adds the numbers to
    `sizing.calibration_file()`, and returns a sentence that says so.

    random_weights: of the published shapes in the place of the files; time and memory do not depend on the values. say:
    gets a line for each model. Raises UserError without a GPU, and for what cannot be loaded.
    """
    chosen = load_profile(profile)
    if chosen.device == CPU or not torch.cuda.is_available():
        why = "the profile's device is cpu" if torch.cuda.is_available() else "torch finds none here"
        raise UserError(
            f"models are measured on a CUDA GPU, and {why}: calibrate on a machine with an NVIDIA GPU, with a profile"
            " that uses it (without, `maia plan` reckons from its catalogue)."
        )
    device = resolve_device(chosen.device)
    if device.index is None:
        device = torch.device(device.type, torch.cuda.current_device())
    file = calibration_file()
    known = Calibration.load(file)
    calibrate(chosen, device, known, random_weights=random_weights, say=say)
    known.save(file)
    return f"Measured on {torch.cuda.get_device_name(device)}: {file}"


def calibrate(
    profile: Profile,
    device: torch.device,
    known: Calibration,
    batches: Sequence[int] = BATCHES,
    repeats: int = REPEATS,
    random_weights: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Measures the profile's generators and its target one after the other, and adds them to `known`.

    On the CPU (for tests) peaks are those of tensors alone. batches: those above a generator's max_batch are left out.
    """
    profile = replace(profile, vlm=None)
    settings = {model.facts.name: model.setting for model in sized_models(profile, Calibration())}
    for task in GENERATORS:
        if getattr(profile, task) is None:
            continue
        name, options = generator_options(profile, task)
        with tempfile.TemporaryDirectory(prefix="maia-calibrate-") as scratch:
            if random_weights:
                path = random_pipeline(name, Path(scratch), dtype=torch_dtype(options, device))
                options = replace(options, path=path, config=None)
            load = load_text_to_image if task == "text2image" else load_editor
            generator: Generator = load(options, device).to(device)
        run, fitting = partial(draw, generator), [batch for batch in batches if batch <= options.max_batch]
        known.add(name, settings[task], found := measured(run, device, fitting, repeats, name))
        say(told(name, settings[task], found))
        del generator, run
    target = load_target(
        profile.target, weights=profile.weights or ("random" if random_weights else None), device=device
    )
    assert isinstance(target, NetworkTarget)
    setting = settings[profile.target]
    # Its forwards have as many rows on a GPU, however few pictures there are.
    found = measured(target_run(target), device, [*batches, TARGET_BATCH], repeats, profile.target)
    known.add(profile.target, setting, found)
    say(told(profile.target, setting, found))


def draw(generator: Generator, batch: int) -> None:
    """One batch of that many pictures, and no more with fixed_batch."""
    generator.batch = batch
    generator.floats(sample_jobs(generator, batch))


def measured(
    run: Callable[[int], object], device: torch.device, batches: Sequence[int], repeats: int, name: str
) -> Measured:
    """Workspace and duration from batches of these sizes, in rising order; those that do not fit are left out.

    Raises UserError where not even the first one fits.
    """
    peaks: dict[int, int] = {}
    times: dict[int, float] = {}
    for batch in sorted(set(batches)):
        once = partial(run, batch)
        try:
            peaks[batch] = _peak(run, batch, device)
            times[batch] = summary([seconds_of(once, device) for _ in range(repeats)])["median"]
        except torch.OutOfMemoryError:
            peaks.pop(batch, None)
            break
    if not times:
        raise UserError(
            f"{device} does not hold a batch of {min(batches)} of {name}: free memory, or set a smaller size."
        )
    return Measured(line_above(peaks), fitted_duration(times))


def _peak(run: Callable[[int], object], batch: int, device: torch.device) -> int:
    if device.type == "cuda":
        return measure_workspace(run, device, (batch,)).nbytes(batch)
    return int(peak_bytes(partial(run, batch)) * MEASURED_MARGIN)


def fitted_duration(seconds: Mapping[int, float]) -> Duration:
    """fixed + per_item * batch nearest to the times, by least squares, with neither below zero.

    Raises ValueError for no times.
    """
    if not seconds:
        raise ValueError("no times given")
    sizes, times = np.array(list(seconds), float), np.array(list(seconds.values()))
    through_zero = float(sizes @ times / (sizes @ sizes))
    if len(sizes) == 1:
        return Duration(0.0, through_zero)
    per_item, fixed = (float(value) for value in np.polyfit(sizes, times, 1))
    if per_item < 0:
        return Duration(float(times.mean()), 0.0)
    return Duration(0.0, through_zero) if fixed < 0 else Duration(fixed, per_item)


def told(name: str, setting: str, found: Measured) -> str:
    """One line for a person."""
    assert found.workspace is not None and found.duration is not None
    space, time = found.workspace, found.duration
    return (
        f"{name} ({setting}): {format_bytes(space.fixed)} + {format_bytes(space.per_item)} an item, "
        f"{time.fixed:.3g} s + {time.per_item:.3g} s an item"
    )


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0, or 2 for what stands in the way."""
    parser = argparse.ArgumentParser(prog="python -m maia.benchmarks.gpu.calibrate", description=__doc__.split("\n")[0])
    parser.add_argument("--profile", default="lab", help="a built-in profile's name, or the path of one (default: lab)")
    parser.add_argument(
        "--random-weights", action="store_true", help="of the published shapes, where files are missing"
    )
    chosen = parser.parse_args(arguments)
    try:
        print(calibrate_command(chosen.profile, chosen.random_weights))
    except UserError as error:
        print(f"maia: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
