"""The dataset's pictures drawn ahead in a process of their own, while this one does something else with them.

A process, not a thread: skia holds Python's lock while it draws. It is started anew (no fork, so it shares no lock
or file with this one) and lives by its pipes: it ends when they close, however the process that reads it ends.
"""

import os
import queue
import signal
import subprocess
import sys
import threading
from types import TracebackType
from typing import IO, Self

from PIL import Image

from ..errors import UserError
from .scene import SIZE

AHEAD = 16
"""Pictures (150 KB each) that wait at most."""
_BYTES = SIZE * SIZE * 3


class DrawnAhead:
    """Picture k of the dataset by a call, as RGB PIL image: `World.dataset_image` without its memory of scenes.

    Quick when called for k, k + 1, ..; any other k starts the drawing process again from there. To be used with
    `with`, from one thread.
    """

    def __init__(self) -> None:
        self._next = -1
        self._process: subprocess.Popen[bytes] | None = None
        self._waiting: queue.Queue[bytes] = queue.Queue(AHEAD)

    def __call__(self, k: int) -> Image.Image:
        """Raises IndexError outside the dataset, UserError if the drawing process ends too early."""
        from .dataset import DATASET_SIZE

        if not 0 <= k < DATASET_SIZE:
            raise IndexError(f"the dataset has scenes 0 to {DATASET_SIZE - 1}, not {k}")
        if k != self._next:
            self.close()
            self._start(k)
        pixels = self._waiting.get()
        if len(pixels) < _BYTES:
            assert self._process is not None
            code = self._process.wait()
            self._waiting.put(pixels)  # for `close`
            self.close()
            raise UserError(
                f"the process that draws the dataset ended before picture {k} (exit code {code}): give the same "
                "command again, and it goes on; if it ends again, look whether there is memory enough."
            )
        self._next = k + 1
        return Image.frombuffer("RGB", (SIZE, SIZE), pixels, "raw", "RGB", 0, 1)

    def _start(self, first: int) -> None:
        code = f"from {__name__} import draw; draw({first})"
        # The child finds this package where this process did, also when that is no installed one.
        search = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": search},
        )
        assert self._process.stdout is not None
        self._waiting = queue.Queue(AHEAD)
        threading.Thread(target=_read, args=(self._process.stdout, self._waiting), daemon=True).start()

    def close(self) -> None:
        """End the drawing process."""
        process, self._process, self._next = self._process, None, -1
        if process is None:
            return
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()
        while True:  # let the reader come to the end of the pipe
            if len(self._waiting.get()) < _BYTES:
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _read(pipe: IO[bytes], waiting: "queue.Queue[bytes]") -> None:
    """Move whole pictures from the pipe to the queue; the last entry is shorter than a picture."""
    with pipe:
        while True:
            pixels = pipe.read(_BYTES)
            waiting.put(pixels)
            if len(pixels) < _BYTES:
                return


def draw(first: int) -> None:
    """The drawing process: writes the pixels of pictures `first`, `first` + 1, .. to standard output."""
    from .dataset import DATASET_SIZE, dataset_scene
    from .renderer import render

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the other process's to answer
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for k in range(first, DATASET_SIZE):
        data = memoryview(render(dataset_scene(k)).image.tobytes())
        try:
            while data:
                data = data[os.write(sys.stdout.fileno(), data) :]
        except BrokenPipeError:
            return


def _end_with_parent() -> None:
    """Ends this process when standard input does: nobody writes to it, so the other process is gone."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(0)
