"""What can be chosen about the vision-language model that is served, with its defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from ..models.errors import UserError
from .catalogue import catalogue

LEAST_CONTEXT = 512
"""Tokens: less does not hold the text that every request begins with."""


@dataclass(frozen=True)
class VlmOptions:
    """model: a name of the catalogue. path: its folder; None: the directory of the model's name in $MAIA_WEIGHTS.
    dtype: of the weights and the key-value cache. quantization: "4bit" or None. concurrent: requests in flight at
    most. context: tokens that one may take. sleep: the server gives its memory back while others need it.
    """

    model: str
    path: Path | None = None
    dtype: Literal["bf16", "fp16"] = "bf16"
    quantization: Literal["4bit"] | None = None
    concurrent: int = 16
    context: int = 16384
    sleep: bool = False

    @classmethod
    def from_mapping(cls, entries: Mapping[str, Any], where: str) -> "VlmOptions":
        """Options from a profile's mapping. where: what messages call it, as in "lab.yaml: vlm".

        Raises UserError that names the first entry that is unknown, missing or of a wrong type or value.
        """
        names = [entry.name for entry in fields(cls)]
        if not isinstance(entries, Mapping) or "model" not in entries:
            raise UserError(f"{where} must be a mapping with the entry model, and any of {', '.join(names[1:])}.")
        for name in entries:
            if name not in names:
                raise UserError(f"{where} has no option {name!r}: choose from {', '.join(names)}.")
        for name, choices in (("dtype", ("bf16", "fp16")), ("quantization", ("4bit", None)), ("sleep", (True, False))):
            # `in` alone would take 1 for True.
            if name in entries and not any(
                entries[name] is choice or entries[name] == choice != 1 for choice in choices
            ):
                shown = ", ".join("null" if choice is None else str(choice).lower() for choice in choices)
                raise UserError(f"{where}: {name} cannot be {entries[name]!r}: choose from {shown}.")
        for name, least in (("concurrent", 1), ("context", LEAST_CONTEXT)):
            value = entries.get(name, least)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise UserError(f"{where}: {name} must be a whole number of at least {least}, not {value!r}.")
        path = entries.get("path")
        if path is not None and (not isinstance(path, str | Path) or not str(path)):
            raise UserError(f"{where}: path must be a path, not {path!r}.")
        chosen = cls(**{**entries, "path": None if path is None else Path(path).expanduser()})
        entry = catalogue().vlm(chosen.model, where)
        if chosen.context > entry.context:
            raise UserError(f"{where}: {chosen.model} reads {entry.context} tokens at most, not {chosen.context}.")
        return chosen
