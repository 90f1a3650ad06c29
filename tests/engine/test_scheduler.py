"""The scheduler's contract by hand-made cases: calls, faults, leases, leaving, and policies that ask for too much."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from maia.benchmarks.scheduling import virtual_time
from maia.engine.cost_aware import CostAware
from maia.engine.ledger import BudgetError
from maia.engine.plan import Device, Duration, Place, Plan, Workspace
from maia.engine.policy import Action, DeviceState, Evict, Load, Run, Wait
from maia.engine.runners.base import ModelUnavailable
from maia.engine.scheduler import Scheduler
from maia.models.errors import ExperimentError, UserError
from scheduling import Faults, Job, JobError, Lab, make_model, make_plan, outcome


def lab_of(*models: Any, memory: int = 100, faults: dict[str, Faults] | None = None, **options: Any) -> Lab:
    """Models on one device."""
    return Lab(make_plan(models, memory, **options), faults)


def jobs(*numbers: int, **options: Any) -> list[Job]:
    """Items of these numbers."""
    return [Job(number, **options) for number in numbers]


def ran(lab: Lab) -> list[tuple[int, ...]]:
    """The items of each batch."""
    return [batch.numbers for batch in lab.batches]


def scenario(lab: Lab, work: Callable[[Scheduler], Any], policy: Any = None) -> Any:
    """What `work` returns inside the scheduler, under virtual time; the lab is checked."""

    async def main() -> Any:
        async with Scheduler(lab.plan, lab.runners, policy) as scheduler:
            return await work(scheduler)

    result = virtual_time.run(main())
    lab.verify()
    return result


def test_concurrent_calls_share_batches_and_get_their_own_results_in_order():
    lab = lab_of(make_model("a"), batch=4)

    async def work(scheduler):
        return await asyncio.gather(*(scheduler.submit("a", jobs(10 * k, 10 * k + 1)) for k in range(4)))

    results = scenario(lab, work)
    assert results == [[f"a answers {10 * k}", f"a answers {10 * k + 1}"] for k in range(4)]
    assert ran(lab) == [(0, 1, 10, 11), (20, 21, 30, 31)]


def test_no_items_no_answer_and_unknown_models():
    lab = lab_of(make_model("a"))

    async def work(scheduler):
        assert await scheduler.submit("a", []) == []
        for wrong in (scheduler.submit("b", jobs(1)), scheduler.lease("b").__aenter__()):
            with pytest.raises(ValueError, match="no model 'b', only a"):
                await wrong

    scenario(lab, work)
    with pytest.raises(ValueError, match="do not match"):
        Scheduler(lab.plan, {})
    with pytest.raises(RuntimeError, match="not running"):
        virtual_time.run(Scheduler(lab.plan, lab.runners).submit("a", jobs(1)))


def test_entering_twice_is_refused():
    lab = lab_of(make_model("a"))

    async def work(scheduler):
        with pytest.raises(RuntimeError, match="running already"):
            await scheduler.__aenter__()
        return await scheduler.submit("a", jobs(1))

    assert scenario(lab, work) == ["a answers 1"]


def test_a_batch_that_ran_out_of_memory_keeps_its_items_in_their_order():
    lab = lab_of(make_model("a"), batch=8, faults={"a": Faults(hidden=2)})

    async def work(scheduler):
        first = asyncio.create_task(scheduler.submit("a", jobs(*range(8))))
        await asyncio.sleep(10.5)  # the first batch of eight is under way
        second = asyncio.create_task(scheduler.submit("a", jobs(8, 9)))
        return await first + await second

    assert scenario(lab, work) == [f"a answers {k}" for k in range(10)]
    assert ran(lab) == [tuple(range(8)), (0, 1, 2, 3), (0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]


def test_one_item_that_does_not_fit_is_told_so():
    lab = lab_of(make_model("a"), faults={"a": Faults(hidden=0)})
    (result,) = scenario(lab, lambda scheduler: scheduler.submit("a", jobs(1)))
    assert isinstance(result, ExperimentError) and "ran out of memory" in str(result)


@pytest.mark.parametrize("kind", ["batch", "server"])
@pytest.mark.parametrize("fault", ["memory", "poison", "short"])
def test_who_shared_a_failed_batch_with_a_call_that_was_cancelled_is_tried_alone(kind, fault):
    """The one item that is left of a batch is not what failed."""
    faults = {"a": Faults(hidden=1 if fault == "memory" else None)}
    lab = lab_of(make_model("a", kind=kind), batch=2, resident=["a"], faults=faults)

    async def work(scheduler):
        other = Job(1, 0, "good" if fault == "memory" else fault)
        leaving = asyncio.create_task(scheduler.submit("a", [other]))
        staying = asyncio.create_task(scheduler.submit("a", jobs(2)))
        await asyncio.sleep(10.5)
        leaving.cancel()
        return await staying

    assert scenario(lab, work) == ["a answers 2"]
    assert ran(lab) == [(1, 2), (2,)]


def test_a_failed_batch_runs_item_by_item_and_the_dead_model_fails_whole():
    lab = lab_of(make_model("a"))

    async def work(scheduler):
        mixed = [Job(1), Job(2, 0, "poison"), Job(3, 0, "fails"), Job(4)]
        first = await scheduler.submit("a", mixed)

        async def dead(items: Sequence[Any]) -> list[Any]:
            raise UserError("it has died")

        lab.runners["a"].run = dead
        return first, await scheduler.submit("a", jobs(5, 6))

    first, second = scenario(lab, work)
    assert [outcome(result) for result in first] == [
        ("str", "a answers 1"), ("JobError", "2"), ("JobError", "3"), ("str", "a answers 4"),
    ]  # fmt: skip
    assert [outcome(result) for result in second] == [("UserError", "it has died")] * 2
    assert ran(lab) == [(1, 2, 3, 4), (1,), (2,), (3,), (4,)]


def test_a_runner_whose_work_is_cancelled_within_does_not_hold_its_callers():
    lab = lab_of(make_model("a"))

    async def cancelled(*_: Any) -> Any:
        raise asyncio.CancelledError

    async def work(scheduler):
        run, lab.runners["a"].run = lab.runners["a"].run, cancelled
        first = await scheduler.submit("a", jobs(1, 2))
        lab.runners["a"].run = run
        return first, await scheduler.submit("a", jobs(3))

    first, second = scenario(lab, work)
    assert [str(result) for result in first] == ["a batch of a was cancelled"] * 2
    assert second == ["a answers 3"]


def test_a_load_that_fails_fails_who_waits_and_is_tried_again_for_who_comes_later():
    lab = lab_of(make_model("a"), make_model("b"), faults={"a": Faults(loads=1)})

    async def work(scheduler):
        waiting = [scheduler.submit("a", jobs(1, 2)), scheduler.submit("b", jobs(3))]
        first, other = await asyncio.gather(*waiting)
        return first, other, await scheduler.submit("a", jobs(4))

    first, other, second = scenario(lab, work)
    assert [type(result) for result in first] == [ModelUnavailable] * 2
    assert (other, second) == (["b answers 3"], ["a answers 4"])


def test_device_memory_that_others_took_makes_a_model_unavailable_and_says_so():
    from maia.engine.runners.base import OutOfMemory

    lab = lab_of(make_model("a"))

    async def full(device: str) -> None:
        raise OutOfMemory("0 bytes are free")

    lab.runners["a"].load = full

    async def work(scheduler):
        with pytest.raises(ModelUnavailable, match="--memory"):
            async with scheduler.lease("a"):
                pass
        assert scheduler.used("gpu") == 0 and scheduler.loaded() == []
        return await scheduler.submit("a", jobs(1))

    (result,) = scenario(lab, work)
    assert isinstance(result, ModelUnavailable) and "another program" in str(result)


def test_shared_weights_are_copied_once_and_kept_while_their_holder_leaves():
    from maia.engine.plan import Component

    shared = Component("vae", 4)
    a = make_model("a", components=(Component("a", 6), shared))
    b = make_model("b", components=(Component("b", 6), shared))
    lab = lab_of(a, b, memory=12)
    metrics = {}

    async def work(scheduler):
        for number, name in enumerate("aba"):
            await scheduler.submit(name, jobs(number))
        metrics.update(scheduler.metrics.models)

    scenario(lab, work)
    assert [metrics[name].loads for name in "ab"] == [2, 1]
    assert [metrics[name].loaded_bytes for name in "ab"] == [10 + 6, 6]
    assert lab.ledgers["gpu"].loaded_bytes == 22 and lab.ledgers["gpu"].peak == 10


def test_a_leased_model_stays_and_others_wait():
    lab = lab_of(make_model("a"), make_model("b"), memory=15)

    async def work(scheduler):
        async with scheduler.lease("a"):
            assert scheduler.loaded() == ["a"]
            other = asyncio.create_task(scheduler.submit("b", jobs(1)))
            await asyncio.sleep(500)  # well beyond the age at which b goes first
            assert scheduler.loaded() == ["a"] and not other.done()
            assert await scheduler.submit("a", jobs(2)) == ["a answers 2"]
            await asyncio.sleep(1)  # so that nothing but the lease's end is an event
        return await other

    assert scenario(lab, work, CostAware(max_age=5, backlog=0)) == ["b answers 1"]


def test_leases_of_models_that_cannot_run_beside_each_other_are_granted_in_turn():
    """Weights of both fit, and the batch of b; but with b there too, a's batch does not."""
    a, b = make_model("a", 10, Workspace(8, 0)), make_model("b", 10)
    lab = lab_of(a, b, memory=25)
    together = []

    async def hold(scheduler, name, number):
        async with scheduler.lease(name):
            together.append(name)
            await asyncio.sleep(1)
            answer = await scheduler.submit(name, jobs(number))
            together.remove(name)
            assert not together
            return answer

    async def work(scheduler):
        return await asyncio.gather(hold(scheduler, "a", 1), hold(scheduler, "b", 2))

    assert scenario(lab, work) == [["a answers 1"], ["b answers 2"]]


