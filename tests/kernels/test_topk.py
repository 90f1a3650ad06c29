"""The running top-k: any order and split of the images gives what sorting all of them gives."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from maia.benchmarks.gpu.reference import topk_reference
from maia.kernels.empty import EMPTY_ID, EMPTY_KEY
from maia.kernels.topk import MAX_ID, empty_topk, join_topk, merge_topk, sort_key, unpack_key

SETTINGS = settings(deadline=None, max_examples=60)
# Few different values, so that ties are the rule.
VALUES = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, np.nan, -np.inf, np.inf]),
    st.floats(width=32, allow_nan=False),
)
CANDIDATES = arrays.arrays(np.float32, st.tuples(st.integers(0, 25), st.integers(1, 3)), elements=VALUES)


def run(candidates: np.ndarray, ids: np.ndarray, k: int, batches: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    values, held = empty_topk(candidates.shape[1], k)
    for rows in batches:
        before = set(held.flatten().tolist())
        merged = merge_topk(values, held, torch.from_numpy(candidates[rows]), torch.from_numpy(ids[rows]))
        assert merged.branch == "torch"
        values, held = merged.values, merged.ids
        for place, row in enumerate(rows):
            for unit in range(candidates.shape[1]):
                assert bool(merged.taken[place, unit]) == (int(ids[row]) in held[unit].tolist())
        assert set(held.flatten().tolist()) <= before | set(ids[rows].tolist()) | {EMPTY_ID}
    return values, held


@SETTINGS
@given(CANDIDATES, st.integers(1, 6), st.randoms())
def test_any_order_and_split_gives_the_brute_force_result(candidates: np.ndarray, k: int, random) -> None:
    count = len(candidates)
    ids = np.array(random.sample([*range(40), MAX_ID, MAX_ID - 1], count), dtype=np.int64)
    rows = list(range(count))
    random.shuffle(rows)
    batches = []
    while rows:
        size = random.randint(1, 7)
        batches.append(rows[:size])
        rows = rows[size:]
    values, held = run(candidates, ids, k, batches)
    expected_values, expected_ids = topk_reference(candidates.astype(np.float64), ids, k)
    assert np.array_equal(values.double().numpy(), expected_values)
    assert np.array_equal(held.numpy(), expected_ids)
    assert not torch.signbit(values[values == 0]).any()


@SETTINGS
@given(CANDIDATES, st.integers(1, 6), st.integers(0, 25))
def test_parts_join_to_the_whole(candidates: np.ndarray, k: int, cut: int) -> None:
    ids = np.arange(len(candidates))
    first = run(candidates[:cut], ids[:cut], k, [list(range(len(candidates[:cut])))])
    second = run(candidates[cut:], ids[cut:], k, [list(range(len(candidates[cut:])))])
    whole = run(candidates, ids, k, [list(range(len(candidates)))])
    for joined in (join_topk(*first, *second), join_topk(*second, *first)):
        assert torch.equal(joined[0], whole[0]) and torch.equal(joined[1], whole[1])


@SETTINGS
@given(st.lists(st.tuples(VALUES, st.integers(0, MAX_ID)), min_size=2, max_size=20))
def test_keys_order_as_pairs_do_and_unpack(pairs: list[tuple[float, int]]) -> None:
    values = torch.tensor([value for value, _ in pairs], dtype=torch.float32)
    ids = torch.tensor([identity for _, identity in pairs])
    keys = sort_key(values, ids)
    usable = values > -torch.inf
    assert torch.equal(keys == EMPTY_KEY, ~usable)
    back = unpack_key(keys)
    assert torch.equal(back[0][usable], values[usable]) and torch.equal(back[1][usable], ids[usable])
    assert (back[0][~usable] == -torch.inf).all() and (back[1][~usable] == EMPTY_ID).all()
    by_key = keys[usable].argsort(descending=True, stable=True)
    by_pair = sorted(range(int(usable.sum())), key=lambda i: (-values[usable][i].item(), ids[usable][i].item()))
    assert keys[usable][by_key].tolist() == keys[usable][by_pair].tolist()


def test_nothing_is_changed_in_place() -> None:
    values, ids = empty_topk(2, 3)
    batch = torch.randn(4, 2)
    copies = [tensor.clone() for tensor in (values, ids, batch)]
    merge_topk(values, ids, batch, torch.arange(4))
    assert all(torch.equal(now, before) for now, before in zip((values, ids, batch), copies, strict=True))


@pytest.mark.parametrize(
    ("batch", "batch_ids", "message"),
    [
        (torch.zeros(2, 3), torch.tensor([0, MAX_ID + 1]), "ids are 0"),
        (torch.zeros(2, 3), torch.tensor([0, -1]), "ids are 0"),
        (torch.zeros(2, 3), torch.zeros(2, dtype=torch.int32), "int64"),
        (torch.zeros(2, 3).half(), torch.arange(2), "float32"),
        (torch.zeros(2, 4), torch.arange(2), "batch"),
        (torch.zeros(3, 3), torch.arange(2), "batch"),
    ],
)
def test_wrong_arguments_are_refused(batch: torch.Tensor, batch_ids: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        merge_topk(*empty_topk(3, 2), batch, batch_ids)
