"""The extraction benchmark: its fields, its arithmetic, and that the ways it times find the same things."""

import json
import math
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from maia.__main__ import app
from maia.benchmarks.baselines.per_layer_tally import RunningQuantiles, RunningTopK, tally_per_layer
from maia.benchmarks.throughput.extraction import bytes_moved, run_benchmark
from maia.benchmarks.throughput.extraction_table import tables
from maia.benchmarks.throughput.extraction_ways import typical_best
from maia.benchmarks.throughput.photographs import write_photographs
from maia.benchmarks.throughput.timing import ratio, time_in_turn
from maia.engine.dataset import open_dataset
from maia.engine.index_pass import NetworkPass
from maia.engine.targets import NetworkTarget
from maia.kernels.sketch import ABSOLUTE_ERROR, BINS, RELATIVE_ERROR, quantile
from maia.models.errors import UserError
from maia.models.networks.network import LayerSpec
from maia.models.registry import load_network
from PIL import Image
from typer.testing import CliRunner

NETWORK = "three_layer_network:build"
SOURCE = """
    import torch
    from torch import nn
    from maia.models.networks.build import make_network
    from maia.models.networks.network import Preprocess

    def build():
        torch.manual_seed(0)
        first, second, third = nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 12, 3, 2), nn.Conv2d(12, 16, 3)
        steps = nn.Sequential(first, nn.ReLU(inplace=True), second, third)
        return steps, Preprocess(48, 52, "bilinear", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
"""
LAYERS = ["0", "2", "3"]
SIDES = {"0": 23, "2": 11, "3": 9}
"""Of the layers' maps."""


@pytest.fixture(scope="module", autouse=True)
def network_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("network")
    (folder / "three_layer_network.py").write_text(textwrap.dedent(SOURCE))
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))
    sys.modules.pop("three_layer_network", None)


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    steps: list[tuple[int, int]] = []
    found = run_benchmark(
        NETWORK,
        LAYERS,
        "cpu",
        batch=4,
        images=6,
        repeats=3,
        workers=0,
        files=9,
        progress=lambda what, done, total: steps.append((done, total)),
    )
    assert [done for done, _ in steps] == list(range(1, steps[0][1] + 1))
    return found


def test_all_fields_are_there(result: dict[str, Any]) -> None:
    named = (
        "ratio_to_bare speedup_over_per_layer images_per_s decode_images_per_s end_to_end_images_per_s "
        "end_to_end_share peak_rss_bytes device versions commit date batch images repeats layers threads branches"
    )
    assert not set(named.split()) - result.keys()
    assert json.loads(json.dumps(result)) == result
    assert (result["device"], result["batch"], result["images"], result["repeats"]) == ("cpu", 4, 6, 3)
    assert result["layers"] == {"0": 8, "2": 12, "3": 16}
    assert result["branches"] == {layer: {"reduce": "torch", "topk": "torch"} for layer in LAYERS}
    assert result["versions"]["torch"].startswith(torch.__version__.partition("+")[0])
    assert result["peak_rss_bytes"] > 50e6


def test_ratios_are_those_of_the_times(result: dict[str, Any]) -> None:
    times = {name: summary["all"] for name, summary in result["seconds"].items()}
    assert all(len(values) == 3 and min(values) > 0 for values in times.values())

    def middle(above: str, below: str) -> float:
        return sorted(a / b for a, b in zip(times[above], times[below], strict=True))[1]

    assert result["ratio_to_bare"] == pytest.approx(middle("pass", "bare_to_deepest"))
    assert result["speedup_over_per_layer"] == pytest.approx(middle("per_layer_tally", "pass"))
    assert result["images_per_s"] == pytest.approx(6 / sorted(times["pass"])[1])
    assert result["decode_images_per_s"] == pytest.approx(5 / sorted(times["decode"])[1])  # all files but a batch
    assert result["end_to_end_images_per_s"] == pytest.approx(5 / sorted(times["end_to_end"])[1])
    shares = [
        max(d / 5, b / 6) / (e / 5)
        for d, b, e in zip(times["decode"], times["bare_to_deepest"], times["end_to_end"], strict=True)
    ]
    assert result["end_to_end_share"] == pytest.approx(sorted(shares)[1])
    for figure in result["figures"].values():
        assert 0 < figure["p20"] <= figure["median"] <= figure["p80"]


