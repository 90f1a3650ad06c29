"""Drawings of umbrellas."""

import math
import random

from ..contours import GLINT, SHADOW, darker, grounded, limb, placed, smooth, turn
from ..drawing import BODY, BRASS, CREAM, DARK, METAL, RGB, WOOD, Drawing, Part, curve, ellipse, line, polygon, stroke

# fmt: off
# Outlines read as rows of points; a formatter would put each point on a line of its own.

def _canopy(panels: int, height: float, brim: float) -> list[Part]:
    """An umbrella's dome seen from the side, panels tinted in turn, scalloped hem at `brim`."""
    xs = [-math.cos(math.pi * k / panels) for k in range(panels + 1)]
    parts = []
    for k in range(panels):
        a, b = xs[k], xs[k + 1]
        panel = curve((0, brim - height), (a * 0.72, brim - height * 0.86, a, brim),
            ((a + b) / 2, brim - 0.16, b, brim), (b * 0.72, brim - height * 0.86, 0, brim - height))
        parts.append(Part(panel, BODY, ("dark", "flat", "light")[(k * 2 + (k > panels / 2)) % 3] if k else "dark"))
    parts += [Part(stroke(curve((0, brim - height), (x * 0.72, brim - height * 0.86, x, brim), close=False), 0.018),
        SHADOW) for x in xs[1:-1]]
    return parts + [Part(ellipse(x, brim, 0.022), METAL) for x in xs]


def open_umbrella(rng: random.Random, tone: RGB) -> list[Part]:
    """Upright, side view, hooked wooden handle."""
    brim = rng.uniform(0.0, 0.1)
    hook = stroke(curve((0, brim - 0.1), (0, 0.8), (0.0, 0.97, 0.14, 0.97), (0.28, 0.97, 0.28, 0.78), close=False),
        0.07)
    parts = [Part(line((0, -1.02), (0, -0.8), width=0.05), METAL), Part(line((0, -0.2), (0, 0.6), width=0.045),
        METAL), Part(hook, WOOD, "sideways")]
    under = smooth((-0.98, brim, 0), (-0.6, brim - 0.22), (0, brim - 0.3), (0.6, brim - 0.22), (0.98, brim, 0),
        (0.5, brim - 0.04), (0, brim - 0.02), (-0.5, brim - 0.04))
    parts = [Part(under, darker(tone, 0.55)), *parts]
    return [*parts, *_canopy(rng.choice((5, 6, 7)), brim + 0.9, brim), Part(turn(ellipse(-0.46, brim - 0.62, 0.2,
        0.05), -40, -0.46, brim - 0.62), GLINT)]


def beach_umbrella(rng: random.Random, tone: RGB) -> list[Part]:
    """Tilted sunshade with a valance on a pole stuck in the ground."""
    angle = rng.uniform(-20, -10)
    parts = [Part(line((-0.16, -0.6), (0.16, 0.98), width=0.07), (226, 214, 190), "cylinder")]
    top = [Part(ellipse(0, 0.0, 0.98, 0.1), darker(tone, 0.5)), *_canopy(6, 0.68, 0.04)]
    for k in range(12):
        x = -1 + k / 6
        top.append(Part(curve((x, 0.0), (x + 0.01, 0.12), (x + 0.083, 0.22, x + 0.157, 0.12), (x + 0.166, 0.0)), BODY,
            "dark" if k % 2 else "light"))
    top += [Part(line((-1.0, 0.01), (1.0, 0.01), width=0.03), CREAM), Part(ellipse(0, -0.67, 0.06), BRASS, "sphere")]
    heap = smooth((-0.2, 0.98, 0), (0.02, 0.9), (0.18, 0.86), (0.34, 0.92), (0.52, 0.99, 0))
    return [*parts, *placed(top, rotate=angle, scale=1.0, move=(-0.1, -0.28)),
        Part(heap, (222, 198, 150), "vertical")]


