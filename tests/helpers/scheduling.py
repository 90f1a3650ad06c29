"""Runners that fail in every way they may and keep books of their own; models, plans and states made by hand."""

import asyncio
import time
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from maia.benchmarks.scheduling.simulated import DeviceLedger
from maia.engine.plan import Component, Device, Duration, ModelFacts, Place, Plan, Workspace, component_bytes
from maia.engine.policy import DeviceState, ModelState, Waiting
from maia.engine.runners.base import ModelUnavailable, OutOfMemory
from maia.models.errors import ExperimentError

Kind = Literal["good", "fails", "poison", "short", "ungroupable"]


class JobError(Exception):
    """An item's own error; args: its number."""


@dataclass(frozen=True)
class Job:
    """An item. number: unique. fails: its result is a JobError; poison: a batch with it raises one; short: a batch with
    it loses a result; ungroupable: its runner cannot say its group."""

    number: int
    group: Hashable = 0
    kind: Kind = "good"


def outcome(result: Any) -> tuple[str, str]:
    """What is compared of a result or an exception."""
    return type(result).__name__, str(result)


def alone(model: str, job: Job, hidden: int | None) -> tuple[str, str]:
    """The outcome of an item that is run by itself on a model for whose device more than `hidden` items are too many:
    a function of the item alone."""
    if job.kind == "ungroupable":
        return outcome(JobError(job.number))
    if hidden == 0:
        return outcome(ExperimentError(f"{model} ran out of memory on this: ask for something smaller."))
    if job.kind == "short":
        return outcome(RuntimeError(f"{model} gave 0 results for 1 items"))
    return outcome(f"{model} answers {job.number}" if job.kind == "good" else JobError(job.number))


@dataclass(frozen=True)
class Batch:
    """A batch that ran. error: of the whole batch, or "". of: which loop (the first is 0)."""

    model: str
    numbers: tuple[int, ...]
    started: float
    ended: float
    error: str
    of: int


@dataclass(frozen=True)
class Faults:
    """Of a model. loads: the first so many loads fail. hidden: batches of more items run out of memory."""

    loads: float = 0
    hidden: int | None = None


class Lab:
    """Devices and runners of a plan. wrong: what the scheduler must never do and did. threads: batches run in threads
    that sleep."""

    def __init__(self, plan: Plan, faults: dict[str, Faults] | None = None, threads: bool = False) -> None:
        self.plan = plan
        self.faults = {facts.name: (faults or {}).get(facts.name, Faults()) for facts in plan.models}
        self.ledgers = {device.name: DeviceLedger(device) for device in plan.devices}
        self.running: Counter[str] = Counter()
        kind = ThreadRunner if threads else LabRunner
        self.runners = {facts.name: kind(facts, self) for facts in plan.models}
        self.batches: list[Batch] = []
        self.answered: Counter[int] = Counter()
        self.wrong: list[str] = []
        self.loop = 0

    def check(self, condition: bool, text: str) -> None:
        """Notes what is wrong; an exception would only become some item's result."""
        if not condition:
            self.wrong.append(text)

    def verify(self) -> None:
        """Nothing went wrong: budgets, batches, groups, slots, and no item was answered twice."""
        assert not self.wrong, self.wrong
        violations = [violation for ledger in self.ledgers.values() for violation in ledger.violations]
        assert not violations, violations
        twice = {number: times for number, times in self.answered.items() if times > 1}
        assert not twice, f"answered more than once: {twice}"


