"""Networks as targets: maps of every layout, dtypes, early stop, rows of batches, and load_target."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from maia.engine import targets
from maia.engine.targets import DTYPES, GPU_BATCH, NetworkTarget, load_target, resolve_device, resolve_dtype
from maia.models.errors import UserError
from maia.models.networks.network import LayerSpec, Network, Preprocess
from maia.models.targets import Unit
from PIL import Image
from torch import nn

SIZE = 8
PREPROCESS = Preprocess(SIZE, SIZE + 2, "bilinear", (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
LAYERS = {
    "map": LayerSpec("map", 5, "map"),
    "nhwc": LayerSpec("nhwc", 5, "nhwc"),
    "tokens": LayerSpec("tokens", 5, "tokens", prefix=2, grid=(4, 4), output="all"),
    "vector": LayerSpec("vector", 3, "vector"),
}


class Call(nn.Module):
    """A module that is a function, so that hooks find its output."""

    def __init__(self, function: Any):
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x)


class Odd(nn.Module):
    """One 4x4 map of five units in all layouts, then a vector of three; records the inputs it gets."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.map = nn.Conv2d(3, 5, 3, 2, 1)
        self.nhwc = Call(lambda x: x.permute(0, 2, 3, 1))
        # Two tokens ahead that are larger than all maps: whoever counts them is found out.
        self.tokens = Call(lambda x: {"all": torch.cat([x.new_full((len(x), 2, 5), 1e3), x.flatten(1, 2)], 1)})
        self.vector = nn.Linear(5, 3)
        self.inputs: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.inputs.append(x)
        return self.vector(self.tokens(self.nhwc(self.map(x)))["all"][:, 2:].mean(1))


def odd_target(**options: Any) -> NetworkTarget:
    recommended = {name: spec for name, spec in LAYERS.items() if name != "nhwc"}
    others = {"nhwc": LAYERS["nhwc"]}
    return NetworkTarget(Network("odd", Odd(), PREPROCESS, recommended, "f" * 64, "odd", others), **options)


def picture(seed: int, width: int = SIZE, height: int = SIZE) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


PICTURES = [picture(0), picture(1, 13, 9), picture(2, 8, 30)]


