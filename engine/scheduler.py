"""The scheduler: all calls to all models, in batches, within the plan's memory. A policy decides what runs next."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Hashable, Mapping, Sequence
from contextvars import ContextVar
from itertools import count
from types import TracebackType
from typing import Any, Self

from ..models.errors import ExperimentError, UserError
from .cost_aware import CostAware
from .ledger import BudgetError, Ledger
from .loading import begin_eviction, begin_load, load, offload
from .metrics import Metrics
from .plan import Device, Plan
from .policy import DeviceState, Evict, Load, Policy, Run
from .queues import Call, Item, ModelEntry
from .runners.base import OutOfMemory, Runner

_agent: ContextVar[str | None] = ContextVar("agent", default=None)


class Scheduler:
    """Runs what is asked of models: many callers' items in one batch, models loaded and evicted as the plan allows.

    Bytes in use of a device are the distinct components of the models it holds, the workspace of each batch that runs,
    and that of each server that is awake; they never exceed the device's memory in the plan. `metrics` counts.

    Use it inside `async with`, in one event loop at a time; what is loaded stays loaded after it. Not thread-safe.
    """

    def __init__(self, plan: Plan, runners: Mapping[str, Runner], policy: Policy | None = None) -> None:
        """runners: one for each model of the plan. Raises ValueError if they do not match."""
        if set(runners) != set(plan.places) or set(runners) != {facts.name for facts in plan.models}:
            raise ValueError(f"runners {sorted(runners)} do not match the plan's models {sorted(plan.places)}")
        self.plan = plan
        self.policy: Policy = policy or CostAware()
        self.metrics = Metrics([facts.name for facts in plan.models], {d.name: d.memory for d in plan.devices})
        self._entries = {
            facts.name: ModelEntry(facts, place := plan.places[facts.name], runners[facts.name], place.batch)
            for facts in plan.models
        }
        self._ledgers = {
            device.name: Ledger(device, [e for e in self._entries.values() if e.place.device == device.name])
            for device in plan.devices
        }
        self._batches: Counter[str] = Counter()  # under way, by device; servers' not counted
        self._agents: Counter[str] = Counter()  # at work
        self._calls: Counter[str] = Counter()  # unanswered, by caller
        self._numbers = count()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._poked = False
        self._broken: BaseException | None = None
        self._leaving = False
        self._started = 0.0

    async def __aenter__(self) -> Self:
        if self._loop is not None:
            raise RuntimeError("this scheduler is running already")
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._poke()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits for what is under way; what still waits is withdrawn."""
        self._leaving = True
        self._end_waiting(None)
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._end_waiting(None)  # batches that failed have put their items back
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self.metrics.seconds += self._now() - self._started
        for entry in self._entries.values():
            entry.last_used = float("-inf")  # of this loop's clock
        self._loop, self._poked, self._leaving = None, False, False

    @contextlib.asynccontextmanager
    async def agent(self, name: str) -> AsyncIterator[None]:
        """Tell that a caller is at work; calls inside are counted as its own."""
        token = _agent.set(name)
        self._agents[name] += 1
        try:
            yield
        finally:
            self._agents[name] -= 1
            self._agents = +self._agents
            _agent.reset(token)
            self._poke()

    async def submit(self, model: str, items: Sequence[Any], agent: str | None = None) -> list[Any]:
        """One result for each item, in order; an item that failed has its exception in its place.

        Cancelling the call withdraws what has not started. agent: whose call it is (None: that of the `agent` block,
        else a caller of its own). Raises ValueError for an unknown model.
        """
        loop, entry = self._open(), self._entry(model)
        if not items:
            return []
        now = loop.time()
        call = Call(self._caller(agent), len(items), loop.create_future())
        self._calls[call.agent] += 1
        try:
            for place, value in enumerate(items):
                try:
                    group = entry.runner.group(value)
                except Exception as error:
                    call.answer(place, error)
                    continue
                entry.queue(group).add([Item(value, call, place, now)])
            self._poke()
            results = await call.future
            self.metrics.call(call.agent, model, len(items), now - self._started, loop.time() - self._started)
            return results
        except asyncio.CancelledError:
            call.future.cancel()
            self.metrics.models[model].cancelled += entry.withdraw(call)
            raise
        finally:
            self._calls[call.agent] -= 1
            self._calls = +self._calls
            self._poke()

    @contextlib.asynccontextmanager
    async def lease(self, model: str) -> AsyncIterator[None]:
        """Have the model loaded, and keep it so, as long as the block lasts.

        Inside, ask only for models that fit beside it. Leases of models that could not all run beside each other are
        granted one after the other. Raises ModelUnavailable if it cannot be loaded.
        """
        loop, entry = self._open(), self._entry(model)
        granted: asyncio.Future[None] = loop.create_future()
        waiter = (loop.time(), granted)
        entry.lease_waiters.append(waiter)
        self._poke()
        try:
            await granted
        except asyncio.CancelledError:
            if waiter in entry.lease_waiters:
                entry.lease_waiters.remove(waiter)
            elif granted.done() and not granted.cancelled() and granted.exception() is None:
                entry.leases -= 1  # granted in the moment of the cancellation
            self._poke()
            raise
        try:
            yield
        finally:
            entry.leases -= 1
            self._poke()

    def runner(self, model: str) -> Runner:
        """What runs a model. Raises ValueError for an unknown one."""
        return self._entry(model).runner

    def loaded(self) -> list[str]:
        """Names of the models whose weights are on their devices."""
        return [name for name, entry in self._entries.items() if entry.state == "loaded"]

    def waiting(self) -> dict[str, int]:
        """Items that wait, by model."""
        return {name: sum(len(queue.items) for queue in entry.queues.values()) for name, entry in self._entries.items()}

    def used(self, device: str) -> int:
        """Bytes of the device in use now."""
        return self._ledgers[device].used()

    def _entry(self, model: str) -> ModelEntry:
        if model not in self._entries:
            raise ValueError(f"the plan has no model {model!r}, only {', '.join(sorted(self._entries))}")
        return self._entries[model]

    def _open(self) -> asyncio.AbstractEventLoop:
        if self._broken is not None:
            raise self._broken
        if self._loop is None or self._leaving:
            raise RuntimeError("the scheduler is not running: use it inside `async with scheduler:`")
        return self._loop

    def _running(self) -> asyncio.AbstractEventLoop:
        assert self._loop is not None
        return self._loop

    def _now(self) -> float:
        return self._running().time()

    def _caller(self, agent: str | None) -> str:
        name = agent if agent is not None else _agent.get()
        return name if name is not None else f"caller-{next(self._numbers)}"

    # Deciding

    def _poke(self) -> None:
        """Ask the policy soon: once for all that happens in this moment."""
        if self._loop is not None and not self._poked and self._broken is None:
            self._poked = True
            self._loop.call_soon(self._decide)

    def _decide(self) -> None:
        self._poked = False
        if self._loop is None or self._leaving or self._broken is not None:
            return
        try:
            for ledger in self._ledgers.values():
                self._decide_device(ledger)
        except Exception as error:
            self._break(error)

    def _decide_device(self, ledger: Ledger) -> None:
        device = ledger.device
        if device.name in self._timers:
            self._timers.pop(device.name).cancel()
        while True:
            for entry in ledger.entries:
                self._grant(ledger, entry)
            action = self.policy.decide(self._state(ledger))
            if isinstance(action, Run):
                self._run(ledger, action)
            elif isinstance(action, Load):
                evicted = self._named(action.evict)
                begin_load(ledger, self._entries[action.model], evicted)
                self._start(self._load(ledger, self._entries[action.model], evicted))
            elif isinstance(action, Evict):
                if not action.models:
                    raise BudgetError(f"{action} does nothing: it would be asked for again without end")
                evicted = self._named(action.models)
                begin_eviction(ledger, evicted)
                self._start(offload(evicted, self.metrics))
            else:
                if action.until is not None:
                    self._timers[device.name] = self._running().call_at(action.until, self._poke)
                return

    def _named(self, names: Sequence[str]) -> list[ModelEntry]:
        return [self._entries[name] for name in dict.fromkeys(names)]

    def _state(self, ledger: Ledger) -> DeviceState:
        return DeviceState(
            ledger.device,
            self._now(),
            ledger.free(),
            {entry.facts.name: entry.seen(ledger.leasable(entry)) for entry in ledger.entries},
            self._batches[ledger.device.name],
            len(self._agents),
            sum(1 for name in self._agents if not self._calls[name]),
        )

    def _grant(self, ledger: Ledger, entry: ModelEntry) -> None:
        while entry.state == "loaded" and entry.lease_waiters and ledger.leasable(entry):
            _, waiter = entry.lease_waiters.popleft()
            if not waiter.done():
                entry.leases += 1
                waiter.set_result(None)

    def _break(self, error: BaseException) -> None:
        """Nothing can go on: everyone who waits is told."""
        self._broken = error
        self._end_waiting(error)

    def _end_waiting(self, error: BaseException | None) -> None:
        """Whoever waits is told the error; None: withdrawn."""
        for entry in self._entries.values():
            futures: list[asyncio.Future[Any]] = [item.call.future for item in entry.take_all()]
            futures += [waiter for _, waiter in entry.lease_waiters]
            entry.lease_waiters.clear()
            for future in futures:
                if error is None:
                    future.cancel()
                elif not future.done():
                    future.set_exception(error)

    def _start(self, work: Any) -> None:
        task = self._running().create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Any) -> None:
        try:
            await work
        except Exception as error:
            self._break(error)
        finally:
            if self._broken is not None:
                self._end_waiting(self._broken)  # what a batch that failed has put back
            self._poke()

    # Batches

    def _run(self, ledger: Ledger, action: Run) -> None:
        device, entry = ledger.device, self._entries[action.model]
        queue = entry.queues.get(action.group)
        allowed = entry.place.batch - entry.running if entry.is_server else 0 if entry.running else entry.limit
        if (
            entry not in ledger.entries
            or entry.state != "loaded"
            or queue is None
            or not 1 <= action.items <= min(len(queue.items), allowed)
        ):
            raise BudgetError(f"{action} cannot run: the model is {entry.state}, {allowed} items are allowed")
        workspace = 0 if entry.is_server else entry.facts.workspace.nbytes(action.items)
        if not entry.is_server and self._batches[device.name] >= device.slots:
            raise BudgetError(f"{action}: no slot of {device.name} is free")
        ledger.check(workspace, action)
        items = entry.take(action.group, action.items)
        entry.running += len(items)
        entry.workspace += workspace
        now = self._now()
        if not entry.is_server:
            self._batches[device.name] += 1
            self.metrics.batch_started(device.name, now)
        metrics = self.metrics.models[action.model]
        metrics.batches[len(items)] += 1
        metrics.queue_seconds.extend(now - item.arrived for item in items)
        self.metrics.used(device.name, ledger.used())
        self._start(self._batch(device, entry, action.group, items, workspace))

    async def _batch(
        self, device: Device, entry: ModelEntry, group: Hashable, items: list[Item], workspace: int
    ) -> None:
        started = self._now()
        results: list[Any] | BaseException
        try:
            results = await entry.runner.run([item.value for item in items])
            if len(results) != len(items):
                results = RuntimeError(f"{entry.facts.name} gave {len(results)} results for {len(items)} items")
        except asyncio.CancelledError:
            results = RuntimeError(f"a batch of {entry.facts.name} was cancelled")
        except OutOfMemory:
            # Not the one that was raised: its frames hold the tensors of the batch, which must be free before the next.
            results = OutOfMemory()
        except Exception as error:
            results = error
        now = self._now()
        entry.running -= len(items)
        entry.workspace -= workspace
        entry.last_used = now
        self.metrics.models[entry.facts.name].busy_seconds += now - started
        if not entry.is_server:
            self._batches[device.name] -= 1
            self.metrics.batch_ended(device.name, now)
        if isinstance(results, list):
            for item, result in zip(items, results, strict=True):
                self._answer(entry, item, result)
        else:
            self._batch_failed(entry, group, items, results)
        del results  # an error's frames hold this one: only a garbage collection would end the circle

    def _batch_failed(self, entry: ModelEntry, group: Hashable, items: list[Item], error: BaseException) -> None:
        """Memory that did not suffice halves the batches; for any other error each item gets a batch of its own."""
        size = len(items)  # that failed: of two items one may have been withdrawn, the other is no less innocent
        items = [item for item in items if not item.call.future.done()]
        if isinstance(error, OutOfMemory):
            self.metrics.models[entry.facts.name].halved += 1
            if size > 1 and not entry.is_server:
                entry.limit = max(1, min(entry.limit, size) // 2)
                if items:
                    entry.queue(group).put_back(items)
                return
            if size == 1:
                error = ExperimentError(f"{entry.facts.name} ran out of memory on this: ask for something smaller.")
        if size > 1 and not isinstance(error, UserError):
            for item in items:
                entry.queue((group, "alone", next(self._numbers))).add([item])
            return
        for item in items:
            self._answer(entry, item, error)

    def _answer(self, entry: ModelEntry, item: Item, result: Any) -> None:
        metrics = self.metrics.models[entry.facts.name]
        metrics.items += 1
        metrics.failed += isinstance(result, BaseException)
        item.call.answer(item.place, result)

    # Loading

    async def _load(self, ledger: Ledger, entry: ModelEntry, evicted: Sequence[ModelEntry]) -> None:
        error = await load(ledger, entry, evicted, self.metrics, self._now)
        if error is not None:
            self._not_loaded(entry, error)

    def _not_loaded(self, entry: ModelEntry, error: Exception) -> None:
        """Whoever waits for the model gets the error; who asks later makes it tried again."""
        for item in entry.take_all():
            self._answer(entry, item, error)
        for _, waiter in entry.lease_waiters:
            if not waiter.done():
                waiter.set_exception(error)
        entry.lease_waiters.clear()