def test_the_table_shows_every_figure(result: dict[str, Any]) -> None:
    rates, ratios = tables(result)
    assert ratios.row_count == len(result["figures"])
    assert rates.row_count == len(result["rates"])


def test_the_tally_finds_what_the_pass_finds(tmp_path: Path) -> None:
    """Like is compared with like: the same images, and thresholds within the sketch's stated error."""
    write_photographs(tmp_path, 7)
    network = load_network(NETWORK)
    target, dataset, k = NetworkTarget(network, "cpu"), open_dataset(tmp_path), 4
    pixels = [np.array(network.preprocess.view(dataset.image(i))) for i in range(7)]

    running = NetworkPass(target, LAYERS, k, None, 3, pictures=False)
    for first in range(0, 7, 3):
        some = range(first, min(first + 3, 7))
        running.forward({i: pixels[i] for i in some}, [dataset.phase(i) for i in some])
    batches = [torch.from_numpy(np.stack(pixels[i : i + 3])) for i in range(0, 7, 3)]
    # No value of the sample is dropped: the tally's quantiles are exact.
    tallied = tally_per_layer(
        network.module, network.specs(LAYERS), lambda: map(network.preprocess.normalise, batches), k
    )
    for layer, state in running.states.items():
        part = state.take_part()
        values, ids = (found.numpy() for found in tallied[layer][0].result())
        assert part.ids.reshape(-1, k).tolist() == ids.tolist(), layer
        np.testing.assert_allclose(part.values.reshape(-1, k), values, rtol=1e-5)
        counts = np.zeros((len(ids), BINS), np.int64)
        counts.reshape(-1)[part.cells.at] = part.cells.n
        shares = (0.05, 0.5, 0.95, 0.99)
        exact = tallied[layer][1].quantiles(shares).numpy()
        assert counts.sum(1).tolist() == [7 * SIDES[layer] ** 2] * len(ids)  # every position of every image
        for column, share in enumerate(shares):
            near = quantile(counts, share)
            assert np.abs(near - exact[:, column]).max() > 0  # it is a sketch
            bound = RELATIVE_ERROR * np.abs(exact[:, column]) + ABSOLUTE_ERROR + 1e-5
            assert (np.abs(near - exact[:, column]) <= bound).all(), (layer, share)


def test_the_tallys_quantiles_hold_in_rank_beyond_its_sample() -> None:
    values = torch.randn(60_000, 3, generator=torch.Generator().manual_seed(1)) * torch.tensor([1.0, 5.0, 0.1])
    running = RunningQuantiles(resolution=512)
    for piece in values.split(777):
        running.add(piece)
    shares = (0.0, 0.01, 0.5, 0.95, 0.99, 1.0)
    found = running.quantiles(shares).float()
    for column, share in enumerate(shares):
        ranks = (values < found[:, column]).float().mean(0)
        assert (ranks - share).abs().max() < 0.01, share
    lowest, highest = running.extremes()
    assert torch.equal(lowest, values.amin(0)) and torch.equal(highest, values.amax(0))
    kept = running._filled + sum(level.shape[1] for level in running._levels)
    stood_for = running._filled + sum(2 ** (i + 1) * level.shape[1] for i, level in enumerate(running._levels))
    assert kept < 4096 and stood_for == 60_000


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_the_tallys_quantiles_are_exact_while_they_fit(share: float) -> None:
    values = torch.randn(999, 4, generator=torch.Generator().manual_seed(2))
    running = RunningQuantiles(resolution=500)
    running.add(values[:400])
    running.add(values[400:])
    np.testing.assert_allclose(running.quantiles([share])[:, 0], np.quantile(values.double(), share, axis=0), rtol=1e-9)


