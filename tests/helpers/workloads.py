"""Random workloads for the scheduler: plans, callers and what they see; what must be true of it afterwards."""

import asyncio
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random
from typing import Any

from maia.engine.cost_aware import CostAware
from maia.engine.plan import Component, Device, Duration, ModelFacts, Place, Plan, Workspace, component_bytes
from maia.engine.runners.base import ModelUnavailable
from maia.engine.scheduler import Scheduler
from scheduling import Faults, Job, Kind, Lab, alone, outcome


def random_plan(random: Random, models: int, devices: int) -> Plan:
    """Any plan on which each model fits beside the servers that stay, some of them barely."""
    pool = [Component(f"part-{k}", random.randint(1, 6)) for k in range(models + 1)]
    link = random.choice([1.0, 4.0, 20.0])
    facts, places = [], {}
    for number in range(models):
        server = random.random() < 0.25
        model = ModelFacts(
            f"model-{number}",
            tuple(random.sample(pool, random.randint(0, min(3, len(pool))))),
            Workspace(random.randint(0, 3), random.randint(0, 2)),
            Duration(random.choice([0.0, 0.1, 1.0]), random.choice([0.01, 0.1, 0.5])),
            max_batch=random.randint(1, 5),
            items_per_unit=random.choice([1, 10]),
            kind="server" if server else "batch",
            can_sleep=server and random.random() < 0.6,
        )
        resident = not model.can_sleep if server else random.random() < 0.3
        facts.append(model)
        places[model.name] = Place(f"gpu{number % devices}", resident, random.randint(1, model.max_batch))
    made = tuple(
        Device(name, _memory(random, [m for m in facts if places[m.name].device == name], places), link, slots)
        for name, slots in ((f"gpu{k}", random.randint(1, 3)) for k in range(devices))
    )
    return Plan(made, tuple(facts), places)


def _memory(random: Random, models: Sequence[ModelFacts], places: dict[str, Place]) -> int:
    stay = [m for m in models if m.kind == "server" and places[m.name].resident]

    def together(others: Sequence[ModelFacts], batch: bool) -> int:
        all_of_them = {m.name: m for m in (*stay, *others)}.values()
        awake = sum(m.held(places[m.name].batch) - m.nbytes for m in all_of_them)
        runs = [m.workspace.nbytes(places[m.name].batch if batch else 1) for m in others if m.kind == "batch"]
        return component_bytes(part for m in all_of_them for part in m.components) + awake + sum(runs)

    least = max((together([model], False) for model in models), default=0)
    most = max(least, together(models, True))
    return max(1, random.choice([least, least, random.randint(least, most), most]))


# Callers


@dataclass(frozen=True)
class Think:
    """Seconds in which nothing is asked."""

    seconds: float


@dataclass(frozen=True)
class Ask:
    """A call. patience: seconds after which it is cancelled."""

    model: str
    jobs: tuple[Job, ...]
    patience: float | None = None


@dataclass(frozen=True)
class Lease:
    """Steps that are done while the model is leased."""

    model: str
    steps: tuple["Think | Ask", ...]


Step = Think | Ask | Lease


@dataclass(frozen=True)
class Answer:
    """A call that ended. results: None if it was cancelled (by its caller: `ended` is when)."""

    ask: Ask
    asked: float
    ended: float
    results: list[Any] | None
    of: int


@dataclass
class Log:
    """What callers saw. lease_errors: leases that were refused."""

    answers: list[Answer] = field(default_factory=list)
    lease_errors: list[Exception] = field(default_factory=list)


async def act(scheduler: Scheduler, name: str | None, steps: Sequence[Step], log: Log, of: int = 0) -> None:
    """A caller's steps, one after the other. name: None for one that does not say who it is."""
    async with AsyncExitStack() as stack:
        if name is not None:
            await stack.enter_async_context(scheduler.agent(name))
        for step in steps:
            await _step(scheduler, step, log, of)


async def _step(scheduler: Scheduler, step: Step, log: Log, of: int) -> None:
    loop = asyncio.get_running_loop()
    if isinstance(step, Think):
        await asyncio.sleep(step.seconds)
    elif isinstance(step, Lease):
        try:
            async with scheduler.lease(step.model):
                for inner in step.steps:
                    await _step(scheduler, inner, log, of)
        except ModelUnavailable as error:
            log.lease_errors.append(error)
    else:
        asked = loop.time()
        results: list[Any] | None = None
        try:
            async with asyncio.timeout(step.patience):
                results = await scheduler.submit(step.model, step.jobs)
        except TimeoutError:
            pass
        finally:
            log.answers.append(Answer(step, asked, loop.time(), results, of))


@dataclass(frozen=True)
class Workload:
    """A plan, what fails, and callers: names (None: unnamed) with their steps."""

    plan: Plan
    faults: dict[str, Faults]
    callers: tuple[tuple[str | None, tuple[Step, ...]], ...]

    def asks(self) -> Iterator[Ask]:
        """All calls."""
        for _, steps in self.callers:
            for step in steps:
                yield from _asks(step)


