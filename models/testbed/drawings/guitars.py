"""Drawings of guitars."""

import random

from ..contours import GLINT, SHADOW, darker, grounded, lighter, placed, smooth, turn, turned
from ..drawing import (
    BODY,
    BRASS,
    CREAM,
    DARK,
    METAL,
    RGB,
    WOOD,
    Drawing,
    Part,
    curve,
    ellipse,
    line,
    polygon,
    rectangle,
    stroke,
    transform,
)

# fmt: off
# Outlines read as rows of points; a formatter would put each point on a line of its own.

def _neck(top: float, bottom: float, frets: int, fill: RGB = (70, 46, 32)) -> list[Part]:
    """Fingerboard along x = 0 with frets and dots."""
    parts = [Part(polygon((-0.06, top), (0.06, top), (0.078, bottom), (-0.078, bottom)), fill, "cylinder")]
    for k in range(frets):
        y = top + (bottom - top) * (1 - 0.5 ** ((k + 1) / 9)) * 1.24
        if y < bottom:
            parts.append(Part(line((-0.064, y), (0.064, y), width=0.012), METAL))
            if k in (2, 4, 6, 8):
                parts.append(Part(ellipse(0, y - 0.03, 0.016), CREAM))
    return parts


def _strings(top: float, bottom: float) -> list[Part]:
    return [Part(line((x * 0.7, top), (x, bottom), width=0.007), (236, 230, 214)) for x in (-0.05, -0.03, -0.01, 0.01,
        0.03, 0.05)]


def _pegs(ys: tuple[float, ...], reach: float, sides: tuple[int, ...] = (-1, 1)) -> list[Part]:
    parts = []
    for y in ys:
        for sign in sides:
            parts += [Part(line((0, y), (sign * reach, y), width=0.022), METAL),
                Part(ellipse(sign * (reach + 0.03), y, 0.04, 0.03), CREAM, "sphere")]
    return parts


def acoustic_guitar(rng: random.Random, tone: RGB) -> list[Part]:
    """Upright, waisted body with a round sound hole."""
    waist = rng.uniform(0.32, 0.38)
    outline = turned((0.12, -0.16), (0.3, -0.14), (0.46, 0.02), (waist, 0.28), (0.44, 0.48), (0.6, 0.7), (0.46, 0.94),
        (0.16, 1.0))
    parts = [*_pegs((-0.98, -0.9, -0.82), 0.12), Part(turned((0.1, -1.04), (0.09, -0.94), (0.06, -0.76)), WOOD,
        "vertical"), Part(outline, darker(tone, 0.5)), Part(transform(outline, scale=(0.95, 0.97), move=(0, 0.013)),
        BODY, "sphere")]
    parts += [Part(stroke(transform(outline, scale=(0.93, 0.95), move=(0, 0.022)), 0.016), CREAM),
        Part(ellipse(0, 0.28, 0.19), (120, 80, 44)), Part(stroke(ellipse(0, 0.28, 0.17), 0.014), CREAM),
        Part(ellipse(0, 0.28, 0.15), (30, 20, 16))]
    parts += [Part(smooth((0.14, 0.4), (0.3, 0.34), (0.32, 0.54), (0.16, 0.58), (0.08, 0.44)), (50, 28, 24)),
        *_neck(-0.78, 0.16, 13), Part(rectangle(-0.2, 0.68, 0.2, 0.75, 0.02), (66, 42, 28), "vertical")]
    return [*parts, *_strings(-0.78, 0.7)]


def electric_guitar(rng: random.Random, tone: RGB) -> list[Part]:
    """Double-cutaway solid body, pickguard, pickups; leaning."""
    outline = smooth((-0.08, 0.1), (-0.2, 0.08), (-0.3, -0.16), (-0.42, -0.22), (-0.5, 0.0), (-0.42, 0.3),
        (-0.54, 0.62), (-0.4, 0.92), (-0.06, 1.0), (0.36, 0.94), (0.56, 0.7), (0.44, 0.38), (0.44, 0.14),
                     (0.42, -0.06), (0.3, -0.06), (0.22, 0.1), (0.08, 0.14))
    guard = smooth((-0.1, 0.14), (-0.26, 0.0), (-0.32, 0.3), (-0.2, 0.6), (0.1, 0.7), (0.3, 0.8), (0.36, 0.6),
        (0.26, 0.36), (0.28, 0.1), (0.1, 0.2))
    head = smooth((-0.07, -0.74, 0), (-0.1, -0.9), (-0.06, -1.06), (0.08, -1.08), (0.14, -0.98), (0.1, -0.86),
        (0.07, -0.74, 0))
    parts = [*_pegs((-1.0, -0.94, -0.88, -0.82), 0.12, (-1,)), Part(head, (214, 170, 110), "sideways"),
        Part(outline, BODY, "sphere"), Part(stroke(outline, 0.02), SHADOW)]
    parts += [Part(guard, CREAM if sum(tone) < 600 else (40, 40, 44), "vertical"),
        *_neck(-0.76, 0.3, 18, (206, 158, 98) if rng.random() < 0.5 else (70, 46, 32))]
    parts += [Part(turn(rectangle(-0.12, y, 0.12, y + 0.06, 0.025), a, 0, y), DARK, "vertical") for y,
        a in ((0.36, 0), (0.48, 0), (0.59, -9))] + [Part(rectangle(-0.11, 0.7, 0.11, 0.8, 0.015), METAL, "vertical")]
    parts += [Part(ellipse(x, y, 0.035), METAL, "sphere") for x, y in ((0.28, 0.56), (0.32, 0.68),
        (0.27, 0.78))] + [Part(line((0.0, 0.74), (0.2, 0.66), width=0.02), METAL)]
    return grounded(placed([*parts, *_strings(-0.78, 0.74)], rotate=rng.uniform(8, 20), scale=1.06,
        move=(-0.06, 0.0)))


