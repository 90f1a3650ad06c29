"""The describer: pixels to words. It never sees a scene, a label or a hypothesis.

`Describer.describe_text` writes one line of a regular form (words are the vocabulary's canonical ones):

    LINE    = REGION [ "; darkened: " REST ]        the rest is there if part of the picture is darkened
    REGION  = CONTENT | "nothing is highlighted"
    REST    = CONTENT
    CONTENT = OBJECTS | OBJECTS "; background: " BACKGROUND | "background: " BACKGROUND
            | "close-up of a " COLOUR " " PATTERN " surface" | "nothing that has a name"
    OBJECTS = OBJECT { ", " OBJECT }                 the greatest share first
    OBJECT  = ("a" | "an") [ " " COLOUR " " PATTERN ] " " NOUN      PATTERN may be "plain"

as in "a red dotted dog; background: snow; darkened: a blue plain ball; background: snow".
`summarize` counts what the regions show, a family in each part, most frequent first:

    "Of 15 regions: noun dog 12, cat 2; colour red 9; pattern dotted 3; background snow 10."
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from scipy.ndimage import distance_transform_edt, label
from torch import nn

from ..threads import one_thread
from .dense import BACKGROUND_CELL, BACKGROUND_NAMES, CELL, GRID, SURFACE_CELL, DenseHead, FrozenNet, look
from .masked_view import recover
from .scene import SIZE
from .second_look import ObjectHead, name_object
from .vocabulary import BACKGROUNDS, COLOURS, NOUNS, PATTERNS, PLAIN

OBJECT_SHARE = 0.30
"""An object is named if it takes at least this share of the region …"""
OBJECT_COVER = 0.5
"""… or if at least this share of it lies in the region …"""
TOUCHED_SHARE, TOUCHED_COVER = 0.10, 0.12
"""… or if both are at least these: less is a neighbour whose border the cells drew too wide."""
BACKGROUND_SHARE = 0.30
"""A background is named if it takes at least this share of the region (of a whole picture: 0.1)."""
WHOLE_BACKGROUND_SHARE = 0.10
SMALLEST = 3  # cells: less is no object but an error at a border
SECOND_NOUN = 0.18  # share of connected cells that a second noun needs to be an object of its own
PREFIXES = ("dense.", "object.")
WEIGHTS = Path(__file__).with_name("describer.safetensors")


@dataclass(frozen=True)
class DescribedObject:
    """share: of the region, 0..1. colour and pattern are None where no body was seen."""

    noun: str
    colour: str | None
    pattern: str | None
    share: float

    def __str__(self) -> str:
        words = [word for word in (self.colour, self.pattern, self.noun) if word]
        return f"{'an' if words[0][0] in 'aeiou' else 'a'} {' '.join(words)}"


@dataclass(frozen=True)
class Content:
    """What a part of the picture shows. surface: (colour, pattern) of a close-up."""

    objects: tuple[DescribedObject, ...] = ()
    background: str | None = None
    surface: tuple[str, str] | None = None

    def __str__(self) -> str:
        if self.surface:
            return f"close-up of a {self.surface[0]} {self.surface[1]} surface"
        parts = [", ".join(map(str, self.objects))] if self.objects else []
        if self.background:
            parts.append(f"background: {self.background}")
        return "; ".join(parts) or "nothing that has a name"


@dataclass(frozen=True)
class Description:
    """What an observer sees in one image: in the highlighted region, and in the darkened rest (None: all is lit)."""

    region: Content | None
    rest: Content | None

    @property
    def objects(self) -> tuple[DescribedObject, ...]:
        """Objects of the region, the greatest share first."""
        return self.region.objects if self.region else ()

    @property
    def background(self) -> str | None:
        """Background of the region, if it takes enough of it."""
        return self.region.background if self.region else None

    @property
    def surface(self) -> tuple[str, str] | None:
        """(colour, pattern) if the picture is a close-up."""
        return self.region.surface if self.region else None

    @property
    def text(self) -> str:
        """One line: the form is in this module's docstring."""
        line = "nothing is highlighted" if self.region is None else str(self.region)
        return line if self.rest is None else f"{line}; darkened: {self.rest}"


