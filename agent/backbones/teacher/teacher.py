"""The teacher: an experimenter that demonstrates, from whose dialogues a small language model learns.

It is told what the dataset's exemplars show (`readings`), which its student has to read from the pictures. All else it
takes from the dialogue, and it writes down what it saw before it decides, so that a student can follow.
"""

import random
import re
from collections.abc import Callable, Sequence

from ....models.testbed.vocabulary import BACKGROUNDS, COLOURS, GROUPS, NOUNS, PATTERNS
from ..base import Message
from ..scripted.evidence import family_of, members_of
from . import code, phrases
from .beliefs import NEITHER, Guess, guesses, judged, named, read_tests
from .readings import Reading

LAST = "This was the last experiment."
ROUNDS = 3
"""Rounds of tests at most: after one in which nothing was high, another with the next words."""
WORDS = 3
"""Words that a round tests at most."""


class Teacher:
    """Implements `Backbone` for one unit. readings: of the unit's exemplars, in their order.

    wrong: how often the first explanation that is tried is another than the best; slip: how often code is written with
    a mistake. Replies of both kinds are named in `untrained` (turns, from 1): a student is not to imitate them, but
    what follows them.
    """

    name = "teacher"
    prompts = "brief"

    def __init__(
        self, readings: Callable[[], Sequence[Reading]], seed: int, wrong: float = 0.1, slip: float = 0.08
    ) -> None:
        self._readings = readings
        self._rng = random.Random(f"teacher/{seed}")
        self._wrong, self._slip = wrong, slip
        self.untrained: set[int] = set()
        self._believed: list[Guess] = []
        self._words: list[str] = []
        self._tried: set[str] = set()
        self._scale = 0.0
        self._rounds = 0
        self._asked: tuple[str, str] | None = None  # the last experiment: its kind and reply, to be written again

    async def reply(self, messages: Sequence[Message], seed: int, grammar: str | None = None) -> str:
        """The next experiment, or the conclusion."""
        turn = sum(message.role == "assistant" for message in messages) + 1
        result = messages[-1].text
        if turn == 1:
            return self._experiment("exemplars", phrases.first(), code.exemplar_code(), turn)
        kind = self._asked[0] if self._asked else "exemplars"
        if LAST in result:
            return self._last(result, kind)
        if "it has no exemplars" in result:
            words = [self._rng.choice(list(family)) for family in (NOUNS, COLOURS, BACKGROUNDS)]
            self._believed = [Guess("single", word) for word in words]
            return self._tests(phrases.NO_EXEMPLARS, words, turn)
        if _failed(result):
            return self._mended()
        if kind == "exemplars":
            return self._after_exemplars(result, turn)
        return self._after_tests(result, turn)

    # --- steps

    def _after_exemplars(self, result: str, turn: int) -> str:
        readings = list(self._readings())[: code.EXEMPLARS]
        self._scale = _mean_activation(result)
        self._believed = guesses(readings)
        words = _words_of(self._believed)
        if self._rng.random() < self._wrong:
            seen = {word for reading in readings for word in reading.inside} - {"surface", *words}
            if len(seen) >= WORDS:
                self.untrained.add(turn)
                words = self._rng.sample(sorted(seen), 2)
        return self._tests(phrases.seen(readings), words, turn)

    def _after_tests(self, result: str, turn: int) -> str:
        means = read_tests(result)
        guess = judged(self._words, means, self._scale)
        told = phrases.result(means, self._scale, guess)
        if guess is None and self._rounds < ROUNDS:
            left = [g for g in self._believed if not {g.a, g.b or g.a} <= self._tried]
            if left:
                return self._tests(told, _words_of(left), turn)
        return f"{told}\n{phrases.conclusion(guess or self._believed[0], means, self._rng)}"

    def _last(self, result: str, kind: str) -> str:
        """The answer when no experiment is left: from what there is."""
        if kind == "exemplars":
            self._believed = guesses(list(self._readings())[: code.EXEMPLARS])
            return phrases.conclusion(self._believed[0], {}, self._rng)
        means = read_tests(result)
        guess = judged(self._words, means, self._scale) if means else None
        return phrases.conclusion(guess or self._believed[0], means, self._rng)

    # --- writing

    def _experiment(self, kind: str, before: str, written: str, turn: int) -> str:
        self._asked = (kind, phrases.experiment(before, written))
        if self._rng.random() < self._slip:
            broken = phrases.slipped(written, self._rng)
            if broken != written:
                self.untrained.add(turn)
                return phrases.experiment(before, broken)
        return self._asked[1]

    def _mended(self) -> str:
        assert self._asked is not None
        return self._asked[1]

    def _tests(self, before: str, words: Sequence[str], turn: int) -> str:
        """Tests of each word without the others, of pairs together, and of none."""
        self._rounds += 1
        self._words = list(words)
        self._tried |= set(words)
        pick = _Words(self._rng, frozenset().union(*(members_of(word) for word in words)))
        tests = {word: pick.forms(word) for word in words}
        pairs = [(g.a, g.b) for g in self._believed if g.b and g.kind == "given" and {g.a, g.b} <= set(words)]
        if not pairs and len(words) > 1:
            pairs = [(words[0], words[1])]
        tests |= {named(a, b): pick.forms(a, b) for a, b in pairs[:2]}
        tests[NEITHER] = pick.forms()
        labels = [guess.label for guess in self._believed if {guess.a, guess.b or guess.a} <= set(words)][:2] or [
            words[0]
        ]
        written = code.tests_code(tests, [pick.thing() for _ in range(2)])
        return self._experiment("tests", phrases.hypotheses(before, labels), written, turn)


