"""Outputs of named modules in one forward pass that goes no further than the deepest of them.

The outputs are handed over inside the hooks, at the moment they exist: nothing is kept, copied or computed twice, and
a successor that works in place has not yet changed them. Hooks exist only while a pass runs.
"""

import difflib
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from ..models.errors import UserError

if TYPE_CHECKING:
    from ..models.networks.network import LayerSpec

Visit = Callable[[str, torch.Tensor], None]
"""Called with a layer's name and its output."""

GradMode = Literal["inference_mode", "no_grad"]

NEAREST = 8
"""Module names that an error about an unknown one lists."""


class _Stop(BaseException):
    """Ends a forward pass. Not an Exception, so that a network's own `except Exception` lets it through."""


@dataclass
class _Turn:
    """Who may run a network: one thread at a time, since hooks sit on the modules and not on a pass."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    running: bool = False


# Of the network, not of an Extraction: two of them may look at different layers of one network.
_turns: "weakref.WeakKeyDictionary[nn.Module, _Turn]" = weakref.WeakKeyDictionary()
_turns_lock = threading.Lock()


@contextmanager
def _turn(module: nn.Module) -> Iterator[None]:
    """Waits until no other thread runs the network through an Extraction."""
    with _turns_lock:
        turn = _turns.setdefault(module, _Turn())
    with turn.lock:
        if turn.running:
            raise RuntimeError("visit ran the network that is just calling it: collect the outputs first")
        turn.running = True
        try:
            yield
        finally:
            turn.running = False


class Extraction:
    """Hooks on some modules of a network.

    order: the layers' names as their outputs come to be; the last one is where the forward stops. grad_mode: what
    passes run under. A module that runs several times in a forward counts at its last call; how often each runs,
    and in which order, is learned from one whole forward on `example`.
    """

    def __init__(
        self,
        module: nn.Module,
        layers: Mapping[str, "LayerSpec"],
        example: torch.Tensor,
        grad_mode: GradMode | None = None,
    ):
        """example: an input such as `run` gets, at least one row. grad_mode: None tries inference_mode and takes
        no_grad where the network cannot run under it (one that uses autograd inside cannot).

        Raises UserError for a module that is unknown (the nearest are listed), compiled or scripted, or never runs,
        for an output that is no tensor or not laid out as its LayerSpec says, and for a network in training mode;
        ValueError for no layers.
        """
        if not layers:
            raise ValueError("no layers given")
        if any(part.training for part in module.modules()):
            raise UserError(
                "the network is in training mode, where an answer depends on its batch: call .eval() on it."
            )
        self._module = module
        self._layers = dict(layers)
        self._hooked = _find_modules(module, self._layers)
        self.grad_mode: GradMode = grad_mode or "inference_mode"
        try:
            self._calls = self._probe(example)
        except RuntimeError:
            if grad_mode is not None:
                raise
            # A network that fails here too fails for another reason, which this call raises.
            self.grad_mode = "no_grad"
            self._calls = self._probe(example)
        # The last call of each module, by its number among the calls of all modules of interest.
        ends = {module: step for step, module in enumerate(self._calls)}
        self._visits = {step: self._hooked[module] for module, step in ends.items()}
        self.order: tuple[str, ...] = tuple(name for step in sorted(self._visits) for name in self._visits[step])

    def run(self, x: torch.Tensor, visit: Visit) -> None:
        """Runs the network on `x` as far as needed; calls visit(layer, output) for each layer, in `order`.

        The output is the network's own tensor, whole (tokens with their prefix), and only as it is during the call:
        copy what is to be kept. Threads that run one network wait for each other. What `visit` or the network
        raises comes through; hooks are gone in any case. Raises UserError if the modules are called otherwise than
        for the example, as in a network whose course depends on its input.
        """
        step = 0

        def hook(module: nn.Module, _inputs: Any, output: Any) -> None:
            nonlocal step
            if step == len(self._calls):  # the network caught _Stop: all is done
                return
            if module is not self._calls[step]:
                raise self._other_calls(module)
            for name in self._visits.get(step, ()):
                visit(name, _select(output, name, self._layers[name]))
            step += 1  # only now: a network that swallows what visit raises does not get past this step
            if step == len(self._calls):
                raise _Stop

        self._forward(x, hook)
        if step != len(self._calls):
            raise self._other_calls(self._calls[step])

    def _probe(self, example: torch.Tensor) -> list[nn.Module]:
        """The modules of interest in the order in which one whole forward calls them, once for each call."""
        calls: list[nn.Module] = []
        problems: dict[str, UserError | None] = {}

        def hook(module: nn.Module, _inputs: Any, output: Any) -> None:
            calls.append(module)
            for name in self._hooked[module]:
                try:
                    check_layout(_select(output, name, self._layers[name]), name, self._layers[name], len(example))
                    problems[name] = None
                except UserError as problem:  # of no matter unless this turns out to be the last call
                    problems[name] = problem.with_traceback(None)

        self._forward(example, hook)
        for name, spec in self._layers.items():
            if name not in problems:
                raise UserError(
                    f"the module {_quoted(spec)} of layer {name!r} is never called in a forward pass (its weights may "
                    "be used without it, or for another kind of input): choose a module around it or after it."
                )
            if (problem := problems[name]) is not None:
                raise problem
        return calls

    def _forward(self, x: torch.Tensor, hook: Callable[[nn.Module, Any, Any], None]) -> None:
        thread = threading.get_ident()

        def own(module: nn.Module, inputs: Any, output: Any) -> None:
            # Others may run the network without an Extraction, and so without waiting for their turn.
            if threading.get_ident() == thread:
                hook(module, inputs, output)

        with _turn(self._module), ExitStack() as hooks, self._grad_context():
            for module in self._hooked:
                hooks.callback(module.register_forward_hook(own).remove)
            with suppress(_Stop):
                self._module(x)

    def _grad_context(self) -> AbstractContextManager[Any]:
        return torch.inference_mode() if self.grad_mode == "inference_mode" else torch.no_grad()

    def _other_calls(self, module: nn.Module) -> UserError:
        name = self._hooked[module][0]
        return UserError(
            f"the module {_quoted(self._layers[name])} of layer {name!r} is not called as often, or not in the order, "
            "as it was for the example: the network's course depends on its input, so choose a module that every "
            "input passes in the same way."
        )


def collect(extraction: Extraction, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Whole outputs of all layers, as copies: ordinary tensors without gradients, on the network's device."""
    found: dict[str, torch.Tensor] = {}

    def keep(name: str, output: torch.Tensor) -> None:
        # An inference tensor's copy made outside inference_mode may be used with autograd.
        with torch.inference_mode(False), torch.no_grad():
            found[name] = output.clone()

    extraction.run(x, keep)
    return found


