"""The exemplar index: what every unit of some layers does over a dataset, ready to be asked.

Per unit: the images that activate it most, with activations, places and activation maps; quantiles of its map values
(the threshold of masked images) and of its activations (what scores are normalised by); whether it is dead or
saturated. `engine.index_build` makes it.

Files of an index: manifest.json, layers/LAYER.safetensors, winners.json (names of the exemplars in the dataset),
problems.jsonl (images that could not be read), pictures.zip (the exemplars' pictures, where the dataset is not a part
of this program).
"""

import hashlib
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import safetensors
from PIL import Image

from ..kernels.sketch import quantile
from ..models.errors import UserError
from ..models.targets import Target, Unit, nearest_first
from .index_files import picture_name
from .index_part import SparseCounts

EXEMPLARS = 15
"""Exemplars of a unit (the paper, section 3.2)."""

MASK_QUANTILE = 0.99
"""Quantile of a unit's map values above which a masked image shows it.

The paper's figure 2 says .95, its predecessors (network dissection, MILAN) .99 and more. Looked at on
EfficientNet-Lite0: .95 shows 25-35 % of an exemplar in deep layers, object and surroundings, and in the middle layers
94 % of all images have some region, so that an outline says nothing. At .99 it is 10-20 %, the object itself, and in
deep layers about 15 % of all images have a region (in the middle ones still 70 %).
"""

SAMPLES = 16
"""Positions of each map, about, whose values stand for all in the quantiles."""

FORMAT = 2

Status = Literal["ok", "dead", "saturated"]


@dataclass(frozen=True)
class IndexFacts:
    """What an index is of. Two indexes with the same facts and the same arithmetic hold the same bytes.

    dataset_size: entries of the dataset, those that cannot be read included. k: exemplars of a unit. samples:
    positions of a map that are counted (None: all). mask_threshold: the target's own, or None where quantiles of
    map values are kept. captions: the filter by which a concept detector was asked (None: about all images).
    """

    target: str
    target_fingerprint: str
    dataset_kind: str
    dataset_fingerprint: str
    dataset_size: int
    mask_threshold: float | None
    k: int = EXEMPLARS
    samples: int | None = SAMPLES
    format: int = FORMAT
    captions: dict[str, Any] | None = None

    @property
    def key(self) -> str:
        """Names the index in a cache."""
        # Without what is not there, so that indexes of before there was a choice keep their names.
        told = {name: value for name, value in asdict(self).items() if name != "captions" or value is not None}
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
        return f"{self.target}-{digest[:16]}"


@dataclass(frozen=True)
class Exemplar:
    """An image that activates a unit. id: its ordinal in the dataset. key: its name there. value: the activation.

    position: (row, column) of the maximum in map, which is float32 [h, w]; both None where the index holds no maps.
    """

    id: int
    key: str
    value: float
    position: tuple[int, int] | None
    map: np.ndarray | None


