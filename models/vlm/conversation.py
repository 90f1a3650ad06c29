"""A dialogue as chat templates of transformers take it."""

import io
from collections.abc import Collection, Sequence
from typing import Any

from PIL import Image

from .chat import ChatImage, ChatMessage, RequestFailed


def conversation(
    messages: Sequence[ChatMessage], system_role: bool, specials: Collection[str] = ()
) -> tuple[list[dict[str, Any]], list[Image.Image]]:
    """Messages for `apply_chat_template`, with all contents as lists of parts in reading order, and the pictures (RGB)
    in the order of their places.

    system_role: whether the template takes system messages; else their text heads the first user's message. specials:
    see `harmless`. Raises RequestFailed for a picture that cannot be read.
    """
    pictures: list[Image.Image] = []
    told: list[dict[str, Any]] = []
    waiting: list[dict[str, Any]] = []
    for message in messages:
        parts = []
        for part in message.parts:
            if isinstance(part, ChatImage):
                pictures.append(_picture(part))
                parts.append({"type": "image"})
            else:
                parts.append({"type": "text", "text": harmless(part, specials)})
        if message.role == "system" and not system_role:
            waiting += [*parts, {"type": "text", "text": "\n\n"}]
            continue
        if message.role == "user":
            parts, waiting = [*waiting, *parts], []
        told.append({"role": message.role, "content": parts})
    if waiting:
        told.append({"role": "user", "content": waiting[:-1]})
    return told, pictures


def harmless(text: str, specials: Collection[str]) -> str:
    """The text without the tokenizer's special tokens, each broken by a space after its first character.

    A model that writes "<image>" would else claim a picture that is not there, as soon as its reply is read back.
    """
    for token in specials:
        if len(token) > 1 and token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def _picture(image: ChatImage) -> Image.Image:
    try:
        with Image.open(io.BytesIO(image.data)) as picture:
            return picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as problem:
        raise RequestFailed(f"a picture of the request cannot be read ({problem})") from problem
