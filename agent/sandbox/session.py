"""One run of model-written code: start the worker, answer its calls, kill its tree, say what came of it.

Everything that comes from the worker counts as written by an enemy. The code shares its process with the worker's
half of the protocol, so it can forge any frame: a forged call is a call that it could have made anyway, and a
forged "done" ends its own run. Anything else ends the run with an error; nothing that it writes raises here.
"""

import asyncio
import contextlib
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...models.errors import ExperimentError, UserError
from . import launch, protocol
from .limits import Limits, Outcome
from .pipes import Pipe, PipeClosedError
from .seccomp import build_filter
from .watchdog import Stopwatch, Watchdog

Handle = Callable[[str, list[Any], dict[str, Any]], Awaitable[Any]]
LIBRARIES_BYTES = 512 << 20  # address space that interpreter, numpy and PIL map without using it
MAX_ERROR = 8192
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
FLOOD = 512  # output is read and dropped up to this many times output_bytes, then the run ends


class Session:
    """The parts of one run, alive from `run` until it returns."""

    def __init__(
        self,
        contained: bool,
        limits: Limits,
        api: Mapping[str, Sequence[str]],
        attributes: Mapping[str, Mapping[str, Any]],
        code: str,
        handle: Handle,
        started: Callable[[int], None] | None = None,
    ) -> None:
        self.contained, self.limits, self.code, self.handle, self.started = contained, limits, code, handle, started
        self.api = {name: list(methods) for name, methods in api.items()}
        self.attributes = {name: dict(values) for name, values in attributes.items()}
        self.allowed = {f"{name}.{method}" for name, methods in api.items() for method in methods}
        self.clock = Stopwatch()
        self.output = bytearray()
        self.written = 0
        self.calls = 0
        self._stack = contextlib.ExitStack()
        self._watchdog: Watchdog | None = None
        self._process: subprocess.Popen[bytes] | None = None

    async def run(self) -> Outcome:
        """The whole run. Raises UserError where no worker starts, and what `handle` raises but ExperimentError."""
        tasks: list[asyncio.Task[Any]] = []
        verdict = ("error", "")
        with self._stack:
            try:
                root_pid = await self._start()
                watchdog = Watchdog(self._require_process(), root_pid, self.limits, self.clock, self.contained)
                self._watchdog = watchdog
                if self.started is not None:
                    self.started(root_pid)
                watchdog.start()
                drain = asyncio.create_task(self._drain())
                talk = asyncio.create_task(self._talk())
                tasks = [drain, talk]
                verdict = await self._until_end(talk, drain, watchdog)
            finally:
                self.clock.pause()
                await self._finish(tasks)
        return self._outcome(*verdict)

    async def _until_end(
        self, talk: "asyncio.Task[tuple[str, str]]", drain: "asyncio.Task[None]", watchdog: Watchdog
    ) -> tuple[str, str]:
        """(outcome, error), when the conversation is over or somebody ended it."""
        ended = asyncio.create_task(watchdog.wait_verdict())
        try:
            await asyncio.wait({talk, ended}, return_when=asyncio.FIRST_COMPLETED)
            if talk.done():
                with contextlib.suppress(PipeClosedError):
                    return talk.result()
        finally:
            ended.cancel()
        # A process that ended by itself shall tell its own exit code, not that of our signal.
        await self._stop_watchdog(patience_s=0.5)
        if watchdog.verdict is not None:
            return watchdog.verdict
        # What was printed last is still in the pipe, and a failed start says why there.
        await asyncio.wait({drain}, timeout=1)
        if self.written > self.limits.output_bytes * FLOOD:
            return "limit", f"The code was stopped: it printed more than {self.limits.output_bytes * FLOOD >> 10} KiB."
        if not watchdog.ended_itself:
            return "error", "The code was stopped: it closed its pipe to `system` and `tools`."
        return self._describe_end()

    def _describe_end(self) -> tuple[str, str]:
        """The process ended without a last frame: an exit code of 0 proves nothing."""
        code = self._require_process().returncode
        number = -code if code < 0 else code - 128
        if number == signal.SIGXCPU:
            return "limit", f"The code was stopped: it used more than {self.limits.cpu_s:g} seconds of CPU time."
        if number in set(signal.Signals):
            return "error", f"The code's process was ended by the signal {signal.Signals(number).name}."
        return "error", f"The code ended its process before it was done (exit code {code})."

    def _outcome(self, outcome: str, error: str) -> Outcome:
        stdout = self.output[: self.limits.output_bytes].decode("utf-8", "replace")
        if self.written > self.limits.output_bytes:
            stdout += f"\n[output cut: only the first {self.limits.output_bytes} bytes are kept]"
        return Outcome(outcome, self._scrub(error[:MAX_ERROR]), self._scrub(stdout), self.clock.elapsed_s)

    def _scrub(self, text: str) -> str:
        """Text that is safe to show: no control characters, which drive terminals, and none of our paths.

        Under bubblewrap the code knows no path of this machine.
        """
        text = CONTROL.sub("\ufffd", text.replace("\r\n", "\n"))
        if self.contained:
            return text
        places = {str(launch.HERE), sys.base_prefix, sys.prefix, os.path.realpath(sys.prefix), str(Path.home())}
        for place in sorted(places, key=len, reverse=True):
            if place != "/":
                text = text.replace(place, "…")
        return text

    # --- start and end

    def _require_process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the session has not started"
        return self._process

    async def _start(self) -> int:
        """Start the worker and return the first process of its tree. Raises UserError."""
        theirs: list[int] = []
        try:
            self._down, their_down = self._pipe(theirs, ours_reads=False)
            self._up, their_up = self._pipe(theirs, ours_reads=True)
            self._out, their_out = self._pipe(theirs, ours_reads=True)
            info, their_info = self._pipe(theirs, ours_reads=True)
            program, their_filter = self._pipe(theirs, ours_reads=False)
            arguments, passed, directory = [str(their_down), str(their_up)], [their_down, their_up], None
            if self.contained:
                passed += [their_info, their_filter]
                plan = launch.bubblewrapped(arguments, self.limits, their_info, their_filter)
                await program.write([build_filter()])
            else:
                plan = launch.bare(arguments)
                directory = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="experiment-"))
            program.close()
            # Here and not in a helper thread: bwrap dies with the thread that started it.
            self._process = subprocess.Popen(
                plan.command,
                env=plan.environment,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=their_out,
                stderr=their_out,
                pass_fds=passed,
                start_new_session=True,
            )
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        self._plan = plan
        return await self._root_pid(info) if self.contained else self._process.pid

    def _pipe(self, theirs: list[int], ours_reads: bool) -> tuple[Pipe, int]:
        read_end, write_end = os.pipe()
        ours, other = (read_end, write_end) if ours_reads else (write_end, read_end)
        theirs.append(other)
        pipe = Pipe(ours)
        self._stack.callback(pipe.close)
        return pipe, other

    async def _root_pid(self, info: Pipe) -> int:
        """bwrap's child, the first process of the new namespace, as bwrap reports it."""
        text = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.limits.start_s):
                while not (found := re.search(rb'"child-pid"\s*:\s*(\d+)', text)) and (chunk := await info.read()):
                    text += chunk
                if found:
                    return int(found[1])
        raise await self._failed_start()

    async def _failed_start(self) -> UserError:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self._drain()
        return UserError(f"The sandbox does not start ({launch.start_failure(bytes(self.output))}): {launch.REMEDY}.")

    async def _finish(self, tasks: list[asyncio.Task[Any]]) -> None:
        """Nothing of the run is left when this returns, also when it is cancelled meanwhile."""
        if self._watchdog is not None:
            self._watchdog.kill()
            await self._stop_watchdog()
        elif self._process is not None:
            self._process.kill()
            self._process.wait()
        if tasks:
            # All writers are dead, so what was printed is complete at the end of the pipe.
            await asyncio.wait(tasks[:1], timeout=1)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _stop_watchdog(self, patience_s: float = 0.0) -> None:
        if self._watchdog is not None:
            await asyncio.shield(asyncio.to_thread(self._watchdog.stop, patience_s))

    # --- the conversation

    async def _drain(self) -> None:
        """Keep the first part of what the code prints and drop the rest, until all writers are gone."""
        while chunk := await self._out.read():
            room = self.limits.output_bytes - len(self.output)
            self.output += chunk[: max(room, 0)]
            self.written += len(chunk)
            if self.written > self.limits.output_bytes * FLOOD and self._watchdog is not None:
                self._watchdog.kill()
                return

    async def _talk(self) -> tuple[str, str]:
        """(outcome, error) as the worker reports it. Raises PipeClosedError when the tree is gone before."""
        try:
            async with asyncio.timeout(self.limits.start_s):
                await self._down.write(self._first_frame())
                message, _ = await self._receive()
        except (PipeClosedError, TimeoutError):
            raise await self._failed_start() from None
        if message.get("type") != "ready":
            raise await self._failed_start()
        self.clock.resume()
        try:
            while True:
                message, decoder = await self._receive()
                if message.get("type") == "done":
                    return self._done(message, decoder)
                if message.get("type") != "call":
                    raise protocol.ProtocolError("a message of an unknown type")
                self.calls += 1
                if self.calls > self.limits.calls:
                    return "limit", f"The code was stopped: it made more than {self.limits.calls} calls."
                await self._answer(*self._call(message, decoder))
        except protocol.ProtocolError as error:
            return "error", f"The code was stopped: it wrote to the sandbox's own pipe ({error})."

    def _first_frame(self) -> list[bytes]:
        limits = self.limits
        processes = limits.processes + (self._plan.user is None)  # bwrap's first process counts in a user namespace
        fields = {
            "type": "start",
            # Lone surrogates would pass through JSON and then fail to compile with a message about bytes.
            "code": self.code.encode("utf-8", "replace").decode("utf-8"),
            "api": self.api,
            "packages": self._plan.packages,
            "user": self._plan.user,
            "limits": {
                "cpu_s": math.ceil(limits.cpu_s) + 1,
                "disk_bytes": limits.disk_bytes,
                "address_bytes": limits.memory_bytes + LIBRARIES_BYTES,
                "files": limits.files,
                "processes": processes if self.contained else 0,
                "message_bytes": limits.message_bytes,
            },
        }
        return protocol.build_frame(fields, {"attributes": self.attributes}, limits.message_bytes)

    async def _receive(self) -> tuple[dict[str, Any], protocol.Decoder]:
        """The next frame; sizes are checked before anything is read. Raises ProtocolError, PipeClosedError."""
        header = await self._up.read_exactly(protocol.HEADER.size)
        json_length, blob_length = protocol.parse_lengths(header, self.limits.message_bytes)
        message, images, expected = protocol.parse_frame(await self._up.read_exactly(json_length))
        if expected != blob_length:
            raise protocol.ProtocolError("images and pixels that do not fit together")
        pictures = protocol.cut_pixels(await self._up.read_exactly(blob_length), images)
        return message, protocol.Decoder(pictures, finite=True)

    def _call(self, message: dict[str, Any], decoder: protocol.Decoder) -> tuple[str, list[Any], dict[str, Any]]:
        name = message.get("name")
        if not isinstance(name, str) or name not in self.allowed:
            raise protocol.ProtocolError("a call to a method that does not exist")
        args, kwargs = decoder.decode(message.get("args")), decoder.decode(message.get("kwargs"))
        if not isinstance(args, list) or not isinstance(kwargs, dict) or not all(isinstance(k, str) for k in kwargs):
            raise protocol.ProtocolError("a call without its arguments")
        return name, args, kwargs

    async def _answer(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        self.clock.pause()
        try:
            value = await self.handle(name, args, kwargs)
            chunks = protocol.build_frame({"type": "result"}, {"value": value}, self.limits.message_bytes)
        except ExperimentError as error:
            chunks = protocol.build_frame({"type": "raise", "message": str(error)}, {}, self.limits.message_bytes)
        finally:
            self.clock.resume()
        await self._down.write(chunks)

    def _done(self, message: dict[str, Any], decoder: protocol.Decoder) -> tuple[str, str]:
        outcome, error = message.get("outcome"), message.get("error")
        if outcome not in ("ok", "error") or not isinstance(error, str):
            raise protocol.ProtocolError("an end without an outcome")
        return outcome, "" if outcome == "ok" else decoder.decode(error)
