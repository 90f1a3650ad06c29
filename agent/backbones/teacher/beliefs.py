"""What the teacher believes, from what the dialogue shows alone: of words counted in exemplars, and of tests."""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import combinations

from ....models.testbed.vocabulary import BACKGROUNDS, COLOURS, GROUPS, NOUNS, PATTERNS
from ...word_counts import BRIGHT, WHOLE
from ..scripted.evidence import family_of, members_of

WORDS: tuple[str, ...] = (*NOUNS, *COLOURS, *PATTERNS, *BACKGROUNDS, *GROUPS)
RATE = {"noun": 1 / 40, "colour": 1 / 12, "pattern": 1 / 18, "background": 1 / 10}
"""How often a word of each family is true of one object (a background: of a picture) of the dataset."""
SEEN = 0.9
"""How often a word that is there is read."""
PRIOR = {"single": 0.0, "or": -3.5, "given": -4.5}
"""Log-odds against explanations with two concepts, which are many."""


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


@dataclass(frozen=True)
class Counts:
    """Of `total` exemplars: how many hold a word in their bright region, and in the whole picture."""

    total: int
    bright: Mapping[str, int]
    picture: Mapping[str, int]


_TOTAL = re.compile(r"^(\d+) pictures$", re.MULTILINE)
_LIST = {name: re.compile(rf"^{name}: (.+)$", re.MULTILINE) for name in (BRIGHT, WHOLE)}
_HIGH = re.compile(r"^high: (.+)$", re.MULTILINE)


def read_counts(text: str) -> Counts | None:
    """The counts in a result; None where it holds none."""
    total, bright, picture = _TOTAL.search(text), _LIST[BRIGHT].search(text), _LIST[WHOLE].search(text)
    if total is None or bright is None or picture is None:
        return None
    return Counts(int(total[1]), _counted(bright[1]), _counted(picture[1]))


def _counted(listed: str) -> dict[str, int]:
    pairs = (entry.rpartition(" ") for entry in listed.split(", "))
    return {word: int(count) for word, _, count in pairs if word in WORDS}


def guesses(counts: Counts) -> list[Guess]:
    """The explanations of what was counted, by their likelihood against chance; the best first."""
    scores: dict[Guess, float] = {}
    total = counts.total

    def evidence(hits: int, rate: float) -> float:
        rate = min(rate, 0.9)
        return hits * math.log(SEEN / rate) + (total - hits) * math.log((1 - SEEN) / (1 - rate))

    inside, around = counts.bright, counts.picture
    for word, found in inside.items():
        scores[Guess("single", word)] = PRIOR["single"] + evidence(found, _rate(word))
    often = [word for word, found in inside.items() if found >= 2]
    for a, b in combinations(sorted(often, key=lambda word: -inside[word]), 2):
        if members_of(a).isdisjoint(members_of(b)):
            either = min(total, inside[a] + inside[b])
            scores[Guess("or", a, b)] = PRIOR["or"] + evidence(either, _rate(a) + _rate(b))
    for a in (word for word, found in inside.items() if found >= 0.6 * total):
        for b, found in around.items():
            if members_of(a) & members_of(b) or (family_of(a) == family_of(b) == "background"):
                continue
            pictures = _rate(b) if family_of(b) == "background" else min(0.9, 2 * _rate(b))
            together = max(0, inside[a] + found - total)
            scores[Guess("given", a, b)] = PRIOR["given"] + evidence(together, _rate(a) * pictures)
    return sorted(scores, key=lambda guess: (-scores[guess], guess.label))


def read_high(text: str) -> Guess | None:
    """What a result says is high: the explanation that its tests leave; None where nothing is, or it tells of none."""
    high = _HIGH.search(text)
    if high is None or high[1] == NOTHING:
        return None
    for kind, between in (("given", " given "), ("or", " OR ")):
        if between in high[1]:
            return Guess(kind, *high[1].split(between))
    return Guess("single", high[1])


NOTHING = "nothing"


def named(a: str, b: str) -> str:
    """Name of the test whose pictures hold both."""
    return f"{a} + {b}"


def refuted(guess: Guess, low: Collection[str]) -> bool:
    """Whether tests that were low speak against it."""
    if guess.kind == "given":
        return named(guess.a, guess.b) in low
    return guess.a in low or (guess.b in low and bool(guess.b))
