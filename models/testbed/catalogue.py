"""The drawings of every noun, which of them exploration may use, and how much of the unit box each fills."""

import random
from functools import cache, lru_cache
from importlib import import_module
from typing import Literal

import skia

from .drawing import Drawing
from .vocabulary import NOUNS

Purpose = Literal["exploration", "evaluation"]
DRAWING_MODULES = ("shapes", "buildings", "vehicles", "household", "plants", "animals")


@lru_cache(maxsize=1)
def all_drawings() -> dict[str, tuple[Drawing, ...]]:
    """Drawings of every noun of the vocabulary, in its order. RuntimeError if a noun lacks them or one is unknown."""
    found: dict[str, tuple[Drawing, ...]] = {}
    for name in DRAWING_MODULES:
        found.update(import_module(f".drawings.{name}", __package__).DRAWINGS)
    if set(found) != set(NOUNS):
        raise RuntimeError(f"drawings and vocabulary disagree about {sorted(set(found) ^ set(NOUNS))}")
    return {noun: found[noun] for noun in NOUNS}


def drawing_choices(noun: str, purpose: Purpose) -> tuple[int, ...]:
    """Indices of the noun's drawings for a purpose: all but the last for exploration, the last for evaluation."""
    count = len(all_drawings()[noun])
    return tuple(range(count - 1)) if purpose == "exploration" else (count - 1,)


@cache
def drawing_extent(noun: str, drawing: int) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of a drawing in its unit box; the union over a few of its random variants."""
    box = skia.Rect.MakeEmpty()
    for variant in range(4):
        for part in all_drawings()[noun][drawing](random.Random(f"extent/{variant}"), (128, 128, 128)):
            box.join(part.path.computeTightBounds())
    return box.left(), box.top(), box.right(), box.bottom()
