"""Drawings of dogs."""

import random

from ..contours import GLINT, SHADOW, darker, eye, lighter, limb, mirrored, smooth
from ..drawing import BODY, RGB, Drawing, Part, curve, ellipse, line, mix, transform
from ._pets import COLLARS, PINK, paw, pen

# fmt: off
# Outlines read as rows of points; a formatter would put each point on a line of its own.

NOSE: RGB = (38, 30, 30)


def _nose(x: float, y: float, rx: float, ry: float, fill: RGB = NOSE) -> list[Part]:
    shape = smooth((x - rx, y - ry * 0.5), (x, y - ry), (x + rx, y - ry * 0.5), (x + rx * 0.4, y + ry * 0.6),
        (x, y + ry), (x - rx * 0.4, y + ry * 0.6))
    return [Part(shape, fill), Part(ellipse(x - rx * 0.3, y - ry * 0.5, rx * 0.3, ry * 0.2), GLINT)]


def standing_dog(rng: random.Random, tone: RGB) -> list[Part]:
    """Side view, head left, floppy ear, collar."""
    wag = rng.uniform(-0.12, 0.1)
    body = smooth((-1.02, -0.44), (-0.98, -0.55), (-0.8, -0.6), (-0.72, -0.76), (-0.56, -0.86), (-0.4, -0.78),
        (-0.3, -0.54), (-0.1, -0.34), (0.3, -0.3),
                  (0.64, -0.26), (0.8, -0.04), (0.72, 0.22), (0.4, 0.2), (0.1, 0.3), (-0.2, 0.4), (-0.42, 0.26),
                      (-0.48, -0.04), (-0.54, -0.26),
                  (-0.7, -0.3), (-0.94, -0.29))
    muzzle = smooth((-1.02, -0.44), (-0.96, -0.54), (-0.8, -0.58), (-0.72, -0.46), (-0.74, -0.32), (-0.94, -0.29))
    ear = smooth((-0.52, -0.78), (-0.38, -0.74), (-0.28, -0.44), (-0.34, -0.2), (-0.46, -0.26), (-0.54, -0.5))
    thigh = limb((0.6, -0.02, 0.4), (0.58, 0.3, 0.3), (0.72, 0.58, 0.17), (0.68, 0.9, 0.14))
    far_thigh = limb((0.46, 0.1, 0.36), (0.4, 0.34, 0.24), (0.52, 0.6, 0.15), (0.46, 0.9, 0.13))
    parts = [Part(limb((0.66, -0.14, 0.16), (0.9, -0.4 + wag, 0.13), (0.98, -0.74 + wag, 0.05)), BODY, "sideways")]
    parts += [Part(far_thigh, BODY, "dark"), *paw(0.42, 0.94, 0.12, 0.065, "dark")]
    parts += [Part(limb((-0.12, 0.2, 0.24), (-0.1, 0.55, 0.16), (-0.1, 0.9, 0.13)), BODY, "dark"),
        *paw(-0.14, 0.94, 0.12, 0.065, "dark")]
    parts += [Part(body, BODY, "vertical"), Part(thigh, BODY, "sideways"), *paw(0.62, 0.94, 0.13, 0.07)]
    parts += [Part(limb((-0.32, 0.14, 0.28), (-0.32, 0.55, 0.18), (-0.32, 0.9, 0.14)), BODY, "sideways"),
        *paw(-0.37, 0.94, 0.13, 0.07)]
    parts += [Part(smooth((-0.47, -0.02), (-0.34, 0.1), (-0.28, 0.34), (-0.4, 0.26)), lighter(tone, 0.55))]
    parts += [Part(smooth((-0.56, -0.2, 0), (-0.36, -0.16), (-0.2, -0.36, 0), (-0.14, -0.26, 0), (-0.3, -0.06),
        (-0.53, -0.08, 0)), rng.choice(COLLARS), "vertical")]
    parts += [Part(ellipse(-0.44, -0.04, 0.05), (215, 180, 80), "sphere"),
        Part(muzzle, lighter(tone, 0.5), "vertical")]
    parts += [Part(transform(ear, move=(0.02, 0.03)), SHADOW), Part(ear, darker(tone, 0.35), "vertical")]
    parts += [pen((-0.99, -0.38), (-0.86, -0.34, -0.74, -0.4)), *_nose(-1.0, -0.5, 0.07, 0.06)]
    return parts + eye(-0.66, -0.61, 0.052)