def by_hand(image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """float64 maps [5, 4, 4] and vector [3] of a picture, from formulas alone."""
    net = Odd().double()
    pixels = np.asarray(PREPROCESS.view(image)) / 255.0
    x = torch.tensor((pixels - PREPROCESS.mean) / PREPROCESS.std).permute(2, 0, 1)[None]
    maps = torch.nn.functional.conv2d(x, net.map.weight, net.map.bias, 2, 1)[0]
    return maps.detach().numpy(), (net.vector.weight @ maps.mean((1, 2)) + net.vector.bias).detach().numpy()


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float16", 1e-2), ("bfloat16", 8e-2)])
def test_maps_of_every_layout_are_those_of_the_formulas(dtype: str, tolerance: float) -> None:
    target = odd_target(dtype=DTYPES[dtype])
    maps, maxima = target.maps(PICTURES, list(LAYERS)), target.maxima(PICTURES, list(LAYERS))
    assert list(maps) == list(LAYERS)
    assert target.network.module.inputs[-1].dtype == DTYPES[dtype]
    for place, image in enumerate(PICTURES):
        of_maps, of_vector = by_hand(image)
        for layer in ("map", "nhwc", "tokens"):
            np.testing.assert_allclose(maps[layer][place], of_maps, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(maps["vector"][place, :, 0, 0], of_vector, rtol=tolerance, atol=tolerance)
    for layer, spec in LAYERS.items():
        assert maps[layer].dtype == maxima[layer].dtype == np.float32
        assert maps[layer].shape == (3, spec.units, *((1, 1) if layer == "vector" else (4, 4)))
        assert np.array_equal(maxima[layer], maps[layer].max((2, 3)))
        for index in range(spec.units):
            answers = target.respond(PICTURES, Unit("odd", layer, index))
            for answer, found in zip(answers, maps[layer][:, index], strict=True):
                assert np.array_equal(answer.map, found) and answer.value == found.max()
                assert answer.map.dtype == np.float32


def test_the_layers_are_the_recommended_ones_and_then_the_others() -> None:
    target = odd_target()
    assert list(target.layers.items()) == [("map", 5), ("tokens", 5), ("vector", 3), ("nhwc", 5)]
    target.check(Unit("odd", "nhwc", 4))
    with pytest.raises(UserError, match=r"no layer 'nhcw': choose from nhwc, map"):
        target.maps(PICTURES, ["map", "nhcw"])
    with pytest.raises(UserError, match="no unit 5 in layer 'map'"):
        target.respond(PICTURES, Unit("odd", "map", 5))
    with pytest.raises(ValueError, match="no images"):
        target.respond([], Unit("odd", "map", 0))
    with pytest.raises(ValueError, match="no layers"):
        target.maps(PICTURES, [])


def test_forward_hands_over_the_networks_own_outputs_in_order_of_depth() -> None:
    target = odd_target(threads=2)
    pixels = torch.from_numpy(np.stack([np.asarray(target.view(image)) for image in PICTURES]))
    seen: dict[str, tuple[int, ...]] = {}
    threads_before, threads = torch.get_num_threads(), []

    def visit(layer: str, output: torch.Tensor) -> None:
        seen[layer] = tuple(output.shape)
        threads.append(torch.get_num_threads())

    target.forward(pixels, ["vector", "tokens", "map"], visit)
    assert list(seen.items()) == [("map", (3, 5, 4, 4)), ("tokens", (3, 18, 5)), ("vector", (3, 3))]
    assert set(threads) == {2} and torch.get_num_threads() == threads_before
    x = target.network.module.inputs[-1]
    assert x.shape == (3, 3, SIZE, SIZE) and x.is_contiguous(memory_format=torch.channels_last)
    hooked = target.extraction(["map", "tokens"])
    assert target.extraction(["tokens", "map"]) is hooked is not target.extraction(["map"])


def test_threads_are_given_back_when_a_visit_fails() -> None:
    target, before = odd_target(threads=2), torch.get_num_threads()

    def visit(_layer: str, _output: torch.Tensor) -> None:
        raise KeyError("visit")

    with pytest.raises(KeyError):
        target.forward(torch.zeros(1, SIZE, SIZE, 3, dtype=torch.uint8), ["map"], visit)
    assert torch.get_num_threads() == before


def test_pictures_run_one_at_a_time_on_the_cpu() -> None:
    target = odd_target()
    target.maps(PICTURES, ["map"])
    target.respond(PICTURES, Unit("odd", "map", 0))
    assert {len(x) for x in target.network.module.inputs} == {1}


def test_every_forward_on_a_gpu_has_the_same_rows() -> None:
    """The rows as they would be there; the rest of a GPU's path is for a machine that has one."""
    target = odd_target()
    target.device = torch.device("cuda")
    batches = list(target._batches([picture(seed) for seed in range(GPU_BATCH + 3)]))
    assert [(len(pixels), count) for pixels, count in batches] == [(GPU_BATCH, GPU_BATCH), (GPU_BATCH, 3)]
    last, count = batches[-1]
    assert not last[count:].any()
    assert np.array_equal(last[count - 1].numpy(), np.asarray(picture(GPU_BATCH + 2)))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_gpu_answers_as_the_cpu_does_and_each_picture_alone(dtype: str) -> None:
    here, there = odd_target(), odd_target(device="cuda", dtype=DTYPES[dtype])
    tolerance = {"float32": 1e-5, "float16": 1e-2, "bfloat16": 8e-2}[dtype]
    on_cpu, on_gpu = (target.maps(PICTURES, list(LAYERS)) for target in (here, there))
    for layer in LAYERS:
        np.testing.assert_allclose(on_gpu[layer], on_cpu[layer], rtol=tolerance, atol=tolerance)
    for place, image in enumerate(PICTURES):
        assert np.array_equal(there.maps([image], ["map"])["map"][0], on_gpu["map"][place])
        assert np.array_equal(there.respond([image], Unit("odd", "map", 1))[0].map, on_gpu["map"][place, 1])


def test_a_module_that_works_in_place_does_not_change_the_maps_before_it() -> None:
    parts = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True), nn.Hardtanh(0.1, 0.2, inplace=True))
    layers = {name: LayerSpec(name, 4, "map") for name in "012"}
    target = NetworkTarget(Network("inplace", parts, PREPROCESS, layers, "f", ""))
    found = target.maps(PICTURES, ["0", "1", "2"])
    assert (found["0"] < 0).any()
    assert np.array_equal(found["1"], found["0"].clip(0)) and np.array_equal(found["2"], found["1"].clip(0.1, 0.2))
    for layer in layers:
        answers = target.respond(PICTURES, Unit("inplace", layer, 3))
        assert np.array_equal([answer.map for answer in answers], found[layer][:, 3])


