"""Drawings of leaves."""

import math
import random

import skia

from ..contours import SHADOW, darker, lighter, limb, smooth
from ..drawing import BODY, RGB, WOOD, Drawing, Part, curve, line, mix, polygon, stroke, subtract, transform

# fmt: off
# Outlines read as rows of points; a formatter would put each point on a line of its own.

def _leaf_parts(blade: skia.Path, veins: list[skia.Path], stalk: skia.Path, tone: RGB) -> list[Part]:
    """Stalk, blade, dark rim and pale veins."""
    pale = lighter(tone, 0.45) if sum(tone) < 560 else darker(tone, 0.3)
    parts = [Part(stalk, mix(darker(tone, 0.3), WOOD, 0.5), "sideways"), Part(blade, BODY, "sphere"),
        Part(stroke(blade, 0.024), SHADOW)]
    return parts + [Part(vein, pale) for vein in veins]


def _beech_half(rng: random.Random) -> tuple[float, float]:
    return rng.uniform(0.5, 0.62), rng.uniform(-0.08, 0.08)


def beech_leaf(rng: random.Random, tone: RGB) -> list[Part]:
    """Pointed oval with a toothed edge and paired side veins."""
    width, bend = _beech_half(rng)
    edge = []
    for k in range(15):
        t = k / 14
        half = width * math.sin(math.pi * t**0.85) ** 0.8 if 0 < t < 1 else 0.0
        edge.append((half, -1.0 + 1.6 * t, half))
    right = [(half + bend * math.sin(math.pi * (y + 1) / 1.6) + (0.03 if k % 2 else 0.0), y) for k,
        (half, y, _) in enumerate(edge)]
    left = [(-half + bend * math.sin(math.pi * (y + 1) / 1.6) - (0.03 if k % 2 else 0.0), y) for k,
        (half, y, _) in enumerate(edge)]
    blade = polygon(*right, *reversed(left[1:-1]))
    spine = [bend * math.sin(math.pi * t) for t in (0.0, 0.25, 0.5, 0.75, 1.0)]
    midrib = limb(*((x, 0.6 - 1.5 * t, 0.05 - 0.035 * t) for x, t in zip(reversed(spine), (0.0, 0.25, 0.5, 0.75, 1.0),
        strict=True)))
    veins = [midrib]
    for k in range(6):
        y = 0.4 - 0.2 * k
        half = width * math.sin(math.pi * ((y + 0.76) / 1.6) ** 0.85) ** 0.8
        x = bend * math.sin(math.pi * (y + 1) / 1.6)
        veins += [stroke(curve((x, y), (x + sign * half * 0.5, y - 0.08, x + sign * half * 0.86, y - 0.22),
            close=False), 0.022) for sign in (-1, 1)]
    return _leaf_parts(blade, veins, limb((0.0, 0.55, 0.05), (0.04, 0.8, 0.05), (0.12, 1.0, 0.07)), tone)


def maple_leaf(rng: random.Random, tone: RGB) -> list[Part]:
    """Five pointed lobes with teeth."""
    spread = rng.uniform(0.92, 1.04)
    right = [(0.0, -1.0), (0.12, -0.76), (0.26, -0.8), (0.2, -0.44), (0.3, -0.3), (0.52, -0.58), (0.6, -0.46),
        (0.88, -0.52), (0.8, -0.3), (0.98, -0.14), (0.68, 0.1),
             (0.72, 0.28), (0.44, 0.26), (0.2, 0.32), (0.04, 0.5)]
    blade = polygon(*((x * spread, y) for x, y in right), *((-x * spread, y) for x, y in reversed(right[1:])))
    veins = [limb((0.0, 0.46, 0.05), (0.0, -0.2, 0.035), (0.0, -0.88, 0.014))]
    for sign in (-1, 1):
        s = sign * spread
        veins += [limb((0.0, 0.42, 0.045), (s * 0.4, -0.02, 0.03), (s * 0.76, -0.4, 0.012)),
            limb((0.0, 0.42, 0.04), (s * 0.4, 0.24, 0.026), (s * 0.64, 0.24, 0.012))]
        veins += [line((0.0, -0.3), (s * 0.18, -0.66), width=0.018), line((s * 0.45, -0.07), (s * 0.86, -0.16),
            width=0.018), line((s * 0.38, 0.0), (s * 0.52, -0.46), width=0.016)]
    bend = rng.uniform(-0.16, 0.16)
    return _leaf_parts(blade, veins, limb((0.0, 0.44, 0.05), (bend * 0.3, 0.7, 0.045), (bend, 1.0, 0.06)), tone)


def oak_leaf(rng: random.Random, tone: RGB) -> list[Part]:
    """Rounded lobes."""
    lobes = [(0.26, -0.92), (0.14, -0.66), (0.44, -0.62), (0.46, -0.46), (0.18, -0.32), (0.58, -0.24), (0.58, -0.06),
        (0.22, 0.06), (0.46, 0.16), (0.42, 0.3), (0.12, 0.36), (0.06, 0.58)]
    lobes = [(x * rng.uniform(0.92, 1.1), y) for x, y in lobes]
    blade = smooth((0.0, -1.0), *lobes, *((-x, y + 0.03) for x, y in reversed(lobes)))
    veins = [limb((0.0, 0.56, 0.05), (0.02, -0.2, 0.035), (0.0, -0.9, 0.014))]
    for sign in (-1, 1):
        veins += [stroke(curve((0.0, y + 0.2), (sign * x * 0.5, y + 0.1, sign * x, y), close=False), 0.022) for x,
            y in ((0.36, -0.56), (0.46, -0.16), (0.34, 0.22), (0.16, -0.84))]
    return _leaf_parts(blade, veins, limb((0.0, 0.54, 0.06), (-0.04, 0.8, 0.05), (-0.12, 1.0, 0.07)), tone)


def heart_leaf(rng: random.Random, tone: RGB) -> list[Part]:
    """For evaluation: a split, heart-shaped leaf with a drip tip, turned a little."""
    wide = rng.uniform(0.78, 0.9)
    half = [(0.0, -0.42, 0), (0.2, -0.74), (0.56, -0.78), (wide, -0.4), (wide, 0.0), (wide * 0.8, 0.4), (0.36, 0.72),
        (0.0, 1.0, 0)]
    blade = smooth(*half, *((-x, *rest) for x, *rest in reversed(half[1:-1])))
    for sign in (-1, 1):
        for y in (-0.1, 0.26):
            notch = smooth((sign * 1.1, y - 0.08, 0), (sign * 0.5, y + 0.05), (sign * 0.36, y + 0.1),
                (sign * 0.5, y + 0.13), (sign * 1.1, y + 0.05, 0))
            blade = subtract(blade, notch)
    veins = [limb((0.0, -0.42, 0.05), (0.01, 0.2, 0.036), (0.0, 0.92, 0.012))]
    for sign in (-1, 1):
        veins += [stroke(curve((0.0, y), (sign * 0.3, y - 0.04, sign * x, end), close=False), 0.024) for y, x,
            end in ((-0.36, 0.52, -0.62), (-0.3, 0.7, -0.3), (-0.06, 0.64, 0.1), (0.22, 0.46, 0.46))]
    parts = _leaf_parts(blade, veins, limb((0.0, -0.42, 0.06), (0.06, -0.7, 0.05), (-0.02, -1.02, 0.07)), tone)
    angle = rng.uniform(12, 26)
    return [Part(transform(part.path, rotate=angle, scale=0.95), part.fill, part.shade) for part in parts]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "leaf": (beech_leaf, maple_leaf, oak_leaf, heart_leaf),
}
