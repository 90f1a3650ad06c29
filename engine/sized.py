"""A model with its facts, and where they are from: what `sizing` and `vlm_sizing` make, and `explain` shows."""

from dataclasses import dataclass

from .plan import ModelFacts


@dataclass(frozen=True)
class Sized:
    """A model with its facts, and where they are from. title: what it is. parts: names of its components. weights,
    workspace, duration: sources, in a few words. terms: what the workspace consists of, as (text, fixed, per item).
    setting: what measurements of it are kept under (`Calibration`). notes: sentences of a plan about it."""

    facts: ModelFacts
    title: str
    parts: tuple[str, ...]
    weights: str
    workspace: str
    duration: str
    terms: tuple[tuple[str, int, int], ...]
    setting: str
    notes: tuple[str, ...] = ()
