"""Drawings of butterflies."""

import random

from ..contours import SHADOW, darker, eye, lighter, limb, mirrored, smooth, turn
from ..drawing import BODY, DARK, RGB, Drawing, Part, curve, ellipse, line, polygon, stroke, transform

# fmt: off
# Outlines read as rows of points; a formatter would put each point on a line of its own.

def _antennae(x: float, y: float, spread: float, height: float) -> list[Part]:
    parts = []
    for sign in (-1, 1):
        tip = (x + sign * spread, y - height)
        parts.append(Part(stroke(curve((x, y), (x + sign * spread * 0.2, y - height * 0.8, *tip), close=False),
            0.022), DARK))
        parts.append(Part(ellipse(*tip, 0.035), DARK))
    return parts


def _insect(x: float, top: float, bottom: float) -> list[Part]:
    """Head, thorax and a ringed abdomen."""
    length = bottom - top
    fur: RGB = (52, 40, 36)
    abdomen = smooth((x, top + length * 0.4), (x + 0.065, top + length * 0.56), (x, bottom),
        (x - 0.065, top + length * 0.56))
    rings = [line((x - 0.045, top + length * s), (x + 0.045, top + length * s), width=0.018) for s in (0.55, 0.66,
        0.77)]
    return [Part(abdomen, fur, "sideways"), *(Part(ring, (170, 140, 100)) for ring in rings),
            Part(ellipse(x, top + length * 0.3, 0.08, length * 0.17), fur, "sphere"),
            Part(ellipse(x, top + 0.04, 0.07), fur, "sphere")]


def monarch(rng: random.Random, tone: RGB) -> list[Part]:
    """Spread wings from above: dark border with white dots, dark veins."""
    rise = rng.uniform(-0.92, -0.78)
    low = rng.uniform(0.72, 0.88)
    fore = smooth((0.04, -0.2), (0.34, -0.66), (0.72, rise), (1.0, rise + 0.06), (0.98, -0.5), (0.84, -0.16),
        (0.5, 0.06), (0.06, 0.06))
    hind = smooth((0.04, 0.0), (0.46, -0.02), (0.84, 0.16), (0.86, 0.46), (0.6, low), (0.32, low - 0.06), (0.1, 0.44))
    fore_in = transform(fore, scale=0.84, move=(0.035, -0.02))
    hind_in = transform(hind, scale=0.82, move=(0.03, 0.04))
    rim: RGB = (34, 28, 28) if sum(tone) > 170 else (232, 226, 214)
    dot: RGB = (248, 246, 238) if sum(tone) > 170 else (52, 44, 44)
    dots = [(0.94, -0.72), (0.92, -0.58), (0.9, -0.44), (0.86, -0.3), (0.78, -0.82), (0.8, 0.3), (0.79, 0.46),
        (0.7, 0.6), (0.58, low - 0.07), (0.42, low - 0.1)]
    veins = [line((0.08, -0.1), tip, width=0.024) for tip in ((0.76, -0.7), (0.82, -0.46), (0.74, -0.22))]
    veins += [line((0.08, 0.12), tip, width=0.022) for tip in ((0.72, 0.26), (0.62, 0.5), (0.36, 0.64))]
    parts = []
    for flip in (lambda path: path, mirrored):
        parts += [Part(flip(hind), rim), Part(flip(hind_in), BODY, "vertical"), Part(flip(fore), rim),
            Part(flip(fore_in), BODY, "vertical")]
        parts += [Part(flip(vein), rim) for vein in veins] + [Part(flip(ellipse(*at, 0.028)), dot) for at in dots]
    return parts + _antennae(0.0, -0.4, 0.22, 0.45) + _insect(0.0, -0.46, 0.56)


def folded_butterfly(rng: random.Random, tone: RGB) -> list[Part]:
    """Resting in profile, wings closed above the body."""
    lean = rng.uniform(-0.06, 0.08)
    fore = smooth((-0.3, 0.52), (-0.42, 0.0), (-0.34 + lean, -0.6), (-0.06 + lean, -1.0), (0.2 + lean, -0.9),
        (0.42, -0.5), (0.36, 0.0), (0.06, 0.44))
    hind = smooth((-0.24, 0.56), (0.0, 0.02), (0.46, -0.3), (0.86, -0.2), (0.96, 0.16), (0.8, 0.48), (0.5, 0.62),
        (0.1, 0.66))
    legs = [line((-0.34 + d, 0.7), (-0.44 + 1.6 * d, 0.97), width=0.026) for d in (0.0, 0.12, 0.26)]
    trunk = limb((-0.56, 0.52, 0.1), (-0.34, 0.62, 0.16), (0.0, 0.72, 0.13), (0.3, 0.8, 0.07))
    feelers = [stroke(curve((-0.58, 0.48), (-0.8, 0.2, -0.86 + d, -0.1 - d), close=False), 0.022) for d in (0.0,
        0.14)]
    dark = darker(tone, 0.6)
    parts = [Part(path, DARK) for path in (*legs, *feelers)]
    parts += [Part(ellipse(-0.86 + d, -0.1 - d, 0.035), DARK) for d in (0.0, 0.14)]
    parts += [Part(fore, dark), Part(transform(fore, scale=0.86, move=(-0.01, 0.02)), BODY, "sideways")]
    parts += [Part(line((-0.24, 0.4), tip, width=0.022), dark) for tip in ((-0.2 + lean, -0.66), (0.06 + lean, -0.76),
        (0.28, -0.46))]
    parts += [Part(hind, dark), Part(transform(hind, scale=0.88, move=(0.04, 0.03)), BODY, "vertical")]
    parts += [Part(line((-0.14, 0.54), tip, width=0.02), dark) for tip in ((0.46, -0.14), (0.74, 0.0), (0.78, 0.26),
        (0.56, 0.48))]
    for x, y in ((0.6, -0.06), (0.72, 0.2), (0.56, 0.4)):
        parts += [Part(ellipse(x, y, 0.085), lighter(tone, 0.6)), Part(ellipse(x, y, 0.055), dark),
            Part(ellipse(x - 0.015, y - 0.02, 0.018), (255, 255, 255))]
    return [*parts, Part(trunk, (58, 46, 40), "vertical"), *eye(-0.56, 0.52, 0.04)]


