"""Drawings of a car; the last is for evaluation only."""

import random

from ..drawing import BODY, CREAM, DARK, METAL, RGB, Drawing, Part, curve, ellipse, polygon, stroke
from ._details import LAMP, PANE, arc, boxes, deeper, discs, gather, lettering, paler, pens
from ._motor import TAIL, ground_shadow, panes, seams, wheels


def saloon_car(rng: random.Random, tone: RGB) -> list[Part]:
    """Three-box saloon: bonnet, cabin, boot."""
    shell = curve(
        (-1.25, 0.74),
        (-1.32, 0.34, -1.2, 0.14),
        (-0.78, 0.08),
        (-0.56, -0.2, -0.36, -0.26),
        (0.0, -0.34, 0.28, -0.24),
        (0.46, -0.16, 0.68, 0.1),
        (1.16, 0.16, 1.26, 0.36),
        (1.32, 0.56, 1.28, 0.74),
    )
    return [
        ground_shadow(-1.25, 1.25),
        Part(shell, BODY, "vertical"),
        Part(curve((-1.27, 0.56), (0, 0.5, 1.3, 0.56), (1.28, 0.74), (-1.25, 0.74)), BODY, "dark"),
        *panes(
            curve((-0.66, 0.08), (-0.48, -0.17, -0.32, -0.2), (-0.18, -0.23, -0.1, -0.23), (-0.1, 0.08)),
            curve((-0.02, 0.08), (-0.02, -0.24), (0.2, -0.22, 0.3, -0.16), (0.44, -0.06, 0.54, 0.08)),
        ),
        Part(
            gather(
                polygon((-0.42, 0.06), (-0.24, -0.2), (-0.16, -0.2), (-0.34, 0.06)),
                polygon((0.14, 0.06), (0.2, -0.18), (0.26, -0.16), (0.24, 0.06)),
            ),
            (255, 255, 255, 90),
        ),
        seams(
            tone,
            ((-0.68, 0.1), (-0.66, 0.5), (-0.54, 0.66)),
            ((-0.06, 0.09), (-0.06, 0.68)),
            ((0.58, 0.1), (0.54, 0.5), (0.42, 0.68)),
            ((-1.2, 0.16), (-0.8, 0.12)),
        ),
        Part(pens(0.025, ((-1.24, 0.3), (0, 0.22), (1.2, 0.3))), (*paler(tone, 0.7), 190)),
        Part(pens(0.035, ((-1.22, 0.56), (1.26, 0.56))), METAL),
        Part(boxes((-0.22, 0.2, -0.1, 0.24), (0.4, 0.2, 0.52, 0.24), radius=0.02), METAL, "vertical"),
        Part(ellipse(1.19, 0.36, 0.08, 0.09), LAMP, "sphere"),
        Part(boxes((-1.27, 0.28, -1.18, 0.44), radius=0.03), TAIL, "vertical"),
        Part(boxes((-1.34, 0.62, -1.1, 0.72), (1.1, 0.62, 1.35, 0.72), radius=0.04), METAL, "vertical"),
        Part(ellipse(0.6, 0.1, 0.07, 0.05), deeper(tone, 0.2)),
        *wheels(rng, 0.27, -0.74, 0.78),
    ]


