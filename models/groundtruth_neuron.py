"""A ground-truth neuron: a synthetic unit whose truth is known, with an exact mask from the renderer's segment map.

The three kinds of the paper (section 4.2, appendix C4): a single concept, "A OR B", and "A given B". The value is
graded by what is visible, as a detector's confidence is.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .testbed.scene import Concept, Scene, concept_present

Kind = Literal["single", "or", "conditional"]

MIN_AREA = 60
"""Visible pixels below which a concept counts as absent: less than 8x8 cannot be recognised."""

REFERENCE_AREA = 2500
"""Visible pixels from which the value is 1: 5 % of the picture."""


def confidence(area: int) -> float:
    """The value for a concept with `area` visible pixels: 0 below MIN_AREA, then from 0.58 rising to 1.

    0.5 + 0.5 * sqrt(area / REFERENCE_AREA), at most 1: present is far from absent, and larger is surer, as with a
    detector's confidence.
    """
    if area < MIN_AREA:
        return 0.0
    return 0.5 + 0.5 * min(1.0, math.sqrt(area / REFERENCE_AREA))


@dataclass(frozen=True)
class GroundTruthNeuron:
    """A neuron of one of the three kinds; b is None for "single" only.

    single: the value and mask of a. or: of the one present; if both are, their mean and both masks together.
    conditional: a's value and mask, only where b is present too.
    """

    kind: Kind
    a: Concept
    b: Concept | None = None

    def __post_init__(self) -> None:
        if (self.kind == "single") != (self.b is None):
            raise ValueError(f"a neuron of kind {self.kind!r} has {'one concept' if self.b else 'two concepts'}")

    @property
    def truth(self) -> str:
        """The label that is right: "dog", "red OR striped", "dog given snow"."""
        if self.b is None:
            return str(self.a)
        return f"{self.a} OR {self.b}" if self.kind == "or" else f"{self.a} given {self.b}"

    @property
    def concepts(self) -> tuple[Concept, ...]:
        return (self.a,) if self.b is None else (self.a, self.b)

    def may_fire(self, scene: Scene) -> bool:
        """Whether the scene file holds what the neuron needs; if not, nothing has to be rendered: its value is 0."""
        present = [concept_present(scene, concept) for concept in self.concepts]
        return any(present) if self.kind == "or" else all(present)

    def respond(self, mask_of: Callable[[Concept], np.ndarray]) -> tuple[float, np.ndarray | None]:
        """(value 0..1, bool mask [224, 224] or None where the value is 0), given each concept's visible pixels."""
        mask_a = mask_of(self.a)
        value_a = confidence(int(mask_a.sum()))
        if self.b is None:
            return value_a, mask_a if value_a else None
        mask_b = mask_of(self.b)
        value_b = confidence(int(mask_b.sum()))
        if self.kind == "conditional":
            return (value_a, mask_a) if value_a and value_b else (0.0, None)
        if value_a and value_b:
            return (value_a + value_b) / 2, mask_a | mask_b
        return (value_a, mask_a) if value_a else (value_b, mask_b if value_b else None)
