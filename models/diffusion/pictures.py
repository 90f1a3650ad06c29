"""Pictures into an editing pipeline and out of any: by stated rules, and never a broken one silently."""

import hashlib
import math
import operator

import numpy as np
import torch
from PIL import Image

from ..errors import ExperimentError

WIDEST = 4.0
"""Longest side over shortest that is edited: of wider ones the square in the middle shows too little."""

DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N")


def square_rgb(image: Image.Image, size: int) -> Image.Image:
    """The picture as it is edited: RGB, size x size pixels.

    Transparent pixels are laid on white, grey ones repeated, 16 bits reduced to 8; the picture is resized (Lanczos)
    until it covers the square, whose middle is taken. Raises ExperimentError for what is no picture, for one without
    pixels, of other numbers than 8 or 16 bits, or wider than WIDEST.
    """
    if not isinstance(image, Image.Image):
        raise ExperimentError(f"what is to be edited is no image but {type(image).__name__}.")
    width, height = image.size
    if width < 1 or height < 1:
        raise ExperimentError(f"the image to edit has no pixels ({width} x {height}).")
    if max(width, height) / min(width, height) > WIDEST:
        raise ExperimentError(
            f"the image to edit is {width} x {height} pixels: its longer side may be at most {WIDEST:g} times the "
            "shorter; crop it first."
        )
    try:
        image.load()
        rgb = _to_rgb(image)
    except (OSError, ValueError, SyntaxError) as problem:  # Pillow reads files late: one that is cut off fails here
        raise ExperimentError(f"the image to edit cannot be read ({problem}).") from problem
    if rgb.size == (size, size):
        return rgb
    scale = size / min(width, height)
    covering = (max(size, round(width * scale)), max(size, round(height * scale)))
    rgb = rgb.resize(covering, Image.Resampling.LANCZOS)
    left, top = (covering[0] - size) // 2, (covering[1] - size) // 2
    return rgb.crop((left, top, left + size, top + size))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode in DEEP_MODES:
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ExperimentError(
            f"the image to edit is of mode {image.mode!r}, whose range is not known: convert it to 'RGB' first."
        )
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    return image.convert("RGB")


def why_broken(picture: torch.Tensor) -> str | None:
    """Why a drawn picture, float [3, H, W], cannot be shown: numbers that overflowed. None where it can."""
    if not torch.isfinite(picture).all():
        return "numbers that are not finite"
    low, high = picture.aminmax()
    if low == high:
        return f"the same value ({low.item():g}) in every pixel"
    return None


def to_image(picture: torch.Tensor) -> Image.Image:
    """An RGB image of float [3, H, W] in [0, 1], rounded to 8 bits."""
    numbers = (picture.float().clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(numbers.permute(1, 2, 0).cpu().numpy())


def picture_generator(seed: int) -> torch.Generator:
    """A generator on the CPU for one picture.

    torch's generator on the CPU keeps 32 bits of a seed: those from 0 to 2^32 - 1 are taken as they are, so that they
    mean what they mean in other programs; others are mixed to 32 bits.
    """
    seed = operator.index(seed)
    if not 0 <= seed < 2**32:
        bits = seed.to_bytes(max(1, math.ceil((seed.bit_length() + 1) / 8)), "big", signed=True)
        seed = int.from_bytes(hashlib.sha256(bits).digest()[:4], "big")
    return torch.Generator().manual_seed(seed)
