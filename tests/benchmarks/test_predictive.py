"""The score: what prompts a label becomes, and the intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from maia.agent.backbones.scripted.evidence import concepts_in, members_of
from maia.agent.backbones.scripted.hypotheses import SPACE, Hypothesis
from maia.benchmarks.quality.predictive import PROMPTS, bootstrap_difference, bootstrap_mean, read_label, write_prompts


@given(st.sampled_from(SPACE), st.integers(0, 10_000))
def test_positive_prompts_hold_the_label_and_neutral_ones_nothing_of_it(hypothesis: Hypothesis, seed: int) -> None:
    prompts = write_prompts(hypothesis.label, seed)
    assert prompts.drawable and len(prompts.positive) == len(prompts.neutral) == PROMPTS
    assert all(hypothesis.holds(concepts_in(prompt)) for prompt in prompts.positive)
    named = members_of(hypothesis.a) | (members_of(hypothesis.b) if hypothesis.b else frozenset())
    assert not any(named & concepts_in(prompt) for prompt in prompts.neutral)
    if hypothesis.kind == "or":
        for side in (hypothesis.a, hypothesis.b):
            assert sum(bool(members_of(side) & concepts_in(prompt)) for prompt in prompts.positive) >= PROMPTS // 2
    assert write_prompts(hypothesis.label, seed) == prompts


@pytest.mark.parametrize(
    ("label", "read"),
    [
        ("dog", Hypothesis("single", "dog")),
        ("striped", Hypothesis("single", "striped")),
        ("dog OR red", Hypothesis("or", "dog", "red")),
        ("dog given snow", Hypothesis("given", "dog", "snow")),
        ("furry things such as a dog", Hypothesis("given", "dog", "furry")),
    ],
)
def test_labels_are_read(label: str, read: Hypothesis) -> None:
    assert read_label(label) == read


def test_a_label_outside_the_world_scores_as_a_random_one_and_is_marked() -> None:
    prompts = write_prompts("melancholy", 1)
    assert not prompts.drawable
    assert len(set(prompts.positive + prompts.neutral)) == 2 * PROMPTS


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=9), st.lists(st.floats(-5, 5), min_size=2, max_size=9))
def test_the_interval_lies_within_what_resampling_can_give(a: list[float], b: list[float]) -> None:
    low, high = bootstrap_difference(a, b, 3)
    assert min(a) - max(b) - 1e-9 <= low <= high <= max(a) - min(b) + 1e-9
    assert bootstrap_difference(a, b, 3) == (low, high)


def test_intervals_cover_the_true_mean_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        low, high = bootstrap_mean(rng.normal(1.0, 1.0, size=40), seed=trial)
        covered += low <= 1.0 <= high
    assert 0.88 <= covered / 200 <= 0.99
