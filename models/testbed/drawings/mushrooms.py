"""Drawings of mushrooms."""

import math
import random

from ..contours import GLINT, SHADOW, lighter, limb, smooth, turn
from ..drawing import BODY, CREAM, LEAF, RGB, Drawing, Part, curve, ellipse, line, polygon, stroke, transform

# fmt: off
# Outlines read as rows of points; a formatter would put each point on a line of its own.

def _gills(cx: float, cy: float, rx: float, ry: float) -> list[Part]:
    """The underside of a cap with radiating gills."""
    parts = [Part(ellipse(cx, cy, rx, ry), (232, 214, 186), "vertical")]
    for k in range(-6, 7):
        x = k / 6.5
        parts.append(Part(line((cx + x * rx * 0.3, cy - ry * 0.2), (cx + x * rx * 0.94,
            cy + ry * math.sqrt(1 - x * x) * 0.86), width=0.014), (150, 120, 92)))
    return parts


def toadstool(rng: random.Random, tone: RGB) -> list[Part]:
    """Domed cap, skirted stem; some have warts."""
    brim = rng.uniform(0.02, 0.12)
    cap = smooth((-0.96, brim, 0), (-0.88, -0.42), (-0.46, -0.86), (0.0, -0.98), (0.46, -0.86), (0.88, -0.42),
        (0.96, brim, 0), (0.5, brim + 0.16), (0.0, brim + 0.2), (-0.5, brim + 0.16))
    stem = smooth((-0.18, 0.0, 0), (0.18, 0.0, 0), (0.2, 0.5), (0.34, 0.86), (0.24, 1.0), (-0.24, 1.0), (-0.34, 0.86),
        (-0.2, 0.5))
    skirt = smooth((-0.19, 0.3, 0), (0.19, 0.3, 0), (0.36, 0.52, 0), (0.18, 0.5), (0.0, 0.56), (-0.18, 0.5),
        (-0.36, 0.52, 0))
    parts = [*_gills(0, brim + 0.02, 0.94, 0.24), Part(stem, CREAM, "cylinder"),
        Part(ellipse(0, 0.26, 0.2, 0.08), SHADOW), Part(skirt, (236, 226, 204), "vertical")]
    parts += [Part(line((x, 0.36), (x * 1.5, 0.5), width=0.014), (180, 164, 136)) for x in (-0.16, -0.06, 0.05, 0.15)]
    cap_lower = smooth((-0.96, brim, 0), (-0.88, -0.42), (-0.46, -0.86), (0.0, -0.98), (0.46, -0.86), (0.88, -0.42),
        (0.96, brim, 0), (0.5, brim + 0.08), (0.0, brim + 0.1), (-0.5, brim + 0.08))
    parts += [Part(cap_lower if rng.random() < 0.5 else cap, BODY, "sphere")]
    if rng.random() < 0.5:
        spots = ((-0.5, -0.42, 0.11), (-0.04, -0.64, 0.12), (0.44, -0.46, 0.1), (0.1, -0.24, 0.13),
            (-0.66, -0.1, 0.07), (0.72, -0.12, 0.07))
        parts += [Part(ellipse(x + rng.uniform(-0.05, 0.05), y, r, r * 0.8), (250, 244, 230), "sphere") for x, y,
            r in spots]
    return [*parts, Part(turn(ellipse(-0.4, -0.68, 0.2, 0.06), -32, -0.4, -0.68), GLINT)]


def parasol_mushroom(rng: random.Random, tone: RGB) -> list[Part]:
    """Wide flat cap seen slightly from below, gills showing, slim stem."""
    dip = rng.uniform(0.2, 0.3)
    cap = smooth((-1.0, -0.24, 0), (-0.7, -0.6), (-0.24, -0.78), (0.0, -0.92), (0.24, -0.78), (0.7, -0.6),
        (1.0, -0.24, 0), (0.5, -0.3), (0.0, -0.32), (-0.5, -0.3))
    stem = limb((0.0, -0.1, 0.18), (0.03, 0.4, 0.19), (0.0, 0.76, 0.26), (0.0, 0.88, 0.24))
    parts = [*_gills(0, -0.25, 0.99, dip), Part(stem, (228, 210, 180), "cylinder"),
        Part(smooth((-0.12, 0.16), (0.14, 0.16), (0.22, 0.26), (0.02, 0.3), (-0.18, 0.26)), CREAM, "vertical")]
    parts += [Part(cap, BODY, "vertical"), Part(smooth((-0.22, -0.79), (0.0, -0.93), (0.22, -0.79), (0.1, -0.68),
        (-0.1, -0.68)), SHADOW)]
    parts += [Part(stroke(curve((-0.98, -0.25), (0.0, -0.42, 0.98, -0.25), close=False), 0.03), lighter(tone, 0.35))]
    parts += [Part(turn(ellipse(-0.5, -0.6, 0.22, 0.045), -20, -0.5, -0.6), GLINT)]
    return parts + [Part(line((x, y), (x + 0.02, y + 0.1), width=0.016), (160, 136, 104)) for x,
        y in ((-0.02, 0.44), (0.05, 0.56), (-0.04, 0.66), (0.03, 0.74))]