def test_a_lease_that_is_cancelled_before_or_as_it_is_granted_holds_nothing():
    lab = lab_of(make_model("a"), make_model("b"), memory=15)

    async def hold(scheduler, name):
        async with scheduler.lease(name):
            await asyncio.sleep(1e6)

    async def work(scheduler):
        for delay in (0.0, 5.0, 10.0, 11.0):  # before, while it is loaded, in that moment, held
            task = asyncio.create_task(hold(scheduler, "a"))
            await asyncio.sleep(delay)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await scheduler.submit("b", jobs(int(delay))) == [f"b answers {int(delay)}"]

    scenario(lab, work, CostAware(linger=0.0))


def test_a_lease_that_is_cancelled_between_its_grant_and_its_start_holds_nothing():
    lab = lab_of(make_model("a"), make_model("b"), memory=15)
    tasks: list[asyncio.Task] = []

    class Cancelling(CostAware):
        def decide(self, state: DeviceState) -> Action:
            if state.models["a"].leased:
                tasks[0].cancel()
            return super().decide(state)

    async def hold(scheduler):
        async with scheduler.lease("a"):
            await asyncio.sleep(1e6)

    async def work(scheduler):
        tasks.append(asyncio.create_task(hold(scheduler)))
        await asyncio.wait(tasks)
        assert tasks[0].cancelled()
        return await scheduler.submit("b", jobs(1))

    assert scenario(lab, work, Cancelling()) == ["b answers 1"]


