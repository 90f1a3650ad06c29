"""The one record that tables of an evaluation are made of: a label, a unit, and what the label predicted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """How well one method's label predicted one unit, by the protocol of the paper's section 4 (figure 3).

    Activations are in the unit's own scale (raw), float64. ``positive`` and ``neutral`` are means over the images of
    the seven prompts that a selector, given the label alone, called the most and the least likely to activate the unit.
    ``asdict`` of an instance is JSON; ``evaluation.json`` holds a list of them under "measured".
    """

    unit: str
    """The unit's full name, "resnet152.layer4.122": ``str(Unit)``."""
    target: str
    layer: str
    index: int
    method: str
    """"agent", "exemplar-majority", "clip-dissect", "milan", "human", "random"; ablations: "agent: exemplars only"."""
    seed: int
    """The seed of the run that made the label."""
    label: str
    positive: float
    neutral: float
    p50: float
    p95: float
    """Percentiles of the unit's activations over the dataset, of the same scale as ``positive`` and ``neutral``."""
    truth_found: bool | None = None
    """Exact match with the ground truth where there is one, else None."""
    kind: str = ""
    """"single", "or", "conditional" for a unit of known truth, else ""."""

    @property
    def difference(self) -> float:
        """``positive - neutral``, raw: what the label separates."""
        return self.positive - self.neutral
