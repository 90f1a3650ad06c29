"""Drawings of an airplane; the last is for evaluation only."""

import random

from ..drawing import BODY, CREAM, DARK, METAL, RGB, WOOD, Drawing, Part, curve, ellipse, polygon, stroke, transform
from ._details import GLINT, PANE, boxes, contrast, discs, gather, ink, paler, pens, polar


def _jet_engine(x: float, y: float, length: float, width: float) -> list[Part]:
    return [
        Part(boxes((x - length, y - width, x + length, y + width), radius=width), BODY, "vertical"),
        Part(boxes((x + length * 0.66, y - width, x + length, y + width), radius=width * 0.7), METAL, "vertical"),
        Part(ellipse(x + length * 0.96, y, width * 0.3, width * 0.7), DARK),
    ]


def _portholes(xs: list[float], y: float, radius: float = 0.032) -> Part:
    return Part(discs(*[(x, y, radius) for x in xs]), (52, 70, 90))


def airliner(rng: random.Random, tone: RGB) -> list[Part]:
    """Airliner from the side: tail fin, swept wing, engine, windows."""
    shell = curve(
        (-1.42, -0.1),
        (-0.7, -0.24),
        (0.9, -0.24),
        (1.3, -0.22, 1.48, 0.06),
        (1.3, 0.26, 0.9, 0.26),
        (-0.5, 0.26),
        (-1.1, 0.2, -1.42, -0.1),
    )
    n = rng.choice((11, 13, 15))
    return [
        Part(polygon((-1.0, -0.14), (-1.5, -0.34), (-1.34, -0.36), (-0.8, -0.2)), BODY, "dark"),
        Part(polygon((0.3, -0.2), (-0.2, -0.62), (-0.08, -0.64), (0.62, -0.22)), BODY, "dark"),
        Part(curve((-0.76, -0.2), (-1.16, -0.84), (-1.42, -0.84), (-1.3, -0.12)), BODY, "vertical"),
        Part(
            polygon((-0.93, -0.46), (-1.06, -0.68), (-1.39, -0.68), (-1.35, -0.46)),
            contrast(tone, (60, 90, 150), CREAM),
            "vertical",
        ),
        Part(shell, BODY, "vertical"),
        Part(
            curve(
                (-1.3, 0.02),
                (-0.6, 0.09),
                (1.44, 0.09),
                (1.36, 0.26, 0.9, 0.26),
                (-0.5, 0.26),
                (-1.05, 0.2, -1.3, 0.02),
            ),
            BODY,
            "dark",
        ),
        Part(pens(0.045, ((-1.22, 0.02), (-0.6, 0.07), (1.44, 0.07))), contrast(tone, (60, 90, 150), CREAM)),
        Part(pens(0.03, ((-0.9, -0.19), (0.95, -0.2))), (255, 255, 255, 150)),
        _portholes([-0.75 + 1.65 * i / n for i in range(n)], -0.06),
        Part(curve((1.12, -0.14), (1.28, -0.12, 1.36, 0.0), (1.14, 0.0)), (46, 60, 78), "glass"),
        Part(
            pens(
                0.016,
                ((0.94, -0.12), (1.04, -0.12), (1.04, 0.14), (0.94, 0.14), (0.94, -0.12)),
                ((-0.96, -0.1), (-0.88, -0.1), (-0.88, 0.12), (-0.96, 0.12), (-0.96, -0.1)),
            ),
            (*ink(tone), 190),
        ),
        *_jet_engine(0.2, 0.46, 0.24, 0.11),
        Part(polygon((0.5, 0.12), (-0.02, 0.14), (-0.72, 0.66), (-0.52, 0.68)), BODY, "light"),
        Part(pens(0.016, ((0.42, 0.14), (-0.56, 0.66)), ((0.1, 0.2), (0.02, 0.3))), (*ink(tone), 150)),
    ]


