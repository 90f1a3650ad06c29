"""Runners that take time but do nothing, and a ledger of device memory that does not trust the scheduler's.

All times are the event loop's: under `virtual_time.run` a day of work takes as long as its bookkeeping.
"""

import asyncio
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ...engine.plan import Device, ModelFacts, Plan
from ...engine.runners.base import ModelUnavailable, OutOfMemory


@dataclass(frozen=True)
class Item:
    """One thing asked of a model. number: unique among all. Items of equal groups may share a batch."""

    number: int
    group: Hashable = None


@dataclass(frozen=True)
class Served:
    """An item's result: by which model, in a batch of how many, from when to when."""

    item: Any
    model: str
    batch: int
    started: float
    ended: float


class ItemFailed(Exception):
    """What an item gets that was told to fail."""


@dataclass(frozen=True)
class Faults:
    """What goes wrong. loads: how many of the first loads raise ModelUnavailable. oom_above: batches of more items
    raise OutOfMemory. batches: numbers (from 0) of the batches that raise an error as a whole. items: share of items
    whose result is ItemFailed, drawn by the item's number alone."""

    loads: int = 0
    oom_above: int | None = None
    batches: frozenset[int] = frozenset()
    items: float = 0.0


@dataclass(frozen=True)
class Violation:
    """More memory was in use than there is. after: what made it so."""

    time: float
    used: int
    memory: int
    after: str


@dataclass
class DeviceLedger:
    """What is on one device, written down by the runners themselves.

    Counted: the distinct components of all models from the moment that their load begins until their offload has
    ended, the workspace of each batch that runs, and a server's workspace for its plan's batch as long as it is loaded.
    """

    device: Device
    holders: dict[str, set[str]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    workspaces: dict[Hashable, int] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)
    used: int = 0
    peak: int = 0
    loaded_bytes: int = 0
    loads: int = 0
    busy_seconds: float = 0.0
    _link: tuple[asyncio.AbstractEventLoop, float] | None = None

    def keep(self, facts: ModelFacts) -> None:
        """Those of the model's components that are here stay, whoever else leaves."""
        for component in facts.components:
            if self.holders.get(component.key):
                self.holders[component.key].add(facts.name)

    def hold(self, facts: ModelFacts) -> int:
        """The model's components are on the device from now on; the bytes of those that were not there before."""
        missing = 0
        for component in {component.key: component for component in facts.components}.values():
            holders = self.holders.setdefault(component.key, set())
            if not holders:
                missing += component.nbytes
                self.sizes[component.key] = component.nbytes
            holders.add(facts.name)
        self._add(missing, f"load of {facts.name}")
        return missing

    def release(self, model: str) -> None:
        """The model's components leave, those that another holds excepted."""
        for key, holders in self.holders.items():
            if model in holders:
                holders.remove(model)
                if not holders:
                    self.used -= self.sizes[key]

    def take(self, key: Hashable, nbytes: int, what: str) -> None:
        """A workspace, until `give(key)`."""
        self.workspaces[key] = nbytes
        self._add(nbytes, what)

    def give(self, key: Hashable) -> None:
        """The workspace of that key is free again."""
        self.used -= self.workspaces.pop(key, 0)

    async def copy(self, nbytes: int) -> None:
        """Wait until the link has brought so many bytes, after all that was asked of it before."""
        loop = asyncio.get_running_loop()
        free_at = self._link[1] if self._link is not None and self._link[0] is loop else 0.0
        done = max(loop.time(), free_at) + nbytes / self.device.link
        self._link = loop, done
        await asyncio.sleep(done - loop.time())

    def _add(self, nbytes: int, what: str) -> None:
        self.used += nbytes
        self.peak = max(self.peak, self.used)
        if self.used > self.device.memory:
            now = asyncio.get_running_loop().time()
            self.violations.append(Violation(now, self.used, self.device.memory, what))


