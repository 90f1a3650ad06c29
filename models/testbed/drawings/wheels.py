"""Drawings of a wheel; the last is for evaluation only."""

import random

from ..drawing import (
    BODY,
    BRASS,
    DARK,
    METAL,
    RGB,
    Drawing,
    Part,
    annulus,
    ellipse,
    polygon,
    rectangle,
    stroke,
    transform,
)
from ._details import GLINT, SHADOW, arc, crescent, deeper, discs, gather, ink, paler, pens, polar, spokes

TYRE: RGB = (34, 34, 36)


def alloy_wheel(rng: random.Random, tone: RGB) -> list[Part]:
    """Car wheel: tread, side wall, body-coloured rim with windows between the spokes."""
    count, turn, cy = rng.choice((5, 6, 7)), rng.uniform(0, 60), 0.04
    holes = []
    for i in range(count):
        a, half = turn + 360 * i / count, 112 / count
        holes.append(polygon(*arc(0, cy, 0.6, a - half, a + half), *arc(0, cy, 0.3, a + half * 0.5, a - half * 0.5)))
    return [
        Part(ellipse(0, cy, 0.96), TYRE, "sphere"),
        Part(spokes(0, cy, 0.9, 0.95, 40, 0.03), (70, 70, 72)),
        Part(annulus(0, cy, 0.84, 0.82), (95, 95, 98)),
        Part(ellipse(0, cy, 0.72), BODY, "sphere"),
        Part(gather(*holes), (28, 28, 30)),
        Part(annulus(0, cy, 0.73, 0.68), paler(METAL, 0.4), "vertical"),
        Part(crescent(0, cy, 0.67, 270, 350, 0.05), (255, 255, 255, 150)),
        Part(ellipse(0, cy, 0.2), BODY, "sphere"),
        Part(discs((0, cy, 0.08)), ink(tone)),
        Part(discs(*[(*polar(0, cy, 0.145, turn + 72 * i), 0.022) for i in range(5)]), (90, 92, 96)),
        Part(crescent(0, cy, 0.93, 285, 345, 0.05), (255, 255, 255, 70)),
    ]


def wagon_wheel(rng: random.Random, tone: RGB) -> list[Part]:
    """Wooden wheel: iron tyre, painted felloes and spokes."""
    count, turn, cy = rng.choice((8, 10, 12)), rng.uniform(0, 30), 0.03
    bars = spokes(0, cy, 0.1, 0.84, count, 0.1, turn)
    return [
        Part(annulus(0, cy, 0.97, 0.9), (88, 84, 82), "vertical"),
        Part(bars, BODY, "vertical"),
        Part(spokes(0, cy, 0.25, 0.78, count, 0.02, turn + 1.6), (*ink(tone), 150)),
        Part(annulus(0, cy, 0.91, 0.72), BODY, "sideways"),
        Part(annulus(0, cy, 0.74, 0.72), deeper(tone, 0.5)),
        Part(spokes(0, cy, 0.73, 0.9, 6, 0.018, turn + 7), ink(tone)),
        Part(crescent(0, cy, 0.91, 70, 220, 0.1), SHADOW),
        Part(ellipse(0, cy, 0.24), BODY, "sphere"),
        Part(annulus(0, cy, 0.24, 0.19), (88, 84, 82), "vertical"),
        Part(ellipse(0, cy, 0.09), (60, 58, 56), "sphere"),
    ]


def bicycle_wheel(rng: random.Random, tone: RGB) -> list[Part]:
    """Bicycle wheel: coloured tyre, bright rim, crossed wire spokes, a sprocket."""
    count, turn, cy = rng.choice((14, 18)), rng.uniform(0, 20), 0.02
    wires = [
        (polar(0, cy, 0.12, turn + 360 * i / count), polar(0, cy, 0.76, turn + 360 * i / count + d))
        for i in range(count)
        for d in (-26, 26)
    ]
    return [
        Part(pens(0.013, *wires), (205, 208, 212)),
        Part(annulus(0, cy, 0.98, 0.79), BODY, "vertical"),
        Part(annulus(0, cy, 0.98, 0.94), BODY, "dark"),
        Part(annulus(0, cy, 0.8, 0.73), METAL, "vertical"),
        Part(crescent(0, cy, 0.93, 275, 350, 0.05), GLINT),
        Part(pens(0.03, (polar(0, cy, 0.76, turn), polar(0, cy, 0.64, turn))), DARK),
        Part(spokes(0, cy, 0.1, 0.2, 14, 0.03), (96, 98, 102)),
        Part(ellipse(0, cy, 0.19), (120, 122, 126), "sphere"),
        Part(ellipse(0, cy, 0.08), (220, 222, 226), "sphere"),
    ]


