"""The offline bound against every schedule of tiny instances, and policies against it."""

import heapq
from itertools import combinations, count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.benchmarks.scheduling.bound import Problem, Residency, bound, visits
from maia.benchmarks.scheduling.reference_policies import FifoLru, OneModel
from maia.benchmarks.scheduling.replay import replay, unpinned
from maia.benchmarks.scheduling.traces import Request, Step
from maia.engine.plan import Component, Device, Duration, ModelFacts, Place, Plan, Workspace, component_bytes

POLICIES = [None, FifoLru(), OneModel()]


@st.composite
def instances(draw: st.DrawFn) -> tuple[Plan, dict]:
    """Three or four models, some parts shared, perhaps a server that sleeps; two or three agents; memory for one or
    two models."""
    pool = [Component(f"c{n}", draw(st.integers(1, 9))) for n in range(5)]
    count_models = draw(st.integers(3, 4))
    models = []
    for n in range(count_models):
        parts = draw(st.lists(st.sampled_from(pool), min_size=1, max_size=2, unique=True))
        kind = "server" if n == 0 and draw(st.booleans()) else "batch"
        workspace = Workspace(draw(st.integers(0, 2)), draw(st.integers(0, 2)))
        models.append(
            ModelFacts(f"m{n}", tuple(parts), workspace, Duration(1.0, 0.5), 4, kind=kind, can_sleep=kind == "server")
        )
    need = max(facts.nbytes + facts.workspace.nbytes(1) for facts in models)
    memory = need + draw(st.integers(0, 12))
    places = {facts.name: Place("gpu", False, 1 if facts.kind == "server" else 2) for facts in models}
    plan = Plan((Device("gpu", memory, 10.0),), tuple(models), places)
    visit = st.builds(
        lambda model, items, think: Step((Request(model, items),), think),
        st.sampled_from([facts.name for facts in models]),
        st.integers(1, 3),
        st.floats(0, 3),
    )
    agents = draw(st.lists(st.lists(visit, min_size=1, max_size=5), min_size=1, max_size=3))
    return plan, {f"a{n}": tuple(steps) for n, steps in enumerate(agents)}


def cheapest_of_all(plan: Plan, trace: dict) -> int:
    """The optimum over all interleavings, by Dijkstra over (positions, models loaded), a load or an eviction a time.

    Shares nothing with bound.py: models instead of groups of components, single evictions that cost nothing, no
    request served unless it is chosen. What a model that leaves shares with the next one stays (`Runner.keep`): a load
    costs what was not there before the evictions that go with it.
    """
    device, facts = plan.devices[0], {f.name: f for f in plan.models}
    wanted = [[step.requests[0].model for step in agent] for agent in trace.values()]

    def used(loaded: frozenset[str]) -> int:
        held = component_bytes(part for name in loaded for part in facts[name].components)
        return held + sum(f.held(plan.places[f.name].batch) - f.nbytes for f in map(facts.get, loaded))

    tie = count()
    start = (tuple(0 for _ in wanted), frozenset())
    heap, known = [(0, next(tie), start)], {start: 0}
    while heap:
        paid, _, (positions, loaded) = heapq.heappop(heap)
        if paid > known[positions, loaded]:
            continue
        if all(position == len(agent) for position, agent in zip(positions, wanted, strict=True)):
            return paid
        after = []
        for n, (position, agent) in enumerate(zip(positions, wanted, strict=True)):
            if position < len(agent) and agent[position] in loaded:
                model = facts[agent[position]]
                workspace = 0 if model.kind == "server" else model.workspace.nbytes(1)
                if used(loaded) + workspace <= device.memory:
                    after.append((0, (*positions[:n], position + 1, *positions[n + 1 :]), loaded))
        present = {part.key for name in loaded for part in facts[name].components}
        for size in range(len(loaded) + 1):
            for staying in map(frozenset, combinations(sorted(loaded), size)):
                after.append((0, positions, staying))
                for name in facts.keys() - staying:
                    if used(staying | {name}) <= device.memory:
                        cost = component_bytes(part for part in facts[name].components if part.key not in present)
                        after.append((cost, positions, staying | {name}))
        for cost, *state in after:
            key = tuple(state)
            if paid + cost < known.get(key, 1 << 60):
                known[key] = paid + cost
                heapq.heappush(heap, (paid + cost, next(tie), key))
    raise AssertionError("no schedule serves everything")


