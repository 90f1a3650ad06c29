"""The teacher: an experimenter that demonstrates, from whose dialogues a small language model learns.

It decides from the dialogue alone, and by what stands there in words: its code counts and compares, so that a student
can follow.
"""

import random
from collections.abc import Mapping, Sequence
from itertools import zip_longest

from ....models.testbed.vocabulary import BACKGROUNDS, COLOURS, GROUPS, NOUNS
from ..base import Message
from ..scripted.evidence import family_of, members_of
from . import code, phrases
from .beliefs import Guess, guesses, named, read_counts, read_high, refuted

LAST = "This was the last experiment."
ROUNDS = 3
"""Rounds of tests at most: after one in which nothing was high, another with the next words."""
WORDS = 5
"""Words that a round tests at most."""
PAIRS = 3
"""Pairs of them that a round tests at most."""
FILLERS = 4
"""Pictures of a test, each with other things around the concept."""


class Teacher:
    """Implements `Backbone` for one unit.

    wrong: how often the first explanation that is tried is another than the best; slip: how often code is written with
    a mistake. Replies of both kinds are named in `untrained` (turns, from 1): a student is not to imitate them, but
    what follows them.
    """

    name = "teacher"
    prompts = "brief"

    def __init__(self, seed: int, wrong: float = 0.1, slip: float = 0.08) -> None:
        self._rng = random.Random(f"teacher/{seed}")
        self._wrong, self._slip = wrong, slip
        self.untrained: set[int] = set()
        self._believed: list[Guess] = []
        self._tested: set[str] = set()
        self._low: set[str] = set()
        self._exemplars = True
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
            self._exemplars = False
            return self._tests(phrases.NO_EXEMPLARS, words, turn)
        if _failed(result):
            return self._mended()
        if kind == "exemplars":
            return self._after_exemplars(result, turn)
        return self._after_tests(result, turn)

    # --- steps

    def _after_exemplars(self, result: str, turn: int) -> str:
        counts = read_counts(result)
        assert counts is not None, result
        self._believed = guesses(counts)
        words = _words_of(self._believed)
        if self._rng.random() < self._wrong:
            seen = {word for word in counts.bright if word not in words}
            if len(seen) >= 2:
                self.untrained.add(turn)
                words = self._rng.sample(sorted(seen), 2)
        return self._tests("", words, turn)

    def _after_tests(self, result: str, turn: int) -> str:
        guess = read_high(result)
        self._low |= self._tested
        if guess is None and self._rounds < ROUNDS:
            left = [guess for guess in self._believed if not refuted(guess, self._low)]
            if left:
                self._believed = left
                return self._tests("", _words_of(left), turn)
        return phrases.conclusion(guess or self._believed[0])

    def _last(self, result: str, kind: str) -> str:
        """The answer when no experiment is left: from what there is."""
        counts, guess = read_counts(result), None
        if counts is not None:
            self._believed = guesses(counts)
        elif kind == "tests":
            guess = read_high(result)
        believed = self._believed or [Guess("single", self._rng.choice(list(NOUNS)))]
        return phrases.conclusion(guess or believed[0])

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
        tests = {word: _form(word) for word in words}
        pairs = [(g.a, g.b) for g in self._believed if g.kind == "given" and {g.a, g.b} <= set(words)]
        if not pairs and len(words) > 1:
            pairs = [(words[0], words[1])]
        tests |= {named(a, b): _form(a, b) for a, b in pairs[:PAIRS]}
        tests[code.NEITHER] = _form()
        self._tested = set(tests)
        labels = [guess.label for guess in self._believed if {guess.a, guess.b or guess.a} <= set(words)][:2]
        fill = _fillers(self._rng, frozenset().union(*(members_of(word) for word in words)))
        before = phrases.hypotheses(before, labels or [words[0]])
        reply = self._experiment("tests", before, code.tests_code(tests, fill, self._exemplars), turn)
        if turn not in self.untrained and (mistaken := _mistaken(tests)) and self._rng.random() < self._slip:
            self.untrained.add(turn)
            return phrases.experiment(before, code.tests_code(mistaken, fill, self._exemplars))
        return reply


def _words_of(believed: Sequence[Guess]) -> list[str]:
    """The words of the best explanation, then of the best alternatives and conditions in turn; of a group and its
    members the first alone, so that one being high says all."""
    given, either = ([guess for guess in believed if guess.kind == kind] for kind in ("given", "or"))
    turns = [guess for pair in zip_longest(given, either) for guess in pair if guess is not None]
    words: list[str] = []
    for word in (word for guess in (*believed[:1], *turns, *believed) for word in (guess.a, guess.b) if word):
        if all(members_of(word).isdisjoint(members_of(other)) for other in words):
            words.append(word)
    return words[:WORDS]


def _failed(result: str) -> bool:
    return "This reply does not count as an experiment." in result or "Your code raised an error" in result


def _fillers(rng: random.Random, taken: frozenset[str]) -> list[tuple[str, ...]]:
    """Random (colour, noun, background), FILLERS times: none of the concepts in question, nor of their groups."""
    related = {word for _, members in GROUPS.values() if taken & set(members) for word in members}
    free = ([word for word in family if word not in taken | related] for family in (COLOURS, NOUNS, BACKGROUNDS))
    return list(zip(*(rng.sample(words, FILLERS) for words in free), strict=True))


def _mistaken(tests: Mapping[str, str]) -> dict[str, str]:
    """The tests with places in the place of things: the world refuses to draw those, and the code leaves them out.
    Empty where there are none."""
    wrong = {name: f"a {{c}} {name}, {{p}}" for name in tests if name in BACKGROUNDS}
    return {**tests, **wrong} if wrong else {}


def _form(*concepts: str) -> str:
    """A prompt that holds the concepts, with places {c}, {n} and {p} for a colour, a noun and a background."""
    sides: list[dict[str, str]] = [{}, {}]
    place = "{p}"
    for concept in concepts:
        family = family_of(concept)
        if family == "background":
            place = concept
        else:
            sides[int(family in sides[0])][family] = concept
    things = [
        " ".join(
            [side.get("colour", "{c}"), *([side["pattern"]] if "pattern" in side else []), side.get("noun", "{n}")]
        )
        for side in sides
        if side or side is sides[0]
    ]
    return f"a {' and a '.join(things)}, {place}"
