"""The small server of `fake_openai`: supervised in vLLM's place, quickly, or running by itself."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import fake_openai
from maia.engine.chat_client import ChatClient
from maia.engine.serving import Supervision
from maia.engine.serving_command import ServerCommand

NAME = "fake"
QUICK = Supervision(
    startup=30.0,
    poll=0.1,
    poll_timeout=1.0,
    failed_polls=2,
    probe=0.6,
    restarts=3,
    pause=0.01,
    longest_pause=0.05,
    grace=3.0,
)


def fake_command(state: Path, port: int, sleeps: bool = False) -> ServerCommand:
    """The small server in vLLM's place."""
    argv = (sys.executable, fake_openai.__file__, "--port", str(port), "--model", NAME, "--state", str(state))
    return ServerCommand(argv, dict(os.environ), f"http://127.0.0.1:{port}/v1", NAME, None, sleeps)


class Fake:
    """A running server. behave: what it does next; seen: what it was asked."""

    def __init__(self, state: Path, url: str, key: str | None = None) -> None:
        self.state, self.url, self.key = state, url, key

    def behave(self, *words: str) -> None:
        (self.state / "behave").write_text("\n".join(words))
        (self.state / "seen.jsonl").write_text("")

    @property
    def seen(self) -> list[dict]:
        return [json.loads(line) for line in (self.state / "seen.jsonl").read_text().splitlines()]

    def client(self, **options) -> ChatClient:
        options = {"api_key": self.key, "timeout": 20.0, "patience": 0.05, **options}
        return ChatClient(self.url, options.pop("model", "fake"), **options)


def start(state: Path, *arguments: str, key: str | None = None) -> Iterator[Fake]:
    """Runs it until the generator ends."""
    env = {**os.environ, **({"VLLM_API_KEY": key} if key else {})}
    process = subprocess.Popen([sys.executable, fake_openai.__file__, "--state", str(state), *arguments], env=env)
    try:
        until = time.monotonic() + 30
        while not (state / "port").exists() or not (state / "port").read_text():
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.02)
        yield Fake(state, f"http://127.0.0.1:{(state / 'port').read_text()}/v1", key)
    finally:
        process.kill()
        process.wait()
