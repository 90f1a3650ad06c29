"""Drawings of cups and bowls."""

import math
import random

from ..contours import GLINT, SHADOW, darker, lighter, limb, smooth, turned
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
    mix,
    rectangle,
    stroke,
    transform,
)
from ._vessels import handle, streak

# fmt: off
# Outlines read as rows of points; a formatter would put each point on a line of its own.

COFFEE: RGB = (74, 44, 26)


def _mouth(cx: float, cy: float, rx: float, ry: float, tone: RGB, filling: RGB | None = None) -> list[Part]:
    """The open top of a vessel: rim, dark inside, filling."""
    parts = [Part(ellipse(cx, cy, rx, ry), BODY, "light"), Part(ellipse(cx, cy + ry * 0.06, rx * 0.92, ry * 0.84),
        darker(tone, 0.45), "vertical")]
    if filling:
        parts += [Part(ellipse(cx, cy + ry * 0.22, rx * 0.85, ry * 0.66), filling, "sideways")]
        parts += [Part(ellipse(cx - rx * 0.3, cy + ry * 0.1, rx * 0.2, ry * 0.12), (255, 255, 255, 80))]
    return parts


def mug(rng: random.Random, tone: RGB) -> list[Part]:
    """Straight-sided mug with a round handle and coffee."""
    half, top = rng.uniform(0.56, 0.68), rng.uniform(-0.86, -0.7)
    cx = -0.24
    wall = smooth((cx - half, top, 0), (cx - half, 0.2), (cx - half * 0.97, 0.82, 0), (cx - half * 0.7, 0.96),
        (cx, 1.0), (cx + half * 0.7, 0.96), (cx + half * 0.97, 0.82, 0),
                  (cx + half, 0.2), (cx + half, top, 0))
    parts = handle((cx + half * 0.9, top + 0.36), (1.1, top + 0.12, 1.12, 0.74, cx + half * 0.9, 0.58), 0.17)
    parts += [Part(wall, BODY, "cylinder"), Part(stroke(curve((cx - half * 0.96, 0.8),
        (cx - half * 0.6, 0.98, cx + half * 0.6, 0.98, cx + half * 0.96, 0.8), close=False), 0.03), SHADOW)]
    return [*parts, *_mouth(cx, top, half, 0.17, tone, COFFEE), streak(cx - half * 0.62, top + 0.36, 0.55)]


def teacup(rng: random.Random, tone: RGB) -> list[Part]:
    """Wide rounded cup on a saucer, gold rim, small handle."""
    top = rng.uniform(-0.56, -0.4)
    wall = turned((0.72, top), (0.7, top + 0.34), (0.56, 0.36), (0.3, 0.64), (0.28, 0.78))
    bowl = transform(wall, move=(-0.12, 0))
    parts = [Part(ellipse(0, 0.83, 1.0, 0.17), BODY, "vertical"), Part(ellipse(0, 0.8, 0.84, 0.11),
        darker(tone, 0.2)), Part(stroke(ellipse(0, 0.83, 0.98, 0.16), 0.025), BRASS)]
    parts += [Part(ellipse(-0.12, 0.78, 0.42, 0.07), SHADOW), *handle((0.5, top + 0.18),
        (0.98, top - 0.1, 1.04, top + 0.62, 0.34, 0.42), 0.1)]
    parts += [Part(bowl, BODY, "sphere"), *_mouth(-0.12, top, 0.72, 0.16, tone, (150, 84, 36)),
        Part(stroke(ellipse(-0.12, top, 0.72, 0.16), 0.028), BRASS)]
    band = smooth((-0.82, top + 0.28, 0), (-0.12, top + 0.46), (0.58, top + 0.28, 0), (0.57, top + 0.34, 0),
        (-0.12, top + 0.53), (-0.81, top + 0.34, 0))
    return [*parts, Part(band, BRASS, "sideways"), streak(-0.6, top + 0.1, top + 0.2, 0.06)]


def paper_cup(rng: random.Random, tone: RGB) -> list[Part]:
    """Tall tapering cup to go, lid and sleeve."""
    narrow = rng.uniform(0.42, 0.5)

    def side(y: float) -> float:
        """Half the width of the cup at height y."""
        return 0.62 + (narrow - 0.62) * (y + 0.66) / 1.66

    wall = smooth((-0.62, -0.66, 0), (0.62, -0.66, 0), (narrow, 0.94, 0), (0.0, 1.0), (-narrow, 0.94, 0))
    lid: RGB = (240, 238, 232) if sum(tone) < 560 else (70, 52, 42)
    sleeve = smooth((-side(-0.2) - 0.02, -0.2, 0), (0.0, -0.13), (side(-0.2) + 0.02, -0.2, 0),
        (side(0.42) + 0.02, 0.42, 0), (0.0, 0.5), (-side(0.42) - 0.02, 0.42, 0))
    parts = [Part(wall, BODY, "cylinder")]
    if rng.random() < 0.6:
        parts += [Part(sleeve, mix(WOOD, CREAM, 0.5), "cylinder"), Part(ellipse(0, 0.16, 0.18), BODY),
            Part(stroke(ellipse(0, 0.16, 0.18), 0.03), CREAM)]
    parts += [Part(ellipse(0, -0.64, 0.63, 0.06), SHADOW), Part(rectangle(-0.7, -0.8, 0.7, -0.64, 0.06), lid,
        "cylinder")]
    parts += [Part(turned((0.54, -0.96), (0.58, -0.86), (0.62, -0.79)), lid, "cylinder"),
        Part(ellipse(0, -0.95, 0.54, 0.07), lid, "vertical")]
    return [*parts, Part(ellipse(0.26, -0.95, 0.09, 0.02), DARK), Part(line((-0.68, -0.72), (0.68, -0.72),
        width=0.015), SHADOW), streak(-0.42, -0.48, 0.7, 0.06)]