def plane_from_above(rng: random.Random, tone: RGB) -> list[Part]:
    """Jet seen from above, flying up: two or four engines."""
    four = rng.random() < 0.5
    wing = lambda s: polygon((s * 0.12, -0.24), (s * 1.16, 0.42), (s * 1.18, 0.58), (s * 0.12, 0.3))  # noqa: E731
    tail = lambda s: polygon((s * 0.06, 0.62), (s * 0.48, 0.9), (s * 0.48, 1.0), (s * 0.06, 0.9))  # noqa: E731
    pods = [(s * x, y) for s in (-1, 1) for x, y in (((0.42, -0.12), (0.74, 0.08)) if four else ((0.46, -0.1),))]
    roundel = [(s * 0.7, 0.28, 0.1) for s in (-1, 1)]
    return [
        Part(boxes(*[(x - 0.07, y - 0.08, x + 0.07, y + 0.26) for x, y in pods], radius=0.06), METAL, "cylinder"),
        Part(wing(-1), BODY, "light"),
        Part(wing(1), BODY, "dark"),
        Part(tail(-1), BODY, "light"),
        Part(tail(1), BODY, "dark"),
        Part(
            pens(
                0.016,
                *[((s * 0.12, 0.2), (s * 1.1, 0.5)) for s in (-1, 1)],
                *[((s * x, 0.24 + 0.28 * x), (s * x, 0.3 + 0.22 * x)) for s in (-1, 1) for x in (0.4, 0.8)],
            ),
            (*ink(tone), 180),
        ),
        Part(pens(0.02, *[((s * 0.14, -0.21), (s * 1.14, 0.43)) for s in (-1, 1)]), (*paler(tone, 0.7), 200)),
        Part(discs(*roundel), contrast(tone, (60, 90, 150), CREAM)),
        Part(discs(*[(x, y, 0.045) for x, y, _ in roundel]), (200, 50, 50)),
        Part(
            curve(
                (0, -1.08),
                (0.16, -0.98, 0.17, -0.7),
                (0.17, 0.4),
                (0.1, 0.86, 0, 1.06),
                (-0.1, 0.86, -0.17, 0.4),
                (-0.17, -0.7),
                (-0.16, -0.98, 0, -1.08),
            ),
            BODY,
            "cylinder",
        ),
        Part(
            curve((-0.1, -0.86), (0, -0.98, 0.1, -0.86), (0.08, -0.76), (0, -0.82, -0.08, -0.76)), (46, 60, 78), "glass"
        ),
        Part(discs(*[(s * 0.12, -0.56 + 0.13 * i, 0.022) for s in (-1, 1) for i in range(8)]), (52, 70, 90)),
        Part(
            curve((0, 0.5), (0.035, 0.8, 0.03, 1.06), (-0.03, 1.06), (-0.035, 0.8, 0, 0.5)),
            contrast(tone, (60, 90, 150), CREAM),
        ),
    ]


