"""Drawings of bottles and vases."""

import random

from ..contours import SHADOW, Point, darker, lighter, limb, smooth, turned
from ..drawing import (
    BODY,
    BRASS,
    CREAM,
    DARK,
    LEAF,
    METAL,
    RGB,
    WOOD,
    Drawing,
    Part,
    curve,
    ellipse,
    line,
    rectangle,
    stroke,
    transform,
)
from ._vessels import handle, streak

# fmt: off
# Outlines read as rows of points; a formatter would put each point on a line of its own.

CORK: RGB = (196, 152, 98)


def _glass(*profile: Point) -> list[Part]:
    """A turned body of glass or enamel."""
    return [Part(turned(*profile), BODY, "cylinder")]


def wine_bottle(rng: random.Random, tone: RGB) -> list[Part]:
    """High shoulders, long neck with capsule, paper label."""
    half, shoulder = rng.uniform(0.3, 0.38), rng.uniform(-0.3, -0.16)
    neck = 0.115
    parts = _glass((neck, -0.98), (neck, -0.6), (neck + 0.02, shoulder - 0.2), (half * 0.9, shoulder),
        (half, shoulder + 0.16), (half, 0.5), (half, 0.92, 0), (half * 0.9, 1.0))
    capsule = rng.choice(((130, 30, 40), BRASS, DARK))
    parts += [Part(rectangle(-neck - 0.015, -1.0, neck + 0.015, -0.62, 0.02), capsule, "cylinder"),
        Part(rectangle(-neck - 0.03, -0.95, neck + 0.03, -0.88, 0.02), capsule, "cylinder")]
    parts += [Part(rectangle(-half * 0.97, 0.16, half * 0.97, 0.66, 0.02), CREAM, "cylinder"),
        Part(ellipse(0, 0.3, 0.08), (150, 40, 45))]
    parts += [Part(line((-half * 0.6, y), (half * 0.6, y), width=0.024), BRASS) for y in (0.21, 0.6)]
    parts += [Part(line((-half * w, y), (half * w, y), width=0.022), DARK) for y, w in ((0.45, 0.55), (0.52, 0.35))]
    return [*parts, streak(-half * 0.66, shoulder + 0.16, 0.1, 0.05), streak(-neck * 0.4, -0.56, shoulder - 0.16,
        0.03), streak(-half * 0.66, 0.74, 0.88, 0.05)]


def soda_bottle(rng: random.Random, tone: RGB) -> list[Part]:
    """Waisted bottle with crown cap and a wavy band."""
    waist = rng.uniform(0.27, 0.33)
    parts = _glass((0.1, -0.9), (0.12, -0.6), (0.26, -0.24), (0.38, 0.04), (0.36, 0.24), (waist, 0.48), (0.34, 0.7),
        (0.37, 0.86), (0.33, 1.0))
    crown = smooth((-0.15, -0.86, 0), (-0.13, -0.98), (0.0, -1.0), (0.13, -0.98), (0.15, -0.86, 0))
    band = smooth((-0.35, -0.06, 0), (-0.12, 0.02), (0.12, -0.08), (0.35, -0.02, 0), (0.38, 0.16, 0), (0.12, 0.1),
        (-0.12, 0.2), (-0.37, 0.12, 0))
    parts += [Part(crown, rng.choice(((200, 40, 45), METAL, BRASS)), "cylinder"),
        Part(rectangle(-0.125, -0.84, 0.125, -0.79, 0.02), BODY, "cylinder")]
    parts += [Part(line((x, -0.94), (x, -0.87), width=0.015), SHADOW) for x in (-0.1, -0.05, 0.0, 0.05, 0.1)]
    parts += [Part(band, CREAM, "cylinder"), Part(stroke(curve((-0.22, 0.08), (-0.08, 0.14, 0.06, -0.02, 0.22, 0.06),
        close=False), 0.04), (190, 40, 45))]
    parts += [Part(stroke(curve((x, 0.26), (x * 0.7, 0.48, x, 0.94), close=False), 0.02),
        (0, 0, 0, 50)) for x in (-0.22, -0.08, 0.08, 0.22)]
    return [*parts, streak(-0.2, -0.2, -0.12, 0.05), streak(-0.04, -0.72, -0.46, 0.035)]


