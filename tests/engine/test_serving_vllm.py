"""A real vLLM server, of a tiny checkpoint: the client's requests, and the supervisor when its engine is killed."""

import asyncio
import io
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from maia.engine.chat_client import ChatClient, special_tokens
from maia.engine.plan import ModelFacts
from maia.engine.runners.served import ServedRunner
from maia.engine.serving import Supervision, VllmServer
from maia.engine.serving_command import server_command
from maia.engine.serving_http import ServerHttp
from maia.engine.vlm_options import VlmOptions
from maia.models.errors import UserError
from maia.models.vlm.chat import ChatImage, ChatMessage, ChatRequest, ContextOverflow, RequestFailed, Sampling
from maia.models.vlm.checkpoint import read_checkpoint
from PIL import Image
from served import Served
from tiny_vlm import tiny_checkpoint

GREEDY = Sampling(0.0, 1.0, 12)


def picture(shade: int, side: int = 56) -> ChatImage:
    data = io.BytesIO()
    Image.new("RGB", (side, side), (shade, 255 - shade, 90)).save(data, "PNG")
    return ChatImage(data.getvalue(), side, side)


def dialogue(text: str = "hello", turns: int = 2) -> list[ChatMessage]:
    messages = [ChatMessage("system", ("You study a unit.",))]
    for turn in range(turns):
        messages.append(ChatMessage("user", (picture(40 * turn), f"turn {turn}: {text}")))
        messages.append(ChatMessage("assistant", ("I see.",)))
    return messages[:-1]


@pytest.fixture
def client(served: Served) -> ChatClient:
    return client_of(served.url, served.model)


class LongWinded(ChatClient):
    """Answers go on to their last token: a random model may end one early."""

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        body = super()._body(request)
        return {**body, "extra_body": {**body.get("extra_body", {}), "ignore_eos": True}}


def client_of(url: str, model: str, kind: type[ChatClient] = ChatClient) -> ChatClient:
    checkpoint = read_checkpoint(tiny_checkpoint())
    family = checkpoint.family
    return kind(
        url,
        model,
        timeout=240.0,
        images_first=family.images_first,
        system_role=family.system_role,
        adds_special_tokens=checkpoint.adds_special_tokens,
        specials=special_tokens(checkpoint.tokenizer),
    )


async def test_preflight_pictures_and_grammar(client: ChatClient) -> None:
    await client.preflight(True)
    first, again, held = await asyncio.gather(
        client.complete(ChatRequest(dialogue(), 1, GREEDY)),
        client.complete(ChatRequest(dialogue(), 1, GREEDY)),
        client.complete(ChatRequest(dialogue(), 1, GREEDY, grammar='root ::= ("cat" | "dog") "!"')),
    )
    assert first.text == again.text and 0 < first.answer_tokens <= 12 and first.prompt_tokens == again.prompt_tokens
    assert held.text in ("cat!", "dog!") and held.finish == "stop"
    claimed = [*dialogue(), ChatMessage("assistant", ("<image> <image>",)), ChatMessage("user", ("what?",))]
    assert (await client.complete(ChatRequest(claimed, 1, GREEDY))).text  # a picture that is not there
    other = await client.complete(ChatRequest([dialogue()[0], ChatMessage("user", ("hello",))], 1, GREEDY))
    assert other.prompt_tokens < first.prompt_tokens
    await client.close()


async def test_a_stable_prefix_is_not_computed_again(client: ChatClient) -> None:
    text = "the same beginning of every prompt " * 60
    await client.complete(ChatRequest(dialogue(text), 1, GREEDY))
    before = await client.prefix_counts()
    reply = await client.complete(ChatRequest([*dialogue(text), ChatMessage("assistant", ("and?",))], 1, GREEDY))
    after = await client.prefix_counts()
    assert reply.cached_tokens is not None and reply.cached_tokens >= 0.7 * reply.prompt_tokens
    assert before is not None and after is not None and after[0] - before[0] >= reply.cached_tokens
    await client.close()


async def test_what_the_real_server_refuses(client: ChatClient, served: Served) -> None:
    with pytest.raises(ContextOverflow) as told:
        await client.complete(ChatRequest([ChatMessage("user", ("hi ho " * served.context,))], 1, GREEDY))
    assert told.value.limit == served.context
    with pytest.raises(ContextOverflow):
        await client.complete(ChatRequest(dialogue(), 1, Sampling(0.0, 1.0, served.context + 1)))
    with pytest.raises(RequestFailed, match=r"takes \d+ pictures in a dialogue at most"):
        await client.complete(ChatRequest(dialogue(turns=12), 1, GREEDY))
    with pytest.raises(RequestFailed, match="grammar"):
        await client.complete(ChatRequest(dialogue(), 1, GREEDY, grammar="root ::= bad ::"))
    with pytest.raises(UserError, match=f"one of {served.model}"):
        await client_of(served.url, "other").complete(ChatRequest(dialogue(), 1, GREEDY))
    assert (await client.complete(ChatRequest(dialogue(), 1, GREEDY))).text  # it still answers
    await client.close()


@pytest.mark.slow
@pytest.mark.timeout(1200)  # two starts, on a busy machine
async def test_an_engine_killed_in_mid_request_is_replaced_and_the_requests_answered(tmp_path: Path) -> None:
    pytest.importorskip("vllm")
    path = tiny_checkpoint()
    options = VlmOptions("tiny", path=path, dtype="fp32", context=4096, concurrent=4)
    server = VllmServer(
        lambda port: server_command(options, read_checkpoint(path), port, kv_bytes=2**28),
        tmp_path / "log",
        supervision=Supervision(pause=0.1),
    )
    runner = ServedRunner(
        ModelFacts("vlm", kind="server", max_batch=4),
        lambda: client_of(server.url, server.command.model, LongWinded),
        server,
    )
    try:
        await runner.load("cpu")
        http = ServerHttp(server.url, None)
        before = http.tokens(30)
        requests = [ChatRequest(dialogue(f"number {number}"), 1, Sampling(0.0, 1.0, 1200)) for number in range(3)]
        running = asyncio.create_task(runner.run(requests))
        async with asyncio.timeout(120):
            while await asyncio.to_thread(http.tokens, 30) == before:
                await asyncio.sleep(0.02)
        (engine,) = [pid for pid in _children(server.pid) if "EngineCor" in _name(pid)]
        os.kill(engine, signal.SIGKILL)
        assert not running.done()
        replies = await running
        assert [type(reply).__name__ for reply in replies] == ["ChatReply"] * 3
        assert server.restarts == 1 and runner.counts.failed == 0 and runner.counts.retries >= 3
        assert all(reply.answer_tokens > 12 for reply in replies)
        session = os.getsid(server.pid)
    finally:
        await asyncio.to_thread(server.stop)
        await runner.close()
    left = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _session(pid) == session]
    assert not left


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["?", "-1", "-1", "-1"]


def _session(pid: int) -> int:
    return int(_stat(pid)[3])


def _children(parent: int | None) -> list[int]:
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if int(_stat(pid)[1]) == parent]


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text()
