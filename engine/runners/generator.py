"""A text-to-image or editing pipeline behind the scheduler."""

import asyncio
import threading
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch

from ...models.errors import ExperimentError
from ...models.generators import EditGenerator, Job, Picture, TextToImageGenerator
from ..items import Drawn, Edit, TextToImage
from ..plan import Component, Duration, ModelFacts, Workspace
from ..residency import WeightStore
from .base import OutOfMemory
from .loading import loading_to

TEXT_TO_IMAGE = "text2image"
EDIT = "edit"


class GeneratorRunner:
    """Runs TextToImage items (a TextToImageGenerator) or Edit items (an EditGenerator); answers Drawn.

    Takes over the generator's weights: they lie in the store, which keeps those that generators share once.
    """

    def __init__(
        self,
        generator: TextToImageGenerator | EditGenerator,
        store: WeightStore,
        workspace: Workspace | None = None,
        duration: Duration | None = None,
        items_per_unit: float = 1.0,
        items_per_call: float = 1.0,
        devices: Mapping[str, str] | None = None,
        name: str | None = None,
    ) -> None:
        """workspace, duration, items_per_unit, items_per_call: see ModelFacts; measured or from a catalogue.

        devices: torch's device for each of the plan's that the model may be on, as in {"gpu0": "cuda:0"}; None: the
        plan's names are torch's. name: in the plan; None: "text2image" or "edit".
        """
        self._edits = isinstance(generator, EditGenerator)
        self._generator = generator
        self._store = store
        self._devices = devices
        self._lock = threading.Lock()
        self.facts = ModelFacts(
            name=name or (EDIT if self._edits else TEXT_TO_IMAGE),
            components=tuple(Component(part.key, part.nbytes) for part in generator.components),
            workspace=workspace or Workspace(),
            duration=duration or Duration(),
            max_batch=generator.batch,
            items_per_unit=items_per_unit,
            items_per_call=items_per_call,
            devices=tuple(devices) if devices is not None else None,
        )
        store.add(self.facts.name, [(part.key, part.module) for part in generator.components])

    @property
    def description(self) -> str:
        """One line for reports: what draws, how, and whether a safety checker is in use."""
        return self._generator.description

    def set_batch(self, batch: int) -> None:
        """The plan's batch: with fixed_batch, all are filled up to it. Raises ValueError for more than max_batch."""
        if not 1 <= batch <= self.facts.max_batch:
            raise ValueError(
                f"a batch of {batch} for {self.facts.name}, which draws 1 to {self.facts.max_batch} at once"
            )
        self._generator.batch = batch

    def keep(self, device: str) -> None:
        """See Runner.keep."""
        self._store.keep(self.facts.name, self._place(device))

    def _place(self, device: str) -> str:
        return self._devices[device] if self._devices is not None else device

    async def load(self, device: str) -> None:
        """See Runner.load."""
        await asyncio.to_thread(self._load, self._place(device))

    def _load(self, place: str) -> None:
        with self._lock, loading_to(place, self.facts.name):
            self._store.load(self.facts.name, place)

    async def offload(self) -> None:
        """See Runner.offload."""
        await asyncio.to_thread(self._offload)

    def _offload(self) -> None:
        # A run that was cancelled may still be drawing in its thread.
        with self._lock:
            self._store.release(self.facts.name)

    async def run(self, items: Sequence[Any]) -> list[Any]:
        """See Runner.run. Raises TypeError for items that are not of the generator's kind."""
        return await asyncio.to_thread(self._run, list(items))

    def _run(self, items: list[Any]) -> list[Drawn | ExperimentError]:
        with self._lock:
            jobs = [self._job(item) for item in items]
            drawable = [job for job in jobs if isinstance(job, Job)]
            drawn: list[Picture | ExperimentError] = []
            while len(drawn) < len(drawable):
                batch = drawable[len(drawn) : len(drawn) + self._generator.batch]
                pictures = self._draw(batch)
                if pictures is None:
                    self._shrink()
                    raise OutOfMemory(f"{len(batch)} pictures of {self.facts.name} do not fit into memory")
                drawn += pictures
        answers = iter(drawn)
        return [_answer(job if isinstance(job, ExperimentError) else next(answers)) for job in jobs]

    def _draw(self, batch: list[Job]) -> list[Picture | ExperimentError] | None:
        """The batch's answers; None where memory ran out."""
        # torch's error is let go here: as long as it lives, its frames hold the tensors of the batch.
        try:
            return self._generator.draw(batch)
        except torch.OutOfMemoryError:
            return None
        finally:
            self._store.attach(self.facts.name)

    def _shrink(self) -> None:
        """A batch that is filled up would be as large again when it is tried in halves."""
        generator = self._generator
        if generator.options.fixed_batch and generator.batch > 1:
            generator.batch //= 2
            generator.memory_halvings += 1
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _job(self, item: Any) -> Job | ExperimentError:
        try:
            if isinstance(self._generator, EditGenerator):
                if not isinstance(item, Edit):
                    raise TypeError(f"{self.facts.name} takes Edit items, not {type(item).__name__}")
                return self._generator.job(item.image, item.instruction, item.seed)
            if not isinstance(item, TextToImage):
                raise TypeError(f"{self.facts.name} takes TextToImage items, not {type(item).__name__}")
            return self._generator.job(item.prompt, item.seed)
        except ExperimentError as problem:
            return problem

    def group(self, item: Any) -> Hashable:
        """All items of one generator are drawn with the same steps and size, so that any may share a batch."""
        return self.facts.name


def _answer(result: Picture | ExperimentError) -> Drawn | ExperimentError:
    return Drawn(result.image, result.note) if isinstance(result, Picture) else result
