"""Proof of crash safety: a run that is killed again and again ends as one that never was.

The same `maia describe` twice: once left alone, once killed with SIGKILL (its whole process group) at random moments
and started again until it ends. Then transcripts and scores.json must be the same bytes, the image stores the same
set, and nothing may be left: no process, no temporary file. While the victim runs, an observer notes how many whole
records it has seen of every transcript, and which pictures and scores: whatever was seen once must be there for good,
so a restart repeats at most the step that was in flight.

    python -m maia.benchmarks.quality.kill_resume --kills 20 --out DIR --json FILE
"""

import argparse
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ...agent.report import build_report
from ...models.files import write_whole

POLL_S = 0.02
GONE_S = 5.0
"""How long a killed run's sandboxes may take to be gone: the kernel has to take them apart."""
PATIENCE_S = 900.0
COMMANDS = (
    ("--target", "ground-truth", "--units", "single=0:or=5:conditional=9"),
    ("--target", "efficientnet-lite0", "--units", "blocks.10=47:head=100"),
)
PROFILE = {"world": "testbed", "backbone": "scripted", "jobs": 2}


@dataclass
class Observer:
    """What was seen of a run's directory while it ran. Reads only."""

    run: Path
    records: dict[str, bytes] = field(default_factory=dict)
    images: set[str] = field(default_factory=set)
    scores: dict[str, Any] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)

    def look(self) -> None:
        """Note what is there, and in `lost` what was there and is no more, or has changed."""
        for path in self.run.glob("units/*/transcript.jsonl"):
            name, data = path.parent.name, path.read_bytes()
            seen = self.records.get(name, b"")
            whole = data[: data.rfind(b"\n") + 1]
            if not data.startswith(seen):
                self.lost.append(f"records of {name}")
            self.records[name] = whole
        images = {path.name for path in self.run.glob("images/*.png")}
        if self.images - images:
            self.lost.append(f"pictures {sorted(self.images - images)}")
        self.images = images
        path = self.run / "scores.json"
        scores = json.loads(path.read_bytes()) if path.exists() else {}
        if any(scores.get(unit) != entry for unit, entry in self.scores.items()):
            self.lost.append("scores")
        self.scores = scores

    def stage(self) -> str:
        """Where the run stands, from its files alone."""
        if (self.run / "report.html").exists():
            return "after the report"
        if self.scores:
            return "scoring"
        if not self.records:
            return "index" if (self.run / ".lock").exists() else "start"
        last = [json.loads(data.splitlines()[-1])["type"] for data in self.records.values() if data]
        if last and all(kind in ("conclusion", "failure") for kind in last):
            return "between units" if len(last) < self.units_in_all() else "scoring"
        return "experiment" if "reply" in last else "asking"

    def seen(self) -> int:
        """Grows with every record, picture and score."""
        return self.count() + len(self.images) + len(self.scores)

    def count(self) -> int:
        """Whole records seen."""
        return sum(data.count(b"\n") for data in self.records.values())

    def units_in_all(self) -> int:
        """Units of run.json."""
        return len(json.loads((self.run / "run.json").read_bytes())["units"])


@dataclass
class Study:
    """Outcome. victims: runs that were killed. lost: what had been on the disk and was not after a kill or a restart.
    differences: of the victims' directories to the reference. The sizes are sums over the victims."""

    kills: int = 0
    starts: int = 0
    victims: int = 0
    stages: dict[str, int] = field(default_factory=dict)
    records_at_kills: list[int] = field(default_factory=list)
    restarts_that_lost_more_than_the_step_in_flight: int = 0
    lost: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    processes_left: int = 0
    temporary_files_left: list[str] = field(default_factory=list)
    transcripts: int = 0
    transcript_bytes: int = 0
    images: int = 0
    seconds_uninterrupted: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether nothing was lost, left or different."""
        return not (self.lost or self.differences or self.processes_left or self.temporary_files_left)


def command(out: Path, profile: Path, options: Sequence[str]) -> list[str]:
    """The command line under test, after `maia`."""
    return ["describe", *options, "--profile", str(profile), "--out", str(out)]


class Running(Protocol):
    """A started command: what of `subprocess.Popen` is used here."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    def poll(self) -> int | None: ...
    def communicate(self, *, timeout: float | None = None) -> tuple[Any, bytes]: ...


Starter = Callable[[Sequence[str], Path], Running]
"""Starts arguments of `maia` with a cache directory, as the first process of a process group."""


def start(argv: Sequence[str], cache: Path) -> "subprocess.Popen[bytes]":
    """The command as a person starts it: the Starter of the study."""
    environment = {**os.environ, "MAIA_CACHE": str(cache), "COLUMNS": "80"}
    return subprocess.Popen(
        [sys.executable, "-m", "maia", *argv],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def finish(process: Running) -> None:
    """Wait for the end. Raises RuntimeError with what it said unless it ended well."""
    _, said = process.communicate(timeout=PATIENCE_S)
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode}: {said.decode('utf-8', 'replace')[-2000:]}")


def children_of(pid: int) -> dict[int, bytes]:
    """All descendants of a process with their start times, which tell them from later processes of the same number."""
    parents: dict[int, list[int]] = {}
    born: dict[int, bytes] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        fields = _stat(int(name))
        if fields:
            parents.setdefault(int(fields[1]), []).append(int(name))
            born[int(name)] = fields[19]
    found, waiting = {}, [pid]
    while waiting:
        for child in parents.get(waiting.pop(), []):
            found[child] = born[child]
            waiting.append(child)
    return found


