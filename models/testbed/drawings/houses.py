"""Drawings of a house; the last is for evaluation only."""

import random

from ..drawing import BODY, CREAM, GLASS, LEAF, RGB, WOOD, Drawing, Part, ellipse, polygon
from ._details import SHADOW, STONE, boxes, contrast, deeper, discs, gather, ink, paler, pens

SLATE: RGB = (84, 88, 98)
TILE: RGB = (158, 74, 52)
THATCH: RGB = (186, 152, 92)


def pane(left: float, top: float, right: float, bottom: float, frame: RGB = CREAM, lit: bool = False) -> list[Part]:
    """Small house window: frame, sill, four panes with a glare."""
    x, y, w = (left + right) / 2, (top + bottom) / 2, (right - left) * 0.07
    glass = (250, 214, 130) if lit else (98, 138, 172)
    return [
        Part(boxes((left - w * 2, top - w * 2, right + w * 2, bottom + w * 2)), frame, "vertical"),
        Part(boxes((left - w * 3, bottom + w, right + w * 3, bottom + w * 3)), deeper(frame, 0.2)),
        Part(boxes((left, top, right, bottom)), glass, "glass"),
        Part(boxes((left, top, right, top + w * 1.6)), SHADOW),
        Part(boxes((x - w / 2, top, x + w / 2, bottom), (left, y - w / 2, right, y + w / 2)), frame),
    ]


def front_door(left: float, top: float, right: float, colour: RGB, bottom: float = 1.0) -> list[Part]:
    """House door with a surround, panels and a knob."""
    w = right - left
    middle = (top + bottom) / 2
    panels = [
        (left + w * a, y0, left + w * b, y1)
        for a, b in ((0.14, 0.44), (0.56, 0.86))
        for y0, y1 in ((top + w * 0.15, middle - w * 0.05), (middle + w * 0.1, bottom - w * 0.15))
    ]
    return [
        Part(boxes((left - w * 0.16, top - w * 0.16, right + w * 0.16, bottom)), CREAM, "vertical"),
        Part(boxes((left, top, right, bottom)), colour, "vertical"),
        Part(boxes(*panels), deeper(colour, 0.3)),
        Part(boxes((left, top, right, top + w * 0.12)), SHADOW),
        Part(discs((right - w * 0.13, middle, w * 0.07)), (225, 190, 90), "sphere"),
    ]


def door_colour(rng: random.Random, tone: RGB) -> RGB:
    """A usual door colour that differs from the walls."""
    choices = [c for c in ((120, 40, 40), (46, 84, 60), (44, 70, 112), (112, 74, 44)) if _apart(c, tone) > 110]
    return rng.choice(choices)


def _apart(a: RGB, b: RGB) -> int:
    return sum(abs(x - y) for x, y in zip(a, b, strict=True))


def roof_lines(
    left: float, right: float, top: float, bottom: float, inset_left: float, inset_right: float, rows: int
) -> list[list[tuple[float, float]]]:
    """Courses of tiles on a roof plane that narrows towards its top by the insets."""
    lines = []
    for i in range(1, rows):
        t = i / rows
        y = top + (bottom - top) * t
        lines.append([(left + inset_left * (1 - t), y), (right - inset_right * (1 - t), y)])
    return lines


def bush(x: float, radius: float) -> list[Part]:
    """Round shrub on the ground."""
    puffs = (
        (x - radius * 0.6, 1 - radius * 0.45, radius * 0.55),
        (x + radius * 0.6, 1 - radius * 0.45, radius * 0.5),
        (x, 1 - radius * 0.75, radius * 0.65),
    )
    return [
        Part(
            gather(*[ellipse(*p) for p in puffs], boxes((x - radius, 1 - radius * 0.5, x + radius, 1))), LEAF, "sphere"
        )
    ]