def umbrella_below(rng: random.Random, tone: RGB) -> list[Part]:
    """Leaning, seen from below: inside of the canopy with stretchers and the long handle."""
    tilt = rng.uniform(-34, -22)
    count = 8
    rim = [(0.98 * math.cos(math.tau * k / count + 0.2), 0.4 * math.sin(math.tau * k / count + 0.2))
        for k in range(count)]
    mid = [(0.97 * math.cos(math.tau * (k + 0.5) / count + 0.2) * 0.88,
        0.4 * math.sin(math.tau * (k + 0.5) / count + 0.2) * 0.88) for k in range(count)]
    segments = [(*mid[k], *rim[(k + 1) % count]) for k in range(count)]
    dome = smooth((-0.98, 0.02, 0), (-0.8, -0.42), (-0.4, -0.66), (0, -0.74), (0.4, -0.66), (0.8, -0.42),
        (0.98, 0.02, 0), (0, 0.3))
    parts = [Part(line((0, -0.86), (0, -0.7), width=0.05), METAL), Part(dome, BODY, "sphere"),
        Part(curve(rim[0], *segments), BODY, "dark")]
    hub = (0.0, -0.04)
    for k in range(count):
        edge = polygon(hub, rim[k], rim[(k + 1) % count])
        parts += [Part(edge, (0, 0, 0, 46))] if k % 2 else []
        parts.append(Part(line(hub, rim[k], width=0.018), METAL))
        parts.append(Part(line((0.0, 0.3), (rim[k][0] * 0.5, rim[k][1] * 0.5), width=0.014), METAL))
    hook = stroke(curve((0, 0.0), (0, 1.0), (0.0, 1.2, 0.15, 1.2), (0.3, 1.2, 0.28, 1.02), close=False), 0.06)
    parts += [Part(hook, METAL, "sideways"), Part(stroke(curve((0, 0.9), (0, 1.0), (0.0, 1.2, 0.15, 1.2),
        (0.3, 1.2, 0.28, 1.02), close=False), 0.085), WOOD, "sideways")]
    return grounded(placed(parts, rotate=-tilt, scale=1.02, move=(0.3, -0.12)))


def leaning_umbrella(rng: random.Random, tone: RGB) -> list[Part]:
    """For evaluation: open and resting on the ground, the outside of the canopy turned to us."""
    spin = rng.uniform(0, 40)
    count = 8
    apex = (0.2, -0.12)
    rim = []
    for k in range(count):
        angle = math.radians(spin + 360 * k / count)
        rim.append((0.02 + 0.94 * math.cos(angle), 0.08 + 0.86 * math.sin(angle)))
    parts = [Part(limb((-0.3, 0.4, 0.05), (-0.7, 0.84, 0.05), (-0.9, 0.94, 0.07), (-1.02, 0.84, 0.07)), WOOD,
        "sideways")]
    for k in range(count):
        a, b = rim[k], rim[(k + 1) % count]
        mid = ((a[0] + b[0]) * 0.47, (a[1] + b[1]) * 0.47 + 0.006)
        bulge = ((a[0] + apex[0]) / 2 * 1.14, (a[1] + apex[1]) / 2 * 1.14)
        bulge_b = ((b[0] + apex[0]) / 2 * 1.14, (b[1] + apex[1]) / 2 * 1.14)
        facing = -(a[0] + b[0]) * 0.5 - (a[1] + b[1])
        panel = curve(apex, (*bulge, *a), (*mid, *b), (*bulge_b, *apex))
        parts += [Part(panel, BODY, "light" if facing > 0.5 else "flat" if facing > -0.6 else "dark"),
            Part(stroke(curve(apex, (*bulge, *a), close=False), 0.02), SHADOW)]
        parts.append(Part(ellipse(*a, 0.025), METAL))
    return grounded([*parts, Part(limb((*apex, 0.09), (0.26, -0.22, 0.05), (0.32, -0.34, 0.035)), METAL, "sideways"),
        Part(ellipse(*apex, 0.07), DARK, "sphere")])


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "umbrella": (open_umbrella, beach_umbrella, umbrella_below, leaning_umbrella),
}
