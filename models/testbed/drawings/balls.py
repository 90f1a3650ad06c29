"""Drawings of a ball; the last is for evaluation only."""

import random

from ..drawing import BODY, CREAM, RGB, Drawing, Part, curve, ellipse, intersect, polygon, stroke, transform
from ._details import GLINT, SHADOW, arc, contrast, crescent, deeper, gather, ink, pens, polar


def _ball_light(cy: float, radius: float) -> list[Part]:
    """Highlight, core shadow and the light that the ground throws back."""
    spot = transform(ellipse(0, 0, 0.2, 0.12), rotate=-38, scale=radius, move=(-0.4 * radius, cy - 0.5 * radius))
    return [
        Part(crescent(0, cy, radius, 70, 230, 0.34 * radius), (0, 0, 0, 55)),
        Part(crescent(0, cy, radius * 0.97, 105, 200, 0.07), (255, 255, 255, 60)),
        Part(spot, (255, 255, 255, 150)),
    ]


def plain_ball(rng: random.Random, tone: RGB) -> list[Part]:
    """Shiny rubber ball with a moulding seam and a valve."""
    seam = [(x, 0.03 + y) for x, y in arc(0, 0, 0.96, 200, 340, rng.uniform(0.3, 0.6))]
    return [
        Part(ellipse(0, 0.03, 0.97), BODY, "sphere"),
        Part(pens(0.02, seam), (*deeper(tone), 130)),
        Part(ellipse(0.5, -0.2, 0.05), ink(tone)),
        *_ball_light(0.03, 0.97),
    ]


def beach_ball(rng: random.Random, tone: RGB) -> list[Part]:
    """Inflatable ball: panels meet at a cap."""
    radius, cy = 0.9, 0.1
    count = rng.choice((6, 8))
    turn, pole = rng.uniform(0, 60), (rng.uniform(-0.25, 0.25), cy - 0.35)
    parts = [Part(ellipse(0, cy, radius), BODY, "sphere")]
    for i in range(0, count, 2):
        rim = arc(0, cy, radius * 0.995, turn + 360 * i / count, turn + 360 * (i + 1) / count)
        bends = [((pole[0] + x) / 2 - (y - cy) * 0.16, (pole[1] + y) / 2 + x * 0.16) for x, y in (rim[0], rim[-1])]
        panel = curve(pole, (*bends[0], *rim[0]), *rim[1:], (*bends[1], *pole))
        parts += [Part(panel, CREAM if i % 4 == 0 or count == 6 else contrast(tone, (60, 110, 190), (250, 210, 70)))]
        parts += [Part(stroke(panel, 0.015), (90, 90, 90))]
    return [*parts, Part(ellipse(*pole, 0.12, 0.09), CREAM, "sphere"), *_ball_light(cy, radius)]


def football(rng: random.Random, tone: RGB) -> list[Part]:
    """Football of pentagons and seams."""
    radius, cy, turn = 0.95, 0.05, rng.uniform(-20, 20)
    angles = [turn + 72 * i for i in range(5)]
    patches = [polygon(*[polar(0, cy, 0.3, a) for a in angles])]
    seams = []
    for a in angles:
        x, y = polar(0, cy, 0.84, a)
        corners = [polar(x, y, r, a + 180 + d) for d, r in ((0, 0.24), (72, 0.28), (144, 0.4), (216, 0.4), (288, 0.28))]
        patches.append(polygon(*corners))
        after = polar(0, cy, 0.68, a + 36)
        seams += [(polar(0, cy, 0.3, a), corners[0]), (corners[4], after, polar(0, cy, 0.95, a + 36))]
        seams += [(polar(*polar(0, cy, 0.84, a + 72), 0.28, a + 72 + 252), after)]
    shapes = intersect(ellipse(0, cy, radius * 0.99), gather(*patches, pens(0.03, *seams)))
    return [Part(ellipse(0, cy, radius), BODY, "sphere"), Part(shapes, contrast(tone)), *_ball_light(cy, radius)]


def rugby_ball(rng: random.Random, tone: RGB) -> list[Part]:
    """Pointed oval ball with laces and end bands."""
    egg = curve((-1.15, 0.25), (-0.85, -0.5, 0.85, -0.5, 1.15, 0.25), (0.85, 1.0, -0.85, 1.0, -1.15, 0.25))
    ends = [
        curve(
            (s * 0.82, -0.13),
            (s * 0.68, 0.25, s * 0.82, 0.63),
            (s * 1.02, 0.5, s * 1.15, 0.25),
            (s * 1.02, 0, s * 0.82, -0.13),
        )
        for s in (-1, 1)
    ]
    laces = [((x, -0.06), (x, 0.08)) for x in (-0.24, -0.12, 0.0, 0.12, 0.24)]
    seam = curve((-1.12, 0.25), (-0.6, -0.02, 0.6, -0.02, 1.12, 0.25), close=False)
    parts = [
        Part(egg, BODY, "sphere"),
        *[Part(end, contrast(tone), "vertical") for end in ends],
        Part(stroke(seam, 0.025), ink(tone)),
        Part(pens(0.035, ((-0.32, 0.01), (0.32, 0.01)), *laces), contrast(tone)),
        Part(curve((-0.95, 0.48), (-0.5, 0.84, 0.5, 0.84, 0.95, 0.48), (0.4, 0.72, -0.4, 0.72, -0.95, 0.48)), SHADOW),
        Part(transform(ellipse(0, 0, 0.22, 0.06), rotate=-14, move=(-0.45, -0.1)), GLINT),
    ]
    tilt = rng.uniform(-14, 14)
    return [Part(transform(p.path, rotate=tilt, move=(0, 0.16)), p.fill, p.shade) for p in parts]


def basketball(rng: random.Random, tone: RGB) -> list[Part]:
    """Ball with four dark seams: for evaluation."""
    radius, cy, turn = 0.86, 0.14, rng.uniform(-35, 35)
    edge = radius * 0.985
    seams = [
        arc(0, 0, edge, 0, 180, 0.12),
        [(y, x) for x, y in arc(0, 0, edge, 0, 180, 0.18)],
        arc(-1.15, 0, 0.8, 47, 133),
        arc(1.15, 0, 0.8, 227, 313),
    ]
    return [
        Part(ellipse(0, cy, radius), BODY, "sphere"),
        Part(transform(pens(0.04, *seams), rotate=turn, move=(0, cy)), ink(tone)),
        *_ball_light(cy, radius),
    ]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "ball": (plain_ball, beach_ball, football, rugby_ball, basketball),
}
