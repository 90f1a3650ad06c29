"""What the nine image tokens of a picture say: a slot each, and the truth of a rendered scene under a mask."""

from dataclasses import dataclass

import numpy as np

from ...testbed.scene import Rendering, Scene, Segments
from ...testbed.vocabulary import BACKGROUNDS, COLOURS, NOUNS, PATTERNS, PLAIN

NONE, SURFACE = "none", "surface"
NOUN_WORDS = (*NOUNS, SURFACE, NONE)
COLOUR_WORDS = (*COLOURS, NONE)
PATTERN_WORDS = (*PATTERNS, PLAIN, NONE)
BACKGROUND_WORDS = (*BACKGROUNDS, NONE)
BRIGHT_WORDS = ("object", "background", "both", "all", NONE)
"""What is bright: objects, the background, both; all: a picture without a mask; none: a dark one."""
OTHER_WORDS = ("bright", "dark", NONE)
"""Whether the second object, of slots 3 to 5, is bright or darkened."""

SLOTS: dict[str, tuple[str, ...]] = {
    "noun": NOUN_WORDS,
    "colour": COLOUR_WORDS,
    "pattern": PATTERN_WORDS,
    "other noun": NOUN_WORDS,
    "other colour": COLOUR_WORDS,
    "other pattern": PATTERN_WORDS,
    "background": BACKGROUND_WORDS,
    "bright": BRIGHT_WORDS,
    "other": OTHER_WORDS,
}
"""The slots in the order of the tokens, each with the words that it may say.

The first three: the object that shows most in the bright region. "other …": another one that is bright, else the
largest that is darkened. A close-up's noun is "surface"."""

MIN_VISIBLE = 150
"""Pixels below which an object or a background does not count."""
CLEAR_SHARE = 0.4
"""Of an object's visible pixels: so many are bright where the object is what a mask is about."""
BACKGROUND_SHARE = 0.35
"""Of the region: so much is background where the background is a part of what a mask is about."""
ALIKE = 1.4
"""Two bright objects whose areas differ less may be told in either order."""


@dataclass(frozen=True)
class Told:
    """words: what each slot says, in the order of SLOTS. first, second: indices of the objects that are told, None
    where there is none (a close-up is object 0). either: the two may be told in either order."""

    words: tuple[str, ...]
    first: int | None
    second: int | None
    either: bool


def told(scene: Scene, segments: Rendering | Segments, region: np.ndarray) -> Told:
    """The truth for a scene of which the bool [224, 224] `region` is bright."""
    count = 1 if scene.surface is not None else len(scene.objects)
    visible = np.bincount(segments.objects.ravel(), minlength=count + 1)
    bright = np.bincount(segments.objects[region], minlength=count + 1)
    shown = sorted((i for i in range(count) if bright[i + 1] >= MIN_VISIBLE), key=lambda i: -bright[i + 1])
    dark = sorted(
        (i for i in range(count) if i not in shown and visible[i + 1] >= MIN_VISIBLE), key=lambda i: -visible[i + 1]
    )
    first = shown[0] if shown else None
    second = shown[1] if len(shown) > 1 else dark[0] if dark else None
    background = scene.background if scene.background is not None and visible[0] >= MIN_VISIBLE else NONE
    other = NONE if second is None else "bright" if len(shown) > 1 else "dark"
    words = (*_object(scene, first), *_object(scene, second), background, _bright(visible, bright, region), other)
    either = len(shown) > 1 and bright[shown[0] + 1] < ALIKE * bright[shown[1] + 1]
    return Told(words, first, second, bool(either))


def _object(scene: Scene, which: int | None) -> tuple[str, str, str]:
    if which is None:
        return NONE, NONE, NONE
    if scene.surface is not None:
        return SURFACE, *scene.surface
    entry = scene.objects[which]
    return entry.noun, entry.colour, entry.pattern


def _bright(visible: np.ndarray, bright: np.ndarray, region: np.ndarray) -> str:
    total = int(region.sum())
    if total == 0:
        return NONE
    if total == region.size:
        return "all"
    objects = bright[1:]
    clear = (objects >= CLEAR_SHARE * visible[1:]) | (objects >= BACKGROUND_SHARE * total)
    is_object = bool((clear & (objects >= MIN_VISIBLE)).any())
    is_background = bright[0] >= max(MIN_VISIBLE, BACKGROUND_SHARE * total)
    if is_object == is_background:
        # Neither: slivers; what is more of it counts.
        return "both" if is_object else "object" if objects.sum() > bright[0] else "background"
    return "object" if is_object else "background"


def indices(words: tuple[str, ...]) -> list[int]:
    """Each slot's word as its place in the slot's words."""
    return [choices.index(word) for choices, word in zip(SLOTS.values(), words, strict=True)]
