"""Decoded pictures in order: in this process, or ahead of the reader in processes of their own.

Worker processes are started anew (`exec`, so they share no lock, CUDA context or file with this one) and live by their
pipes: no shared memory is left behind, whichever side is killed. A crash costs the picture that was being decoded.
"""

import os
import pickle
import subprocess
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import IO

import numpy as np

from ...models.errors import UserError
from ..decoding import CRASHED, BadImage
from .payload import Decoded, Span, Stream, View
from .worker import HEADER, OK, READY

AHEAD = 32
"""Pictures a worker that are decoded, or being decoded, before they are asked for: 5 MB at 224 pixels."""
_QUEUED = 2
"""Tasks that a worker holds, so that it has the next one when it has finished one."""


class InProcess(Stream):
    """Decodes when asked, in the thread that asks."""

    def __init__(self, ordinals: Sequence[int], pixels: Callable[[int], np.ndarray]) -> None:
        self._ordinals = iter(ordinals)
        self._pixels = pixels

    def __next__(self) -> Decoded:
        ordinal = next(self._ordinals)
        try:
            return Decoded(ordinal, self._pixels(ordinal))
        except BadImage as error:
            return Decoded(ordinal, None, str(error))

    def close(self) -> None:
        self._ordinals = iter(())


class Workers(Stream):
    """Decodes ahead in `workers` processes. Ended by `close`, by its end, or when nobody refers to it any more."""

    def __init__(
        self, ordinals: Sequence[int], payload: Callable[[int], Span | bytes], view: View, workers: int
    ) -> None:
        """payload: called in order of the ordinals, from one thread at a time."""
        self._pool = _Pool(ordinals, payload, view, workers)
        self._end = weakref.finalize(self, self._pool.stop)

    def __next__(self) -> Decoded:
        try:
            return self._pool.take()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End all worker processes; what is left is not decoded."""
        self._end()
        self._pool.join()


class _Pool:
    """The state that threads share: one thread for each worker process."""

    def __init__(
        self, ordinals: Sequence[int], payload: Callable[[int], Span | bytes], view: View, workers: int
    ) -> None:
        self._ordinals = ordinals
        self._payload = payload
        self._hello = pickle.dumps(view)
        self._ahead = AHEAD * workers
        self._source = threading.Lock()  # guards _next and the calls of payload
        self._next = 0
        self._changed = threading.Condition()  # guards all that follows
        self._taken = 0
        self._done: dict[int, Decoded] = {}
        self._error: BaseException | None = None
        self._closed = False
        self._running: set[_Process] = set()
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(workers)]
        for thread in self._threads:
            thread.start()

    def take(self) -> Decoded:
        with self._changed:
            if self._closed or self._taken == len(self._ordinals):
                raise StopIteration
            while self._taken not in self._done:
                if self._error is not None:
                    raise self._error
                self._changed.wait()
            decoded = self._done.pop(self._taken)
            self._taken += 1
            self._changed.notify_all()
            return decoded

    def stop(self) -> None:
        """Kill the processes and let the threads end; waits for nothing, as garbage collection may call it anywhere."""
        with self._changed:
            self._closed = True
            self._done.clear()
            self._changed.notify_all()
            for process in self._running:
                process.kill()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        try:
            self._feed()
        except BaseException as error:
            with self._changed:
                self._error = self._error or error
                self._changed.notify_all()

    def _feed(self) -> None:
        """Keep one worker process busy until there is nothing left; a process that dies is replaced."""
        waiting: deque[_Task] = deque()
        process: _Process | None = None
        try:
            while True:
                while len(waiting) < _QUEUED and (task := self._next_task(block=not waiting)):
                    waiting.append(task)
                    if process is not None:
                        process.send(task.data)
                if not waiting:
                    return
                if process is None:
                    process = self._start()
                    for task in waiting:
                        process.send(task.data)
                answer = process.receive()
                if answer is None:
                    self._stop(process)
                    process = None
                    if self._is_closed():
                        return
                    waiting[0].crashes += 1  # it answers in order, so this is the one it was at
                    if waiting[0].crashes < 2:
                        continue
                    answer = Decoded(-1, None, CRASHED)
                task = waiting.popleft()
                self._put(task.place, answer.pixels, answer.problem)
        finally:
            if process is not None:
                self._stop(process)

    def _next_task(self, block: bool) -> "_Task | None":
        """The next picture to be decoded, or None: there is none, or (unless block) not yet."""
        while True:
            with self._changed:
                while not self._stopping() and self._next < len(self._ordinals) and self._is_far_ahead():
                    if not block:
                        return None
                    self._changed.wait()
                if self._stopping():
                    return None
            with self._source:  # not while waiting: others may hold what the reader waits for
                place = self._next
                if place == len(self._ordinals):
                    return None
                if self._is_far_ahead():
                    continue
                self._next += 1
                try:
                    return _Task(place, pickle.dumps(self._payload(self._ordinals[place])))
                except BadImage as error:
                    problem = str(error)
            self._put(place, None, problem)

    def _is_far_ahead(self) -> bool:
        return self._next - self._taken >= self._ahead

    def _stopping(self) -> bool:
        return self._closed or self._error is not None

    def _put(self, place: int, pixels: np.ndarray | None, problem: str | None) -> None:
        with self._changed:
            self._done[place] = Decoded(self._ordinals[place], pixels, problem)
            self._changed.notify_all()

    def _start(self) -> "_Process":
        process = _Process(self._hello)
        with self._changed:
            self._running.add(process)
            if self._closed:
                process.kill()
        if not process.wait_ready() and not self._is_closed():
            code = process.end(patience=10.0)
            raise UserError(
                f"a process that decodes pictures could not be started (exit code {code}; its message is above): "
                "see whether there is memory enough, or decode in this process, with 0 workers."
            )
        return process

    def _stop(self, process: "_Process") -> None:
        with self._changed:
            self._running.discard(process)
        process.end()

    def _is_closed(self) -> bool:
        with self._changed:
            return self._closed


class _Task:
    def __init__(self, place: int, data: bytes) -> None:
        self.place = place
        self.data = data
        self.crashes = 0


class _Process:
    """One worker process and its pipes; all but `kill` from one thread."""

    def __init__(self, hello: bytes) -> None:
        module = f"{__name__.rpartition('.')[0]}.worker"
        # The child finds this package where this process did, also when that is no installed one.
        search = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"from {module} import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=os.environ | {"PYTHONPATH": search},
            process_group=0,  # Ctrl-C is this process's to answer
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self.send(hello)

    def send(self, data: bytes) -> None:
        """A process that is gone is noticed by `receive`."""
        try:
            for part in (HEADER.pack(0, len(data)), data):
                rest = memoryview(part)
                while rest:
                    rest = rest[self._in.write(rest) :]
        except BrokenPipeError:
            pass

    def wait_ready(self) -> bool:
        header = _read(self._out, HEADER.size)
        return header is not None and HEADER.unpack(header)[0] == READY

    def receive(self) -> Decoded | None:
        """The next answer; None when the process has ended before it."""
        header = _read(self._out, HEADER.size)
        if header is None:
            return None
        kind, size = HEADER.unpack(header)
        data = _read(self._out, size)
        if data is None:
            return None
        if kind != OK:
            return Decoded(-1, None, bytes(data).decode())
        pixels = np.frombuffer(data, np.uint8)
        side = round((size // 3) ** 0.5)
        return Decoded(-1, pixels.reshape(side, side, 3))

    def kill(self) -> None:
        self._process.kill()

    def end(self, patience: float = 0.0) -> int:
        """Let nothing of it be left: kill it, unless it ends by itself within `patience` seconds. Its exit code."""
        self._in.close()
        self._out.close()
        try:
            return self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def _read(pipe: IO[bytes], size: int) -> bytearray | None:
    """Exactly `size` bytes; None if the pipe ends before."""
    data = bytearray(size)
    rest = memoryview(data)
    while rest:
        count = pipe.readinto(rest)  # type: ignore[attr-defined]
        if not count:
            return None
        rest = rest[count:]
    return data