def bolete(rng: random.Random, tone: RGB) -> list[Part]:
    """Cushion cap on a fat stem."""
    fat = rng.uniform(0.4, 0.52)
    stem = smooth((-0.3, -0.06, 0), (0.3, -0.06, 0), (0.36, 0.3), (fat, 0.68), (fat * 0.8, 0.98), (0.0, 1.0),
        (-fat * 0.8, 0.98), (-fat, 0.68), (-0.36, 0.3))
    cap = smooth((-0.86, -0.16), (-0.78, -0.58), (-0.4, -0.9), (0.06, -0.98), (0.5, -0.86), (0.84, -0.5),
        (0.88, -0.12), (0.66, 0.06), (0.0, 0.1), (-0.66, 0.04))
    parts = [Part(stem, (240, 226, 196), "cylinder"), Part(ellipse(0, 0.12, 0.36, 0.1), SHADOW)]
    parts += [Part(line((x, 0.2 + d), (x * 1.15, 0.5 + d), width=0.016), (196, 172, 132)) for x,
        d in ((-0.22, 0.0), (-0.08, 0.16), (0.08, 0.02), (0.22, 0.2), (-0.2, 0.34), (0.06, 0.4))]
    parts += [Part(ellipse(0, 0.0, 0.78, 0.13), (214, 196, 130), "vertical"), Part(cap, BODY, "sphere")]
    grass = [polygon((x - 0.03, 1.0), (x + lean, 0.78), (x + 0.03, 1.0)) for x,
        lean in ((-0.5, -0.08), (-0.42, 0.04), (0.46, -0.03), (0.54, 0.08))]
    return [*parts, Part(turn(ellipse(-0.36, -0.66, 0.24, 0.08), -28, -0.36, -0.66), GLINT),
        *(Part(blade, LEAF) for blade in grass)]


def bell_mushrooms(rng: random.Random, tone: RGB) -> list[Part]:
    """For evaluation: a tall bell-capped mushroom with a smaller one beside it, both leaning."""
    parts: list[Part] = []
    for cx, top, size, lean in ((0.46, 0.0, 0.62, rng.uniform(6, 14)), (-0.26, -0.98, 1.0, rng.uniform(-10, -3))):
        foot = cx + (0.06 if cx > 0 else 0.14)
        cap = smooth((0.0, 0.0), (0.26, 0.1), (0.46, 0.46), (0.66, 0.84, 0), (0.34, 0.94), (0.0, 0.96), (-0.34, 0.94),
            (-0.66, 0.84, 0), (-0.46, 0.46), (-0.26, 0.1))
        neck = (cx - math.sin(math.radians(lean)) * 0.8 * size, top + 0.8 * size)
        parts.append(Part(limb((*neck, 0.16 * size), ((neck[0] + foot) / 2 - 0.04, (neck[1] + 1) / 2, 0.17 * size),
            (foot, 0.99 - 0.12 * size, 0.24 * size)), (236, 222, 194), "cylinder"))
        pieces = [Part(ellipse(0, 0.86, 0.62, 0.15), (120, 92, 74)), *_gills(0, 0.88, 0.6, 0.11)[1:],
            Part(cap, BODY, "sphere")]
        pieces += [Part(stroke(curve((x * 0.3, 0.16), (x * 0.8, 0.4, x, 0.9), close=False), 0.02),
            SHADOW) for x in (-0.44, -0.16, 0.14, 0.44)]
        pieces.append(Part(turn(ellipse(-0.2, 0.3, 0.06, 0.2), 24, -0.2, 0.3), GLINT))
        parts += [Part(transform(piece.path, rotate=lean, scale=size, move=(cx, top)), piece.fill,
            piece.shade) for piece in pieces]
    return parts + [Part(polygon((x - 0.03, 1.0), (x + lean, 0.76), (x + 0.03, 1.0)), LEAF) for x,
        lean in ((-0.4, -0.08), (0.0, 0.05), (0.76, 0.08), (0.2, -0.04))]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "mushroom": (toadstool, parasol_mushroom, bolete, bell_mushrooms),
}
