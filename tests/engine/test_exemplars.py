"""The exemplar index against brute force, its cache, and builds that are killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.engine import exemplars
from maia.engine.exemplars import (
    BATCH_IMAGES,
    EXEMPLARS,
    QUANTILES,
    SAMPLED_POSITIONS,
    ExemplarIndex,
    IndexFacts,
    Progress,
    build_index,
)
from maia.kernels.mask import region
from maia.models.errors import UserError
from maia.models.groundtruth import GroundTruthTarget
from maia.models.targets import Unit
from maia.models.testbed.world import World
from PIL import Image

DEAD, SATURATED, TIED = 0, 1, 2


class FakeTarget:
    """Maps made from the number that image_of writes into a picture; some units are dead, saturated, full of ties."""

    name = "fake"

    def __init__(self, fingerprint: str = "f1", mask_threshold: float | None = None):
        self.fingerprint = fingerprint
        self.mask_threshold = mask_threshold
        self.layers = {"a": 5, "b.1": 4}
        self.sides = {"a": 6, "b.1": 1}

    def one(self, k: int, layer: str) -> np.ndarray:
        rng = np.random.default_rng([k, self.sides[layer]])
        maps = rng.normal(size=(self.layers[layer], self.sides[layer], self.sides[layer])).astype(np.float32)
        maps[DEAD] = -0.5
        maps[SATURATED] = 6.0 if k % 3 else np.minimum(maps[SATURATED], 5)
        maps[TIED] = np.float32(k * 7 % 5)
        return maps

    def maps(self, images: Sequence[Image.Image], layers: Sequence[str]) -> dict[str, np.ndarray]:
        return {layer: np.stack([self.one(number(image), layer) for image in images]) for layer in layers}

    def maxima(self, images: Sequence[Image.Image], layers: Sequence[str]) -> dict[str, np.ndarray]:
        return {layer: maps.max((2, 3)) for layer, maps in self.maps(images, layers).items()}


def image_of(k: int) -> Image.Image:
    return Image.fromarray(np.array([[[k // 256, k % 256, 0]]], np.uint8))


def number(image: Image.Image) -> int:
    high, low, _ = np.asarray(image)[0, 0]
    return int(high) * 256 + int(low)


def build(
    directory: Path, size: int = 60, target: FakeTarget | None = None, progress: Progress | None = None
) -> ExemplarIndex:
    target = target or FakeTarget()
    return build_index(target, size, image_of, list(target.layers), directory, "d1", progress)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ExemplarIndex:
    return build(tmp_path_factory.mktemp("index"))


def test_exemplars_and_percentiles_equal_brute_force(index: ExemplarIndex) -> None:
    target = FakeTarget()
    for layer, count in target.layers.items():
        maxima = np.stack([target.one(k, layer).max((1, 2)) for k in range(60)])
        for unit in (Unit("fake", layer, place) for place in range(count)):
            values = maxima[:, unit.index].tolist()
            raised = [k for k in range(60) if values[k] > min(values)]
            ranked = sorted(raised, key=lambda k, v=values: (-v[k], k))
            expected = [(k, float(values[k])) for k in ranked[:EXEMPLARS]]
            assert index.exemplars(unit) == expected
            assert index.exemplars(unit, 3) == expected[:3]
            for q in (0.0, 0.5, 0.95, 1.0):
                assert index.percentile(unit, q) == pytest.approx(float(np.quantile(values, q)))


def test_ties_go_to_the_lower_id(index: ExemplarIndex) -> None:
    found = index.exemplars(Unit("fake", "a", TIED), 12)
    assert [k for k, _ in found] == sorted(k for k, _ in found)
    assert {value for _, value in found} == {4.0}


def test_status(index: ExemplarIndex) -> None:
    statuses = [index.status(Unit("fake", "a", place)) for place in range(5)]
    assert statuses == ["dead", "saturated", "ok", "ok", "ok"]
    assert index.exemplars(Unit("fake", "a", DEAD)) == []
    assert index.threshold(Unit("fake", "a", DEAD)) == -0.5


def test_a_unit_that_few_images_raise_is_dead(tmp_path: Path) -> None:
    class Rare(FakeTarget):
        def one(self, k: int, layer: str) -> np.ndarray:
            maps = np.zeros((self.layers[layer], 1, 1), np.float32)
            maps[2], maps[3] = k < EXEMPLARS - 1, k < EXEMPLARS
            return maps

    built = build(tmp_path, target=Rare())
    assert [built.status(Unit("fake", "a", place)) for place in range(4)] == ["dead"] * 3 + ["ok"]
    assert len(built.exemplars(Unit("fake", "a", 2))) == EXEMPLARS - 1


def test_thresholds_are_the_quantiles_of_the_sampled_values(index: ExemplarIndex) -> None:
    """Of a 1x1 map all values are sampled, so the quantile is exact; of a 6x6 map it is near."""
    target = FakeTarget()
    exact = np.stack([target.one(k, "b.1")[3] for k in range(60)])
    for q in QUANTILES[:-1]:
        assert index.threshold(Unit("fake", "b.1", 3), float(q)) == pytest.approx(
            float(np.quantile(exact, q)), abs=1e-6
        )
    every = np.stack([target.one(k, "a")[4] for k in range(60)])
    passed = (every > index.threshold(Unit("fake", "a", 4), 0.9)).mean()
    assert abs(passed - 0.1) < 0.05


def test_a_unit_at_its_ceiling_shows_where_it_is(index: ExemplarIndex) -> None:
    threshold = index.threshold(Unit("fake", "a", SATURATED))
    assert 5 < threshold < 6
    ceiling = np.full((6, 6), 6, np.float32)
    assert region(ceiling, 12, 12, threshold).all()


def test_a_target_with_a_threshold_of_its_own_keeps_it(tmp_path: Path) -> None:
    built = build(tmp_path, target=FakeTarget(mask_threshold=0.25))
    assert built.threshold(Unit("fake", "a", 4)) == 0.25
    assert built.exemplars(Unit("fake", "a", 4)) == build(tmp_path / "x").exemplars(Unit("fake", "a", 4))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 10**6))
def test_sampled_positions_are_distinct_and_depend_on_the_id_alone(height: int, width: int, first: int) -> None:
    cells = np.arange(height * width, dtype=np.float32).reshape(1, 1, height, width)
    together = exemplars._sample(np.repeat(cells, 5, axis=0), range(first, first + 5))
    assert together.shape == (5, min(SAMPLED_POSITIONS, height * width), 1)
    for place in range(5):
        assert len(set(together[place, :, 0])) == together.shape[1]
        assert np.array_equal(exemplars._sample(cells, [first + place])[0], together[place])


def test_sampled_positions_cover_the_map_evenly() -> None:
    cells = np.broadcast_to(np.arange(49, dtype=np.float32).reshape(1, 1, 7, 7), (4900, 1, 7, 7))
    counts = np.bincount(exemplars._sample(cells, range(4900)).astype(int).ravel(), minlength=49)
    assert counts.min() > 0.95 * 400 and counts.max() < 1.05 * 400


@settings(deadline=None, max_examples=8)
@given(chunk=st.integers(1, 80), batch=st.integers(1, 20), size=st.integers(1, 60))
def test_the_index_does_not_depend_on_chunks_and_batches(
    tmp_path_factory: pytest.TempPathFactory, chunk: int, batch: int, size: int
) -> None:
    directory = tmp_path_factory.mktemp("chunks")
    whole = build(directory / "whole", size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exemplars, "CHUNK_IMAGES", chunk)
        patch.setattr(exemplars, "BATCH_IMAGES", batch)
        pieces = build(directory / "pieces", size)
    assert pieces.facts == whole.facts
    for name, tensor in whole._tensors.items():
        assert np.array_equal(pieces._tensors[name], tensor)


def test_the_cache_is_used_and_leaves_nothing_behind(tmp_path: Path) -> None:
    reports: list[tuple[int, int]] = []
    first = build(tmp_path, progress=lambda done, total: reports.append((done, total)))
    assert reports[0] == (BATCH_IMAGES, 60) and reports[-1] == (60, 60)
    again = build_index(FakeTarget(), 60, lambda k: pytest.fail("not cached"), ["b.1", "a"], tmp_path, "d1")
    assert np.array_equal(again._tensors["a/maxima"], first._tensors["a/maxima"])
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".lock", ".safetensors"]


def test_other_weights_datasets_sizes_and_layers_have_other_indexes() -> None:
    facts = [
        IndexFacts.of(FakeTarget(), "d1", 60, ["a"]),
        IndexFacts.of(FakeTarget("f2"), "d1", 60, ["a"]),
        IndexFacts.of(FakeTarget(), "d2", 60, ["a"]),
        IndexFacts.of(FakeTarget(), "d1", 61, ["a"]),
        IndexFacts.of(FakeTarget(), "d1", 60, ["a", "b.1"]),
    ]
    assert len({each.key for each in facts}) == len(facts)
    assert IndexFacts.of(FakeTarget(), "d1", 60, ["b.1", "a"]).key == facts[-1].key


def test_a_foreign_index_is_refused_by_what_differs(tmp_path: Path) -> None:
    path = tmp_path / f"{build(tmp_path).facts.key}.json"
    expected = IndexFacts.of(FakeTarget("f2"), "d1", 60, ["a", "b.1"])
    with pytest.raises(UserError, match=r"\(target fingerprint differ\): delete"):
        ExemplarIndex.load(path, expected)
    with pytest.raises(UserError, match="dataset fingerprint, dataset size differ"):
        ExemplarIndex.load(path, IndexFacts.of(FakeTarget(), "d2", 61, ["a", "b.1"]))
    with pytest.raises(UserError, match="there is no exemplar index"):
        ExemplarIndex.load(tmp_path / "none.json")
    described = json.loads(path.read_text())
    path.write_text(json.dumps(described | {"dataset_fingerprint": "d9"}))
    with pytest.raises(UserError, match="dataset fingerprint differ"):
        build(tmp_path)


@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_index_is_refused(tmp_path: Path, suffix: str, damage: str) -> None:
    path = tmp_path / f"{build(tmp_path).facts.key}{suffix}"
    data = bytearray(path.read_bytes())
    data[-20] ^= 4
    path.write_bytes(bytes({"flip": data, "cut": data[: len(data) // 2], "empty": b""}[damage]))
    with pytest.raises(UserError, match=r"delete .*json and run again"):
        build(tmp_path)


def test_missing_numbers_are_refused_and_deleting_the_index_rebuilds_it(tmp_path: Path) -> None:
    key = build(tmp_path).facts.key
    (tmp_path / f"{key}.safetensors").unlink()
    with pytest.raises(UserError, match="missing or damaged"):
        build(tmp_path)
    (tmp_path / f"{key}.json").unlink()
    assert build(tmp_path).exemplars(Unit("fake", "a", 3))


def test_what_the_index_lacks_is_an_error(index: ExemplarIndex, tmp_path: Path) -> None:
    for unit in (Unit("fake", "c", 0), Unit("fake", "a", 5), Unit("other", "a", 0), Unit("fake", "a", -1)):
        with pytest.raises(UserError, match=r"holds fake with the layers a, b\.1"):
            index.exemplars(unit)
    with pytest.raises(UserError, match="no layer 'c': choose from a, b"):
        build_index(FakeTarget(), 60, image_of, ["c"], tmp_path, "d1")
    with pytest.raises(UserError, match="no images"):
        build(tmp_path, size=0)


KILLED_BUILD = """
import runpy, sys, time
from pathlib import Path
from maia.engine import exemplars
fakes = runpy.run_path({tests!r})
exemplars.CHUNK_IMAGES = 16
def slow(k):
    print(k, flush=True)
    time.sleep(0.005)
    return fakes["image_of"](k)
