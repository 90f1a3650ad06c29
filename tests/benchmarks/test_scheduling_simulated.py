"""Simulated runners: their time, their ledger and their faults; replays through the real scheduler; traces."""

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.benchmarks.scheduling.real_sizes import GIB, MODELS, SETS
from maia.benchmarks.scheduling.reference_policies import FifoLru, OneModel
from maia.benchmarks.scheduling.replay import replay
from maia.benchmarks.scheduling.simulated import Faults, Item, ItemFailed, Served, SimulatedHost
from maia.benchmarks.scheduling.traces import Request, Step, recorded, synthetic, with_demand
from maia.benchmarks.scheduling.virtual_time import run
from maia.engine.placement import place
from maia.engine.plan import Component, Device, Duration, ModelFacts, Place, Plan, Workspace
from maia.engine.runners.base import ModelUnavailable, OutOfMemory
from maia.models.errors import UserError

TRUNK = Component("trunk", 40)
A = ModelFacts("a", (TRUNK, Component("a", 60)), Workspace(5, 10), Duration(1.0, 0.5), 4)
B = ModelFacts("b", (TRUNK, Component("b", 20)), Workspace(0, 1), Duration(2.0), 4)
SERVER = ModelFacts("s", (Component("s", 30),), Workspace(2, 3), Duration(4.0, 1.0), 8, kind="server", can_sleep=True)


def host_of(memory: int = 1000, faults: dict | None = None, jitter: float = 0.0) -> SimulatedHost:
    models = (A, B, SERVER)
    places = {facts.name: Place("gpu", False, facts.max_batch) for facts in models}
    return SimulatedHost(Plan((Device("gpu", memory, 10.0),), models, places), faults, jitter)


def test_time_and_bytes_of_loads_batches_and_a_server() -> None:
    async def program() -> SimulatedHost:
        host, loop = host_of(), asyncio.get_running_loop()
        ledger = host.ledgers["gpu"]
        a, b, server = (host.runners[name] for name in "abs")
        await a.load("gpu")
        assert (loop.time(), ledger.used) == (10.0, 100)
        await b.load("gpu")
        assert (loop.time(), ledger.used) == (12.0, 120), "the trunk was there already"
        batch = asyncio.create_task(a.run([Item(n) for n in range(3)]))
        await asyncio.sleep(0.1)
        assert ledger.used == 120 + 35
        assert [(r.item.number, r.batch, r.started, r.ended) for r in await batch] == [
            (n, 3, 12.0, 14.5) for n in range(3)
        ]
        b.keep("gpu")
        await a.offload()
        assert ledger.used == 60 and loop.time() == 14.5
        await asyncio.gather(server.load("gpu"))
        assert ledger.used == 60 + 30 + 26 and loop.time() == 17.5
        first = asyncio.create_task(server.run([Item(10)]))
        await asyncio.sleep(1.0)
        second = await server.run([Item(11)])
        assert (await first)[0].ended == 17.5 + 5 and second[0].ended == 18.5 + 6, "two are in flight"
        a.keep("gpu")
        await b.offload()
        await a.load("gpu")
        assert ledger.loaded_bytes == 100 + 20 + 30 + 60, "what was kept is not copied again"
        return host

    host = run(program())
    assert host.swap_bytes == 210 and not host.violations
    assert host.ledgers["gpu"].peak == 100 + 30 + 26


def test_loads_at_the_same_time_share_the_link() -> None:
    async def program() -> float:
        host = host_of()
        await asyncio.gather(host.runners["a"].load("gpu"), host.runners["b"].load("gpu"))
        return asyncio.get_running_loop().time()

    assert run(program()) == 12.0


def test_the_ledger_sees_every_moment_over_the_memory() -> None:
    async def program() -> SimulatedHost:
        host = host_of(memory=119)
        await host.runners["a"].load("gpu")
        await host.runners["a"].run([Item(0)])
        await host.runners["b"].load("gpu")
        return host

    (violation,) = run(program()).violations
    assert (violation.time, violation.used, violation.memory, violation.after) == (11.5, 120, 119, "load of b")


def test_faults_happen_as_told() -> None:
    async def program() -> None:
        faults = {"a": Faults(loads=2, oom_above=2, batches=frozenset([2])), "b": Faults(items=0.5)}
        host = host_of(faults=faults)
        a, b = host.runners["a"], host.runners["b"]
        for _ in range(2):
            with pytest.raises(ModelUnavailable):
                await a.load("gpu")
            assert host.ledgers["gpu"].used == 0
        await a.load("gpu")
        assert len(await a.run([Item(0), Item(1)])) == 2
        with pytest.raises(OutOfMemory):
            await a.run([Item(n) for n in range(3)])
        with pytest.raises(RuntimeError, match="batch 2 of a"):
            await a.run([Item(0)])
        await b.load("gpu")
        results = await b.run([Item(n) for n in range(64)])
        assert {type(result) for result in results} == {ItemFailed, Served}
        again = await b.run([Item(n) for n in range(64)])
        assert [type(result) for result in results] == [type(result) for result in again]
        assert host.ledgers["gpu"].used == 120

    run(program())


