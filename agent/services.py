"""What experiments call: one target with its index, an image world, a describer, the run's image store."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ParamSpec, Protocol, TypeVar

from PIL import Image

from ..engine.exemplars import ExemplarIndex
from ..models.targets import Target
from .transcript import ImageStore

P = ParamSpec("P")
R = TypeVar("R")


class ImageWorld(Protocol):
    """Makes and edits images. Raises ExperimentError for what it cannot draw."""

    def text2image(self, prompts: Sequence[str], seeds: Sequence[int], purpose: str = ...) -> list[Image.Image]:
        """One RGB image for each (prompt, seed)."""
        ...

    def edit(self, images: Sequence[Image.Image], instructions: Sequence[str]) -> list[Image.Image]:
        """One edited image for each (image, instruction)."""
        ...

    def dataset_image(self, k: int) -> Image.Image:
        """Image k of the dataset."""
        ...


class ImageDescriber(Protocol):
    """Looks at pixels and knows no hypothesis."""

    def describe_text(self, image: Image.Image) -> str:
        """One line about the highlighted region."""
        ...

    def summarize(self, images: Sequence[Image.Image]) -> str:
        """What the highlighted regions have in common."""
        ...


@dataclass
class Services:
    """Shared by all units of one target. Heavy calls run one at a time, off the event loop, so that every result is
    the same whatever else is running."""

    target: Target
    index: ExemplarIndex
    world: ImageWorld
    describer: ImageDescriber
    images: ImageStore
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """`function` in a thread, alone among the heavy calls."""
        async with self.lock:
            return await asyncio.to_thread(function, *args, **kwargs)
