"""The command line from outside: help, every mistake a person can make, whole runs, Ctrl-C, a full disk."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import maia
import pytest
import typer.main
from command import Said, call
from maia.__main__ import app
from maia.agent.run import locked
from maia.agent.transcript import Conclusion, Transcript
from maia.benchmarks.quality.kill_resume import alive, children_of
from maia.models.errors import UserError
from maia.models.targets import Unit

UNITS = "single=0"
UNIT = "ground-truth.single.0"
PROFILE = "world: testbed\ntarget: ground-truth\nbackbone: scripted\ndataset_images: 64\njobs: 2\nturns: 1\n"


def spawn(*arguments: object) -> "subprocess.Popen[str]":
    """`maia …` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "maia", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell that runs the tests in the background lets them inherit an ignored Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test sees or leaves indexes in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        path = tmp_path_factory.mktemp("cache")
        patch.setenv("MAIA_CACHE", str(path))
        yield path


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("profile") / "small.yaml"
    path.write_text(PROFILE)
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, profile: Path) -> tuple[Path, Said]:
    """A whole run of the command, for reading."""
    out = tmp_path_factory.mktemp("finished") / "run"
    return out, call("describe", "--units", UNITS, "--profile", profile, "--out", out)


@pytest.fixture
def run(finished: tuple[Path, Said], tmp_path: Path) -> Path:
    """A copy of the finished run, to be spoilt."""
    return Path(shutil.copytree(finished[0], tmp_path / "run"))


def describe(profile: Path, out: Path, *more: object) -> Said:
    return call("describe", "--units", UNITS, "--profile", profile, "--out", out, *more)


def commands() -> Iterator[tuple[str, ...]]:
    """Every command and group of commands, by the words that call it."""
    waiting: list[tuple[tuple[str, ...], object]] = [((), typer.main.get_command(app))]
    while waiting:
        words, command = waiting.pop()
        yield words
        waiting += [((*words, name), found) for name, found in getattr(command, "commands", {}).items()]


# --- help


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_help_of_every_command(words: tuple[str, ...]) -> None:
    said = call(*words, "--help")
    assert said.code == 0 and "Usage: " in said.out and not said.err
    assert all(word in said.out for word in words)


def test_the_commands_are_all_there() -> None:
    names = {" ".join(words) for words in commands()}
    assert {"demo", "describe", "units", "report", "bench testbed", "sandbox check", "packs install"} <= names


def test_units_lists_layers() -> None:
    said = call("units", "--target", "ground-truth")
    assert said.code == 0 and all(layer in said.out for layer in ("single", "or", "conditional", "0-"))


# --- mistakes


@pytest.mark.parametrize(
    ("units", "told"),
    [
        ("singel=0", ["'singel'", "choose from single, "]),
        ("single=99999", ["99999", "from 0 to "]),
        ("single", ["'single'", "layer=index"]),
        ("single=x", ["'x'", "a number or a range"]),
        ("single=", ["layer=index"]),
        ("single=7-3", ["backwards", "3-7"]),
        ("single=1,1", ["more than once"]),
        ("single=-1", ["'-1'", "a number or a range"]),
        ("", ["layer=index"]),
    ],
)
def test_units_that_are_not_there(units: str, told: list[str], profile: Path, tmp_path: Path) -> None:
    said = call("describe", f"--units={units}", "--profile", profile, "--out", tmp_path / "run")
    assert [word for word in told if word not in said.sentence()] == []
    assert not (tmp_path / "run").exists(), "a command that was mistyped leaves nothing"


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--target", "efficientnet-light0", ["efficientnet-light0", "choose from efficientnet-lite0"]),
        ("--backbone", "gpt", ["'gpt'", "scripted"]),
        ("--sandbox", "docker", ["'docker'", "bubblewrap", "none"]),
        ("--profile", "huge", ["'huge'", "testbed", "YAML"]),
    ],
)
def test_names_that_are_not_there(option: str, value: str, told: list[str], profile: Path, tmp_path: Path) -> None:
    sentence = describe(profile, tmp_path / "run", option, value).sentence()
    assert [word for word in told if word not in sentence] == []