def test_what_thinks_and_works_is_counted():
    lab = lab_of(make_model("a", duration=Duration(10.0, 0.0)))
    seen: list[tuple[int, int]] = []

    class Watching(CostAware):
        def decide(self, state: DeviceState) -> Action:
            seen.append((state.agents, state.thinking))
            return super().decide(state)

    async def asking(scheduler):
        async with scheduler.agent("asks"):
            await scheduler.submit("a", jobs(1))
            assert seen[-1][0] == 2
            await asyncio.sleep(1)

    async def work(scheduler):
        async with scheduler.agent("thinks"):
            task = asyncio.create_task(asking(scheduler))
            await asyncio.sleep(12.0)
            assert seen[-1] == (2, 1)
            await task
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert seen[-1] == (0, 0)

    scenario(lab, work, Watching())


@pytest.mark.parametrize("fault", ["memory", "poison"])
def test_leaving_with_a_batch_that_fails_ends_its_callers(fault):
    faults = {"a": Faults(hidden=1 if fault == "memory" else None)}
    lab = lab_of(make_model("a"), faults=faults)

    async def main():
        scheduler = Scheduler(lab.plan, lab.runners)
        async with scheduler:
            items = [Job(1), Job(2, 0, "poison" if fault == "poison" else "good")]
            task = asyncio.create_task(scheduler.submit("a", items))
            await asyncio.sleep(10.5)
            asker = asyncio.create_task(_late(scheduler))
        await asyncio.wait([task, asker], timeout=100)
        assert task.cancelled() and "not running" in str(asker.exception())
        async with scheduler:
            return await scheduler.submit("a", jobs(3))

    async def _late(scheduler):
        await asyncio.sleep(0.1)  # while the scheduler waits for the batch
        return await scheduler.submit("a", jobs(9))

    assert virtual_time.run(main()) == ["a answers 3"]
    lab.verify()


