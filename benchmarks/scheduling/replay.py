"""A trace replayed in virtual time through the product's scheduler, under any policy."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

from ...engine.plan import Plan
from ...engine.policy import Policy
from ...engine.scheduler import Scheduler
from .simulated import Item, SimulatedHost, Violation
from .traces import Agent, Request, Trace
from .virtual_time import run


@dataclass(frozen=True)
class Outcome:
    """latencies: seconds from each request's arrival to its answer. makespan: until the last agent was done.

    busy: seconds during which devices ran batches (servers' not counted). batch: mean items of batches, by model.
    """

    latencies: list[float]
    makespan: float
    swap_bytes: int
    loads: int
    busy: float
    batch: dict[str, float]
    violations: list[Violation]
    answered: int
    failed: int


def replay(plan: Plan, trace: Trace, policy: Policy | None = None, apart: bool = False, jitter: float = 0.0) -> Outcome:
    """Serve the whole trace. policy None: the product's. apart: calls never share a batch. jitter: see SimulatedHost.

    Raises virtual_time.Deadlock if the policy leaves somebody waiting for ever.
    """
    host = SimulatedHost(plan, jitter=jitter)
    return run(_replay(host, trace, policy, apart))


async def _replay(host: SimulatedHost, trace: Trace, policy: Policy | None, apart: bool) -> Outcome:
    loop = asyncio.get_running_loop()
    numbers = count()
    latencies: list[float] = []
    tally = {"answered": 0, "failed": 0}
    scheduler = Scheduler(host.plan, host.runners, policy)

    async def ask(request: Request) -> None:
        call = next(numbers)
        items = [Item(next(numbers), call if apart else None) for _ in range(request.items)]
        asked = loop.time()
        results = await scheduler.submit(request.model, items)
        latencies.append(loop.time() - asked)
        tally["answered"] += len(results)
        tally["failed"] += sum(isinstance(result, BaseException) for result in results)

    async def play(name: str, agent: Agent) -> None:
        async with scheduler.agent(name):
            for step in agent:
                await asyncio.sleep(step.think)
                if len(step.requests) == 1:
                    await ask(step.requests[0])
                else:
                    await asyncio.gather(*(ask(request) for request in step.requests))

    async with scheduler:
        await asyncio.gather(*(play(name, agent) for name, agent in trace.items()))
        makespan = loop.time()
    ledgers = host.ledgers.values()
    return Outcome(
        latencies,
        makespan,
        host.swap_bytes,
        sum(ledger.loads for ledger in ledgers),
        sum(ledger.busy_seconds for ledger in ledgers),
        {name: _mean(runner.batches) for name, runner in host.runners.items()},
        host.violations,
        tally["answered"],
        tally["failed"],
    )


def unpinned(plan: Plan) -> Plan:
    """The plan with no batch model resident: for policies that know no placement. Servers stay as they are."""
    batch = {facts.name for facts in plan.models if facts.kind == "batch"}
    places = {name: replace(p, resident=p.resident and name not in batch) for name, p in plan.places.items()}
    return replace(plan, places=places)


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values) if values else 0.0
