"""Weights from local files: every format and wrapper that is published, and every damage refused in one sentence."""

import pickle
from pathlib import Path

import pytest
import torch
from maia.models.errors import UserError
from maia.models.networks.architectures import build_architecture
from maia.models.networks.weights import (
    WeightFiles,
    find_weights,
    load_state,
    random_seed,
    read_state,
    weights_directory,
)
from maia.models.registry import load_network
from safetensors.torch import save_file
from torch import nn

FILES = WeightFiles(("own.safetensors", "published.pth"), "published with a paper")
State = dict[str, torch.Tensor]


def net() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)).eval()


def other_state() -> State:
    """Weights that `net()` does not start with."""
    generator = torch.Generator().manual_seed(5)
    return {
        name: torch.rand(tensor.shape, generator=generator) if tensor.is_floating_point() else tensor + 3
        for name, tensor in net().state_dict().items()
    }


def loaded(path: Path, files: WeightFiles = FILES) -> State:
    module = net()
    load_state(module, read_state(path, files), path)
    return module.state_dict()


def assert_same(found: State, expected: State) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("wrap", ["bare", "state_dict", "model", "teacher", "module", "nested", "safetensors", "old"])
def test_every_published_wrapping_loads(tmp_path: Path, wrap: str) -> None:
    state = other_state()
    path = tmp_path / "any.name"
    parallel = {f"module.{name}": tensor for name, tensor in state.items()}
    content = {
        "bare": state,
        "state_dict": {"state_dict": state, "epoch": 3},
        "model": {"model": state, "optimizer": {}},
        "teacher": {"student": {}, "teacher": state},
        "module": parallel,
        "nested": {"state_dict": parallel},
    }
    if wrap == "safetensors":
        save_file(state, path)
    elif wrap == "old":  # the format before zip archives
        torch.save(state, path, _use_new_zipfile_serialization=False)
    else:
        torch.save(content[wrap], path)
    assert_same(loaded(path), state)


def test_half_precision_is_widened_and_counters_may_be_absent(tmp_path: Path) -> None:
    state = {name: tensor.half() for name, tensor in other_state().items() if tensor.is_floating_point()}
    save_file(state, tmp_path / "own.safetensors")
    found = loaded(tmp_path / "own.safetensors")
    assert found["0.weight"].dtype == torch.float32 and found["1.num_batches_tracked"] == 0
    assert torch.equal(found["0.weight"], state["0.weight"].float())


