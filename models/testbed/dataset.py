"""The dataset of rendered scenes: a balanced design, so that every unit can have its exemplars.

The objects are the full factorial of noun x colour x pattern (each noun 216 times: 12 colours times 18 pattern
levels, of which four are "plain"), dealt to scenes of one, two and three objects. Backgrounds go to the scenes so
that each noun meets each background nearly equally often. Close-ups show each (colour, pattern) twice.

Guaranteed (and tested): objects a noun 216, noun x colour 18, noun x pattern 12 (plain 48), colour x pattern 40
(plain 160); scenes a noun x background 15, colour x background 50, pattern x background 35 (at least).
"""

import hashlib
import random
from functools import lru_cache
from pathlib import Path

import skia

from .catalogue import drawing_choices
from .layout import ObjectSpec, lay_out
from .scene import Scene
from .vocabulary import BACKGROUNDS, COLOURS, NOUNS, PATTERNS, PLAIN

_PLAIN_LEVELS = 4
_LEVELS: tuple[str, ...] = PATTERNS + (PLAIN,) * _PLAIN_LEVELS
_OBJECTS = len(NOUNS) * len(COLOURS) * len(_LEVELS)
_COUNTS = (1, 2, 3)  # objects a scene, equally many scenes of each
_CLOSE_UPS_EACH = 2
_CLOSE_UPS = _CLOSE_UPS_EACH * len(COLOURS) * (len(PATTERNS) + 1)
DATASET_SIZE = _OBJECTS // sum(_COUNTS) * len(_COUNTS) + _CLOSE_UPS
"""Number of scenes: 4320 with objects and 360 close-ups."""

Attributes = tuple[str, str, str]
"""(noun, colour, pattern)."""


def dataset_scene(k: int) -> Scene:
    """Scene k of the dataset, 0 <= k < DATASET_SIZE; always the same, with exploration drawings only.

    Raises IndexError outside the range.
    """
    if not 0 <= k < DATASET_SIZE:
        raise IndexError(f"the dataset has scenes 0 to {DATASET_SIZE - 1}, not {k}")
    planned = _design()[k]
    seed = k
    if planned[0] is None:
        return Scene(seed, None, surface=planned[2])
    rng = random.Random(f"dataset/{k}")
    specs = []
    for key, (noun, colour, pattern) in enumerate(planned[1]):
        drawing = rng.choice(drawing_choices(noun, "exploration"))
        specs.append(ObjectSpec(noun, colour, pattern, None, drawing, key))
    return Scene(seed, planned[0], lay_out(specs, planned[0], (), seed))


def source_files() -> tuple[Path, ...]:
    """The code that the dataset's pictures depend on (not noun packs: the dataset uses our own drawings only)."""
    here = Path(__file__).parent
    names = ("vocabulary", "scene", "drawing", "contours", "catalogue", "layout", "textures", "scenery", "backgrounds")
    files = [here / f"{name}.py" for name in (*names, "manmade", "renderer", "dataset")]
    return (*files, *sorted((here / "drawings").glob("*.py")))


@lru_cache(maxsize=1)
def dataset_fingerprint() -> str:
    """12 hex digits of all that the dataset's pictures depend on: the world's own code and the drawing library."""
    digest = hashlib.sha256(f"{skia.__version__} {DATASET_SIZE}".encode())
    for file in source_files():
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


@lru_cache(maxsize=1)
def _design() -> tuple[tuple[str | None, tuple[Attributes, ...], tuple[str, str] | None], ...]:
    """(background, objects, surface) of every scene."""
    rng = random.Random("dataset/design")
    groups = _deal(rng)
    rng.shuffle(groups)
    plans: list[tuple[str | None, tuple[Attributes, ...], tuple[str, str] | None]] = []
    plans += [
        (background, group, None) for background, group in zip(_assign_backgrounds(groups, rng), groups, strict=True)
    ]
    surfaces = [(colour, pattern) for colour in COLOURS for pattern in (*PATTERNS, PLAIN)]
    plans += [(None, (), surface) for surface in surfaces for _ in range(_CLOSE_UPS_EACH)]
    rng.shuffle(plans)
    return tuple(plans)


def _deal(rng: random.Random) -> list[tuple[Attributes, ...]]:
    """The full factorial in groups of 1, 2 and 3 that share no noun, colour or (except plain) pattern."""
    stack = [(noun, colour, level) for noun in NOUNS for colour in COLOURS for level in _LEVELS]
    rng.shuffle(stack)
    groups: list[tuple[Attributes, ...]] = []
    for count in _COUNTS:
        for _ in range(_OBJECTS // sum(_COUNTS)):
            group = [stack.pop()]
            while len(group) < count:
                # Near the top nearly always; the search goes deeper only when the stack runs out.
                found = next((i for i in range(len(stack) - 1, -1, -1) if _differs(stack[i], group)), len(stack) - 1)
                group.append(stack.pop(found))
            groups.append(tuple(group))
    return groups


def _differs(entry: Attributes, group: list[Attributes]) -> bool:
    return all(
        entry[0] != other[0] and entry[1] != other[1] and (entry[2] != other[2] or entry[2] == PLAIN) for other in group
    )


def _assign_backgrounds(groups: list[tuple[Attributes, ...]], rng: random.Random) -> list[str]:
    """For each scene in turn the background that its nouns (and less so its colours and patterns) have met least."""
    met: dict[tuple[str, str], int] = {}
    assigned = []
    names = list(BACKGROUNDS)
    for group in groups:

        def cost(name: str, group: tuple[Attributes, ...] = group) -> float:
            nouns = sum(met.get((entry[0], name), 0) for entry in group)
            rest = sum(met.get((value, name), 0) for entry in group for value in entry[1:])
            return nouns + 0.15 * rest + rng.random()

        best = min(names, key=cost)
        assigned.append(best)
        for entry in group:
            for value in entry:
                met[value, best] = met.get((value, best), 0) + 1
    return assigned
