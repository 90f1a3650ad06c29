"""The fresh observer: a vision-language model that describes pictures and is told nothing of the experiment."""

import asyncio
import math
from collections.abc import Sequence

from PIL import Image, ImageOps

from ..engine.scheduler import Scheduler
from ..engine.sizing import VLM
from ..engine.vlm import Vlm
from ..models.errors import ExperimentError
from ..models.pictures import pixel_hash
from ..models.vlm.chat import ChatImage, ChatMessage, ChatReply, ChatRequest, ContextOverflow, RequestFailed, Sampling
from ..prompts.brief import BRIEF_DESCRIBE, BRIEF_OBSERVER
from ..prompts.observer import DESCRIBE, OBSERVER, SUMMARIZE
from .seeds import derive_seed
from .sheets import chat_image
from .word_counts import count_words

_GAP = 4
"""Pixels between pictures on a sheet."""
WORDS = 160
"""Tokens that an answer of the observer may have."""


class Observer:
    """Every question is a dialogue of its own, through the scheduler's model VLM. What is said of a picture depends
    on its pixels alone."""

    def __init__(self, vlm: Vlm, scheduler: Scheduler) -> None:
        self._vlm = vlm
        self._scheduler = scheduler

    async def describe(self, images: Sequence[Image.Image]) -> list[str]:
        """One line for each picture. Raises ExperimentError naming those that could not be described."""
        side = self._vlm.family.image_side
        brief = self._vlm.prompts == "brief"
        observer, question = (BRIEF_OBSERVER, BRIEF_DESCRIBE) if brief else (OBSERVER, DESCRIBE)
        requests = await asyncio.to_thread(
            lambda: [self._request(question, [chat_image(image, side)], [image], observer) for image in images]
        )
        results = await self._scheduler.submit(VLM, requests)
        return [self._line(result, f"Image {place}") for place, result in enumerate(results, 1)]

    async def summarize(self, images: Sequence[Image.Image]) -> str:
        """What the pictures have in common. A model that is asked in brief says words of each, which are counted."""
        if self._vlm.prompts == "brief":
            return count_words(await self.describe(images))
        request = await asyncio.to_thread(lambda: self._request(SUMMARIZE, self._together(images), images))
        (result,) = await self._scheduler.submit(VLM, [request])
        return self._line(result, "The summary")

    def _together(self, images: Sequence[Image.Image]) -> list[ChatImage]:
        """As many pictures of their own as a message may hold, else all of them on one sheet."""
        family = self._vlm.family
        if len(images) <= self._vlm.images_per_turn:
            return [chat_image(image, family.image_side) for image in images]
        return [chat_image(side_by_side(images, family.sheet_side), family.sheet_side)]

    def _request(
        self, question: str, shown: Sequence[ChatImage], images: Sequence[Image.Image], observer: str = OBSERVER
    ) -> ChatRequest:
        seed = derive_seed(question + "".join(pixel_hash(image.convert("RGB")) for image in images))
        sampling = self._vlm.options.sampling
        messages = (ChatMessage("system", (observer,)), ChatMessage("user", (*shown, question)))
        return ChatRequest(messages, seed, Sampling(sampling.temperature, sampling.top_p, WORDS))

    def _line(self, result: object, name: str) -> str:
        if isinstance(result, ChatReply):
            return " ".join(result.text.split()) or "nothing that the observer could name"
        if isinstance(result, RequestFailed | ContextOverflow):
            raise ExperimentError(f"{name} could not be described ({result}): ask for fewer pictures at once.")
        assert isinstance(result, BaseException)
        raise result


def side_by_side(images: Sequence[Image.Image], side: int) -> Image.Image:
    """The pictures on one square sheet of that side, in reading order, with nothing else on it."""
    columns = math.ceil(math.sqrt(len(images)))
    cell = (side - (columns - 1) * _GAP) // columns
    sheet = Image.new("RGB", (side, side), (255, 255, 255))
    for place, image in enumerate(images):
        row, column = divmod(place, columns)
        shown = ImageOps.contain(image.convert("RGB"), (cell, cell))
        sheet.paste(shown, (column * (cell + _GAP), row * (cell + _GAP)))
    return sheet