@dataclass(frozen=True)
class SeenObject:
    """An object of the whole picture. cells: bool [28, 28]."""

    noun: str
    colour: str | None
    pattern: str | None
    cells: np.ndarray


@dataclass(frozen=True)
class Pieces:
    """Where things are: each bool [28, 28]. In a close-up the one object is the surface."""

    objects: tuple[np.ndarray, ...]
    background: str | None
    background_cells: np.ndarray
    close_up: bool


@dataclass(frozen=True)
class Sight:
    """What the whole picture shows. background_cells: bool [28, 28]. surface: set in a close-up."""

    objects: tuple[SeenObject, ...]
    background: str | None
    background_cells: np.ndarray
    surface: tuple[str, str] | None = None


def load_heads(path: Path = WEIGHTS) -> tuple[DenseHead, ObjectHead]:
    """The trained heads. FileNotFoundError if the weights are missing, RuntimeError if they do not fit."""
    state = load_file(path)
    heads = DenseHead(), ObjectHead()
    for prefix, head in zip(PREFIXES, heads, strict=True):
        head.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
        head.eval().requires_grad_(False)
    heads[0].to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return heads


class Describer:
    """Describes the highlighted region of masked images (or whole images). Deterministic; runs on the CPU.

    Raises UserError if EfficientNet's weights are not installed, and what `load_heads` raises.
    """

    def __init__(self, weights: Path = WEIGHTS) -> None:
        self._net = FrozenNet()
        self._dense, self._naming = load_heads(weights)

    @property
    def modules(self) -> dict[str, nn.Module]:
        """Its networks, by name."""
        return {"features": self._net.module, "dense": self._dense, "naming": self._naming}

    def see(self, image: np.ndarray) -> Sight:
        """What a whole picture, uint8 [224, 224, 3], shows."""
        found = look(self._net, self._dense, image)
        pieces, body = find(found), np.exp(found["body"][0])
        with one_thread():
            named = [name_object(self._net, self._naming, image, cells, body) for cells in pieces.objects]
        if pieces.close_up:
            return Sight((), None, pieces.background_cells, named[0][1:])
        objects = []
        for (noun, colour, pattern), cells in zip(named, pieces.objects, strict=True):
            bare = body[cells].sum() < 0.5  # no body in sight: nothing carries a colour
            objects.append(SeenObject(noun, None if bare else colour, None if bare else pattern, cells))
        return Sight(tuple(objects), pieces.background, pieces.background_cells)

    def describe(self, image: Image.Image) -> Description:
        """What the region of an RGB image (224x224; others are resized to it) shows."""
        pixels = image.convert("RGB")
        if pixels.size != (SIZE, SIZE):
            pixels = pixels.resize((SIZE, SIZE), Image.Resampling.NEAREST)  # keeps the outline's exact colour
        view = recover(np.array(pixels))
        sight = self.see(view.image)
        whole = bool(view.region.all())
        region = content(sight, view.region, WHOLE_BACKGROUND_SHARE if whole else BACKGROUND_SHARE)
        rest = content(sight, ~view.region, WHOLE_BACKGROUND_SHARE)
        return Description(region if view.region.any() else None, None if whole else rest)

    def describe_text(self, image: Image.Image) -> str:
        """`describe(image).text`."""
        return self.describe(image).text

    def summarize(self, images: Sequence[Image.Image]) -> str:
        """What the regions have in common, with counts: the form is in this module's docstring."""
        return summary([self.describe(image) for image in images])


