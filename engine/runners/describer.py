"""The offline world's describer behind the scheduler."""

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from PIL import Image
from torch import nn

from ...models.diffusion.components import weights_bytes
from ..items import Describe
from ..plan import Component, ModelFacts
from ..residency import WeightStore

DESCRIBER = "describer"


class ImageDescriber(Protocol):
    """Looks at pixels and knows no hypothesis. modules: its networks, by name; they run on the CPU."""

    @property
    def modules(self) -> Mapping[str, nn.Module]: ...

    def describe_text(self, image: Image.Image) -> str:
        """One line about the highlighted region."""
        ...

    def summarize(self, images: Sequence[Image.Image]) -> str:
        """What the highlighted regions have in common."""
        ...


class DescriberRunner:
    """Answers Describe and Summarize items."""

    def __init__(self, describer: ImageDescriber, facts: ModelFacts, store: WeightStore) -> None:
        """facts: all but the components, which are the describer's networks. store: takes over their weights."""
        self._describer = describer
        self._store = store
        parts = {f"{facts.name}/{name}": module for name, module in describer.modules.items()}
        components = tuple(Component(key, weights_bytes(module)) for key, module in parts.items())
        self.facts = replace(facts, components=components)
        store.add(facts.name, parts.items())

    def keep(self, device: str) -> None:
        """No other model shares its weights."""

    async def load(self, device: str) -> None:
        """Copy the weights to the device."""
        await asyncio.to_thread(self._store.load, self.facts.name, device)

    async def offload(self) -> None:
        """Free the device's copy."""
        await asyncio.to_thread(self._store.release, self.facts.name)

    def group(self, item: Any) -> Hashable:
        """All questions may share a batch."""
        return "describe"

    async def run(self, items: Sequence[Any]) -> list[Any]:
        """A text for each item."""
        return await asyncio.to_thread(lambda: [self._answer(item) for item in items])

    def _answer(self, item: Any) -> str:
        if isinstance(item, Describe):
            return self._describer.describe_text(item.image)
        return self._describer.summarize(item.images)
