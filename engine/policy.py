"""What to do next on a device: the questions that the scheduler asks a policy, and the answers it takes."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from .plan import Device, ModelFacts, Place

LEASE = "lease"


@dataclass(frozen=True)
class Waiting:
    """Items of one group that wait for a model. agents: how many callers they come from. oldest: when the first of them
    came, on the scheduler's clock (seconds). Those of the group LEASE are callers that wait for a lease: the scheduler
    grants it by itself as soon as the model is loaded. share: what a batch of the group takes of the model's duration.
    """

    group: Hashable
    items: int
    agents: int
    oldest: float
    share: float = 1.0


@dataclass(frozen=True)
class ModelState:
    """One model of the device.

    state: where its weights are. waiting: by group, the oldest first. running: items of its batch under way (of a
    server: of all its requests). limit: items that a batch may have: the plan's, or fewer since memory ran out.
    leased: it must not be evicted. last_used: when its last batch ended (-inf: never).
    """

    facts: ModelFacts
    place: Place
    state: Literal["offloaded", "loading", "loaded", "offloading"]
    waiting: tuple[Waiting, ...]
    running: int
    limit: int
    leased: bool
    last_used: float

    @property
    def items(self) -> int:
        """Items that wait."""
        return sum(entry.items for entry in self.waiting)

    @property
    def oldest(self) -> float:
        """When the first waiting item came; inf if none waits."""
        return min((entry.oldest for entry in self.waiting), default=float("inf"))

    @property
    def idle(self) -> bool:
        """It could run a batch now, if a slot and the workspace are free."""
        return self.state == "loaded" and not self.running

    @property
    def evictable(self) -> bool:
        """It could be offloaded now. Servers that the plan keeps resident stay."""
        stays = self.place.resident and self.facts.kind == "server"
        return self.state == "loaded" and not self.running and not self.leased and not stays


@dataclass(frozen=True)
class DeviceState:
    """All that a policy may know. now: seconds on the scheduler's clock. free: bytes of the budget not in use.

    running: batches under way on the device (servers' not counted). agents: callers at work (`Scheduler.agent`).
    thinking: those of them that wait for no answer now, so that they may come with a question at any moment.
    """

    device: Device
    now: float
    free: int
    models: Mapping[str, ModelState]
    running: int
    agents: int
    thinking: int


@dataclass(frozen=True)
class Run:
    """Run a batch of the oldest `items` waiting items of a group. The model must be loaded and idle, a slot free, and
    the workspace must fit into what is free (a server: the plan's concurrency must not be exceeded)."""

    model: str
    group: Hashable
    items: int


@dataclass(frozen=True)
class Load:
    """Offload the models of `evict`, which must be evictable, then load `model`, whose weights must then fit."""

    model: str
    evict: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evict:
    """Offload these models, which must be evictable."""

    models: tuple[str, ...]


@dataclass(frozen=True)
class Wait:
    """Nothing now. until: ask again at this time, if nothing happens before (None: only when something happens)."""

    until: float | None = None


Action = Run | Load | Evict | Wait


class Policy(Protocol):
    """Asked again after every event and after every action until it answers Wait."""

    def decide(self, state: DeviceState) -> Action:
        """The next action. Pure: the same state gets the same answer."""
        ...
