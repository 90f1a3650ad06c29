"""The index of synthetic neurons: the same bytes however it was built, by captions or without, killed or not."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cc3m_shards import CAPTIONS, write_shard
from maia.engine.captions import caption_filter
from maia.engine.dataset import open_dataset
from maia.engine.exemplars import ExemplarIndex
from maia.engine.index_build import BuildOptions, build_index
from maia.engine.index_files import list_parts
from maia.models.errors import UserError
from maia.models.synthetic import SyntheticNeuron
from maia.models.synthetic_target import SyntheticTarget
from maia.models.targets import Unit
from PIL import Image
from tiny import contents
from tiny_detector import tiny_detector

OPTIONS = BuildOptions(batch=3, k=4, chunk=5)
LAYERS = ("mono", "or", "conditional")


def target() -> SyntheticTarget:
    names = {"mono": ["dog", "train"], "or": ["train+instrument"], "conditional": ["dog|leash", "car|snow"]}
    neurons = {kind: [SyntheticNeuron.parse(kind, name) for name in found] for kind, found in names.items()}  # type: ignore[arg-type]
    return SyntheticTarget(tiny_detector(box_threshold=0.45), neurons, size=64)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shard(tmp_path_factory.mktemp("cc3m"))


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    build_index(target(), open_dataset(folder), LAYERS, out, replace(OPTIONS, chunk=100))
    return out


def test_the_index_holds_what_the_target_answers(folder: Path, whole: Path) -> None:
    index, asked, dataset = ExemplarIndex.open(whole), target(), open_dataset(folder)
    assert index.manifest.images["read"] == 10
    assert sum(index.manifest.images["bad"].values()) == 2
    assert "8 x 8" in (whole / "problems.jsonl").read_text()
    views = [dataset.image(k) for k in range(10)]
    fired = 0
    for layer, values in asked.maxima(views, LAYERS).items():
        for place in range(asked.layers[layer]):
            mine = values[:, place]
            best = sorted(np.flatnonzero(mine > mine.min()), key=lambda k: (-mine[k], k))[: OPTIONS.k]
            unit = Unit(asked.name, layer, place)
            assert index.exemplars(unit, OPTIONS.k) == [(int(k), float(mine[k])) for k in best]
            fired += len(best)
    assert fired > 8
    first = index.entries(Unit(asked.name, "mono", 0), OPTIONS.k)[0]
    assert first.map is None and index.picture(first.id).size == (64, 64)
    assert index.threshold(Unit(asked.name, "mono", 0)) == 0.0


@pytest.mark.parametrize("options", [{"chunk": 1}, {"chunk": 4, "batch": 2}, {"chunk": 5, "workers": 1}])
def test_the_bytes_do_not_depend_on_how_it_was_built(folder: Path, whole: Path, tmp_path: Path, options) -> None:
    build_index(target(), open_dataset(folder), LAYERS, tmp_path, replace(OPTIONS, **options))
    assert contents(tmp_path) == contents(whole)


def test_shards_make_the_same_index(folder: Path, whole: Path, tmp_path: Path) -> None:
    for place in (1, 0):
        build_index(target(), open_dataset(folder), LAYERS, tmp_path, replace(OPTIONS, shard=(place, 2)))
    assert contents(tmp_path) == contents(whole)


_BUILD = """
import sys
from pathlib import Path
sys.path[:0] = {paths!r}
from test_synthetic_index import LAYERS, OPTIONS, target
from maia.engine.dataset import open_dataset
from maia.engine.index_build import build_index
from dataclasses import replace
build_index(target(), open_dataset(Path({folder!r})), LAYERS, Path({out!r}), replace(OPTIONS, chunk=2))
"""


def test_a_killed_build_goes_on(folder: Path, whole: Path, tmp_path: Path) -> None:
    """SIGKILL as soon as a part is there; what it has done is not done again."""
    here = Path(__file__).parent
    paths = [str(here), str(here.parent / "helpers")]
    code = _BUILD.format(paths=paths, folder=str(folder), out=str(tmp_path))
    tiny_detector(box_threshold=0.45)  # its folders are there before the other process looks
    process = subprocess.Popen([sys.executable, "-c", code], env=os.environ)
    until = time.monotonic() + 240
    while time.monotonic() < until and process.poll() is None and not _parts(tmp_path):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert _parts(tmp_path) or (tmp_path / "manifest.json").exists()
    done: list[int] = []
    build_index(
        target(), open_dataset(folder), LAYERS, tmp_path, replace(OPTIONS, chunk=2), lambda now, _: done.append(now)
    )
    assert done[0] > 0
    assert contents(tmp_path) == contents(whole)


def _parts(out: Path) -> list:
    return [part for parts in (out / "parts").glob("*") for part in list_parts(parts)]


def test_captions_choose_what_is_asked(folder: Path, whole: Path, tmp_path: Path) -> None:
    """Only images whose caption names the concept, or that have none, can be exemplars; the index says so, and is not
    taken for the full one."""
    dataset, asked = open_dataset(folder), target()
    chosen = caption_filter("keyword", dataset, asked.concepts(LAYERS))
    build_index(asked, dataset, LAYERS, tmp_path, replace(OPTIONS, captions=chosen))
    index = ExemplarIndex.open(tmp_path)
    assert index.facts.captions is not None and index.facts.captions["mode"] == "keyword"
    assert index.facts.key != ExemplarIndex.open(whole).facts.key
    (unit,) = (Unit(asked.name, "mono", 1),)
    named = {k for k in range(12) if CAPTIONS[k % 6] is None or "train" in (CAPTIONS[k % 6] or "")}
    full = asked.maxima([dataset.image(k) for k in range(10)], ["mono"])["mono"][:, 1]
    expected = {k for k in named if k < 10 and full[k] > 0}
    assert {k for k, _ in index.exemplars(unit, OPTIONS.k)} == expected
    assert any(full[k] > 0 for k in range(10) if k not in named)
    with pytest.raises(UserError, match="captions"):
        build_index(asked, dataset, ["mono"], tmp_path, OPTIONS)


def test_exemplars_are_masked_by_asking_again(folder: Path, whole: Path) -> None:
    """The index holds no maps: the picture it keeps is asked about."""
    index, asked = ExemplarIndex.open(whole), target()
    unit = Unit(asked.name, "mono", 0)
    (ordinal, value), *_ = index.exemplars(unit, OPTIONS.k)
    (answer,) = asked.respond([open_dataset(folder).image(ordinal)], unit)
    assert answer.value == np.float32(value) and (answer.map > 0).any()
    (again,) = asked.respond([index.picture(ordinal)], unit)  # kept as JPEG
    assert again.value == pytest.approx(value, abs=0.1)
    assert isinstance(index.picture(ordinal), Image.Image)


def test_a_condition_is_asked_for_where_both_of_its_concepts_may_be() -> None:
    asked = target()
    concepts = asked.concepts(["conditional"])
    assert concepts == ["dog", "leash", "car", "snow"]
    told: list[list[str]] = []
    plain = asked.detector.detect_each

    def listening(views, wanted, masks=True):  # type: ignore[no-untyped-def]
        told.extend(wanted)
        return plain(views, wanted, masks)

    asked.detector.detect_each = listening  # type: ignore[method-assign]
    views = [asked.view(Image.new("RGB", (64, 64), colour)) for colour in ("red", "green", "blue")]
    allowed = np.array([[1, 0, 1, 1], [0, 1, 0, 1], [1, 1, 1, 1]], bool)
    values = asked.values(views, ["conditional"], allowed)["conditional"]
    assert told == [["car", "snow"], [], concepts]
    assert values[0, 0] == values[1, 0] == values[1, 1] == 0
    told.clear()
    asked.values(views[:1], ["mono", "conditional"], np.array([[1, 1, 0, 0, 1]], bool))
    assert told == [["dog", "train"]]  # the single neuron needs the dog
