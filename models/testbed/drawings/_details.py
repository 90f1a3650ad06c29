"""Small constructions that many drawings share: several pens in one stroke, spokes, glints, windows, road wheels."""

import math
from functools import lru_cache

import skia

from ..drawing import DARK, METAL, RGB, Part, build, ellipse, mix, polygon, stroke, text_path

GLINT = (255, 255, 255, 105)
SHADOW = (0, 0, 0, 75)
Point = tuple[float, float]
STONE: RGB = (150, 146, 138)
ROOM: RGB = (96, 128, 156)  # a window by day: sky over a dim room
LAMP: RGB = (255, 244, 190)
PANE: RGB = (96, 128, 152)  # a vehicle's glass
ROPE: RGB = (90, 80, 70)


def polar(cx: float, cy: float, radius: float, degrees: float, squeeze: float = 1.0) -> Point:
    """Point on a circle, degrees clockwise from twelve o'clock; squeeze: factor on x (a circle seen askew)."""
    angle = math.radians(degrees)
    return cx + squeeze * radius * math.sin(angle), cy - radius * math.cos(angle)


def arc(cx: float, cy: float, radius: float, start: float, end: float, squeeze: float = 1.0) -> list[Point]:
    """Points along a circular arc, degrees as in `polar`."""
    steps = max(4, int(abs(end - start) / 12))
    return [polar(cx, cy, radius, start + (end - start) * i / steps, squeeze) for i in range(steps + 1)]


def crescent(cx: float, cy: float, radius: float, start: float, end: float, depth: float) -> skia.Path:
    """A sickle along the inside of a circle, `depth` wide in its middle."""
    outer = arc(cx, cy, radius, start, end)
    last = len(outer) - 1
    inner = [
        (cx + (x - cx) * (1 - depth / radius * math.sin(math.pi * i / last)),
         cy + (y - cy) * (1 - depth / radius * math.sin(math.pi * i / last)))
        for i, (x, y) in enumerate(outer)
    ]  # fmt: skip
    return polygon(*outer, *reversed(inner))


def gather(*paths: skia.Path) -> skia.Path:
    """Several paths as one (far cheaper than their union; overlapping contours of one direction stay filled)."""
    result = skia.Path()
    for path in paths:
        result.addPath(path)
    return result


def pens(width: float, *lines: list[Point] | tuple[Point, ...]) -> skia.Path:
    """Several polylines in one round pen."""

    def construct(builder: skia.PathBuilder) -> None:
        for points in lines:
            builder.moveTo(*points[0])
            for point in points[1:]:
                builder.lineTo(*point)

    return stroke(build(construct), width)


def boxes(*sides: tuple[float, float, float, float], radius: float = 0.0) -> skia.Path:
    """Several rectangles (left, top, right, bottom) as one path."""

    def construct(builder: skia.PathBuilder) -> None:
        for left, top, right, bottom in sides:
            builder.addRRect(skia.RRect.MakeRectXY(skia.Rect.MakeLTRB(left, top, right, bottom), radius, radius))

    return build(construct)


def discs(*circles: tuple[float, float, float]) -> skia.Path:
    """Several circles (cx, cy, radius) as one path."""

    def construct(builder: skia.PathBuilder) -> None:
        for cx, cy, radius in circles:
            builder.addOval(skia.Rect.MakeLTRB(cx - radius, cy - radius, cx + radius, cy + radius))

    return build(construct)


def spokes(
    cx: float, cy: float, inner: float, outer: float, count: int, width: float, turn: float = 0.0, squeeze: float = 1.0
) -> skia.Path:
    """Radial lines at equal angles, the first at `turn` degrees."""
    angles = [turn + 360 * i / count for i in range(count)]
    return pens(width, *[(polar(cx, cy, inner, a, squeeze), polar(cx, cy, outer, a, squeeze)) for a in angles])


def deeper(tone: RGB, share: float = 0.4) -> RGB:
    """tone towards black."""
    return mix(tone, (0, 0, 0), share)


def paler(tone: RGB, share: float = 0.45) -> RGB:
    """tone towards white."""
    return mix(tone, (255, 255, 255), share)


def brightness(tone: RGB) -> float:
    """Luma, 0..255 (Rec. 601 weights)."""
    return 0.299 * tone[0] + 0.587 * tone[1] + 0.114 * tone[2]


def ink(tone: RGB) -> RGB:
    """Lines that show on tone: its dark shade, or a pale one on dark tones."""
    return deeper(tone, 0.6) if brightness(tone) > 75 else paler(tone, 0.45)


def contrast(tone: RGB, dark: RGB = DARK, pale: RGB = (246, 244, 236)) -> RGB:
    """Whichever of dark and pale stands out from tone."""
    return dark if brightness(tone) > 125 else pale


def road_wheel(cx: float, cy: float, radius: float, count: int = 5, turn: float = 0.0) -> list[Part]:
    """Tyre, rim, spokes and hub of a vehicle's wheel."""
    return [
        Part(ellipse(cx, cy, radius), (30, 30, 32), "sphere"),
        Part(discs((cx, cy, radius * 0.68)), deeper(METAL, 0.45)),
        Part(ellipse(cx, cy, radius * 0.6), METAL, "sphere"),
        Part(spokes(cx, cy, radius * 0.28, radius * 0.46, count, radius * 0.15, turn), (70, 72, 76)),
        Part(ellipse(cx, cy, radius * 0.16), (225, 228, 232), "sphere"),
    ]


def glare(left: float, top: float, right: float, bottom: float, share: float = 0.3) -> skia.Path:
    """A slanting streak of reflected light across a pane."""
    w = right - left
    return polygon(
        (left + w * 0.25, bottom), (left + w * (0.25 + share), bottom),
        (right - w * 0.1, top), (right - w * (0.1 + share), top),
    )  # fmt: skip


@lru_cache(maxsize=256)
def lettering(text: str, height: float, cx: float, cy: float) -> skia.Path:
    """`text_path`, remembered: its union of pens is the dearest step of a drawing. Callers must not change the path."""
    return text_path(text, height, cx, cy)
