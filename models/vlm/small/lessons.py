"""What the vision part learns from and is judged on: random scenes, not the dataset's, under masks like units'."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from ....kernels.mask import apply_region
from ...testbed.describer_scenes import random_region, random_scene
from ...testbed.renderer import render
from ...testbed.scene import SIZE, Concept, Rendering, Scene, concept_mask
from .slots import Told, told

FIRST_SEED, FRESH_SEED = 60_000_000, 70_000_000
"""Of the training scenes and of those that judge; the dataset's and the describer's are far below."""

PLAIN_SHARE, CONCEPT_SHARE, DARK_SHARE = 0.15, 0.5, 0.01
"""Of the regions: whole pictures, exact masks of concepts, and none at all; the others are blobs."""
SHARED = 0.3
"""Of the scenes with several objects: two of them have the same colour or pattern, as those that a unit likes may."""


def scene_of(seed: int) -> Scene:
    """The scene of that seed: a describer's random scene; in some of them objects share a colour or a pattern."""
    scene = random_scene(seed)
    rng = random.Random(f"small/{seed}")
    if len(scene.objects) < 2 or rng.random() > SHARED:
        return scene
    giver, taker = rng.sample(range(len(scene.objects)), 2)
    what = rng.choice(("colour", "pattern"))
    changed = list(scene.objects)
    changed[taker] = replace(changed[taker], **{what: getattr(changed[giver], what)})
    return replace(scene, objects=tuple(changed))


def region_of(scene: Scene, rendering: Rendering, key: str) -> np.ndarray:
    """bool [224, 224]: a region that is bright, as a unit's mask may have it. The same key, the same region."""
    rng = random.Random(f"small/{scene.seed}/{key}")
    kind = rng.random()
    if kind < DARK_SHARE:
        return np.zeros((SIZE, SIZE), bool)
    if kind < DARK_SHARE + PLAIN_SHARE:
        return np.ones((SIZE, SIZE), bool)
    if kind < DARK_SHARE + PLAIN_SHARE + CONCEPT_SHARE:
        concepts = _concepts(scene)
        chosen = rng.sample(concepts, min(len(concepts), rng.choice((1, 1, 2))))
        return np.logical_or.reduce([concept_mask(scene, rendering, concept) for concept in chosen])
    if kind > 0.85 or not scene.objects:
        return random_region(rng.randrange(2**31))
    return _around(rendering.objects == rng.randrange(len(scene.objects)) + 1, rng)


def _concepts(scene: Scene) -> list[Concept]:
    if scene.surface is not None:
        return [Concept("colour", scene.surface[0])]
    assert scene.background is not None
    found = [Concept("background", scene.background)]
    for entry in scene.objects:
        found += [Concept("noun", entry.noun), Concept("colour", entry.colour)]
        if entry.pattern != "plain":
            found.append(Concept("pattern", entry.pattern))
    return found


def _around(mask: np.ndarray, rng: random.Random) -> np.ndarray:
    """bool: a blob that prefers what the mask covers, as the map of a unit that likes the object does."""
    noise = np.random.default_rng(rng.randrange(2**31)).standard_normal((28, 28))
    coarse = gaussian_filter(noise, rng.uniform(1.2, 3))
    share = gaussian_filter(mask.reshape(28, 8, 28, 8).mean((1, 3)).astype(float), 1.5)
    coarse = coarse / coarse.std() + rng.uniform(1, 4) * share / max(share.max(), 1e-6)
    field = np.asarray(Image.fromarray(coarse.astype(np.float32)).resize((SIZE, SIZE), Image.Resampling.BILINEAR))
    return field > np.quantile(field, 1 - rng.uniform(0.05, 0.3))


@dataclass(frozen=True, eq=False)
class Lesson:
    """A masked picture, uint8 [224, 224, 3], and what its tokens should say. regions: bool [224, 224], the first is the
    picture's; told: the truth for each."""

    scene: Scene
    rendering: Rendering
    picture: np.ndarray
    regions: tuple[np.ndarray, ...]
    told: tuple[Told, ...]


def lesson(seed: int, variants: int = 1) -> Lesson:
    """The lesson of that seed. variants: regions in all; the picture shows the first."""
    scene = scene_of(seed)
    rendering = render(scene)
    regions = tuple(region_of(scene, rendering, str(number)) for number in range(variants))
    picture = rendering.image if regions[0].all() else apply_region(rendering.image, regions[0])
    return Lesson(scene, rendering, picture, regions, tuple(told(scene, rendering, region) for region in regions))


def lessons(first: int, count: int, variants: int = 1) -> Iterator[Lesson]:
    """The lessons of `count` seeds."""
    for seed in range(first, first + count):
        yield lesson(seed, variants)
