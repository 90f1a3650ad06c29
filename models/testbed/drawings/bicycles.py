"""Drawings of a bicycle; the last is for evaluation only."""

import random

from ..drawing import BODY, CREAM, DARK, METAL, RGB, Drawing, Part, annulus, curve, ellipse, polygon
from ._details import LAMP, arc, boxes, contrast, gather, lettering, paler, pens, polar, spokes


def _spoked(cx: float, cy: float, radius: float, rng: random.Random, tyre: float = 0.085) -> list[Part]:
    """Bicycle wheel: body-coloured rim inside a dark tyre."""
    return [
        Part(spokes(cx, cy, 0.02, radius * 0.82, rng.choice((14, 16, 18)), 0.012, rng.uniform(0, 20)), (196, 200, 206)),
        Part(annulus(cx, cy, radius, radius - tyre), (36, 36, 38), "vertical"),
        Part(annulus(cx, cy, radius - tyre * 0.6, radius - tyre * 1.7), BODY, "vertical"),
        Part(ellipse(cx, cy, 0.055), METAL, "sphere"),
    ]


def _cranks(cx: float, cy: float, rear: tuple[float, float], angle: float) -> list[Part]:
    """Chain, ring and pedals."""
    near, far = polar(cx, cy, 0.2, angle), polar(cx, cy, 0.2, angle + 180)
    return [
        Part(
            pens(0.018, ((cx, cy - 0.12), (rear[0], rear[1] - 0.05)), ((cx, cy + 0.12), (rear[0], rear[1] + 0.05))),
            (70, 70, 74),
        ),
        Part(annulus(cx, cy, 0.135, 0.09), (110, 112, 116), "vertical"),
        Part(pens(0.035, (near, far)), METAL),
        Part(boxes(*[(x - 0.09, y - 0.025, x + 0.09, y + 0.025) for x, y in (near, far)]), (30, 30, 32)),
    ]


def _frame(tone: RGB, width: float, *tubes: tuple[tuple[float, float], ...]) -> list[Part]:
    """Painted tubes with a light line along them."""
    return [
        Part(pens(width, *tubes), BODY, "flat"),
        Part(
            pens(width * 0.2, *[[(x - width * 0.18, y - width * 0.18) for x, y in tube] for tube in tubes]),
            (*paler(tone, 0.65), 170),
        ),
    ]


def _saddle(x: float, y: float) -> Part:
    return Part(
        curve(
            (x - 0.2, y - 0.06),
            (x - 0.05, y - 0.03, x + 0.2, y - 0.05),
            (x + 0.22, y, x + 0.1, y + 0.02),
            (x - 0.05, y + 0.1, x - 0.2, y + 0.04),
        ),
        (40, 36, 34),
        "vertical",
    )


def road_bicycle(rng: random.Random, tone: RGB) -> list[Part]:
    """Racing bicycle: diamond frame, dropped handlebar."""
    rear, front, crank = (-0.82, 0.48), (0.82, 0.48), (-0.12, 0.52)
    seat, head = (-0.32, -0.2), (0.52, -0.2)
    return [
        *_spoked(*rear, 0.52, rng),
        *_spoked(*front, 0.52, rng),
        Part(pens(0.05, (seat, (-0.38, -0.42)), (head, (0.48, -0.36), (0.62, -0.4))), METAL),
        *_frame(
            tone,
            0.105,
            (rear, seat, crank, rear),
            (seat, head),
            (crank, (0.54, -0.1)),
            (head, (0.6, 0.02), (0.72, 0.24), front),
        ),
        Part(pens(0.06, [(0.58, -0.42), (0.74, -0.42), (0.84, -0.32), (0.8, -0.2), (0.68, -0.18)]), DARK),
        _saddle(-0.4, -0.44),
        Part(boxes((0.12, 0.0, 0.2, 0.26), radius=0.03), (90, 150, 200), "cylinder"),
        *_cranks(*crank, rear, rng.uniform(0, 180)),
    ]


def city_bicycle(rng: random.Random, tone: RGB) -> list[Part]:
    """Step-through bicycle with mudguards, a basket and a rack."""
    rear, front, crank = (-0.8, 0.5), (0.84, 0.5), (-0.1, 0.56)
    guards = [arc(*rear, 0.54, -100, 50), arc(*front, 0.54, -60, 75)]
    return [
        *_spoked(*rear, 0.5, rng),
        *_spoked(*front, 0.5, rng),
        Part(pens(0.09, *guards), BODY, "vertical"),
        Part(pens(0.04, ((-1.2, -0.1), (-0.5, -0.1)), ((-1.1, -0.1), rear), ((-0.34, -0.1), (-0.42, -0.36))), METAL),
        Part(boxes((-1.1, -0.28, -0.66, -0.12), radius=0.03), (140, 96, 58), "vertical"),
        *_frame(
            tone,
            0.11,
            (rear, (-0.3, 0.0), crank, rear),
            ((-0.3, 0.0), (-0.36, -0.24)),
            (crank, (0.1, 0.36), (0.54, -0.28)),
            ((0.5, -0.46), (0.64, 0.1), front),
        ),
        Part(pens(0.05, ((0.5, -0.46), (0.46, -0.62), (0.2, -0.58))), METAL),
        Part(pens(0.08, ((0.3, -0.6), (0.18, -0.57))), (70, 48, 36)),
        Part(polygon((0.66, -0.52), (1.2, -0.52), (1.1, -0.14), (0.74, -0.14)), (190, 142, 84), "vertical"),
        Part(
            pens(
                0.018,
                *[((0.68 + 0.05 * i, -0.5 + 0.0 * i), (0.75 + 0.035 * i, -0.16)) for i in range(11)],
                ((0.68, -0.4), (1.16, -0.4)),
                ((0.71, -0.28), (1.14, -0.28)),
            ),
            (120, 84, 46),
        ),
        Part(ellipse(0.72, 0.0, 0.07), LAMP, "sphere"),
        _saddle(-0.4, -0.38),
        *_cranks(*crank, rear, rng.uniform(0, 180)),
    ]


