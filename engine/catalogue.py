"""Facts about published models, and what follows from them for placement: `catalogue.yaml` says which are estimates."""

import functools
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import yaml

from ..models.errors import UserError
from ..models.targets import nearest_first

_FILE = Path(__file__).parent / "catalogue.yaml"

DTYPE_BYTES = {"fp16": 2, "bf16": 2, "fp32": 4}

FOUR_BITS = 4.5 / 8
"""Bytes of a weight in 4 bits: with a scale of 32 bits for 64 of them (NF4), the most that is usual."""


@dataclass(frozen=True)
class Part:
    """A component: the key of its weights, and how many numbers they are."""

    key: str
    parameters: int


@dataclass(frozen=True)
class GeneratorEntry:
    """A diffusion pipeline. *_bytes: peak of one picture's activations at `size` in 2 bytes a number; pass_seconds: an
    estimate, for one picture at `size`; passes: of the denoiser for a step with guidance."""

    source: str
    task: Literal["text2image", "edit"]
    parts: Mapping[str, Part]
    size: int
    passes: int
    denoiser_bytes: int
    decoder_bytes: int
    pass_seconds: float


@dataclass(frozen=True)
class VlmEntry:
    """A vision-language model. family: its name in models/vlm/families.yaml. linear: parameters that 4 bits apply to;
    experts: those of them in the experts of a mixture, of which a token passes the share `chosen`. context: tokens that
    it can read at most; image_tokens: of one picture at most (of 512 x 512 pixels where their number depends on it)."""

    source: str
    family: str
    linear: int
    embeddings: int
    vision: int
    layers: int
    kv_heads: int
    head_dim: int
    hidden: int
    intermediate: int
    context: int
    image_tokens: int
    experts: int = 0
    chosen: float = 1.0

    @property
    def parameters(self) -> int:
        """Of all parts."""
        return self.linear + self.embeddings + self.vision

    @property
    def active(self) -> int:
        """Parameters that one token passes."""
        return self.parameters - round(self.experts * (1 - self.chosen))

    def weight_bytes(self, dtype: str, four_bits: bool, experts_packed: bool = True) -> int:
        """Bytes of the weights; with four_bits those of the language model's linear layers take `FOUR_BITS` (those of
        its experts only with experts_packed). All experts are held, however few of them a token passes."""
        size = DTYPE_BYTES[dtype]
        packed = (self.linear if experts_packed else self.linear - self.experts) if four_bits else 0
        return int(packed * FOUR_BITS) + (self.parameters - packed) * size

    def cache_bytes(self, dtype: str) -> int:
        """Bytes of the key-value cache for one token: keys and values of every head of every layer."""
        return 2 * self.layers * self.kv_heads * self.head_dim * DTYPE_BYTES[dtype]


@dataclass(frozen=True)
class NetworkEntry:
    """A vision network in float32. activation_bytes: peak for one picture; seconds: an estimate for one."""

    source: str
    parameters: int
    activation_bytes: int
    seconds: float


@dataclass(frozen=True)
class Hardware:
    """An estimate of a GPU: bytes a second of its memory, operations a second, bytes a second over its link, bytes
    that each process takes on it before any model."""

    bytes_per_second: float
    flops: float
    link: float
    context_bytes: int


@dataclass(frozen=True)
class Server:
    """An estimate of a VLM server: bytes that it takes beyond its share and for CUDA graphs; of main memory when it
    computes on the CPU, beside weights and cache; tokens whose activations it holds at once; tokens of an average
    request; seconds that one takes at a server of which nothing is known."""

    outside_bytes: int
    graph_bytes: int
    cpu_bytes: int
    prefill_tokens: int
    prompt_tokens: int
    answer_tokens: int
    elsewhere_seconds: float


@dataclass(frozen=True)
class InProcess:
    """An estimate of a VLM in this program: bytes of the pictures of a batch in its vision tower; seconds that each
    step takes beside reading the weights."""

    picture_bytes: int
    step_seconds: float


@dataclass(frozen=True)
class Demand:
    """Items of each kind for describing one unit, and how many of them one call brings."""

    turns: int
    drawn: int
    drawn_per_call: int
    edited: int
    edited_per_call: int
    measured: int
    measured_per_call: int
    described: int
    described_calls: int


@dataclass(frozen=True)
class Catalogue:
    """All of `catalogue.yaml`."""

    hardware: Hardware
    server: Server
    in_process: InProcess
    demand: Demand
    generators: Mapping[str, GeneratorEntry]
    vlms: Mapping[str, VlmEntry]
    networks: Mapping[str, NetworkEntry]

    def generator(self, name: str, task: str, where: str = "model") -> GeneratorEntry:
        """The pipeline of that name. where: what the message calls the place that names it. Raises UserError for one
        that is unknown, or does something else."""
        names = [other for other, entry in self.generators.items() if entry.task == task]
        if name not in names:
            raise UserError(f"{where}: there is no {task} model {name!r}: choose from {nearest_first(name, names)}.")
        return self.generators[name]

    def vlm(self, name: str, where: str = "model") -> VlmEntry:
        """The vision-language model of that name; otherwise as `generator`."""
        if name not in self.vlms:
            raise UserError(
                f"{where}: there is no vlm {name!r}: choose from {nearest_first(name, list(self.vlms))}, or give the "
                "folder of a checkpoint."
            )
        return self.vlms[name]


@functools.cache
def catalogue() -> Catalogue:
    """The catalogue that comes with the program."""
    data = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    generators = {
        name: _made(GeneratorEntry, {**entry, "parts": {part: _made(Part, of) for part, of in entry["parts"].items()}})
        for name, entry in data["generators"].items()
    }
    return Catalogue(
        _made(Hardware, {name: float(value) for name, value in data["hardware"].items()}),
        _made(Server, data["server"]),
        _made(InProcess, data["in_process"]),
        _made(Demand, data["demand"]),
        generators,
        {name: _made(VlmEntry, entry) for name, entry in data["vlms"].items()},
        {name: _made(NetworkEntry, entry) for name, entry in data["networks"].items()},
    )


def _made(cls: type[Any], entry: Mapping[str, Any]) -> Any:
    return cls(**{of.name: entry[of.name] for of in fields(cls) if of.name in entry or of.default is MISSING})
