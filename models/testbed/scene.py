"""A scene of the offline world: what is in the picture, and which concepts that makes true, with exact masks."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Self

import numpy as np

from .vocabulary import FAMILIES, GROUPS

SIZE = 224
"""Side of every picture in pixels."""


@dataclass(frozen=True)
class SceneObject:
    """One object. Its drawing fits the box [-1, 1]^2 (y down, standing on y = +1), scaled and moved.

    x, y: centre of that box in pixels. scale: half its side in pixels. tilt: degrees. flip: mirrored.
    colour, pattern: what its body carries. drawing: index into the noun's drawings.
    key: the object's own random stream (with the scene's seed), so that editing one object leaves the others alone.
    """

    noun: str
    colour: str
    pattern: str
    drawing: int
    x: float
    y: float
    scale: float
    tilt: float = 0.0
    flip: bool = False
    key: int = 0


@dataclass(frozen=True)
class Scene:
    """A background with objects (back to front), or a close-up: one surface of (colour, pattern) and nothing else."""

    seed: int
    background: str | None
    objects: tuple[SceneObject, ...] = ()
    surface: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        if (self.background is None) == (self.surface is None):
            raise ValueError("a scene has either a background or a surface")

    def to_json(self) -> dict[str, Any]:
        """Plain dict for json.dumps; `from_json` is its inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        objects = tuple(SceneObject(**entry) for entry in data["objects"])
        surface = data["surface"]
        return cls(data["seed"], data["background"], objects, tuple(surface) if surface else None)


@dataclass(frozen=True)
class Segments:
    """What is where in a drawn scene, without its colours. objects, body: as in `Rendering`."""

    objects: np.ndarray
    body: np.ndarray


@dataclass(frozen=True)
class Rendering:
    """A drawn scene.

    image: uint8 [224, 224, 3], RGB. objects: uint8 [224, 224], 0 where the background shows, i + 1 where
    scene.objects[i] does (a close-up is 1 everywhere). body: bool [224, 224], the pixels that carry their
    object's colour and pattern (a wheel's tyre is part of the wheel but not of its body).
    """

    image: np.ndarray
    objects: np.ndarray
    body: np.ndarray


@dataclass(frozen=True, order=True)
class Concept:
    """One atomic concept or one group of them ("striped" is any stripes). family: a key of FAMILIES."""

    family: str
    value: str

    def __post_init__(self) -> None:
        group = GROUPS.get(self.value)
        if self.value not in FAMILIES[self.family] and (group is None or group[0] != self.family):
            raise ValueError(f"{self.value!r} is no {self.family} of this world")

    @property
    def members(self) -> frozenset[str]:
        """The canonical words that make the concept true."""
        if self.value in GROUPS and GROUPS[self.value][0] == self.family:
            return frozenset(GROUPS[self.value][1])
        return frozenset((self.value,))

    def __str__(self) -> str:
        return self.value


def find_concept(word: str) -> Concept | None:
    """The concept that a canonical word or group names, or None."""
    for family, values in FAMILIES.items():
        if word in values:
            return Concept(family, word)
    return Concept(GROUPS[word][0], word) if word in GROUPS else None


def concept_present(scene: Scene, concept: Concept) -> bool:
    """Whether the scene file holds the concept (it may still be hidden in the picture: see `concept_mask`)."""
    members = concept.members
    if concept.family == "background":
        return scene.background in members
    if scene.surface is not None:
        return {"colour": scene.surface[0], "pattern": scene.surface[1]}.get(concept.family) in members
    return any(getattr(entry, concept.family) in members for entry in scene.objects)


def concept_mask(scene: Scene, rendering: Rendering | Segments, concept: Concept) -> np.ndarray:
    """bool [224, 224]: exactly where the concept is visible.

    A noun covers all parts of its objects; a colour or pattern covers the bodies that carry it (and
    close-ups); a background covers the pixels where it shows through. Backgrounds carry no colour or
    pattern of the vocabulary: grass is no green object.
    """
    members = concept.members
    if concept.family == "background":
        shown = rendering.objects == 0
        return shown if scene.background in members else np.zeros_like(shown)
    if scene.surface is not None:
        return np.full(rendering.body.shape, concept_present(scene, concept))
    wanted = [i + 1 for i, entry in enumerate(scene.objects) if getattr(entry, concept.family) in members]
    mask = np.isin(rendering.objects, wanted)
    return mask if concept.family == "noun" else mask & rendering.body


def concept_areas(scene: Scene, segments: Rendering | Segments) -> Callable[[Concept], int]:
    """The visible pixels of any concept: `concept_mask(...).sum()`, counted once for all concepts of a scene."""
    whole = segments.objects.size
    count = len(scene.objects) + 1
    visible = np.bincount(segments.objects.ravel(), minlength=count).tolist()
    bodies = np.bincount(segments.objects[segments.body], minlength=count).tolist()

    @cache
    def area(concept: Concept) -> int:
        members = concept.members
        if concept.family == "background":
            return visible[0] if scene.background in members else 0
        if scene.surface is not None:
            return whole if concept_present(scene, concept) else 0
        pixels = visible if concept.family == "noun" else bodies
        return sum(pixels[i + 1] for i, entry in enumerate(scene.objects) if getattr(entry, concept.family) in members)

    return area
