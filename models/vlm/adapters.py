"""LoRA adapters (PEFT's folders), checked against their checkpoint before a server or a model takes them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from .checkpoint import Checkpoint, read_json
from .weight_files import safetensors_header

_NAME = re.compile(r"(?P<module>.+)\.lora_(?P<side>A|B|embedding_A|embedding_B)(\.\w+)?(\.weight)?$")
_SHOWN = 3

# What PEFT writes and vLLM refuses or ignores (lora/peft_helper.py), in words.
_UNSUPPORTED = {
    "modules_to_save": "modules trained in full (modules_to_save)",
    "use_dora": "DoRA",
    "lora_bias": "biases (lora_bias)",
    "layer_replication": "layer replication",
    "alora_invocation_tokens": "activation tokens (aLoRA)",
}


@dataclass(frozen=True)
class Adapter:
    """rank: the largest of its layers (vLLM's max_lora_rank must not be below it). modules: paths of the layers that it
    changes, as in its file. weight_bytes: of its file. base: the checkpoint that it says it was trained for."""

    path: Path
    rank: int
    modules: tuple[str, ...]
    weight_bytes: int
    base: str | None


def check_adapter(path: Path, checkpoint: Checkpoint, name: str | None = None) -> Adapter:
    """The adapter in the folder `path`. name: what messages call it (None: the folder's name).

    Raises UserError if a file is missing or damaged, if it changes the vision tower or the connector (a server would
    load it and silently leave those changes out), if it needs what servers cannot do, or if its layers are not those of
    the checkpoint.
    """
    what = f"the adapter {name or path.name}"
    file = path / "adapter_model.safetensors"
    for needed in (path / "adapter_config.json", file):
        if not needed.is_file():
            raise UserError(
                f"{what} has no {needed.name} in {path}: give the folder that PEFT's save_pretrained wrote."
            )
    config = read_json(path / "adapter_config.json", what)
    if str(config.get("peft_type", "LORA")).upper() != "LORA":
        raise UserError(f"{what} is of the kind {config['peft_type']}: choose a LoRA adapter.")
    unsupported = [words for key, words in _UNSUPPORTED.items() if config.get(key)]
    if unsupported:
        raise UserError(f"{what} has {' and '.join(unsupported)}: train a plain LoRA adapter of the language model.")
    header = safetensors_header(file, what)
    found = {key: match for key in header if (match := _NAME.search(key))}
    if not found:
        raise UserError(f"{what}: {file} holds no LoRA weights: give the folder that PEFT's save_pretrained wrote.")
    modules = sorted({match["module"] for match in found.values()})
    _check_modules(modules, checkpoint, what)
    base = config.get("base_model_name_or_path")
    sides = {key: (match["module"], match["side"]) for key, match in found.items()}
    _check_shapes(sides, header, checkpoint, what, base)
    ranks = [header[key]["shape"][0] for key, match in found.items() if match["side"] == "A"]
    return Adapter(path, max(ranks), tuple(modules), file.stat().st_size, base)


def _check_modules(modules: list[str], checkpoint: Checkpoint, what: str) -> None:
    vision = set(checkpoint.family.vision_modules)
    touched = [module for module in modules if vision & set(module.split("."))]
    if touched:
        raise UserError(
            f"{what} changes the vision part ({_few(touched)}), which servers leave out without a word: train one "
            'whose target_modules match the language model alone, as r".*language_model.*\\.(q_proj|v_proj)".'
        )


def _check_shapes(
    found: Mapping[str, tuple[str, str]],
    header: Mapping[str, Any],
    checkpoint: Checkpoint,
    what: str,
    trained_for: str | None,
) -> None:
    """Every changed layer is one of the checkpoint's, with as many inputs and outputs. trained_for: by its config."""
    if checkpoint.quantization or any(file.suffix != ".safetensors" for file in checkpoint.weights):
        return  # packed weights have other shapes; pickled ones are not opened
    shapes: dict[str, tuple[int, ...]] = {}
    for file in checkpoint.weights:
        for name, entry in safetensors_header(file, checkpoint.name).items():
            if name.endswith(".weight") and not set(checkpoint.family.vision_modules) & set(name.split(".")):
                shapes[_layer(name.removesuffix(".weight"))] = tuple(entry["shape"])
    wrong = []
    for key, (module, side) in found.items():
        base, shape = shapes.get(_layer(module)), header[key]["shape"]
        if base is None or len(base) != 2:
            wrong.append(f"{module} is not in it")
        elif side == "A" and shape[1] != base[1]:
            wrong.append(f"{module} has {base[1]} inputs there, {shape[1]} here")
        elif side == "B" and shape[0] != base[0]:
            wrong.append(f"{module} has {base[0]} outputs there, {shape[0]} here")
    if wrong:
        raise UserError(
            f"{what} was not trained for {checkpoint.name} ({_few(wrong)}): choose its own checkpoint, which "
            f"adapter_config.json calls {trained_for or 'nothing'}."
        )


def _layer(name: str) -> str:
    """A layer's path from the list of layers on: what stands before differs between libraries and versions."""
    parts = name.split(".")
    return ".".join(parts[parts.index("layers") :] if "layers" in parts else parts[-1:])


def _few(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
