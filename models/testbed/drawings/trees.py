"""Drawings of trees."""

import math
import random

import skia

from ..contours import darker, limb, smooth, turn
from ..drawing import BODY, RGB, WOOD, Drawing, Part, build, curve, ellipse, line, polygon, stroke, transform

# fmt: off
# Outlines read as rows of points; a formatter would put each point on a line of its own.

BARK_DARK: RGB = (72, 46, 28)


def _foliage(rng: random.Random, cx: float, cy: float, rx: float, ry: float, bumps: int) -> skia.Path:
    """A cloud of leaves: an ellipse with a scalloped, irregular edge."""
    start = rng.uniform(0, math.tau)
    angles = [start + (k + rng.uniform(-0.2, 0.2)) * math.tau / bumps for k in range(bumps)]
    rims = [(cx + rx * math.cos(a), cy + ry * math.sin(a)) for a in angles]

    def construct(builder: skia.PathBuilder) -> None:
        builder.moveTo(*rims[0])
        for k in range(bumps):
            a, b = angles[k], angles[(k + 1) % bumps] + (math.tau if k == bumps - 1 else 0)
            middle, swell = (a + b) / 2, 1 + 1.6 * (1 - math.cos((b - a) / 2)) + rng.uniform(0.12, 0.24)
            x, y = cx + rx * swell * math.cos(middle), cy + ry * swell * math.sin(middle)
            builder.quadTo(x, y, *rims[(k + 1) % bumps])
        builder.close()

    return build(construct)


def _flecks(rng: random.Random, cx: float, cy: float, rx: float, ry: float, count: int) -> list[Part]:
    """Small leaves catching light or shade, inside an ellipse."""
    parts = []
    for k in range(count):
        angle, radius = rng.uniform(0, math.tau), math.sqrt(rng.random()) * 0.9
        x, y = cx + rx * radius * math.cos(angle), cy + ry * radius * math.sin(angle)
        leaf = turn(ellipse(x, y, 0.05, 0.022), rng.uniform(0, 180), x, y)
        parts.append(Part(leaf, (255, 255, 255, 60) if k % 2 else (0, 0, 0, 50)))
    return parts


def oak(rng: random.Random, tone: RGB) -> list[Part]:
    """Broad round crown over a flared trunk."""
    trunk = smooth((-0.1, 0.0, 0), (0.12, 0.0, 0), (0.13, 0.5), (0.18, 0.85), (0.36, 1.0, 0), (-0.34, 1.0, 0),
        (-0.18, 0.84), (-0.12, 0.5))
    limbs = [limb((0.0, 0.45, 0.14), (sign * 0.24, 0.12, 0.1), (sign * 0.5, -0.1, 0.06)) for sign in (-1, 1)]
    parts = [Part(path, BARK_DARK, "sideways") for path in limbs] + [Part(trunk, WOOD, "cylinder")]
    parts += [Part(line((x, 0.5), (x + d, 0.9), width=0.022), BARK_DARK) for x,
        d in ((-0.05, -0.03), (0.03, 0.01), (0.09, 0.05))]
    parts += [Part(_foliage(rng, 0.0, -0.3, 0.78, 0.5, rng.randint(10, 13)), BODY, "dark")]
    for x, y, radius in ((-0.5, -0.12, 0.34), (0.5, -0.14, 0.34), (0.02, -0.06, 0.36), (-0.34, -0.5, 0.34),
        (0.36, -0.52, 0.34), (0.0, -0.62, 0.3)):
        parts.append(Part(_foliage(rng, x, y, radius, radius * 0.82, 8), BODY, "sphere"))
    return parts + _flecks(rng, 0.0, -0.35, 0.75, 0.5, 26)


def conifer(rng: random.Random, tone: RGB) -> list[Part]:
    """A fir: overlapping jagged tiers."""
    tiers = rng.randint(4, 6)
    parts = [Part(polygon((-0.1, 0.7), (0.1, 0.7), (0.13, 1.0), (-0.13, 1.0)), WOOD, "cylinder")]
    for k in reversed(range(tiers)):
        top = -1.02 + 1.4 * k / tiers
        bottom = -0.38 + 1.2 * (k + 0.4) / tiers
        width = 0.34 + 0.44 * (k + 0.5) / tiers
        teeth = 8
        edge = []
        for i in range(2 * teeth + 1):
            x = width * (1 - i / teeth)
            edge.append((x, bottom + (0.0 if i % 2 else 0.07 + rng.uniform(0, 0.04)) - 0.1 * (x / width) ** 2))
        tier = curve((0.0, top), (width * 0.3, (top + bottom) / 2, *edge[0]), *edge[1:],
            (-width * 0.3, (top + bottom) / 2, 0.0, top))
        parts += [Part(transform(tier, move=(0.0, 0.05)), (0, 0, 0, 60)), Part(tier, BODY, "sphere")]
        parts += [Part(line((s * width * 0.12, top + 0.22), (s * width * 0.6, bottom - 0.1), width=0.02),
            (0, 0, 0, 55)) for s in (-1, 0.2, 1)]
    return parts


