"""Many agents on the testbed with real diffusers pipelines under a memory budget: what concurrency and batching bring.

The same units are described by 1, 4 and 16 agents at a time. Pictures come from Stable Diffusion and InstructPix2Pix
pipelines with random weights, built on the spot (64 x 64 pixels: what is measured is the machinery, not the pictures);
target and describer are the testbed's. The budget is less than the models' weights, so that they take turns on the
device. Bytes of workspaces are measured, not assumed.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from ...agent.run import Run, describe
from ...engine.assembly import assemble
from ...engine.calibration import Calibration, Measured, line_above, peak_bytes
from ...engine.dataset import open_dataset
from ...engine.index_build import cached_index
from ...engine.placement import DoesNotFit
from ...engine.profile import Profile, generator_options, load_profile
from ...engine.sizes import format_bytes
from ...engine.sizing import calibration_file, sized_models
from ...engine.targets import load_target
from ...models.caches import cache_directory
from ...models.diffusion.architectures import random_pipeline
from ...models.files import write_whole
from ...models.generators import Job, load_editor, load_text_to_image
from ...models.targets import Unit
from ...models.testbed.describer import Describer
from ...models.testbed.world import World
from ..throughput.surroundings import surroundings

TARGET, LAYER = "efficientnet-lite0", "blocks.10"
AGENTS = (1, 4, 16)
UNITS, TURNS, IMAGES, STEPS, BATCH = 16, 3, 300, 4, 16
ROOM = 1.25


def run_benchmark(
    json_file: Path | None = None,
    agents: Sequence[int] = AGENTS,
    units: int = UNITS,
    turns: int = TURNS,
    repeats: int = 1,
    console: Console | None = None,
) -> dict[str, Any]:
    """Describe `units` units with each number of agents, `repeats` times in turn; the table is printed.

    Returns what the JSON file holds: for each number of agents the median of units an hour over repeats, mean batches,
    bytes swapped, the most memory in use; and `speedup_16_vs_1` (the largest number against the smallest).
    """
    console = console or Console()
    with tempfile.TemporaryDirectory(prefix="maia-agents-") as scratch, _own_cache(Path(scratch) / "cache"):
        folder = Path(scratch)
        profile = _profile(folder, turns)
        rows: dict[int, list[dict[str, Any]]] = {count: [] for count in agents}
        for repeat in range(repeats):
            for count in agents:
                row = _measure(profile, count, units, folder / f"run-{repeat}-{count}")
                rows[count].append(row)
                console.print(f"{count} agents: {row['units_per_hour']:.0f} units an hour", highlight=False)
        result = _result(rows, profile, units)
    if json_file is not None:
        write_whole(json_file, (json.dumps(result, indent=1) + "\n").encode())
    console.print(_table(result))
    return result


@contextmanager
def _own_cache(path: Path) -> Iterator[None]:
    """A cache of the benchmark's own, since it writes measurements of models that exist for it only."""
    before = os.environ.get("MAIA_CACHE")
    os.environ["MAIA_CACHE"] = str(path)
    try:
        yield
    finally:
        if before is None:
            del os.environ["MAIA_CACHE"]
        else:
            os.environ["MAIA_CACHE"] = before


def _profile(folder: Path, turns: int) -> Profile:
    """The testbed's profile with pipelines for a world, an index, and a budget that does not hold all weights."""
    paths: dict[str, Any] = {}
    for task, name in (("text2image", "stable-diffusion-v1-5"), ("edit", "instruct-pix2pix")):
        paths[task] = {
            "model": name,
            "path": str(random_pipeline(name, folder / name, tiny=True)),
            "steps": STEPS,
            "max_batch": BATCH,
        }
    target = load_target(TARGET, device="cpu")
    dataset = open_dataset(f"testbed:{IMAGES}")
    index = cached_index(target, dataset, [LAYER], cache_directory() / "indexes")
    profile = replace(
        load_profile("testbed"), world="diffusers", device="cpu", turns=turns, index=str(index.directory), **paths
    )
    _calibrate(profile)
    return replace(profile, memory=_budget(profile))


