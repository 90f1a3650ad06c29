"""A target behind the scheduler: many units' measurements in one forward, and masked pictures."""

import asyncio
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...kernels.mask import mask_batch
from ...models.errors import ExperimentError
from ...models.targets import Response, Target
from ..items import Mask, Measure
from ..plan import ModelFacts
from ..residency import WeightStore
from ..targets import EachTarget, NetworkTarget, device_of, weight_modules
from .base import OutOfMemory


class TargetRunner:
    """Answers Measure and Mask items. Measurements share a batch if their units are of one layer of a network, or the
    same unit of another target; masks if their maps are of one size."""

    def __init__(self, target: Target, facts: ModelFacts, store: WeightStore) -> None:
        """store: takes over the target's weights, if it has any, by the keys of the facts' components."""
        self._target = target
        self._store = store
        self.facts = facts
        modules = weight_modules(target)
        self._weighted = bool(modules)
        if modules:
            store.add(facts.name, [(component.key, modules[component.key]) for component in facts.components])

    def keep(self, device: str) -> None:
        """No other model shares a target's weights."""

    async def load(self, device: str) -> None:
        """Copy the weights to the device."""
        if self._weighted:
            try:
                await asyncio.to_thread(self._store.load, self.facts.name, device)
            except torch.OutOfMemoryError as error:
                raise OutOfMemory(f"the weights of {self.facts.name} do not fit on {device}") from error
            if isinstance(self._target, NetworkTarget):
                self._target.device = torch.device(device)

    async def offload(self) -> None:
        """Free the device's copy."""
        if self._weighted:
            await asyncio.to_thread(self._store.release, self.facts.name)

    def group(self, item: Any) -> Hashable:
        """See the class."""
        if isinstance(item, Mask):
            return ("mask", item.map.shape)
        # A network's forward gives a layer's units together, a detector's those of one text.
        return ("measure", item.unit.layer if isinstance(self._target, NetworkTarget) else item.unit)

    async def run(self, items: Sequence[Any]) -> list[Any]:
        """A Response for each Measure, a picture for each Mask."""
        try:
            return await asyncio.to_thread(self._answer, items)
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(f"{len(items)} pictures for {self.facts.name} do not fit") from error

    def _answer(self, items: Sequence[Any]) -> list[Any]:
        if isinstance(items[0], Mask):
            return list(masked(self._target, items))
        if isinstance(self._target, EachTarget):
            return list(self._target.respond_each([item.image for item in items], [item.unit for item in items]))
        return [self._one(item) for item in items]

    def _one(self, item: Measure) -> Response | ExperimentError:
        try:
            (response,) = self._target.respond([item.image], item.unit)
        except ExperimentError as error:
            return error
        return response


def masked(target: Target, items: Sequence[Mask]) -> list[Image.Image]:
    """What the target sees of each picture, with the region above the threshold kept and outlined, the rest darkened.

    Maps of one size; computed on the target's device, if it has one.
    """
    device = device_of(target)
    views = np.stack([np.asarray(target.view(item.image)) for item in items])
    pixels = torch.from_numpy(views).to(device)
    maps = torch.from_numpy(np.stack([item.map for item in items])).to(device)
    thresholds = torch.tensor([item.threshold for item in items], dtype=torch.float32, device=device)
    return [Image.fromarray(picture) for picture in mask_batch(pixels, maps, thresholds).cpu().numpy()]
