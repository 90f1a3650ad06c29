"""Networks as data: views against torchvision's, layers found by probing, heads, fingerprints, targets by name."""

import os
import socket
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.benchmarks.quality.paper_values import LAYER_SIZES
from maia.models.errors import UserError
from maia.models.networks.architectures import KNOWN, build_architecture
from maia.models.networks.build import Headed, make_network, seeded
from maia.models.networks.fingerprint import fingerprint_of
from maia.models.networks.network import LayerSpec, Network, Preprocess, square_grid
from maia.models.networks.probe import probe_layers, read_output
from maia.models.registry import LIBRARIES, PATTERNS, TARGETS, load_network, spec_of, target_name
from PIL import Image
from torch import nn

SMALL = Preprocess(16, 18, "bilinear", (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here may ask the network for weights."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a test tried to open a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def photograph(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def small_net(seed: int = 0) -> nn.Sequential:
    with seeded(seed):
        return nn.Sequential(
            nn.Conv2d(3, 4, 3, 2, 1),
            nn.BatchNorm2d(4),
            nn.ReLU(True),
            nn.Conv2d(4, 5, 3),
            nn.Flatten(),
            nn.Linear(180, 7),
        )


# --- views ---


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@settings(max_examples=25)
@given(width=st.integers(5, 90), height=st.integers(5, 90), extra=st.integers(0, 9))
def test_input_is_what_torchvision_makes_of_a_photograph(
    interpolation: str, width: int, height: int, extra: int
) -> None:
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms._presets import ImageClassification

    if (width, height) == (16, 16):
        width = 17
    ours = Preprocess(16, 16 + extra, interpolation, SMALL.mean, SMALL.std)
    theirs = ImageClassification(
        crop_size=16,
        resize_size=16 + extra,
        mean=SMALL.mean,
        std=SMALL.std,
        interpolation=InterpolationMode(interpolation),
        antialias=True,
    )
    picture = photograph(width, height)
    pixels = torch.from_numpy(np.array(ours.view(picture)))[None]
    torch.testing.assert_close(ours.normalise(pixels)[0], theirs(picture), atol=2e-6, rtol=1e-6)


def test_a_picture_of_the_inputs_size_is_taken_as_it_is() -> None:
    scene = photograph(16, 16)
    assert np.array_equal(SMALL.view(scene), scene)
    assert SMALL.view(scene.convert("L")).mode == "RGB"


def test_normalised_pixels_lie_in_channels_last_memory_and_the_argument_is_left_alone() -> None:
    pixels = torch.randint(0, 256, (3, 16, 16, 3), dtype=torch.uint8)
    before = pixels.clone()
    found = SMALL.normalise(pixels)
    assert found.is_contiguous(memory_format=torch.channels_last) and found.dtype == torch.float32
    assert torch.equal(pixels, before)
    # TensorFlow's (p - 127) / 128 comes out exactly.
    grey = Preprocess(16, 16, "bicubic", (127 / 255,) * 3, (128 / 255,) * 3)
    assert torch.equal(grey.normalise(pixels), (pixels.permute(0, 3, 1, 2).float() - 127) / 128)
    with pytest.raises(ValueError, match="uint8"):
        SMALL.normalise(pixels.float())
    with pytest.raises(ValueError, match="16, 16, 3"):
        SMALL.normalise(pixels[:, :8])


def test_the_key_names_the_view_and_not_the_colours() -> None:
    assert SMALL.key == Preprocess(16, 18, "bilinear", (0, 0, 0), (1, 1, 1)).key
    others = [Preprocess(16, 19, "bilinear", (0, 0, 0), (1, 1, 1)), Preprocess(16, 18, "bicubic", (0, 0, 0), (1, 1, 1))]
    assert len({SMALL.key, *(other.key for other in others)}) == 3


# --- probing ---


class Fixed(nn.Module):
    """Returns what it was made with, whatever comes in."""

    def __init__(self, output: object):
        super().__init__()
        self.output = output

    def forward(self, _x: torch.Tensor) -> object:
        return self.output


class Calls(nn.Module):
    """Calls its modules in an order of its own: a list of names."""

    def __init__(self, order: list[str], **modules: nn.Module):
        super().__init__()
        self.order = order
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for name in self.order:
            self.get_submodule(name)(x)
        return x


ZEROS = torch.zeros(2, 3, 4, 4)


@given(
    batch=st.integers(1, 3),
    units=st.integers(1, 9),
    side=st.integers(1, 9),
    kind=st.sampled_from(["map", "nhwc", "tokens", "vector"]),
    prefix=st.integers(0, 5),
    wrap=st.sampled_from(["tensor", "tuple", "list", "dict"]),
)
def test_an_output_is_read_as_what_it_was_made_as(
    batch: int, units: int, side: int, kind: str, prefix: int, wrap: str
) -> None:
    shapes = {
        "map": (batch, units, side, side),
        "nhwc": (batch, side, side, units),
        "tokens": (batch, prefix + side * side, units),
        "vector": (batch, units),
    }
    tensor = torch.zeros(shapes[kind])
    output, element = {
        "tensor": (tensor, None),
        "tuple": ((None, tensor, tensor[:0]), 1),
        "list": ([tensor], 0),
        "dict": ({"state": 3, "out": tensor}, "out"),
    }[wrap]
    found = read_output("m", output, batch, prefix)
    if kind == "nhwc" and units == side:
        kind = "map"  # says nothing: channels first
    place = (prefix, (side, side)) if kind == "tokens" else (0, None)
    assert found == LayerSpec("m", units, kind, *place, element)


@pytest.mark.parametrize(
    "output",
    [
        torch.zeros(2, 3, dtype=torch.int64),
        torch.zeros(3, 3, 4, 4),  # not of the batch
        torch.zeros(2),
        torch.zeros(2, 3, 4, 4, 4),
        torch.zeros(2, 0, 4, 4),
        "text",
        None,
        {3: torch.zeros(2, 3)},
    ],
)
def test_what_holds_no_units_is_no_layer(output: object) -> None:
    assert read_output("m", output, 2) is None


def test_tokens_with_registers_and_before_the_class_token_joins() -> None:
    assert square_grid(1 + 4 + 256) == (5, (16, 16))
    known = probe_layers(
        Calls(["patches", "all", "odd"], patches=Fixed(torch.zeros(2, 9, 6)), all=Fixed(torch.zeros(2, 25, 6)),
              odd=Fixed(torch.zeros(2, 24, 6))),
        ZEROS,
        prefix=16,
    )  # fmt: skip
    # 25 tokens of which 16 come first are a 3x3 grid, though 25 is a square too.
    assert known == {
        "patches": LayerSpec("patches", 6, "tokens", 0, (3, 3)),
        "all": LayerSpec("all", 6, "tokens", 16, (3, 3)),
    }


def test_layers_stand_in_the_order_in_which_their_last_calls_complete() -> None:
    first, twice, unused = (Fixed(torch.zeros(2, n, 4, 4)) for n in (3, 5, 7))
    net = Calls(["twice", "first", "twice"], unused=unused, first=first, twice=twice)
    outer = nn.Sequential(net)
    found = probe_layers(outer, ZEROS)
    assert list(found) == ["0.first", "0.twice", "0"]
    assert found["0.twice"].units == 5


def test_a_last_call_without_units_takes_the_layer_away_and_hooks_are_gone() -> None:
    class Fading(nn.Module):
        calls = 0

        def forward(self, _x: torch.Tensor) -> object:
            self.calls += 1
            return torch.zeros(2, 3) if self.calls == 1 else None

    net = Calls(["fading", "fading"], fading=Fading())
    assert probe_layers(net, ZEROS) == {}
    assert not net.fading._forward_hooks


def test_hooks_are_gone_after_a_forward_that_fails() -> None:
    net = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Linear(99, 1))
    with pytest.raises(RuntimeError):
        probe_layers(net, ZEROS)
    assert not any(module._forward_hooks for module in net.modules())


# --- make_network ---


def test_probabilities_are_the_softmax_of_the_logits_and_both_are_layers() -> None:
    net = make_network("small", small_net(), SMALL, head="classes")
    # 0 to 3 have positions; only those with a kernel are recommended.
    assert list(net.layers) == ["0", "3", "logits", "probabilities"]
    assert {"1", "2", "5"} <= net.other_layers.keys()
    seen = {}
    for name in ("logits", "probabilities"):
        module = net.module.get_submodule(net.layer(name).module)
        module.register_forward_hook(lambda _m, _i, output, name=name: seen.__setitem__(name, output))
    pixels = SMALL.normalise(torch.randint(0, 256, (3, 16, 16, 3), dtype=torch.uint8))
    output = net.module(pixels)
    assert torch.equal(seen["logits"], small_net().eval()(pixels))
    torch.testing.assert_close(seen["probabilities"], torch.exp(torch.log_softmax(seen["logits"], 1)))
    assert torch.equal(output, seen["probabilities"]) and seen["logits"].std() > 0


def test_a_network_is_frozen_and_its_unknown_layer_is_refused_with_the_nearest() -> None:
    net = make_network("small", small_net(), SMALL, {"first": "0", "hidden": "2"})
    assert list(net.layers) == ["first", "hidden", "output"]
    assert net.layer("hidden").module == "network.2" and net.layer("3").units == 5
    assert not net.module.training and not any(p.requires_grad for p in net.module.parameters())
    with pytest.raises(UserError, match="no layer 'hiden': choose from hidden, first, output"):
        net.layer("hiden")
    with pytest.raises(ValueError, match=r"at 3\.nothing"):
        make_network("small", small_net(), SMALL, {"a": "3.nothing"})
    with pytest.raises(ValueError, match="dot"):
        make_network("a.b", small_net(), SMALL)


def test_a_fingerprint_covers_weights_preprocess_layers_and_definition() -> None:
    def of(module: nn.Module, preprocess: Preprocess = SMALL, layers: dict | None = None, text: str = "d") -> str:
        return fingerprint_of(module, preprocess, layers or {}, text)

    first = of(small_net())
    changed = small_net()
    with torch.no_grad():
        changed[3].weight[4, 1, 2, 0] += 1e-6
    statistics = small_net()
    statistics[1].running_var[2] = 2
    other_view = Preprocess(16, 18, "bicubic", SMALL.mean, SMALL.std)
    different = [
        of(changed),
        of(statistics),
        of(small_net().half()),
        of(small_net(), other_view),
        of(small_net(), layers={"a": LayerSpec("0", 4, "map")}),
        of(small_net(), layers={"a": LayerSpec("1", 4, "map")}),
        of(small_net(), text="e"),
    ]
    assert len({first, *different}) == 8
    same = small_net().to(memory_format=torch.channels_last)
    same[1].num_batches_tracked.fill_(9)
    assert of(same) == first


# --- the architectures ---

TABLE_A3 = {
    **LAYER_SIZES,
    "resnet18": {"conv1": 64, "layer1": 64, "layer2": 128, "layer3": 256, "layer4": 512},
}
ENDS = {
    "resnet152": {"logits": 1000, "probabilities": 1000},
    "resnet18": {"logits": 1000, "probabilities": 1000},
    "dino-vits8": {"embedding": 384},
    "clip-rn50": {"embedding": 1024},
}


@pytest.fixture(scope="module")
def probed() -> Iterator[dict[str, dict[str, LayerSpec]]]:
    """The layers of the known architectures, found on the meta device: shapes without sums."""
    found = {}
    for name in TABLE_A3:
        with torch.device("meta"):
            built = build_architecture(name)
        module = Headed(built.module.to("meta"), built.head)
        size = built.preprocess.size
        prefix = getattr(built.module, "num_prefix_tokens", None)
        specs = probe_layers(module, torch.zeros(2, 3, size, size, device="meta"), prefix)
        chosen = {alias: specs[f"network.{path}"] for alias, path in (built.layers or {}).items()}
        found[name] = chosen | {end: specs[end] for end in ENDS[name]}
    yield found


@pytest.mark.parametrize("name", TABLE_A3)
def test_the_layers_of_the_paper_have_its_numbers_of_units(name: str, probed: dict) -> None:
    assert {layer: spec.units for layer, spec in probed[name].items()} == TABLE_A3[name] | ENDS[name]
    for layer in TABLE_A3[name]:
        spec = probed[name][layer]
        if name == "dino-vits8":
            assert (spec.layout, spec.prefix, spec.grid) == ("tokens", 1, (28, 28))
            assert spec.module == f"network.{layer}.act"
        else:
            assert (spec.layout, spec.module) == ("map", f"network.{layer}")


def test_preprocesses_are_the_published_ones() -> None:
    views = {}
    for name in TABLE_A3:
        with torch.device("meta"):
            views[name] = build_architecture(name).preprocess
    imagenet = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    clip = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
    assert views == {
        "resnet152": Preprocess(224, 256, "bilinear", *imagenet),
        "resnet18": Preprocess(224, 256, "bilinear", *imagenet),
        "dino-vits8": Preprocess(224, 256, "bicubic", *imagenet),
        "clip-rn50": Preprocess(224, 224, "bicubic", *clip),
    }


def test_random_weights_are_repeatable_marked_and_not_degenerate() -> None:
    first, again, other = (load_network("resnet18", weights) for weights in ("random", "random:0", "random:1"))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert "RANDOM WEIGHTS, seed 1" in other.description
    assert list(first.layers) == list(TABLE_A3["resnet18"] | ENDS["resnet18"])
    seen: dict[str, torch.Tensor] = {}
    for name, spec in first.layers.items():
        hook = lambda _m, _i, output, name=name: seen.__setitem__(name, output.clone())  # noqa: E731
        first.module.get_submodule(spec.module).register_forward_hook(hook)
    pictures = [first.preprocess.view(photograph(9, 7 + n)) for n in range(2)]
    with torch.inference_mode():
        first.module(first.preprocess.normalise(torch.from_numpy(np.stack([np.array(p) for p in pictures]))))
    for name in TABLE_A3["resnet18"]:
        # Every layer tells the two pictures apart, in nearly every unit, at a scale that half precision can hold.
        maxima = seen[name].amax((2, 3))
        assert seen[name].abs().max() < 1e4, name
        assert ((maxima[0] - maxima[1]).abs() > 1e-3).float().mean() > 0.9, name
    torch.testing.assert_close(seen["probabilities"], seen["logits"].softmax(1))


@pytest.mark.parametrize(
    ("spec", "layers", "layout", "end"),
    [
        ("timm:test_vit.r160_in1k", ["blocks.0", "blocks.1"], "tokens", "probabilities"),
        ("timm:test_resnet", ["layer1", "layer4"], "map", "probabilities"),
        ("torchvision:squeezenet1_1", ["features.0"], "map", "probabilities"),
    ],
)
def test_any_model_of_the_libraries(spec: str, layers: list[str], layout: str, end: str) -> None:
    net = load_network(spec, "random")
    assert net.name == target_name(spec) and "." not in net.name
    assert set(layers) <= net.layers.keys() and net.layers[layers[0]].layout == layout
    assert list(net.layers)[-1] == end and net.layers[end].units == 1000
    assert load_network(net.name, "random").fingerprint == net.fingerprint


def test_a_model_whose_published_weights_expect_other_inputs_gets_them() -> None:
    # torchvision turns this on only where it loads the weights itself.
    with torch.device("meta"):
        assert build_architecture("torchvision:googlenet").module.transform_input is True


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet19", "no target 'resnet19': choose from resnet1"),
        ("torchvision:resnet51", "no classifier 'resnet51'.*resnet50"),
        ("timm:resnet51", "no model 'resnet51'.*resnet50"),
        ("timm:resnet18.no_such_tag", "cannot build 'resnet18.no_such_tag'.*a1_in1k"),
        ("timm:hf-hub:someone/something", "no model"),
        ("ground-truth", "no network"),
        ("a b:c", "no target"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_network(name, "random")


def test_every_name_says_what_it_is_and_can_be_built() -> None:
    assert KNOWN.keys() < TARGETS.keys() and all(TARGETS.values())
    assert {pattern.partition(":")[0] for pattern in PATTERNS} == {*LIBRARIES, "package.module"}


@given(st.text(st.characters(exclude_characters="~"), max_size=30))
def test_both_spellings_of_a_name_are_read(spec: str) -> None:
    assert spec_of(target_name(spec)) == spec == spec_of(spec)
    assert "." not in target_name(spec)


# --- the user's own ---


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType("own_nets")
    monkeypatch.setitem(sys.modules, "own_nets", module)
    monkeypatch.setitem(sys.modules, "own_nets.deep", module)
    return module


def test_a_function_may_return_a_module_and_its_preprocess(own: types.ModuleType) -> None:
    own.make = lambda: (small_net(), SMALL)
    net = load_network("own_nets.deep:make")
    assert net.name == "own_nets~deep:make" and list(net.layers) == ["0", "3", "output"]
    assert load_network(net.name).fingerprint == net.fingerprint
    own.make = lambda: (small_net(1), SMALL)
    assert load_network(net.name).fingerprint != net.fingerprint


def test_a_function_may_return_a_network_and_take_weights(own: types.ModuleType, tmp_path: Path) -> None:
    asked = []

    def make(weights: Path | None) -> Network:
        asked.append(weights)
        return make_network("anything", small_net(), SMALL, head="classes")

    own.make = make
    assert load_network("own_nets:make").name == "own_nets:make"
    assert "probabilities" in load_network("own_nets:make", str(tmp_path)).layers
    assert asked == [None, tmp_path]


def broken() -> object:
    raise KeyError("from the user's own code")


@pytest.mark.parametrize(
    ("function", "weights", "message"),
    [
        (lambda: small_net(), None, "returned an object of type Sequential"),
        (lambda: (small_net(), 224), None, "returned a tuple of Sequential, int"),
        (lambda: (nn.Sequential(nn.Linear(3, 1)), SMALL), None, "does not run"),
        (lambda: (nn.Sequential(nn.Conv2d(5, 1, 1)), SMALL), None, r"does not run on \[2, 3, 16, 16\]"),
        (broken, None, "failed .KeyError: .*from the user's own code"),
        (lambda size: None, None, "needs size"),
        (lambda: None, "/some/where", "takes no 'weights'"),
        (lambda: None, "random", "makes its own weights"),
        (7, None, "no function 'make'"),
    ],
)
def test_a_function_that_does_something_else_is_refused(
    own: types.ModuleType, function: object, weights: str | None, message: str
) -> None:
    own.make = function
    with pytest.raises(UserError, match=message):
        load_network("own_nets:make", weights)


def test_a_module_that_cannot_be_imported_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"no_such_package.x cannot be imported.*PYTHONPATH"):
        load_network("no_such_package.x:make")
    (tmp_path / "own_broken_nets.py").write_text("import os\nraise RuntimeError('half way')\n")
    monkeypatch.syspath_prepend(os.fspath(tmp_path))
    with pytest.raises(UserError, match="RuntimeError: half way"):
        load_network("own_broken_nets:make")
