"""The predictive evaluation of several labels: one pool, blind selectors, each picture once, and what fails is told."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from maia.benchmarks.quality.pool import LABEL_LIMIT, Picked, Unusable, check_label, evaluate_unit, several
from maia.benchmarks.quality.predictive import PROMPTS, PromptSet, read_label
from maia.benchmarks.quality.writers import (
    ATTEMPTS,
    EmbeddingSelector,
    ModelSelector,
    ModelWriter,
    SceneSelector,
    SceneWriter,
    likely,
    read_picked,
    read_written,
)
from maia.models.targets import Unit
from maia.models.vlm.chat import ChatReply, ChatRequest, ContextOverflow, RequestFailed
from prompted import Selector, Services, Writer

UNIT = Unit("t", "l", 3)


def run(labels: dict[str, str], services: Services, selector: Any = None, seed: int = 0) -> Any:
    return asyncio.run(evaluate_unit(services, UNIT, labels, Writer(), selector or Selector(), seed))  # type: ignore[arg-type]


LABELS = {"agent": "dog", "milan": "cat", "random": "tent"}


def test_all_prompts_are_one_pool_of_which_each_selector_sees_another_order() -> None:
    services, selector = Services({"dog": 1.0, "bus": 0.25}), Selector()
    result = run(LABELS, services, selector)
    assert len(result.pool) == 3 * 2 * PROMPTS == 42
    assert [label for label, _ in selector.shown] == list(LABELS.values())
    orders = [tuple(prompts) for _, prompts in selector.shown]
    assert len(set(orders)) == 3 and len({frozenset(order) for order in orders}) == 1
    for method, ids in result.shown.items():
        assert [result.pool[k].text for k in ids] == selector.shown[list(LABELS).index(method)][1]
    assert result.means("agent")[0] == 1.0 > 0.25 >= result.means("agent")[1]
    assert result.means("milan")[0] == 0.0
    assert result.unusable == dict.fromkeys(LABELS, 3)  # one of the writer, two of the selector
    assert not result.problems


def test_a_picture_is_drawn_once_and_only_if_somebody_picked_it() -> None:
    services = Services({"dog": 1.0})
    result = run({"agent": "dog", "other": "dog no1"}, services)
    picked = {k for most, least in result.picked.values() for k in (*most, *least)}
    assert sorted(result.activations) == sorted(picked) == sorted(result.images)
    assert len(services.drawn) == len(picked) < len(result.pool)
    assert len({seed for _, seed, _ in services.drawn}) == len(picked)
    assert {purpose for _, _, purpose in services.drawn} == {"evaluation"}


@given(order=st.permutations(sorted(LABELS)), seed=st.integers(0, 3))
def test_the_order_of_methods_changes_no_figure(order: list[str], seed: int) -> None:
    words = {"dog": 1.0, "bus": 0.2, "no3": 0.5, "do1": 0.1}
    one = run(LABELS, Services(words), SceneLike(), seed)
    other = run({method: LABELS[method] for method in order}, Services(words), SceneLike(), seed)
    for method in LABELS:
        assert one.means(method) == other.means(method)
        assert [one.pool[k].text for k in one.shown[method]] == [other.pool[k].text for k in other.shown[method]]


class SceneLike(Selector):
    """Ties are decided by the order that it is shown."""


def test_two_methods_with_one_label_are_told_apart_by_nothing() -> None:
    result = run({"agent": "dog", "human": "dog"}, Services({"dog": 1.0, "no2": 0.3, "do5": 0.7}))
    assert result.means("agent") == result.means("human")


def test_what_fails_costs_its_method_alone() -> None:
    labels = {"agent": "dog", "empty": "  ", "long": "x" * (LABEL_LIMIT + 1), "mute": "unwritable", "cat": "cat"}
    result = run(labels, Services({"dog": 1.0}))
    assert set(result.picked) == {"agent", "cat"} and len(result.pool) == 4 * PROMPTS
    assert result.problems["empty"] == check_label(" ") == "the label is empty"
    assert str(LABEL_LIMIT) in result.problems["long"] and "said nothing" in result.problems["mute"]
    assert result.unusable["mute"] == 3
    undrawable = run(LABELS, Services({"dog": 1.0}, undrawable="cat"))
    assert "cannot be drawn" in undrawable.problems["milan"] and "milan" not in undrawable.picked
    assert undrawable.means("agent")[0] == 1.0


@pytest.mark.parametrize(
    ("label", "prompt", "expected"),
    [
        ("dog", "a red dog, snow", 1.0),
        ("animal", "a red dog, snow", 1.0),
        ("dog OR snow", "a red cup, snow", 1.0),
        ("dog given snow", "a red dog, snow", 1.0),
        ("dog given snow", "a red dog, room", 0.4),
        ("dog given snow", "a red cup, snow", 0.2),
        ("dog", "a cup", 0.0),
    ],
)
def test_words_tell_how_likely_a_prompt_is(label: str, prompt: str, expected: float) -> None:
    hypothesis = read_label(label)
    assert hypothesis is not None and likely(hypothesis, prompt) == pytest.approx(expected)


@pytest.mark.parametrize("label", ["dog", "dog given snow", "dog OR forest", "nothing of this world"])
def test_the_offline_writer_and_selector_agree(label: str) -> None:
    prompts, _ = asyncio.run(SceneWriter().write(label, 3))
    others, _ = asyncio.run(SceneWriter().write("boat", 4))
    pool = [*others.positive, *prompts.neutral, *prompts.positive, *others.neutral]
    picked = asyncio.run(SceneSelector().pick(label, pool, 5))
    assert len(picked.most) == len(picked.least) == PROMPTS and not set(picked.most) & set(picked.least)
    if "world" not in label:
        hypothesis = read_label(label)
        assert hypothesis is not None
        assert all(likely(hypothesis, pool[k]) == 1.0 for k in picked.most)
        assert all(likely(hypothesis, pool[k]) < 1.0 for k in picked.least)


class _Embedder:
    """Cosines are the share of the first text's words that the second has."""

    def similarity(self, a: Sequence[str], b: Sequence[str]) -> np.ndarray:
        pairs = zip(a, b, strict=True)
        return np.array([len(set(x.split()) & set(y.split())) / len(set(x.split())) for x, y in pairs], np.float32)