def sitting_dog(rng: random.Random, tone: RGB) -> list[Part]:
    """Front view, sitting, tongue out."""
    tilt = rng.uniform(-0.05, 0.05)
    torso = smooth((0, -0.4), (0.32, -0.3), (0.42, 0.1), (0.5, 0.5), (0.46, 0.9), (0, 0.94), (-0.46, 0.9),
        (-0.5, 0.5), (-0.42, 0.1), (-0.32, -0.3))
    haunch = smooth((0.3, 0.42), (0.56, 0.46), (0.68, 0.74), (0.62, 0.98), (0.34, 0.98), (0.28, 0.7))
    leg = limb((0.19, 0.16, 0.28), (0.2, 0.5, 0.22), (0.2, 0.9, 0.2))
    bib = smooth((0, -0.2), (0.24, -0.06), (0.22, 0.3), (0, 0.5), (-0.22, 0.3), (-0.24, -0.06))
    skull = smooth((0, -0.98), (0.3, -0.94), (0.44, -0.7), (0.36, -0.38), (0.2, -0.2), (0, -0.16), (-0.2, -0.2),
        (-0.36, -0.38), (-0.44, -0.7), (-0.3, -0.94))
    ear = smooth((0.26, -0.94), (0.44, -0.94), (0.62, -0.66), (0.62, -0.32), (0.5, -0.24), (0.4, -0.48),
        (0.36, -0.74))
    muzzle = smooth((0, -0.62), (0.14, -0.54), (0.25, -0.36), (0.16, -0.24), (0, -0.26), (-0.16, -0.24),
        (-0.25, -0.36), (-0.14, -0.54))
    blaze = smooth((0, -0.96), (0.07, -0.8), (0.12, -0.5), (-0.12, -0.5), (-0.07, -0.8))
    pale = lighter(tone, 0.68)
    parts = [Part(limb((0.4, 0.86, 0.16), (0.76, 0.8, 0.14), (0.92, 0.5 + tilt, 0.06)), BODY, "dark")]
    parts += [Part(haunch, BODY, "dark"), Part(mirrored(haunch), BODY, "dark"), Part(torso, BODY, "sphere"),
        Part(bib, pale, "vertical")]
    parts += [*paw(0.5, 0.93, 0.17, 0.07), *paw(-0.5, 0.93, 0.17, 0.07)]
    for path in (leg, mirrored(leg)):
        parts.append(Part(path, BODY, "cylinder"))
    parts += [*paw(0.21, 0.93, 0.15, 0.075, fill=pale), *paw(-0.21, 0.93, 0.15, 0.075, fill=pale)]
    parts += [Part(curve((-0.3, -0.28), (0, 0.04, 0.3, -0.28), (0.32, -0.16), (0, 0.14, -0.32, -0.16)),
        rng.choice(COLLARS), "vertical")]
    parts += [Part(ellipse(0, 0.02, 0.065), (215, 180, 80), "sphere"), Part(ellipse(0, -0.2, 0.26, 0.1), SHADOW)]
    parts += [Part(skull, BODY, "sphere"), Part(blaze, pale), Part(smooth((-0.08, -0.3), (0.08, -0.3), (0.08, -0.12),
        (0, -0.04), (-0.08, -0.12)), PINK, "vertical")]
    parts += [Part(muzzle, pale, "vertical"), pen((0, -0.44), (0, -0.34)),
        pen((-0.16, -0.34), (-0.1, -0.26, 0, -0.34), (0.1, -0.26, 0.16, -0.34))]
    parts += [Part(path, darker(tone, 0.38), "vertical") for path in (ear, mirrored(ear))]
    return [*parts, *_nose(0, -0.49, 0.1, 0.075), *eye(-0.21, -0.66, 0.068), *eye(0.21, -0.66, 0.068)]