def small_bicycle(rng: random.Random, tone: RGB) -> list[Part]:
    """Child's or stunt bicycle: small fat wheels, low frame, high bar."""
    rear, front, crank = (-0.68, 0.6), (0.72, 0.6), (-0.06, 0.6)
    return [
        *_spoked(*rear, 0.4, rng, 0.12),
        *_spoked(*front, 0.4, rng, 0.12),
        *_frame(
            tone,
            0.13,
            (rear, (-0.28, 0.14), crank, rear),
            ((-0.28, 0.14), (0.44, -0.06)),
            (crank, (0.46, 0.08)),
            ((0.4, -0.2), (0.54, 0.22), front),
        ),
        Part(pens(0.06, ((-0.28, 0.14), (-0.34, -0.08))), METAL),
        _saddle(-0.36, -0.1),
        *_frame(tone, 0.07, ((0.4, -0.2), (0.32, -0.66)), ((0.37, -0.4), (0.5, -0.4))),
        Part(pens(0.09, ((0.32, -0.68), (0.1, -0.72))), (36, 36, 38)),
        Part(boxes((0.3, -0.34, 0.62, -0.06), radius=0.04), contrast(tone), "vertical"),
        Part(lettering(rng.choice(("I", "L", "X")), 0.16, 0.46, -0.2), contrast(tone, CREAM, DARK)),
        *_cranks(*crank, rear, rng.uniform(0, 180)),
    ]


def penny_farthing(rng: random.Random, tone: RGB) -> list[Part]:
    """High wheeler: one huge wheel and a tiny one."""
    return [
        *_spoked(0.24, 0.24, 0.76, rng, 0.07),
        *_spoked(-0.86, 0.74, 0.26, rng, 0.06),
        Part(annulus(0.24, 0.24, 0.71, 0.62), BODY, "flat"),
        *_frame(
            tone,
            0.11,
            ((0.24, 0.24), (0.22, -0.62)),
            ((0.22, -0.62), (-0.2, -0.56), (-0.6, -0.2), (-0.78, 0.3), (-0.86, 0.74)),
        ),
        Part(pens(0.06, ((0.22, -0.66), (0.3, -0.78), (0.1, -0.72))), METAL),
        Part(pens(0.09, ((0.12, -0.72), (0.04, -0.68))), DARK),
        _saddle(-0.08, -0.7),
        Part(pens(0.03, ((-0.16, -0.56), (-0.2, -0.66)), ((0.04, -0.6), (0.02, -0.68))), METAL),
        *_cranks(0.24, 0.24, (0.24, 0.24), rng.uniform(0, 180))[1:],
    ]


def mountain_bicycle(rng: random.Random, tone: RGB) -> list[Part]:
    """Mountain bicycle looking left: knobbly tyres, suspension fork, flat bar: for evaluation."""
    rear, front, crank = (0.78, 0.5), (-0.8, 0.5), (0.1, 0.54)
    seat, head = (0.36, -0.1), (-0.44, -0.22)
    knobs = [(*polar(*hub, 0.5, 12 * i), 0.035) for hub in (rear, front) for i in range(30)]
    return [
        Part(gather(*[ellipse(*k) for k in knobs]), (36, 36, 38)),
        *_spoked(*rear, 0.5, rng, 0.11),
        *_spoked(*front, 0.5, rng, 0.11),
        Part(pens(0.05, (seat, (0.44, -0.38))), METAL),
        Part(pens(0.07, ((-0.48, -0.12), front)), METAL),
        *_frame(
            tone, 0.12, (rear, seat, crank, rear), (seat, head), (crank, (-0.46, -0.1)), ((-0.42, -0.34), (-0.52, 0.02))
        ),
        *_frame(tone, 0.11, ((-0.6, 0.16), (-0.78, 0.46))),
        Part(pens(0.05, ((-0.42, -0.34), (-0.52, -0.44), (-0.34, -0.5))), DARK),
        Part(pens(0.085, ((-0.4, -0.49), (-0.24, -0.52))), (50, 50, 54)),
        _saddle(0.46, -0.42),
        *_cranks(*crank, rear, rng.uniform(0, 180)),
    ]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "bicycle": (road_bicycle, city_bicycle, small_bicycle, penny_farthing, mountain_bicycle),
}
