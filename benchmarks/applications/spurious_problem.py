"""What a study of spurious features is about: a network, its units over unbalanced pictures, and another test."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .spurious_features import Pooling
from .spurious_rows import Split

if TYPE_CHECKING:
    from ...engine.targets import NetworkTarget


@dataclass(frozen=True)
class Problem:
    """What `run_study` needs.

    classes, surroundings: what the agent is told, two lists from which no pairing follows. weights: of the target, as a
    profile names them. pooling: how a unit's map becomes a feature of the regressions; the agent sees a unit's maximum
    over positions, as everywhere. exemplars: folder of the unbalanced pictures that exemplars are taken from.
    validation, test, pool: features of all units. balanced: sets of rows of the pool (empty: none are to be had).
    original: bool [N test], what the network's own classifier gets right, if it has one. facts: for the page.
    """

    name: str
    classes: tuple[str, ...]
    surroundings: tuple[str, ...]
    target: "NetworkTarget"
    weights: str | None
    layer: str
    pooling: Pooling
    exemplars: Path
    validation: Split
    test: Split
    pool: Split
    pool_places: np.ndarray
    balanced: Sequence[Sequence[int]]
    original: np.ndarray | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def variance_shares(values: np.ndarray, labels: np.ndarray, places: np.ndarray) -> tuple[float, float]:
    """Shares (0..1) of the variance of float [N] that the class and the place explain, each alone (eta squared). On
    pictures in which the two are independent they add up to at most 1. 0 where nothing varies."""
    data = np.asarray(values, dtype=np.float64)
    total = float(((data - data.mean()) ** 2).sum())
    if total <= 0:
        return 0.0, 0.0

    def between(groups: np.ndarray) -> float:
        parts = [data[groups == group] for group in np.unique(groups)]
        return float(sum(len(part) * (part.mean() - data.mean()) ** 2 for part in parts))

    return between(labels) / total, between(places) / total