class SimulatedHost:
    """The devices of a plan, with a runner for each of its models.

    jitter: batches take a share of up to this more or less than their model's facts say, drawn by `seed`.
    """

    def __init__(self, plan: Plan, faults: dict[str, Faults] | None = None, jitter: float = 0.0, seed: int = 0) -> None:
        self.plan = plan
        self.ledgers = {device.name: DeviceLedger(device) for device in plan.devices}
        self.runners = {
            facts.name: SimulatedRunner(facts, self, (faults or {}).get(facts.name, Faults()), jitter, Random(seed + n))
            for n, facts in enumerate(plan.models)
        }

    @property
    def violations(self) -> list[Violation]:
        """All moments at which a device held more than it has."""
        return [violation for ledger in self.ledgers.values() for violation in ledger.violations]

    @property
    def swap_bytes(self) -> int:
        """Bytes that were copied to devices, first loads included."""
        return sum(ledger.loaded_bytes for ledger in self.ledgers.values())


class SimulatedRunner:
    """A Runner that takes as long as its facts say. `batches`: the sizes of all batches (of a server: in flight)."""

    def __init__(self, facts: ModelFacts, host: SimulatedHost, faults: Faults, jitter: float, random: Random) -> None:
        self.facts = facts
        self.batches: list[int] = []
        self.failed_loads = 0
        self._host, self._faults, self._jitter, self._random = host, faults, jitter, random
        self._ledger: DeviceLedger | None = None
        self._in_flight = 0

    def keep(self, device: str) -> None:
        """What is shared with a model that leaves now stays for this one, whose load follows."""
        self._host.ledgers[device].keep(self.facts)

    async def load(self, device: str) -> None:
        """Takes the missing bytes over the device's link, one model at a time."""
        assert self._ledger is None, f"{self.facts.name} is loaded twice"
        ledger = self._host.ledgers[device]
        missing = ledger.hold(self.facts)
        try:
            if self.facts.kind == "server":
                batch = self._host.plan.places[self.facts.name].batch
                ledger.take(self, self.facts.workspace.nbytes(batch), f"workspace of {self.facts.name}")
            await ledger.copy(missing)
            if self.failed_loads < self._faults.loads:
                self.failed_loads += 1
                raise ModelUnavailable(f"{self.facts.name} cannot be loaded: it was told to fail.")
        except BaseException:
            ledger.give(self)
            ledger.release(self.facts.name)
            raise
        ledger.loaded_bytes += missing
        ledger.loads += 1
        self._ledger = ledger

    async def offload(self) -> None:
        """Takes no time: the host's copy is still there."""
        ledger = self._loaded()
        assert not self._in_flight, f"{self.facts.name} is offloaded while it runs"
        self._ledger = None
        ledger.give(self)
        ledger.release(self.facts.name)

    async def run(self, items: Sequence[Any]) -> list[Any]:
        """Takes the facts' seconds: a batch for its items, a server's request for all that are in flight with it."""
        ledger, number = self._loaded(), len(self.batches)
        server = self.facts.kind == "server"
        assert server or not self._in_flight, f"two batches of {self.facts.name} at once"
        assert len({self.group(item) for item in items}) == 1, "items of several groups in one batch"
        self._in_flight += len(items)
        size = self._in_flight
        self.batches.append(size)
        loop = asyncio.get_running_loop()
        started = loop.time()
        if not server:
            ledger.take((self, number), self.facts.workspace.nbytes(size), f"batch of {size} of {self.facts.name}")
        try:
            await asyncio.sleep(self._seconds(size))
            if self._faults.oom_above is not None and size > self._faults.oom_above:
                raise OutOfMemory(f"{size} items of {self.facts.name}")
            if number in self._faults.batches:
                raise RuntimeError(f"batch {number} of {self.facts.name} was told to fail")
        finally:
            ledger.give((self, number))
            self._in_flight -= len(items)
            if not server:
                ledger.busy_seconds += loop.time() - started
        served = [Served(item, self.facts.name, size, started, loop.time()) for item in items]
        return [ItemFailed(result.item) if self._fails(result.item) else result for result in served]

    def group(self, item: Any) -> Hashable:
        """The item's own."""
        return item.group

    def _loaded(self) -> DeviceLedger:
        assert self._ledger is not None, f"{self.facts.name} is not loaded"
        return self._ledger

    def _seconds(self, batch: int) -> float:
        return self.facts.duration.seconds(batch) * (1.0 + self._jitter * self._random.uniform(-1.0, 1.0))

    def _fails(self, item: Item) -> bool:
        return self._faults.items > 0 and Random(item.number).random() < self._faults.items