def beetle_car(rng: random.Random, tone: RGB) -> list[Part]:
    """Small round car with separate wings and running board."""
    shell = curve(
        (-1.12, 0.72),
        (-1.2, 0.1, -0.72, -0.16),
        (-0.4, -0.5, 0.0, -0.5),
        (0.4, -0.5, 0.52, 0.0),
        (1.0, 0.02, 1.06, 0.72),
    )
    fenders = [
        curve((x - 0.48, 0.78), (x - 0.44, 0.2, x, 0.24), (x + 0.44, 0.2, x + 0.46, 0.78)) for x in (-0.74, 0.76)
    ]
    return [
        ground_shadow(-1.15, 1.15),
        Part(shell, BODY, "sphere"),
        *panes(
            curve((-0.66, 0.02), (-0.44, -0.36, -0.14, -0.4), (-0.12, 0.02)),
            curve((-0.04, 0.02), (-0.04, -0.4), (0.26, -0.42, 0.42, 0.02)),
        ),
        Part(polygon((-0.4, 0.0), (-0.24, -0.34), (-0.17, -0.34), (-0.32, 0.0)), (255, 255, 255, 100)),
        seams(
            tone,
            ((-0.08, -0.42), (-0.08, 0.7)),
            ((0.48, 0.04), (0.4, 0.4), (0.36, 0.7)),
            ((-0.9, 0.0), (-0.62, 0.14), (-0.1, 0.14), (0.5, 0.14), (0.94, 0.22)),
        ),
        Part(boxes((-0.32, 0.72, 0.36, 0.8), radius=0.03), (54, 54, 58), "vertical"),
        *[Part(fender, BODY, "vertical") for fender in fenders],
        Part(pens(0.022, *[arc(x, 0.72, 0.42, -50, 30) for x in (-0.74, 0.76)]), (*paler(tone, 0.75), 210)),
        Part(pens(0.02, ((-0.06, 0.1), (0.44, 0.1))), METAL),
        Part(boxes((0.0, 0.18, 0.12, 0.22), radius=0.02), METAL, "vertical"),
        Part(ellipse(1.0, 0.4, 0.1, 0.12), LAMP, "sphere"),
        Part(stroke(ellipse(1.0, 0.4, 0.1, 0.12), 0.025), METAL),
        Part(ellipse(-1.12, 0.46, 0.05, 0.09), TAIL, "sphere"),
        Part(boxes((-1.28, 0.66, -1.06, 0.74), (1.08, 0.66, 1.3, 0.74), radius=0.04), METAL, "vertical"),
        *wheels(rng, 0.25, -0.74, 0.76),
    ]


def pickup_car(rng: random.Random, tone: RGB) -> list[Part]:
    """Pick-up with an open bed, sometimes loaded."""
    shell = curve(
        (-1.38, 0.76),
        (-1.38, 0.12),
        (-0.3, 0.12),
        (-0.22, -0.42),
        (-0.16, -0.48, 0.0, -0.48),
        (0.32, -0.48),
        (0.44, -0.46, 0.66, 0.04),
        (1.2, 0.08, 1.3, 0.24),
        (1.38, 0.76),
    )
    load = []
    if rng.random() < 0.6:
        load = [
            Part(boxes((-1.2, -0.16, -0.84, 0.16)), (176, 130, 78), "vertical"),
            Part(boxes((-0.8, -0.04, -0.5, 0.16)), (150, 108, 64), "vertical"),
            Part(boxes((-1.05, -0.16, -0.99, 0.16)), (212, 176, 120)),
        ]
    return [
        ground_shadow(-1.3, 1.3),
        *load,
        Part(shell, BODY, "vertical"),
        Part(boxes((-1.38, 0.6, 1.36, 0.78)), BODY, "dark"),
        *panes(
            curve((-0.16, 0.06), (-0.12, -0.36), (0.1, -0.37), (0.1, 0.06)),
            curve((0.18, 0.06), (0.18, -0.37), (0.3, -0.37), (0.4, -0.3, 0.54, 0.06)),
        ),
        Part(polygon((-0.06, 0.04), (0.0, -0.34), (0.06, -0.34), (0.02, 0.04)), (255, 255, 255, 90)),
        seams(
            tone,
            ((-0.3, 0.12), (-0.3, 0.66)),
            ((0.14, 0.08), (0.14, 0.68)),
            ((0.62, 0.08), (0.56, 0.44), (0.46, 0.66)),
            ((-1.34, 0.22), (-0.34, 0.22)),
            ((-0.26, -0.36), (-0.24, 0.1)),
        ),
        Part(boxes((-1.42, 0.09, -0.28, 0.15), radius=0.02), paler(tone, 0.35), "vertical"),
        Part(pens(0.025, ((-1.34, 0.32), (1.28, 0.32))), (*paler(tone, 0.7), 180)),
        Part(boxes((-0.26, 0.2, -0.16, 0.24), (0.2, 0.2, 0.3, 0.24), radius=0.02), METAL),
        Part(boxes((1.2, 0.24, 1.33, 0.4), radius=0.03), LAMP, "vertical"),
        Part(boxes((-1.4, 0.24, -1.32, 0.46)), TAIL, "vertical"),
        Part(boxes((-1.46, 0.64, -1.2, 0.74), (1.14, 0.64, 1.44, 0.74), radius=0.03), METAL, "vertical"),
        Part(boxes((0.5, -0.02, 0.58, 0.12), radius=0.03), DARK),
        *wheels(rng, 0.31, -0.88, 0.86),
    ]


