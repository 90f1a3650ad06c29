"""The teacher: what it sees, what it concludes from tests, and that its code and replies are sound."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from maia.agent.api import methods_of
from maia.agent.backbones.scripted.evidence import family_of, members_of
from maia.agent.backbones.teacher import code, phrases, teacher
from maia.agent.backbones.teacher.beliefs import (
    Counts,
    Guess,
    guesses,
    read_counts,
    read_high,
    refuted,
)
from maia.agent.backbones.teacher.readings import Reading, Thing, read_scene
from maia.agent.code_check import check_code
from maia.agent.replies import parse_reply
from maia.agent.word_counts import count_words
from maia.models.errors import ExperimentError
from maia.models.testbed.language import parse_prompt
from maia.models.testbed.scene import Concept, Scene, SceneObject, Segments, concept_mask
from maia.models.testbed.vocabulary import BACKGROUNDS, COLOURS, GROUPS, NOUNS, PATTERNS

WORDS = [*NOUNS, *COLOURS, *PATTERNS, *BACKGROUNDS, *GROUPS]


def _counts(*pictures: tuple[str, str]) -> Counts:
    """Of readings (words of the bright region, words of the rest), as the teacher's code would log them."""
    bright, whole = Counter[str](), Counter[str]()
    for inside, around in pictures:
        bright.update(set(inside.split(", ")))
        whole.update(set(inside.split(", ")) | set(around.split(", ")))
    return Counts(len(pictures), bright, whole)


def test_a_reading_says_what_is_bright_and_what_is_around() -> None:
    dog = SceneObject("dog", "red", "dotted", 0, 60, 150, 40)
    cup = SceneObject("cup", "blue", "plain", 0, 170, 150, 40)
    objects = np.zeros((224, 224), np.uint8)
    objects[100:180, 20:100], objects[100:180, 130:210] = 1, 2
    drawn = Segments(objects, objects > 0)
    scene = Scene(1, "snow", (dog, cup))
    mask = concept_mask(scene, drawn, Concept("noun", "dog"))
    assert read_scene(scene, drawn, mask).text() == "dog, red, dotted, animal | cup, blue, snow, container"
    both = mask | concept_mask(scene, drawn, Concept("noun", "cup"))
    assert read_scene(scene, drawn, both).text() == "dog, red, dotted, cup, blue, animal, container | snow"
    place = concept_mask(scene, drawn, Concept("background", "snow"))
    assert read_scene(scene, drawn, place).text() in ("snow | dog, red, dotted, animal", "snow | cup, blue, container")
    close = Scene(1, None, surface=("red", "furry"))
    whole = Segments(np.ones((224, 224), np.uint8), np.ones((224, 224), bool))
    assert read_scene(close, whole, np.ones((224, 224), bool)).text() == "surface, red, furry | nothing"


def test_an_observer_errs_as_often_as_it_is_said_to() -> None:
    rng, reading = (
        random.Random(0),
        Reading((Thing("dog", "red", "dotted"),), (Thing("cup", "blue", "plain"),), "snow", False),
    )
    told = Counter(word for _ in range(2000) for word in reading.misread(rng).text().replace(" | ", ", ").split(", "))
    assert told["snow"] == 2000
    for word, rate in (("dog", 0.06), ("red", 0.06), ("dotted", 0.15), ("cup", 0.24), ("blue", 0.2)):
        assert abs(told[word] / 2000 - (1 - rate)) < 0.04, word


NOUN_LIST, COLOUR_LIST = list(NOUNS), list(COLOURS)


def test_what_all_exemplars_share_is_believed_first() -> None:
    places = list(BACKGROUNDS)
    reds = [(f"{noun}, red", place) for noun, place in zip(NOUN_LIST, places, strict=False)]
    assert guesses(_counts(*reds))[0] == Guess("single", "red")
    either = [(f"{noun}, red", place) for noun, place in zip(NOUN_LIST[:5], places, strict=False)]
    either += [(f"dog, {c}", place) for c, place in zip(COLOUR_LIST[1:6], places, strict=False)]
    assert {guesses(_counts(*either))[0].a, guesses(_counts(*either))[0].b} == {"dog", "red"}
    snowy = [(f"dog, {colour}", "snow") for colour in COLOUR_LIST]
    assert guesses(_counts(*snowy))[0] == Guess("given", "dog", "snow")
    shown = zip(GROUPS["animal"][1] * 2, COLOUR_LIST, places, strict=False)
    animals = [(f"{noun}, animal, {colour}", place) for noun, colour, place in shown]
    assert guesses(_counts(*animals))[0].a == "animal"


