"""Loads and evictions: their checks against the ledger, and how they are carried out through the runners."""

import asyncio
from collections.abc import Callable, Sequence

from .ledger import BudgetError, Ledger
from .metrics import Metrics
from .plan import component_bytes
from .queues import ModelEntry
from .runners.base import ModelUnavailable, OutOfMemory


def begin_eviction(ledger: Ledger, entries: Sequence[ModelEntry]) -> None:
    """Mark models as on their way out. Raises BudgetError, with nothing marked, if one may not leave now."""
    if ledger.moving():
        raise BudgetError(f"{ledger.device.name} loads or offloads a model already")
    for entry in entries:
        if not entry.seen().evictable or entry not in ledger.entries:
            raise BudgetError(f"{entry.facts.name} cannot be evicted from {ledger.device.name} now")
    for entry in entries:
        entry.state = "offloading"


def begin_load(ledger: Ledger, entry: ModelEntry, evicted: Sequence[ModelEntry]) -> None:
    """Mark a model as on its way in, for which others leave. Raises BudgetError if it is there or does not fit."""
    if entry.state != "offloaded" or entry not in ledger.entries:
        raise BudgetError(f"{entry.facts.name} cannot be loaded: it is {entry.state} on {entry.place.device}")
    begin_eviction(ledger, evicted)
    entry.state = "loading"
    if ledger.committed() > ledger.device.memory:
        raise BudgetError(
            f"loading {entry.facts.name}: {ledger.committed()} bytes do not fit into {ledger.device.memory}"
        )


async def offload(entries: Sequence[ModelEntry], metrics: Metrics) -> None:
    """Free what models marked as on their way out have on the device."""
    for entry in entries:
        await entry.runner.offload()
        entry.state, entry.holding = "offloaded", False
        metrics.models[entry.facts.name].offloads += 1


async def load(
    ledger: Ledger, entry: ModelEntry, evicted: Sequence[ModelEntry], metrics: Metrics, clock: Callable[[], float]
) -> Exception | None:
    """Offload others, then load a model that is marked as on its way in; returns why that failed, if it did."""
    counted = metrics.models[entry.facts.name]
    entry.kept = ledger.shared(entry)
    copied = entry.facts.nbytes - component_bytes(entry.kept)
    entry.runner.keep(ledger.device.name)
    await offload(evicted, metrics)
    entry.holding = True
    ledger.check(0, f"loading {entry.facts.name}")
    metrics.used(ledger.device.name, ledger.used())
    started = clock()
    error = await _tried(entry, ledger.device.name)
    counted.load_seconds += clock() - started
    entry.kept = ()
    if error is not None:
        entry.state, entry.holding = "offloaded", False
        return error
    counted.loads += 1
    counted.loaded_bytes += copied
    entry.state = "loaded"
    return None


async def _tried(entry: ModelEntry, device: str) -> Exception | None:
    try:
        await entry.runner.load(device)
    except OutOfMemory:
        return ModelUnavailable(
            f"{entry.facts.name} did not fit into {device}, which another program may be using: free its memory, or "
            "give less with --memory."
        )
    except asyncio.CancelledError:
        return ModelUnavailable(f"loading {entry.facts.name} was cancelled: ask again.")
    except Exception as problem:
        return problem
    return None
