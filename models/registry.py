"""The targets by name."""

from pathlib import Path
from typing import TYPE_CHECKING

from .errors import UserError
from .targets import nearest_first

if TYPE_CHECKING:
    from .networks.network import Network

GROUND_TRUTH, GROUND_TRUTH_HELD_OUT = GROUND_TRUTHS = ("ground-truth", "ground-truth-heldout")
"""Targets that are no networks: see `groundtruth.ground_truth`."""

PLANTED = "planted-bias"
"""Classes of known bias: no network either. See `planted.PlantedTarget`."""

SCENE_TARGETS = (*GROUND_TRUTHS, PLANTED)
"""Targets that see the offline world's pictures only, and have no weights."""

SYNTHETIC = "synthetic"
"""Neurons made of a concept detector, of known truth: no network either. See `synthetic_target`."""

TARGETS: dict[str, str] = {
    "efficientnet-lite0": "EfficientNet-Lite0, trained on ImageNet; its weights are installed with the program",
    GROUND_TRUTH: "synthetic neurons of the offline world, with known truth and exact masks",
    GROUND_TRUTH_HELD_OUT: "further ones, whose concepts no training set of `maia finetune` has",
    PLANTED: "classes of the offline world with planted biases of known truth, for `maia bias --testbed`",
    SYNTHETIC: "the paper's neurons of known truth, made of a concept detector (docs/synthetic-neurons.md)",
    "resnet152": "ResNet-152 of torchvision, trained on ImageNet; weights from a file",
    "resnet18": "ResNet-18 of torchvision, trained on ImageNet; weights from a file",
    "dino-vits8": "ViT-S/8 trained with DINO, hidden units of its MLPs; weights from a file",
    "clip-rn50": "image tower of CLIP's ResNet-50; weights from a file",
}
"""The targets by name, each with what it is."""

LIBRARIES = ("torchvision", "timm")
"""What may stand before the ":" in the name of a library's architecture."""

PATTERNS: dict[str, str] = {
    "torchvision:NAME": "any classifier of torchvision; weights from a file",
    "timm:NAME": "any model of timm; weights from a file",
    "package.module:function": "your own function, which returns a Network, or an nn.Module and its Preprocess",
}
"""Names with a part to be filled in, each with what it is."""


def target_name(spec: str) -> str:
    """The name of a target as units are written with it: "~" stands for ".", which ends the target's name there."""
    return spec.replace(".", "~")


def spec_of(name: str) -> str:
    """The name as libraries and Python write it, with dots: what `target_name` was given. Takes both spellings."""
    return name.replace("~", ".")


def load_network(name: str, weights: Path | str | None = None) -> "Network":
    """The network of that name, on the CPU; dots in it may be written as "~".

    weights: a file, a directory that holds one of the names expected, or None for the default directory (see
    `networks.weights.find_weights`); the text "random" or "random:SEED" builds random weights, for measuring and
    tests: that is noted in description and fingerprint. Raises UserError for an unknown name and for weights that
    are missing, damaged or of another architecture.
    """
    # Here, so that naming units does not load torch.
    from .networks.weights import random_seed

    spec = spec_of(name)
    path = Path(weights) if weights is not None else None
    if spec == SYNTHETIC:
        raise UserError("synthetic neurons are no network: they are made of a detector (docs/synthetic-neurons.md).")
    if spec in GROUND_TRUTHS:
        raise UserError("ground-truth neurons are no network: they have no weights and no layers to index.")
    if spec == PLANTED:
        raise UserError("classes with planted biases are no network: they have no weights and no layers to index.")
    if spec == "efficientnet-lite0":
        from .efficientnet import efficientnet_network

        if random_seed(weights) is not None:
            raise UserError(f"{spec} comes with its weights: leave --weights out.")
        return efficientnet_network(path)
    if spec in TARGETS or spec.partition(":")[0] in LIBRARIES:
        from .networks.load import load_architecture

        return load_architecture(spec, target_name(spec), weights)
    from .networks.custom import build_custom, is_function_name

    if not is_function_name(spec):
        raise UserError(f"there is no target {name!r}: choose from {nearest_first(name, [*TARGETS, *PATTERNS])}.")
    if random_seed(weights) is not None:
        raise UserError(f"{spec} makes its own weights: leave --weights out, or name a file that it takes.")
    return build_custom(spec, target_name(spec), path)
