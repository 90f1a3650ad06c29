"""The policy's rules one by one, on states made by hand; and what holds in every state that random runs reach."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.benchmarks.scheduling import virtual_time
from maia.engine.cost_aware import EXACT_VICTIMS, CostAware
from maia.engine.plan import Component, Duration, Workspace, component_bytes
from maia.engine.policy import LEASE, Action, DeviceState, Evict, Load, Run, Wait
from maia.engine.scheduler import Scheduler
from scheduling import Lab, device_state, make_model, model_state, waiting
from workloads import Log, play, random_workload

POLICY = CostAware(max_age=60.0, backlog=2.0, linger=0.6)
A, B, C = (make_model(name) for name in "abc")
"""10 bytes, a second a batch; the link brings a byte a second."""


def decide(*models, **options) -> Action:
    """The policy's answer for a device with these models."""
    return POLICY.decide(device_state(*models, **options))


# Age


def old_and_busy(now: float, *more, **options) -> Action:
    """b has waited since 0 for the memory that a, who has work since `now`, has."""
    options = {"memory": 15, "now": now, **options}
    return decide(model_state(A, "loaded", waiting(4, now)), model_state(B, "offloaded", waiting(1)), *more, **options)


def test_what_has_waited_too_long_goes_first_and_not_before():
    assert old_and_busy(59.9) == Run("a", "g", 4)
    assert old_and_busy(60.0) == Load("b", ("a",))


def test_with_a_backlog_age_counts_later():
    """40 items in batches of 4 take 10 x (1 + 4 x 0.5) s, b's item 1.5 s and its load 10 s: twice 41.5 s."""
    slow = [make_model(name, duration=Duration(1.0, 0.5)) for name in "ab"]

    def at(now: float) -> Action:
        loaded, other = model_state(slow[0], "loaded", waiting(40, 50)), model_state(slow[1], "offloaded", waiting(1))
        return decide(loaded, other, memory=15, now=now)

    assert at(82.9) == Run("a", "g", 4)
    assert at(83.0) == Load("b", ("a",))


def test_requests_of_a_server_are_a_backlog_that_it_shares():
    """64 requests, 4 at a time, each 1 + 0.5 s: 16 + 8 s; b's 11 s come to it: twice 35 s."""
    server = make_model("server", 1, duration=Duration(1.0, 0.5), kind="server", can_sleep=True)

    def at(now: float) -> Action:
        return decide(
            model_state(server, "loaded", waiting(64, 50)), model_state(B, "offloaded", waiting(1)), memory=10, now=now
        )

    assert at(69.9) == Run("server", "g", 4)
    assert at(70.0) == Load("b", ("server",))


def test_the_oldest_of_those_that_waited_too_long_is_next():
    models = [model_state(m, "offloaded", waiting(1, age)) for m, age in ((A, 20), (B, 10), (C, 30))]
    assert decide(*models, memory=15, now=200) == Load("b")
    assert decide(*reversed(models), memory=15, now=200) == Load("b")


def test_a_lease_ages_like_an_item():
    a, b = model_state(A, "loaded", waiting(4, 100)), model_state(B, "offloaded", waiting(1, 0, group=LEASE))
    assert decide(a, b, memory=15, now=100) == Load("b", ("a",))
    # It is granted without a batch: what is loaded then has nothing to run for it.
    a, b = model_state(A, "loaded"), model_state(B, "loaded", waiting(1, 0, group=LEASE))
    assert decide(a, b, now=100) == Wait()


def test_nothing_starts_while_what_is_in_the_way_of_the_urgent_ends():
    running = model_state(A, "loaded", waiting(4, 99), running=4)
    urgent = model_state(B, "offloaded", waiting(1))
    idle = model_state(C, "loaded", waiting(4, 99), leased=True)
    assert decide(running, urgent, idle, memory=25, now=100, slots=3) == Wait()
    # Nor while another one is loaded.
    loading = model_state(A, "loading", waiting(4, 99))
    assert decide(loading, urgent, idle, memory=25, now=100, slots=3) == Wait()


