"""The scheduler's policy: work that is loaded first, swaps last, and nobody waits for ever (docs/scheduler.md)."""

from dataclasses import dataclass
from itertools import combinations

from .plan import Component, component_bytes
from .policy import LEASE, Action, DeviceState, Evict, Load, ModelState, Run, Wait, Waiting

MAX_AGE = 60.0
"""Seconds after which a waiting item goes before all others, whatever the swap costs …"""
BACKLOG = 6.0
"""… but not before so many times what all that waits takes: else, with more work than that, age alone would decide."""
AGING = 1.0
"""Seconds: a batch that has waited so long counts as much as another that answers twice as many agents a second."""
LINGER = 0.6
"""Seconds that a swap waits for agents who may come with work for what is loaded: between two calls of an experiment
lie the sandbox and the agent's own code, which take less."""
RETURN = 4.0
"""An eviction for the sake of a larger batch must save so many times the seconds that it copies: the victim comes back,
and copies are not all that it costs."""
WAITED_FOR = 10.0
"""How much dearer a victim is for which something waits."""
EXACT_VICTIMS = 10
"""Up to so many candidates all sets of victims are compared; of more, the cheapest are taken in turn."""


@dataclass(frozen=True)
class CostAware:
    """Decides by what waits, what is loaded and what a swap costs. Stateless; docs/scheduler.md says why.

    max_age, backlog, linger: see the constants of these names.
    """

    max_age: float = MAX_AGE
    backlog: float = BACKLOG
    linger: float = LINGER

    def decide(self, state: DeviceState) -> Action:
        """In this order: servers' requests; what has become too old; batches of loaded models; loads; swaps."""
        models = list(state.models.values())
        too_old = max(self.max_age, self.backlog * _seconds_waiting(state))
        urgent = _oldest([m for m in models if m.items and state.now - m.oldest >= too_old and not _at_work(m)])
        run = _serve([m for m in models if urgent is None or urgent is m or m.place.resident])
        if run is not None:
            return run
        if urgent is not None:
            action = _urge(state, urgent)
            if action is not None:
                return action
            if state.running or _moving(state) or any(_ends(model) for model in models):
                return Wait()  # nothing new starts, so that what is in its way comes to an end
            # Only a lease can be in its way, whose holder may wait for a server that could sleep.
            run = _serve(models)
            if run is not None:
                return run
        timers = [model.oldest + too_old for model in models if model.items]
        action = self._batch(state, models, timers) or self._load(state, models, timers)
        return action or Wait(min((time for time in timers if time > state.now), default=None))

    def _batch(self, state: DeviceState, models: list[ModelState], timers: list[float]) -> Action | None:
        """The batch that helps most agents a second, and the more the longer they have waited, among loaded models; a
        short one waits briefly for company."""
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
                # Two batches cost the fixed part twice: waiting pays up to that long.
                full = entry.oldest + model.facts.duration.fixed * entry.share
                if items < model.limit and state.thinking and state.now < full and not state.running:
                    timers.append(full)
                    continue
                seconds = max(model.facts.duration.seconds(items) * entry.share, 1e-9)
                gain = min(entry.agents, items) / seconds * (1.0 + (state.now - entry.oldest) / AGING)
                key = (-gain, entry.oldest, model.facts.name)
                if best is None or key < best:
                    candidate = _run_or_make_room(state, model, entry)
                    if candidate is not None:
                        best, action = key, candidate
        return action

    def _load(self, state: DeviceState, models: list[ModelState], timers: list[float]) -> Action | None:
        """Load what fits beside the others at once; swap when nothing loaded can run and nobody is about to come."""
        if _moving(state):
            return None
        wanted = [model for model in models if model.state == "offloaded" and model.waiting]
        found = [(model, victims) for model in wanted if (victims := _victims(state, model)) is not None]
        free = [(model, victims) for model, victims in found if not victims]
        if not free:
            if not found or state.running:
                return None
            settled = max(model.last_used for model in models) + self.linger
            if state.thinking and state.now < settled:
                timers.append(settled)
                return None
        model, victims = min(free or found, key=lambda pair: _load_order(state, pair[0]))
        return Load(model.facts.name, victims)


def _oldest(models: list[ModelState]) -> ModelState | None:
    return min(models, key=lambda model: model.oldest, default=None)


