"""Shapes and everyday signs, noun by noun; the last drawing of each noun is for evaluation only."""

from ..drawing import Drawing
from . import balls, boxes, clocks, rings, signs, stars, wheels

DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    **balls.DRAWINGS,
    **boxes.DRAWINGS,
    **rings.DRAWINGS,
    **stars.DRAWINGS,
    **wheels.DRAWINGS,
    **clocks.DRAWINGS,
    **signs.DRAWINGS,
}