def cup_from_above(rng: random.Random, tone: RGB) -> list[Part]:
    """For evaluation: seen steeply from above, handle left, foam with a heart."""
    depth = rng.uniform(0.44, 0.54)
    cx, rx = 0.2, 0.76
    wall = smooth((cx - rx, -0.4, 0), (cx - rx * 0.94, 0.2), (cx - rx * 0.74, 0.76), (cx - 0.3, 0.98),
        (cx + 0.3, 0.98), (cx + rx * 0.74, 0.76), (cx + rx * 0.94, 0.2), (cx + rx, -0.4, 0))
    parts = handle((cx - rx * 0.9, -0.2), (-1.14, -0.44, -1.2, 0.5, cx - rx * 0.84, 0.46), 0.16)
    parts += [Part(wall, BODY, "sphere"), *_mouth(cx, -0.4, rx, depth, tone, (128, 78, 42))]
    heart = smooth((cx, -0.06, 0), (cx - 0.34, -0.3), (cx - 0.26, -0.52), (cx, -0.42, 0), (cx + 0.26, -0.52),
        (cx + 0.34, -0.3))
    return [*parts, Part(stroke(heart, 0.09), (190, 140, 96)), Part(heart, (246, 230, 204), "vertical"),
        streak(cx - 0.46, 0.3, 0.56, 0.08)]


def plain_bowl(rng: random.Random, tone: RGB) -> list[Part]:
    """Empty round bowl on a foot, seen a little from above."""
    top, ry = rng.uniform(-0.44, -0.3), rng.uniform(0.18, 0.26)
    wall = turned((0.98, top), (0.94, top + 0.4), (0.72, 0.52), (0.4, 0.82), (0.36, 0.88))
    foot = turned((0.36, 0.8), (0.38, 0.9), (0.42, 1.0))
    parts = [Part(foot, BODY, "dark"), Part(wall, BODY, "sphere"), Part(ellipse(0, top, 0.98, ry), BODY, "light")]
    inner = darker(tone, 0.22)
    parts += [Part(ellipse(0, top + 0.02, 0.91, ry * 0.86), inner, "vertical"),
        Part(ellipse(0.0, top + ry * 0.4, 0.5, ry * 0.4), lighter(inner, 0.16))]
    band = smooth((-0.965, top + 0.26, 0), (0.0, top + 0.26 + ry * 1.5), (0.965, top + 0.26, 0),
        (0.955, top + 0.33, 0), (0.0, top + 0.35 + ry * 1.5), (-0.955, top + 0.33, 0))
    parts += [Part(stroke(ellipse(0, top, 0.96, ry * 0.96), 0.02), GLINT), Part(ellipse(0, 0.87, 0.38, 0.04), SHADOW)]
    return [*parts, Part(band, lighter(tone, 0.6) if sum(tone) < 560 else (70, 110, 180), "sideways"),
        streak(-0.66, top + 0.2, top + 0.3, 0.07)]


