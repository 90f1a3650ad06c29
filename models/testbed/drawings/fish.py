"""Drawings of fish."""

import random

from ..contours import SHADOW, darker, eye, lighter, smooth
from ..drawing import BODY, DARK, RGB, Drawing, Part, curve, ellipse, line, stroke, transform

# fmt: off
# Outlines read as rows of points; a formatter would put each point on a line of its own.

def _rays(*lines: tuple[tuple[float, float], tuple[float, float]], width: float = 0.022) -> list[Part]:
    """Fin or feather rays: thin shadows over the body."""
    return [Part(line(a, b, width=width), SHADOW) for a, b in lines]


def _gill(x: float, top: float, bottom: float) -> Part:
    return Part(stroke(curve((x, top), (x + 0.12, (top + bottom) / 2, x, bottom), close=False), 0.03), SHADOW)


def goldfish(rng: random.Random, tone: RGB) -> list[Part]:
    """Side view, head left, flowing double tail."""
    flow = rng.uniform(-0.08, 0.12)
    back = rng.uniform(-0.5, -0.42)
    tail = smooth((0.32, -0.06), (0.62, -0.5 + flow), (1.0, -0.75, 0), (0.86, -0.3), (0.98, 0.02 + flow, 0),
                  (0.86, 0.3), (0.98, 0.74, 0), (0.6, 0.5), (0.32, 0.1))
    dorsal = smooth((-0.42, -0.34, 0), (-0.22, -0.84), (0.12, -0.78), (0.34, -0.62, 0), (0.3, -0.18, 0))
    belly_fin = smooth((-0.2, 0.4, 0), (-0.3, 0.7), (-0.02, 0.86, 0), (0.06, 0.42, 0))
    anal = smooth((0.16, 0.34, 0), (0.2, 0.62), (0.44, 0.66, 0), (0.36, 0.16, 0))
    trunk = smooth((-1.0, 0.02), (-0.82, -0.24), (-0.4, back), (0.1, -0.36), (0.46, -0.1), (0.46, 0.12),
                   (0.1, 0.4), (-0.4, 0.5), (-0.82, 0.26))
    belly = smooth((-0.86, 0.24, 0), (-0.4, 0.3), (0.1, 0.28), (0.44, 0.12, 0), (0.1, 0.39), (-0.4, 0.49))
    fin = smooth((-0.3, 0.1), (-0.06, 0.06), (0.14, 0.26), (-0.04, 0.3))
    parts = [Part(tail, BODY, "sideways"), Part(dorsal, BODY, "dark"), Part(belly_fin, BODY, "dark")]
    parts += [Part(anal, BODY, "dark")]
    parts += _rays(((0.5, -0.08), (0.86, -0.5)), ((0.52, -0.04), (0.84, -0.2)), ((0.52, 0.06), (0.82, 0.24)),
                   ((0.5, 0.1), (0.84, 0.52)), ((-0.2, -0.44), (-0.12, -0.74)), ((0.02, -0.4), (0.1, -0.72)))
    parts += [Part(trunk, BODY, "sphere"), Part(belly, (255, 255, 255, 70)), _gill(-0.52, -0.3, 0.32)]
    parts += [Part(fin, darker(tone, 0.25), "sideways"), Part(line((-0.98, 0.1), (-0.84, 0.12), width=0.03), DARK)]
    return parts + eye(-0.74, -0.1, 0.09, (240, 205, 90))


