"""The drawings of every noun, which of them exploration may use, and how much of the unit box each fills.

A noun's own drawings have the indices 0, 1, ..; those of noun packs follow from FIRST_PACK_DRAWING in the order of
PACKS, each pack at its place whether the others are installed or not, so that an index means the same everywhere.
"""

import random
from functools import cache, lru_cache
from importlib import import_module
from typing import Literal

import skia

from ..errors import UserError
from .drawing import BODY, RGB, Drawing, Part
from .packs import PACKS, holds, sprite
from .vocabulary import NOUNS

Purpose = Literal["exploration", "evaluation"]
FIRST_PACK_DRAWING = 100
DRAWING_MODULES = ("shapes", "buildings", "vehicles", "household", "plants", "animals")


@lru_cache(maxsize=1)
def all_drawings() -> dict[str, tuple[Drawing, ...]]:
    """Our drawings of every noun, in the vocabulary's order. RuntimeError if a noun lacks them or one is unknown."""
    found: dict[str, tuple[Drawing, ...]] = {}
    for name in DRAWING_MODULES:
        found.update(import_module(f".drawings.{name}", __package__).DRAWINGS)
    if set(found) != set(NOUNS):
        raise RuntimeError(f"drawings and vocabulary disagree about {sorted(set(found) ^ set(NOUNS))}")
    return {noun: found[noun] for noun in NOUNS}


def drawing_of(noun: str, drawing: int) -> Drawing:
    """The noun's drawing of that index: one of ours, or a pack's.

    Raises KeyError or IndexError for one that does not exist, UserError for one of a pack that is not installed.
    """
    if drawing < FIRST_PACK_DRAWING:
        return all_drawings()[noun][drawing]
    pack = tuple(PACKS)[drawing - FIRST_PACK_DRAWING]
    if not holds(pack, noun):
        raise UserError(
            f"a scene shows the {noun} of the drawing pack {pack}, which is not installed (any more): "
            f"give `maia packs install {pack}`."
        )

    def draw(rng: random.Random, tone: RGB) -> list[Part]:
        found = sprite(pack, noun)
        return [Part(found.silhouette, BODY, "flat", found.overlay, found.box)]

    return draw


def drawing_choices(noun: str, purpose: Purpose) -> tuple[int, ...]:
    """Indices of the noun's drawings for a purpose.

    Exploration: all of ours but the last, with or without packs. Evaluation: our last and those of installed packs.
    """
    count = len(all_drawings()[noun])
    if purpose == "exploration":
        return tuple(range(count - 1))
    return (count - 1, *(FIRST_PACK_DRAWING + i for i, pack in enumerate(PACKS) if holds(pack, noun)))


def drawing_extent(noun: str, drawing: int) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of a drawing in its unit box; the union over a few of its random variants.

    Raises as `drawing_of` does.
    """
    if drawing < FIRST_PACK_DRAWING:
        return _own_extent(noun, drawing)
    [part] = drawing_of(noun, drawing)(random.Random(), (128, 128, 128))
    return part.box


@cache
def _own_extent(noun: str, drawing: int) -> tuple[float, float, float, float]:
    box = skia.Rect.MakeEmpty()
    for variant in range(4):
        for part in all_drawings()[noun][drawing](random.Random(f"extent/{variant}"), (128, 128, 128)):
            box.join(part.path.computeTightBounds())
    return box.left(), box.top(), box.right(), box.bottom()
