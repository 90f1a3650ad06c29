"""Drawings of a boat; the last is for evaluation only."""

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
    annulus,
    curve,
    ellipse,
    polygon,
    stroke,
    transform,
)
from ._details import (
    GLINT,
    PANE,
    ROPE,
    SHADOW,
    Point,
    arc,
    boxes,
    contrast,
    deeper,
    discs,
    gather,
    ink,
    lettering,
    paler,
    pens,
)

SAIL: RGB = (244, 240, 228)


def _hull_trim(tone: RGB, rail: list[Point], water: list[Point]) -> list[Part]:
    """Rubbing strake, its shadow and the boot stripe above the keel."""
    return [
        Part(pens(0.05, [(x, y + 0.05) for x, y in rail]), SHADOW),
        Part(pens(0.045, rail), contrast(tone, (120, 78, 46), CREAM)),
        Part(pens(0.035, water), (*paler(tone, 0.7), 200)),
    ]


def sloop_boat(rng: random.Random, tone: RGB) -> list[Part]:
    """Sailing boat with mainsail and jib, both in the body's colour or pale ones."""
    hull = curve((-1.05, 0.44), (1.15, 0.4), (0.9, 0.86, 0.5, 1), (-0.66, 1), (-0.98, 0.86, -1.05, 0.44))
    sail = BODY if rng.random() < 0.5 else SAIL
    main = curve((-0.02, -0.96), (-0.02, 0.22), (-0.5, 0.3, -0.92, 0.22), (-0.5, -0.2, -0.02, -0.96))
    jib = curve((0.1, -0.86), (0.98, 0.3), (0.5, 0.3, 0.12, 0.22), (0.3, -0.3, 0.1, -0.86))
    battens = [((-0.18, -0.62), (-0.02, -0.58)), ((-0.38, -0.32), (-0.02, -0.26)), ((-0.62, -0.02), (-0.02, 0.04))]
    return [
        Part(pens(0.014, ((0.02, -1.02), (1.12, 0.4)), ((0.02, -1.02), (-1.02, 0.44))), ROPE),
        Part(boxes((-0.01, -1.08, 0.05, 0.46)), WOOD, "cylinder"),
        Part(main, sail, "sideways"),
        Part(jib, sail, "vertical"),
        Part(pens(0.014, *battens, ((0.3, -0.3), (0.62, -0.04)), ((0.2, 0.0), (0.8, 0.14))), (110, 110, 110)),
        Part(curve((-0.02, -0.96), (-0.02, 0.22), (-0.2, 0.25), (-0.12, -0.4, -0.02, -0.96)), SHADOW),
        Part(pens(0.035, ((-0.96, 0.28), (0.06, 0.28))), WOOD),
        Part(polygon((0.02, -1.1), (0.3, -1.04), (0.02, -0.97)), (206, 50, 48)),
        Part(curve((-0.6, 0.44), (-0.56, 0.3), (0.36, 0.3), (0.5, 0.42)), CREAM, "vertical"),
        Part(boxes((-0.4, 0.34, -0.22, 0.4), (-0.1, 0.34, 0.08, 0.4), radius=0.02), PANE),
        Part(hull, BODY, "vertical"),
        Part(
            curve((-0.94, 0.8), (0, 0.84, 0.9, 0.76), (0.72, 0.94, 0.5, 1), (-0.66, 1), (-0.86, 0.92, -0.94, 0.8)),
            BODY,
            "dark",
        ),
        *_hull_trim(tone, [(-1.05, 0.45), (0, 0.46), (1.14, 0.41)], [(-0.93, 0.79), (0, 0.82), (0.9, 0.76)]),
        Part(lettering(rng.choice(("STAR", "PEARL", "TERN")), 0.12, -0.6, 0.62), contrast(tone)),
    ]


