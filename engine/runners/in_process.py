"""A vision-language model in this process behind the scheduler."""

import asyncio
import threading
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from ...models.threads import cpu_threads
from ...models.vlm.chat import ChatReply, ChatRequest, Sampling
from ...models.vlm.in_process import InProcessModel
from ..plan import Component, ModelFacts
from ..residency import NotLoadedError, WeightStore
from .base import Brief, OutOfMemory
from .chat_counts import ChatCounts
from .loading import loading_to


class InProcessRunner:
    """Answers ChatRequest items with ChatReply, in batches.

    Takes over the model's weights: they lie in the store. Packed weights (4 bits) are made on the device that uses
    them and cannot be moved: `load` reads them from their files each time, `offload` drops them.
    """

    def __init__(
        self,
        model: InProcessModel,
        facts: ModelFacts,
        store: WeightStore,
        devices: Mapping[str, str] | None = None,
        usual: int = Sampling.max_tokens,
    ) -> None:
        """facts: of kind "batch"; the components are the model's, of packed weights those given. devices: torch's
        device for each of the plan's that the model may be on, as in {"gpu0": "cuda:0"}; None: the plan's names are
        torch's. usual: tokens at most of the answers that the facts' duration is of.
        """
        self._model = model
        self._store = store
        self._devices = devices
        self._usual = usual
        self._lock = threading.Lock()
        # As many as torch would use here: asked now, for other threads set theirs while they compute.
        self._threads = torch.get_num_threads()
        self.counts = ChatCounts()
        self.facts = facts if devices is None else replace(facts, devices=tuple(devices))
        if not model.quantized:
            self.facts = replace(self.facts, components=(Component(model.key, model.nbytes),))
            store.add(facts.name, [(model.key, model.module)])

    def keep(self, device: str) -> None:
        """No other model shares its weights."""

    def _place(self, device: str) -> str:
        return self._devices[device] if self._devices is not None else device

    async def load(self, device: str) -> None:
        """See Runner.load."""
        await asyncio.to_thread(self._load, self._place(device))

    def _load(self, place: str) -> None:
        with self._lock, loading_to(place, self.facts.name):
            self._model.use(place)
            if self._model.quantized:
                self._model.read(place)
            else:
                self._store.load(self.facts.name, place)

    async def offload(self) -> None:
        """See Runner.offload."""
        await asyncio.to_thread(self._offload)

    def _offload(self) -> None:
        # A run that was cancelled may still be answering in its thread.
        with self._lock:
            if not self._model.quantized:
                self._store.release(self.facts.name)
                return
            self._model.drop()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def group(self, item: Any) -> Hashable:
        """Requests with one limit on their answers: in a batch every prompt is padded to the longest, and every answer
        waits for the longest, so that descriptions of pictures keep apart from dialogues, and go before them."""
        if not isinstance(item, ChatRequest):
            return self.facts.name
        limit = item.sampling.max_tokens
        return Brief(limit, min(1.0, limit / self._usual))

    async def run(self, items: Sequence[Any]) -> list[Any]:
        """See Runner.run. Raises TypeError for items that are no requests."""
        for item in items:
            if not isinstance(item, ChatRequest):
                raise TypeError(f"{self.facts.name} takes ChatRequest items, not {type(item).__name__}")
        answers = await asyncio.to_thread(self._answers, items)
        if answers is None:
            raise OutOfMemory(f"{len(items)} requests for {self.facts.name} do not fit into memory")
        for answer in answers:
            self._count(answer)
        return answers

    def _answers(self, items: Sequence[ChatRequest]) -> list[ChatReply | Exception] | None:
        """None where memory ran out."""
        # torch's error is let go here: as long as it lives, its frames hold the tensors of the batch.
        with self._lock, cpu_threads(self._threads):
            if (self._model.module if self._model.quantized else self._store.device(self.facts.name)) is None:
                raise NotLoadedError(f"the weights of {self.facts.name} are on no device: load it first")
            try:
                return self._model.generate(items)
            except torch.OutOfMemoryError:
                pass
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            return None

    def _count(self, answer: ChatReply | Exception) -> None:
        self.counts.requests += 1
        if isinstance(answer, ChatReply):
            self.counts.prompt_tokens += answer.prompt_tokens
            self.counts.answer_tokens += answer.answer_tokens
        else:
            self.counts.failed += 1
