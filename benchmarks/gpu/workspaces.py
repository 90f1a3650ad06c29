"""Memory that batches take beside the weights, against what plans count with."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from PIL import Image

from ...engine.calibration import peak_bytes
from ...engine.plan import Workspace
from ...engine.targets import NetworkTarget
from ...models.targets import Unit
from .rows import Goal, Row, row

ENOUGH = Goal("<=", 1.0)
"""The allocator's peak over the plan's workspace."""


@dataclass(frozen=True)
class Peak:
    """Bytes beyond those before: in use, and held by the allocator (which is what other processes cannot have)."""

    allocated: int
    reserved: int


def peak_of(run: Callable[[], object], device: torch.device) -> Peak:
    """What `run` takes at most. On a GPU by torch's allocator, after a first run that warms up; on the CPU the bytes of
    tensors alone (both numbers are then the same)."""
    if device.type != "cuda":
        traced = peak_bytes(run)
        return Peak(traced, traced)
    run()
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    allocated, reserved = torch.cuda.memory_allocated(device), torch.cuda.memory_reserved(device)
    run()
    torch.cuda.synchronize(device)
    return Peak(torch.cuda.max_memory_allocated(device) - allocated, torch.cuda.max_memory_reserved(device) - reserved)


def workspace_rows(
    name: str, run: Callable[[int], object], predicted: Workspace, device: torch.device, batches: Sequence[int]
) -> Iterator[Row]:
    """One row a batch. run(batch): makes the inputs and runs the model, whose weights are on the device. predicted:
    what a plan counts with."""
    for batch in batches:
        peak, plan = peak_of(lambda batch=batch: run(batch), device), predicted.nbytes(batch)  # type: ignore[misc]
        yield row(
            f"{name}, batch {batch}: allocator's peak over the plan's workspace",
            peak.reserved / plan,
            "x",
            ENOUGH,
            batch=batch,
            plan_bytes=plan,
            reserved_bytes=peak.reserved,
            allocated_bytes=peak.allocated,
            in_use_over_plan=peak.allocated / plan,
            note=f"{peak.reserved / 1e9:.2f} GB held, {peak.allocated / 1e9:.2f} in use, {plan / 1e9:.2f} planned",
        )


def target_run(target: NetworkTarget) -> Callable[[int], object]:
    """run(batch) of a target: pictures in, answers of a unit of its deepest recommended layer out."""
    layer = list(target.network.layers)[-1]
    picture = Image.new("RGB", (target.network.preprocess.size,) * 2, "grey")
    return lambda batch: target.respond([picture] * batch, Unit(target.name, layer, 0))
