"""`--target synthetic` and `maia synthetic` from the command line: in the offline world, and over real detectors."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cc3m_shards import write_shard
from command import call
from maia.agent.transcript import Conclusion, Transcript
from tiny_detector import tiny_folders

PROFILE = "world: testbed\ntarget: synthetic\nbackbone: scripted\ndataset_images: 400\njobs: 3\nturns: 4\n"
UNITS = "mono=dog:or=red+purple:conditional=bird|tree"
NAMED = ("mono.11", "or.16", "conditional.2")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees or leaves indexes in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAIA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("profile") / "small.yaml"
    path.write_text(PROFILE)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, profile: Path) -> Path:
    """One neuron of each kind, described in the offline world."""
    out = tmp_path_factory.mktemp("run") / "run"
    said = call("describe", "--units", UNITS, "--profile", profile, "--out", out)
    assert said.code == 0, said
    return out


def test_the_three_kinds_are_interpreted_and_found(run: Path) -> None:
    scores = json.loads((run / "scores.json").read_text())
    truths = {"mono.11": "dog", "or.16": "red OR purple", "conditional.2": "bird given tree"}
    stated = json.loads((run / "truths.json").read_text())
    for name in NAMED:
        unit = f"synthetic.{name}"
        transcript = Transcript(run / "units" / unit / "transcript.jsonl")
        assert isinstance(transcript.end, Conclusion)
        assert scores[unit]["truth"] == stated[unit] == truths[name]
    assert scores["synthetic.mono.11"]["truth_found"] is True
    assert json.loads((run / "run.json").read_text())["detector"]["model"] == "testbed"


def test_evaluate_counts_by_kind(run: Path, tmp_path: Path) -> None:
    said = call("synthetic", "evaluate", run, "--words-only", "--json", tmp_path / "found.json")
    assert said.code == 0, said
    (result,) = json.loads((tmp_path / "found.json").read_text()).values()
    assert result["words"]["all"]["of"] == 3 and result["embedding"] is None
    assert result["units"]["synthetic.mono.11"]["words"] is True


def test_compare_writes_a_form_and_judges(run: Path, tmp_path: Path) -> None:
    """Against candidates that are wrong: the run is favoured by people who say so."""
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text(
        "".join(
            json.dumps({"unit": f"synthetic.{n}", "label": "clocks", "description": "clocks"}) + "\n" for n in NAMED
        )
    )
    form = tmp_path / "form.html"
    said = call("synthetic", "compare", run, wrong, "--judge", "none", "--form", form)
    assert said.code == 0 and form.exists() and form.with_suffix(".key.json").exists(), said
    assert "form.key.json" in said.out.replace("\n", "")
    assert "red OR purple" in form.read_text()
    for arguments, wanted in (
        (["--judge", "oracle"], "embeddings, model, none"),
        (["--answers", wrong], "--key"),
    ):
        assert wanted in call("synthetic", "compare", run, wrong, *arguments).sentence()


def test_the_list_says_what_can_be_asked() -> None:
    said = call("synthetic", "list")
    assert said.code == 0 and "26 of 92 neurons" in said.out
    assert "no detector" in call("synthetic", "list", "--detector", "no.yaml").sentence()


def test_over_a_detector_with_weights(tmp_path: Path, profile: Path) -> None:
    """An index of shards with captions, units by their names, an interpretation; nothing but local folders."""
    grounding, segmenter = tiny_folders()
    (tmp_path / "mine.yaml").write_text("mono: [dog, train]\nconditional: ['dog|leash']\n")
    detector = tmp_path / "detector.yaml"
    options = {"grounding": str(grounding), "segmenter": str(segmenter), "neurons": "mine.yaml", "box_threshold": 0.45}
    detector.write_text(json.dumps(options))
    shards, index = write_shard(tmp_path / "shards"), tmp_path / "index"
    chosen = ("--target", "synthetic", "--detector", detector)
    said = call(
        "index",
        "build",
        *chosen,
        "--data",
        shards,
        "--out",
        index,
        "--captions",
        "keyword",
        "--workers",
        0,
        "--device",
        "cpu",
    )
    assert said.code == 0 and "keyword" in said.out, said
    assert json.loads((index / "manifest.json").read_text())["facts"]["captions"]["mode"] == "keyword"
    out = tmp_path / "run"
    said = call(
        "describe", *chosen, "--profile", profile, "--index", index, "--units", "mono=dog", "--turns", 1,
        "--device", "cpu", "--out", out,
    )  # fmt: skip
    assert said.code == 0, said
    told = json.loads((out / "run.json").read_text())
    assert told["detector"]["neurons"].endswith("mine.yaml")
    assert (out / "units" / "synthetic.mono.0" / "transcript.jsonl").exists()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{model: other}", "grounded, testbed"),
        ("{box_threshold: 2}", "between 0 and 1"),
        ("{boxes: 2}", "box_threshold"),
        ("[grounded]", "mapping"),
        ("{grounding: /nowhere, segmenter: /nowhere}", "nowhere"),
        ("{dtype: half}", "fp16"),
    ],
)
def test_a_wrong_detector_is_told_in_a_sentence(tmp_path: Path, text: str, wanted: str) -> None:
    file = tmp_path / "detector.yaml"
    file.write_text(text)
    assert wanted in call("synthetic", "list", "--detector", file).sentence()
