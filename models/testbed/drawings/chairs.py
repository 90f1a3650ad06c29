"""Drawings of chairs."""

import random

from ..contours import GLINT, SHADOW, limb, mirrored, smooth
from ..drawing import (
    BODY,
    CREAM,
    DARK,
    METAL,
    RGB,
    WOOD,
    Drawing,
    Part,
    curve,
    ellipse,
    line,
    mix,
    polygon,
    rectangle,
    stroke,
    transform,
)

# fmt: off
# Outlines read as rows of points; a formatter would put each point on a line of its own.

def dining_chair(rng: random.Random, tone: RGB) -> list[Part]:
    """Slatted back and wooden legs, three-quarter view."""
    top = rng.uniform(-1.0, -0.9)

    def leg(x0: float, y0: float, x1: float, y1: float, shade: str) -> Part:
        return Part(polygon((x0 - 0.07, y0), (x0 + 0.07, y0), (x1 + 0.05, y1), (x1 - 0.05, y1)), BODY, shade)

    parts = [leg(0.5, 0.0, 0.6, 0.86, "dark"), leg(-0.36, 0.0, -0.42, 0.84, "dark"),
        Part(line((-0.56, 0.56), (-0.4, 0.5), width=0.06), BODY, "dark"),
        Part(line((0.36, 0.62), (0.58, 0.52), width=0.06), BODY, "dark")]
    parts += [Part(smooth((x - 0.075, top, 0), (x + 0.075, top, 0), (x * 0.96 + 0.075, -0.4),
        (x * 0.94 + 0.075, 0.04, 0), (x * 0.94 - 0.075, 0.04, 0), (x * 0.96 - 0.075, -0.4)), BODY,
        "cylinder") for x in (-0.44, 0.52)]
    slats = rng.randint(3, 4)
    for k in range(slats):
        y = top + 0.06 + k * 0.74 / slats
        parts.append(Part(smooth((-0.42, y, 0), (0.04, y - 0.05), (0.5, y, 0), (0.5, y + 0.13, 0), (0.04, y + 0.08),
            (-0.42, y + 0.13, 0)), BODY, "vertical"))
    parts += [Part(polygon((-0.44, -0.02), (0.54, -0.02), (0.66, 0.26), (-0.66, 0.26)), BODY, "light"),
        Part(polygon((-0.38, -0.02), (0.48, -0.02), (0.56, 0.18), (-0.56, 0.18)), mix(CREAM, WOOD, 0.25), "vertical")]
    parts += [Part(polygon((-0.66, 0.26), (0.66, 0.26), (0.65, 0.38), (-0.65, 0.38)), BODY, "dark"),
        leg(-0.56, 0.3, -0.6, 1.0, "sideways"), leg(0.58, 0.3, 0.64, 1.0, "sideways"),
        Part(line((-0.56, 0.72), (0.6, 0.72), width=0.07), BODY, "vertical")]
    # Joints, worn edges and the shadow of the cushion.
    parts += [Part(ellipse(x, 0.32, 0.022), SHADOW) for x in (-0.58, 0.58)]
    parts += [Part(line((x, top + 0.06), (x, -0.1), width=0.02), GLINT) for x in (-0.47, 0.49)]
    return parts


def armchair(rng: random.Random, tone: RGB) -> list[Part]:
    """Upholstered, front view, buttons and wooden feet."""
    top = rng.uniform(-0.96, -0.8)
    back = smooth((-0.66, 0.3, 0), (-0.72, -0.4), (-0.62, top + 0.12), (-0.3, top), (0.3, top), (0.62, top + 0.12),
        (0.72, -0.4), (0.66, 0.3, 0))
    arm = smooth((0.56, 0.78, 0), (0.52, 0.3), (0.56, -0.02), (0.78, -0.12), (0.98, -0.02), (1.0, 0.3),
        (0.96, 0.86, 0), (0.56, 0.86, 0))
    parts = [Part(rectangle(x - 0.07, 0.8, x + 0.07, 1.0, 0.02), WOOD, "cylinder") for x in (-0.78, 0.78)]
    parts += [Part(back, BODY, "sphere"), Part(stroke(curve((-0.58, 0.2), (-0.62, top + 0.14, -0.3, top + 0.1),
        (0.3, top + 0.1), (0.62, top + 0.14, 0.58, 0.2), close=False), 0.02), SHADOW)]
    for x, y in ((-0.3, -0.5), (0.0, -0.5), (0.3, -0.5), (-0.15, -0.22), (0.15, -0.22)):
        parts += [Part(ellipse(x, y, 0.05), SHADOW), Part(ellipse(x - 0.008, y - 0.01, 0.034), BODY, "light")]
    parts += [Part(rectangle(-0.62, 0.44, 0.62, 0.86, 0.06), BODY, "vertical"),
        Part(rectangle(-0.58, 0.46, 0.58, 0.52, 0.03), SHADOW), Part(rectangle(-0.6, 0.1, 0.6, 0.48, 0.14), BODY,
        "light"), Part(line((-0.52, 0.4), (0.52, 0.4), width=0.02), SHADOW)]
    for path in (arm, mirrored(arm)):
        parts.append(Part(path, BODY, "cylinder"))
    parts += [Part(stroke(ellipse(x, 0.1, 0.14, 0.16), 0.02), SHADOW) for x in (-0.77, 0.77)]
    return parts


