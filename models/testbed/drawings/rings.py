"""Drawings of a ring; the last is for evaluation only."""

import random

import skia

from ..drawing import BODY, CREAM, METAL, RGB, Drawing, Part, annulus, build, curve, ellipse, polygon, star_path
from ._details import GLINT, SHADOW, arc, boxes, contrast, crescent, deeper, gather, ink, paler, pens, polar


def torus(rng: random.Random, tone: RGB) -> list[Part]:
    """Thick ring from the front, lit from above left."""
    outer, inner = 0.97, rng.uniform(0.46, 0.58)
    middle = (outer + inner) / 2
    return [
        Part(annulus(0, 0.03, outer, inner), BODY, "flat"),
        Part(annulus(0, 0.03, outer, outer - 0.1), BODY, "dark"),
        Part(annulus(0, 0.03, inner + 0.08, inner), BODY, "dark"),
        Part(crescent(0, 0.03, outer, 60, 210, 0.18), SHADOW),
        Part(crescent(0, 0.03, inner + 0.14, 240, 390, 0.13), SHADOW),
        Part(crescent(0, 0.03, middle + 0.1, 275, 355, 0.12), GLINT),
        Part(crescent(0, 0.03, middle + 0.05, 120, 170, 0.06), (255, 255, 255, 60)),
    ]


def gem_ring(rng: random.Random, tone: RGB) -> list[Part]:
    """Finger ring with a cut stone in claws."""
    gem = rng.choice(((120, 200, 235), (235, 245, 250), (230, 70, 110), (90, 200, 130)))
    table, girdle, tip = -0.98, -0.76, -0.26
    facets = [
        ((-0.2, table), (-0.14, girdle), (0, tip)),
        ((0.2, table), (0.14, girdle), (0, tip)),
        ((-0.4, girdle), (0.4, girdle)),
    ]
    return [
        Part(annulus(0, 0.3, 0.7, 0.47), BODY, "sideways"),
        Part(annulus(0, 0.3, 0.7, 0.64), BODY, "dark"),
        Part(annulus(0, 0.3, 0.52, 0.47), deeper(tone, 0.6)),
        Part(crescent(0, 0.3, 0.64, 270, 345, 0.07), (255, 255, 255, 190)),
        Part(crescent(0, 0.3, 0.69, 100, 190, 0.1), SHADOW),
        Part(polygon((-0.34, -0.5), (0.34, -0.5), (0.2, -0.26), (-0.2, -0.26)), BODY, "vertical"),
        Part(polygon((-0.24, table), (0.24, table), (0.42, girdle), (0, tip), (-0.42, girdle)), gem, "glass"),
        Part(polygon((0.2, table), (0.42, girdle), (0, tip), (0.14, girdle)), deeper(gem, 0.3)),
        Part(polygon((-0.24, table), (-0.4, girdle), (-0.14, girdle)), paler(gem, 0.7)),
        Part(pens(0.018, *facets), paler(gem, 0.8)),
        Part(pens(0.06, ((-0.4, -0.7), (-0.22, -0.36)), ((0.4, -0.7), (0.22, -0.36))), paler(tone, 0.3)),
        Part(star_path(4, 0.2, 0.04, -0.28, -0.92), (255, 255, 255)),
    ]


def lifebuoy(rng: random.Random, tone: RGB) -> list[Part]:
    """Life ring with four pale bands and a rope."""
    outer, inner, turn = 0.9, 0.45, rng.uniform(20, 70)
    bands, rope = [], []
    for a in (turn, turn + 90, turn + 180, turn + 270):
        bands.append(polygon(*arc(0, 0.05, outer + 0.02, a - 13, a + 13), *arc(0, 0.05, inner - 0.02, a + 16, a - 16)))
        rope.append([polar(0, 0.05, outer + 0.06 - 0.1 * abs(i - 5) / 5, a + 9 * i) for i in range(11)])
    return [
        Part(pens(0.05, *rope), (225, 205, 160)),
        Part(annulus(0, 0.05, outer, inner), BODY, "vertical"),
        Part(gather(*bands), contrast(tone, (200, 50, 45), CREAM)),
        Part(crescent(0, 0.05, outer, 60, 220, 0.2), SHADOW),
        Part(crescent(0, 0.05, inner + 0.12, 230, 400, 0.11), SHADOW),
        Part(crescent(0, 0.05, 0.78, 265, 350, 0.12), GLINT),
    ]


