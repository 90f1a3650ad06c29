"""Drawings of a sign; the last is for evaluation only."""

import random

from ..drawing import (
    BODY,
    CREAM,
    DARK,
    METAL,
    RGB,
    WOOD,
    Drawing,
    Part,
    curve,
    ellipse,
    polygon,
    rectangle,
    stroke,
    transform,
)
from ._details import SHADOW, boxes, contrast, deeper, discs, ink, lettering, pens, polar


def _post(x: float, top: float, half: float = 0.06) -> list[Part]:
    """Galvanised post down to the ground."""
    return [
        Part(boxes((x - half, top, x + half, 1)), METAL, "cylinder"),
        Part(boxes((x - half, 0.94, x + half, 1)), SHADOW),
    ]


def _bolts(*places: tuple[float, float]) -> list[Part]:
    circles = [(x, y, 0.03) for x, y in places]
    return [
        Part(discs(*circles), (120, 122, 126)),
        Part(discs(*[(x - 0.008, y - 0.01, 0.013) for x, y, _ in circles]), CREAM),
    ]


def stop_sign(rng: random.Random, tone: RGB) -> list[Part]:
    """Octagon with a white border and a word."""
    ring = lambda r: polygon(*[polar(0, -0.3, r, 22.5 + 45 * i) for i in range(8)])  # noqa: E731
    word = rng.choice(("STOP", "STOP", "NO"))
    pale = contrast(tone, DARK, CREAM)
    return [
        *_post(0, 0.1),
        Part(transform(ring(0.74), move=(0.03, 0.03)), (110, 112, 116)),
        Part(ring(0.74), pale, "vertical"),
        Part(ring(0.68), BODY, "vertical"),
        Part(lettering(word, 0.3, 0, -0.3), pale),
        Part(polygon((-0.5, -0.74), (-0.26, -0.86), (-0.56, 0.06), (-0.62, 0.02)), (255, 255, 255, 45)),
        *_bolts((0, -0.76), (0, 0.14)),
    ]


def warning_sign(rng: random.Random, tone: RGB) -> list[Part]:
    """Yellow-diamond kind: a square on its corner with an arrow or a bend."""
    symbol = rng.choice(
        (
            [((-0.16, 0.05), (-0.16, -0.2), (0.14, -0.34), (0.14, -0.56)), ((0.0, -0.44), (0.14, -0.6), (0.28, -0.44))],
            [((0, 0.06), (0, -0.58)), ((-0.22, -0.24), (0.22, -0.24))],
            [((0, 0.08), (0, -0.2), (-0.2, -0.5)), ((0, -0.2), (0.2, -0.5))],
        )
    )
    diamond = lambda r: polygon((0, -0.28 - r), (r, -0.28), (0, -0.28 + r), (-r, -0.28))  # noqa: E731
    mark = contrast(tone)
    return [
        *_post(0, 0.2),
        Part(stroke(diamond(0.68), 0.1), (112, 114, 118)),
        Part(stroke(diamond(0.68), 0.07), BODY, "vertical"),
        Part(diamond(0.7), BODY, "vertical"),
        Part(stroke(diamond(0.61), 0.035), mark),
        Part(pens(0.1, *symbol), mark),
        Part(polygon((-0.6, -0.3), (-0.04, -0.86), (0.12, -0.78), (-0.5, -0.18)), (255, 255, 255, 45)),
        *_bolts((0, -0.82), (0, 0.26)),
    ]


