"""The client against a server that misbehaves as it is told: every fault becomes an answer, a wait, or one sentence."""

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_server import Fake, start
from maia.engine.chat_client import (
    ATTEMPTS,
    ChatClient,
    TimedOut,
    Unreachable,
    messages_for,
    overflow_of,
    special_tokens,
)
from maia.models.errors import UserError
from maia.models.vlm.chat import ChatImage, ChatMessage, ChatRequest, ContextOverflow, RequestFailed, Sampling
from tiny_vlm import tiny_checkpoint

PNG = ChatImage(b"\x89PNG\r\n\x1a\nrest", 4, 4)
JPEG = ChatImage(b"\xff\xd8\xffrest", 4, 4)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fake]:
    yield from start(tmp_path_factory.mktemp("fake"))


@pytest.fixture
def fake(running: Fake) -> Fake:
    running.behave("ok")
    return running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fake]:
    """Wants a key, and takes no pictures."""
    yield from start(tmp_path_factory.mktemp("guarded"), "--blind", key="secret")


def request(text: str = "hello", **options) -> ChatRequest:
    return ChatRequest([ChatMessage("user", (text,))], 7, **options)


async def ask(client: ChatClient, what: ChatRequest | None = None):
    try:
        return await client.complete(what or request())
    finally:
        await client.close()


async def test_an_answer_and_what_was_asked(fake: Fake) -> None:
    dialogue = [
        ChatMessage("system", ("be brief",)),
        ChatMessage("user", ("see ", "this", PNG, "and", JPEG)),
        ChatMessage("assistant", ("yes",)),
        ChatMessage("user", ("then",)),
    ]
    what = ChatRequest(dialogue, 7, Sampling(0.5, 0.9, 33), grammar='root ::= "a"')
    reply = await ask(fake.client(), what)
    assert (reply.text, reply.finish, reply.prompt_tokens, reply.answer_tokens) == ("echo then", "stop", 10, 3)
    assert reply.cached_tokens == 8
    (body,) = fake.seen
    assert (body["model"], body["temperature"], body["top_p"], body["max_tokens"]) == ("fake", 0.5, 0.9, 33)
    assert body["structured_outputs"] == {"grammar": 'root ::= "a"'} and "seed" not in body
    assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "user"]
    picture = body["messages"][1]["content"]
    assert [part["type"] for part in picture] == ["text", "image_url", "text", "image_url"]
    assert picture[0]["text"] == "see this"
    assert picture[1]["image_url"]["url"] == "data:image/png;base64," + base64.b64encode(PNG.data).decode()
    assert picture[3]["image_url"]["url"].startswith("data:image/jpeg;base64,")


async def test_seeds_and_special_tokens_only_where_they_are_wanted(fake: Fake) -> None:
    await ask(fake.client(seeded=True, adds_special_tokens=True))
    (body,) = fake.seen
    assert body["seed"] == 7 and body["add_special_tokens"] is True and "structured_outputs" not in body


def test_messages_follow_the_family() -> None:
    dialogue = [ChatMessage("system", ("rules",)), ChatMessage("user", ("a", PNG, "b <image>"))]
    told = messages_for(dialogue, images_first=True, system_role=False, specials=("<image>",))
    assert [message["role"] for message in told] == ["user"]
    assert [part["type"] for part in told[0]["content"]] == ["image_url", "text"]
    assert told[0]["content"][1]["text"] == "rules\n\nab < image>"
    assert messages_for(dialogue[:1], False, False) == [{"role": "user", "content": "rules"}]
    assert messages_for(dialogue[:1], False, True) == [{"role": "system", "content": "rules"}]
    with pytest.raises(RequestFailed, match="neither PNG nor JPEG"):
        messages_for([ChatMessage("user", (ChatImage(b"GIF89a", 1, 1),))], False, True)


def test_special_tokens_of_a_checkpoint(tmp_path: Path) -> None:
    assert "<image>" in special_tokens(tiny_checkpoint() / "tokenizer.json")
    assert special_tokens(tmp_path / "none") == ()


@pytest.mark.parametrize(
    ("how", "text", "finish"), [("empty", "", "stop"), ("no-choice", "", "stop"), ("length", "echo hello", "length")]
)
async def test_empty_and_cut_answers_are_answers(fake: Fake, how: str, text: str, finish: str) -> None:
    fake.behave(how)
    reply = await ask(fake.client())
    assert (reply.text, reply.finish) == (text, finish)


@pytest.mark.parametrize(
    "fault", ["429", "429-after 0", "429-after Fri, 31 Dec 1999 23:59:59 GMT", "500", "503", "drop"]
)
async def test_passing_faults_are_tried_again(fake: Fake, fault: str) -> None:
    fake.behave(*[fault] * (ATTEMPTS - 1), "ok")
    client = fake.client()
    assert (await ask(client)).text == "echo hello"
    assert client.retries == ATTEMPTS - 1 and len(fake.seen) == ATTEMPTS


