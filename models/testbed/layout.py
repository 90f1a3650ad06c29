"""Where objects stand: sizes, ground line, floating things, and the relations that a prompt can ask for."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from .backgrounds import horizon
from .catalogue import drawing_extent
from .scene import SIZE, SceneObject
from .vocabulary import NOUNS

RELATIONS = ("on", "beside", "in front of", "behind", "above", "under", "left of", "right of")
Relation = tuple[int, str, int]
"""(i, relation, j): object i is <relation> object j."""

MAX_OBJECTS = 5
HALF_SIZES: dict[int, tuple[float, float]] = {1: (46, 78), 2: (37, 54), 3: (29, 41), 4: (25, 33), 5: (21, 28)}
"""Half-side in pixels of an object's box by the number of objects, before the noun's own factor."""
SIZE_FACTORS: dict[str | None, float] = {"small": 0.62, "medium": 1.0, "large": 1.3, None: 1.0}
ALONE: dict[str | None, tuple[float, float]] = {
    "small": (28, 40),
    "medium": (46, 60),
    "large": (64, 80),
    None: (46, 78),
}

NEVER_MIRRORED = ("sign", "clock", "star", "book", "screen", "bus", "boat", "box", "car", "bicycle", "bottle")
"""Nouns that may carry letters or a dial."""
_MARGIN = 4.0
_OVERLAP = 0.10  # share of the smaller box that may be covered when nobody asked for it
_ATTEMPTS = 160


@dataclass(frozen=True)
class ObjectSpec:
    """An object before it has a place. size: "small", "medium", "large" or None (any). key: see SceneObject."""

    noun: str
    colour: str
    pattern: str
    size: str | None = None
    drawing: int = 0
    key: int = 0


@dataclass
class _Placed:
    """A box in pixels with the scale it was made for. depth: greater is nearer."""

    left: float
    top: float
    right: float
    bottom: float
    x: float
    y: float
    scale: float
    flip: bool
    depth: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    def overlap(self, other: "_Placed") -> float:
        """Share of the smaller box that both cover."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(wide, 0.0) * max(high, 0.0) / min(self.width * self.height, other.width * other.height)


def lay_out(
    nouns: Sequence[ObjectSpec], background: str, relations: Sequence[Relation] = (), seed: int = 0
) -> tuple[SceneObject, ...]:
    """Places up to 5 objects in a picture with this background.

    Returns SceneObjects back to front (not in the order of `nouns`: tell them apart by `key`). Each is inside
    the picture and hardly covered by the others (boxes overlap by at most 10 %), unless "in front of" or
    "behind" asks for it. Same arguments, same places. Raises ValueError for more than 5 objects, an unknown
    relation, relations in a circle, or relations that do not fit into one picture.
    """
    if len(nouns) > MAX_OBJECTS:
        raise ValueError(f"a picture holds at most {MAX_OBJECTS} objects, not {len(nouns)}")
    wanted = [_normalise(relation, len(nouns)) for relation in relations]
    order = _placing_order(len(nouns), wanted)
    rng = random.Random(f"{seed}/layout")
    ground = horizon(background, seed)
    for attempt in range(_ATTEMPTS):
        placed = _try_all(nouns, wanted, order, ground, rng, shrink=0.985**attempt)
        if placed is not None:
            break
    else:
        raise ValueError("these relations do not fit into one picture")
    objects = []
    for i in sorted(range(len(nouns)), key=lambda i: placed[i].depth):
        spec, box = nouns[i], placed[i]
        swing = 10.0 if NOUNS[spec.noun].floats else 3.0
        tilt = random.Random(f"{seed}/layout/tilt/{spec.key}").uniform(-swing, swing)
        place = (round(box.x, 2), round(box.y, 2), round(box.scale, 2), round(tilt, 1), box.flip)
        objects.append(SceneObject(spec.noun, spec.colour, spec.pattern, spec.drawing, *place, key=spec.key))
    return tuple(objects)


def _normalise(relation: Relation, count: int) -> Relation:
    i, name, j = relation
    if name not in RELATIONS:
        raise ValueError(f"unknown relation {name!r}; known are {', '.join(RELATIONS)}")
    if not (0 <= i < count and 0 <= j < count and i != j):
        raise ValueError(f"relation {relation} names objects that are not there")
    inverse = {"under": "above", "behind": "in front of"}
    return (j, inverse[name], i) if name in inverse else relation


def _placing_order(count: int, relations: Sequence[Relation]) -> list[int]:
    """Every object after those that it is placed by."""
    order: list[int] = []
    while len(order) < count:
        free = [i for i in range(count) if i not in order and all(r[2] in order for r in relations if r[0] == i)]
        if not free:
            raise ValueError("relations go round in a circle")
        order.append(free[0])
    return order