@dataclass
class Manifest:
    """manifest.json. layers: units, file and its sha256 of each layer. files: sha256 of the other files by name.

    arithmetic: what the bits of activations depend on besides target and image (device, dtype, batch, threads, torch).
    images: entries, read, bad (by reason), skipped (files that are no entries, by extension).
    """

    facts: IndexFacts
    arithmetic: dict[str, Any]
    layers: dict[str, dict[str, Any]]
    images: dict[str, Any]
    files: dict[str, str]
    versions: dict[str, str] = field(default_factory=dict)
    dataset: str = ""

    def to_json(self) -> bytes:
        """The file's content."""
        return (json.dumps(asdict(self), indent=2, sort_keys=True) + "\n").encode()

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Raises UserError if there is none, or it is damaged."""
        path = directory / "manifest.json"
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["facts"].get("format") != FORMAT:
                raise UserError(
                    f"the exemplar index {directory} has format {data['facts'].get('format')}, and this version of "
                    f"MAIA reads format {FORMAT}: build it again into another directory."
                )
            return cls(**data | {"facts": IndexFacts(**data["facts"])})
        except FileNotFoundError:
            raise UserError(f"there is no exemplar index in {directory}: build one with `maia index build`.") from None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise UserError(f"{path} is damaged: {REMEDY.format(directory=directory)}") from None


REMEDY = "delete {directory} and build it again (`maia index build`)."


def check_facts(found: IndexFacts, expected: IndexFacts, where: Path) -> None:
    """Raises UserError that names what differs."""
    wanted = asdict(expected)
    differing = [
        f"{name.replace('_', ' ')} is {value}, not {wanted[name]}"
        for name, value in asdict(found).items()
        if value != wanted[name]
    ]
    if differing:
        raise UserError(
            f"the exemplar index {where} is of something else ({'; '.join(differing)}): give another directory, or "
            "delete it to have it built anew."
        )


class ExemplarIndex:
    """Answers about units over a dataset."""

    def __init__(self, directory: Path, manifest: Manifest):
        self.directory, self.manifest = directory, manifest
        self.facts = manifest.facts
        self._opened: dict[str, Any] = {}
        self._winners: dict[str, str] | None = None
        self._pictures: zipfile.ZipFile | None = None

    @classmethod
    def open(cls, directory: Path, expected: IndexFacts | None = None, layers: Sequence[str] = ()) -> Self:
        """The index in a directory. A layer's file is checked when it is first asked for.

        Raises UserError if it is missing or damaged, of something else than `expected` (what differs is named), or
        lacks one of `layers`.
        """
        manifest = Manifest.read(directory)
        if expected is not None:
            check_facts(manifest.facts, expected, directory)
        index = cls(directory, manifest)
        for layer in layers:
            index.check_layer(layer)
        return index

    @property
    def layers(self) -> dict[str, int]:
        """Number of units of each layer."""
        return {name: row["units"] for name, row in self.manifest.layers.items()}

    def check_target(self, target: Target) -> None:
        """Raises UserError unless the index is of this target."""
        if (self.facts.target, self.facts.target_fingerprint) != (target.name, target.fingerprint):
            what = "name" if self.facts.target != target.name else "weights or definition"
            raise UserError(
                f"the exemplar index {self.directory} is of the target {self.facts.target}, whose {what} differs from "
                f"{target.name}'s: give the index of this target, or build one with `maia index build`."
            )

    def exemplars(self, unit: Unit, k: int = EXEMPLARS) -> list[tuple[int, float]]:
        """The k images that activate the unit most, as (image id, activation), highest first; ties go to the lower id.

        Images that leave the unit at its floor (its lowest activation over the dataset) are no exemplars: a dead
        unit has none, and a ground-truth neuron only those that hold its concept. Raises ValueError for more than
        the index keeps.
        """
        if k > self.facts.k:
            raise ValueError(f"the index keeps {self.facts.k} exemplars of a unit, not {k}")
        values, floor = self._row(unit, "values"), float(self._row(unit, "lowest"))
        ids = self._row(unit, "ids")
        return [(int(i), float(v)) for i, v in zip(ids[:k], values[:k], strict=True) if i >= 0 and v > floor]

    def entries(self, unit: Unit, k: int = EXEMPLARS) -> list[Exemplar]:
        """`exemplars` with their names, places and maps."""
        found = self.exemplars(unit, k)
        maps = self._row(unit, "maps") if "maps" in self._layer(unit) else None
        positions = self._row(unit, "positions")
        entries = []
        for place, (ordinal, value) in enumerate(found):
            grid = None if maps is None else np.array(maps[place])
            at = None if grid is None else divmod(int(positions[place]), grid.shape[1])
            entries.append(Exemplar(ordinal, self.key(ordinal), value, at, grid))
        return entries

    def key(self, ordinal: int) -> str:
        """The name in the dataset of an image that is an exemplar. Raises KeyError for another."""
        if self._winners is None:
            self._winners = json.loads(self._checked_file("winners.json").read_text(encoding="utf-8"))
        return self._winners[str(ordinal)]

    def picture(self, ordinal: int) -> Image.Image:
        """What the target saw of an exemplar: RGB, from the index alone. Raises UserError where none are kept."""
        if "pictures.zip" not in self.manifest.files:
            raise UserError(
                f"the exemplar index {self.directory} keeps no pictures: its dataset ({self.manifest.dataset}) "
                "is a part of this program and is drawn again."
            )
        if self._pictures is None:
            self._pictures = zipfile.ZipFile(self.directory / "pictures.zip")
        try:
            with self._pictures.open(picture_name(ordinal)) as file:
                return Image.open(file).convert("RGB")
        except (KeyError, OSError, zipfile.BadZipFile):
            raise self._damaged("pictures.zip") from None

    @property
    def has_pictures(self) -> bool:
        """Whether `picture` answers: not for a dataset that is a part of this program."""
        return "pictures.zip" in self.manifest.files

    def threshold(self, unit: Unit, q: float = MASK_QUANTILE) -> float:
        """What the unit's map must exceed to be shown: the target's own threshold, or a quantile of its map values.

        The quantile is that of the values at about `facts.samples` positions of every image, the same ones in every
        build, read from a histogram: its value is within 1.6 % of theirs (`kernels.sketch.RELATIVE_ERROR`).
        It is below the unit's highest value if the unit varies at all: one that often reaches its ceiling (the .99
        quantile of a fifth of EfficientNet-Lite0's head is ReLU6's 6) shows where it does so, instead of nothing.
        """
        highest, lowest = self._row(unit, "highest"), self._row(unit, "lowest")
        if self.facts.mask_threshold is not None:
            return self.facts.mask_threshold
        found = np.float32(self.quantile(unit, q))
        if highest == lowest:
            return float(found)
        return float(min(found, np.nextafter(highest, np.float32(-np.inf))))

    def quantile(self, unit: Unit, q: float) -> float:
        """Quantile q (0..1) of the unit's map values at the sampled positions. Raises ValueError if none are kept."""
        if self.facts.mask_threshold is not None:
            raise ValueError(f"the index of {self.facts.target} keeps no map values")
        return float(quantile(self.counts(unit, "cells"), q, None, float(self._row(unit, "highest"))))

    def percentile(self, unit: Unit, q: float) -> float:
        """Quantile q (0..1) of the unit's activations over the images, within 1.6 %; the extremes are exact."""
        lowest, highest = float(self._row(unit, "lowest")), float(self._row(unit, "highest"))
        if q in (0, 1):
            return highest if q else lowest
        return float(quantile(self.counts(unit, "maxima"), q, lowest, highest))

    def counts(self, unit: Unit, what: Literal["cells", "maxima"]) -> np.ndarray:
        """int64 [BINS]: the histogram of map values or of activations (bins: `kernels.sketch.bin_edges`)."""
        file = self._layer(unit)
        return SparseCounts(file[f"{what}_at"], file[f"{what}_n"]).row(unit.index)

    def status(self, unit: Unit) -> Status:
        """ "saturated": at least half of the images drive the unit to its one highest value, and that is positive.

        "dead": fewer than EXEMPLARS images raise it above its floor, so there is nothing to describe.
        """
        images = int(self.counts(unit, "maxima").sum())
        highest, lowest = float(self._row(unit, "highest")), float(self._row(unit, "lowest"))
        if highest > 0 and int(self._row(unit, "highest_count")) * 2 >= images:
            return "saturated"
        raised = images - int(self._row(unit, "lowest_count")) if highest > lowest else 0
        return "dead" if raised < EXEMPLARS else "ok"

    def verify(self) -> list[str]:
        """What is wrong with the index's files, one sentence each; reads all of them."""
        wrong = []
        named = {row["file"]: row["sha256"] for row in self.manifest.layers.values()} | self.manifest.files
        for name, sha256 in sorted(named.items()):
            path = self.directory / name
            if not path.is_file():
                wrong.append(f"{name} is missing")
            elif sha256_of(path) != sha256:
                wrong.append(f"{name} is damaged: its bytes are not those that were written")
        return wrong

    def _row(self, unit: Unit, what: str) -> np.ndarray:
        return self._layer(unit)[what][unit.index]

    def _layer(self, unit: Unit) -> dict[str, Any]:
        """The layer's arrays; maps stay on disk and are read a unit at a time."""
        count = self.layers.get(unit.layer)
        if unit.target != self.facts.target or count is None or not 0 <= unit.index < count:
            raise UserError(
                f"the exemplar index holds {self.facts.target} with the layers {', '.join(self.layers)}, and not "
                f"{unit}: build one with the unit's layer."
            )
        if unit.layer not in self._opened:
            self.check_layer(unit.layer)
            row = self.manifest.layers[unit.layer]
            path = self.directory / row["file"]
            if not path.is_file() or sha256_of(path) != row["sha256"]:
                raise self._damaged(row["file"])
            file = safetensors.safe_open(path, framework="numpy")
            self._opened[unit.layer] = {
                name: file.get_slice(name) if name == "maps" else file.get_tensor(name)
                for name in file.keys()  # noqa: SIM118
            }
        return self._opened[unit.layer]

    def check_layer(self, layer: str) -> None:
        """Raises UserError that lists the index's layers, the nearest first, if it lacks this one."""
        if layer not in self.manifest.layers:
            raise UserError(
                f"the exemplar index {self.directory} has no layer {layer!r}: choose from "
                f"{nearest_first(layer, self.layers)}, or add it with `maia index build`."
            )

    def _checked_file(self, name: str) -> Path:
        path = self.directory / name
        if not path.is_file() or sha256_of(path) != self.manifest.files.get(name):
            raise self._damaged(name)
        return path

    def _damaged(self, name: str) -> UserError:
        remedy = REMEDY.format(directory=self.directory)
        return UserError(f"{self.directory / name} is missing or damaged: {remedy}")


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
