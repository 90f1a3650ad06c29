"""Drawings of birds."""

import random

from ..contours import SHADOW, darker, eye, lighter, limb, mirrored, smooth
from ..drawing import BODY, DARK, RGB, Drawing, Part, curve, ellipse, line, mix, polygon, stroke, transform

# fmt: off
# Outlines read as rows of points; a formatter would put each point on a line of its own.

HORN: RGB = (238, 166, 52)
CREAM_BAND: RGB = (246, 244, 236)


def _foot(x: float, top: float, lean: float = 0.04) -> list[Part]:
    """A thin bird's leg with three toes, on the ground."""
    legs = line((x, top), (x + lean, 0.95), width=0.045)
    toes = [line((x + lean, 0.94), (x + lean + dx, 0.985), width=0.038) for dx in (-0.2, -0.1, 0.12)]
    return [Part(path, (190, 120, 60)) for path in (legs, *toes)]


def songbird(rng: random.Random, tone: RGB) -> list[Part]:
    """Standing in profile, head left, pale breast."""
    lift = rng.uniform(-0.12, 0.1)
    tail = smooth((0.4, 0.16), (0.7, 0.16 + lift), (1.0, 0.26 + lift, 0), (0.98, 0.4 + lift, 0), (0.6, 0.4),
        (0.36, 0.4))
    trunk = smooth((-0.84, -0.5), (-0.72, -0.8), (-0.44, -0.92), (-0.18, -0.78), (-0.02, -0.44), (0.3, -0.12),
        (0.54, 0.24),
                   (0.34, 0.5), (-0.02, 0.62), (-0.4, 0.52), (-0.66, 0.2), (-0.7, -0.14))
    breast = smooth((-0.72, -0.34), (-0.5, -0.2), (-0.32, 0.1), (-0.1, 0.4), (0.2, 0.54), (-0.04, 0.61), (-0.4, 0.51),
        (-0.65, 0.2),
                    (-0.69, -0.12))
    wing = smooth((-0.3, -0.3), (0.0, -0.34), (0.3, -0.08), (0.6, 0.22), (0.78, 0.36, 0), (0.4, 0.38), (0.04, 0.3),
        (-0.22, 0.06))
    beak = curve((-0.78, -0.68), (-1.0, -0.6, -1.02, -0.54), (-0.9, -0.52, -0.76, -0.5))
    parts = [Part(tail, BODY, "dark"), *_foot(-0.12, 0.5), *_foot(0.14, 0.5), Part(beak, HORN, "vertical")]
    parts += [Part(trunk, BODY, "sphere"), Part(breast, mix(lighter(tone, 0.7), (250, 200, 140), 0.3), "vertical")]
    parts += [Part(transform(wing, move=(0.0, 0.04)), SHADOW), Part(wing, BODY, "dark")]
    for k in range(rng.randint(3, 4)):
        y = 0.06 + 0.09 * k
        parts.append(Part(stroke(curve((-0.14 + 0.06 * k, y), (0.2, y + 0.1, 0.62 - 0.02 * k, 0.34), close=False),
            0.025), (255, 255, 255, 90)))
    parts += [Part(stroke(curve((-0.77, -0.56), (-0.62, -0.6, -0.44, -0.5), close=False), 0.05), (0, 0, 0, 90))]
    return [*parts, Part(line((-0.98, -0.57), (-0.78, -0.58), width=0.016), DARK), *eye(-0.56, -0.66, 0.062)]