def chimney(left: float, right: float, top: float, bottom: float, colour: RGB = TILE) -> list[Part]:
    """Brick chimney with a cap and a pot."""
    rows = [((left, y), (right, y)) for y in (top + 0.1, top + 0.18, top + 0.26)]
    return [
        Part(boxes((left, top, right, bottom)), colour, "sideways"),
        Part(pens(0.012, *rows), deeper(colour)),
        Part(boxes((left - 0.03, top - 0.03, right + 0.03, top + 0.04)), deeper(colour, 0.25)),
        Part(boxes((left + 0.04, top - 0.12, right - 0.04, top - 0.03)), (120, 62, 44), "cylinder"),
    ]


def cottage(rng: random.Random, tone: RGB) -> list[Part]:
    """Broad low house: tiled roof, chimney, door between two windows."""
    roof = rng.choice((TILE, SLATE, THATCH))
    x = rng.choice((-0.15, 0.15))
    lit = rng.random() < 0.3
    return [
        *chimney(0.42, 0.68, -0.95, -0.4),
        Part(boxes((-0.92, -0.2, 0.92, 1)), BODY, "vertical"),
        Part(boxes((-0.92, 0.9, 0.92, 1)), STONE, "vertical"),
        Part(boxes((-0.92, -0.1, 0.92, 0.04)), SHADOW),
        Part(polygon((-1.12, -0.06), (-0.72, -0.8), (0.72, -0.8), (1.12, -0.06)), roof, "vertical"),
        Part(pens(0.016, *roof_lines(-1.12, 1.12, -0.8, -0.06, 0.4, 0.4, 6)), (*deeper(roof), 200)),
        Part(pens(0.05, ((-0.72, -0.8), (0.72, -0.8))), deeper(roof, 0.3)),
        Part(boxes((-1.12, -0.09, 1.12, -0.03)), CREAM, "vertical"),
        *front_door(x - 0.17, 0.32, x + 0.17, door_colour(rng, tone)),
        *pane(-0.72, 0.22, -0.42, 0.58, lit=lit),
        *pane(0.42, 0.22, 0.72, 0.58, lit=lit),
        *bush(-0.78, 0.16),
        *bush(0.82, 0.14),
    ]


def town_house(rng: random.Random, tone: RGB) -> list[Part]:
    """Tall gabled house with several storeys of windows."""
    storeys, columns = rng.choice((2, 3)), rng.choice((2, 3))
    gable = polygon((-0.66, -0.4), (-0.66, -0.55), (0, -1.05), (0.66, -0.55), (0.66, 1), (-0.66, 1))
    parts = [
        *chimney(0.34, 0.54, -1.08, -0.6),
        Part(gable, BODY, "sideways"),
        Part(pens(0.1, ((-0.76, -0.5), (0, -1.04), (0.76, -0.5))), SLATE, "vertical"),
        Part(pens(0.03, ((-0.66, -0.48), (0, -0.95), (0.66, -0.48))), SHADOW),
        Part(ellipse(0, -0.68, 0.13), CREAM),
        Part(ellipse(0, -0.68, 0.09), GLASS, "glass"),
    ]
    rows = [-0.4 + i * 0.95 / storeys for i in range(storeys)]
    parts += [Part(boxes(*[(-0.69, y - 0.1, 0.69, y - 0.06) for y in rows]), paler(tone, 0.5), "vertical")]
    lit = [rng.random() < 0.2 for _ in range(storeys * columns)]
    for row, y in enumerate(rows):
        for i in range(columns):
            x = (i - (columns - 1) / 2) * 1.05 / columns
            parts += pane(x - 0.1, y + 0.03, x + 0.1, y + 0.62 / storeys, lit=lit[row * columns + i])
    x = rng.choice((-0.3, 0.3))
    return [
        *parts,
        Part(boxes((-0.69, 0.54, 0.69, 0.58)), paler(tone, 0.5)),
        *front_door(x - 0.13, 0.66, x + 0.13, door_colour(rng, tone), 0.95),
        Part(boxes((x - 0.24, 0.94, x + 0.24, 1)), STONE, "vertical"),
        *pane(-x - 0.2, 0.68, -x + 0.2, 0.86),
    ]


