"""Masks of a batch in torch against one at a time in numpy. (The Triton branch: interpreted_cases.py.)"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.benchmarks.gpu.reference import mask_reference, upsample_reference
from maia.kernels.mask import mask_batch, mask_image

SIDES = st.integers(1, 13)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 4), SIDES, SIDES, st.integers(1, 40), st.integers(1, 40))
def test_a_batch_equals_one_at_a_time(seed: int, count: int, h: int, w: int, height: int, width: int) -> None:
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    maps, thresholds = random.normal(size=(count, h, w)).astype(np.float32), random.normal(size=count)
    thresholds = thresholds.astype(np.float32)
    masked = mask_batch(*(torch.from_numpy(array) for array in (images, maps, thresholds))).numpy()
    expected, undecided = mask_reference(images, maps.astype(np.float64), thresholds.astype(np.float64))
    assert np.array_equal(masked[~undecided], expected[~undecided])
    for n in range(count):
        one = mask_image(images[n], maps[n], float(thresholds[n]))
        assert np.array_equal(one[~undecided[n]], masked[n][~undecided[n]])


def test_the_reference_upsamples_as_torch_does() -> None:
    maps = np.random.default_rng(0).normal(size=(2, 5, 7))
    expected = torch.nn.functional.interpolate(torch.from_numpy(maps)[:, None], size=(23, 4), mode="bilinear")
    assert np.abs(upsample_reference(maps, 23, 4) - expected[:, 0].numpy()).max() < 1e-12


def test_a_map_of_the_pictures_size_is_exact() -> None:
    images = torch.full((1, 6, 9, 3), 200, dtype=torch.uint8)
    inside = torch.rand(1, 6, 9) < 0.5
    masked = mask_batch(images, inside.float() * 0.7, torch.zeros(1))
    assert torch.equal((masked == 200).all(dim=3), inside)


@pytest.mark.parametrize(
    ("images", "maps", "thresholds", "message"),
    [
        (torch.zeros(2, 4, 4, 3), torch.zeros(2, 2, 2), torch.zeros(2), "images"),
        (torch.zeros(2, 4, 4, 3).byte(), torch.zeros(3, 2, 2), torch.zeros(2), "maps"),
        (torch.zeros(2, 4, 4, 3).byte(), torch.zeros(2, 0, 2), torch.zeros(2), "maps"),
        (torch.zeros(2, 4, 4, 3).byte(), torch.zeros(2, 2, 2), torch.zeros(2).double(), "thresholds"),
    ],
)
def test_wrong_arguments_are_refused(
    images: torch.Tensor, maps: torch.Tensor, thresholds: torch.Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        mask_batch(images, maps, thresholds)


def test_no_pictures_give_none() -> None:
    assert mask_batch(torch.zeros(0, 4, 4, 3).byte(), torch.zeros(0, 2, 2), torch.zeros(0)).shape == (0, 4, 4, 3)