def alive(processes: dict[int, bytes]) -> int:
    """How many of these still run."""
    now = ((_stat(pid), born) for pid, born in processes.items())
    return sum(bool(fields and fields[19] == born and fields[0] not in (b"Z", b"X")) for fields, born in now)


def _stat(pid: int) -> list[bytes] | None:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None


def kill(process: Running) -> int:
    """SIGKILL to the whole group; returns how many descendants (sandboxes) outlived it by GONE_S."""
    descendants = children_of(process.pid)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + GONE_S
    while (left := alive(descendants)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def run_until_killed(process: Running, observer: Observer, longest_s: float, rng: random.Random) -> bool:
    """Watch until the moment to kill has come (True) or the run has ended by itself (False).

    The moment: in one start of three, any time; else a short while after new records, where writes are, or up to two
    seconds after them, in the middle of the next step.
    """
    any_time = rng.random() < 1 / 3
    moment = time.monotonic() + rng.uniform(0.3, longest_s) if any_time else None
    before = observer.seen()
    while process.poll() is None:
        observer.look()
        if moment is None and observer.seen() > before:
            moment = time.monotonic() + rng.uniform(0, rng.choice((0.05, 2.0)))
        if moment is not None and time.monotonic() > moment:
            return True
        time.sleep(POLL_S)
    return False


def kill_until_done(
    argv: Sequence[str],
    run: Path,
    cache: Path,
    kills: int,
    longest_s: float,
    rng: random.Random,
    study: Study,
    starter: Starter,
) -> None:
    """Start, kill after a random while, start again; left alone after `kills` kills in all. Adds to `study`."""
    observer = Observer(run)
    while True:
        process = starter(argv, cache)
        study.starts += 1
        lost = len(observer.lost)
        if study.kills < kills and run_until_killed(process, observer, longest_s, rng):
            study.processes_left += kill(process)
            study.kills += 1
        else:
            finish(process)
        observer.look()
        study.restarts_that_lost_more_than_the_step_in_flight += len(observer.lost) > lost
        if process.returncode == 0:
            break
        stage = observer.stage()
        study.stages[stage] = study.stages.get(stage, 0) + 1
        study.records_at_kills.append(observer.count())
    study.lost += observer.lost


def compare(reference: Path, run: Path) -> list[str]:
    """What differs between two runs' directories, the report's page included, but for what the scheduler measured."""
    found = []
    bases = (reference, run)
    for base in bases:
        if (base / "report.html").exists():
            (base / "metrics.json").unlink(missing_ok=True)
            build_report(base)
    names = [{str(path.relative_to(base)) for path in base.rglob("*") if path.is_file()} for base in bases]
    found += [f"{name} is only in one of them" for name in sorted(names[0] ^ names[1])]
    for name in sorted(names[0] & names[1]):
        if (reference / name).read_bytes() != (run / name).read_bytes():
            found.append(f"{name} differs")
    return found


def temporary_files(*directories: Path) -> list[str]:
    """Names of unfinished writes."""
    return sorted(path.name for directory in directories for path in directory.rglob("*.tmp"))


def study_command(
    options: Sequence[str],
    out: Path,
    kills: int,
    rng: random.Random,
    study: Study,
    images: int,
    turns: int,
    starter: Starter = start,
) -> None:
    """One command line, left alone and killed until `study` counts `kills` kills in all.

    The first victim also has to build its index under fire. One that ends before the kills are used up is compared,
    and followed by another.
    """
    out.mkdir(parents=True, exist_ok=True)
    profile = out / "profile.yaml"  # JSON is YAML
    target = options[options.index("--target") + 1]
    fields = {**PROFILE, "target": target, "dataset_images": images, "turns": turns}
    profile.write_text(json.dumps(fields), encoding="utf-8")
    reference, cache = out / "reference", out / "cache-victims"
    begin = time.monotonic()
    finish(starter(command(reference, profile, options), out / "cache"))
    took = time.monotonic() - begin
    study.seconds_uninterrupted += took
    for number in itertools.count():
        victim = out / f"victim-{number}"
        kill_until_done(command(victim, profile, options), victim, cache, kills, took, rng, study, starter)
        study.victims += 1
        study.differences += [f"{target}: {difference}" for difference in compare(reference, victim)]
        study.temporary_files_left += temporary_files(victim)
        transcripts = list(victim.glob("units/*/transcript.jsonl"))
        study.transcripts += len(transcripts)
        study.transcript_bytes += sum(path.stat().st_size for path in transcripts)
        study.images += len(list(victim.glob("images/*.png")))
        if study.kills >= kills:
            break
    study.temporary_files_left += temporary_files(cache)


def main() -> None:
    """The command line; exit code 1 if anything was lost, left or different."""
    parser = argparse.ArgumentParser(description="Kill a run again and again; see that it ends as one left alone.")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--out", type=Path, required=True, help="an empty directory")
    parser.add_argument("--json", type=Path, help="also write the outcome here")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=160, help="images of the dataset in the exemplar index")
    parser.add_argument("--turns", type=int, default=4, help="experiments a unit may take")
    given = parser.parse_args()
    if given.out.exists() and any(given.out.iterdir()):
        parser.error(f"{given.out} is not empty: give a new directory")
    study, rng = Study(), random.Random(given.seed)
    for number, options in enumerate(COMMANDS):
        kills = given.kills * (number + 1) // len(COMMANDS)
        study_command(options, given.out / f"{number}", kills, rng, study, given.images, given.turns)
    outcome = {"passed": study.passed, **asdict(study)}
    text = json.dumps(outcome, indent=1)
    if given.json:
        write_whole(given.json, (text + "\n").encode())
    print(text)
    sys.exit(0 if study.passed else 1)


if __name__ == "__main__":
    main()
