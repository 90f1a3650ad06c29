"""Drawings of a fence; the last is for evaluation only."""

import random
from itertools import pairwise

from ..drawing import BODY, RGB, Drawing, Part, curve, intersect, polygon, rectangle, stroke
from ._details import SHADOW, STONE, boxes, discs, gather, ink, paler, pens


def picket_fence(rng: random.Random, tone: RGB) -> list[Part]:
    """Pointed pales on two rails."""
    count = rng.choice((7, 8, 9))
    step = 2.8 / count
    half = step * 0.36
    pales, edges = [], []
    for i in range(count):
        x = -1.4 + (i + 0.5) * step
        pales.append(polygon((x - half, 1), (x - half, -0.22), (x, -0.45), (x + half, -0.22), (x + half, 1)))
        edges.append(polygon((x + half * 0.45, 1), (x + half * 0.45, -0.32), (x + half, -0.22), (x + half, 1)))
    nails = [(-1.4 + (i + 0.5) * step, y, 0.02) for i in range(count) for y in (0.04, 0.64)]
    rails = [(-1.48, -0.04, 1.48, 0.12), (-1.48, 0.56, 1.48, 0.72)]
    return [
        Part(boxes(*rails), BODY, "dark"),
        Part(pens(0.018, *[((a, b), (c, b)) for a, b, c, _ in rails]), paler(tone)),
        Part(gather(*pales), BODY, "flat"),
        Part(gather(*edges), SHADOW),
        Part(
            pens(
                0.016,
                *[
                    ((-1.4 + (i + 0.5) * step - half * 0.9, -0.2), (-1.4 + (i + 0.5) * step, -0.42))
                    for i in range(count)
                ],
            ),
            paler(tone, 0.7),
        ),
        Part(boxes((-1.42, 0.92, 1.42, 1)), (0, 0, 0, 45)),
        Part(discs(*nails), ink(tone)),
    ]


def ranch_fence(rng: random.Random, tone: RGB) -> list[Part]:
    """Thick posts and long horizontal rails."""
    rails = rng.choice((3, 4))
    posts = (-1.25, -0.42, 0.42, 1.25)
    lines, grain = [], []
    for i in range(rails):
        y, sag = -0.18 + i * 1.0 / rails, rng.uniform(-0.04, 0.04)
        lines.append(polygon((-1.5, y), (0, y + sag), (1.5, y), (1.5, y + 0.17), (0, y + 0.17 + sag), (-1.5, y + 0.17)))
        grain += [[(-1.4, y + 0.06), (-0.5, y + 0.06 + sag)], [(0.1, y + 0.11 + sag), (1.1, y + 0.1)]]
    return [
        Part(gather(*lines), BODY, "flat"),
        Part(pens(0.014, *grain), (*ink(tone), 150)),
        Part(boxes(*[(x + 0.13, -0.2, x + 0.2, 0.92) for x in posts]), (0, 0, 0, 50)),
        Part(
            gather(
                *[
                    polygon((x - 0.13, 1), (x - 0.13, -0.38), (x, -0.45), (x + 0.13, -0.38), (x + 0.13, 1))
                    for x in posts
                ]
            ),
            BODY,
            "light",
        ),
        Part(boxes(*[(x + 0.04, -0.38, x + 0.13, 1) for x in posts]), (0, 0, 0, 70)),
        Part(
            pens(0.014, *[((x - 0.05, -0.3), (x - 0.05, 0.3 + 0.1 * i)) for i, x in enumerate(posts)]),
            (*ink(tone), 170),
        ),
        Part(discs(*[(x - 0.02, -0.1 + i / rails, 0.03) for x in posts for i in range(rails)]), (70, 70, 72)),
    ]