def as_map(output: torch.Tensor, spec: "LayerSpec") -> torch.Tensor:
    """float32 [B, C, rows, columns] of a layer's output of any layout and dtype.

    Tokens lie on their grid, without the prefix; vectors become 1x1 maps. A view of `output` where it is float32.
    """
    return _on_grid(output, spec).to(torch.float32)


def gather_maps(output: torch.Tensor, spec: "LayerSpec", images: torch.Tensor, units: torch.Tensor) -> torch.Tensor:
    """float32 [E, rows, columns]: the maps of unit units[e] on image images[e], both int64 [E].

    Reads and widens these maps only, whatever the memory layout of `output`.
    """
    return _on_grid(output, spec)[images, units].to(torch.float32)


def _on_grid(output: torch.Tensor, spec: "LayerSpec") -> torch.Tensor:
    """A view [B, C, rows, columns] of the output, in its own dtype."""
    if spec.layout == "map":
        return output
    if spec.layout == "vector":
        return output[:, :, None, None]
    if spec.layout == "tokens":
        assert spec.grid is not None
        output = output[:, spec.prefix :].unflatten(1, spec.grid)
    return output.permute(0, 3, 1, 2)


def check_layout(output: torch.Tensor, name: str, spec: "LayerSpec", images: int) -> None:
    """Raises UserError if the output of layer `name` for so many images is not laid out as `spec` says."""
    units = output.shape[1 if spec.layout == "map" else -1] if output.ndim > 1 else 0
    axes = {"map": "[B, C, H, W]", "nhwc": "[B, H, W, C]", "tokens": "[B, N, C]", "vector": "[B, C]"}[spec.layout]
    wanted = f"{axes} with B = {images} and C = {spec.units}"
    fits = output.ndim == axes.count(",") + 1 and output.shape[0] == images and units == spec.units
    if spec.layout == "tokens":
        rows, columns = spec.grid or (0, 0)
        wanted += f" and N = {spec.prefix} + {rows} x {columns}"
        fits = fits and output.shape[1] == spec.prefix + rows * columns
    if not fits:
        raise UserError(
            f"the module {_quoted(spec)} of layer {name!r} gives {list(output.shape)}, where its LayerSpec "
            f"says {wanted}: correct the LayerSpec, or choose another module."
        )