def dog_head(rng: random.Random, tone: RGB) -> list[Part]:
    """Close-up of the face, ears half pricked, tan brows."""
    fold = rng.uniform(0.0, 0.14)
    ear = smooth((0.24, -0.72), (0.5, -0.98), (0.82, -0.84), (1.0, -0.3 + fold), (0.9, -0.06 + fold, 0), (0.74, -0.3),
        (0.5, -0.5))
    inner = smooth((0.46, -0.72), (0.62, -0.82), (0.82, -0.66), (0.88, -0.24 + fold), (0.76, -0.36), (0.6, -0.52))
    neck = smooth((-0.44, 0.3), (0.44, 0.3), (0.6, 0.7), (0.66, 1.0, 0), (-0.66, 1.0, 0), (-0.6, 0.7))
    skull = smooth((0, -0.82), (0.4, -0.74), (0.66, -0.36), (0.64, 0.06), (0.46, 0.4), (0.3, 0.68), (0, 0.78),
        (-0.3, 0.68), (-0.46, 0.4), (-0.64, 0.06), (-0.66, -0.36),
                   (-0.4, -0.74))
    muzzle = smooth((0, -0.1), (0.22, 0.02), (0.4, 0.36), (0.3, 0.64), (0, 0.72), (-0.3, 0.64), (-0.4, 0.36),
        (-0.22, 0.02))
    tan = mix(lighter(tone, 0.6), (240, 190, 120), 0.4)
    parts = [Part(neck, BODY, "dark"), Part(curve((-0.52, 0.66), (0, 1.06, 0.52, 0.66), (0.58, 0.84),
        (0, 1.2, -0.58, 0.84)), rng.choice(COLLARS), "vertical")]
    for flip in (lambda path: path, mirrored):
        parts += [Part(flip(ear), BODY, "dark"), Part(flip(inner), mix(darker(tone), PINK, 0.4), "vertical")]
    parts += [Part(skull, BODY, "sphere"), Part(smooth((0, 0.6), (0.16, 0.68), (0.15, 0.92), (0, 1.0), (-0.15, 0.92),
        (-0.16, 0.68)), PINK, "vertical")]
    parts += [Part(line((0, 0.68), (0, 0.88), width=0.025), (180, 90, 95)), Part(muzzle, tan, "sphere")]
    parts += [Part(ellipse(x, -0.4, 0.11, 0.07), tan) for x in (-0.27, 0.27)]
    parts += [pen((0, 0.3), (0, 0.46), width=0.035), pen((-0.28, 0.44), (-0.22, 0.6, 0, 0.46),
        (0.22, 0.6, 0.28, 0.44), width=0.04)]
    parts += [Part(ellipse(sign * x, y, 0.016), NOSE) for sign in (-1, 1) for x,
        y in ((0.16, 0.4), (0.24, 0.36), (0.22, 0.44))]
    parts += [*_nose(0, 0.18, 0.19, 0.14), *eye(-0.3, -0.2, 0.115, (120, 72, 34)),
        *eye(0.3, -0.2, 0.115, (120, 72, 34))]
    return [*parts, pen((-0.1, -0.7), (-0.02, -0.4, -0.08, -0.1), width=0.03),
        pen((0.1, -0.7), (0.02, -0.4, 0.08, -0.1), width=0.03)]


def running_dog(rng: random.Random, tone: RGB) -> list[Part]:
    """Side view at full gallop to the left, slender, pricked ear."""
    reach = rng.uniform(-0.06, 0.08)
    body = smooth((-1.04, -0.28), (-0.94, -0.4), (-0.78, -0.48), (-0.62, -0.58), (-0.46, -0.5), (-0.26, -0.28),
        (0.1, -0.26), (0.46, -0.22), (0.66, -0.06), (0.6, 0.16),
                  (0.32, 0.12), (0.06, 0.28), (-0.22, 0.36), (-0.44, 0.22), (-0.5, -0.02), (-0.64, -0.16),
                      (-0.86, -0.18), (-1.0, -0.2))
    ear = smooth((-0.62, -0.5, 0), (-0.5, -0.86, 0), (-0.4, -0.62), (-0.42, -0.42, 0))
    parts = [Part(limb((0.6, -0.08, 0.13), (0.86, -0.3, 0.11), (1.06, -0.34, 0.04)), BODY, "dark")]
    parts += [Part(limb((0.46, 0.06, 0.3), (0.56, 0.36, 0.2), (0.86, 0.5, 0.12), (1.02, 0.78, 0.1)), BODY, "dark")]
    parts += [Part(limb((-0.3, 0.16, 0.22), (-0.46, 0.46, 0.14), (-0.36, 0.7, 0.1), (-0.42, 0.8, 0.1)), BODY, "dark")]
    parts += [Part(body, BODY, "vertical")]
    parts += [Part(limb((0.48, 0.02, 0.36), (0.36, 0.34, 0.24), (0.6, 0.64, 0.14), (0.66 + reach, 0.96, 0.11)), BODY,
        "sideways")]
    parts += [Part(limb((-0.32, 0.12, 0.26), (-0.6, 0.4, 0.16), (-0.86, 0.58, 0.12), (-1.0 + reach, 0.62, 0.1)), BODY,
        "vertical")]
    parts += [Part(smooth((-0.48, 0.02), (-0.3, 0.12), (-0.06, 0.28), (-0.24, 0.36), (-0.42, 0.22)),
        lighter(tone, 0.6))]
    parts += [Part(smooth((-0.56, -0.16, 0), (-0.42, -0.2), (-0.3, -0.34, 0), (-0.22, -0.28, 0), (-0.34, -0.1),
        (-0.52, -0.04, 0)), rng.choice(COLLARS), "vertical")]
    parts += [Part(smooth((-1.02, -0.24), (-0.9, -0.36), (-0.76, -0.36), (-0.7, -0.2), (-0.98, -0.19)),
        lighter(tone, 0.55), "vertical")]
    parts += [Part(ear, darker(tone, 0.35), "sideways"), pen((-0.99, -0.24), (-0.84, -0.2, -0.74, -0.3)),
        *_nose(-1.02, -0.29, 0.055, 0.05)]
    parts += [pen((0.3, 0.1), (0.28, -0.1, 0.4, -0.18)), pen((-0.2, 0.3), (-0.1, 0.08, -0.16, -0.16))]
    return parts + eye(-0.7, -0.4, 0.045)


