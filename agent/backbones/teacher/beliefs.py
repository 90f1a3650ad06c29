"""What the teacher believes, from what the dialogue shows alone: of exemplars, of a sweep's table, of tests."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

from ....models.testbed.vocabulary import BACKGROUNDS, COLOURS, FAMILIES, GROUPS, NOUNS, PATTERNS
from .readings import Reading

WORDS: tuple[str, ...] = (*NOUNS, *COLOURS, *PATTERNS, *BACKGROUNDS, *GROUPS)
RATE = {"noun": 1 / 40, "colour": 1 / 12, "pattern": 1 / 18, "background": 1 / 10}
"""How often a word of each family is true of one object (a background: of a picture) of the dataset."""
SEEN = 0.95
"""How often a word that is there is read."""
PRIOR = {"single": 0.0, "or": -3.5, "given": -4.5}
"""Log-odds against explanations with two concepts, which are many."""
LOW, FULL = 0.35, 0.7
"""Shares of the highest rise: below LOW a word does nothing, above FULL it is enough by itself."""


def family_of(word: str) -> str:
    """The family of a word or group. Raises KeyError."""
    if word in GROUPS:
        return GROUPS[word][0]
    return next(family for family, words in FAMILIES.items() if word in words)


@cache
def members(word: str) -> frozenset[str]:
    """The words that make a word true: itself, or a group's."""
    return frozenset(GROUPS[word][1]) if word in GROUPS else frozenset((word,))


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
    return min(0.9, RATE[family_of(word)] * len(members(word)))


def _holds(word: str, words: frozenset[str]) -> bool:
    return not members(word).isdisjoint(words)


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
        if members(a) & members(b):
            continue
        both = sum(x or y for x, y in zip(hit[a], hit[b], strict=True))
        scores[Guess("or", a, b)] = PRIOR["or"] + evidence(both, _rate(a) + _rate(b))
    for a in inside:
        if sum(hit[a]) < 0.6 * total:
            continue
        for b in around:
            if members(a) & members(b) or (family_of(a) == family_of(b) == "background"):
                continue
            companions = sum(x and _holds(b, r.all) for x, r in zip(hit[a], readings, strict=True))
            pictures = _rate(b) if family_of(b) == "background" else min(0.9, 2 * _rate(b))
            scores[Guess("given", a, b)] = PRIOR["given"] + evidence(companions, _rate(a) * pictures)
    return sorted(scores, key=lambda guess: (-scores[guess], guess.label))[:count]


@dataclass(frozen=True)
class Sweep:
    """A sweep's line in the log. word: what was in all pictures ("anything": nothing was). words: (mean, pictures) of
    those with the highest means."""

    word: str
    mean: float
    lowest: float
    highest: float
    words: Mapping[str, tuple[float, int]]


_SWEEP = re.compile(
    r"^(?P<word>[a-z ]+): mean (?P<mean>-?[\d.]+), lowest (?P<low>-?[\d.]+), highest (?P<high>-?[\d.]+)\. "
    r"(?P<words>.+)$",
    re.MULTILINE,
)
_WORD = re.compile(r"([a-z ]+?) (-?[\d.]+) of (\d+)")
_TEST = re.compile(r"^(?P<name>[^:\n]+): mean (?P<mean>-?[\d.]+), lowest (-?[\d.]+), highest (-?[\d.]+)$", re.MULTILINE)


def read_sweeps(text: str) -> list[Sweep]:
    """The sweeps in a result."""
    return [
        Sweep(
            found["word"],
            float(found["mean"]),
            float(found["low"]),
            float(found["high"]),
            {word.strip(): (float(mean), int(n)) for word, mean, n in _WORD.findall(found["words"])},
        )
        for found in _SWEEP.finditer(text)
    ]


def read_tests(text: str) -> dict[str, float]:
    """Means of the tests in a result, by name."""
    return {found["name"]: float(found["mean"]) for found in _TEST.finditer(text)}


# A table counts the words of a prompt one by one.
_SPLIT = {"night city": ("night", "city"), "brick wall": ("brick", "wall")} | {
    pattern: (pattern.split()[0],) for pattern in PATTERNS if " " in pattern
}


def table_mean(sweep: Sweep, word: str) -> float:
    """The mean of a word or group in the table; minus infinity if it is not listed."""
    return next((sweep.words[part][0] for part in _SPLIT.get(word, (word,)) if part in sweep.words), -math.inf)


def _listed(sweep: Sweep) -> list[str]:
    """Words and groups that the table lists, in its order."""
    names = {part: word for word in WORDS for part in _SPLIT.get(word, (word,))}
    return list(dict.fromkeys(names[part] for part in sweep.words if part in names))


def _wider(word: str, high: Sequence[str]) -> str:
    """The group of a word if the table has that group high too."""
    return next((group for group in GROUPS if word in GROUPS[group][1] and group in high), word)


def conclude_sweep(anything: Sweep, fixed: Sweep, a: str) -> Guess | None:
    """What two sweeps say: of anything, and with `a` in every picture. None: nothing stands out."""
    base = min(anything.lowest, fixed.lowest)
    top = max(anything.highest, fixed.highest)
    if top - base <= 1e-6:
        return None
    high = base + FULL * (top - base)
    alone = [w for w in _listed(anything) if table_mean(anything, w) >= high and _count(anything, w) >= 2]
    if fixed.mean >= high:
        wide = _wider(a, alone)
        rest = [w for w in alone if not members(w) & members(wide)]
        return Guess("or", wide, _support(anything, rest)) if rest else Guess("single", wide)
    given = [w for w in _listed(fixed) if table_mean(fixed, w) >= high and not members(w) & members(a)]
    if given and fixed.highest >= high:
        return Guess("given", a, _support(fixed, given))
    return Guess("single", _support(anything, alone)) if alone else None


def _count(sweep: Sweep, word: str) -> int:
    part = next((p for p in _SPLIT.get(word, (word,)) if p in sweep.words), word)
    return sweep.words.get(part, (0.0, 0))[1]


def _support(sweep: Sweep, words: Sequence[str]) -> str:
    """The word with the most evidence, or its group if that is among the words."""

    def weight(word: str) -> float:
        mean, n = table_mean(sweep, word), _count(sweep, word)
        return mean * n / (n + 1)

    return _wider(max(words, key=weight), words)


def counts(readings: Sequence[Reading]) -> Counter[str]:
    """In how many of the readings each word is highlighted."""
    return Counter(word for reading in readings for word in reading.inside)
