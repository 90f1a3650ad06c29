"""What an exemplar index answers, against brute force on maps that a test made up; and the testbed's indexes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from maia.engine.dataset import open_dataset
from maia.engine.exemplars import EXEMPLARS, ExemplarIndex, IndexFacts
from maia.engine.index_build import BuildOptions, build_index, cached_index, facts_of
from maia.engine.targets import NetworkTarget
from maia.kernels.mask import region
from maia.kernels.sketch import RELATIVE_ERROR
from maia.models.errors import UserError
from maia.models.groundtruth import GroundTruthTarget
from maia.models.networks.network import LayerSpec, Network, Preprocess
from maia.models.targets import Unit
from maia.models.testbed.world import World
from PIL import Image
from torch import nn

DEAD, SATURATED, TIED = 0, 1, 2
COUNT, SIZE = 60, 8


class Lookup(nn.Module):
    """Gives picture k, which holds the number k in its first pixel, the maps that a table has for it."""

    def __init__(self, tables: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.tables = {name: torch.from_numpy(table) for name, table in tables.items()}
        for name in tables:
            self.add_module(name, nn.Identity())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        numbers = (x[:, :2, 0, 0] * 255).round().long()
        k = (numbers[:, 0] * 256 + numbers[:, 1]).clamp(max=len(next(iter(self.tables.values()))) - 1)
        for name, table in self.tables.items():
            out = self.get_submodule(name)(table[k])
        return out


def maps_of(count: int = COUNT) -> dict[str, np.ndarray]:
    """Two layers; some units are dead, saturated, full of ties."""
    found = {}
    for name, units, side in (("a", 5, 6), ("b", 4, 1)):
        maps = np.random.default_rng(side).normal(size=(count, units, side, side)).astype(np.float32)
        maps[:, DEAD] = -0.5
        maps[:, SATURATED] = np.minimum(maps[:, SATURATED], 5)
        maps[np.arange(count) % 3 > 0, SATURATED] = 6.0
        maps[:, TIED] = (np.arange(count, dtype=np.float32) * 7 % 5)[:, None, None]
        found[name] = maps
    return found


def write_numbers(folder: Path, count: int = COUNT) -> Path:
    folder.mkdir(parents=True)
    for k in range(count):
        pixels = np.zeros((SIZE, SIZE, 3), np.uint8)
        pixels[0, 0, :2] = k // 256, k % 256
        Image.fromarray(pixels).save(folder / f"{k:03d}.png")
    return folder


def index_of(tables: dict[str, np.ndarray], directory: Path, options: BuildOptions | None = None) -> ExemplarIndex:
    specs = {name: LayerSpec(name, table.shape[1], "map") for name, table in tables.items()}
    preprocess = Preprocess(SIZE, SIZE, "bilinear", (0.0,) * 3, (1.0,) * 3)
    target = NetworkTarget(Network("fake", Lookup(tables).eval(), preprocess, specs, "f1", "a table"))
    count = len(next(iter(tables.values())))
    dataset = open_dataset(write_numbers(directory / "data", count))
    built = build_index(target, dataset, list(tables), directory / "index", options)
    assert built is not None
    return built


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ExemplarIndex:
    return index_of(maps_of(), tmp_path_factory.mktemp("index"), BuildOptions(batch=7))


def units() -> list[Unit]:
    return [Unit("fake", layer, place) for layer, maps in maps_of().items() for place in range(maps.shape[1])]


def test_exemplars_are_those_of_brute_force(index: ExemplarIndex) -> None:
    for unit in units():
        maps = maps_of()[unit.layer][:, unit.index]
        values = maps.max((1, 2)).tolist()
        raised = [k for k in range(COUNT) if values[k] > min(values)]
        ranked = sorted(raised, key=lambda k, v=values: (-v[k], k))
        expected = [(k, float(values[k])) for k in ranked[:EXEMPLARS]]
        assert index.exemplars(unit) == expected
        assert index.exemplars(unit, 3) == expected[:3]
        for entry, (k, value) in zip(index.entries(unit), expected, strict=True):
            assert (entry.id, entry.key, entry.value) == (k, f"{k:03d}.png", value)
            assert np.array_equal(entry.map, maps[k])
            assert entry.position == divmod(int(maps[k].argmax()), maps.shape[2])


def test_ties_go_to_the_lower_id(index: ExemplarIndex) -> None:
    found = index.exemplars(Unit("fake", "a", TIED), 12)
    assert [k for k, _ in found] == sorted(k for k, _ in found)
    assert {value for _, value in found} == {4.0}


def test_percentiles_are_within_the_stated_error_and_extremes_exact(index: ExemplarIndex) -> None:
    for unit in units():
        values = maps_of()[unit.layer][:, unit.index].max((1, 2))
        assert (index.percentile(unit, 0.0), index.percentile(unit, 1.0)) == (values.min(), values.max())
        for q in (0.05, 0.5, 0.95):
            low, high = (np.quantile(values, q, method=method) for method in ("lower", "higher"))
            slack = RELATIVE_ERROR * max(abs(low), abs(high))
            assert low - slack <= index.percentile(unit, q) <= high + slack


def test_status(index: ExemplarIndex) -> None:
    statuses = [index.status(Unit("fake", "a", place)) for place in range(5)]
    assert statuses == ["dead", "saturated", "ok", "ok", "ok"]
    assert index.exemplars(Unit("fake", "a", DEAD)) == []
    assert index.threshold(Unit("fake", "a", DEAD)) == pytest.approx(-0.5, rel=RELATIVE_ERROR)


def test_a_unit_that_few_images_raise_is_dead(tmp_path: Path) -> None:
    maps = np.zeros((COUNT, 4, 1, 1), np.float32)
    maps[: EXEMPLARS - 1, 2], maps[:EXEMPLARS, 3] = 1, 1
    built = index_of({"a": maps}, tmp_path)
    assert [built.status(Unit("fake", "a", place)) for place in range(4)] == ["dead"] * 3 + ["ok"]
    assert len(built.exemplars(Unit("fake", "a", 2))) == EXEMPLARS - 1


def test_images_without_a_number_are_no_exemplars(tmp_path: Path) -> None:
    """NaN maps: the image is missing for the unit, in exemplars, extremes and quantiles."""
    maps = np.random.default_rng(0).normal(size=(COUNT, 2, 2, 2)).astype(np.float32)
    maps[::3, 0] = np.nan
    maps[1, 1, 0, 0] = np.inf
    built = index_of({"a": maps}, tmp_path)
    assert all(k % 3 for k, _ in built.exemplars(Unit("fake", "a", 0)))
    assert built.counts(Unit("fake", "a", 0), "maxima").sum() == COUNT - COUNT // 3
    assert built.exemplars(Unit("fake", "a", 1))[0] == (1, float("inf"))
    assert built.status(Unit("fake", "a", 0)) == "ok"


def test_thresholds_are_quantiles_of_map_values(tmp_path: Path) -> None:
    """Of a 1x1 map all values are sampled; of a larger one about `samples`, or all of them."""
    tables = maps_of()
    every = index_of(tables, tmp_path / "all", BuildOptions(samples=None))
    some = index_of(tables, tmp_path / "some", BuildOptions(samples=16))
    for unit in units():
        values = tables[unit.layer][:, unit.index]
        for q in (0.05, 0.5, 0.9, 0.99):
            low, high = (np.quantile(values, q, method=method) for method in ("lower", "higher"))
            slack = RELATIVE_ERROR * max(abs(low), abs(high))
            assert low - slack <= every.quantile(unit, q) <= high + slack
        passed = (values > some.quantile(unit, 0.9)).mean()
        if unit.index > TIED:
            assert abs(passed - 0.1) < 0.05
        assert every.counts(unit, "cells").sum() == values.size
        assert some.counts(unit, "cells").sum() == COUNT * (18 if unit.layer == "a" else 1)


def test_a_unit_at_its_ceiling_shows_where_it_is(index: ExemplarIndex) -> None:
    threshold = index.threshold(Unit("fake", "a", SATURATED))
    assert 5 < threshold < 6
    assert region(np.full((6, 6), 6, np.float32), 12, 12, threshold).all()


def test_what_the_index_lacks_is_an_error(index: ExemplarIndex) -> None:
    for unit in (Unit("fake", "c", 0), Unit("fake", "a", 5), Unit("other", "a", 0), Unit("fake", "a", -1)):
        with pytest.raises(UserError, match=r"holds fake with the layers a, b, and not"):
            index.exemplars(unit)
    with pytest.raises(UserError, match="no layer 'c': choose from a, b, or add it with `maia index build`"):
        ExemplarIndex.open(index.directory, layers=["a", "c"])
    with pytest.raises(ValueError, match="keeps 15 exemplars"):
        index.exemplars(Unit("fake", "a", 0), 16)


def test_other_weights_datasets_and_options_have_other_keys(tmp_path: Path) -> None:
    base = IndexFacts("t", "f", "folder", "d", 10, None)
    others = [
        IndexFacts("t", "f2", "folder", "d", 10, None),
        IndexFacts("t", "f", "folder", "d2", 10, None),
        IndexFacts("t", "f", "folder", "d", 11, None),
        IndexFacts("t", "f", "folder", "d", 10, 0.5),
        IndexFacts("t", "f", "folder", "d", 10, None, k=5),
        IndexFacts("t", "f", "folder", "d", 10, None, samples=None),
    ]
    assert len({facts.key for facts in [base, *others]}) == len(others) + 1


def test_ground_truth_neurons_are_indexed_without_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world, count = World(), 40
    target = GroundTruthTarget(world)
    table = target.maxima([world.dataset_image(k) for k in range(count)], ["single", "or"])
    monkeypatch.setattr(World, "register", lambda *_: pytest.fail("a picture was drawn"))
    dataset = open_dataset(f"testbed:{count}")
    found = cached_index(target, dataset, ["single", "or"], tmp_path)
    fired = 0
    for layer, maxima in table.items():
        for place in range(maxima.shape[1]):
            unit, values = Unit("ground-truth", layer, place), maxima[:, place]
            ranked = sorted((k for k in range(count) if values[k] > values.min()), key=lambda k, v=values: (-v[k], k))
            assert found.exemplars(unit) == [(k, float(values[k])) for k in ranked[:EXEMPLARS]]
            assert found.threshold(unit) == target.mask_threshold
            fired += bool(ranked)
    assert fired > 50
    entry = next(e for place in range(84) for e in found.entries(Unit("ground-truth", "single", place)))
    assert (entry.map, entry.position, entry.key) == (None, None, f"{entry.id:05d}")
    assert not found.has_pictures
    with pytest.raises(UserError, match=r"keeps no pictures: its dataset \(testbed:40\) is a part of this program"):
        found.picture(entry.id)
    with pytest.raises(UserError, match="no layer"):
        cached_index(target, dataset, ["singel"], tmp_path)


def test_ground_truth_neurons_see_no_photographs(tmp_path: Path) -> None:
    dataset = open_dataset(write_numbers(tmp_path / "data", 3))
    with pytest.raises(UserError, match="answers rendered scenes only"):
        cached_index(GroundTruthTarget(World()), dataset, ["single"], tmp_path)


def test_the_cache_adds_layers_and_builds_nothing_twice(tmp_path: Path) -> None:
    target, dataset = GroundTruthTarget(World()), open_dataset("testbed:20")
    seen: list[int] = []
    for layers in (["or"], ["single", "or"], ["or"], ["single"]):
        index = cached_index(target, dataset, layers, tmp_path, lambda done, _: seen.append(done))
        assert set(layers) <= set(index.layers)
    assert seen.count(20) == 2  # one pass for each of the two layers
    assert [path.name for path in tmp_path.iterdir()] == [facts_of(target, dataset, BuildOptions()).key]
    assert not list(tmp_path.rglob("parts"))
