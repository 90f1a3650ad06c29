"""The captioner: what it asks, how it reads answers, and what a failure costs."""

import asyncio
import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import UNIT, services
from hypothesis import given
from hypothesis import strategies as st
from maia.agent.services import running
from maia.benchmarks.baselines.captioner import LABEL_WORDS, Captioner, parse_label
from maia.models.errors import ExperimentError
from maia.models.targets import Unit
from maia.models.vlm.chat import ChatImage, ChatReply, ChatRequest, ContextOverflow, RequestFailed
from maia.models.vlm.families import families

FAMILY = dataclasses.replace(next(iter(families().values())), image_side=64, sheet_side=200)


def vlm(images: int) -> Any:
    return SimpleNamespace(family=FAMILY, images_per_turn=images)


class Model:
    """Answers in turn; an exception is raised."""

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[ChatRequest] = []

    async def __call__(self, request: ChatRequest) -> ChatReply:
        self.asked.append(request)
        answer = self.answers[len(self.asked) - 1]
        if isinstance(answer, Exception):
            raise answer
        return ChatReply(answer, "stop", 1, 1)


def ask(tmp_path: Path, model: Model, images: int = 20, unit: Unit = UNIT, **change: Any) -> tuple[Captioner, Any]:
    own = services(tmp_path)
    for name, value in change.items():
        setattr(own.index, name, value)
    captioner = Captioner(vlm(images), model)

    async def label() -> str | None:
        async with running([own]), own.scheduler.agent("test"):
            return await captioner.label(own, unit)

    return captioner, asyncio.run(label())


def pictures(request: ChatRequest) -> list[ChatImage]:
    return [part for part in request.messages[0].parts if isinstance(part, ChatImage)]


def test_one_request_with_all_exemplars(tmp_path: Path) -> None:
    model = Model("LABEL: **dog ears**.")
    captioner, label = ask(tmp_path, model)
    assert label == "dog ears"
    assert len(model.asked) == 1
    request = model.asked[0]
    assert len(pictures(request)) == 15 and request.sampling.temperature == 0
    assert not captioner.failed and not captioner.retried
    (text,) = [part for part in request.messages[0].parts if isinstance(part, str)]
    assert "fake" not in text and "layer" not in text  # a layer's name would give a kind away


def test_more_pictures_than_a_message_holds_go_on_one_sheet(tmp_path: Path) -> None:
    model = Model("red")
    ask(tmp_path, model, images=14)
    (sheet,) = pictures(model.asked[0])
    assert max(sheet.width, sheet.height) == FAMILY.sheet_side
    single = Model("red")
    ask(tmp_path, single)
    assert single.asked[0].seed == model.asked[0].seed  # of the pictures, however they are sent


def test_an_unusable_answer_is_asked_again_once(tmp_path: Path) -> None:
    model = Model("I think there are\nmany things", "LABEL: red")
    captioner, label = ask(tmp_path, model)
    assert label == "red" and captioner.retried == [str(UNIT)] and not captioner.failed
    roles = [message.role for message in model.asked[1].messages]
    assert roles == ["user", "assistant", "user"]
    assert model.asked[1].messages[1].parts == ("I think there are\nmany things",)
    assert str(LABEL_WORDS) in model.asked[1].messages[2].parts[0]


@pytest.mark.parametrize(
    ("answers", "asked", "why"),
    [
        (("", ""), 2, "two answers hold no label; the second is ''"),
        (("LABEL:", "a\nb"), 2, "the second is 'a b'"),
        ((RequestFailed("too hot"),), 1, "the request failed: too hot"),
        (("", ContextOverflow("too long")), 2, "the request failed: too long"),
    ],
)
def test_a_failure_costs_that_unit_and_is_named(tmp_path: Path, answers: tuple[Any, ...], asked: int, why: str) -> None:
    model = Model(*answers)
    captioner, label = ask(tmp_path, model)
    assert label is None and len(model.asked) == asked
    assert why in captioner.failed[str(UNIT)]


def test_units_that_cannot_be_shown_fail_without_a_request(tmp_path: Path) -> None:
    model = Model()
    captioner, label = ask(tmp_path, model, entries=lambda unit, k=15: [])
    assert label is None and captioner.failed == {str(UNIT): "it has no exemplars"}

    def unreadable(image: Any) -> Any:
        raise ExperimentError("one exemplar is blank")

    own = services(tmp_path)
    own.dataset_images = unreadable  # type: ignore[method-assign]
    captioner = Captioner(vlm(20), model)
    assert asyncio.run(captioner.label(own, UNIT)) is None
    assert "one exemplar is blank" in captioner.failed[str(UNIT)]
    assert not model.asked


def test_other_errors_end_the_run(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="lost"):
        ask(tmp_path, Model(RuntimeError("lost")))


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("LABEL: dog", "dog"),
        ("Sure!\n**Label:** `red  striped` things.\nLABEL: other", "red striped things"),
        ("dog ears", "dog ears"),
        ('"Dogs."', "Dogs"),
        ("[LABEL 1]: dog OR cat", "dog OR cat"),
        ("LABEL: <a few words>", None),
        ("LABEL: ...", None),
        ("one line\nand another", None),
        ("LABEL: " + "word " * (LABEL_WORDS + 1), None),
        ("LABEL: " + "word " * LABEL_WORDS, " ".join(["word"] * LABEL_WORDS)),
    ],
)
def test_answers_are_read(text: str, label: str | None) -> None:
    assert parse_label(text) == label


@given(st.text(max_size=200))
def test_a_label_is_always_short_and_of_one_line(text: str) -> None:
    label = parse_label(text)
    if label is not None:
        assert 1 <= len(label.split()) <= LABEL_WORDS
        assert label == " ".join(label.split()) and parse_label(f"LABEL: {label}") is not None
