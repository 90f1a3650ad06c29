"""Drawings of candles."""

import random

from ..contours import SHADOW, Point, darker, limb, smooth, turned
from ..drawing import BODY, BRASS, DARK, METAL, RGB, Drawing, Part, curve, ellipse, line, stroke

# fmt: off
# Outlines read as rows of points; a formatter would put each point on a line of its own.

def _flame(x: float, base: float, height: float, sway: float) -> list[Part]:
    """Wick, halo and a three-tone flame whose foot is at (x, base)."""

    def tongue(size: float) -> list[Point]:
        h, w = height * size, height * 0.27 * size
        return [(x, base), (x + w, base - h * 0.22), (x + w * 0.62 + sway * 0.5, base - h * 0.6),
            (x + sway, base - h, 0), (x - w * 0.6 + sway * 0.4, base - h * 0.56), (x - w, base - h * 0.22)]

    return [
        Part(ellipse(x, base - height * 0.4, height * 0.5, height * 0.62), (255, 214, 110, 60)),
        Part(line((x, base + height * 0.16), (x, base - height * 0.2), width=0.035), DARK),
        Part(smooth(*tongue(1.0)), (246, 140, 40)), Part(smooth(*tongue(0.78)), (255, 206, 70)),
            Part(smooth(*tongue(0.46)), (255, 248, 216)),
    ]


def _wax(x: float, top: float, bottom: float, half: float, rng: random.Random) -> list[Part]:
    """A wax cylinder with a molten top and drips."""
    parts = [Part(smooth((x - half, top, 0), (x + half, top, 0), (x + half, bottom - 0.03, 0), (x, bottom),
        (x - half, bottom - 0.03, 0)), BODY, "cylinder")]
    for share in (-0.8, -0.3, 0.55):
        at = x + half * (share + rng.uniform(-0.12, 0.12))
        parts.append(Part(limb((at, top, half * 0.3), (at, top + rng.uniform(0.12, 0.4), half * 0.26)), BODY,
            "light"))
    return [*parts, Part(ellipse(x, top, half, half * 0.26), BODY, "light"),
        Part(ellipse(x, top + 0.01, half * 0.74, half * 0.17), (255, 232, 170, 150)),
        Part(ellipse(x, top + 0.01, half * 0.3, half * 0.07), SHADOW)]


def pillar_candle(rng: random.Random, tone: RGB) -> list[Part]:
    """A thick candle on a brass dish."""
    top = rng.uniform(-0.42, -0.2)
    half = rng.uniform(0.36, 0.46)
    parts = [Part(ellipse(0, 0.9, 0.78, 0.1), BRASS, "vertical"), Part(ellipse(0, 0.88, 0.64, 0.06),
        darker(BRASS, 0.3))]
    return [*parts, *_wax(0, top, 0.93, half, rng), *_flame(0, top - 0.05, 0.56, rng.uniform(-0.06, 0.06))]


def chamberstick(rng: random.Random, tone: RGB) -> list[Part]:
    """A candle in a saucer holder with a finger ring."""
    top = rng.uniform(-0.5, -0.34)
    saucer = smooth((-0.86, 0.72, 0), (0.86, 0.72, 0), (0.7, 0.9), (0.44, 1.0, 0), (-0.44, 1.0, 0), (-0.7, 0.9))
    parts = [Part(stroke(ellipse(0.84, 0.62, 0.17, 0.2), 0.07), BRASS, "sideways"), Part(saucer, BRASS, "cylinder"),
        Part(ellipse(0, 0.72, 0.86, 0.12), BRASS, "vertical"), Part(ellipse(0, 0.73, 0.76, 0.09),
        darker(BRASS, 0.35))]
    parts += [*_wax(0, top, 0.6, 0.3, rng), Part(turned((0.38, 0.46), (0.34, 0.54), (0.34, 0.66), (0.42, 0.74)),
        BRASS, "cylinder")]
    return [*parts, *_flame(0, top - 0.05, 0.5, rng.uniform(-0.06, 0.06))]


def three_candles(rng: random.Random, tone: RGB) -> list[Part]:
    """Three candles of different heights."""
    parts: list[Part] = [Part(ellipse(0, 0.92, 0.98, 0.08), METAL, "vertical")]
    heights = [-0.36, 0.06, 0.3]
    rng.shuffle(heights)
    for x, top, half in zip((0.02, -0.6, 0.62), heights, (0.25, 0.24, 0.24), strict=True):
        parts += [*_wax(x, top, 0.95, half, rng), *_flame(x, top - 0.04, 0.46, rng.uniform(-0.05, 0.05))]
    return parts


def taper_candle(rng: random.Random, tone: RGB) -> list[Part]:
    """For evaluation: a spiral taper on a turned candlestick."""
    top, foot = -0.52, 0.34
    slim = rng.uniform(0.17, 0.22)
    stick = turned((0.36, 0.3), (0.34, 0.38), (0.1, 0.46), (0.17, 0.58), (0.08, 0.72), (0.12, 0.82), (0.4, 0.93),
        (0.46, 1.0))
    parts = [Part(smooth((-slim, top, 0), (slim, top, 0), (slim * 1.5, foot, 0), (-slim * 1.5, foot, 0)), BODY,
        "cylinder")]
    for k in range(7):
        y = top + 0.06 + 0.115 * k
        half = slim * (1 + 0.5 * (y - top) / (foot - top))
        parts.append(Part(stroke(curve((-half, y), (0, y + 0.1, half, y + 0.07), close=False), 0.022), (0, 0, 0, 40)))
    parts += [Part(ellipse(0, top, slim, 0.04), BODY, "light"), Part(stick, METAL, "cylinder"),
        Part(ellipse(0, 0.32, 0.36, 0.06), METAL, "vertical"), Part(ellipse(0, 0.31, slim * 1.5, 0.035), SHADOW)]
    parts += [Part(stroke(curve((-w, y), (0, y + 0.03, w, y), close=False), 0.02), SHADOW) for y,
        w in ((0.58, 0.16), (0.9, 0.3), (0.46, 0.1))]
    return [*parts, *_flame(0, top - 0.03, 0.46, rng.uniform(-0.08, 0.08))]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "candle": (pillar_candle, chamberstick, three_candles, taper_candle),
}
