"""Drawings of shapes, buildings and vehicles: every noun has enough of them, they stand, they carry their colour."""

import random
from itertools import combinations

import numpy as np
import pytest
import skia
from maia.models.testbed.drawing import BODY, RGB, SHADES, Drawing, Part
from maia.models.testbed.drawings import buildings, shapes, vehicles
from maia.models.testbed.vocabulary import COLOURS, NOUNS

EXPECTED = {
    "shapes": (shapes.DRAWINGS, {"ball", "box", "ring", "star", "wheel", "clock", "sign"}),
    "buildings": (buildings.DRAWINGS, {"fence", "bridge", "house", "door", "window", "lighthouse", "tent"}),
    "vehicles": (vehicles.DRAWINGS, {"boat", "car", "bus", "airplane", "bicycle", "balloon"}),
}
DRAWINGS: dict[str, tuple[Drawing, ...]] = shapes.DRAWINGS | buildings.DRAWINGS | vehicles.DRAWINGS
CASES = [pytest.param(noun, draw, id=f"{noun}-{draw.__name__}") for noun, all_ in DRAWINGS.items() for draw in all_]
SEEDS = range(6)
TONES = (COLOURS["red"], COLOURS["black"], COLOURS["white"])
SIZE, UNIT = 160, 46.0  # pixels of a mask's side and of the unit


def _draw(draw: Drawing, seed: int, tone: RGB = TONES[0]) -> list[Part]:
    return draw(random.Random(seed), tone)


def _hides(part: Part) -> bool:
    """As in the renderer: glare and shade below half opacity leave the segment map alone."""
    return part.fill == BODY or len(part.fill) < 4 or part.fill[3] >= 128


def _masks(parts: list[Part]) -> tuple[np.ndarray, np.ndarray]:
    """bool [SIZE, SIZE] twice: where the object is, and where its body is."""
    pixels = np.zeros((SIZE, SIZE, 4), np.uint8)
    canvas = skia.Canvas(pixels, skia.kRGBA_8888_ColorType)
    canvas.translate(SIZE / 2, SIZE / 2)
    canvas.scale(UNIT, UNIT)
    for part in filter(_hides, parts):
        colour = skia.ColorSetRGB(255, 255 if part.fill == BODY else 0, 0)
        canvas.drawPath(part.path, skia.Paint(AntiAlias=False, Color=colour))
    return pixels[..., 0] > 0, pixels[..., 1] > 0


def _signature(parts: list[Part]) -> list[tuple[bytes, object, str]]:
    return [(bytes(part.path.serialize()), part.fill, part.shade) for part in parts]


@pytest.mark.parametrize("name", EXPECTED)
def test_files_hold_their_nouns(name: str) -> None:
    drawings, nouns = EXPECTED[name]
    assert set(drawings) == nouns
    for noun in nouns:
        assert noun in NOUNS
        assert len(set(drawings[noun])) == len(drawings[noun]) >= 4


@pytest.mark.parametrize(("noun", "draw"), CASES)
def test_parts_are_valid(noun: str, draw: Drawing) -> None:
    for seed in SEEDS:
        for tone in TONES:
            for part in _draw(draw, seed, tone):
                assert part.shade in SHADES
                assert not part.path.isEmpty() and part.path.isFinite()
                if part.fill != BODY:
                    assert len(part.fill) in (3, 4) and all(isinstance(v, int) and 0 <= v <= 255 for v in part.fill)


@pytest.mark.parametrize(("noun", "draw"), CASES)
def test_fills_the_unit_box_and_stands(noun: str, draw: Drawing) -> None:
    for seed in SEEDS:
        bounds = [part.path.computeTightBounds() for part in _draw(draw, seed) if _hides(part)]
        left, right = min(b.left() for b in bounds), max(b.right() for b in bounds)
        top, bottom = min(b.top() for b in bounds), max(b.bottom() for b in bounds)
        assert min(left, top) >= -1.7 and max(right, bottom) <= 1.7
        assert max(right - left, bottom - top) >= 1.6
        assert abs(left + right) <= 0.45  # centred
        if not NOUNS[noun].floats:
            assert 0.93 <= bottom <= 1.09


@pytest.mark.parametrize(("noun", "draw"), CASES)
def test_body_carries_a_good_part(noun: str, draw: Drawing) -> None:
    for seed in SEEDS:
        for tone in TONES:
            whole, body = _masks(_draw(draw, seed, tone))
            assert body.sum() >= 0.25 * whole.sum(), f"{body.sum() / whole.sum():.2f}"


@pytest.mark.parametrize(("noun", "draw"), CASES)
def test_same_stream_same_drawing(noun: str, draw: Drawing) -> None:
    assert all(_signature(_draw(draw, seed)) == _signature(_draw(draw, seed)) for seed in SEEDS)
    assert len({repr(_signature(_draw(draw, seed))) for seed in range(12)}) > 1, "the stream changes nothing"


@pytest.mark.parametrize("noun", DRAWINGS)
def test_silhouettes_differ(noun: str) -> None:
    masks = [_masks(_draw(draw, 0))[0] for draw in DRAWINGS[noun]]
    for a, b in combinations(masks, 2):
        assert (a & b).sum() < 0.97 * (a | b).sum()


@pytest.mark.parametrize("noun", DRAWINGS)
def test_last_drawing_is_marked_for_evaluation(noun: str) -> None:
    held_out = [draw.__doc__.endswith("for evaluation.") for draw in DRAWINGS[noun] if draw.__doc__]
    assert held_out == [False] * (len(held_out) - 1) + [True]
