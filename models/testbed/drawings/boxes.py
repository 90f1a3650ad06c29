"""Drawings of a box; the last is for evaluation only."""

import random

from ..drawing import BODY, BRASS, CREAM, DARK, RGB, Drawing, Part, curve, ellipse, line, polygon, rectangle, transform
from ._details import GLINT, SHADOW, boxes, deeper, discs, gather, ink, lettering, paler, pens


def carton(rng: random.Random, tone: RGB) -> list[Part]:
    """Closed cardboard box seen from a corner, with tape and an arrow mark."""
    x = rng.uniform(0.2, 0.4)
    tape = (*paler(tone, 0.55), 220)
    mark = line((-0.62, 0.62), (-0.62, 0.3), (-0.72, 0.42), (-0.62, 0.3), (-0.52, 0.42), width=0.05)
    return [
        Part(polygon((-0.95, -0.4), (x, -0.2), (x, 1), (-0.95, 0.72)), BODY, "vertical"),
        Part(polygon((x, -0.2), (0.95, -0.5), (0.95, 0.62), (x, 1)), BODY, "dark"),
        Part(polygon((-0.95, -0.4), (-0.3, -0.72), (0.95, -0.5), (x, -0.2)), BODY, "light"),
        Part(
            polygon((-0.42, -0.318), (0.22, -0.628), (0.42, -0.592), (-0.2, -0.284), (-0.2, -0.02), (-0.42, -0.05)),
            tape,
        ),
        Part(gather(mark, transform(mark, move=(0.28, 0.05)), line((-0.8, 0.68), (-0.2, 0.79), width=0.04)), ink(tone)),
        Part(boxes((x - 0.55, 0.28, x - 0.1, 0.52)), CREAM, "vertical"),
        Part(pens(0.03, ((x - 0.5, 0.36), (x - 0.2, 0.36)), ((x - 0.5, 0.44), (x - 0.3, 0.44))), (110, 110, 110)),
        Part(pens(0.018, ((-0.95, -0.4), (x, -0.2), (0.95, -0.5)), ((x, -0.2), (x, 1))), paler(tone)),
    ]


def open_carton(rng: random.Random, tone: RGB) -> list[Part]:
    """Cardboard box with its four flaps open."""
    lift = rng.uniform(-0.7, -0.5)
    return [
        Part(polygon((-0.85, -0.25), (0, -0.5), (0, lift - 0.3), (-0.75, lift)), BODY, "dark"),
        Part(polygon((0.85, -0.25), (0, -0.5), (0, lift - 0.3), (0.75, lift)), BODY, "light"),
        Part(polygon((-0.85, -0.25), (0, -0.5), (0.85, -0.25), (0, 0.05)), deeper(tone, 0.7), "vertical"),
        Part(polygon((-0.85, -0.25), (0, 0.05), (0, 1), (-0.85, 0.68)), BODY, "vertical"),
        Part(polygon((0.85, -0.25), (0, 0.05), (0, 1), (0.85, 0.68)), BODY, "dark"),
        Part(polygon((-0.85, -0.2), (0, 0.1), (0, 0.35), (-0.85, 0.05)), SHADOW),
        Part(polygon((-0.85, -0.25), (0, 0.05), (-0.3, 0.36), (-1.15, 0.06)), BODY, "light"),
        Part(polygon((0.85, -0.25), (0, 0.05), (0.3, 0.36), (1.15, 0.06)), BODY, "flat"),
        Part(
            pens(0.02, ((-0.85, -0.25), (0, 0.05), (0.85, -0.25)), ((0, 0.05), (0, 1)), ((-1.15, 0.06), (-0.3, 0.36))),
            ink(tone),
        ),
    ]


def crate(rng: random.Random, tone: RGB) -> list[Part]:
    """Wooden crate: boards in a nailed frame with a brace."""
    count = rng.choice((4, 5, 6))
    gap = 1.86 / count
    boards = [(-0.93, -0.86 + i * gap, 0.93, -0.88 + (i + 1) * gap) for i in range(count)]
    brace = polygon((-0.7, 0.78), (-0.7, 0.52), (0.52, -0.66), (0.7, -0.66), (0.7, -0.42), (-0.5, 0.78))
    frame = [(-0.97, -0.9, -0.66, 1), (0.66, -0.9, 0.97, 1), (-0.97, -0.92, 0.97, -0.64), (-0.97, 0.72, 0.97, 1)]
    nails = [(x, y, 0.035) for x in (-0.82, 0.82) for y in (-0.78, -0.4, 0.05, 0.5, 0.86)]
    return [
        Part(boxes((-0.95, -0.9, 0.95, 1)), deeper(tone, 0.75)),
        Part(boxes(*boards), BODY, "dark"),
        Part(transform(brace, move=(0.03, 0.05)), SHADOW),
        Part(brace, BODY, "flat"),
        Part(boxes((-0.66, -0.64, 0.66, -0.57), (-0.66, -0.64, -0.6, 0.72)), SHADOW),
        *[Part(rectangle(*side), BODY, "sideways" if i < 2 else "vertical") for i, side in enumerate(frame)],
        Part(
            pens(
                0.02, *[((a, b), (a, d)) for a, b, c, d in frame[:2]], *[((a, d), (c, d)) for a, b, c, d in frame[2:]]
            ),
            ink(tone),
        ),
        Part(discs(*nails), ink(tone)),
        Part(lettering(rng.choice(("TEA", "FRUIT", "PARTS")), 0.17, 0, 0.86), ink(tone)),
    ]


