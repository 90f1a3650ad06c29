"""What can be chosen about the vision-language model that writes the experiments, with its defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from ..models.errors import UserError
from ..models.vlm.chat import Sampling
from .catalogue import catalogue

LEAST_CONTEXT = 512
"""Tokens: less does not hold the text that every request begins with."""

_CHOICES: dict[str, tuple[Any, ...]] = {
    "dtype": ("bf16", "fp16", "fp32"),
    "quantization": ("4bit", None),
    "sleep": (True, False),
    "structured": (True, False),
    "seeded": (True, False),
    "prompts": ("full", "brief", None),
}
_LEAST: dict[str, int] = {"concurrent": 1, "context": LEAST_CONTEXT, "max_tokens": 16, "images": 0, "port": 1}
_RANGES: dict[str, tuple[float, float]] = {"temperature": (0.0, 2.0), "top_p": (0.01, 1.0), "timeout": (1.0, 86400.0)}
_OPTIONAL = ("images", "port")
_TEXTS = ("family", "url", "host", "adapter", "python")
_PATHS = ("path", "api_key_file")


@dataclass(frozen=True)
class VlmOptions:
    """model: a name of the catalogue; any name where there is a path or a URL.

    path: the checkpoint's folder; None: the directory of the model's name in $MAIA_WEIGHTS. family: see
    models/vlm/families.yaml; None: told by the checkpoint, or by the catalogue. dtype: of the weights and the
    key-value cache. quantization: "4bit" or None. concurrent: requests in flight at most. context: tokens that one may
    take. sleep: the server gives its memory back while others need it. adapters: LoRA adapters, name -> folder;
    adapter: which one answers (None: the model itself). images: pictures a message may hold (None: the family's number,
    0: none are sent). structured: replies are held to a grammar. temperature, top_p, max_tokens: see `Sampling`.
    timeout: seconds that a request may take. prompts: "full", or "brief" for a model that was trained on those
    (prompts/brief.py); None: as the checkpoint's maia.json says, else full.

    Of a server: url: an OpenAI-compatible one that is there already ("http://host:port/v1"); None: one of our own.
    api_key_file: holds the key it wants (else $MAIA_API_KEY). host, port: where our own listens (port None: a free
    one). seeded: requests carry their seeds (never to a vLLM on the CPU, which dies of them). python: the interpreter
    that has vLLM (None: this one). server_args: further options of vLLM's.
    """

    model: str
    path: Path | None = None
    family: str | None = None
    dtype: Literal["bf16", "fp16", "fp32"] = "bf16"
    quantization: Literal["4bit"] | None = None
    concurrent: int = 16
    context: int = 16384
    sleep: bool = False
    adapters: Mapping[str, Path] = field(default_factory=dict)
    adapter: str | None = None
    images: int | None = None
    structured: bool = True
    prompts: Literal["full", "brief"] | None = None
    temperature: float = Sampling.temperature
    top_p: float = Sampling.top_p
    max_tokens: int = Sampling.max_tokens
    timeout: float = 600.0
    url: str | None = None
    api_key_file: Path | None = None
    host: str = "127.0.0.1"
    port: int | None = None
    seeded: bool = False
    python: str | None = None
    server_args: tuple[str, ...] = ()

    @property
    def sampling(self) -> Sampling:
        """How tokens are chosen."""
        return Sampling(self.temperature, self.top_p, self.max_tokens)

    @classmethod
    def from_mapping(cls, entries: Mapping[str, Any], where: str) -> "VlmOptions":
        """Options from a profile's mapping. where: what messages call it, as in "lab.yaml: vlm".

        Raises UserError that names the first entry that is unknown, missing or of a wrong type or value.
        """
        names = [entry.name for entry in fields(cls)]
        if not isinstance(entries, Mapping) or not isinstance(entries.get("model"), str):
            raise UserError(f"{where} must be a mapping with the entry model, and any of {', '.join(names[1:])}.")
        for name, value in entries.items():
            if name not in names:
                raise UserError(f"{where} has no option {name!r}: choose from {', '.join(names)}.")
            _check(name, value, where)
        values = {**entries}
        for name in _PATHS:
            values[name] = None if entries.get(name) is None else Path(entries[name]).expanduser()
        values["adapters"] = {name: Path(path).expanduser() for name, path in (entries.get("adapters") or {}).items()}
        values["server_args"] = tuple(entries.get("server_args") or ())
        chosen = cls(**values)
        chosen._check_together(where)
        return chosen

    def _check_together(self, where: str) -> None:
        if self.adapter is not None and self.adapter not in self.adapters and self.url is None:
            known = f"choose from {', '.join(self.adapters)}" if self.adapters else "name its folder under adapters"
            raise UserError(f"{where}: there is no adapter {self.adapter!r}: {known}.")
        if self.path is None and self.url is None:
            entry = catalogue().vlm(self.model, where)
            if self.context > entry.context:
                raise UserError(f"{where}: {self.model} reads {entry.context} tokens at most, not {self.context}.")
        if self.max_tokens >= self.context:
            raise UserError(
                f"{where}: max_tokens ({self.max_tokens}) must be less than context ({self.context}): the prompt needs "
                "room too."
            )
        if self.url is not None and not self.url.startswith(("http://", "https://")):
            raise UserError(f"{where}: url must begin with http:// or https://, not {self.url!r}.")


def _check(name: str, value: Any, where: str) -> None:
    """Type and range of one entry."""
    # `in` alone would take 1 for True.
    if name in _CHOICES and not any(value is choice or value == choice != 1 for choice in _CHOICES[name]):
        shown = ", ".join("null" if choice is None else str(choice).lower() for choice in _CHOICES[name])
        raise UserError(f"{where}: {name} cannot be {value!r}: choose from {shown}.")
    if name in _OPTIONAL + _TEXTS + _PATHS and value is None:
        return
    if name in _LEAST and (isinstance(value, bool) or not isinstance(value, int) or value < _LEAST[name]):
        raise UserError(f"{where}: {name} must be a whole number of at least {_LEAST[name]}, not {value!r}.")
    if name in _RANGES:
        low, high = _RANGES[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise UserError(f"{where}: {name} must be a number from {low:g} to {high:g}, not {value!r}.")
    if name in _TEXTS and (not isinstance(value, str) or not value):
        raise UserError(f"{where}: {name} must be a text, not {value!r}.")
    if name in _PATHS and (not isinstance(value, str | Path) or not str(value)):
        raise UserError(f"{where}: {name} must be a path, not {value!r}.")
    if name == "adapters" and not (
        value is None or (isinstance(value, Mapping) and all(isinstance(path, str | Path) for path in value.values()))
    ):
        raise UserError(f"{where}: adapters must map names to folders, not {value!r}.")
    if name == "server_args" and not (
        value is None or (isinstance(value, list | tuple) and all(isinstance(entry, str) for entry in value))
    ):
        raise UserError(f"{where}: server_args must be a list of texts, not {value!r}.")
