"""Drawings of things of the house, from one file for each kind."""

from ..drawing import Drawing
from . import books, bottles, candles, chairs, cups, guitars, lamps, screens, umbrellas

DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    **books.DRAWINGS,
    **bottles.DRAWINGS,
    **candles.DRAWINGS,
    **chairs.DRAWINGS,
    **cups.DRAWINGS,
    **guitars.DRAWINGS,
    **lamps.DRAWINGS,
    **screens.DRAWINGS,
    **umbrellas.DRAWINGS,
}
