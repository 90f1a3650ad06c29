"""Pieces that dogs and cats share: creases, paws, noses."""

from ..contours import SHADOW
from ..drawing import BODY, RGB, Part, curve, ellipse, line, stroke

# fmt: off
# Outlines read as rows of points; a formatter would put each point on a line of its own.

PINK: RGB = (226, 142, 142)
COLLARS: tuple[RGB, ...] = ((190, 40, 45), (45, 90, 170), (60, 130, 80), (225, 170, 50))


def pen(start: tuple[float, float], *segments: tuple[float, ...], width: float = 0.028) -> Part:
    """A crease: a thin translucent dark curve."""
    return Part(stroke(curve(start, *segments, close=False), width), (0, 0, 0, 120))


def paw(x: float, y: float, rx: float, ry: float, shade: str = "vertical", fill: RGB | str = BODY) -> list[Part]:
    toes = [line((x + d * rx, y - ry * 0.1), (x + d * rx * 1.1, y + ry * 0.6), width=0.02) for d in (-0.36, 0.16)]
    return [Part(ellipse(x, y, rx, ry), fill, shade), *(Part(toe, SHADOW) for toe in toes)]
