"""Drawings of a star; the last is for evaluation only."""

import random

from ..drawing import BODY, CREAM, DARK, RGB, Drawing, Part, annulus, ellipse, polygon, star_path, stroke, transform
from ._details import GLINT, arc, contrast, discs, gather, ink, lettering, paler, pens, polar


def faceted_star(rng: random.Random, tone: RGB) -> list[Part]:
    """Five points, each with a lit and a shaded facet."""
    inner = rng.uniform(0.4, 0.48)
    lit, shaded = [], []
    for i in range(5):
        tip = polar(0, 0.08, 1.06, 72 * i)
        lit.append(polygon((0, 0.08), polar(0, 0.08, inner, 72 * i - 36), tip))
        shaded.append(polygon((0, 0.08), tip, polar(0, 0.08, inner, 72 * i + 36)))
    ridges = pens(0.015, *[((0, 0.08), polar(0, 0.08, r, 36 * i)) for i, r in enumerate([1.05, inner] * 5)])
    return [
        Part(gather(*lit), BODY, "light"),
        Part(gather(*shaded), BODY, "dark"),
        Part(ridges, (*paler(tone, 0.7), 160)),
    ]


def plump_star(rng: random.Random, tone: RGB) -> list[Part]:
    """Soft rounded star with a stitched edge."""
    core = star_path(5, 0.8, rng.uniform(0.42, 0.5), 0, 0.08)
    return [
        Part(stroke(core, 0.4), BODY, "sphere"),
        Part(core, BODY, "sphere"),
        Part(stroke(core, 0.03), (*ink(tone), 150)),
        Part(transform(ellipse(0, 0, 0.06, 0.16), rotate=20, move=(-0.14, -0.62)), (255, 255, 255, 150)),
        Part(transform(ellipse(0, 0, 0.05, 0.15), rotate=-60, move=(-0.66, -0.22)), GLINT),
        Part(discs((-0.16, 0.04, 0.07), (0.16, 0.04, 0.07)), ink(tone)),
        Part(pens(0.045, arc(0, 0.08, 0.2, 130, 230)), ink(tone)),
    ]


def badge_star(rng: random.Random, tone: RGB) -> list[Part]:
    """Sheriff's badge: knobs on the points, an engraved disc."""
    count = rng.choice((6, 7))
    knobs = [(*polar(0, 0, 0.88, 360 * i / count), 0.1) for i in range(count)]
    body = star_path(count, 0.88, 0.5)
    return [
        Part(gather(*[ellipse(*knob) for knob in knobs]), BODY, "vertical"),
        Part(body, BODY, "vertical"),
        Part(stroke(body, 0.03), (*ink(tone), 170)),
        Part(stroke(star_path(count, 0.74, 0.44), 0.02), paler(tone, 0.6)),
        Part(annulus(0, 0, 0.4, 0.35), ink(tone)),
        Part(lettering("STAR", 0.14, 0, 0), ink(tone)),
        Part(discs(*[(x - 0.03, y - 0.03, 0.035) for x, y, _ in knobs]), (255, 255, 255, 170)),
    ]


def compass_star(rng: random.Random, tone: RGB) -> list[Part]:
    """Eight-pointed star: four long points over four short ones."""
    short = rng.uniform(0.55, 0.68)
    parts = []
    for offset, reach, waist in ((45, short, 0.26), (0, 1.05, 0.24)):
        for i in range(4):
            a = offset + 90 * i
            tip = polar(0, 0, reach, a)
            parts += [Part(polygon((0, 0), polar(0, 0, waist, a - 45), tip), BODY, "light" if offset == 0 else "flat")]
            parts += [Part(polygon((0, 0), tip, polar(0, 0, waist, a + 45)), BODY, "dark")]
    return [*parts, Part(ellipse(0, 0, 0.09), contrast(tone), "sphere")]


def rimmed_star(rng: random.Random, tone: RGB) -> list[Part]:
    """Flat star with a broad pale rim, tipped to one side: for evaluation."""
    tilt = rng.uniform(12, 28) * rng.choice((-1, 1))
    outer, middle = star_path(5, 0.98, 0.5, 0, 0.04), star_path(5, 0.72, 0.37, 0, 0.04)
    parts = [
        Part(stroke(outer, 0.06), contrast(tone)),
        Part(outer, contrast(tone, DARK, CREAM), "vertical"),
        Part(star_path(5, 0.9, 0.46, 0, 0.04), BODY, "vertical"),
        Part(stroke(middle, 0.04), paler(tone, 0.7)),
        Part(star_path(5, 0.7, 0.36, 0, 0.04), BODY, "sphere"),
    ]
    return [Part(transform(p.path, rotate=tilt), p.fill, p.shade) for p in parts]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "star": (faceted_star, plump_star, badge_star, compass_star, rimmed_star),
}
