"""Experimental design: which images to make next. Every function returns settings, each fully specified."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ....models.testbed.vocabulary import BACKGROUNDS, COLOURS, NOUNS, PATTERNS, PLAIN
from .evidence import family_of, members_of
from .hypotheses import SPACE, Fit, Hypothesis, predictions

SCREEN_IMAGES = 80
FOCUS_IMAGES = 36
DISCRIMINATE_IMAGES = 32
EDIT_BASES = 5


@dataclass(frozen=True)
class Thing:
    """An object of a setting."""

    noun: str
    colour: str
    pattern: str

    def text(self) -> str:
        """As a prompt says it."""
        words = f"{self.colour} {self.noun}" if self.pattern == PLAIN else f"{self.colour} {self.pattern} {self.noun}"
        return f"a plain {words}" if self.pattern == PLAIN else f"{'an' if words[0] in 'aeio' else 'a'} {words}"

    @property
    def concepts(self) -> frozenset[str]:
        return frozenset((self.noun, self.colour, self.pattern)) - {PLAIN}


@dataclass(frozen=True)
class Setting:
    """A picture to make: one or two objects and a background."""

    first: Thing
    background: str
    second: Thing | None = None

    def text(self) -> str:
        """The prompt."""
        beside = f" beside {self.second.text()}" if self.second else ""
        return f"{self.first.text()}{beside} {BACKGROUNDS[self.background].phrase}"

    @property
    def concepts(self) -> frozenset[str]:
        second = self.second.concepts if self.second else frozenset()
        return self.first.concepts | second | {self.background}


class Deck:
    """Words of a family in shuffled rounds, so that each is used before any comes again."""

    def __init__(self, words: Sequence[str], rng: random.Random) -> None:
        self._words, self._rng = list(words), rng
        self._left: list[str] = []

    def draw(self, avoid: frozenset[str] = frozenset()) -> str:
        """The next word that is not to be avoided."""
        for _ in range(2):
            for position, word in enumerate(self._left):
                if word not in avoid:
                    return self._left.pop(position)
            self._left += self._rng.sample(self._words, len(self._words))
        return self._rng.choice(self._words)


class Designer:
    """Draws settings from decks of all words; one designer for each experiment."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self._nouns = Deck(tuple(NOUNS), self.rng)
        self._colours = Deck(tuple(COLOURS), self.rng)
        self._patterns = Deck(PATTERNS, self.rng)
        self._backgrounds = Deck(tuple(BACKGROUNDS), self.rng)

    def thing(self, avoid: frozenset[str] = frozenset(), patterned: float = 0.7) -> Thing:
        """The next object."""
        pattern = self._patterns.draw(avoid) if self.rng.random() < patterned else PLAIN
        return Thing(self._nouns.draw(avoid), self._colours.draw(avoid), pattern)

    def setting(self, avoid: frozenset[str] = frozenset(), two: float = 0.0) -> Setting:
        """A setting without the words to avoid; with a second object in a share `two` of cases."""
        second = self.thing(avoid) if self.rng.random() < two else None
        return Setting(self.thing(avoid), self._backgrounds.draw(avoid), second)

    def with_concept(self, concept: str, setting: Setting, second: bool = False) -> Setting:
        """The setting changed so that it has the concept, on the second object if asked for."""
        word = self.rng.choice(sorted(members_of(concept)))
        family = family_of(concept)
        if family == "background":
            return replace(setting, background=word)
        if second and setting.second is None:
            setting = replace(setting, second=self.thing(setting.concepts))
        if second:
            return replace(setting, second=replace(setting.second, **{family: word}))  # type: ignore[type-var]
        return replace(setting, first=replace(setting.first, **{family: word}))

    def positive(self, hypothesis: Hypothesis, avoid: frozenset[str] = frozenset()) -> Setting:
        """A setting in which the hypothesis holds."""
        if hypothesis.kind == "or":
            concept = self.rng.choice((hypothesis.a, hypothesis.b))
            other = hypothesis.b if concept == hypothesis.a else hypothesis.a
            return self.with_concept(concept, self.setting(avoid | members_of(other)))
        setting = self.with_concept(hypothesis.a, self.setting(avoid))
        if hypothesis.kind == "given":
            same = family_of(hypothesis.a) == family_of(hypothesis.b)
            setting = self.with_concept(hypothesis.b, setting, second=same or self.rng.random() < 0.4)
        return setting


def screen(designer: Designer) -> list[Setting]:
    """A broad sweep: every noun twice and more, the other words many times, in new combinations."""
    return [designer.setting() for _ in range(SCREEN_IMAGES)]


def focus(designer: Designer, concepts: Sequence[str]) -> list[Setting]:
    """Each of the concepts with everything else in turn: one image tests six other concepts (group testing)."""
    settings = []
    for rank, concept in enumerate(concepts):
        for _ in range(FOCUS_IMAGES if rank == 0 else FOCUS_IMAGES // 2 if rank == 1 else 4):
            settings.append(designer.with_concept(concept, designer.setting(two=0.8 if rank < 2 else 0.2)))
    return settings


def discriminate(designer: Designer, fit: Fit, top: int = 24) -> list[Setting]:
    """The images on whose outcome the best hypotheses disagree most, given how plausible each is."""
    best = fit.best(top)
    score = fit.score[best]
    weight = np.exp((score - score.max()) / 8.0)  # flattened: second thoughts deserve tests too
    weight /= weight.sum()
    pool = list(_pool(designer, [SPACE[i] for i in best]))
    outcome = predictions([setting.concepts for setting in pool])[best].astype(np.float64)
    expected = weight @ outcome
    order = sorted(range(len(pool)), key=lambda i: -expected[i] * (1 - expected[i]))
    chosen: list[Setting] = []
    seen: dict[bytes, int] = {}
    for i in order:
        key = outcome[:, i].tobytes()
        if seen.get(key, 0) < 4 and len(chosen) < DISCRIMINATE_IMAGES:
            seen[key] = seen.get(key, 0) + 1
            chosen.append(pool[i])
    return chosen


def _pool(designer: Designer, hypotheses: Sequence[Hypothesis], each: int = 14) -> Iterator[Setting]:
    """Settings around each hypothesis: where it holds, where only a part of it holds, and where nothing does."""
    for hypothesis in hypotheses:
        for i in range(each):
            base = designer.setting(two=0.3)
            if i % 3 == 0 or hypothesis.kind == "single":
                yield designer.positive(hypothesis)
            else:
                yield designer.with_concept(hypothesis.a if i % 3 == 1 else hypothesis.b, base)
    for _ in range(each):
        yield designer.setting()


@dataclass(frozen=True)
class EditPair:
    """A setting, one instruction, and the setting that it should lead to."""

    before: Setting
    instruction: str
    after: Setting


def edits(designer: Designer, hypothesis: Hypothesis) -> list[EditPair]:
    """From images in which the hypothesis holds, change one factor at a time: those it names and those it does not."""
    named = members_of(hypothesis.a) | (members_of(hypothesis.b) if hypothesis.b else frozenset())
    pairs = []
    for _ in range(EDIT_BASES):
        before = designer.positive(hypothesis)
        while before.second is not None and before.second.noun == before.first.noun:
            before = designer.positive(hypothesis)
        other = designer.setting(avoid=named | before.concepts)
        first = before.first
        pairs += [
            EditPair(
                before,
                f"replace the {first.noun} with a {other.first.noun}",
                replace(before, first=replace(first, noun=other.first.noun)),
            ),
            EditPair(
                before,
                f"make the {first.noun} {other.first.colour}",
                replace(before, first=replace(first, colour=other.first.colour)),
            ),
            EditPair(
                before, f"change the background to {other.background}", replace(before, background=other.background)
            ),
        ]
        if other.first.pattern != PLAIN:
            after = replace(before, first=replace(first, pattern=other.first.pattern))
            pairs.append(EditPair(before, f"make the {first.noun} {other.first.pattern}", after))
        if before.second is not None:
            after = replace(before, second=replace(before.second, noun=other.first.noun))
            pairs.append(EditPair(before, f"replace the {before.second.noun} with a {other.first.noun}", after))
    return pairs
