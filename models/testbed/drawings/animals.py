"""Drawings of animals, from one file for each kind."""

from ..drawing import Drawing
from . import birds, butterflies, cats, dogs, fish

DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    **birds.DRAWINGS,
    **butterflies.DRAWINGS,
    **cats.DRAWINGS,
    **dogs.DRAWINGS,
    **fish.DRAWINGS,
}