class LabRunner:
    """A runner that takes its facts' seconds, fails as told, and keeps the books."""

    def __init__(self, facts: ModelFacts, lab: Lab) -> None:
        self.facts, self.lab = facts, lab
        self.faults = lab.faults[facts.name]
        self.failed_loads = 0
        self.device: str | None = None
        self.busy = False
        self.in_flight = 0

    def keep(self, device: str) -> None:
        """See Runner."""
        self.lab.check(not self.busy and self.device is None, f"{self.facts.name} is to be kept in between")
        self.lab.ledgers[device].keep(self.facts)

    async def load(self, device: str) -> None:
        """See Runner."""
        name, ledger = self.facts.name, self.lab.ledgers[device]
        self.lab.check(not self.busy and self.device is None, f"{name} is loaded twice")
        self.lab.check(device == self.lab.plan.places[name].device, f"{name} is loaded on {device}")
        self.busy = True
        missing = ledger.hold(self.facts)
        if self.facts.kind == "server":
            ledger.take(self, self.facts.workspace.nbytes(self.lab.plan.places[name].batch), f"{name} awake")
        await ledger.copy(missing)
        self.busy = False
        if self.failed_loads < self.faults.loads:
            self.failed_loads += 1
            ledger.give(self)
            ledger.release(name)
            raise ModelUnavailable(f"{name} cannot be loaded")
        ledger.loaded_bytes += missing
        ledger.loads += 1
        self.device = device

    async def offload(self) -> None:
        """See Runner; takes a moment, in which the bytes are still in use."""
        name = self.facts.name
        self.lab.check(self.device is not None and not self.busy and not self.in_flight, f"{name} is offloaded in use")
        if self.device is None:
            return
        ledger, self.device = self.lab.ledgers[self.device], None
        self.busy = True
        await asyncio.sleep(0.01)
        self.busy = False
        ledger.give(self)
        ledger.release(name)

    def group(self, item: Job) -> Hashable:
        """See Runner."""
        if item.kind == "ungroupable":
            raise JobError(item.number)
        return item.group

    async def run(self, items: Sequence[Job]) -> list[Any]:
        """See Runner."""
        lab, name, server = self.lab, self.facts.name, self.facts.kind == "server"
        place = lab.plan.places[name]
        device = lab.plan.device(place.device)
        lab.check(self.device == device.name and not self.busy, f"{name} runs and is not loaded")
        lab.check(server or not self.in_flight, f"{name} runs two batches")
        lab.check(bool(items), f"{name} runs an empty batch")
        lab.check(len({item.group for item in items}) == 1, f"{name} runs a batch of several groups")
        self.in_flight += len(items)
        lab.check(self.in_flight <= place.batch, f"{name} runs {self.in_flight} items")
        key = object()
        if not server:
            lab.running[device.name] += 1
            lab.check(lab.running[device.name] <= device.slots, f"{lab.running[device.name]} batches on {device.name}")
            lab.ledgers[device.name].take(key, self.facts.workspace.nbytes(len(items)), f"batch of {name}")
        loop = asyncio.get_running_loop()
        started, size, error = loop.time(), self.in_flight, ""
        try:
            await self.work(self.facts.duration.seconds(size))
            results = self._results(items)
            for item in items:
                lab.answered[item.number] += len(results) == len(items)
            return results
        except Exception as problem:
            error = type(problem).__name__
            raise
        finally:
            lab.ledgers[device.name].give(key)
            lab.running[device.name] -= not server
            self.in_flight -= len(items)
            numbers = tuple(item.number for item in items)
            lab.batches.append(Batch(name, numbers, started, loop.time(), error, lab.loop))

    async def work(self, seconds: float) -> None:
        """Takes so long."""
        await asyncio.sleep(seconds)

    def _results(self, items: Sequence[Job]) -> list[Any]:
        hidden = self.faults.hidden
        if hidden is not None and len(items) > hidden:
            raise OutOfMemory(f"{len(items)} items of {self.facts.name}")
        for item in items:
            if item.kind == "poison":
                raise JobError(item.number)
        answers = [
            f"{self.facts.name} answers {item.number}" if item.kind != "fails" else JobError(item.number)
            for item in items
        ]
        return answers[any(item.kind == "short" for item in items) :]


class ThreadRunner(LabRunner):
    """Runs each batch in a thread, for real."""

    async def work(self, seconds: float) -> None:
        """Takes so long."""
        await asyncio.to_thread(time.sleep, seconds)


# Plans


def make_plan(
    models: Sequence[ModelFacts], memory: int, batch: int = 4, slots: int = 1, resident: Sequence[str] = ()
) -> Plan:
    """All models on one device "gpu" whose link brings one byte a second."""
    places = {m.name: Place("gpu", m.name in resident, min(batch, m.max_batch)) for m in models}
    return Plan((Device("gpu", memory, 1.0, slots),), tuple(models), places)


def make_model(name: str, nbytes: int = 10, workspace: Workspace | None = None, **options: Any) -> ModelFacts:
    """One component of its own; a batch takes a second."""
    options = {"duration": Duration(1.0, 0.0), "max_batch": 8, "components": (Component(name, nbytes),), **options}
    return ModelFacts(name, workspace=workspace or Workspace(), **options)


# States for the policy alone


def waiting(items: int, oldest: float = 0.0, agents: int = 1, group: Hashable = "g", share: float = 1.0) -> Waiting:
    """Items that wait."""
    return Waiting(group, items, agents, oldest, share)


def model_state(
    facts: ModelFacts,
    state: Literal["offloaded", "loading", "loaded", "offloading"] = "loaded",
    *entries: Waiting,
    resident: bool = False,
    batch: int = 4,
    **options: Any,
) -> ModelState:
    """A model's state; by default nobody uses it and it was last used at 0."""
    options = {"running": 0, "limit": batch, "leased": False, "last_used": 0.0, **options}
    return ModelState(facts, Place("gpu", resident, batch), state, entries, **options)


def device_state(
    *models: ModelState, memory: int = 100, now: float = 0.0, slots: int = 1, **options: Any
) -> DeviceState:
    """A device that holds these models; free: what they leave of its memory."""
    held = [model for model in models if model.state != "offloaded"]
    used = component_bytes(part for model in held for part in model.facts.components)
    used += sum(model.facts.held(model.place.batch) - model.facts.nbytes for model in held)
    used += sum(
        model.facts.workspace.nbytes(model.running) for model in held if model.facts.kind == "batch" and model.running
    )
    running = sum(1 for model in held if model.running and model.facts.kind == "batch")
    options = {"free": memory - used, "running": running, "agents": 0, "thinking": 0, **options}
    return DeviceState(Device("gpu", memory, 1.0, slots), now, models={m.facts.name: m for m in models}, **options)