def _words_of(believed: Sequence[Guess]) -> list[str]:
    """The words of the best explanations, the best first."""
    words = dict.fromkeys(word for guess in believed for word in (guess.a, guess.b) if word)
    return list(words)[:WORDS]


_VALUE = re.compile(r"^\(\d+\) exemplar, activation (-?[\d.eE+-]+)$", re.MULTILINE)


def _mean_activation(result: str) -> float:
    values = [float(value) for value in _VALUE.findall(result)]
    return sum(values) / len(values) if values else 0.0


def _failed(result: str) -> bool:
    return "This reply does not count as an experiment." in result or "Your code raised an error" in result


class _Words:
    """Random words that are none of the concepts in question, nor their groups."""

    def __init__(self, rng: random.Random, taken: frozenset[str]) -> None:
        self._rng = rng
        related = {word for group in GROUPS.values() if taken & set(group[1]) and len(taken) > 1 for word in group[1]}
        free = lambda words: [w for w in words if w not in taken and w not in related]  # noqa: E731
        self._nouns, self._colours = free(NOUNS), free(COLOURS)
        self._patterns, self._places = free(PATTERNS), free(BACKGROUNDS)

    def thing(self) -> str:
        """A colour, a pattern and a noun."""
        choose = self._rng.choice
        return f"{choose(self._colours)} {choose(self._patterns)} {choose(self._nouns)}"

    def forms(self, *concepts: str) -> list[str]:
        """Two prompts that hold the concepts."""
        return [self.form(*concepts), self.form(*concepts)]

    def form(self, *concepts: str) -> str:
        """A prompt that holds the concepts, and a place {} for another thing."""
        choose = self._rng.choice
        sides = [
            {"colour": choose(self._colours), "pattern": choose(self._patterns), "noun": choose(self._nouns)}
            for _ in range(2)
        ]
        place, used = choose(self._places), [set[str](), set[str]()]
        for concept in concepts:
            family = family_of(concept)
            if family == "background":
                place = concept
            else:
                side = int(family in used[0])
                sides[side][family] = concept
                used[side].add(family)
        things = ["{colour} {pattern} {noun}".format(**side) for side in (sides if used[1] else sides[:1])]
        return f"a {' and a '.join(things)} and a {{}}, {place}"
