"""The targets by name."""

from typing import TYPE_CHECKING

from .errors import UserError
from .targets import Target, nearest_first

if TYPE_CHECKING:
    from .groundtruth import SceneRegistry

TARGETS: dict[str, str] = {
    "efficientnet-lite0": "EfficientNet-Lite0, trained on ImageNet",
    "ground-truth": "synthetic neurons of the offline world, with known truth and exact masks",
}
"""The targets by name, each with what it is."""


def load_target(name: str, registry: "SceneRegistry | None" = None) -> Target:
    """The target of that name, ready to answer.

    registry: the world whose pictures ground-truth neurons can see; needed for "ground-truth" only.
    Raises UserError for a name that is not in TARGETS or for weights that are missing or differ.
    """
    if name == "efficientnet-lite0":
        from .efficientnet import EfficientNetTarget  # here, so that naming units does not load torch

        return EfficientNetTarget.load()
    if name == "ground-truth":
        from .groundtruth import GroundTruthTarget

        if registry is None:
            raise ValueError("ground-truth neurons need the world whose pictures they see")
        return GroundTruthTarget(registry)
    raise UserError(f"there is no target {name!r}: choose from {nearest_first(name, list(TARGETS))}.")
