"""Dialogues with pictures for vision-language models."""

import io

import numpy as np
from maia.models.vlm.chat import ChatImage, ChatMessage, ChatRequest, Sampling
from PIL import Image

GREEDY = Sampling(temperature=0.0, max_tokens=12)
WARM = Sampling(temperature=1.2, top_p=0.9, max_tokens=12)


def picture(seed: int, width: int = 60, height: int = 40) -> ChatImage:
    """Noise in 8 x 8 blocks, as a PNG."""
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((width, height)).save(file, "PNG")
    return ChatImage(file.getvalue(), width, height)


def user(*parts: str | ChatImage) -> ChatMessage:
    """A user's message."""
    return ChatMessage("user", parts)


def assistant(text: str) -> ChatMessage:
    """The model's."""
    return ChatMessage("assistant", (text,))


def dialogues(first: int = 1) -> list[tuple[ChatMessage, ...]]:
    """Without pictures, with one, with three of different sizes, and over several turns.

    first: the pictures' seeds are this and those after it.
    """
    system = ChatMessage("system", ("Be brief.",))
    return [
        (user("Which images make the unit fire?"),),
        (system, user("What is this? ", picture(first))),
        (user("Compare ", picture(first + 1, 100, 30), " with ", picture(first + 2, 64, 64), picture(first, 30, 90)),),
        (user("First", picture(first)), assistant("A dog."), user("And this?", picture(first + 3)), assistant("A cat."),
         user("So which concept is it? " * 5)),
    ]  # fmt: skip


def requests(sampling: Sampling, grammar: str | None = None, first: int = 1) -> list[ChatRequest]:
    """These dialogues, each with a seed of its own."""
    return [ChatRequest(messages, 7 + i, sampling, grammar) for i, messages in enumerate(dialogues(first))]
