"""Drawings of a window; the last is for evaluation only."""

import random

import skia

from ..drawing import BODY, BRASS, CREAM, LEAF, METAL, RGB, Drawing, Part, curve, ellipse, polygon, rectangle, stroke
from ._details import ROOM, SHADOW, STONE, arc, boxes, deeper, discs, gather, glare, ink, paler, pens, polar, spokes


def _glazing(left: float, top: float, right: float, bottom: float) -> list[Part]:
    """Glass with a reflection and the frame's shadow."""
    return [
        Part(boxes((left, top, right, bottom)), ROOM, "glass"),
        Part(glare(left, top, right, bottom, 0.22), (255, 255, 255, 75)),
        Part(boxes((left, top, right, top + 0.06), (left, top, left + 0.05, bottom)), SHADOW),
    ]


def shuttered_window(rng: random.Random, tone: RGB) -> list[Part]:
    """Window between louvred shutters, with a flower box maybe."""
    rows = rng.choice((2, 3))
    slats = [(s * 0.8 - 0.21, -0.74 + i * 0.105, s * 0.8 + 0.21, -0.7 + i * 0.105) for s in (-1, 1) for i in range(14)]
    parts = [
        Part(boxes((-0.57, -0.9, 0.57, 0.82)), BODY, "vertical"),
        *_glazing(-0.42, -0.76, 0.42, 0.7),
        Part(
            boxes(
                (-0.05, -0.76, 0.05, 0.7),
                *[(-0.42, -0.8 + 1.46 * i / rows, 0.42, -0.71 + 1.46 * i / rows) for i in range(1, rows)],
            ),
            BODY,
        ),
        Part(boxes((-1.1, -0.88, -0.55, 0.82), (0.55, -0.88, 1.1, 0.82)), BODY, "light"),
        Part(boxes(*slats), (*ink(tone), 150)),
        Part(boxes((-0.57, -0.88, -0.53, 0.82), (1.04, -0.88, 1.1, 0.82)), SHADOW),
        Part(boxes((-1.02, 0.0, -0.58, 0.05), (0.58, 0.0, 1.02, 0.05)), BODY),
        Part(boxes((-0.68, 0.8, 0.68, 0.92)), CREAM, "vertical"),
    ]
    if rng.random() < 0.5:
        blooms = [(-0.5 + 0.125 * i, 0.58 + rng.uniform(-0.06, 0.06), 0.075) for i in range(9)]
        leaves = [(x, y + 0.1, 0.1) for x, y, _ in blooms]
        parts += [Part(gather(*[ellipse(*d) for d in leaves]), LEAF, "vertical")]
        parts += [
            Part(
                gather(*[ellipse(*d) for d in blooms]),
                rng.choice(((225, 60, 70), (240, 150, 190), (250, 220, 90))),
                "vertical",
            )
        ]
        parts += [Part(polygon((-0.62, 0.7), (0.62, 0.7), (0.54, 0.98), (-0.54, 0.98)), (150, 86, 58), "vertical")]
    return parts


def arched_window(rng: random.Random, tone: RGB) -> list[Part]:
    """Round-headed window with a fan of bars and a stone sill."""
    fan = rng.choice((4, 6))
    shape = lambda r: polygon((-r, 0.78), (-r, -0.2), *arc(0, -0.2, r, -90, 90), (r, 0.78))  # noqa: E731
    rays = [
        (polar(0, -0.2, 0.16, -90 + 180 * i / fan), polar(0, -0.2, 0.58, -90 + 180 * i / fan)) for i in range(fan + 1)
    ]
    return [
        Part(shape(0.8), BODY, "vertical"),
        Part(stroke(shape(0.78), 0.035), (*ink(tone), 170)),
        Part(shape(0.56), ROOM, "glass"),
        Part(polygon((-0.5, 0.7), (-0.25, 0.7), (0.5, -0.3), (0.3, -0.62)), (255, 255, 255, 70)),
        Part(
            pens(
                0.07,
                *rays,
                arc(0, -0.2, 0.17, -90, 90),
                ((-0.56, -0.2), (0.56, -0.2)),
                ((0, -0.2), (0, 0.78)),
                ((-0.56, 0.28), (0.56, 0.28)),
            ),
            BODY,
        ),
        Part(pens(0.014, *[((a[0] - 0.03, a[1]), (b[0] - 0.03, b[1])) for a, b in rays]), (*paler(tone, 0.7), 170)),
        Part(pens(0.03, arc(0, -0.2, 0.56, -90, 60), ((-0.56, -0.2), (-0.56, 0.76))), (0, 0, 0, 80)),
        Part(polygon((-0.1, -1.06), (0.1, -1.06), (0.07, -0.74), (-0.07, -0.74)), STONE, "vertical"),
        Part(boxes((-0.94, 0.76, 0.94, 0.94)), STONE, "vertical"),
        Part(boxes((-0.9, 0.92, 0.9, 0.97)), SHADOW),
    ]


