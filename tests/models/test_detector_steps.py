"""The pure steps of a detector: which boxes count, pixels, merging, dilation, and what pictures are refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from maia.models.detectors.base import (
    DILATION,
    MAX_ASPECT,
    MIN_SIDE,
    BadPicture,
    best_first,
    boxes_in_pixels,
    check_picture,
    dilate,
    dilation_radius,
    match_boxes,
    merge_masks,
)
from maia.models.errors import ExperimentError
from PIL import Image
from scipy.ndimage import binary_dilation

# Four candidates by the tokens of "[CLS] car window . [SEP]".
PROBABILITIES = np.array(
    [
        [0.90, 0.10, 0.20, 0.10, 0.10],  # the mark alone: not the concept
        [0.10, 0.60, 0.40, 0.10, 0.10],  # both words
        [0.10, 0.05, 0.31, 0.80, 0.10],  # the second word; the separator does not count
        [0.10, 0.30, 0.30, 0.10, 0.10],  # at the threshold, not above it
    ]
)


def test_a_box_counts_by_its_best_token_of_the_concept() -> None:
    kept, scores, matched = match_boxes(PROBABILITIES, [1, 2], 0.3, 0.25)
    assert kept.tolist() == [False, True, True, False]
    assert scores.tolist() == pytest.approx([0.2, 0.6, 0.31, 0.3])
    assert scores.dtype == np.float32
    assert matched.tolist() == [[False, False], [True, True], [False, True], [True, True]]


def test_the_larger_of_both_thresholds_decides() -> None:
    assert match_boxes(PROBABILITIES, [1, 2], 0.1, 0.5)[0].tolist() == [False, True, False, False]
    assert match_boxes(PROBABILITIES, [1, 2], 0.5, 0.1)[0].tolist() == [False, True, False, False]


def test_a_concept_of_one_token_does_not_see_the_other() -> None:
    assert match_boxes(PROBABILITIES, [1], 0.35, 0.25)[0].tolist() == [False, True, False, False]
    with pytest.raises(ValueError, match="one token"):
        match_boxes(PROBABILITIES, [], 0.3, 0.25)


shares = hnp.arrays(np.float32, (6, 4), elements=st.floats(0, 1, width=32))
limits = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)


@given(shares, limits, limits)
def test_higher_thresholds_keep_fewer_boxes(probabilities: np.ndarray, box: list[float], text: list[float]) -> None:
    low = match_boxes(probabilities, [0, 2, 3], box[0], text[0])
    high = match_boxes(probabilities, [0, 2, 3], box[1], text[1])
    assert not (high[0] & ~low[0]).any()
    assert not (high[2] & ~low[2]).any()
    assert np.array_equal(low[1], high[1])


def test_boxes_become_corners_in_pixels_and_stay_inside() -> None:
    boxes = np.array([[0.5, 0.5, 0.5, 0.25], [0.1, 0.9, 0.4, 0.4]], np.float32)
    found = boxes_in_pixels(boxes, 200, 100)
    assert found.dtype == np.float32
    assert found == pytest.approx(np.array([[50, 37.5, 150, 62.5], [0, 70, 60, 100]]), abs=1e-4)
    assert boxes_in_pixels(np.zeros((0, 4), np.float32), 9, 9).shape == (0, 4)


@given(st.permutations(range(4)))
def test_the_order_of_boxes_does_not_depend_on_that_of_the_candidates(order: list[int]) -> None:
    boxes = np.array([[0, 0, 1, 1], [0, 0, 1, 2], [3, 0, 4, 1], [2, 0, 4, 1]], np.float32)
    scores = np.array([0.5, 0.5, 0.9, 0.5], np.float32)
    found, ordered = best_first(boxes[order], scores[order])
    assert ordered.tolist() == pytest.approx([0.9, 0.5, 0.5, 0.5])
    assert found.tolist() == [[3, 0, 4, 1], [0, 0, 1, 1], [0, 0, 1, 2], [2, 0, 4, 1]]


masks = hnp.arrays(bool, (9, 12))


@given(st.lists(masks, max_size=4))
def test_merged_is_set_where_any_is(given_masks: list[np.ndarray]) -> None:
    union = merge_masks(iter(given_masks), (9, 12))
    expected = [[any(mask[y, x] for mask in given_masks) for x in range(12)] for y in range(9)]
    assert union.dtype == bool
    assert union.tolist() == expected


def test_masks_of_other_shapes_are_not_merged() -> None:
    with pytest.raises(ValueError, match="3, 4"):
        merge_masks([np.zeros((3, 4), bool)], (4, 3))


def disk(radius: int) -> np.ndarray:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return x * x + y * y <= radius * radius


@given(hnp.arrays(bool, (14, 17), elements=st.sampled_from([False] * 9 + [True])), st.integers(0, 6))
def test_dilation_is_that_by_a_disk(mask: np.ndarray, radius: int) -> None:
    before = mask.copy()
    found = dilate(mask, radius)
    assert found.dtype == bool
    assert np.array_equal(found, binary_dilation(mask, disk(radius)) if radius else mask)
    assert np.array_equal(mask, before)
    assert found is not mask


def test_dilation_of_one_pixel_by_hand() -> None:
    mask = np.zeros((5, 5), bool)
    mask[2, 2] = True
    expected = ["..#..", ".###.", "#####", ".###.", "..#.."]
    assert ["".join(".#"[int(v)] for v in row) for row in dilate(mask, 2)] == expected
    with pytest.raises(ValueError, match="-1"):
        dilate(mask, -1)


def test_the_radius_grows_with_the_picture() -> None:
    assert dilation_radius(224, 224) == 18  # as in the paper's published code
    assert dilation_radius(448, 448) == 36
    assert dilation_radius(100, 400) == dilation_radius(400, 100) == dilation_radius(200, 200)
    assert dilation_radius(224, 224, 0.0) == 0
    assert dilation_radius(1000, 10) == math.floor(100 * DILATION + 0.5)


@pytest.mark.parametrize(
    ("size", "reason"),
    [((MIN_SIDE - 1, 300), "too small"), ((300, 1), "too small"), ((int(MAX_ASPECT * 20) + 1, 20), "too narrow")],
)
def test_pictures_that_no_detector_can_look_at(size: tuple[int, int], reason: str) -> None:
    with pytest.raises(BadPicture, match=reason) as caught:
        check_picture(Image.new("RGB", size), place=3)
    assert caught.value.place == 3
    assert f"{size[0]} x {size[1]}" in caught.value.reason
    assert isinstance(caught.value, ExperimentError)


@pytest.mark.parametrize("size", [(MIN_SIDE, MIN_SIDE), (int(MAX_ASPECT * 20), 20), (20, int(MAX_ASPECT * 20))])
def test_the_smallest_pictures_that_can_be_looked_at(size: tuple[int, int]) -> None:
    check_picture(Image.new("L", size))
