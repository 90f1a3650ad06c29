"""Pipes read and written by the event loop, with the sizes in the hands of the reader."""

import asyncio
import os
from collections.abc import Callable

CHUNK = 1 << 20


class PipeClosedError(Exception):
    """The other side closed its end."""


class Pipe:
    """Our end of one pipe, made non-blocking."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        os.set_blocking(descriptor, False)

    def close(self) -> None:
        """Close the descriptor, once."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    async def read(self, most: int = CHUNK) -> bytes:
        """Some bytes, b"" at the end."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return os.read(self.descriptor, min(most, CHUNK))
            except BlockingIOError:
                await _ready(loop.add_reader, loop.remove_reader, self.descriptor)

    async def read_exactly(self, length: int) -> bytes:
        """As many bytes as said. Raises PipeClosedError."""
        data = bytearray()
        while len(data) < length:
            chunk = await self.read(length - len(data))
            if not chunk:
                raise PipeClosedError
            data += chunk
        return bytes(data)

    async def write(self, chunks: list[bytes]) -> None:
        """All the bytes. Raises PipeClosedError."""
        loop = asyncio.get_running_loop()
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                try:
                    view = view[os.write(self.descriptor, view[:CHUNK]) :]
                except BlockingIOError:
                    await _ready(loop.add_writer, loop.remove_writer, self.descriptor)
                except BrokenPipeError:
                    raise PipeClosedError from None


async def _ready(add: Callable[..., object], remove: Callable[[int], object], descriptor: int) -> None:
    """Wait until the descriptor can be read or written."""
    event = asyncio.Event()
    add(descriptor, event.set)
    try:
        await event.wait()
    finally:
        remove(descriptor)
