"""Masked images against a slow reference written from the definition, and their invariants."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from maia.kernels.mask import DARKEN, OUTLINE, OUTLINE_WIDTH, mask_batch, mask_image, outline, region

SIDES = st.integers(1, 13)
SETTINGS = settings(deadline=None, max_examples=40)


def random_image(seed: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def random_map(seed: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed + 1).normal(size=(height, width)).astype(np.float32)


def slow_upsample(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear interpolation by its formula, one pixel at a time in float64."""
    result = np.empty((height, width))

    def weights(target: int, source: int, position: int) -> tuple[int, int, float]:
        at = max((position + 0.5) * source / target - 0.5, 0.0)
        low = min(int(at), source - 1)
        return low, min(low + 1, source - 1), at - low

    for row in range(height):
        top, bottom, down = weights(height, values.shape[0], row)
        for column in range(width):
            left, right, across = weights(width, values.shape[1], column)
            upper = values[top, left] * (1 - across) + values[top, right] * across
            lower = values[bottom, left] * (1 - across) + values[bottom, right] * across
            result[row, column] = upper * (1 - down) + lower * down
    return result


def slow_mask(image: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The definition, pixel by pixel."""
    height, width = inside.shape
    result = np.empty_like(image)
    for row in range(height):
        for column in range(width):
            window = inside[
                max(row - OUTLINE_WIDTH, 0) : row + OUTLINE_WIDTH + 1,
                max(column - OUTLINE_WIDTH, 0) : column + OUTLINE_WIDTH + 1,
            ]
            if inside[row, column]:
                result[row, column] = image[row, column]
            elif window.any():
                result[row, column] = OUTLINE
            else:
                result[row, column] = [round(DARKEN * int(p)) for p in image[row, column]]
    return result


@SETTINGS
@given(st.integers(0, 10**6), SIDES, SIDES, st.integers(1, 40), st.integers(1, 40), st.floats(-2, 2))
def test_mask_equals_the_slow_reference(
    seed: int, map_height: int, map_width: int, height: int, width: int, threshold: float
) -> None:
    image, values = random_image(seed, height, width), random_map(seed, map_height, map_width)
    expected = slow_upsample(values.astype(np.float64), height, width)
    inside = region(values, height, width, threshold)
    undecided = np.abs(expected - threshold) < 1e-5
    assert ((inside == (expected > threshold)) | undecided).all()
    assert np.array_equal(mask_image(image, values, threshold), slow_mask(image, inside))


@SETTINGS
@given(st.integers(0, 10**6), SIDES, SIDES)
def test_binary_map_of_image_size_is_exact(seed: int, height: int, width: int) -> None:
    truth = np.random.default_rng(seed).random((height, width)) < 0.4
    image = random_image(seed, height, width)
    assert np.array_equal(region(truth.astype(np.float32) * 0.7, height, width, 0.0), truth)
    masked = mask_image(image, truth.astype(np.float32) * 0.7, 0.0)
    assert np.array_equal(masked[truth], image[truth])


@SETTINGS
@given(st.integers(0, 10**6), st.floats(-1, 1), st.floats(0, 1))
def test_a_higher_threshold_gives_a_smaller_region(seed: int, threshold: float, rise: float) -> None:
    values = random_map(seed, 7, 7)
    lower, higher = region(values, 56, 56, threshold), region(values, 56, 56, threshold + rise)
    assert not (higher & ~lower).any()


@SETTINGS
@given(st.integers(0, 10**6))
@example(3093)  # Interpolation in float32 passes the largest value here.
def test_nothing_passes_everything_dark_without_outline(seed: int) -> None:
    image, values = random_image(seed, 20, 30), random_map(seed, 7, 7)
    masked = mask_image(image, values, float(values.max()))
    assert np.array_equal(masked, np.rint(image * DARKEN).astype(np.uint8))
    assert masked.max() <= math.ceil(255 * DARKEN)
    tensors = torch.from_numpy(image)[None], torch.from_numpy(values)[None]
    assert np.array_equal(mask_batch(*tensors, tensors[1].amax(dim=(1, 2)))[0].numpy(), masked)


def test_everything_passes_leaves_the_image_alone() -> None:
    image = random_image(3, 20, 30)
    assert np.array_equal(mask_image(image, np.ones((7, 7), np.float32), 0.5), image)


def test_outline_of_a_square_is_a_frame_of_two_pixels() -> None:
    inside = np.zeros((20, 20), bool)
    inside[8:12, 8:12] = True
    frame = outline(inside)
    assert frame.sum() == 8 * 8 - 4 * 4
    assert frame[6:14, 6:14].sum() == frame.sum()
    assert not (frame & inside).any()


def test_the_input_is_not_changed() -> None:
    image, values = random_image(5, 16, 16), random_map(5, 4, 4)
    before = image.copy(), values.copy()
    mask_image(image, values, 0.0)
    assert np.array_equal(image, before[0]) and np.array_equal(values, before[1])


@pytest.mark.parametrize(
    ("image", "values", "threshold"),
    [
        (np.zeros((4, 4, 3), np.float32), np.zeros((2, 2), np.float32), 0.0),
        (np.zeros((4, 4), np.uint8), np.zeros((2, 2), np.float32), 0.0),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((2, 2, 1), np.float32), 0.0),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((0, 2), np.float32), 0.0),
        (np.zeros((4, 4, 3), np.uint8), np.full((2, 2), np.nan, np.float32), 0.0),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((2, 2), np.float32), float("nan")),
    ],
)
def test_wrong_arguments_are_refused(image: np.ndarray, values: np.ndarray, threshold: float) -> None:
    with pytest.raises(ValueError):
        mask_image(image, values, threshold)
