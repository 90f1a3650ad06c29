"""Times of several ways to do one thing, taken in turn, so that what disturbs the machine disturbs all alike."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

Way = Callable[[], object]


def seconds_of(way: Way, device: torch.device) -> float:
    """Wall-clock seconds of one call, until the device has finished."""
    _wait(device)
    start = time.perf_counter()
    way()
    _wait(device)
    return time.perf_counter() - start


def time_in_turn(
    ways: Mapping[str, Way], repeats: int, device: torch.device, advance: Callable[[str], None] = lambda way: None
) -> dict[str, list[float]]:
    """Seconds of each way, `repeats` times over: all ways once, then all again in the opposite order, and so on.

    So ways that stand next to each other are always timed one right after the other, each as often the first.

    A way that returns a float gives its own seconds (where not all that it does is to be timed). advance: called with
    each way's name when it has been timed once.
    """
    found: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for turn in range(repeats):
        for name in names[:: -1 if turn % 2 else 1]:
            own: list[object] = []
            seconds = seconds_of(lambda name=name, own=own: own.append(ways[name]()), device)  # type: ignore[misc]
            found[name].append(own[0] if isinstance(own[0], float) else seconds)
            advance(name)
    return found


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Median, 20th and 80th percentile, and the values themselves."""
    p20, median, p80 = (float(v) for v in np.percentile(values, (20, 50, 80)))
    return {"median": median, "p20": p20, "p80": p80, "all": [float(v) for v in values]}


def ratio(above: Sequence[float], below: Sequence[float]) -> dict[str, Any]:
    """Summary of above[i] / below[i]: each pair was timed one shortly after the other."""
    return summary([a / b for a, b in zip(above, below, strict=True)])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
