"""What a backbone is: messages with text and images in, text out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol


@dataclass(frozen=True)
class Picture:
    """An image of a message: the file, what the experiment called it, and the unit's activation if it was logged."""

    path: Path
    title: str
    activation: float | None = None


@dataclass(frozen=True)
class Passage:
    """A text that may be shortened once it is old and the context is full. short: what is then left of it."""

    text: str
    short: str


Part = str | Passage | Picture


@dataclass(frozen=True)
class Message:
    """One message of the dialogue. parts: text and pictures in reading order."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The text parts in full, joined by line breaks."""
        texts = [
            part.text if isinstance(part, Passage) else part for part in self.parts if not isinstance(part, Picture)
        ]
        return "\n".join(texts)


class Backbone(Protocol):
    """Writes the next reply of a dialogue."""

    name: str

    async def reply(self, messages: Sequence[Message], seed: int, grammar: str | None = None) -> str:
        """The assistant's next message. The same messages and seed give the same reply where the model allows it.

        grammar: EBNF of the replies that can be read, for backbones that can be held to one. Raises UserError when the
        model cannot be reached at all, any other exception when only this reply cannot be had.
        """
        ...
