"""Smooth outlines for living and turned things: splines, tapering limbs, lathe profiles, eyes."""

import math
from collections.abc import Sequence

import skia

from .drawing import RGB, Part, build, ellipse, transform

# Translucent tints for creases and highlights; they let the body beneath show through.
SHADOW: tuple[int, int, int, int] = (0, 0, 0, 70)
GLINT: tuple[int, int, int, int] = (255, 255, 255, 110)

Point = tuple[float, ...]


def _tangents(points: Sequence[Point], close: bool) -> list[tuple[float, float]]:
    """Unit direction of the spline at each point; zero at a corner (a point of three numbers)."""
    count = len(points)
    result = []
    for i, point in enumerate(points):
        before = points[i - 1] if close or i > 0 else point
        after = points[(i + 1) % count] if close or i < count - 1 else point
        dx, dy = after[0] - before[0], after[1] - before[1]
        length = math.hypot(dx, dy)
        result.append((0.0, 0.0) if len(point) == 3 or length == 0 else (dx / length, dy / length))
    return result


def smooth(*points: Point, close: bool = True) -> skia.Path:
    """Spline through the points, in the unit box. A point (x, y) is passed smoothly, (x, y, 0) is a corner.

    Each segment is a cubic whose handles are a third of its chord, along the direction from the previous to
    the next point: unlike the uniform Catmull-Rom spline it cannot loop where points are unevenly spaced.
    """
    directions = _tangents(points, close)

    def construct(builder: skia.PathBuilder) -> None:
        builder.moveTo(points[0][0], points[0][1])
        for i in range(len(points) if close else len(points) - 1):
            j = (i + 1) % len(points)
            (x0, y0), (x1, y1) = points[i][:2], points[j][:2]
            third = math.hypot(x1 - x0, y1 - y0) * 0.36
            (ax, ay), (bx, by) = directions[i], directions[j]
            builder.cubicTo(x0 + ax * third, y0 + ay * third, x1 - bx * third, y1 - by * third, x1, y1)
        if close:
            builder.close()

    return build(construct)


def limb(*knots: tuple[float, float, float]) -> skia.Path:
    """A tapering tube with round ends along knots (x, y, width): legs, tails, stems, branches."""
    left: list[Point] = []
    right: list[Point] = []
    for i, (x, y, width) in enumerate(knots):
        x0, y0, _ = knots[max(i - 1, 0)]
        x1, y1, _ = knots[min(i + 1, len(knots) - 1)]
        length = math.hypot(x1 - x0, y1 - y0)
        dx, dy = (x1 - x0) / length * width / 2, (y1 - y0) / length * width / 2
        if i == 0:
            left.append((x - dx, y - dy))
        left.append((x + dy, y - dx))
        right.append((x - dy, y + dx))
        if i == len(knots) - 1:
            left.append((x + dx, y + dy))
    return smooth(*left, *reversed(right))


def turned(*profile: Point) -> skia.Path:
    """Outline of a turned thing (vase, cup): (half width, y) from top to bottom; the ends and 3-tuples are corners."""
    first, last = profile[0], profile[-1]
    side = [(first[0], first[1], 0.0), *profile[1:-1], (last[0], last[1], 0.0)]
    return smooth(*side, *((-point[0], *point[1:]) for point in reversed(side)))


def mirrored(path: skia.Path) -> skia.Path:
    """path reflected in x = 0."""
    return transform(path, scale=(-1, 1))


def turn(path: skia.Path, degrees: float, cx: float, cy: float) -> skia.Path:
    """path rotated about (cx, cy)."""
    return transform(transform(path, move=(-cx, -cy)), rotate=degrees, move=(cx, cy))


def eye(cx: float, cy: float, radius: float, iris: RGB = (40, 28, 22), slit: bool = False) -> list[Part]:
    """An eye with rim, iris, pupil (upright if slit) and a glint."""
    pupil = ellipse(cx, cy, radius * (0.26 if slit else 0.5), radius * (0.74 if slit else 0.5))
    return [
        Part(ellipse(cx, cy, radius * 1.2), (25, 20, 20)),
        Part(ellipse(cx, cy, radius), iris, "vertical"),
        Part(pupil, (10, 8, 8)),
        Part(ellipse(cx - radius * 0.32, cy - radius * 0.36, radius * 0.27), (255, 255, 255)),
    ]


def darker(tone: RGB, share: float = 0.4) -> RGB:
    """tone moved towards black; a very dark tone moves to a mid gray instead, so that details stay visible."""
    if sum(tone) < 170:
        return tuple(int(c + (110 - c) * share * 0.8) for c in tone)  # type: ignore[return-value]
    return tuple(int(c * (1 - share)) for c in tone)  # type: ignore[return-value]


def lighter(tone: RGB, share: float = 0.5) -> RGB:
    """tone moved towards a warm white."""
    return tuple(int(c + (w - c) * share) for c, w in zip(tone, (252, 248, 240), strict=True))  # type: ignore[return-value]


def grounded(parts: list[Part]) -> list[Part]:
    """parts moved up or down so that the lowest one touches y = +1."""
    drop = 1.0 - max(part.path.computeTightBounds().bottom() for part in parts)
    return [Part(transform(part.path, move=(0.0, drop)), part.fill, part.shade) for part in parts]


def placed(
    parts: list[Part], rotate: float = 0.0, scale: float = 1.0, move: tuple[float, float] = (0, 0)
) -> list[Part]:
    """parts scaled, then rotated (degrees), then moved, together."""
    return [Part(transform(part.path, rotate, scale, move), part.fill, part.shade) for part in parts]