def find(found: dict[str, np.ndarray]) -> Pieces:
    """Objects and background of a picture from the cells' log-probabilities (`dense.look`)."""
    noun = found["noun"]
    everywhere = np.ones((GRID, GRID), bool)
    if (noun.argmax(axis=0) == SURFACE_CELL).mean() > 0.5:
        return Pieces((everywhere,), None, ~everywhere, close_up=True)
    nouns = noun[: len(NOUNS)]
    covered = np.logaddexp.reduce(nouns, axis=0) > noun[BACKGROUND_CELL]
    islands, count = label(covered)
    objects: list[np.ndarray] = []
    for island in range(1, count + 1):
        if (islands == island).sum() >= SMALLEST:
            objects += _objects_of(nouns, islands == island)
    background = None
    if not covered.all():
        background = BACKGROUND_NAMES[int(found["background"][:, ~covered].sum(axis=1).argmax())]
    return Pieces(tuple(objects), background, ~covered, close_up=False)


def _objects_of(nouns: np.ndarray, island: np.ndarray) -> list[np.ndarray]:
    """The objects of connected cells: a noun with few cells is an error, and its cells go to the nearest object."""
    best = nouns.argmax(axis=0)
    votes = np.bincount(best[island], minlength=len(NOUNS))
    accepted = np.flatnonzero((votes >= SMALLEST) & (votes >= SECOND_NOUN * island.sum()))
    if len(accepted) < 2:
        return [island]
    certain = island & np.isin(best, accepted)
    rows, columns = distance_transform_edt(~certain, return_distances=False, return_indices=True)
    winner = best[rows, columns]
    return [island & (winner == index) for index in accepted]


def content(sight: Sight, region: np.ndarray, background_share: float) -> Content:
    """What lies in a bool [224, 224] region: objects that cover enough of it (or lie in it), and the background."""
    if not region.any():
        return Content()
    if sight.surface:
        return Content(surface=sight.surface)
    inside = region.reshape(GRID, CELL, GRID, CELL).mean(axis=(1, 3))
    area = inside.sum()
    objects = []
    for seen in sight.objects:
        share, cover = inside[seen.cells].sum() / area, inside[seen.cells].mean()
        touched = share >= TOUCHED_SHARE and cover >= TOUCHED_COVER
        if share >= OBJECT_SHARE or cover >= OBJECT_COVER or touched:
            objects.append(DescribedObject(seen.noun, seen.colour, seen.pattern, round(float(share), 3)))
    objects.sort(key=lambda entry: -entry.share)
    shown = inside[sight.background_cells].sum() / area >= background_share
    return Content(tuple(objects), sight.background if shown else None)


def summary(descriptions: Sequence[Description]) -> str:
    """Counts of what the regions show; a value counts once an image. Values seen once are left out if any is not."""
    families: dict[str, tuple[str, ...]] = {
        "noun": tuple(NOUNS),
        "colour": tuple(COLOURS),
        "pattern": (*PATTERNS, PLAIN),
        "background": tuple(BACKGROUNDS),
    }
    counts: dict[str, Counter[str]] = {family: Counter() for family in families}
    for description in descriptions:
        surface = description.surface or (None, None)
        values: dict[str, set[str | None]] = {
            "noun": {entry.noun for entry in description.objects},
            "colour": {entry.colour for entry in description.objects} | {surface[0]},
            "pattern": {entry.pattern for entry in description.objects} | {surface[1]},
            "background": {description.background},
        }
        for family, here in values.items():
            counts[family].update(value for value in here if value is not None)
    parts = []
    for family, order in families.items():
        ranked = sorted(counts[family].items(), key=lambda item: (-item[1], order.index(item[0])))
        kept = [item for item in ranked if item[1] > 1 or ranked[0][1] == 1][:5]
        if kept:
            parts.append(f"{family} " + ", ".join(f"{value} {count}" for value, count in kept))
    return f"Of {len(descriptions)} regions: " + ("; ".join(parts) or "nothing that has a name") + "."