def rowing_boat(rng: random.Random, tone: RGB) -> list[Part]:
    """Clinker rowing boat with thwarts and oars."""
    hull = curve(
        (-1.35, 0.2), (-0.6, 0.52, 0.7, 0.5, 1.4, 0.08), (1.2, 0.7, 0.8, 1), (-0.85, 1), (-1.2, 0.8, -1.35, 0.2)
    )
    strakes = [
        curve(
            (-1.3 + 0.09 * i, 0.3 + 0.15 * i),
            (-0.6, 0.58 + 0.12 * i, 0.7, 0.56 + 0.12 * i, 1.33 - 0.1 * i, 0.22 + 0.15 * i),
            close=False,
        )
        for i in (1, 2, 3)
    ]
    dip = rng.uniform(0.76, 0.92)
    return [
        Part(
            curve((-1.35, 0.2), (-0.6, 0.06, 0.7, 0.04, 1.4, 0.08), (0.7, 0.54, -0.6, 0.54, -1.35, 0.2)),
            deeper(tone, 0.5),
            "vertical",
        ),
        Part(boxes((-0.62, 0.2, -0.42, 0.42), (0.2, 0.18, 0.4, 0.42)), (186, 138, 84), "vertical"),
        Part(hull, BODY, "vertical"),
        *[Part(stroke(s, 0.022), (*ink(tone), 170)) for s in strakes],
        *[Part(transform(stroke(s, 0.012), move=(0, 0.025)), (*paler(tone, 0.6), 130)) for s in strakes],
        Part(
            stroke(curve((-1.35, 0.2), (-0.6, 0.52, 0.7, 0.5, 1.4, 0.08), close=False), 0.075),
            (150, 104, 60),
            "vertical",
        ),
        Part(pens(0.055, ((-0.4, -0.28), (0.5, dip)), ((0.5, -0.32), (-0.5, dip - 0.06))), (196, 150, 92)),
        Part(
            gather(
                *[
                    transform(ellipse(0, 0, 0.085, 0.24), rotate=r, move=(x, dip - 0.1))
                    for r, x in ((-36, 0.52), (37, -0.54))
                ]
            ),
            (212, 170, 112),
            "vertical",
        ),
        Part(discs((-0.04, 0.35, 0.05), (0.06, 0.35, 0.05)), (70, 70, 74)),
    ]


def cargo_boat(rng: random.Random, tone: RGB) -> list[Part]:
    """Container ship or liner: long hull, superstructure, funnels."""
    hull = polygon((-1.42, 0.36), (1.5, 0.3), (1.16, 1), (-1.2, 1), (-1.36, 0.8))
    colours = [(198, 70, 54), (66, 112, 168), (228, 170, 60), (80, 140, 96), (150, 152, 156)]
    stacks = [(-0.46 + 0.26 * i, 0.34 - 0.18 * (j + 1)) for i in range(6) for j in range(rng.choice((1, 2, 2, 3)))]
    return [
        Part(boxes((-1.0, -0.78, -0.78, -0.2)), BODY, "cylinder"),
        Part(boxes((-1.0, -0.66, -0.78, -0.52)), contrast(tone, (40, 42, 48), CREAM), "cylinder"),
        Part(boxes((-1.0, -0.8, -0.78, -0.74)), DARK),
        Part(boxes((-1.2, -0.06, -0.56, 0.4), (-1.12, -0.42, -0.6, -0.06)), (238, 240, 242), "sideways"),
        Part(boxes((-1.26, -0.1, -0.5, -0.04), (-1.16, -0.46, -0.54, -0.4)), (196, 200, 206)),
        Part(
            boxes(
                *[(-1.06 + 0.11 * i, -0.34, -0.99 + 0.11 * i, -0.22) for i in range(4)],
                *[(-1.14 + 0.14 * i, 0.1, -1.06 + 0.14 * i, 0.18) for i in range(4)],
            ),
            PANE,
        ),
        *[Part(boxes((x, y, x + 0.25, y + 0.17)), rng.choice(colours), "vertical") for x, y in stacks],
        Part(
            pens(0.01, *[((x + 0.06 * k, y + 0.02), (x + 0.06 * k, y + 0.15)) for x, y in stacks for k in (1, 2, 3)]),
            (0, 0, 0, 90),
        ),
        Part(pens(0.025, ((1.2, 0.3), (1.2, -0.3)), ((1.2, -0.24), (0.9, 0.3))), ROPE),
        Part(hull, BODY, "vertical"),
        Part(
            polygon((-1.36, 0.8), (1.26, 0.8), (1.16, 1), (-1.2, 1)),
            contrast(tone, (150, 50, 46), (170, 60, 54)),
            "vertical",
        ),
        *_hull_trim(tone, [(-1.42, 0.37), (1.49, 0.31)], [(-1.35, 0.78), (1.26, 0.78)]),
        Part(discs(*[(-1.1 + 0.22 * i, 0.54, 0.035) for i in range(9)]), (40, 46, 54)),
        Part(pens(0.025, ((1.16, 0.46), (1.16, 0.6)), arc(1.16, 0.54, 0.07, 100, 260)), METAL),
    ]