def test_work_goes_on_when_nothing_that_ends_is_in_the_way_of_the_urgent():
    """Only its lease's end makes room; its holder may need an answer before."""
    leased = model_state(A, "loaded", waiting(4, 99), leased=True)
    assert decide(leased, model_state(B, "offloaded", waiting(1)), memory=15, now=100) == Run("a", "g", 4)


def test_a_leased_server_that_could_sleep_is_served_too_when_only_its_lease_is_in_the_way():
    server = make_model("server", 5, kind="server", can_sleep=True)
    leased = model_state(server, "loaded", waiting(2, 99), leased=True)
    assert decide(leased, model_state(B, "offloaded", waiting(1)), memory=12, now=100) == Run("server", "g", 2)


def test_an_urgent_model_that_is_loaded_runs_its_oldest_group_before_better_batches():
    better = model_state(A, "loaded", waiting(4, 99, agents=4))
    urgent = model_state(B, "loaded", waiting(1, 0, group="old"), waiting(4, 50, agents=4, group="new"))
    assert decide(better, urgent, now=100) == Run("b", "old", 1)


def test_servers_that_sleep_get_nothing_while_another_is_urgent_and_those_that_stay_do():
    server = make_model("server", 5, kind="server", can_sleep=True)
    urgent = model_state(B, "offloaded", waiting(1))
    asleep_later = model_state(server, "loaded", waiting(2, 99), running=1)
    assert decide(asleep_later, urgent, memory=12, now=100) == Wait()
    stays = model_state(server, "loaded", waiting(2, 99), running=1, resident=True)
    assert decide(stays, urgent, memory=12, now=100) == Run("server", "g", 2)
    # Its own age is no reason to hold it back.
    old = model_state(server, "loaded", waiting(2, 0), running=1)
    assert decide(old, model_state(B, "offloaded", waiting(1, 99)), memory=12, now=100) == Run("server", "g", 2)


def test_what_is_at_work_already_is_not_urgent():
    busy = model_state(A, "loaded", waiting(1, 0), running=1)
    other = model_state(B, "loaded", waiting(1, 99))
    assert decide(busy, other, now=100, slots=2) == Run("b", "g", 1)


# Servers and batches


def test_a_server_gets_as_many_requests_as_it_has_room_for():
    server = make_model("server", kind="server")
    assert decide(model_state(server, "loaded", waiting(9), running=1)) == Run("server", "g", 3)
    assert decide(model_state(server, "loaded", waiting(2), running=1)) == Run("server", "g", 2)
    assert isinstance(decide(model_state(server, "loaded", waiting(9), running=4)), Wait)
    assert decide(model_state(server, "offloaded", waiting(9))) == Load("server")


def test_a_batch_that_is_not_full_waits_as_long_as_another_would_cost():
    model = make_model("a", duration=Duration(2.0, 1.0))

    def at(now: float, items: int = 1, **options) -> Action:
        return decide(model_state(model, "loaded", waiting(items, 5.0)), now=now, **options)

    assert at(6.0, thinking=1, agents=1) == Wait(7.0)
    assert at(7.0, thinking=1, agents=1) == Run("a", "g", 1)
    assert at(6.0, thinking=0, agents=1) == Run("a", "g", 1)
    assert at(6.0, items=4, thinking=1, agents=1) == Run("a", "g", 4)
    assert at(6.0, items=9, thinking=1, agents=1) == Run("a", "g", 4)
    # Where memory ran out before, fewer are full.
    few = model_state(model, "loaded", waiting(2, 5.0), limit=2)
    assert decide(few, now=6.0, thinking=1, agents=1) == Run("a", "g", 2)


