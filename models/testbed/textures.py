"""Surface patterns as tiling shaders: how much second tone lies over the body colour at every pixel.

A mask is a uint8 tile (0 body colour .. 255 second tone) at one of a few periods; an object takes the nearest one
and scales it a little, so that edges stay about one pixel soft and nothing aliases.
"""

import math
import random
from collections.abc import Callable
from functools import cache, lru_cache

import numpy as np
import skia

from .drawing import RGB, mix
from .vocabulary import COLOURS, PATTERNS, PLAIN

TILE = 160
PERIODS = (8, 10, 13.333333333333334, 16, 20, 26.666666666666668, 40)
"""Tile periods in pixels; all divide TILE an even number of times (20 to 4)."""
VARIANTS = 3
TexturePeriod = tuple[float, float]
OBJECT_PERIOD: TexturePeriod = (0.26, 0.50)
"""Range of the period as a share of the object's half-size."""
CLOSE_UP_PERIOD: TexturePeriod = (15.0, 44.0)
"""Range of the period of a close-up in pixels."""

_Mask = np.ndarray
_Y, _X = np.mgrid[0:TILE, 0:TILE].astype(np.float32) + 0.5


def _soft(distance: np.ndarray, width: float = 1.2) -> np.ndarray:
    """Signed distance in pixels to coverage 0..1 with an edge `width` pixels wide."""
    return np.clip(distance / width + 0.5, 0, 1)


def _triangle(u: np.ndarray) -> np.ndarray:
    """Triangle wave of period 1 between 0 (at integers) and 1."""
    return 1 - np.abs((u % 1) * 2 - 1)


