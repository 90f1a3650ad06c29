"""Drawings of a tent; the last is for evaluation only."""

import random

from ..drawing import BODY, BRASS, CREAM, METAL, RGB, WOOD, Drawing, Part, curve, polygon, stroke
from ._details import SHADOW, boxes, contrast, deeper, discs, gather, ink, paler, pens


def ridge_tent(rng: random.Random, tone: RGB) -> list[Part]:
    """Ridge tent from the front: parted flaps, pole, guy ropes, pegs."""
    part = rng.uniform(0.16, 0.32)
    ropes = [((0, -0.86), (-1.25, 0.98)), ((0, -0.86), (1.25, 0.98))]
    return [
        Part(pens(0.022, *ropes), (214, 206, 184)),
        Part(polygon((0, -0.8), (-1.0, 1), (1.0, 1)), BODY, "vertical"),
        Part(polygon((0, -0.62), (-part - 0.12, 1), (part + 0.12, 1)), deeper(tone, 0.8)),
        Part(polygon((0, -0.4), (-0.05, 1), (0.05, 1)), (0, 0, 0, 90)),
        Part(curve((0, -0.64), (-0.02, 0.5, -part * 0.6, 1), (-0.62, 1)), BODY, "light"),
        Part(curve((0, -0.64), (0.02, 0.5, part * 0.6, 1), (0.62, 1)), BODY, "dark"),
        Part(pens(0.025, ((0, -0.64), (-0.62, 1)), ((0, -0.64), (0.62, 1))), (*ink(tone), 190)),
        Part(pens(0.045, ((0, -0.8), (-0.99, 0.98)), ((0, -0.8), (0.99, 0.98))), (*paler(tone, 0.35), 230)),
        Part(boxes((-0.035, -0.95, 0.035, -0.6)), WOOD, "cylinder"),
        Part(
            pens(
                0.016,
                ((-0.3, 0.0), (-0.42, 0.9)),
                ((0.3, 0.0), (0.46, 0.9)),
                ((-0.6, 0.4), (-0.74, 0.92)),
                ((0.6, 0.4), (0.72, 0.92)),
            ),
            (*deeper(tone), 120),
        ),
        Part(pens(0.05, ((-1.28, 1.0), (-1.2, 0.88)), ((1.28, 1.0), (1.2, 0.88))), WOOD),
    ]


def dome_tent(rng: random.Random, tone: RGB) -> list[Part]:
    """Dome of crossed poles with a zipped door and a small window."""
    dome = curve((-1.15, 1), (-1.05, -0.25, -0.5, -0.62, 0.0, -0.62), (0.5, -0.62, 1.05, -0.25, 1.15, 1))
    door = curve((-0.36, 1), (-0.36, 0.4, -0.2, -0.06, 0.06, -0.1), (0.34, -0.02, 0.46, 0.5, 0.44, 1))
    rolled = rng.random() < 0.6
    return [
        Part(pens(0.02, ((-0.8, -0.1), (-1.35, 0.98)), ((0.8, -0.1), (1.35, 0.98))), (214, 206, 184)),
        Part(dome, BODY, "sphere"),
        Part(
            curve((0.0, -0.62), (0.5, -0.62, 1.05, -0.25, 1.15, 1), (0.62, 1), (0.6, 0.1, 0.3, -0.5, 0, -0.62)),
            BODY,
            "dark",
        ),
        Part(
            curve((0.0, -0.62), (-0.5, -0.62, -1.05, -0.25, -1.15, 1), (-0.66, 1), (-0.66, 0.1, -0.3, -0.5, 0, -0.62)),
            BODY,
            "light",
        ),
        Part(door, deeper(tone, 0.8) if rolled else deeper(tone, 0.25), "vertical"),
        Part(stroke(door, 0.035), contrast(tone)),
        Part(curve((-0.36, 1), (-0.36, 0.4, -0.2, -0.06, 0.06, -0.1), (-0.1, 0.3, -0.24, 0.6, -0.2, 1)), BODY, "light"),
        Part(
            stroke(
                curve((-1.1, 0.9), (-0.9, -0.1, -0.4, -0.6, 0.0, -0.61), (0.4, -0.6, 0.9, -0.1, 1.1, 0.9), close=False),
                0.035,
            ),
            (*ink(tone), 150),
        ),
        Part(polygon((0.56, 0.3), (0.78, 0.34), (0.84, 0.62), (0.6, 0.62)), (60, 70, 80), "glass"),
        Part(
            curve((-0.5, -0.38), (-0.2, -0.6, 0.3, -0.6, 0.5, -0.38), (0.2, -0.3, -0.2, -0.3, -0.5, -0.38)),
            contrast(tone, (90, 94, 100), CREAM),
            "vertical",
        ),
        Part(pens(0.05, ((-1.36, 1.0), (-1.3, 0.9)), ((1.36, 1.0), (1.3, 0.9))), METAL),
    ]


