"""The offline world behind the scheduler: pictures drawn from prompts, edits and dataset numbers."""

import asyncio
from collections.abc import Hashable, Sequence
from typing import Any, Protocol

from PIL import Image

from ...models.errors import ExperimentError
from ..items import DatasetImage, Drawn, Edit, Purpose, TextToImage
from ..plan import ModelFacts

WORLD = "world"


class DrawingWorld(Protocol):
    """Draws one picture at a time. Raises ExperimentError for what it cannot draw."""

    def draw(self, prompt: str, seed: int, purpose: Purpose = ...) -> Image.Image:
        """RGB."""
        ...

    def edited(self, image: Image.Image, instruction: str) -> Image.Image:
        """RGB."""
        ...

    def dataset_image(self, k: int) -> Image.Image:
        """RGB; always the same."""
        ...


class WorldRunner:
    """Draws TextToImage, Edit and DatasetImage items, each by itself; there are no weights to load."""

    def __init__(self, world: DrawingWorld, facts: ModelFacts) -> None:
        self._world = world
        self.facts = facts

    def keep(self, device: str) -> None:
        """Nothing to keep."""

    async def load(self, device: str) -> None:
        """Nothing to load."""

    async def offload(self) -> None:
        """Nothing to free."""

    def group(self, item: Any) -> Hashable:
        """All drawings may share a batch."""
        return "draw"

    async def run(self, items: Sequence[Any]) -> list[Any]:
        """A Drawn for each item, an ExperimentError for one that cannot be drawn."""
        return await asyncio.to_thread(lambda: [self._draw(item) for item in items])

    def _draw(self, item: TextToImage | Edit | DatasetImage) -> Drawn | ExperimentError:
        try:
            if isinstance(item, TextToImage):
                return Drawn(self._world.draw(item.prompt, item.seed, item.purpose))
            if isinstance(item, Edit):
                return Drawn(self._world.edited(item.image, item.instruction))
            return Drawn(self._world.dataset_image(item.k))
        except ExperimentError as error:
            return error
