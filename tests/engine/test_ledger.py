"""The scheduler's count of a device's bytes, against a count item by item."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from maia.engine.ledger import BudgetError, Ledger
from maia.engine.plan import Component, Device, Duration, ModelFacts, Place, Workspace
from maia.engine.queues import Call, GroupQueue, Item, ModelEntry
from maia.engine.runners.base import Brief

VAE = Component("vae", 6)


def entry(name: str, *parts: Component, workspace: Workspace | None = None, kind="batch", resident=False) -> ModelEntry:
    """A model for batches of 4, not loaded."""
    facts = ModelFacts(name, parts, workspace or Workspace(), Duration(), 4, kind=kind)
    return ModelEntry(facts, Place("gpu", resident, 4), None, 4)


def put(model: ModelEntry, state: str) -> None:
    """The state, and what goes with it."""
    model.state, model.holding = state, state != "offloaded"


def test_components_count_once_and_workspaces_each():
    one, two = entry("one", Component("x", 4), VAE), entry("two", Component("y", 3), VAE)
    server = entry("server", Component("z", 10), workspace=Workspace(2, 1), kind="server")
    ledger = Ledger(Device("gpu", 100, 1.0), [one, two, server])
    assert ledger.used() == 0
    put(one, "loaded")
    assert ledger.used() == ledger.committed() == 10
    put(two, "loaded")
    assert ledger.used() == 13
    one.workspace = 5
    put(server, "loaded")
    assert ledger.used() == ledger.committed() == 13 + 5 + 16
    assert ledger.free() == 100 - 34
    put(one, "offloaded")
    assert ledger.used() == 13 - 4 + 5 + 16


def test_on_the_way_in_and_out_weights_count_whole_and_what_will_be_is_not_given_away():
    one, two = entry("one", Component("x", 40)), entry("two", Component("y", 30))
    ledger = Ledger(Device("gpu", 100, 1.0), [one, two])
    put(one, "offloading")
    assert (ledger.used(), ledger.committed(), ledger.free(), ledger.moving()) == (40, 0, 60, True)
    two.state = "loading"  # but `load` has not been called: one is still leaving
    assert (ledger.used(), ledger.committed(), ledger.free()) == (40, 30, 60)
    put(one, "offloaded")
    assert (ledger.used(), ledger.committed(), ledger.free()) == (0, 30, 70)
    put(two, "loading")
    assert (ledger.used(), ledger.committed(), ledger.moving()) == (30, 30, True)
    put(two, "loaded")
    assert not ledger.moving()


def test_what_is_kept_for_a_load_stays_counted_while_its_holder_leaves():
    one, two = entry("one", Component("x", 4), VAE), entry("two", Component("y", 3), VAE)
    ledger = Ledger(Device("gpu", 100, 1.0), [one, two])
    put(one, "loaded")
    assert ledger.shared(two) == (VAE,)
    two.kept = ledger.shared(two)
    put(one, "offloaded")
    assert ledger.used() == 6
    put(two, "loaded")
    assert ledger.used() == 9


def test_the_check_allows_the_last_byte_and_no_more():
    one = entry("one", Component("x", 40))
    ledger = Ledger(Device("gpu", 100, 1.0), [one])
    put(one, "loaded")
    ledger.check(60, "a batch")
    with pytest.raises(BudgetError, match=r"a batch: 40 \+ 61 bytes do not fit into the 100 of gpu"):
        ledger.check(61, "a batch")


def test_leases_that_could_wait_for_each_other():
    one, two = entry("one", Component("x", 10), workspace=Workspace(8, 1)), entry("two", Component("y", 10))
    stays = entry("stays", Component("z", 3), workspace=Workspace(0, 1), kind="server", resident=True)
    for memory, together in ((36, True), (35, False)):
        ledger = Ledger(Device("gpu", memory, 1.0), [one, two, stays])
        one.leases = 0
        assert ledger.leasable(one) and ledger.leasable(two)
        one.leases = 1
        assert ledger.leasable(two) is together
        assert ledger.leasable(one), "a second lease of a leased model needs nothing more"
    one.leases, two.leases = 0, 0


@given(
    st.lists(st.sets(st.integers(0, 4)), min_size=1, max_size=5),
    st.data(),
)
def test_used_and_committed_are_sums_over_sets(parts, data):
    sizes = [1, 10, 100, 1000, 10000]
    entries = [entry(f"m{n}", *(Component(str(k), sizes[k]) for k in keys)) for n, keys in enumerate(parts)]
    for model in entries:
        put(model, data.draw(st.sampled_from(["offloaded", "loading", "loaded", "offloading"])))
        model.workspace = data.draw(st.integers(0, 3)) * 10**6
    ledger = Ledger(Device("gpu", 10**9, 1.0), entries)
    here = {k for keys, model in zip(parts, entries, strict=True) if model.state != "offloaded" for k in keys}
    later = {
        k for keys, model in zip(parts, entries, strict=True) if model.state in ("loading", "loaded") for k in keys
    }
    workspaces = sum(model.workspace for model in entries)
    assert ledger.used() == sum(sizes[k] for k in here) + workspaces
    assert ledger.committed() == sum(sizes[k] for k in later) + workspaces
    assert ledger.free() == 10**9 - ledger.used()


# Queues


@pytest.fixture
def loop():
    made = asyncio.new_event_loop()
    yield made
    made.close()


def call(loop, agent: str, count: int) -> tuple[Call, list[Item]]:
    """A call, and its items, which came at 0, 1, …"""
    made = Call(agent, count, loop.create_future())
    return made, [Item((agent, k), made, k, float(k)) for k in range(count)]


def test_a_call_is_answered_with_its_last_item(loop):
    made, _ = call(loop, "a", 3)
    assert [made.answer(place, place * 10) for place in (2, 0, 1)] == [False, False, True]
    assert made.future.result() == [0, 10, 20]
    gone, _ = call(loop, "a", 1)
    gone.future.cancel()
    assert gone.answer(0, 1) is False


def test_a_policy_is_told_of_groups_that_are_done_sooner(loop):
    queue = GroupQueue()
    queue.add([Item(0, Call("a", 1, loop.create_future()), 0, 2.0)])
    assert queue.seen(Brief("short", 0.25)).share == 0.25
    assert queue.seen("short").share == 1.0


def test_a_queue_is_first_in_first_out_and_what_is_put_back_is_first_again(loop):
    queue = GroupQueue()
    _, first = call(loop, "a", 3)
    second_call, second = call(loop, "b", 2)
    queue.add(first)
    queue.add(second)
    assert (queue.seen("g").items, queue.seen("g").agents, queue.seen("g").oldest) == (5, 2, 0.0)
    taken = queue.take(4)
    assert taken == [*first, second[0]] and queue.seen("g").agents == 1
    queue.put_back(taken[1:])
    assert list(queue.items) == [*first[1:], *second] and queue.seen("g").agents == 2
    assert queue.remove(second_call) == 2 and list(queue.items) == first[1:] and queue.seen("g").agents == 1
    assert queue.seen("g").oldest == 1.0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 4), st.sampled_from("atpr")), max_size=30))
def test_agents_of_a_queue_are_those_of_its_items(steps):
    loop = asyncio.new_event_loop()
    queue, calls, taken = GroupQueue(), {}, []
    for agent, count, what in steps:
        if what == "a":
            calls[agent], items = call(loop, agent, count)
            queue.add(items)
        elif what == "t":
            taken = queue.take(min(count, len(queue.items)))
        elif what == "p":
            queue.put_back(taken)
            taken = []
        elif agent in calls:
            queue.remove(calls[agent])
        if queue.items:
            assert queue.seen(0).agents == len({item.call.agent for item in queue.items})
            assert queue.seen(0).items == len(queue.items)
    loop.close()