def test_the_report_of_a_schedule_that_is_known(tmp_path):
    """Ten seconds to load, then batches of 4 and 2, a second each."""
    lab = lab_of(make_model("a"), memory=20)
    scheduler = Scheduler(lab.plan, lab.runners)
    file = tmp_path / "trace.jsonl"

    async def main():
        async with scheduler:
            scheduler.metrics.record_to(file)
            await asyncio.gather(*(scheduler.submit("a", jobs(2 * k, 2 * k + 1), f"agent-{k}") for k in range(3)))
            scheduler.metrics.record_to(None)
            await scheduler.submit("a", [])

    virtual_time.run(main())
    report = scheduler.metrics.report()
    assert report["models"]["a"] == {
        "items": 6, "failed": 0, "cancelled": 0, "halved": 0, "batches": 2, "batch_mean": 3.0,
        "batch_sizes": {"2": 1, "4": 1}, "queue_p50_seconds": 10.0, "queue_p95_seconds": 11.0, "busy_seconds": 2.0,
        "loads": 1, "loaded_bytes": 10, "load_seconds": 10.0, "offloads": 0,
    }  # fmt: skip
    assert report["devices"]["gpu"] == {
        "budget": 20,
        "peak": 10,
        "allocator_peak": 0,
        "busy_seconds": 2.0,
        "utilisation": 0.1667,
    }
    assert (report["seconds"], report["swap_bytes"]) == (12.0, 10)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines[2] == {"agent": "agent-2", "model": "a", "items": 2, "asked": 0.0, "answered": 12.0}
    assert [line["answered"] for line in lines] == [11.0, 11.0, 12.0]


def test_what_was_last_used_on_an_earlier_loops_clock_delays_nothing():
    lab = lab_of(make_model("a"), make_model("b"), memory=15)
    scheduler = Scheduler(lab.plan, lab.runners)

    async def day(delay: float, name: str, number: int) -> float:
        async with scheduler, scheduler.agent("thinks"):
            await asyncio.sleep(delay)
            await scheduler.submit(name, jobs(number), "asks")
        return asyncio.get_running_loop().time()

    assert virtual_time.run(day(30.0, "a", 1)) == 41.0
    assert virtual_time.run(day(0.0, "b", 2)) < 12.0


# Policies that ask for what they may not


class Scripted:
    """Gives its actions one after the other, then waits. An action may be a function of the state; None: Wait now."""

    def __init__(self, *actions: Any) -> None:
        self.actions = list(actions)

    def decide(self, state: DeviceState) -> Action:
        if not self.actions or not any(model.items for model in state.models.values()):
            return Wait()
        action = self.actions.pop(0)
        if isinstance(action, Exception):
            raise action
        return action or Wait()


A, B = make_model("a", 10, Workspace(2, 1)), make_model("b", 10, Workspace(1, 1))
SERVER = make_model("server", 5, Workspace(0, 1), kind="server")
SLEEPER = make_model("sleeper", 5, Workspace(0, 1), kind="server", can_sleep=True)
LOADED = (Load("a"), None)
"""With a None until the load has ended."""