def test_a_target_that_is_not_there_has_no_units() -> None:
    assert "choose from ground-truth" in call("units", "--target", "groundtruth").sentence()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (PROFILE.replace("turns: 1", "turns: many"), ["turns", "whole number", "'many'"]),
        (PROFILE.replace("jobs: 2", "jobs: 0"), ["jobs", "at least 1"]),
        (PROFILE.replace("jobs: 2", "jbos: 2"), ["jbos"]),
        (PROFILE.replace("turns: 1\n", ""), ["no field turns"]),
        (PROFILE.replace("testbed", "earth"), ["'earth'", "testbed"]),
        (PROFILE.replace("ground-truth", "[ground-truth]"), ["target"]),
        (PROFILE.replace("scripted", "{a: b}"), ["backbone"]),
        (PROFILE.replace("world: testbed", "world: [testbed]"), ["world"]),
        ("jobs: [1\n", ["not readable YAML"]),
        ("", ["holds no fields"]),
        ("- 1\n", ["holds no fields"]),
        ("\0", ["not readable YAML"]),
    ],
)
def test_profiles_that_are_wrong(text: str, told: list[str], tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    sentence = describe(path, tmp_path / "run").sentence()
    assert [word for word in [*told, "wrong.yaml"] if word not in sentence] == []


def test_out_is_a_file(profile: Path, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    assert "cannot be written" in describe(profile, tmp_path / "run").sentence()
    assert (tmp_path / "run").read_text() == "mine"


def test_out_cannot_be_made(profile: Path) -> None:
    assert "another --out" in describe(profile, Path("/proc/self/no-such-run")).sentence()


@pytest.mark.parametrize("words", [("--seed", 5), ("--turns", 3), ("--sandbox", "none")])
def test_out_holds_a_run_with_other_settings(words: tuple[object, ...], profile: Path, run: Path) -> None:
    before = sorted((path, path.read_bytes()) for path in run.rglob("*") if path.is_file())
    said = describe(profile, run, *words)
    sentence = Said(said.code, said.out, said.err.strip().splitlines()[-1]).sentence()  # below the sandbox's warning
    assert str(words[0]).removeprefix("--") in sentence and "another --out" in sentence
    assert before == sorted((path, path.read_bytes()) for path in run.rglob("*") if path.is_file())


@pytest.mark.parametrize("data", [b'{"units": [', b"[]", b"{}", b"null", b'{"units": 3, "target": []}', b"\xff"])
def test_run_json_is_damaged(data: bytes, profile: Path, run: Path) -> None:
    (run / "run.json").write_bytes(data)
    assert "run.json is damaged: delete it" in describe(profile, run).sentence()
    (run / "run.json").unlink()
    assert describe(profile, run).code == 0, "the remedy that was named works"


def test_a_transcript_is_damaged(profile: Path, run: Path, finished: tuple[Path, Said]) -> None:
    path = run / "units" / UNIT / "transcript.jsonl"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[1][:20] + b"\n", *lines[2:]]))
    sentence = describe(profile, run).sentence()
    assert str(path) in sentence and "line 2" in sentence and "delete the file" in sentence
    path.unlink()
    assert describe(profile, run).code == 0, "the remedy that was named works"
    assert path.read_bytes() == whole


@pytest.mark.parametrize("length", [0, 1, 50, -3])
def test_scores_are_damaged(length: int, profile: Path, run: Path) -> None:
    whole = (run / "scores.json").read_bytes()
    (run / "scores.json").write_bytes(whole[:length])
    assert "scores.json is damaged: delete it" in describe(profile, run).sentence()
    (run / "scores.json").unlink()
    assert describe(profile, run).code == 0 and (run / "scores.json").read_bytes() == whole


