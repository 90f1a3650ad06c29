"""Bytes in use of one device, by the scheduler's count, and the check that they stay within its memory."""

from collections.abc import Sequence

from .plan import Component, Device, component_bytes
from .queues import ModelEntry


class BudgetError(RuntimeError):
    """A policy asked for more than it may: a bug in the policy. Nothing was run or loaded."""


class Ledger:
    """Of one device: distinct components of the models it holds, workspaces of running batches and awake servers."""

    def __init__(self, device: Device, entries: Sequence[ModelEntry]) -> None:
        """entries: all models placed on the device."""
        self.device, self.entries = device, entries

    def used(self) -> int:
        """Bytes in use now; weights on their way in or out count whole."""
        held: list[Component] = []
        rest = 0
        for entry in self.entries:
            rest += entry.workspace
            held += entry.kept
            if entry.holding:
                held += entry.facts.components
                rest += entry.held
        return component_bytes(held) + rest

    def committed(self) -> int:
        """Bytes in use once the loads and evictions under way have ended."""
        staying = [entry for entry in self.entries if entry.state in ("loading", "loaded")]
        components = component_bytes(part for entry in staying for part in entry.facts.components)
        return components + sum(entry.held for entry in staying) + sum(entry.workspace for entry in self.entries)

    def free(self) -> int:
        """Bytes that a batch may take now, without standing in the way of a load that is under way."""
        return self.device.memory - max(self.used(), self.committed())

    def moving(self) -> bool:
        """A model is being loaded or offloaded. One at a time: else two loads could each count on the same bytes."""
        return any(entry.state in ("loading", "offloading") for entry in self.entries)

    def shared(self, entry: ModelEntry) -> tuple[Component, ...]:
        """Of the entry's components, what other models hold."""
        present = {part.key for other in self.entries if other.holding for part in other.facts.components}
        return tuple(part for part in entry.facts.components if part.key in present)

    def leasable(self, entry: ModelEntry) -> bool:
        """A lease may be granted: each leased model can then still run beside the others. Else holders of two leases
        could wait for each other's memory."""
        if not any(other.leases for other in self.entries if other is not entry):
            return True
        stay = [e for e in self.entries if e is entry or e.leases or (e.is_server and e.place.resident)]
        components = component_bytes(part for other in stay for part in other.facts.components)
        batch = max(0 if other.is_server else other.facts.workspace.nbytes(1) for other in stay)
        return components + sum(other.held for other in stay) + batch <= self.device.memory

    def check(self, more: int, action: object) -> None:
        """Raises BudgetError if `more` bytes do not fit beside those in use."""
        used = self.used()
        if used + more > self.device.memory:
            raise BudgetError(
                f"{action}: {used} + {more} bytes do not fit into the {self.device.memory} of {self.device.name}"
            )
