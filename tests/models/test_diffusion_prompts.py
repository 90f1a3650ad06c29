"""Prompts that are too long: cut at a word, by what the encoders read, and told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from maia.models.diffusion.prompts import fit_prompt, window
from maia.models.diffusion.tokenizers import tiny_clip_tokenizer, tiny_t5_tokenizer
from maia.models.errors import ExperimentError

CLIP = tiny_clip_tokenizer()
WORDS = st.lists(st.text("abcdefgh", min_size=1, max_size=12), min_size=1, max_size=40)


@pytest.mark.parametrize("text", ["", " \n\t", None, 3])
def test_an_empty_prompt_is_an_error_for_the_backbone(text):
    with pytest.raises(ExperimentError, match="instruction is empty"):
        fit_prompt(text, [(CLIP, 77)], "instruction")


def test_characters_that_are_no_text_are_an_error_for_the_backbone():
    with pytest.raises(ExperimentError, match="no text"):
        fit_prompt("a dog \ud800", [(CLIP, 77)], "prompt")


@given(words=WORDS, limit=st.integers(8, 77))
def test_whole_words_are_kept_as_long_as_they_fit_and_no_longer(words, limit):
    text = " ".join(words)
    kept, note = fit_prompt(text, [(CLIP, limit)], "prompt")
    # The tokenizer reads letter by letter, and two special tokens.
    letters = [sum(map(len, words[:count])) + 2 for count in range(len(words) + 1)]
    fitting = max(count for count, tokens in enumerate(letters) if tokens <= limit)
    if fitting == len(words):
        assert (kept, note) == (text, "")
    else:
        assert kept == (" ".join(words[:fitting]) if fitting else words[0])
        assert f"reads {limit} tokens" in note
        assert fitting == 0 or repr(" ".join(words[fitting:]))[1:20] in note


def test_a_prompt_is_cut_at_what_the_longest_reader_reads():
    text = " ".join(["word"] * 30)
    kept, note = fit_prompt(text, [(CLIP, 22), (CLIP, 62)], "prompt")
    assert "reads 62 tokens" in note
    assert kept == " ".join(["word"] * 15)
    assert fit_prompt(text, [(CLIP, 22), (CLIP, 200)], "prompt") == (text, "")


def test_a_word_that_fits_nowhere_is_kept_and_told():
    kept, note = fit_prompt("w" * 100 + " and more", [(CLIP, 77)], "prompt")
    assert kept == "w" * 100
    assert "only the beginning" in note and "and more" in note


def test_the_window_is_the_least_of_what_is_known():
    class Encoder:
        class config:
            max_position_embeddings = 40

    assert window(CLIP, Encoder(), None) == 40
    assert window(CLIP, None, None) == 77
    t5 = tiny_t5_tokenizer(300)
    assert window(t5, None, 256) == 256
    assert window(t5, None, None) == 300
