"""Drawings of plants and mushrooms, from one file for each kind."""

from ..drawing import Drawing
from . import flowers, leaves, mushrooms, trees

DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    **flowers.DRAWINGS,
    **leaves.DRAWINGS,
    **mushrooms.DRAWINGS,
    **trees.DRAWINGS,
}
