"""The teacher: what it sees, what it concludes from tests, and that its code and replies are sound."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from maia.agent.api import methods_of
from maia.agent.backbones.teacher import code, phrases
from maia.agent.backbones.teacher.beliefs import NEITHER, Guess, guesses, judged, read_tests
from maia.agent.backbones.teacher.readings import Reading, Thing, read_scene
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


@pytest.mark.parametrize(
    ("words", "means", "believed"),
    [
        (["dog", "red"], {"dog": 0.9, "red": 0.0, NEITHER: 0.0}, Guess("single", "dog")),
        (["dog", "red"], {"dog": 0.9, "red": 0.8, NEITHER: 0.0}, Guess("or", "dog", "red")),
        (["dog", "snow"], {"dog": 0.0, "snow": 0.1, "dog + snow": 0.9, NEITHER: 0.0}, Guess("given", "dog", "snow")),
        (["dog", "animal"], {"dog": 0.9, "animal": 0.85, NEITHER: 0.0}, Guess("single", "animal")),
        (
            ["leaf", "snow", "plant"],
            {"leaf": 0, "snow": 0, "plant": 0, "leaf + snow": 0.9, "plant + snow": 0.8, NEITHER: 0},
            Guess("given", "plant", "snow"),
        ),
        (["dog", "red"], {"dog": 0.05, "red": 0.0, NEITHER: 0.0}, None),  # a twentieth of what exemplars reach
        (["dog", "red"], {"dog": 0.9, "red": 0.9, NEITHER: 0.85}, None),  # the words make no difference
        (["dog", "red"], {}, None),
    ],
)
def test_tests_decide(words: list[str], means: dict[str, float], believed: Guess | None) -> None:
    assert judged(words, means, 1.0) == believed
    graded = {name: 7 * mean for name, mean in means.items()}
    assert judged(words, graded, 7.0) == believed


def test_tests_of_the_log_are_read_back() -> None:
    text = "Log entry 1:\n(1) dog, activation 1\ndog + red: mean 0.93\nnone of these: mean -0.10\ndog: 3\n"
    assert read_tests(text) == {"dog + red": 0.93, "none of these": -0.1}


@given(word=st.sampled_from(WORDS), other=st.sampled_from(WORDS))
def test_code_of_every_word_passes_the_check(word: str, other: str) -> None:
    written = code.tests_code({word: [f"a red plain {word} and a {{}}, snow"], f"{word} + {other}": ["a {}"]}, ["cup"])
    assert check_code(written, methods_of()) is None
    parsed = parse_reply(phrases.experiment(phrases.hypotheses("1 dog red | snow", [word]), written))
    assert parsed.code == written


@given(seed=st.integers(0, 10**6))
def test_every_slip_is_found_before_the_code_runs_or_while_it_does(seed: int) -> None:
    rng = random.Random(seed)
    for written in (code.exemplar_code(), code.tests_code({"a": ["{}"]}, ["b"])):
        broken = phrases.slipped(written, rng)
        assert broken != written
        assert check_code(broken, methods_of()) is not None or "value += " in broken or "len(activation)" in broken


@given(a=st.sampled_from(WORDS), b=st.sampled_from(WORDS), kind=st.sampled_from(["single", "or", "given"]))
def test_conclusions_are_read_as_their_labels(a: str, b: str, kind: str) -> None:
    guess = Guess(kind, a, b if kind != "single" else "")
    parsed = parse_reply(phrases.conclusion(guess, {"x": 0.5}, random.Random(0)))
    assert " OR ".join(parsed.labels) == guess.label
