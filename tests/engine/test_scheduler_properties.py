"""Random workloads under virtual time: budgets, batches and answers hold whatever fails and whenever callers leave."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from maia.benchmarks.scheduling import virtual_time
from maia.engine.scheduler import Scheduler
from scheduling import Job, Lab
from workloads import Ask, Log, Workload, play, random_workload, verify_answers

SIZES = {
    "seed": st.integers(0, 10**6),
    "models": st.integers(1, 6),
    "callers": st.integers(1, 10),
    "steps": st.integers(1, 12),
    "devices": st.integers(1, 2),
}


def played(workload: Workload, leave: float | None = None) -> tuple[Lab, Log, Scheduler]:
    """The workload's end under virtual time; a lost item or wake-up is a Deadlock."""
    lab, log = Lab(workload.plan, workload.faults), Log()
    scheduler = Scheduler(workload.plan, lab.runners)
    virtual_time.run(play(workload, scheduler, log, leave))
    return lab, log, scheduler


@settings(max_examples=150)
@given(**SIZES)
def test_every_item_is_answered_and_the_counts_add_up(**sizes):
    workload = random_workload(**sizes, faults=False)
    with TemporaryDirectory() as folder:
        lab, log = Lab(workload.plan), Log()
        scheduler = Scheduler(workload.plan, lab.runners)
        scheduler.metrics.record_to(Path(folder) / "trace.jsonl")
        virtual_time.run(play(workload, scheduler, log))
        verify_answers(lab, log)
        file = Path(folder) / "trace.jsonl"
        lines = [json.loads(line) for line in file.read_text().splitlines()] if log.answers else []
    assert len(log.answers) == len(list(workload.asks())) == len(lines)
    expected = [(a.ask.model, len(a.ask.jobs), round(a.asked, 6), round(a.ended, 6)) for a in log.answers]
    assert sorted((line["model"], line["items"], line["asked"], line["answered"]) for line in lines) == sorted(expected)
    verify_metrics(lab, log, scheduler)


def verify_metrics(lab: Lab, log: Log, scheduler: Scheduler) -> None:
    """The scheduler's counts are those of runners and callers, who cancelled nothing."""
    report = json.loads(json.dumps(scheduler.metrics.report()))
    for name, model in scheduler.metrics.models.items():
        results = [
            result
            for answer in log.answers
            if answer.ask.model == name
            for job, result in zip(answer.ask.jobs, answer.results, strict=True)
            if job.kind != "ungroupable"
        ]
        batches = [batch for batch in lab.batches if batch.model == name]
        assert model.items == len(results) and model.cancelled == 0
        assert model.failed == sum(isinstance(result, Exception) for result in results)
        assert sorted(model.batches.elements()) == sorted(len(batch.numbers) for batch in batches)
        assert len(model.queue_seconds) == sum(len(batch.numbers) for batch in batches)
        assert model.halved == sum(batch.error == "OutOfMemory" for batch in batches)
        assert abs(model.busy_seconds - sum(batch.ended - batch.started for batch in batches)) < 1e-6
        assert report["models"][name]["batches"] == len(batches)
    for name, ledger in lab.ledgers.items():
        device = scheduler.metrics.devices[name]
        assert device.peak == ledger.peak <= device.budget == ledger.device.memory
        placed = [scheduler.metrics.models[facts.name] for facts in lab.plan.on(name)]
        assert sum(model.loaded_bytes for model in placed) == ledger.loaded_bytes
        assert sum(model.loads for model in placed) == ledger.loads
        here = {facts.name for facts in lab.plan.on(name) if facts.kind == "batch"}
        busy = covered([(batch.started, batch.ended) for batch in lab.batches if batch.model in here])
        assert abs(device.busy_seconds - busy) < 1e-6
        assert report["devices"][name]["peak"] == ledger.peak
        assert scheduler.used(name) == ledger.used
    assert report["swap_bytes"] == sum(ledger.loaded_bytes for ledger in lab.ledgers.values())
    held = sorted(name for name, runner in lab.runners.items() if runner.device is not None)
    assert sorted(scheduler.loaded()) == held
    assert set(scheduler.waiting().values()) == {0}


def covered(spans: list[tuple[float, float]]) -> float:
    """Seconds in at least one of the spans."""
    total, end = 0.0, float("-inf")
    for start, stop in sorted(spans):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


@settings(max_examples=250)
@given(**SIZES)
def test_only_the_item_suffers_from_what_fails(**sizes):
    lab, log, scheduler = played(random_workload(**sizes, faults=True))
    verify_answers(lab, log)
    verify_metrics(lab, log, scheduler)


@settings(max_examples=250)
@given(**SIZES, faults=st.booleans())
def test_calls_that_are_cancelled_leave_no_trace(**sizes):
    lab, log, scheduler = played(random_workload(**sizes, cancels=True))
    verify_answers(lab, log)
    for name, ledger in lab.ledgers.items():
        assert scheduler.metrics.devices[name].peak == ledger.peak
        assert scheduler.used(name) == ledger.used
    assert set(scheduler.waiting().values()) == {0}


@settings(max_examples=250)
@given(**SIZES, faults=st.booleans(), cancels=st.booleans())
def test_leases_hold_and_let_go(**sizes):
    lab, log, scheduler = played(random_workload(**sizes, leases=True))
    verify_answers(lab, log)
    assert all(not entry.leases and not entry.lease_waiters for entry in scheduler._entries.values())


@settings(max_examples=250)
@given(**SIZES, faults=st.booleans(), cancels=st.booleans(), leases=st.booleans(), leave=st.floats(0, 10))
def test_a_scheduler_that_is_left_ends_all_calls_and_can_be_entered_again(leave, **sizes):
    workload = random_workload(**sizes)
    lab, log, scheduler = played(workload, leave)
    verify_answers(lab, log, late=True)
    assert set(scheduler.waiting().values()) == {0}
    assert not any(lab.running.values()) and not any(runner.busy for runner in lab.runners.values())
    # Another loop, whose clock starts again; what was loaded still is.
    lab.loop = 1
    again = [
        (f"again-{k}", (Ask(facts.name, (Job(10**6 + 2 * k), Job(10**6 + 2 * k + 1))),))
        for k, facts in enumerate(workload.plan.models)
    ]
    later = Log()
    virtual_time.run(play(Workload(workload.plan, workload.faults, tuple(again)), scheduler, later, of=1))
    assert len(later.answers) == len(again)
    verify_answers(lab, later)
