"""An architecture with its weights: from a local file, or random where that is asked for."""

from pathlib import Path

import torch

from .architectures import build_architecture
from .build import make_network, seeded
from .network import Network
from .weights import find_weights, load_state, random_seed, randomise, read_state

RANDOM_PICTURES = 4
"""Pictures that the statistics of random batch norms are taken over."""


def load_architecture(spec: str, name: str, weights: Path | str | None) -> Network:
    """The architecture `spec` (see `architectures.build_architecture`) as the target `name`, on the CPU.

    weights: as in `registry.load_network`. Raises UserError for an unknown architecture and for weights that are
    missing, damaged or of another architecture.
    """
    seed = random_seed(weights)
    with seeded(seed or 0):
        built = build_architecture(spec)
    module, definition, description = built.module.eval(), built.definition, built.description
    if seed is None:
        size = sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())
        given = Path(weights) if weights is not None else None
        path = find_weights(name, built.files, given, megabytes=max(1, round(size / 1e6)))
        load_state(module, read_state(path, built.files), path)
    else:
        side = built.preprocess.size
        randomise(module, torch.empty(RANDOM_PICTURES, 3, side, side), seed)
        definition, description = f"{definition} random:{seed}", f"{description}: RANDOM WEIGHTS, seed {seed}"
    return make_network(name, module, built.preprocess, built.layers, built.head, definition, description)
