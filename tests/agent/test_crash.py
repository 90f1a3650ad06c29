"""`maia describe` under SIGKILL: a few kills in the time of a test; the study of many is a benchmark."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from maia.__main__ import main
from maia.benchmarks.quality.kill_resume import (
    Observer,
    Study,
    alive,
    children_of,
    compare,
    study_command,
    temporary_files,
)

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["maia.__main__", "maia.models.efficientnet", "maia.models.testbed.describer"])


def _begin(argv: Sequence[str], cache: Path, said: Path, up: Connection) -> None:
    os.setsid()
    os.environ["MAIA_CACHE"] = str(cache)
    with said.open("wb") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    up.send(None)
    sys.argv = ["maia", *argv]
    main()


class Forked:
    """`maia …` as a fork of a process that has imported everything: a start costs no import."""

    def __init__(self, argv: Sequence[str], cache: Path) -> None:
        self._said = cache.with_suffix(".log")
        mine, theirs = FORKS.Pipe()
        self._process = FORKS.Process(target=_begin, args=(argv, cache, self._said, theirs))
        self._process.start()
        mine.recv()
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def communicate(self, *, timeout: float | None = None) -> tuple[None, bytes]:
        self._process.join(timeout)
        assert self._process.exitcode is not None, "the run does not end"
        return None, self._said.read_bytes()


OPTIONS = ("--target", "ground-truth", "--units", "single=0")
KILLS = 3


def test_a_run_killed_again_and_again_ends_as_one_left_alone(tmp_path: Path) -> None:
    study = Study()
    study_command(OPTIONS, tmp_path, KILLS, random.Random(1), study, images=32, turns=1, starter=Forked)
    assert study.passed, study
    assert study.kills == KILLS == sum(study.stages.values()) and study.starts > KILLS
    assert study.restarts_that_lost_more_than_the_step_in_flight == 0
    assert study.transcripts == study.victims and study.images > 0


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_the_observer_sees_what_is_lost(tmp_path: Path) -> None:
    transcript, image, scores = (
        tmp_path / "units/a/transcript.jsonl",
        tmp_path / "images/i.png",
        tmp_path / "scores.json",
    )
    observer = Observer(tmp_path)
    write(transcript, b'{"type": "start"}\n{"type": "rep')
    write(image, b"png")
    write(scores, b'{"a": {"p50": 1}}')
    observer.look()
    write(transcript, b'{"type": "start"}\n{"type": "reply"}\n')
    write(scores, b'{"a": {"p50": 1}, "b": {}}')
    observer.look()
    assert observer.lost == [] and observer.count() == 2, "a line that was cut short is no loss"
    write(transcript, b'{"type": "start"}\n')
    image.unlink()
    write(scores, b'{"a": {"p50": 2}, "b": {}}')
    observer.look()
    assert len(observer.lost) == 3
    write(transcript, b'{"type": "start"}\n{"type": "reply", "turn": 9}\n')
    observer.look()
    write(transcript, b'{"type": "start"}\n{"type": "reply", "turn": 8}\n')
    observer.look()
    assert len(observer.lost) == 4, "another record in the place of one that was seen"


def test_the_comparison_sees_differences(tmp_path: Path) -> None:
    for run in ("one", "two"):
        write(tmp_path / run / "units/a/transcript.jsonl", b"same")
    assert compare(tmp_path / "one", tmp_path / "two") == []
    write(tmp_path / "one/scores.json", b"1")
    write(tmp_path / "two/scores.json", b"2")
    write(tmp_path / "two/images/.i.png.1.tmp", b"")
    assert compare(tmp_path / "one", tmp_path / "two") == [
        "images/.i.png.1.tmp is only in one of them",
        "scores.json differs",
    ]
    assert temporary_files(tmp_path / "one", tmp_path / "two") == [".i.png.1.tmp"]


@pytest.fixture
def family(tmp_path: Path) -> "subprocess.Popen[bytes]":
    """A process with a child in a session of its own, as a run has with its sandboxes, that outlives it."""
    child = "import time; print('up', flush=True); time.sleep(600)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], start_new_session=True)"
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"up\n"
    return process


def test_processes_that_outlive_a_kill_are_seen(family: "subprocess.Popen[bytes]") -> None:
    children = children_of(family.pid)
    try:
        assert len(children) == 1 == alive(children)
        family.kill()
        family.wait()
        assert alive(children) == 1
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while alive(children) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert alive(children) == 0
    assert alive(dict.fromkeys([os.getpid()], b"0")) == 0, "a number used again is another process"


def test_stages_are_named_from_the_files(tmp_path: Path) -> None:
    observer = Observer(tmp_path)
    transcript = tmp_path / "units/a/transcript.jsonl"

    def stage() -> str:
        observer.look()
        return observer.stage()

    names = [stage()]
    write(tmp_path / ".lock", b"")
    names.append(stage())
    write(tmp_path / "run.json", json.dumps({"units": ["a"]}).encode())
    for kind in ("start", "reply", "experiment", "conclusion"):
        old = transcript.read_bytes() if transcript.exists() else b""
        write(transcript, old + json.dumps({"type": kind}).encode() + b"\n")
        names.append(stage())
    write(tmp_path / "report.html", b"")
    names.append(stage())
    assert names == ["start", "index", "asking", "experiment", "asking", "scoring", "after the report"]
