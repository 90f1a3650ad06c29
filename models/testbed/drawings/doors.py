"""Drawings of a door; the last is for evaluation only."""

import random

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
    ellipse,
    intersect,
    polygon,
    rectangle,
    stroke,
)
from ._details import ROOM, SHADOW, STONE, arc, boxes, contrast, deeper, discs, gather, glare, ink, paler, pens, polar


def panelled_door(rng: random.Random, tone: RGB) -> list[Part]:
    """Panelled house door in a moulded frame with a knob, a letter slot and a step."""
    rows = rng.choice((2, 3))
    parts = [
        Part(boxes((-0.62, -1.0, 0.62, 1)), contrast(tone, WOOD, CREAM), "sideways"),
        Part(boxes((-0.54, -0.92, 0.54, 1)), SHADOW),
        Part(boxes((-0.5, -0.88, 0.5, 0.94)), BODY, "sideways"),
    ]
    height = 1.62 / rows
    sides = [(x, -0.78 + i * height, x + 0.36, -0.9 + (i + 1) * height) for i in range(rows) for x in (-0.41, 0.05)]
    return [
        *parts,
        Part(boxes(*sides), BODY, "dark"),
        Part(boxes(*[(a + 0.05, b + 0.05, c - 0.05, d - 0.05) for a, b, c, d in sides]), BODY, "light"),
        Part(pens(0.018, *[((a, d), (c, d), (c, b)) for a, b, c, d in sides]), (*paler(tone, 0.6), 190)),
        Part(pens(0.018, *[((a, d), (a, b), (c, b)) for a, b, c, d in sides]), (*ink(tone), 190)),
        Part(boxes((-0.52, -0.6, -0.48, -0.45), (-0.52, 0.0, -0.48, 0.15), (-0.52, 0.6, -0.48, 0.75)), METAL),
        Part(boxes((0.38, -0.02, 0.48, 0.26), radius=0.03), BRASS, "vertical"),
        Part(ellipse(0.43, 0.06, 0.055), (240, 210, 120), "sphere"),
        Part(discs((0.43, 0.19, 0.02)), DARK),
        Part(boxes((-0.5, 0.82, 0.5, 0.94)), BRASS, "vertical"),
        Part(boxes((-0.72, 0.93, 0.72, 1)), STONE, "vertical"),
    ]


def arched_door(rng: random.Random, tone: RGB) -> list[Part]:
    """Round-headed plank door with iron straps, studs and a ring, in a stone arch."""
    planks = rng.choice((5, 6, 7))
    leaf = polygon((-0.55, 0.94), (-0.55, -0.38), *arc(0, -0.38, 0.55, -90, 90), (0.55, 0.94))
    wall = polygon((-0.78, 1), (-0.78, -0.3), *arc(0, -0.3, 0.78, -90, 90), (0.78, 1))
    joints = [(polar(0, -0.35, 0.55, a), polar(0, -0.35, 0.78, a)) for a in range(-90, 91, 20)]
    joints += [((s * 0.55, y), (s * 0.78, y)) for s in (-1, 1) for y in (-0.1, 0.16, 0.42, 0.68)]
    seams = [((x, -0.9), (x, 0.94)) for x in [-0.55 + 1.1 * i / planks for i in range(1, planks)]]
    straps = [
        polygon((-0.55, y), (0.3, y - 0.02), (0.42, y + 0.045), (0.3, y + 0.11), (-0.55, y + 0.09))
        for y in (-0.36, 0.5)
    ]
    return [
        Part(wall, STONE, "vertical"),
        Part(pens(0.02, *joints), deeper(STONE, 0.35)),
        Part(leaf, BODY, "sideways"),
        Part(intersect(pens(0.022, *seams), leaf), ink(tone)),
        Part(stroke(leaf, 0.04), (*deeper(tone, 0.7), 160)),
        Part(gather(*straps), (56, 56, 60), "vertical"),
        Part(discs(*[(x, y + 0.045, 0.022) for x in (-0.44, -0.2, 0.04, 0.24) for y in (-0.36, 0.5)]), (150, 150, 154)),
        Part(boxes((0.32, 0.02, 0.48, 0.3), radius=0.02), (56, 56, 60), "vertical"),
        Part(stroke(ellipse(0.4, 0.2, 0.075), 0.03), (166, 166, 170)),
        Part(boxes((-0.14, -0.68, 0.14, -0.46)), (40, 40, 44)),
        Part(pens(0.02, ((-0.05, -0.68), (-0.05, -0.46)), ((0.05, -0.68), (0.05, -0.46))), METAL),
        Part(boxes((-0.86, 0.92, 0.86, 1)), STONE, "vertical"),
    ]


