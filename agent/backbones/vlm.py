"""Experiments written by a vision-language model: the dialogue fitted into its context, one request for each reply."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from ...engine.scheduler import Scheduler
from ...engine.sizing import VLM
from ...engine.vlm import Vlm
from ...models.vlm.chat import ChatReply, ChatRequest, ContextOverflow, RequestFailed
from ..context import fit
from .base import Message

SHORTER = 0.85
"""What is left of the budget after the server found a request too long: counts of servers elsewhere are estimates."""
ATTEMPTS = 6
"""Requests that may be found too long, each shorter than the one before."""


@dataclass
class PromptCounts:
    """Over all requests: pictures left out, passages shortened, requests that had to be shortened once more, replies
    that were cut off."""

    images_dropped: int = 0
    passages_shortened: int = 0
    overflows: int = 0
    cut_off: int = 0


class VlmBackbone:
    """Implements `Backbone` with the scheduler's model VLM. name: how it is run, and which model it is."""

    def __init__(self, name: str, vlm: Vlm, scheduler: Scheduler) -> None:
        self.name = name
        self.prompts = vlm.prompts
        self._vlm = vlm
        self._scheduler = scheduler
        # Less once a server has found requests too long: where tokens are estimated, so that the next ones fit at once.
        self._budget = vlm.budget
        self.counts = PromptCounts()

    async def reply(self, messages: Sequence[Message], seed: int, grammar: str | None = None) -> str:
        """The model's next message. Raises RequestFailed when what cannot be shortened is longer than its context, or
        the request cannot be answered; UserError when the model is gone for good."""
        budget = self._budget
        for _ in range(ATTEMPTS):
            result = await self._ask(messages, seed, grammar, budget)
            if isinstance(result, ChatReply):
                self._budget = min(self._budget, budget)
                self.counts.cut_off += result.finish == "length"
                return result.text
            self.counts.overflows += 1
            limit = budget if result.limit is None else min(budget, result.limit - self._vlm.options.max_tokens)
            budget = int(limit * SHORTER)
        raise RequestFailed(f"the model found the dialogue too long {ATTEMPTS} times: give vlm a smaller context.")

    async def _ask(
        self, messages: Sequence[Message], seed: int, grammar: str | None, budget: int
    ) -> ChatReply | ContextOverflow:
        vlm = self._vlm
        try:
            # Sheets are drawn and tokens counted: not on the event loop.
            prompt = await asyncio.to_thread(fit, messages, vlm.family, vlm.images_per_turn, vlm.counter, budget)
        except ContextOverflow as error:
            raise RequestFailed(f"{error} Give vlm a larger context, or the run fewer --turns.") from None
        self.counts.images_dropped += prompt.images_dropped
        self.counts.passages_shortened += prompt.passages_shortened
        request = ChatRequest(prompt.messages, seed, vlm.options.sampling, grammar if vlm.options.structured else None)
        (result,) = await self._scheduler.submit(VLM, [request])
        if isinstance(result, ChatReply | ContextOverflow):
            return result
        assert isinstance(result, BaseException)
        raise result
