"""Measurements for tests of an evaluation's tables."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from maia.benchmarks.quality.measured import Measured


def measurement(unit: str, method: str, positive: float, neutral: float = 0.0, **facts: Any) -> Measured:
    """unit: "target.layer.index". facts: further fields; p50 is 0 and p95 is 1 unless given."""
    target, rest = unit.split(".", 1)
    layer, index = rest.rsplit(".", 1)
    fields: dict[str, Any] = {"seed": 0, "label": "a label", "p50": 0.0, "p95": 1.0} | facts
    return Measured(unit, target, layer, int(index), method, positive=positive, neutral=neutral, **fields)


def study_of(
    targets: Mapping[str, Sequence[str]], methods: Sequence[str], units: int = 4, seeds: int = 1, draw: int = 0
) -> list[Measured]:
    """Random measurements of `units` units of each layer by each method; those of "ground-truth" have truths."""
    chance = random.Random(draw)
    made = []
    for target, layers in targets.items():
        for unit in (f"{target}.{layer}.{index}" for layer in layers for index in range(units)):
            p50, truth = chance.uniform(0, 1), target == "ground-truth"
            kind = unit.split(".")[1] if truth else ""
            p95 = p50 + chance.uniform(0.5, 2)
            for method in methods:
                for seed in range(seeds):
                    made.append(
                        measurement(
                            unit, method, chance.gauss(2, 1), chance.gauss(0.5, 0.2), seed=seed, p50=p50, p95=p95,
                            truth_found=chance.random() < 0.5 if truth else None, kind=kind,
                        )
                    )  # fmt: skip
    return made
