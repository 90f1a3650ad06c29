"""The fixture `served`: one real vLLM server of a tiny checkpoint for all tests of a run, in all its processes.

The first test that asks for it starts it, in a process of its own (`served_holder`) that ends when the run does,
however that ends.
"""

import contextlib
import fcntl
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

RUN = "MAIA_TEST_RUN"
START_S = 900  # on a quiet machine some 45
# This file is imported first in the process that was started by hand; those that it starts inherit its number.
os.environ.setdefault(RUN, str(os.getpid()))


@dataclass(frozen=True)
class Served:
    """url: ends in /v1. model: the name that it serves. path: the checkpoint's folder. adapter: the name of the LoRA
    adapter that it serves too; adapter_path: its folder. context: tokens that a request may take. dtype: of the
    weights. The server takes no per-request seeds, and may not be stopped."""

    url: str
    model: str
    path: Path
    adapter: str
    adapter_path: Path
    context: int
    dtype: str


@pytest.fixture(scope="session")
def served() -> Served:
    """The server, running."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed here: make setup EXTRAS=dev,serve-cpu")
    cache = Path(os.environ["MAIA_TEST_CACHE"])
    with (cache / "served.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = _state(cache) or _start(cache)
    if "problem" in state:
        pytest.fail(f"the server for the tests cannot be started: {state['problem']}")
    paths = Path(state["path"]), state["adapter"], Path(state["adapter_path"])
    return Served(state["url"], state["model"], *paths, state["context"], state["dtype"])


def _state(cache: Path) -> dict | None:
    with contextlib.suppress(OSError, ValueError):
        return json.loads((cache / "served.json").read_text())
    return None


def _start(cache: Path) -> dict:
    script = [sys.executable, str(Path(__file__).with_name("served_holder.py")), os.environ[RUN]]
    with (cache / "served_holder.log").open("wb") as log:
        holder = subprocess.Popen(
            script, start_new_session=True, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        state = _state(cache)
        if state is not None:
            return state
        if holder.poll() is not None:
            break
        time.sleep(0.2)
    holder.terminate()
    return {"problem": f"see {cache}: {(cache / 'served_holder.log').read_text()[-800:]}"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test that asks for it waits for its start, which is no part of the test."""
    for item in items:
        if "served" in getattr(item, "fixturenames", ()) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(START_S + 300))


def pytest_unconfigure() -> None:
    """Stop it with the run, before its files go."""
    if os.environ.get(RUN) != str(os.getpid()) or "MAIA_TEST_CACHE" not in os.environ:
        return
    state = _state(Path(os.environ["MAIA_TEST_CACHE"]))
    if state is None or "holder" not in state:
        return
    with contextlib.suppress(ProcessLookupError):
        holder = os.pidfd_open(state["holder"])
        os.kill(state["holder"], signal.SIGTERM)
        import select

        select.select([holder], [], [], 30)
        os.close(holder)
    (Path(os.environ["MAIA_TEST_CACHE"]) / "served.json").unlink(missing_ok=True)
