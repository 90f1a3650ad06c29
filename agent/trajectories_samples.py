"""Trajectories as samples: the very messages that a vision-language model would have been sent."""

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from ..engine.chat_client import special_tokens
from ..engine.vlm import Vlm
from ..models.vlm.chat import ChatImage, ChatMessage
from ..models.vlm.conversation import harmless
from ..prompts.brief import BRIEF_SYSTEM
from .backbones.base import Message
from .context import Prompt, fit
from .dialogue import messages
from .experiment import Settings, prompts_of
from .trajectories_judge import Kept
from .trajectories_read import Trajectory
from .transcript import Record, Reply

_FORMATS = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg"}

Row = dict[str, Any]
"""A line of a file of samples."""


@dataclass(frozen=True)
class Sample:
    """messages: of a dialogue that ends with a reply. learn: for each message, whether it is to be imitated. tokens: as
    counted for the context, with the last reply."""

    messages: Sequence[ChatMessage]
    learn: Sequence[bool]
    tokens: int


class Sender:
    """What a model would be sent."""

    def __init__(self, vlm: Vlm) -> None:
        self.vlm = vlm
        self.specials = special_tokens(vlm.checkpoint.tokenizer) if vlm.checkpoint is not None else ()

    def prompt(self, dialogue: Sequence[Message]) -> Prompt:
        """For a dialogue that ends with a user's message. Raises what `fit` does."""
        vlm = self.vlm
        return fit(dialogue, vlm.family, vlm.images_per_turn, vlm.counter, vlm.budget)

    def dialogue(self, trajectory: Trajectory) -> tuple[list[Message], list[Reply]]:
        """The dialogue up to its last reply, and the replies. It begins with the prompts that this model is asked with,
        in full or in brief, where the run was asked with the others."""
        records = _replied(trajectory.records)
        start = trajectory.start
        if start is not None and (start.system_prompt == BRIEF_SYSTEM) != (self.vlm.prompts == "brief"):
            settings = Settings(task=start.task, removed_tools=tuple(start.settings.get("removed_tools", ())))
            system, task = prompts_of(settings, self.vlm)  # type: ignore[arg-type]  # of a backbone only `prompts` is asked
            records[0] = replace(start, system_prompt=system, task_prompt=task)
        return messages(records, trajectory.images), [record for record in records if isinstance(record, Reply)]

    def samples(self, kept: Kept) -> list[Sample]:
        """One sample, or one for each stretch of turns in which prompts only append.

        Raises ContextOverflow where a prompt does not fit, OSError for a picture that cannot be read.
        """
        dialogue, replies = self.dialogue(kept.trajectory)
        learn = [self._imitated(reply, kept.learn) for reply in replies]
        return [
            self._sample(prompt, replies[last], first, learn[: last + 1])
            for first, last, prompt in self._stretches(dialogue, replies)
        ]

    def _imitated(self, reply: Reply, learn: frozenset[int]) -> bool:
        """Not what the model could not have said: replies over its limit, special tokens, lone surrogates."""
        sayable = harmless(reply.text, self.specials) == reply.text == _printable(reply.text)
        return reply.turn in learn and sayable and self.vlm.counter.text(reply.text) <= self.vlm.options.max_tokens

    def _stretches(self, dialogue: Sequence[Message], replies: Sequence[Reply]) -> Iterator[tuple[int, int, Prompt]]:
        """(first reply, last reply, the prompt of the last reply) of each stretch."""
        ends = [place for place, message in enumerate(dialogue) if message.role == "assistant"]
        last = self.prompt(dialogue[: ends[-1]])
        if not (last.images_dropped or last.passages_shortened or last.replies_shortened):
            # What is once left out stays left out: so nothing ever was, and all prompts were beginnings of this one.
            yield 0, len(ends) - 1, last
            return
        prompts = [*(self.prompt(dialogue[:end]) for end in ends[:-1]), last]
        first = 0
        for number, prompt in enumerate(prompts):
            if number + 1 == len(prompts) or not _appends(prompt, replies[number], prompts[number + 1]):
                yield first, number, prompt
                first = number + 1

    def _sample(self, prompt: Prompt, reply: Reply, first: int, learn: Sequence[bool]) -> Sample:
        sent = [*prompt.messages, ChatMessage("assistant", (_printable(reply.text),))]
        flags, number = [], 0
        for message in sent:
            flags.append(message.role == "assistant" and number >= first and learn[number])
            number += message.role == "assistant"
        return Sample(sent, flags, prompt.tokens + self.vlm.counter.text(reply.text))

    def text(self, text: str) -> str:
        """A text as the model's tokenizer gets it."""
        return harmless(_printable(text), self.specials)

    def rows(self, sent: Sequence[ChatMessage], learn: Sequence[bool]) -> tuple[list[Row], list[ChatImage]]:
        """Messages as they stand in a file, and their pictures in order."""
        told, pictures = [], []
        for message, flag in zip(sent, learn, strict=True):
            content: list[Row] = []
            for part in message.parts:
                if isinstance(part, ChatImage):
                    pictures.append(part)
                    content.append({"type": "image", "text": None})
                else:
                    content.append({"type": "text", "text": harmless(part, self.specials)})
            told.append({"role": message.role, "content": content, "learn": flag})
        return told, pictures


def _replied(records: Sequence[Record]) -> list[Record]:
    """The records up to the last reply."""
    last = max(place for place, record in enumerate(records) if isinstance(record, Reply))
    return list(records[: last + 1])


def _appends(prompt: Prompt, reply: Reply, following: Prompt) -> bool:
    """Whether the next prompt is this one, the reply, and what came of it."""
    begun = [*prompt.messages, ChatMessage("assistant", (_printable(reply.text),))]
    return list(following.messages[: len(begun)]) == begun


def _printable(text: str) -> str:
    """As `rendered` sends it."""
    return text.encode("utf-8", "replace").decode("utf-8")


class Pictures:
    """A folder of pictures, each stored once under the hash of its file's bytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: set[str] = set()
        folder.mkdir(parents=True)

    def __len__(self) -> int:
        return len(self._names)

    def put(self, picture: ChatImage) -> str:
        """Its name with the folder's. Raises OSError for bytes that are no whole picture."""
        ending = next((end for magic, end in _FORMATS.items() if picture.data.startswith(magic)), None)
        if ending is None:
            raise OSError("a picture is neither PNG nor JPEG")
        name = hashlib.sha256(picture.data).hexdigest()[:32] + ending
        if name not in self._names:
            _check(picture.data)
            (self.folder / name).write_bytes(picture.data)
            self._names.add(name)
        return f"{self.folder.name}/{name}"


def _check(data: bytes) -> None:
    """A file that is passed on as it lay there has not been decoded yet. A PNG's checksums tell as much, and faster."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.format == "PNG":
                image.verify()
            else:
                image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise OSError(f"a picture cannot be decoded ({error})") from error