BAD = {
    "a batch that is larger than the plan's": ([*LOADED, Run("a", 0, 5)], 100, "allowed"),
    "more items than wait": ([*LOADED, Run("a", 0, 4)], 100, "cannot run"),
    "no items": ([*LOADED, Run("a", 0, 0)], 100, "cannot run"),
    "another group": ([*LOADED, Run("a", "other", 1)], 100, "cannot run"),
    "a model that is not loaded": ([Run("a", 0, 1)], 100, "is offloaded"),
    "a model that is being loaded": ([Load("a"), Run("a", 0, 1)], 100, "is loading"),
    "two batches of a model": ([*LOADED, Run("a", 0, 1), Run("a", 0, 1)], 100, "0 items are allowed"),
    "no slot": ([*LOADED, Load("b"), None, Run("a", 0, 1), Run("b", 0, 1)], 100, "no slot"),
    "a workspace that does not fit": ([*LOADED, Run("a", 0, 3)], 14, "do not fit"),
    "a load that does not fit": ([*LOADED, Load("b")], 19, "do not fit"),
    "a load beside a batch": ([*LOADED, Run("a", 0, 1), Load("b")], 22, "do not fit"),
    "a server whose workspace does not fit": ([*LOADED, Load("server")], 18, "do not fit"),
    "two loads at once": ([Load("a"), Load("b")], 100, "already"),
    "a load and an eviction at once": ([*LOADED, Load("b"), Evict(("a",))], 100, "already"),
    "a model that is loaded": ([*LOADED, Load("a")], 100, "is loaded"),
    "an eviction of what runs": ([*LOADED, Run("a", 0, 1), Evict(("a",))], 100, "cannot be evicted"),
    "an eviction of what is not loaded": ([Load("a", ("b",))], 100, "cannot be evicted"),
    "an eviction of a server that stays": ([Load("server"), None, Load("b", ("server",))], 100, "cannot be evicted"),
    "an eviction of nobody": ([Evict(())], 100, "does nothing"),
    "a model of another device": ([Run("far", 0, 1)], 100, "cannot run"),
    "a load of another device's model": ([Load("far")], 100, "is offloaded on there"),
    "too many requests": ([Load("server"), None, Run("server", 0, 4), Run("server", 0, 1)], 100, "0 items"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_a_policy_must_not_ask_for_is_refused_and_everyone_is_told(what):
    actions, memory, message = BAD[what]
    assert_refused(actions, memory, message)


def assert_refused(actions: Sequence[Any], memory: int, message: str) -> None:
    """Callers of submit and lease get BudgetError, now and later; what runs is still answered; memory is kept."""
    models = (A, B, SERVER, SLEEPER, make_model("far"))
    places = {m.name: Place("gpu", m.name == "server", 4) for m in models} | {"far": Place("there", False, 4)}
    plan = Plan((Device("gpu", memory, 1.0), Device("there", 100, 1.0)), models, places)
    lab = Lab(plan)

    class OnGpu(Scripted):
        def decide(self, state: DeviceState) -> Action:
            return super().decide(state) if state.device.name == "gpu" else Wait()

    async def lease(scheduler):
        async with scheduler.lease("sleeper"):
            pass

    async def main():
        async with Scheduler(plan, lab.runners, OnGpu(*actions)) as scheduler:
            calls = [scheduler.submit(name, jobs(100 * n, 100 * n + 1, 100 * n + 2)) for n, name in enumerate(places)]
            calls += [scheduler.submit("server", jobs(900, 901)), lease(scheduler)]
            results = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 1000)
            with pytest.raises(BudgetError):
                await scheduler.submit("b", jobs(999))
            with pytest.raises(BudgetError):
                await lease(scheduler)
        # A call whose items all were under way already has its results.
        refused = [result for result in results if not isinstance(result, list)]
        assert len(refused) >= len(results) - 1, results
        assert all(isinstance(result, BudgetError) and message in str(result) for result in refused), results

    virtual_time.run(main())
    lab.verify()


def test_nothing_is_offloaded_for_a_load_that_would_not_fit_even_so():
    lab = lab_of(A, make_model("b", 30), memory=20)

    async def work(scheduler):
        with pytest.raises(BudgetError, match="do not fit"):
            await scheduler.submit("b", jobs(1))
        await asyncio.sleep(1)
        assert lab.runners["a"].device == "gpu" and lab.ledgers["gpu"].used == 10

    scenario(lab, work, Scripted(Load("a"), None, Load("b", ("a",))))


def test_an_eviction_of_what_is_leased_is_refused():
    lab = lab_of(A, B)

    async def work(scheduler):
        async with scheduler.lease("a"):
            with pytest.raises(BudgetError, match="a cannot be evicted"):
                await scheduler.submit("b", jobs(1))

    scenario(lab, work, Scripted(Load("a"), None, Load("b", ("a",))))


def test_a_policy_that_raises_ends_all_calls_with_its_error_and_batches_under_way_still_end():
    lab = lab_of(A, B, faults={"a": Faults(hidden=1)})

    async def work(scheduler):
        calls = [scheduler.submit("a", jobs(1, 2)), _later(scheduler)]
        return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 100)

    async def _later(scheduler):
        await asyncio.sleep(10.5)  # the batch, which will not fit, is under way
        return await scheduler.submit("b", jobs(3))

    policy = Scripted(Load("a"), None, Run("a", 0, 2), None, ZeroDivisionError("a fault"))
    first, second = scenario(lab, work, policy)
    assert isinstance(first, ZeroDivisionError) and isinstance(second, ZeroDivisionError)


def test_an_eviction_names_a_model_twice_and_it_is_offloaded_once():
    lab = lab_of(A, B)

    async def work(scheduler):
        return await scheduler.submit("b", jobs(1))

    actions = (Load("a"), None, Load("b", ("a", "a")), None, Run("b", 0, 1))
    assert scenario(lab, work, Scripted(*actions)) == ["b answers 1"]


def test_an_item_without_a_group_costs_itself():
    lab = lab_of(make_model("a"))
    results = scenario(lab, lambda s: s.submit("a", [Job(1), Job(2, 0, "ungroupable"), Job(3, 1)]))
    assert [outcome(r) for r in results] == [outcome("a answers 1"), outcome(JobError(2)), outcome("a answers 3")]
    assert ran(lab) == [(1,), (3,)]
