"""Scores of a run: the agent's labels beside the exemplar-only and the random label, and the truth where known."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...agent.run import Run
from ...agent.services import Services
from ...models.errors import UserError
from ...models.files import write_whole
from ...models.groundtruth import GroundTruthTarget, same_truth
from ...models.targets import Unit
from ..baselines.controls import exemplar_only_label, random_label
from .predictive import score_label

METHODS = ("agent", "exemplar-only", "random")


def score_run(run: Run, progress: Callable[[int, int], None] = lambda done, total: None) -> dict[str, Any]:
    """Score every concluded unit and keep scores.json up to date; units that it already holds for the same label stay.

    Returns the content of scores.json (docs/design.md).
    """
    path = run.path / "scores.json"
    scores = _read(path) if path.exists() else {}
    labels = run.labels
    units = [unit for unit in run.units if str(unit) in labels]
    for done, unit in enumerate(units):
        progress(done, len(units))
        label = " OR ".join(labels[str(unit)])
        old = scores.get(str(unit))
        if old is None or old["methods"]["agent"]["label"] != label:
            scores[str(unit)] = score_unit(run.services[unit.target], unit, label, run.seed)
            write_whole(path, (json.dumps(scores, indent=1) + "\n").encode())
    progress(len(units), len(units))
    return scores


def _read(path: Path) -> dict[str, Any]:
    """scores.json. Raises UserError when it is damaged."""
    try:
        scores: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for entry in scores.values():
            entry["methods"]["agent"]["label"]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UserError(f"{path} is damaged: delete it, and the labels are scored again.") from None
    return scores


def score_unit(services: Services, unit: Unit, label: str, seed: int) -> dict[str, Any]:
    """One unit's entry of scores.json."""
    labels = {"agent": label, "exemplar-only": exemplar_only_label(services, unit), "random": random_label(unit, seed)}
    truth = None
    if isinstance(services.target, GroundTruthTarget):
        truth = services.target.neuron(unit)
    found = {name: same_truth(text, truth) if truth else None for name, text in labels.items()}
    return {
        "truth": truth.truth if truth else None,
        "truth_found": found["agent"],
        "truth_found_by": found,
        "status": services.index.status(unit),
        "p50": services.index.percentile(unit, 0.5),
        "p95": services.index.percentile(unit, 0.95),
        "methods": {name: score_label(services, unit, labels[name], seed) for name in METHODS},
    }
