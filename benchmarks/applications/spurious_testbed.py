"""A planted shortcut in the offline world: classes that stand before one background each, and elsewhere in the test.

Training and balanced pictures show exploration's drawings, test pictures evaluation's, so that the agent's pictures and
the test share no drawing. The network is EfficientNet-Lite0 as it is; only the regression on its units is fitted.
"""

import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ...models.files import write_whole
from .spurious_features import Counted, Pooling, complete, features_of
from .spurious_problem import Problem
from .spurious_rows import BALANCED_SETS, BALANCED_SIZE, Split

TARGET, LAYER = "efficientnet-lite0", "blocks.10"
"""112 units; where the effect was first seen."""
POOLING: Pooling = "max"
"""What the agent sees of a unit, too. Means over positions tell of the background above all: with them even the units
that tell most of the class, picked on balanced pictures, stay below .45 (two seeds)."""
NOUNS = ("clock", "guitar", "car", "lighthouse", "bicycle", "mushroom")
"""Of which the seed takes CLASSES. Of twenty nouns these are among those whose best units answer to the drawings of
evaluation as to those of exploration (measured on 960 pictures without any pairing): of others (umbrella, boat, bottle)
hardly any unit of this layer knows the drawings that the test shows, and no choice of units could help."""
PLACES = ("grass", "beach", "snow", "desert", "forest", "night city")
CLASSES = 4


@dataclass(frozen=True)
class Sizes:
    """Pictures of each class in training; of each class and foreign background in the test; of each class and
    background in the pool that balanced sets are drawn from."""

    training: int = 200
    test: int = 40
    pool: int = 40


@dataclass(frozen=True)
class Pairing:
    """Classes and the background that each has in training, in the same order. The agent is told both lists, each in an
    order of its own."""

    classes: tuple[str, ...]
    places: tuple[str, ...]


@dataclass(frozen=True)
class Shot:
    """A picture to be drawn. label, place: indices into the pairing."""

    label: int
    place: int
    seed: int
    evaluation: bool


def pairing(seed: int) -> Pairing:
    """Which classes and backgrounds go together: by the seed."""
    rng = random.Random(f"{seed}/spurious/pairing")
    return Pairing(tuple(rng.sample(NOUNS, CLASSES)), tuple(rng.sample(PLACES, CLASSES)))


def shots(pair: Pairing, sizes: Sizes, seed: int) -> dict[str, list[Shot]]:
    """What each split shows. No two pictures have one seed."""
    labels = range(len(pair.classes))
    cells = [(label, place) for label in labels for place in labels]
    wanted = {
        "training": [(label, label) for label in labels for _ in range(sizes.training)],
        "test": [cell for cell in cells if cell[0] != cell[1] for _ in range(sizes.test)],
        "pool": [cell for cell in cells for _ in range(sizes.pool)],
    }
    start = 1_000_000 * (seed + 1)
    found: dict[str, list[Shot]] = {}
    for split, chosen in wanted.items():
        found[split] = [Shot(*cell, start + i, split == "test") for i, cell in enumerate(chosen)]
        start += len(chosen)
    return found


def drawer(pair: Pairing, chosen: list[Shot]) -> Callable[[int], Image.Image]:
    """What draws the i-th of these."""
    from ...models.testbed.language import parse_prompt
    from ...models.testbed.renderer import render
    from ...models.testbed.vocabulary import BACKGROUNDS

    def draw(i: int) -> Image.Image:
        shot = chosen[i]
        noun, phrase = pair.classes[shot.label], BACKGROUNDS[pair.places[shot.place]].phrase
        article = "an" if noun[0] in "aeiou" else "a"
        scene = parse_prompt(
            f"{article} {noun} {phrase}", shot.seed, "evaluation" if shot.evaluation else "exploration"
        )
        return Image.fromarray(np.ascontiguousarray(render(scene).image))

    return draw


def testbed_problem(
    seed: int, out: Path, sizes: Sizes, progress: Callable[[str], Counted], pooling: Pooling = POOLING
) -> Problem:
    """Draws and measures all splits; what is in `out` already is not done again."""
    from ...engine.targets import NetworkTarget, load_target
    from ...models.testbed.vocabulary import BACKGROUNDS

    target = load_target(TARGET)
    assert isinstance(target, NetworkTarget)
    pair, notes = pairing(seed), list[str]()
    splits, places = {}, {}
    for name, chosen in shots(pair, sizes, seed).items():
        draw = drawer(pair, chosen)
        if name == "training":
            draw = _kept(draw, out / "exemplars", len(chosen), progress("pictures"))
        told = [str(asdict(shot)) + str(pair) for shot in chosen]
        features = features_of(target, LAYER, pooling, draw, told, out / "features" / name, progress(name))
        labels = np.array([shot.label for shot in chosen])
        splits[name] = Split(*complete(features, labels, name, notes))
        places[name] = np.array([shot.place for shot in chosen])
    rng = random.Random(f"{seed}/spurious/told")
    told_places = [BACKGROUNDS[place].phrase for place in pair.places]
    return Problem(
        name=f"testbed, seed {seed}",
        classes=tuple(rng.sample(pair.classes, CLASSES)),
        surroundings=tuple(rng.sample(told_places, CLASSES)),
        target=target,
        weights=None,
        layer=LAYER,
        pooling=pooling,
        exemplars=out / "exemplars",
        validation=splits["training"],
        test=splits["test"],
        pool=splits["pool"],
        pool_places=places["pool"],
        balanced=_balanced(splits["pool"].labels, places["pool"], seed),
        facts={
            "pairs in training": ", ".join(f"{n} {p}" for n, p in zip(pair.classes, told_places, strict=True)),
            "training pictures": len(splits["training"].labels),
            "test pictures": len(splits["test"].labels),
        },
        notes=notes,
    )


def _kept(
    draw: Callable[[int], Image.Image], folder: Path, count: int, progress: Counted
) -> Callable[[int], Image.Image]:
    """The pictures as files, drawn where they are missing; their names tell their number only."""
    import io

    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        file = folder / f"{i:06d}.png"
        if not file.is_file():
            buffer = io.BytesIO()
            draw(i).save(buffer, "PNG", compress_level=1)
            write_whole(file, buffer.getvalue())
        progress(i + 1, count)

    def read(i: int) -> Image.Image:
        with Image.open(folder / f"{i:06d}.png") as image:
            return image.convert("RGB")

    return read


def _balanced(labels: np.ndarray, places: np.ndarray, seed: int) -> list[list[int]]:
    """BALANCED_SETS sets with as many pictures of every class on every background, BALANCED_SIZE in all or what there
    is."""
    cells = [np.flatnonzero((labels == a) & (places == b)).tolist() for a in range(CLASSES) for b in range(CLASSES)]
    share = min(BALANCED_SIZE // len(cells), min(len(cell) for cell in cells))
    drawn = []
    for number in range(BALANCED_SETS):
        rng = random.Random(f"{seed}/spurious/balanced/{number}")
        drawn.append([row for cell in cells for row in rng.sample(cell, share)])
    return drawn
