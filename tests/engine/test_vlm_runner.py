"""What runs a run's vision-language model: a server of its own, one that is found, one elsewhere, or this process."""

import asyncio
from pathlib import Path
from typing import Any

import maia.engine.vlm_runner
import pytest
from fake_server import NAME, fake_command
from maia.engine.placement import place
from maia.engine.plan import Device, Plan
from maia.engine.residency import WeightStore
from maia.engine.runners.base import Runner
from maia.engine.runners.in_process import InProcessRunner
from maia.engine.runners.served import ServedRunner
from maia.engine.scheduler import Scheduler
from maia.engine.serving_command import ServerCommand
from maia.engine.serving_state import ServerState, remove_state, servers_directory, write_state
from maia.engine.vlm import resolve_vlm
from maia.engine.vlm_runner import close_model, model_counts, vlm_runner
from maia.engine.vlm_sizing import ELSEWHERE, elsewhere
from maia.models.vlm.chat import ChatMessage, ChatReply, ChatRequest
from talking import profile_of

CPU = Device("cpu", 2**40, 1e9)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Servers of other tests are not found."""
    monkeypatch.setenv("MAIA_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What servers were to be started with; the small server is started in their place."""
    asked: list[dict[str, Any]] = []

    def command(options: Any, checkpoint: Any, port: int, *given: Any) -> ServerCommand:
        share, concurrent, device, kv_bytes = given
        asked.append({"share": share, "concurrent": concurrent, "device": device, "kv_bytes": kv_bytes})
        return fake_command(tmp_path, port)

    monkeypatch.setattr(maia.engine.vlm_runner, "server_command", command)
    return asked


def made(say: Any = lambda what: None, **chosen: Any) -> tuple[Runner, Scheduler]:
    """The runner of such a model in a scheduler of its own."""
    profile = profile_of(**{"model": NAME} | chosen)
    vlm = resolve_vlm(profile)
    runner, planned = vlm_runner(vlm, profile, WeightStore(), ("cpu",), say)
    devices = [elsewhere()] if runner.facts.devices == (ELSEWHERE,) else [CPU]
    plan: Plan = place([runner.facts], devices, jobs=2)
    planned(plan)
    return runner, Scheduler(plan, {runner.facts.name: runner})


def ask(scheduler: Scheduler, count: int = 1) -> list[Any]:
    request = ChatRequest([ChatMessage("user", ("hello",))], 1)

    async def work() -> list[Any]:
        async with scheduler:
            return await scheduler.submit("vlm", [request] * count)

    return asyncio.run(work())


def test_a_server_of_the_runs_own_gets_what_the_plan_allots(started: list[dict[str, Any]], own_cache: Path) -> None:
    told: list[str] = []
    runner, scheduler = made(told.append)
    assert isinstance(runner, ServedRunner) and runner.server is not None and not started, "nothing starts unasked"
    try:
        replies = [*ask(scheduler), *ask(scheduler, 3)]  # in two event loops, as describing and scoring are
        assert [type(reply) for reply in replies] == [ChatReply] * 4
        place_ = scheduler.plan.places["vlm"]
        cache = runner.facts.workspace.per_item * place_.batch
        assert started == [{"share": None, "concurrent": place_.batch, "device": "cpu", "kv_bytes": cache}]
        counts = model_counts(scheduler)
        assert counts["requests"] == 4 and counts["prefix_hits"] == 0.8 and counts["restarts"] == 0
        assert any("ready" in line for line in told) and len(set(told)) == len(told)
        assert runner.server.log.exists()
    finally:
        close_model(scheduler)
    assert runner.server.state == "stopped" and not runner.server.log.exists()
    assert not list(servers_directory().glob("*.log"))


def test_the_log_of_a_server_that_cannot_start_stays(started: list[dict[str, Any]], own_cache: Path) -> None:
    (own_cache / "refuse").write_text("99 ValueError: no such thing")
    runner, scheduler = made()
    assert isinstance(runner, ServedRunner) and runner.server is not None
    (reply,) = ask(scheduler)
    assert "no such thing" in str(reply)
    close_model(scheduler)
    assert "no such thing" in runner.server.log.read_text()


def test_a_server_that_is_served_already_is_used(started: list[dict[str, Any]], own_cache: Path) -> None:
    first, serving = made()
    assert isinstance(first, ServedRunner) and first.server is not None
    try:
        ask(serving)
        state = ServerState(first.server.url, (NAME,), first.server.pid or 0)
        write_state(state)
        told: list[str] = []
        second, scheduler = made(told.append)
        assert isinstance(second, ServedRunner) and second.server is None and first.server.url in told[0]
        assert isinstance(ask(scheduler)[0], ChatReply) and len(started) == 1
        close_model(scheduler)
        assert first.server.state == "ready", "what others have started is not stopped"
        remove_state(state.pid)
    finally:
        close_model(serving)


def test_a_server_elsewhere_takes_nothing_here() -> None:
    runner, scheduler = made(url="http://gpu7:8000/v1", sleep=True)
    assert isinstance(runner, ServedRunner) and runner.server is None
    assert runner.facts.devices == (ELSEWHERE,) and runner.facts.nbytes == 0 and not runner.facts.can_sleep
    assert scheduler.plan.places["vlm"].device == ELSEWHERE
    close_model(scheduler)


def test_a_model_in_this_process_is_one_more_model() -> None:
    runner, scheduler = made(backbone="in-process", max_tokens=16)
    assert isinstance(runner, InProcessRunner) and runner.facts.kind == "batch" and runner.facts.nbytes > 0
    request = ChatRequest([ChatMessage("user", ("hello",))], 1, resolve_vlm(profile_of(max_tokens=16)).options.sampling)

    async def work() -> Any:
        async with scheduler:
            return await scheduler.submit("vlm", [request, request])

    one, other = asyncio.run(work())
    assert isinstance(one, ChatReply) and one.text == other.text
    assert model_counts(scheduler)["requests"] == 2 and "restarts" not in model_counts(scheduler)
