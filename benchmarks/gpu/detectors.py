"""The concept detector: how much faster than one concept at a time with whole models, and whether it is as sure."""

from collections.abc import Iterator

import torch

from ..throughput.detector import CONCEPTS, GOALS, measure
from .rows import Goal, Row, row, spread_row

SPEED_UP = Goal(">=", GOALS["speedup"])
SAME = {"float16": Goal("<=", 0.02), "float32": Goal("<=", 1e-4)}
"""Largest difference of a score between both ways; masks may differ where a logit is nearly 0."""


def detector_rows(device: torch.device, size: str, repeats: int) -> Iterator[Row]:
    """Both ways with the same random weights, of `architectures.SIZES`, in the device's usual precision."""
    found = measure(size, device=str(device), repeats=repeats)
    kind = found["dtype"]
    yield spread_row(
        f"detector, {len(CONCEPTS)} concepts: over one at a time with whole models",
        found["figures"]["speedup"]["all"],
        "x",
        SPEED_UP,
        dtype=kind,
        images_per_second=found["images_per_s"],
        batch=found["batch"],
        sides=[found["grounding_side"], found["segmenter_side"]],
        note=f"{found['images_per_s']:.1f} against {found['naive_images_per_s']:.1f} pictures/s in {kind}",
    )
    yield spread_row(
        "detector, half of the concepts found: over one at a time, segmented where found",
        found["figures"]["speedup_half_found"]["all"],
        "x",
    )
    yield row(
        f"detector in {kind}: largest difference of a score between both ways",
        found["agreement"]["score"],
        "of [0, 1]",
        SAME[kind],
        pixels_that_differ=found["agreement"]["pixels"],
    )
