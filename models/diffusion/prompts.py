"""Prompts that are longer than what the text encoders read: cut at a word, and told."""

from typing import Any

from ..errors import ExperimentError

UNLIMITED = 100_000
"""Tokenizers that were saved without a length report a number beyond this."""

SHOWN = 60
"""Letters of the unread words that a note shows."""


def window(tokenizer: Any, encoder: Any, sequence: int | None) -> int:
    """Tokens that a text encoder reads, special ones among them.

    The least of the tokenizer's length, the encoder's number of positions and `sequence` (what the pipeline reads of
    an encoder without fixed positions), as far as they are known.
    """
    positions = getattr(getattr(encoder, "config", None), "max_position_embeddings", None)
    limits = [tokenizer.model_max_length, positions if positions is not None else sequence]
    known = [limit for limit in limits if limit is not None and limit < UNLIMITED]
    return min(known) if known else UNLIMITED


def fit_prompt(text: str, readers: list[tuple[Any, int]], what: str) -> tuple[str, str]:
    """(the prompt that is drawn, a note about what was left out or ""). readers: tokenizers with their windows.

    The rule: as many whole words are kept as at least one of the encoders reads to their end; each encoder then reads
    of these what fits its window. A first word that fits nowhere is kept, and only its beginning is read. Raises
    ExperimentError for an empty prompt and for lone surrogates; what: "prompt" or "instruction", for messages.
    """
    if not isinstance(text, str) or not text.strip():
        raise ExperimentError(f"the {what} is empty: say in words what is to be seen.")
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        raise ExperimentError(f"the {what} holds characters that are no text ({problem.reason}).") from problem
    if not readers or any(_fits(text, *reader) for reader in readers):
        return text, ""
    words = text.split()
    kept = max(_most_words(words, *reader) for reader in readers)
    longest = max(limit for _, limit in readers)
    reads = f"the image model reads {longest} tokens of a {what}"
    if kept == 0:
        left = f"; not read: {_shown(' '.join(words[1:]))!r}" if len(words) > 1 else ""
        return words[0], f"{reads}; of the first word only the beginning was read{left}"
    return " ".join(words[:kept]), f"{reads}; not read: {_shown(' '.join(words[kept:]))!r}"


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _fits(text: str, tokenizer: Any, limit: int) -> bool:
    return len(tokenizer(text, truncation=False, verbose=False).input_ids) <= limit


def _most_words(words: list[str], tokenizer: Any, limit: int) -> int:
    """The greatest number of words that fit: more words are never fewer tokens."""
    low, high = 0, len(words)
    while low < high:
        middle = (low + high + 1) // 2
        if _fits(" ".join(words[:middle]), tokenizer, limit):
            low = middle
        else:
            high = middle - 1
    return low
