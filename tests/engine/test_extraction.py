"""Outputs of named modules: against the modules run by hand, on awkward networks, and with nothing left behind."""

import gc
import threading
import time
import weakref
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.engine.extraction import Extraction, as_map, collect, gather_maps
from maia.models.errors import UserError
from maia.models.networks.network import LayerSpec
from torch import nn

X = torch.linspace(-2, 2, 2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
Pair = namedtuple("Pair", "first second")


def conv_net(widths: list[int], inplace: bool = True) -> nn.Sequential:
    """3 -> widths, 1x1 convolutions, each followed by a ReLU."""
    torch.manual_seed(0)
    parts: list[nn.Module] = []
    for inputs, outputs in zip([3, *widths], widths, strict=False):
        parts += [nn.Conv2d(inputs, outputs, 1), nn.ReLU(inplace=inplace)]
    return frozen(nn.Sequential(*parts))


def frozen(module: nn.Module) -> Any:
    return module.eval().requires_grad_(False)


def maps(units: int, *names: str) -> dict[str, LayerSpec]:
    return {name: LayerSpec(name, units, "map") for name in names}


class Lambda(nn.Module):
    """A module that is a function, for odd outputs and odd courses."""

    def __init__(self, function: Callable[..., Any], **children: nn.Module):
        super().__init__()
        self.function = function
        for name, child in children.items():
            self.add_module(name, child)

    def forward(self, *inputs: Any) -> Any:
        return self.function(self, *inputs)


def hooks_of(module: nn.Module) -> int:
    return sum(len(part._forward_hooks) for part in module.modules())


@settings(max_examples=25)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.data())
def test_every_layer_is_what_the_modules_give_by_hand(widths: list[int], data: st.DataObject) -> None:
    """In any order asked for; the ReLU after each convolution works in place, and must not have done so yet."""
    net, by_hand = conv_net(widths), conv_net(widths, inplace=False)
    places = data.draw(st.lists(st.integers(0, len(net) - 1), min_size=1, unique=True))
    specs = {f"layer {place}": LayerSpec(str(place), widths[place // 2], "map") for place in places}
    found = collect(Extraction(net, specs, X[:1]), X)
    assert found.keys() == specs.keys()
    for place in places:
        assert torch.equal(found[f"layer {place}"], by_hand[: place + 1](X))


def test_the_forward_stops_after_the_deepest_and_the_order_is_that_of_depth() -> None:
    net = conv_net([4, 4, 4])
    extraction = Extraction(net, maps(4, "2", "0"), X)
    ran: list[str] = []
    for name, part in net.named_children():
        part.register_forward_hook(lambda *_, name=name: ran.append(name))
    seen: list[str] = []
    extraction.run(X, lambda name, _output: seen.append(name))
    assert ran == ["0", "1", "2"]
    assert seen == ["0", "2"] and extraction.order == ("0", "2")
    assert extraction.grad_mode == "inference_mode"


def test_the_network_itself_is_a_layer_too() -> None:
    net = conv_net([4])
    found = collect(Extraction(net, {"all": LayerSpec("", 4, "map"), "0": LayerSpec("0", 4, "map")}, X), X)
    assert torch.equal(found["all"], torch.relu(found["0"])) and (found["0"] < 0).any()


@pytest.mark.parametrize(
    ("wrap", "output"),
    [
        (lambda y: (y, "other"), 0),
        (lambda y: [None, y], 1),
        (lambda y: (None, y), -1),
        (lambda y: {"mean": y, "n": 3}, "mean"),
        (lambda y: Pair("other", y), "second"),
        (lambda y: Pair("other", y), 1),
    ],
)
def test_an_element_of_tuple_or_dict(wrap: Callable[[torch.Tensor], Any], output: int | str) -> None:
    part = Lambda(lambda _self, x: wrap(x * 2))
    net = frozen(Lambda(lambda self, x: (self.part(x), x)[1], part=part))
    spec = LayerSpec("part", 3, "map", output=output)
    assert torch.equal(collect(Extraction(net, {"part": spec}, X), X)["part"], X * 2)


@pytest.mark.parametrize(
    ("value", "output", "message"),
    [
        ((X, 3, X), None, r"gives a tuple, .*: set its LayerSpec's output to one of 0, 2\."),
        ((X, 3), 1, r"output 1 is no tensor: set its LayerSpec's output to one of 0\."),
        ((X,), 7, "output 7 is no tensor"),
        ((X,), "mean", "to one of 0"),
        ({"mean": X, "n": 3}, "sum", "to one of 'mean'"),
        (Pair(X, X), "third", "to one of 0, 1"),
        (X, 0, "gives a Tensor, .*: set its LayerSpec's output to None"),
        ("text", None, "gives a str, .*: choose another module"),
    ],
)
def test_an_output_that_is_no_tensor_says_what_there_is(value: Any, output: int | str | None, message: str) -> None:
    net = frozen(Lambda(lambda self, x: self.part(x), part=Lambda(lambda _self, _x: value)))
    with pytest.raises(UserError, match=message):
        Extraction(net, {"part": LayerSpec("part", 3, "map", output=output)}, X)
    assert hooks_of(net) == 0


def test_the_last_of_several_calls_counts_once() -> None:
    net = frozen(Lambda(lambda self, x: self.b(self.a(self.b(self.a(x)))), a=Doubling(), b=Doubling()))
    seen: list[tuple[str, float]] = []
    extraction = Extraction(net, maps(3, "a", "b"), X)
    extraction.run(torch.ones_like(X), lambda name, output: seen.append((name, output.max().item())))
    assert seen == [("a", 8.0), ("b", 16.0)]
    # Only the first of them: then the forward need not go on to the end.
    extraction = Extraction(net, maps(3, "a"), X)
    assert collect(extraction, torch.ones_like(X))["a"].max() == 8


class Doubling(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


@pytest.mark.parametrize("course", ["", "a", "ba", "aab", "aba", "b"])
def test_calls_that_differ_from_the_example_are_an_error(course: str) -> None:
    """The example runs a, then b, where the forward stops: what "aba" does later is neither seen nor asked for."""
    taken = "ab"
    net = frozen(
        Lambda(
            lambda self, x: [x := getattr(self, name)(x) for name in taken][-1] if taken else x,
            a=Doubling(),
            b=Doubling(),
        )
    )
    extraction = Extraction(net, maps(3, "a", "b"), X)
    taken = course
    if course == "aba":
        assert set(collect(extraction, X)) == {"a", "b"}
    else:
        with pytest.raises(UserError, match="not called as often, or not in the order"):
            collect(extraction, X)
    taken = "ab"
    assert torch.equal(collect(extraction, X)["b"], X * 4)
    assert hooks_of(net) == 0


def test_one_module_under_two_names_and_two_layers_of_one_module() -> None:
    net = nn.Module()
    net.first = Lambda(lambda _self, x: (x + 1, x + 2))
    net.second = net.first
    net.forward = lambda x: net.second(net.first(x)[0])  # type: ignore[method-assign]
    frozen(net)
    specs = {
        "first": LayerSpec("first", 3, "map", output=0),
        "second": LayerSpec("second", 3, "map", output=0),
        "more": LayerSpec("first", 3, "map", output=1),
    }
    found = collect(Extraction(net, specs, X), X)
    assert torch.equal(found["first"], found["second"])
    assert torch.allclose(found["first"], X + 2) and torch.allclose(found["more"], X + 3)


def test_tokens_are_handed_over_whole() -> None:
    part = Lambda(lambda _self, x: torch.cat([x.new_full((len(x), 1, 3), 9), x.flatten(2).mT], 1))
    net = frozen(Lambda(lambda self, x: self.part(x), part=part))
    spec = LayerSpec("part", 3, "tokens", prefix=1, grid=(4, 4))
    output = collect(Extraction(net, {"part": spec}, X), X)["part"]
    assert output.shape == (2, 17, 3) and (output[:, 0] == 9).all()
    assert torch.equal(as_map(output, spec), X)


@pytest.mark.parametrize(
    ("value", "spec", "said"),
    [
        ((2, 3, 4, 4), LayerSpec("part", 4, "map"), "C = 4"),
        ((2, 3, 4, 4), LayerSpec("part", 3, "nhwc"), "C = 3"),
        ((2, 3), LayerSpec("part", 3, "map"), r"\[B, C, H, W\]"),
        ((2, 3, 4, 4), LayerSpec("part", 4, "vector"), r"\[B, C\]"),
        ((8, 3), LayerSpec("part", 3, "vector"), "B = 2"),
        ((2, 17, 3), LayerSpec("part", 3, "tokens", grid=(4, 4)), r"N = 0 \+ 4 x 4"),
        ((2, 17, 3), LayerSpec("part", 3, "tokens", prefix=1, grid=(4, 5)), r"N = 1 \+ 4 x 5"),
        ((), LayerSpec("part", 3, "vector"), "C = 3"),
    ],
)
def test_a_shape_that_is_not_the_specs_is_refused(value: tuple[int, ...], spec: LayerSpec, said: str) -> None:
    net = frozen(Lambda(lambda self, x: self.part(x), part=Lambda(lambda _self, _x: torch.zeros(value))))
    with pytest.raises(UserError, match=f"'part' of layer 'odd' gives .*says .*{said}"):
        Extraction(net, {"odd": spec}, X)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_comes_as_it_is(dtype: torch.dtype) -> None:
    net = conv_net([4, 4]).to(dtype)
    output = collect(Extraction(net, maps(4, "2"), X.to(dtype)), X.to(dtype))["2"]
    assert output.dtype == dtype and torch.equal(output, net[:3](X.to(dtype)))
    assert as_map(output, maps(4, "2")["2"]).dtype == torch.float32


class Gradient(nn.Module):
    """The gradient of x^2 / 2, by autograd: x."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            leaf = (x * 1).detach().requires_grad_()
            return torch.autograd.grad((leaf**2).sum() / 2, leaf)[0]


def test_a_network_that_uses_autograd_inside_gets_no_grad() -> None:
    net = frozen(nn.Sequential(Doubling(), Gradient(), Doubling()))
    with pytest.raises(RuntimeError):  # or else this test shows nothing
        Extraction(net, maps(3, "2"), X, "inference_mode")
    for asked in ("no_grad", None):
        extraction = Extraction(net, maps(3, "2"), X, asked)
        assert extraction.grad_mode == "no_grad"
        assert torch.allclose(collect(extraction, X)["2"], X * 4)
    assert hooks_of(net) == 0


def test_collected_copies_are_ordinary_tensors() -> None:
    found = collect(Extraction(conv_net([4]), maps(4, "0"), X), X)["0"]
    weight = torch.ones(1, requires_grad=True)
    (found * weight).sum().backward()  # an inference tensor cannot be saved for this
    assert weight.grad is not None and not found.requires_grad


def test_a_failing_network_is_not_called_one_that_needs_autograd() -> None:
    net = frozen(nn.Sequential(Lambda(lambda _self, x: x.reshape(7, 7))))
    with pytest.raises(RuntimeError, match="shape"):
        Extraction(net, maps(3, "0"), X)
    assert hooks_of(net) == 0


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_what_cannot_be_hooked_is_refused_with_a_remedy() -> None:
    net = conv_net([4, 4])
    with pytest.raises(UserError, match=r"no module '4' \(layer '4'\): choose from 0, 1, 2, 3\."):
        Extraction(net, maps(4, "4"), X)
    deep = frozen(nn.Sequential(*[nn.Sequential(nn.ReLU()) for _ in range(40)]))
    with pytest.raises(UserError, match=r"choose from 12\.0, .* and \d+ others") as caught:
        Extraction(deep, {"layer": LayerSpec("12.1", 3, "map")}, X)
    assert len(str(caught.value)) < 200
    with pytest.raises(UserError, match="module 'unused' of layer 'unused' is never called"):
        Extraction(frozen(Lambda(lambda _self, x: x, unused=nn.ReLU())), maps(3, "unused"), X)
    scripted = torch.jit.script(nn.Sequential(nn.ReLU(), nn.ReLU()).eval())
    with pytest.raises(UserError, match=r"TorchScript, .* Python source"):
        Extraction(scripted, maps(3, "0"), X)
    with pytest.raises(UserError, match=r"before torch\.compile"):
        Extraction(torch.compile(net), {"0": LayerSpec("_orig_mod.0", 4, "map")}, X)
    with pytest.raises(UserError, match=r"training mode, .*\.eval\(\)"):
        Extraction(nn.Sequential(nn.ReLU()).train(), maps(3, "0"), X)
    with pytest.raises(ValueError, match="no layers"):
        Extraction(net, {}, X)


def test_a_part_used_without_being_called_is_refused() -> None:
    """torch's attention takes the weights of out_proj and never calls it."""
    net = frozen(Lambda(lambda self, x: self.part(*[x.flatten(2)] * 3)[0], part=nn.MultiheadAttention(16, 2)))
    with pytest.raises(UserError, match=r"'part.out_proj' .* never called .*: choose a module around it"):
        Extraction(net, {"out": LayerSpec("part.out_proj", 16, "vector")}, X)


def test_hooks_are_gone_when_visit_or_the_network_fails() -> None:
    fails = False

    def maybe_fail(_self: nn.Module, x: torch.Tensor) -> torch.Tensor:
        assert not fails, "the network failed"
        return x

    net = frozen(nn.Sequential(nn.ReLU(), Lambda(maybe_fail), nn.ReLU()))
    extraction = Extraction(net, maps(3, "0", "2"), X)

    def visit(name: str, _output: torch.Tensor) -> None:
        assert hooks_of(net) == 2
        if name == "2":
            raise KeyError("the visit failed")

    with pytest.raises(KeyError, match="the visit failed"):
        extraction.run(X, visit)
    assert hooks_of(net) == 0
    fails = True
    with pytest.raises(AssertionError, match="the network failed"):
        extraction.run(X, visit)
    fails = False
    assert hooks_of(net) == 0
    assert set(collect(extraction, X)) == {"0", "2"}


def test_a_network_that_swallows_errors_hides_neither_the_stop_nor_a_failed_visit() -> None:
    ran: list[str] = []

    def careless(self: nn.Module, x: torch.Tensor) -> torch.Tensor:
        try:
            x = self.a(x)
        except Exception:
            ran.append("swallowed")
        ran.append("on")
        return x

    net = frozen(Lambda(careless, a=Doubling()))
    extraction = Extraction(net, maps(3, "a"), X)
    ran.clear()
    assert torch.equal(collect(extraction, X)["a"], X * 2)
    assert ran == []

    def visit(_name: str, _output: torch.Tensor) -> None:
        raise ValueError("the visit failed")

    with pytest.raises(UserError, match="'a' is not called as often"):
        extraction.run(X, visit)
    assert ran == ["swallowed", "on"]


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_stays_alive_after_a_pass(fails: bool) -> None:
    """By reference counts alone: the garbage collector is off, and each tensor may be a hundred megabytes."""
    net = conv_net([4, 4, 4])
    extraction = Extraction(net, maps(4, "0", "2"), X)
    alive: list[weakref.ref[Any]] = []

    class Visit:
        def __call__(self, name: str, output: torch.Tensor) -> None:
            alive.append(weakref.ref(output))
            if fails and name == "2":
                raise ValueError("the visit failed")

    gc.collect()
    gc.disable()
    try:
        x, visit = X.clone(), Visit()
        alive += [weakref.ref(x), weakref.ref(visit)]
        try:
            extraction.run(x, visit)
        except ValueError:
            assert fails
        del x, visit
        assert len(alive) == 4 and [ref() for ref in alive] == [None] * 4
        assert hooks_of(net) == 0
        network = weakref.ref(net)
        del net, extraction
        assert network() is None
    finally:
        gc.enable()


def test_threads_that_run_one_network_do_not_mix() -> None:
    """Two Extractions of different layers: without turns, each thread's hooks would fire in the other's forward."""
    slow = Lambda(lambda _self, x: (time.sleep(0.001), x + 1)[1])
    net = frozen(nn.Sequential(slow, Doubling(), Lambda(slow.function), Doubling()))
    extractions = [Extraction(net, maps(3, "1"), X), Extraction(net, maps(3, "1", "3"), X)]
    wrong: list[Any] = []

    def work(value: int) -> None:
        x = torch.full((1, 3, 2, 2), float(value))
        for turn in range(15):
            seen: list[tuple[str, float]] = []
            extraction = extractions[(turn + value) % 2]
            extraction.run(x, lambda name, output, seen=seen: seen.append((name, output.max().item())))
            expected = [("1", (value + 1) * 2.0), ("3", ((value + 1) * 2 + 1) * 2.0)]
            if seen != expected[: len(extraction.order)]:
                wrong.append((value, seen))

    run_in_threads([lambda value=value: work(value) for value in (10, 20, 30)])
    assert wrong == [] and hooks_of(net) == 0


def test_a_bare_forward_in_another_thread_is_not_visited() -> None:
    net = frozen(nn.Sequential(Doubling(), Doubling()))
    extraction = Extraction(net, maps(3, "0", "1"), X)
    seen: list[float] = []

    def visit(_name: str, output: torch.Tensor) -> None:
        seen.append(output.max().item())
        if len(seen) <= 2:
            run_in_threads([lambda: results.append(net(torch.full_like(X, 100)))])

    results: list[torch.Tensor] = []
    extraction.run(torch.ones_like(X), visit)
    assert seen == [2, 4] and [result.max().item() for result in results] == [400, 400]


def run_in_threads(tasks: list[Callable[[], Any]]) -> None:
    threads = [threading.Thread(target=task, daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_a_visit_that_runs_the_network_is_refused_and_not_a_deadlock() -> None:
    extraction = Extraction(conv_net([4]), maps(4, "0"), X)
    with pytest.raises(RuntimeError, match="visit ran the network"):
        extraction.run(X, lambda _name, _output: extraction.run(X, lambda *_: None))
    assert set(collect(extraction, X)) == {"0"}


@settings(max_examples=40)
@given(
    st.sampled_from(["map", "channels-last", "nhwc", "tokens", "vector"]),
    st.sampled_from([torch.float32, torch.float16, torch.bfloat16]),
    st.integers(0, 3),
    st.integers(0, 2**31),
)
def test_maps_of_every_layout(kind: str, dtype: torch.dtype, prefix: int, seed: int) -> None:
    batch, units, rows, columns = 3, 4, *((1, 1) if kind == "vector" else (2, 5))
    torch.manual_seed(seed)
    expected = torch.randn(batch, units, rows, columns).to(dtype)
    if kind == "tokens":
        tokens = expected.flatten(2).mT
        output = torch.cat([torch.full((batch, prefix, units), 99.0, dtype=dtype), tokens], 1)
        spec = LayerSpec("m", units, "tokens", prefix=prefix, grid=(rows, columns))
    else:
        shown = {"nhwc": expected.permute(0, 2, 3, 1), "vector": expected[:, :, 0, 0]}
        output = shown.get(kind, expected).contiguous()
        if kind == "channels-last":
            output = output.contiguous(memory_format=torch.channels_last)
        spec = LayerSpec("m", units, "map" if kind == "channels-last" else kind)
    found = as_map(output, spec)
    assert found.dtype == torch.float32 and found.shape == (batch, units, rows, columns)
    assert np.array_equal(found.numpy(), expected.float().numpy())
    images, of_units = torch.randint(batch, (6,)), torch.randint(units, (6,))
    picked = gather_maps(output, spec, images, of_units)
    assert picked.dtype == torch.float32
    assert np.array_equal(picked.numpy(), expected.float().numpy()[images.numpy(), of_units.numpy()])
    assert gather_maps(output, spec, images[:0], of_units[:0]).shape == (0, rows, columns)
