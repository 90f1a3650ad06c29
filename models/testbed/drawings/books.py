"""Drawings of books."""

import random

from ..contours import SHADOW, darker, mirrored, smooth
from ..drawing import (
    BODY,
    BRASS,
    CREAM,
    DARK,
    RGB,
    Drawing,
    Part,
    curve,
    ellipse,
    line,
    polygon,
    rectangle,
    stroke,
    transform,
)

# fmt: off
# Outlines read as rows of points; a formatter would put each point on a line of its own.

def closed_book(rng: random.Random, tone: RGB) -> list[Part]:
    """Standing, front cover with frame and title plate, pages at the right."""
    half = rng.uniform(0.58, 0.7)
    gold = BRASS if sum(tone) < 560 else darker(tone, 0.5)
    parts = [Part(polygon((half - 0.04, -0.92), (half + 0.2, -0.84), (half + 0.2, 0.92), (half - 0.04, 1.0)), CREAM,
        "sideways")]
    parts += [Part(line((half + 0.03 * k, -0.9 + 0.012 * k), (half + 0.03 * k, 0.96 - 0.012 * k), width=0.01),
        (170, 160, 140)) for k in range(1, 6)]
    parts += [Part(polygon((half - 0.02, -1.0), (half + 0.24, -0.9), (half + 0.24, -0.86), (half - 0.02, -0.94)),
        BODY, "dark")]
    parts += [Part(rectangle(-0.9, -1.0, half, 1.0, 0.05), BODY, "sideways"),
        Part(rectangle(-0.9, -1.0, -0.72, 1.0, 0.05), BODY, "dark"), Part(line((-0.68, -0.97), (-0.68, 0.97),
        width=0.03), SHADOW)]
    parts += [Part(rectangle(-0.9, y, -0.72, y + 0.04), gold) for y in (-0.8, -0.7, 0.64, 0.74)]
    cx = (half - 0.68) / 2
    parts += [Part(stroke(rectangle(-0.58, -0.86, half - 0.1, 0.86, 0.04), 0.03), gold),
        Part(rectangle(cx - 0.38, -0.62, cx + 0.38, -0.16, 0.03), CREAM, "vertical")]
    parts += [Part(line((cx - w, y), (cx + w, y), width=0.045), DARK) for y,
        w in ((-0.48, 0.26), (-0.36, 0.18), (-0.27, 0.1))]
    return [*parts, Part(ellipse(cx, 0.42, 0.17), gold, "sphere"), Part(ellipse(cx, 0.42, 0.11), BODY)]


def lying_book(rng: random.Random, tone: RGB) -> list[Part]:
    """A thick volume lying flat, seen from a corner, with a ribbon."""
    thick = rng.uniform(0.3, 0.44)
    lift = 1.0 - thick - 0.3
    left, front, right, back = (-1.0, lift), (-0.12, lift + 0.3), (1.0, lift - 0.16), (0.1, lift - 0.5)

    def down(point: tuple[float, float], distance: float) -> tuple[float, float]:
        return (point[0], point[1] + distance)

    gold = BRASS if sum(tone) < 560 else darker(tone, 0.5)
    parts = [Part(polygon(down(left, thick), down(front, thick), down(right, thick), down(back, thick)), BODY,
        "dark")]
    parts += [Part(polygon(down(front, 0.04), (right[0] - 0.05, right[1] + 0.04),
        (right[0] - 0.05, right[1] + thick - 0.04), down(front, thick - 0.04)), CREAM, "vertical")]
    for k in range(1, 7):
        y = thick * k / 7
        parts.append(Part(line(down(front, y), (right[0] - 0.05, right[1] + y), width=0.01), (172, 162, 140)))
    parts += [Part(polygon(left, front, down(front, thick), down(left, thick)), BODY, "dark"),
        Part(polygon(left, front, right, back), BODY, "vertical")]
    parts += [Part(polygon(down(front, thick - 0.05), down(right, thick - 0.05), down(right, thick),
        down(front, thick)), BODY, "dark"), Part(polygon(front, right, down(right, 0.05), down(front, 0.05)), BODY,
        "light")]

    def at(u: float, v: float) -> tuple[float, float]:
        """The point of the front cover at u along its left edge and v along its front edge."""
        return (left[0] + (front[0] - left[0]) * u + (back[0] - left[0]) * v,
            left[1] + (front[1] - left[1]) * u + (back[1] - left[1]) * v)

    parts += [Part(stroke(polygon(at(0.14, 0.12), at(0.86, 0.12), at(0.86, 0.9), at(0.14, 0.9)), 0.024), gold),
        Part(polygon(at(0.34, 0.3), at(0.34, 0.72), at(0.62, 0.72), at(0.62, 0.3)), CREAM)]
    parts += [Part(line(at(0.44, 0.38), at(0.44, 0.64), width=0.035), DARK),
        Part(line(at(0.54, 0.42), at(0.54, 0.6), width=0.025), DARK)]
    for u in (0.2, 0.3, 0.72, 0.82):
        x, y = at(u, 0)
        parts.append(Part(line((x, y + 0.03), (x, y + thick - 0.03), width=0.03), gold))
    ribbon = smooth((0.3, lift + thick * 0.5), (0.36, lift + thick * 0.5), (0.44, lift + thick + 0.12),
        (0.4, lift + thick + 0.24, 0), (0.36, lift + thick + 0.18), (0.32, lift + thick + 0.22, 0))
    return [*parts, Part(ribbon, (190, 40, 50), "sideways")]


