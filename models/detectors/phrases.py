"""A concept as the text that Grounding DINO is asked, and which of the text's tokens are the concept's own."""

from dataclasses import dataclass
from typing import Any

from ..errors import UserError

SEPARATORS = ".?"
"""End a phrase in Grounding DINO's texts: the model separates what stands on either side."""

MARKS = {"[CLS]": 101, "[SEP]": 102, ".": 1012, "?": 1029}
"""Tokens whose numbers are built into Grounding DINO, as in BERT's uncased vocabulary: it sees phrases by them."""

LENGTH_STEP = 8
"""Texts are padded to multiples of this many tokens, so that concepts of like length share a batch. How long a text
becomes depends on its concept alone."""


@dataclass(frozen=True)
class Phrase:
    """ids: of the text "concept." with the marks around it. tokens: positions of the concept's own pieces that the
    vocabulary knows. length: of the padded text."""

    concept: str
    ids: tuple[int, ...]
    tokens: tuple[int, ...]

    @property
    def length(self) -> int:
        return -(-len(self.ids) // LENGTH_STEP) * LENGTH_STEP


def phrase_of(tokenizer: Any, concept: str, limit: int) -> Phrase:
    """The text that asks for one concept: it alone, as phrases of one text change each other's scores.

    tokenizer: of BERT's kind (transformers). limit: tokens of a text, with its marks, at most. Raises UserError that
    quotes the concept for one that is empty or only punctuation, that holds a separator, that is too long, or of which
    the vocabulary knows nothing.
    """
    words = " ".join(concept.lower().split())
    if not any(character.isalnum() for character in words):
        raise UserError(
            f"the concept {concept!r} holds no word: write what is to be found, such as 'dog' or 'car window'."
        )
    found = [mark for mark in SEPARATORS if mark in words]
    if found:
        raise UserError(
            f"the concept {concept!r} holds {found[0]!r}, which separates concepts: write one concept without it, and "
            "several as several concepts."
        )
    ids = [int(number) for number in tokenizer(f"{words}.", add_special_tokens=True)["input_ids"]]
    if len(ids) > limit:
        raise UserError(
            f"the concept {concept!r} has {len(ids)} tokens, and the detector reads {limit} at most: write a "
            "shorter one."
        )
    # Between [CLS] before it, "." and [SEP] behind it. What is unknown is one token for whatever it may be.
    known = tuple(place for place in range(1, len(ids) - 2) if ids[place] != tokenizer.unk_token_id)
    if not known:
        raise UserError(
            f"the detector's vocabulary knows nothing of the concept {concept!r}: write it in English, in lower case."
        )
    return Phrase(concept, tuple(ids), known)


def wrong_marks(tokenizer: Any) -> dict[str, int | None]:
    """Those of MARKS that the tokenizer numbers otherwise, with its own numbers: the model would not see them."""
    found = {mark: tokenizer.convert_tokens_to_ids(mark) for mark in MARKS}
    return {mark: number for mark, number in found.items() if number != MARKS[mark]}


def padded(phrase: Phrase, pad: int) -> tuple[list[int], list[int]]:
    """(ids, attention mask), both of `phrase.length`: 1 for tokens, 0 for padding."""
    missing = phrase.length - len(phrase.ids)
    return [*phrase.ids, *[pad] * missing], [*[1] * len(phrase.ids), *[0] * missing]