def test_embeddings_take_the_nearest_part_of_an_or() -> None:
    pool = [f"dog {k}" for k in range(4)] + [f"snow {k}" for k in range(3)] + [f"bus {k}" for k in range(9)]
    picked = asyncio.run(EmbeddingSelector(_Embedder()).pick("dog OR snow", pool, 0))  # type: ignore[arg-type]
    assert set(picked.most) == set(range(7)) and min(picked.least) >= 7


def _numbers(most: Sequence[int], least: Sequence[int]) -> str:
    return f"MOST: {', '.join(map(str, most))}\nLEAST: {', '.join(map(str, least))}"


@given(places=st.permutations(range(1, 43)))
def test_a_selectors_answer_is_read_back(places: list[int]) -> None:
    most, least = places[:PROMPTS], places[PROMPTS : 2 * PROMPTS]
    assert read_picked(_numbers(most, least), 42) == (tuple(k - 1 for k in most), tuple(k - 1 for k in least))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("MOST: 1, 2, 3, 4, 5, 6, 7", "LEAST"),
        (_numbers(range(1, 7), range(8, 15)), "6 numbers"),
        (_numbers(range(1, 8), range(7, 14)), "twice"),
        (_numbers(range(0, 7), range(8, 15)), "from 1 to 42"),
        (_numbers(range(1, 8), range(37, 44)), "from 1 to 42"),
        ("I like dogs.", "MOST"),
    ],
)
def test_other_answers_are_not(answer: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_picked(answer, 42)


def _written(positive: Sequence[str], neutral: Sequence[str]) -> str:
    lists = ["\n".join(f"{k}. {text}" for k, text in enumerate(texts, 1)) for texts in (positive, neutral)]
    return f"POSITIVE\n{lists[0]}\nNEUTRAL\n{lists[1]}\n"


DOGS, BUSES = [f"a dog, number {k}" for k in range(7)], [f"a bus, number {k}" for k in range(7)]


def test_a_writers_answer_is_read_back_and_others_are_not() -> None:
    assert read_written(_written(DOGS, BUSES)) == PromptSet(DOGS, BUSES)
    with pytest.raises(ValueError, match="6 different neutral"):
        read_written(_written(DOGS, [*BUSES[:6], BUSES[0]]))
    with pytest.raises(ValueError, match="heading"):
        read_written("1. a dog")


class _Model:
    def __init__(self, *answers: str | Exception) -> None:
        self.answers, self.asked = list(answers), list[ChatRequest]()

    def __call__(self, request: ChatRequest) -> ChatReply:
        self.asked.append(request)
        answer = self.answers[len(self.asked) - 1]
        if isinstance(answer, Exception):
            raise answer
        return ChatReply(answer, "stop", 1, 1, 0)


def test_a_model_is_asked_again_until_its_answer_can_be_used() -> None:
    model = _Model("what?", RequestFailed("it slept"), _written(DOGS, BUSES))
    prompts, unusable = asyncio.run(ModelWriter(model).write("a dog", 1))
    assert prompts.positive == DOGS and unusable == 2
    assert [request.sampling.temperature for request in model.asked] == [0.0, 0.7, 0.7]
    assert len({request.seed for request in model.asked}) == 3
    assert all("a dog" in str(request.messages[0].parts[0]) for request in model.asked)
    selecting = _Model(_numbers(range(1, 8), range(8, 15)))
    picked = asyncio.run(ModelSelector(selecting).pick("a dog", [f"p{k}" for k in range(14)], 1))
    assert picked == Picked(tuple(range(7)), tuple(range(7, 14)), 0)
    question = str(selecting.asked[0].messages[0].parts[0])
    assert "1. p0\n" in question and "14. p13" in question
    assert selecting.asked[0].grammar is not None and '"14"' in selecting.asked[0].grammar


def test_a_model_that_never_answers_is_given_up() -> None:
    with pytest.raises(Unusable, match="no usable answer in 3") as given_up:
        asyncio.run(ModelWriter(_Model(*["no"] * ATTEMPTS)).write("a dog", 1))
    assert given_up.value.counted == ATTEMPTS
    with pytest.raises(Unusable, match="does not fit"):
        asyncio.run(ModelWriter(_Model(ContextOverflow("too long", 10))).write("a dog", 1))


def test_attempts_are_counted() -> None:
    async def call(attempt: int) -> str:
        return str(attempt)

    def read(text: str) -> int:
        if int(text) < 1:
            raise ValueError("too small")
        return int(text)

    assert asyncio.run(several(call, read, 3)) == (1, 1)