def ukulele(rng: random.Random, tone: RGB) -> list[Part]:
    """Large round body, short neck, tilted the other way."""
    outline = turned((0.14, -0.28), (0.42, -0.22), (0.54, 0.0), (0.47, 0.22), (0.6, 0.42), (0.68, 0.64), (0.5, 0.92),
        (0.18, 1.0))
    parts = [*_pegs((-0.94, -0.84), 0.14), Part(turned((0.13, -1.04), (0.12, -0.9), (0.07, -0.74)), BODY, "vertical"),
        Part(outline, WOOD), Part(transform(outline, scale=(0.95, 0.96), move=(0, 0.014)), BODY, "sphere")]
    parts += [Part(stroke(ellipse(0, 0.16, 0.23), 0.035), lighter(tone, 0.5) if sum(tone) < 560 else WOOD),
        Part(ellipse(0, 0.16, 0.19), (34, 22, 18)), *_neck(-0.76, -0.04, 9),
        Part(rectangle(-0.24, 0.6, 0.24, 0.69, 0.03), (60, 38, 26), "vertical")]
    parts += [Part(ellipse(x, 0.645, 0.02), CREAM) for x in (-0.12, -0.04, 0.04,
        0.12)] + [Part(turn(ellipse(-0.36, -0.02, 0.05, 0.16), 30, -0.36, -0.02), GLINT)]
    return grounded(placed([*parts, *_strings(-0.76, 0.62)], rotate=rng.uniform(-28, -16), scale=1.04,
        move=(0.1, 0.02)))


def archtop_guitar(rng: random.Random, tone: RGB) -> list[Part]:
    """For evaluation: hollow body with one cutaway and f-holes, steeply slanted."""
    outline = smooth((-0.1, -0.14), (-0.32, -0.16), (-0.48, 0.02), (-0.38, 0.26), (-0.5, 0.46), (-0.6, 0.7),
        (-0.42, 0.94), (0, 1.0), (0.42, 0.94), (0.6, 0.7), (0.5, 0.46), (0.38, 0.28), (0.48, 0.08), (0.5, -0.1, 0),
                     (0.34, 0.0), (0.16, 0.1), (0.08, 0.04))
    parts = [*_pegs((-0.98, -0.9, -0.82), 0.13), Part(smooth((-0.12, -1.06, 0), (0, -1.02), (0.12, -1.06, 0),
        (0.07, -0.74, 0), (-0.07, -0.74, 0)), DARK, "vertical"), Part(outline, CREAM),
        Part(transform(outline, scale=(0.95, 0.965), move=(0, 0.015)), BODY, "sphere")]
    for sign in (-1, 1):
        hole = stroke(curve((sign * 0.34, 0.38), (sign * 0.2, 0.36, sign * 0.3, 0.56),
            (sign * 0.38, 0.74, sign * 0.24, 0.74), close=False), 0.045)
        parts += [Part(hole, (26, 18, 16)), Part(ellipse(sign * 0.34, 0.4, 0.035), (26, 18, 16)),
            Part(ellipse(sign * 0.25, 0.72, 0.035), (26, 18, 16))]
    parts += [*_neck(-0.76, 0.22, 15), Part(rectangle(-0.12, 0.26, 0.12, 0.34, 0.02), METAL, "vertical"),
        Part(rectangle(-0.12, 0.42, 0.12, 0.5, 0.02), METAL, "vertical"),
        Part(rectangle(-0.16, 0.6, 0.16, 0.65, 0.02), (60, 38, 26))]
    parts += [Part(polygon((-0.06, 0.72), (0.06, 0.72), (0.1, 0.98), (-0.1, 0.98)), BRASS, "vertical"),
        *(Part(ellipse(x, y, 0.04), BRASS, "sphere") for x, y in ((0.42, 0.62), (0.4, 0.78)))]
    return grounded(placed([*parts, *_strings(-0.78, 0.74)], rotate=rng.uniform(36, 48), scale=1.18,
        move=(-0.02, -0.02)))


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "guitar": (acoustic_guitar, electric_guitar, ukulele, archtop_guitar),
}