def ships_wheel(rng: random.Random, tone: RGB) -> list[Part]:
    """Helm with turned handles and a brass hub."""
    count, turn, cy = rng.choice((6, 8)), rng.uniform(0, 20), 0.0
    angles = [turn + 360 * i / count for i in range(count)]
    return [
        Part(spokes(0, cy, 0.1, 0.72, count, 0.1, turn), BODY, "vertical"),
        Part(gather(*[transform(ellipse(0, -0.82, 0.08, 0.18), rotate=a) for a in angles]), BODY, "vertical"),
        Part(discs(*[(*polar(0, cy, 0.45, a), 0.075) for a in angles]), BODY, "dark"),
        Part(annulus(0, cy, 0.72, 0.53), BODY, "sideways"),
        Part(annulus(0, cy, 0.72, 0.69), deeper(tone, 0.5)),
        Part(annulus(0, cy, 0.56, 0.53), deeper(tone, 0.5)),
        Part(annulus(0, cy, 0.65, 0.61), BRASS, "vertical"),
        Part(discs(*[(*polar(0, cy, 0.63, a), 0.035) for a in angles]), paler(BRASS)),
        Part(crescent(0, cy, 0.71, 270, 355, 0.05), GLINT),
        Part(ellipse(0, cy, 0.2), BODY, "sphere"),
        Part(ellipse(0, cy, 0.11), BRASS, "sphere"),
    ]


def truck_wheel(rng: random.Random, tone: RGB) -> list[Part]:
    """Deep-treaded wheel turned a little away: for evaluation."""
    squeeze, nuts, turn = rng.uniform(0.6, 0.72), rng.choice((8, 10)), rng.uniform(0, 40)
    lugs = [(polar(-0.28, 0, 0.97, a, squeeze), polar(0.2, 0, 0.99, a + 5, squeeze)) for a in range(188, 356, 9)]
    lugs += [(polar(-0.28, 0, 0.97, a + 171, squeeze), polar(0.2, 0, 0.98, a + 171, squeeze)) for a in (188, 352)]
    face = lambda r: transform(ellipse(0, 0, r), scale=(squeeze, 1), move=(0.2, 0))  # noqa: E731
    return [
        Part(transform(ellipse(0, 0, 0.97), scale=(squeeze, 1), move=(-0.28, 0)), (26, 26, 28), "vertical"),
        Part(rectangle(-0.28, -0.97, 0.2, 0.97), (36, 36, 38), "vertical"),
        Part(pens(0.07, *lugs), (58, 58, 60)),
        Part(face(0.99), TYRE, "sphere"),
        Part(stroke(face(0.86), 0.02), (90, 90, 94)),
        Part(face(0.76), BODY, "sphere"),
        Part(stroke(face(0.74), 0.05), METAL, "vertical"),
        Part(face(0.5), BODY, "dark"),
        Part(transform(ellipse(0.06, 0, 0.4), scale=(squeeze, 1), move=(0.2, 0)), BODY, "vertical"),
        Part(
            discs(*[(*polar(0.24, 0, 0.3, turn + 360 * i / nuts, squeeze), 0.04) for i in range(nuts)]),
            METAL,
            "vertical",
        ),
        Part(transform(ellipse(0.1, 0, 0.16), scale=(squeeze, 1), move=(0.2, 0)), (60, 62, 66), "sphere"),
        Part(discs(*[(*polar(0.2, 0, 0.62, turn + 45 * i, squeeze), 0.06) for i in range(8)]), (40, 40, 42)),
    ]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "wheel": (alloy_wheel, wagon_wheel, bicycle_wheel, ships_wheel, truck_wheel),
}
