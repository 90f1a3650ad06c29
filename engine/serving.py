"""The life of a server of a vision-language model: start, watch, restart, sleep, stop, with nothing left behind."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..models.errors import UserError
from .serving_command import ServerCommand
from .serving_http import ServerHttp
from .serving_log import PORT_IN_USE, engine_failed, explain, port_in_use, read_log, stage_of
from .serving_process import GuardedProcess, free_port, is_free

PORTS_TRIED = 5
TICK_S = 0.25

State = Literal["stopped", "starting", "ready", "suspected", "asleep", "restarting", "failed"]


@dataclass(frozen=True)
class Supervision:
    """How a server is watched. Seconds, but for counts.

    startup: to become ready, reading the weights included. poll: between two looks at its health, each of which may
    take poll_timeout; after failed_polls in a row that failed it counts as hanging. probe: to get anything done at all
    while it is suspected. restarts: within the last `window`, before it is given up. pause: before the first restart;
    it doubles, up to longest_pause. grace: for an orderly stop.
    """

    startup: float = 1800.0
    poll: float = 2.0
    poll_timeout: float = 10.0
    failed_polls: int = 3
    probe: float = 60.0
    restarts: int = 5
    window: float = 900.0
    pause: float = 1.0
    longest_pause: float = 60.0
    grace: float = 15.0


@dataclass(frozen=True)
class Progress:
    """What a server is at. text: its stage while it starts, or why it restarts. seconds: since it was started."""

    state: State
    text: str
    seconds: float


class VllmServer:
    """A server in processes of its own, supervised by a thread. Every method may be called from any thread; those
    that wait block it (in an event loop: asyncio.to_thread). However our process ends, nothing of the server is left.

    restarts: how often it was started again. startup_seconds: of its last start, until it was ready. pid: of its first
    process; None while there is none.
    """

    def __init__(
        self,
        command: Callable[[int], ServerCommand],
        log: Path,
        port: int | None = None,
        supervision: Supervision | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        """command: what to start, for a port. port: the one to listen on; None: a free one. log: a file; that of the
        start before is kept beside it, as LOG.1. progress: is told what happens, from the supervising thread."""
        self._make, self._port, self._log = command, port, log
        self._rules = supervision or Supervision()
        self._progress = progress or (lambda _: None)
        self._condition = threading.Condition()
        self._state: State = "stopped"
        self._reason = ""
        self._command: ServerCommand | None = None
        self._thread: threading.Thread | None = None
        self._bell = (-1, -1)
        self._stopping = self._asleep = self._unwanted = False
        self._began = 0.0
        self.pid: int | None = None
        self.restarts = 0
        self.startup_seconds = 0.0

    # What callers see

    @property
    def state(self) -> State:
        """What it is at. "suspected": it is being asked whether it still works. "failed": it is given up."""
        return self._state

    @property
    def log(self) -> Path:
        """The file with what it prints."""
        return self._log

    @property
    def command(self) -> ServerCommand:
        """What was started last. Raises RuntimeError before `start`."""
        if self._command is None:
            raise RuntimeError("the server has not been started")
        return self._command

    @property
    def url(self) -> str:
        """Where it is reached from this machine, as in "http://127.0.0.1:8000/v1". A restart may change the port if it
        was not chosen."""
        return self.command.url

    @property
    def can_sleep(self) -> bool:
        """Whether `sleep` gives memory back."""
        return self.command.can_sleep

    def start(self) -> None:
        """Start it and wait until it is ready. Raises UserError with the line of the log that says why it cannot."""
        ending = self._thread if self._state in ("stopped", "failed") else None
        if ending is not None:
            ending.join()  # it has told how it ended, and is about to
        with self._condition:
            if self._thread is not None and self._thread.is_alive():
                raise RuntimeError("the server is running already")
            self._stopping = self._asleep = self._unwanted = False
            self._state, self._began = "starting", time.monotonic()
            self._bell = os.pipe()
            self._thread = threading.Thread(target=self._supervise, name="server-supervisor", daemon=True)
            self._thread.start()
        try:
            self.wait_ready(None)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it with all its processes. Does nothing if it does not run."""
        with self._condition:
            thread, self._stopping = self._thread, True
            self._condition.notify_all()
            self._ring()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def wait_ready(self, patience: float | None) -> None:
        """Wait until it answers requests. patience: seconds; None: as long as it is tried.

        Raises UserError if it was given up or stopped, or is not ready in time.
        """
        until = None if patience is None else time.monotonic() + patience
        with self._condition:
            while self._state != "ready":
                if self._state == "failed":
                    raise UserError(self._reason)
                if self._state == "stopped":
                    raise UserError("the server was stopped: start it again.")
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    raise UserError(
                        f"the server was not ready within {patience:.0f} seconds ({self._state}): see {self._log}."
                    )
                self._condition.wait(left)

    def suspect(self) -> None:
        """Tell that a request was lost or took too long: the server is asked to do something, and restarted if it does
        not. Returns at once; `wait_ready` then waits for the outcome."""
        with self._condition:
            if self._state == "ready":
                self._set("suspected")
                self._ring()

    def sleep(self) -> None:
        """Give the GPU's memory back, while no request is under way. Raises RuntimeError where it cannot sleep, and
        UserError if it was given up or stopped."""
        if not self.can_sleep:
            raise RuntimeError("this server was started without sleep mode")
        with self._condition:
            if self._state in ("failed", "stopped"):
                raise UserError(self._reason or "the server was stopped: start it again.")
            well, self._asleep = self._state == "ready", True
        if well and self._http().post("/sleep?level=1", None, self._rules.startup):
            self._change("asleep", "")
            return
        # One that does not fall asleep gives its memory back all the same: it ends, until `wake`.
        with self._condition:
            self._unwanted = True
            self._ring()
            self._condition.wait_for(lambda: self.pid is None)
            self._set("asleep")

    def wake(self) -> None:
        """Take the memory again and wait until requests are answered. Raises UserError if it cannot."""
        with self._condition:
            there = self._asleep and self._state == "asleep" and self.pid is not None
        woken = there and self._http().post("/wake_up", None, self._rules.startup)
        with self._condition:
            self._asleep = False
            if self._state == "asleep":
                self._set("ready" if woken else "restarting")
                self._unwanted = there and not woken
                self._ring()
        self.wait_ready(None)

    # The supervisor's thread

    def _supervise(self) -> None:
        try:
            reason = self._lives()
            with self._condition:
                self._reason = reason
                self._set("failed" if reason and not self._stopping else "stopped")
            if reason:
                self._tell("failed", reason)
        except UserError as problem:  # of the command
            with self._condition:
                self._reason = str(problem)
                self._set("failed")
            self._tell("failed", self._reason)
        except Exception as problem:  # nobody else would tell those who wait
            with self._condition:
                self._reason = f"the server's supervisor failed ({type(problem).__name__}: {problem})."
                self._set("failed")
        finally:
            with self._condition:
                bell, self._bell = self._bell, (-1, -1)
            for end in bell:
                os.close(end)

    def _lives(self) -> str:
        """One after the other, until it is stopped (answer: "") or given up (why)."""
        deaths: deque[float] = deque()
        tried = 1
        port = self._port or free_port()
        while True:
            end = self._live(port)
            if self._stopping:
                return ""
            if end.port_taken and self._port is None and tried < PORTS_TRIED:
                port, tried = free_port(), tried + 1
                continue
            if not end.was_ready and not deaths and not self.restarts:
                return end.reason
            if not end.wanted:
                deaths.append(time.monotonic())
            while deaths and deaths[0] < time.monotonic() - self._rules.window:
                deaths.popleft()
            if len(deaths) > self._rules.restarts:
                return (
                    f"the server of {self.command.model} was given up after {self._rules.restarts} restarts within "
                    f"{self._rules.window / 60:.3g} minutes; the last end: {end.reason}"
                )
            if not self._pause(len(deaths), end.reason):
                return ""
            self.restarts += 1

    def _pause(self, deaths: int, reason: str) -> bool:
        """Before a restart. Whether there is to be one."""
        pause = min(self._rules.pause * 2 ** max(0, deaths - 1), self._rules.longest_pause) if deaths else 0.0
        while not self._stopping:
            with self._condition:
                self._condition.wait_for(lambda: self._stopping or not self._asleep)
                if self._stopping:
                    break
                self._set("restarting")
            self._tell("restarting", reason)
            with self._condition:
                # Put to sleep while it pauses: it stays down.
                if not self._condition.wait_for(lambda: self._stopping or self._asleep, pause):
                    return True
        return False

    def _live(self, port: int) -> "_End":
        """From a start to its end."""
        self._began = time.monotonic()
        self._command = command = self._make(port)
        if not is_free(command.url):
            return _End(f"the server of {command.model} ended: {PORT_IN_USE}", port_taken=True)
        try:
            process = GuardedProcess(command.argv, command.env, self._log)
        except OSError as problem:
            return _End(f"the server cannot be started: {problem}.")
        process.wait(TICK_S)
        ready = False
        with self._condition:
            self._unwanted = self._asleep  # put to sleep while it was down: no start until `wake`
            self.pid = process.pid or -1
        try:
            reason = self._until_ready(process, command)
            if not reason:
                ready = True
                self.startup_seconds = time.monotonic() - self._began
                self._change("ready", "")
                reason = self._watch(process, command)
        finally:
            process.end(self._rules.grace if self._stopping else 0.0)
            with self._condition:
                wanted, self._unwanted = self._unwanted, False
                if self._state in ("ready", "suspected") and not self._asleep:
                    self._set("restarting")
                self.pid = None
                self._condition.notify_all()
        said = read_log(self._log)
        return _End(reason or self._why(process, command), ready, wanted, port_in_use(said) and not ready)

    def _until_ready(self, process: GuardedProcess, command: ServerCommand) -> str:
        """Wait for it. The answer: why it is not ready; "": it is."""
        http, stage, failed = self._http(), "", 0.0
        while not process.wait(min(1.0, self._rules.poll), self._bell[0]):
            elapsed = time.monotonic() - self._began
            if self._stopping or self._unwanted:
                return "it was to end"
            if elapsed > self._rules.startup:
                return f"the server was not ready within {self._rules.startup:.0f} seconds: see {self._log}."
            said = read_log(self._log)
            if engine_failed(said):
                failed = failed or time.monotonic()
                if time.monotonic() > failed + self._rules.grace:  # its first process can hang then
                    break
            stage = stage_of(said) or stage
            self._tell("starting" if not self.restarts else "restarting", stage)
            self.pid = process.pid or self.pid
            # The names too: another server may have taken the port.
            healthy = http.healthy(self._rules.poll_timeout)
            if healthy and command.model in http.models(self._rules.poll_timeout) and not process.wait(TICK_S):
                return ""
        return self._why(process, command)

    def _why(self, process: GuardedProcess, command: ServerCommand) -> str:
        """One sentence on an end that nobody asked for."""
        code = process.code if process.code is not None else 0
        ended = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        said = explain(read_log(self._log), command.model)
        return (
            f"{said} (log: {self._log})" if said else f"the server of {command.model} ended {ended}: see {self._log}."
        )

    def _watch(self, process: GuardedProcess, command: ServerCommand) -> str:
        """Until it ends or has to. The answer: why it has to; "": it has ended by itself, or is to stop."""
        http, failed = self._http(), 0
        while not process.wait(self._rules.poll, self._bell[0]):
            if self._stopping or self._unwanted:
                return ""
            if self._state == "suspected":
                if not self._works(process, command):
                    return "" if process.ended else f"it did nothing for {self._rules.probe:.0f} seconds."
                with self._condition:
                    if self._state == "suspected":
                        self._set("ready")
            failed = 0 if http.healthy(self._rules.poll_timeout) else failed + 1
            if failed >= self._rules.failed_polls and not process.wait(2 * TICK_S):
                return f"it did not answer {failed} times in a row."
        return ""

    def _works(self, process: GuardedProcess, command: ServerCommand) -> bool:
        """Whether a suspected server gets anything done: a token of ours, or of requests that are under way."""
        http, until = self._http(), time.monotonic() + self._rules.probe
        before = http.tokens(self._rules.poll_timeout)
        answered = http.begin_probe(command.model, self._rules.probe)
        while time.monotonic() < until and not process.wait(TICK_S) and not self._stopping:
            if answered.is_set():
                return True
        if process.ended or self._stopping:
            return not process.ended
        after = http.tokens(self._rules.poll_timeout)
        # Where all its places are taken, our token waits; what the others get done shows that it lives.
        return before is not None and after is not None and before != after

    # Common to all

    def _http(self) -> ServerHttp:
        return ServerHttp(self.command.url, self.command.api_key)

    def _ring(self) -> None:
        """Wake the supervisor's thread. The lock is held, so that the pipe is there."""
        if self._bell[1] >= 0:
            os.write(self._bell[1], b"!")

    def _set(self, state: State) -> None:
        self._state = state
        self._condition.notify_all()

    def _change(self, state: State, text: str) -> None:
        with self._condition:
            self._set(state)
        self._tell(state, text)

    def _tell(self, state: State, text: str) -> None:
        self._progress(Progress(state, text, time.monotonic() - self._began))


@dataclass(frozen=True)
class _End:
    """How one life of the server ended. wanted: we ended it."""

    reason: str
    was_ready: bool = False
    wanted: bool = False
    port_taken: bool = False
