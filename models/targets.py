"""What is interpreted: targets (networks, ground-truth neurons), their units, and how a unit is named."""

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import numpy as np
from PIL import Image

from .errors import UserError

LISTED = 60
"""Choices that an error names: all layers of an ordinary target, not the hundreds of modules of a large network."""


@dataclass(frozen=True, order=True)
class Unit:
    """One unit of a target: a channel of a layer. Written `target.layer.index`; a target's name holds no dot."""

    target: str
    layer: str
    index: int

    def __str__(self) -> str:
        return f"{self.target}.{self.layer}.{self.index}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The unit that `str(unit)` wrote. Raises UserError for anything else."""
        match = re.fullmatch(r"([^.\s]+)\.([^\s]+)\.([0-9]+)", text)
        if match is None:
            raise UserError(
                f"{text!r} names no unit: write target.layer.index, such as efficientnet-lite0.blocks.10.47."
            )
        return cls(match[1], match[2], int(match[3]))


@dataclass(frozen=True)
class Response:
    """A unit's answer to one picture. value: maximum over positions. map: float32 [h, w]."""

    value: float
    map: np.ndarray


class Target(Protocol):
    """A network, or a set of ground-truth neurons, that answers pictures.

    name: as in `registry`. fingerprint: changes when weights or definition change. layers: units of each layer, in
    order of depth. mask_threshold: what a unit's map must exceed to be shown in a masked image, or None where it is
    the unit's quantile over a dataset (`engine.exemplars`).
    """

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def layers(self) -> dict[str, int]: ...
    @property
    def mask_threshold(self) -> float | None: ...

    def view(self, image: Image.Image) -> Image.Image:
        """The part of the picture that the target looks at, in RGB: what its maps cover from edge to edge."""
        ...

    def maps(self, images: Sequence[Image.Image], layers: Sequence[str]) -> dict[str, np.ndarray]:
        """Activation maps of all units: float32 [B, C, h, w] for each layer."""
        ...

    def maxima(self, images: Sequence[Image.Image], layers: Sequence[str]) -> dict[str, np.ndarray]:
        """Maximum over positions of all units: float32 [B, C] for each layer."""
        ...

    def respond(self, images: Sequence[Image.Image], unit: Unit) -> list[Response]:
        """One unit's answers. The bits of an answer depend on its picture alone, not on the others given."""
        ...

    def check(self, unit: Unit) -> None:
        """Raises UserError that lists what is valid if the target lacks the unit: see `check_unit`."""
        ...


@runtime_checkable
class NamedUnits(Protocol):
    """A target whose units have names beside their indices."""

    def index_of(self, layer: str, name: str) -> int:
        """The index of the unit of that name. Raises UserError that lists the nearest names for another."""
        ...


def check_unit(target: Target, unit: Unit) -> None:
    """Raises UserError that lists the valid layers (the nearest first) or indices if the target lacks the unit."""
    if unit.target != target.name:
        raise UserError(f"{unit} belongs to the target {unit.target!r}, not to {target.name!r}.")
    check_layers(target, [unit.layer])
    count = target.layers[unit.layer]
    if not 0 <= unit.index < count:
        raise UserError(
            f"{target.name} has no unit {unit.index} in layer {unit.layer!r}: its indices run from 0 to {count - 1}."
        )


def check_layers(target: Target, layers: Sequence[str]) -> None:
    """Raises UserError that lists the valid layers, the nearest first, if one is unknown."""
    for layer in layers:
        if layer not in target.layers:
            raise UserError(f"{target.name} has no layer {layer!r}: choose from {nearest_first(layer, target.layers)}.")


def nearest_first(word: str, choices: Sequence[str] | dict[str, int]) -> str:
    """The choices as text, the most similar to `word` first, others in their own order; LISTED of them at most."""
    nearest = difflib.get_close_matches(word, list(choices), n=3, cutoff=0.5)
    ordered = [*nearest, *(choice for choice in choices if choice not in nearest)]
    more = f" and {len(ordered) - LISTED} more" if len(ordered) > LISTED else ""
    return ", ".join(ordered[:LISTED]) + more


def parse_units(text: str, target: Target) -> list[Unit]:
    """The units that "layer=3,47:other=9,12-15" names, in the order written; ranges include both ends.

    Units of a target that has names for them (`NamedUnits`) may be named so: "mono=stripes,7:conditional=dog|leash".

    Raises UserError for bad syntax, a unit named twice, or a layer or index that the target lacks.
    """
    units: list[Unit] = []
    for part in text.split(":"):
        layer, equals, indices = (piece.strip() for piece in part.partition("="))
        if not (layer and equals and indices):
            raise UserError(
                f"{part!r} names no units: write layer=index,index:layer=index, such as blocks.10=3,47:head=9."
            )
        check_layers(target, [layer])
        for item in indices.split(","):
            units.extend(Unit(target.name, layer, index) for index in _parse_indices(item.strip(), layer, target))
    for unit, count in Counter(units).items():
        if count > 1:
            raise UserError(f"{unit.layer}={unit.index} is named more than once: name every unit once.")
    return units


def _parse_indices(item: str, layer: str, target: Target) -> range:
    match = re.fullmatch(r"([0-9]+)(?:\s*-\s*([0-9]+))?", item)
    if match is None and isinstance(target, NamedUnits):
        place = target.index_of(layer, item)
        target.check(Unit(target.name, layer, place))
        return range(place, place + 1)
    if match is None:
        raise UserError(f"{item!r} is no index of layer {layer!r}: write a number or a range such as 3-7.")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise UserError(f"the range {item} of layer {layer!r} runs backwards: write {last}-{first}.")
    check_unit(target, Unit(target.name, layer, first))
    check_unit(target, Unit(target.name, layer, last))
    return range(first, last + 1)
