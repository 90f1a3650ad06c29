"""What backgrounds are painted with: gradients, noise, clouds, ridges, haze and ground planes in perspective."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import skia

from .drawing import RGB
from .scene import SIZE

NOISE_TILE = 256


@dataclass(frozen=True)
class Light:
    """The scene's one light. x: where it stands, -1 left .. +1 right. height: 0 at the horizon .. 1 overhead."""

    x: float
    height: float


def light_of(seed: int) -> Light:
    """The light of a scene; depends on its seed only."""
    rng = random.Random(f"{seed}/light")
    return Light(rng.choice((-1.0, 1.0)) * rng.uniform(0.35, 0.95), rng.uniform(0.35, 0.95))


def argb(colour: Sequence[float], alpha: float = 255) -> int:
    """Skia colour of an RGB."""
    red, green, blue = colour[0], colour[1], colour[2]
    if not (0 <= red <= 255 and 0 <= green <= 255 and 0 <= blue <= 255):
        red, green, blue = (min(255, max(0, v)) for v in (red, green, blue))
    return skia.ColorSetARGB(int(alpha), int(red), int(green), int(blue))


def shift(colour: RGB, rng: random.Random, amount: float = 12, gain: float = 0.0) -> RGB:
    """The colour with each channel moved by up to `amount`, and brightness by a share of up to `gain`."""
    factor = 1 + rng.uniform(-gain, gain)
    return tuple(int(min(255, max(0, v * factor + rng.uniform(-amount, amount)))) for v in colour)  # type: ignore[return-value]


def box(left: float, top: float, right: float, bottom: float) -> skia.Rect:
    return skia.Rect.MakeLTRB(left, top, right, bottom)


def fill(colour: Sequence[float], alpha: float = 255, blur: float = 0.0) -> skia.Paint:
    """Antialiased paint, blurred by `blur` pixels."""
    paint = skia.Paint(AntiAlias=True, Color=argb(colour, alpha))
    if blur:
        paint.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, blur))
    return paint


def pen(colour: Sequence[float], width: float, alpha: float = 255) -> skia.Paint:
    """Antialiased round pen."""
    return skia.Paint(
        AntiAlias=True,
        Style=skia.Paint.kStroke_Style,
        StrokeWidth=width,
        StrokeCap=skia.Paint.kRound_Cap,
        Color=argb(colour, alpha),
    )


def linear(start: tuple[float, float], end: tuple[float, float], *stops: tuple[Sequence[float], float]) -> skia.Paint:
    """Paint of a linear gradient; stops are (RGB, alpha), evenly spaced."""
    shader = skia.GradientShader.MakeLinear([start, end], [argb(colour, alpha) for colour, alpha in stops])
    return skia.Paint(AntiAlias=True, Shader=shader)


def vertical(canvas: skia.Canvas, top: float, bottom: float, *colours: Sequence[float]) -> None:
    """Fills a band across the picture with a vertical gradient."""
    # One row further: two antialiased edges that meet would let what is beneath shine through.
    canvas.drawRect(box(0, top, SIZE, bottom + 1), linear((0, top), (0, bottom), *[(c, 255) for c in colours]))


def glow(canvas: skia.Canvas, x: float, y: float, radius: float, colour: Sequence[float], alpha: float) -> None:
    """A soft round light."""
    stops = [argb(colour, alpha), argb(colour, alpha * 0.35), argb(colour, 0)]
    shader = skia.GradientShader.MakeRadial((x, y), radius, stops, [0, 0.35, 1])
    canvas.drawCircle(x, y, radius, skia.Paint(AntiAlias=True, Shader=shader))


@cache
def noise_image(exponent: float, variant: int, contrast: float) -> skia.Image:
    """Gray periodic 1/f**exponent noise around 128 with the given deviation; repeats without a seam."""
    rng = np.random.default_rng(int(exponent * 100) * 10 + variant)
    ky = np.fft.fftfreq(NOISE_TILE)[:, None]
    k = np.hypot(ky, np.fft.rfftfreq(NOISE_TILE)[None])
    k[0, 0] = 1
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((NOISE_TILE, NOISE_TILE))) / k**exponent)
    field = (field - field.mean()) / field.std()
    gray = np.clip(128 + contrast * field, 0, 255).astype(np.uint8)
    pixels = np.dstack([gray, gray, gray, np.full_like(gray, 255)])
    return skia.Image.fromarray(np.ascontiguousarray(pixels), skia.kRGBA_8888_ColorType)


def _noise_paint(image: skia.Image, matrix: skia.Matrix, strength: float) -> skia.Paint:
    sampling = skia.SamplingOptions(skia.FilterMode.kLinear)
    shader = image.makeShader(skia.TileMode.kRepeat, skia.TileMode.kRepeat, sampling, matrix)
    return skia.Paint(Shader=shader, BlendMode=skia.BlendMode.kOverlay, Alpha=int(255 * strength))