target = fakes["FakeTarget"]()
exemplars.build_index(target, 60, slow, list(target.layers), Path({directory!r}), "d1")
"""


def test_a_killed_build_goes_on_after_its_last_whole_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exemplars, "CHUNK_IMAGES", 16)
    script = KILLED_BUILD.format(tests=str(Path(__file__).resolve()), directory=str(tmp_path / "killed"))
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    deadline = time.monotonic() + 60
    for line in process.stdout:
        if int(line) >= 40:
            os.kill(process.pid, signal.SIGKILL)
            break
        assert time.monotonic() < deadline
    assert process.wait(30) == -signal.SIGKILL
    process.stdout.close()
    assert not list((tmp_path / "killed").glob("*.json"))
    seen: list[int] = []

    def counted(k: int) -> Image.Image:
        seen.append(k)
        return image_of(k)

    resumed = build_index(FakeTarget(), 60, counted, ["a", "b.1"], tmp_path / "killed", "d1")
    assert seen == list(range(32, 60))
    for name, tensor in build(tmp_path / "whole")._tensors.items():
        assert np.array_equal(resumed._tensors[name], tensor)


def test_a_damaged_chunk_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exemplars, "CHUNK_IMAGES", 16)

    def failing(k: int) -> Image.Image:
        if k == 40:
            raise RuntimeError("stopped")
        return image_of(k)

    with pytest.raises(RuntimeError, match="stopped"):
        build_index(FakeTarget(), 60, failing, ["a", "b.1"], tmp_path, "d1")
    chunk = sorted(tmp_path.glob("*.chunks/*.safetensors"))[1]
    chunk.write_bytes(chunk.read_bytes()[:100])
    with pytest.warns(UserWarning, match="is damaged; it is built again"):
        resumed = build(tmp_path)
    assert np.array_equal(resumed._tensors["a/maxima"], build(tmp_path / "whole")._tensors["a/maxima"])


class Shadow:
    """Answers with the mean brightness of a picture: one unit, a 1x1 map."""

    name, fingerprint, layers = "shadow", "s1", {"all": 1}

    def __init__(self, mask_threshold: float | None):
        self.mask_threshold = mask_threshold

    def maps(self, images: Sequence[Image.Image], layers: Sequence[str]) -> dict[str, np.ndarray]:
        return {"all": np.array([np.asarray(image).mean() for image in images], np.float32).reshape(-1, 1, 1, 1)}

    def maxima(self, images: Sequence[Image.Image], layers: Sequence[str]) -> dict[str, np.ndarray]:
        return {"all": self.maps(images, layers)["all"].max((2, 3))}


@pytest.mark.parametrize("mask_threshold", [None, 0.5])
def test_pictures_drawn_ahead_give_the_same_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask_threshold: float | None
) -> None:
    monkeypatch.setattr(exemplars, "CHUNK_IMAGES", 10)
    world, target = World(), Shadow(mask_threshold)
    expected = build_index(target, 25, world.dataset_image, ["all"], tmp_path / "here", "d1")
    found = exemplars.cached_index(target, world, ["all"], tmp_path / "ahead", size=25)
    assert found._tensors.keys() == expected._tensors.keys()
    assert all(np.array_equal(found._tensors[name], tensor) for name, tensor in expected._tensors.items())
    monkeypatch.setattr(World, "drawn_ahead", lambda self: DrawsNothing())
    assert exemplars.cached_index(target, world, ["all"], tmp_path / "ahead", size=25).facts == found.facts


class DrawsNothing:
    """In the place of the drawing process where no picture may be drawn."""

    def __enter__(self) -> Callable[[int], Image.Image]:
        return lambda k: pytest.fail("a picture was drawn")

    def __exit__(self, *_: object) -> None:
        pass


def test_ground_truth_neurons_are_indexed_without_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    target = GroundTruthTarget(world)
    expected = build_index(target, 20, world.dataset_image, ["single", "or"], tmp_path / "pictures", "d1")
    monkeypatch.setattr(World, "drawn_ahead", lambda self: DrawsNothing())
    monkeypatch.setattr(World, "register", lambda *_: pytest.fail("a picture was drawn"))
    found = exemplars.cached_index(target, world, ["single", "or"], tmp_path / "scenes", size=20)
    assert found.facts.layers == expected.facts.layers
    assert all(np.array_equal(found._tensors[name], tensor) for name, tensor in expected._tensors.items())
    assert found._tensors["single/maxima"].any()
    with pytest.raises(UserError, match="no layer"):
        exemplars.cached_index(target, world, ["singel"], tmp_path / "scenes", size=20)
