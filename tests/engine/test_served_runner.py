"""A served model behind the scheduler: servers that die, hang and stay away, and whose requests are answered after all.
The server is a small one that misbehaves as it is told."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_server import NAME, QUICK, fake_command
from maia.engine.chat_client import ChatClient
from maia.engine.plan import ModelFacts
from maia.engine.runners.base import ModelUnavailable
from maia.engine.runners.served import ServedRunner, _Gate
from maia.engine.serving import VllmServer
from maia.models.vlm.chat import ChatMessage, ChatReply, ChatRequest, ContextOverflow, RequestFailed

FACTS = ModelFacts("vlm", kind="server", max_batch=8, can_sleep=True)


def request(text: str) -> ChatRequest:
    return ChatRequest([ChatMessage("user", (text,))], 1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[VllmServer]:
    made = VllmServer(lambda port: fake_command(tmp_path, port, True), tmp_path / "log", None, QUICK)
    yield made
    made.stop()


def runner_of(server: VllmServer, timeout: float = 20.0) -> ServedRunner:
    return ServedRunner(FACTS, lambda: ChatClient(server.url, NAME, None, timeout, patience=0.05), server)


def seen(state: Path) -> int:
    file = state / "seen.jsonl"
    return len(file.read_text().splitlines()) if file.exists() else 0


async def until(true) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.02)


async def test_load_run_sleep_wake(server: VllmServer, tmp_path: Path) -> None:
    runner = runner_of(server)
    await runner.load("cpu")
    (tmp_path / "behave").write_text("ok\n400 maximum context length is 99 tokens\n400 no\nok")
    first = await runner.run([request("a")])
    overflow, refused = [await runner.run([request("b")]) for _ in range(2)]
    assert first[0].text == "echo a" and isinstance(overflow[0], ContextOverflow) and overflow[0].limit == 99
    assert isinstance(refused[0], RequestFailed)
    await runner.offload()
    assert server.state == "asleep"
    await runner.load("cpu")
    replies = await runner.run([request(str(number)) for number in range(8)])
    assert [reply.text for reply in replies] == [f"echo {number}" for number in range(8)]
    counts = runner.counts
    assert (counts.requests, counts.failed, counts.retries) == (11, 2, 0)
    assert (counts.prompt_tokens, counts.cached_tokens, counts.answer_tokens) == (90, 72, 27)
    assert await runner.prefix_counts() == (90, 100)
    with pytest.raises(TypeError, match="ChatRequest"):
        await runner.run(["a text"])
    await runner.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_requests_survive_a_server_that_dies_or_hangs(server: VllmServer, tmp_path: Path, how: int) -> None:
    runner = runner_of(server, timeout=4.0)
    await runner.load("cpu")
    before = seen(tmp_path)
    (tmp_path / "behave").write_text("\n".join(["hang"] * 4 + ["ok"]))
    running = asyncio.create_task(runner.run([request(str(number)) for number in range(4)]))
    await until(lambda: seen(tmp_path) >= before + 4)
    os.kill(server.pid, how)
    replies = await asyncio.wait_for(running, 120)
    assert [reply.text for reply in replies] == [f"echo {number}" for number in range(4)]
    assert server.restarts == 1 and runner.counts.retries >= 4 and runner.counts.failed == 0
    await runner.close()


async def test_a_request_that_takes_the_server_down_fails_alone(server: VllmServer, tmp_path: Path) -> None:
    """The others that are under way each time are answered."""
    runner = runner_of(server)
    await runner.load("cpu")
    (tmp_path / "poison").write_text("deadly")
    replies = await asyncio.wait_for(
        runner.run([request("deadly"), *(request(f"good {number}") for number in range(3))]), 120
    )
    assert isinstance(replies[0], RequestFailed) and "fails whenever it is asked this" in str(replies[0])
    assert [getattr(reply, "text", reply) for reply in replies[1:]] == [f"echo good {number}" for number in range(3)]
    assert runner.counts.failed == 1 and 1 <= server.restarts <= 3
    await runner.close()


async def test_an_answer_without_end_is_given_up_and_the_server_is_not(server: VllmServer, tmp_path: Path) -> None:
    runner = runner_of(server, timeout=2.0)
    await runner.load("cpu")
    # It works: what the probe asks is answered, between the requests.
    (tmp_path / "endless").write_text("endless")
    (answer,) = await asyncio.wait_for(runner.run([request("endless")]), 90)
    assert isinstance(answer, RequestFailed) and "max_tokens" in str(answer)
    assert server.restarts == 0
    await runner.close()


async def test_all_who_wait_are_told_why_a_server_is_given_up(server: VllmServer, tmp_path: Path) -> None:
    runner = runner_of(server)
    await runner.load("cpu")
    (tmp_path / "behave").write_text("hang")
    running = asyncio.create_task(runner.run([request(str(number)) for number in range(3)]))
    before = seen(tmp_path)
    await until(lambda: seen(tmp_path) >= before + 3)
    (tmp_path / "refuse").write_text("+1 RuntimeError: no luck")
    os.kill(server.pid, signal.SIGKILL)
    answers = await asyncio.wait_for(running, 120)
    assert all(isinstance(answer, ModelUnavailable) and "no luck" in str(answer) for answer in answers)
    (tmp_path / "refuse").unlink()
    (tmp_path / "behave").write_text("ok")
    await runner.load("cpu")  # later calls try it again
    assert isinstance((await runner.run([request("a")]))[0], ChatReply)
    await runner.close()


async def test_a_server_that_cannot_start_is_unavailable(server: VllmServer, tmp_path: Path) -> None:
    (tmp_path / "refuse").write_text("1 OSError: [Errno 5] no disk")
    runner = runner_of(server)
    with pytest.raises(ModelUnavailable, match="no disk"):
        await runner.load("cpu")
    await runner.load("cpu")
    assert server.state == "ready"


async def test_a_server_elsewhere_may_go_and_come_back(server: VllmServer, tmp_path: Path) -> None:
    await asyncio.to_thread(server.start)
    elsewhere = ServedRunner(FACTS, lambda: ChatClient(server.url, NAME, None, 5.0, patience=0.01), None, patience=20.0)
    await elsewhere.load("elsewhere")
    await elsewhere.offload()
    os.kill(server.pid, signal.SIGKILL)
    (reply,) = await asyncio.wait_for(elsewhere.run([request("a")]), 30)
    assert reply.text == "echo a"
    await asyncio.to_thread(server.stop)
    gone = ServedRunner(FACTS, lambda: ChatClient(server.url, NAME, None, 5.0, patience=0.01), None, True, 0.3, 0.2)
    with pytest.raises(ModelUnavailable, match=r"did not answer for 0 seconds.*start it, or correct vlm: url"):
        await gone.load("elsewhere")
    (answer,) = await gone.run([request("a")])
    assert isinstance(answer, ModelUnavailable)
    await elsewhere.close()
    await gone.close()


async def test_a_wrong_name_is_unavailable(server: VllmServer) -> None:
    runner = ServedRunner(FACTS, lambda: ChatClient(server.url, "other", None, 5.0), server)
    with pytest.raises(ModelUnavailable, match="serves no model 'other'"):
        await runner.load("cpu")
    (answer,) = await runner.run([request("a")])
    assert isinstance(answer, ModelUnavailable) and "set vlm: model to one of fake" in str(answer)


def test_each_event_loop_has_its_own_client(server: VllmServer) -> None:
    runner = runner_of(server)

    async def once() -> str:
        await runner.load("cpu")
        try:
            return (await runner.run([request("a")]))[0].text
        finally:
            await runner.close()

    assert [asyncio.run(once()) for _ in range(2)] == ["echo a"] * 2


async def test_the_gate_lets_one_alone_and_nobody_starves() -> None:
    gate, inside, log = _Gate(), set(), []

    async def visit(name: str, alone: bool) -> None:
        async with gate.alone() if alone else gate.shared():
            inside.add(name)
            assert len(inside) == 1 or not (alone or any(other.startswith("alone") for other in inside))
            await asyncio.sleep(0.001)
            inside.remove(name)
            log.append(name)

    async def cancelled() -> None:
        task = asyncio.create_task(visit("alone-cancelled", True))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    visits = [visit(f"{'alone' if number % 3 == 0 else 'shared'}-{number}", number % 3 == 0) for number in range(12)]
    await asyncio.wait_for(asyncio.gather(*visits, cancelled()), 10)
    assert len([name for name in log if name != "alone-cancelled"]) == 12 and not inside
    await asyncio.wait_for(visit("shared", False), 1)
