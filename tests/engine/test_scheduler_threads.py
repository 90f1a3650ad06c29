"""The scheduler in real time: batches in threads that other threads disturb, many callers who come and go."""

import asyncio
import gc
import weakref
from dataclasses import replace
from random import Random

from maia.engine.cost_aware import CostAware
from maia.engine.plan import Component, Device, Duration, ModelFacts, Place, Plan, Workspace
from maia.engine.runners.base import OutOfMemory
from maia.engine.scheduler import Scheduler
from scheduling import Faults, Job, Lab, make_model, make_plan
from workloads import Ask, Lease, Log, Think, Workload, play, verify_answers


def small_plan() -> Plan:
    """Four models and a server on two devices, of which neither has room for all of its own."""
    shared = Component("shared", 4)
    fast = {"duration": Duration(0.001, 0.0005), "max_batch": 6, "workspace": Workspace(1, 1)}
    models = [
        ModelFacts(f"m{k}", (Component(f"w{k}", 6), *([shared] if k < 2 else [])), **fast)  # type: ignore[arg-type]
        for k in range(4)
    ]
    models.append(replace(models[3], name="server", components=(Component("s", 5),), kind="server", can_sleep=True))
    places = {m.name: Place("gpu0" if k in (0, 1, 4) else "gpu1", False, 6) for k, m in enumerate(models)}
    return Plan((Device("gpu0", 19, 1e5, 2), Device("gpu1", 15, 1e5, 1)), tuple(models), places)


async def test_fifty_callers_who_leave_at_random():
    random, plan = Random(7), small_plan()

    def steps(caller: int):
        for call in range(6):
            number = 100 * caller + 10 * call
            kinds = random.choices(["good", "fails", "poison", "short"], [20, 1, 1, 1], k=random.randint(1, 5))
            jobs = tuple(Job(number + n, random.randrange(2), kind) for n, kind in enumerate(kinds))
            patience = random.choice([None, None, random.uniform(0, 0.1)])
            ask = Ask(random.choice(plan.models).name, jobs, patience)
            yield Lease(ask.model, (ask,)) if random.random() < 0.1 else ask
            yield Think(random.uniform(0, 0.01))

    callers = tuple((f"agent-{k}" if k % 3 else None, tuple(steps(k))) for k in range(50))
    workload = Workload(plan, {"m1": Faults(hidden=2), "m2": Faults(loads=1)}, callers)
    lab, log = Lab(plan, workload.faults, threads=True), Log()
    scheduler = Scheduler(plan, lab.runners, CostAware(max_age=0.5, linger=0.01))
    await asyncio.wait_for(play(workload, scheduler, log), 120)
    verify_answers(lab, log, real_time=True)
    assert len(log.answers) + len(log.lease_errors) == len(list(workload.asks()))
    assert any(answer.results is None for answer in log.answers) and any(len(b.numbers) > 1 for b in lab.batches)
    for name, ledger in lab.ledgers.items():
        assert scheduler.metrics.devices[name].peak == ledger.peak
        assert scheduler.used(name) == ledger.used


async def test_what_a_failed_batch_held_is_free_before_it_is_tried_again():
    """An exception holds the frames that it came through, with all their tensors."""
    lab = Lab(make_plan([make_model("a", 0)], 100))
    held: list[weakref.ref] = []
    alive: list[bool] = []

    class Tensor:
        pass

    async def run(items):
        alive.append(any(reference() is not None for reference in held))
        tensor = Tensor()
        held.append(weakref.ref(tensor))
        await asyncio.sleep(0)
        if len(items) > 1:
            raise OutOfMemory("too many")
        return [item.number for item in items]

    lab.runners["a"].run = run
    gc.collect()
    gc.disable()
    try:
        async with Scheduler(lab.plan, lab.runners) as scheduler:
            assert await scheduler.submit("a", [Job(1), Job(2)]) == [1, 2]
    finally:
        gc.enable()
    assert alive == [False, False, False]