def _asks(step: Step) -> Iterator[Ask]:
    if isinstance(step, Ask):
        yield step
    elif isinstance(step, Lease):
        for inner in step.steps:
            yield from _asks(inner)


def random_workload(
    seed: int,
    models: int,
    callers: int,
    steps: int,
    devices: int = 1,
    faults: bool = False,
    cancels: bool = False,
    leases: bool = False,
) -> Workload:
    """Determined by its arguments; smaller ones give smaller workloads."""
    random = Random(seed)
    plan = random_plan(random, models, devices)
    # Thoughtful callers leave gaps in which swaps pay; hasty ones keep what is loaded at work.
    pace = random.choice([0.1, 1.0, 5.0])
    numbers = iter(range(10**9))
    kinds: list[Kind] = ["good"] * 12 + (["fails", "poison", "short", "ungroupable"] if faults else [])
    groups = random.choice([1, 1, 3])

    def ask(model: str) -> Ask:
        jobs = tuple(
            Job(next(numbers), random.randrange(groups), random.choice(kinds))
            for _ in range(random.choice([1, 1, 3, 7]))
        )
        return Ask(model, jobs, random.choice([None, None, 0.0, random.uniform(0, 4 * pace)]) if cancels else None)

    def step() -> Step:
        model = random.choice(plan.models).name
        kind = random.random()
        if leases and kind < 0.2:
            inner = [random.choice([Think(random.uniform(0, pace)), ask(model)]) for _ in range(random.randrange(3))]
            return Lease(model, tuple(inner))
        return Think(random.uniform(0, pace)) if kind < 0.4 else ask(model)

    made = tuple(
        (
            random.choice([f"agent-{k}", f"agent-{k}", None]),
            (Think(random.uniform(0, 2 * pace)), *(step() for _ in range(random.randint(1, steps)))),
        )
        for k in range(callers)
    )
    broken = {
        facts.name: Faults(random.choice([0, 0, 0, 1, 2, math.inf]), random.choice([None, None, 0, 1, 2, 3]))
        for facts in plan.models
        if faults
    }
    return Workload(plan, broken, made)


async def play(workload: Workload, scheduler: Scheduler, log: Log, leave: float | None = None, of: int = 0) -> None:
    """All callers at once. leave: leave the scheduler at that time, whatever they do; then they must all end too."""
    async with scheduler:
        tasks = [asyncio.create_task(act(scheduler, name, steps, log, of)) for name, steps in workload.callers]
        await asyncio.wait(tasks, timeout=leave)
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if end is None or (leave is not None and isinstance(end, asyncio.CancelledError)):
            continue
        if leave is None or not isinstance(end, RuntimeError) or "not running" not in str(end):
            raise end


def verify_answers(lab: Lab, log: Log, late: bool = False, real_time: bool = False) -> None:
    """Each item of a call that came back has the outcome that it has alone, in its place; what was cancelled and had
    not started never ran. late: the scheduler was left, so that calls may have been cancelled by it. real_time: a batch
    starts some moments after its items were taken, so that it is not seen which of them were cancelled before."""
    lab.verify()
    for answer in log.answers:
        runner = lab.runners[answer.ask.model]
        if answer.results is None:
            assert late or answer.ask.patience is not None, f"{answer} was cancelled by nobody"
            numbers = {job.number for job in answer.ask.jobs}
            if real_time:
                continue
            ran = [b for b in lab.batches if b.of == answer.of and b.started > answer.ended and numbers & {*b.numbers}]
            assert not ran, f"{answer} was cancelled and ran: {ran}"
            continue
        assert len(answer.results) == len(answer.ask.jobs)
        for job, result in zip(answer.ask.jobs, answer.results, strict=True):
            if isinstance(result, ModelUnavailable):
                assert runner.failed_loads and job.kind != "ungroupable", f"{job}: {result}"
                continue
            assert outcome(result) == alone(answer.ask.model, job, runner.faults.hidden), job
            assert job.kind not in ("good", "fails") or runner.faults.hidden == 0 or lab.answered[job.number] == 1


# The bound of waiting


def longest_wait(workload: Workload, policy: CostAware) -> float:
    """Seconds within which every call of the workload must be answered, for callers who have one call at a time and
    hold no lease. See tests/engine/test_scheduler_starvation.py for why."""
    plan = workload.plan
    asked: Counter[str] = Counter()  # most items that can wait for each model at once
    for _, steps in workload.callers:
        most: Counter[str] = Counter()
        for step in steps:
            for ask in _asks(step):
                most[ask.model] = max(most[ask.model], len(ask.jobs))
        asked.update(most)
    waiting = batch = load = 0.0
    halvings = 0
    for facts in plan.models:
        place = plan.places[facts.name]
        copy = facts.nbytes / plan.device(place.device).link + 0.01 * len(plan.models)
        waiting += asked[facts.name] * facts.duration.seconds(1) + (copy if asked[facts.name] else 0)
        batch, load = max(batch, facts.duration.seconds(place.batch)), max(load, copy)
        halvings += place.batch.bit_length()
    steps = 2 * sum(asked.values()) + halvings + 1
    return max(policy.max_age, policy.backlog * waiting) + steps * 2 * (load + batch)