def iron_railing(rng: random.Random, tone: RGB) -> list[Part]:
    """Wrought bars with spear heads between stone-capped piers of the body's colour."""
    count = rng.choice((9, 11))
    xs = [-0.95 + 1.9 * i / (count - 1) for i in range(count)]
    spears = [polygon((x, -0.5), (x + 0.07, -0.32), (x, -0.24), (x - 0.07, -0.32)) for x in xs]
    piers = [(-1.48, -0.3, -1.08, 1), (1.08, -0.3, 1.48, 1)]
    return [
        Part(boxes(*[(x - 0.035, -0.34, x + 0.035, 0.9) for x in xs]), BODY, "sideways"),
        Part(gather(*spears), BODY, "flat"),
        Part(stroke(discs(*[((a + b) / 2, 0.0, 0.075) for a, b in pairwise(xs)]), 0.035), BODY, "flat"),
        Part(boxes((-1.1, -0.18, 1.1, -0.09), (-1.1, 0.09, 1.1, 0.18), (-1.1, 0.74, 1.1, 0.84)), BODY, "vertical"),
        Part(pens(0.014, *[((x - 0.02, -0.3), (x - 0.02, 0.85)) for x in xs]), (*paler(tone, 0.6), 170)),
        Part(boxes(*piers), BODY, "sideways"),
        Part(
            pens(0.014, *[((a, y), (c, y)) for a, _, c, _ in piers for y in (-0.04, 0.22, 0.48, 0.74)]),
            (*ink(tone), 150),
        ),
        Part(
            boxes((-1.54, -0.42, -1.02, -0.3), (1.02, -0.42, 1.54, -0.3), (-1.1, 0.88, 1.1, 1), radius=0.02),
            STONE,
            "vertical",
        ),
        Part(discs((-1.28, -0.5, 0.13), (1.28, -0.5, 0.13)), STONE, "vertical"),
    ]


def lattice_fence(rng: random.Random, tone: RGB) -> list[Part]:
    """Trellis panel in a frame between square posts."""
    step = rng.choice((0.3, 0.36))
    slats: dict[int, list] = {1: [], -1: []}
    for side in (1, -1):
        x = -2.6
        while x < 2.6:
            slats[side].append(
                polygon((x, -0.2), (x + 0.13, -0.2), (x + 0.13 + side * 1.1, 0.9), (x + side * 1.1, 0.9))
            )
            x += step
    window = rectangle(-1.3, -0.2, 1.3, 0.86)
    return [
        Part(intersect(gather(*slats[-1]), window), BODY, "dark"),
        Part(intersect(gather(*slats[1]), window), BODY, "flat"),
        Part(boxes((-1.3, -0.2, 1.3, -0.15)), SHADOW),
        Part(boxes((-1.34, -0.36, 1.34, -0.2), (-1.34, 0.76, 1.34, 0.92)), BODY, "vertical"),
        Part(boxes((-1.48, -0.42, -1.2, 1), (1.2, -0.42, 1.48, 1)), BODY, "light"),
        Part(boxes((-1.27, -0.42, -1.2, 1), (1.41, -0.42, 1.48, 1)), SHADOW),
        Part(
            gather(*[polygon((s * 1.34 - 0.19, -0.42), (s * 1.34, -0.56), (s * 1.34 + 0.19, -0.42)) for s in (-1, 1)]),
            BODY,
            "dark",
        ),
        Part(pens(0.016, ((-1.3, -0.34), (1.3, -0.34)), ((-1.44, -0.4), (-1.44, 0.9))), paler(tone, 0.6)),
    ]


def board_fence(rng: random.Random, tone: RGB) -> list[Part]:
    """Tall round-topped boards of uneven height, nearly touching, a knot here and there: for evaluation."""
    count = rng.choice((9, 10, 11))
    step = 2.9 / count
    boards, shades, knots, grain = [], [], [], []
    for i in range(count):
        x0, top = -1.45 + i * step, -0.6 + rng.uniform(-0.07, 0.07)
        x1 = x0 + step * 0.9
        boards.append(
            curve((x0, 1), (x0, top + 0.12), (x0, top, (x0 + x1) / 2, top), (x1, top, x1, top + 0.12), (x1, 1))
        )
        shades.append((x1 - step * 0.16, top + 0.1, x1, 1))
        knots.append(((x0 + x1) / 2 + rng.uniform(-0.04, 0.04), rng.uniform(-0.3, 0.8), 0.025))
        grain.append([(x0 + step * 0.25, top + 0.2), (x0 + step * 0.3, 0.1), (x0 + step * 0.22, 0.85)])
    return [
        Part(boxes((-1.45, -0.25, 1.45, -0.1), (-1.45, 0.55, 1.45, 0.7)), BODY, "dark"),
        Part(gather(*boards), BODY, "vertical"),
        Part(boxes(*shades), SHADOW),
        Part(pens(0.012, *grain), (*ink(tone), 150)),
        Part(discs(*knots), (*ink(tone), 200)),
        Part(
            discs(*[(-1.45 + (i + 0.45) * step, y, 0.018) for i in range(count) for y in (-0.18, 0.62)]), (60, 60, 62)
        ),
        Part(boxes((-1.45, 0.9, 1.45, 1)), (0, 0, 0, 50)),
    ]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "fence": (picket_fence, ranch_fence, iron_railing, lattice_fence, board_fence),
}
