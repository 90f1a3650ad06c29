"""A LoRA adapter added to the weights that it was trained on: W + scale * B A (Hu et al. 2021, arXiv 2106.09685)."""

import json
import math
from collections.abc import MutableMapping
from pathlib import Path

import torch

from ...errors import UserError

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_PLAIN = {"use_dora": False, "alpha_pattern": {}, "fan_in_fan_out": False, "modules_to_save": None, "bias": "none"}
"""Settings of peft that change what is added, with the values under which it is what is computed here."""


def merge(weights: MutableMapping[str, torch.Tensor], adapter: Path) -> int:
    """Adds the adapter in peft's format to the named weights, in place; sums are taken in float32 and rounded to each
    weight's dtype. Returns how many weights changed.

    Raises UserError where the adapter is incomplete, damaged, of another kind, or for another model.
    """
    from safetensors.torch import load_file

    try:
        settings = json.loads((adapter / CONFIG_FILE).read_text(encoding="utf-8"))
        parts = load_file(adapter / WEIGHTS_FILE)
        alpha, rank = float(settings["lora_alpha"]), int(settings["r"])
    except Exception as problem:  # safetensors raises its own
        raise UserError(f"the adapter in {adapter} cannot be read ({problem}): train it again.") from problem
    for name, plain in _PLAIN.items():
        if (settings.get(name) or plain) != plain:
            raise UserError(f"the adapter in {adapter} cannot be merged, as it was trained with {name}: train without.")
    merged = 0
    for name in [name for name in parts if name.endswith(".lora_A.weight")]:
        down = parts.pop(name).float()
        up = parts.pop(name.replace(".lora_A.", ".lora_B."), torch.empty(0)).float()
        target = name.removeprefix(_PREFIX).replace(".lora_A.weight", ".weight")
        weight = weights.get(target)
        if weight is None or up.ndim != 2 or tuple(weight.shape) != (up.shape[0], down.shape[1]):
            raise UserError(f"the adapter in {adapter} is for another model: it changes {target} otherwise.")
        own = len(down) if settings.get("rank_pattern") else rank
        scale = alpha / (math.sqrt(own) if settings.get("use_rslora") else own)
        weights[target] = (weight.float() + scale * (up @ down)).to(weight.dtype)
        merged += 1
    if parts or not merged:
        raise UserError(f"the adapter in {adapter} holds more than low-rank matrices: {', '.join(sorted(parts)[:3])}.")
    return merged
