"""Drawings of screens."""

import random

import skia

from ..contours import GLINT, darker, limb, smooth, turn
from ..drawing import BODY, DARK, METAL, RGB, WOOD, Drawing, Part, ellipse, line, polygon, rectangle, stroke, transform

# fmt: off
# Outlines read as rows of points; a formatter would put each point on a line of its own.

def _picture(path: skia.Path) -> list[Part]:
    """A lit display with a diagonal reflection."""
    return [Part(path, BODY, "glass")]


def desktop_monitor(rng: random.Random, tone: RGB) -> list[Part]:
    """Thin bezel, neck and foot, taskbar icons."""
    low = rng.uniform(0.44, 0.54)
    shell: RGB = rng.choice(((44, 44, 48), (206, 208, 212)))
    parts = [Part(polygon((-0.12, low), (0.12, low), (0.17, 0.9), (-0.17, 0.9)), darker(METAL, 0.3), "cylinder"),
        Part(smooth((-0.5, 0.96), (-0.4, 0.9), (0.4, 0.9), (0.5, 0.96), (0.44, 1.0), (-0.44, 1.0)), METAL,
        "vertical")]
    parts += [Part(rectangle(-1.0, -0.86, 1.0, low + 0.12, 0.05), shell, "vertical"),
        *_picture(rectangle(-0.93, -0.79, 0.93, low, 0.015)), Part(ellipse(0.84, low + 0.06, 0.02), (90, 220, 120))]
    parts += [Part(rectangle(-0.93, low - 0.1, 0.93, low), (20, 24, 34, 150))] + [Part(rectangle(x, low - 0.08,
        x + 0.06, low - 0.02, 0.01), fill) for x, fill in ((-0.88, (240, 240, 245)), (-0.78, (250, 190, 60)),
        (-0.68, (110, 200, 120)))]
    parts += [Part(rectangle(-0.84, -0.7 + 0.2 * k, -0.74, -0.6 + 0.2 * k, 0.02),
        (250, 250, 250, 190)) for k in range(rng.randint(2, 4))]
    return [*parts, Part(polygon((0.3, -0.79), (0.7, -0.79), (0.1, low - 0.1), (-0.3, low - 0.1)),
        (255, 255, 255, 30)), Part(ellipse(0, -0.825, 0.014), (90, 90, 96))]


def retro_television(rng: random.Random, tone: RGB) -> list[Part]:
    """Wooden set with a bulging tube, knobs, aerial and legs."""
    spread = rng.uniform(0.34, 0.5)
    parts = [Part(line((sign * 0.06, -0.6), (sign * spread, -1.02), width=0.03), METAL) for sign in (-1,
        1)] + [Part(ellipse(sign * spread, -1.02, 0.035), METAL, "sphere") for sign in (-1, 1)]
    parts += [Part(smooth((-0.2, -0.56, 0), (0, -0.7), (0.2, -0.56, 0)), DARK,
        "vertical")] + [Part(limb((sign * 0.6, 0.74, 0.1), (sign * 0.74, 0.98, 0.06)), DARK) for sign in (-1, 1)]
    parts += [Part(rectangle(-1.0, -0.58, 1.0, 0.8, 0.12), WOOD, "vertical"),
        Part(stroke(rectangle(-0.97, -0.55, 0.97, 0.77, 0.1), 0.025), (72, 44, 26)),
        Part(rectangle(0.56, -0.46, 0.92, 0.68, 0.05), (196, 178, 144), "vertical")]
    tube = smooth((-0.16, -0.46), (0.3, -0.44), (0.46, -0.36), (0.48, 0.1), (0.46, 0.58), (0.3, 0.66), (-0.16, 0.68),
        (-0.68, 0.66), (-0.86, 0.58), (-0.88, 0.1), (-0.86, -0.36), (-0.68, -0.44))
    parts += [Part(tube, DARK), *_picture(transform(tube, scale=0.91, move=(-0.018, 0.012))),
        Part(turn(ellipse(-0.56, -0.2, 0.2, 0.07), -30, -0.56, -0.2), GLINT)]
    for y in (-0.28, 0.02):
        parts += [Part(ellipse(0.74, y, 0.11), DARK, "sphere"), Part(turn(line((0.74, y - 0.08), (0.74, y),
            width=0.03), rng.uniform(-80, 80), 0.74, y), METAL)]
    return parts + [Part(line((0.63, y), (0.85, y), width=0.03), (110, 96, 72)) for y in (0.26, 0.35, 0.44, 0.53)]