def lying_dog(rng: random.Random, tone: RGB) -> list[Part]:
    """For evaluation: lying on its belly, forelegs stretched out to the right, head turned to us."""
    nod = rng.uniform(-0.04, 0.05)
    back = smooth((-0.96, 0.7), (-0.98, 0.3), (-0.74, 0.02), (-0.3, -0.04), (0.1, -0.16), (0.5, -0.06), (0.62, 0.4),
        (0.56, 0.86), (0.2, 0.97), (-0.5, 0.98), (-0.86, 0.96))
    haunch = smooth((-0.94, 0.6), (-0.84, 0.26), (-0.54, 0.2), (-0.32, 0.46), (-0.34, 0.8), (-0.56, 0.97),
        (-0.86, 0.94))
    skull = smooth((0.34, -0.84), (0.62, -0.8), (0.76, -0.54), (0.68, -0.24), (0.54, -0.02), (0.34, 0.04),
        (0.14, -0.02), (0.0, -0.24), (-0.08, -0.54), (0.06, -0.8))
    ears = [smooth((0.62, -0.78), (0.82, -0.74), (0.94, -0.4), (0.9, 0.0), (0.78, 0.04), (0.7, -0.3)),
            smooth((0.06, -0.78), (-0.14, -0.74), (-0.26, -0.4), (-0.22, 0.0), (-0.1, 0.04), (-0.02, -0.3))]
    muzzle = smooth((0.34, -0.48), (0.48, -0.36), (0.58, -0.16), (0.48, 0.0), (0.34, 0.0), (0.2, 0.0), (0.1, -0.16),
        (0.2, -0.36))
    pale = lighter(tone, 0.6)
    parts = [Part(limb((-0.8, 0.8, 0.16), (-1.0, 0.9, 0.13), (-1.04, 0.6, 0.06)), BODY, "dark")]
    parts += [Part(limb((0.4, 0.72, 0.24), (0.7, 0.84, 0.16), (0.96, 0.86, 0.14)), BODY, "dark"),
        Part(back, BODY, "vertical")]
    parts += [Part(haunch, BODY, "sphere"), Part(limb((-0.6, 0.9, 0.15), (-0.3, 0.93, 0.13), (-0.14, 0.93, 0.13)),
        BODY, "vertical")]
    parts += [Part(limb((0.3, 0.7, 0.26), (0.56, 0.9, 0.17), (0.94, 0.92, 0.15)), BODY, "vertical"),
        *paw(0.98, 0.92, 0.11, 0.08, fill=pale)]
    parts += [Part(smooth((0.18, 0.0), (0.56, 0.0), (0.58, 0.4), (0.4, 0.66), (0.2, 0.4)), pale, "vertical")]
    parts += [Part(curve((0.06, -0.04), (0.34, 0.26, 0.62, -0.04), (0.66, 0.08), (0.34, 0.4, 0.02, 0.08)),
        rng.choice(COLLARS), "vertical")]
    parts += [Part(ellipse(0.34, 0.26, 0.06), (215, 180, 80), "sphere")]
    face = [Part(skull, BODY, "sphere"), Part(smooth((0.34, -0.82), (0.41, -0.6), (0.44, -0.34), (0.24, -0.34),
        (0.27, -0.6)), pale), Part(muzzle, pale, "vertical")]
    face += [pen((0.34, -0.22), (0.34, -0.12)), pen((0.18, -0.1), (0.26, -0.02, 0.34, -0.12),
        (0.42, -0.02, 0.5, -0.1))]
    face += [Part(ear, darker(tone, 0.38), "vertical") for ear in ears]
    face += [*_nose(0.34, -0.29, 0.1, 0.07), *eye(0.15, -0.48, 0.062), *eye(0.53, -0.48, 0.062)]
    return parts + [Part(transform(part.path, move=(0, nod)), part.fill, part.shade) for part in face]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "dog": (standing_dog, sitting_dog, dog_head, running_dog, lying_dog),
}
