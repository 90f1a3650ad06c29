"""What each family of vision-language models can take: rows of facts, from `families.yaml`."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import yaml

from ..errors import UserError

_FILE = Path(__file__).parent / "families.yaml"

ImageRule = Literal["anyres", "fixed", "crop", "patches", "rows"]
"""How a picture's tokens are counted: see `images.py`, which has a function for each."""


@dataclass(frozen=True)
class Family:
    """architectures: names in a checkpoint's config.json by which it is recognised.

    images_per_turn: pictures that one user's message may hold (more go onto a contact sheet); 0: text only.
    images_per_prompt: in a whole dialogue. images_first: the chat template puts a message's pictures before its text,
    wherever they stood. system_role: the template takes a system message; else its text heads the first user message.
    image_side: pixels of a picture's longer side at most, as sent; sheet_side: of a contact sheet's. context: tokens
    that its published checkpoints read. server_args: options that a vLLM server needs for it. other_inputs: what it
    takes besides text and pictures, for which a server would set memory aside. vision_modules: parts of a weight's
    name by which the vision tower and the connector to the language model are told. image_rule, image_values: how its
    pictures' tokens are counted, with the values of its published checkpoints (a checkpoint at hand has its own).
    note: one sentence for people.
    """

    name: str
    architectures: tuple[str, ...]
    images_per_turn: int
    images_per_prompt: int
    images_first: bool
    system_role: bool
    image_side: int
    sheet_side: int
    context: int
    image_rule: ImageRule = "fixed"
    image_values: Mapping[str, Any] = field(default_factory=dict, hash=False)
    vision_modules: tuple[str, ...] = ()
    server_args: tuple[str, ...] = ()
    other_inputs: tuple[str, ...] = ()
    note: str = ""


@functools.cache
def families() -> Mapping[str, Family]:
    """All of `families.yaml`, by name."""
    rows = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    lists = {entry.name for entry in fields(Family) if str(entry.type).startswith("tuple")}

    def made(name: str, row: Mapping[str, Any]) -> Family:
        values: dict[str, Any] = {key: tuple(value) if key in lists else value for key, value in row.items()}
        return Family(name=name, **values)

    return {name: made(name, row) for name, row in rows.items()}


def family(name: str, where: str = "family") -> Family:
    """The row of that name. where: what the message calls it. Raises UserError with the valid names."""
    rows = families()
    if name not in rows:
        raise UserError(f"{where} cannot be {name!r}: choose from {', '.join(rows)}.")
    return rows[name]


def family_of(architectures: Sequence[str]) -> Family | None:
    """The family that one of a checkpoint's architectures belongs to; None where no row names it."""
    for row in families().values():
        if set(row.architectures) & set(architectures):
            return row
    return None
