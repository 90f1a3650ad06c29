"""The scheduler's policy: full batches first, swaps only when they pay, nobody waits for ever (docs/scheduler.md)."""

from dataclasses import dataclass
from itertools import combinations

from .plan import Component, component_bytes
from .policy import LEASE, Action, DeviceState, Evict, Load, ModelState, Run, Wait, Waiting

MAX_AGE = 60.0
"""Seconds after which a waiting item goes before all others, whatever the swap costs."""
PATIENCE = 2.0
"""A swap is made once the agents that wait for it have together waited this many times as long as it takes."""
EXACT_VICTIMS = 10
"""Up to so many candidates all sets of victims are compared; of more, the cheapest are taken in turn."""


@dataclass(frozen=True)
class CostAware:
    """Decides by what waits, what is loaded and what a swap costs. Stateless; see docs/scheduler.md for why.

    max_age: seconds. patience: see PATIENCE.
    """

    max_age: float = MAX_AGE
    patience: float = PATIENCE

    def decide(self, state: DeviceState) -> Action:
        """In this order: servers' requests; what has become too old; batches of loaded models; loads and swaps."""
        models = list(state.models.values())
        urgent = self._urgent(state, models)
        for model in models:
            if model.facts.kind == "server" and (urgent is None or urgent is model or model.place.resident):
                run = _serve(model)
                if run is not None:
                    return run
        if urgent is not None:
            action = self._urge(state, urgent)
            if action is not None:
                return action
        timers: list[float] = [model.oldest + self.max_age for model in models if model.items]
        if urgent is None:
            run = self._best_batch(state, models, timers)
            if run is not None:
                return run
            load = self._best_load(state, models, timers)
            if load is not None:
                return load
        later = [time for time in timers if time > state.now]
        return Wait(min(later, default=None))

    def _urgent(self, state: DeviceState, models: list[ModelState]) -> ModelState | None:
        """The model with the oldest item, if that is too old and can be helped."""
        old = [m for m in models if m.items and state.now - m.oldest >= self.max_age and not _at_work(m)]
        return min(old, key=lambda model: model.oldest, default=None)

    def _urge(self, state: DeviceState, urgent: ModelState) -> Action | None:
        """Run or load the urgent model, with whatever evictions that takes; None while others have to end first."""
        if urgent.state == "loaded":
            entry = next((entry for entry in urgent.waiting if entry.group != LEASE), None)
            if entry is None or urgent.facts.kind == "server" or state.running >= state.device.slots:
                return None
            return _run_or_make_room(state, urgent, entry)
        if urgent.state != "offloaded" or _moving(state):
            return None
        victims = _victims(state, urgent)
        return Load(urgent.facts.name, victims) if victims is not None else None

    def _best_batch(self, state: DeviceState, models: list[ModelState], timers: list[float]) -> Action | None:
        """The batch that helps most agents a second, among loaded models; a short one waits briefly for company."""
        if state.running >= state.device.slots:
            return None
        best: tuple[float, float, str] | None = None
        action: Action | None = None
        for model in models:
            if model.facts.kind == "server" or not model.idle:
                continue
            for entry in model.waiting:
                if entry.group == LEASE:
                    continue
                items = min(entry.items, model.limit)
                linger = entry.oldest + model.facts.duration.fixed
                if items < model.limit and state.thinking and state.now < linger and not state.running:
                    timers.append(linger)
                    continue
                rate = min(entry.agents, items) / max(model.facts.duration.seconds(items), 1e-9)
                key = (-rate, entry.oldest, model.facts.name)
                if best is None or key < best:
                    candidate = _run_or_make_room(state, model, entry)
                    if candidate is not None:
                        best, action = key, candidate
        return action

    def _best_load(self, state: DeviceState, models: list[ModelState], timers: list[float]) -> Action | None:
        """Load what fits beside the others at once; swap when the wait has paid for it, or nobody else can come."""
        if _moving(state):
            return None
        best: tuple[float, float, str] | None = None
        action: Action | None = None
        for model in models:
            if model.state != "offloaded" or not model.waiting:
                continue
            victims = _victims(state, model, spare_waiting=True)
            if victims is None:
                continue
            swapped = [state.models[name] for name in victims]
            seconds = (_missing(state, model) + sum(m.facts.nbytes for m in swapped)) / state.device.link
            agents = sum(entry.agents for entry in model.waiting)
            if victims and (state.thinking or state.running):
                waited = sum(entry.agents * (state.now - entry.oldest) for entry in model.waiting)
                if waited < self.patience * seconds:
                    timers.append(state.now + (self.patience * seconds - waited) / agents)
                    continue
            key = (-agents / max(seconds, 1e-9), model.oldest, model.facts.name)
            if best is None or key < best:
                best, action = key, Load(model.facts.name, victims)
        return action


