"""Memory that a training takes, as sums before anything is loaded, and the first setting that fits where it does not.

An estimate, not measured on a GPU. Of a layer it counts what its backward pass keeps for one token, as transformers and
peft compute it: the float32 inputs of two norms, queries, keys, values and their result, an input for each adapted
matrix (peft copies it in the arithmetic's type), and what stands between the matrices of the gated layer.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from ..models.errors import UserError, first_line
from ..models.vlm.checkpoint import Checkpoint
from .catalogue import DTYPE_BYTES, VlmEntry, catalogue
from .finetune_options import LoraChoice, TrainOptions
from .sizes import format_bytes
from .vlm_options import VlmOptions
from .vlm_shape import _language_model, vlm_shape

FULL = 4
"""Bytes of a float32."""

ADAPTER_BYTES = 4 * FULL
"""Of a trained number: itself, its gradient, and the two means of AdamW, all in float32."""

LOGIT_BYTES = 3 * FULL
"""Of a learned position and a token of the vocabulary, beside the model's own answer: the answer in float32, its
logarithmic softmax, and the gradient."""

MASK_BYTES = 3
"""Of an entry of the attention's mask: one byte as it is made, two as kernels take it."""

RESERVE = 0.1
"""Share of what comes and goes that the allocator cannot use, as its blocks do not fit: ASSUMED."""

STEP = 256
"""max_tokens is lowered in steps of so many, to one of them at least."""

AFTER_FAILURE = 0.9
"""Where an estimate that should have fitted did not, the next setting has to be less than this share of it."""


@dataclass(frozen=True)
class TrainingShape:
    """What the sums follow from. weights: bytes of all weights in the arithmetic's type; packed: with the language
    model's layers in 4 bits, None where that cannot be chosen. itemsize: bytes of a number of the arithmetic. layers,
    hidden, intermediate: of the language model; queries, keys: widths of a token's queries and keys. vocabulary:
    tokens, at most."""

    weights: int
    packed: int | None
    itemsize: int
    layers: int
    hidden: int
    intermediate: int
    queries: int
    keys: int
    vocabulary: int

    def widths(self, targets: tuple[str, ...]) -> list[tuple[int, int]]:
        """Of each adapted matrix of a layer what it takes and gives. A name that is not known counts as the largest."""
        known = {
            "q_proj": (self.hidden, self.queries),
            "k_proj": (self.hidden, self.keys),
            "v_proj": (self.hidden, self.keys),
            "o_proj": (self.queries, self.hidden),
            "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate),
            "down_proj": (self.intermediate, self.hidden),
        }
        return [known.get(name, (self.intermediate, self.intermediate)) for name in targets]

    def trained(self, lora: LoraChoice) -> int:
        """How many numbers the adapter has."""
        return self.layers * lora.rank * sum(taken + given for taken, given in self.widths(lora.targets))

    def kept_bytes(self, lora: LoraChoice) -> int:
        """What a layer keeps of one token for its backward pass."""
        inputs = sum(taken for taken, _ in self.widths(lora.targets)) * (2 if lora.dropout else 1)
        inner = 2 * self.queries + 2 * self.keys + 3 * self.intermediate + len(lora.targets) * lora.rank
        return 4 * FULL * self.hidden + self.itemsize * (inputs + inner)

    def passing_bytes(self) -> int:
        """What a layer has at hand of one token while it is computed, kept or not: as `VlmShape.activation_bytes`, and
        as much in gradients."""
        return 2 * self.itemsize * (4 * self.hidden + 2 * self.intermediate)


@dataclass(frozen=True)
class Setting:
    """What can be chosen. rows: sequences that a sample has (2 of a pair). tokens: of the longest sample; learned: of
    those that the loss counts, at most."""

    batch: int
    tokens: int
    learned: int
    gradient_checkpointing: bool
    quantization: str | None
    lora: LoraChoice = field(default_factory=LoraChoice)
    rows: int = 1

    def told(self, other: "Setting") -> str:
        """The options that `other` has otherwise, as the configuration says them."""
        found = []
        if other.batch != self.batch:
            found.append(f"batch: {other.batch} (and {self.batch} times as much accumulate)")
        if other.gradient_checkpointing != self.gradient_checkpointing:
            found.append("gradient_checkpointing: true")
        if other.quantization != self.quantization:
            found.append(f"quantization: {other.quantization}")
        if other.tokens != self.tokens:
            found.append(f"max_tokens: {other.tokens}")
        return ", ".join(found)