def office_chair(rng: random.Random, tone: RGB) -> list[Part]:
    """Swivel chair on a star foot with castors."""
    top = rng.uniform(-1.0, -0.88)
    parts = [Part(limb((0, 0.62, 0.1), (x * 0.5, 0.74, 0.08), (x, 0.86, 0.06)), DARK, "vertical") for x in (-0.6, 0.6,
        -0.26, 0.28)]
    parts += [Part(ellipse(x, y, 0.08), (70, 70, 74), "sphere") for x, y in ((-0.6, 0.92), (0.6, 0.92), (-0.26, 0.93),
        (0.28, 0.93), (0, 0.92))]
    parts += [Part(line((0, 0.3), (0, 0.66), width=0.12), METAL, "cylinder"),
        Part(line((0, 0.62), (0, 0.86), width=0.09), DARK)]
    for sign in (-1, 1):
        parts += [Part(stroke(curve((sign * 0.46, 0.26), (sign * 0.8, 0.3), (sign * 0.76, -0.12), close=False), 0.07),
            DARK), Part(limb((sign * 0.66, -0.14, 0.1), (sign * 0.86, -0.14, 0.1)), DARK, "vertical")]
    back = smooth((-0.4, 0.02), (-0.52, -0.3), (-0.54, -0.7), (-0.36, top + 0.02), (0, top), (0.36, top + 0.02),
        (0.54, -0.7), (0.52, -0.3), (0.4, 0.02), (0, 0.06))
    parts += [Part(line((0, -0.1), (0, 0.3), width=0.14), DARK), Part(back, BODY, "sphere"),
        Part(stroke(transform(back, scale=0.84, move=(0, -0.08)), 0.022), SHADOW)]
    parts += [Part(stroke(curve((-0.46, y), (0, y + 0.06, 0.46, y), close=False), 0.022), SHADOW) for y in (-0.62,
        -0.34)]
    seat = smooth((-0.62, 0.2), (-0.4, 0.06), (0.4, 0.06), (0.62, 0.2), (0.56, 0.36), (0.3, 0.4), (-0.3, 0.4),
        (-0.56, 0.36))
    return [*parts, Part(seat, BODY, "vertical"), Part(stroke(curve((-0.58, 0.26), (0, 0.36, 0.58, 0.26),
        close=False), 0.024), SHADOW)]


def rocking_chair(rng: random.Random, tone: RGB) -> list[Part]:
    """For evaluation: side view on curved runners, leaning spindle back and cushion."""
    lean = rng.uniform(0.0, 0.1)

    def pole(*points: tuple[float, ...], width: float = 0.09, shade: str = "sideways") -> Part:
        return Part(stroke(curve(points[0][:2], *points[1:], close=False), width), BODY, shade)  # type: ignore[arg-type]

    back_top, seat_back = (0.7 + lean, -0.96), (0.4, 0.24)
    parts = [pole((-0.98, 0.72), (-0.6, 1.02, 0.1, 0.94), (0.7, 0.9, 1.02, 0.62), width=0.1, shade="vertical")]
    parts += [pole((0.44, 0.3), (0.56, 0.86)), pole((-0.44, 0.3), (-0.54, 0.88)),
        pole((-0.5, 0.62), (0.52, 0.6), width=0.05)]
    parts += [Part(polygon((0.36, 0.2), (0.5, 0.22), (back_top[0] + 0.12, -0.86), (back_top[0] - 0.1, -0.96)), BODY,
        "light")]
    parts += [pole((seat_back[0] + d, 0.22), (back_top[0] + d, -0.9), width=0.06) for d in (-0.08, 0.1)]
    parts += [Part(limb((0.56 + lean, -0.94, 0.14), (0.84 + lean, -0.92, 0.16)), BODY, "vertical")]
    parts += [pole((-0.5, 0.26), (-0.56, -0.18), width=0.08), pole((-0.72, -0.14), (-0.3, -0.26, 0.52, -0.16),
        width=0.1, shade="vertical"), pole((0.0, 0.2), (-0.04, -0.18), width=0.05)]
    parts += [Part(smooth((-0.66, 0.2, 0), (0.0, 0.14), (0.56, 0.2, 0), (0.54, 0.38, 0), (0.0, 0.34),
        (-0.64, 0.38, 0)), BODY, "vertical")]
    parts += [Part(smooth((-0.6, 0.14), (-0.56, 0.04), (0.2, 0.02), (0.46, 0.08), (0.46, 0.2), (-0.56, 0.22)), BODY,
        "light")]
    parts += [Part(limb((0.38, 0.0, 0.16), (0.5 + lean * 0.4, -0.4, 0.2), (0.58 + lean * 0.8, -0.72, 0.14)), BODY,
        "light")]
    parts += [Part(ellipse(x, y, 0.024), SHADOW) for x, y in ((0.42, -0.16), (0.48, -0.42), (0.54, -0.68))]
    parts += [Part(line((-0.54, 0.14), (0.4, 0.12), width=0.02), SHADOW)]
    parts += [Part(stroke(curve((-0.6, 0.86), (0.0, 0.98, 0.7, 0.82), close=False), 0.022), GLINT)]
    return parts


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "chair": (dining_chair, armchair, office_chair, rocking_chair),
}
