"""Drawings of a bridge; the last is for evaluation only."""

import random

from ..drawing import BODY, DARK, RGB, Drawing, Part, curve, intersect, polygon, stroke, subtract
from ._details import SHADOW, STONE, arc, boxes, deeper, discs, gather, ink, paler, pens


def stone_bridge(rng: random.Random, tone: RGB) -> list[Part]:
    """Humped masonry bridge on two or three arches, with a parapet and voussoirs."""
    count = rng.choice((2, 3))
    width = 2.5 / count
    wall = curve((-1.5, 1), (-1.5, 0.0), (0, -0.62, 1.5, 0.0), (1.5, 1))
    holes, rings, joints = [], [], []
    for i in range(count):
        x, r = -1.25 + (i + 0.5) * width, width * 0.4
        top = 0.62 if count == 3 else 0.6
        rim = arc(x, top, r, -90, 90)
        holes.append(polygon((x - r, 1.02), *rim, (x + r, 1.02)))
        rings.append([(x - r, 1), *rim, (x + r, 1)])
        joints += [(a, (a[0] + (a[0] - x) * 0.24, a[1] + (a[1] - top) * 0.24)) for a in rim[1:-1]]
    courses = [[(-1.45, y), (1.45, y)] for y in (0.2, 0.4, 0.6, 0.8)] + [
        [(x, 0.2), (x, 0.4)] for x in (-1.2, -0.7, 0.1, 0.6, 1.25)
    ]
    hole = gather(*holes)
    parapet = curve((-1.5, 0.02), (0, -0.6, 1.5, 0.02), (1.5, -0.14), (0, -0.78, -1.5, -0.14))
    return [
        Part(
            subtract(
                hole,
                gather(
                    *[
                        polygon(*[(x + 0.08, y - 0.03) for x, y in (*ring, (ring[-1][0], 1.1), (ring[0][0], 1.1))])
                        for ring in rings
                    ]
                ),
            ),
            deeper(tone, 0.6),
        ),
        Part(subtract(wall, hole), BODY, "vertical"),
        Part(intersect(pens(0.012, *courses), subtract(wall, hole)), (*ink(tone), 110)),
        Part(pens(0.02, *rings, *joints), (*ink(tone), 190)),
        Part(parapet, BODY, "light"),
        Part(stroke(curve((-1.5, 0.03), (0, -0.58, 1.5, 0.03), close=False), 0.035), SHADOW),
        Part(
            pens(
                0.014,
                *[
                    ((x, -0.14 - 0.32 * (1 - x * x / 2.25)), (x, 0.02 - 0.31 * (1 - x * x / 2.25)))
                    for x in (-1.2, -0.8, -0.4, 0, 0.4, 0.8, 1.2)
                ],
            ),
            (*ink(tone), 150),
        ),
    ]


def suspension_bridge(rng: random.Random, tone: RGB) -> list[Part]:
    """Two towers, hanging cables, a deck on piers."""
    tower = rng.uniform(0.7, 0.85)
    low = 0.16
    cable = []
    for x0, x1, y0, y1, sag in (
        (-1.5, -tower, 0.12, -0.88, 0.18),
        (-tower, tower, -0.88, -0.88, 0.98),
        (tower, 1.5, -0.88, 0.12, 0.18),
    ):
        cable.append(
            [(x0 + (x1 - x0) * i / 14, y0 + (y1 - y0) * i / 14 + sag * 4 * (i / 14) * (1 - i / 14)) for i in range(15)]
        )
    hangers = [((x, y), (x, low)) for points in cable for x, y in points[1:-1] if y < low]
    legs = [(s * tower + d - 0.06, -0.94, s * tower + d + 0.06, 0.82) for s in (-1, 1) for d in (-0.09, 0.09)]
    braces = [(s * tower - 0.14, y, s * tower + 0.14, y + 0.1) for s in (-1, 1) for y in (-0.94, -0.6, -0.22, 0.5)]
    return [
        Part(pens(0.016, *hangers), (*ink(tone), 230)),
        Part(boxes(*[(s * tower - 0.24, 0.76, s * tower + 0.24, 1) for s in (-1, 1)]), STONE, "cylinder"),
        Part(boxes(*legs), BODY, "flat"),
        Part(boxes(*[(r - 0.035, t, r, b) for _, t, r, b in legs]), SHADOW),
        Part(boxes(*braces), BODY, "dark"),
        Part(pens(0.055, *cable), BODY, "flat"),
        Part(boxes((-1.5, low, 1.5, 0.38)), BODY, "vertical"),
        Part(pens(0.02, [(-1.5 + 0.1 * i, 0.22 if i % 2 else 0.34) for i in range(31)]), (*ink(tone), 170)),
        Part(boxes((-1.5, 0.1, 1.5, 0.17)), deeper(tone, 0.35)),
        Part(boxes((-1.5, 0.38, 1.5, 0.42)), SHADOW),
    ]