def test_jitter_is_drawn_by_the_seed_and_stays_within_its_share() -> None:
    async def program(jitter: float) -> list[float]:
        host, seconds = host_of(jitter=jitter), []
        await host.runners["b"].load("gpu")
        for n in range(20):
            (served,) = await host.runners["b"].run([Item(n)])
            seconds.append(served.ended - served.started)
        return seconds

    first = run(program(0.25))
    assert first == run(program(0.25)) and len(set(first)) > 10
    assert all(1.5 <= seconds <= 2.5 for seconds in first)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([1, 3, 8]), st.sampled_from([None, FifoLru(), OneModel()]), st.booleans())
def test_every_request_of_a_real_size_trace_is_answered(seed: int, agents: int, policy: object, apart: bool) -> None:
    chosen = SETS["paper-4bit"]
    trace = synthetic(agents, 1, chosen.roles, seed)
    plan = place(with_demand(chosen.models, trace, agents), [Device("gpu", 12 * GIB, 25e9)], agents)
    outcome = replay(plan, trace, policy, apart, jitter=0.2)
    requests = [request for agent in trace.values() for step in agent for request in step.requests]
    assert len(outcome.latencies) == len(requests) and outcome.failed == 0
    assert outcome.answered == sum(request.items for request in requests)
    assert not outcome.violations
    used = {part.key: part.nbytes for request in requests for part in MODELS[request.model].components}
    assert outcome.swap_bytes >= sum(used.values())


def test_first_in_first_out_serves_in_order_and_evicts_the_least_recently_used() -> None:
    models = tuple(ModelFacts(n, (Component(n, 10),), Workspace(), Duration(1.0), 4) for n in "abc")
    plan = Plan((Device("gpu", 20, 10.0),), models, {n: Place("gpu", False, 4) for n in "abc"})
    steps = tuple(Step((Request(name, 1),)) for name in "abaca")
    assert replay(plan, {"x": steps}, FifoLru()).swap_bytes == 30, "c displaces b, not a"
    assert replay(plan, {"x": steps}, OneModel()).swap_bytes == 50, "each change is a load"


def test_the_longest_queue_is_next_when_one_model_is_there() -> None:
    models = tuple(ModelFacts(n, (Component(n, 10),), Workspace(), Duration(5.0), 1) for n in "abc")
    plan = Plan((Device("gpu", 30, 10.0),), models, {n: Place("gpu", False, 1) for n in "abc"})
    trace = {
        "x": (Step((Request("a", 1),)),),
        "y": (Step((Request("b", 1),), 1.0),),
        "z": (Step((Request("c", 2),), 2.0),),
    }
    outcome = replay(plan, trace, OneModel())
    assert sorted(outcome.latencies) == [6.0, 6.0 + 11 - 2, 6 + 11 + 6 - 1]


def test_a_record_becomes_a_closed_loop_again(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    calls = [
        ("x", "a", 2, 10.0, 12.0),
        ("y", "a", 1, 11.0, 12.0),
        ("x", "b", 3, 13.5, 15.0),
        ("x", "b", 1, 14.0, 18.0),
        ("x", "a", 1, 18.5, 19.0),
    ]
    keys = ("agent", "model", "items", "asked", "answered")
    path.write_text("\n".join(json.dumps(dict(zip(keys, call, strict=True))) for call in calls) + "\n")
    assert recorded(path) == {
        "x": (
            Step((Request("a", 2),), 0.0),
            Step((Request("b", 3), Request("b", 1)), 1.5),
            Step((Request("a", 1),), 0.5),
        ),
        "y": (Step((Request("a", 1),), 1.0),),
    }


@pytest.mark.parametrize("text", ["", "{}", "nonsense", '{"agent": "x", "model": "a", "items": "many"}', "[1]"])
def test_what_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match=r"calls\.jsonl"):
        recorded(path)


def test_synthetic_traces_are_the_seeds_and_hold_the_pattern() -> None:
    roles = SETS["paper"].roles
    trace = synthetic(3, 2, roles, 5)
    assert trace == synthetic(3, 2, roles, 5) != synthetic(3, 2, roles, 6)
    assert synthetic(2, 2, roles, 5) == {name: trace[name] for name in ("agent-0", "agent-1")}
    for agent in trace.values():
        first = [step.requests[0] for step in agent[:2]]
        assert first[0].model == roles.backbone and first[1].items == 15 and first[1].model in roles.measures
        assert [step.requests[0].items for step in agent[-2:]] == [14, 14]
        assert all(0.05 <= step.think <= 0.5 for step in agent[1:])
    facts = {f.name: f for f in with_demand(SETS["paper"].models, trace, 6)}
    drawn = [r.items for agent in trace.values() for s in agent for r in s.requests if r.model == "sd-1.5"]
    assert facts["sd-1.5"].items_per_unit == pytest.approx(sum(drawn) / 6)
    assert facts["sd-1.5"].items_per_call == pytest.approx(sum(drawn) / len(drawn))
