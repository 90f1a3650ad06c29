"""Buildings and their parts, noun by noun; the last drawing of each noun is for evaluation only."""

from ..drawing import Drawing
from . import bridges, doors, fences, houses, lighthouses, tents, windows

DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    **fences.DRAWINGS,
    **bridges.DRAWINGS,
    **houses.DRAWINGS,
    **doors.DRAWINGS,
    **windows.DRAWINGS,
    **lighthouses.DRAWINGS,
    **tents.DRAWINGS,
}
