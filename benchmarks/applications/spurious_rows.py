"""The rows of the paper's table 2: which units, which regression, and its accuracy where the pairing has changed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean, median
from typing import Any

import numpy as np

from ..quality.testbed_study import student, wilson
from .spurious_regression import random_subsets, reach, tuned, unregularised

TOP = 50
"""Units that the agent judges (table 2)."""
SAME = 22
"""Units of the size-matched rows where the agent kept none: the paper's."""
DRAWS = 100
BALANCED_SETS, BALANCED_SIZE = 10, 320
"""Random subsets, and balanced sets (F2)."""

ORIGINAL, ALL_REFIT, TOP_L1, TOP_REFIT = "original", "all-refit", "top", "top-refit"
RANDOM, L1_SAME, L1_SAME_REFIT, AGENT = "random", "l1-same", "l1-same-refit", "agent"
MILAN, CAPTION = "milan", "exemplar-caption"
BALANCED_TUNED, BALANCED_SAME = "balanced-tuned", "balanced-l1-same"

PAPER: dict[str, tuple[int, float]] = {
    ORIGINAL: (512, 0.731),
    TOP_L1: (50, 0.779),
    RANDOM: (22, 0.705),
    L1_SAME: (22, 0.757),
    MILAN: (23, 0.786),
    CAPTION: (23, 0.690),
    AGENT: (22, 0.837),
    BALANCED_TUNED: (147, 0.830),
    BALANCED_SAME: (22, 0.865),
}
"""(units, accuracy) of table 2. Its second MILAN row is GPT-4V's captions of exemplars."""

NAMES: dict[str, tuple[str, str]] = {
    ORIGINAL: ("all", "original model"),
    ALL_REFIT: ("all", "none, refitted"),
    TOP_L1: ("l1 top", "all of them"),
    TOP_REFIT: ("l1 top", "all of them, refitted"),
    RANDOM: ("l1 top", "random"),
    L1_SAME: ("l1 top", "l1, as many as the agent keeps"),
    L1_SAME_REFIT: ("l1 top", "l1, as many as the agent keeps, refitted"),
    MILAN: ("l1 top", "MILAN's labels"),
    CAPTION: ("l1 top", "captions of exemplars"),
    AGENT: ("l1 top", "agent"),
    BALANCED_TUNED: ("all", "l1, tuned on balanced pictures"),
    BALANCED_SAME: ("all", "l1 on balanced pictures, as many as the agent keeps"),
}
"""(subset, selection) of each row, for people."""


@dataclass(frozen=True)
class Split:
    """Features float32 [N, C] of all units, and labels int [N]."""

    features: np.ndarray
    labels: np.ndarray

    def rows(self, chosen: Sequence[int]) -> "Split":
        """The rows of these positions."""
        return Split(self.features[list(chosen)], self.labels[list(chosen)])


@dataclass(frozen=True)
class Row:
    """One method.

    units: how many it uses (of balanced sets the median). accuracy: on the test pictures, or the mean over draws; None
    where the row is skipped, and why. interval: 95 %: of one fit Wilson's over test pictures, of draws and sets
    Student's of their mean. spread: standard deviation over draws or sets.
    """

    key: str
    units: int | None
    balanced: bool
    accuracy: float | None
    interval: tuple[float, float] | None = None
    over: str = ""
    spread: float | None = None
    skipped: str = ""
    note: str = ""


@dataclass
class Rows:
    """All rows of one study. notes: sentences on what was left out or not reached."""

    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def of(self, key: str) -> Row | None:
        """The row of that key."""
        return next((row for row in self.rows if row.key == key), None)

    def to_json(self) -> dict[str, Any]:
        """As result.json holds it."""
        return {"rows": [asdict(row) for row in self.rows], "notes": self.notes}


