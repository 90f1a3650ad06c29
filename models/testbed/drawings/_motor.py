"""What cars and buses share: wheels in their arches, panel gaps, panes."""

import random

import skia

from ..drawing import RGB, Part, ellipse, stroke
from ._details import PANE, discs, gather, ink, pens, road_wheel

TAIL: RGB = (196, 32, 36)


def ground_shadow(left: float, right: float) -> Part:
    """Darkness under the vehicle."""
    return Part(ellipse((left + right) / 2, 0.97, (right - left) / 2, 0.05), (0, 0, 0, 70))


def wheels(rng: random.Random, radius: float, *places: float) -> list[Part]:
    """Wheels in their arches."""
    turn, count = rng.uniform(0, 72), rng.choice((5, 6, 8))
    parts = [Part(discs(*[(x, 1 - radius, radius * 1.17) for x in places]), (20, 20, 22))]
    for x in places:
        parts += road_wheel(x, 1 - radius, radius, count, turn)
    return parts


def seams(tone: RGB, *lines: tuple[tuple[float, float], ...], width: float = 0.016) -> Part:
    """Gaps between panels."""
    return Part(pens(width, *lines), (*ink(tone), 200))


def panes(*shapes: skia.Path) -> list[Part]:
    """Glass with dark rubber seals."""
    return [Part(pane, PANE, "glass") for pane in shapes] + [Part(stroke(gather(*shapes), 0.02), (40, 42, 46))]
