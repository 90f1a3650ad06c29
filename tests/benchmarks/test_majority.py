"""Exemplar-majority: what counts as a word, how ties fall, and that only the highlighted region counts."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from fakes import UNIT, services
from hypothesis import given
from hypothesis import strategies as st
from maia.agent.backbones.scripted.evidence import ATOMS
from maia.agent.services import running
from maia.benchmarks.baselines.controls import random_label
from maia.benchmarks.baselines.majority import (
    NOTHING,
    exemplar_majority_label,
    majority,
    open_words,
    vocabulary_words,
)


@given(st.lists(st.sets(st.sampled_from(ATOMS[:9] + ATOMS[-9:]), max_size=4), max_size=15))
def test_the_most_frequent_word_wins_and_ties_go_by_the_vocabulary(sets: list[set[str]]) -> None:
    lines = [f"a {', a '.join(sorted(words))}; darkened: a dog" for words in sets]
    counts = {word: sum(word in words for words in sets) for word in ATOMS}
    expected = max(ATOMS, key=lambda word: (counts[word], -ATOMS.index(word)))
    assert majority(lines) == (expected if counts[expected] else NOTHING)


def test_the_darkened_rest_does_not_count() -> None:
    lines = ["a red plain ball; background: snow; darkened: a blue plain dog"] * 2 + ["a blue dotted cat"]
    assert vocabulary_words(lines[0]) == ["ball", "red", "snow"]
    assert majority(lines) == "ball"
    assert majority(["nothing is highlighted; darkened: a dog"]) == NOTHING
    assert majority([]) == NOTHING


def test_free_english_is_counted_word_by_word() -> None:
    lines = ["The bright region shows a dog's furry ears.", "Furry ears of a fox, and ears again.", "A furry coat"]
    assert open_words(lines[1]) == ["furry", "ears", "fox", "again"]
    assert majority(lines, open_words, ()) == "furry"
    assert majority(["ears of fur", "fur on ears"], open_words, ()) == "ears"  # a tie: as it was read
    assert majority(["ears of fur", "fur on ears"], open_words, ("fur",)) == "fur"
    assert majority(["in the region", ""], open_words, ()) == NOTHING


@pytest.mark.parametrize("exemplars", [True, False])
def test_a_units_exemplars_are_masked_and_described(tmp_path: Path, exemplars: bool) -> None:
    own = services(tmp_path)
    if not exemplars:
        index: Any = own.index
        index.entries = lambda unit, k=15: []

    async def label() -> str:
        async with running([own]), own.scheduler.agent("test"):
            return await exemplar_majority_label(own, UNIT)

    # The flat describer's lines are "red 255", "red 254" …
    assert asyncio.run(label()) == ("red" if exemplars else NOTHING)


def test_a_random_label_is_the_seeds() -> None:
    assert random_label(UNIT, 1) == random_label(UNIT, 1)
    assert len({random_label(UNIT, seed) for seed in range(20)}) > 5
