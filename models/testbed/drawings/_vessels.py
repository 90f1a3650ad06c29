"""Pieces that vessels share: handles, reflections, open tops."""

from ..contours import GLINT, limb
from ..drawing import BODY, Part, curve, stroke

# fmt: off
# Outlines read as rows of points; a formatter would put each point on a line of its own.

def handle(start: tuple[float, float], bend: tuple[float, ...], width: float) -> list[Part]:
    """A rounded handle with a lit edge."""
    path = curve(start, bend, close=False)
    return [Part(stroke(path, width), BODY, "sideways"), Part(stroke(path, width * 0.25), GLINT)]


def streak(x: float, top: float, bottom: float, width: float = 0.07) -> Part:
    """The reflection of a window on a glossy wall."""
    return Part(limb((x, top, width), (x, (top + bottom) / 2, width), (x, bottom, width)), (255, 255, 255, 85))