def front_car(rng: random.Random, tone: RGB) -> list[Part]:
    """Car from the front: windscreen, grille, two lamps."""
    bars = rng.choice((3, 4, 5))
    return [
        ground_shadow(-1.0, 1.0),
        Part(boxes((-0.88, 0.6, -0.56, 1), (0.56, 0.6, 0.88, 1), radius=0.06), (28, 28, 30), "cylinder"),
        Part(
            curve(
                (-0.86, 0.1),
                (-0.62, -0.56),
                (-0.56, -0.68, -0.4, -0.7),
                (0, -0.74, 0.4, -0.7),
                (0.56, -0.68, 0.62, -0.56),
                (0.86, 0.1),
            ),
            BODY,
            "vertical",
        ),
        Part(
            curve((-0.68, 0.02), (-0.5, -0.52), (0, -0.6, 0.5, -0.52), (0.68, 0.02), (0, -0.06, -0.68, 0.02)),
            PANE,
            "glass",
        ),
        Part(polygon((-0.36, -0.03), (-0.12, -0.54), (0.06, -0.55), (-0.16, -0.04)), (255, 255, 255, 80)),
        Part(discs((-0.27, -0.12, 0.11), (0.27, -0.12, 0.11)), (60, 70, 82)),
        Part(pens(0.025, ((-0.3, 0.02), (0.1, -0.1)), ((0.16, 0.02), (0.5, -0.1))), DARK),
        Part(
            curve(
                (-0.98, 0.74),
                (-1.0, 0.2, -0.84, 0.08),
                (0, -0.06, 0.84, 0.08),
                (1.0, 0.2, 0.98, 0.74),
                (0.9, 0.84),
                (-0.9, 0.84),
            ),
            BODY,
            "vertical",
        ),
        Part(curve((-0.6, 0.3), (-0.4, 0.02, 0, 0.03), (0.4, 0.02, 0.6, 0.3)), BODY, "light"),
        seams(tone, ((-0.72, 0.14), (-0.5, 0.34), (0.5, 0.34), (0.72, 0.14)), ((-0.96, 0.64), (0.96, 0.64))),
        Part(boxes((-0.44, 0.38, 0.44, 0.58), radius=0.06), (32, 32, 36), "vertical"),
        Part(
            pens(
                0.025,
                *[
                    ((-0.4, 0.38 + 0.2 * (i + 1) / (bars + 1)), (0.4, 0.38 + 0.2 * (i + 1) / (bars + 1)))
                    for i in range(bars)
                ],
            ),
            METAL,
        ),
        Part(ellipse(0, 0.48, 0.08), METAL, "sphere"),
        Part(discs((-0.7, 0.42, 0.18), (0.7, 0.42, 0.18)), METAL, "vertical"),
        Part(ellipse(-0.7, 0.42, 0.145), LAMP, "sphere"),
        Part(ellipse(0.7, 0.42, 0.145), LAMP, "sphere"),
        Part(boxes((-1.02, 0.68, 1.02, 0.82), radius=0.05), (74, 76, 82), "vertical"),
        Part(boxes((-0.28, 0.68, 0.28, 0.8), radius=0.02), CREAM),
        Part(lettering(rng.choice(("CAR", "FOX", "SUN")), 0.08, 0, 0.74), DARK),
        Part(boxes((-1.08, -0.04, -0.84, 0.12), (0.84, -0.04, 1.08, 0.12), radius=0.06), BODY, "dark"),
    ]