def _ends(model: ModelState) -> bool:
    """It is at work, and its memory can be had afterwards."""
    return model.running > 0 and not (model.facts.kind == "server" and model.place.resident)


def _seconds_waiting(state: DeviceState) -> float:
    """What all that waits takes: batches of the limit's size, and a load of each model that is not there."""
    total = 0.0
    for model in state.models.values():
        if model.items:
            batches = -(-model.items // model.limit)
            total += batches * model.facts.duration.fixed
            # A server works on all its requests at the same time.
            rows = model.items if model.facts.kind == "batch" else model.items / model.limit
            total += model.facts.duration.per_item * rows
            if model.state == "offloaded":
                total += model.facts.nbytes / state.device.link
    return total


def _urge(state: DeviceState, urgent: ModelState) -> Action | None:
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


def _load_order(state: DeviceState, model: ModelState) -> tuple[float, str]:
    """First the model for which agents have waited longest in sum.

    Not the one that helps most agents a second: quick models would then race ahead of those who wait for a slow one,
    all would fall out of step, and every swap would serve few.
    """
    waited = sum(entry.agents * (state.now - entry.oldest + 1.0) for entry in model.waiting)
    return -waited, model.facts.name


def _serve(models: list[ModelState]) -> Action | None:
    """The next requests of the first server that has room, as many as it may have at once."""
    for model in models:
        room = model.place.batch - model.running
        entry = next((entry for entry in model.waiting if entry.group != LEASE), None)
        if model.facts.kind == "server" and model.state == "loaded" and room >= 1 and entry is not None:
            return Run(model.facts.name, entry.group, min(room, entry.items))
    return None


def _at_work(model: ModelState) -> bool:
    """It is being loaded, or its batch runs: nothing more can be done for what waits."""
    return model.state in ("loading", "offloading") or (model.running > 0 and model.facts.kind == "batch")


def _moving(state: DeviceState) -> bool:
    return any(model.state in ("loading", "offloading") for model in state.models.values())


def _run_or_make_room(state: DeviceState, model: ModelState, entry: Waiting) -> Action | None:
    """The largest batch whose workspace is free; or an eviction first, where that saves more batches than it costs."""
    workspace, wanted = model.facts.workspace, min(entry.items, model.limit)
    fits = wanted
    if workspace.per_item > 0:
        fits = min(wanted, (state.free - workspace.fixed) // workspace.per_item)
    if workspace.nbytes(fits) > state.free:
        fits = 0
    if fits < wanted and not _moving(state) and not state.running:
        others = [other for other in _evictable(state) if other is not model]
        unused = [other for other in others if not other.waiting]
        victims = _cheapest(state, unused, workspace.nbytes(wanted) - state.free, ())
        if fits < 1 and not victims:
            victims = _cheapest(state, others, workspace.nbytes(1) - state.free, ())
        swapped = sum(state.models[name].facts.nbytes for name in victims or ()) / state.device.link
        if victims and (fits < 1 or (-(-wanted // fits) - 1) * model.facts.duration.fixed > RETURN * swapped):
            return Evict(victims)
    return Run(model.facts.name, entry.group, fits) if fits >= 1 else None


def _evictable(state: DeviceState) -> list[ModelState]:
    return [model for model in state.models.values() if model.evictable]


def _victims(state: DeviceState, model: ModelState) -> tuple[str, ...] | None:
    """Whom to evict so that the model and the workspace of one item fit: () if it fits as it is, None if it cannot."""
    candidates = [candidate for candidate in _evictable(state) if candidate is not model]
    need = _missing(state, model) + model.facts.held_beside(model.place.batch)
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
    """What an eviction costs: the seconds to load the model again; how often it is asked for makes no difference that
    could be measured."""
    return model.facts.nbytes / state.device.link * (WAITED_FOR if model.waiting else 1.0)


def _freed(state: DeviceState, victims: tuple[ModelState, ...], wanted: tuple[Component, ...]) -> int:
    """Bytes that evicting the victims frees for someone who wants these components."""
    names = {model.facts.name for model in victims}
    staying = [m for m in state.models.values() if m.state != "offloaded" and m.facts.name not in names]
    kept = {part.key for model in staying for part in model.facts.components} | {part.key for part in wanted}
    components = component_bytes(part for model in victims for part in model.facts.components if part.key not in kept)
    return components + sum(model.facts.held_beside(model.place.batch) for model in victims)
