"""LoRA adapters: what PEFT writes is read, and what servers would ignore or refuse is refused here."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from maia.models.errors import UserError
from maia.models.vlm.adapters import Adapter, check_adapter
from maia.models.vlm.architectures import build_random
from maia.models.vlm.checkpoint import read_checkpoint
from maia.models.vlm.random_families import RANDOM_FAMILIES
from safetensors.torch import load_file, save_file
from tiny_vlm import tiny_checkpoint

LANGUAGE = ("self_attn.q_proj", "self_attn.v_proj")
WIDTHS = {"q_proj": (128, 128), "v_proj": (128, 64), "linear_1": (32, 128)}
"""Inputs and outputs of the tiny language model's layers, and of the connector."""
# Where peft says the layers are: their paths in transformers' classes, behind "base_model.model.".
LAYERS = "model.language_model.layers"
TOWER = "model.vision_tower.encoder.layers"


def write(folder: Path, modules: dict[str, int], base: str = "base", **settings) -> Path:
    """An adapter as peft's save_pretrained writes it. modules: paths of layers -> rank."""
    weights = {}
    for module, rank in modules.items():
        inputs, outputs = (32, 32) if TOWER in module else WIDTHS[module.rsplit(".", 1)[1]]
        weights[f"base_model.model.{module}.lora_A.weight"] = torch.randn(rank, inputs)
        weights[f"base_model.model.{module}.lora_B.weight"] = torch.randn(outputs, rank)
    folder.mkdir(exist_ok=True)
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "base_model_name_or_path": base, **settings}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def of_language_model(rank: int = 4) -> dict[str, int]:
    """All layers that are usually changed."""
    return {f"{LAYERS}.{place}.{name}": rank for place in (0, 1) for name in LANGUAGE}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A plain adapter that a test may damage."""
    return write(tmp_path / "adapter", of_language_model())


def check(folder: Path, family: str = "llava-next") -> Adapter:
    return check_adapter(folder, read_checkpoint(tiny_checkpoint(family), "base"), "mine")


def refusal(folder: Path, family: str = "llava-next") -> str:
    with pytest.raises(UserError) as caught:
        check(folder, family)
    message = str(caught.value)
    assert message.startswith("the adapter mine") and message.endswith(".") and ":" in message
    return message


def edit_config(folder: Path, **changes) -> None:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def edit_weights(folder: Path, change: Callable[[str, torch.Tensor], tuple[str, torch.Tensor]]) -> None:
    file = folder / "adapter_model.safetensors"
    save_file(dict(change(name, tensor.clone()) for name, tensor in load_file(file).items()), file)


@pytest.mark.parametrize("family", sorted(RANDOM_FAMILIES))
def test_a_plain_adapter_of_the_language_model(tmp_path: Path, family: str) -> None:
    modules = {**of_language_model(), f"{LAYERS}.1.self_attn.v_proj": 8}
    read = check(write(tmp_path, modules, base="llava-hf/some"), family)
    assert (read.rank, read.base) == (8, "llava-hf/some")
    assert set(read.modules) == {f"base_model.model.{module}" for module in modules}
    assert read.weight_bytes == (tmp_path / "adapter_model.safetensors").stat().st_size


def test_changes_of_the_vision_tower_are_refused(tmp_path: Path) -> None:
    towers = {f"{TOWER}.{place}.self_attn.{name}": 4 for place in (0, 1) for name in ("q_proj", "v_proj")}
    message = refusal(write(tmp_path, {**of_language_model(), **towers}))
    assert "changes the vision part" in message and "vision_tower" in message and "and 1 more" in message
    assert r".*language_model.*\.(q_proj|v_proj)" in message


def test_changes_of_the_connector_are_refused(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, {**of_language_model(), "model.multi_modal_projector.linear_1": 4}))
    assert "changes the vision part" in message and "multi_modal_projector.linear_1" in message


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"use_dora": True}, "has DoRA"), ({"modules_to_save": ["lm_head"]}, "modules trained in full")],
)
def test_kinds_that_servers_refuse(tmp_path: Path, settings, said: str) -> None:
    assert said in refusal(write(tmp_path, of_language_model(), **settings))


def test_other_methods_are_refused(folder: Path) -> None:
    edit_config(folder, peft_type="IA3")
    assert "is of the kind IA3" in refusal(folder)


def test_an_adapter_of_another_checkpoint(folder: Path, tmp_path: Path) -> None:
    edit_weights(folder, lambda name, tensor: (name, tensor[:, :64].contiguous() if "lora_A" in name else tensor))
    message = refusal(folder)
    assert "was not trained for base" in message and "has 128 inputs there, 64 here" in message
    assert "adapter_config.json calls base." in message
    edit_config(folder, base_model_name_or_path="some-other-model")
    assert "not trained for base (" in refusal(folder) and refusal(folder).endswith("calls some-other-model.")


def test_an_adapter_of_a_deeper_or_wider_checkpoint(folder: Path, tmp_path: Path) -> None:
    edit_weights(folder, lambda name, tensor: (name.replace("layers.1.", "layers.7."), tensor))
    assert "layers.7.self_attn.q_proj is not in it" in refusal(folder)
    small = read_checkpoint(build_random(tmp_path / "small", "llava-next", "small"), "small")
    with pytest.raises(UserError, match="has 512 inputs there, 128 here"):
        check_adapter(folder, small)


def test_incomplete_folders(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{")
    assert "cannot be read" in refusal(folder)
    (folder / "adapter_config.json").unlink()
    assert "has no adapter_config.json" in refusal(folder)


def test_damaged_weights(folder: Path) -> None:
    file = folder / "adapter_model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-8])
    assert "damaged or cut short" in refusal(folder)
    save_file({"nothing.weight": torch.zeros(2)}, file)
    assert "holds no LoRA weights" in refusal(folder)
    file.unlink()
    assert "has no adapter_model.safetensors" in refusal(folder)