def laptop(rng: random.Random, tone: RGB) -> list[Part]:
    """Open notebook computer with keys."""
    wide = rng.uniform(0.78, 0.86)
    parts = [Part(polygon((-wide, -0.8), (wide, -0.8), (wide - 0.02, 0.42), (-wide + 0.02, 0.42)), DARK, "vertical"),
        *_picture(polygon((-wide + 0.07, -0.72), (wide - 0.07, -0.72), (wide - 0.08, 0.34), (-wide + 0.08, 0.34)))]
    parts += [Part(rectangle(-0.5, -0.5, 0.26, 0.14, 0.03), (250, 250, 250, 60)),
        Part(rectangle(-0.5, -0.5, 0.26, -0.42, 0.02), (250, 250, 250, 150)),
        Part(rectangle(-0.3, -0.3, 0.46, 0.26, 0.03), (20, 20, 30, 60))]
    parts += [Part(polygon((-wide + 0.02, 0.42), (wide - 0.02, 0.42), (1.0, 0.92), (-1.0, 0.92)), METAL, "vertical"),
        Part(polygon((-1.0, 0.92), (1.0, 0.92), (0.96, 1.0), (-0.96, 1.0)), darker(METAL, 0.4))]
    for row in range(4):
        y, half = 0.48 + 0.075 * row, wide - 0.1 + 0.03 * row
        parts += [Part(rectangle(-half + 2 * half * k / 12, y, -half + 2 * half * (k + 0.78) / 12, y + 0.052, 0.012),
            (60, 62, 68)) for k in range(12)]
    return [*parts, Part(polygon((-0.22, 0.79), (0.22, 0.79), (0.25, 0.9), (-0.25, 0.9)), (150, 154, 160)),
        Part(ellipse(0, -0.76, 0.014), (120, 120, 126))]


def angled_television(rng: random.Random, tone: RGB) -> list[Part]:
    """For evaluation: flat television seen at an angle on two feet, play bar on the picture."""
    near, far = rng.uniform(0.94, 1.0), rng.uniform(0.6, 0.68)
    frame = polygon((-0.98, -near), (0.9, -far), (0.9, far - 0.1), (-0.98, near - 0.34))
    inner = polygon((-0.9, -near + 0.1), (0.85, -far + 0.06), (0.85, far - 0.17), (-0.9, near - 0.45))
    parts = [Part(polygon((0.9, -far), (0.98, -far + 0.05), (0.98, far - 0.14), (0.9, far - 0.1)), (24, 24, 26))]
    parts += [Part(line((x, y), (x + d, 0.97), width=0.06), METAL, "sideways") for x, y,
        d in ((-0.6, 0.5, -0.16), (-0.6, 0.5, 0.14), (0.6, 0.48, -0.1), (0.6, 0.48, 0.12))]
    parts += [Part(frame, (48, 48, 52), "sideways"), *_picture(inner), Part(polygon((-0.9, 0.26), (0.85, 0.24),
        (0.85, far - 0.17), (-0.9, near - 0.45)), (0, 0, 0, 70))]
    parts += [Part(line((-0.76, 0.4), (0.74, 0.34), width=0.03), (240, 240, 240)),
        Part(line((-0.76, 0.4), (-0.1, 0.374), width=0.036), (230, 60, 60)),
        Part(ellipse(-0.1, 0.374, 0.045), (250, 250, 250))]
    return [*parts, Part(ellipse(-0.04, -0.16, 0.2), (255, 255, 255, 70)),
        Part(polygon((-0.1, -0.27), (0.1, -0.16), (-0.1, -0.05)), (250, 250, 250, 220))]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "screen": (desktop_monitor, retro_television, laptop, angled_television),
}
