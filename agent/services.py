"""What experiments call: one target with its index, an image world, a describer, the run's image store."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, ParamSpec, Protocol, TypeVar

from PIL import Image

from ..engine.exemplars import ExemplarIndex
from ..models.targets import Target
from .transcript import ImageStore

P = ParamSpec("P")
R = TypeVar("R")


class ImageWorld(Protocol):
    """Makes and edits images. Raises ExperimentError for what it cannot draw."""

    def text2image(
        self, prompts: Sequence[str], seeds: Sequence[int], purpose: Literal["exploration", "evaluation"] = ...
    ) -> list[Image.Image]:
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


class Lanes:
    """Heavy work off the event loop: drawing and networks each have a lane, in which one call runs at a time.

    So every result is the same whatever else is running, and drawing overlaps with computing.
    """

    def __init__(self) -> None:
        self._locks = {"drawing": asyncio.Lock(), "network": asyncio.Lock(), "disk": asyncio.Lock()}

    async def run(self, lane: str, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """`function` in a thread, alone in its lane ("drawing", "network" or "disk")."""
        async with self._locks[lane]:
            return await asyncio.to_thread(function, *args, **kwargs)


@dataclass
class Services:
    """What the units of one target share. lanes: one object for all targets of a run."""

    target: Target
    index: ExemplarIndex
    world: ImageWorld
    describer: ImageDescriber
    images: ImageStore
    lanes: Lanes = field(default_factory=Lanes)
