"""How often the truth is found, and how well labels predict, over many units of the testbed.

Ground-truth neurons and real units are drawn by a stated seed: the former from each kind of the suite, the latter
from layers of EfficientNet-Lite0, without dead and saturated ones (which are counted). The study is a run like any
other: killed and started again, it goes on.
"""

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from ...agent.run import Run, RunProgress, describe, locked, open_services
from ...engine.profile import load_profile
from ...engine.targets import load_target
from ...models.files import write_whole
from ...models.registry import GROUND_TRUTH
from ...models.targets import Unit
from ...models.testbed.world import World
from .predictive import bootstrap_mean
from .score_run import METHODS, score_run
from .study_table import to_markdown

KINDS = ("single", "or", "conditional")
REAL_TARGET = "efficientnet-lite0"
REAL_LAYERS = ("blocks.5", "blocks.10", "blocks.15", "head")
Z = 1.96


def ground_truth_units(per_kind: int, seed: int, name: str = GROUND_TRUTH) -> list[Unit]:
    """`per_kind` neurons of each kind of the suite (or of another target of ground-truth neurons), or all that there
    are, drawn by the seed."""
    target = load_target(name, World())
    units = []
    for kind in KINDS:
        count = target.layers[kind]
        chosen = random.Random(f"{seed}/{kind}").sample(range(count), min(per_kind, count))
        units += [Unit(target.name, kind, index) for index in sorted(chosen)]
    return units


def real_units(count: int, seed: int, out: Path, progress: RunProgress) -> tuple[list[Unit], dict[str, int]]:
    """`count` units in equal parts from REAL_LAYERS, and how many draws were dead or saturated."""
    services = open_services([REAL_TARGET], {REAL_TARGET: list(REAL_LAYERS)}, load_profile("testbed"), out, progress)[
        REAL_TARGET
    ]
    chosen: list[Unit] = []
    refused = {"dead": 0, "saturated": 0}
    for position, layer in enumerate(REAL_LAYERS):
        wanted = count // len(REAL_LAYERS) + (position < count % len(REAL_LAYERS))
        indices = list(range(services.target.layers[layer]))
        random.Random(f"{seed}/{layer}").shuffle(indices)
        for index in indices:
            unit = Unit(REAL_TARGET, layer, index)
            status = services.index.status(unit)
            if status != "ok":
                refused[status] += 1
            elif wanted:
                chosen.append(unit)
                wanted -= 1
            if not wanted:
                break
    return chosen, refused


def wilson(found: float, count: float) -> tuple[float, float]:
    """95 % Wilson score interval of a proportion. Counts may be fractions: effective ones."""
    if count == 0:
        return (0.0, 1.0)
    share, spread = found / count, Z * Z / count
    centre = (share + spread / 2) / (1 + spread)
    half = Z * np.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    # Rounding must not put the share itself outside.
    return (max(0.0, min(share, float(centre - half))), min(1.0, max(share, float(centre + half))))


def student(values: Sequence[float]) -> tuple[float, float] | None:
    """Student's 95 % interval of a mean; None of fewer than two values. For few seeds a bootstrap is too narrow."""
    if len(values) < 2:
        return None
    from scipy.stats import t

    half = float(t.ppf(0.975, len(values) - 1)) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def summarise(scores: dict[str, Any]) -> dict[str, Any]:
    """Rates of truth found by kind and method, and mean scores over units with intervals, by group of units."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for name, entry in scores.items():
        unit = Unit.parse(name)
        group = unit.layer if entry["truth"] is not None else f"{unit.target} {unit.layer}"
        groups.setdefault(group, []).append(entry)
        groups.setdefault("ground truth" if entry["truth"] is not None else "real units", []).append(entry)
    return {group: _group(entries) for group, entries in sorted(groups.items())}


def _group(entries: list[dict[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {"units": len(entries)}
    for method in METHODS:
        row: dict[str, Any] = {}
        for field in ("difference", "over_p95", "over_p95_minus_median"):
            row[field] = _mean([e["methods"][method][field] for e in entries])
        if entries[0]["truth"] is not None:
            found = sum(bool(e["truth_found_by"][method]) for e in entries)
            row["truth_found"] = {"found": found, "rate": found / len(entries), "interval": wilson(found, len(entries))}
        result[method] = row
    for other in METHODS[1:]:
        pairs = [(e["methods"]["agent"], e["methods"][other]) for e in entries]
        for field in ("difference", "over_p95", "over_p95_minus_median"):
            result[f"agent minus {other}, {field}"] = _mean(
                [a[field] - b[field] for a, b in pairs if a[field] is not None and b[field] is not None]
            )
    return result


def _mean(values: list[float | None]) -> dict[str, Any] | None:
    kept = [value for value in values if value is not None]
    if not kept:
        return None
    return {"mean": float(np.mean(kept)), "interval": bootstrap_mean(kept), "units": len(kept)}


def run_study(
    out: Path, per_kind: int, real: int, seed: int, jobs: int, progress: RunProgress, scoring: Any
) -> dict[str, Any]:
    """The whole study into `out`; returns what `study.json` there holds."""
    with locked(out):
        units = ground_truth_units(per_kind, seed)
        drawn, refused = real_units(real, seed, out, progress) if real else ([], {})
        run: Run = describe(units + drawn, out, jobs=jobs, seed=seed, progress=progress)
        scores = score_run(run, scoring)
    failed = [str(unit) for unit in run.units if str(unit) not in run.labels]
    study = {
        "backbone": "scripted",
        "seed": seed,
        "units": len(run.units),
        "failed": failed,
        "not drawn": refused,
        "groups": summarise({str(unit): scores[str(unit)] for unit in run.units if str(unit) in scores}),
    }
    write_whole(out / "study.json", (json.dumps(study, indent=1) + "\n").encode())
    write_whole(out / "study.md", to_markdown(study).encode())
    return study