def barn(rng: random.Random, tone: RGB) -> list[Part]:
    """Gambrel-roofed barn with a braced double door and a hayloft."""
    face = polygon((-0.85, 1), (-0.85, -0.1), (-0.6, -0.62), (0, -0.92), (0.6, -0.62), (0.85, -0.1), (0.85, 1))
    pale = contrast(tone, (96, 62, 40), CREAM)
    count = rng.choice((11, 13))
    planks = [((-0.85 + 1.7 * i / count, -0.1), (-0.85 + 1.7 * i / count, 1)) for i in range(1, count)]
    doors = [((-0.4, 0.25), (0.4, 0.25), (0.4, 1), (-0.4, 1), (-0.4, 0.25)), ((0, 0.25), (0, 1))]
    doors += [((s * 0.4, 0.25), (0, 1)) for s in (-1, 1)] + [((s * 0.4, 1), (0, 0.25)) for s in (-1, 1)]
    return [
        Part(face, BODY, "vertical"),
        Part(pens(0.012, *planks), (*ink(tone), 110)),
        Part(boxes((-0.4, 0.25, 0.4, 1)), BODY, "dark"),
        Part(pens(0.05, *doors), pale),
        Part(boxes((-0.2, -0.5, 0.2, -0.08)), (48, 36, 30), "vertical"),
        Part(
            polygon((-0.2, -0.08), (-0.16, -0.2), (0, -0.26), (0.17, -0.18), (0.2, -0.08)), (216, 180, 84), "vertical"
        ),
        Part(pens(0.05, ((-0.2, -0.5), (0.2, -0.5), (0.2, -0.08), (-0.2, -0.08), (-0.2, -0.5))), pale),
        Part(
            pens(0.05, ((-0.83, -0.06), (-0.83, 0.98)), ((0.83, -0.06), (0.83, 0.98)), ((-0.83, 0.02), (0.83, 0.02))),
            pale,
        ),
        Part(pens(0.13, ((-0.93, -0.06), (-0.63, -0.66), (0, -0.96), (0.63, -0.66), (0.93, -0.06))), SLATE, "vertical"),
        *pane(-0.7, 0.35, -0.52, 0.58, pale),
        *pane(0.52, 0.35, 0.7, 0.58, pale),
    ]


def log_cabin(rng: random.Random, tone: RGB) -> list[Part]:
    """Cabin of round logs, gable in front, stone chimney at the side."""
    rows = 8
    logs = [(-0.8, -0.12 + i * 0.14, 0.86, 0.02 + i * 0.14) for i in range(rows)]
    gable = polygon((-0.74, -0.12), (0.03, -0.78), (0.8, -0.12))
    stones = [(0.86 + rng.uniform(0, 0.16), -0.55 + 0.2 * i, 0.07) for i in range(8)]
    return [
        Part(boxes((0.8, -0.72, 1.08, 1)), STONE, "sideways"),
        Part(discs(*stones), deeper(STONE, 0.2), "vertical"),
        Part(boxes((0.76, -0.78, 1.12, -0.68)), deeper(STONE, 0.3)),
        Part(boxes(*logs, radius=0.06), BODY, "flat"),
        Part(boxes(*[(a, d - 0.05, c, d) for a, _, c, d in logs]), SHADOW),
        Part(boxes(*[(a, b + 0.02, c, b + 0.04) for a, b, c, _ in logs]), (255, 255, 255, 60)),
        Part(discs(*[(x, y + 0.07, 0.085) for x in (-0.8, 0.86) for _, y, _, _ in logs]), (206, 168, 116), "vertical"),
        Part(discs(*[(x, y + 0.07, 0.035) for x in (-0.8, 0.86) for _, y, _, _ in logs]), (150, 108, 66)),
        Part(gable, BODY, "dark"),
        Part(
            pens(0.016, *[((0.03 - w, y), (0.03 + w, y)) for w, y in ((0.56, -0.26), (0.4, -0.4), (0.24, -0.54))]),
            ink(tone),
        ),
        Part(
            polygon((-1.08, 0.06), (0.03, -0.96), (1.14, 0.06), (1.14, -0.12), (0.03, -1.12), (-1.08, -0.12)),
            (92, 78, 66),
            "vertical",
        ),
        Part(
            pens(
                0.016, *[((-1.0 + 0.13 * i, -0.2 - 0.12 * i), (-0.98 + 0.13 * i, -0.04 - 0.12 * i)) for i in range(8)]
            ),
            (50, 42, 36),
        ),
        *front_door(-0.12, 0.36, 0.24, WOOD),
        *pane(-0.6, 0.3, -0.34, 0.56, deeper(WOOD, 0.2), rng.random() < 0.5),
        *pane(0.44, 0.3, 0.68, 0.56, deeper(WOOD, 0.2)),
    ]