@pytest.mark.parametrize(
    ("fault", "error", "text"),
    [
        ("429", RequestFailed, "took no request in 4 attempts"),
        ("500", Unreachable, "fails with 500: as told"),
        ("drop", Unreachable, "cannot be reached"),
    ],
)
async def test_lasting_faults_end(fake: Fake, fault: str, error: type[Exception], text: str) -> None:
    fake.behave(fault)
    with pytest.raises(error, match=text):
        await ask(fake.client())
    assert len(fake.seen) == ATTEMPTS


async def test_retry_after_is_kept_to(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    paused: list[float] = []
    monkeypatch.setattr(asyncio, "sleep", lambda seconds: paused.append(seconds) or _nothing())
    fake.behave("429-after 2.5", "ok")
    await ask(fake.client(patience=30.0))
    fake.behave("429-after 900", "ok")
    await ask(fake.client(patience=30.0))
    assert paused == [2.5, 30.0]


async def _nothing() -> None:
    return None


async def test_one_that_hangs_times_out_once(fake: Fake) -> None:
    fake.behave("hang")
    with pytest.raises(TimedOut, match=r"within 0\.5 seconds"):
        await ask(fake.client(timeout=0.5))
    assert len(fake.seen) == 1


async def test_nobody_there() -> None:
    client = ChatClient("http://127.0.0.1:9/v1", "fake", timeout=5, patience=0.01)
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9/v1 cannot be reached"):
        await ask(client)
    with pytest.raises(Unreachable, match="cannot be reached"):
        await client.preflight(True)


async def test_refusals_have_their_remedy(fake: Fake, guarded: Fake) -> None:
    for key in (None, "wrong"):
        with pytest.raises(UserError, match=r"refuses the API key \(401\).*api_key_file"):
            await ask(guarded.client(api_key=key))
        with pytest.raises(UserError, match="refuses the API key"):
            await guarded.client(api_key=key).preflight(True)
    assert (await ask(guarded.client())).text == "echo hello"
    with pytest.raises(UserError, match="serves no model 'other': set vlm: model to one of fake"):
        await ask(fake.client(model="other"))
    with pytest.raises(UserError, match="serves no model 'other'"):
        await fake.client(model="other").preflight(True)
    with pytest.raises(UserError, match="must end in /v1"):
        await ChatClient(fake.url + "x", "fake").preflight(True)


async def test_a_model_without_eyes(guarded: Fake, fake: Fake) -> None:
    with pytest.raises(UserError, match=r"takes no pictures.*images: 0"):
        await guarded.client().preflight(True)
    await guarded.client().preflight(False)
    await fake.client().preflight(True)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        (
            "This model's maximum context length is 8192 tokens. However, your prompt contains at least 8193 input "
            "tokens, which exceeds this limit even without any output tokens. Please reduce the length of the input "
            "prompt. (parameter=input_tokens, value=8193)",
            8192,
        ),
        ("max_tokens=9000 cannot be greater than max_model_len=4096. Please request fewer output tokens.", 4096),
        ("the request exceeds the available context size (2048 tokens), try increasing it", 2048),
        ("context_length_exceeded", None),
    ],
)
async def test_a_request_that_is_too_long(fake: Fake, text: str, limit: int | None) -> None:
    fake.behave(f"400 {text}")
    with pytest.raises(ContextOverflow) as told:
        await ask(fake.client())
    assert told.value.limit == limit
    assert overflow_of("At most 8 image(s) may be provided in one prompt.") is None


async def test_other_refusals_are_this_requests_own(fake: Fake) -> None:
    fake.behave("400 At most 8 image(s) may be provided in one prompt. (parameter=image)")
    with pytest.raises(RequestFailed, match="takes 8 pictures in a dialogue at most"):
        await ask(fake.client())
    fake.behave("400 Invalid grammar specification")
    with pytest.raises(RequestFailed, match="Invalid grammar"):
        await ask(fake.client())
    fake.behave("garbage")
    with pytest.raises(RequestFailed, match="cannot be read"):
        await ask(fake.client())
    assert len(fake.seen) == 1


async def test_no_more_in_flight_than_allowed(fake: Fake) -> None:
    fake.behave("slow 0.2")
    client = fake.client(concurrent=3)
    waiting = [asyncio.create_task(client.complete(request(str(number)))) for number in range(7)]
    while len(fake.seen) < 3:
        await asyncio.sleep(0.01)
    assert len(fake.seen) == 3
    replies = await asyncio.gather(*waiting)
    assert [reply.text for reply in replies] == [f"echo {number}" for number in range(7)]
    await client.close()


async def test_prefix_counts(fake: Fake) -> None:
    client = fake.client()
    assert await client.prefix_counts() == (90, 100)
    await client.close()
    assert await ChatClient("http://127.0.0.1:9/v1", "fake").prefix_counts() is None


async def test_no_proxy_of_the_environment_is_asked(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await ask(fake.client())).text == "echo hello"
