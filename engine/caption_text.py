"""What counts as a picture's caption, whatever format it comes from."""

import json
from collections.abc import Iterable
from typing import NamedTuple

CAPTION_LIMIT = 1 << 20
"""Bytes of the longest .txt or .json that is read for a caption: more is something else."""


class Captioned(NamedTuple):
    """How many entries of a dataset have a caption, and how many have none that can be used."""

    having: int
    lacking: int

    @classmethod
    def of(cls, captions: Iterable[str | None]) -> "Captioned":
        """Counted over the captions of all entries."""
        total = lacking = 0
        for text in captions:
            total += 1
            lacking += text is None
        return cls(total - lacking, lacking)


def tidy(text: object) -> str | None:
    """A caption without blanks around it; None for what is no text, blank, or cannot be written as UTF-8.

    JSON can spell halves of characters (\\ud800), which no tokenizer takes.
    """
    if not isinstance(text, str):
        return None
    stripped = text.strip()
    try:
        stripped.encode()
    except UnicodeEncodeError:
        return None
    return stripped or None


def caption_in_text(data: bytes) -> str | None:
    """The caption that a .txt holds: UTF-8, with or without byte order mark; None if it is blank or not UTF-8."""
    try:
        return tidy(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return None


def caption_in_json(data: bytes) -> str | None:
    """The text under "caption" of a .json; None where there is none, or the JSON is damaged."""
    try:
        found = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return tidy(found.get("caption")) if isinstance(found, dict) else None