def _noise(seed: int, low: float, high: float, stretch: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    """Periodic Gaussian noise with wavelengths between low and high pixels, mean 0, deviation 1."""
    white = np.random.default_rng(seed).standard_normal((TILE, TILE))
    ky = np.fft.fftfreq(TILE)[:, None] * stretch[1]
    kx = np.fft.rfftfreq(TILE)[None] * stretch[0]
    k = np.hypot(kx, ky)
    band = np.exp(-((k * low / 1.5) ** 2)) * (1 - np.exp(-((k * high) ** 2)))
    field = np.fft.irfft2(np.fft.rfft2(white) * band, (TILE, TILE))
    return (field / field.std()).astype(np.float32)


def _stripes(across: np.ndarray, period: float, variant: int, edge: float = 1.2) -> _Mask:
    u = across / period
    mask = _soft((_triangle(u) - (0.56, 0.50, 0.62)[variant]) * period / 2, edge)
    if variant == 2:  # a thin companion line
        mask = np.maximum(mask, _soft((_triangle(u + 0.5) - 0.84) * period / 2, edge))
    return mask


def _horizontal(period: float, variant: int) -> _Mask:
    return _stripes(_Y, period, variant)


def _vertical(period: float, variant: int) -> _Mask:
    return _stripes(_X, period, variant)


def _diagonal(period: float, variant: int) -> _Mask:
    # x + y repeats over the tile when its period divides TILE; seen across the stripe it is sqrt(2) shorter.
    step = TILE / max(1, round(TILE / (period * math.sqrt(2))))
    along = (_X + _Y) if variant % 2 else (_X - _Y)
    return _stripes(along, step, variant, 1.2 * math.sqrt(2))


def _dotted(period: float, variant: int) -> _Mask:
    row = np.floor(_Y / period)
    shift = (row % 2) * 0.5 * period if variant != 1 else 0.0
    du = (_X + shift) % period - period / 2
    dv = _Y % period - period / 2
    return _soft((0.33, 0.30, 0.26)[variant] * period - np.hypot(du, dv))


def _checkered(period: float, variant: int) -> _Mask:
    # Distance to the nearest edge of the square, signed by its colour.
    a = (_triangle(_X / period) - 0.5) * period / 2
    b = (_triangle(_Y / period) - 0.5) * period / 2
    return _soft(np.minimum(np.abs(a), np.abs(b)) * np.sign(a * b))


def _zigzag(period: float, variant: int) -> _Mask:
    across = (1.0, 1.0, 0.5)[variant] * 2 * period
    across = TILE / max(1, round(TILE / across))
    height = (0.75, 0.5, 0.6)[variant] * period
    slope = math.hypot(1, 2 * height / across)
    u = (_Y + height * _triangle(_X / across)) / period
    return _soft((_triangle(u) - 0.56) * period / 2 / slope)


def _wavy(period: float, variant: int) -> _Mask:
    across = TILE / max(1, round(TILE / ((1.8, 2.4, 1.5)[variant] * period)))
    height = (0.22, 0.32, 0.18)[variant] * period
    u = (_Y + height * np.sin(2 * np.pi * _X / across)) / period
    return _soft((_triangle(u) - (0.56, 0.52, 0.64)[variant]) * period / 2, 1.6)


def _speckled(period: float, variant: int) -> _Mask:
    field = _noise(100 + variant, 0.30 * period, 0.9 * period)
    fine = _noise(200 + variant, max(2.0, 0.14 * period), 0.4 * period)
    return np.maximum(_soft((field - 0.95) * 0.20 * period), 0.9 * _soft((fine - 1.75) * 0.2 * period))


def _woven(period: float, variant: int) -> _Mask:
    period = max(period, 10.0)
    column, row = np.floor(_X / period), np.floor(_Y / period)
    upright = (column + row) % 2 == 0
    strands = (2, 3, 2)[variant] if period >= 13 else 2
    across = np.where(upright, _X, _Y) / period % 1
    along = np.where(upright, _Y, _X) / period % 1
    u = across * strands % 1
    roundness = (2 * u - 1) ** 2  # dark at the rim of a strand
    dip = (2 * along - 1) ** 4  # dark where a strand goes under
    gap = _soft(0.11 * period / strands**0.5 - np.minimum(u, 1 - u) * period / strands)
    return np.clip(0.42 * roundness + 0.5 * dip + 0.75 * gap, 0, 1)


def _mesh(period: float, variant: int) -> _Mask:
    period = max(period, 10.0)
    step = TILE / max(1, round(TILE / (period * (1.25, 0.8, 1.25)[variant])))
    thick = max(1.5, (0.15, 0.13, 0.2)[variant] * period)
    if variant == 1:
        lines = [_X, _Y]
        scale = 1.0
    else:
        lines = [_X + _Y, _X - _Y]
        scale = math.sqrt(2)
    distance = [np.minimum(v % step, step - v % step) / scale for v in lines]
    knots = _soft(1.25 * thick - np.hypot(*distance))
    return np.maximum(_soft(thick / 2 - np.minimum(*distance)), knots)


def _furry(period: float, variant: int) -> _Mask:
    """Thousands of short strokes that follow a slowly turning direction, laid from light to dark at random."""
    array = np.zeros((TILE, TILE, 4), np.uint8)
    canvas = skia.Canvas(array)
    canvas.clear(skia.ColorSetRGB(90, 90, 90))
    rng = random.Random(f"fur/{variant}/{period:.2f}")
    length = 0.85 * period
    lean = (0.15, 0.6, -0.5)[variant]
    paint = skia.Paint(AntiAlias=True, Style=skia.Paint.kStroke_Style, StrokeCap=skia.Paint.kRound_Cap)
    for _ in range(int(9 * TILE * TILE / (length * max(1.5, 0.10 * period) * 6))):
        x, y = rng.uniform(0, TILE), rng.uniform(0, TILE)
        turn = lean + 0.5 * math.sin(2 * math.pi * x / TILE) * math.cos(2 * math.pi * y / TILE) + rng.gauss(0, 0.22)
        reach = length * rng.uniform(0.6, 1.3)
        dx, dy = reach * math.sin(turn), reach * math.cos(turn)
        bend = rng.uniform(-0.25, 0.25)
        level = int(min(255, max(0, rng.gauss(95, 85))))
        paint.setColor(skia.ColorSetARGB(190, level, level, level))
        paint.setStrokeWidth(max(1.0, 0.075 * period) * rng.uniform(0.7, 1.3))
        for ox in (-TILE, 0, TILE) if not 2 * length < x < TILE - 2 * length else (0,):
            for oy in (-TILE, 0, TILE) if not 2 * length < y < TILE - 2 * length else (0,):
                left, top = x + ox, y + oy
                middle = (left + dx / 2 + bend * dy, top + dy / 2 - bend * dx)
                path = skia.PathBuilder()
                path.moveTo(left, top)
                path.quadTo(*middle, left + dx, top + dy)
                canvas.drawPath(path.detach(), paint)
    return array[..., 0].astype(np.float32) / 255


def _scaly(period: float, variant: int) -> _Mask:
    """Overlapping round scales in staggered rows: each covers the row above it and darkens to its rim."""
    mask = np.zeros((TILE, TILE), np.float32)
    radius = (0.56, 0.58, 0.60)[variant] * period
    step = period / 2
    for row in range(round(TILE / step) + 1, -3, -1):  # from the bottom up: upper scales lie over lower ones
        top = row * step
        du = (_X + (row % 2) * period / 2) % period - period / 2
        distance = np.hypot(du, _Y - top)
        inside = _soft(radius - distance) * (top - 0.5 <= _Y)
        rim = _soft(distance - radius + max(1.6, 0.15 * period))
        shade = np.clip(0.22 * (distance / radius) ** 2 + 0.95 * rim, 0, 1) - 0.1 * (variant == 1)
        mask = mask * (1 - inside) + shade * inside
    return np.clip(mask, 0, 1)


def _plaid(period: float, variant: int) -> _Mask:
    step = TILE / max(1, round(TILE / (1.6 * period)))

    def bands(v: np.ndarray) -> np.ndarray:
        u = v / step
        wide = _soft((_triangle(u) - (0.5, 0.45, 0.58)[variant]) * step / 2)
        thin = _soft(max(0.7, 0.045 * step) - np.abs((u % 1) - 0.0 - (0.06, 0.94, 0.0)[variant]) * step)
        if variant == 2:
            thin = _soft(max(0.7, 0.045 * step) - np.minimum(u % 1, 1 - u % 1) * step)
        return 0.47 * wide + 0.42 * thin

    return np.clip(bands(_X) + bands(_Y), 0, 1)


def _honeycomb(period: float, variant: int) -> _Mask:
    width = TILE / max(1, round(TILE / max(1.15 * period, 11.0)))
    height = TILE / (2 * max(1, round(TILE / (2 * width * math.sqrt(3) / 2))))  # an even number of rows
    if variant == 1:
        x, y = _Y, _X
    else:
        x, y = _X, _Y
    # The two nearest cell centres of the staggered grid: their bisector is the wall.
    best = np.full((2, TILE, TILE), 1e9, np.float32)
    row0 = np.floor(y / height)
    for dr in (-1, 0, 1, 2):
        row = row0 + dr
        shift = (row % 2) * width / 2
        column0 = np.floor((x - shift) / width)
        for dc in (0, 1):
            distance = np.hypot(x - shift - (column0 + dc) * width, (y - row * height) * (width * 0.866 / height))
            best[1] = np.minimum(best[1], np.maximum(best[0], distance))
            best[0] = np.minimum(best[0], distance)
    wall = (best[1] - best[0]) / 2
    thick = max(1.0, (0.085, 0.085, 0.13)[variant] * width)
    return np.clip(_soft(thick - wall, 1.5) + 0.14 * (best[0] / (0.58 * width)) ** 3, 0, 1)


def _plain(period: float, variant: int) -> _Mask:
    """No pattern: a hint of unevenness, as paint and cloth have."""
    return np.clip(0.05 + 0.03 * _noise(300 + variant, 14, 60) + 0.018 * _noise(310 + variant, 2.5, 7), 0, 1)


_MASKS: dict[str, Callable[[float, int], _Mask]] = {
    PLAIN: _plain,
    "horizontally striped": _horizontal,
    "vertically striped": _vertical,
    "diagonally striped": _diagonal,
    "dotted": _dotted,
    "checkered": _checkered,
    "zigzag": _zigzag,
    "speckled": _speckled,
    "woven": _woven,
    "mesh": _mesh,
    "wavy": _wavy,
    "furry": _furry,
    "scaly": _scaly,
    "plaid": _plaid,
    "honeycomb": _honeycomb,
}
assert set(_MASKS) == {PLAIN, *PATTERNS}


@cache
def pattern_mask(pattern: str, period_index: int, variant: int) -> np.ndarray:
    """uint8 [TILE, TILE], repeats without a seam: 0 body colour .. 255 second tone. Includes slight wear."""
    mask = _MASKS[pattern](PERIODS[period_index], variant)
    wear = 0.045 * _noise(400 + variant, 3, 30) if pattern != PLAIN else 0.0
    return np.rint(np.clip(mask * 0.94 + 0.02 + wear, 0, 1) * 255).astype(np.uint8)


def luminance(colour: RGB) -> float:
    """Rec. 601 luma, 0..255."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def second_tone(colour: str, pattern: str, rng: random.Random) -> RGB:
    """A tone that stands out from the colour without being a second colour of equal right.

    Patterns that cover half the surface (checks) and those made of shading take a tint of the body colour;
    thin ones may also take near white or near black.
    """
    base = COLOURS[colour]
    light = luminance(base)
    if pattern == PLAIN:
        return mix(base, (0, 0, 0), 0.8) if light > 60 else mix(base, (255, 255, 255), 0.6)
    if colour == "black":
        return mix((118, 118, 122), (175, 175, 178), rng.random())
    if colour == "white":
        return mix((95, 95, 100), (150, 150, 156), rng.random())
    if colour == "gray":
        return mix((38, 38, 40), (60, 60, 62), rng.random()) if rng.random() < 0.5 else (226, 226, 224)
    darker, lighter = mix(base, (0, 0, 0), 0.64), mix(base, (255, 255, 255), 0.68)
    if pattern in ("scaly", "furry", "woven"):
        return mix(base, (0, 0, 0), 0.78)
    tint = darker if light > 150 else lighter if light < 105 else rng.choice((darker, lighter))
    if pattern == "checkered" or rng.random() < 0.55:
        return tint
    return mix(base, (248, 246, 240), 0.92) if tint is lighter else mix(base, (20, 20, 24), 0.85)


@lru_cache(maxsize=1)
def _ramp() -> np.ndarray:
    return np.linspace(0, 1, 256, dtype=np.float32)[:, None]


@lru_cache(maxsize=1)
def _sampling() -> skia.SamplingOptions:
    return skia.SamplingOptions(skia.FilterMode.kLinear)


def body_colour(colour: str, rng: random.Random) -> RGB:
    """The vocabulary's RGB with a slight change of brightness and hue."""
    gain = rng.uniform(0.93, 1.05)
    return tuple(int(min(255, max(0, v * gain + rng.uniform(-6, 6)))) for v in COLOURS[colour])  # type: ignore[return-value]


def texture(
    colour: str, pattern: str, period: float, rng: random.Random, pixel: float = 1.0
) -> tuple[skia.Shader, RGB]:
    """Shader of a patterned surface, and its body tone.

    period: about how many pixels the pattern repeats after (8..44). pixel: side of a pixel in the coordinates that the
    shader is drawn in (1 / scale for an object's unit box).
    """
    tone = body_colour(colour, rng)
    second = np.asarray(second_tone(colour, pattern, rng), np.float32)
    index = int(np.argmin([abs(math.log(p / period)) for p in PERIODS]))
    mask = pattern_mask(pattern, index, rng.randrange(VARIANTS))
    zoom = min(1.3, max(0.9, period / PERIODS[index]))
    table = np.full((256, 4), 255, np.uint8)
    table[:, :3] = np.asarray(tone, np.float32) * (1 - _ramp()) + second * _ramp()
    pixels = table.view(np.uint32)[:, 0].take(mask).view(np.uint8).reshape(TILE, TILE, 4)
    image = skia.Image.fromarray(pixels, skia.kRGBA_8888_ColorType)
    matrix = skia.Matrix()
    matrix.setScale(zoom * pixel, zoom * pixel)
    matrix.preTranslate(rng.uniform(0, TILE), rng.uniform(0, TILE))
    return image.makeShader(skia.TileMode.kRepeat, skia.TileMode.kRepeat, _sampling(), matrix), tone
