"""What the product's policy is compared with: simple policies that people run today.

All of them obey the same memory rule and pass a loaded server's requests on as they come, for it batches by itself. A
server that is not resident is loaded and evicted like any other model.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...engine.plan import Component, component_bytes
from ...engine.policy import LEASE, Action, DeviceState, Evict, Load, ModelState, Run, Wait, Waiting


@dataclass(frozen=True)
class FifoLru:
    """First in, first out: the oldest waiting item's model comes next, with what else waits for it in its group, up to
    the plan's batch. Evicts the least recently used models until the next one fits. No look at what waits behind."""

    def decide(self, state: DeviceState) -> Action:
        """A server's requests; else the oldest item's model: run it, or load it."""
        served = _serve_all(state)
        if served is not None:
            return served
        waiting = [model for model in state.models.values() if model.items and not _server_at_work(model)]
        if not waiting:
            return Wait()
        head = min(waiting, key=lambda model: (model.oldest, model.facts.name))
        return _advance(state, head, sorted(_evictable(state, head), key=lambda m: (m.last_used, m.facts.name)))


@dataclass(frozen=True)
class OneModel:
    """One batch model on the device at a time: it runs until nobody waits for it, then the one with the most waiting
    items takes its place. (A server stays beside it where the plan says that it is resident.)"""

    def decide(self, state: DeviceState) -> Action:
        """A server's requests; the loaded model's next batch; else the change to the longest queue."""
        served = _serve_all(state)
        if served is not None:
            return served
        asked = [m for m in state.models.values() if m.items and not _server_at_work(m)]
        staying = [m for m in asked if m.place.resident]
        if staying:
            return _advance(state, min(staying, key=lambda m: (m.oldest, m.facts.name)), [])
        here = [m for m in state.models.values() if m.state != "offloaded" and not m.place.resident]
        for model in here:
            if model.items and not _server_at_work(model):
                return _advance(state, model, [])
        if not asked or _moving(state) or not all(model.evictable for model in here):
            return Wait()
        longest = max(asked, key=lambda model: (model.items, -model.oldest, model.facts.name))
        action = _advance(state, longest, here)
        return Load(action.model, tuple(model.facts.name for model in here)) if isinstance(action, Load) else action


def _serve_all(state: DeviceState) -> Run | None:
    for model in state.models.values():
        room = model.place.batch - model.running
        if model.facts.kind == "server" and model.state == "loaded" and model.items and room > 0:
            entry = _first(model)
            return Run(model.facts.name, entry.group, min(room, entry.items))
    return None


def _server_at_work(model: ModelState) -> bool:
    """A loaded server takes its requests by itself when it has room."""
    return model.facts.kind == "server" and model.state == "loaded"


def _advance(state: DeviceState, model: ModelState, victims: Sequence[ModelState]) -> Action:
    """Run the model's oldest batch, or load it; the first of the victims that suffice leave for it."""
    if model.state == "loaded":
        if model.running or state.running >= state.device.slots:
            return Wait()
        entry, workspace = _first(model), model.facts.workspace
        items = min(entry.items, model.limit)
        if workspace.per_item:
            items = min(items, (state.free - workspace.fixed) // workspace.per_item)
        if items >= 1 and workspace.nbytes(items) <= state.free:
            return Run(model.facts.name, entry.group, items)
        if state.running or _moving(state):
            return Wait()
        leaving = _enough(state, victims, workspace.nbytes(1), ())
        return Evict(tuple(m.facts.name for m in leaving)) if leaving else Wait()
    if model.state != "offloaded" or _moving(state):
        return Wait()
    held = model.facts.held_beside(model.place.batch)
    smallest = model.facts.workspace.nbytes(1) if model.facts.kind == "batch" else 0
    present = {part.key for m in state.models.values() if m.state != "offloaded" for part in m.facts.components}
    missing = component_bytes(part for part in model.facts.components if part.key not in present)
    found = _enough(state, victims, missing + held + smallest, model.facts.components)
    return Wait() if found is None else Load(model.facts.name, tuple(m.facts.name for m in found))


def _enough(
    state: DeviceState, victims: Sequence[ModelState], need: int, wanted: Iterable[Component]
) -> Sequence[ModelState] | None:
    """The fewest first victims that leave `need` bytes free; None if all do not."""
    wanted_keys = {part.key for part in wanted}
    for count in range(len(victims) + 1):
        leaving = victims[:count]
        names = {m.facts.name for m in leaving}
        staying = [m for m in state.models.values() if m.state != "offloaded" and m.facts.name not in names]
        kept = {part.key for m in staying for part in m.facts.components} | wanted_keys
        freed = component_bytes(part for m in leaving for part in m.facts.components if part.key not in kept)
        freed += sum(m.facts.held_beside(m.place.batch) for m in leaving)
        if state.free + freed >= need:
            return leaving
    return None


def _evictable(state: DeviceState, but: ModelState) -> list[ModelState]:
    return [model for model in state.models.values() if model.evictable and model is not but]


def _moving(state: DeviceState) -> bool:
    return any(model.state in ("loading", "offloading") for model in state.models.values())


def _first(model: ModelState) -> Waiting:
    return next(entry for entry in model.waiting if entry.group != LEASE)