def hatchback_car(rng: random.Random, tone: RGB) -> list[Part]:
    """Upright two-box car with a roof rack, looking left: for evaluation."""
    shell = curve(
        (1.16, 0.74),
        (1.2, 0.3, 1.12, 0.06),
        (0.98, -0.44, 0.84, -0.48),
        (0.3, -0.54, -0.2, -0.46),
        (-0.42, -0.36, -0.62, 0.04),
        (-1.12, 0.12, -1.18, 0.4),
        (-1.22, 0.6, -1.18, 0.74),
    )
    rack = [
        Part(
            pens(0.035, ((-0.12, -0.6), (0.76, -0.62)), ((0.0, -0.6), (0.0, -0.5)), ((0.64, -0.61), (0.64, -0.52))),
            (60, 62, 66),
        )
    ]
    if rng.random() < 0.5:
        rack = [
            Part(boxes((0.1, -0.84, 0.5, -0.62), radius=0.04), (150, 100, 60), "vertical"),
            Part(boxes((0.18, -0.84, 0.22, -0.62), (0.38, -0.84, 0.42, -0.62)), (80, 52, 34)),
            *rack,
        ]
    return [
        ground_shadow(-1.15, 1.15),
        *rack,
        Part(shell, BODY, "vertical"),
        Part(curve((-1.2, 0.54), (0, 0.48, 1.18, 0.54), (1.16, 0.76), (-1.18, 0.76)), BODY, "dark"),
        *panes(
            curve((-0.48, 0.02), (-0.32, -0.3, -0.18, -0.38), (0.02, -0.4), (0.02, 0.02)),
            curve((0.1, 0.02), (0.1, -0.41), (0.52, -0.41), (0.52, 0.02)),
            curve((0.6, 0.02), (0.6, -0.41), (0.8, -0.4), (0.9, -0.3, 0.98, 0.02)),
        ),
        Part(
            gather(
                polygon((-0.24, 0), (-0.08, -0.36), (-0.02, -0.36), (-0.14, 0)),
                polygon((0.22, 0), (0.34, -0.38), (0.42, -0.38), (0.3, 0)),
            ),
            (255, 255, 255, 90),
        ),
        seams(
            tone,
            ((-0.54, 0.04), (-0.46, 0.44), (-0.4, 0.66)),
            ((0.06, 0.03), (0.06, 0.68)),
            ((0.56, 0.03), (0.54, 0.36), (0.44, 0.64)),
        ),
        Part(pens(0.05, ((-0.4, 0.5), (0.42, 0.5))), DARK),
        Part(pens(0.02, ((-1.1, 0.22), (1.12, 0.14))), (*paler(tone, 0.7), 190)),
        Part(boxes((-0.08, 0.12, 0.02, 0.16), (0.42, 0.1, 0.52, 0.14), radius=0.02), DARK),
        Part(curve((-1.17, 0.32), (-1.02, 0.16, -0.9, 0.2), (-0.98, 0.38, -1.18, 0.42)), LAMP, "sphere"),
        Part(polygon((1.04, -0.02), (1.12, 0.02), (1.17, 0.34), (1.06, 0.3)), TAIL, "vertical"),
        Part(boxes((-1.24, 0.6, -1.0, 0.72), (0.98, 0.6, 1.22, 0.72), radius=0.05), (50, 52, 56), "vertical"),
        Part(ellipse(-0.54, 0.02, 0.08, 0.06), BODY, "dark"),
        *wheels(rng, 0.28, -0.7, 0.72),
    ]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "car": (saloon_car, beetle_car, pickup_car, front_car, hatchback_car),
}
