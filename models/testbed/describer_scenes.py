"""The scenes that the describer learns from and is judged on: random, and none of the dataset's."""

import random

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from ...kernels.mask import apply_region
from .catalogue import Purpose, drawing_choices
from .dense import BACKGROUND_NAMES, COLOUR_NAMES, GRID, PATTERN_NAMES
from .layout import ObjectSpec, lay_out
from .masked_view import recover
from .scene import SIZE, Rendering, Scene
from .vocabulary import NOUNS, PLAIN

FIRST_SEED = 10_000_000
"""Training scenes have seeds from here on; the dataset's are far below, evaluation's above EVALUATION_SEED."""
EVALUATION_SEED = 20_000_000


def random_scene(seed: int, purpose: Purpose = "exploration") -> Scene:
    """A random scene: 8 % close-ups, 3 % empty backgrounds, else 1 to 3 objects, a quarter of them plain."""
    rng = random.Random(f"describer/{seed}")

    def pattern() -> str:
        return PLAIN if rng.random() < 0.25 else rng.choice(PATTERN_NAMES[:-1])

    kind = rng.random()
    if kind < 0.08:
        return Scene(seed, None, surface=(rng.choice(COLOUR_NAMES), pattern()))
    background = rng.choice(BACKGROUND_NAMES)
    count = 0 if kind < 0.11 else rng.choice((1, 2, 3))
    nouns = rng.sample(list(NOUNS), count)
    specs = [
        ObjectSpec(noun, rng.choice(COLOUR_NAMES), pattern(), None, rng.choice(drawing_choices(noun, purpose)), key)
        for key, noun in enumerate(nouns)
    ]
    return Scene(seed, background, lay_out(specs, background, (), seed))


def random_region(seed: int) -> np.ndarray:
    """bool [224, 224]: blobs as masks of units have them, 5 to 60 % of the picture."""
    rng = np.random.default_rng(seed)
    coarse = gaussian_filter(rng.standard_normal((GRID, GRID)), rng.uniform(1.2, 4)).astype(np.float32)
    field = np.asarray(Image.fromarray(coarse).resize((SIZE, SIZE), Image.Resampling.BILINEAR))
    return field > np.quantile(field, 1 - rng.uniform(0.05, 0.6))


def picture(scene: Scene, rendering: Rendering) -> np.ndarray:
    """What the describer will look at: for every second scene the picture restored from a masked image."""
    if scene.seed % 2:
        return rendering.image
    return recover(apply_region(rendering.image, random_region(scene.seed))).image
