"""What an exemplar index says about some units: named by a person, as data, as JSON and as terminal tables."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from ..engine.exemplars import EXEMPLARS, MASK_QUANTILE, Exemplar, ExemplarIndex, Status
from ..models.errors import UserError
from ..models.targets import Unit, parse_units
from .index_plots import Histogram, rebin
from .report_parts import clean
from .report_plots import digits_for, number


@dataclass(frozen=True)
class UnitAnswer:
    """A unit over the index's dataset.

    lowest, highest, p50, p95: of its activations (one an image). threshold: what its map must exceed to be shown, and
    threshold_is: where that comes from, in words. exemplars: highest first. activations: histogram over the images;
    map_values: over the sampled positions, None where the index keeps none.
    """

    unit: Unit
    status: Status
    lowest: float
    highest: float
    p50: float
    p95: float
    threshold: float
    threshold_is: str
    exemplars: list[Exemplar]
    activations: Histogram
    map_values: Histogram | None

    @property
    def name(self) -> str:
        """As `query_units` reads it."""
        return f"{self.unit.layer}:{self.unit.index}"

    def number(self, value: float) -> str:
        """A value with decimals that fit the unit's activations."""
        largest = max(abs(v) for v in (self.highest, self.lowest, 0.0) if math.isfinite(v))
        return number(value, digits_for(largest) + 1)  # exemplars are often near each other

    @property
    def meaning(self) -> str:
        """What the status says, in a sentence."""
        if self.status == "saturated":
            return (
                f"At least half of the images drive it to its highest value, {self.number(self.highest)}, so that no "
                "image stands out and any exemplars would be an arbitrary choice."
            )
        if self.status == "dead" and self.lowest == self.highest:
            return f"Every image gives {self.number(self.lowest)}, so that there is nothing to show or to describe."
        if self.status == "dead":
            return (
                f"Fewer than {EXEMPLARS} images raise it above its lowest value, {self.number(self.lowest)}, so that "
                "there is too little to show or to describe."
            )
        return f"It varies over the dataset, and its {len(self.exemplars)} strongest images are its exemplars."


@dataclass(frozen=True)
class _Indexed:
    """What `parse_units` needs to know of a target: the layers that the index holds."""

    name: str
    layers: dict[str, int]


def query_units(index: ExemplarIndex, text: str) -> list[Unit]:
    """The units that "layer4:122", "layer4:3,7-9" or "blocks.10=3,47:head=9" name, in the order written.

    Raises UserError for other text, a unit named twice, and a layer or index that the index lacks (it lists them).
    """
    if "=" not in text:
        layer, colon, indices = (piece.strip() for piece in text.rpartition(":"))
        if not (layer and colon and indices):
            raise UserError(
                f"{text!r} names no unit: write layer:index, such as {next(iter(index.layers))}:0, with the layers "
                f"{', '.join(f'{name} (0-{count - 1})' for name, count in index.layers.items())}."
            )
        text = f"{layer}={indices}"
    for part in text.split(":"):
        layer, equals, _ = part.partition("=")
        if layer.strip() and equals:
            index.check_layer(layer.strip())
    return parse_units(text, _Indexed(index.facts.target, index.layers))  # type: ignore[arg-type]


def answer(index: ExemplarIndex, unit: Unit) -> UnitAnswer:
    """All that the index says about a unit. Raises UserError if it lacks the unit or is damaged."""
    own = index.facts.mask_threshold
    threshold = index.threshold(unit)
    if own is not None:
        source = "the target's own"
    elif threshold == np.float32(index.quantile(unit, MASK_QUANTILE)):
        source = f"the {MASK_QUANTILE:g} quantile of its map values"
    else:
        source = f"just below its highest value, which is the {MASK_QUANTILE:g} quantile of its map values"
    lowest, highest = index.percentile(unit, 0), index.percentile(unit, 1)
    activations = rebin(index.counts(unit, "maxima"), lowest, highest)
    cells = rebin(index.counts(unit, "cells"), None, highest) if own is None else None
    found = index.entries(unit, min(EXEMPLARS, index.facts.k))
    p50, p95 = index.percentile(unit, 0.5), index.percentile(unit, 0.95)
    return UnitAnswer(unit, index.status(unit), lowest, highest, p50, p95, threshold, source, found, activations, cells)


def as_json(index: ExemplarIndex, answers: Sequence[UnitAnswer]) -> dict[str, Any]:
    """The answers as JSON holds them: numbers that are not finite are null; rows and columns count from 0."""
    facts, images = index.facts, index.manifest.images
    return {
        "target": facts.target,
        "dataset": {"name": index.manifest.dataset, "kind": facts.dataset_kind, **images},
        "mask_quantile": MASK_QUANTILE if facts.mask_threshold is None else None,
        "units": [_unit_as_json(found) for found in answers],
    }


def _unit_as_json(found: UnitAnswer) -> dict[str, Any]:
    return {
        "unit": str(found.unit),
        "layer": found.unit.layer,
        "index": found.unit.index,
        "status": found.status,
        "meaning": found.meaning,
        **{name: _finite(getattr(found, name)) for name in ("lowest", "highest", "p50", "p95", "threshold")},
        "threshold_is": found.threshold_is,
        "exemplars": [
            {
                "rank": rank,
                "id": exemplar.id,
                "file": exemplar.key,
                "activation": _finite(exemplar.value),
                "position": None if exemplar.position is None else list(exemplar.position),
                "map_size": None if exemplar.map is None else list(exemplar.map.shape),
            }
            for rank, exemplar in enumerate(found.exemplars, 1)
        ],
        "activations": found.activations.as_json(),
        "map_values": found.map_values.as_json() if found.map_values else None,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def bad_images(index: ExemplarIndex) -> str:
    """How many images could not be read, by reason: "3 (2 truncated, 1 empty)", or "none"."""
    bad = index.manifest.images["bad"]
    reasons = ", ".join(f"{count} {reason}" for reason, count in bad.items())
    return f"{sum(bad.values())} ({reasons})" if bad else "none"


def place_of(exemplar: Exemplar) -> str:
    """Where in the map the maximum is, counted from 1: "row 3, column 4 of 7 × 7"; "" where there is but one place."""
    if exemplar.position is None or exemplar.map is None or exemplar.map.size == 1:
        return ""
    (row, column), (rows, columns) = exemplar.position, exemplar.map.shape
    return f"row {row + 1}, column {column + 1} of {rows} × {columns}"


def tables(index: ExemplarIndex, answers: Sequence[UnitAnswer]) -> Iterator[Text | Table]:
    """The answers for a terminal; names of files are shown as they are, never read as markup."""
    images = index.manifest.images
    yield Text(
        f"{index.facts.target} over {clean(index.manifest.dataset)}: {images['read']:,} of {images['entries']:,} "
        f"images read; bad: {bad_images(index)}."
    )
    for found in answers:
        line = f"\n{found.name}  {found.status}. p50 {found.number(found.p50)}, p95 {found.number(found.p95)}, "
        line += f"range {found.number(found.lowest)} to {found.number(found.highest)}. "
        yield Text(line + f"Masks show values above {found.number(found.threshold)}, {found.threshold_is}.")
        if found.status != "ok":
            yield Text(f"{found.status.capitalize()}: {found.meaning}")
            continue
        table = Table("rank", "activation", "file", "maximum at", box=None, pad_edge=False)
        for rank, exemplar in enumerate(found.exemplars, 1):
            name = Text(clean(exemplar.key), overflow="fold")
            table.add_row(str(rank), found.number(exemplar.value), name, place_of(exemplar) or "–")
        yield table
