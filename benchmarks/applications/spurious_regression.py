"""Logistic regressions on units (the paper's appendix F2), with scikit-learn.

Features are standardised to mean 0 and variance 1 over the pictures that a regression is fitted to. l1-regularised ones
are saga's, unregularised ones lbfgs's. A unit counts as used if any class gives it a weight.
"""

import copy
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

EPOCHS = 300
"""Of saga for one strength; with warm starts along the path the rest of the way is short."""
LBFGS_STEPS = 2000
GROWTH = 2.0
"""Factor on C while the path is followed upwards."""
WEAKEST = 1e5
"""Times the strongest C (below which no unit is used) at which the path ends: then no more units are to be had."""
BISECTIONS = 30
SPLITS = 5
"""50-50 splits by which l1's strength is tuned on a balanced set (F2)."""
STRENGTHS = 12
"""Values of C that are tried there, evenly spaced in their logarithm."""


@dataclass(frozen=True)
class Sparse:
    """An l1-regularised regression. units: columns in use, ascending. C: scikit-learn's, the higher the weaker.

    converged: whether saga's last fit ended by its tolerance and not by EPOCHS.
    """

    units: tuple[int, ...]
    C: float
    regression: "Regression"
    converged: bool


@dataclass(frozen=True)
class Regression:
    """A fitted scikit-learn classifier with its scaling. columns: of the features that it takes, in order."""

    columns: tuple[int, ...]
    mean: np.ndarray
    scale: np.ndarray
    model: Any

    def accuracy(self, features: np.ndarray, labels: np.ndarray) -> float:
        """Share of rows (float [N, C] with labels int [N]) whose class is found."""
        return float(np.mean(self.right(features, labels)))

    def right(self, features: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """bool [N]: whose class is found."""
        chosen = (features[:, list(self.columns)] - self.mean) / self.scale
        found = self.model.predict(chosen) == labels
        return np.asarray(found, dtype=bool)


def scaling(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, standard deviation), float64 [C]; 1 where a column does not vary, so that it becomes 0."""
    data = np.asarray(features, dtype=np.float64)
    spread = data.std(0)
    return data.mean(0), np.where(spread > 1e-12 * np.maximum(1.0, np.abs(data).max(0)), spread, 1.0)


def unregularised(features: np.ndarray, labels: np.ndarray, columns: Sequence[int]) -> Regression:
    """lbfgs without a penalty on these columns. Raises ValueError for none, or for labels of one class."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if not len(columns):
        raise ValueError("a regression needs at least one unit")
    chosen = np.asarray(features, dtype=np.float64)[:, list(columns)]
    mean, scale = scaling(chosen)
    model = LogisticRegression(C=np.inf, solver="lbfgs", max_iter=LBFGS_STEPS)
    with warnings.catch_warnings():
        # Separable classes have no finite optimum: lbfgs goes on until its tolerance or its steps.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit((chosen - mean) / scale, labels)
    return Regression(tuple(columns), mean, scale, model)


class Path:
    """l1 regressions of one set of pictures from strong to weak, each started from the last.

    features: float [N, C]; labels: int [N], at least two classes (else ValueError). The same arguments give the same
    regressions.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray, seed: int = 0) -> None:
        from sklearn.linear_model import LogisticRegression

        classes, counts = np.unique(labels, return_counts=True)
        if len(classes) < 2:
            raise ValueError("a regression needs pictures of at least two classes")
        self._labels = np.asarray(labels)
        self._mean, self._scale = scaling(features)
        self._data = (np.asarray(features, dtype=np.float64) - self._mean) / self._scale
        # At weights of zero the intercepts give each class its share; no weight leaves zero while C times the largest
        # slope of the loss is below 1.
        distance = (self._labels[:, None] == classes[None]) - counts / counts.sum()
        slope = float(np.abs(self._data.T @ distance).max())
        if slope <= 0:
            raise ValueError("no unit varies over these pictures")
        self.strongest = 1.0 / slope
        self._model = LogisticRegression(
            C=1.0, l1_ratio=1.0, solver="saga", max_iter=EPOCHS, tol=1e-4, warm_start=True, random_state=seed
        )

    def at(self, strength: float) -> Sparse:
        """The regression at C = strength, started from the one before."""
        from sklearn.exceptions import ConvergenceWarning

        self._model.set_params(C=strength)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            self._model.fit(self._data, self._labels)
        used = np.flatnonzero(np.any(self._model.coef_ != 0, axis=0))
        columns = tuple(range(self._data.shape[1]))
        fitted = Regression(columns, self._mean, self._scale, copy.deepcopy(self._model))
        late = any(issubclass(entry.category, ConvergenceWarning) for entry in told)
        return Sparse(tuple(int(unit) for unit in used), strength, fitted, not late)

    def strengths(self, count: int = STRENGTHS, widest: float = 1e3) -> np.ndarray:
        """C from just above the strongest to `widest` times it, evenly in the logarithm."""
        return self.strongest * np.geomspace(1.5, widest, count)


def reach(features: np.ndarray, labels: np.ndarray, count: int, seed: int = 0) -> Sparse:
    """The l1 regression that uses `count` units, or as near to that as it comes (then rather fewer than more).

    C grows from where no unit is used until there are enough, then the interval is halved. Raises ValueError for a
    count below 1 and what `Path` raises.
    """
    if count < 1:
        raise ValueError("at least one unit has to be used")
    path = Path(features, labels, seed)
    low, best = path.strongest, None
    high = low * GROWTH
    while True:
        found = path.at(high)
        best = _nearer(best, found, count)
        if len(found.units) >= count or high > path.strongest * WEAKEST:
            break
        low, high = high, high * GROWTH
    for _ in range(BISECTIONS):
        if len(best.units) == count or (len(found.units) < count and high > path.strongest * WEAKEST):
            break
        middle = float(np.sqrt(low * high))
        found = path.at(middle)
        best = _nearer(best, found, count)
        low, high = (low, middle) if len(found.units) > count else (middle, high)
    return best


def _nearer(best: Sparse | None, found: Sparse, count: int) -> Sparse:
    if best is None:
        return found

    def miss(sparse: Sparse) -> tuple[int, bool]:
        return abs(len(sparse.units) - count), len(sparse.units) > count

    return min(best, found, key=miss)


def tuned(features: np.ndarray, labels: np.ndarray, seed: int = 0) -> Sparse:
    """l1 with the C that does best over SPLITS 50-50 splits (the strongest of equals), fitted to all rows (F2)."""
    from sklearn.model_selection import StratifiedShuffleSplit

    strengths = Path(features, labels, seed).strengths()
    splitter = StratifiedShuffleSplit(SPLITS, train_size=0.5, test_size=0.5, random_state=seed)
    scores = np.zeros(len(strengths))
    for fitted, judged in splitter.split(features, labels):
        path = Path(features[fitted], labels[fitted], seed)
        for place, strength in enumerate(strengths):
            scores[place] += path.at(float(strength)).regression.accuracy(features[judged], labels[judged])
    chosen = int(np.argmax(scores))
    path = Path(features, labels, seed)
    for strength in strengths[: chosen + 1]:
        best = path.at(float(strength))
    return best


def random_subsets(units: Sequence[int], count: int, draws: int, seed: int) -> Iterator[tuple[int, ...]]:
    """`draws` random subsets of `count` units, ascending. Raises ValueError for more than there are."""
    if not 0 < count <= len(units):
        raise ValueError(f"{count} units cannot be drawn of {len(units)}")
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        yield tuple(sorted(int(unit) for unit in rng.choice(np.asarray(units), count, replace=False)))
