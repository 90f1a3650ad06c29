"""The size of a vision-language model: from its checkpoint where there is one, else from the catalogue."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..models.errors import UserError
from ..models.targets import nearest_first
from ..models.vlm.checkpoint import read_checkpoint
from ..models.vlm.families import Family, family
from ..models.vlm.images import RULES, image_values
from .catalogue import DTYPE_BYTES, FOUR_BITS, VlmEntry, catalogue
from .checkpoints import FLOATS, Tensor, packed_bytes, stored_parts, stored_tensors
from .vlm_options import VlmOptions

ADAPTER_FILE = "adapter_model.safetensors"
"""The weights of a LoRA adapter, as peft writes them."""


@dataclass(frozen=True)
class VlmShape:
    """What sizes follow from. weights: bytes, of one key; adapters: bytes by name. active: share of the weights that
    one token passes. layers, kv_heads, head_dim, hidden, intermediate: of the language model (of a mixture:
    `intermediate` is that of all experts that one token passes). picture, sheet: tokens of a picture and of a contact
    sheet at their family's largest size. source: "files" or "catalogue"."""

    key: str
    weights: int
    parameters: int
    active: float
    layers: int
    kv_heads: int
    head_dim: int
    hidden: int
    intermediate: int
    context: int
    picture: int
    sheet: int
    source: str
    family: Family
    adapters: Mapping[str, int]

    def cache_bytes(self, itemsize: int) -> int:
        """Bytes of the key-value cache for one token: keys and values of every head of every layer."""
        return 2 * self.layers * self.kv_heads * self.head_dim * itemsize

    def activation_bytes(self, itemsize: int) -> int:
        """Bytes of one layer's activations for one token of a prompt: its input, queries, keys and values, its output,
        and twice the width between."""
        return itemsize * (4 * self.hidden + 2 * self.intermediate)


def vlm_shape(options: VlmOptions, where: str, experts_packed: bool = True) -> VlmShape:
    """The model's size. where: what messages call the mapping that names it. experts_packed: whether 4 bits apply to
    the experts of a mixture. Raises UserError for a checkpoint that is damaged, one that cannot be told, a name that is
    neither a folder nor of the catalogue, and for a context beyond the model's."""
    from .vlm import checkpoint_path

    path, known = checkpoint_path(options), catalogue().vlms
    if path.exists():
        shape = _of_files(path, options, where, experts_packed)
    elif options.model in known:
        shape = _of_catalogue(known[options.model], options, where, experts_packed)
    else:
        raise UserError(
            f"{where}: there is no checkpoint of {options.model!r} at {path}, and none of that name in the catalogue: "
            f"give its folder as path, or choose from {nearest_first(options.model, list(known))}."
        )
    if options.context > shape.context:
        raise UserError(f"{where}: {options.model} reads {shape.context} tokens at most, not {options.context}.")
    return shape


def _image_tokens(row: Family, values: Mapping[str, Any]) -> tuple[int, int]:
    """Of a picture and of a contact sheet, both square."""
    rule = RULES[row.image_rule]
    return rule(row.image_side, row.image_side, values), rule(row.sheet_side, row.sheet_side, values)


def _of_catalogue(entry: VlmEntry, options: VlmOptions, where: str, experts_packed: bool) -> VlmShape:
    row = family(options.family or entry.family, f"{where}: family")
    four_bits = options.quantization == "4bit"
    return VlmShape(
        f"{options.model}-{options.dtype}-{options.quantization}",
        entry.weight_bytes(options.dtype, four_bits, experts_packed),
        entry.parameters,
        entry.active / entry.parameters,
        entry.layers,
        entry.kv_heads,
        entry.head_dim,
        entry.hidden,
        entry.intermediate,
        entry.context,
        *_image_tokens(row, row.image_values),
        "catalogue",
        row,
        _adapters(options, where),
    )


def _of_files(path: Path, options: VlmOptions, where: str, experts_packed: bool) -> VlmShape:
    checkpoint = read_checkpoint(path, options.model)
    row = family(options.family, f"{where}: family") if options.family else checkpoint.family
    text = _language_model(path)
    tensors, part = stored_tensors(path), next(iter(stored_parts(path).values()))
    itemsize = DTYPE_BYTES[options.dtype]
    linear, experts, packable = _numbers(tensors, row)
    weights = part.nbytes(itemsize)
    # Weights that are packed in the files are held as they are.
    if options.quantization == "4bit" and checkpoint.quantization is None:
        packed = linear + packable if experts_packed else linear
        weights += int(packed * FOUR_BITS) - packed * itemsize
    parameters = part.floats + packed_bytes(tensors)
    chosen, width = 1.0, text.intermediate_size
    if experts:
        chosen = text.num_experts_per_tok / text.num_experts
        width = text.moe_intermediate_size * text.num_experts_per_tok
    return VlmShape(
        f"{part.key}-{options.dtype}-{options.quantization}",
        weights,
        parameters,
        1 - (1 - chosen) * experts / parameters,
        text.num_hidden_layers,
        text.num_key_value_heads or text.num_attention_heads,
        getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads,
        text.hidden_size,
        width,
        checkpoint.context,
        *_image_tokens(row, image_values(row, checkpoint.config, checkpoint.processor)),
        "files",
        row,
        _adapters(options, where),
    )


def _language_model(path: Path) -> Any:
    """The language model's configuration with the defaults of its architecture, which published files leave out."""
    from transformers import AutoConfig

    from ..models.vlm.small.config import register_configs

    register_configs()
    try:
        return AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False).get_text_config()
    except Exception as problem:  # whatever a damaged configuration makes of it
        told = " ".join(str(problem).split())[:200]
        raise UserError(f"{path / 'config.json'} cannot be read ({told}): get the checkpoint again.") from None


def _numbers(tensors: Mapping[str, Tensor], row: Family) -> tuple[int, int, int]:
    """How many numbers the language model's layers hold: in matrices, in experts of a mixture, and of the latter in
    formats that can be packed."""
    linear = experts = packable = 0
    for name, (dtype, shape) in tensors.items():
        parts = name.split(".")
        if "layers" not in parts or set(parts) & set(row.vision_modules):
            continue
        # A mixture's experts are one tensor of three dimensions, or a matrix each.
        if "experts" in parts:
            experts += math.prod(shape)
            packable += math.prod(shape) if dtype in FLOATS and len(shape) > 1 else 0
        elif len(shape) == 2:
            linear += math.prod(shape)
    return linear, experts, packable


def _adapters(options: VlmOptions, where: str) -> dict[str, int]:
    found = {}
    for name, path in options.adapters.items():
        file = path / ADAPTER_FILE
        if not file.is_file():
            raise UserError(
                f"{where}: there is no LoRA adapter {name} at {path} (no {ADAPTER_FILE}): give the folder that peft "
                "saved it to."
            )
        found[name] = file.stat().st_size
    return found
