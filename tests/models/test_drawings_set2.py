"""Drawings of household things, plants and animals: what every one of them must keep to."""

import itertools
import random

import numpy as np
import pytest
import skia
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.models.testbed.contours import darker, grounded, lighter, limb, mirrored, placed, smooth, turned
from maia.models.testbed.drawing import BODY, SHADES, Drawing, Part, ellipse
from maia.models.testbed.drawings import animals, household, plants
from maia.models.testbed.vocabulary import COLOURS, NOUNS

DRAWINGS: dict[str, tuple[Drawing, ...]] = {**household.DRAWINGS, **plants.DRAWINGS, **animals.DRAWINGS}
WANTED = set(
    [
        "cup",
        "bottle",
        "bowl",
        "vase",
        "lamp",
        "candle",
        "umbrella",
        "book",
        "chair",
        "screen",
        "guitar",
        "tree",
        "flower",
        "leaf",
        "mushroom",
        "fish",
        "bird",
        "dog",
        "cat",
        "butterfly",
    ]
)
CASES = [(noun, index) for noun in DRAWINGS for index in range(len(DRAWINGS[noun]))]
SIDE = 96
REACH = 1.7  # half-size of the box that the masks cover

draws = pytest.mark.parametrize(("noun", "index"), CASES, ids=lambda value: str(value))


def drawn(noun: str, index: int, seed: int = 0, colour: str = "gray") -> list[Part]:
    return DRAWINGS[noun][index](random.Random(f"{seed}"), COLOURS[colour])


def masks(parts: list[Part]) -> tuple[np.ndarray, np.ndarray]:
    """(silhouette, body), bool [SIDE, SIDE]; glare and tints below half opacity hide nothing."""
    pixels = np.zeros((SIDE, SIDE, 4), np.uint8)
    canvas = skia.Canvas(pixels)
    canvas.scale(SIDE / (2 * REACH), SIDE / (2 * REACH))
    canvas.translate(REACH, REACH)
    for part in parts:
        if part.fill != BODY and len(part.fill) == 4 and part.fill[3] < 128:
            continue
        paint = skia.Paint(AntiAlias=False, Color=skia.ColorWHITE if part.fill == BODY else skia.ColorBLACK)
        canvas.drawPath(part.path, paint)
    return pixels[..., 3] > 0, pixels[..., 0] > 0


def bounds(parts: list[Part]) -> tuple[float, float, float, float]:
    box = skia.Rect.MakeEmpty()
    for part in parts:
        box.join(part.path.computeTightBounds())
    return box.left(), box.top(), box.right(), box.bottom()


def recorded(parts: list[Part]) -> list[tuple[object, ...]]:
    return [(bytes(part.path.serialize()), part.fill, part.shade) for part in parts]


def test_every_noun_has_four_drawings() -> None:
    assert set(DRAWINGS) == WANTED
    assert set(DRAWINGS) <= set(NOUNS)
    for noun, drawings in DRAWINGS.items():
        assert len(drawings) >= 4, noun
        assert len(set(drawings)) == len(drawings), noun


def test_last_drawing_is_marked_for_evaluation_and_only_it() -> None:
    for noun, drawings in DRAWINGS.items():
        marked = [(drawing.__doc__ or "").startswith("For evaluation:") for drawing in drawings]
        assert marked == [False] * (len(drawings) - 1) + [True], noun


@draws
def test_parts_are_valid(noun: str, index: int) -> None:
    for seed, colour in enumerate(COLOURS):
        for part in drawn(noun, index, seed, colour):
            assert part.shade in SHADES
            assert not part.path.isEmpty() and part.path.isFinite()
            if part.fill != BODY:
                assert len(part.fill) in (3, 4)
                assert all(isinstance(value, int) and 0 <= value <= 255 for value in part.fill)


@draws
def test_fills_its_box_and_stands_on_the_ground(noun: str, index: int) -> None:
    for seed in range(6):
        left, top, right, bottom = bounds(drawn(noun, index, seed))
        assert min(left, top) > -1.35 and max(right, bottom) < 1.35
        assert max(right - left, bottom - top) > 1.6
        # A flying bird is the one drawing of a standing noun that leaves the ground.
        if not NOUNS[noun].floats and DRAWINGS[noun][index].__name__ != "flying_bird":
            assert bottom == pytest.approx(1.0, abs=0.06)


