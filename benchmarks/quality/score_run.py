"""Scores of a run: the agent's labels beside the exemplar-only and the random label, and the truth where known."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...agent.run import Run, write_metrics
from ...agent.services import Services, running
from ...engine.index_pass import SceneTarget
from ...engine.scheduler import Scheduler
from ...models.errors import UserError
from ...models.files import write_whole
from ...models.groundtruth import GroundTruthTarget, same_truth
from ...models.synthetic_target import SyntheticTarget
from ...models.targets import Target, Unit
from ..baselines.controls import exemplar_only_label, random_label
from .agreement_truth import exact_truth, synthetic_truth
from .predictive import score_label

AT_ONCE = 4
"""Units that are scored at the same time, so that their pictures share batches."""
METHODS = ("agent", "exemplar-only", "random")


def score_run(run: Run, progress: Callable[[int, int], None] = lambda done, total: None) -> dict[str, Any]:
    """Score every concluded unit and keep scores.json up to date; units that it already holds for the same label stay.

    Returns the content of scores.json (docs/design.md).
    """
    scores = asyncio.run(_score_run(run, progress))
    write_metrics(run.path, run.services, run.backbone)
    return scores


async def _score_run(run: Run, progress: Callable[[int, int], None]) -> dict[str, Any]:
    path = run.path / "scores.json"
    scores = _read(path) if path.exists() else {}
    labels = {name: " OR ".join(found) for name, found in run.labels.items()}
    units = [unit for unit in run.units if str(unit) in labels]
    missing = [
        unit
        for unit in units
        if str(unit) not in scores or scores[str(unit)]["methods"]["agent"]["label"] != labels[str(unit)]
    ]
    done: list[Unit] = []
    gate = asyncio.Semaphore(AT_ONCE)

    async def score(unit: Unit, scheduler: Scheduler) -> None:
        async with gate, scheduler.agent(f"score/{unit}"):
            scores[str(unit)] = await score_unit(run.services[unit.target], unit, labels[str(unit)], run.seed)
        done.append(unit)
        write_whole(path, (json.dumps(_in_order(scores, units), indent=1) + "\n").encode())
        progress(len(units) - len(missing) + len(done), len(units))

    progress(len(units) - len(missing), len(units))
    try:
        async with running(run.services.values()), asyncio.TaskGroup() as group:
            for unit in missing:
                group.create_task(score(unit, run.services[unit.target].scheduler))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return _in_order(scores, units)


def _in_order(scores: dict[str, Any], units: Sequence[Unit]) -> dict[str, Any]:
    """Entries of other calls first, as they were; then the units', in their order, whoever was done first."""
    own = [str(unit) for unit in units if str(unit) in scores]
    return {name: entry for name, entry in scores.items() if name not in own} | {name: scores[name] for name in own}


def _read(path: Path) -> dict[str, Any]:
    """scores.json. Raises UserError when it is damaged."""
    try:
        scores: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for entry in scores.values():
            entry["methods"]["agent"]["label"]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UserError(f"{path} is damaged: delete it, and the labels are scored again.") from None
    return scores


def truth_of(target: Target, unit: Unit) -> tuple[str | None, Callable[[str], bool] | None]:
    """The unit's truth and what tells whether a label states it; (None, None) where nobody knows it.

    Exactly, where the target's words are the offline world's; else by words (`agreement_truth.synthetic_truth`).
    """
    if isinstance(target, GroundTruthTarget):
        neuron = target.neuron(unit)
        return neuron.truth, lambda label: same_truth(label, neuron)
    if not isinstance(target, SyntheticTarget):
        return None, None
    truth = target.neuron(unit).truth
    states = exact_truth if isinstance(target, SceneTarget) else synthetic_truth
    return truth, lambda label: states(label, truth)


async def score_unit(services: Services, unit: Unit, label: str, seed: int) -> dict[str, Any]:
    """One unit's entry of scores.json."""
    exemplar_only = await exemplar_only_label(services, unit)
    labels = {"agent": label, "exemplar-only": exemplar_only, "random": random_label(unit, seed)}
    scored = await asyncio.gather(*(score_label(services, unit, labels[name], seed) for name in METHODS))
    truth, states = truth_of(services.target, unit)
    found = {name: states(text) if states else None for name, text in labels.items()}
    return {
        "truth": truth,
        "truth_found": found["agent"],
        "truth_found_by": found,
        "status": services.index.status(unit),
        "p50": services.index.percentile(unit, 0.5),
        "p95": services.index.percentile(unit, 0.95),
        "methods": dict(zip(METHODS, scored, strict=True)),
    }