def flask(rng: random.Random, tone: RGB) -> list[Part]:
    """Squat drinking bottle with a screw lid and a carrying loop."""
    half = rng.uniform(0.44, 0.54)
    parts = [Part(stroke(curve((-0.2, -0.84), (-0.26, -1.1, 0.26, -1.1, 0.2, -0.84), close=False), 0.07), DARK)]
    parts += _glass((0.24, -0.62), (0.3, -0.5), (half, -0.3), (half, 0.0), (half, 0.5), (half, 0.9),
        (half * 0.86, 1.0))
    parts += [Part(rectangle(-0.28, -0.88, 0.28, -0.6, 0.05), METAL, "cylinder")]
    parts += [Part(line((x, -0.84), (x, -0.64), width=0.02), SHADOW) for x in (-0.2, -0.1, 0.0, 0.1, 0.2)]
    for y, fill in ((-0.24, METAL), (0.86, METAL)):
        parts.append(Part(rectangle(-half, y, half, y + 0.06), fill, "cylinder"))
    drop = smooth((0.0, 0.06, 0), (0.16, 0.32), (0.13, 0.48), (0.0, 0.54), (-0.13, 0.48), (-0.16, 0.32))
    return [*parts, Part(drop, lighter(tone, 0.65) if sum(tone) < 600 else (90, 150, 210), "sphere"),
        streak(-half * 0.66, -0.06, 0.7, 0.06)]


def chianti_bottle(rng: random.Random, tone: RGB) -> list[Part]:
    """For evaluation: round flask with a thin neck, cork and a straw base."""
    belly = rng.uniform(0.6, 0.7)
    glass = turned((0.11, -0.92), (0.11, -0.62), (0.16, -0.36), (belly * 0.8, 0.02), (belly, 0.4),
        (belly * 0.86, 0.78), (belly * 0.5, 0.97))
    straw = smooth((-belly * 0.99, 0.34, 0), (0.0, 0.42), (belly * 0.99, 0.34, 0), (belly * 0.88, 0.78),
        (belly * 0.56, 1.0, 0), (-belly * 0.56, 1.0, 0), (-belly * 0.88, 0.78))
    parts = [Part(rectangle(-0.085, -1.04, 0.085, -0.86, 0.03), CORK, "cylinder"), Part(glass, BODY, "sphere")]
    parts += [Part(rectangle(-0.14, -0.94, 0.14, -0.86, 0.03), BODY, "cylinder"),
        Part(straw, (206, 170, 104), "cylinder")]
    parts += [Part(stroke(curve((-belly * w, y), (0, y + 0.1, belly * w, y), close=False), 0.03),
        (160, 124, 70)) for y, w in ((0.4, 0.98), (0.62, 0.94), (0.82, 0.8))]
    return [*parts, Part(limb((-belly * 0.56, 0.26, 0.06), (-belly * 0.5, 0.08, 0.07), (-belly * 0.3, -0.1, 0.04)),
        (255, 255, 255, 110)), streak(-0.04, -0.76, -0.4, 0.03)]


def amphora(rng: random.Random, tone: RGB) -> list[Part]:
    """Two handles, painted bands."""
    belly = rng.uniform(0.52, 0.62)
    parts = []
    for sign in (-1, 1):
        parts += handle((sign * 0.16, -0.72), (sign * 0.62, -0.86, sign * 0.66, -0.3, sign * 0.44, -0.14), 0.09)
    parts += [Part(turned((0.3, -0.98), (0.2, -0.88), (0.16, -0.66), (0.24, -0.4), (belly * 0.9, -0.1), (belly, 0.16),
        (belly * 0.66, 0.6), (0.22, 0.86), (0.32, 1.0)), BODY, "cylinder")]
    parts += [Part(ellipse(0, -0.97, 0.3, 0.055), darker(tone, 0.45)), Part(stroke(ellipse(0, -0.97, 0.3, 0.055),
        0.03), BODY, "light")]
    dark = darker(tone, 0.6)
    parts += [Part(stroke(curve((-w, y), (0, y + 0.12, w, y), close=False), 0.035), dark) for y,
        w in ((-0.02, belly * 0.96), (0.36, belly * 0.9), (0.86, 0.2))]
    return [*parts, streak(-belly * 0.5, 0.1, 0.24, 0.07), streak(-0.07, -0.78, -0.6, 0.04)]


