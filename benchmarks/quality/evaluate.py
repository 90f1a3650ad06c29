"""`maia evaluate`: the labels of finished runs and of baselines on images that nobody has seen, as tables.

An evaluation is a directory: units/ holds one file for each unit and seed (prompts, what each selector saw and picked,
activations), from which it goes on after a crash; evaluation.json holds what tables are made of.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...agent.services import Services, running
from ...models.files import write_whole
from ...models.targets import Unit
from .evaluate_methods import BASELINES, Baseline, Comparison
from .measured import RESULTS, Measured
from .pool import Selector, UnitResult, Unusable, Writer, evaluate_unit
from .score_run import AT_ONCE, truth_of

FORM = 1
"""Of the units' files: what an older program wrote is made again."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Protocol:
    """writer, selector: see `pool`. seed: of prompts' order, choices by chance and pictures. generator: what the
    pictures are drawn with, for the facts. baselines: those that the comparison may name."""

    writer: Writer
    selector: Selector
    seed: int
    generator: Any
    baselines: Mapping[str, Baseline] = field(default_factory=lambda: BASELINES)


async def evaluate(
    comparison: Comparison, services: Mapping[str, Services], protocol: Protocol, out: Path, progress: Progress
) -> dict[str, Any]:
    """Evaluate all units that `out` does not have yet; returns, and keeps there, the content of evaluation.json:

    measured: one entry for each unit, method and seed; facts: who wrote and picked, with what was drawn; left_out:
    units that some run has no label for; problems: by unit and method, why a label has no result; unusable: answers of
    models that could not be used, by method.
    """
    work = [(Unit.parse(name), seed) for name in comparison.units for seed in comparison.seeds]
    entries: dict[tuple[Unit, int], dict[str, Any]] = {}
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(unit: Unit, seed: int) -> None:
        own = services[unit.target]
        async with gate, own.scheduler.agent(f"evaluate/{unit}/{seed}"):
            entries[unit, seed] = await _entry(comparison, own, protocol, unit, seed, out)
        progress(len(entries), len(work))

    progress(0, len(work))
    try:
        async with running(services.values()), asyncio.TaskGroup() as group:
            for unit, seed in work:
                group.create_task(one(unit, seed))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    result = _collected(comparison, services, protocol, [(unit, seed, entries[unit, seed]) for unit, seed in work])
    write_whole(out / RESULTS, (json.dumps(result, indent=1) + "\n").encode())
    return result


async def _entry(
    comparison: Comparison, services: Services, protocol: Protocol, unit: Unit, seed: int, out: Path
) -> dict[str, Any]:
    """The unit's file, made now if it is not there, or was made of other labels or otherwise."""
    file = out / "units" / f"{unit}.{seed}.json"
    labels = comparison.labels(str(unit), seed)
    made_of = {
        "form": FORM,
        "labels": dict(labels),
        "baselines": list(comparison.baselines),
        "writer": protocol.writer.name,
        "selector": protocol.selector.name,
        "seed": protocol.seed,
        "generator": protocol.generator,
    }
    if (kept := _kept(file, made_of)) is not None:
        return kept
    failed: dict[str, str] = {}
    for name in comparison.baselines:
        try:
            labels[name] = await protocol.baselines[name](services, unit, seed)
        except Unusable as problem:
            failed[name] = str(problem)
    result = await evaluate_unit(services, unit, labels, protocol.writer, protocol.selector, protocol.seed)
    result.problems |= failed
    entry = {"made_of": made_of, "labels": labels, **_plain(result)}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, (json.dumps(entry, indent=1) + "\n").encode())
    read_back: dict[str, Any] = json.loads(json.dumps(entry))
    return read_back


def _plain(result: UnitResult) -> dict[str, Any]:
    return {
        **asdict(result),
        "means": {method: list(result.means(method)) for method in result.picked},
    }


def _kept(file: Path, made_of: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the file holds, if it is whole and made of the same. A damaged one is made again."""
    try:
        entry: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        same = entry["made_of"] == json.loads(json.dumps(made_of))
        return entry if same and {"labels", "means", "problems", "unusable"} <= set(entry) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _collected(
    comparison: Comparison,
    services: Mapping[str, Services],
    protocol: Protocol,
    entries: list[tuple[Unit, int, dict[str, Any]]],
) -> dict[str, Any]:
    measured, problems, unusable = [], {}, dict[str, int]()
    for unit, seed, entry in entries:
        own = services[unit.target]
        truth, states = truth_of(own.target, unit)
        quantiles = {"p50": own.index.percentile(unit, 0.5), "p95": own.index.percentile(unit, 0.95)}
        for method, (positive, neutral) in entry["means"].items():
            label = entry["labels"][method]
            found = states(label) if states is not None else None
            kind = unit.layer if truth is not None else ""
            row = Measured(
                str(unit), unit.target, unit.layer, unit.index, method, seed, label, positive, neutral,
                truth_found=found, kind=kind, **quantiles,
            )  # fmt: skip
            measured.append(asdict(row))
        if entry["problems"]:
            problems[f"{unit}, seed {seed}"] = entry["problems"]
        for method, count in entry["unusable"].items():
            unusable[method] = unusable.get(method, 0) + count
    return {
        "measured": measured,
        "facts": {
            "methods": [
                {"method": run.method, "seed": run.seed, "run": run.path.name, "units": len(run.labels)}
                for run in comparison.runs
            ]
            + [{"method": name} for name in comparison.baselines],
            "writer": protocol.writer.name,
            "selector": protocol.selector.name,
            "seed": protocol.seed,
            "generator": protocol.generator,
            "units": len(comparison.units),
        },
        "left_out": comparison.left_out,
        "problems": problems,
        "unusable": unusable,
    }