@settings(max_examples=60, deadline=None)
@given(instances())
def test_no_schedule_beats_the_bound_and_no_policy_the_optimum(instance: tuple) -> None:
    plan, trace = instance
    optimum = cheapest_of_all(plan, trace)
    single = bound(plan, trace, nodes=0)
    assert single.lower <= optimum
    some = bound(plan, trace, nodes=3)
    full = bound(plan, trace, nodes=100_000)
    assert full.lower == full.upper <= optimum, "the bound lets components stay that no loaded model uses"
    assert single.lower <= some.lower <= full.lower <= some.upper
    for policy in POLICIES:
        outcome = replay(plan, trace, policy)
        assert outcome.swap_bytes >= optimum
        assert not outcome.violations and not outcome.failed


def _plan(memory: int, *models: ModelFacts) -> Plan:
    places = {facts.name: Place("gpu", False, 2) for facts in models}
    return Plan((Device("gpu", memory, 1.0),), models, places)


def _model(name: str, *parts: tuple[str, int]) -> ModelFacts:
    return ModelFacts(name, tuple(Component(*part) for part in parts), duration=Duration(1.0), max_batch=4)


def _agent(models: str) -> tuple[Step, ...]:
    return tuple(Step((Request(name, 1),)) for name in models)


def test_known_optima() -> None:
    a, b, c = _model("a", ("a", 4)), _model("b", ("b", 5)), _model("c", ("c", 3))
    assert bound(_plan(9, a, b, c), {"x": _agent("ababab")}).lower == 9, "both fit"
    assert bound(_plan(8, a, b, c), {"x": _agent("ababab")}).lower == 27, "they do not"
    # c displaces a or b; a is the cheaper one to load again.
    assert bound(_plan(9, a, b, c), {"x": _agent("abcab")}).lower == 4 + 5 + 3 + 4
    two = {"x": _agent("ab"), "y": _agent("ba")}
    assert bound(_plan(8, a, b, c), two, nodes=0).lower == 9, "each alone loads each model once"
    assert bound(_plan(8, a, b, c), two).lower == 13, "one of them has to wait: a, b, a"
    apart = {"x": _agent("abab"), "y": _agent("c")}
    assert bound(_plan(8, a, b, c), apart, nodes=0).lower == 18 + 3, "what only the other one needs comes on top"
    shared = _model("d", ("t", 6), ("d", 1)), _model("e", ("t", 6), ("e", 2))
    assert bound(_plan(8, *shared), {"x": _agent("dede")}).lower == 6 + 1 + 2 + 1 + 2, "the shared part stays"


def test_a_server_that_cannot_sleep_is_there_from_the_start() -> None:
    server = ModelFacts("s", (Component("s", 5),), Workspace(1, 1), kind="server")
    plan = _plan(13, server, _model("a", ("a", 5)), _model("b", ("b", 4)))
    assert bound(plan, {"x": _agent("abab")}).lower == 5 + 5 + 4 + 5 + 4, "it holds 8 bytes, for 2 requests"


def test_requests_at_the_same_time_count_once_a_device() -> None:
    steps = (Step((Request("a", 1), Request("b", 1))), Step((Request("b", 1),)), Step((Request("b", 2),)))
    assert visits(steps, ["a", "b"]) == [0, 1]
    assert visits(steps, ["b"]) == [0]
    found = bound(_plan(9, _model("a", ("a", 4)), _model("b", ("b", 5))), {"x": steps})
    assert found.upper is None


def test_what_cannot_run_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        Residency([_model("a", ("a", 4))], 3, {})


def test_search_that_is_stopped_stays_below_the_optimum() -> None:
    models = [_model(name, (name, 3 + n)) for n, name in enumerate("abcd")]
    sequences = [[0, 1, 2, 3, 0, 2], [3, 2, 1, 0, 1, 3], [1, 3, 0, 2, 0, 1]]
    problem = Problem(Residency(models, 11, {}), sequences)
    optimum, done = problem.search(1_000_000)
    assert done
    reached = [problem.search(nodes) for nodes in (1, 5, 20, 100)]
    assert problem.singles() <= reached[0][0]
    assert [lower for lower, _ in reached] == sorted(lower for lower, _ in reached)
    assert all(lower <= optimum for lower, _ in reached) and problem.schedule(50) >= optimum


def test_plans_of_references_pin_no_batch_model() -> None:
    models = _model("a", ("a", 4)), ModelFacts("s", (Component("s", 5),), kind="server")
    places = {"a": Place("gpu", True, 1), "s": Place("gpu", True, 1)}
    loose = unpinned(Plan((Device("gpu", 20, 1.0),), models, places))
    assert not loose.places["a"].resident and loose.places["s"].resident
