"""Commands with a vision-language model: what a person can get wrong, and runs that go on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from command import Said, call
from fake_server import Fake, start
from maia.agent.transcript import Conclusion, Failure, Notice, Reply, Transcript, unit_directory
from tiny_vlm import own_checkpoint, tiny_checkpoint

UNITS = ("ground-truth.single.16", "ground-truth.single.76")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fake]:
    yield from start(tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fake]:
    """Wants a key, and takes no pictures."""
    yield from start(tmp_path_factory.mktemp("guarded"), "--blind", key="secret")


def profile(place: Path, **vlm: object) -> Path:
    """A profile's file in that directory."""
    entries = {"model": "fake", "path": tiny_checkpoint(), "context": 8192, "max_tokens": 64, **vlm}
    lines = [f"  {name}: {value}" for name, value in entries.items() if value is not None]
    path = place / "profile.yaml"
    head = "world: testbed\ntarget: ground-truth\nbackbone: served\ndataset_images: 64\njobs: 1\nturns: 1\nvlm:\n"
    path.write_text(head + "\n".join(lines) + "\n")
    return path


def describe(chosen: Path, *more: object) -> Said:
    return call("describe", "--units", "single=16,76", "--profile", chosen, "--out", chosen.parent / "run", *more)


def transcripts(place: Path) -> list[Transcript]:
    return [Transcript(unit_directory(place / "run", unit) / "transcript.jsonl") for unit in UNITS]


def asked(transcript: Transcript) -> bool:
    """Whether the unit was asked to its end: one turn (and a repair of its code, if it had any), two final answers. The
    server repeats what it was asked last, so that its answers are pieces of the prompts."""
    return sum(1 for _ in transcript.of(Reply)) in (3, 4)


def test_replies_that_say_nothing_cost_their_units_and_nothing_else(server: Fake, tmp_path: Path) -> None:
    server.behave("ok")
    said = describe(profile(tmp_path, url=server.url))
    assert said.code == 0, said
    for transcript in transcripts(tmp_path):
        assert isinstance(transcript.end, Failure) and "no final answer" in transcript.end.reason
        assert asked(transcript)
        kinds = {notice.kind for notice in transcript.of(Notice)}
        assert {"unreadable-reply", "last-turn"} <= kinds, kinds
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Reply without readable sections" in page and "served fake" in page


@pytest.mark.parametrize("trouble", ["400 boom", "empty", "length", "no-choice"])
def test_one_bad_answer_costs_one_unit_at_most(server: Fake, tmp_path: Path, trouble: str) -> None:
    server.behave("ok", "ok", trouble, "ok")  # the first is the question whether it sees pictures
    said = describe(profile(tmp_path, url=server.url))
    assert said.code == 0, said
    first, second = transcripts(tmp_path)
    assert first.end is not None and asked(second)
    if trouble.startswith("400"):
        assert isinstance(first.end, Failure) and "boom" in first.end.reason


def test_a_server_in_trouble_is_asked_again(server: Fake, tmp_path: Path) -> None:
    server.behave("ok", "500", "429-after 0", "drop", "ok")
    said = describe(profile(tmp_path, url=server.url))
    assert said.code == 0 and all(map(asked, transcripts(tmp_path)))


def test_what_the_server_says_ends_the_run_with_a_sentence(server: Fake, guarded: Fake, tmp_path: Path) -> None:
    server.behave("ok")
    places = [tmp_path / name for name in "abcd"]
    for place in places:
        place.mkdir()
    (tmp_path / "key").write_text("secret\n")
    knows = {"url": guarded.url, "api_key_file": tmp_path / "key"}
    assert "one of fake" in describe(profile(places[0], url=server.url, model="other")).sentence()
    assert "API key" in describe(profile(places[1], url=guarded.url)).sentence()
    assert "images: 0" in describe(profile(places[2], **knows)).sentence()
    blind = describe(profile(places[3], **knows, images=0))
    assert blind.code == 0, "a model that reads text only can be used on purpose"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--vlm", "gpt"), ["no vlm 'gpt'", "qwen2.5-vl-7b", "folder"]),
        (("--vlm", "gemma-3-12b"), ["gemma-3-12b", "MAIA_WEIGHTS"]),
        (("--adapter", "mine"), ["no adapter 'mine'"]),
        (("--context", "999999"), ["context"]),
        (("--url", "gpu7:8000"), ["http://"]),
        (("--guards", "thin"), ["no guard 'thin'", "thin-evidence"]),
        (("--describer", "me"), ["no describer 'me'", "pixels, vlm"]),
        (("--describer", "vlm", "--backbone", "scripted"), ["describer", "scripted"]),
        (("--backbone", "gpt"), ["'gpt'", "scripted, served, in-process"]),
    ],
)
def test_a_wrong_choice_is_named(tmp_path: Path, more: tuple[str, ...], words: list[str]) -> None:
    sentence = describe(profile(tmp_path), *more).sentence()
    assert all(word in sentence for word in words), sentence
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize("command", ["describe", "serve"])
@pytest.mark.parametrize("missing", ["processor_config.json", "tokenizer.json", "config.json", "model.safetensors"])
def test_what_a_checkpoint_lacks_is_named(tmp_path: Path, command: str, missing: str) -> None:
    folder = own_checkpoint(tmp_path)
    (folder / missing).unlink()
    chosen = profile(tmp_path, path=folder)
    said = describe(chosen) if command == "describe" else call("serve", "--profile", chosen)
    assert folder.name in said.sentence() or str(folder) in said.sentence()


def test_a_server_for_others_wants_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAIA_API_KEY", raising=False)
    assert "API key" in call("serve", "--profile", profile(tmp_path), "--host", "0.0.0.0").sentence()


def test_a_plan_tells_of_the_model(tmp_path: Path) -> None:
    said = call("plan", "--profile", profile(tmp_path), "--memory", "8GiB", "--gpus", 1)
    assert said.code == 0 and "--max-model-len 8192" in said.out and "1 picture a message" in said.out


def test_a_run_goes_on_when_its_server_moves(server: Fake, tmp_path: Path) -> None:
    """Where a model is asked is no part of what a run is."""
    server.behave("ok")
    assert describe(profile(tmp_path, url=server.url)).code == 0
    before = [one.path.read_bytes() for one in transcripts(tmp_path)]
    again = describe(profile(tmp_path, url=server.url.replace("127.0.0.1", "localhost")))
    assert again.code == 0 and [one.path.read_bytes() for one in transcripts(tmp_path)] == before
    assert not any(isinstance(one.end, Conclusion) for one in transcripts(tmp_path))
    other = describe(profile(tmp_path, url=server.url, max_tokens=128)).sentence()
    assert "vlm" in other and "--out" in other
