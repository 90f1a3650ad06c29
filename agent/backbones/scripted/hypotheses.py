"""The explanations that the scripted experimenter can hold, and how well each fits what was seen.

A hypothesis predicts of every image whether the unit responds. Its fit is the Gaussian log-likelihood of the
activations with one mean
where it predicts a response and one elsewhere, plus the likelihood of the exemplars' descriptions, minus a price
for its complexity (the size of the space it was picked from, as in minimum description length).
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ....models.testbed.vocabulary import GROUPS
from .evidence import ATOMS, Evidence, Exemplar, Observation, family_of, members_of

CONCEPTS: tuple[str, ...] = (*ATOMS, *GROUPS)

# How often a describer names a concept that is there, and how often one of a family is there by chance.
DESCRIBED = 0.85
CHANCE = {"noun": 0.06, "colour": 0.15, "pattern": 0.1, "background": 0.15}
# A tie in fit goes to the narrower concept: a group has to explain more than its best member.
GROUP_PRICE = 2.0
EXEMPLAR_WEIGHT = 0.5
"""Descriptions of neighbouring exemplars share their errors: they count less than as many independent images."""


@dataclass(frozen=True)
class Hypothesis:
    """kind: "single" (a), "or" (a or b), "given" (a, if b is also in the image)."""

    kind: str
    a: str
    b: str = ""

    @property
    def label(self) -> str:
        """As it is written in a label."""
        return {"single": self.a, "or": f"{self.a} OR {self.b}", "given": f"{self.a} given {self.b}"}[self.kind]

    def holds(self, concepts: frozenset[str]) -> bool:
        """Whether an image with these atomic concepts should activate the unit."""
        a = bool(members_of(self.a) & concepts)
        if self.kind == "single":
            return a
        b = bool(members_of(self.b) & concepts)
        return (a or b) if self.kind == "or" else (a and b)


def _space() -> list[Hypothesis]:
    singles = [Hypothesis("single", concept) for concept in CONCEPTS]
    pairs = [(a, b) for a, b in itertools.combinations(CONCEPTS, 2) if not (members_of(a) & members_of(b))]
    either = [Hypothesis("or", a, b) for a, b in pairs]
    given = [Hypothesis("given", x, y) for a, b in pairs for x, y in ((a, b), (b, a)) if not _exclusive(x, y)]
    return singles + either + given


def _exclusive(a: str, b: str) -> bool:
    return family_of(a) == family_of(b) == "background"


SPACE: list[Hypothesis] = _space()
_INDEX = {concept: i for i, concept in enumerate(CONCEPTS)}
_A = np.array([_INDEX[h.a] for h in SPACE])
_B = np.array([_INDEX[h.b] if h.b else -1 for h in SPACE])
_KIND = np.array([{"single": 0, "or": 1, "given": 2}[h.kind] for h in SPACE])
_PRICE = np.array(
    [
        math.log(len(CONCEPTS)) * (1 if h.kind == "single" else 2)
        + GROUP_PRICE * ((h.a in GROUPS) + (h.b in GROUPS))
        + (math.log(2) if h.kind != "single" else 0.0)
        for h in SPACE
    ]
)


def concept_matrix(images: Sequence[frozenset[str]]) -> np.ndarray:
    """bool [images, concepts]: which concepts each image has."""
    rows = [[bool(members_of(concept) & image) for concept in CONCEPTS] for image in images]
    return np.array(rows, dtype=bool).reshape(len(images), len(CONCEPTS))


def predictions(images: Sequence[frozenset[str]]) -> np.ndarray:
    """bool [hypotheses, images]: where each hypothesis of SPACE predicts a response."""
    x = concept_matrix(images).T
    a = x[_A]
    b = np.where((_B >= 0)[:, None], x[_B], False)
    return np.where((_KIND == 0)[:, None], a, np.where((_KIND == 1)[:, None], a | b, a & b))


@dataclass(frozen=True)
class Fit:
    """Scores of all hypotheses. score: nats, higher is better. high, low: mean activation where it holds, and
    elsewhere."""

    score: np.ndarray
    high: np.ndarray
    low: np.ndarray
    count: np.ndarray
    order: np.ndarray

    def best(self, k: int) -> list[int]:
        """Indices in SPACE of the k best, best first."""
        return [int(i) for i in self.order[:k]]


def fit(evidence: Evidence) -> Fit:
    """How well every hypothesis explains the evidence."""
    score = -_PRICE + EXEMPLAR_WEIGHT * _exemplar_likelihood(evidence.exemplars)
    likelihood, high, low, count = _image_likelihood(evidence.observations, evidence.exemplars)
    score = score + likelihood
    return Fit(score, high, low, count, np.argsort(-score, kind="stable"))


def _image_likelihood(
    observations: Sequence[Observation], exemplars: Sequence[Exemplar]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    zeros = np.zeros(len(SPACE))
    if not observations:
        return zeros, zeros, zeros, zeros
    y = np.array([o.activation for o in observations])
    f = predictions([o.concepts for o in observations]).astype(np.float64)
    n, n1 = len(y), f.sum(1)
    n0 = n - n1
    s1, q1 = f @ y, f @ (y * y)
    high, low = s1 / np.maximum(n1, 1), (y.sum() - s1) / np.maximum(n0, 1)
    within = q1 - n1 * high**2 + ((y * y).sum() - q1) - n0 * low**2
    scale = max([float(np.ptp(y)), *[e.activation for e in exemplars], 1e-9])
    floor = n * (0.03 * scale) ** 2  # finer differences than 3 % of the range are not evidence for a word
    total = ((y - y.mean()) ** 2).sum()
    likelihood = 0.5 * n * (np.log(total + floor) - np.log(np.maximum(within, 0) + floor))
    # Without images on both sides, or with the lower mean where it predicts a response, nothing was explained.
    useless = (n1 < 1) | (n0 < 1) | (high <= low)
    return np.where(useless, -1.0 * (n1 >= 1), likelihood), high, low, n1


def _exemplar_likelihood(exemplars: Sequence[Exemplar]) -> np.ndarray:
    """Log-likelihood ratio of the descriptions against chance. Of a conditional only A is in the region; B may be
    anywhere."""
    if not exemplars:
        return np.zeros(len(SPACE))
    region = concept_matrix([e.region for e in exemplars])
    anywhere = concept_matrix([e.region | e.surroundings for e in exemplars])
    chance = np.array([min(0.6, CHANCE[family_of(c)] * len(members_of(c)) ** 0.8) for c in CONCEPTS])
    a, b = region[:, _A], np.where(_B >= 0, region[:, _B], False)
    either = np.where(_KIND == 1, a | b, a)
    p = np.where(_KIND == 1, 1 - (1 - chance[_A]) * (1 - chance[_B]), chance[_A])
    ratio = np.where(either, np.log(DESCRIBED / p), np.log((1 - DESCRIBED) / (1 - p))).sum(0)
    context = np.where(_B >= 0, anywhere[:, _B], False)
    p_context = np.minimum(0.8, 2.0 * chance[_B])  # somewhere in the picture is likelier than in the region
    seen = 0.7  # the surroundings are dark: a concept there is often missed
    extra = np.where(context, np.log(seen / p_context), np.log((1 - seen) / (1 - p_context))).sum(0)
    return ratio + np.where(_KIND == 2, extra, 0.0)