def test_most_agents_a_second_first_unless_others_have_waited_longer():
    """A second of waiting doubles what a batch counts: 4 agents in 4 s after 1 s, or 4 agents in 8 s after 2 s …"""
    many, few = make_model("many", duration=Duration(0, 1.0)), make_model("few", duration=Duration(0, 2.0))
    quick = model_state(many, "loaded", waiting(4, 9, agents=4))
    assert decide(model_state(few, "loaded", waiting(4, 8, agents=4)), quick, now=10) == Run("many", "g", 4)
    # … and after 4 s.
    assert decide(model_state(few, "loaded", waiting(4, 6, agents=4)), quick, now=10) == Run("few", "g", 4)
    slow = model_state(few, "loaded", waiting(4, 8, agents=4))
    alone = model_state(many, "loaded", waiting(4, 9, agents=1))
    assert decide(slow, alone, now=10) == Run("few", "g", 4)
    equal = [model_state(m, "loaded", waiting(4, age)) for m, age in ((A, 9), (B, 5))]
    assert decide(*equal, now=10) == Run("b", "g", 4)


def test_a_group_that_is_done_sooner_goes_first_and_waits_less_for_company():
    """Descriptions of pictures and dialogues of one model: whoever waits for a description joins the dialogues."""
    model = make_model("vlm", duration=Duration(4.0, 1.0))
    long, short = waiting(4, 0.0, agents=4, group="long"), waiting(4, 1.0, agents=4, group="short", share=0.1)
    assert decide(model_state(model, "loaded", long, short), now=10) == Run("vlm", "short", 4)
    assert decide(model_state(model, "loaded", long, replace(short, share=1.0)), now=10) == Run("vlm", "long", 4)
    few = model_state(model, "loaded", waiting(2, 5.0, group="short", share=0.1))
    assert decide(few, now=5.1, thinking=1, agents=1) == Wait(5.4)
    assert decide(few, now=5.4, thinking=1, agents=1) == Run("vlm", "short", 2)


def test_slots_are_kept():
    running, other = model_state(A, "loaded", running=1), model_state(B, "loaded", waiting(4))
    assert isinstance(decide(running, other, slots=1), Wait)
    assert decide(running, other, slots=2) == Run("b", "g", 4)
    # One batch of a model at a time.
    assert isinstance(decide(model_state(A, "loaded", waiting(4), running=1), slots=2), Wait)


# Memory


def test_a_batch_is_as_large_as_its_workspace_may_be():
    model = make_model("a", 10, Workspace(5, 2))
    state = model_state(model, "loaded", waiting(4))
    assert decide(state, memory=23) == Run("a", "g", 4)
    assert decide(state, memory=22) == Run("a", "g", 3)
    assert decide(state, memory=17) == Run("a", "g", 1)
    assert isinstance(decide(state, memory=16), Wait)


def test_if_no_batch_fits_the_cheapest_that_is_idle_leaves():
    model = make_model("a", 10, Workspace(5, 2))
    state = model_state(model, "loaded", waiting(1))
    small, large = make_model("small", 6), make_model("large", 20)
    idle = [model_state(small), model_state(large)]
    assert decide(state, *idle, memory=42) == Evict(("small",))
    busy = [model_state(small, leased=True), model_state(large, leased=True)]
    assert isinstance(decide(state, *busy, memory=42), Wait)
    # What somebody waits for leaves only if nothing else would do.
    asked = [model_state(small, "loaded", waiting(1, group=LEASE)), model_state(large)]
    assert decide(state, *asked, memory=42) == Evict(("large",))


@pytest.mark.parametrize(("fixed", "action"), [(50.0, Evict(("b",))), (30.0, Run("a", "g", 2))])
def test_a_larger_batch_is_worth_an_eviction_only_if_it_saves_more(fixed, action):
    """Two batches instead of one cost the fixed seconds again; b's load takes 10 s, to be saved four times."""
    model = make_model("a", 10, Workspace(0, 5), duration=Duration(fixed, 0.0))
    assert decide(model_state(model, "loaded", waiting(4)), model_state(B), memory=30) == action


