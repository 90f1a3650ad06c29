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

    def value(self, area_of: Callable[[Concept], int]) -> float:
        """The value 0..1, given each concept's visible pixels as a number: that of `respond`."""
        value_a = confidence(area_of(self.a))
        if self.b is None:
            return value_a
        value_b = confidence(area_of(self.b))
        if self.kind == "conditional":
            return value_a if value_a and value_b else 0.0
        return (value_a + value_b) / 2 if value_a and value_b else value_a or value_b

    def respond(self, mask_of: Callable[[Concept], np.ndarray]) -> tuple[float, np.ndarray | None]:
        """(value 0..1, bool mask [224, 224] or None where the value is 0), given each concept's visible pixels."""
        value = self.value(lambda concept: int(mask_of(concept).sum()))
        if not value:
            return 0.0, None
        if self.kind != "or":
            return value, mask_of(self.a)
        masks = [mask for mask in map(mask_of, self.concepts) if mask.sum() >= MIN_AREA]
        return value, np.logical_or.reduce(masks)