def test_two_runs_on_one_directory(profile: Path, run: Path) -> None:
    with (run / ".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert "another run is writing" in describe(profile, run).sentence()


def test_a_run_holds_its_directory_until_the_report_is_written(
    profile: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[Exception] = []

    def second() -> None:
        try:
            with locked(run):
                pass
        except UserError as error:
            refused.append(error)

    def scored(*_: object) -> None:
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()

    monkeypatch.setattr("maia.benchmarks.quality.score_run.score_run", scored)
    assert describe(profile, run).code == 0
    assert len(refused) == 1 and "another run is writing" in str(refused[0])
    with locked(run), locked(run):  # and it is free again
        pass


def test_what_killed_writes_left_is_removed(run: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    left = [run / f".run.json.{ended.pid}.tmp", run / "images" / f".a.png.{ended.pid}.tmp"]
    left.append(run / "units" / UNIT / f".transcript.jsonl.{ended.pid}.tmp")
    mine, foreign = run / f".report.html.{os.getpid()}.tmp", run / ".notes.tmp"
    for path in (*left, mine, foreign):
        path.write_text("half")
    with locked(run):
        assert [path for path in left if path.exists()] == []
        assert mine.exists() and foreign.exists(), "its writer lives; nobody's"


def test_no_bubblewrap(profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    sentence = describe(profile, tmp_path / "run").sentence()
    assert all(word in sentence for word in ("bwrap", "apt install bubblewrap", "--sandbox none"))


def test_report_of_no_run(tmp_path: Path) -> None:
    assert "run.json" in call("report", tmp_path).sentence()
    assert "run.json" in call("report", tmp_path / "nowhere").sentence()


def test_a_pack_that_is_not_there() -> None:
    assert "emoji" in call("packs", "install", "unicorns").sentence()


@pytest.mark.parametrize("words", [["describe"], ["describe", "--turns", "0"], ["report"], ["dance"], ["--loud"]])
def test_what_typer_refuses(words: list[str]) -> None:
    said = call(*words)
    assert said.code == 2 and "Usage" in said.err and "Traceback" not in said.err


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    words = ["describe", "--units", UNITS, "--out", tmp_path / "run", "--profile", "huge"]
    for debug in (False, True):
        process = spawn(*(["--debug"] if debug else []), *words)
        _, err = process.communicate(timeout=120)
        assert ("Traceback" in err) == debug and "there is no profile 'huge'" in err
        assert process.returncode == (1 if debug else 2)


# --- whole runs


def test_describe_end_to_end(finished: tuple[Path, Said]) -> None:
    out, said = finished
    assert said.code == 0, said.err
    facts = json.loads((out / "run.json").read_text())
    assert facts["units"] == [UNIT] and facts["turns"] == 1 and facts["dataset"]["images"] == 64
    transcript = Transcript(out / "units" / UNIT / "transcript.jsonl")
    assert isinstance(transcript.end, Conclusion) and transcript.end.labels
    scores = json.loads((out / "scores.json").read_text())[UNIT]
    assert set(scores["methods"]) == {"agent", "exemplar-only", "random"}
    assert scores["methods"]["agent"]["label"] == " OR ".join(transcript.end.labels)
    named = {image for method in scores["methods"].values() for image in method["positive_images"]}
    assert named and all((out / "images" / f"{image}.png").is_file() for image in named)
    assert transcript.end.labels[0] in (out / "report.html").read_text(encoding="utf-8")
    assert "exemplar-only" in said.out and transcript.end.labels[0] in said.out and "report.html" in said.out


def test_the_same_command_again_changes_nothing(profile: Path, run: Path, finished: tuple[Path, Said]) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    said = describe(profile, run)
    assert said.code == 0 and "units" in said.out and "1/1" in said.out, "what was done before counts as done"
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_the_target_is_loaded_once(profile: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network or a detector may take minutes: what was loaded to read --units is what the run asks."""
    loaded: list[str] = []
    load = maia.agent.run.load_target
    monkeypatch.setattr(
        maia.agent.run, "load_target", lambda name, *rest, **more: loaded.append(name) or load(name, *rest, **more)
    )
    assert describe(profile, run).code == 0
    assert loaded == ["ground-truth"]


def test_the_same_from_python(profile: Path, tmp_path: Path, finished: tuple[Path, Said]) -> None:
    run = maia.describe(UNITS, tmp_path / "run", profile=str(profile))
    path = Path("units") / UNIT / "transcript.jsonl"
    assert (tmp_path / "run" / path).read_bytes() == (finished[0] / path).read_bytes()
    assert run.labels == {UNIT: run.transcripts[0].end.labels}


def test_a_unit_that_is_not_there_from_python(profile: Path, run: Path) -> None:
    before = (run / "run.json").read_bytes()
    with pytest.raises(UserError, match="from 0 to"):
        maia.describe([Unit("ground-truth", "single", 10**6)], run, profile=str(profile))
    with pytest.raises(UserError, match="no units were named"):
        maia.describe([], run, profile=str(profile))
    assert (run / "run.json").read_bytes() == before


def test_a_layer_more_in_the_same_directory(profile: Path, run: Path) -> None:
    said = call("describe", "--units", f"or=5:{UNITS}", "--profile", profile, "--out", run, "--no-score")
    assert said.code == 0, said.err
    assert json.loads((run / "run.json").read_text())["units"] == [UNIT, "ground-truth.or.5"]


def test_report_of_a_run(run: Path) -> None:
    page = (run / "report.html").read_bytes()
    (run / "report.html").unlink()
    said = call("report", run)
    assert said.code == 0 and "exemplar-only" in said.out
    assert (run / "report.html").read_bytes() == page


def test_no_sandbox_warns_loudly_and_runs(profile: Path, tmp_path: Path) -> None:
    said = describe(profile, tmp_path / "run", "--sandbox", "none", "--no-score")
    assert said.code == 0 and "WARNING" in said.err and "all your rights" in said.err
    assert Transcript(tmp_path / "run" / "units" / UNIT / "transcript.jsonl").end is not None
    assert not (tmp_path / "run" / "scores.json").exists()


# --- Ctrl-C, a full disk


def wait_until(condition: Callable[[], bool], process: "subprocess.Popen[str]", timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "the run got nowhere"
        time.sleep(0.01)


@pytest.mark.parametrize("stage", ["index", "experiment"])
def test_control_c(stage: str, profile: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "interrupted"
    if stage == "index":
        monkeypatch.setenv("MAIA_CACHE", str(tmp_path / "cache"))
    process = spawn("describe", "--units", UNITS, "--profile", profile, "--out", out, "--no-score")
    transcript = out / "units" / UNIT / "transcript.jsonl"
    children: dict[int, bytes] = {}

    def reached() -> bool:
        if stage == "index":
            return any((tmp_path / "cache").rglob("pass.json"))
        if transcript.exists() and transcript.read_bytes().count(b"\n") >= 2:
            children.update(children_of(process.pid))
        return bool(children)

    wait_until(reached, process)
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - begin < 20, "a few seconds, on a machine with nothing else to do"
    assert process.returncode == 130
    assert "the same command goes on" in err and "Traceback" not in err
    assert alive(children) == 0
    if stage == "experiment":
        again = call("describe", "--units", UNITS, "--profile", profile, "--out", out, "--no-score")
        assert again.code == 0
        assert transcript.read_bytes() == (run / "units" / UNIT / "transcript.jsonl").read_bytes()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KB."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(path)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("a small file system can only be mounted with root's rights")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_full_disk(small_disk: Path, profile: Path, finished: tuple[Path, Said]) -> None:
    out = small_disk / "run"
    sentence = describe(profile, out).sentence()
    assert "No space left on device" in sentence and "same command again" in sentence and str(out) in sentence
    assert not list(out.rglob("*.tmp"))
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    said = describe(profile, out)
    assert said.code == 0, said.err
    for name in (f"units/{UNIT}/transcript.jsonl", "scores.json", "run.json"):
        assert (out / name).read_bytes() == (finished[0] / name).read_bytes(), name
    assert {path.name for path in out.rglob("*")} == {path.name for path in finished[0].rglob("*")}
