"""The teacher: what it sees, what it concludes from tables, and that its code and replies are sound."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from maia.agent.api import methods_of
from maia.agent.backbones.teacher import code, phrases
from maia.agent.backbones.teacher.beliefs import Guess, Sweep, conclude_sweep, guesses, read_sweeps, read_tests
from maia.agent.backbones.teacher.readings import Reading, Thing, read_scene
from maia.agent.backbones.teacher.teacher import judged
from maia.agent.code_check import check_code
from maia.agent.replies import parse_reply
from maia.models.testbed.scene import Concept, Scene, SceneObject, Segments, concept_mask
from maia.models.testbed.vocabulary import BACKGROUNDS, COLOURS, GROUPS, NOUNS, PATTERNS

WORDS = [*NOUNS, *COLOURS, *PATTERNS, *BACKGROUNDS, *GROUPS]


def _thing(noun: str, colour: str = "gray", pattern: str = "plain") -> Thing:
    return Thing(noun, colour, pattern)


def _readings(*bright: tuple[str, str, str], places: tuple[str, ...] = ("room", "snow", "beach")) -> list[Reading]:
    return [Reading((Thing(*thing),), (), places[i % len(places)], False) for i, thing in enumerate(bright)]


def test_a_reading_says_what_is_bright_and_what_is_around() -> None:
    dog = SceneObject("dog", "red", "dotted", 0, 60, 150, 40)
    cup = SceneObject("cup", "blue", "plain", 0, 170, 150, 40)
    objects = np.zeros((224, 224), np.uint8)
    objects[100:180, 20:100], objects[100:180, 130:210] = 1, 2
    drawn = Segments(objects, objects > 0)
    scene = Scene(1, "snow", (dog, cup))
    mask = concept_mask(scene, drawn, Concept("noun", "dog"))
    assert read_scene(scene, drawn, mask).text() == "dog red dotted | snow, cup blue"
    both = mask | concept_mask(scene, drawn, Concept("noun", "cup"))
    assert read_scene(scene, drawn, both).text() == "dog red dotted + cup blue | snow"
    place = concept_mask(scene, drawn, Concept("background", "snow"))
    assert read_scene(scene, drawn, place).text() in ("snow | dog red dotted", "snow | cup blue")
    close = Scene(1, None, surface=("red", "furry"))
    whole = Segments(np.ones((224, 224), np.uint8), np.ones((224, 224), bool))
    assert read_scene(close, whole, np.ones((224, 224), bool)).text() == "surface red furry | nothing"


def test_what_all_exemplars_share_is_believed_first() -> None:
    reds = [(noun, "red", pattern) for noun, pattern in zip(list(NOUNS)[:12], [*PATTERNS[:11], "plain"], strict=True)]
    assert guesses(_readings(*reds))[0] == Guess("single", "red")
    either = [(noun, "red", "plain") for noun in list(NOUNS)[:6]] + [("dog", c, "plain") for c in list(COLOURS)[1:7]]
    assert guesses(_readings(*either))[0] == Guess("or", "dog", "red")
    snowy = [("dog", colour, "plain") for colour in list(COLOURS)]
    assert guesses(_readings(*snowy, places=("snow",)))[0] == Guess("given", "dog", "snow")
    animals = [(noun, colour, "plain") for noun, colour in zip(GROUPS["animal"][1] * 3, COLOURS, strict=False)]
    assert guesses(_readings(*animals))[0] == Guess("single", "animal")


def _table(word: str, mean: float, lowest: float, highest: float, **words: tuple[float, int]) -> Sweep:
    return Sweep(word, mean, lowest, highest, {name.replace("_", " "): entry for name, entry in words.items()})


@pytest.mark.parametrize(
    ("anything", "fixed", "believed"),
    [
        (
            _table("anything", 0.1, 0, 1, dog=(0.95, 3)),
            _table("dog", 0.95, 0.8, 1, red=(0.95, 8)),
            Guess("single", "dog"),
        ),
        (
            _table("anything", 0.4, 0, 1, red=(0.97, 8), dog=(0.95, 3)),
            _table("dog", 0.95, 0.8, 1, red=(0.95, 8)),
            Guess("or", "dog", "red"),
        ),
        (_table("anything", 0, 0, 0.1), _table("dog", 0.1, 0, 0.97, snow=(0.95, 5)), Guess("given", "dog", "snow")),
        (
            _table("anything", 0.2, 0, 1, animal=(0.95, 9), dog=(0.9, 2), cat=(0.9, 3)),
            _table("dog", 0.95, 0.8, 1),
            Guess("single", "animal"),
        ),
        (
            _table("anything", 0.2, 0, 1, red=(0.95, 9)),
            _table("dog", 0.2, 0, 1, red=(0.95, 4)),
            Guess("given", "dog", "red"),
        ),
        (_table("anything", 0, 0, 0), _table("dog", 0, 0, 0), None),
    ],
)
def test_two_sweeps_are_read_as_one_explanation(anything: Sweep, fixed: Sweep, believed: Guess | None) -> None:
    assert conclude_sweep(anything, fixed, "dog") == believed


def test_tests_can_overturn_an_explanation() -> None:
    given_snow = Guess("given", "dog", "snow")
    means = {"dog with snow": 0.9, "dog without snow": 0.88, "snow without dog": 0.0}
    assert judged(given_snow, means) == Guess("single", "dog")
    assert judged(given_snow, means | {"dog without snow": 0.0}) == given_snow
    assert judged(given_snow, means | {"snow without dog": 0.9}) == Guess("or", "dog", "snow")
    either = Guess("or", "dog", "red")
    assert judged(either, {"dog without red": 0.9, "red without dog": 0.0, "neither": 0.0}) == Guess("single", "dog")
    assert judged(either, {}) == either


def test_tables_of_the_log_are_read_back() -> None:
    text = (
        "Log entry 1:\n(1) a red dog, activation 1\n"
        "anything: mean 0.77, lowest 0.01, highest 8.65. tent 3.43 of 3, round thing 2.88 of 14\n"
        "brick wall: mean -1.50, lowest -2.07, highest 9.61. night 5.10 of 2"
    )
    first, second = read_sweeps(text)
    assert (first.word, first.mean, first.words["round thing"]) == ("anything", 0.77, (2.88, 14))
    assert (second.word, second.lowest, second.words) == ("brick wall", -2.07, {"night": (5.10, 2)})
    assert read_tests("dog without red: mean 0.93, lowest 0.80, highest 1.00\nx: 3") == {"dog without red": 0.93}


@given(word=st.sampled_from(WORDS), seed=st.integers(1, 99))
def test_code_of_every_word_passes_the_check(word: str, seed: int) -> None:
    slot = code.SLOTS["background" if word in BACKGROUNDS else "noun"]
    written = code.sweep_code([("", 0), (word, slot)], seed)
    assert check_code(written, methods_of()) is None
    tests = code.tests_code({f"{word} alone": [f"a red plain {word} and a {{}}, snow"]}, ["blue dotted cup"])
    assert check_code(tests, methods_of()) is None
    parsed = parse_reply(phrases.experiment(phrases.hypotheses("1 dog red | snow", [word]), written))
    assert parsed.code == written


@given(seed=st.integers(0, 10**6))
def test_every_slip_is_found_before_the_code_runs_or_while_it_does(seed: int) -> None:
    rng = random.Random(seed)
    for written in (
        code.exemplar_code(),
        code.sweep_code([("", 0), ("dog", 2)], 3),
        code.tests_code({"a": ["{}"]}, ["b"]),
    ):
        broken = phrases.slipped(written, rng)
        assert broken != written
        assert check_code(broken, methods_of()) is not None or "value.append(" in broken or "len(activation)" in broken


@given(a=st.sampled_from(WORDS), b=st.sampled_from(WORDS), kind=st.sampled_from(["single", "or", "given"]))
def test_conclusions_are_read_as_their_labels(a: str, b: str, kind: str) -> None:
    guess = Guess(kind, a, b if kind != "single" else "")
    parsed = parse_reply(phrases.conclusion(guess, {"x": 0.5}, random.Random(0)))
    assert " OR ".join(parsed.labels) == guess.label