def swallowtail(rng: random.Random, tone: RGB) -> list[Part]:
    """Pointed forewings with dark streaks, hindwings with tails and bright eyespots."""
    tip = rng.uniform(-0.72, -0.6)
    length = rng.uniform(0.88, 1.0)
    fore = smooth((0.04, -0.28), (0.4, -0.6), (0.78, tip - 0.04), (1.0, tip, 0), (0.9, -0.3), (0.7, 0.06, 0),
        (0.36, 0.08), (0.05, 0.06))
    hind = smooth((0.05, -0.02), (0.4, 0.04), (0.66, 0.1, 0), (0.7, 0.3), (0.62, 0.5, 0), (0.54, 0.62, 0), (0.6, 0.8),
        (0.58, length), (0.5, 0.94), (0.46, 0.68, 0),
                  (0.3, 0.6, 0), (0.2, 0.56), (0.07, 0.36))
    dark = darker(tone, 0.75)
    streaks = [polygon((0.36 + k * 0.14, -0.54 - k * 0.045), (0.44 + k * 0.14, -0.56 - k * 0.045),
        (0.3 + k * 0.13, -0.1 + k * 0.01)) for k in range(4)]
    edge = smooth((0.98, tip + 0.02, 0), (0.9, -0.3), (0.7, 0.06, 0), (0.64, 0.02, 0), (0.8, -0.3))
    hem = smooth((0.66, 0.12, 0), (0.7, 0.3), (0.62, 0.5, 0), (0.46, 0.67, 0), (0.3, 0.6, 0), (0.46, 0.46),
        (0.58, 0.3))
    blue = [(0.6, 0.28), (0.56, 0.4), (0.47, 0.5)]
    parts = []
    for flip in (lambda path: path, mirrored):
        parts += [Part(flip(hind), BODY, "vertical"), Part(flip(hem), dark), Part(flip(fore), BODY, "sideways"),
            Part(flip(edge), dark)]
        parts += [Part(flip(streak), dark) for streak in streaks]
        parts += [Part(flip(ellipse(*at, 0.035)), (90, 140, 225)) for at in blue]
        parts += [Part(flip(ellipse(0.34, 0.54, 0.055)), (225, 70, 50)), Part(flip(stroke(fore, 0.02)), dark),
            Part(flip(stroke(hind, 0.02)), dark)]
        parts += [Part(flip(ellipse(x, y, 0.022)), lighter(tone, 0.8)) for x,
            y in ((0.86, -0.46), (0.82, -0.3), (0.76, -0.14))]
    return parts + _antennae(0.0, -0.44, 0.24, 0.42) + _insect(0.0, -0.5, 0.5)


def perched_butterfly(rng: random.Random, tone: RGB) -> list[Part]:
    """For evaluation: seen obliquely, near wings broad with eyespots, far wings foreshortened."""
    squeeze = rng.uniform(0.4, 0.55)
    fore = smooth((0.0, -0.06), (0.1, -0.56), (0.4, -0.92), (0.78, -0.96), (0.92, -0.66), (0.74, -0.26), (0.4, 0.06))
    hind = smooth((0.0, 0.02), (0.4, 0.02), (0.76, 0.1), (0.9, 0.38), (0.8, 0.66, 0), (0.66, 0.66), (0.56, 0.84, 0),
        (0.34, 0.74), (0.1, 0.4))
    rim = darker(tone, 0.55)
    core = lighter(tone, 0.7)
    parts: list[Part] = []
    for scale, shade in (((-squeeze, 1.0), "dark"), ((1.0, 1.0), "vertical")):
        for wing in (hind, fore):
            parts += [Part(transform(wing, scale=scale), rim), Part(transform(transform(wing, scale=0.87,
                move=(0.03, -0.01)), scale=scale), BODY, shade)]
        for x, y, radius in ((0.6, -0.64, 0.16), (0.6, 0.42, 0.14)):
            parts += [Part(transform(ellipse(x, y, radius * r), scale=scale), fill) for r,
                fill in ((1.0, rim), (0.8, core), (0.5, (40, 46, 110)))]
            parts.append(Part(transform(ellipse(x - 0.03, y - 0.04, radius * 0.2), scale=scale), (255, 255, 255)))
        parts += [Part(transform(line((0.06, -0.06), tip, width=0.018), scale=scale),
            SHADOW) for tip in ((0.4, -0.72), (0.6, -0.3), (0.6, 0.14), (0.4, 0.56))]
    parts += _antennae(0.02, -0.42, 0.3, 0.4) + _insect(0.0, -0.46, 0.6)
    return [Part(turn(part.path, 14, 0.0, 0.0), part.fill, part.shade) for part in parts]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "butterfly": (monarch, folded_butterfly, swallowtail, perched_butterfly),
}
