"""MILAN's published checkpoints, from a local folder, and the labels that they give to units.

A file such as milan-base.pth is a dict: "properties" (the constructor's arguments; those of encoder, lm and indexer are
such dicts again), "children", and "state_dict" of everything (the authors' src/utils/serialize.py). Its vocabulary
brings along a spaCy pipeline, which is not needed here: its settings are read as a plain dict, nothing of it is run.
"""

import asyncio
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...agent.exemplars import exemplar_images
from ...agent.services import Services
from ...kernels.mask import region
from ...models.errors import UserError, first_line
from ...models.targets import Unit
from .milan import BEAM, ENCODERS, LENGTH, WEIGHT, Milan, MilanShape, Strategy, describe, wording

SIDE = 224
"""Pixels of the pictures and masks that MILAN was trained on."""
GET = "http://milan.csail.mit.edu/models/milan-base.pth"
"""Where the authors publish the weights, for people; nothing is fetched."""
_SETTINGS_OF_SPACY = ("thinc.config.Config", "confection.Config")
_NO_COUNT = "num_batches_tracked"


@dataclass(frozen=True)
class MilanModel:
    """milan: in eval mode. beam, length, weight: as the checkpoint has them. ignored: names of weights in the file
    that MILAN's modules do not have, such as those of a reranker by CLIP."""

    milan: Milan
    beam: int = BEAM
    length: int = LENGTH
    weight: float = WEIGHT
    ignored: tuple[str, ...] = ()


def load_milan(place: Path, device: str = "cpu") -> MilanModel:
    """The checkpoint in a folder that holds one .pth file, or that file. Read with weights_only: no code is run.

    Raises UserError where there is none or several, for a file that is damaged or no MILAN, and for weights that are
    missing or of another shape.
    """
    file = _file(place.expanduser())
    try:
        with torch.serialization.safe_globals([(OrderedDict, name) for name in _SETTINGS_OF_SPACY]):
            payload = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as problem:
        raise UserError(f"{file} cannot be read ({first_line(problem)}): copy it again from {GET}.") from None
    try:
        properties = payload["properties"]
        shape = _shape(properties)
        state: Mapping[str, torch.Tensor] = payload["state_dict"]
        numbers = (int(properties["beam_size"]), int(properties["length"]), float(properties["temperature"]))
        names = set(state)
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise UserError(f"{file} is no checkpoint of MILAN (no {first_line(problem)}): copy it from {GET}.") from None
    if shape.encoder not in ENCODERS:
        raise UserError(f"{file} has the encoder {shape.encoder!r}: MILAN is read with {', '.join(ENCODERS)}.")
    milan = Milan(shape)
    own = milan.state_dict()
    _check(file, own, state)
    milan.load_state_dict({name: state.get(name, value) for name, value in own.items()})
    return MilanModel(milan.eval().to(device), *numbers, tuple(sorted(names - set(own))))


def _file(place: Path) -> Path:
    if place.is_file():
        return place
    found = sorted(place.glob("*.pth")) if place.is_dir() else []
    if len(found) != 1:
        what = f"holds {', '.join(file.name for file in found)}" if found else "holds no checkpoint of MILAN"
        raise UserError(f"{place} {what}: name one .pth file, such as milan-base.pth from {GET}.")
    return found[0]


def _shape(properties: Mapping[str, Any]) -> MilanShape:
    """Raises KeyError, TypeError for what is not there."""
    lm = properties["lm"]
    sizes = {"lm_layers": 0}
    if lm is not None:
        told = lm["properties"]
        sizes = {"lm_embedding": told["embedding_size"], "lm_hidden": told["hidden_size"], "lm_layers": told["layers"]}
    return MilanShape(
        tuple(properties["indexer"]["properties"]["vocab"]["properties"]["tokens"]),
        properties["encoder"]["properties"]["config"],
        properties["embedding_size"],
        properties["hidden_size"],
        properties["attention_hidden_size"],
        **sizes,
    )


def _check(file: Path, own: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor]) -> None:
    missing = [name for name in own if name not in state and not name.endswith(_NO_COUNT)]
    if missing:
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise UserError(f"{file} lacks the weight {missing[0]}{more}: copy it again from {GET}.")
    for name, value in own.items():
        if name in state and state[name].shape != value.shape:
            raise UserError(
                f"the weight {name} in {file} is {list(state[name].shape)}, not {list(value.shape)} as its properties "
                f"say: copy it again from {GET}."
            )


async def milan_label(services: Services, unit: Unit, model: MilanModel) -> str | None:
    """MILAN's description of the unit's exemplars, whose masks are those of the index; None where the unit has no
    exemplars, or the best description has no word."""
    found = services.index.entries(unit)
    if not found:
        return None
    pictures = await exemplar_images(services, found)
    maps = [exemplar.map for exemplar in found]
    if any(own is None for own in maps):
        maps = [response.map for response in await services.respond(pictures, unit)]
    threshold = services.index.threshold(unit)

    def text() -> str:
        seen = [services.target.view(picture) for picture in pictures]
        inside = [region(own, SIDE, SIDE, threshold) for own in maps if own is not None]
        return milan_description(model, seen, inside)

    return await asyncio.to_thread(text) or None


def milan_description(model: MilanModel, pictures: list[Image.Image], masks: list[np.ndarray]) -> str:
    """The best description of exemplars: pictures of any size, masks bool [SIDE, SIDE]."""
    scaled = [picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR) for picture in pictures]
    pixels = torch.from_numpy(np.stack([np.asarray(picture) for picture in scaled]))
    device = model.milan.embedding.weight.device
    images = (pixels.permute(0, 3, 1, 2).float() / 255).to(device)
    weights = torch.from_numpy(np.stack(masks).astype(np.float32))[:, None].to(device)
    with torch.no_grad():
        features = model.milan.encode(images, weights)
    strategy: Strategy = "likelihood" if model.milan.lm is None else "rerank"
    best = describe(model.milan, features, model.beam, model.length, model.weight, strategy)[0]
    return wording(best.tokens, model.milan.shape)
