"""Pictures into an editing pipeline and out of any."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from maia.models.diffusion.pictures import picture_generator, square_rgb, to_image, why_broken
from maia.models.errors import ExperimentError
from PIL import Image
from tiny_diffusion import noise_image


@given(width=st.integers(1, 120), height=st.integers(1, 120))
def test_any_ordinary_shape_becomes_the_square(width, height):
    image = Image.new("RGB", (width, height), (10, 200, 30))
    if max(width, height) > 4 * min(width, height):
        with pytest.raises(ExperimentError, match=f"{width} x {height}"):
            square_rgb(image, 32)
    else:
        square = square_rgb(image, 32)
        assert (square.size, square.mode) == ((32, 32), "RGB")
        assert np.array_equal(np.asarray(square), np.full((32, 32, 3), (10, 200, 30)))


def test_a_picture_of_the_right_size_is_not_touched():
    image = noise_image(0)
    assert np.array_equal(np.asarray(square_rgb(image, 64)), np.asarray(image))


def test_the_middle_is_taken():
    pixels = np.zeros((64, 128, 3), np.uint8)
    pixels[:, 32:96] = 255
    assert np.asarray(square_rgb(Image.fromarray(pixels), 64)).min() == 255


@pytest.mark.parametrize(
    ("image", "colour"),
    [
        (Image.new("L", (40, 40), 100), (100, 100, 100)),
        (Image.new("1", (40, 40), 1), (255, 255, 255)),
        (Image.new("RGBA", (40, 40), (10, 20, 30, 0)), (255, 255, 255)),
        (Image.new("LA", (40, 40), (0, 255)), (0, 0, 0)),
        (Image.new("CMYK", (40, 40), (0, 0, 0, 0)), (255, 255, 255)),
        (Image.fromarray(np.full((40, 40), 0x80FF, np.uint16)), (128, 128, 128)),
    ],
)
def test_other_modes_become_rgb_by_rule(image, colour):
    assert set(square_rgb(image, 32).get_flattened_data()) == {colour}


@pytest.mark.parametrize(
    "image", [Image.new("F", (40, 40)), Image.new("I", (40, 40)), Image.new("RGB", (0, 9)), "cat.png", None]
)
def test_what_is_no_picture_is_an_error_for_the_backbone(image):
    with pytest.raises(ExperimentError, match="image"):
        square_rgb(image, 32)


def test_a_file_that_is_cut_off_is_an_error_for_the_backbone():
    whole = io.BytesIO()
    noise_image(0).save(whole, "JPEG")
    with pytest.raises(ExperimentError, match="cannot be read"):
        square_rgb(Image.open(io.BytesIO(whole.getvalue()[:900])), 32)


def test_broken_numbers_are_found():
    good = torch.rand(3, 8, 8)
    assert why_broken(good) is None
    assert "not finite" in why_broken(good.index_fill(2, torch.tensor(3), torch.nan))
    assert "not finite" in why_broken(good * torch.inf)
    assert "0" in why_broken(torch.zeros(3, 8, 8))


def test_numbers_are_rounded_and_clipped():
    image = to_image(torch.tensor([-1.0, 0.499 / 255, 254.501 / 255, 2.0]).view(1, 1, 4).expand(3, 1, 4))
    assert np.asarray(image)[0, :, 0].tolist() == [0, 0, 255, 255]


@given(st.lists(st.integers(-(2**80), 2**80), min_size=2, max_size=6, unique=True))
def test_every_seed_is_taken_and_means_itself(seeds):
    firsts = {torch.randn(4, generator=picture_generator(seed)).numpy().tobytes() for seed in seeds}
    assert len(firsts) == len(seeds)


def test_ordinary_seeds_mean_what_they_mean_elsewhere():
    assert torch.equal(
        torch.randn(4, generator=picture_generator(42)), torch.randn(4, generator=torch.Generator().manual_seed(42))
    )
    # torch alone would take these for one.
    wide = [torch.randn(4, generator=picture_generator(seed)) for seed in (1, 1 + 2**32)]
    assert not torch.equal(*wide)
