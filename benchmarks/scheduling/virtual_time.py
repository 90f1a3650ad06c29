"""An event loop of asyncio whose clock is virtual: timers fire at once and in order, nothing really waits."""

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

Result = TypeVar("Result")


class Deadlock(RuntimeError):
    """Nothing is ready, no timer is set, and what was asked for is not done: it would hang for ever."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`time()` starts at 0 and jumps to the next timer whenever nothing else is ready.

    The order of callbacks is asyncio's own: those that are ready first in, first out; timers by their time. So the
    same program always runs in the same way. Nothing may wait for another thread, a process or a socket: where only
    such a thing could go on, Deadlock is raised.
    """

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Jump(self))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def jump(self, seconds: float) -> None:
        """Move the clock forward."""
        self._now += seconds


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """The coroutine's result under a new loop of virtual time, which is closed again. Raises Deadlock."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(coroutine)


class _Jump(selectors.BaseSelector):
    """In place of waiting for a file or a timer: the loop's clock moves on by the time that would be waited."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop
        self._keys: dict[int, selectors.SelectorKey] = {}

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock(f"At {self._loop.time():g} s nothing is ready and no timer is set.")
        if timeout > 0:
            self._loop.jump(timeout)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        number = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        key = self._keys[number] = selectors.SelectorKey(fileobj, number, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj if isinstance(fileobj, int) else fileobj.fileno())

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys
