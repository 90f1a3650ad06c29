"""Drawings of cats."""

import random

from ..contours import SHADOW, eye, lighter, limb, mirrored, smooth
from ..drawing import BODY, RGB, Drawing, Part, curve, ellipse, line, stroke, transform
from ._pets import COLLARS, PINK, paw, pen

# fmt: off
# Outlines read as rows of points; a formatter would put each point on a line of its own.

# Faint on purpose: a plain coat must not read as a striped one.
TABBY: tuple[int, ...] = (0, 0, 0, 34)
BLUSH: RGB = (236, 178, 168)
IRISES: tuple[RGB, ...] = ((190, 200, 60), (110, 180, 90), (235, 180, 50), (110, 175, 215))


def _cat_face(cx: float, cy: float, size: float, tone: RGB, iris: RGB) -> list[Part]:
    """A cat's head seen from the front, `size` half wide."""
    skull = smooth((0, -0.7), (0.4, -0.66), (0.84, -0.34), (0.98, 0.1), (0.78, 0.52), (0.36, 0.76), (0, 0.8),
        (-0.36, 0.76), (-0.78, 0.52), (-0.98, 0.1), (-0.84, -0.34), (-0.4, -0.66))
    ear = smooth((0.24, -0.62, 0), (0.5, -0.98), (0.82, -1.22, 0), (0.98, -0.7), (0.92, -0.1, 0))
    inner = smooth((0.44, -0.66, 0), (0.6, -0.88), (0.78, -1.04, 0), (0.88, -0.7), (0.84, -0.36, 0))
    pale = lighter(tone, 0.7)
    parts: list[Part] = []
    for flip in (lambda path: path, mirrored):
        parts += [Part(flip(ear), BODY, "vertical"), Part(flip(inner), BLUSH, "vertical")]
    parts.append(Part(skull, BODY, "sphere"))
    parts += [Part(smooth((x, -0.68, 0), (x * 0.5 + 0.06, -0.4), (x * 0.4, -0.24, 0), (x * 0.5 - 0.06, -0.4)),
        TABBY) for x in (-0.26, 0.0, 0.26)]
    for sign in (-1, 1):
        parts += [Part(smooth((sign * 0.95, y, 0), (sign * 0.8, y + 0.02), (sign * 0.62, y + 0.08, 0),
            (sign * 0.8, y + 0.1)), TABBY) for y in (0.06, 0.26)]
        parts += [Part(line((sign * 0.3, 0.36 + 0.06 * k), (sign * 1.24, 0.2 + 0.2 * k), width=0.026),
            (250, 250, 250)) for k in (0, 1, 2)]
    parts += [Part(ellipse(x, 0.42, 0.25, 0.2), pale, "vertical") for x in (-0.18,
        0.18)] + [Part(ellipse(0, 0.62, 0.16, 0.12), pale)]
    parts += [Part(smooth((-0.14, 0.18), (0, 0.15), (0.14, 0.18), (0, 0.34)), PINK),
        Part(line((0, 0.32), (0, 0.44), width=0.03), (90, 50, 50))]
    parts.append(Part(stroke(curve((-0.2, 0.46), (-0.1, 0.58, 0, 0.44), (0.1, 0.58, 0.2, 0.46), close=False), 0.035),
        (90, 50, 50)))
    parts += [*eye(-0.42, -0.02, 0.2, iris, slit=True), *eye(0.42, -0.02, 0.2, iris, slit=True)]
    return [Part(transform(part.path, scale=size, move=(cx, cy)), part.fill, part.shade) for part in parts]


def sitting_cat(rng: random.Random, tone: RGB) -> list[Part]:
    """Front view, sitting upright, tail curled to the side."""
    curl = rng.uniform(-0.1, 0.12)
    torso = smooth((0, -0.3), (0.24, -0.2), (0.36, 0.14), (0.52, 0.5), (0.54, 0.84), (0.3, 0.98), (-0.3, 0.98),
        (-0.54, 0.84), (-0.52, 0.5), (-0.36, 0.14), (-0.24, -0.2))
    tail = limb((0.3, 0.88, 0.18), (0.68, 0.88, 0.17), (0.88, 0.62, 0.15), (0.8 + curl, 0.26, 0.12),
        (0.92 + curl, 0.02, 0.07))
    bib = smooth((0, -0.1), (0.2, 0.02), (0.16, 0.3), (0, 0.44), (-0.16, 0.3), (-0.2, 0.02))
    pale = lighter(tone, 0.7)
    parts = [Part(tail, BODY, "dark"), Part(torso, BODY, "sphere"), Part(bib, pale, "vertical")]
    for sign in (-1, 1):
        parts += [Part(smooth((sign * x, y, 0), (sign * (x - 0.1), y), (sign * (x - 0.2), y + 0.06, 0),
            (sign * (x - 0.1), y + 0.07)), TABBY)
                  for x, y in ((0.37, 0.2), (0.43, 0.36), (0.49, 0.54))]
        parts += [pen((sign * 0.3, 0.92), (sign * 0.34, 0.66, sign * 0.48, 0.56)), *paw(sign * 0.4, 0.94, 0.14, 0.06)]
        parts += [Part(limb((sign * 0.13, 0.3, 0.2), (sign * 0.14, 0.6, 0.18), (sign * 0.14, 0.9, 0.17)), BODY,
            "cylinder"), *paw(sign * 0.15, 0.94, 0.12, 0.06, fill=pale)]
    return [*parts, Part(ellipse(0, -0.22, 0.3, 0.1), SHADOW), *_cat_face(0.0, -0.5, 0.42, tone, rng.choice(IRISES))]


def walking_cat(rng: random.Random, tone: RGB) -> list[Part]:
    """Side view, walking to the left, tail up in a hook."""
    hook = rng.uniform(-0.1, 0.1)
    body = smooth((-0.98, -0.2), (-0.92, -0.38), (-0.74, -0.52), (-0.52, -0.5), (-0.4, -0.3), (-0.1, -0.18),
        (0.3, -0.16), (0.62, -0.12), (0.78, 0.12), (0.66, 0.36), (0.3, 0.36),
                  (-0.1, 0.4), (-0.4, 0.36), (-0.56, 0.16), (-0.68, -0.06), (-0.88, -0.08))
    ear = smooth((-0.72, -0.46, 0), (-0.68, -0.84, 0), (-0.54, -0.66), (-0.46, -0.42, 0))
    far_ear = smooth((-0.86, -0.42, 0), (-0.86, -0.76, 0), (-0.74, -0.64), (-0.66, -0.48, 0))
    tail = limb((0.66, 0.0, 0.17), (0.88, -0.2, 0.14), (0.9, -0.56, 0.12), (0.76 + hook, -0.86, 0.1),
        (0.86 + hook, -1.0, 0.06))
    pale = lighter(tone, 0.68)
    parts = [Part(tail, BODY, "sideways"), Part(far_ear, BODY, "dark")]
    parts += [Part(limb((0.46, 0.26, 0.26), (0.36, 0.52, 0.17), (0.48, 0.72, 0.12), (0.42, 0.94, 0.1)), BODY, "dark")]
    parts += [Part(limb((-0.3, 0.3, 0.2), (-0.18, 0.6, 0.14), (-0.12, 0.94, 0.1)), BODY, "dark"),
        Part(body, BODY, "vertical")]
    parts += [Part(limb((0.6, 0.16, 0.36), (0.58, 0.44, 0.24), (0.76, 0.68, 0.13), (0.68, 0.92, 0.11)), BODY,
        "sideways"), *paw(0.64, 0.95, 0.11, 0.05)]
    parts += [Part(limb((-0.4, 0.22, 0.24), (-0.5, 0.58, 0.15), (-0.52, 0.92, 0.12)), BODY, "sideways"),
        *paw(-0.57, 0.95, 0.11, 0.05, fill=pale)]
    for x in (-0.14, 0.06, 0.26, 0.46):
        parts.append(Part(smooth((x - 0.04, -0.19, 0), (x + 0.04, -0.18, 0), (x + 0.06, 0.0), (x + 0.01, 0.16, 0),
            (x - 0.02, 0.0)), TABBY))
    parts += [Part(ear, BODY, "sideways"), Part(smooth((-0.67, -0.5, 0), (-0.65, -0.72, 0), (-0.54, -0.5, 0)), BLUSH)]
    parts += [Part(smooth((-0.98, -0.2), (-0.88, -0.26), (-0.74, -0.2), (-0.74, -0.08), (-0.9, -0.08)), pale),
        Part(ellipse(-0.97, -0.24, 0.04, 0.03), PINK)]
    parts += [pen((-0.96, -0.16), (-0.86, -0.11, -0.8, -0.18)), pen((-0.5, 0.1), (-0.44, -0.1, -0.5, -0.26))]
    parts += [Part(line((-0.86, -0.17), (-0.7 + d, -0.06 - d), width=0.014), (250, 250, 250)) for d in (0.0, 0.06,
        0.12)]
    parts += [Part(smooth((-0.7, -0.3, 0), (-0.6, -0.28), (-0.5, -0.2, 0), (-0.6, -0.22)), TABBY),
        Part(smooth((-0.74, -0.14, 0), (-0.62, -0.14), (-0.52, -0.06, 0), (-0.62, -0.08)), TABBY)]
    return parts + eye(-0.82, -0.31, 0.056, rng.choice(IRISES), slit=True)


def cat_head(rng: random.Random, tone: RGB) -> list[Part]:
    """Close-up of the face with whiskers."""
    chest = smooth((-0.5, 0.3), (0.5, 0.3), (0.74, 0.74), (0.8, 1.0, 0), (-0.8, 1.0, 0), (-0.74, 0.74))
    collar = curve((-0.58, 0.62), (0, 0.98, 0.58, 0.62), (0.62, 0.76), (0, 1.14, -0.62, 0.76))
    parts = [Part(chest, BODY, "dark"), Part(collar, rng.choice(COLLARS), "vertical"),
        Part(ellipse(0, 0.92, 0.085), (215, 180, 80), "sphere")]
    return parts + _cat_face(0.0, 0.06, rng.uniform(0.8, 0.86), tone, rng.choice(IRISES))


def loaf_cat(rng: random.Random, tone: RGB) -> list[Part]:
    """Resting on its belly, body to the right, face to us, tail around the front."""
    back = smooth((-0.8, 0.6), (-0.66, 0.16), (-0.2, -0.02), (0.3, -0.02), (0.76, 0.2), (0.96, 0.58), (0.86, 0.92),
        (0.3, 0.98), (-0.5, 0.98), (-0.78, 0.92))
    haunch = smooth((0.3, 0.94), (0.28, 0.56), (0.56, 0.34), (0.86, 0.46), (0.94, 0.76), (0.8, 0.97))
    tail = limb((0.84, 0.84, 0.16), (0.6, 0.92, 0.16), (0.2, 0.93, 0.14), (rng.uniform(-0.2, 0.0), 0.92, 0.09))
    parts = [Part(back, BODY, "vertical")]
    parts += [Part(smooth((x - 0.05, 0.0, 0), (x + 0.05, 0.0, 0), (x + 0.1, 0.2), (x + 0.06, 0.4, 0), (x, 0.2)),
        TABBY) for x in (0.08, 0.26, 0.44)]
    parts += [Part(haunch, BODY, "sphere"), Part(tail, BODY, "light"), *paw(-0.6, 0.93, 0.15, 0.07,
        fill=lighter(tone, 0.7)), *paw(-0.28, 0.93, 0.15, 0.07, fill=lighter(tone, 0.7))]
    return [*parts, Part(ellipse(-0.44, 0.46, 0.4, 0.14), SHADOW), *_cat_face(-0.46, 0.02, 0.48, tone,
        rng.choice(IRISES))]


def profile_cat(rng: random.Random, tone: RGB) -> list[Part]:
    """For evaluation: sitting in profile, head right, tail along the ground."""
    sweep = rng.uniform(-0.08, 0.06)
    body = smooth((0.86, -0.48), (0.74, -0.68), (0.5, -0.78), (0.24, -0.7), (0.12, -0.46), (-0.1, -0.14),
        (-0.42, 0.3), (-0.52, 0.7), (-0.36, 0.98), (0.3, 0.98),
                  (0.46, 0.6), (0.5, 0.2), (0.46, -0.1), (0.56, -0.28), (0.8, -0.34))
    haunch = smooth((-0.5, 0.74), (-0.36, 0.36), (-0.04, 0.32), (0.14, 0.58), (0.1, 0.88), (-0.1, 0.98), (-0.4, 0.97))
    tail = limb((-0.36, 0.88, 0.2), (-0.66, 0.92, 0.16), (-0.9, 0.82, 0.13), (-0.98, 0.56 + sweep, 0.08))
    ear = smooth((0.24, -0.62, 0), (0.2, -1.02, 0), (0.38, -0.9), (0.54, -0.72, 0))
    far_ear = smooth((0.5, -0.7, 0), (0.56, -1.0, 0), (0.64, -0.86), (0.7, -0.62, 0))
    pale = lighter(tone, 0.7)
    parts = [Part(tail, BODY, "dark"), Part(far_ear, BODY, "dark"), Part(limb((0.44, 0.2, 0.2), (0.48, 0.6, 0.15),
        (0.5, 0.92, 0.13)), BODY, "dark"), *paw(0.56, 0.95, 0.11, 0.05, "dark")]
    parts += [Part(body, BODY, "sideways"), Part(smooth((0.44, -0.14), (0.5, 0.1), (0.46, 0.5), (0.36, 0.3),
        (0.34, 0.0)), pale)]
    parts += [Part(limb((0.26, 0.24, 0.24), (0.32, 0.6, 0.17), (0.34, 0.92, 0.14)), BODY, "cylinder"),
        *paw(0.4, 0.95, 0.13, 0.055, fill=pale)]
    parts += [Part(smooth((x, y, 0), (x + 0.1, y + 0.02), (x + 0.22, y + 0.12, 0), (x + 0.1, y + 0.1)), TABBY) for x,
        y in ((-0.04, -0.18), (-0.16, 0.0), (-0.28, 0.18))]
    parts += [Part(haunch, BODY, "sphere"), *paw(0.12, 0.95, 0.16, 0.055), Part(ear, BODY, "sideways"),
        Part(smooth((0.28, -0.68, 0), (0.25, -0.9, 0), (0.42, -0.72, 0)), BLUSH)]
    parts += [Part(smooth((0.86, -0.46), (0.76, -0.56), (0.6, -0.46), (0.6, -0.34), (0.8, -0.34)), pale),
        Part(ellipse(0.85, -0.5, 0.045, 0.034), PINK)]
    parts += [pen((0.83, -0.42), (0.74, -0.37, 0.67, -0.44)), Part(smooth((0.2, -0.4, 0), (0.34, -0.42),
        (0.46, -0.36, 0), (0.34, -0.34)), TABBY)]
    parts += [Part(line((0.74, -0.44), (0.52 - d, -0.32 - d), width=0.014), (250, 250, 250)) for d in (-0.04, 0.04,
        0.1)]
    return parts + eye(0.64, -0.58, 0.06, rng.choice(IRISES), slit=True)


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "cat": (sitting_cat, walking_cat, cat_head, loaf_cat, profile_cat),
}