def biplane(rng: random.Random, tone: RGB) -> list[Part]:
    """Biplane from the side: two wings on struts, open cockpit, propeller."""
    blade = rng.uniform(0, 50)
    blades = gather(
        *[transform(ellipse(0, -0.27, 0.055, 0.28), scale=(0.55, 1), rotate=r) for r in (blade, blade + 180)]
    )
    return [
        Part(pens(0.04, ((0.5, 0.24), (0.4, 0.66)), ((0.66, 0.22), (0.46, 0.66)), ((0.3, 0.2), (0.4, 0.66))), DARK),
        Part(
            curve(
                (-1.2, -0.1),
                (-0.3, -0.24),
                (0.7, -0.24),
                (1.05, -0.2, 1.06, 0.02),
                (1.05, 0.26, 0.7, 0.26),
                (-0.2, 0.24),
                (-1.2, 0.06),
            ),
            BODY,
            "vertical",
        ),
        Part(
            curve((-0.95, -0.1), (-1.1, -0.5, -1.24, -0.5), (-1.42, -0.44, -1.36, -0.02), (-1.2, 0.04)), BODY, "light"
        ),
        Part(polygon((-1.3, -0.02), (-0.8, -0.06), (-0.86, 0.06), (-1.36, 0.08)), BODY, "dark"),
        Part(curve((-0.26, -0.24), (-0.22, -0.1, 0.0, -0.14), (0.16, -0.16, 0.16, -0.24)), (50, 40, 36)),
        Part(ellipse(-0.1, -0.34, 0.1), (122, 84, 56), "sphere"),
        Part(polygon((0.12, -0.24), (0.18, -0.44), (0.24, -0.42), (0.2, -0.24)), PANE, "glass"),
        Part(boxes((-0.05, 0.2, 0.86, 0.32), radius=0.05), BODY, "vertical"),
        Part(pens(0.04, ((0.12, 0.24), (0.22, -0.6)), ((0.62, 0.24), (0.72, -0.6))), WOOD),
        Part(pens(0.012, ((0.12, 0.24), (0.72, -0.6)), ((0.62, 0.24), (0.22, -0.6))), METAL),
        Part(boxes((-0.02, -0.72, 0.98, -0.58), radius=0.06), BODY, "vertical"),
        Part(pens(0.02, ((0.02, -0.69), (0.92, -0.69))), GLINT),
        Part(boxes((0.86, -0.2, 0.94, 0.24)), METAL, "vertical"),
        Part(discs((0.74, -0.04, 0.05), (0.74, 0.12, 0.05)), (60, 60, 64)),
        Part(stroke(ellipse(-0.56, 0.02, 0.12), 0.04), contrast(tone)),
        Part(discs((-0.56, 0.02, 0.06)), (200, 50, 50)),
        Part(transform(blades, move=(1.12, 0.02)), WOOD, "vertical"),
        Part(ellipse(1.11, 0.02, 0.08), METAL, "sphere"),
        Part(ellipse(0.42, 0.68, 0.2), (34, 34, 36), "sphere"),
        Part(ellipse(0.42, 0.68, 0.09), METAL, "sphere"),
        Part(pens(0.016, ((-1.1, 0.0), (-0.3, 0.1)), ((0.5, -0.22), (0.5, 0.24))), (*ink(tone), 160)),
    ]


def plane_head_on(rng: random.Random, tone: RGB) -> list[Part]:
    """Propeller plane from the front with its wheels down."""
    turn, count = rng.uniform(0, 90), rng.choice((2, 3, 4))
    blades = [transform(ellipse(0, -0.26, 0.06, 0.28), rotate=turn + 360 * i / count) for i in range(count)]
    return [
        Part(pens(0.05, ((-0.18, 0.3), (-0.4, 0.7)), ((0.18, 0.3), (0.4, 0.7))), METAL),
        Part(boxes((-0.48, 0.54, -0.34, 0.86), (0.34, 0.54, 0.48, 0.86), radius=0.06), (34, 34, 36), "cylinder"),
        Part(polygon((-0.05, -0.4), (-0.03, -0.86), (0.03, -0.86), (0.05, -0.4)), BODY, "sideways"),
        Part(boxes((-0.5, -0.44, 0.5, -0.37), radius=0.03), BODY, "dark"),
        Part(polygon((0, -0.02), (-1.46, -0.16), (-1.5, -0.08), (-0.2, 0.22)), BODY, "vertical"),
        Part(polygon((0, -0.02), (1.46, -0.16), (1.5, -0.08), (0.2, 0.22)), BODY, "vertical"),
        Part(pens(0.025, ((-1.44, -0.14), (-0.3, 0.0)), ((1.44, -0.14), (0.3, 0.0))), (255, 255, 255, 130)),
        Part(discs((-1.47, -0.12, 0.05)), (215, 50, 50)),
        Part(discs((1.47, -0.12, 0.05)), (60, 190, 90)),
        Part(ellipse(0, 0.06, 0.36, 0.4), BODY, "sphere"),
        Part(
            curve((-0.26, -0.1), (-0.2, -0.38, 0, -0.38), (0.2, -0.38, 0.26, -0.1), (0, -0.18, -0.26, -0.1)),
            PANE,
            "glass",
        ),
        Part(pens(0.022, ((0, -0.37), (0, -0.16))), (60, 62, 66)),
        Part(ellipse(0, 0.12, 0.24), (54, 56, 60), "sphere"),
        Part(stroke(ellipse(0, 0.12, 0.25), 0.035), METAL),
        Part(
            pens(0.03, *[(polar(0, 0.12, 0.1, 36 * i), polar(0, 0.12, 0.2, 36 * i)) for i in range(10)]),
            (120, 122, 126),
        ),
        Part(transform(gather(*blades), move=(0, 0.12)), WOOD, "vertical"),
        Part(ellipse(0, 0.12, 0.1), contrast(tone, (200, 50, 50), CREAM), "sphere"),
    ]


