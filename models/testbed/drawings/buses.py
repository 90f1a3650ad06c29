"""Drawings of a bus; the last is for evaluation only."""

import random

from ..drawing import BODY, BRASS, CREAM, METAL, RGB, Drawing, Part, curve, ellipse, polygon, rectangle, stroke
from ._details import GLINT, LAMP, PANE, boxes, contrast, discs, gather, glare, lettering, pens
from ._motor import TAIL, ground_shadow, panes, seams, wheels


def _window_row(left: float, right: float, top: float, bottom: float, count: int) -> list[Part]:
    """Row of rounded windows with reflections and passengers' shade."""
    step = (right - left) / count
    sides = [(left + i * step + 0.025, top, left + (i + 1) * step - 0.025, bottom) for i in range(count)]
    return [
        Part(boxes(*sides, radius=0.03), PANE, "glass"),
        Part(gather(*[glare(*s) for s in sides]), (255, 255, 255, 70)),
        Part(boxes(*[(a, (b + d) / 2 - 0.015, c, (b + d) / 2 + 0.015) for a, b, c, d in sides]), (60, 62, 66)),
        Part(stroke(boxes(*sides, radius=0.03), 0.018), (36, 38, 42)),
    ]


def school_bus(rng: random.Random, tone: RGB) -> list[Part]:
    """Long-bonneted bus with black stripes."""
    shell = curve(
        (-1.38, 0.78),
        (-1.38, -0.42),
        (-1.36, -0.56, -1.2, -0.56),
        (0.7, -0.56),
        (0.86, -0.54, 0.88, 0.02),
        (1.26, 0.04, 1.32, 0.2),
        (1.38, 0.78),
    )
    return [
        ground_shadow(-1.35, 1.35),
        Part(shell, BODY, "vertical"),
        Part(boxes((-1.38, 0.62, 1.34, 0.8)), BODY, "dark"),
        *_window_row(-1.3, 0.42, -0.36, 0.0, rng.choice((5, 6))),
        *panes(polygon((0.72, -0.38), (0.8, -0.36), (0.84, 0.02), (0.72, 0.02))),
        Part(boxes((0.44, -0.36, 0.66, 0.72), radius=0.02), (60, 64, 70), "glass"),
        Part(pens(0.02, ((0.55, -0.34), (0.55, 0.7)), ((0.45, 0.2), (0.65, 0.2))), (30, 30, 32)),
        Part(
            pens(0.035, ((-1.36, 0.14), (0.4, 0.14)), ((-1.36, 0.5), (0.4, 0.5)), ((-1.36, 0.32), (-0.95, 0.32))),
            contrast(tone),
        ),
        Part(lettering("SCHOOL", 0.11, -0.36, 0.32), contrast(tone)),
        seams(
            tone,
            ((0.88, 0.06), (0.9, 0.6)),
            ((0.96, 0.2), (1.26, 0.24)),
            ((0.96, 0.27), (1.26, 0.31)),
            ((-1.3, -0.46), (0.8, -0.46)),
        ),
        Part(boxes((-1.26, -0.62, -1.1, -0.54), (0.5, -0.62, 0.66, -0.54), radius=0.03), TAIL, "vertical"),
        Part(ellipse(1.27, 0.36, 0.08, 0.1), LAMP, "sphere"),
        Part(boxes((-1.4, 0.3, -1.34, 0.48)), TAIL),
        Part(boxes((1.12, 0.66, 1.44, 0.78), (-1.44, 0.66, -1.2, 0.78), radius=0.03), (44, 44, 48), "vertical"),
        *wheels(rng, 0.26, -0.84, 0.98),
    ]


def city_bus(rng: random.Random, tone: RGB) -> list[Part]:
    """Box-shaped low-floor bus with two doors and a destination display."""
    shell = curve(
        (-1.45, 0.8), (-1.45, -0.46), (-1.45, -0.58, -1.32, -0.58), (1.24, -0.58), (1.4, -0.56, 1.44, -0.1), (1.46, 0.8)
    )
    doors = [(-0.18, -0.36, 0.16, 0.76), (0.98, -0.36, 1.24, 0.76)]
    return [
        ground_shadow(-1.4, 1.4),
        Part(boxes((-0.9, -0.68, -0.3, -0.56), (0.3, -0.66, 0.8, -0.56), radius=0.03), (190, 192, 196), "vertical"),
        Part(shell, BODY, "vertical"),
        Part(boxes((-1.45, 0.52, 1.45, 0.7)), contrast(tone, (60, 70, 90), CREAM), "vertical"),
        *_window_row(-1.38, -0.22, -0.4, 0.14, 3),
        *_window_row(0.2, 0.94, -0.4, 0.14, 2),
        *panes(polygon((1.28, -0.38), (1.36, -0.38), (1.42, 0.16), (1.28, 0.16))),
        Part(boxes(*doors, radius=0.02), (70, 92, 112), "glass"),
        Part(stroke(boxes(*doors), 0.024), (34, 36, 40)),
        Part(pens(0.02, *[(((a + c) / 2, b), ((a + c) / 2, d)) for a, b, c, d in doors]), (34, 36, 40)),
        Part(boxes((0.3, -0.55, 0.92, -0.43), radius=0.02), (26, 26, 28)),
        Part(lettering(rng.choice(("CENTER", "PARK", "NORTH", "PORT")), 0.075, 0.61, -0.49), (255, 190, 60)),
        seams(
            tone,
            ((-1.4, 0.24), (-0.2, 0.24)),
            ((0.2, 0.24), (0.96, 0.24)),
            ((-1.12, 0.26), (-1.12, 0.5)),
            ((-1.4, -0.46), (0.26, -0.46)),
        ),
        Part(pens(0.02, ((-1.38, -0.54), (1.22, -0.54))), GLINT),
        Part(boxes((1.36, 0.4, 1.45, 0.52), radius=0.02), LAMP),
        Part(boxes((-1.46, 0.2, -1.4, 0.42)), TAIL),
        *wheels(rng, 0.23, -0.86, 0.62),
    ]