def _serve(model: ModelState) -> Action | None:
    """A server's next requests, as many as it may have at once."""
    room = model.place.batch - model.running
    entry = next((entry for entry in model.waiting if entry.group != LEASE), None)
    if model.state != "loaded" or room < 1 or entry is None:
        return None
    return Run(model.facts.name, entry.group, min(room, entry.items))


def _at_work(model: ModelState) -> bool:
    """It is being loaded, or its batch runs: nothing more can be done for what waits."""
    return model.state in ("loading", "offloading") or (model.running > 0 and model.facts.kind == "batch")


def _moving(state: DeviceState) -> bool:
    return any(model.state in ("loading", "offloading") for model in state.models.values())


def _run_or_make_room(state: DeviceState, model: ModelState, entry: Waiting) -> Action | None:
    """The largest batch whose workspace is free; if none is, evict idle models for the smallest."""
    items = min(entry.items, model.limit)
    workspace = model.facts.workspace
    if workspace.per_item > 0:
        items = min(items, (state.free - workspace.fixed) // workspace.per_item)
    if items >= 1 and workspace.nbytes(items) <= state.free:
        return Run(model.facts.name, entry.group, items)
    if _moving(state) or state.running:
        return None
    victims = _cheapest(state, [m for m in _evictable(state) if m is not model], workspace.nbytes(1) - state.free, ())
    return Evict(victims) if victims else None


def _evictable(state: DeviceState) -> list[ModelState]:
    return [model for model in state.models.values() if model.evictable]


def _victims(state: DeviceState, model: ModelState, spare_waiting: bool = False) -> tuple[str, ...] | None:
    """Whom to evict so that the model and the workspace of one item fit: () if it fits as it is, None if it cannot.

    spare_waiting: models for which something waits are no victims.
    """
    candidates = [m for m in _evictable(state) if m is not model and not (spare_waiting and m.waiting)]
    need = _missing(state, model) + model.facts.held(model.place.batch) - model.facts.nbytes
    if model.facts.kind == "batch":
        need += model.facts.workspace.nbytes(1)
    return _cheapest(state, candidates, need - state.free, model.facts.components)


def _missing(state: DeviceState, model: ModelState) -> int:
    """Bytes that loading the model copies: what it shares with others, evicted for it or not, stays."""
    staying = [m for m in state.models.values() if m.state != "offloaded"]
    present = {part.key for other in staying if other is not model for part in other.facts.components}
    return component_bytes(part for part in model.facts.components if part.key not in present)


def _cheapest(
    state: DeviceState, candidates: list[ModelState], lacking: int, wanted: tuple[Component, ...]
) -> tuple[str, ...] | None:
    """The set of candidates that frees `lacking` bytes and is cheapest to load again: () if nothing is lacking.

    wanted: components that are to be there afterwards; those that only victims hold free nothing.
    """
    if lacking <= 0:
        return ()
    ranked = sorted(candidates, key=lambda m: (_regret(state, m), m.facts.name))
    sets = (
        [found for size in range(1, len(ranked) + 1) for found in combinations(ranked, size)]
        if len(ranked) <= EXACT_VICTIMS
        else [tuple(ranked[:size]) for size in range(1, len(ranked) + 1)]
    )
    enough = [found for found in sets if _freed(state, found, wanted) >= lacking]
    if not enough:
        return None
    chosen = min(enough, key=lambda found: (sum(_regret(state, m) for m in found), len(found)))
    return tuple(model.facts.name for model in chosen)


def _regret(state: DeviceState, model: ModelState) -> float:
    """What an eviction is likely to cost: the seconds to load it again, less the longer nobody has used it."""
    seconds = model.facts.nbytes / state.device.link
    idle = state.now - model.last_used
    return seconds * (2.0 if model.waiting else 1.0 / (1.0 + idle / MAX_AGE))


def _freed(state: DeviceState, victims: tuple[ModelState, ...], wanted: tuple[Component, ...]) -> int:
    """Bytes that evicting the victims frees for someone who wants these components."""
    names = {model.facts.name for model in victims}
    staying = [m for m in state.models.values() if m.state != "offloaded" and m.facts.name not in names]
    kept = {part.key for model in staying for part in model.facts.components} | {part.key for part in wanted}
    components = component_bytes(part for model in victims for part in model.facts.components if part.key not in kept)
    return components + sum(model.facts.held(model.place.batch) - model.facts.nbytes for model in victims)