@pytest.mark.parametrize(
    ("guess", "refuting"),
    [
        (Guess("single", "dog"), {"dog"}),
        (Guess("or", "dog", "red"), {"red"}),
        (Guess("given", "dog", "snow"), {"dog + snow"}),
    ],
)
def test_a_low_test_refutes_what_it_speaks_against(guess: Guess, refuting: set[str]) -> None:
    assert refuted(guess, refuting)
    assert not refuted(guess, {"cup", "cup + snow"})
    if guess.kind == "given":
        assert not refuted(guess, {"dog", "snow"})  # each alone has to be low


def test_the_log_is_read_back() -> None:
    text = "Log entry 1:\n15 pictures\nbright: brick wall 9, dog 2, 3\npicture: brick wall 12, nothing 4\nThe highest"
    assert read_counts(text) == Counts(15, {"brick wall": 9, "dog": 2}, {"brick wall": 12})
    assert read_counts("high: dog") is None
    assert read_high("high: dog\nThe highest") == Guess("single", "dog")
    assert read_high("high: dog OR brick wall") == Guess("or", "dog", "brick wall")
    assert read_high("high: cat given red\n") == Guess("given", "cat", "red")
    assert read_high("high: nothing") is read_high("15 pictures") is None


class _World:
    """What the teacher's code asks: pictures are their prompts. The unit answers to a word of them."""

    def __init__(self, answers: Callable[[str], float], lines: Sequence[str] = ()) -> None:
        self.answers, self.lines, self.text = answers, lines, ""
        self.titles: list[str] = []

    def dataset_exemplars(self, system: object) -> tuple[list[float], list[str]]:
        return [1.0] * len(self.lines), list(self.lines)

    def summarize_images(self, images: Sequence[str]) -> str:
        return count_words(images)

    def text2image(self, prompts: list[str]) -> list[str]:
        return prompts

    def neuron(self, images: list[str]) -> tuple[list[float], list[str]]:
        return [self.answers(image) for image in images], images

    def log_experiment(self, activations: list[float], images: list[str], titles: list[str], text: str) -> None:
        assert len(activations) == len(images) == len(titles) > 0
        self.text, self.titles = text, list(titles)


def _run(written: str, world: _World) -> str:
    space: dict[str, Any] = {}
    exec(written, space)
    space["run_experiment"](world, world)
    return world.text


def test_the_code_logs_what_the_observer_counts() -> None:
    lines = ["dog, red, animal | snow, cup", "dog, animal | snow", "cat, animal, red, red | nothing"]
    counts = read_counts(_run(code.exemplar_code(), _World(lambda _: 0.0, lines)))
    assert counts is not None
    assert counts.total == 3
    assert dict(counts.bright) == {"animal": 3, "dog": 2, "red": 2, "cat": 1}
    assert dict(counts.picture) == {"animal": 3, "dog": 2, "red": 2, "snow": 2, "cat": 1, "cup": 1}


FILL = [("red", "cup", "room"), ("blue", "hat", "sea")]


@pytest.mark.parametrize("scale", [1.0, 9.0])
@pytest.mark.parametrize(
    ("value", "high"),
    [
        (lambda p: float("dog" in p), Guess("single", "dog")),
        (lambda p: float("dog" in p or "snow" in p), Guess("or", "dog", "snow")),
        (lambda p: float("dog" in p and "snow" in p), Guess("given", "dog", "snow")),
        (lambda p: 0.1 * ("dog" in p), None),  # a tenth of what exemplars reach
        (lambda p: 0.9 + 0.1 * ("dog" in p), None),  # the words make no difference
        (lambda p: 0.3 + 0.6 * ("dog" in p), Guess("single", "dog")),
        (lambda p: 0.0, None),
    ],
)
def test_the_code_compares_the_tests(value: Callable[[str], float], high: Guess | None, scale: float) -> None:
    tests = {
        "dog": "a {c} dog, {p}",
        "snow": "a {c} {n}, snow",
        "dog + snow": "a {c} dog, snow",
        code.NEITHER: "a {c} {n}, {p}",
    }
    world = _World(lambda prompt: scale * value(prompt), ["x | y"])
    world.dataset_exemplars = lambda system: ([scale], ["x"])  # type: ignore[method-assign]
    assert read_high(_run(code.tests_code(tests, FILL), world)) == high
    # The pictures of what is high come first, those of other tests beside them to compare with.
    first = [] if high is None else ["dog + snow"] if high.kind == "given" else [high.a, *([high.b] if high.b else [])]
    assert world.titles[: 2 * len(first)] == [name for name in first for _ in range(2)]
    assert len(world.titles) == 2 * code.SHOWN