def gift_box(rng: random.Random, tone: RGB) -> list[Part]:
    """Present with a lid, a ribbon and a bow."""
    ribbon = rng.choice(
        [c for c in ((220, 50, 60), (245, 210, 80), CREAM, (70, 110, 210)) if abs(sum(c) - sum(tone)) > 90]
    )
    loops = [
        curve((0, -0.5), (s * 0.15, -1.15, s * 0.85, -1.0, s * 0.55, -0.6), (s * 0.3, -0.45, 0, -0.5)) for s in (-1, 1)
    ]
    holes = [
        curve((s * 0.1, -0.56), (s * 0.2, -0.92, s * 0.6, -0.85, s * 0.44, -0.63), (s * 0.25, -0.53, s * 0.1, -0.56))
        for s in (-1, 1)
    ]
    return [
        Part(boxes((-0.82, -0.1, 0.82, 1)), BODY, "sideways"),
        Part(boxes((-0.82, -0.14, 0.82, 0.0)), SHADOW),
        Part(boxes((-0.17, -0.1, 0.17, 1)), ribbon, "cylinder"),
        Part(boxes((-0.95, -0.5, 0.95, -0.1), radius=0.04), BODY, "vertical"),
        Part(boxes((-0.17, -0.5, 0.17, -0.1)), ribbon, "vertical"),
        Part(pens(0.025, ((-0.92, -0.48), (0.92, -0.48))), GLINT),
        *[Part(loop, ribbon, "sphere") for loop in loops],
        Part(gather(*holes), deeper(ribbon, 0.45)),
        Part(polygon((0, -0.5), (-0.42, -0.16), (-0.26, -0.14), (-0.22, -0.02)), deeper(ribbon, 0.15)),
        Part(polygon((0, -0.5), (0.42, -0.16), (0.26, -0.14), (0.22, -0.02)), deeper(ribbon, 0.15)),
        Part(ellipse(0, -0.52, 0.13, 0.11), ribbon, "sphere"),
    ]


def lidded_box(rng: random.Random, tone: RGB) -> list[Part]:
    """Low wide box with a separate lid, label holder and clasp, seen from its right corner: for evaluation."""
    return [
        Part(polygon((-0.35, 0.1), (1.1, -0.05), (1.1, 0.76), (-0.35, 1)), BODY, "vertical"),
        Part(polygon((-1.1, -0.12), (-0.35, 0.1), (-0.35, 1), (-1.1, 0.68)), BODY, "dark"),
        Part(polygon((-1.1, 0.02), (-0.35, 0.3), (1.1, 0.12), (1.1, 0.22), (-0.35, 0.42), (-1.1, 0.12)), SHADOW),
        Part(polygon((-0.38, -0.1), (1.16, -0.26), (1.16, 0.1), (-0.38, 0.3)), BODY, "flat"),
        Part(polygon((-1.16, -0.34), (-0.38, -0.1), (-0.38, 0.3), (-1.16, 0.02)), BODY, "dark"),
        Part(polygon((-1.16, -0.34), (0.36, -0.5), (1.16, -0.26), (-0.38, -0.1)), BODY, "light"),
        Part(pens(0.022, ((-1.16, -0.34), (-0.38, -0.1), (1.16, -0.26)), ((-0.38, -0.1), (-0.38, 0.3))), paler(tone)),
        Part(polygon((0.12, 0.42), (0.72, 0.34), (0.72, 0.58), (0.12, 0.68)), BRASS, "vertical"),
        Part(polygon((0.17, 0.455), (0.67, 0.39), (0.67, 0.545), (0.17, 0.625)), CREAM),
        Part(pens(0.03, ((0.24, 0.53), (rng.uniform(0.45, 0.62), 0.48))), DARK),
        Part(discs((-0.72, 0.5, 0.07)), DARK),
        Part(pens(0.02, ((-0.35, 1), (1.1, 0.76)), ((-0.35, 1), (-1.1, 0.68))), deeper(tone, 0.6)),
    ]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "box": (carton, open_carton, crate, gift_box, lidded_box),
}