def test_nan_is_missing() -> None:
    target = odd_target()
    with torch.no_grad():
        target.network.module.vector.bias[1] = torch.nan

    def poison(x: torch.Tensor) -> torch.Tensor:
        x = x.permute(0, 2, 3, 1).clone()
        x[:, 0, 0] = torch.nan
        return x

    clean = target.maps(PICTURES, ["nhwc"])["nhwc"]
    target.network.module.nhwc.function = poison
    clean[:, :, 0, 0] = -np.inf
    assert np.array_equal(target.maxima(PICTURES, ["nhwc"])["nhwc"], clean.max((2, 3)))
    assert target.respond(PICTURES, Unit("odd", "nhwc", 2))[0].value == clean[0, 2].max()
    assert np.isnan(target.maxima(PICTURES, ["vector"])["vector"]).all()


def test_the_dtype_is_part_of_the_fingerprint() -> None:
    found = {odd_target(dtype=dtype, threads=threads).fingerprint for dtype in DTYPES.values() for threads in (1, 2)}
    assert len(found) == 3 and "f" * 64 in found


class Single(nn.Module):
    """Computes in float32 only, as some operations do."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dtype != torch.float32:
            raise NotImplementedError(f'"single" not implemented for {x.dtype}')
        return x


def test_a_network_that_cannot_run_in_half_precision_says_so() -> None:
    network = Network("single", nn.Sequential(Single()), PREPROCESS, {"0": LayerSpec("0", 3, "map")}, "f", "")
    assert NetworkTarget(network).maps(PICTURES, ["0"])["0"].shape == (3, 3, 8, 8)
    with pytest.raises(UserError, match=r'cannot run in float16 on cpu .*"single" .*: use dtype float32'):
        NetworkTarget(network, dtype=torch.float16).maps(PICTURES, ["0"])
    with pytest.raises(ValueError, match="float64 is none of float32"):
        NetworkTarget(network, dtype=torch.float64)
    with pytest.raises(ValueError, match="at least 1"):
        NetworkTarget(network, threads=0)


def test_devices_and_dtypes_are_checked_before_weights_are_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nowhere = tmp_path / "none"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device(None) == torch.device("cpu") and resolve_dtype(None) is torch.float32
    for device in ("cuda", "cuda:1", torch.device("cuda")):
        with pytest.raises(UserError, match=r"no device 'cuda.*no NVIDIA GPU on this machine: choose from cpu\."):
            load_target("resnet18", weights=nowhere, device=device)
    for device in ("gpu", "cpu:7", ""):
        with pytest.raises(UserError, match=f"no device '{device}': choose from cpu"):
            load_target("resnet18", weights=nowhere, device=device)
    for dtype in ("float61", "half", torch.float64):
        with pytest.raises(UserError, match=r"no dtype '\w+' for networks: choose from .*float16"):
            load_target("resnet18", weights=nowhere, dtype=dtype)
    assert resolve_dtype("bfloat16") is resolve_dtype(torch.bfloat16) is torch.bfloat16
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device(None) == torch.device("cuda") and resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(UserError, match=r"no device 'cuda:2': choose from cpu, cuda, cuda:0, cuda:1\."):
        resolve_device("cuda:2")


def test_targets_by_name() -> None:
    with pytest.raises(UserError, match=r"no target 'resnet-18': choose from resnet18"):
        load_target("resnet-18")
    with pytest.raises(UserError, match="no weights: leave --weights out"):
        load_target("ground-truth", registry=object(), weights="random")
    found = load_target("resnet18", weights="random:3", device="cpu", dtype="bfloat16", threads=2)
    assert isinstance(found, targets.NetworkTarget)
    assert (found.name, found.dtype, found.device.type, found.threads) == ("resnet18", torch.bfloat16, "cpu", 2)
    assert found.maps([picture(0, 40, 30)], ["layer4"])["layer4"].shape == (1, 512, 7, 7)
