"""Concepts as texts: which tokens are the concept's own, and what cannot be asked."""

from functools import cache
from typing import Any

import pytest
from maia.models.detectors.architectures import vocabulary
from maia.models.detectors.phrases import LENGTH_STEP, MARKS, padded, phrase_of, wrong_marks
from maia.models.errors import UserError
from tiny_detector import WORDS


@cache
def tokenizer(**entries: int) -> Any:
    from transformers import BertTokenizerFast

    return BertTokenizerFast(vocab=vocabulary(WORDS) | entries, do_lower_case=True)


def pieces(concept: str, limit: int = 32) -> tuple[list[str], list[str]]:
    """All tokens of the text, and those of the concept."""
    phrase = phrase_of(tokenizer(), concept, limit)
    tokens = tokenizer().convert_ids_to_tokens(list(phrase.ids))
    return tokens, [tokens[place] for place in phrase.tokens]


@pytest.mark.parametrize(
    ("concept", "own"),
    [
        ("dog", ["dog"]),
        ("car window", ["car", "window"]),
        ("snowboard", ["snow", "##board"]),
        ("snowboard window", ["snow", "##board", "window"]),
        ("cat", ["c", "##a", "##t"]),
        ("  Car\tWINDOW ", ["car", "window"]),
        ("naïve dog", ["n", "##a", "##i", "##v", "##e", "dog"]),
        ("dog [SEP]", ["dog", "s", "##e", "##p"]),  # brackets are unknown, and no special token gets through
        ("犬 dog", ["dog"]),
    ],
)
def test_the_concept_s_own_tokens(concept: str, own: list[str]) -> None:
    tokens, found = pieces(concept)
    assert found == own
    assert (tokens[0], tokens[-2], tokens[-1]) == ("[CLS]", ".", "[SEP]")
    assert tokens.count("[SEP]") == tokens.count(".") == 1


@pytest.mark.parametrize(
    ("concept", "says"),
    [
        ("", "holds no word"),
        (" \t", "holds no word"),
        ("-- !", "holds no word"),
        ("...", "holds no word"),
        ("dog. cat", "holds '.'"),
        ("dog?", "holds '?'"),
        ("犬", "knows nothing"),
        ("dog " * 40, "reads 32 at most"),
    ],
)
def test_what_cannot_be_asked_is_quoted(concept: str, says: str) -> None:
    with pytest.raises(UserError, match="write") as caught:
        pieces(concept)
    assert says in str(caught.value)
    assert repr(concept) in str(caught.value)


def test_the_longest_text_is_the_limit() -> None:
    assert len(phrase_of(tokenizer(), "dog " * 5, 8).ids) == 8
    with pytest.raises(UserError, match="9 tokens"):
        phrase_of(tokenizer(), "dog " * 6, 8)


def test_padding_depends_on_the_concept_alone() -> None:
    short, long = phrase_of(tokenizer(), "dog", 32), phrase_of(tokenizer(), "dog " * 6, 32)
    ids, mask = padded(short, 0)
    assert (len(ids), len(mask), sum(mask)) == (LENGTH_STEP, LENGTH_STEP, 4)
    assert ids[:4] == list(short.ids)
    assert set(ids[4:]) == {0}
    assert (short.length, long.length) == (LENGTH_STEP, 2 * LENGTH_STEP)


def test_a_tokenizer_that_the_model_would_not_understand_is_seen() -> None:
    assert wrong_marks(tokenizer()) == {}
    swapped = tokenizer(**{".": MARKS["?"], "?": MARKS["."]})
    assert wrong_marks(swapped) == {".": MARKS["?"], "?": MARKS["."]}