def glazed_doors(rng: random.Random, tone: RGB) -> list[Part]:
    """Pair of leaves, glass above and panels below, a fanlight on top."""
    bars = rng.choice((2, 3))
    panes = [(s * 0.34 - 0.2, -0.5, s * 0.34 + 0.2, 0.26) for s in (-1, 1)]
    cross = [((a, b + (d - b) * i / bars), (c, b + (d - b) * i / bars)) for a, b, c, d in panes for i in range(1, bars)]
    panels = [(s * 0.34 - 0.2, 0.42, s * 0.34 + 0.2, 0.82) for s in (-1, 1)]
    return [
        Part(boxes((-0.82, -0.98, 0.82, 1)), contrast(tone, STONE, CREAM), "sideways"),
        Part(boxes((-0.72, -0.9, 0.72, 0.96)), deeper(tone, 0.7)),
        Part(boxes((-0.68, -0.86, 0.68, -0.66)), ROOM, "glass"),
        Part(pens(0.025, *[((x, -0.86), (x, -0.66)) for x in (-0.34, 0, 0.34)]), contrast(tone, STONE, CREAM)),
        Part(boxes((-0.7, -0.62, -0.01, 0.96), (0.01, -0.62, 0.7, 0.96)), BODY, "vertical"),
        Part(boxes(*panes), ROOM, "glass"),
        Part(gather(*[glare(*p) for p in panes]), (255, 255, 255, 60)),
        Part(boxes(*[(a, b, c, b + 0.05) for a, b, c, _ in panes]), SHADOW),
        Part(pens(0.04, *cross, *[(((a + c) / 2, b), ((a + c) / 2, d)) for a, b, c, d in panes]), BODY),
        Part(boxes(*panels), BODY, "dark"),
        Part(pens(0.018, *[((a, d), (c, d), (c, b)) for a, b, c, d in panels]), (*paler(tone, 0.6), 190)),
        Part(pens(0.02, ((0, -0.62), (0, 0.96))), ink(tone)),
        Part(boxes((-0.1, 0.1, -0.05, 0.4), (0.05, 0.1, 0.1, 0.4), radius=0.02), BRASS, "cylinder"),
        Part(boxes((-0.92, 0.94, 0.92, 1)), STONE, "vertical"),
    ]