@draws
def test_body_is_a_good_part_of_it(noun: str, index: int) -> None:
    for seed in range(4):
        silhouette, body = masks(drawn(noun, index, seed))
        assert body.sum() >= 0.3 * silhouette.sum()


@draws
def test_same_seed_same_drawing_and_seeds_differ(noun: str, index: int) -> None:
    assert recorded(drawn(noun, index, 3)) == recorded(drawn(noun, index, 3))
    variants = {tuple(path for path, *_ in recorded(drawn(noun, index, seed))) for seed in range(4)}
    assert len(variants) >= 3


@draws
def test_colour_never_moves_the_silhouette(noun: str, index: int) -> None:
    first, _ = masks(drawn(noun, index, 1, "black"))
    second, _ = masks(drawn(noun, index, 1, "yellow"))
    assert np.array_equal(first, second)


@draws
def test_has_details_beyond_flat_body(noun: str, index: int) -> None:
    parts = drawn(noun, index)
    assert len(parts) >= 8
    assert len({part.shade for part in parts}) >= 2
    assert len({part.fill for part in parts}) >= 3


@pytest.mark.parametrize("noun", sorted(DRAWINGS))
def test_drawings_of_a_noun_differ_in_silhouette(noun: str) -> None:
    shapes = [masks(drawn(noun, index))[0] for index in range(len(DRAWINGS[noun]))]
    for a, b in itertools.combinations(shapes, 2):
        assert (a & b).sum() / (a | b).sum() < 0.9


coordinates = st.floats(-1, 1, allow_nan=False).map(lambda value: round(value, 3))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=9, unique=True))
def test_spline_passes_its_points_and_stays_near_them(points: list[tuple[float, float]]) -> None:
    path = smooth(*points)
    on_curve = {(round(point.x(), 4), round(point.y(), 4)) for point in path.getPoints(path.countPoints())}
    assert {(round(x, 4), round(y, 4)) for x, y in points} <= on_curve
    # Handles are 0.36 of a chord, and a chord is at most 2 sqrt(2).
    box = path.getBounds()
    assert max(abs(box.left()), abs(box.right()), abs(box.top()), abs(box.bottom())) <= 1 + 0.36 * 2.83


def test_corner_is_sharp_and_smooth_point_is_not() -> None:
    rounded = smooth((0, -1), (1, 0), (0, 1), (-1, 0))
    pointed = smooth((0, -1, 0), (1, 0, 0), (0, 1, 0), (-1, 0, 0))
    assert rounded.contains(0.6, 0.6) and not pointed.contains(0.6, 0.6)


def test_limb_is_as_wide_as_asked() -> None:
    path = limb((0, -1, 0.2), (0, 0, 0.4), (0, 1, 0.2))
    assert path.contains(0.19, 0) and not path.contains(0.21, 0)
    assert path.contains(0, 1.05) and not path.contains(0, 1.15)


def test_turned_is_symmetric() -> None:
    path = turned((0.3, -1), (0.6, 0.2), (0.2, 1))
    box, other = path.computeTightBounds(), mirrored(path).computeTightBounds()
    assert box.left() == pytest.approx(-box.right(), abs=1e-5)
    assert other.left() == pytest.approx(box.left(), abs=1e-5)


def test_grounded_and_placed_move_all_parts_together() -> None:
    parts = [Part(ellipse(0, 0, 0.2), BODY), Part(ellipse(0, -0.5, 0.1), (1, 2, 3), "dark")]
    moved = grounded(placed(parts, scale=2.0, move=(0.1, 0.0)))
    assert bounds(moved)[3] == pytest.approx(1.0)
    boxes = [part.path.getBounds() for part in moved]
    assert boxes[0].centerY() - boxes[1].centerY() == pytest.approx(1.0, abs=1e-5)
    assert [(part.fill, part.shade) for part in moved] == [(BODY, "flat"), ((1, 2, 3), "dark")]


@pytest.mark.parametrize("colour", COLOURS)
def test_tints_stand_out_from_their_tone(colour: str) -> None:
    tone = COLOURS[colour]
    assert sum(abs(a - b) for a, b in zip(darker(tone), tone, strict=True)) > 60
    if colour != "white":
        assert sum(lighter(tone)) > sum(tone) + 60
