"""Drawings of a balloon; the last is for evaluation only."""

import random

from ..drawing import BODY, CREAM, METAL, RGB, Drawing, Part, curve, ellipse, intersect, polygon, stroke, transform
from ._details import GLINT, ROPE, SHADOW, Point, boxes, contrast, crescent, deeper, discs, gather, ink, pens, polar


def _string(rng: random.Random, top: Point, length: float) -> list[Point]:
    """Loosely curling string hanging from `top`."""
    sway = rng.uniform(0.04, 0.09) * rng.choice((-1, 1))
    return [(top[0] + sway * (0, 0.7, 1, 0.6, 0, -0.7, -1, -0.6, 0)[i], top[1] + length * i / 8) for i in range(9)]


def _inflated(cx: float, cy: float, radius: float, tone: RGB) -> list[Part]:
    """Rubber balloon: drop shape, knot, highlight, light through its rim."""
    drop = curve(
        (cx, cy + radius * 1.22),
        (cx - radius * 0.3, cy + radius * 1.1, cx - radius, cy + radius * 0.6, cx - radius, cy - radius * 0.06),
        (cx - radius, cy - radius * 0.72, cx - radius * 0.5, cy - radius * 1.06, cx, cy - radius * 1.06),
        (cx + radius * 0.5, cy - radius * 1.06, cx + radius, cy - radius * 0.72, cx + radius, cy - radius * 0.06),
        (cx + radius, cy + radius * 0.6, cx + radius * 0.3, cy + radius * 1.1, cx, cy + radius * 1.22),
    )
    y = cy + radius * 1.2
    return [
        Part(
            polygon((cx, y - 0.03), (cx - radius * 0.13, y + radius * 0.13), (cx + radius * 0.13, y + radius * 0.13)),
            BODY,
            "dark",
        ),
        Part(drop, BODY, "sphere"),
        Part(crescent(cx, cy, radius * 0.97, 80, 190, radius * 0.16), SHADOW),
        Part(crescent(cx, cy, radius * 0.9, 95, 165, radius * 0.06), (255, 255, 255, 70)),
        Part(
            transform(ellipse(0, 0, 0.13, 0.26), scale=radius, rotate=32, move=(cx - radius * 0.42, cy - radius * 0.5)),
            (255, 255, 255, 160),
        ),
        Part(
            transform(
                ellipse(0, 0, 0.05, 0.09), scale=radius, rotate=20, move=(cx - radius * 0.62, cy - radius * 0.08)
            ),
            (255, 255, 255, 120),
        ),
        Part(pens(radius * 0.03, ((cx - radius * 0.06, y - 0.03), (cx + radius * 0.07, y - 0.01))), deeper(tone, 0.5)),
    ]


def party_balloon(rng: random.Random, tone: RGB) -> list[Part]:
    """Rubber balloon on a string."""
    return [Part(pens(0.022, _string(rng, (0, 0.55), 0.5)), (236, 232, 224)), *_inflated(0, -0.28, 0.7, tone)]


def balloon_bunch(rng: random.Random, tone: RGB) -> list[Part]:
    """Three or four balloons whose strings meet."""
    places = [(-0.48, -0.3, 0.4), (0.48, -0.34, 0.4), (0, -0.52, 0.42)]
    if rng.random() < 0.5:
        places.insert(2, (0.02, 0.0, 0.36))
    places = [(x + rng.uniform(-0.05, 0.05), y + rng.uniform(-0.05, 0.05), r) for x, y, r in places]
    strings = [((x, y + r * 1.25), (x * 0.4, 0.6), (0, 0.8)) for x, y, r in places]
    parts = [Part(pens(0.02, *strings, ((0, 0.8), (0.06, 0.92), (-0.02, 1.04))), (236, 232, 224))]
    for x, y, r in places:
        parts += _inflated(x, y, r, tone)
    return [
        *parts,
        Part(
            gather(
                *[
                    transform(ellipse(0, 0, 0.09, 0.045), rotate=t, move=(s * 0.08, 0.8))
                    for s, t in ((-1, 24), (1, -24))
                ]
            ),
            (215, 60, 80),
        ),
    ]


