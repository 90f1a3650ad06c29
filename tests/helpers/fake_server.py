"""How the small server of `fake_openai` is supervised in vLLM's place, quickly."""

import os
import sys
from pathlib import Path

import fake_openai
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
