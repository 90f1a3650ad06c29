"""The supervisor of a server: what it starts, notices, restarts, gives up and leaves behind. The server is a small one
that misbehaves as it is told (tests/helpers/fake_openai.py)."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fake_openai
import pytest
from fake_server import NAME, QUICK, fake_command
from maia.engine.serving import Progress, Supervision, VllmServer, free_port
from maia.engine.serving_command import ServerCommand
from maia.models.errors import UserError

Started = Callable[..., VllmServer]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Started]:
    """Makes servers that are stopped at the end."""
    made: list[VllmServer] = []

    def make(rules: Supervision = QUICK, sleeps: bool = False, port: int | None = None, told=None) -> VllmServer:
        made.append(
            VllmServer(
                lambda p: fake_command(tmp_path, p, sleeps), tmp_path / "log", port, rules, told or (lambda _: None)
            )
        )
        return made[-1]

    yield make
    for server in made:
        server.stop()


def starts(state: Path) -> int:
    """How often the small server was started."""
    return len((state / "starts").read_text().split())


def until(true: Callable[[], object], seconds: float = 15.0) -> None:
    """Wait for something that must come."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def lives(pid: int) -> bool:
    """Whether there is a process, zombies not counted."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_start_and_stop_leave_nothing(serve: Started, tmp_path: Path) -> None:
    (tmp_path / "children").touch()
    server = serve()
    server.start()
    assert server.state == "ready" and server.startup_seconds > 0 and server.restarts == 0
    left = json.loads((tmp_path / "left").read_text())
    shared = Path("/dev/shm") / left["shared"]
    assert server.pid is not None and all(map(lives, [server.pid, *left["pids"]])) and shared.exists()
    pid = server.pid
    server.stop()
    assert server.state == "stopped" and not any(map(lives, [pid, *left["pids"]])) and not shared.exists()
    with pytest.raises(UserError, match="stopped"):
        server.wait_ready(1)
    server.start()  # again
    assert server.state == "ready"


def test_a_killed_server_is_restarted_at_its_address(serve: Started, tmp_path: Path) -> None:
    (tmp_path / "children").touch()
    told: list[Progress] = []
    server = serve(told=told.append)
    server.start()
    url, pid, children = server.url, server.pid, json.loads((tmp_path / "left").read_text())["pids"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: server.restarts == 1)
    server.wait_ready(15)
    assert server.url == url and server.pid != pid and starts(tmp_path) == 2
    assert not any(map(lives, children))
    assert any(now.state == "restarting" and "signal 9" in now.text for now in told)


def test_a_server_that_stands_still_is_restarted(serve: Started, tmp_path: Path) -> None:
    server = serve()
    server.start()
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)
    until(lambda: server.restarts == 1)
    server.wait_ready(15)
    assert starts(tmp_path) == 2 and not lives(pid)


def test_a_server_that_says_it_is_ill_is_restarted(serve: Started, tmp_path: Path) -> None:
    server = serve()
    server.start()
    (tmp_path / "ill").touch()
    until(lambda: server.state == "restarting")
    (tmp_path / "ill").unlink()
    server.wait_ready(15)
    assert server.restarts >= 1


def test_suspicion_is_dispelled_by_an_answer_and_by_work(serve: Started, tmp_path: Path) -> None:
    server = serve()
    server.start()
    server.suspect()
    server.wait_ready(15)
    assert server.restarts == 0
    # All its places are taken, so that it does not answer; but it gets things done.
    (tmp_path / "behave").write_text("hang")
    (tmp_path / "busy").touch()
    server.suspect()
    assert server.state == "suspected"
    server.wait_ready(15)
    assert server.restarts == 0
    # Healthy by its own account, and does nothing.
    (tmp_path / "busy").unlink()
    server.suspect()
    server.wait_ready(15)
    assert server.restarts == 1


def test_given_up_with_the_reason(serve: Started, tmp_path: Path) -> None:
    server = serve()
    server.start()
    (tmp_path / "refuse").write_text("+1 torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB.")
    waited: list[str] = []

    def wait() -> None:
        until(lambda: server.state != "ready")
        with pytest.raises(UserError) as told:
            server.wait_ready(None)
        waited.append(str(told.value))

    waiters = [threading.Thread(target=wait) for _ in range(3)]
    for waiter in waiters:
        waiter.start()
    os.kill(server.pid, signal.SIGKILL)
    for waiter in waiters:
        waiter.join(30)
    assert len(waited) == 3 and len(set(waited)) == 1
    assert "given up after 3 restarts" in waited[0] and "20.00 MiB more" in waited[0]
    assert server.state == "failed" and starts(tmp_path) == 4
    (tmp_path / "refuse").unlink()
    server.start()
    assert server.state == "ready"


def test_a_server_that_cannot_start_says_why_and_is_not_tried_again(serve: Started, tmp_path: Path) -> None:
    (tmp_path / "refuse").write_text("9 ValueError: the moon is in the way")
    with pytest.raises(UserError, match="the moon is in the way"):
        serve().start()
    assert starts(tmp_path) == 1


def test_a_missing_interpreter_is_named(tmp_path: Path) -> None:
    command = ServerCommand(("/nowhere/python",), dict(os.environ), "http://127.0.0.1:1/v1", NAME)
    with pytest.raises(UserError, match=r"/nowhere/python cannot be started: No such file"):
        VllmServer(lambda _: command, tmp_path / "log", None, QUICK).start()


def test_a_taken_port_is_given_up_only_if_it_was_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    taken = free_port()
    first = VllmServer(lambda p: fake_command(tmp_path / "one", p), tmp_path / "log1", taken, QUICK)
    first.start()
    try:
        with pytest.raises(UserError, match="port is in use"):
            VllmServer(lambda p: fake_command(tmp_path / "two", p), tmp_path / "log2", taken, QUICK).start()
        # The port that looked free is taken by the time it is used: another is tried.
        ports = iter([taken, free_port()])
        monkeypatch.setattr("maia.engine.serving.free_port", lambda: next(ports))
        second = VllmServer(lambda p: fake_command(tmp_path / "two", p), tmp_path / "log2", None, QUICK)
        second.start()
        assert second.url != first.url and second.state == "ready"
        second.stop()
    finally:
        first.stop()


def test_sleep_and_wake(serve: Started, tmp_path: Path) -> None:
    server = serve(sleeps=True)
    server.start()
    server.sleep()
    assert server.state == "asleep"
    server.wake()
    assert server.state == "ready" and (tmp_path / "slept").read_text().split() == ["/sleep?level=1", "/wake_up"]
    # One that dies in its sleep holds no memory, and takes none before it is woken.
    server.sleep()
    os.kill(server.pid, signal.SIGKILL)
    until(lambda: server.pid is None)
    time.sleep(0.3)
    assert server.state == "asleep" and starts(tmp_path) == 1
    server.wake()
    assert server.state == "ready" and starts(tmp_path) == 2
    # One that hangs is ended, so that its memory is free when `sleep` returns.
    os.kill(server.pid, signal.SIGSTOP)
    pid = server.pid
    server.suspect()
    server.sleep()
    assert server.state == "asleep" and not lives(pid)
    server.wake()
    assert server.state == "ready" and starts(tmp_path) == 3


def test_sleep_needs_sleep_mode(serve: Started) -> None:
    server = serve()
    server.start()
    with pytest.raises(RuntimeError, match="without sleep mode"):
        server.sleep()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_survives_us(tmp_path: Path, how: int) -> None:
    """Our own process is killed: its server goes, with what the server has started."""
    (tmp_path / "children").touch()
    program = (
        "import sys, time, os; from pathlib import Path; sys.path[:0] = sys.argv[2:]\n"
        "from maia.engine.serving import VllmServer\n"
        "from fake_server import fake_command, QUICK\n"
        "state = Path(sys.argv[1])\n"
        "server = VllmServer(lambda p: fake_command(state, p), state / 'log', None, QUICK)\n"
        "server.start()\n"
        "if os.fork(): (state / 'up').write_text(str(server.pid))\n"
        "time.sleep(600)\n"
    )
    paths = [str(Path(fake_openai.__file__).parent)]
    # A child of ours that lives on holds our ends of all pipes.
    us = subprocess.Popen([sys.executable, "-c", program, str(tmp_path), *paths], start_new_session=True)
    try:
        until(lambda: (tmp_path / "up").exists() and (tmp_path / "up").read_text(), 30)
        pids = [int((tmp_path / "up").read_text()), *json.loads((tmp_path / "left").read_text())["pids"]]
        assert all(map(lives, pids))
        us.send_signal(how)
        us.wait(10)
        until(lambda: not any(map(lives, pids)))
    finally:
        os.killpg(us.pid, signal.SIGKILL)
        us.wait()


def test_nothing_survives_the_guard(serve: Started, tmp_path: Path) -> None:
    (tmp_path / "children").touch()
    server = serve()
    server.start()
    left = json.loads((tmp_path / "left").read_text())
    pids = [server.pid, *left["pids"]]
    guard = int(Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(guard, signal.SIGKILL)
    until(lambda: server.restarts == 1)
    server.wait_ready(15)
    assert not any(map(lives, pids))
    (Path("/dev/shm") / left["shared"]).unlink()  # which nobody could know of


def test_the_log_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from maia.engine import serving_process

    monkeypatch.setattr(serving_process, "LOG_BYTES", 1000)
    argv = (sys.executable, "-c", "for i in range(3000): print('line', i, flush=i % 10 == 0)")
    process = serving_process.GuardedProcess(argv, dict(os.environ), tmp_path / "log")
    until(lambda: process.wait(0.1), 30)
    assert process.code == 0
    assert (tmp_path / "log").read_text().endswith("line 2999\n")
    assert {path.name for path in tmp_path.iterdir()} == {"log", "log.1"}
    assert (tmp_path / "log.1").stat().st_size < 200_000
