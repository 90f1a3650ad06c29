"""The targets by name."""

from pathlib import Path

from .errors import UserError
from .networks.network import Network
from .targets import nearest_first

TARGETS: dict[str, str] = {
    "efficientnet-lite0": "EfficientNet-Lite0, trained on ImageNet",
    "ground-truth": "synthetic neurons of the offline world, with known truth and exact masks",
}
"""The targets by name, each with what it is."""


def load_network(name: str, weights: str | Path | None = None) -> Network:
    """The network of that name. Raises UserError for an unknown name or for weights that are missing or differ."""
    if name == "efficientnet-lite0":
        from .efficientnet import efficientnet_network

        return efficientnet_network(Path(weights) if weights is not None else None)
    raise UserError(f"there is no target {name!r}: choose from {nearest_first(name, list(TARGETS))}.")
