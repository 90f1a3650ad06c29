"""What the teacher sees in a picture: the truth of the drawn scene, which its student has to read from pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ....models.testbed.scene import Rendering, Scene, Segments
from ....models.testbed.vocabulary import PLAIN

VISIBLE = 150
"""Pixels from which a thing is mentioned."""
NAMED = 2
"""Objects that are mentioned at most."""
INSIDE, SHARE = 0.5, 0.3
"""A thing is bright if so much of it is in the bright region, or if it makes up that share of the region."""


@dataclass(frozen=True)
class Thing:
    """An object of a picture, or the surface of a close-up (noun "surface")."""

    noun: str
    colour: str
    pattern: str

    @property
    def words(self) -> tuple[str, ...]:
        """Noun, colour and pattern, without "plain"."""
        return tuple(word for word in (self.noun, self.colour, self.pattern) if word != PLAIN)


@dataclass(frozen=True)
class Reading:
    """bright: things inside the highlighted region; dark: the others that are mentioned. place: the background, None in
    a close-up; place_bright: whether it is what is highlighted."""

    bright: tuple[Thing, ...]
    dark: tuple[Thing, ...]
    place: str | None
    place_bright: bool

    @property
    def inside(self) -> frozenset[str]:
        """Words of what is highlighted."""
        words = {word for thing in self.bright for word in thing.words}
        return frozenset(words | ({self.place} if self.place_bright and self.place else set()))

    @property
    def all(self) -> frozenset[str]:
        """Words of the whole picture."""
        words = {word for thing in (*self.bright, *self.dark) for word in thing.words}
        return frozenset(words | ({self.place} if self.place else set()))

    def text(self) -> str:
        """One line: what is bright | what is around."""
        bright = [" ".join(thing.words) for thing in self.bright]
        around = [" ".join(thing.words) for thing in self.dark]
        if self.place is not None:
            (bright if self.place_bright else around).insert(0 if not self.place_bright else len(bright), self.place)
        return f"{' + '.join(bright) or 'nothing'} | {', '.join(around) or 'nothing'}"


def read_scene(scene: Scene, drawn: Rendering | Segments, mask: np.ndarray) -> Reading:
    """The reading of a scene's picture whose highlighted region is the mask. mask: bool [224, 224]."""
    region = max(int(mask.sum()), 1)
    if scene.surface is not None:
        return Reading((Thing("surface", *scene.surface),), (), None, False)
    bright: list[tuple[int, Thing]] = []
    dark: list[tuple[int, Thing]] = []
    for number, entry in enumerate(scene.objects, start=1):
        shown = drawn.objects == number
        visible, inside = int(shown.sum()), int((shown & mask).sum())
        if visible < VISIBLE:
            continue
        # A colour's mask is the body alone: half of that counts as half of the thing.
        body = int((shown & drawn.body).sum())
        highlighted = inside >= INSIDE * max(min(visible, body), 1) or inside >= SHARE * region
        (bright if highlighted else dark).append((visible, Thing(entry.noun, entry.colour, entry.pattern)))
    place_bright = int((mask & (drawn.objects == 0)).sum()) >= SHARE * region
    first, rest = _largest(bright, NAMED), []
    if len(first) < NAMED:
        rest = _largest(dark, 1)
    return Reading(tuple(first), tuple(rest), scene.background, place_bright)


def _largest(things: Sequence[tuple[int, Thing]], count: int) -> list[Thing]:
    return [thing for _, thing in sorted(things, key=lambda entry: -entry[0])[:count]]