def unbalanced_rows(
    validation: Split, test: Split, top: Sequence[int], kept: Sequence[int], seed: int, draws: int = DRAWS
) -> Rows:
    """Rows of regressions on unbalanced pictures, but for the original model, MILAN and captions.

    top: columns that l1 chose; kept: those of them that the agent keeps. Where it keeps none, its row is skipped and
    the others have SAME units.
    """
    found = Rows()
    count = min(len(kept) or SAME, len(top))
    everything = range(validation.features.shape[1])
    found.rows.append(_refit(ALL_REFIT, validation, test, everything))
    l1 = reach(validation.features, validation.labels, len(top), seed)
    found.rows.append(_fitted(TOP_L1, len(l1.units), l1.regression.right(test.features, test.labels)))
    found.rows.append(_refit(TOP_REFIT, validation, test, top))
    scores = [
        unregularised(validation.features, validation.labels, chosen).accuracy(test.features, test.labels)
        for chosen in random_subsets(top, count, draws, seed)
    ]
    found.rows.append(_many(RANDOM, count, scores, f"{draws} draws", False))
    columns = list(top)
    inner = Split(validation.features[:, columns], validation.labels)
    same = reach(inner.features, inner.labels, count, seed)
    if len(same.units) != count:
        found.notes.append(f"l1 came to {len(same.units)} units where {count} were wanted.")
    right = same.regression.right(test.features[:, columns], test.labels)
    found.rows.append(_fitted(L1_SAME, len(same.units), right))
    found.rows.append(_refit(L1_SAME_REFIT, validation, test, [columns[unit] for unit in same.units]))
    found.rows.append(chosen_row(AGENT, validation, test, kept, "it kept no unit"))
    return found


def chosen_row(key: str, validation: Split, test: Split, kept: Sequence[int], none: str) -> Row:
    """The unregularised refit on units that a method keeps; skipped, with the reason `none`, where it keeps none."""
    return _refit(key, validation, test, kept) if kept else Row(key, 0, False, None, skipped=none)


def original_row(right: np.ndarray, units: int) -> Row:
    """The network's own classifier. right: bool [N test]."""
    return _fitted(ORIGINAL, units, right)


def balanced_rows(
    pool: Split,
    sets: Sequence[Sequence[int]],
    test: Split,
    count: int,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Rows:
    """l1 on balanced sets: tuned, and with `count` units. sets: rows of the pool."""
    found = Rows()
    tuned_scores, tuned_units, same_scores, same_units = [], [], [], []
    for done, chosen in enumerate(sets):
        balanced = pool.rows(chosen)
        best = tuned(balanced.features, balanced.labels, seed)
        tuned_scores.append(best.regression.accuracy(test.features, test.labels))
        tuned_units.append(len(best.units))
        same = reach(balanced.features, balanced.labels, count, seed)
        same_scores.append(same.regression.accuracy(test.features, test.labels))
        same_units.append(len(same.units))
        progress(done + 1, len(sets))
    over = f"{len(sets)} balanced sets of {len(sets[0])}"
    found.rows.append(_many(BALANCED_TUNED, int(median(tuned_units)), tuned_scores, over, True))
    found.rows.append(_many(BALANCED_SAME, int(median(same_units)), same_scores, over, True))
    if set(same_units) != {count}:
        found.notes.append(
            f"l1 on balanced sets came to {min(same_units)} to {max(same_units)} units ({count} wanted)."
        )
    return found


def over_seeds(studies: Mapping[int, Rows]) -> dict[str, Row]:
    """Each row's mean over the studies (by seed) in which it is not skipped, with Student's interval."""
    keys = list(dict.fromkeys(row.key for rows in studies.values() for row in rows.rows))
    found = {}
    for key in keys:
        there = [row for rows in studies.values() if (row := rows.of(key)) and row.accuracy is not None]
        values = [row.accuracy for row in there if row.accuracy is not None]
        if not values:
            first = next(row for rows in studies.values() if (row := rows.of(key)))
            found[key] = first
            continue
        units = round(fmean(row.units for row in there if row.units is not None))
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
        over = f"{len(values)} seeds"
        found[key] = Row(key, units, there[0].balanced, fmean(values), student(values), over, spread)
    return found


def difference(studies: Mapping[int, Rows], a: str, b: str) -> tuple[float, tuple[float, float] | None] | None:
    """(mean, 95 % interval) of row a less row b, paired by seed; None where no seed has both."""
    gaps = []
    for rows in studies.values():
        first, second = rows.of(a), rows.of(b)
        if first and second and first.accuracy is not None and second.accuracy is not None:
            gaps.append(first.accuracy - second.accuracy)
    return (fmean(gaps), student(gaps)) if gaps else None


def _refit(key: str, validation: Split, test: Split, columns: Sequence[int]) -> Row:
    model = unregularised(validation.features, validation.labels, columns)
    return _fitted(key, len(columns), model.right(test.features, test.labels))


def _fitted(key: str, units: int, right: np.ndarray) -> Row:
    return Row(
        key, units, False, float(right.mean()), wilson(int(right.sum()), len(right)), f"{len(right)} test pictures"
    )


def _many(key: str, units: int, scores: Sequence[float], over: str, balanced: bool) -> Row:
    spread = float(np.std(scores, ddof=1)) if len(scores) > 1 else None
    return Row(key, units, balanced, fmean(scores), student(scores), over, spread)
