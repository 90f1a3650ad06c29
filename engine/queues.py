"""What waits and runs: calls, their items, and each model's queues by group. Bookkeeping, no decisions."""

import asyncio
from collections import Counter, deque
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .plan import Component, ModelFacts, Place
from .policy import LEASE, ModelState, Waiting
from .runners.base import Brief, Runner


class Call:
    """One question to a model: its items' results, and who waits for them."""

    def __init__(self, agent: str, count: int, future: "asyncio.Future[list[Any]]") -> None:
        self.agent, self.future = agent, future
        self.results: list[Any] = [None] * count
        self._missing = count

    def answer(self, place: int, result: Any) -> bool:
        """Keep one item's result; True if it was the last and the caller goes on."""
        self.results[place] = result
        self._missing -= 1
        if self._missing or self.future.done():
            return False
        self.future.set_result(self.results)
        return True


@dataclass(eq=False)
class Item:
    """One item of a call. place: its place in the call."""

    value: Any
    call: Call
    place: int
    arrived: float


class GroupQueue:
    """Waiting items of one group, oldest first."""

    def __init__(self) -> None:
        self.items: deque[Item] = deque()
        self._agents: Counter[str] = Counter()

    def add(self, items: Iterable[Item]) -> None:
        """Put items at the end."""
        for item in items:
            self.items.append(item)
            self._agents[item.call.agent] += 1

    def put_back(self, items: Sequence[Item]) -> None:
        """Put items that were taken back to the front, in their order."""
        self.items.extendleft(reversed(items))
        self._agents.update(item.call.agent for item in items)

    def take(self, count: int) -> list[Item]:
        """The oldest `count` items."""
        taken = [self.items.popleft() for _ in range(count)]
        self._agents.subtract(item.call.agent for item in taken)
        self._agents = +self._agents if len(self._agents) > 2 * len(self.items) + 8 else self._agents
        return taken

    def remove(self, call: Call) -> int:
        """Drop what is left of a call; how many items that were."""
        kept = deque(item for item in self.items if item.call is not call)
        dropped = len(self.items) - len(kept)
        self.items = kept
        self._agents[call.agent] -= dropped
        return dropped

    def seen(self, group: Hashable) -> Waiting:
        """What a policy is told."""
        agents = sum(1 for count in self._agents.values() if count > 0)
        share = group.share if isinstance(group, Brief) else 1.0
        return Waiting(group, len(self.items), agents, self.items[0].arrived, share)


@dataclass(eq=False)
class ModelEntry:
    """One model of the scheduler. limit: items that its batches may have. holding: the device holds its weights, or
    may: from before `load` is called until after `offload`. kept: of its components, what was there already when its
    load began."""

    facts: ModelFacts
    place: Place
    runner: Runner
    limit: int
    state: Literal["offloaded", "loading", "loaded", "offloading"] = "offloaded"
    holding: bool = False
    kept: tuple[Component, ...] = ()
    running: int = 0
    workspace: int = 0
    leases: int = 0
    last_used: float = float("-inf")
    queues: dict[Hashable, GroupQueue] = field(default_factory=dict)
    lease_waiters: deque[tuple[float, "asyncio.Future[None]"]] = field(default_factory=deque)

    @property
    def is_server(self) -> bool:
        """It batches by itself."""
        return self.facts.kind == "server"

    @property
    def held(self) -> int:
        """Bytes beside the weights that are taken while it is loaded and idle."""
        return self.facts.held_beside(self.place.batch)

    def queue(self, group: Hashable) -> GroupQueue:
        """The group's queue, made when there is none."""
        return self.queues.setdefault(group, GroupQueue())

    def take(self, group: Hashable, count: int) -> list[Item]:
        """The oldest items of a group; an empty queue is dropped."""
        queue = self.queues[group]
        taken = queue.take(count)
        if not queue.items:
            del self.queues[group]
        return taken

    def withdraw(self, call: Call) -> int:
        """Drop what waits of a call; how many items that were."""
        dropped = sum(queue.remove(call) for queue in self.queues.values())
        self.queues = {group: queue for group, queue in self.queues.items() if queue.items}
        return dropped

    def take_all(self) -> list[Item]:
        """All that waits."""
        return [item for group in list(self.queues) for item in self.take(group, len(self.queues[group].items))]

    def seen(self, leasable: bool = True) -> ModelState:
        """What a policy is told. leasable: leases may be granted now; else those who wait for one are not mentioned."""
        waiting = [queue.seen(group) for group, queue in self.queues.items()]
        if self.lease_waiters and leasable:
            waiting.append(Waiting(LEASE, len(self.lease_waiters), len(self.lease_waiters), self.lease_waiters[0][0]))
        waiting.sort(key=lambda entry: entry.oldest)
        return ModelState(
            self.facts,
            self.place,
            self.state,
            tuple(waiting),
            self.running,
            self.limit,
            self.leases > 0,
            self.last_used,
        )