def mottle(
    canvas: skia.Canvas,
    area: skia.Rect,
    rng: random.Random,
    exponent: float,
    contrast: float,
    stretch: tuple[float, float] = (1.0, 1.0),
    strength: float = 1.0,
) -> None:
    """Lightens and darkens an area by flat noise."""
    matrix = skia.Matrix()
    matrix.setScale(*stretch)
    matrix.preTranslate(rng.uniform(0, NOISE_TILE), rng.uniform(0, NOISE_TILE))
    image = noise_image(exponent, rng.randrange(3), contrast)
    canvas.drawRect(area, _noise_paint(image, matrix, strength))


def ground_matrix(horizon: float, across: float, depth: float, offset: tuple[float, float] = (0, 0)) -> skia.Matrix:
    """Maps a flat texture onto the ground: `across` and `depth` are pixels a texel covers at the lower edge.

    A point at depth z lands on y = horizon + c / z, so that the ground runs into the horizon.
    """
    near = (SIZE - horizon) / depth
    perspective = skia.Matrix.MakeAll(across * near, SIZE / 2, 0, 0, horizon, near * (SIZE - horizon), 0, 1, 0)
    perspective.preTranslate(*offset)
    return perspective


def ground_noise(
    canvas: skia.Canvas,
    horizon: float,
    rng: random.Random,
    exponent: float,
    contrast: float,
    across: float = 1.6,
    depth: float = 0.9,
    strength: float = 1.0,
) -> None:
    """Noise that lies on the ground plane."""
    offset = (rng.randrange(NOISE_TILE) - 8192, rng.randrange(NOISE_TILE))
    image = noise_image(exponent, rng.randrange(3), contrast)
    matrix = ground_matrix(horizon, across, depth, offset)
    # The plane is undefined above the horizon, and finer than a pixel just below it.
    canvas.drawRect(box(0, horizon + 3, SIZE, SIZE), _noise_paint(image, matrix, strength))


def haze(
    canvas: skia.Canvas, horizon: float, colour: Sequence[float], above: float, below: float, alpha: float
) -> None:
    """Thickens the air at the horizon."""
    if above:
        canvas.drawRect(
            box(0, horizon - above, SIZE, horizon),
            linear((0, horizon - above), (0, horizon), (colour, 0), (colour, alpha)),
        )
    canvas.drawRect(
        box(0, horizon, SIZE, horizon + below), linear((0, horizon), (0, horizon + below), (colour, alpha), (colour, 0))
    )


def ridge(
    rng: random.Random, base: float, height: float, roughness: float = 0.5, steps: int = 28
) -> list[tuple[float, float]]:
    """Points of a hilly skyline from left to right, between base - height and base."""
    waves = [(rng.uniform(0.6, 1.6) * 2**i, rng.uniform(0, 6.3), roughness**i) for i in range(4)]
    total = sum(w[2] for w in waves)
    points = []
    for i in range(steps + 1):
        x = SIZE * i / steps
        level = sum(a * math.sin(2 * math.pi * f * x / SIZE + p) for f, p, a in waves) / total
        points.append((x, base - height * (0.5 + 0.5 * level)))
    return points


def below_line(points: Sequence[tuple[float, float]], bottom: float) -> skia.Path:
    """The area between a skyline and `bottom`."""
    builder = skia.PathBuilder()
    builder.moveTo(points[0][0] - 2, bottom)
    for x, y in points:
        builder.lineTo(x, y)
    builder.lineTo(points[-1][0] + 2, bottom)
    builder.close()
    return builder.detach()


def strokes(canvas: skia.Canvas, segments: Sequence[tuple[float, float, float, float]], paint: skia.Paint) -> None:
    """Many straight pen strokes (x0, y0, x1, y1) at once."""
    if not segments:
        return
    builder = skia.PathBuilder()
    for x0, y0, x1, y1 in segments:
        builder.moveTo(x0, y0)
        builder.lineTo(x1, y1)
    canvas.drawPath(builder.detach(), paint)


def clouds(canvas: skia.Canvas, rng: random.Random, horizon: float, count: int, tint: Sequence[float]) -> None:
    """Heaps of soft puffs, flat below, lit from above."""
    for _ in range(count):
        x, y = rng.uniform(0, SIZE), rng.uniform(0.08, 0.6) * horizon
        width = rng.uniform(16, 42)
        shape, under = skia.PathBuilder(), skia.PathBuilder()
        for _ in range(7):
            dx, radius = rng.uniform(-1, 1) * width, rng.uniform(0.22, 0.42) * width
            lift = radius * (1 - 0.5 * abs(dx) / width)
            shape.addOval(box(x + dx - radius, y - lift, x + dx + radius, y + 0.35 * radius))
            under.addOval(box(x + dx - radius, y - 0.1 * radius, x + dx + radius, y + 0.35 * radius))
        canvas.drawPath(shape.detach(), fill(tint, 165, 2.6))
        canvas.drawPath(under.detach(), fill([v * 0.78 for v in tint], 90, 3.0))