def test_a_load_counts_weights_that_are_missing_and_the_workspace_of_one_item():
    vae = Component("vae", 6)
    one = make_model("one", components=(Component("x", 4), vae))
    two = make_model("two", components=(Component("y", 4), vae), workspace=Workspace(3, 2))
    here, wanted = model_state(one), model_state(two, "offloaded", waiting(4))
    assert decide(here, wanted, memory=19) == Load("two")
    # One byte less: `one` leaves, but for what both have.
    assert decide(here, wanted, memory=18) == Load("two", ("one",))
    assert isinstance(decide(here, wanted, memory=14), Wait)


def test_a_server_needs_the_workspace_of_all_its_requests():
    server = make_model("server", 10, Workspace(2, 1), kind="server", can_sleep=True)
    asked = model_state(server, "offloaded", waiting(1))
    assert decide(asked, memory=16) == Load("server")
    assert isinstance(decide(asked, memory=15), Wait)
    awake = model_state(server, "loaded")
    assert decide(awake, model_state(B, "offloaded", waiting(1)), memory=16) == Load("b", ("server",))


def test_victims_are_those_that_cost_least_to_load_again():
    wanted = model_state(make_model("w", 10), "offloaded", waiting(1))
    five, six, eleven = make_model("five", 5), make_model("six", 6), make_model("eleven", 11)
    idle = [model_state(m) for m in (five, six, eleven)]
    # 22 bytes are there, 10 are wanted: 5 + 6 and 11 free enough; so few victims as possible.
    assert decide(wanted, *idle, memory=22) == Load("w", ("eleven",))
    assert decide(wanted, *idle, memory=27) == Load("w", ("five",))
    assert decide(wanted, *idle, memory=26) == Load("w", ("six",))
    # What is waited for is dearer than its bytes.
    asked = model_state(eleven, "loaded", waiting(1, group=LEASE))
    assert decide(wanted, *idle[:2], asked, memory=22) == Load("w", ("five", "six"))
    for options in ({"leased": True}, {"running": 1}):
        others = [model_state(five, **options), *idle[1:]]
        assert decide(wanted, *others, memory=27, slots=3, running=0) == Load("w", ("six",))
    stays = make_model("five", 5, kind="server")
    assert decide(wanted, model_state(stays, resident=True), *idle[1:], memory=27) == Load("w", ("six",))


def test_what_others_still_hold_is_not_freed_by_a_victim():
    vae = Component("vae", 8)
    one, two = (make_model(name, components=(Component(name, 2), vae)) for name in ("one", "two"))
    wanted = model_state(make_model("w", 10), "offloaded", waiting(1))
    assert decide(model_state(one), model_state(two), wanted, memory=12) == Load("w", ("one", "two"))
    assert decide(model_state(one), model_state(two), wanted, memory=20) == Load("w", ("one",))
    kept = model_state(two, leased=True)
    assert isinstance(decide(model_state(one), kept, wanted, memory=19), Wait)


def test_with_many_candidates_enough_leave():
    models = [model_state(make_model(f"m{k:02}", 1 + k)) for k in range(EXACT_VICTIMS + 2)]
    nbytes = sum(1 + k for k in range(EXACT_VICTIMS + 2))
    action = decide(*models, model_state(make_model("w", 10), "offloaded", waiting(1)), memory=nbytes)
    assert isinstance(action, Load)
    freed = sum(1 + int(name[1:]) for name in action.evict)
    assert freed >= 10 and freed - max(1 + int(name[1:]) for name in action.evict) < 10


# Swaps


def test_a_swap_waits_for_agents_who_may_come_with_work_for_what_is_loaded():
    used, wanted = model_state(A, last_used=10.0), model_state(B, "offloaded", waiting(1, 9.0))
    assert decide(used, wanted, memory=15, now=10.3, thinking=1, agents=2) == Wait(10.6)
    assert decide(used, wanted, memory=15, now=10.6, thinking=1, agents=2) == Load("b", ("a",))
    assert decide(used, wanted, memory=15, now=10.3, thinking=0, agents=2) == Load("b", ("a",))
    # Nobody is in the way of what fits.
    assert decide(used, wanted, memory=20, now=10.3, thinking=1, agents=2) == Load("b")