def porch_house(rng: random.Random, tone: RGB) -> list[Part]:
    """House seen from its corner: gable front, long roof to the right, a columned porch: for evaluation."""
    roof = rng.choice((SLATE, TILE, (70, 92, 84)))
    windows = rng.choice((2, 3))
    parts = [
        *chimney(0.5, 0.7, -0.98, -0.6),
        Part(polygon((-0.1, -0.25), (1.05, -0.2), (1.05, 0.9), (-0.1, 1)), BODY, "dark"),
        Part(polygon((-0.55, -0.95), (0.75, -0.85), (1.18, -0.14), (-0.02, -0.16)), roof, "vertical"),
        Part(
            pens(
                0.016,
                *[
                    ((-0.55 + 0.53 * t, -0.95 + 0.79 * t), (0.75 + 0.43 * t, -0.85 + 0.71 * t))
                    for t in (0.2, 0.4, 0.6, 0.8)
                ],
            ),
            deeper(roof),
        ),
        Part(polygon((-1.0, -0.25), (-0.55, -0.9), (-0.1, -0.25), (-0.1, 1), (-1.0, 0.94)), BODY, "light"),
        Part(pens(0.08, ((-1.1, -0.14), (-0.55, -0.94), (-0.02, -0.16))), CREAM, "vertical"),
        Part(ellipse(-0.55, -0.45, 0.11, 0.14), CREAM),
        Part(ellipse(-0.55, -0.45, 0.07, 0.1), GLASS, "glass"),
        *pane(-0.86, -0.12, -0.64, 0.18),
        *pane(-0.46, -0.12, -0.24, 0.18),
    ]
    for i in range(windows):
        x = 0.12 + i * 0.9 / windows
        parts += pane(x, -0.04, x + 0.18, 0.24, lit=rng.random() < 0.25) + pane(x, 0.5, x + 0.18, 0.8)
    return [
        *parts,
        *front_door(-0.68, 0.54, -0.44, door_colour(rng, tone), 0.96),
        Part(boxes(*[(x - 0.04, 0.44, x + 0.04, 0.96) for x in (-1.0, -0.12)]), CREAM, "cylinder"),
        Part(polygon((-1.14, 0.46), (-0.98, 0.3), (-0.12, 0.3), (0.02, 0.46)), roof, "vertical"),
        Part(boxes((-1.1, 0.46, 0.0, 0.52)), CREAM),
        Part(boxes((-1.02, 0.52, -0.06, 0.57)), SHADOW),
        Part(boxes((-1.08, 0.93, 0.0, 1)), STONE, "vertical"),
        *bush(0.3, 0.14),
        *bush(0.9, 0.18),
    ]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "house": (cottage, town_house, barn, log_cabin, porch_house),
}
