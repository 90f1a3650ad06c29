"""From a module to a Network: its output gets names, its layers are found, its fingerprint is taken."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn

from .fingerprint import fingerprint_of
from .network import Network, Preprocess
from .probe import coarse_layers, probe_layers

Head = Literal["classes", "embedding", "output"]
"""What a network's output is: class logits, a vector to compare pictures by, or not known."""

HEADS: dict[Head, tuple[str, ...]] = {
    "classes": ("logits", "probabilities"),
    "embedding": ("embedding",),
    "output": ("output",),
}
"""The layers that each kind of output adds at the end. They take precedence over modules of the same name."""

BODY = "network"
"""Path of the network itself inside `Headed`."""

PROBE_BATCH = 2
"""Rows of the probing forward: with two, outputs that do not grow with the batch are not taken for layers."""


class Headed(nn.Module):
    """A network whose outputs are modules too, so that hooks find them: class logits, their softmax, an embedding."""

    def __init__(self, network: nn.Module, head: Head):
        super().__init__()
        self.network = network
        self.heads = HEADS[head]
        for name in self.heads:
            self.add_module(name, nn.Softmax(dim=1) if name == "probabilities" else nn.Identity())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        output = self.network(x)
        for name in self.heads:
            output = self.get_submodule(name)(output)
        return output


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch's generator of the CPU starts at `seed` inside and goes on as before afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def make_network(
    name: str,
    module: nn.Module,
    preprocess: Preprocess,
    layers: Mapping[str, str] | None = None,
    head: Head = "output",
    definition: str = "",
    description: str = "",
) -> Network:
    """The module as a Network; its layers are found by one forward on two pictures of zeros on the CPU.

    module: takes float32 [B, 3, size, size]; is wrapped (not copied) in `Headed`. layers: the recommended ones, name
    to dotted path in `module`; a name may stand for another module than the one it spells. None: `coarse_layers`.
    definition: goes into the fingerprint; raise its version when the code that builds the module changes.
    Raises ValueError if a recommended layer is not a module with units, or if nothing in the module is a layer.
    """
    headed = Headed(module, head).eval()
    size = preprocess.size
    example = torch.zeros(PROBE_BATCH, size, size, 3).permute(0, 3, 1, 2)
    prefix = getattr(module, "num_prefix_tokens", None)
    found = probe_layers(headed, example, prefix if isinstance(prefix, int) else None)
    inner = {path.removeprefix(f"{BODY}."): spec for path, spec in found.items() if path.startswith(f"{BODY}.")}
    if layers is None:
        layers = {path: path for path in coarse_layers(module, inner)}
    if absent := sorted(set(layers.values()) - inner.keys()):
        raise ValueError(f"{name}: no module with units at {', '.join(absent)}")
    wanted = {name: inner[path] for name, path in layers.items()}
    wanted |= {name: found[name] for name in HEADS[head] if name in found}
    depth = {spec.module: place for place, spec in enumerate(found.values())}
    recommended = dict(sorted(wanted.items(), key=lambda item: depth[item[1].module]))
    others = {path: spec for path, spec in inner.items() if path not in recommended}
    fingerprint = fingerprint_of(headed, preprocess, recommended, definition)
    return Network(name, headed, preprocess, recommended, fingerprint, description, others)
