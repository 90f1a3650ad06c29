"""What a backbone is: messages with text and images in, text out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol


@dataclass(frozen=True)
class Picture:
    """An image of a message: the file, and what the experiment called it."""

    path: Path
    title: str


@dataclass(frozen=True)
class Message:
    """One message of the dialogue. parts: text and pictures in reading order."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[str | Picture, ...]

    @property
    def text(self) -> str:
        """The text parts, joined by line breaks."""
        return "\n".join(part for part in self.parts if isinstance(part, str))


class Backbone(Protocol):
    """Writes the next reply of a dialogue."""

    name: str

    async def reply(self, messages: Sequence[Message], seed: int) -> str:
        """The assistant's next message. The same messages and seed give the same reply where the model allows it.

        Raises UserError when the model cannot be reached at all.
        """
        ...
