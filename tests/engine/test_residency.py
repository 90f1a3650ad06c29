"""Weights come to a device and go, each once; modules work where they are loaded and nowhere else."""

import gc
import threading
import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.engine import residency
from maia.engine.residency import NotLoadedError, WeightStore
from torch import nn


class Net(nn.Module):
    """Weights below and in the root, a tied one, a buffer that is saved and one that is not."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.inner = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 4))
        self.tied = nn.Linear(4, 8, bias=False)
        self.tied.weight = self.inner[0].weight
        self.gain = nn.Parameter(torch.randn(4))
        self.register_buffer("shift", torch.randn(4), persistent=False)

    def forward(self, x):
        return self.gain * self.inner(x) + self.shift

    def other_way_in(self, x):
        return self.inner(x)


INPUT = torch.linspace(-1, 1, 12).view(3, 4)
# Linear 4 x 8 + 8, norm 4 x 8 and a counter of 8 bytes, linear 8 x 4 + 4, gain 4, shift 4; the tied one not again.
NBYTES = 4 * (40 + 32 + 36 + 4 + 4) + 8


def store_with(**models):
    """A store with models of (key, seed) parts, their modules, and what these answered before."""
    store, modules, answers = WeightStore(pin=False), {}, {}
    for model, parts in models.items():
        modules[model] = [Net(seed).eval().requires_grad_(False) for _, seed in parts]
        answers[model] = [module(INPUT).clone() for module in modules[model]]
        store.add(model, [(key, module) for (key, _), module in zip(parts, modules[model], strict=True)])
    return store, modules, answers


def test_a_loaded_model_answers_as_before_and_a_released_one_refuses():
    store, modules, answers = store_with(a=[("k", 1)])
    net = modules["a"][0]
    for _ in range(2):
        for call in (net, net.other_way_in, net.tied, net.inner[1]):
            with pytest.raises(NotLoadedError, match="load its model first"):
                call(INPUT if call is not net.inner[1] else torch.zeros(3, 8))
        assert store.load("a", "cpu") == NBYTES
        assert torch.equal(net(INPUT), answers["a"][0])
        assert net.tied.weight is net.inner[0].weight
        assert store.load("a", "cpu") == 0
        assert store.release("a") == NBYTES
    assert store.release("a") == 0
    assert store.bytes_copied == 2 * NBYTES


def test_a_load_is_memory_of_its_own_and_a_release_gives_it_back():
    store, modules, _ = store_with(a=[("k", 1)])
    host = store._host["k"]
    store.load("a", "cpu")
    parameters = list(modules["a"][0].parameters())
    loaded = {tensor.data_ptr() for tensor in (*parameters, *modules["a"][0].buffers())}
    assert len(loaded) == 11 and not loaded & {tensor.data_ptr() for tensor in host}
    gone = [weakref.ref(tensor) for copy in store._copies.values() for tensor in copy.tensors]
    assert len(gone) == 11 and all(one() is not None for one in gone)
    store.release("a")
    gc.collect()
    assert all(one() is None for one in gone)
    assert sum(parameter.numel() for parameter in parameters) == 0


def test_weights_that_models_share_are_held_once_and_stay_for_the_last():
    store, modules, answers = store_with(a=[("k", 1), ("own", 2)], b=[("k", 1)])
    assert store.host_bytes() == 2 * NBYTES
    assert store.load("a", "cpu") == 2 * NBYTES
    assert store.load("b", "cpu") == 0
    assert store.device_bytes("cpu") == 2 * NBYTES
    assert modules["a"][0].gain.data_ptr() == modules["b"][0].gain.data_ptr()
    assert store.release("a") == NBYTES
    assert torch.equal(modules["b"][0](INPUT), answers["b"][0])
    with pytest.raises(NotLoadedError):
        modules["a"][0](INPUT)
    assert store.release("b") == NBYTES
    assert store.device_bytes("cpu") == 0


def test_a_cast_in_between_is_undone():
    store, modules, answers = store_with(a=[("k", 1)], b=[("k", 1)])
    store.load("a", "cpu")
    store.load("b", "cpu")
    modules["a"][0].double().float()
    assert modules["a"][0].gain.data_ptr() != modules["b"][0].gain.data_ptr()
    store.attach("a")
    assert modules["a"][0].gain.data_ptr() == modules["b"][0].gain.data_ptr()
    assert torch.equal(modules["a"][0](INPUT), answers["a"][0])


@pytest.mark.parametrize("present", [True, False])
def test_nothing_is_kept_of_a_load_that_fails(monkeypatch, present):
    store, modules, answers = store_with(a=[("k", 1), ("own", 2)], b=[("k", 1)])
    if present:
        store.load("b", "cpu")
    real, copies = residency._copy, []
    # Within the second part: the first is there already, or was just copied (11 tensors).
    fits = 3 if present else 14

    def full(tensor, device):
        if len(copies) == fits:
            raise torch.OutOfMemoryError("out of memory")
        copies.append(tensor)
        return real(tensor, device)

    monkeypatch.setattr(residency, "_copy", full)
    with pytest.raises(torch.OutOfMemoryError):
        store.load("a", "cpu")
    assert len(copies) == fits
    assert store.device_bytes("cpu") == present * NBYTES and store.device("a") is None
    with pytest.raises(NotLoadedError):
        modules["a"][0](INPUT)
    monkeypatch.undo()
    if present:
        assert torch.equal(modules["b"][0](INPUT), answers["b"][0])
    assert store.load("a", "cpu") == (2 - present) * NBYTES
    assert torch.equal(modules["a"][1](INPUT), answers["a"][1])


def test_what_is_kept_for_a_model_survives_the_release_of_another():
    store, modules, answers = store_with(a=[("k", 1), ("own", 2)], b=[("k", 1), ("other", 3)])
    store.load("a", "cpu")
    store.keep("b", "cpu")
    assert store.release("a") == NBYTES
    assert store.device_bytes("cpu") == NBYTES
    assert store.load("b", "cpu") == NBYTES
    assert torch.equal(modules["b"][0](INPUT), answers["b"][0])
    assert store.release("b") == 2 * NBYTES
    assert store.device_bytes("cpu") == 0


def test_mistakes_of_the_program_are_refused():
    store, _, _ = store_with(a=[("k", 1)])
    with pytest.raises(ValueError, match="added before"):
        store.add("a", [])
    with pytest.raises(ValueError, match="other tensors"):
        store.add("b", [("k", nn.Linear(2, 2))])
    with pytest.raises(KeyError):
        store.load("nobody", "cpu")
    store.load("a", "cpu")
    with pytest.raises(ValueError, match="release it before"):
        store.load("a", "meta")


def test_a_removed_model_takes_along_what_no_other_uses():
    store, modules, answers = store_with(a=[("k", 1), ("own", 2)], b=[("k", 1)])
    store.load("a", "cpu")
    store.remove("a")
    assert (store.host_bytes(), store.device_bytes("cpu")) == (NBYTES, 0)
    store.load("b", "cpu")
    assert torch.equal(modules["b"][0](INPUT), answers["b"][0])


MODELS = {"a": [("x", 1), ("y", 2)], "b": [("y", 2), ("z", 3)], "c": [("x", 1)], "d": [("z", 3), ("z", 3)]}


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from(["load", "release"]), st.sampled_from(sorted(MODELS))), max_size=14))
def test_any_order_of_loads_and_releases_keeps_the_books(actions):
    store, modules, answers = store_with(**MODELS)
    loaded, copied = set(), 0

    def present():
        return {key for model in loaded for key, _ in MODELS[model]}

    for action, model in actions:
        before = present()
        (loaded.add if action == "load" else loaded.discard)(model)
        difference = NBYTES * len(present() ^ before)
        assert (store.load(model, "cpu") if action == "load" else store.release(model)) == difference
        copied += difference if action == "load" else 0
        assert store.device_bytes("cpu") == NBYTES * len(present())
    assert store.bytes_copied == copied
    for model, nets in modules.items():
        for net, answer in zip(nets, answers[model], strict=True):
            if model in loaded:
                assert torch.equal(net(INPUT), answer)
            else:
                with pytest.raises(NotLoadedError):
                    net(INPUT)


def test_threads_may_load_and_release_what_they_share():
    store, modules, answers = store_with(a=[("k", 1)], b=[("k", 1)])
    wrong = []

    def work(model):
        for _ in range(60):
            store.load(model, "cpu")
            if not torch.equal(modules[model][0](INPUT), answers[model][0]):
                wrong.append(model)
            store.release(model)

    threads = [threading.Thread(target=work, args=(model,)) for model in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and store.device_bytes("cpu") == 0


def test_compiled_modules_follow_their_weights():
    net = Net(1).eval().requires_grad_(False)
    answer = net(INPUT)
    net.compile(backend="eager")
    store = WeightStore(pin=False)
    store.add("a", [("k", net)])
    for _ in range(2):
        with pytest.raises(Exception, match="load its model first"):
            net(INPUT)
        store.load("a", "cpu")
        torch.testing.assert_close(net(INPUT), answer)
        store.release("a")


@pytest.mark.gpu
def test_a_gpu_gets_pinned_weights_and_gives_the_memory_back():
    store = WeightStore()
    net = Net(1).eval()
    answer = net(INPUT)
    store.add("a", [("k", net)])
    assert all(tensor.is_pinned() for tensor in store._host["k"])
    store.load("a", "cuda:0")
    net(INPUT.cuda())  # what libraries allocate with their first call stays
    store.release("a")
    before = torch.cuda.memory_allocated()
    store.load("a", "cuda:0")
    assert torch.cuda.memory_allocated() >= before + NBYTES
    torch.testing.assert_close(net(INPUT.cuda()).cpu(), answer, rtol=1e-4, atol=1e-4)
    store.release("a")
    assert torch.cuda.memory_allocated() == before
