"""Which modules of a network hold units: found by one forward on an example whose hooks look at every output."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from .network import LayerSpec, Layout, square_grid

COARSE_LAYERS = 3
"""`coarse_layers` opens modules until it has found this many."""


def probe_layers(module: nn.Module, example: torch.Tensor, prefix: int | None = None) -> dict[str, LayerSpec]:
    """All modules whose output is a layer, by dotted path, in the order in which their last calls complete.

    example: float [B, 3, H, W]; a B of 2 or more tells outputs that do not grow with the batch from those that do.
    prefix: tokens before the positions, where the model says so. A module called several times counts at its last
    call. `read_output` says what is a layer. The module is left in eval mode, the hooks are gone afterwards.
    """
    found: dict[str, LayerSpec] = {}

    def visit(name: str, output: Any) -> None:
        found.pop(name, None)
        spec = read_output(name, output, len(example), prefix)
        if spec is not None:
            found[name] = spec

    handles = []
    try:
        for name, inner in module.named_modules():
            if name:
                handles.append(
                    inner.register_forward_hook(lambda _module, _inputs, output, name=name: visit(name, output))
                )
        with torch.inference_mode():
            module.eval()(example)
    finally:
        for handle in handles:
            handle.remove()
    return found


def read_output(module: str, output: Any, batch: int, prefix: int | None = None) -> LayerSpec | None:
    """How the units in a module's output are read, or None if it holds none.

    output: a tensor, or a tuple, list or dict, of which the first tensor counts. It is a layer if it is of a float
    type and [B, C], [B, N, C], [B, C, H, W] or [B, H, W, C]. The last two are told apart by the two sides that are
    equal; where that says nothing the channels come first.
    """
    element, tensor = _first_tensor(output)
    if tensor is None or not tensor.is_floating_point() or not 2 <= tensor.ndim <= 4:
        return None
    if tensor.shape[0] != batch or 0 in tensor.shape:
        return None
    layout = _layout(tensor.shape)
    units = tensor.shape[1] if layout == "map" else tensor.shape[-1]
    if layout != "tokens":
        return LayerSpec(module, units, layout, output=element)
    tokens = _read_tokens(tensor.shape[1], prefix)
    if tokens is None:
        return None
    return LayerSpec(module, units, "tokens", tokens[0], tokens[1], output=element)


def _first_tensor(output: Any) -> tuple[int | str | None, torch.Tensor | None]:
    if isinstance(output, torch.Tensor):
        return None, output
    if isinstance(output, tuple | list):
        return next(((i, item) for i, item in enumerate(output) if isinstance(item, torch.Tensor)), (None, None))
    if isinstance(output, dict):
        items = ((key, item) for key, item in output.items() if isinstance(key, str))
        return next(((key, item) for key, item in items if isinstance(item, torch.Tensor)), (None, None))
    return None, None


def _layout(shape: Sequence[int]) -> Layout:
    if len(shape) == 2:
        return "vector"
    if len(shape) == 3:
        return "tokens"
    _, first, second, third = shape
    return "nhwc" if first == second and second != third else "map"


def _read_tokens(tokens: int, prefix: int | None) -> tuple[int, tuple[int, int]] | None:
    """With a known prefix N - prefix or N itself (before the class token joins) must be square."""
    if prefix is None:
        return square_grid(tokens)
    for known in (prefix, 0):
        try:
            return square_grid(tokens, known)
        except ValueError:
            continue
    return None


def coarse_layers(module: nn.Module, layers: dict[str, LayerSpec]) -> list[str]:
    """The layers worth listing first in a network that nothing is known about, as paths, in order of depth.

    Starting from the children of `module`, containers (Sequential, ModuleList) give way to what they hold if that is
    more than one thing, and every module does if fewer than COARSE_LAYERS layers have been found. A layer is worth
    it if it has positions and holds a weight matrix or kernel: norms, activations and pooling are not listed.
    """

    def worth(name: str, inner: nn.Module) -> bool:
        spec = layers.get(name)
        return spec is not None and spec.layout != "vector" and any(p.ndim > 1 for p in inner.parameters())

    def children(name: str, inner: nn.Module) -> list[tuple[str, nn.Module]]:
        return [(f"{name}.{key}" if name else key, child) for key, child in inner.named_children()]

    frontier = children("", module)
    while True:
        chosen = [name for name, inner in frontier if worth(name, inner)]
        for name, inner in frontier:
            if isinstance(inner, nn.Sequential | nn.ModuleList):
                chosen += [path for path, child in children(name, inner) if worth(path, child)]
        opened = [entry for name, inner in frontier for entry in (children(name, inner) or [(name, inner)])]
        if len(set(chosen)) >= COARSE_LAYERS or opened == frontier:
            return [name for name in layers if name in chosen]
        frontier = opened