def _try_all(
    nouns: Sequence[ObjectSpec],
    relations: Sequence[Relation],
    order: Sequence[int],
    ground: float,
    rng: random.Random,
    shrink: float,
) -> dict[int, _Placed] | None:
    placed: dict[int, _Placed] = {}
    for i in order:
        mine = [(name, placed[j], j) for k, name, j in relations if k == i]
        in_front = {j for name, _, j in mine if name == "in front of"}
        for _ in range(14):
            box = _propose(nouns[i], len(nouns), [(name, other) for name, other, _ in mine], ground, rng, shrink)
            inside = box.left >= _MARGIN and box.right <= SIZE - _MARGIN and box.top >= _MARGIN
            clear = all(box.overlap(other) <= _OVERLAP for j, other in placed.items() if j not in in_front)
            agrees = all(_holds(name, box, other) for name, other, _ in mine)
            if inside and box.bottom <= SIZE - _MARGIN and clear and agrees:
                placed[i] = box
                break
        else:
            return None
    return placed


def _propose(
    spec: ObjectSpec,
    count: int,
    relations: Sequence[tuple[str, _Placed]],
    ground: float,
    rng: random.Random,
    shrink: float,
) -> _Placed:
    """One random box for the object, made for the first of its relations."""
    facts = NOUNS[spec.noun]
    low, high = ALONE[spec.size] if count == 1 else HALF_SIZES[count]
    factor = facts.size * shrink * (1.0 if count == 1 else SIZE_FACTORS[spec.size])
    left, top, right, bottom = drawing_extent(spec.noun, spec.drawing)
    room = SIZE - 2 * _MARGIN - 2
    scale = min(rng.uniform(low, high) * factor, room / (right - left), room / (bottom - top))
    flip = rng.random() < 0.5 and spec.noun not in NEVER_MIRRORED
    if flip:
        left, right = -right, -left
    # The centre of the covered box is placed, then turned into the centre of the unit box.
    half_width, half_height = (right - left) * scale / 2, (bottom - top) * scale / 2
    edge = _MARGIN + half_width
    cx = rng.uniform(edge, max(edge, SIZE - edge))
    if count == 1:
        cx = SIZE / 2 + (cx - SIZE / 2) * 0.7
    name, other = relations[0] if relations else ("", None)
    if facts.floats:
        cy = rng.uniform(_MARGIN + half_height, max(_MARGIN + half_height, 150 - 0.3 * half_height))
    else:
        base = max(ground + 8 + 0.25 * half_height, SIZE - 90.0)
        cy = rng.uniform(min(base, SIZE - 12), SIZE - 9) - half_height
    if other is not None:
        cx, cy = _beside_other(name, other, cx, cy, half_width, half_height, facts.floats, rng)
    depth = cy + half_height
    if other is not None and name in ("on", "in front of"):
        depth = max(depth, other.depth + 0.01)
    box = (cx - half_width, cy - half_height, cx + half_width, cy + half_height)
    return _Placed(*box, cx - (left + right) / 2 * scale, cy - (top + bottom) / 2 * scale, scale, flip, depth)


def _beside_other(
    name: str,
    other: _Placed,
    cx: float,
    cy: float,
    half_width: float,
    half_height: float,
    floats: bool,
    rng: random.Random,
) -> tuple[float, float]:
    """Centre of a box that stands in the relation to the other."""
    middle = (other.left + other.right) / 2
    if name == "on":
        return middle + rng.uniform(-0.15, 0.15) * other.width, other.top + 0.03 * other.height - half_height
    if name == "above":
        return middle + rng.uniform(-0.3, 0.3) * other.width, other.top - rng.uniform(3, 22) - half_height
    if name == "in front of":
        base = min(other.bottom + rng.uniform(4, 16), SIZE - 6)
        return middle + rng.uniform(-0.6, 0.6) * (other.width / 2 + half_width), base - half_height
    if name == "beside":
        side = rng.choice((-1, 1)) * (other.width / 2 + half_width + rng.uniform(1, 12))
        return middle + side, (other.bottom + rng.uniform(-4, 4) - half_height) if not floats else cy
    return cx, cy


def _holds(name: str, box: _Placed, other: _Placed) -> bool:
    """Whether a proposed box is in the (normalised) relation to the other."""
    if name == "left of":
        return box.right <= other.left + 2
    if name == "right of":
        return box.left >= other.right - 2
    if name == "above":
        return box.bottom <= other.top
    if name == "in front of":
        covered = box.overlap(other) * min(box.width * box.height, other.width * other.height)
        return 0.06 <= covered / (other.width * other.height) <= 0.5
    return True
