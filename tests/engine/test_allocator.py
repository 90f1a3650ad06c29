"""The cap on torch's allocator: which device gets which share. torch.cuda is a stand-in."""

from types import SimpleNamespace

import pytest
import torch
from fakes import FlatDescriber, FlatWorld, RednessTarget
from hypothesis import given
from hypothesis import strategies as st
from maia.engine import assembly
from maia.engine.allocator import limit_allocators, peak_reserved
from maia.engine.plan import Component, Device, ModelFacts, Place, Plan, Workspace

GIB = 2**30


@pytest.fixture
def gpus(monkeypatch):
    """Two GPUs, of 24 and 10 GiB; the caps that were set."""
    caps = []
    totals = [24 * GIB, 10 * GIB]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(totals))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda i: SimpleNamespace(total_memory=totals[i]))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda share, i: caps.append((i, share)))
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda i: [111, 222][i])
    return caps


def a_plan(memory, server=None, resident=True, can_sleep=False):
    """A drawer on cuda:0, and a server there of 3 GiB of weights and 1 GiB for each of 2 requests, if asked for."""
    models = [ModelFacts("draw", (Component("d", 2 * GIB),), Workspace(0, GIB))]
    places = {"draw": Place("cuda:0", True, 4)}
    if server is not None:
        facts = ModelFacts("vlm", (Component("v", 3 * GIB),), Workspace(0, GIB), kind="server", can_sleep=can_sleep)
        models.append(facts)
        places["vlm"] = Place(server, resident, 2)
    devices = [Device(name, amount, 1e10) for name, amount in memory.items()]
    return Plan(tuple(devices), tuple(models), places)


def test_each_gpu_gets_its_share_and_other_devices_none(gpus):
    plan = a_plan({"cuda:0": 12 * GIB, "cuda:1": 10 * GIB, "cpu": 64 * GIB, "drawing": 1})
    assert limit_allocators(plan) == {"cuda:0": 12 * GIB, "cuda:1": 10 * GIB}
    assert gpus == [(0, 0.5), (1, 1.0)]
    assert all(isinstance(share, float) for _, share in gpus)


def test_what_servers_hold_is_not_this_process_s(gpus):
    assert limit_allocators(a_plan({"cuda:0": 23 * GIB}, server="cuda:0")) == {"cuda:0": 18 * GIB}
    # One on another GPU takes nothing of this one; one that sleeps gives its memory back.
    memory = {"cuda:0": 12 * GIB, "cuda:1": 10 * GIB}
    assert limit_allocators(a_plan(memory, server="cuda:1")) == {"cuda:0": 12 * GIB, "cuda:1": 5 * GIB}
    assert limit_allocators(a_plan(memory, "cuda:0", resident=False, can_sleep=True))["cuda:0"] == 12 * GIB
    assert limit_allocators(a_plan(memory, "cuda:0", resident=True, can_sleep=True))["cuda:0"] == 7 * GIB
    assert limit_allocators(a_plan(memory, "cuda:0", resident=False, can_sleep=False))["cuda:0"] == 7 * GIB


def test_a_share_is_never_above_one_nor_below_zero(gpus):
    @given(memory=st.integers(0, 100 * GIB), server=st.sampled_from([None, "cuda:0"]))
    def check(memory, server):
        gpus.clear()
        caps = limit_allocators(a_plan({"cuda:0": memory}, server))
        ((index, share),) = gpus
        assert index == 0 and 0.0 <= share <= 1.0
        expected = max(0, memory - (5 * GIB if server else 0))
        assert caps["cuda:0"] == min(expected, 24 * GIB)
        # torch takes the share of its total: what it then allows is not more than the plan says.
        assert share * 24 * GIB <= expected + 1

    check()


def test_gpus_that_are_not_here_are_left_out(gpus, monkeypatch):
    assert limit_allocators(a_plan({"cuda:0": GIB, "cuda:5": GIB})) == {"cuda:0": GIB}
    assert (peak_reserved("cuda:1"), peak_reserved("cuda"), peak_reserved("cpu")) == (222, 111, 0)
    assert peak_reserved("cuda:7") == peak_reserved("drawing") == 0
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpus.clear()
    assert limit_allocators(a_plan({"cuda:0": GIB})) == {} and gpus == [] and peak_reserved("cuda:0") == 0


def test_a_run_s_scheduler_is_made_with_the_caps_of_its_plan(monkeypatch):
    limited = []
    monkeypatch.setattr(assembly, "limit_allocators", limited.append)
    scheduler = assembly.assemble({"fake": RednessTarget()}, FlatWorld(), FlatDescriber(), jobs=1)
    (plan,) = limited
    assert plan is scheduler.plan and set(plan.places) == {"world", "describer", "fake"}
