"""Nobody waits for ever: every call is answered within a bound that the policy's constants and the workload give.

Callers have one call at a time, so that at most K items wait at any moment (`longest_wait` sums each caller's largest
call), and what the policy reckons for them is at most W seconds. The oldest waiting item is urgent when it is
A = max(max_age, backlog * W) seconds old. From then on, nothing starts but for the oldest urgent item and requests of
servers that stay. A step for it takes at most 2 L + 2 D: a load (L) and batches (D) that are under way end, its model
is loaded, its batch runs. Each step answers it, or halves its model's batches (once for each power of two below the
plan's batch), or takes it out of a failed batch to run alone (once for each item). Only items that came no later go
before it, at most K - 1. So nobody waits longer than A + (2 K + halvings + 1) (2 L + 2 D).
"""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.benchmarks.scheduling import virtual_time
from maia.engine.cost_aware import CostAware
from maia.engine.plan import Component, Duration, ModelFacts, Workspace
from maia.engine.scheduler import Scheduler
from scheduling import Faults, Job, Lab, make_model, make_plan
from workloads import Ask, Lease, Log, Think, Workload, longest_wait, play, random_workload, verify_answers

NEVER = 1e7
"""An age that nothing gets: the policy without its rule of age."""


def longest(workload: Workload, policy: CostAware) -> float:
    """Seconds of the call that waited longest."""
    lab, log = Lab(workload.plan, workload.faults), Log()
    virtual_time.run(play(workload, Scheduler(workload.plan, lab.runners, policy), log))
    verify_answers(lab, log)
    return max((answer.ended - answer.asked for answer in log.answers), default=0.0)


@settings(max_examples=150)
@given(
    seed=st.integers(0, 10**6),
    models=st.integers(1, 4),
    callers=st.integers(1, 6),
    steps=st.integers(1, 10),
    faults=st.booleans(),
    max_age=st.sampled_from([0.0, 1.0, 5.0, 60.0]),
    backlog=st.sampled_from([0.0, 0.5, 2.0]),
    linger=st.sampled_from([0.0, 0.6, 5.0]),
)
def test_no_call_waits_longer_than_the_bound(max_age, backlog, linger, **sizes):
    policy = CostAware(max_age, backlog, linger)
    workload = random_workload(**sizes)
    assert longest(workload, policy) <= longest_wait(workload, policy) + 1e-6


@dataclass(frozen=True)
class Stream:
    """Callers who keep a model at work for `calls` calls each, and one who asks another model once."""

    busy: ModelFacts
    other: ModelFacts
    memory: int = 7
    slots: int = 1
    callers: int = 3
    calls: int = 260
    think: float = 0.1

    def workload(self) -> Workload:
        """Numbers are unique."""
        steps = [
            tuple(
                step
                for call in range(self.calls)
                for step in (Ask(self.busy.name, (Job(k * 1000 + call),)), Think(self.think * (1 + k / 10)))
            )
            for k in range(self.callers)
        ]
        late = ("late", (Think(2.0), Ask(self.other.name, (Job(10**6),))))
        stay = [m.name for m in (self.busy, self.other) if m.kind == "server" and not m.can_sleep]
        plan = make_plan([self.busy, self.other], self.memory, slots=self.slots, resident=stay)
        return Workload(plan, {}, (*((f"agent-{k}", s) for k, s in enumerate(steps)), late))


SHARED = Component("shared", 2)
BUSY, OTHER = make_model("busy", 4), make_model("other", 4)
STREAMS = {
    "a batch model": Stream(BUSY, OTHER),
    "two slots": Stream(BUSY, OTHER, slots=2),
    "a server that sleeps": Stream(make_model("busy", 4, kind="server", can_sleep=True), OTHER),
    "a server that is asleep": Stream(BUSY, make_model("other", 4, kind="server", can_sleep=True)),
    "only its workspace does not fit": Stream(BUSY, make_model("other", 4, Workspace(8, 0)), memory=15),
    "shared parts": Stream(
        replace(BUSY, components=(*BUSY.components, SHARED)), replace(OTHER, components=(*OTHER.components, SHARED)), 9
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_without_the_rule_of_age_the_bound_does_not_hold(name):
    """So the bound is one that the rule gives, not one that anything would keep."""
    workload = STREAMS[name].workload()
    policy = CostAware(max_age=20.0, backlog=2.0)
    bound = longest_wait(workload, policy)
    assert longest(workload, policy) <= bound
    assert longest(workload, CostAware(max_age=NEVER, backlog=2.0)) > bound


def test_age_decides_after_max_age_and_not_before():
    """One caller waits while another keeps the device at work: it is answered within a step of max_age."""
    for max_age in (10.0, 40.0):
        workload = STREAMS["a batch model"].workload()
        waited = longest(workload, CostAware(max_age=max_age, backlog=0.0))
        assert max_age <= waited <= max_age + 2 * (4 + 1 + 0.02) + 1


def holder_and_starving(server: ModelFacts | None, calls: int = 6) -> tuple[Workload, Log, Lab]:
    """A lease holder asks the leased model again and again; another caller asks one that fits only without it."""
    models = [make_model("leased"), make_model("other"), *([server] if server else [])]
    asks = tuple(step for call in range(calls) for step in (Think(2.3), Ask("leased", (Job(call), Job(100 + call)))))
    callers = [
        ("holder", (Lease("leased", asks), Think(1.0))),
        ("starving", (Think(1.0), Ask("other", (Job(500),)))),
    ]
    if server:
        callers += [
            (f"busy-{k}", tuple(Ask(server.name, (Job(10**4 * (k + 1) + n),)) for n in range(300))) for k in (0, 1)
        ]
    memory = 15 + (server.nbytes if server else 0)
    plan = make_plan(models, memory, resident=[server.name] if server else [])
    workload = Workload(plan, {}, tuple(callers))
    lab, log = Lab(plan), Log()
    virtual_time.run(play(workload, Scheduler(plan, lab.runners, CostAware(max_age=3.0, backlog=0.0)), log))
    verify_answers(lab, log)
    return workload, log, lab


def test_a_lease_holder_is_served_while_another_model_is_urgent():
    """The urgent model cannot be loaded before the lease ends, and the lease only ends after the holder's calls."""
    _, log, _ = holder_and_starving(None)
    held = [answer for answer in log.answers if answer.ask.model == "leased"]
    assert all(answer.ended - answer.asked <= 2.0 for answer in held)
    (starving,) = [answer for answer in log.answers if answer.ask.model == "other"]
    assert starving.ended <= max(answer.ended for answer in held) + 10 + 1 + 1


def test_a_lease_holder_is_served_while_a_server_that_stays_never_rests():
    server = make_model("server", 5, kind="server", duration=Duration(1.0, 0.0))
    _, log, _ = holder_and_starving(server)
    held = [answer for answer in log.answers if answer.ask.model == "leased"]
    assert all(answer.ended - answer.asked <= 20.0 for answer in held), [a.ended - a.asked for a in held]


def test_halving_and_singles_do_not_starve_anyone():
    def half_bad(k):
        return tuple(Job(100 * k + n, 0, "poison" if n == 1 else "good") for n in range(8))

    callers = [(f"agent-{k}", (Ask("a", half_bad(k)),)) for k in range(3)]
    callers.append(("late", (Ask("b", (Job(10**6),)),)))
    plan = make_plan([make_model("a"), make_model("b")], 15, batch=8)
    workload = Workload(plan, {"a": Faults(hidden=1)}, tuple(callers))
    policy = CostAware(max_age=5.0, backlog=0.0)
    assert longest(workload, policy) <= longest_wait(workload, policy)
