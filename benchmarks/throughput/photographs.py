"""JPEG files like photographs: their size on disk and the work of decoding them are those of ImageNet's pictures."""

import random
from pathlib import Path

import numpy as np
from PIL import Image

QUALITY = 92
_SLOPE = 1.4  # amplitudes fall as 1 / frequency^slope, as in natural scenes


def write_photographs(directory: Path, count: int, seed: int = 0) -> list[Path]:
    """Writes `count` JPEG files of about 500 x 400 pixels, half of them upright; always the same ones for a seed."""
    paths = []
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        sides = rng.randrange(480, 521), rng.randrange(375, 426)
        width, height = sides if rng.random() < 0.5 else sides[::-1]
        path = directory / f"{number:06d}.jpg"
        picture(width, height, rng.randrange(2**31)).save(path, quality=QUALITY)
        paths.append(path)
    return paths


def picture(width: int, height: int, seed: int) -> Image.Image:
    """RGB noise with the spectrum of natural scenes, in patches with hard borders, colour weaker than brightness."""
    rng = np.random.default_rng(seed)
    brightness, region = _scene_noise(rng, width, height), _scene_noise(rng, width, height)
    patches = np.digitize(region, (-0.8, 0.0, 0.8))  # hard borders, as those of objects
    tones = rng.normal(0, 40, (4, 3))
    colour = np.stack([brightness] * 3, 2) * 38 + tones[patches]
    for channel in range(3):
        colour[..., channel] += 14 * _scene_noise(rng, width, height)
    colour += rng.normal(0, 3, colour.shape)  # the sensor
    return Image.fromarray((colour + 120).clip(0, 255).astype(np.uint8))


def _scene_noise(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """float64 [height, width], mean 0, deviation 1."""
    side = 2 ** (max(width, height) - 1).bit_length()  # a power of two is quick, whatever the picture's sides
    frequency = np.maximum(np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]), 1 / side)
    phases = np.exp(2j * np.pi * rng.random(frequency.shape))
    noise = np.fft.irfft2(phases * frequency**-_SLOPE, (side, side))[:height, :width]
    return (noise - noise.mean()) / noise.std()