def _find_modules(root: nn.Module, layers: Mapping[str, "LayerSpec"]) -> dict[nn.Module, tuple[str, ...]]:
    """Each module of interest once, with the layers that look at it. "" is the network itself."""
    modules = dict(root.named_modules(remove_duplicate=False))
    found: dict[nn.Module, tuple[str, ...]] = {}
    for name, spec in layers.items():
        module = modules.get(spec.module)
        if module is None:
            raise UserError(
                f"the network has no module {spec.module!r} (layer {name!r}): {_nearest(spec.module, list(modules))}"
            )
        if isinstance(module, torch.jit.ScriptModule):
            raise UserError(
                f"the module {_quoted(spec)} of layer {name!r} is TorchScript, in which no hooks run: build the "
                "network from its Python source and load the weights into it."
            )
        found[module] = (*found.get(module, ()), name)
    for part in modules.values():
        if "_orig_mod" in part._modules or getattr(part, "_compiled_call_impl", None) is not None:
            raise UserError(
                "the network, or a part of it, is compiled, and compiled code does not run hooks that come later: "
                "hand over the network as it was before torch.compile."
            )
    return found


def _nearest(word: str, names: Sequence[str]) -> str:
    names = [name for name in names if name]
    nearest = difflib.get_close_matches(word, names, n=NEAREST, cutoff=0.3) or names[:NEAREST]
    rest = len(names) - len(nearest)
    return f"choose from {', '.join(nearest)}{f' and {rest} others' if rest else ''}."


def _select(output: Any, name: str, spec: "LayerSpec") -> torch.Tensor:
    """The tensor of a module's output that `spec.output` names. Raises UserError if there is none."""
    key, chosen = spec.output, output
    if key is not None:
        try:
            chosen = getattr(output, key) if isinstance(key, str) and hasattr(output, "_fields") else output[key]
        except (LookupError, AttributeError, TypeError):
            chosen = None
    if isinstance(chosen, torch.Tensor) and (key is None) == isinstance(output, torch.Tensor):
        return chosen
    if isinstance(output, torch.Tensor):
        remedy = "set its LayerSpec's output to None"
    elif valid := ", ".join(map(repr, _keys_of_tensors(output))):
        remedy = f"set its LayerSpec's output to one of {valid}"
    else:
        remedy = "choose another module"
    raise UserError(
        f"the module {_quoted(spec)} of layer {name!r} gives a {type(output).__name__}, of which output {key!r} is no "
        f"tensor: {remedy}."
    )


def _keys_of_tensors(output: Any) -> list[Any]:
    if isinstance(output, Mapping):
        return [key for key, value in output.items() if isinstance(value, torch.Tensor)]
    if isinstance(output, (tuple, list)):
        return [place for place, value in enumerate(output) if isinstance(value, torch.Tensor)]
    return []


def _quoted(spec: "LayerSpec") -> str:
    return repr(spec.module) if spec.module else "at the root"