def tipi(rng: random.Random, tone: RGB) -> list[Part]:
    """Cone of cloth on poles that cross at the top, painted bands."""
    poles = [((-0.24 + 0.12 * i, -1.05 + 0.04 * abs(i - 2)), (0.5 - 0.25 * i, -0.2)) for i in range(5)]
    band = contrast(tone, (150, 60, 44), (240, 226, 190))
    teeth = rng.choice((7, 9))
    zig = [(-0.62 + 1.24 * i / (2 * teeth), 0.62 if i % 2 else 0.74) for i in range(2 * teeth + 1)]
    return [
        Part(pens(0.045, *poles), WOOD),
        Part(polygon((-0.1, -0.8), (0.1, -0.8), (0.86, 1), (-0.86, 1)), BODY, "cylinder"),
        Part(polygon((0.1, -0.8), (0.86, 1), (0.42, 1)), BODY, "dark"),
        Part(pens(0.04, zig), band),
        Part(pens(0.03, ((-0.28, -0.28), (0.28, -0.28)), ((-0.3, -0.2), (0.3, -0.2))), band),
        Part(curve((-0.22, 1), (-0.2, 0.5, 0, 0.12), (0.2, 0.5, 0.22, 1)), (46, 34, 28), "vertical"),
        Part(curve((0, 0.12), (0.2, 0.5, 0.22, 1), (0.42, 1), (0.34, 0.5, 0, 0.12)), BODY, "light"),
        Part(pens(0.03, *[((-0.05, y), (0.05, y)) for y in (-0.66, -0.54, -0.42, -0.1, 0.02)]), WOOD),
        Part(
            pens(0.016, ((0, -0.78), (0, 0.1)), ((-0.06, -0.6), (-0.5, 0.96)), ((0.06, -0.6), (0.6, 0.96))),
            (*ink(tone), 150),
        ),
    ]


def circus_tent(rng: random.Random, tone: RGB) -> list[Part]:
    """Big top: peaked roof with pale gores, scalloped valance, flags."""
    gores = rng.choice((3, 5))
    pale = contrast(tone, (120, 40, 50), CREAM)
    walls = [
        (-0.95 + 1.9 * (2 * i + 1) / (2 * gores + 1), 0.1, -0.95 + 1.9 * (2 * i + 2) / (2 * gores + 1), 0.98)
        for i in range(gores)
    ]
    stripes = [
        curve((0, -0.78), (a * 0.35, -0.2, a * 1.14, 0.12), (c * 1.14, 0.12), (c * 0.35, -0.2, 0, -0.78))
        for a, _, c, _ in walls
    ]
    return [
        Part(boxes((-0.95, 0.1, 0.95, 1)), BODY, "sideways"),
        Part(boxes(*walls), pale, "vertical"),
        Part(boxes((-0.95, 0.12, 0.95, 0.3)), SHADOW),
        Part(curve((-0.3, 1), (-0.26, 0.6, 0, 0.34), (0.26, 0.6, 0.3, 1)), (44, 30, 36), "vertical"),
        Part(curve((0, 0.34), (-0.26, 0.6, -0.44, 1), (-0.16, 1), (-0.14, 0.6, 0, 0.34)), BODY, "light"),
        Part(curve((0, -0.8), (-0.36, -0.16, -1.12, 0.12), (1.12, 0.12), (0.36, -0.16, 0, -0.8)), BODY, "vertical"),
        Part(gather(*stripes), pale, "vertical"),
        Part(discs(*[(-1.05 + 0.21 * i, 0.13, 0.105) for i in range(11)]), BODY, "flat"),
        Part(discs(*[(-1.05 + 0.42 * i, 0.13, 0.105) for i in range(6)]), pale),
        Part(pens(0.02, ((-1.12, 0.1), (1.12, 0.1))), BRASS),
        Part(pens(0.035, ((0, -0.78), (0, -1.1))), WOOD),
        Part(polygon((0, -1.1), (0.32, -1.02), (0, -0.92)), contrast(tone, (190, 50, 50), (245, 205, 70)), "sideways"),
    ]


def side_tent(rng: random.Random, tone: RGB) -> list[Part]:
    """Ridge tent seen from its corner: long lit flank, open end, ropes: for evaluation."""
    seams = [((-0.42 + 1.1 * t, -0.6 + 0.08 * t), (-0.05 + 1.2 * t, 1 - 0.14 * t)) for t in (0.33, 0.66)]
    folds = rng.uniform(0.14, 0.26)
    return [
        Part(
            pens(
                0.02,
                ((-0.45, -0.6), (-1.3, 0.95)),
                ((0.68, -0.52), (1.45, 0.8)),
                ((0.3, 0.3), (0.5, 1.0)),
                ((0.9, 0.2), (1.28, 0.92)),
            ),
            (214, 206, 184),
        ),
        Part(polygon((-0.45, -0.62), (0.7, -0.54), (1.18, 0.84), (0.0, 1)), BODY, "vertical"),
        Part(pens(0.016, *seams), (*ink(tone), 170)),
        Part(
            curve((-0.45, -0.62), (0.1, -0.52, 0.7, -0.54), (0.78, -0.3), (0.1, -0.24, -0.36, -0.38)),
            (255, 255, 255, 60),
        ),
        Part(polygon((-0.45, -0.62), (0.0, 1), (-1.05, 0.86)), (40, 34, 34), "vertical"),
        Part(curve((-0.45, -0.62), (-0.56, 0.4, -0.6 - folds, 0.915), (-1.05, 0.86)), BODY, "dark"),
        Part(curve((-0.45, -0.62), (-0.36, 0.4, -0.52 + folds, 0.94), (0.0, 1)), BODY, "dark"),
        Part(
            pens(0.022, ((-0.45, -0.62), (0.7, -0.54)), ((-0.45, -0.62), (0.0, 1)), ((-0.45, -0.62), (-1.05, 0.86))),
            (*paler(tone, 0.5), 220),
        ),
        Part(pens(0.04, ((-0.45, -0.72), (-0.47, 0.9))), WOOD),
        Part(polygon((0.42, 0.1), (0.7, 0.08), (0.78, 0.34), (0.48, 0.38)), (60, 72, 84), "glass"),
        Part(pens(0.05, ((-1.33, 1.0), (-1.27, 0.9)), ((1.47, 0.86), (1.43, 0.76)), ((0.5, 1.03), (0.48, 0.95))), WOOD),
    ]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "tent": (ridge_tent, dome_tent, tipi, circus_tent, side_tent),
}
