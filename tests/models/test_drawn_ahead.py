"""Pictures from the drawing process: the same ones, in any order, and no process that outlives its reader."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from maia.models.errors import UserError
from maia.models.testbed.dataset import DATASET_SIZE
from maia.models.testbed.drawn_ahead import DrawnAhead
from maia.models.testbed.world import World

PATIENCE = 60
"""Seconds that a busy machine may take to end a process."""


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def _wait_for_end(pid: int) -> None:
    limit = time.monotonic() + PATIENCE
    while _alive(pid):
        assert time.monotonic() < limit, "the drawing process outlived its reader"
        time.sleep(0.05)


def test_pictures_are_those_of_the_dataset_in_any_order() -> None:
    world = World()
    order = [40, 41, 42, 7, DATASET_SIZE - 2, DATASET_SIZE - 1, 7]
    with DrawnAhead() as ahead:
        for k in order:
            picture = ahead(k)
            assert picture.mode == "RGB" and picture.tobytes() == world.dataset_image(k).tobytes()
        for k in (-1, DATASET_SIZE):
            with pytest.raises(IndexError):
                ahead(k)


def test_nothing_is_started_before_a_picture_is_wanted_nor_left_afterwards() -> None:
    with DrawnAhead() as ahead:
        assert ahead._process is None
        ahead(0)
        process = ahead._process
        assert process is not None and process.poll() is None
    assert process.returncode is not None
    assert ahead(1).size == (224, 224)  # after `close`, a call starts again
    ahead.close()
    ahead.close()


def test_a_drawing_process_that_is_killed_is_an_error_and_then_starts_again() -> None:
    with DrawnAhead() as ahead:
        first = ahead(3)
        assert ahead._process is not None
        ahead._process.kill()
        with pytest.raises(UserError, match=r"ended before picture \d+ \(exit code -9\)"):
            for k in range(4, 200):
                ahead(k)
        assert ahead(3).tobytes() == first.tobytes()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("reading", [True, False])
def test_no_orphan_when_the_reader_is_killed(reading: bool) -> None:
    code = (
        "import sys, time\n"
        "from maia.models.testbed.drawn_ahead import DrawnAhead\n"
        "ahead = DrawnAhead()\n"
        "ahead(0)\n"
        "print(ahead._process.pid, flush=True)\n"
        f"k = 0\nwhile True:\n    k += 1\n    ahead(k) if {reading} else time.sleep(1)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        drawing = int(reader.stdout.readline())
        if not reading:
            time.sleep(1.0)  # until the queue and the pipe are full, so that the drawing process waits in a write
        assert _alive(drawing)
        os.kill(reader.pid, signal.SIGKILL)
        reader.wait()
    _wait_for_end(drawing)