def test_a_test_that_cannot_be_drawn_costs_that_test(capsys: pytest.CaptureFixture[str]) -> None:
    class Refusing(_World):
        def text2image(self, prompts: list[str]) -> list[str]:
            if any("sea" in prompt.split(",")[0] for prompt in prompts):
                raise ExperimentError("the background 'sea' has no colour")
            return prompts

    tests = {"sea": "a {c} sea, {p}", "dog": "a {c} dog, {p}", code.NEITHER: "a {c} {n}, {p}"}
    world = Refusing(lambda prompt: float("dog" in prompt), ["x"])
    assert read_high(_run(code.tests_code(tests, FILL), world)) == Guess("single", "dog")
    assert capsys.readouterr().out.startswith("sea the background 'sea' has no colour")
    assert set(world.titles) == {"dog", code.NEITHER}


@given(word=st.sampled_from(WORDS), other=st.sampled_from(WORDS))
def test_code_of_every_word_passes_the_check_and_its_prompts_hold_the_words(word: str, other: str) -> None:
    forms = {word: teacher._form(word), f"{word} + {other}": teacher._form(word, other), code.NEITHER: teacher._form()}
    written = code.tests_code(forms, FILL)
    assert check_code(written, methods_of()) is None
    parsed = parse_reply(phrases.experiment(phrases.hypotheses("", [word]), written))
    assert parsed.code == written
    if family_of(word) != "background" or family_of(other) != "background":
        assert word in forms[f"{word} + {other}"] and other in forms[f"{word} + {other}"]
    for form in forms.values():
        parse_prompt(form.format(c="red", n="cup", p="snow"), 1)  # raises for what the world cannot draw


@given(words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=12))
def test_words_that_are_tested_together_have_nothing_in_common(words: list[str]) -> None:
    chosen = teacher._words_of([Guess("single", word) for word in words])
    assert chosen[0] == words[0] and len(chosen) <= teacher.WORDS
    for place, word in enumerate(chosen):
        assert not any(members_of(word) & members_of(other) for other in chosen[:place])
    for word in words:
        assert len(chosen) == teacher.WORDS or any(members_of(word) & members_of(other) for other in chosen)


@given(taken=st.sets(st.sampled_from(WORDS), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_fillers_are_none_of_the_concepts_nor_of_their_kind(taken: set[str], seed: int) -> None:
    members = frozenset().union(*(members_of(word) for word in taken))
    fill = teacher._fillers(random.Random(seed), members)
    assert len(fill) == teacher.FILLERS
    for family, words in zip((COLOURS, NOUNS, BACKGROUNDS), zip(*fill, strict=True), strict=True):
        assert len(set(words)) == len(words) and set(words) <= set(family)
        for word in words:
            kinds = [set(group) for _, group in GROUPS.values() if word in group]
            assert word not in members and not any(kind & members for kind in kinds)


@given(seed=st.integers(0, 10**6))
def test_every_slip_is_found_before_the_code_runs_or_while_it_does(seed: int) -> None:
    rng = random.Random(seed)
    for written in (code.exemplar_code(), code.tests_code({code.NEITHER: "a {c} {n}"}, FILL)):
        broken = phrases.slipped(written, rng)
        assert broken != written
        if check_code(broken, methods_of()) is None:
            with pytest.raises((NameError, TypeError, KeyError)):
                _run(broken, _World(lambda _: 1.0, ["dog | snow"]))


@given(word=st.sampled_from(WORDS), other=st.sampled_from(WORDS))
def test_a_place_mistaken_for_a_thing_is_refused_by_the_world(word: str, other: str) -> None:
    forms = {name: teacher._form(name) for name in (word, other)}
    mistaken = teacher._mistaken(forms)
    assert bool(mistaken) == any(name in BACKGROUNDS for name in forms)
    for name, form in mistaken.items():
        if form != forms[name]:
            with pytest.raises(ExperimentError, match=r"has no colour|Two backgrounds"):
                parse_prompt(form.format(c="red", n="cup", p="snow"), 1)


@given(a=st.sampled_from(WORDS), b=st.sampled_from(WORDS), kind=st.sampled_from(["single", "or", "given"]))
def test_conclusions_are_read_as_their_labels(a: str, b: str, kind: str) -> None:
    guess = Guess(kind, a, b if kind != "single" else "")
    parsed = parse_reply(phrases.conclusion(guess))
    assert " OR ".join(parsed.labels) == guess.label