def test_no_swap_while_a_batch_runs_but_a_load_beside_it():
    running, idle = model_state(A, running=1), model_state(C)
    wanted = model_state(B, "offloaded", waiting(1))
    assert isinstance(decide(running, idle, wanted, memory=25, slots=2), Wait)
    assert decide(running, idle, wanted, memory=30, slots=2) == Load("b")


def test_one_load_at_a_time():
    for state in ("loading", "offloading"):
        assert isinstance(decide(model_state(A, state), model_state(B, "offloaded", waiting(1))), Wait)


def test_work_that_is_loaded_before_a_load():
    assert decide(model_state(A, "loaded", waiting(4)), model_state(B, "offloaded", waiting(4))) == Run("a", "g", 4)


def test_the_model_for_which_agents_have_waited_longest_in_sum_is_loaded_first():
    one, many = (
        model_state(A, "offloaded", waiting(9, 0, agents=1)),
        model_state(B, "offloaded", waiting(3, 8, agents=3)),
    )
    assert decide(one, many, now=9, memory=15) == Load("a")
    assert decide(one, many, now=20, memory=15) == Load("b")


def test_nothing_to_do():
    assert decide(model_state(A), model_state(B, "offloaded")) == Wait()


# In every state


class Watching:
    """Asks the policy and notes what no answer of it may be."""

    def __init__(self, policy: CostAware) -> None:
        self.policy = policy
        self.wrong: list[str] = []
        self.states = 0

    def decide(self, state: DeviceState) -> Action:
        self.states += 1
        action = self.policy.decide(state)
        if self.policy.decide(state) != action:
            self.wrong.append("another answer for the same state")
        if isinstance(action, Wait) and action.until is not None and action.until <= state.now:
            self.wrong.append(f"waits until {action.until} at {state.now}")
        if isinstance(action, Load | Evict):
            self._victims(state, action)
        if isinstance(action, Wait) and action.until is None and state.thinking == 0:
            idle = not state.running and all(
                not m.running and m.state in ("loaded", "offloaded") and not m.leased for m in state.models.values()
            )
            if idle and any(entry.group != LEASE for m in state.models.values() for entry in m.waiting):
                self.wrong.append("waits for nothing")
        return action

    def _victims(self, state: DeviceState, action: Load | Evict) -> None:
        """None of them could stay."""
        names = action.evict if isinstance(action, Load) else action.models
        for spared in names:
            gone = {name for name in names if name != spared}
            stay = [m for m in state.models.values() if m.state != "offloaded" and m.facts.name not in gone]
            if isinstance(action, Load):
                wanted = state.models[action.model]
                parts = component_bytes(p for m in (*stay, wanted) for p in m.facts.components)
                rest = sum(m.facts.held(m.place.batch) - m.facts.nbytes for m in (*stay, wanted))
                rest += wanted.facts.workspace.nbytes(1) if wanted.facts.kind == "batch" else 0
                busy = state.device.memory - state.free - _idle_bytes(state)
                if parts + rest + busy <= state.device.memory:
                    self.wrong.append(f"{spared} need not have left: {action}")


def _idle_bytes(state: DeviceState) -> int:
    """Of what is in use, all but the workspaces of running batches."""
    held = [m for m in state.models.values() if m.state != "offloaded"]
    parts = component_bytes(p for m in held for p in m.facts.components)
    return parts + sum(m.facts.held(m.place.batch) - m.facts.nbytes for m in held)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    models=st.integers(2, 5),
    callers=st.integers(1, 6),
    steps=st.integers(1, 8),
    leases=st.booleans(),
    max_age=st.sampled_from([1.0, 60.0]),
)
def test_answers_are_pure_look_ahead_and_evict_nobody_in_vain(max_age, **sizes):
    workload = random_workload(**sizes)
    policy = Watching(CostAware(max_age=max_age))
    virtual_time.run(play(workload, Scheduler(workload.plan, Lab(workload.plan).runners, policy), Log()))
    assert policy.states and not policy.wrong, policy.wrong