def stable_door(rng: random.Random, tone: RGB) -> list[Part]:
    """Door in two halves with Z-braces and long hinges, the upper half maybe ajar."""
    ajar = rng.choice((0.0, 0.14, 0.22))
    upper = polygon((-0.52, -0.86), (0.52 - ajar, -0.86 - ajar * 0.3), (0.52 - ajar, 0.0 + ajar * 0.3), (-0.52, 0.0))
    lower = rectangle(-0.52, 0.06, 0.52, 0.96)
    brace = contrast(tone, deeper(tone, 0.45), paler(tone, 0.25))
    seams = [((x, 0.06), (x, 0.96)) for x in (-0.26, 0, 0.26)] + [
        ((x * (1 - ajar / 2), -0.86), (x * (1 - ajar / 2), 0.0)) for x in (-0.26, 0, 0.26)
    ]
    bars = [((-0.46, 0.16), (0.46, 0.16)), ((-0.46, 0.86), (0.46, 0.86)), ((-0.44, 0.82), (0.44, 0.2))]
    bars += [
        ((-0.46, -0.76), (0.45 - ajar, -0.78)),
        ((-0.46, -0.1), (0.45 - ajar, -0.1)),
        ((-0.44, -0.14), (0.42 - ajar, -0.74)),
    ]
    return [
        Part(boxes((-0.68, -1, 0.68, 1)), WOOD, "sideways"),
        Part(pens(0.015, ((-0.6, -0.98), (-0.6, 0.98)), ((0.6, -0.98), (0.6, 0.98))), deeper(WOOD)),
        Part(boxes((-0.54, -0.88, 0.54, 0.98)), (32, 26, 24), "vertical"),
        Part(upper, BODY, "vertical"),
        Part(lower, BODY, "vertical"),
        Part(pens(0.018, *seams), (*ink(tone), 190)),
        Part(pens(0.12, *bars), (*deeper(tone, 0.6), 120)),
        Part(pens(0.095, *bars), BODY, "light"),
        Part(pens(0.012, *[((a[0], a[1] - 0.04), (b[0], b[1] - 0.04)) for a, b in bars]), (*brace, 190)),
        Part(pens(0.035, *[((-0.58, y), (-0.2, y)) for y in (-0.76, -0.1, 0.16, 0.86)]), (50, 50, 54)),
        Part(discs(*[(x, y, 0.025) for x in (-0.5, -0.3) for y in (-0.76, -0.1, 0.16, 0.86)]), METAL),
        Part(boxes((0.28, 0.42, 0.48, 0.5), radius=0.02), (50, 50, 54), "vertical"),
    ]


def porch_door(rng: random.Random, tone: RGB) -> list[Part]:
    """Modern door with side light, long pull handle and a canopy: for evaluation."""
    lights = rng.choice((3, 4))
    slots = [(-0.36, -0.62 + i * 1.36 / lights, -0.02, -0.62 + i * 1.36 / lights + 0.16) for i in range(lights)]
    return [
        Part(boxes((-0.66, -0.84, 0.86, 1)), (70, 72, 78), "sideways"),
        Part(boxes((-0.6, -0.78, 0.44, 0.94)), BODY, "vertical"),
        Part(pens(0.014, *[((-0.58, y), (0.42, y)) for y in (-0.42, -0.06, 0.3, 0.66)]), (*ink(tone), 150)),
        Part(boxes((-0.6, -0.78, 0.44, -0.66)), SHADOW),
        Part(boxes(*slots), ROOM, "glass"),
        Part(stroke(boxes(*slots), 0.025), METAL),
        Part(boxes((0.5, -0.78, 0.8, 0.94)), ROOM, "glass"),
        Part(glare(0.5, -0.78, 0.8, 0.94), (255, 255, 255, 70)),
        Part(boxes((0.28, -0.3, 0.34, 0.6), radius=0.03), METAL, "cylinder"),
        Part(discs((0.31, -0.2, 0.045), (0.31, 0.5, 0.045)), deeper(METAL, 0.3)),
        Part(polygon((-0.86, -0.84), (1.02, -0.84), (1.08, -1.0), (-0.92, -1.0)), (56, 58, 64), "vertical"),
        Part(boxes((-0.86, -0.84, 1.02, -0.8)), SHADOW),
        Part(boxes((-0.8, 0.93, 1.0, 1)), STONE, "vertical"),
        Part(boxes((-0.9, 0.66, -0.7, 1)), (150, 86, 58), "cylinder"),
        Part(ellipse(-0.8, 0.48, 0.19, 0.24), LEAF, "sphere"),
    ]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "door": (panelled_door, arched_door, glazed_doors, stable_door, porch_door),
}