def angelfish(rng: random.Random, tone: RGB) -> list[Part]:
    """Tall flat tropical fish with long trailing fins and dark bands."""
    reach = rng.uniform(0.6, 0.85)
    top = smooth((-0.35, -0.4, 0), (-0.05, -0.85), (reach, -1.0, 0), (0.3, -0.6), (0.42, -0.2, 0))
    bottom = transform(top, scale=(1, -1))
    tail = smooth((0.45, -0.14), (0.75, -0.3), (1.0, -0.42, 0), (0.88, 0.0), (1.0, 0.42, 0), (0.75, 0.3),
        (0.45, 0.14))
    feeler = smooth((-0.35, 0.45, 0), (-0.28, 0.75), (-0.05, 1.0, 0), (-0.18, 0.7), (-0.22, 0.45, 0))
    trunk = smooth((-0.98, 0.06), (-0.74, -0.18), (-0.4, -0.5), (-0.02, -0.56), (0.4, -0.24), (0.56, -0.1),
                   (0.56, 0.12), (0.4, 0.26), (0.0, 0.58), (-0.4, 0.52), (-0.76, 0.24))
    # Translucent: a plain fish must not read as a striped one.
    dark = (0, 0, 0, 80)
    shift = rng.uniform(-0.04, 0.06)
    bands = [
        smooth((-0.44, -0.5, 0), (-0.34, -0.54, 0), (-0.42, 0.0), (-0.36, 0.53, 0), (-0.46, 0.49, 0), (-0.53, 0.0)),
        smooth((0.06 + shift, -0.53, 0), (0.2 + shift, -0.43, 0), (0.12 + shift, 0.0), (0.19 + shift, 0.45, 0),
               (0.05 + shift, 0.55, 0), (0.0 + shift, 0.0)),
    ]
    parts = [Part(top, BODY, "sideways"), Part(bottom, BODY, "sideways"), Part(tail, BODY, "light")]
    parts += _rays(((0.1, -0.52), (reach - 0.2, -0.85)), ((0.2, -0.45), (0.3, -0.7)),
        ((0.1, 0.52), (reach - 0.2, 0.85)),
                   ((0.2, 0.45), (0.3, 0.7)), ((0.62, -0.1), (0.86, -0.24)), ((0.62, 0.1), (0.86, 0.24)))
    parts += [Part(feeler, lighter(tone), "vertical"), Part(trunk, BODY, "sphere"),
        *(Part(band, dark) for band in bands)]
    parts += [Part(smooth((-0.26, 0.1), (-0.06, 0.0), (0.02, 0.14), (-0.1, 0.26)), lighter(tone, 0.4), "sideways")]
    return [*parts, Part(line((-0.97, 0.1), (-0.86, 0.13), width=0.03), DARK),
        *eye(-0.66, -0.08, 0.08, (235, 190, 60))]


def trout(rng: random.Random, tone: RGB) -> list[Part]:
    """Long river fish with a pale belly and small fins."""
    fork = rng.uniform(0.78, 0.88)
    deep = rng.uniform(0.3, 0.38)
    tail = smooth((0.6, -0.06), (0.8, -0.2), (1.0, -0.44, 0), (fork, 0.0), (1.0, 0.44, 0), (0.8, 0.2), (0.6, 0.08))
    dorsal = smooth((-0.16, -deep + 0.04, 0), (-0.08, -deep - 0.26, 0), (0.16, -deep - 0.14), (0.22, -0.2, 0))
    adipose = smooth((0.4, -0.16, 0), (0.46, -0.27), (0.54, -0.22), (0.5, -0.1, 0))
    fins = [smooth((x, y, 0), (x + 0.1, y + 0.24, 0), (x + 0.24, y + 0.2), (x + 0.16, y - 0.02, 0))
            for x, y in ((-0.1, deep - 0.06), (0.28, 0.18))]
    trunk = smooth((-1.0, 0.04), (-0.82, -0.16), (-0.5, -deep), (0.0, -deep), (0.5, -0.12), (0.68, -0.08),
                   (0.68, 0.1), (0.5, 0.14), (0.0, deep), (-0.5, deep), (-0.84, 0.2))
    belly = smooth((-0.92, 0.14, 0), (-0.5, 0.15), (0.0, 0.14), (0.62, 0.08, 0), (0.4, 0.18), (0.0, deep),
        (-0.5, deep),
                   (-0.8, 0.22))
    parts = [Part(tail, BODY, "sideways"), Part(dorsal, BODY, "dark"), Part(adipose, BODY, "dark")]
    parts += [Part(fin, darker(tone, 0.3)) for fin in fins]
    parts += _rays(((0.7, -0.04), (0.92, -0.28)), ((0.7, 0.06), (0.92, 0.28)), ((-0.06, -deep), (-0.04, -deep - 0.2)))
    parts += [Part(trunk, BODY, "vertical"), Part(belly, lighter(tone, 0.75), "vertical")]
    parts += [Part(stroke(curve((-0.5, -0.02), (0.1, 0.05, 0.66, 0.01), close=False), 0.022), SHADOW)]
    spots = [(rng.uniform(-0.4, 0.4), rng.uniform(-0.22, -0.05)) for _ in range(rng.randint(6, 10))]
    parts += [Part(ellipse(x, y, 0.028), darker(tone, 0.6)) for x, y in spots]
    parts += [_gill(-0.6, -0.24, 0.26), Part(line((-0.98, 0.1), (-0.8, 0.12), width=0.028), DARK)]
    parts += [Part(smooth((-0.5, 0.1), (-0.3, 0.08), (-0.18, 0.2), (-0.36, 0.2)), darker(tone, 0.2), "vertical")]
    return parts + eye(-0.78, -0.02, 0.065, (230, 200, 110))


