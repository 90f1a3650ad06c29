"""A decoding process: reads tasks from standard input, writes pixels to standard output.

Messages, both ways: a header of two little-endian numbers, then that many bytes.
    to the worker     (number, bytes) + pickled task: first the view, then Span | bytes, one after the other
    from the worker   (OK, bytes) + uint8 [S, S, 3], or (BAD, bytes) + UTF-8 problem; first (READY, 0)
It imports Pillow and numpy, and what the view's class needs.
"""

import os
import pickle
import queue
import struct
import sys
import threading
import warnings
from typing import Any

from ..decoding import NO_MEMORY, BadImage
from .payload import pixels_of

HEADER = struct.Struct("<iQ")
READY, OK, BAD = 0, 1, 2
MEMORY_LIMIT = 4 << 30
"""Bytes of address space beyond those of the start: the largest picture takes about half when it is converted."""


def main() -> None:
    """Ends when standard input does, so however the process that reads it ends."""
    tasks: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=_receive, args=(tasks,), daemon=True).start()
    warnings.simplefilter("ignore")  # of odd, but whole pictures
    view = tasks.get()
    _limit_memory()
    _send(READY, b"")
    while True:
        task = tasks.get()
        try:
            _send(OK, pixels_of(task, view).data.cast("B"))
        except BadImage as error:
            _send(BAD, str(error).encode())
        except MemoryError:
            _send(BAD, NO_MEMORY.encode())


def _receive(tasks: "queue.Queue[Any]") -> None:
    """Tasks to the queue. A thread, so that a full pipe never stops both sides, and the end is seen at any time."""
    with os.fdopen(sys.stdin.fileno(), "rb", closefd=False) as pipe:
        while header := pipe.read(HEADER.size):
            if len(header) < HEADER.size:
                break
            data = pipe.read(HEADER.unpack(header)[1])
            try:
                tasks.put(pickle.loads(data))
            except Exception:
                import traceback

                traceback.print_exc()
                os._exit(1)
    os._exit(0)


def _send(kind: int, data: "bytes | memoryview") -> None:
    try:
        for part in (HEADER.pack(kind, len(data)), data):
            rest = memoryview(part)
            while rest:
                rest = rest[os.write(sys.stdout.fileno(), rest) :]
    except BrokenPipeError:
        os._exit(0)


def _limit_memory() -> None:
    """A picture that needs too much is a MemoryError here, before it is everybody's trouble."""
    try:
        import resource

        with open("/proc/self/statm", encoding="ascii") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        wanted = used + MEMORY_LIMIT
        if soft == resource.RLIM_INFINITY or wanted < soft:
            resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    except (ImportError, OSError, ValueError):
        pass  # no such limit on this system
