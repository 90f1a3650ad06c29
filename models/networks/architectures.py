"""The architectures that have a target name: how each is built, what it looks at, and which layers are recommended.

Nothing here downloads: libraries are asked for architectures without weights.
"""

import difflib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from torch import nn

from ..errors import UserError
from .build import Head
from .network import Preprocess
from .weights import WeightFiles

TORCHVISION, TIMM = "torchvision", "timm"
"""What stands before the ":" in the names of a library's own architectures."""

RESNET_LAYERS = ("conv1", "layer1", "layer2", "layer3", "layer4")
CLIP_LAYERS = ("layer1", "layer2", "layer3", "layer4")
DINO_BLOCKS = (1, 3, 5, 7, 9, 11)
"""The layers that MAIA's paper explains (table A3)."""

DINO_RESIZE = 256
"""Shorter side before the crop in DINO's own evaluation; timm's entry says 248."""


@dataclass(frozen=True)
class Architecture:
    """A module without its weights, and all that makes a Network of it (see `build.make_network`)."""

    module: nn.Module
    preprocess: Preprocess
    files: WeightFiles
    definition: str
    description: str
    layers: dict[str, str] | None = None
    head: Head = "classes"


def build_architecture(spec: str) -> Architecture:
    """The architecture of a target's name, with dots. Raises UserError for a name that no library knows."""
    if spec in KNOWN:
        return KNOWN[spec]()
    library, _, name = spec.partition(":")
    if library == TORCHVISION:
        return build_torchvision(name)
    if library == TIMM:
        return build_timm(name)
    raise UserError(f"{spec!r} is no architecture: choose from {', '.join(KNOWN)}, {TORCHVISION}:NAME or {TIMM}:NAME.")


def build_resnet(name: str) -> Architecture:
    """A ResNet of torchvision with its first published weights (IMAGENET1K_V1), whose preprocess it has."""
    from torchvision import models

    weights = models.get_model_weights(name)["IMAGENET1K_V1"]
    return Architecture(
        models.get_model(name, weights=None),
        _torchvision_preprocess(name, weights),
        _torchvision_files(name, weights),
        definition=f"{name}/1",
        description=f"{name} of torchvision, trained on ImageNet (IMAGENET1K_V1)",
        layers={layer: layer for layer in RESNET_LAYERS},
    )


def build_torchvision(name: str) -> Architecture:
    """Any classifier of torchvision, with the preprocess of its default weights."""
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise UserError(f"torchvision has no classifier {name!r}: {_nearest(name, known)}.")
    weights = models.get_model_weights(name).DEFAULT
    preprocess = _torchvision_preprocess(name, weights)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of a default that is to change
        module = models.get_model(name, weights=None)
        if isinstance(module, models.VisionTransformer) and module.image_size != preprocess.size:
            module = models.get_model(name, weights=None, image_size=preprocess.size)
    if hasattr(module, "transform_input"):
        module.transform_input = True  # as torchvision sets it where it loads the published weights
    return Architecture(
        module,
        preprocess,
        _torchvision_files(name, weights),
        definition=f"{TORCHVISION}:{name}/1",
        description=f"{name} of torchvision ({weights.name})",
    )


def _torchvision_files(name: str, weights: Any) -> WeightFiles:
    return WeightFiles((f"{name}.safetensors", PurePosixPath(weights.url).name), f"torchvision's {weights.name}")


def _torchvision_preprocess(name: str, weights: Any) -> Preprocess:
    transform = weights.transforms()
    return _preprocess(
        name,
        transform.crop_size[0],
        transform.resize_size[0],
        transform.interpolation.value,
        transform.mean,
        transform.std,
    )


def build_timm(name: str) -> Architecture:
    """Any model of timm, with the preprocess of its own entry; "name" or "name.tag" as timm writes them."""
    import timm

    if not timm.is_model(name):
        raise UserError(f"timm has no model {name!r}: {_nearest(name, timm.list_models())}.")
    try:
        module = timm.create_model(name, pretrained=False)
    except RuntimeError as problem:  # of an unknown tag
        raise UserError(f"timm cannot build {name!r}: {problem}; its tags: {_timm_tags(name)}.") from problem
    stages = [entry["module"] for entry in getattr(module, "feature_info", [])]
    source = "stages as timm lists them" if stages else "layers by the coarsest cut of the module tree"
    return Architecture(
        module,
        _timm_preprocess(name, module),
        WeightFiles((f"{name}.safetensors", "model.safetensors", "pytorch_model.bin", f"{name}.pth"), "timm's own"),
        definition=f"{TIMM}:{name}/1",
        description=f"{name} of timm ({source})",
        layers={stage: stage for stage in stages} if stages else None,
        head="classes" if getattr(module, "num_classes", 0) else "embedding",
    )


