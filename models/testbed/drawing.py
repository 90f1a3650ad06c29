"""How a noun is drawn: parts in a unit box, each a path with a fill and a shade.

A drawing is a function (rng, tone) -> list of Part. It draws in the box [-1, 1]^2, y down, standing on
y = +1 (a little overshoot is fine). Parts are painted in order. `body` parts take the object's colour and
pattern; other parts have their own RGB. The renderer adds light, ground shadow and grain.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import skia

RGB = tuple[int, int, int]
BODY = "body"

# Fixed materials, so that drawings agree with each other.
DARK: RGB = (38, 36, 36)
WOOD: RGB = (110, 72, 42)
GLASS: RGB = (150, 195, 225)
METAL: RGB = (175, 180, 186)
CREAM: RGB = (246, 244, 236)
LEAF: RGB = (66, 138, 58)
BRASS: RGB = (212, 176, 72)


@dataclass(frozen=True)
class Part:
    """path in the unit box; fill: BODY, an RGB, or RGBA; shade: one of SHADES, how light falls on it.

    overlay: a gray picture laid over the filled path as hard light, middle gray leaving it as it is; it covers
    `box`, (left, top, right, bottom) in the unit box, and is cut off at the path.
    """

    path: skia.Path
    fill: str | tuple[int, ...]
    shade: str = "flat"
    overlay: skia.Image | None = None
    box: tuple[float, float, float, float] = (-1.0, -1.0, 1.0, 1.0)


# flat: none. sphere: radial highlight upper left. vertical / sideways: linear, light from above / left.
# cylinder: a glossy upright tube. glass: diagonal glare.
# dark / light: a uniform tint (a face turned away or to the light).
SHADES = ("flat", "sphere", "vertical", "sideways", "cylinder", "glass", "dark", "light")

Drawing = Callable[[random.Random, RGB], list[Part]]


def mix(a: RGB, b: RGB, share: float) -> RGB:
    """a moved towards b by share (0..1)."""
    return tuple(int(a[i] * (1 - share) + b[i] * share) for i in range(3))  # type: ignore[return-value]


def build(construct: Callable[[skia.PathBuilder], object], even_odd: bool = False) -> skia.Path:
    """A path from calls on a PathBuilder; even_odd makes inner contours holes."""
    builder = skia.PathBuilder()
    construct(builder)
    if even_odd:
        builder.setFillType(skia.PathFillType.kEvenOdd)
    return builder.detach()


def polygon(*points: tuple[float, float]) -> skia.Path:
    """Closed polygon."""

    def construct(builder: skia.PathBuilder) -> None:
        builder.moveTo(*points[0])
        for point in points[1:]:
            builder.lineTo(*point)
        builder.close()

    return build(construct)


def curve(start: tuple[float, float], *segments: tuple[float, ...], close: bool = True) -> skia.Path:
    """Path of segments: 2 numbers a line, 4 a quadratic, 6 a cubic."""

    def construct(builder: skia.PathBuilder) -> None:
        builder.moveTo(*start)
        for segment in segments:
            {2: builder.lineTo, 4: builder.quadTo, 6: builder.cubicTo}[len(segment)](*segment)
        if close:
            builder.close()

    return build(construct)


def ellipse(cx: float, cy: float, rx: float, ry: float | None = None) -> skia.Path:
    """Ellipse by centre and radii; a circle with one radius."""
    ry = rx if ry is None else ry
    return build(lambda b: b.addOval(skia.Rect.MakeLTRB(cx - rx, cy - ry, cx + rx, cy + ry)))


def rectangle(left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> skia.Path:
    """Rectangle, with rounded corners when radius > 0."""
    rect = skia.Rect.MakeLTRB(left, top, right, bottom)
    return build(lambda b: b.addRRect(skia.RRect.MakeRectXY(rect, radius, radius)) if radius else b.addRect(rect))


def annulus(cx: float, cy: float, outer: float, inner: float) -> skia.Path:
    """A disc with a round hole."""

    def construct(builder: skia.PathBuilder) -> None:
        for radius in (outer, inner):
            builder.addOval(skia.Rect.MakeLTRB(cx - radius, cy - radius, cx + radius, cy + radius))

    return build(construct, even_odd=True)


def star_path(points: int, outer: float, inner: float, cx: float = 0.0, cy: float = 0.0) -> skia.Path:
    """Star polygon, one tip up."""
    radii = [outer if i % 2 == 0 else inner for i in range(2 * points)]
    angles = [-math.pi / 2 + i * math.pi / points for i in range(2 * points)]
    return polygon(*[(cx + r * math.cos(a), cy + r * math.sin(a)) for r, a in zip(radii, angles, strict=True)])


def stroke(path: skia.Path, width: float) -> skia.Path:
    """The outline of path as a filled path of the given width, round caps and joins."""
    # Skia flattens curves for its device scale, and the unit box is one pixel wide to it: work on a larger copy.
    zoom = 64.0
    paint = skia.Paint(
        Style=skia.Paint.kStroke_Style,
        StrokeWidth=width * zoom,
        StrokeCap=skia.Paint.kRound_Cap,
        StrokeJoin=skia.Paint.kRound_Join,
    )
    outline = skia.Path()
    paint.getFillPath(transform(path, scale=zoom), outline)
    return transform(outline, scale=1.0 / zoom)


def line(*points: tuple[float, float], width: float) -> skia.Path:
    """A polyline drawn with a round pen."""
    return stroke(curve(points[0], *points[1:], close=False), width)


def transform(
    path: skia.Path, rotate: float = 0.0, scale: float | tuple[float, float] = 1.0, move: tuple[float, float] = (0, 0)
) -> skia.Path:
    """path scaled, then rotated (degrees about the origin), then moved."""
    matrix = skia.Matrix()
    sx, sy = scale if isinstance(scale, tuple) else (scale, scale)
    matrix.setScale(sx, sy)
    matrix.postRotate(rotate)
    matrix.postTranslate(*move)
    moved = skia.Path()
    path.transform(matrix, moved)
    return moved


def unite(*paths: skia.Path) -> skia.Path:
    """Union of paths."""
    result = paths[0]
    for path in paths[1:]:
        result = skia.Op(result, path, skia.PathOp.kUnion_PathOp)
    return result


def intersect(a: skia.Path, b: skia.Path) -> skia.Path:
    """Where both paths cover."""
    return skia.Op(a, b, skia.PathOp.kIntersect_PathOp)


def subtract(a: skia.Path, b: skia.Path) -> skia.Path:
    """a without b."""
    return skia.Op(a, b, skia.PathOp.kDifference_PathOp)


# Letters as pen strokes in a box 4 wide and 6 high (y down): no system font, so pictures are the same everywhere.
_LETTERS: dict[str, tuple[tuple[tuple[float, float], ...], ...]] = {
    "A": (((0, 6), (2, 0), (4, 6)), ((0.8, 4), (3.2, 4))),
    "B": (((0, 0), (0, 6), (3, 6), (4, 5), (4, 4), (3, 3), (0, 3)), ((0, 0), (3, 0), (3.7, 0.8), (3.7, 2.2), (3, 3))),
    "C": (((4, 1), (3, 0), (1, 0), (0, 1), (0, 5), (1, 6), (3, 6), (4, 5)),),
    "D": (((0, 0), (0, 6), (2.5, 6), (4, 4.5), (4, 1.5), (2.5, 0), (0, 0)),),
    "E": (((4, 0), (0, 0), (0, 6), (4, 6)), ((0, 3), (3, 3))),
    "F": (((4, 0), (0, 0), (0, 6)), ((0, 3), (3, 3))),
    "H": (((0, 0), (0, 6)), ((4, 0), (4, 6)), ((0, 3), (4, 3))),
    "I": (((2, 0), (2, 6)),),
    "K": (((0, 0), (0, 6)), ((4, 0), (0, 3.4), (4, 6))),
    "L": (((0, 0), (0, 6), (4, 6)),),
    "N": (((0, 6), (0, 0), (4, 6), (4, 0)),),
    "O": (((1, 0), (3, 0), (4, 1), (4, 5), (3, 6), (1, 6), (0, 5), (0, 1), (1, 0)),),
    "P": (((0, 6), (0, 0), (3, 0), (4, 0.9), (4, 2.3), (3, 3.2), (0, 3.2)),),
    "R": (((0, 6), (0, 0), (3, 0), (4, 0.9), (4, 2.3), (3, 3.2), (0, 3.2)), ((2, 3.2), (4, 6))),
    "S": (((4, 1), (3, 0), (1, 0), (0, 1), (0, 2), (1, 3), (3, 3), (4, 4), (4, 5), (3, 6), (1, 6), (0, 5)),),
    "T": (((0, 0), (4, 0)), ((2, 0), (2, 6))),
    "U": (((0, 0), (0, 5), (1, 6), (3, 6), (4, 5), (4, 0)),),
    "X": (((0, 0), (4, 6)), ((4, 0), (0, 6))),
    "Y": (((0, 0), (2, 3), (4, 0)), ((2, 3), (2, 6))),
}


def text_path(text: str, height: float, cx: float, cy: float) -> skia.Path:
    """Capital letters (those of _LETTERS) as one path, centred on (cx, cy), `height` high. KeyError on others."""
    unit = height / 6
    left = cx - unit * (5.6 * len(text) - 1.6) / 2
    pens = []
    for i, letter in enumerate(text):
        for points in _LETTERS[letter]:
            placed = [(left + unit * (5.6 * i + x), cy + unit * (y - 3)) for x, y in points]
            pens.append(line(*placed, width=unit * 1.1))
    return unite(*pens)