def truss_bridge(rng: random.Random, tone: RGB) -> list[Part]:
    """Steel truss of triangles, riveted, on two stone piers."""
    bays = rng.choice((6, 8))
    step = 2.8 / bays
    xs = [-1.4 + step * i for i in range(bays + 1)]
    web = [((xs[i], 0.42 if i % 2 == 0 else -0.5), (xs[i + 1], -0.5 if i % 2 == 0 else 0.42)) for i in range(bays)]
    posts = [((x, -0.5), (x, 0.42)) for x in xs[1:-1]]
    return [
        Part(boxes((-1.42, 0.5, -1.02, 1), (1.02, 0.5, 1.42, 1)), STONE, "sideways"),
        Part(boxes((-1.48, 0.56, -0.96, 0.66), (0.96, 0.56, 1.48, 0.66)), paler(STONE, 0.2)),
        Part(pens(0.06, *[((a + 0.07, b - 0.03), (c + 0.07, d - 0.03)) for (a, b), (c, d) in web]), deeper(tone, 0.55)),
        Part(pens(0.07, *posts), BODY, "dark"),
        Part(pens(0.12, *web), BODY, "flat"),
        Part(pens(0.14, ((xs[1], -0.5), (xs[-2], -0.5))), BODY, "light"),
        Part(boxes((-1.5, 0.36, 1.5, 0.58)), BODY, "vertical"),
        Part(pens(0.018, ((-1.5, 0.38), (1.5, 0.38)), ((xs[1], -0.54), (xs[-2], -0.54))), (*paler(tone), 200)),
        Part(boxes((-1.5, 0.55, 1.5, 0.6)), SHADOW),
        Part(discs(*[(x, 0.47, 0.03) for x in xs], *[(x, -0.5, 0.03) for x in xs[1:-1]]), ink(tone)),
    ]


def foot_bridge(rng: random.Random, tone: RGB) -> list[Part]:
    """Arched wooden garden bridge with balusters."""
    count = rng.choice((9, 11))
    height = lambda x: 0.62 - 0.72 * (1 - (x / 1.5) ** 2)  # noqa: E731
    xs = [-1.38 + 2.76 * i / (count - 1) for i in range(count)]
    span = [-1.5 + 0.15 * i for i in range(21)]
    deck = polygon(*[(x, height(x)) for x in span], *[(x, height(x) + 0.24) for x in reversed(span)])
    rail = [(x, height(x) - 0.46) for x in span]
    return [
        Part(pens(0.05, [(x * 0.97, height(x) - 0.4) for x in span]), deeper(tone, 0.5)),
        Part(boxes(*[(x - 0.035, height(x) - 0.44, x + 0.035, height(x) + 0.02) for x in xs]), BODY, "sideways"),
        Part(polygon((-1.5, 0.5), (-1.1, 0.42), (-1.2, 1), (-1.5, 1)), STONE, "vertical"),
        Part(polygon((1.5, 0.5), (1.1, 0.42), (1.2, 1), (1.5, 1)), STONE, "vertical"),
        Part(deck, BODY, "vertical"),
        Part(
            pens(0.014, *[((x, height(x)), (x, height(x) + 0.1)) for x in [s / 10 for s in range(-14, 15)]]),
            (*ink(tone), 170),
        ),
        Part(pens(0.022, [(x, height(x) + 0.11) for x in span]), (*ink(tone), 200)),
        Part(pens(0.1, rail), BODY, "light"),
        Part(pens(0.08, [(x, y + 0.25) for x, y in rail]), BODY, "flat"),
        Part(
            boxes(*[(x - 0.08, height(x) - 0.56, x + 0.08, height(x) + 0.2) for x in (-1.4, 0, 1.4)]), BODY, "sideways"
        ),
        Part(discs(*[(x, height(x) - 0.6, 0.1) for x in (-1.4, 0, 1.4)]), BODY, "dark"),
    ]


def arch_bridge(rng: random.Random, tone: RGB) -> list[Part]:
    """One wide arch below the deck with slender columns and lamps: for evaluation."""
    columns = rng.choice((10, 12))
    height = lambda x, rise: 1.0 - rise * (1 - (x / 1.3) ** 2)  # noqa: E731
    span = [-1.3 + 0.13 * i for i in range(21)]
    xs = [-1.2 + 2.4 * i / (columns - 1) for i in range(columns)]
    arch = polygon(*[(x, height(x, 1.05)) for x in span], *[(x * 0.97, height(x, 0.78)) for x in reversed(span)])
    lamps = (-1.1, -0.37, 0.37, 1.1)
    return [
        Part(polygon((-1.5, 0), (-1.28, 0), (-1.12, 1), (-1.5, 1)), STONE, "sideways"),
        Part(polygon((1.5, 0), (1.28, 0), (1.12, 1), (1.5, 1)), STONE, "sideways"),
        Part(boxes(*[(x - 0.05, -0.05, x + 0.05, height(x, 0.98)) for x in xs]), BODY, "sideways"),
        Part(arch, BODY, "flat"),
        Part(pens(0.03, [(x * 0.97, height(x, 0.8)) for x in span]), (*deeper(tone, 0.6), 200)),
        Part(pens(0.02, [(x, height(x, 1.02)) for x in span]), (*paler(tone), 180)),
        Part(boxes((-1.5, -0.24, 1.5, 0.04)), BODY, "vertical"),
        Part(boxes((-1.5, 0.02, 1.5, 0.08)), SHADOW),
        Part(
            pens(0.02, ((-1.5, -0.4), (1.5, -0.4)), *[((x / 10, -0.4), (x / 10, -0.22)) for x in range(-15, 16)]),
            ink(tone),
        ),
        Part(pens(0.03, *[((x, -0.24), (x, -0.72)) for x in lamps]), DARK),
        Part(discs(*[(x, -0.78, 0.07) for x in lamps]), (255, 236, 170), "vertical"),
    ]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "bridge": (stone_bridge, suspension_bridge, truss_bridge, foot_bridge, arch_bridge),
}