def palm(rng: random.Random, tone: RGB) -> list[Part]:
    """Curved ringed trunk, drooping feathered fronds, coconuts."""
    lean = rng.uniform(-0.12, 0.06)
    knots = [(-0.16, 0.88, 0.24), (-0.1, 0.6, 0.17), (0.0 + lean * 0.4, 0.1, 0.14), (0.06 + lean, -0.42, 0.12)]
    parts = [Part(limb(*knots), (140, 104, 66), "cylinder")]
    for k in range(9):
        t = k / 9
        x, y = -0.13 + 0.18 * t + lean * t * t, 0.86 - 1.22 * t
        parts.append(Part(stroke(curve((x - 0.08, y), (x, y + 0.06, x + 0.08, y), close=False), 0.022), (82, 56, 34)))
    cx, cy = 0.06 + lean, -0.46
    spans = [(-0.95, 0.1), (1.0, 0.06), (-0.98, -0.28), (0.98, -0.34), (-0.62, 0.42), (0.7, 0.42), (-0.52, -0.5),
        (0.5, -0.52)]
    for k, (dx, dy) in enumerate(spans):
        tip = (cx + dx * rng.uniform(0.88, 0.98), cy + dy + rng.uniform(-0.06, 0.06))
        high = (cx + dx * 0.5, cy - 0.3 + dy * 0.35)
        under = []
        for i in range(1, 9):
            t = i / 9
            x = (1 - t) ** 2 * tip[0] + 2 * t * (1 - t) * high[0] + t * t * cx
            y = (1 - t) ** 2 * tip[1] + 2 * t * (1 - t) * high[1] + t * t * cy
            under.append((x, y + (0.1 if i % 2 else 0.3 * math.sin(math.pi * min(t + 0.1, 1)) + 0.04)))
        parts.append(Part(curve((cx, cy), (*high, *tip), *under), BODY, "dark" if k < 4 and k % 2 else "vertical"))
        parts.append(Part(stroke(curve((cx, cy), (*high, *tip), close=False), 0.025), darker(tone, 0.45)))
    return parts + [Part(ellipse(cx + x, cy + 0.08, 0.08), (96, 62, 36), "sphere") for x in (-0.09, 0.09, 0.0)]


def poplar(rng: random.Random, tone: RGB) -> list[Part]:
    """Tall, slim, flame-shaped tree."""
    width = rng.uniform(0.36, 0.46)
    crown = smooth((0.0, -1.04), (width * 0.5, -0.78), (width * 0.78, -0.5), (width * 0.94, -0.2), (width, 0.14),
        (width * 0.96, 0.4), (width * 0.6, 0.66),
                   (0.0, 0.74), (-width * 0.6, 0.66), (-width * 0.96, 0.4), (-width, 0.14), (-width * 0.94, -0.2),
                       (-width * 0.78, -0.5), (-width * 0.5, -0.78))
    parts = [Part(smooth((-0.07, 0.5, 0), (0.07, 0.5, 0), (0.08, 0.8), (0.18, 1.0, 0), (-0.18, 1.0, 0), (-0.08, 0.8)),
        WOOD, "cylinder")]
    parts.append(Part(crown, BODY, "cylinder"))
    for k in range(7):
        y = -0.7 + 0.19 * k
        half = width * (0.34 + 0.09 * k if k < 5 else 0.7)
        for sign in (-1, 1):
            x = sign * half * 0.8
            tuft = smooth((x - 0.12, y + 0.3), (x - 0.14, y + 0.06), (x + sign * 0.02, y - 0.22, 0),
                (x + 0.14, y + 0.06), (x + 0.12, y + 0.3), (x, y + 0.36))
            parts.append(Part(tuft, BODY, "sphere" if (k + (sign > 0)) % 2 else "vertical"))
    return parts + _flecks(rng, 0.0, -0.1, width * 0.9, 0.8, 24)


def spreading_tree(rng: random.Random, tone: RGB) -> list[Part]:
    """For evaluation: forked trunk carrying separate flat clusters of leaves."""
    fork = rng.uniform(-0.06, 0.06)
    branches = [limb((0.0, 0.9, 0.2), (-0.02, 0.7, 0.18), (fork, 0.36, 0.16), (-0.3, 0.04, 0.1),
        (-0.56, -0.16, 0.06)),
                limb((fork, 0.46, 0.15), (0.26, 0.12, 0.1), (0.6, -0.06, 0.05)),
                    limb((fork, 0.4, 0.13), (0.06, -0.1, 0.09), (0.1, -0.5, 0.05)),
                limb((-0.24, 0.1, 0.07), (-0.3, -0.2, 0.06), (-0.28, -0.48, 0.04))]
    parts = [Part(path, (104, 78, 58), "sideways") for path in branches]
    parts.append(Part(smooth((-0.09, 0.7, 0), (-0.14, 0.9), (-0.34, 1.0, 0), (0.36, 1.0, 0), (0.14, 0.9),
        (0.08, 0.7, 0)), (104, 78, 58), "sideways"))
    clusters = ((-0.6, -0.2, 0.34, 0.2), (0.62, -0.14, 0.34, 0.2), (-0.32, -0.52, 0.36, 0.22),
        (0.44, -0.5, 0.38, 0.22), (0.06, -0.78, 0.4, 0.2), (0.08, -0.28, 0.3, 0.16))
    for x, y, rx, ry in clusters:
        x, y = x + rng.uniform(-0.04, 0.04), y + rng.uniform(-0.03, 0.03)
        parts += [Part(_foliage(rng, x, y + 0.05, rx, ry, 9), BODY, "dark"),
            Part(_foliage(rng, x - 0.02, y - 0.03, rx * 0.9, ry * 0.82, 8), BODY, "sphere")]
        parts += _flecks(rng, x, y, rx, ry, 6)
    return parts


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "tree": (oak, conifer, palm, poplar, spreading_tree),
}
