"""The teacher: an experimenter that demonstrates, from whose dialogues a small language model learns.

It is told what the dataset's exemplars show (`readings`), which its student has to read from the pictures. All else it
takes from the dialogue, and it writes down what it saw before it decides, so that a student can follow.
"""

import random
from collections.abc import Callable, Sequence

from ....models.testbed.vocabulary import BACKGROUNDS, COLOURS, GROUPS, NOUNS, PATTERNS
from ..base import Message
from . import code, phrases
from .beliefs import FULL, Guess, Sweep, conclude_sweep, family_of, guesses, members, read_sweeps, read_tests
from .readings import Reading

LAST = "This was the last experiment."
SWEEPS = 3
"""Sweeps at most: after one in which nothing stood out, another with the next explanation."""


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
        self._tried: list[str] = []
        self._guess: Guess | None = None
        self._anything: Sweep | None = None
        self._fixed: Sweep | None = None
        self._believed: list[Guess] = []
        self._sweeps = 0
        self._asked: tuple[str, str] | None = None  # the last experiment: its kind and reply, to be written again

    async def reply(self, messages: Sequence[Message], seed: int, grammar: str | None = None) -> str:
        """The next experiment, or the conclusion."""
        turn = sum(message.role == "assistant" for message in messages) + 1
        result = messages[-1].text
        if turn == 1:
            return self._experiment("exemplars", phrases.first(self._rng), code.exemplar_code(), turn)
        kind = self._asked[0] if self._asked else "exemplars"
        if LAST in result:
            return self._last(result, kind)
        if "it has no exemplars" in result:
            return self._sweep(self._rng.choice(list(NOUNS)), phrases.NO_EXEMPLARS, ["not known yet"], turn)
        if _failed(result):
            return self._mended()
        if kind == "exemplars":
            return self._after_exemplars(result, turn)
        if kind == "sweep":
            return self._after_sweep(result, turn)
        return self._after_tests(result)

    # --- steps

    def _after_exemplars(self, result: str, turn: int) -> str:
        readings = list(self._readings())[: code.EXEMPLARS]
        self._believed = guesses(readings)
        seen = phrases.seen(readings)
        best = self._believed[0]
        if self._rng.random() < self._wrong and len(self._believed) > 1:
            words = {word for reading in readings for word in reading.inside if word not in best.label} - {"surface"}
            if words:
                self.untrained.add(turn)
                best = Guess("single", self._rng.choice(sorted(words)))
                self._believed = [best, *self._believed]
        return self._sweep(best.a, seen, [guess.label for guess in self._believed[:3]], turn)

    def _sweep(self, word: str, before: str, hypotheses: Sequence[str], turn: int) -> str:
        self._tried.append(word)
        self._sweeps += 1
        sweeps = [] if self._anything else [("", 0)]
        sweeps.append((word, code.SLOTS[family_of(word)]))
        written = code.sweep_code(sweeps, self._rng.randrange(1, 100))
        return self._experiment("sweep", phrases.hypotheses(before, hypotheses), written, turn)

    def _after_sweep(self, result: str, turn: int) -> str:
        guess = self._swept(result)
        if guess is None:
            following = [g for g in self._believed if g.a not in self._tried] or [
                Guess("single", g.b) for g in self._believed if g.b and g.b not in self._tried
            ]
            if following and self._sweeps < SWEEPS:
                before = phrases.nothing(self._tried[-1], self._fixed)
                return self._sweep(following[0].a, before, [g.label for g in following[:3]], turn)
            guess = self._believed[0] if self._believed else Guess("single", self._tried[-1])
        self._guess = guess
        before = phrases.table(guess, self._tried[-1], self._anything, self._fixed)
        others = [g.label for g in self._believed if g != guess][:1]
        tests, fillers = self._tests(guess)
        return self._experiment(
            "tests", phrases.hypotheses(before, [guess.label, *others]), code.tests_code(tests, fillers), turn
        )

    def _last(self, result: str, kind: str) -> str:
        """The answer when no experiment is left: from what there is."""
        if kind == "tests":
            return self._after_tests(result)
        if kind == "exemplars":
            self._believed = guesses(list(self._readings())[: code.EXEMPLARS])
            return phrases.conclusion(self._believed[0], {}, self._rng)
        return phrases.conclusion(self._swept(result) or self._believed[0], {}, self._rng)

    def _swept(self, result: str) -> Guess | None:
        """What the last sweeps say. None: nothing stands out, or they failed."""
        sweeps = read_sweeps(result)
        self._anything = self._anything or next((sweep for sweep in sweeps if sweep.word == "anything"), None)
        self._fixed = next((sweep for sweep in sweeps if sweep.word == self._tried[-1]), None)
        if self._anything is None or self._fixed is None:
            return None
        return conclude_sweep(self._anything, self._fixed, self._tried[-1])

    def _after_tests(self, result: str) -> str:
        assert self._guess is not None
        means = read_tests(result)
        guess = judged(self._guess, means)
        return phrases.conclusion(guess, means, self._rng)

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

    def _tests(self, guess: Guess) -> tuple[dict[str, list[str]], list[str]]:
        """Prompts that should raise the activation, and prompts that should not, by name; and what stands beside."""
        taken = members(guess.a) | (members(guess.b) if guess.b else frozenset())
        pick = _Words(self._rng, taken)
        fillers = [pick.thing() for _ in range(3)]
        a, b = guess.a, guess.b
        if guess.kind == "or":
            tests = {
                f"{a} without {b}": [pick.form(a), pick.form(a)],
                f"{b} without {a}": [pick.form(b), pick.form(b)],
                "neither": [pick.form(), pick.form()],
            }
        elif guess.kind == "given":
            tests = {
                f"{a} with {b}": [pick.form(a, b), pick.form(a, b)],
                f"{a} without {b}": [pick.form(a), pick.form(a)],
                f"{b} without {a}": [pick.form(b), pick.form(b)],
            }
        else:
            tests = {a: [pick.form(a), pick.form(a)], f"no {a}": [pick.form(), pick.form()]}
        return tests, fillers


def judged(guess: Guess, means: dict[str, float]) -> Guess:
    """The explanation as the tests leave it."""
    a, b = guess.a, guess.b
    top = max(means.values(), default=0.0)
    if guess.kind == "single" or top <= 0 or (guess.kind == "given" and means.get(f"{a} with {b}", 0.0) < FULL * top):
        return guess
    only_a, only_b = means.get(f"{a} without {b}", 0.0), means.get(f"{b} without {a}", 0.0)
    low = min(means.values())
    low = low if low < top / 2 else 0.0  # nothing was low: then all of it is high
    high = low + FULL * (top - low)
    if guess.kind == "or":
        if only_a >= high and only_b >= high:
            return guess
        return Guess("single", a if only_a >= only_b else b)
    if only_a >= high and only_b >= high:
        return Guess("or", a, b)
    if only_a >= high:
        return Guess("single", a)
    return Guess("single", b) if only_b >= high else guess


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