@dataclass(frozen=True)
class Needed:
    """Bytes by what they are for."""

    weights: int
    adapter: int
    activations: int
    logits: int
    pictures: int
    reserve: int

    @property
    def parts(self) -> Mapping[str, int]:
        """As a message names them."""
        return {
            "weights": self.weights,
            "adapter with gradients and AdamW": self.adapter,
            "activations": self.activations,
            "logits": self.logits,
            "pictures": self.pictures,
            "lost between blocks": self.reserve,
        }

    @property
    def total(self) -> int:
        """All parts."""
        return sum(self.parts.values())

    def __str__(self) -> str:
        return ", ".join(f"{name} {format_bytes(nbytes)}" for name, nbytes in self.parts.items())


def needed_bytes(shape: TrainingShape, setting: Setting) -> Needed:
    """The memory that one GPU has to have for a training, without what CUDA itself takes.

    With gradient checkpointing each layer keeps its input alone, and one layer at a time what its backward pass needs.
    Raises ValueError for 4 bits where the shape has no size for them.
    """
    if setting.quantization is not None and shape.packed is None:
        raise ValueError("these weights have no size in 4 bits")
    weights = shape.weights if setting.quantization is None or shape.packed is None else shape.packed
    rows = setting.batch * setting.rows
    tokens = rows * setting.tokens
    kept = shape.kept_bytes(setting.lora)
    if setting.gradient_checkpointing:
        kept += shape.layers * shape.itemsize * shape.hidden
    else:
        kept *= shape.layers
    activations = tokens * (kept + shape.passing_bytes())
    activations += rows * MASK_BYTES * setting.tokens**2
    if setting.quantization is not None:
        activations += shape.itemsize * shape.hidden * shape.intermediate  # one matrix at a time is unpacked
    logits = rows * setting.learned * shape.vocabulary * (shape.itemsize + LOGIT_BYTES)
    pictures = rows * catalogue().in_process.picture_bytes
    return Needed(
        weights,
        shape.trained(setting.lora) * ADAPTER_BYTES,
        activations,
        logits,
        pictures,
        int(RESERVE * (activations + logits + pictures)),
    )


