"""The row "MILAN with a VLM": the local vision-language model labels a unit from its masked exemplars, in one pass."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from PIL import Image

from ...agent.exemplars import exemplar_images, masked_exemplars
from ...agent.observer import side_by_side
from ...agent.seeds import derive_seed
from ...agent.services import Services
from ...agent.sheets import chat_image
from ...engine.vlm import Vlm
from ...models.errors import ExperimentError, first_line
from ...models.pictures import pixel_hash
from ...models.targets import Unit
from ...models.vlm.chat import ChatImage, ChatMessage, ChatReply, ChatRequest, ContextOverflow, RequestFailed, Sampling
from ...prompts.captioner import AGAIN, CAPTION

Complete = Callable[[ChatRequest], ChatReply | Awaitable[ChatReply]]
"""Asks a model; may raise RequestFailed or ContextOverflow, which cost that unit."""

LABEL_WORDS = 16
"""Words of a label at most."""
LABEL_TOKENS = 64
SHOWN = 60
"""Characters of an unusable answer that are reported."""

_MARKS = re.compile(r"[`*<>\[\]]")
_LABEL = re.compile(r"^\W*label(?: \d+)?\W*:\s*(.*)$", re.IGNORECASE)


@dataclass
class Captioner:
    """Labels units with one request each; an answer that is no label is asked again once, then the unit has failed.

    complete: `benchmarks.quality.agreement_judges.through(scheduler)`, used inside `async with scheduler.agent(…)`.
    failed: by unit, why it has no label. retried: units that were asked twice.
    """

    vlm: Vlm
    complete: Complete
    failed: dict[str, str] = field(default_factory=dict)
    retried: list[str] = field(default_factory=list)

    async def label(self, services: Services, unit: Unit) -> str | None:
        """A label of at most LABEL_WORDS words; None for a unit that has failed (`failed` says why)."""
        found = services.index.entries(unit)
        if not found:
            self._fail(unit, "it has no exemplars")
            return None
        try:
            shown = await masked_exemplars(services, unit, found, await exemplar_images(services, found))
        except ExperimentError as problem:
            self._fail(unit, f"its exemplars cannot be shown: {first_line(problem)}")
            return None
        request = await asyncio.to_thread(self.request, shown)
        try:
            reply = await self._ask(request)
            label = parse_label(reply)
            if label is None:
                self.retried.append(str(unit))
                reply = await self._ask(self._once_more(request, reply))
                label = parse_label(reply)
        except (RequestFailed, ContextOverflow) as problem:
            self._fail(unit, f"the request failed: {first_line(problem)}")
            return None
        if label is None:
            self._fail(unit, f"two answers hold no label; the second is {' '.join(reply.split())[:SHOWN]!r}")
            return None
        return label

    def request(self, images: Sequence[Image.Image]) -> ChatRequest:
        """What is asked about masked exemplars: as pictures of their own where a message may hold that many, else on
        one sheet. Depends on the pixels alone; at temperature 0."""
        parts: tuple[str | ChatImage, ...] = (*_shown(images, self.vlm), CAPTION)
        seed = derive_seed(CAPTION + "".join(pixel_hash(image.convert("RGB")) for image in images))
        return ChatRequest([ChatMessage("user", parts)], seed, Sampling(0.0, 1.0, LABEL_TOKENS))

    def _once_more(self, request: ChatRequest, reply: str) -> ChatRequest:
        said = ChatMessage("assistant", (reply.strip() or "(nothing)",))
        asked = ChatMessage("user", (AGAIN.format(words=LABEL_WORDS),))
        return ChatRequest([*request.messages, said, asked], request.seed, request.sampling)

    async def _ask(self, request: ChatRequest) -> str:
        answer = self.complete(request)
        return (answer if isinstance(answer, ChatReply) else await answer).text

    def _fail(self, unit: Unit, why: str) -> None:
        self.failed[str(unit)] = why


def _shown(images: Sequence[Image.Image], vlm: Vlm) -> list[ChatImage]:
    family = vlm.family
    if len(images) <= vlm.images_per_turn:
        return [chat_image(image, family.image_side) for image in images]
    return [chat_image(side_by_side(images, family.sheet_side), family.sheet_side)]


def parse_label(text: str) -> str | None:
    """The label of an answer: what follows "LABEL:" in its first such line, else its only line; without quotes,
    asterisks and a full stop. None where there is none, or where it has more than LABEL_WORDS words."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marked = [match[1] for line in lines if (match := _LABEL.match(line))]
    if not marked and len(lines) != 1:
        return None
    label = " ".join(_MARKS.sub("", (marked or lines)[0]).split()).strip("\"' ").rstrip(".").strip("\"' ")
    usable = any(character.isalnum() for character in label) and len(label.split()) <= LABEL_WORDS
    return label if usable and label.lower() != "a few words" else None