def double_decker(rng: random.Random, tone: RGB) -> list[Part]:
    """Two-storey bus."""
    count = rng.choice((5, 6))
    return [
        ground_shadow(-1.1, 1.1),
        Part(
            curve(
                (-1.12, 0.82),
                (-1.12, -0.84),
                (-1.1, -0.96, -0.98, -0.96),
                (0.96, -0.96),
                (1.08, -0.94, 1.1, -0.6),
                (1.14, 0.82),
            ),
            BODY,
            "sideways",
        ),
        *_window_row(-1.06, 1.04, -0.8, -0.42, count),
        *_window_row(-0.66, 0.6, 0.0, 0.36, count - 2),
        Part(
            boxes((-1.12, -0.22, 1.12, -0.14), (-1.12, 0.46, 1.13, 0.52)),
            contrast(tone, (150, 120, 60), CREAM),
            "vertical",
        ),
        Part(
            boxes((-0.62, -0.36, 0.3, -0.06), radius=0.02), contrast(tone, (60, 90, 150), (250, 232, 180)), "vertical"
        ),
        Part(lettering(rng.choice(("TEA", "SODA", "FRUIT")), 0.15, -0.16, -0.21), contrast(tone, CREAM, (150, 40, 40))),
        Part(boxes((-1.06, 0.0, -0.76, 0.78), radius=0.02), (40, 44, 52), "vertical"),
        Part(pens(0.025, ((-0.91, 0.02), (-0.91, 0.7))), BRASS),
        *panes(polygon((0.68, 0.0), (1.06, 0.0), (1.1, 0.38), (0.68, 0.38))),
        Part(boxes((0.56, -0.36, 1.06, -0.26), radius=0.02), (26, 26, 28)),
        Part(lettering("CITY", 0.07, 0.81, -0.31), (255, 200, 80)),
        seams(
            tone,
            ((-1.1, -0.88), (1.06, -0.88)),
            ((0.64, 0.0), (0.64, 0.76)),
            ((-0.72, 0.0), (-0.72, 0.78)),
            ((-0.7, 0.64), (0.62, 0.64)),
        ),
        Part(ellipse(1.08, 0.6, 0.06, 0.08), LAMP, "sphere"),
        Part(boxes((-1.14, 0.5, -1.08, 0.66)), TAIL),
        Part(boxes((0.9, 0.74, 1.18, 0.84), (-1.16, 0.76, -0.9, 0.84), radius=0.03), METAL, "vertical"),
        *wheels(rng, 0.23, -0.62, 0.72),
    ]


