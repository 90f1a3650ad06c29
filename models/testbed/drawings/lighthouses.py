"""Drawings of a lighthouse; the last is for evaluation only."""

import random

import skia

from ..drawing import BODY, CREAM, DARK, LEAF, RGB, WOOD, Drawing, Part, curve, ellipse, intersect, polygon
from ._details import SHADOW, STONE, arc, boxes, contrast, deeper, gather, ink, paler, pens


def _lantern(cx: float, base: float, half: float, roof: RGB, lit: bool) -> list[Part]:
    """Gallery with a rail, lamp room and a domed roof with a ball; `base` is the gallery's height."""
    top = base - half * 1.7
    glow = (255, 240, 160) if lit else (200, 222, 236)
    posts = [((cx + d * half, base - half * 0.5), (cx + d * half, base)) for d in (-1.4, -0.9, -0.4, 0.4, 0.9, 1.4)]
    return [
        Part(boxes((cx - half * 0.8, top, cx + half * 0.8, base)), glow, "glass"),
        Part(ellipse(cx, (top + base) / 2, half * 0.3, half * 0.45), (255, 214, 90), "sphere"),
        Part(
            pens(0.025, *[((cx + d * half, top), (cx + d * half, base)) for d in (-0.8, -0.27, 0.27, 0.8)]),
            (60, 60, 64),
        ),
        Part(
            curve(
                (cx - half * 1.1, top),
                (cx - half * 0.8, top - half, cx, top - half * 1.1),
                (cx + half * 0.8, top - half, cx + half * 1.1, top),
            ),
            roof,
            "sphere",
        ),
        Part(pens(0.03, ((cx, top - half), (cx, top - half * 1.7))), DARK),
        Part(ellipse(cx, top - half * 1.2, half * 0.2), roof, "sphere"),
        Part(
            pens(0.022, *posts, ((cx - half * 1.4, base - half * 0.5), (cx + half * 1.4, base - half * 0.5))),
            (60, 60, 64),
        ),
        Part(
            polygon(
                (cx - half * 1.5, base),
                (cx + half * 1.5, base),
                (cx + half * 1.2, base + half * 0.35),
                (cx - half * 1.2, base + half * 0.35),
            ),
            (88, 90, 96),
            "vertical",
        ),
    ]


def _shaft(top: float, bottom: float, upper: float, lower: float, cx: float = 0.0) -> skia.Path:
    """Tapering tower outline."""
    return polygon((cx - upper, top), (cx + upper, top), (cx + lower, bottom), (cx - lower, bottom))


def _slits(*places: tuple[float, float]) -> list[Part]:
    sides = [(x - 0.045, y - 0.08, x + 0.045, y + 0.08) for x, y in places]
    return [
        Part(boxes(*[(a - 0.02, b - 0.02, c + 0.02, d + 0.02) for a, b, c, d in sides]), CREAM),
        Part(boxes(*sides), (44, 56, 72), "vertical"),
    ]


def banded_lighthouse(rng: random.Random, tone: RGB) -> list[Part]:
    """Tall tapering tower with contrasting bands."""
    count = rng.choice((2, 3))
    half = lambda y: 0.2 + (y + 0.5) * 0.14  # noqa: E731
    band = contrast(tone, (190, 45, 45), CREAM)
    height = 1.4 / (2 * count + 1)
    bands = [
        _shaft(y, y + height, half(y), half(y + height)) for y in [-0.5 + height * (2 * i + 1) for i in range(count)]
    ]
    return [
        Part(_shaft(-0.5, 0.95, half(-0.5), half(0.95)), BODY, "cylinder"),
        *[Part(b, band, "cylinder") for b in bands],
        *_slits((-0.02, -0.3), (0.05, 0.1), (-0.04, 0.48)),
        Part(polygon((-0.09, 0.92), (-0.09, 0.72), *arc(0, 0.72, 0.09, -90, 90), (0.09, 0.92)), WOOD, "vertical"),
        Part(boxes((-0.2, -0.44, 0.2, -0.38)), SHADOW),
        *_lantern(0, -0.55, 0.15, (170, 48, 44) if band == CREAM else (60, 64, 72), rng.random() < 0.6),
        Part(
            curve((-0.62, 1), (-0.5, 0.84, -0.3, 0.92), (0, 0.86, 0.34, 0.9), (0.52, 0.84, 0.62, 1)),
            (112, 106, 100),
            "vertical",
        ),
    ]


def cottage_lighthouse(rng: random.Random, tone: RGB) -> list[Part]:
    """Stout tower with the keeper's house beside it."""
    roof = rng.choice(((158, 74, 52), (74, 84, 100)))
    return [
        Part(boxes((0.16, 0.45, 0.9, 0.96)), BODY, "dark"),
        Part(polygon((0.1, 0.5), (0.28, 0.16), (0.82, 0.16), (1.0, 0.5)), roof, "vertical"),
        Part(pens(0.014, ((0.2, 0.32), (0.9, 0.32)), ((0.14, 0.42), (0.96, 0.42))), deeper(roof)),
        *_slits((0.44, 0.7), (0.72, 0.7)),
        Part(_shaft(-0.4, 0.96, 0.26, 0.42, -0.2), BODY, "cylinder"),
        Part(
            pens(0.02, *[((-0.2 - w, y), (-0.2 + w, y)) for w, y in ((0.285, -0.15), (0.33, 0.25), (0.375, 0.62))]),
            (*ink(tone), 170),
        ),
        *_slits((-0.2, -0.1), (-0.1, 0.35)),
        Part(boxes((-0.32, 0.64, -0.12, 0.96)), CREAM),
        Part(boxes((-0.29, 0.67, -0.15, 0.96)), (120, 44, 40), "vertical"),
        *_lantern(-0.2, -0.44, 0.19, roof, rng.random() < 0.6),
        Part(curve((-0.95, 1), (-0.7, 0.9, 0, 0.93), (0.6, 0.9, 1.05, 1)), LEAF, "vertical"),
    ]


