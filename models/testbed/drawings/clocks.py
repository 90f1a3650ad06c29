"""Drawings of a clock; the last is for evaluation only."""

import random

import skia

from ..drawing import (
    BODY,
    BRASS,
    CREAM,
    DARK,
    METAL,
    RGB,
    Drawing,
    Part,
    annulus,
    curve,
    ellipse,
    line,
    polygon,
    rectangle,
    stroke,
    transform,
)
from ._details import GLINT, arc, boxes, crescent, deeper, discs, gather, glare, ink, paler, pens, polar, spokes

_NUMERALS = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")


def _dial(
    rng: random.Random, cx: float, cy: float, radius: float, hand: RGB = DARK, numerals: bool = False
) -> list[Part]:
    """Face with minute and hour marks and hands at a random time."""
    minute = rng.randrange(60)
    hour = rng.randrange(12) * 30 + minute / 2
    marks = spokes(cx, cy, radius * 0.8, radius * 0.93, 12, radius * 0.07)
    if numerals:
        marks = gather(*[_roman(i, radius, cx, cy) for i in range(1, 13)])
    hands = pens(radius * 0.075, (polar(cx, cy, radius * 0.15, hour + 180), polar(cx, cy, radius * 0.52, hour)))
    long = pens(
        radius * 0.05, (polar(cx, cy, radius * 0.18, minute * 6 + 180), polar(cx, cy, radius * 0.8, minute * 6))
    )
    second = rng.randrange(60) * 6
    return [
        Part(ellipse(cx, cy, radius), CREAM),
        Part(crescent(cx, cy, radius, 240, 440, radius * 0.12), (0, 0, 0, 60)),
        Part(spokes(cx, cy, radius * 0.9, radius * 0.93, 60, radius * 0.018), (110, 110, 110)),
        Part(marks, hand),
        Part(transform(gather(hands, long), move=(radius * 0.03, radius * 0.04)), (0, 0, 0, 50)),
        Part(hands, hand),
        Part(long, hand),
        Part(
            pens(radius * 0.022, (polar(cx, cy, radius * 0.2, second + 180), polar(cx, cy, radius * 0.82, second))),
            (205, 45, 40),
        ),
        Part(discs((cx, cy, radius * 0.06)), (205, 45, 40)),
    ]


def _roman(hour: int, radius: float, cx: float, cy: float) -> skia.Path:
    """One Roman numeral standing on the chapter ring, feet to the centre, as plain strokes of one width."""
    pieces: dict[str, list[tuple[tuple[float, float], ...]]] = {
        "I": [((0, 0), (0, 1))],
        "V": [((-0.3, 0), (0, 1)), ((0.3, 0), (0, 1))],
        "X": [((-0.3, 0), (0.3, 1)), ((0.3, 0), (-0.3, 1))],
    }
    text, size = _NUMERALS[hour - 1], radius * 0.2
    advance = [0.35 if letter == "I" else 0.75 for letter in text]
    left = -sum(advance) / 2
    strokes: list[list[tuple[float, float]]] = []
    for letter, step in zip(text, advance, strict=True):
        strokes += [
            [((left + step / 2 + x) * size, -radius * 0.93 + y * size) for x, y in pen] for pen in pieces[letter]
        ]
        left += step
    return transform(pens(radius * 0.03, *strokes), rotate=30 * hour, move=(cx, cy))


def wall_clock(rng: random.Random, tone: RGB) -> list[Part]:
    """Round wall clock in a broad moulded rim, under glass."""
    return [
        Part(ellipse(0, 0, 0.98), BODY, "vertical"),
        Part(annulus(0, 0, 0.98, 0.92), BODY, "dark"),
        Part(crescent(0, 0, 0.92, 265, 365, 0.07), GLINT),
        Part(annulus(0, 0, 0.77, 0.7), deeper(tone, 0.45), "vertical"),
        *_dial(rng, 0, 0, 0.7),
        Part(polygon(*arc(0, 0, 0.64, 285, 345), (-0.05, -0.2), (-0.35, 0.1)), (255, 255, 255, 60)),
    ]


def alarm_clock(rng: random.Random, tone: RGB) -> list[Part]:
    """Twin-bell alarm clock with hammer, handle and feet."""
    bells = [
        transform(curve((-0.3, 0), (-0.3, -0.4, 0.3, -0.4, 0.3, 0)), rotate=s * 36, move=(s * 0.5, -0.52))
        for s in (-1, 1)
    ]
    return [
        Part(pens(0.12, ((-0.4, 0.7), (-0.6, 0.95)), ((0.4, 0.7), (0.6, 0.95))), METAL, "vertical"),
        Part(
            stroke(curve((-0.4, -0.72), (-0.35, -1.05, 0.35, -1.05, 0.4, -0.72), close=False), 0.07), METAL, "vertical"
        ),
        Part(line((0, -0.5), (0.02, -0.86), width=0.05), METAL),
        Part(boxes((-0.09, -0.93, 0.09, -0.8), radius=0.03), METAL, "vertical"),
        *[Part(bell, BODY, "sphere") for bell in bells],
        Part(discs((-0.67, -0.76, 0.05), (0.67, -0.76, 0.05)), METAL, "vertical"),
        Part(ellipse(0, 0.17, 0.8), BODY, "sphere"),
        Part(crescent(0, 0.17, 0.78, 270, 350, 0.07), (255, 255, 255, 130)),
        Part(annulus(0, 0.17, 0.6, 0.55), METAL, "vertical"),
        *_dial(rng, 0, 0.17, 0.55),
    ]


