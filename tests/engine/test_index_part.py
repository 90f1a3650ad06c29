"""Combining parts of an index: the same result in any grouping and order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from maia.engine.index_part import LayerPart, SparseCounts, best_rows, combine
from maia.kernels.sketch import BINS

UNITS, K = 3, 4


def part_of(images: list[tuple[int, list[float]]]) -> LayerPart:
    """The part of (id, activation of each unit); the map of (id, unit) holds both numbers."""
    rows = [(u, i, values[u]) for i, values in images for u in range(UNITS)]
    units, ids = np.array([r[0] for r in rows], np.int32), np.array([r[1] for r in rows], np.int64)
    values = np.array([r[2] for r in rows], np.float32)
    chosen = best_rows(units, values, ids, K)
    units, ids, values = units[chosen], ids[chosen], values[chosen]
    table = np.array([v for _, v in images], np.float32).reshape(-1, UNITS)
    at = [u * BINS + int(10 + v) for _, vs in images for u, v in enumerate(vs)]
    counts = SparseCounts.sum([SparseCounts(np.array([a], np.int64), np.array([1], np.int64)) for a in at])
    lowest = table.min(0, initial=np.inf)
    highest = table.max(0, initial=-np.inf)
    return LayerPart(
        units,
        ids,
        values,
        (ids % 5).astype(np.int32),
        np.stack([ids, units], 1).astype(np.float32)[:, None, :],
        counts,
        counts,
        lowest,
        (table == lowest).sum(0),
        highest,
        (table == highest).sum(0),
    )


def equal(a: LayerPart, b: LayerPart) -> bool:
    first, second = a.tensors(), b.tensors()
    return all(first[n].dtype == second[n].dtype and np.array_equal(first[n], second[n]) for n in first)


activations = st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0, 3.0]), min_size=UNITS, max_size=UNITS)


@given(st.lists(activations, min_size=1, max_size=24), st.data())
def test_any_grouping_and_order_gives_the_part_of_all(table: list[list[float]], data: st.DataObject) -> None:
    images = list(enumerate(table))
    whole = part_of(images)
    shuffled = data.draw(st.permutations(images))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(images)), max_size=4)))
    pieces = [shuffled[a:b] for a, b in zip([0, *cuts], [*cuts, len(images)], strict=True) if a < b]
    parts = [part_of(piece) for piece in pieces]
    while len(parts) > 1:  # a random tree
        a = parts.pop(data.draw(st.integers(0, len(parts) - 1)))
        b = parts.pop(data.draw(st.integers(0, len(parts) - 1)))
        parts.append(combine([a, b], K))
    assert equal(combine(parts, K), whole)


def test_the_best_are_those_of_brute_force() -> None:
    rng = np.random.default_rng(0)
    images = [(i, rng.integers(0, 4, UNITS).astype(float).tolist()) for i in range(30)]
    found = combine([part_of(images[:11]), part_of(images[11:])], K)
    for unit in range(UNITS):
        ranked = sorted(images, key=lambda image: (-image[1][unit], image[0]))[:K]
        assert found.ids[found.units == unit].tolist() == [i for i, _ in ranked]
        maps = found.maps[found.units == unit]
        assert maps[:, 0].tolist() == [[i, unit] for i, _ in ranked]
        values = [image[1][unit] for image in images]
        assert found.highest_count[unit] == values.count(max(values))
        assert found.lowest_count[unit] == values.count(min(values))
        assert found.maxima.row(unit).sum() == 30


def test_an_entry_that_two_parts_hold_counts_once() -> None:
    part = part_of([(0, [1.0, 2.0, 3.0]), (1, [0.0, 0.0, 0.0])])
    assert combine([part, part], K).ids.tolist() == part.ids.tolist()


def test_parts_of_different_layers_are_refused() -> None:
    part = part_of([(0, [1.0, 2.0, 3.0])])
    other = LayerPart.from_tensors(part.tensors() | {"maps": np.zeros((3, 2, 2), np.float32)})
    with pytest.raises(ValueError, match="different layers"):
        combine([part, other], K)
    with pytest.raises(ValueError, match="no parts"):
        combine([], K)