def test_the_tallys_topk_is_that_of_all_observations() -> None:
    values = torch.randn(50, 6, generator=torch.Generator().manual_seed(3))
    running = RunningTopK(8)
    for piece in values.split(7):
        running.add(piece)
    best = values.T.topk(8, dim=1)
    assert torch.equal(running.result()[0], best.values) and torch.equal(running.result()[1], best.indices)


def test_the_tally_leaves_no_hook_behind_when_a_forward_fails() -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1)).eval()
    with pytest.raises(RuntimeError):
        tally_per_layer(module, {"a": LayerSpec("0", 2, "map")}, lambda: [torch.zeros(1, 5, 4, 4)], 2)
    assert not module[0]._forward_hooks


def test_a_typical_pass_takes_the_share_that_a_long_one_takes() -> None:
    maxima = np.random.default_rng(0).normal(size=(64, 4000)).astype(np.float32)
    best = typical_best(maxima, 15)
    bound = best["values"].reshape(4000, 15)
    assert (bound == bound[:, :1]).all() and best["ids"].min() >= 64
    assert [len(set(ids)) for ids in best["ids"].reshape(4000, 15)] == [15] * 4000
    share = (maxima > bound[:, 0]).mean()
    assert share == pytest.approx(15 * (1 + math.log(50_000 / 15)) / 50_000, rel=0.1)
    dead = typical_best(np.zeros((5, 2), np.float32), 3)
    assert (dead["values"] > 0).all()


def test_bytes_moved_by_hand() -> None:
    spec = LayerSpec("x", 10, "map")
    moved = bytes_moved((2, 10, 8, 8), 4, spec, k=5, samples=16)
    assert moved["output"] == 2 * 10 * 64 * 4
    assert moved["samples"] == 2 * 10 * 16 * 4 and moved["counts"] == 2 * 10 * 16 * 8
    assert moved["topk"] == 2 * 10 * 8 + 10 * 5 * 24
    assert bytes_moved((2, 10, 8, 8), 2, spec, 5, None)["samples"] == 2 * 10 * 64 * 2


def test_times_are_taken_in_turn_and_a_ways_own_seconds_count() -> None:
    order: list[str] = []
    ways = {"a": lambda: order.append("a"), "b": lambda: [order.append("b"), 7.0][1], "c": lambda: order.append("c")}
    times = time_in_turn(ways, 2, torch.device("cpu"))
    assert order == ["a", "b", "c", "c", "b", "a"]
    assert times["b"] == [7.0, 7.0] and all(0 <= value < 7 for value in times["a"])
    assert ratio([2, 9, 4], [1, 3, 4])["median"] == 2


def test_photographs_have_the_size_of_photographs(tmp_path: Path) -> None:
    paths = write_photographs(tmp_path, 4)
    assert all(60_000 < path.stat().st_size < 180_000 for path in paths)
    for path in paths:
        with Image.open(path) as image:
            assert image.format == "JPEG" and sorted(image.size)[0] >= 375 and sorted(image.size)[1] <= 520


def test_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match="too few"):
        run_benchmark(NETWORK, LAYERS, "cpu", batch=4, images=4, files=4)
    with pytest.raises(UserError, match="layer"):
        run_benchmark(NETWORK, ["nowhere"], "cpu", batch=2, images=2, files=3)


def test_the_command_writes_its_file(tmp_path: Path) -> None:
    command = f"bench extraction --model {NETWORK} --layers 0,3 --device cpu --batch 2 --images 2 --files 3 --repeats 1"
    ran = CliRunner().invoke(app, [*command.split(), "--workers", "0", "--json", str(tmp_path / "found.json")])
    assert ran.exit_code == 0, ran.output
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["layers"] == {"0": 8, "3": 16} and found["ratio_to_bare"] > 0
    assert "usual way / pass" in ran.output
