"""The ten backgrounds. Each is painted from its own random stream and the scene's light alone."""

import math
import random
from collections.abc import Callable

import skia

from .drawing import RGB, mix
from .manmade import PAINTERS as MANMADE
from .scene import SIZE
from .scenery import (
    Light,
    below_line,
    box,
    clouds,
    fill,
    glow,
    ground_noise,
    haze,
    light_of,
    linear,
    mottle,
    pen,
    ridge,
    shift,
    strokes,
    vertical,
)
from .vocabulary import BACKGROUNDS

# Share of the picture's height where the ground begins.
_HORIZONS: dict[str, tuple[float, float]] = {
    "grass": (0.42, 0.60),
    "beach": (0.36, 0.50),
    "sea": (0.38, 0.56),
    "snow": (0.44, 0.60),
    "desert": (0.44, 0.58),
    "forest": (0.52, 0.64),
    "night city": (0.58, 0.70),
    "room": (0.60, 0.70),
    "brick wall": (0.74, 0.84),
    "studio": (0.60, 0.74),
}


def horizon(background: str, seed: int) -> float:
    """y in pixels where the ground begins; the same share of each background's range for one seed."""
    low, high = _HORIZONS[background]
    return SIZE * (low + (high - low) * random.Random(f"{seed}/horizon").random())


def draw_background(canvas: skia.Canvas, background: str, seed: int) -> float:
    """Paints the whole picture and returns the horizon's y in pixels."""
    line = horizon(background, seed)
    _PAINTERS[background](canvas, random.Random(f"{seed}/background/{background}"), line, light_of(seed))
    return line


def _sky(canvas: skia.Canvas, rng: random.Random, line: float, light: Light, cover: int = 3) -> RGB:
    """A day sky with sun side, clouds and haze; returns the colour of the air at the horizon."""
    mood = rng.random()
    if mood < 0.62:
        top, low, cloud = (68, 128, 210), (190, 218, 240), (252, 252, 252)
    elif mood < 0.82:  # evening
        top, low, cloud = (96, 118, 178), (250, 205, 160), (255, 226, 205)
    else:  # overcast
        top, low, cloud = (140, 156, 176), (214, 220, 226), (236, 238, 240)
    top, low = shift(top, rng, 10, 0.1), shift(low, rng, 6, 0.03)
    vertical(canvas, 0, line + 2, top, mix(top, low, 0.55), low)
    sun = SIZE * (0.5 + 0.55 * light.x)
    glow(canvas, sun, line * (1 - 0.9 * light.height), 120, (255, 246, 220), 120 if mood < 0.82 else 50)
    clouds(canvas, rng, line, rng.randrange(cover + 1), cloud)
    return low


def _grass(canvas: skia.Canvas, rng: random.Random, line: float, light: Light) -> None:
    air = _sky(canvas, rng, line, light)
    far, near = shift((112, 142, 128), rng, 10), shift((92, 128, 84), rng, 12)
    canvas.drawPath(below_line(ridge(rng, line, rng.uniform(14, 34)), line + 2), fill(mix(far, air, 0.45)))
    canvas.drawPath(below_line(ridge(rng, line, rng.uniform(6, 16), 0.7), line + 2), fill(mix(near, air, 0.2)))
    bush = shift((58, 96, 52), rng, 10)
    for x in range(-6, SIZE + 8, 7):
        if rng.random() < 0.6:
            radius = rng.uniform(2.5, 7)
            canvas.drawCircle(x, line - 0.3 * radius, radius, fill(shift(bush, rng, 9), 235))
    vertical(
        canvas, line, SIZE, shift((132, 168, 84), rng, 10), shift((88, 142, 56), rng, 12), shift((52, 104, 36), rng)
    )
    ground_noise(canvas, line, rng, 0.7, 30, 1.3, 1.1)
    ground_noise(canvas, line, rng, 1.5, 26, 4.0, 2.0, 0.8)
    haze(canvas, line, mix(air, (150, 180, 110), 0.5), 0, 14, 120)
    for tone in ((58, 118, 40), (94, 156, 58), (140, 186, 84)):
        blades = []
        for _ in range(70):
            nearness = rng.random() ** 0.7
            root, y = rng.uniform(0, SIZE), line + 6 + (SIZE - line) * nearness
            tall = 2 + 10 * nearness
            blades.append((root, y, root + rng.uniform(-0.4, 0.4) * tall, y - tall))
        strokes(canvas, blades, pen(shift(tone, rng, 8), 1.3, 190))