def square_lighthouse(rng: random.Random, tone: RGB) -> list[Part]:
    """Boarded four-sided tower seen on its corner."""
    rows = rng.choice((9, 11))
    half = lambda y: 0.2 + (y + 0.4) * 0.2  # noqa: E731
    boards = [((-half(y), y), (0.06, y + 0.02), (half(y), y)) for y in [-0.36 + 1.3 * i / rows for i in range(rows)]]
    return [
        Part(polygon((-half(-0.4), -0.4), (0.06, -0.38), (0.06, 1), (-half(0.96), 0.95)), BODY, "light"),
        Part(polygon((0.06, -0.38), (half(-0.4), -0.4), (half(0.96), 0.95), (0.06, 1)), BODY, "dark"),
        Part(pens(0.014, *boards), (*ink(tone), 140)),
        Part(pens(0.03, ((0.06, -0.36), (0.06, 0.98))), (*paler(tone, 0.7), 220)),
        *_slits((-0.1, -0.16), (-0.12, 0.24), (0.2, 0.05), (0.24, 0.5)),
        Part(polygon((-0.28, 0.6), (-0.1, 0.6), (-0.1, 0.985), (-0.28, 0.97)), (60, 84, 120), "vertical"),
        Part(polygon((-0.32, 0.6), (-0.19, 0.5), (-0.06, 0.6)), CREAM, "vertical"),
        Part(polygon((-0.24, -0.42), (0.24, -0.42), (0.2, -0.32), (-0.2, -0.32)), SHADOW),
        *_lantern(0, -0.45, 0.19, contrast(tone, (44, 46, 50), (176, 52, 44)), rng.random() < 0.6),
    ]


def spiral_lighthouse(rng: random.Random, tone: RGB) -> list[Part]:
    """Slender tower with a barber's spiral on a round stone base."""
    tower = _shaft(-0.5, 0.8, 0.2, 0.32)
    lean = rng.choice((0.22, -0.22))
    turns = [
        polygon((-0.5, y + lean), (0.5, y - lean), (0.5, y - lean + 0.17), (-0.5, y + lean + 0.17))
        for y in (-0.55, -0.15, 0.25, 0.65)
    ]
    return [
        Part(tower, BODY, "flat"),
        Part(intersect(gather(*turns), tower), contrast(tone, (40, 44, 60), CREAM), "flat"),
        Part(tower, (0, 0, 0, 0), "cylinder"),
        *_slits((0, -0.3), (0.03, 0.2), (-0.03, 0.6)),
        Part(boxes((-0.46, 0.74, 0.46, 1)), STONE, "cylinder"),
        Part(
            pens(
                0.014,
                ((-0.46, 0.83), (0.46, 0.83)),
                ((-0.46, 0.92), (0.46, 0.92)),
                ((-0.2, 0.74), (-0.2, 0.83)),
                ((0.16, 0.83), (0.16, 0.92)),
            ),
            deeper(STONE),
        ),
        Part(boxes((-0.5, 0.7, 0.5, 0.77)), paler(STONE), "cylinder"),
        *_lantern(0, -0.55, 0.16, DARK, True),
    ]


def rock_lighthouse(rng: random.Random, tone: RGB) -> list[Part]:
    """Flared granite-rock tower with a wide gallery: for evaluation."""
    shaft = curve((-0.24, -0.4), (-0.26, 0.3, -0.46, 0.78), (0.46, 0.78), (0.26, 0.3, 0.24, -0.4))
    band = contrast(tone, (188, 50, 44), (240, 238, 230))
    y = rng.uniform(0.0, 0.14)
    return [
        Part(
            polygon(
                (-0.75, 1), (-0.62, 0.82), (-0.4, 0.86), (-0.3, 0.68), (0.2, 0.74), (0.46, 0.68), (0.6, 0.86), (0.8, 1)
            ),
            (104, 98, 94),
            "vertical",
        ),
        Part(shaft, BODY, "cylinder"),
        Part(polygon((-0.3, y), (0.3, y), (0.335, y + 0.28), (-0.335, y + 0.28)), band, "cylinder"),
        Part(
            pens(0.014, *[((-w, v), (w, v)) for w, v in ((0.25, -0.22), (0.36, 0.46), (0.41, 0.62))]), (*ink(tone), 150)
        ),
        *_slits((0, -0.14), (0.08, 0.5)),
        Part(boxes((-0.36, -0.46, 0.36, -0.38)), (70, 72, 78), "cylinder"),
        *_lantern(0, -0.46, 0.21, (60, 96, 80), True),
        Part(
            pens(0.025, ((-0.7, 0.98), (-0.5, 0.9), (-0.3, 0.97), (0.0, 0.92), (0.4, 0.97), (0.7, 0.93))),
            (240, 246, 250),
        ),
    ]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "lighthouse": (banded_lighthouse, cottage_lighthouse, square_lighthouse, spiral_lighthouse, rock_lighthouse),
}