def _basket(cx: float, top: float, half: float) -> list[Part]:
    """Wicker basket with a rim."""
    weave = [
        ((cx - half * 0.95, y), (cx + half * 0.95, y)) for y in (top + half * 0.6, top + half * 1.0, top + half * 1.4)
    ]
    return [
        Part(
            polygon(
                (cx - half, top),
                (cx + half, top),
                (cx + half * 0.85, top + half * 1.7),
                (cx - half * 0.85, top + half * 1.7),
            ),
            (158, 110, 62),
            "cylinder",
        ),
        Part(
            pens(
                0.016,
                *weave,
                *[((cx + half * d, top), (cx + half * d * 0.9, top + half * 1.65)) for d in (-0.5, 0, 0.5)],
            ),
            (104, 70, 38),
        ),
        Part(
            boxes((cx - half * 1.1, top - half * 0.15, cx + half * 1.1, top + half * 0.2), radius=0.02),
            (112, 72, 40),
            "vertical",
        ),
    ]


def hot_air_balloon(rng: random.Random, tone: RGB) -> list[Part]:
    """Hot-air balloon: gores, ropes, burner, basket."""
    seams = rng.choice((2, 3))
    bag = curve(
        (-0.2, 0.5),
        (-0.3, 0.3, -0.84, 0.1, -0.84, -0.32),
        (-0.84, -0.8, -0.42, -1.05, 0, -1.05),
        (0.42, -1.05, 0.84, -0.8, 0.84, -0.32),
        (0.84, 0.1, 0.3, 0.3, 0.2, 0.5),
    )
    gores = [
        curve((0, -1.05), (s * 1.12 * t, -1.0, s * 1.12 * t, 0.0, s * 0.22 * t, 0.5), close=False)
        for s in (-1, 1)
        for t in [(i + 0.6) / (seams + 0.6) for i in range(seams)]
    ]
    band = intersect(bag, curve((-1, -0.5), (0, -0.26, 1, -0.5), (1, -0.24), (0, 0.0, -1, -0.24)))
    pale = contrast(tone, (70, 110, 170), CREAM)
    return [
        Part(
            pens(0.016, *[((s * x, 0.5), (s * y, 0.78)) for s in (-1, 1) for x, y in ((0.2, 0.15), (0.08, 0.1))]), ROPE
        ),
        Part(bag, BODY, "sphere"),
        Part(band, pale, "sideways"),
        Part(discs(*[(x, -0.24 + 0.12 * (1 - x * x) - 0.1, 0.06) for x in (-0.6, -0.3, 0, 0.3, 0.6)]), BODY, "flat"),
        *[Part(stroke(g, 0.018), (*ink(tone), 170)) for g in gores],
        Part(
            curve(
                (0.0, -1.05),
                (0.42, -1.05, 0.84, -0.8, 0.84, -0.32),
                (0.84, 0.1, 0.3, 0.3, 0.2, 0.5),
                (0.14, 0.5),
                (0.5, 0.1, 0.7, -0.6, 0, -1.05),
            ),
            (0, 0, 0, 50),
        ),
        Part(transform(ellipse(0, 0, 0.1, 0.26), rotate=24, move=(-0.42, -0.66)), GLINT),
        Part(polygon((-0.21, 0.46), (0.21, 0.46), (0.16, 0.58), (-0.16, 0.58)), pale, "sideways"),
        Part(curve((-0.04, 0.72), (-0.07, 0.62, 0, 0.54), (0.07, 0.62, 0.04, 0.72)), (250, 190, 70), "vertical"),
        *_basket(0, 0.78, 0.15),
    ]