def _calibrate(profile: Profile) -> None:
    """Measure the workspaces of both pipelines, and keep them where plans look for them."""
    calibration = Calibration()
    for task, load in (("text2image", load_text_to_image), ("edit", load_editor)):
        name, options = generator_options(profile, task)
        generator = load(options)
        job = Job("a red ball", 0, image=Image.new("RGB", (generator.size, generator.size)) if task == "edit" else None)
        points = {batch: peak_bytes(partial(generator.draw, [job] * batch)) for batch in (1, 2, 4)}
        setting = next(model.setting for model in sized_models(profile, calibration) if model.facts.name == task)
        calibration.add(name, setting, Measured(line_above(points)))
    calibration.save(calibration_file())


def _budget(profile: Profile) -> int:
    """Bytes: `ROOM` times the least that the models fit into one after the other; less than they take together."""
    target = load_target(TARGET, device="cpu")
    try:
        assemble({TARGET: target}, World(), Describer(), BATCH, replace(profile, memory=1))
    except DoesNotFit as problem:
        return int(problem.smallest * ROOM)
    raise AssertionError("everything fits into one byte")


def _measure(profile: Profile, agents: int, units: int, out: Path) -> dict[str, Any]:
    chosen = [Unit(TARGET, LAYER, index) for index in range(units)]
    started = time.perf_counter()
    run: Run = describe(chosen, out, profile=replace(profile, jobs=agents))
    seconds = time.perf_counter() - started
    metrics = run.services[TARGET].scheduler.metrics.report()
    drawn = [metrics["models"][name] for name in ("text2image", "edit")]
    return {
        "seconds": seconds,
        "units_per_hour": 3600 * units / seconds,
        "failed": units - len(run.labels),
        "drawn": sum(model["items"] for model in drawn),
        "draw_batch_mean": sum(m["items"] for m in drawn) / max(1, sum(m["batches"] for m in drawn)),
        "swap_bytes": metrics["swap_bytes"],
        "loads": sum(model["loads"] for model in metrics["models"].values()),
        "peak": metrics["devices"]["cpu"]["peak"],
        "budget": metrics["devices"]["cpu"]["budget"],
        "models": metrics["models"],
    }


def _result(rows: dict[int, list[dict[str, Any]]], profile: Profile, units: int) -> dict[str, Any]:
    by_agents = {}
    for count, runs in rows.items():
        middle = statistics.median(run["units_per_hour"] for run in runs)
        chosen = min(runs, key=lambda run: abs(run["units_per_hour"] - middle))
        by_agents[str(count)] = chosen | {"units_per_hour": middle, "repeats": [run["units_per_hour"] for run in runs]}
    first, last = min(rows), max(rows)
    paired = [many["units_per_hour"] / one["units_per_hour"] for one, many in zip(rows[first], rows[last], strict=True)]
    return {
        f"speedup_{last}_vs_{first}": statistics.median(paired),
        "speedups": paired,
        "units": units,
        "turns": profile.turns,
        "budget_violations": sum(run["peak"] > run["budget"] for runs in rows.values() for run in runs),
        "agents": by_agents,
        "surroundings": surroundings(torch.device("cpu")),
    }


def _table(result: dict[str, Any]) -> Table:
    table = Table(title=f"{result['units']} units, {result['turns']} turns each")
    for heading in ("agents", "units an hour", "pictures a batch", "loads", "swapped", "most in use", "budget"):
        table.add_column(heading, justify="right")
    for count, row in result["agents"].items():
        table.add_row(
            count,
            f"{row['units_per_hour']:.0f}",
            f"{row['draw_batch_mean']:.1f}",
            str(row["loads"]),
            format_bytes(row["swap_bytes"]),
            format_bytes(row["peak"]),
            format_bytes(row["budget"]),
        )
    return table