def round_vase(rng: random.Random, tone: RGB) -> list[Part]:
    """Globe belly, narrow neck, flared lip, a painted medallion."""
    belly = rng.uniform(0.7, 0.84)
    parts = [Part(turned((0.28, -0.98), (0.19, -0.86), (0.17, -0.66), (0.3, -0.5), (belly * 0.9, -0.06),
        (belly, 0.28), (belly * 0.8, 0.72), (0.36, 0.98, 0), (0.36, 1.0)), BODY, "sphere")]
    parts += [Part(ellipse(0, -0.97, 0.28, 0.06), darker(tone, 0.45)), Part(stroke(ellipse(0, -0.97, 0.28, 0.06),
        0.03), BODY, "light")]
    petals = rng.randint(5, 7)
    trim = lighter(tone, 0.72) if sum(tone) < 560 else (60, 90, 160)
    for k in range(petals):
        parts.append(Part(transform(ellipse(0, -0.12, 0.065, 0.1), rotate=360 * k / petals, move=(0.04, 0.3)), trim))
    parts += [Part(ellipse(0.04, 0.3, 0.06), BRASS, "sphere")]
    parts += [Part(stroke(curve((-w, y), (0, y + 0.09, w, y), close=False), 0.03), trim) for y,
        w in ((-0.6, 0.2), (-0.4, 0.4), (0.82, 0.62))]
    return [*parts, Part(limb((-belly * 0.7, 0.2, 0.05), (-belly * 0.62, 0.0, 0.08), (-belly * 0.44, -0.16, 0.05)),
        (255, 255, 255, 120))]


def flower_vase(rng: random.Random, tone: RGB) -> list[Part]:
    """Slender vase holding three blossoms."""
    blossom: RGB = rng.choice(((230, 110, 140), (240, 190, 70), (245, 240, 235), (200, 70, 70)))
    parts: list[Part] = []
    for x, y in ((-0.44, -0.6), (0.44, -0.66), (0.0, -0.74)):
        parts.append(Part(stroke(curve((x * 0.12, 0.0), (x * 0.5, -0.3, x, y), close=False), 0.045), LEAF))
        parts += [Part(transform(ellipse(0, -0.13, 0.085, 0.12), rotate=60 * k + 20 * x, move=(x, y)), blossom,
            "vertical") for k in range(6)]
        parts.append(Part(ellipse(x, y, 0.075), (232, 176, 60) if blossom[1] < 180 else (120, 76, 40), "sphere"))
    for sign in (-1, 1):
        parts.append(Part(smooth((sign * 0.06, -0.1, 0), (sign * 0.3, -0.36), (sign * 0.6, -0.26, 0),
            (sign * 0.36, -0.1)), LEAF, "vertical"))
    half = rng.uniform(0.4, 0.5)
    parts += [Part(turned((0.36, -0.14), (0.26, 0.04), (0.3, 0.22), (half, 0.52), (half * 0.96, 0.74), (0.3, 0.98),
        (0.3, 1.0)), BODY, "cylinder")]
    parts += [Part(stroke(curve((-0.35, -0.13), (0, -0.04, 0.35, -0.13), close=False), 0.06), BODY, "light"),
        Part(stroke(curve((-0.28, 0.14), (0, 0.22, 0.28, 0.14), close=False), 0.03), SHADOW)]
    return [*parts, streak(-half * 0.56, 0.46, 0.68, 0.07)]


def tall_vase(rng: random.Random, tone: RGB) -> list[Part]:
    """For evaluation: tall trumpet with vertical flutes and bare twigs."""
    flare = rng.uniform(0.48, 0.58)
    parts: list[Part] = []
    for x, y in ((-0.5, -1.0), (0.14, -1.06), (0.62, -0.94)):
        parts.append(Part(limb((x * 0.2, -0.3, 0.04), (x * 0.5, -0.7, 0.034), (x, y, 0.018)), WOOD))
        parts += [Part(ellipse(x * t + d, -0.36 + (y + 0.36) * t, 0.05, 0.036), (244, 200, 206), "sphere") for t,
            d in ((0.6, 0.04), (0.8, -0.05), (0.95, 0.03))]
    wall = turned((flare, -0.5), (flare * 0.72, -0.3), (0.26, 0.2), (0.26, 0.6), (0.42, 0.94), (0.44, 1.0))
    parts += [Part(wall, BODY, "cylinder"), Part(ellipse(0, -0.5, flare, 0.1), BODY, "light"),
        Part(ellipse(0, -0.49, flare * 0.9, 0.075), darker(tone, 0.5), "vertical")]
    parts += [Part(stroke(curve((x * flare, -0.42), (x * 0.2, 0.0, x * 0.1, 0.7, x * 0.4, 0.98), close=False), 0.022),
        SHADOW) for x in (-0.66, -0.33, 0.0, 0.33, 0.66)]
    parts += [Part(limb((x * 0.2, -0.42, 0.03), (x * 0.26, -0.52, 0.035)), WOOD) for x in (-0.5, 0.14, 0.62)]
    return [*parts, Part(stroke(curve((-0.27, 0.42), (0, 0.5, 0.27, 0.42), close=False), 0.05), BRASS),
        streak(-0.14, 0.1, 0.34, 0.05)]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "bottle": (wine_bottle, soda_bottle, flask, chianti_bottle),
    "vase": (amphora, round_vase, flower_vase, tall_vase),
}
