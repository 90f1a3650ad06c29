"""Drawings of flowers."""

import math
import random

from ..contours import GLINT, SHADOW, darker, lighter, limb, mirrored, smooth, turn
from ..drawing import BODY, LEAF, RGB, Drawing, Part, curve, ellipse, line, mix, stroke, transform

# fmt: off
# Outlines read as rows of points; a formatter would put each point on a line of its own.

def _stem(rng: random.Random, top: float, bend: float) -> list[Part]:
    """A stem from (0, top) to the ground with two leaves."""
    parts = [Part(limb((0.0, top, 0.07), (bend, (top + 1) / 2, 0.075), (bend * 0.4, 1.0, 0.09)), LEAF, "sideways")]
    for sign, y in ((-1, 0.86), (1, rng.uniform(0.7, 0.8))):
        tip = (bend + sign * 0.56, y - 0.36)
        leaf = smooth((bend, y, 0), (bend + sign * 0.16, y - 0.32), (*tip, 0), (bend + sign * 0.36, y - 0.02))
        parts += [Part(leaf, LEAF, "vertical"), Part(stroke(curve((bend, y), (bend + sign * 0.26, y - 0.2, *tip),
            close=False), 0.02), (44, 98, 42))]
    return parts


def daisy(rng: random.Random, tone: RGB) -> list[Part]:
    """Face on: one ring of long petals, a domed yellow centre."""
    count = rng.randint(9, 14)
    cy = -0.34
    half = min(0.16, 1.9 / count)
    petal = smooth((0.0, 0.1, 0), (-half * 0.7, -0.25), (-half, -0.5), (0.0, -0.66), (half, -0.5),
        (half * 0.7, -0.25))
    crease = line((0.0, -0.2), (0.0, -0.52), width=0.02)
    parts = _stem(rng, cy, rng.uniform(-0.08, 0.08))
    for k in [*range(0, count, 2), *range(1, count, 2)]:
        turn_by = 360 * k / count + rng.uniform(-3, 3)
        parts += [Part(transform(petal, rotate=turn_by, move=(0, cy)), BODY, "dark" if k % 2 == 0 else "vertical"),
            Part(transform(crease, rotate=turn_by, move=(0, cy)), SHADOW)]
    gold: RGB = (242, 186, 48) if tone[2] > 90 or tone[0] < 200 else (110, 66, 30)
    parts += [Part(ellipse(0.02, cy + 0.03, 0.22), SHADOW), Part(ellipse(0, cy, 0.21), gold, "sphere")]
    for k in range(14):
        radius, angle = 0.185 * math.sqrt((k + 0.5) / 14), k * 2.4
        parts.append(Part(ellipse(radius * math.cos(angle), cy + radius * math.sin(angle), 0.018),
            darker(gold, 0.35)))
    return parts


def tulip(rng: random.Random, tone: RGB) -> list[Part]:
    """Side view: a cup of pointed petals, long blades of leaf."""
    flare = rng.uniform(-0.04, 0.08)
    parts = [Part(limb((0.0, 0.1, 0.08), (0.03, 0.55, 0.08), (0.0, 1.0, 0.1)), LEAF, "sideways")]
    blades = [smooth((0.0, 1.0, 0), (-0.26, 0.76), (-0.52, 0.06, 0), (-0.22, 0.4), (0.02, 0.86)),
        smooth((0.0, 1.0, 0), (0.3, 0.8), (0.66, 0.3, 0), (0.26, 0.5), (0.0, 0.86))]
    parts += [Part(blade, LEAF, "sideways") for blade in blades]
    parts += [Part(stroke(curve((-0.02, 0.94), (-0.26, 0.6, -0.46, 0.18), close=False), 0.018), (44, 98, 42))]
    back = smooth((0.0, 0.1), (-0.34, -0.2), (-0.3, -0.9, 0), (-0.16, -0.7, 0), (0.0, -1.0, 0), (0.16, -0.7, 0),
        (0.3, -0.9, 0), (0.34, -0.2))
    side = smooth((0.0, 0.22, 0), (-0.36, 0.12), (-0.54, -0.3), (-0.52 - flare, -0.86, 0), (-0.2, -0.56),
        (0.02, -0.1))
    front = smooth((0.0, 0.24), (-0.28, 0.02), (-0.28, -0.4), (0.0, -0.8, 0), (0.28, -0.4), (0.28, 0.02))
    parts += [Part(back, BODY, "dark"), Part(side, BODY, "sideways"), Part(mirrored(side), BODY, "sideways"),
        Part(transform(front, move=(0.0, -0.03)), SHADOW)]
    parts.append(Part(front, BODY, "sphere"))
    for x in (-0.12, 0.0, 0.12):
        parts.append(Part(stroke(curve((x * 0.5, 0.18), (x * 1.9, -0.1, x * 0.8, -0.5), close=False), 0.018), SHADOW))
    return [*parts, Part(stroke(curve((-0.44, -0.7), (-0.5, -0.3, -0.34, 0.0), close=False), 0.03), GLINT)]