def fruit_bowl(rng: random.Random, tone: RGB) -> list[Part]:
    """Wide bowl heaped with fruit."""
    fruits: list[tuple[float, float, float, RGB]] = [(-0.5, -0.3, 0.3, (206, 50, 46)),
        (0.52, -0.3, 0.3, (238, 142, 36)), (0.02, -0.46, 0.34, (140, 182, 60)), (-0.24, -0.2, 0.27, (240, 200, 70)),
        (0.28, -0.18, 0.28, (190, 44, 60))]
    parts: list[Part] = []
    shuffled = [fruit[3] for fruit in fruits]
    rng.shuffle(shuffled)
    for (x, y, radius, _), fill in zip(fruits, shuffled, strict=True):
        parts += [Part(ellipse(x, y, radius), fill, "sphere"), Part(ellipse(x - radius * 0.3, y - radius * 0.4,
            radius * 0.2, radius * 0.13), GLINT)]
        parts += [Part(limb((x + 0.02, y - radius * 0.8, 0.03), (x + 0.07, y - radius * 1.12, 0.04)), WOOD)]
    parts += [Part(smooth((0.06, -0.8, 0), (0.2, -0.98), (0.4, -0.94, 0), (0.24, -0.8)), LEAF, "vertical")]
    half = rng.uniform(0.92, 1.0)
    wall = smooth((-half, -0.16, 0), (-half * 0.5, -0.06), (0.0, -0.03), (half * 0.5, -0.06), (half, -0.16, 0),
        (half * 0.84, 0.42), (0.36, 0.86), (0.4, 1.0, 0), (-0.4, 1.0, 0), (-0.36, 0.86), (-half * 0.84, 0.42))
    parts += [Part(wall, BODY, "sphere"), Part(stroke(curve((-half, -0.15),
        (-half * 0.5, 0.0, half * 0.5, 0.0, half, -0.15), close=False), 0.07), BODY, "light")]
    return [*parts, Part(stroke(curve((-0.36, 0.86), (0, 0.94, 0.36, 0.86), close=False), 0.03), SHADOW),
        streak(-half * 0.66, 0.14, 0.3, 0.06)]


def noodle_bowl(rng: random.Random, tone: RGB) -> list[Part]:
    """Deep flaring bowl with soup, noodles and chopsticks."""
    top = rng.uniform(-0.4, -0.28)
    wall = turned((0.92, top), (0.84, top + 0.3), (0.62, 0.6), (0.34, 0.82), (0.36, 1.0))
    parts = [Part(wall, BODY, "sphere"), Part(ellipse(0, top, 0.93, 0.25), BODY, "light"),
        Part(ellipse(0, top + 0.02, 0.84, 0.2), (206, 142, 70), "vertical")]
    for k in range(6):
        y = top + 0.12 - 0.05 * k
        parts.append(Part(stroke(curve((-0.56 + 0.05 * k, y), (-0.2, y - 0.12, 0.1, y + 0.12, 0.44 - 0.03 * k,
            y - 0.02), close=False), 0.035), (246, 222, 160)))
    egg_x = rng.uniform(0.26, 0.42)
    parts += [Part(ellipse(egg_x, top, 0.2, 0.1), CREAM), Part(ellipse(egg_x, top, 0.1, 0.055), (240, 170, 50),
        "sphere")]
    parts += [Part(ellipse(-0.44 + d, top - 0.06 + d / 5, 0.07, 0.03), LEAF) for d in (0.0, 0.12, 0.2, 0.34)]
    parts += [Part(limb((-0.1, top + 0.06, 0.04), (0.9, y, 0.06)), (150, 60, 44), "vertical") for y in (-0.98, -0.8)]
    rim = smooth((-0.86, top + 0.3, 0), (0, top + 0.62), (0.86, top + 0.3, 0), (0.83, top + 0.38, 0), (0, top + 0.72),
        (-0.83, top + 0.38, 0))
    return [*parts, Part(rim, darker(tone, 0.4), "sideways"), streak(-0.6, top + 0.44, top + 0.6, 0.07)]


def bowl_from_above(rng: random.Random, tone: RGB) -> list[Part]:
    """For evaluation: a wide-rimmed bowl seen steeply from above, cereal, berries and a spoon."""
    parts = [Part(ellipse(0, 0.3, 0.56, 0.64), BODY, "dark"), Part(ellipse(0, 0.32, 0.8, 0.67), BODY, "dark"),
        Part(ellipse(0, 0.12, 1.0, 0.76), BODY, "vertical")]
    parts += [Part(stroke(ellipse(0, 0.12, 0.98, 0.74), 0.03), GLINT), Part(ellipse(0, 0.15, 0.74, 0.54),
        darker(tone, 0.4), "vertical"), Part(ellipse(0, 0.2, 0.68, 0.46), (250, 246, 234), "vertical")]
    for _ in range(rng.randint(12, 16)):
        angle, radius = rng.uniform(0, math.tau), math.sqrt(rng.random()) * 0.85
        x, y = 0.58 * radius * math.cos(angle), 0.2 + 0.36 * radius * math.sin(angle)
        fill = rng.choice(((214, 156, 72), (196, 134, 58), (196, 40, 60), (70, 70, 140)))
        parts += [Part(ellipse(x + 0.01, y + 0.025, 0.08, 0.065), SHADOW),
            Part(ellipse(x, y, 0.078, 0.064), fill, "sphere")]
    parts += [Part(limb((0.2, 0.06, 0.1), (0.5, -0.36, 0.06), (0.8, -0.86, 0.1)), METAL, "sideways"),
        Part(stroke(curve((-0.86, 0.1), (-0.8, -0.4, -0.3, -0.52), close=False), 0.05), (255, 255, 255, 120))]
    return parts


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "cup": (mug, teacup, paper_cup, cup_from_above),
    "bowl": (plain_bowl, fruit_bowl, noodle_bowl, bowl_from_above),
}