def flying_bird(rng: random.Random, tone: RGB) -> list[Part]:
    """In flight seen from the side, both wings raised, tail fanned."""
    up = rng.uniform(-0.06, 0.06)
    far = smooth((-0.3, 0.06), (-0.5, -0.4), (-0.62, -0.94, 0), (-0.36, -0.78), (-0.1, -0.46), (0.14, 0.06))
    tail = smooth((0.4, 0.3), (0.72, 0.34), (0.98, 0.42, 0), (0.9, 0.52, 0), (0.98, 0.62, 0), (0.84, 0.66, 0),
        (0.84, 0.76, 0), (0.36, 0.52))
    trunk = smooth((-0.9, 0.12), (-0.8, -0.08), (-0.58, -0.14), (-0.36, -0.02), (0.0, 0.02), (0.34, 0.2),
        (0.56, 0.42), (0.3, 0.54),
                   (-0.1, 0.58), (-0.5, 0.46), (-0.78, 0.28))
    wing = smooth((-0.34, 0.12), (-0.22, -0.3), (0.1, -0.7), (0.56, -0.96 + up, 0), (0.56, -0.74, 0),
        (0.74, -0.7 + up, 0), (0.66, -0.5, 0),
                  (0.8, -0.42 + up, 0), (0.66, -0.24, 0), (0.72, -0.14, 0), (0.5, 0.04, 0), (0.5, 0.14, 0),
                      (0.2, 0.26), (-0.14, 0.3))
    covert = smooth((-0.3, 0.1), (-0.18, -0.26), (0.1, -0.56), (0.42, -0.66, 0), (0.36, -0.3), (0.26, 0.0),
        (0.1, 0.18), (-0.14, 0.24))
    breast = smooth((-0.84, 0.18), (-0.5, 0.24), (0.0, 0.36), (0.34, 0.5), (-0.1, 0.57), (-0.5, 0.45))
    beak = polygon((-0.86, 0.02), (-1.06, 0.14), (-0.84, 0.18))
    parts = [Part(far, BODY, "dark"), Part(tail, BODY, "dark"), Part(beak, HORN, "vertical")]
    parts += [Part(line((0.46, 0.4), (x, y), width=0.02), SHADOW) for x,
        y in ((0.86, 0.5), (0.82, 0.62), (0.76, 0.7))]
    parts += [Part(line((-0.2, -0.2), (x, y), width=0.02), SHADOW) for x, y in ((-0.54, -0.78), (-0.36, -0.66))]
    parts += [Part(trunk, BODY, "vertical"), Part(breast, lighter(tone, 0.7), "vertical")]
    parts += [Part(transform(wing, move=(0.02, 0.05)), SHADOW), Part(wing, BODY, "sideways")]
    parts += [Part(line((0.0, 0.1), tip, width=0.022), SHADOW) for tip in ((0.5, -0.78), (0.62, -0.56), (0.62, -0.3),
        (0.48, -0.02))]
    return [*parts, Part(covert, BODY, "light"), *eye(-0.68, 0.02, 0.055)]


def owl(rng: random.Random, tone: RGB) -> list[Part]:
    """Front view on a branch, big eyes in a pale face disc."""
    tuft = rng.uniform(0.08, 0.2)
    trunk = smooth((0.0, -0.84), (0.3, -0.86), (0.56, -0.86 - tuft, 0), (0.62, -0.6), (0.6, -0.3), (0.68, 0.1),
        (0.58, 0.6), (0.3, 0.9),
                   (-0.3, 0.9), (-0.58, 0.6), (-0.68, 0.1), (-0.6, -0.3), (-0.62, -0.6), (-0.56, -0.86 - tuft, 0),
                       (-0.3, -0.86))
    wing = smooth((0.52, -0.2), (0.76, 0.1), (0.7, 0.6), (0.44, 0.92, 0), (0.42, 0.5), (0.4, 0.1))
    disc = smooth((0.0, -0.56), (0.28, -0.74), (0.54, -0.56), (0.5, -0.26), (0.22, -0.1), (0.0, -0.16), (-0.22, -0.1),
        (-0.5, -0.26), (-0.54, -0.56),
                  (-0.28, -0.74))
    pale = lighter(tone, 0.62)
    parts = [Part(trunk, BODY, "sphere"), Part(smooth((0, -0.12), (0.38, 0.1), (0.36, 0.6), (0, 0.84), (-0.36, 0.6),
        (-0.38, 0.1)), pale, "vertical")]
    for row in range(4):
        for k in range(-2 + row % 2, 3):
            x, y = k * 0.15 - (row % 2) * 0.075, 0.08 + row * 0.17
            if abs(x) < 0.34:
                parts.append(Part(curve((x - 0.05, y), (x, y + 0.16, x + 0.05, y)), darker(tone, 0.35)))
    parts += [Part(path, BODY, "dark") for path in (wing, mirrored(wing))]
    for sign in (-1, 1):
        parts += [Part(line((sign * 0.56, 0.0 + d), (sign * (0.62 - d / 4), 0.4 + d), width=0.025),
            SHADOW) for d in (0.0, 0.2, 0.36)]
    parts += [Part(disc, pale, "vertical"), Part(stroke(disc, 0.03), darker(tone, 0.3))]
    iris = rng.choice(((250, 190, 40), (240, 140, 30), (225, 215, 70)))
    for x in (-0.27, 0.27):
        parts += eye(x, -0.44, 0.17, iris)
    parts += [Part(smooth((0.0, -0.4, 0), (0.09, -0.3), (0.0, -0.1, 0), (-0.09, -0.3)), HORN, "sideways")]
    parts += [Part(limb((-1.0, 0.93, 0.13), (0.0, 0.92, 0.15), (1.0, 0.9, 0.1)), (104, 72, 44), "vertical")]
    claws = [ellipse(sign * (0.24 + d), 0.88, 0.045, 0.09) for sign in (-1, 1) for d in (-0.09, 0.0, 0.09)]
    return parts + [Part(claw, HORN, "vertical") for claw in claws]


