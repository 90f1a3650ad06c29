"""How few bytes any schedule must copy: an offline bound, and schedules found with full knowledge of the future.

**What counts as a schedule.** Each agent's requests are served in its own order; between agents any order and any delay
is allowed. At every moment the distinct components on the device, with the workspace of what runs, fit into its
memory. A request is served at some moment at which all components of its model are on the device and there is room for
the workspace of one item; a server holds the workspace of its plan's batch as long as it is loaded. Components that
the same models use come and go together; beyond that each may stay or leave. One that was not there is copied. All
starts with an empty device, so first loads count for everybody; a server that cannot sleep is there from the start.

**Why `Problem.singles` is a bound.** Take any schedule for all agents and one agent of them. The moments at which its
requests are served are ordered, and what is on the device in between is a way to serve this agent alone. So the
schedule copies, of the components that this agent uses, no less than the cheapest way to serve it alone; and all that
only others use at least once. This holds for every agent: the maximum is a bound.
The cheapest way for one agent is weighted caching with components that models share, solved exactly by dynamic
programming over the sets of components on the device. It is enough to load what the next request needs and nothing
more (a copy made earlier can be put off to when it is needed: this only frees memory before), and to evict no more
than what has to go (what stayed can still be evicted later, for nothing). Devices are independent once a plan has
placed the models: the bounds of their parts of the sequences add up.

**Better for few agents.** `search` is A* over (every agent's position, set on the device), with the maximum of the
agents' exact costs to go as its estimate. That never overestimates and is consistent, so when it reaches the end it has
the exact optimum over all interleavings, and when it is stopped before, the last estimate that it took is still a
lower bound. A request whose model is there is served at once: that costs nothing and closes no way.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from ...engine.plan import ModelFacts, Plan
from .traces import Agent, Trace


@dataclass(frozen=True)
class _Group:
    """Components that the same models use, as one. memory: what it takes (a server's workspace too). cost: bytes."""

    memory: int
    cost: int
    models: frozenset[str]


class Residency:
    """The sets that a device can hold, and what it costs to get from one to the next.

    models: those placed on the device. memory: bytes. batches: the plan's batch of each server (its workspace).
    Raises ValueError where a model does not fit even alone.
    """

    def __init__(self, models: Sequence[ModelFacts], memory: int, batches: dict[str, int]) -> None:
        self.names = [facts.name for facts in models]
        self._memory = memory
        users: dict[str, set[str]] = {}
        sizes: dict[str, int] = {}
        for facts in models:
            for component in facts.components:
                users.setdefault(component.key, set()).add(facts.name)
                sizes[component.key] = component.nbytes
        together: dict[frozenset[str], int] = {}
        for key, names in users.items():
            together[frozenset(names)] = together.get(frozenset(names), 0) + sizes[key]
        self._groups = [_Group(nbytes, nbytes, names) for names, nbytes in together.items()]
        self._workspace = [0 if f.kind == "server" else f.workspace.nbytes(1) for f in models]
        for facts in models:
            if facts.kind == "server":
                held = facts.workspace.nbytes(batches[facts.name])
                self._groups.append(_Group(held, 0, frozenset([facts.name])))
        self._masks = [sum(1 << n for n, g in enumerate(self._groups) if f.name in g.models) for f in models]
        fixed = [m for f, m in zip(models, self._masks, strict=True) if f.kind == "server" and not f.can_sleep]
        self._pinned = 0
        for mask in fixed:
            self._pinned |= mask
        self._explore()

    def _weigh(self, mask: int) -> int:
        return sum(group.memory for n, group in enumerate(self._groups) if mask >> n & 1)

    def cost(self, mask: int) -> int:
        """Bytes to copy for the groups of a mask."""
        return sum(group.cost for n, group in enumerate(self._groups) if mask >> n & 1)

    def _after(self, held: int, model: int) -> list[int]:
        """Sets that may follow to serve a model: nothing evicted that could have stayed."""
        needed = self._masks[model] | self._pinned
        room = self._memory - self._workspace[model]
        if self._weigh(held | needed) <= room:
            return [held | needed]
        if self._weigh(needed) > room:
            raise ValueError(f"{self.names[model]} does not fit into {self._memory} bytes.")
        others = [1 << n for n in range(len(self._groups)) if (held & ~needed) >> n & 1]
        kept: list[int] = []
        for count in range(len(others) - 1, -1, -1):
            for some in combinations(others, count):
                mask = sum(some) | needed
                if self._weigh(mask) <= room and not any(mask & larger == mask for larger in kept):
                    kept.append(mask)
        return kept

    def _explore(self) -> None:
        """All sets that can come about, and for each model the ways on from each: `next`, `costs` [sets, ways]."""
        self.sets = [self._pinned]
        index = {self._pinned: 0}
        ways: list[list[list[tuple[int, int]]]] = [[] for _ in self.names]
        for held in self.sets:
            for model in range(len(self.names)):
                found = []
                for mask in self._after(held, model):
                    if mask not in index:
                        index[mask] = len(self.sets)
                        self.sets.append(mask)
                    found.append((index[mask], self.cost(mask & ~held)))
                ways[model].append(found)
        self.ways = ways
        self.next: list[np.ndarray] = []
        self.costs: list[np.ndarray] = []
        for rows in ways:
            width = max(map(len, rows))
            onward, costs = np.zeros((len(rows), width), int), np.full((len(rows), width), np.inf)
            for row, found in enumerate(rows):
                onward[row, : len(found)] = [way for way, _ in found]
                costs[row, : len(found)] = [cost for _, cost in found]
            self.next.append(onward)
            self.costs.append(costs)

    def used(self, models: Iterable[int]) -> int:
        """The groups that the models use, but for what is there from the start."""
        mask = 0
        for model in models:
            mask |= self._masks[model]
        return mask & ~self._pinned

    @cached_property
    def start_cost(self) -> int:
        """Bytes of what has to be there from the start."""
        return self.cost(self._pinned)

    @cached_property
    def free(self) -> np.ndarray:
        """Bool [sets, models]: the model can be served from the set as it is."""
        table = np.zeros((len(self.sets), len(self.names)), bool)
        for model, rows in enumerate(self.ways):
            for row, found in enumerate(rows):
                table[row, model] = found[0] == (row, 0)
        return table

    def to_go(self, sequence: Sequence[int]) -> np.ndarray:
        """Float [len(sequence) + 1, sets]: the fewest bytes to serve the rest of the sequence from each set."""
        table = np.zeros((len(sequence) + 1, len(self.sets)))
        for position in range(len(sequence) - 1, -1, -1):
            model = sequence[position]
            table[position] = (self.costs[model] + table[position + 1][self.next[model]]).min(axis=1)
        return table


@dataclass(frozen=True)
class Found:
    """lower: no schedule copies fewer bytes. upper: what the best schedule found copies (None: not looked for). By the
    rules above, where they are equal, this is the optimum. A scheduler that moves whole models may need a little more:
    here a component may stay while the rest of its only model leaves."""

    lower: int
    upper: int | None


def visits(agent: Agent, models: Sequence[str]) -> list[int]:
    """Which of the models (by place) an agent needs one after the other.

    Of requests made at the same time, the first of a model on this device counts: fewer requests only lower the cost.
    """
    found: list[int] = []
    for step in agent:
        here = [models.index(request.model) for request in step.requests if request.model in models]
        if here and (not found or found[-1] != here[0]):
            found.append(here[0])
    return found


def bound(plan: Plan, trace: Trace, nodes: int = 20_000, beam: int = 20) -> Found:
    """Bounds of the bytes that serving the trace copies, all devices together.

    nodes: states that the search may take on a device (0: the single agents' bound alone). beam: schedules that are
    followed side by side in looking for a good one (0: none is looked for).
    """
    lower, upper = 0, 0
    exact = all(len(step.requests) == 1 for agent in trace.values() for step in agent)
    for device in plan.devices:
        models = plan.on(device.name)
        if not models:
            continue
        residency = Residency(models, device.memory, {m.name: plan.places[m.name].batch for m in models})
        sequences = [s for agent in trace.values() if (s := visits(agent, residency.names))]
        problem = Problem(residency, sequences)
        best, done = problem.search(nodes) if nodes else (problem.singles(), False)
        lower += best if done else max(best, problem.singles())
        upper += best if done else problem.schedule(beam) if beam else 0
    return Found(lower, upper if exact and (beam or lower == upper) else None)


class Problem:
    """The sequences of all agents on one device."""

    def __init__(self, residency: Residency, sequences: Sequence[Sequence[int]]) -> None:
        self._r = residency
        sequences = [*sequences] or [[]]
        longest = max(map(len, sequences))
        count, sets = len(sequences), len(residency.sets)
        self._ends = np.array([len(s) for s in sequences])
        self._next = np.full((count, longest + 1), -1)
        self._to_go = np.zeros((count, longest + 1, sets))
        self._reach = np.zeros((sets, count, longest + 1), int)
        for agent, sequence in enumerate(sequences):
            end = len(sequence)
            self._next[agent, :end] = sequence
            self._to_go[agent, : end + 1] = residency.to_go(sequence)
            self._reach[:, agent, end:] = end
            for position in range(end - 1, -1, -1):
                passes = residency.free[:, sequence[position]]
                self._reach[:, agent, position] = np.where(passes, self._reach[:, agent, position + 1], position)
        self._agents = np.arange(count)

    def singles(self) -> int:
        """The most of any agent: its cost alone, and what only others use, which is copied at least once."""
        used = [self._r.used(row[row >= 0]) for row in self._next]
        everything = 0
        for mask in used:
            everything |= mask
        others = [self._r.cost(everything & ~mask) for mask in used]
        return int((self._to_go[:, 0, 0] + others).max()) + self._r.start_cost

    def _moves(self, held: int, positions: np.ndarray) -> list[tuple[int, int, np.ndarray]]:
        """(cost, set, positions) after each load that some agent waits for, with all served that then can be."""
        wanted = np.unique(self._next[self._agents, positions])
        return [
            (cost, after, self._reach[after][self._agents, positions])
            for model in wanted[wanted >= 0]
            for after, cost in self._r.ways[model][held]
        ]

    def search(self, nodes: int) -> tuple[int, bool]:
        """(bytes, whether this is the optimum): else a lower bound, found with so many states taken."""
        start = np.zeros(len(self._agents), int)
        start = self._reach[0][self._agents, start]
        heap: list[tuple[float, int, int, int, np.ndarray]] = [(float(self._estimate(start, 0)), 0, 0, 0, start)]
        known: dict[tuple[int, bytes], int] = {(0, start.tobytes()): 0}
        number, best = 0, 0.0
        for _ in range(nodes):
            estimate, _, paid, held, positions = heapq.heappop(heap)
            best = max(best, estimate)
            if (positions == self._ends).all():
                return paid + self._r.start_cost, True
            if paid > known[held, positions.tobytes()]:
                continue
            for cost, after, reached in self._moves(held, positions):
                key = (after, reached.tobytes())
                if paid + cost < known.get(key, 1 << 62):
                    known[key] = paid + cost
                    number += 1
                    value = paid + cost + float(self._estimate(reached, after))
                    # Of equal estimates the later one first: it tends to be further on.
                    heapq.heappush(heap, (value, -number, paid + cost, after, reached))
        return int(max(best, heap[0][0] if heap else 0.0)) + self._r.start_cost, False

    def _estimate(self, positions: np.ndarray, held: int) -> float:
        return float(self._to_go[self._agents, positions, held].max())

    def schedule(self, beam: int) -> int:
        """Bytes of the best schedule that a beam search finds: it knows the future and lets everybody wait."""
        start = self._reach[0][self._agents, np.zeros(len(self._agents), int)]
        front: list[tuple[int, int, np.ndarray]] = [(0, 0, start)]
        best = 1 << 62
        while front:
            seen: dict[tuple[int, bytes], tuple[float, int, np.ndarray]] = {}
            for paid, held, positions in front:
                if (positions == self._ends).all():
                    best = min(best, paid)
                    continue
                for cost, after, reached in self._moves(held, positions):
                    left = self._to_go[self._agents, reached, after]
                    value = paid + cost + float(left.max()) + float(left.mean())
                    key = (after, reached.tobytes())
                    if paid + cost + left.max() < best and (key not in seen or value < seen[key][0]):
                        seen[key] = (value, paid + cost, reached)
            ranked = sorted(seen.items(), key=lambda entry: entry[1][0])[:beam]
            front = [(paid, key[0], reached) for key, (_, paid, reached) in ranked]
        return best + self._r.start_cost
