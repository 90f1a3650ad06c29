"""The vision-language model as backbone and as observer, behind a real scheduler, with answers that the tests write."""

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest
from maia.agent.backbones.base import Message, Passage, Picture
from maia.agent.backbones.vlm import ATTEMPTS, VlmBackbone
from maia.agent.observer import Observer
from maia.models.errors import ExperimentError, UserError
from maia.models.vlm.chat import ChatImage, ChatReply, ChatRequest, ContextOverflow, RequestFailed
from PIL import Image
from talking import Answer, talking, tiny_vlm

TASK = [Message("system", ("the API",)), Message("user", ("the task",))]


def ask(answer: Answer, messages: list[Message] = TASK, grammar: str | None = None, **vlm: Any) -> tuple[Any, Any, Any]:
    """(what the backbone says or raises, the runner, the backbone)."""
    scheduler, runner = talking(answer)
    backbone = VlmBackbone("served tiny", tiny_vlm(**vlm), scheduler)

    async def work() -> Any:
        async with scheduler:
            try:
                return await backbone.reply(messages, 7, grammar)
            except Exception as error:
                return error

    return asyncio.run(work()), runner, backbone


def test_a_reply_is_asked_for_with_seed_grammar_and_sampling() -> None:
    reply, runner, backbone = ask(lambda request: "a reply", grammar='root ::= "x"', temperature=0.3, max_tokens=99)
    (request,) = runner.asked
    assert reply == "a reply" and backbone.name == "served tiny"
    assert (request.seed, request.grammar) == (7, 'root ::= "x"')
    assert (request.sampling.temperature, request.sampling.max_tokens) == (0.3, 99)
    assert [message.role for message in request.messages][-1] == "user"
    assert "the API" in str(request.messages) and "the task" in str(request.messages)


def test_without_structured_replies_no_grammar_is_sent() -> None:
    _, runner, _ = ask(lambda request: "", grammar='root ::= "x"', structured=False)
    assert runner.asked[0].grammar is None


def test_pictures_go_along_and_old_ones_are_left_out_of_a_full_context(tmp_path: Path) -> None:
    messages = [*TASK]
    for turn in range(8):
        path = tmp_path / f"{turn}.png"
        Image.effect_noise((224, 224), 50 + turn).convert("RGB").save(path)
        messages.append(Message("assistant", (f"experiment {turn}",)))
        messages.append(
            Message("user", (Passage(f"result {turn} " * 80, "short"), Picture(path, f"title {turn}", 1.0)))
        )
    reply, runner, backbone = ask(lambda request: "ok", messages, context=2048, max_tokens=64)
    assert reply == "ok" and backbone.counts.images_dropped > 0
    images = [part for message in runner.asked[0].messages for part in message.parts if isinstance(part, ChatImage)]
    assert 1 <= len(images) < 8
    _, runner, _ = ask(lambda request: "ok", messages[:4], images=0)
    assert not any(isinstance(part, ChatImage) for message in runner.asked[0].messages for part in message.parts)


def test_a_request_that_the_server_finds_too_long_is_asked_shorter() -> None:
    long = [*TASK]
    for turn in range(30):
        long += [Message("assistant", (f"reply {turn}",)), Message("user", (Passage("words " * 150, "few"),))]
    sizes: list[int] = []

    def answer(request: ChatRequest) -> str | Exception:
        sizes.append(sum(len(str(part)) for message in request.messages for part in message.parts))
        return ContextOverflow("too long", 4000) if len(sizes) < 3 else "at last"

    reply, _, backbone = ask(answer, long, max_tokens=64)
    assert reply == "at last" and sizes[0] > sizes[1] > sizes[2] and backbone.counts.overflows == 2


def test_a_server_that_never_has_enough_fails_the_request() -> None:
    reply, runner, _ = ask(lambda request: ContextOverflow("too long"))
    assert isinstance(reply, RequestFailed) and len(runner.asked) <= ATTEMPTS


def test_what_cannot_be_shortened_says_what_would_help() -> None:
    reply, runner, _ = ask(
        lambda request: "", [Message("system", ("words " * 4000,)), TASK[1]], context=1024, max_tokens=64
    )
    assert isinstance(reply, RequestFailed) and "larger context" in str(reply) and not runner.asked


@pytest.mark.parametrize("error", [RequestFailed("no"), UserError("the key is refused")])
def test_errors_come_through(error: Exception) -> None:
    reply, _, _ = ask(lambda request: error)
    assert reply is error


def test_answers_that_were_cut_off_are_counted() -> None:
    reply, _, backbone = ask(lambda request: ChatReply("half a", "length", 9, 64))
    assert reply == "half a" and backbone.counts.cut_off == 1


# The observer


def observe(answer: Answer, question: str, pictures: list[Image.Image], **vlm: Any) -> tuple[Any, Any]:
    scheduler, runner = talking(answer)
    observer = Observer(tiny_vlm(**vlm), scheduler)

    async def work() -> Any:
        async with scheduler:
            return await getattr(observer, question)(pictures)

    return asyncio.run(work()), runner


RED, BLUE = Image.new("RGB", (40, 30), "red"), Image.new("RGB", (40, 30), "blue")


def shown(request: ChatRequest) -> list[Image.Image]:
    return [
        Image.open(io.BytesIO(part.data))
        for message in request.messages
        for part in message.parts
        if isinstance(part, ChatImage)
    ]


def test_each_picture_is_described_in_a_dialogue_of_its_own() -> None:
    lines, runner = observe(lambda request: f"  a {shown(request)[0].getpixel((0, 0))}\nwall ", "describe", [RED, BLUE])
    assert lines == ["a (255, 0, 0) wall", "a (0, 0, 255) wall"]
    for request in runner.asked:
        assert [message.role for message in request.messages] == ["system", "user"] and len(shown(request)) == 1
        text = str(request.messages).lower()
        assert "hypothes" not in text and "activation" not in text and "neuron" not in text
    again = observe(lambda request: "x", "describe", [BLUE])[1].asked[0]
    assert again.seed == runner.asked[1].seed, "what is said of a picture depends on its pixels alone"


def test_a_summary_sees_all_pictures_on_one_sheet_if_the_model_takes_one() -> None:
    _, runner = observe(lambda request: "walls", "summarize", [RED, BLUE] * 3)
    (sheet,) = shown(runner.asked[0])
    colours = {sheet.getpixel((x, y)) for x in range(0, sheet.width, 9) for y in range(0, sheet.height, 9)}
    assert {(255, 0, 0), (0, 0, 255)} <= colours
    _, runner = observe(lambda request: "walls", "summarize", [RED, BLUE] * 2, images=4)
    assert [image.size for image in shown(runner.asked[0])] == [(40, 30)] * 4


def test_pictures_that_cannot_be_described_are_named() -> None:
    with pytest.raises(ExperimentError, match="Image 1 could not be described"):
        observe(lambda request: RequestFailed("no answer"), "describe", [RED])
    with pytest.raises(UserError, match="gone"):
        observe(lambda request: UserError("gone"), "summarize", [RED])


def test_an_empty_description_says_so() -> None:
    assert observe(lambda request: "  \n", "describe", [RED])[0] == ["nothing that the observer could name"]
