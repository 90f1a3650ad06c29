"""How many tokens a text, a picture and a message cost: exact where the checkpoint is at hand, estimated elsewhere."""

import functools
import math
import re
from collections.abc import Callable, Sequence
from typing import Protocol

from .chat import ChatImage, ChatMessage
from .checkpoint import Checkpoint, load_tokenizer
from .families import Family
from .images import RULES, image_values
from .templates import QUESTION, REPLY, SYSTEM, ChatTemplate

_REMEMBERED = 4096
"""Texts whose counts are kept: a dialogue's older messages are counted again on every turn."""


class TokenCounter(Protocol):
    """message: tokens that each message costs beside its parts, what begins and ends a prompt included, for dialogues
    that begin with a system message where the template takes one. exact: whether texts and pictures are counted as the
    model does, or estimated (not below the truth for English and code)."""

    message: int
    exact: bool

    def text(self, text: str) -> int:
        """Tokens of a text."""
        ...

    def image(self, width: int, height: int) -> int:
        """Tokens of a picture of that size in pixels, with what is written around it."""
        ...


class _Counter:
    def __init__(
        self,
        text: Callable[[str], int],
        image: Callable[[int, int], int],
        message: int,
        exact: bool,
    ) -> None:
        self.text = functools.lru_cache(_REMEMBERED)(text)
        self.image = functools.lru_cache(_REMEMBERED)(image)
        self.message = message
        self.exact = exact


def counter_of(checkpoint: Checkpoint) -> TokenCounter:
    """Counts as the checkpoint's own tokenizer and processor do; needs neither torch nor transformers.

    A dialogue's tokens are the sum over its messages of `message` and their parts, or a few less: messages count by
    their mean, rounded up, and letters of neighbouring parts may become one token.
    """
    tokenizer = load_tokenizer(checkpoint.tokenizer, checkpoint.name)

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    family = checkpoint.family
    rule = RULES[family.image_rule]
    values = image_values(family, checkpoint.config, checkpoint.processor)
    around = count(values.get("around", "")) + _around_picture(checkpoint.template, count)
    begin = len(tokenizer.encode("", add_special_tokens=True).ids) if checkpoint.adds_special_tokens else 0
    return _Counter(
        count,
        lambda width, height: rule(width, height, values) + around,
        _message(checkpoint.template, count, begin),
        exact=True,
    )


def _around_picture(template: ChatTemplate, count: Callable[[str], int]) -> int:
    """Tokens that the template writes around a picture; its placeholder, one token, becomes the picture's."""
    picture = ChatImage(b"", 1, 1)
    # Two and one, so that what follows a picture is the same in both.
    two, one = (count(template.render([ChatMessage("user", (*[picture] * n, QUESTION))])) for n in (2, 1))
    return two - one - 1


def _message(template: ChatTemplate, count: Callable[[str], int], begin: int) -> int:
    """Tokens per message beside its parts: the most, over dialogues such as ours, of their mean over the messages.

    begin: tokens that the tokenizer puts before the prompt.
    """
    first = [ChatMessage("system", (SYSTEM,))] if template.takes_system else []
    turn = [ChatMessage("user", (QUESTION,)), ChatMessage("assistant", (REPLY,))]
    dialogues: list[Sequence[ChatMessage]] = [[*first, *turn * turns, turn[0]] for turns in range(3)]
    means = []
    for dialogue in dialogues:
        texts = [part for message in dialogue for part in message.parts if isinstance(part, str)]
        beside = begin + count(template.render(dialogue)) - sum(count(text) for text in texts)
        means.append(math.ceil(beside / len(dialogue)))
    # One more: where a text meets what the template writes, letters may be cut otherwise than alone.
    return max(means) + 1


_PIECE = re.compile(r"[A-Za-z]+|[^\S\n]+|[^\x00-\x7f]|.", re.DOTALL)
_LETTERS = 4
"""Of words, these many letters are a token at least in the mean, over words that are rare too."""
_SPACES = 4
"""Single spaces that cost a token: most are a part of the word that follows."""
_MESSAGE = 16
"""Tokens: the longest frame of a message, of LLaVA-NeXT's system message."""
_AROUND = 4
"""Tokens around a picture."""
_SPECIAL = re.compile(r"<\w+>")


def estimate(family: Family) -> TokenCounter:
    """For a model whose files are elsewhere: above the truth for English and code, by a third or so."""
    rule = RULES[family.image_rule]
    values = family.image_values
    around = _AROUND + estimated_tokens(_SPECIAL.sub("1", values.get("around", "")))
    return _Counter(
        estimated_tokens,
        lambda width, height: rule(width, height, values) + around,
        _MESSAGE,
        exact=False,
    )


def estimated_tokens(text: str) -> int:
    """Tokens of a text for a tokenizer of 32,000 entries or more, rather too many.

    A run of letters is a token for every four of them; a digit, a sign, a line's end and a run of spaces are one each;
    characters of other scripts are as many as their bytes.
    """
    total, spaces = 0, 0
    for piece in _PIECE.findall(text):
        if piece == " ":
            spaces += 1
        elif not piece.isascii():
            total += len(piece.encode("utf-8", errors="surrogatepass"))
        else:
            total += math.ceil(len(piece) / _LETTERS) if piece.isalpha() else 1
    return total + math.ceil(spaces / _SPACES)
