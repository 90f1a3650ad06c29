"""What an observer says of a picture: the truth of the drawn scene, which a student has to read from pixels."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ....models.testbed.scene import Rendering, Scene, Segments
from ....models.testbed.vocabulary import COLOURS, GROUPS, NOUNS, PATTERNS, PLAIN
from .beliefs import NOTHING

VISIBLE = 150
"""Pixels from which a thing is mentioned."""
NAMED = 2
"""Objects that are mentioned at most."""
INSIDE, SHARE = 0.5, 0.3
"""A thing is bright if so much of it is in the bright region, or if it makes up that share of the region."""
MISREAD = {"first": (0.06, 0.06, 0.15), "second": (0.24, 0.2, 0.33)}
"""How often noun, colour and pattern of the first object, and of the second, are misread by the small backbone's vision
part (docs/finetuning.md): a student meets such counts when it runs."""


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

    def misread(self, rng: random.Random, rates: Sequence[float]) -> "Thing":
        """Each word is another one of its family as often as `rates` says."""
        families = (tuple(NOUNS), tuple(COLOURS), (*PATTERNS, PLAIN))
        words = (self.noun, self.colour, self.pattern)
        return Thing(
            *(
                rng.choice(family) if rng.random() < rate else word
                for word, family, rate in zip(words, families, rates, strict=True)
            )
        )


@dataclass(frozen=True)
class Reading:
    """bright: things inside the highlighted region; dark: the others that are mentioned. place: the background, None in
    a close-up; place_bright: whether it is what is highlighted."""

    bright: tuple[Thing, ...]
    dark: tuple[Thing, ...]
    place: str | None
    place_bright: bool

    def text(self) -> str:
        """One line that code can take apart: words of what is bright | words of what is around."""
        bright = [word for thing in self.bright for word in thing.words]
        around = [word for thing in self.dark for word in thing.words]
        if self.place is not None:
            (bright if self.place_bright else around).append(self.place)
        return f"{_listed(bright)} | {_listed(around)}"

    def misread(self, rng: random.Random) -> "Reading":
        """With the mistakes of an observer that errs as often as MISREAD says."""
        things = [*self.bright, *self.dark]
        seen = tuple(thing.misread(rng, MISREAD["second" if place else "first"]) for place, thing in enumerate(things))
        return Reading(seen[: len(self.bright)], seen[len(self.bright) :], self.place, self.place_bright)


def _listed(words: Sequence[str]) -> str:
    """Each once, then the groups that they belong to: a kind of things is seen in things that differ."""
    groups = (name for name, (_, members) in GROUPS.items() if not set(members).isdisjoint(words))
    return ", ".join(dict.fromkeys((*words, *groups))) or NOTHING


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
