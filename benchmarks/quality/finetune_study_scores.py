"""Predictive scores of the agent's labels alone: those of `score_run`, without its controls, at a third of the time."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...agent.run import Run, write_metrics
from ...agent.services import running
from ...models.errors import UserError
from ...models.files import write_whole
from ...models.targets import Unit
from .predictive import score_label
from .score_run import AT_ONCE

FILE = "predictive.json"
"""{unit: entry of `predictive.score_label`}, in the run's directory."""

Scores = dict[str, dict[str, Any]]


def score_labels(run: Run, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
    """Score every concluded unit of the run whose label `read_scores` does not have, and keep FILE up to date."""
    asyncio.run(_score_labels(run, progress))
    write_metrics(run.path, run.services, run.backbone)


async def _score_labels(run: Run, progress: Callable[[int, int], None]) -> None:
    scores = read_scores(run.path)
    labels = {name: " OR ".join(found) for name, found in run.labels.items()}
    missing = [unit for unit in run.units if str(unit) in labels and not is_scored(scores, unit, labels[str(unit)])]
    gate, done = asyncio.Semaphore(AT_ONCE), len(labels) - len(missing)

    async def score(unit: Unit) -> None:
        nonlocal done
        services = run.services[unit.target]
        async with gate, services.scheduler.agent(f"score/{unit}"):
            scores[str(unit)] = await score_label(services, unit, labels[str(unit)], run.seed)
        done += 1
        ordered = {name: scores[name] for name in sorted(scores)}
        write_whole(run.path / FILE, (json.dumps(ordered, indent=1) + "\n").encode())
        progress(done, len(labels))

    progress(done, len(labels))
    try:
        async with running(run.services.values()), asyncio.TaskGroup() as group:
            for unit in missing:
                group.create_task(score(unit))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


def is_scored(scores: Scores, unit: Unit, label: str) -> bool:
    """Whether the unit has a score, and of this label."""
    return str(unit) in scores and scores[str(unit)]["label"] == label


def read_scores(path: Path) -> Scores:
    """The scores that a run's directory has: of FILE, and the agent's of scores.json. Raises UserError where one of
    them is damaged."""
    found: Scores = {}
    for name in ("scores.json", FILE):
        try:
            entries = json.loads((path / name).read_text(encoding="utf-8"))
            for unit, entry in entries.items():
                own = entry["methods"]["agent"] if name != FILE else entry
                found[unit] = {**own, "label": str(own["label"]), "difference": float(own["difference"])}
        except FileNotFoundError:
            continue
        except (ValueError, TypeError, KeyError, AttributeError):
            raise UserError(f"{path / name} is damaged: delete it, and the labels are scored again.") from None
    return found
