"""`maia serve` as a process: known to other commands, restarted, and gone without a trace. The interpreter that the
profile names for vLLM starts a small server in its place."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_openai
import pytest
from command import call
from maia.engine.serving_state import ServerState, find_server, remove_state, running_servers, write_state
from tiny_vlm import tiny_checkpoint


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A profile whose server is the small one; $MAIA_CACHE is its own."""
    monkeypatch.setenv("MAIA_CACHE", str(tmp_path / "cache"))
    interpreter = tmp_path / "python"
    interpreter.write_text(
        f'#!/bin/sh\nshift 2\nexec {sys.executable} {fake_openai.__file__} --state {tmp_path} "$@"\n'
    )
    interpreter.chmod(0o755)
    return write_profile(tmp_path, python=str(interpreter))


def write_profile(place: Path, **entries: Any) -> Path:
    vlm = {
        "model": "tiny",
        "path": str(tiny_checkpoint()),
        "dtype": "fp32",
        "context": 4096,
        "concurrent": 2,
        **entries,
    }
    common = {"world": "testbed", "target": "ground-truth", "backbone": "scripted", "dataset_images": 10}
    path = place / "profile.yaml"
    path.write_text(json.dumps({**common, "jobs": 2, "turns": 2, "device": "cpu", "vlm": vlm}))
    return path


@pytest.fixture
def serving(profile: Path, tmp_path: Path) -> Iterator[subprocess.Popen]:
    """`maia serve`, ready."""
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "maia", "serve", "--profile", str(profile)], stdout=said, stderr=subprocess.STDOUT
        )
    try:
        until(lambda: "answers at" in (tmp_path / "said").read_text() or process.poll() is not None)
        yield process
    finally:
        process.kill()
        process.wait()


def until(true, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


def starts(place: Path) -> list[int]:
    return [int(line) for line in (place / "starts").read_text().split()]


def test_serve_is_found_restarted_and_stopped(serving: subprocess.Popen, profile: Path, tmp_path: Path) -> None:
    assert serving.poll() is None, (tmp_path / "said").read_text()
    found = find_server("tiny")
    assert found is not None and found.pid == serving.pid and found.url in (tmp_path / "said").read_text()
    file = tmp_path / "cache" / "servers" / f"{serving.pid}.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert find_server("another") is None
    # A second one would take the same memory again.
    assert "tiny is served already at" in call("serve", "--profile", profile).sentence()
    (pid,) = starts(tmp_path)
    os.kill(pid, signal.SIGKILL)
    until(lambda: "answers again" in (tmp_path / "said").read_text())
    assert "is restarted: the server of tiny ended by signal 9" in (tmp_path / "said").read_text().replace("\n", " ")
    assert find_server("tiny") == found
    serving.send_signal(signal.SIGTERM)
    assert serving.wait(30) == 0
    assert find_server("tiny") is None and not file.exists()
    assert not any(Path(f"/proc/{pid}").exists() for pid in starts(tmp_path))


def test_serve_says_why_it_cannot(profile: Path, tmp_path: Path) -> None:
    (tmp_path / "refuse").write_text("9 ValueError: the moon is in the way")
    assert "the moon is in the way" in call("serve", "--profile", profile).sentence()
    assert running_servers() == []
    write_profile(tmp_path, python="/nowhere/python")
    assert "/nowhere/python cannot be started" in call("serve", "--profile", profile).sentence()
    write_profile(tmp_path, url="http://10.0.0.1:8000/v1")
    assert "leave url out to serve it here" in call("serve", "--profile", profile).sentence()
    write_profile(tmp_path, host="0.0.0.0")
    assert "needs an API key" in call("serve", "--profile", profile).sentence()
    assert "names no vision-language model" in call("serve", "--profile", "testbed").sentence()


def test_states_of_dead_servers_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIA_CACHE", str(tmp_path))
    gone = subprocess.Popen(["true"])
    gone.wait()
    file = write_state(ServerState("http://127.0.0.1:9/v1", ("tiny", "adapter"), gone.pid))
    assert running_servers() == [] and not file.exists()
    # Its process lives, but nobody answers there.
    write_state(ServerState("http://127.0.0.1:9/v1", ("tiny",), os.getpid()))
    assert find_server("tiny") is None and len(running_servers()) == 1
    (tmp_path / "servers" / "7.json").write_text("{ no json")
    assert len(running_servers()) == 1
    remove_state(os.getpid())
    assert running_servers() == []