def changed(**entries: torch.Tensor | None) -> State:
    state = other_state()
    for name, tensor in entries.items():
        key = name.replace("_", ".", 1)
        if tensor is None:
            del state[key]
        else:
            state[key] = tensor
    return state


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (changed(**{"0_weight": None, "2_bias": None}), r"lack 0\.weight, 2\.bias"),
        (changed(**{"3_weight": torch.zeros(1)}), r"hold 3\.weight, which the network does not have"),
        (changed(**{"2_weight": torch.zeros(3, 4)}), r"2\.weight \(\[3, 4\] instead of \[2, 4\]\)"),
        (changed(**{"2_weight": torch.zeros(2, 4, dtype=torch.int8)}), r"type of number in 2\.weight"),
        (changed(**{"1_running_var": torch.full((4,), torch.nan)}), r"not finite in 1\.running_var"),
        ({f"{n}.w": torch.zeros(1) for n in range(9)}, r"hold 0\.w, 1\.w, 2\.w, 3\.w, 4\.w and 4 more"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(tmp_path: Path, state: State, message: str) -> None:
    save_file(state, tmp_path / "own.safetensors")
    with pytest.raises(UserError, match=message):
        loaded(tmp_path / "own.safetensors")


class Evil:
    """A pickle that writes a file when it is read."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.write_text, (self.path, "ran")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickle_with_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    for number, legacy in enumerate((True, False)):
        path = tmp_path / f"evil{number}.pth"
        torch.save({"0.weight": Evil(proof)}, path, _use_new_zipfile_serialization=not legacy)
        with pytest.raises(UserError, match="damaged or holds more than tensors"):
            read_state(path, FILES)
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Evil(proof)))
    with pytest.raises(UserError, match="damaged or holds more than tensors"):
        read_state(tmp_path / "plain.pkl", FILES)
    assert not proof.exists()


@pytest.mark.parametrize("kind", ["safetensors", "pth"])
@pytest.mark.parametrize("keep", [0.0, 0.02, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, kind: str, keep: float) -> None:
    path = tmp_path / f"own.{kind}"
    save_file(other_state(), path) if kind == "safetensors" else torch.save(other_state(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(UserError, match=r"cannot be read.*published with a paper"):
        loaded(path)


@pytest.mark.parametrize("content", [{}, {"state_dict": {}}, [torch.zeros(1)], {"a": 1, "b": torch.zeros(1)}])
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "own.pth")
    with pytest.raises(UserError, match=r"no state dict|no tensors"):
        read_state(tmp_path / "own.pth", FILES)


def test_where_weights_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAIA_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert weights_directory() == tmp_path / "data" / "maia" / "weights"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert weights_directory() == tmp_path / "home" / ".local" / "share" / "maia" / "weights"
    monkeypatch.setenv("MAIA_WEIGHTS", str(tmp_path))
    place = tmp_path / "thing"
    with pytest.raises(UserError, match=r"own\.safetensors or published\.pth .*about 7 MB.*/thing, or name"):
        find_weights("thing", FILES, None, 7)
    place.mkdir()
    (place / "published.pth").touch()
    assert find_weights("thing", FILES, None, 7) == place / "published.pth"
    (place / "own.safetensors").touch()  # preferred
    for given in (None, tmp_path, place):
        assert find_weights("thing", FILES, given, 7) == place / "own.safetensors"
    assert find_weights("thing", FILES, place / "published.pth", 7) == place / "published.pth"
    with pytest.raises(UserError, match="no weights at"):
        find_weights("thing", FILES, tmp_path / "nowhere", 7)


@pytest.mark.parametrize(
    ("text", "seed"), [("random", 0), ("random:17", 17), ("random:", None), ("weights/random", None), (None, None)]
)
def test_random_is_asked_for_in_so_many_words(text: str | None, seed: int | None) -> None:
    assert random_seed(text) == seed
    assert random_seed(Path("random")) is None


# --- the published files, made of random numbers ---


def dino_state() -> State:
    """The names and shapes of dino_deitsmall8_pretrain.pth, written out from the paper's architecture."""
    state = {"cls_token": (1, 1, 384), "pos_embed": (1, 785, 384), "norm.weight": (384,), "norm.bias": (384,)}
    state |= {"patch_embed.proj.weight": (384, 3, 8, 8), "patch_embed.proj.bias": (384,)}
    for n in range(12):
        for name, rows, columns in (
            ("attn.qkv", 1152, 384),
            ("attn.proj", 384, 384),
            ("mlp.fc1", 1536, 384),
            ("mlp.fc2", 384, 1536),
        ):
            state |= {f"blocks.{n}.{name}.weight": (rows, columns), f"blocks.{n}.{name}.bias": (rows,)}
        for norm in ("norm1", "norm2"):
            state |= {f"blocks.{n}.{norm}.weight": (384,), f"blocks.{n}.{norm}.bias": (384,)}
    generator = torch.Generator().manual_seed(2)
    return {name: 0.02 * torch.randn(shape, generator=generator) for name, shape in state.items()}


def test_the_published_dino_file_loads_bare_and_as_the_teacher(tmp_path: Path) -> None:
    built = build_architecture("dino-vits8")
    state = dino_state()
    path = tmp_path / "dino_deitsmall8_pretrain.pth"
    head = {"head.mlp.0.weight": torch.zeros(2, 2)}
    training = {"teacher": {**{f"backbone.{name}": tensor for name, tensor in state.items()}, **head}}
    for content in (state, training):
        torch.save(content, path)
        found = find_weights("dino-vits8", built.files, tmp_path, 1)
        load_state(built.module, read_state(found, built.files), found)
        assert_same(dict(built.module.state_dict()), state)
        with torch.no_grad():
            for parameter in built.module.parameters():
                parameter.zero_()


class Tower(nn.Module):
    """What an archive of OpenAI's holds besides the image tower."""

    def __init__(self, visual: nn.Module):
        super().__init__()
        self.visual = visual
        self.token_embedding = nn.Embedding(3, 2)
        self.register_buffer("input_resolution", torch.tensor(224))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.token_embedding(x)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_clips_image_tower_is_cut_out_of_archive_and_checkpoint(tmp_path: Path) -> None:
    built = build_architecture("clip-rn50")
    plain = {name: tensor.clone() for name, tensor in built.module.state_dict().items()}
    plain["conv1.weight"] += 1
    built.module.load_state_dict(plain)
    whole = Tower(built.module).half().eval()
    expected = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in plain.items()}
    expected = {name: t.half().float() if t.is_floating_point() else t for name, t in expected.items()}

    checkpoint = {"state_dict": {f"module.{name}": tensor for name, tensor in whole.state_dict().items()}}
    torch.save(checkpoint, tmp_path / "open_clip_pytorch_model.bin")
    visual = {name.removeprefix("visual."): t for name, t in whole.state_dict().items() if name.startswith("visual.")}
    save_file(visual, tmp_path / "visual.safetensors")
    torch.jit.trace(whole, torch.zeros(1, dtype=torch.int64)).save(str(tmp_path / "RN50.pt"))
    for name in ("open_clip_pytorch_model.bin", "visual.safetensors", "RN50.pt"):
        fresh = build_architecture("clip-rn50")
        load_state(fresh.module, read_state(tmp_path / name, fresh.files), tmp_path / name)
        assert_same(dict(fresh.module.state_dict()), expected)
    with pytest.raises(UserError, match="TorchScript"):
        read_state(tmp_path / "RN50.pt", FILES)


def test_one_network_from_two_formats_has_one_fingerprint_and_another_weight_has_another(tmp_path: Path) -> None:
    state = build_architecture("resnet18").module.state_dict()
    save_file(state, tmp_path / "resnet18.safetensors")
    torch.save({k: v for k, v in state.items() if "num_batches" not in k}, tmp_path / "resnet18-f37072fd.pth")
    prints = [
        load_network("resnet18", tmp_path / name).fingerprint
        for name in ("resnet18.safetensors", "resnet18-f37072fd.pth")
    ]
    assert prints[0] == prints[1]
    state["layer3.1.conv2.weight"][5, 4, 0, 1] += 1e-4
    save_file(state, tmp_path / "resnet18.safetensors")
    assert load_network("resnet18", tmp_path).fingerprint != prints[0]


def test_missing_weights_are_named_with_size_and_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIA_WEIGHTS", str(tmp_path))
    expected = r"resnet18\.safetensors or resnet18-f37072fd\.pth \(torchvision's IMAGENET1K_V1; about 47 MB\)"
    with pytest.raises(UserError, match=expected):
        load_network("resnet18")