def park_sign(rng: random.Random, tone: RGB) -> list[Part]:
    """Board on two wooden posts with a little roof."""
    pale = contrast(tone, (52, 40, 30), CREAM)
    rows = [((-0.6, 0.12 + 0.12 * i), (rng.uniform(0.2, 0.6), 0.12 + 0.12 * i)) for i in range(2)]
    return [
        Part(boxes((-0.82, -0.7, -0.66, 1), (0.66, -0.7, 0.82, 1)), WOOD, "vertical"),
        Part(pens(0.015, ((-0.76, -0.6), (-0.76, 0.95)), ((0.76, -0.6), (0.76, 0.95))), deeper(WOOD)),
        Part(boxes((-0.98, -0.55, 0.98, 0.42), radius=0.04), BODY, "vertical"),
        Part(stroke(rectangle(-0.9, -0.47, 0.9, 0.34, 0.04), 0.035), pale),
        Part(boxes((-0.96, -0.56, 0.96, -0.46)), SHADOW),
        Part(lettering(rng.choice(("PARK", "TRAIL", "BEACH", "LAKE")), 0.3, 0, -0.15), pale),
        Part(pens(0.04, *rows), pale),
        Part(
            polygon((-1.1, -0.55), (0, -0.92), (1.1, -0.55), (1.06, -0.46), (0, -0.8), (-1.06, -0.46)), WOOD, "vertical"
        ),
        *_bolts((-0.74, -0.3), (0.74, -0.3), (-0.74, 0.24), (0.74, 0.24)),
    ]


def finger_post(rng: random.Random, tone: RGB) -> list[Part]:
    """Post with arrow boards pointing both ways."""
    pale = contrast(tone)
    parts = [
        Part(boxes((-0.08, -0.98, 0.08, 1)), WOOD, "cylinder"),
        Part(ellipse(0, -0.98, 0.11, 0.08), deeper(WOOD, 0.2), "sphere"),
    ]
    words = rng.sample(("TOUR", "NORTH", "PIER", "LAKE", "COAST", "CITY"), 3)
    for i in range(rng.choice((2, 3))):
        y, side = -0.66 + 0.46 * i, 1 if i % 2 == 0 else -1
        board = polygon((-0.62, y - 0.18), (0.72, y - 0.18), (0.98, y), (0.72, y + 0.18), (-0.62, y + 0.18))
        board = transform(board, scale=(side, 1))
        parts += [
            Part(transform(board, move=(0.02, 0.05)), SHADOW),
            Part(board, BODY, "vertical"),
            Part(stroke(board, 0.025), ink(tone)),
            Part(lettering(words[i], 0.17, side * 0.08, y), pale),
            *_bolts((0, y - 0.13), (0, y + 0.13)),
        ]
    return parts


def hanging_sign(rng: random.Random, tone: RGB) -> list[Part]:
    """Shop sign on chains from an iron bracket: for evaluation."""
    pale = contrast(tone, (50, 36, 30), CREAM)
    scroll = [polar(-0.52, -0.62, 0.14 - 0.008 * i, 200 + 30 * i) for i in range(14)]
    board = curve((-0.5, -0.42), (0.2, -0.62, 0.9, -0.42), (0.9, 0.3), (0.2, 0.52, -0.5, 0.3))
    return [
        Part(boxes((-0.92, -1, -0.74, 1)), WOOD, "cylinder"),
        Part(boxes((-0.98, 0.86, -0.68, 1)), deeper(WOOD, 0.3), "cylinder"),
        Part(pens(0.05, ((-0.8, -0.86), (1.0, -0.86)), ((-0.78, -0.4), (-0.3, -0.86)), scroll), (52, 52, 56)),
        Part(discs((1.0, -0.86, 0.06), (-0.83, -1.0, 0.1)), (52, 52, 56)),
        Part(pens(0.03, ((-0.3, -0.86), (-0.3, -0.45)), ((0.7, -0.86), (0.7, -0.45))), (70, 70, 74)),
        Part(transform(board, move=(0.04, 0.05)), SHADOW),
        Part(board, BODY, "vertical"),
        Part(stroke(board, 0.05), pale),
        Part(lettering(rng.choice(("OPEN", "CAFE", "INN", "SHOP")), 0.32, 0.2, -0.12), pale),
        Part(pens(0.03, ((-0.2, 0.2), (0.08, 0.2)), ((0.32, 0.2), (0.6, 0.2))), pale),
        Part(polygon((0.2, 0.13), (0.27, 0.2), (0.2, 0.27), (0.13, 0.2)), pale),
    ]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "sign": (stop_sign, warning_sign, park_sign, finger_post, hanging_sign),
}