def _timm_tags(name: str) -> str:
    import timm

    base = name.partition(".")[0]
    return ", ".join(sorted(timm.list_models(f"{base}.*", pretrained=True))) or f"none, write {base}"


def _timm_preprocess(name: str, module: nn.Module) -> Preprocess:
    from timm.data import resolve_model_data_config

    config = resolve_model_data_config(module)
    channels, height, width = config["input_size"]
    if channels != 3 or height != width:
        raise UserError(f"{name} takes pictures of {config['input_size']}: only square RGB is supported.")
    # timm rounds so (timm.data.transforms_factory); models of crop_mode "squash" are given the centre instead.
    resize = int(height / config["crop_pct"])
    return _preprocess(name, height, max(resize, height), config["interpolation"], config["mean"], config["std"])


def build_dino() -> Architecture:
    """DINO's ViT-S/8 (Caron et al., arXiv 2104.14294): timm's architecture, under whose names DINO published it.

    "blocks.1.mlp" is the MLP's hidden units after the GELU (1536); what the MLP as a module returns (384) is the
    layer "blocks.1.mlp.fc2".
    """
    import timm

    name = "dino-vits8"
    module = timm.create_model("vit_small_patch8_224.dino", pretrained=False, num_classes=0)
    entry = _timm_preprocess(name, module)
    return Architecture(
        module,
        Preprocess(entry.size, DINO_RESIZE, entry.interpolation, entry.mean, entry.std),
        WeightFiles(
            (f"{name}.safetensors", "dino_deitsmall8_pretrain.pth", "model.safetensors"),
            "published with DINO",
            part="backbone.",
        ),
        definition=f"{name}/1",
        description="ViT-S/8 trained with DINO on ImageNet; blocks.N.mlp: hidden units of the MLP after the GELU",
        layers={f"blocks.{block}.mlp": f"blocks.{block}.mlp.act" for block in DINO_BLOCKS},
        head="embedding",
    )


def build_clip() -> Architecture:
    """The image tower of CLIP's ResNet-50 (Radford et al., arXiv 2103.00020), as open_clip builds it."""
    import open_clip
    from open_clip.modified_resnet import ModifiedResNet
    from open_clip.pretrained import get_pretrained_cfg

    name = "clip-rn50"
    config = open_clip.get_model_config("RN50")
    vision, entry = config["vision_cfg"], get_pretrained_cfg("RN50", "openai")
    size, width = vision["image_size"], vision["width"]
    module = ModifiedResNet(
        vision["layers"],
        config["embed_dim"],
        heads=width * 32 // 64,  # of 64 channels each, as open_clip's CLIP sets it
        image_size=size,
        width=width,
    )
    return Architecture(
        module,
        _preprocess(name, size, size, entry["interpolation"], entry["mean"], entry["std"]),
        WeightFiles(
            (f"{name}.safetensors", "open_clip_model.safetensors", "RN50.pt", "open_clip_pytorch_model.bin"),
            "published with CLIP",
            part="visual.",
            torchscript=True,
        ),
        definition=f"{name}/1",
        description="image tower of CLIP's ResNet-50",
        layers={layer: layer for layer in CLIP_LAYERS},
        head="embedding",
    )


def _preprocess(
    name: str, size: int, resize: int, interpolation: str, mean: Sequence[float], std: Sequence[float]
) -> Preprocess:
    for known in ("bilinear", "bicubic"):
        if interpolation == known:
            return Preprocess(size, resize, known, (mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))
    raise UserError(f"{name} resamples its pictures {interpolation}: only bilinear and bicubic are supported.")


def _nearest(name: str, known: Sequence[str]) -> str:
    found = difflib.get_close_matches(name, known, n=5, cutoff=0.4)
    return f"the nearest are {', '.join(found)}" if found else f"it has {len(known)}, such as {known[0]}"


KNOWN: dict[str, Callable[[], Architecture]] = {
    "resnet152": lambda: build_resnet("resnet152"),
    "resnet18": lambda: build_resnet("resnet18"),
    "dino-vits8": build_dino,
    "clip-rn50": build_clip,
}
"""Target names of this file, each with what builds it."""