def longcase_clock(rng: random.Random, tone: RGB) -> list[Part]:
    """Grandfather clock: hood with a pediment, glazed trunk with pendulum, plinth."""
    swing = rng.uniform(-0.1, 0.1)
    return [
        Part(polygon((-0.46, -0.86), (-0.3, -1.0), (0, -1.08), (0.3, -1.0), (0.46, -0.86)), BODY, "light"),
        Part(boxes((-0.42, -0.87, 0.42, -0.12)), BODY, "sideways"),
        Part(boxes((-0.48, -0.9, 0.48, -0.83), (-0.48, -0.14, 0.48, -0.06)), BODY, "dark"),
        Part(boxes((-0.34, -0.1, 0.34, 0.66)), BODY, "sideways"),
        Part(boxes((-0.46, 0.62, 0.46, 1)), BODY, "sideways"),
        Part(boxes((-0.5, 0.6, 0.5, 0.67), (-0.5, 0.92, 0.5, 1)), BODY, "dark"),
        Part(boxes((-0.34, 0.72, 0.34, 0.88)), BODY, "light"),
        Part(boxes((-0.2, 0.02, 0.2, 0.56)), (34, 24, 20), "vertical"),
        Part(line((0, 0.02), (swing, 0.4), width=0.025), BRASS),
        Part(ellipse(swing, 0.43, 0.1), BRASS, "sphere"),
        Part(boxes((-0.14, 0.02, -0.1, 0.22), (0.1, 0.02, 0.14, 0.3)), BRASS, "cylinder"),
        Part(glare(-0.2, 0.02, 0.2, 0.56), (255, 255, 255, 45)),
        Part(stroke(rectangle(-0.2, 0.02, 0.2, 0.56), 0.025), BRASS, "vertical"),
        Part(annulus(0, -0.49, 0.35, 0.31), BRASS, "vertical"),
        *_dial(rng, 0, -0.49, 0.31),
    ]


def mantel_clock(rng: random.Random, tone: RGB) -> list[Part]:
    """Broad mantel clock with a humped case, columns and a stepped base."""
    case = curve(
        (-1.1, 0.74),
        (-0.95, 0.2, -0.72, 0.5, -0.66, 0.05),
        (-0.6, -0.82, 0.6, -0.82, 0.66, 0.05),
        (0.72, 0.5, 0.95, 0.2, 1.1, 0.74),
    )
    return [
        Part(case, BODY, "vertical"),
        Part(stroke(case, 0.035), (*ink(tone), 190)),
        Part(boxes((-1.16, 0.7, 1.16, 0.86), radius=0.03), BODY, "dark"),
        Part(boxes((-1.22, 0.84, 1.22, 1), radius=0.03), BODY, "vertical"),
        Part(pens(0.02, ((-1.14, 0.72), (1.14, 0.72)), ((-1.2, 0.86), (1.2, 0.86))), GLINT),
        Part(pens(0.02, arc(0, 0.05, 0.62, 285, 345)), GLINT),
        Part(annulus(0, 0.08, 0.54, 0.48), BRASS, "vertical"),
        *_dial(rng, 0, 0.08, 0.48, numerals=True),
        Part(polygon(*arc(0, 0.08, 0.44, 285, 345), (0, 0), (-0.2, 0.2)), (255, 255, 255, 55)),
    ]


def octagon_clock(rng: random.Random, tone: RGB) -> list[Part]:
    """Schoolroom clock: eight-sided frame over a pendulum box: for evaluation."""
    ring = lambda r: polygon(*[polar(0, -0.22, r, 22.5 + 45 * i) for i in range(8)])  # noqa: E731
    swing = rng.uniform(-0.12, 0.12)
    sides = [(polar(0, -0.22, 0.84, 22.5 + 45 * i), polar(0, -0.22, 0.62, 22.5 + 45 * i)) for i in range(8)]
    return [
        Part(
            polygon((-0.42, 0.3), (0.42, 0.3), (0.42, 0.72), (0.2, 0.98), (-0.2, 0.98), (-0.42, 0.72)), BODY, "sideways"
        ),
        Part(
            polygon((-0.27, 0.4), (0.27, 0.4), (0.27, 0.68), (0.13, 0.85), (-0.13, 0.85), (-0.27, 0.68)), (38, 28, 22)
        ),
        Part(ellipse(swing, 0.68, 0.11), BRASS, "sphere"),
        Part(ring(0.84), BODY, "vertical"),
        Part(ring(0.72), BODY, "dark"),
        Part(pens(0.02, *sides), (*ink(tone), 170)),
        Part(stroke(ring(0.83), 0.03), (*paler(tone), 200)),
        Part(annulus(0, -0.22, 0.6, 0.55), BRASS, "vertical"),
        *_dial(rng, 0, -0.22, 0.55, numerals=True),
    ]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "clock": (wall_clock, alarm_clock, longcase_clock, mantel_clock, octagon_clock),
}
