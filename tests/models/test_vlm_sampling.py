"""How tokens are drawn: from the right distribution, by each row's own numbers."""

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st
from maia.models.vlm.chat import Sampling
from maia.models.vlm.sampling import Row, RowLimits, RowSampling, distribution, draw, uniforms
from scipy.stats import chisquare
from transformers import TemperatureLogitsWarper, TopPLogitsWarper

CPU = torch.device("cpu")
logits = st.lists(st.floats(-20, 20), min_size=2, max_size=12)


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@given(logits, st.floats(0.05, 5.0))
def test_without_top_p_it_is_the_tempered_softmax(scores, temperature):
    found = distribution(torch.tensor([scores]), tensor(temperature), tensor(1.0))
    expected = torch.softmax(torch.tensor([scores]).double() / temperature, -1)
    assert torch.allclose(found, expected, atol=1e-12)


@given(
    st.lists(st.integers(-60, 60), min_size=2, max_size=12, unique=True), st.floats(0.3, 3.0), st.floats(0.05, 0.999)
)
def test_top_p_keeps_what_transformers_keeps(scores, temperature, top_p):
    rows = torch.tensor([scores], dtype=torch.float64) / 4
    found = distribution(rows, tensor(temperature), tensor(top_p))
    warped = TopPLogitsWarper(top_p)(None, TemperatureLogitsWarper(temperature)(None, rows))
    expected = torch.softmax(warped, -1)
    # Where a sum meets top_p to the last bits, one of the two may keep a token more.
    ordered = torch.softmax(rows / temperature, -1).sort(descending=True).values.cumsum(-1)
    if (ordered - top_p).abs().min() > 1e-9:
        assert torch.allclose(found, expected, atol=1e-9)
    assert found.argmax() == rows.argmax() and abs(float(found.sum()) - 1) < 1e-9


def frequencies(scores: list[float], sampling: Sampling, seeds: int) -> torch.Tensor:
    """How often each token came first, over so many rows, each with a seed of its own."""
    rows = [Row(sampling, seed, 4) for seed in range(seeds)]
    batch = torch.tensor([scores]).repeat(seeds, 1)
    chosen = RowSampling(rows, 3, 0, CPU)(torch.zeros(seeds, 3, dtype=torch.long), batch).argmax(-1)
    return torch.bincount(chosen, minlength=len(scores))


def test_tokens_come_as_often_as_their_probabilities_say():
    scores = [1.0, 0.3, -0.5, 2.0, float("-inf"), -2.0, 0.0]
    seeds = 20_000
    for sampling in (Sampling(1.0, 1.0), Sampling(0.5, 1.0), Sampling(1.3, 0.8)):
        expected = distribution(torch.tensor([scores]), tensor(sampling.temperature), tensor(sampling.top_p))[0]
        counts = frequencies(scores, sampling, seeds)
        possible = expected > 0
        assert not counts[~possible].any()
        assert chisquare(counts[possible].numpy(), (expected[possible] * seeds).numpy()).pvalue > 1e-4
    # The check can fail: another temperature is told apart.
    wrong = distribution(torch.tensor([scores]), tensor(0.9), tensor(1.0))[0]
    possible = wrong > 0
    counts = frequencies(scores, Sampling(1.0, 1.0), seeds)
    assert chisquare(counts[possible].numpy(), (wrong[possible] * seeds).numpy()).pvalue < 1e-6


def test_the_tokens_of_one_row_are_independent_of_each_other():
    """Pairs of successive tokens, over the steps of many rows."""
    steps = 8
    pairs = torch.zeros(3, 3)
    rows = [Row(Sampling(1.0, 1.0), seed, steps) for seed in range(3000)]
    sampling = RowSampling(rows, 0, 0, CPU)
    scores = torch.tensor([[0.0, 0.7, -0.7]]).repeat(len(rows), 1)
    taken = [sampling(torch.zeros(len(rows), step, dtype=torch.long), scores).argmax(-1) for step in range(steps)]
    for before, after in itertools.pairwise(taken):
        pairs += torch.bincount(before * 3 + after, minlength=9).view(3, 3)
    single = distribution(scores[:1], tensor(1.0), tensor(1.0))[0]
    expected = single[:, None] * single[None] * pairs.sum()
    assert chisquare(pairs.flatten().numpy(), expected.flatten().numpy()).pvalue > 1e-4


@given(st.data())
def test_a_row_draws_the_same_in_any_batch(data):
    sampling = st.builds(Sampling, st.sampled_from([0.0, 0.3, 1.0, 2.0]), st.sampled_from([0.5, 0.9, 1.0]))
    row = st.builds(Row, sampling, st.integers(0, 2**31 - 1), st.integers(1, 9))
    rows = data.draw(st.lists(row, min_size=2, max_size=5))
    width = 6
    scores = torch.tensor(
        data.draw(
            st.lists(st.lists(st.floats(-5, 5), min_size=width, max_size=width), min_size=len(rows), max_size=len(rows))
        )
    )
    step = data.draw(st.integers(0, min(row.limit for row in rows) - 1))
    ids = torch.zeros(len(rows), 2 + step, dtype=torch.long)
    together = RowSampling(rows, 2, 0, CPU)(ids, scores).argmax(-1)
    for number, row in enumerate(rows):
        alone = RowSampling([row], 2, 0, CPU)(ids[:1], scores[number : number + 1]).argmax(-1)
        assert alone[0] == together[number]
        if row.sampling.temperature == 0:
            assert alone[0] == scores[number].argmax()


def test_bounds_of_the_draw():
    probabilities = tensor(0.0, 0.25, 0.0, 0.75, 0.0)[None]
    below = torch.nextafter(torch.tensor(1.0, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64))
    for uniform, token in ((0.0, 1), (0.2499, 1), (0.25, 3), (float(below), 3), (1.0, 3)):
        assert draw(probabilities, tensor(uniform)).item() == token
    assert torch.equal(uniforms(5, 10), uniforms(5, 20)[:10]) and not torch.equal(uniforms(5, 10), uniforms(6, 10))


def test_rows_without_a_finite_score_end_and_are_told():
    rows = [Row(Sampling(temperature, 1.0), 1, 4) for temperature in (0.0, 1.0, 1.0, 0.0)]
    scores = torch.tensor([[float("-inf")] * 3, [0.0, float("nan"), 1.0], [0.0, 1.0, 2.0], [2.0, 1.0, 0.0]])
    sampling = RowSampling(rows, 1, 2, CPU)
    chosen = sampling(torch.zeros(4, 1, dtype=torch.long), scores).argmax(-1)
    assert sampling.dead == {0, 1} and chosen[:2].tolist() == [2, 2] and chosen[3] == 0


def test_every_row_ends_by_its_own_limit():
    rows = [Row(Sampling(), 1, limit) for limit in (1, 3)]
    stop = RowLimits(rows, 5, CPU)
    ended = [stop(torch.zeros(2, 5 + step, dtype=torch.long), None).tolist() for step in (1, 2, 3)]
    assert ended == [[True, False], [True, False], [True, True]]
