"""Stands between a server and the process that wants it, so that no part of the server outlives that process.

Run as a script, with nothing but the standard library: `python -I serving_guard.py PARENT LOG MAX_BYTES -- COMMAND…`.
It starts the command and adopts whatever its processes leave behind. It ends all of them when it reads "stop SECONDS"
on its standard input (a request first, a kill after so long), when its input or its parent is gone (even by SIGKILL),
and when the command ends. It writes "started PID" and "ended CODE" to its standard output, the command's output to the
log, of which it keeps two files of MAX_BYTES.
"""

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
TICK_S = 0.25
LOOK_S = 2.0
"""How often it is looked which shared memory the processes use."""
GRACE_S = 10.0
"""Seconds for an orderly end where nobody can say how many."""
KILL_S = 20.0
SOCKETS = "VLLM_RPC_BASE_PATH"
"""The environment variable that says where the server puts its sockets: a directory of its own, removed at the end."""


class Log:
    """A file that is moved aside when it is full; the one of the command before is kept beside it."""

    def __init__(self, path: Path, limit: int) -> None:
        self._path, self._limit = path, limit
        self._begin()

    def _begin(self) -> None:
        if self._path.exists():
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        # Request logs may hold what was asked.
        self._file = os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb", buffering=0)
        self._size = 0

    def write(self, data: bytes) -> None:
        """Append. A full disk loses the line and not the server."""
        if self._size > self._limit:
            self._file.close()
            self._begin()
        with contextlib.suppress(OSError):
            self._file.write(data)
        self._size += len(data)


class Guard:
    """One command and its processes."""

    def __init__(self, parent: int, log: Log, argv: list[str]) -> None:
        self._parent, self._log = parent, log
        self._code: int | None = None
        self._shared: set[str] = set()
        self._looked = 0.0
        self._deadline: float | None = None
        self._sockets = os.environ.get(SOCKETS)
        self._reading, writing = os.pipe()
        try:
            self._pid = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=writing,
                stderr=subprocess.STDOUT,
                preexec_fn=_die_with(os.getpid()),
            ).pid
            _say(f"started {self._pid}")
        except OSError as problem:
            self._pid, self._code = 0, 127
            self._log.write(f"maia: {argv[0]} cannot be started: {problem.strerror}\n".encode())
        os.close(writing)
        os.set_blocking(self._reading, False)

    def run(self) -> None:
        """Until the command and all that it started are gone."""
        poll = select.poll()
        poll.register(0, select.POLLIN)
        poll.register(self._reading, select.POLLIN)
        try:
            while self._code is None:
                ready = dict(poll.poll(TICK_S * 1000))
                if self._reading in ready and not self._copy_log():
                    poll.unregister(self._reading)
                if 0 in ready and self._deadline is None:
                    words = os.read(0, 4096).split()
                    self._end_after(float(words[1]) if words[:1] == [b"stop"] else GRACE_S)
                    poll.unregister(0)
                if os.getppid() != self._parent:
                    self._end_after(GRACE_S)
                self._look()
                self._reap()
                if self._deadline is not None and time.monotonic() > self._deadline:
                    break
        finally:
            self._clear()
            _say(f"ended {self._code}")

    def terminate(self, *_: object) -> None:
        """What SIGTERM does."""
        self._end_after(GRACE_S)

    def _end_after(self, seconds: float) -> None:
        if self._deadline is None:
            self._deadline = time.monotonic() + seconds
            if self._pid and seconds > 0:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._pid, signal.SIGTERM)

    def _copy_log(self) -> bool:
        """False: nothing will come any more."""
        try:
            data = os.read(self._reading, 1 << 16)
        except BlockingIOError:
            return True
        if data:
            self._log.write(data)
        return bool(data)

    def _reap(self) -> bool:
        """Whether there are children left."""
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self._pid:
                    self._code = os.waitstatus_to_exitcode(ended[1])
            return True
        except ChildProcessError:
            return False

    def _look(self, now: bool = False) -> None:
        """Remember which shared memory the processes have mapped: those that are killed leave it behind."""
        if now or time.monotonic() - self._looked > LOOK_S:
            self._looked = time.monotonic()
            for pid in descendants():
                self._shared |= mapped_shared_memory(pid)

    def _clear(self) -> None:
        self._look(now=True)
        until = time.monotonic() + KILL_S
        while (left := descendants()) and time.monotonic() < until:
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            self._copy_log()
            self._reap()
            time.sleep(0.02)
        # The dead that nobody has waited for yet would be left to the machine's first process, which may not care.
        while self._reap() and time.monotonic() < until:
            time.sleep(0.02)
        while self._copy_log() and time.monotonic() < until:
            # Empty, and no process is left that could write.
            if not select.select([self._reading], [], [], 0)[0]:
                break
        others: set[str] = set()
        for name in os.listdir("/proc") if self._shared else ():
            others |= mapped_shared_memory(int(name)) if name.isdigit() else set()
        for path in self._shared - others:
            with contextlib.suppress(OSError):
                os.unlink(path)
        if self._sockets:
            shutil.rmtree(self._sockets, ignore_errors=True)


def descendants() -> list[int]:
    """All processes below this one, zombies not among them."""
    children: dict[int, list[int]] = {}
    dead = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                state, parent = file.read().rpartition(b")")[2].split()[:2]
                children.setdefault(int(parent), []).append(int(name))
                if state == b"Z":
                    dead.add(int(name))
    found, waiting = [], list(children.get(os.getpid(), []))
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children.get(pid, [])
    return [pid for pid in found if pid not in dead]


def mapped_shared_memory(pid: int) -> set[str]:
    """Files of /dev/shm that a process has mapped."""
    found = set()
    with contextlib.suppress(OSError), open(f"/proc/{pid}/maps", "rb") as file:
        for line in file:
            path = line.rstrip(b"\n").partition(b"/dev/shm/")
            if path[1] and not path[2].endswith(b" (deleted)"):
                found.add(os.fsdecode(path[1] + path[2]))
    return found


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _die_with(parent: int) -> Callable[[], None]:
    def prepare() -> None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(1, f"{text}\n".encode())


def main(arguments: list[str]) -> None:
    """See the module's text."""
    parent, log, limit, _, *argv = arguments
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    for unwanted in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        # A function and not SIG_IGN, which the command would inherit.
        signal.signal(unwanted, lambda *_: None)
    guard = Guard(int(parent), Log(Path(log), int(limit)), argv)
    signal.signal(signal.SIGTERM, guard.terminate)
    guard.run()


if __name__ == "__main__":
    main(sys.argv[1:])
