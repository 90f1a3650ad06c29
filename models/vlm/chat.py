"""What is asked of a vision-language model, and what it answers: of a server as of one in this process."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class ChatImage:
    """A picture of a message. data: bytes of its PNG or JPEG file; the same picture always has the same bytes, so that
    a server recognises it. width, height: pixels."""

    data: bytes
    width: int
    height: int


@dataclass(frozen=True)
class ChatMessage:
    """One message. parts: texts and pictures in reading order."""

    role: Role
    parts: tuple[str | ChatImage, ...]


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen. temperature 0: the most likely one always. max_tokens: of the answer at most."""

    temperature: float = 0.7
    top_p: float = 0.95
    max_tokens: int = 1536


@dataclass(frozen=True, eq=False)
class ChatRequest:
    """A dialogue to be gone on with. It ends with a user's message. Answer: ChatReply.

    seed: 31 bits; the same request gives the same answer where the model allows it. grammar: EBNF as xgrammar reads it
    (GBNF), which the answer follows; None: any text.
    """

    messages: Sequence[ChatMessage]
    seed: int
    sampling: Sampling = Sampling()
    grammar: str | None = None


@dataclass(frozen=True)
class ChatReply:
    """text: without special tokens. finish: "length" if max_tokens or the context ended it. cached_tokens: of the
    prompt, those that were not computed again; None where that is not known."""

    text: str
    finish: Literal["stop", "length"]
    prompt_tokens: int
    answer_tokens: int
    cached_tokens: int | None = None


class ContextOverflow(Exception):
    """The request is longer than the model reads: ask again with less. limit: tokens, None if not told."""

    def __init__(self, message: str, limit: int | None = None) -> None:
        super().__init__(message)
        self.limit = limit


class RequestFailed(Exception):
    """This one request cannot be answered; others can."""