def heart_balloon(rng: random.Random, tone: RGB) -> list[Part]:
    """Foil balloon in the shape of a heart, with a puckered seam and a ribbon."""
    heart = curve(
        (0, 0.5),
        (-0.5, 0.14, -0.95, -0.2, -0.9, -0.6),
        (-0.84, -1.02, -0.2, -1.1, 0, -0.66),
        (0.2, -1.1, 0.84, -1.02, 0.9, -0.6),
        (0.95, -0.2, 0.5, 0.14, 0, 0.5),
    )
    inner = transform(heart, scale=0.86, move=(0, -0.03))
    folds = [(polar(0, -0.36, 0.44, a), polar(0, -0.36, 0.58, a)) for a in range(100, 261, 20)]
    ribbon = [(0.08 * (-1) ** i * (0.4 + 0.12 * i), 0.58 + 0.075 * i) for i in range(7)]
    return [
        Part(pens(0.03, [(0, 0.5), *ribbon]), rng.choice(((240, 220, 120), (236, 232, 224), (220, 120, 160)))),
        Part(heart, BODY, "dark"),
        Part(inner, BODY, "sphere"),
        Part(stroke(inner, 0.018), (*ink(tone), 140)),
        Part(pens(0.014, *folds), (*ink(tone), 110)),
        Part(curve((-0.66, -0.62), (-0.6, -0.84, -0.36, -0.84), (-0.54, -0.76, -0.58, -0.5)), (255, 255, 255, 170)),
        Part(curve((0.26, -0.74), (0.4, -0.88, 0.56, -0.76), (0.42, -0.78, 0.32, -0.66)), (255, 255, 255, 120)),
        Part(polygon((0, 0.46), (-0.08, 0.6), (0.08, 0.6)), BODY, "dark"),
    ]


def netted_balloon(rng: random.Random, tone: RGB) -> list[Part]:
    """Round gas balloon in a net, wide basket on many ropes, pennants: for evaluation."""
    ropes = [((s * x, 0.12 + 0.24 * (1 - x)), (s * x * 0.3, 0.66)) for s in (-1, 1) for x in (0.2, 0.4, 0.6)]
    n = rng.choice((3, 4))
    net = [
        curve((0, -1.04), (s * 0.96 * t, -0.96, s * 1.02 * t, -0.2, s * 0.62 * t, 0.26), close=False)
        for s in (-1, 1)
        for t in [i / n for i in range(1, n)]
    ]
    rows = [curve((-w, y), (0, y + 0.22, w, y), close=False) for w, y in ((0.56, -0.84), (0.73, -0.5), (0.71, -0.12))]
    scallops = [(-0.57 + 0.19 * i, 0.08 + 0.1 * (1 - abs(i - 3) / 3), 0.1) for i in range(7)]
    return [
        Part(pens(0.016, *ropes), ROPE),
        Part(ellipse(0, -0.32, 0.74, 0.73), BODY, "sphere"),
        *[Part(stroke(path, 0.014), (*ink(tone), 150)) for path in (*net, *rows)],
        Part(crescent(0, -0.32, 0.72, 80, 200, 0.16), SHADOW),
        Part(gather(*[ellipse(*d) for d in scallops]), contrast(tone, (160, 60, 60), CREAM), "vertical"),
        Part(transform(ellipse(0, 0, 0.1, 0.22), rotate=36, move=(-0.34, -0.66)), (255, 255, 255, 140)),
        Part(ellipse(0, -1.04, 0.09, 0.06), METAL, "vertical"),
        *[
            Part(polygon((s * 0.24, 0.56), (s * 0.56, 0.62), (s * 0.24, 0.7)), (210, 70, 60), "sideways")
            for s in (-1, 1)
        ],
        *_basket(0, 0.7, 0.22),
        Part(discs((-0.18, 0.92, 0.07), (0.18, 0.92, 0.07)), (206, 180, 130), "vertical"),
    ]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "balloon": (party_balloon, balloon_bunch, hot_air_balloon, heart_balloon, netted_balloon),
}