def leaping_fish(rng: random.Random, tone: RGB) -> list[Part]:
    """For evaluation: a bent, leaping fish, head up to the right, tail fin below."""
    bend = rng.uniform(-0.06, 0.06)
    trunk = smooth((0.8, -0.82), (0.86, -0.62), (0.72, -0.26), (0.4, 0.12), (-0.06, 0.36), (-0.46, 0.42),
        (-0.6, 0.34),
                   (-0.52, 0.18), (-0.3 + bend, -0.12), (-0.02, -0.5 + bend), (0.34, -0.78), (0.62, -0.88))
    belly = smooth((0.84, -0.7, 0), (0.72, -0.26), (0.4, 0.12), (-0.06, 0.36), (-0.5, 0.42, 0), (-0.1, 0.2),
        (0.24, -0.06),
                   (0.54, -0.4))
    tail = smooth((-0.48, 0.2), (-0.72, 0.2), (-1.0, -0.02, 0), (-0.84, 0.42), (-0.86, 0.94, 0), (-0.62, 0.7),
        (-0.44, 0.42))
    dorsal = smooth((-0.02, -0.44, 0), (-0.3, -0.62, 0), (-0.46, -0.24), (-0.26, -0.12, 0))
    lower = smooth((0.14, 0.24, 0), (0.24, 0.56, 0), (-0.02, 0.52), (-0.1, 0.34, 0))
    pectoral = smooth((0.4, -0.34), (0.46, -0.02), (0.3, 0.14), (0.24, -0.16))
    parts = [Part(tail, BODY, "dark"), Part(dorsal, BODY, "dark"), Part(lower, BODY, "dark")]
    parts += _rays(((-0.58, 0.3), (-0.86, 0.14)), ((-0.58, 0.36), (-0.78, 0.44)), ((-0.54, 0.4), (-0.78, 0.76)),
                   ((-0.1, -0.38), (-0.28, -0.5)), ((-0.2, -0.26), (-0.36, -0.34)))
    parts += [Part(trunk, BODY, "sphere"), Part(belly, lighter(tone, 0.7), "sideways")]
    parts += [Part(stroke(curve((0.36, -0.72), (0.56, -0.56, 0.48, -0.3), close=False), 0.03), SHADOW)]
    parts += [Part(pectoral, darker(tone, 0.3), "vertical"), Part(stroke(curve((0.85, -0.7),
        (0.76, -0.72, 0.7, -0.62), close=False), 0.026), DARK)]
    return parts + eye(0.6, -0.72, 0.075, (240, 205, 90))


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "fish": (goldfish, angelfish, trout, leaping_fish),
}
