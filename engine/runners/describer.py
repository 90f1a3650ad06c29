"""The offline world's describer behind the scheduler."""

import asyncio
from collections.abc import Hashable, Sequence
from typing import Any, Protocol

from PIL import Image

from ..items import Describe
from ..plan import ModelFacts

DESCRIBER = "describer"


class ImageDescriber(Protocol):
    """Looks at pixels and knows no hypothesis."""

    def describe_text(self, image: Image.Image) -> str:
        """One line about the highlighted region."""
        ...

    def summarize(self, images: Sequence[Image.Image]) -> str:
        """What the highlighted regions have in common."""
        ...


class DescriberRunner:
    """Answers Describe and Summarize items. It runs on the CPU, where its weights lie from the start."""

    def __init__(self, describer: ImageDescriber, facts: ModelFacts) -> None:
        self._describer = describer
        self.facts = facts

    def keep(self, device: str) -> None:
        """Nothing to keep."""

    async def load(self, device: str) -> None:
        """Nothing to load."""

    async def offload(self) -> None:
        """Nothing to free."""

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