def sunflower(rng: random.Random, tone: RGB) -> list[Part]:
    """Two rings of pointed petals around a large seed head."""
    cy, count = -0.32, rng.randint(14, 18)
    petal = smooth((0.0, -0.2, 0), (-0.12, -0.42), (0.0, -0.74, 0), (0.12, -0.42))
    parts = _stem(rng, cy, rng.uniform(-0.06, 0.06))
    for ring, (scale, shade) in enumerate(((1.0, "dark"), (0.86, "vertical"))):
        for k in range(count):
            angle = 360 * (k + ring / 2) / count + rng.uniform(-4, 4)
            parts.append(Part(transform(petal, rotate=angle, scale=scale, move=(0, cy)), BODY, shade))
    seed: RGB = (74, 46, 28) if sum(tone) > 300 else (226, 170, 60)
    parts += [Part(ellipse(0, cy, 0.33), darker(seed, 0.3)), Part(ellipse(0, cy, 0.3), seed, "sphere")]
    for k in range(44):
        radius, angle = 0.28 * math.sqrt((k + 0.5) / 44), k * 2.39996
        parts.append(Part(ellipse(radius * math.cos(angle), cy + radius * math.sin(angle), 0.016),
            lighter(seed, 0.35) if k > 14 else darker(seed, 0.3)))
    return parts


def rose(rng: random.Random, tone: RGB) -> list[Part]:
    """A full bloom of overlapping petals wound into a spiral."""
    cy = -0.36
    parts = _stem(rng, cy, rng.uniform(-0.08, 0.08))
    parts += [Part(turn(smooth((0, cy + 0.3, 0), (0.12, cy + 0.5), (0.0, cy + 0.8, 0), (-0.12, cy + 0.5)), angle, 0,
        cy), LEAF, "vertical") for angle in (-50, 0, 50)]
    spin = rng.uniform(0, 360)
    for ring, (radius, size, count) in enumerate(((0.32, 0.34, 6), (0.22, 0.28, 5), (0.12, 0.22, 4))):
        petal = smooth((-size, 0.1), (-size * 0.8, -size * 0.7), (0.0, -size * 1.02), (size * 0.8, -size * 0.7),
            (size, 0.1), (0.0, size * 0.5))
        for k in range(count):
            angle = spin + 360 * (k + ring * 0.4) / count
            x, y = radius * math.sin(math.radians(angle)), -radius * math.cos(math.radians(angle))
            placed = transform(petal, rotate=angle, move=(x, y + cy))
            parts += [Part(placed, BODY, "dark" if (k + ring) % 2 else "vertical"),
                Part(stroke(placed, 0.022), SHADOW)]
    parts.append(Part(ellipse(0, cy, 0.15), BODY, "sphere"))
    for k in range(3):
        parts.append(Part(turn(stroke(curve((-0.13 + 0.03 * k, cy), (0, cy - 0.16 + 0.04 * k, 0.1 - 0.02 * k, cy),
            close=False), 0.024), 110 * k + spin, 0, cy), SHADOW))
    return parts


def hibiscus(rng: random.Random, tone: RGB) -> list[Part]:
    """For evaluation: five broad ruffled petals seen obliquely, a long stamen, bud on the stem."""
    spin = rng.uniform(-14, 14)
    petal = smooth((0.0, 0.02, 0), (-0.26, -0.26), (-0.4, -0.56), (-0.26, -0.76), (-0.1, -0.7), (0.0, -0.82),
        (0.12, -0.7), (0.28, -0.76), (0.4, -0.54), (0.26, -0.26))
    parts = [Part(limb((0.0, -0.2, 0.08), (0.1, 0.4, 0.07), (-0.06, 1.0, 0.1)), LEAF, "sideways")]
    parts += [Part(limb((0.08, 0.56, 0.05), (0.36, 0.44, 0.04), (0.46, 0.34, 0.04)), LEAF),
        Part(smooth((0.44, 0.44, 0), (0.36, 0.26), (0.54, 0.06, 0), (0.6, 0.28)), BODY, "sphere")]
    parts += [Part(smooth((0.36, 0.4, 0), (0.36, 0.26), (0.48, 0.3), (0.62, 0.26), (0.58, 0.44)), LEAF, "vertical")]
    parts += [Part(smooth((0.04, 0.8, 0), (-0.22, 0.52), (-0.66, 0.5, 0), (-0.4, 0.84)), LEAF, "vertical"),
        Part(line((0.0, 0.78), (-0.56, 0.55), width=0.02), (44, 98, 42))]
    throat = darker(mix(tone, (150, 20, 60), 0.4), 0.3)
    for k in (0, 2, 4, 1, 3):
        angle = spin + 72 * k
        for path, fill, shade in ((petal, BODY, "sphere"), (transform(petal, scale=(0.4, 0.4)), (*throat, 120),
            "flat")):
            placed = transform(transform(path, rotate=angle), scale=(1.0, 0.78), move=(-0.04, -0.34))
            parts.append(Part(placed, fill, shade))
        for d in (-20, 0, 20):
            vein = transform(transform(line((0, -0.25), (0, -0.62), width=0.018), rotate=angle + d * 0.7),
                scale=(1.0, 0.78), move=(-0.04, -0.34))
            parts.append(Part(vein, SHADOW))
    parts.append(Part(limb((-0.04, -0.34, 0.06), (0.16, -0.4, 0.05), (0.34, -0.54, 0.045)), (244, 222, 150),
        "vertical"))
    return parts + [Part(ellipse(0.3 + rng.uniform(-0.1, 0.1), -0.53 + rng.uniform(-0.1, 0.08), 0.032),
        (240, 190, 50), "sphere") for _ in range(9)]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "flower": (daisy, tulip, sunflower, rose, hibiscus),
}