def private_jet(rng: random.Random, tone: RGB) -> list[Part]:
    """Small jet climbing to the left: T-tail, engine at the rear, winglet: for evaluation."""
    n = rng.choice((5, 6, 7))
    parts = [
        Part(polygon((0.02, -0.18), (0.44, -0.5), (0.58, -0.5), (0.42, -0.18)), BODY, "dark"),
        Part(polygon((0.78, -0.14), (1.24, -0.72), (1.46, -0.74), (1.34, -0.02)), BODY, "vertical"),
        Part(polygon((1.04, -0.7), (1.5, -0.86), (1.62, -0.82), (1.46, -0.66)), BODY, "light"),
        Part(
            curve(
                (-1.48, 0.12),
                (-1.2, -0.12, -0.86, -0.2),
                (0.7, -0.22),
                (1.46, -0.1),
                (1.0, 0.14, 0.6, 0.22),
                (-0.9, 0.26),
                (-1.3, 0.24, -1.48, 0.12),
            ),
            BODY,
            "vertical",
        ),
        Part(
            curve(
                (-1.46, 0.13), (-0.6, 0.04, 1.2, 0.04), (0.9, 0.18, 0.6, 0.22), (-0.9, 0.26), (-1.3, 0.24, -1.46, 0.13)
            ),
            BODY,
            "dark",
        ),
        Part(pens(0.035, ((-1.4, 0.1), (-0.6, 0.05), (1.2, 0.02))), contrast(tone, (176, 60, 54), CREAM)),
        Part(curve((-1.2, -0.04), (-1.04, -0.15, -0.9, -0.17), (-0.84, -0.04), (-1.0, -0.02)), (46, 60, 78), "glass"),
        Part(pens(0.02, ((-1.03, -0.13), (-1.0, -0.03))), CREAM),
        Part(
            boxes(*[(-0.5 + 0.98 * i / n, -0.12, -0.4 + 0.98 * i / n, -0.02) for i in range(n)], radius=0.04),
            (52, 70, 90),
            "vertical",
        ),
        Part(
            pens(0.016, ((-0.72, -0.16), (-0.6, -0.16), (-0.6, 0.16), (-0.72, 0.16), (-0.72, -0.16))), (*ink(tone), 190)
        ),
        *[Part(transform(p.path, scale=(-1, 1)), p.fill, p.shade) for p in _jet_engine(-0.76, -0.16, 0.27, 0.13)],
        Part(
            polygon((-0.16, 0.16), (0.44, 0.14), (0.94, 0.52), (1.0, 0.36), (1.08, 0.36), (1.02, 0.6), (0.76, 0.6)),
            BODY,
            "light",
        ),
        Part(pens(0.016, ((0.0, 0.2), (0.8, 0.56))), (*ink(tone), 150)),
        Part(pens(0.025, ((-0.9, -0.17), (0.5, -0.18))), (255, 255, 255, 150)),
    ]
    climb = rng.uniform(8, 16)
    return [Part(transform(p.path, rotate=climb, scale=0.94, move=(0, 0.06)), p.fill, p.shade) for p in parts]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "airplane": (airliner, plane_from_above, biplane, plane_head_on, private_jet),
}
