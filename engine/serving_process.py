"""A command with all the processes that it starts, under a guard that ends them together; and ports for it."""

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from . import serving_guard

LOG_BYTES = 16 * 2**20
"""Of the log, twice: see `serving_guard`."""
GUARD_S = 60.0
"""Seconds beyond the grace after which the guard itself counts as hanging."""


class GuardedProcess:
    """Runs a command. Not thread-safe, but for `pid`."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        """env: the whole environment. log: gets what the command prints. Raises OSError if no process can be had."""
        log.parent.mkdir(parents=True, exist_ok=True)
        self._sockets = tempfile.mkdtemp(prefix="maia-")
        script = [sys.executable, "-I", serving_guard.__file__, str(os.getpid()), str(log), str(LOG_BYTES), "--"]
        self._guard = subprocess.Popen(
            [*script, *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**env, serving_guard.SOCKETS: self._sockets},
            start_new_session=True,  # Ctrl-C in the terminal is for us; we then stop the server in order
        )
        self._said = b""
        self.pid: int | None = None
        """Of the command's first process, as soon as the guard has told it."""
        self.code: int | None = None
        """The command's exit code once it has ended; negative: the signal's number."""

    @property
    def ended(self) -> bool:
        """Whether all processes are gone."""
        return self._guard.returncode is not None

    def wait(self, timeout: float, bell: int | None = None) -> bool:
        """Wait for the end, at most so many seconds, or until the descriptor `bell` can be read; the latter is emptied.
        Whether it has ended."""
        assert self._guard.stdout is not None
        until = time.monotonic() + timeout
        while not self.ended:
            poll = select.poll()
            poll.register(self._guard.stdout, select.POLLIN)
            if bell is not None:
                poll.register(bell, select.POLLIN)
            ready = [descriptor for descriptor, _ in poll.poll(max(0.0, until - time.monotonic()) * 1000)]
            if self._guard.stdout.fileno() in ready:
                self._read()
            if bell is not None and bell in ready:
                os.read(bell, 4096)
                break
            if not ready:
                break
        return self.ended

    def end(self, grace: float) -> None:
        """End it: a request, a kill after `grace` seconds. Returns when no process is left."""
        assert self._guard.stdin is not None
        if self.ended:
            return
        with contextlib.suppress(OSError):
            self._guard.stdin.write(f"stop {grace}\n".encode())
            self._guard.stdin.flush()
        if not self.wait(grace + GUARD_S):
            self._guard.kill()
            self._close()

    def _read(self) -> None:
        assert self._guard.stdout is not None
        data = os.read(self._guard.stdout.fileno(), 4096)
        self._said += data
        for line in self._said.decode().splitlines():
            word, _, value = line.partition(" ")
            if word == "started" and value.isdigit():
                self.pid = int(value)
            elif word == "ended":
                self.code = int(value) if value.lstrip("-").isdigit() else None
        if not data:
            self._close()

    def _close(self) -> None:
        """The guard is gone, or as good as gone."""
        if b"ended" not in self._said:
            # It was killed: what it guarded may still be there.
            _kill_left(self._guard.pid, self._sockets)
            shutil.rmtree(self._sockets, ignore_errors=True)
        self._guard.wait()
        for pipe in (self._guard.stdin, self._guard.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()


def _kill_left(session: int, sockets: str) -> None:
    """Kill what a guard that is gone has left: what is in its session, or was given the directory for sockets."""
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == session:
            continue
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{name}/stat").read_bytes().rpartition(b")")[2].split()
            if int(fields[3]) == session or os.fsencode(sockets) in Path(f"/proc/{name}/environ").read_bytes():
                os.kill(int(name), signal.SIGKILL)


def free_port() -> int:
    """A TCP port that nobody listens on now. Another process may take it before it is used."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(url: str) -> bool:
    """Whether nobody listens at the address yet: a server that is there could be taken for ours."""
    place = urlsplit(url)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(place.hostname, place.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError:
        return False
    return True
