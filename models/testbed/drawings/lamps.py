"""Drawings of lamps."""

import random

from ..contours import GLINT, SHADOW, darker, lighter, limb, placed, smooth, turn, turned
from ..drawing import BODY, BRASS, DARK, METAL, RGB, WOOD, Drawing, Part, curve, ellipse, line, polygon, stroke

# fmt: off
# Outlines read as rows of points; a formatter would put each point on a line of its own.

GLOW: tuple[int, ...] = (255, 232, 150, 70)
WARM: RGB = (255, 240, 190)


def table_lamp(rng: random.Random, tone: RGB) -> list[Part]:
    """Conical fabric shade on a turned foot."""
    narrow, low = rng.uniform(0.36, 0.5), rng.uniform(0.04, 0.14)
    shade = smooth((-narrow, -0.92, 0), (0, -0.86), (narrow, -0.92, 0), (0.88, low, 0), (0, low + 0.12),
        (-0.88, low, 0))
    foot = turned((0.06, 0.1), (0.08, 0.26), (0.3, 0.5), (0.26, 0.7), (0.12, 0.84), (0.42, 0.92), (0.46, 1.0))
    base: RGB = rng.choice((BRASS, WOOD, (200, 205, 212)))
    parts = [Part(ellipse(0, low + 0.02, 0.84, 0.12), darker(tone, 0.4)), Part(ellipse(0, low, 0.14, 0.08), WARM),
        Part(foot, base, "cylinder")]
    parts += [Part(ellipse(-0.12, 0.52, 0.05, 0.1), GLINT), Part(ellipse(0, -0.92, narrow, 0.06), darker(tone, 0.3)),
        Part(shade, BODY, "cylinder")]
    trims = [smooth((-w, y, 0), (0, y + d), (w, y, 0), (w + 0.02, y + 0.06, 0), (0, y + d + 0.06),
        (-w - 0.02, y + 0.06, 0)) for w, y, d in ((narrow, -0.92, 0.06), (0.86, low - 0.05, 0.12))]
    parts += [Part(trim, lighter(tone, 0.6) if sum(tone) < 560 else darker(tone, 0.35), "cylinder") for trim in trims]
    parts += [Part(line((x * narrow, -0.82), (x * 0.88, low), width=0.012), SHADOW) for x in (-0.66, -0.33, 0.0, 0.33,
        0.66)]
    chain = [Part(line((0.3, low + 0.1), (0.3, low + 0.36), width=0.018), BRASS),
        Part(ellipse(0.3, low + 0.4, 0.035), BRASS, "sphere")]
    return [*parts, *chain, Part(ellipse(0, -0.98, 0.05), base, "sphere")]


def desk_lamp(rng: random.Random, tone: RGB) -> list[Part]:
    """Jointed arm with a tilted metal hood."""
    elbow = (-0.6 + rng.uniform(-0.1, 0.08), -0.06 + rng.uniform(-0.1, 0.06))
    foot, head = (-0.1, 0.84), (0.16, -0.66)
    parts = [Part(polygon((0.3, -0.3), (0.86, -0.02), (1.0, 0.8), (-0.1, 0.8)), (255, 236, 160, 55))]
    parts += [Part(smooth((-0.6, 0.94), (-0.5, 0.84), (-0.1, 0.8), (0.3, 0.84), (0.4, 0.94), (0.3, 1.0), (-0.5, 1.0)),
        BODY, "vertical")]
    for a, b in ((foot, elbow), (elbow, head)):
        parts += [Part(line((a[0] + d, a[1]), (b[0] + d, b[1]), width=0.045), METAL, "sideways") for d in (-0.04,
            0.05)]
    parts += [Part(ellipse(*elbow, 0.1), BODY, "sphere"), Part(ellipse(*elbow, 0.04), METAL),
        Part(ellipse(*foot, 0.09), DARK, "sphere")]
    hood = turned((0.13, -0.52), (0.17, -0.4), (0.22, -0.26), (0.42, 0.0), (0.56, 0.34))
    head_parts = [Part(hood, BODY, "cylinder"), Part(ellipse(0, 0.34, 0.56, 0.14), darker(tone, 0.5)),
        Part(ellipse(0, 0.36, 0.5, 0.11), (252, 244, 214)), Part(ellipse(0, 0.4, 0.2, 0.14), (255, 250, 225),
        "sphere")]
    head_parts += [Part(stroke(curve((-0.24, -0.22), (0, -0.14, 0.24, -0.22), close=False), 0.03), SHADOW),
        Part(ellipse(0, -0.52, 0.13, 0.05), DARK), _glare(-0.22, -0.04, -0.34, 0.26)]
    return parts + placed(head_parts, rotate=rng.uniform(-46, -34), scale=1.1, move=(0.32, -0.46))


def _glare(x0: float, y0: float, x1: float, y1: float) -> Part:
    return Part(limb((x0, y0, 0.04), (x1, y1, 0.07)), (255, 255, 255, 110))


