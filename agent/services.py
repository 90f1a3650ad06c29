"""What experiments call: a target with its index, and the models that the scheduler runs, by what is asked of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from ..engine.exemplars import ExemplarIndex
from ..engine.items import DatasetImage, Describe, Drawn, Edit, Mask, Measure, Purpose, Summarize, TextToImage
from ..engine.runners.describer import DESCRIBER
from ..engine.runners.world import WORLD
from ..engine.scheduler import Scheduler
from ..models.errors import ExperimentError
from ..models.targets import Response, Target, Unit
from ..models.threads import one_thread
from .observer import Observer
from .transcript import ImageStore


@dataclass(frozen=True)
class Models:
    """Which of the scheduler's models makes pictures, edits them, draws the dataset's, and describes (where no observer
    does)."""

    text2image: str = WORLD
    edit: str = WORLD
    dataset: str = WORLD
    describe: str = DESCRIBER


@dataclass
class Services:
    """What the units of one target share. The target answers through the scheduler only, under its name. observer: who
    describes pictures in the place of `models.describe`. drawings: those that pictures of prompts are made of, where
    nothing else is said."""

    target: Target
    index: ExemplarIndex
    scheduler: Scheduler
    images: ImageStore
    models: Models = field(default_factory=Models)
    observer: Observer | None = None
    drawings: Purpose = "exploration"

    async def text2image(
        self, prompts: Sequence[str], seeds: Sequence[int], purpose: Purpose | None = None
    ) -> list[Drawn]:
        """One picture for each (prompt, seed). Raises ExperimentError naming every prompt that cannot be drawn."""
        chosen = purpose or self.drawings
        items = [TextToImage(prompt, seed, chosen) for prompt, seed in zip(prompts, seeds, strict=True)]
        return await self._ask(self.models.text2image, items, "Prompt {}")

    async def edit(
        self, images: Sequence[Image.Image], instructions: Sequence[str], seeds: Sequence[int]
    ) -> list[Drawn]:
        """One edited picture for each. Raises ExperimentError naming every edit that cannot be made."""
        items = [Edit(*entry) for entry in zip(images, instructions, seeds, strict=True)]
        return await self._ask(self.models.edit, items, "Edit {}")

    async def dataset_images(self, numbers: Sequence[int]) -> list[Image.Image]:
        """Pictures of the world's dataset."""
        drawn = await self._ask(self.models.dataset, [DatasetImage(k) for k in numbers], "Image {}")
        return [entry.image for entry in drawn]

    async def respond(self, images: Sequence[Image.Image], unit: Unit) -> list[Response]:
        """The unit's answers. Raises ExperimentError naming every picture that it cannot see."""
        return await self._ask(self.target.name, [Measure(image, unit) for image in images], "Image {}")

    async def masked(
        self, images: Sequence[Image.Image], maps: Sequence[np.ndarray], threshold: float
    ) -> list[Image.Image]:
        """What the target sees of each, with the region above the threshold kept and outlined, the rest darkened."""
        items = [Mask(*entry, threshold) for entry in zip(images, maps, strict=True)]
        return await self._ask(self.target.name, items, "Image {}")

    async def describe(self, images: Sequence[Image.Image]) -> list[str]:
        """A line about the highlighted region of each."""
        if self.observer is not None:
            return await self.observer.describe(images)
        return await self._ask(self.models.describe, [Describe(image) for image in images], "Image {}")

    async def summarize(self, images: Sequence[Image.Image]) -> str:
        """What the highlighted regions have in common."""
        if self.observer is not None:
            return await self.observer.summarize(images)
        (text,) = await self._ask(self.models.describe, [Summarize(images)], "The summary")
        return str(text)

    async def keep(self, images: Sequence[Image.Image]) -> list[str]:
        """Ids of the pictures in the run's store, written off the event loop, one caller at a time."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.images.writer, lambda: [self.images.put(image) for image in images])

    async def _ask(self, model: str, items: Sequence[Any], name: str) -> list[Any]:
        results = await self.scheduler.submit(model, items)
        failed = [(place, result) for place, result in enumerate(results, 1) if isinstance(result, BaseException)]
        for _, error in failed:
            if not isinstance(error, ExperimentError):
                raise error
        if failed:
            raise ExperimentError("\n".join(f"{name.format(place)}: {error}" for place, error in failed))
        return results


def scheduler_of(services: Mapping[str, Services]) -> Scheduler:
    """The scheduler that all targets of a run share. services: by the target's name."""
    return next(iter(services.values())).scheduler


@contextlib.asynccontextmanager
async def running(services: Iterable[Services]) -> AsyncIterator[None]:
    """Start the schedulers of these services, each once, and stop them afterwards."""
    async with contextlib.AsyncExitStack() as stack:
        for scheduler in {id(one.scheduler): one.scheduler for one in services}.values():
            if any(device.slots > 1 for device in scheduler.plan.devices):
                # The number of threads is the process's: a batch that ended would set it under one that still runs.
                stack.enter_context(one_thread())
            await stack.enter_async_context(scheduler)
        yield