def open_book(rng: random.Random, tone: RGB) -> list[Part]:
    """Open towards us, coloured cover below, text and a picture on coloured plate."""
    dip = rng.uniform(0.1, 0.2)
    cover = smooth((0, 0.96, 0), (-0.5, 0.86), (-1.02, 0.98, 0), (-0.94, -0.36, 0), (-0.5, -0.5), (0, -0.36, 0),
        (0.5, -0.5), (0.94, -0.36, 0), (1.02, 0.98, 0), (0.5, 0.86))
    page = smooth((0, 0.84, 0), (0.1, 0.7), (0.5, 0.72 - dip / 3), (0.92, 0.82, 0), (0.86, -0.44, 0), (0.46, -0.58),
        (0.1, -0.5), (0, -0.34, 0))
    edge = transform(page, move=(0.02, 0.05))
    parts = [Part(cover, BODY, "vertical")]
    for flip in (mirrored, lambda path: path):
        parts += [Part(flip(edge), (206, 198, 178)), Part(flip(page), CREAM, "vertical")]
    parts += [Part(smooth((-0.03, -0.36, 0), (0.03, -0.36, 0), (0.14, 0.2), (0.03, 0.84, 0), (-0.03, 0.84, 0),
        (-0.14, 0.2)), (0, 0, 0, 44))]
    plate = smooth((0.18, -0.38, 0), (0.46, -0.45), (0.74, -0.36, 0), (0.79, 0.64, 0), (0.46, 0.58), (0.16, 0.6, 0))
    parts += [Part(mirrored(plate), BODY, "light")]
    for k in range(9):
        y = -0.34 + 0.11 * k
        end = 0.74 + 0.005 * k if k % 4 != 3 else 0.5
        parts.append(Part(stroke(curve((0.18, y), (0.44, y - 0.07, end, y + 0.02), close=False), 0.022),
            (120, 112, 104)))
    ribbon = smooth((-0.02, -0.36, 0), (0.04, -0.36, 0), (0.12, 0.3), (0.08, 1.0, 0), (0.03, 0.94, 0),
        (-0.02, 1.0, 0), (0.05, 0.3))
    return [*parts, Part(ribbon, (196, 46, 54), "vertical")]


def book_stack(rng: random.Random, tone: RGB) -> list[Part]:
    """For evaluation: a pile of lying volumes, spines and page edges in turn."""
    count = rng.choice((3, 4))
    thick = 1.5 / count
    gold = BRASS if sum(tone) < 560 else darker(tone, 0.5)
    parts: list[Part] = []
    for k in range(count):
        bottom = 1.0 - k * thick
        top = bottom - thick + 0.02
        shift, half = rng.uniform(-0.12, 0.12), rng.uniform(0.76, 0.9)
        left, right = shift - half, shift + half
        if k % 2 == 0:
            spine = smooth((left + 0.05, top, 0), (right - 0.05, top, 0), (right, (top + bottom) / 2),
                (right - 0.05, bottom, 0), (left + 0.05, bottom, 0), (left, (top + bottom) / 2))
            parts += [Part(spine, BODY, "vertical")]
            parts += [Part(rectangle(x, top + 0.01, x + 0.05, bottom - 0.01), gold, "vertical") for x in (left + 0.16,
                left + 0.26, right - 0.26, right - 0.16)]
            parts += [Part(line((shift - 0.3, (top + bottom) / 2 - 0.03), (shift + 0.3, (top + bottom) / 2 - 0.03),
                width=0.05), gold), Part(line((shift - 0.16, (top + bottom) / 2 + 0.08),
                (shift + 0.16, (top + bottom) / 2 + 0.08), width=0.035), gold)]
        else:
            parts += [Part(rectangle(left + 0.06, top + 0.04, right - 0.03, bottom - 0.04), CREAM, "vertical")]
            parts += [Part(line((left + 0.08, y), (right - 0.04, y), width=0.01),
                (176, 166, 146)) for y in (top + thick * 0.3, top + thick * 0.48, top + thick * 0.66)]
            parts += [Part(rectangle(left, y, right, y + 0.075, 0.03), BODY, "dark") for y in (top,
                bottom - 0.085)] + [Part(rectangle(left, top, left + 0.12, bottom - 0.01, 0.05), BODY, "sideways")]
        parts.append(Part(line((left + 0.06, bottom), (right - 0.06, bottom), width=0.03), (0, 0, 0, 110)))
    top = 1.0 - count * thick + 0.02
    cover = polygon((-0.82, top), (0.8, top), (0.56, top - 0.36), (-0.6, top - 0.36))
    return [Part(cover, BODY, "light"), Part(stroke(polygon((-0.66, top - 0.05), (0.64, top - 0.05),
        (0.48, top - 0.31), (-0.52, top - 0.31)), 0.022), gold), *parts]


DRAWINGS: dict[str, tuple[Drawing, ...]] = {
    "book": (closed_book, lying_book, open_book, book_stack),
}