def speed_boat(rng: random.Random, tone: RGB) -> list[Part]:
    """Motor boat with a raked windscreen, outboard and spray."""
    hull = curve((-1.25, 0.4), (0.3, 0.36), (1.0, 0.3, 1.5, 0.2), (1.0, 0.92, 0.5, 1), (-1.1, 1), (-1.25, 0.4))
    stripe = curve((-1.22, 0.66), (0.4, 0.66, 1.36, 0.38), (1.22, 0.56, 0.4, 0.78), (-1.2, 0.78))
    drops = [(-1.2 - rng.uniform(0, 0.25), rng.uniform(0.75, 0.98), rng.uniform(0.02, 0.05)) for _ in range(7)]
    return [
        Part(boxes((-1.5, 0.34, -1.24, 0.6), radius=0.06), (60, 62, 68), "vertical"),
        Part(boxes((-1.44, 0.58, -1.32, 0.96)), (40, 40, 44), "cylinder"),
        Part(boxes((-0.76, 0.1, -0.5, 0.42), (-0.26, 0.1, 0.0, 0.42), radius=0.06), (206, 96, 60), "sideways"),
        Part(polygon((0.06, 0.4), (-0.12, -0.06), (0.0, -0.1), (0.7, 0.34)), PANE, "glass"),
        Part(pens(0.035, ((0.06, 0.38), (-0.12, -0.06), (0.0, -0.1), (0.7, 0.34))), METAL),
        Part(hull, BODY, "vertical"),
        Part(curve((0.3, 0.36), (1.0, 0.3, 1.5, 0.2), (1.2, 0.36, 0.3, 0.44)), BODY, "light"),
        Part(stripe, contrast(tone, (60, 70, 90), CREAM), "sideways"),
        Part(curve((-1.18, 0.82), (0.5, 0.84, 1.2, 0.62), (0.86, 0.96, 0.5, 1), (-1.1, 1)), BODY, "dark"),
        Part(pens(0.04, ((-1.25, 0.41), (0.3, 0.38), (1.0, 0.3), (1.47, 0.22))), METAL),
        Part(pens(0.025, ((0.66, 0.3), (0.7, 0.14), (1.3, 0.08), (1.36, 0.22)), ((1.0, 0.12), (1.0, 0.28))), METAL),
        Part(pens(0.02, ((-1.14, 0.5), (0.3, 0.5))), GLINT),
        Part(lettering(rng.choice(("DASH", "BOLT", "FAST")), 0.14, -0.7, 0.56), contrast(tone)),
        Part(discs(*drops), (235, 244, 250, 220)),
    ]


def tug_boat(rng: random.Random, tone: RGB) -> list[Part]:
    """Harbour tug: high bow, wheelhouse, funnel, tyres along the side: for evaluation."""
    hull = curve((-1.15, 0.42), (0.2, 0.46, 1.2, 0.12), (1.1, 0.8, 0.84, 1), (-0.9, 1), (-1.14, 0.86, -1.15, 0.42))
    fenders = rng.choice((4, 5))
    puffs = [(-0.42 - 0.14 * i, -1.0 + 0.02 * i, 0.08 + 0.03 * i) for i in range(2)]
    tyres = [(-0.85 + 1.6 * i / (fenders - 1), 0.6, 0.12) for i in range(fenders)]
    return [
        Part(discs(*puffs), (220, 222, 226)),
        Part(polygon((-0.52, -0.86), (-0.2, -0.86), (-0.16, 0.2), (-0.54, 0.2)), BODY, "cylinder"),
        Part(
            polygon((-0.52, -0.66), (-0.2, -0.66), (-0.19, -0.46), (-0.53, -0.46)),
            contrast(tone, (50, 52, 58), CREAM),
            "cylinder",
        ),
        Part(boxes((-0.56, -0.9, -0.16, -0.82), radius=0.02), DARK),
        Part(boxes((-0.7, 0.02, 0.7, 0.48)), CREAM, "sideways"),
        Part(boxes((0.0, -0.5, 0.58, 0.02)), CREAM, "sideways"),
        Part(polygon((-0.08, -0.5), (-0.02, -0.6), (0.6, -0.6), (0.68, -0.5)), BODY, "vertical"),
        Part(boxes((-0.76, -0.02, 0.76, 0.06)), WOOD, "vertical"),
        Part(boxes((0.06, -0.4, 0.26, -0.14), (0.32, -0.4, 0.52, -0.14), radius=0.02), PANE, "glass"),
        Part(discs((-0.46, 0.24, 0.09), (-0.1, 0.24, 0.09), (0.4, 0.24, 0.09)), (180, 150, 80)),
        Part(discs((-0.46, 0.24, 0.06), (-0.1, 0.24, 0.06), (0.4, 0.24, 0.06)), PANE),
        Part(pens(0.03, ((0.3, -0.6), (0.3, -1.0)), ((0.18, -0.84), (0.42, -0.84))), ROPE),
        Part(hull, BODY, "vertical"),
        Part(curve((-1.12, 0.8), (0, 0.84, 1.02, 0.76), (0.94, 0.92, 0.84, 1), (-0.9, 1)), (134, 48, 44), "vertical"),
        *_hull_trim(
            tone, [(-1.15, 0.43), (-0.3, 0.42), (0.5, 0.34), (1.18, 0.13)], [(-1.12, 0.79), (0, 0.82), (1.02, 0.76)]
        ),
        *[Part(annulus(*t, t[2] * 0.45), (34, 34, 36), "vertical") for t in tyres],
    ]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "boat": (sloop_boat, rowing_boat, cargo_boat, speed_boat, tug_boat),
}