def gymnast_ring(rng: random.Random, tone: RGB) -> list[Part]:
    """Ring hanging in a buckled strap, seen a little askew."""
    squeeze = rng.uniform(0.72, 0.92)
    ring = build(lambda b: [b.addOval(_oval(0, 0.32, r * squeeze, r)) for r in (0.68, 0.44)], even_odd=True)
    return [
        Part(boxes((-0.12, -1, 0.12, -0.2)), (70, 74, 84), "cylinder"),
        Part(pens(0.015, ((-0.07, -1), (-0.07, -0.3)), ((0.07, -1), (0.07, -0.3))), (150, 154, 160)),
        Part(ring, BODY, "vertical"),
        Part(pens(0.05, arc(0, 0.32, 0.665, 60, 230, squeeze)), (*deeper(tone, 0.6), 150)),
        Part(pens(0.05, arc(0, 0.32, 0.46, 240, 400, squeeze)), (*deeper(tone, 0.6), 130)),
        Part(pens(0.045, arc(0, 0.32, 0.58, 275, 345, squeeze)), GLINT),
        Part(boxes((-0.13, -0.4, 0.13, -0.08), radius=0.04), (70, 74, 84), "vertical"),
        Part(boxes((-0.18, -0.62, 0.18, -0.48), radius=0.03), METAL, "vertical"),
        Part(boxes((-0.1, -0.58, 0.1, -0.52)), (60, 62, 66)),
    ]


def _oval(cx: float, cy: float, rx: float, ry: float) -> skia.Rect:
    return ellipse(cx, cy, rx, ry).getBounds()


def lying_ring(rng: random.Random, tone: RGB) -> list[Part]:
    """Inflated ring lying on the ground, seen from above, with welded seams: for evaluation."""
    flat = rng.uniform(0.5, 0.6)
    top = build(
        lambda b: [b.addOval(_oval(0, 0.18, rx, ry)) for rx, ry in ((1.1, 1.1 * flat), (0.52, 0.42 * flat))],
        even_odd=True,
    )
    seams = []
    for i in range(8):
        (x0, y0), (x1, y1) = (
            polar(0, 0.14, 0.44 * flat, 45 * i + 20, 0.54 / 0.44 / flat),
            polar(0, 0.24, 1.02 * flat, 45 * i + 20, 1 / flat),
        )
        seams.append(((x0, y0), ((x0 + x1) / 2 + 0.04, (y0 + y1) / 2 - 0.06), (x1, y1)))
    return [
        Part(
            build(lambda b: [b.addOval(_oval(0, 0.38, 1.1, 0.6)), b.addOval(_oval(0, 0.2, 0.5, 0.18))], even_odd=True),
            BODY,
            "dark",
        ),
        Part(top, BODY, "vertical"),
        Part(
            curve((-0.52, 0.15), (-0.45, -0.1, 0.45, -0.1, 0.52, 0.15), (0.4, 0.02, -0.4, 0.02, -0.52, 0.15)),
            deeper(tone, 0.55),
        ),
        Part(pens(0.022, *seams), (*ink(tone), 140)),
        Part(pens(0.07, arc(0, 0.18, 0.85 * flat, 285, 335, 1 / flat)), GLINT),
        Part(boxes((0.68, 0.02, 0.78, 0.12), radius=0.03), CREAM, "vertical"),
    ]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "ring": (torus, gem_ring, lifebuoy, gymnast_ring, lying_ring),
}