def rungs(shape: TrainingShape, setting: Setting) -> Iterator[Setting]:
    """Settings that take less and less, each with all changes of those before: batch 1, gradient checkpointing, 4 bits,
    fewer tokens."""
    if setting.batch > 1:
        setting = replace(setting, batch=1)
        yield setting
    if not setting.gradient_checkpointing:
        setting = replace(setting, gradient_checkpointing=True)
        yield setting
    if setting.quantization is None and shape.packed is not None:
        setting = replace(setting, quantization="4bit")
        yield setting
    for tokens in range((setting.tokens - 1) // STEP * STEP, 0, -STEP):
        yield replace(setting, tokens=tokens, learned=min(setting.learned, tokens))


def fitting(shape: TrainingShape, setting: Setting, room: int) -> Setting | None:
    """The first of `rungs` that takes `room` bytes at most; None where none does."""
    return next((rung for rung in rungs(shape, setting) if needed_bytes(shape, rung).total <= room), None)


def advice(shape: TrainingShape, setting: Setting, room: int) -> str:
    """What to change so that `room` bytes suffice, as an instruction."""
    found = fitting(shape, setting, room)
    if found is None:
        return "take a smaller model or a larger GPU, as not even 4 bits, one short sample at a time, would fit"
    return f"take {setting.told(found)}: {format_bytes(needed_bytes(shape, found).total)} by the same sums"


def check_room(shape: TrainingShape, setting: Setting, room: int, where: str) -> Needed:
    """The sums. Raises UserError, with them and the setting that would fit, where they exceed `room` bytes. where: what
    has that room."""
    needed = needed_bytes(shape, setting)
    if needed.total > room:
        raise UserError(
            f"{where} has {format_bytes(room)} free, and the training needs about {format_bytes(needed.total)} "
            f"({needed}): {advice(shape, setting, room)}."
        )
    return needed


@dataclass(frozen=True)
class Memory:
    """What a training takes by our sums (shape, setting), and the bytes that the device (where) had free before it."""

    shape: TrainingShape
    setting: Setting
    free: int
    where: str

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Within it, memory that does not suffice although it should have is a UserError with the sums and the setting
        that would fit."""
        try:
            yield
        except torch.OutOfMemoryError as problem:
            needed = needed_bytes(self.shape, self.setting)
            room = min(self.free, int(AFTER_FAILURE * needed.total))
            raise UserError(
                f"memory does not suffice on {self.where} ({first_line(problem)}). By our sums the training needs "
                f"about {format_bytes(needed.total)} ({needed}), and {format_bytes(self.free)} were free: "
                f"{advice(self.shape, self.setting, room)}."
            ) from problem


def expected_memory(
    checkpoint: Checkpoint, dtype: str, device: torch.device, setting: Setting, say: Callable[[str], None]
) -> Memory:
    """The sums, said. Raises UserError where a GPU has less; the host's memory is not held against them."""
    shape = shape_of_files(checkpoint, dtype)
    memory = Memory(shape, setting, free_bytes(device), str(device))
    needed = check_room(shape, setting, memory.free if device.type == "cuda" else sys.maxsize, memory.where)
    say(f"about {format_bytes(needed.total)} of memory by estimate ({needed}); {format_bytes(memory.free)} are free.")
    return memory


def free_bytes(device: torch.device) -> int:
    """Bytes that are free on a GPU, and those of the host's memory that a process can have."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    import psutil  # type: ignore[import-untyped]

    return int(psutil.virtual_memory().available)


def shape_of_files(checkpoint: Checkpoint, dtype: str) -> TrainingShape:
    """Of a checkpoint at hand. Raises UserError for one that is damaged (see `vlm_shape`)."""

    def weights(quantization: Any) -> int:
        chosen: Any = {"dtype": dtype, "quantization": quantization}
        options = VlmOptions(checkpoint.name, checkpoint.path, context=1, **chosen)
        return vlm_shape(options, "the training's model", experts_packed=False).weights

    text = _language_model(checkpoint.path)
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    chosen = getattr(text, "num_experts_per_tok", 0) or 0
    return TrainingShape(
        weights(None),
        weights("4bit") if checkpoint.quantization is None else None,
        DTYPE_BYTES[dtype],
        text.num_hidden_layers,
        text.hidden_size,
        text.moe_intermediate_size * chosen if chosen else text.intermediate_size,
        width * text.num_attention_heads,
        width * (getattr(text, "num_key_value_heads", None) or text.num_attention_heads),
        text.vocab_size,
    )


def shape_of_entry(entry: VlmEntry, dtype: str) -> TrainingShape:
    """Of a model of the catalogue. The width of its queries follows from its layers' numbers; its vocabulary is at most
    the rows of its embeddings, which count twice where the last layer has its own."""
    keys = entry.kv_heads * entry.head_dim
    between = 0 if entry.experts else 3 * entry.hidden * entry.intermediate
    attention = (entry.linear - entry.experts) // entry.layers - between - 2 * entry.hidden * keys
    return TrainingShape(
        entry.weight_bytes(dtype, False),
        entry.weight_bytes(dtype, True, experts_packed=False),
        DTYPE_BYTES[dtype],
        entry.layers,
        entry.hidden,
        entry.intermediate,
        max(1, round(attention / (2 * entry.hidden * entry.head_dim))) * entry.head_dim,
        keys,
        entry.embeddings // entry.hidden,
    )


def setting_of(options: TrainOptions, tokens: int, learned: int, rows: int = 1) -> Setting:
    """The options' setting. tokens, learned: of the longest sample, and the most of one."""
    return Setting(
        options.batch, tokens, learned, options.gradient_checkpointing, options.quantization, options.lora, rows
    )
