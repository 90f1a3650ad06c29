"""What the teacher believes, from what the dialogue shows alone: of exemplars, and of tests."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from ....models.testbed.vocabulary import BACKGROUNDS, COLOURS, GROUPS, NOUNS, PATTERNS
from ..scripted.evidence import family_of, members_of
from .readings import Reading

WORDS: tuple[str, ...] = (*NOUNS, *COLOURS, *PATTERNS, *BACKGROUNDS, *GROUPS)
RATE = {"noun": 1 / 40, "colour": 1 / 12, "pattern": 1 / 18, "background": 1 / 10}
"""How often a word of each family is true of one object (a background: of a picture) of the dataset."""
SEEN = 0.95
"""How often a word that is there is read."""
PRIOR = {"single": 0.0, "or": -3.5, "given": -4.5}
"""Log-odds against explanations with two concepts, which are many."""
LOW, FULL = 0.35, 0.7
"""Shares: a test below LOW of the exemplars' activations shows nothing; one that comes FULL of the way up is high."""


@dataclass(frozen=True)
class Guess:
    """An explanation: a ("single"), a or b ("or"), a where b is in the picture ("given")."""

    kind: str
    a: str
    b: str = ""

    @property
    def label(self) -> str:
        """As it is said."""
        return {"single": self.a, "or": f"{self.a} OR {self.b}", "given": f"{self.a} given {self.b}"}[self.kind]


def _rate(word: str) -> float:
    return min(0.9, RATE[family_of(word)] * len(members_of(word)))


def _holds(word: str, words: frozenset[str]) -> bool:
    return not members_of(word).isdisjoint(words)


def guesses(readings: Sequence[Reading], count: int = 4) -> list[Guess]:
    """The best explanations of the exemplars' readings, by their likelihood against chance; the best first."""
    scores: dict[Guess, float] = {}
    total = len(readings)
    inside = [word for word in WORDS if any(_holds(word, reading.inside) for reading in readings)]
    around = [word for word in WORDS if any(_holds(word, reading.all) for reading in readings)]

    def evidence(hits: int, rate: float) -> float:
        rate = min(rate, 0.9)
        return hits * math.log(SEEN / rate) + (total - hits) * math.log((1 - SEEN) / (1 - rate))

    hit = {word: [_holds(word, reading.inside) for reading in readings] for word in inside}
    for word in inside:
        scores[Guess("single", word)] = PRIOR["single"] + evidence(sum(hit[word]), _rate(word))
    often = [word for word in inside if sum(hit[word]) >= 2]
    for a, b in combinations(often, 2):
        if members_of(a) & members_of(b):
            continue
        both = sum(x or y for x, y in zip(hit[a], hit[b], strict=True))
        scores[Guess("or", a, b)] = PRIOR["or"] + evidence(both, _rate(a) + _rate(b))
    for a in inside:
        if sum(hit[a]) < 0.6 * total:
            continue
        for b in around:
            if members_of(a) & members_of(b) or (family_of(a) == family_of(b) == "background"):
                continue
            companions = sum(x and _holds(b, r.all) for x, r in zip(hit[a], readings, strict=True))
            pictures = _rate(b) if family_of(b) == "background" else min(0.9, 2 * _rate(b))
            scores[Guess("given", a, b)] = PRIOR["given"] + evidence(companions, _rate(a) * pictures)
    return sorted(scores, key=lambda guess: (-scores[guess], guess.label))[:count]


_TEST = re.compile(r"^(?P<name>[^:\n]+): mean (?P<mean>-?[\d.]+)$", re.MULTILINE)


def read_tests(text: str) -> dict[str, float]:
    """Means of the tests in a result, by name."""
    return {found["name"]: float(found["mean"]) for found in _TEST.finditer(text)}


NEITHER = "none of these"
"""Name of the test whose pictures hold no concept in question."""


def named(a: str, b: str) -> str:
    """Name of the test whose pictures hold both."""
    return f"{a} + {b}"


def judged(words: Sequence[str], means: Mapping[str, float], scale: float) -> Guess | None:
    """What the tests say of the words that they are of. scale: the exemplars' mean activation.

    None: nothing is high. High is what comes FULL of the way from the lowest test to the highest.
    """
    low, top = min(means.values(), default=0.0), max(means.values(), default=0.0)
    if top < LOW * scale or top - low < LOW * top:
        return None
    high = low + FULL * (top - low)
    alone = [word for word in words if means.get(word, low) >= high]
    # Of a group and its members the group, if that is high: it says more.
    alone = [w for w in alone if not any(w != o and members_of(w) <= members_of(o) for o in alone)]
    if len(alone) > 1:
        return Guess("or", *alone[:2])
    if alone:
        return Guess("single", alone[0])
    both = [(a, b) for a in words for b in words if means.get(named(a, b), low) >= high]

    def within(pair: tuple[str, str], other: tuple[str, str]) -> bool:
        return pair != other and all(members_of(a) <= members_of(b) for a, b in zip(pair, other, strict=True))

    wide = [pair for pair in both if not any(within(pair, other) for other in both)]
    return Guess("given", *wide[0]) if wide else None