def _beach(canvas: skia.Canvas, rng: random.Random, line: float, light: Light) -> None:
    air = _sky(canvas, rng, line, light)
    shore = line + rng.uniform(14, 32)
    if rng.random() < 0.6:  # a headland
        side = rng.choice((0, SIZE))
        hill = [
            (x, line - max(0.0, 1 - abs(x - side) / 110) ** 0.7 * rng.uniform(16, 20)) for x in range(0, SIZE + 1, 8)
        ]
        canvas.drawPath(below_line(hill, line + 1), fill(mix(shift((96, 120, 110), rng), air, 0.4)))
    deep = shift((38, 104, 158), rng, 12)
    vertical(canvas, line, shore + 3, mix(deep, air, 0.35), deep, shift((96, 186, 192), rng, 8))
    mottle(canvas, box(0, line, SIZE, shore), rng, 1.0, 30, (2.4, 0.35))
    sand = shift((226, 204, 156), rng, 10, 0.05)
    vertical(canvas, shore, SIZE, mix(sand, (150, 124, 88), 0.5), sand, mix(sand, (196, 160, 104), 0.5))
    wave = [
        (x, shore + 2.2 * math.sin(x * 0.05 + light.x * 9) + 1.2 * math.sin(x * 0.13)) for x in range(0, SIZE + 1, 8)
    ]
    wet = [(x, y + 9 + 2 * math.sin(x * 0.03)) for x, y in wave]
    canvas.drawPath(below_line(wet, SIZE), fill(sand, 255, 2.5))
    vertical_shade = linear((0, shore), (0, SIZE), (sand, 0), (shift((190, 152, 98), rng), 170))
    canvas.drawRect(box(0, shore + 12, SIZE, SIZE), vertical_shade)
    ground_noise(canvas, line, rng, 0.5, 20, 1.0, 0.9)
    ground_noise(canvas, line, rng, 1.6, 22, 3.5, 1.5, 0.8)
    for offset, alpha in ((-9, 120), (-4, 150), (0, 230)):
        builder = skia.PathBuilder()
        builder.moveTo(wave[0][0], wave[0][1] + offset)
        for x, y in wave[1:]:
            builder.lineTo(x, y + offset + rng.uniform(-0.8, 0.8))
        canvas.drawPath(builder.detach(), pen((252, 252, 250), 1.1 if offset else 3.0, alpha))
    for _ in range(26):  # pebbles
        nearness = rng.random() ** 0.6
        middle, y = rng.uniform(0, SIZE), shore + 14 + (SIZE - shore - 14) * nearness
        radius = 0.5 + 1.6 * nearness * rng.random()
        canvas.drawOval(
            box(middle - radius, y, middle + radius, y + radius), fill(shift((168, 146, 116), rng, 30), 200)
        )