def front_bus(rng: random.Random, tone: RGB) -> list[Part]:
    """Bus from the front: split windscreen, display, mirrors."""
    number = rng.choice(("SCHOOL", "PORT", "CENTER", "AIRPORT"))
    return [
        ground_shadow(-0.85, 0.85),
        Part(boxes((-0.72, 0.7, -0.44, 1), (0.44, 0.7, 0.72, 1), radius=0.05), (28, 28, 30), "cylinder"),
        Part(
            curve(
                (-0.82, 0.84),
                (-0.86, -0.2),
                (-0.84, -0.86, -0.72, -0.94),
                (0, -1.02, 0.72, -0.94),
                (0.84, -0.86, 0.86, -0.2),
                (0.82, 0.84),
            ),
            BODY,
            "vertical",
        ),
        Part(boxes((-0.62, -0.9, 0.62, -0.7), radius=0.04), (26, 26, 28)),
        Part(lettering(number, 0.1, 0, -0.8), (255, 196, 70)),
        Part(
            curve((-0.74, 0.06), (-0.74, -0.6), (0, -0.66, 0.74, -0.6), (0.74, 0.06), (0, 0.14, -0.74, 0.06)),
            PANE,
            "glass",
        ),
        Part(
            gather(
                polygon((-0.6, 0.04), (-0.34, -0.58), (-0.16, -0.6), (-0.4, 0.06)),
                polygon((0.2, 0.06), (0.44, -0.58), (0.52, -0.58), (0.3, 0.06)),
            ),
            (255, 255, 255, 70),
        ),
        Part(discs((-0.38, 0.0, 0.1)), (50, 58, 70)),
        Part(stroke(ellipse(-0.38, 0.08, 0.17, 0.05), 0.03), (30, 32, 36)),
        Part(
            pens(0.035, ((0, -0.63), (0, 0.08)), ((-0.14, 0.08), (-0.44, -0.2)), ((0.6, 0.06), (0.26, -0.2))),
            (32, 34, 38),
        ),
        Part(boxes((-0.84, 0.2, 0.84, 0.3)), contrast(tone, (70, 78, 96), CREAM), "vertical"),
        Part(boxes((-0.4, 0.4, 0.4, 0.6), radius=0.04), (38, 40, 44), "vertical"),
        Part(pens(0.02, *[((-0.36, 0.44 + 0.04 * i), (0.36, 0.44 + 0.04 * i)) for i in range(4)]), METAL),
        seams(tone, ((-0.82, 0.36), (0.82, 0.36)), ((-0.7, -0.66), (0.7, -0.66))),
        Part(discs((-0.62, 0.5, 0.13), (0.62, 0.5, 0.13)), METAL, "vertical"),
        Part(ellipse(-0.62, 0.5, 0.1), LAMP, "sphere"),
        Part(ellipse(0.62, 0.5, 0.1), LAMP, "sphere"),
        Part(boxes((-0.88, 0.68, 0.88, 0.84), radius=0.04), (58, 60, 66), "vertical"),
        Part(boxes((-0.22, 0.7, 0.22, 0.8)), CREAM),
        Part(boxes((-1.08, -0.6, -0.9, -0.26), (0.9, -0.6, 1.08, -0.26), radius=0.05), (30, 32, 36), "vertical"),
        Part(pens(0.03, ((-0.98, -0.6), (-0.8, -0.74)), ((0.98, -0.6), (0.8, -0.74))), (30, 32, 36)),
    ]


def coach_bus(rng: random.Random, tone: RGB) -> list[Part]:
    """Streamlined touring coach looking left, one dark glass band: for evaluation."""
    shell = curve(
        (1.42, 0.8),
        (1.44, -0.5),
        (1.42, -0.66, 1.24, -0.68),
        (-1.0, -0.66),
        (-1.24, -0.62, -1.4, 0.1),
        (-1.48, 0.5, -1.42, 0.8),
    )
    band = curve((1.36, 0.02), (1.36, -0.46), (-1.08, -0.46), (-1.2, -0.3, -1.31, 0.02))
    pillars = [((x, -0.45), (x, 0.01)) for x in [-0.7 + i * 1.9 / 5 for i in range(6)]]
    sweep = rng.choice((-0.2, 0.1))
    return [
        ground_shadow(-1.4, 1.4),
        Part(shell, BODY, "vertical"),
        Part(
            curve((1.42, 0.56), (0.4, 0.56, -0.4 + sweep, 0.14), (0.0 + sweep, 0.14), (0.8, 0.4, 1.42, 0.34)),
            contrast(tone, (70, 110, 170), CREAM),
            "flat",
        ),
        Part(band, (46, 56, 70), "glass"),
        Part(pens(0.022, *pillars), (24, 26, 30)),
        Part(
            gather(
                *[
                    polygon((x, 0.0), (x + 0.12, -0.44), (x + 0.2, -0.44), (x + 0.08, 0.0))
                    for x in (-0.95, -0.5, 0.04, 0.62, 1.1)
                ]
            ),
            (255, 255, 255, 55),
        ),
        Part(boxes((-1.14, -0.36, -0.86, 0.76), radius=0.03), (58, 74, 92), "glass"),
        Part(stroke(rectangle(-1.14, -0.36, -0.86, 0.76, 0.03), 0.02), (28, 30, 34)),
        seams(
            tone,
            ((-0.3, 0.5), (-0.3, 0.74), (0.16, 0.74), (0.16, 0.5), (-0.3, 0.5)),
            ((0.2, 0.5), (0.2, 0.74), (0.6, 0.74), (0.6, 0.5), (0.2, 0.5)),
            ((-1.0, -0.56), (1.38, -0.58)),
        ),
        Part(pens(0.025, ((-0.96, -0.63), (1.24, -0.64))), GLINT),
        Part(lettering(rng.choice(("TOURS", "TRAIL", "HOLIDAY")), 0.12, 0.8, 0.2), contrast(tone)),
        Part(curve((-1.42, 0.42), (-1.34, 0.3, -1.22, 0.36), (-1.26, 0.5, -1.43, 0.54)), LAMP, "sphere"),
        Part(boxes((1.37, 0.1, 1.44, 0.4)), TAIL, "vertical"),
        Part(
            curve((-1.1, -0.62), (-1.4, -0.66, -1.42, -0.3), (-1.36, -0.3), (-1.34, -0.56, -1.1, -0.56)), (34, 36, 40)
        ),
        Part(boxes((-1.44, 0.72, 1.42, 0.82), radius=0.02), (52, 54, 60), "vertical"),
        *wheels(rng, 0.22, -0.62, 0.78, 1.1),
    ]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "bus": (school_bus, city_bus, double_decker, front_bus, coach_bus),
}
