"""Places for single objects in a finished scene, without touching the others: for edits."""

import random
from dataclasses import replace

from ..errors import ExperimentError
from .backgrounds import horizon
from .catalogue import drawing_extent
from .layout import ALONE, HALF_SIZES, MAX_OBJECTS, NEVER_MIRRORED, SIZE_FACTORS, ObjectSpec
from .scene import SIZE, Scene, SceneObject
from .vocabulary import NOUNS

MARGIN = 4.0
Box = tuple[float, float, float, float]


def extent(entry: SceneObject) -> Box:
    """(left, top, right, bottom) in pixels of what the object covers, its tilt left out."""
    left, top, right, bottom = drawing_extent(entry.noun, entry.drawing)
    if entry.flip:
        left, right = -right, -left
    s = entry.scale
    return entry.x + left * s, entry.y + top * s, entry.x + right * s, entry.y + bottom * s


def moved(entry: SceneObject, dx: float, dy: float) -> SceneObject:
    """The object shifted, but kept inside the picture."""
    left, top, right, bottom = extent(entry)
    dx = min(max(dx, MARGIN - left), SIZE - MARGIN - right)
    dy = min(max(dy, MARGIN - top), SIZE - MARGIN - bottom)
    return replace(entry, x=round(entry.x + dx, 2), y=round(entry.y + dy, 2))


def resized(entry: SceneObject, factor: float) -> SceneObject:
    """The object scaled about the middle of its base (a floating one about its centre), inside the picture."""
    left, top, right, bottom = extent(entry)
    room = SIZE - 2 * MARGIN
    factor = min(factor, room / (right - left), room / (bottom - top))
    grown = replace(entry, scale=round(entry.scale * factor, 2))
    return _onto(grown, (left, top, right, bottom))


def renamed(entry: SceneObject, noun: str, drawing: int) -> SceneObject:
    """Another noun in the object's place: same key, base, tilt and direction, the size of the new noun."""
    scale = entry.scale * NOUNS[noun].size / NOUNS[entry.noun].size
    other = replace(entry, noun=noun, drawing=drawing, scale=round(scale, 2))
    left, top, right, bottom = extent(other)
    room = SIZE - 2 * MARGIN
    fit = min(1.0, room / (right - left), room / (bottom - top))
    return _onto(replace(other, scale=round(other.scale * fit, 2)), extent(entry))


def _onto(entry: SceneObject, box: Box) -> SceneObject:
    """The object with its centre over the box's, its base (floating: its centre) where the box's is."""
    left, top, right, bottom = extent(entry)
    dx = (box[0] + box[2]) / 2 - (left + right) / 2
    dy = (box[1] + box[3]) / 2 - (top + bottom) / 2 if NOUNS[entry.noun].floats else box[3] - bottom
    return moved(entry, dx, dy)


def overlap(a: Box, b: Box) -> float:
    """Share of the smaller box that both cover."""
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b))
    return max(wide, 0.0) * max(high, 0.0) / smaller


def new_object(scene: Scene, spec: ObjectSpec, relation: str | None = None, other: int = 0) -> SceneObject:
    """A new object where it hides least of the others, or in a relation to scene.objects[other]."""
    count = min(len(scene.objects) + 1, MAX_OBJECTS)
    rng = random.Random(f"{scene.seed}/place/{spec.key}")
    low, high = ALONE[spec.size] if count == 1 else HALF_SIZES[count]
    factor = NOUNS[spec.noun].size * (1.0 if count == 1 else SIZE_FACTORS[spec.size])
    scale, flip = rng.uniform(low, high) * factor, rng.random() < 0.5 and spec.noun not in NEVER_MIRRORED
    start = SceneObject(
        spec.noun, spec.colour, spec.pattern, spec.drawing, SIZE / 2, SIZE / 2, round(scale, 2), 0.0, flip, spec.key
    )
    start = resized(start, 1.0)
    if relation is not None:
        return related(start, relation, scene.objects[other])
    boxes = [extent(entry) for entry in scene.objects]
    ground = horizon(scene.background or "", scene.seed)
    best = None
    for attempt in range(80):
        tried = replace(start, scale=round(start.scale * 0.99**attempt, 2))
        box = extent(tried)
        base = max(ground + 12, SIZE - 80)
        low, high = (MARGIN, 140.0) if NOUNS[spec.noun].floats else (min(base, SIZE - 12), SIZE - 9)
        bottom = rng.uniform(low, high) + (box[3] - box[1] if NOUNS[spec.noun].floats else 0)
        place = moved(tried, rng.uniform(MARGIN, SIZE - MARGIN - (box[2] - box[0])) - box[0], bottom - box[3])
        hidden = max((overlap(extent(place), b) for b in boxes), default=0.0)
        if best is None or hidden < best[0] - 0.02:
            best = (hidden, place)
    return best[1]  # type: ignore[index]


def related(entry: SceneObject, relation: str, other: SceneObject) -> SceneObject:
    """The object moved into a relation to another one, shrunk when there is little room.

    Raises ExperimentError when it would have to shrink below half its size.
    """
    post = extent(other)
    if relation == "beside":
        relation = "left of" if post[0] > SIZE - post[2] else "right of"
    box = extent(entry)
    wide, high = box[2] - box[0], box[3] - box[1]
    room = {
        "left of": (post[0] - 6 - MARGIN) / wide,
        "right of": (SIZE - MARGIN - post[2] - 6) / wide,
        "on": (post[1] - MARGIN) / high,
        "above": (post[1] - MARGIN - 10) / high,
        "under": (SIZE - MARGIN - post[3] - 6) / high,
    }.get(relation, 1.0)
    if room < 0.5:
        raise ExperimentError(f"There is no room {relation} the {other.noun}: move or shrink the {other.noun} first.")
    if room < 1.0:
        entry = resized(entry, room)
        box = extent(entry)
    middle = (post[0] + post[2]) / 2 - (box[0] + box[2]) / 2
    level = post[3] - box[3]
    dx, dy = {
        "on": (middle, post[1] + 0.03 * (post[3] - post[1]) - box[3]),
        "above": (middle, post[1] - 10 - box[3]),
        "under": (middle, post[3] + 6 - box[1]),
        "in front of": (middle + 0.3 * (post[2] - post[0]), level + 10),
        "behind": (middle + 0.3 * (post[2] - post[0]), level - 10),
        "left of": (post[0] - 6 - box[2], level),
        "right of": (post[2] + 6 - box[0], level),
    }[relation]
    return moved(entry, dx, dy)


def insert(scene: Scene, entry: SceneObject, relation: str | None = None, other_key: int | None = None) -> Scene:
    """The scene with one more object: before those that stand nearer, or as the relation to another asks."""
    objects = list(scene.objects)
    position = sum(extent(o)[3] <= extent(entry)[3] for o in objects)
    for i, o in enumerate(objects):
        if o.key == other_key and relation in ("on", "in front of"):
            position = max(position, i + 1)
        elif o.key == other_key and relation == "behind":
            position = min(position, i)
    return replace(scene, objects=(*objects[:position], entry, *objects[position:]))