def _sea(canvas: skia.Canvas, rng: random.Random, line: float, light: Light) -> None:
    air = _sky(canvas, rng, line, light)
    deep = shift((16, 70, 118), rng, 12, 0.15)
    shallow = shift((40, 128, 150), rng, 14)
    vertical(canvas, line, SIZE, mix(deep, air, 0.45), mix(deep, shallow, rng.random()), deep)
    ground_noise(canvas, line, rng, 1.1, 44, 3.4, 0.8)
    ground_noise(canvas, line, rng, 0.8, 30, 1.8, 0.5, 0.8)
    haze(canvas, line, air, 6, 10, 110)
    for tone, alpha, count in (((8, 42, 82), 120, 40), ((190, 222, 234), 150, 46)):
        for width in (0.9, 1.6):
            crests = skia.PathBuilder()
            for _ in range(count // 2):
                nearness = rng.random() ** 1.3
                x, y = rng.uniform(-10, SIZE), line + 4 + (SIZE - line) * nearness
                reach = (3 + 24 * nearness) * rng.uniform(0.5, 1)
                crests.moveTo(x, y)
                crests.quadTo(x + reach / 2, y - 1.2 - 3.6 * nearness, x + reach, y + rng.uniform(-1, 1))
            canvas.drawPath(crests.detach(), pen(tone, width, alpha))
    sun = SIZE * (0.5 + 0.55 * light.x)
    glints = []
    for _ in range(46):
        nearness = rng.random()
        x = sun + rng.gauss(0, 9 + 30 * nearness)
        y = line + 2 + (SIZE - line) * nearness**1.4
        glints.append((x, y, x + 1 + 4 * nearness, y))
    strokes(canvas, glints, pen((255, 250, 232), 1.2, 190))


def _snow(canvas: skia.Canvas, rng: random.Random, line: float, light: Light) -> None:
    top, low = shift((132, 164, 204), rng, 18), shift((224, 230, 238), rng, 6)
    vertical(canvas, 0, line + 2, top, low)
    clouds(canvas, rng, line, rng.randrange(3), (246, 248, 252))
    if rng.random() < 0.75:
        _mountains(canvas, rng, line, light, low)
    if rng.random() < 0.7:
        for x in range(-4, SIZE + 8, 9):
            if rng.random() < 0.55:
                _pine(canvas, rng, x + rng.uniform(-3, 3), line + 3, rng.uniform(8, 22), low)
    vertical(canvas, line, SIZE, (226, 234, 244), (243, 246, 250), (250, 251, 253))
    for i in range(4):  # drifts
        base = line + (SIZE - line) * (0.2 + 0.25 * i)
        crest = ridge(rng, base, 7 + 5 * i, 0.3)
        shade = linear((0, base - 14), (0, base + 26), ((176, 196, 222), 110), ((244, 247, 251), 0))
        canvas.drawPath(below_line(crest, base + 26), shade)
    ground_noise(canvas, line, rng, 0.6, 9, 1.0, 0.8)
    haze(canvas, line, (240, 244, 250), 10, 16, 150)
    for _ in range(rng.choice((0, 50, 110))):
        canvas.drawCircle(
            rng.uniform(0, SIZE),
            rng.uniform(0, SIZE),
            rng.uniform(0.6, 1.9),
            fill((255, 255, 255), rng.uniform(120, 235)),
        )


def _mountains(canvas: skia.Canvas, rng: random.Random, line: float, light: Light, air: RGB) -> None:
    """Two rows of snowy peaks with a lit and a shaded side."""
    for distance in (0.65, 0.35):
        x = rng.uniform(-40, 0)
        while x < SIZE + 30:
            height, width = rng.uniform(24, 62) * (1.2 - distance), rng.uniform(26, 48)
            peak = (x, line - height)
            foot = x + rng.uniform(-0.25, 0.25) * width
            rock = mix(shift((112, 126, 148), rng, 8), air, distance)
            sides = ((x - width, (244, 247, 251), 1), (x + width, (168, 184, 208), -1))
            for edge, snow, side in sides:
                tone = mix(snow, rock, 0.1 if (side > 0) == (light.x < 0) else 0.55)
                triangle = skia.PathBuilder()
                triangle.addPolygon([skia.Point(*peak), skia.Point(edge, line + 2), skia.Point(foot, line + 2)], True)
                canvas.drawPath(
                    triangle.detach(), linear(peak, (x, line), (mix(tone, (255, 255, 255), 0.5), 255), (rock, 255))
                )
            x += width * rng.uniform(0.8, 1.4)


def _pine(canvas: skia.Canvas, rng: random.Random, x: float, foot: float, height: float, air: RGB) -> None:
    tone = mix(shift((44, 74, 66), rng, 8), air, 0.25)
    builder = skia.PathBuilder()
    for i in range(3):
        top, width = foot - height * (1 - 0.25 * i), height * (0.13 + 0.07 * i)
        low = top + 0.5 * height
        builder.addPolygon([skia.Point(x, top), skia.Point(x + width, low), skia.Point(x - width, low)], True)
    canvas.drawPath(builder.detach(), fill(tone))
    strokes(canvas, [(x, foot - height, x - 0.1 * height, foot - 0.62 * height)], pen((245, 248, 252), 1.3, 220))


def _desert(canvas: skia.Canvas, rng: random.Random, line: float, light: Light) -> None:
    warm = rng.random()
    low = shift((246, 220, 178) if warm < 0.7 else (248, 190, 140), rng, 8)
    vertical(canvas, 0, line + 20, shift((92, 148, 208) if warm < 0.7 else (150, 120, 140), rng, 14), low)
    sun = SIZE * (0.5 + 0.5 * light.x)
    glow(canvas, sun, line * (1 - 0.9 * light.height), 100, (255, 240, 200), 150)
    sand = shift((226, 164, 92), rng, 12, 0.05)
    vertical(canvas, line, SIZE, mix(sand, low, 0.4), sand, mix(sand, (160, 96, 48), 0.35))
    for i, depth in enumerate((0.0, 0.12, 0.34)):
        base = line + depth * (SIZE - line)
        _dune(canvas, rng, base, 16 + 12 * i, light, mix(mix(sand, low, 0.45 - 0.18 * i), (255, 214, 150), 0.15))
    ground_noise(canvas, line, rng, 0.5, 15, 1.0, 0.8)
    for i in range(13):  # wind ripples
        nearness = (i + rng.random()) / 13
        y = line + 24 + (SIZE - line - 20) * nearness**1.4
        builder = skia.PathBuilder()
        builder.moveTo(-4, y)
        for x in range(8, SIZE + 16, 14):
            builder.quadTo(x - 7, y + rng.uniform(-2.5, 2.5), x, y + rng.uniform(-1, 1))
        canvas.drawPath(builder.detach(), pen(mix(sand, (120, 70, 34), 0.7), 0.8 + nearness, 60))
    haze(canvas, line, low, 8, 12, 120)


def _dune(canvas: skia.Canvas, rng: random.Random, base: float, height: float, light: Light, tone: RGB) -> None:
    """A dune with a sharp crest: bright towards the light, shaded behind the crest."""
    crest_x = rng.uniform(0.1, 0.9) * SIZE
    left, right = crest_x - rng.uniform(90, 190), crest_x + rng.uniform(90, 190)
    top = base - height * rng.uniform(0.6, 1.0)
    body = skia.PathBuilder()
    body.moveTo(left, base + 30)
    body.cubicTo(left + 50, base, crest_x - 40, top + 2, crest_x, top)
    body.cubicTo(crest_x + 40, top + 4, right - 50, base, right, base + 30)
    body.close()
    faded = linear((0, top), (0, base + 30), (mix(tone, (255, 232, 180), 0.35), 255), (tone, 0))
    canvas.drawPath(body.detach(), faded)
    far = right if light.x < 0 else left
    slope = skia.PathBuilder()
    slope.moveTo(crest_x, top)
    slope.cubicTo((crest_x + far) / 2, top + 6, far, base, far, base + 26)
    slope.cubicTo((crest_x + far) / 2, base + 10, crest_x + (far - crest_x) * 0.05, base - 2, crest_x, top)
    shade = mix(tone, (112, 60, 34), 0.5)
    canvas.drawPath(slope.detach(), linear((0, top), (0, base + 26), (shade, 210), (shade, 0)))


def _forest(canvas: skia.Canvas, rng: random.Random, line: float, light: Light) -> None:
    air = shift((176, 202, 150), rng, 16)
    vertical(canvas, 0, line + 4, shift((58, 92, 50), rng, 10), mix(air, (70, 110, 60), 0.35), air)
    glow(canvas, SIZE * (0.5 + 0.4 * light.x), 0.5 * line, 90, (250, 250, 205), 130)
    mottle(canvas, box(0, 0, SIZE, line), rng, 1.0, 46, (0.9, 0.9))
    vertical(
        canvas, line, SIZE, shift((110, 122, 66), rng, 8), shift((84, 78, 44), rng, 8), shift((52, 46, 28), rng, 8)
    )
    ground_noise(canvas, line, rng, 0.7, 40, 1.2, 1.1)
    haze(canvas, line, air, 26, 18, 150)
    for layer, (count, width, fog) in enumerate(((11, 3.0, 0.62), (7, 7.5, 0.34), (4, 15.0, 0.0))):
        foot = line + (2, 10, 26)[layer]
        bark = mix(shift((78, 62, 46), rng, 10), air, fog)
        for i in range(count):
            x = SIZE * (i + rng.uniform(-0.1, 1.1)) / count
            half = width * rng.uniform(0.35, 0.65)
            _trunk(canvas, rng, x, half, foot + rng.uniform(-2, 4 * layer), bark, light)
        leaves = mix(shift((62, 112, 44), rng, 10), air, fog)
        _canopy(canvas, rng, leaves, (0.62, 0.42, 0.24)[layer] * line, 26 - 5 * layer, 7 + 4 * layer)
    if rng.random() < 0.5:  # shafts of light
        for _ in range(3):
            x = rng.uniform(0, SIZE)
            lean = -light.x * 70
            shaft = skia.PathBuilder()
            points = ((x, -5), (x + 14, -5), (x + 30 + lean, line + 30), (x + lean, line + 30))
            shaft.addPolygon([skia.Point(*p) for p in points], True)
            canvas.drawPath(shaft.detach(), fill((255, 252, 210), 34, 4))
    ferns = []
    for _ in range(60):
        nearness = rng.random()
        x, y, size = rng.uniform(0, SIZE), line + 8 + (SIZE - line) * nearness, 3 + 8 * nearness
        ferns += [(x, y, x + size * rng.uniform(-0.8, 0.8), y - size * rng.uniform(0.4, 1)) for _ in range(3)]
    strokes(canvas, ferns, pen(shift((86, 128, 50), rng, 12), 1.2, 190))


def _trunk(
    canvas: skia.Canvas, rng: random.Random, x: float, half: float, foot: float, bark: RGB, light: Light
) -> None:
    lean = rng.uniform(-5, 5)
    trunk = skia.PathBuilder()
    trunk.moveTo(x - 1.4 * half, foot)
    trunk.quadTo(x - half, foot - 12, x - 0.8 * half + lean, -4)
    trunk.lineTo(x + 0.8 * half + lean, -4)
    trunk.quadTo(x + half, foot - 12, x + 1.4 * half, foot)
    trunk.close()
    lit, dark = mix(bark, (222, 208, 170), 0.3), mix(bark, (18, 14, 12), 0.55)
    ends = (dark, lit) if light.x > 0 else (lit, dark)
    canvas.drawPath(trunk.detach(), linear((x - half, 0), (x + half, 0), (ends[0], 255), (bark, 255), (ends[1], 255)))
    if half > 3:
        cracks = []
        for _ in range(int(3 * half)):
            cx, cy = x + rng.uniform(-0.75, 0.75) * half, rng.uniform(0, foot - 8)
            cracks.append((cx, cy, cx + rng.uniform(-1, 1), cy + rng.uniform(5, 18)))
        strokes(canvas, cracks, pen(mix(bark, (12, 10, 8), 0.6), 0.9, 130))


def _canopy(canvas: skia.Canvas, rng: random.Random, leaves: RGB, reach: float, count: int, size: float) -> None:
    """Clusters of leaves that hang from the upper edge: three tones, each one path."""
    for tone in (mix(leaves, (10, 20, 8), 0.45), leaves, mix(leaves, (226, 236, 130), 0.32)):
        cluster = skia.PathBuilder()
        for _ in range(count * 2):
            x, y = rng.uniform(-5, SIZE + 5), reach * abs(rng.gauss(0, 0.42)) - 4
            rx, ry = size * rng.uniform(0.2, 0.7), size * rng.uniform(0.15, 0.45)
            cluster.addOval(box(x - rx, y - ry, x + rx, y + ry))
        canvas.drawPath(cluster.detach(), fill(tone, 215))


_PAINTERS: dict[str, Callable[[skia.Canvas, random.Random, float, Light], None]] = {
    "grass": _grass,
    "beach": _beach,
    "sea": _sea,
    "snow": _snow,
    "desert": _desert,
    "forest": _forest,
    **MANMADE,
}
assert set(_PAINTERS) == set(_HORIZONS) == set(BACKGROUNDS)
