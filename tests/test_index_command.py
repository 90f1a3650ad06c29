"""`maia index` from outside: a folder with bad files to an index, shards, damage, and runs that use the index."""

import json
import shutil
from pathlib import Path

import pytest
from command import call
from maia.agent.transcript import Experiment, Transcript
from maia.engine.exemplars import ExemplarIndex
from maia.models.targets import Unit
from tiny import contents, write_pictures

TARGET = "tiny:tiny_network"
COMMON = ("--target", TARGET, "--batch", 8, "--workers", 1, "--threads", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_pictures(tmp_path_factory.mktemp("data"), 60, bad_every=20)
    (path / "notes.txt").write_text("no picture")
    return path


@pytest.fixture(scope="module")
def index(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("index") / "i"
    assert call("index", "build", "--data", folder, "--out", out, *COMMON).code == 0
    return out


def test_build_says_what_it_worked_on_and_what_it_could_not_read(folder: Path, tmp_path: Path) -> None:
    said = call("index", "build", "--data", folder, "--out", tmp_path / "i", *COMMON, "--layers", "late,logits")
    assert said.code == 0, said.err
    for words in ("(folder)", "1 thread)", "kernels in torch", "57 of 60 images", "Not read: ", "1 txt", "late"):
        assert words in said.out, words
    index = ExemplarIndex.open(tmp_path / "i")
    assert set(index.layers) == {"late", "logits"}
    images = index.manifest.images
    assert (images["entries"], images["read"], images["skipped"]) == (60, 57, {"txt": 1})
    assert sum(images["bad"].values()) == 3


def test_shards_in_other_directories_merge_to_the_same_bytes(folder: Path, index: Path, tmp_path: Path) -> None:
    for place in (1, 0):
        out = tmp_path / f"part{place}"
        said = call("index", "build", "--data", folder, "--out", out, *COMMON, "--chunk", 8, "--shard", f"{place}/2")
        assert said.code == 0 and f"Shard {place} of 2 is built" in said.out
    said = call("index", "merge", tmp_path / "all", tmp_path / "part0", tmp_path / "part1")
    assert said.code == 0, said.err
    assert contents(tmp_path / "all") == contents(index)


def test_verify_finds_one_flipped_bit(index: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(index, tmp_path / "copy")
    assert "All files are whole" in call("index", "verify", copy).out
    file = copy / "winners.json"
    data = bytearray(file.read_bytes())
    data[40] ^= 1
    file.write_bytes(data)
    said = call("index", "verify", copy)
    assert said.code == 1 and "winners.json is damaged" in said.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--data", "nowhere"), ["nowhere"]),
        (("--layers", "latte"), ["no layer 'latte'", "late"]),
        (("--shard", "2/2"), ["no shard 2 of 2"]),
        (("--shard", "two"), ["'two' is no shard", "0/4"]),
        (("--device", "cuda:99"), ["cuda:99", "cpu"]),
        (("--dtype", "float61"), ["float61", "float16"]),
        (("--target", "resnet51"), ["resnet51", "resnet152"]),
        (("--target", "resnet18", "--weights", "missing.pth"), ["missing.pth"]),
    ],
)
def test_mistakes_are_one_sentence_with_the_choices(
    folder: Path, tmp_path: Path, arguments: tuple[str, ...], words: list[str]
) -> None:
    given = {"--data": str(folder), "--target": TARGET, "--workers": "0"}
    given |= dict(zip(arguments[::2], arguments[1::2], strict=True))
    sentence = call("index", "build", "--out", tmp_path / "i", *(x for pair in given.items() for x in pair)).sentence()
    for word in words:
        assert word in sentence


def test_units_lists_the_layers_of_any_network() -> None:
    said = call("units", "--target", "resnet18", "--weights", "random")
    assert said.code == 0, said.err
    for layer in ("conv1", "layer4", "logits", "probabilities", "more modules"):
        assert layer in said.out
    assert "layer4.1.conv2" in call("units", "--target", "resnet18", "--weights", "random", "--all").out


def test_describe_takes_its_exemplars_from_the_index(index: Path, folder: Path, tmp_path: Path) -> None:
    """The agent's exemplars are the photographs of the index, with no dataset at hand."""
    out = tmp_path / "run"
    options = ("--target", TARGET, "--index", index, "--turns", 1, "--no-score", "--out", out)
    said = call("describe", "--units", "logits=1", *options)
    assert said.code == 0, said.err
    run = json.loads((out / "run.json").read_text())
    assert run["dataset"]["images"] == 60 and run["dataset"]["name"] == str(folder)
    transcript = Transcript(out / "units" / f"{TARGET}.logits.1" / "transcript.jsonl")
    logged = [entry for experiment in transcript.of(Experiment) for entry in experiment.log]
    found = ExemplarIndex.open(index).exemplars(Unit(TARGET, "logits", 1))
    assert logged[0].activations == [float(f"{value:.4g}") for _, value in found]


def test_an_index_of_another_target_is_refused(index: Path, tmp_path: Path) -> None:
    options = ("--index", index, "--out", tmp_path / "run", "--no-score")
    sentence = call("describe", "--units", "blocks.10=3", *options).sentence()
    assert f"is of the target {TARGET}, whose name differs from efficientnet-lite0's" in sentence