def floor_lamp(rng: random.Random, tone: RGB) -> list[Part]:
    """Tall pole with a drum shade on a tripod or a disc."""
    half = rng.uniform(0.5, 0.62)
    parts = [Part(ellipse(0, -0.3, half * 1.2, 0.4), GLOW)]
    if rng.random() < 0.5:
        parts += [Part(limb((0, 0.1, 0.06), (x * 0.5, 0.55, 0.06), (x, 0.96, 0.07)), WOOD, "sideways") for x in (-0.5,
            0.5, 0.06)]
        parts.append(Part(ellipse(0, 0.1, 0.09, 0.06), BRASS, "sphere"))
    else:
        parts += [Part(ellipse(0, 0.93, 0.44, 0.07), darker(METAL, 0.45)),
            Part(ellipse(0, 0.91, 0.44, 0.06), METAL, "sideways"), Part(line((0, 0.0), (0, 0.9), width=0.07), METAL,
            "cylinder")]
    parts.append(Part(line((0, -0.2), (0, 0.12), width=0.07), METAL, "cylinder"))
    drum = smooth((-half, -0.92, 0), (0, -0.86), (half, -0.92, 0), (half * 1.14, -0.2, 0), (0, -0.09),
        (-half * 1.14, -0.2, 0))
    parts += [Part(ellipse(0, -0.19, half * 1.1, 0.09), WARM), Part(ellipse(0, -0.92, half, 0.08),
        darker(tone, 0.35)), Part(ellipse(0, -0.92, half * 0.86, 0.05), WARM), Part(drum, BODY, "cylinder")]
    rims = [stroke(curve((-w, y), (0, y + d, w, y), close=False), 0.035) for w, y,
        d in ((half, -0.91, 0.12), (half * 1.13, -0.22, 0.22))]
    parts += [Part(rim, lighter(tone, 0.6) if sum(tone) < 560 else BRASS) for rim in rims]
    return [*parts, Part(line((half * 0.5, -0.12), (half * 0.5, 0.1), width=0.016), BRASS),
        Part(ellipse(half * 0.5, 0.13, 0.03), BRASS, "sphere")]


def lantern(rng: random.Random, tone: RGB) -> list[Part]:
    """Storm lantern: painted frame, glass chimney, flame, bail."""
    height = rng.uniform(0.84, 1.0)
    parts = [Part(stroke(curve((-0.56, -0.24), (-0.6, -0.6 - height * 0.55, 0.6, -0.6 - height * 0.55, 0.56, -0.24),
        close=False), 0.045), METAL)]
    parts += [Part(stroke(curve((sign * 0.4, -0.5), (sign * 0.86, -0.46, sign * 0.8, 0.3, sign * 0.52, 0.62),
        close=False), 0.1), BODY, "sideways") for sign in (-1, 1)]
    parts += [Part(turned((0.24, -0.42), (0.4, -0.1), (0.4, 0.16), (0.26, 0.42)), (214, 226, 226, 170), "glass"),
        Part(ellipse(0, 0.06, 0.3, 0.36), (255, 220, 120, 90))]
    parts += [Part(smooth((0, 0.36), (0.13, 0.18), (0.06, -0.02), (0.0, -0.22, 0), (-0.08, 0.0), (-0.13, 0.18)),
        (248, 160, 50)), Part(smooth((0, 0.36), (0.07, 0.22), (0.0, 0.02, 0), (-0.07, 0.22)), (255, 246, 200))]
    parts += [Part(turned((0.14, -0.84), (0.2, -0.78), (0.2, -0.66), (0.46, -0.54), (0.42, -0.44), (0.3, -0.38)),
        BODY, "cylinder"), Part(turned((0.3, 0.38), (0.36, 0.46), (0.56, 0.56), (0.68, 0.72), (0.68, 0.9),
        (0.62, 1.0)), BODY, "cylinder")]
    parts += [Part(stroke(curve((-w, y), (0, y + 0.06, w, y), close=False), 0.03), SHADOW) for y,
        w in ((-0.55, 0.42), (0.54, 0.5), (0.9, 0.66))]
    return [*parts, Part(ellipse(0.4, 0.74, 0.08), BRASS, "sphere"), _glare(-0.22, -0.16, -0.24, 0.14)]


def dome_lamp(rng: random.Random, tone: RGB) -> list[Part]:
    """For evaluation: half-round hood on a broad stem, light on the ground."""
    dome_foot = rng.uniform(-0.04, 0.06)
    dome = smooth((-0.96, dome_foot, 0), (-0.84, -0.46), (-0.48, -0.84), (0.0, -0.96), (0.48, -0.84), (0.84, -0.46),
        (0.96, dome_foot, 0), (0.5, dome_foot + 0.07), (0, dome_foot + 0.09), (-0.5, dome_foot + 0.07))
    stem = turned((0.2, 0.0), (0.13, 0.2), (0.12, 0.56), (0.2, 0.8), (0.5, 0.94), (0.52, 1.0))
    parts = [Part(polygon((-0.9, 0.08), (0.9, 0.08), (1.0, 0.96), (-1.0, 0.96)), (255, 236, 160, 45)),
        Part(ellipse(0, dome_foot + 0.02, 0.93, 0.2), WARM, "vertical"),
        Part(ellipse(0, dome_foot + 0.1, 0.2, 0.12), (255, 252, 236))]
    parts += [Part(stem, BODY, "cylinder"), Part(ellipse(0, 0.94, 0.44, 0.03), SHADOW), Part(dome, BODY, "sphere")]
    parts += [Part(stroke(curve((-0.95, dome_foot - 0.02), (0, dome_foot + 0.19, 0.95, dome_foot - 0.02),
        close=False), 0.04), BRASS), Part(turned((0.03, -1.06), (0.05, -1.0), (0.09, -0.94)), BRASS, "sphere")]
    return [*parts, Part(turn(ellipse(-0.5, -0.52, 0.26, 0.07), -46, -0.5, -0.52), GLINT),
        Part(ellipse(0.0, 0.7, 0.06), BRASS, "sphere")]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "lamp": (table_lamp, desk_lamp, floor_lamp, lantern, dome_lamp),
}