def sash_window(rng: random.Random, tone: RGB) -> list[Part]:
    """Sliding sashes with curtains behind the glass and a heavy lintel."""
    lifted = rng.choice((0.0, 0.12, 0.25))
    cloth = rng.choice(((225, 210, 180), (200, 80, 80), (120, 150, 190)))
    drapes = [
        curve((s * 0.5, -0.74), (s * 0.06, -0.74), (s * 0.1, 0.1, s * 0.44, 0.4), (s * 0.5, 0.72)) for s in (-1, 1)
    ]
    return [
        Part(boxes((-0.74, -0.92, 0.74, 0.84)), BODY, "sideways"),
        Part(boxes((-0.84, -1.0, 0.84, -0.86)), BODY, "dark"),
        Part(boxes((-0.52, -0.76, 0.52, 0.72)), (44, 50, 62), "vertical"),
        *[Part(drape, cloth, "sideways") for drape in drapes],
        Part(boxes((-0.52, -0.76, 0.52, 0.72 - lifted)), (150, 195, 225, 60), "glass"),
        Part(glare(-0.52, -0.76, 0.52, 0.6), (255, 255, 255, 60)),
        Part(
            boxes((-0.54, -0.06 - lifted, 0.54, 0.08 - lifted), (-0.54, 0.6 - lifted, 0.54, 0.74 - lifted)),
            BODY,
            "vertical",
        ),
        Part(boxes((-0.04, -0.76, 0.04, 0.7 - lifted), (-0.52, -0.44, 0.52, -0.37)), BODY),
        Part(boxes((-0.52, -0.76, 0.52, -0.69), (-0.52, -0.76, -0.47, 0.72)), SHADOW),
        Part(boxes((-0.06, -0.02 - lifted, 0.06, 0.04 - lifted)), BRASS, "vertical"),
        Part(stroke(rectangle(-0.73, -0.9, 0.73, 0.84), 0.02), (*ink(tone), 170)),
        Part(boxes((-0.9, 0.8, 0.9, 0.94)), BODY, "light"),
        Part(boxes((-0.86, 0.93, 0.86, 0.98)), SHADOW),
    ]


def porthole(rng: random.Random, tone: RGB) -> list[Part]:
    """Round window with a broad bolted frame and a cross of bars."""
    count, turn = rng.choice((8, 10, 12)), rng.uniform(0, 30)
    bars = spokes(0, 0, 0, 0.62, 4, 0.09, rng.choice((0, 45)))
    return [
        Part(ellipse(0, 0, 0.98), BODY, "sphere"),
        Part(stroke(ellipse(0, 0, 0.94), 0.03), (*ink(tone), 150)),
        Part(ellipse(0, 0, 0.68), deeper(tone, 0.55)),
        Part(ellipse(0, 0, 0.62), ROOM, "glass"),
        Part(
            polygon(polar(0, 0, 0.6, 215), polar(0, 0, 0.6, 240), polar(0, 0, 0.6, 15), polar(0, 0, 0.6, 45)),
            (255, 255, 255, 80),
        ),
        Part(bars, BODY),
        Part(stroke(ellipse(0, 0, 0.64), 0.05), BODY, "dark"),
        Part(discs(*[(*polar(0, 0, 0.81, turn + 360 * i / count), 0.06) for i in range(count)]), BRASS, "vertical"),
        Part(discs(*[(*polar(-0.01, -0.01, 0.81, turn + 360 * i / count), 0.02) for i in range(count)]), CREAM),
        Part(pens(0.04, arc(0, 0, 0.89, 285, 350)), (255, 255, 255, 120)),
    ]


def _swung(near: float, far: float, start: float, end: float, inset: float) -> skia.Path:
    """Part of a casement that swings from x = near to far: shares of its width, inset at head and foot."""
    x0, x1 = near + (far - near) * start, near + (far - near) * end
    y0, y1 = 0.8 + 0.16 * start - inset, 0.8 + 0.16 * end - inset
    return polygon((x0, -y0), (x1, -y1), (x1, y1 - 0.04), (x0, y0 - 0.04))


def open_casement(rng: random.Random, tone: RGB) -> list[Part]:
    """Two casements swung open to the sides under a striped awning or a lintel: for evaluation."""
    swing = rng.uniform(0.42, 0.52)
    bars = rng.choice((2, 3))
    parts = [
        Part(boxes((-0.62, -0.86, 0.62, 0.8)), BODY, "vertical"),
        Part(boxes((-0.48, -0.72, 0.48, 0.7)), (52, 60, 74), "vertical"),
        Part(boxes((-0.48, -0.72, 0.48, -0.6), (-0.48, -0.72, -0.4, 0.7)), SHADOW),
        Part(boxes((0.08, 0.34, 0.34, 0.7)), (160, 90, 60), "cylinder"),
        Part(ellipse(0.21, 0.2, 0.2, 0.24), LEAF, "sphere"),
    ]
    for s in (-1, 1):
        near, far = s * 0.6, s * (0.6 + swing)
        rails = [
            ((near + s * 0.05, -0.8 + 1.56 * i / bars), (far - s * 0.05, -0.96 + 1.88 * i / bars))
            for i in range(1, bars)
        ]
        parts += [
            Part(_swung(near, far, 0, 1, 0), BODY, "dark" if s > 0 else "light"),
            Part(_swung(near, far, 0.2, 0.8, 0.16), ROOM, "glass"),
            Part(pens(0.07, *rails), BODY, "flat"),
            Part(stroke(_swung(near, far, 0.2, 0.8, 0.16), 0.018), (*ink(tone), 190)),
            Part(boxes((near - 0.025, -0.55, near + 0.025, -0.4), (near - 0.025, 0.4, near + 0.025, 0.55)), METAL),
        ]
    return [
        *parts,
        Part(boxes((-0.72, -0.98, 0.72, -0.84)), BODY, "dark"),
        Part(boxes((-0.74, 0.78, 0.74, 0.92)), STONE, "vertical"),
    ]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "window": (shuttered_window, arched_window, sash_window, porthole, open_casement),
}