def duck(rng: random.Random, tone: RGB) -> list[Part]:
    """For evaluation: a duck walking to the left with an upright neck and a flat bill."""
    neck = rng.uniform(-0.05, 0.05)
    trunk = smooth((-0.78 + neck, -0.62), (-0.68 + neck, -0.9), (-0.4 + neck, -0.96), (-0.2 + neck, -0.78),
        (-0.24, -0.46), (-0.14, -0.14), (0.2, -0.1),
                   (0.6, -0.16), (0.98, -0.36, 0), (0.92, 0.1), (0.66, 0.48), (0.2, 0.68), (-0.3, 0.62), (-0.6, 0.34),
                       (-0.62, 0.0),
                   (-0.5, -0.3), (-0.62 + neck, -0.48))
    bill = smooth((-0.72 + neck, -0.76, 0), (-0.86, -0.66), (-1.08, -0.58), (-1.04, -0.5), (-0.86, -0.5),
        (-0.68 + neck, -0.5, 0))
    wing = smooth((-0.24, 0.12), (0.06, -0.02), (0.5, 0.0), (0.92, -0.12, 0), (0.8, 0.2), (0.44, 0.42), (0.04, 0.42))
    web = [curve((x, 0.88), (x - 0.26, 1.0), (x + 0.02, 1.0), (x + 0.1, 0.98)) for x in (-0.06, 0.26)]
    collar = smooth((-0.53, -0.28, 0), (-0.36, -0.22), (-0.18, -0.32, 0), (-0.2, -0.22, 0), (-0.36, -0.12),
        (-0.56, -0.19, 0))
    parts = [Part(line((x, 0.55), (x, 0.92), width=0.07), (235, 130, 40)) for x in (-0.02, 0.28)]
    parts += [Part(path, (235, 130, 40), "sideways") for path in web]
    parts += [Part(bill, (245, 160, 45), "vertical"), Part(trunk, BODY, "vertical"), Part(collar, CREAM_BAND)]
    parts += [Part(smooth((-0.58, 0.34), (-0.3, 0.44), (0.2, 0.5), (0.66, 0.46), (0.2, 0.67), (-0.3, 0.61)), SHADOW)]
    parts += [Part(transform(wing, move=(0, 0.04)), SHADOW), Part(wing, BODY, "light")]
    feathers = [curve((0.0 + d, 0.3 - d * 0.1), (0.4 + d / 2, 0.34 - d / 2, 0.86, -0.02 - d / 8),
        close=False) for d in (0.0, 0.16, 0.32)]
    parts += [Part(stroke(path, 0.026), SHADOW) for path in feathers]
    parts += [Part(stroke(curve((-1.02, -0.55), (-0.86, -0.58, -0.72, -0.56), close=False), 0.02), (120, 70, 20))]
    return [*parts, Part(ellipse(-0.92, -0.6, 0.015), DARK), *eye(-0.54 + neck, -0.74, 0.055)]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "bird": (songbird, flying_bird, owl, duck),
}
