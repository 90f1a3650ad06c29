"""The backgrounds that people built: night city, room, brick wall, studio."""

import random
from collections.abc import Callable

import skia

from .drawing import RGB, mix
from .scene import SIZE
from .scenery import (
    Light,
    below_line,
    box,
    fill,
    glow,
    ground_noise,
    haze,
    linear,
    mottle,
    pen,
    shift,
    strokes,
    vertical,
)


def _night_city(canvas: skia.Canvas, rng: random.Random, line: float, light: Light) -> None:
    top = shift((8, 10, 30), rng, 5)
    gleam = shift(rng.choice(((96, 62, 92), (120, 84, 60), (52, 62, 110))), rng, 8)
    vertical(canvas, 0, line + 4, top, mix(top, gleam, 0.45), gleam)
    for _ in range(70):
        y = line * rng.random() ** 1.3
        canvas.drawCircle(rng.uniform(0, SIZE), y, rng.uniform(0.35, 1.1), fill((255, 252, 235), rng.uniform(90, 230)))
    moon_x, moon_y = SIZE * (0.5 + 0.38 * light.x), rng.uniform(18, 46)
    glow(canvas, moon_x, moon_y, 42, (220, 224, 250), 120)
    canvas.drawCircle(moon_x, moon_y, rng.uniform(7, 11), fill((244, 240, 222)))
    for i, (low, high) in enumerate(((0.30, 0.62), (0.20, 0.5), (0.08, 0.34))):
        wall = mix(shift((20, 22, 38), rng, 4), gleam, 0.42 - 0.18 * i)
        x = rng.uniform(-14, 0)
        while x < SIZE:
            width = rng.uniform(14, 34)
            roof = line - rng.uniform(low, high) * line
            _tower(canvas, rng, x, roof, x + width, line + 2, wall, 0.35 + 0.2 * i)
            x += width + rng.choice((0, 0, 3, 7))
    vertical(canvas, line, SIZE, shift((54, 52, 64), rng, 4), shift((34, 34, 44), rng, 4), (18, 18, 26))
    ground_noise(canvas, line, rng, 0.6, 26, 1.0, 0.8)
    for _ in range(9):  # lamps along the street and their reflections
        x = rng.uniform(0, SIZE)
        lamp = rng.choice(((255, 206, 120), (255, 232, 190), (160, 200, 255), (255, 130, 90)))
        glow(canvas, x, line - 3, 8, lamp, 220)
        canvas.drawRect(box(x - 1.5, line + 2, x + 1.5, line + rng.uniform(18, 46)), fill(lamp, 60, 2.4))
    haze(canvas, line, mix(gleam, (200, 150, 110), 0.4), 14, 16, 90)
    middle = SIZE / 2 + rng.uniform(-30, 30)
    for i in range(4):  # road marks
        near, far = 0.18 + 0.22 * i, 0.28 + 0.25 * i
        y0, y1 = line + (SIZE - line) * near, line + (SIZE - line) * far
        mark = skia.PathBuilder()
        corners = ((middle - 2 * near, y0), (middle + 2 * near, y0), (middle + 3 * far, y1), (middle - 3 * far, y1))
        mark.addPolygon([skia.Point(*p) for p in corners], True)
        canvas.drawPath(mark.detach(), fill((186, 182, 170), 100))


def _tower(
    canvas: skia.Canvas,
    rng: random.Random,
    left: float,
    top: float,
    right: float,
    bottom: float,
    wall: RGB,
    lit: float,
) -> None:
    canvas.drawRect(
        box(left, top, right, bottom), linear((0, top), (0, bottom), (wall, 255), (mix(wall, (0, 0, 0), 0.3), 255))
    )
    if rng.random() < 0.3:
        strokes(canvas, [((left + right) / 2, top, (left + right) / 2, top - rng.uniform(5, 14))], pen(wall, 1.2))
    step_x, step_y = rng.choice((4, 5, 6)), rng.choice((5, 6, 7))
    glowing = rng.choice(((255, 222, 140), (255, 240, 200), (240, 200, 120), (190, 214, 255)))
    windows: list[skia.PathBuilder] = [skia.PathBuilder(), skia.PathBuilder()]
    y = top + 4
    while y < bottom - 5:
        x = left + 3
        while x < right - 3.5:
            if rng.random() < lit:
                windows[rng.random() < 0.35].addRect(box(x, y, x + 0.5 * step_x, y + 0.5 * step_y))
            x += step_x
        y += step_y
    canvas.drawPath(windows[0].detach(), fill(glowing, 215))
    canvas.drawPath(windows[1].detach(), fill(mix(glowing, wall, 0.45), 215))


def _room(canvas: skia.Canvas, rng: random.Random, line: float, light: Light) -> None:
    paper = shift(
        rng.choice(((214, 206, 190), (196, 206, 204), (218, 204, 196), (202, 204, 214), (206, 210, 192))), rng, 8
    )
    vertical(canvas, 0, line, mix(paper, (255, 255, 255), 0.12), mix(paper, (110, 100, 90), 0.14))
    _wallpaper(canvas, rng, line, paper)
    _furniture(canvas, rng, line, light)
    glow(canvas, SIZE * (0.5 + 0.6 * light.x), 30, 170, (255, 244, 214), 95)
    canvas.drawRect(
        box(0, line - 8, SIZE, line + 1),
        linear((0, line - 8), (0, line), ((250, 248, 242), 255), ((206, 200, 190), 255)),
    )
    canvas.drawLine(0, line - 8, SIZE, line - 8, pen((150, 142, 130), 0.8, 150))
    _floorboards(canvas, rng, line)
    canvas.drawRect(
        box(0, line, SIZE, line + 14), linear((0, line), (0, line + 14), ((30, 18, 10), 110), ((30, 18, 10), 0))
    )
    pool = skia.PathBuilder()  # light that falls in through a window
    x, lean = SIZE * (0.5 - 0.2 * light.x), -light.x * 60
    corners = ((x, line + 14), (x + 62, line + 14), (x + 84 + lean, SIZE - 8), (x + lean, SIZE - 8))
    pool.addPolygon([skia.Point(*p) for p in corners], True)
    canvas.drawPath(pool.detach(), fill((255, 240, 204), 46, 5))


def _wallpaper(canvas: skia.Canvas, rng: random.Random, line: float, paper: RGB) -> None:
    """A faint print: nothing here, tone-on-tone panels, or small sprigs, all too weak to be a pattern of an object."""
    kind = rng.randrange(3)
    ink = mix(paper, (92, 84, 76), 0.22)
    if kind == 0:
        step = rng.uniform(46, 70)
        x = rng.uniform(-step, 0)
        while x < SIZE:
            canvas.drawRect(box(x + 6, 10, x + step - 6, line - 14), pen(ink, 1.2, 120))
            x += step
    elif kind == 1:
        sprigs = []
        for row in range(int(line / 17)):
            for column in range(14):
                x, y = column * 18 + (row % 2) * 9, row * 17 + 6
                sprigs += [(x, y, x + 2.4, y - 2.4), (x, y, x - 2.4, y - 2.4), (x, y, x, y + 3)]
        strokes(canvas, sprigs, pen(ink, 1.0, 95))
    mottle(canvas, box(0, 0, SIZE, line), rng, 0.8, 10)


def _furniture(canvas: skia.Canvas, rng: random.Random, line: float, light: Light) -> None:
    """A picture frame and a low cabinet or sofa against the wall."""
    if rng.random() < 0.7:
        x, y, w, h = rng.uniform(8, 150), rng.uniform(10, 26), rng.uniform(34, 58), rng.uniform(30, 46)
        canvas.drawRect(box(x + 2, y + 3, x + w + 3, y + h + 4), fill((40, 30, 24), 90, 3))
        canvas.drawRect(box(x, y, x + w, y + h), fill(shift((112, 82, 52), rng, 16)))
        land, air = shift((136, 150, 120), rng, 20), shift((206, 212, 208), rng, 12)
        canvas.drawRect(box(x + 3, y + 3, x + w - 3, y + h - 3), fill((238, 234, 224)))
        inner = box(x + 7, y + 7, x + w - 7, y + h - 7)
        canvas.drawRect(inner, linear((0, y + 7), (0, y + h - 7), (air, 255), (air, 255), (land, 255), (land, 255)))
    if rng.random() < 0.7:
        x, w = rng.uniform(-40, 130), rng.uniform(80, 130)
        h = rng.uniform(26, 44)
        cloth = shift(rng.choice(((132, 126, 120), (110, 120, 124), (128, 112, 98))), rng, 10)
        top = line - h
        canvas.drawRect(box(x - 3, line - 4, x + w + 3, line + 8), fill((20, 14, 10), 110, 4))
        shade = linear(
            (0, top), (0, line + 4), (mix(cloth, (255, 255, 255), 0.18), 255), (mix(cloth, (0, 0, 0), 0.3), 255)
        )
        canvas.drawRRect(skia.RRect.MakeRectXY(box(x, top, x + w, line + 4), 6, 6), shade)
        seam = mix(cloth, (0, 0, 0), 0.4)
        strokes(canvas, [(x + w * i / 3, top + 4, x + w * i / 3, line) for i in (1, 2)], pen(seam, 1, 150))
        strokes(canvas, [(x + 4, top + 0.45 * h, x + w - 4, top + 0.45 * h)], pen(seam, 1, 120))


def _floorboards(canvas: skia.Canvas, rng: random.Random, line: float) -> None:
    wood = shift(rng.choice(((150, 104, 66), (176, 134, 90), (112, 76, 50), (164, 122, 84))), rng, 10)
    vertical(canvas, line, SIZE, mix(wood, (60, 40, 26), 0.25), wood, mix(wood, (255, 226, 180), 0.12))
    vanish_y = line - 46
    spread = 15.0
    for i in range(-14, 15):
        edges = []
        for k in (i, i + 1):
            for y in (line, SIZE):
                edges.append((SIZE / 2 + k * spread * (y - vanish_y) / (line - vanish_y), y))
        board = skia.PathBuilder()
        board.addPolygon([skia.Point(*edges[j]) for j in (0, 1, 3, 2)], True)
        canvas.drawPath(
            board.detach(), fill(mix(wood, rng.choice(((40, 26, 16), (236, 204, 158))), rng.uniform(0, 0.2)), 150)
        )
        strokes(canvas, [(*edges[0], *edges[1])], pen(mix(wood, (20, 12, 8), 0.7), 0.9, 150))
        y = line + (SIZE - line) * rng.random()
        share = (y - vanish_y) / (line - vanish_y)
        x0, x1 = SIZE / 2 + i * spread * share, SIZE / 2 + (i + 1) * spread * share
        strokes(canvas, [(x0, y, x1, y)], pen(mix(wood, (20, 12, 8), 0.7), 0.9, 150))
    ground_noise(canvas, line, rng, 0.9, 26, 0.5, 3.0)


def _brick_wall(canvas: skia.Canvas, rng: random.Random, line: float, light: Light) -> None:
    clay = shift(rng.choice(((158, 84, 62), (176, 104, 76), (140, 92, 74), (170, 128, 100))), rng, 10)
    mortar = shift((192, 182, 168), rng, 10)
    vertical(canvas, 0, SIZE, mortar, mix(mortar, (90, 84, 78), 0.35))
    height = rng.uniform(9, 13)
    width = height * rng.uniform(2.3, 2.8)
    tones = [mix(clay, rng.choice(((60, 34, 30), (226, 170, 130))), rng.uniform(0, 0.35)) for _ in range(9)]
    courses: list[skia.PathBuilder] = [skia.PathBuilder() for _ in tones]
    edges_light, edges_dark = [], []
    offset = rng.uniform(0, width)
    for row in range(int(line / height) + 1):
        y0 = line - (row + 1) * height
        x = -offset - (row % 2) * width / 2
        while x < SIZE:
            left, right = x + rng.uniform(0, 0.8), x + width - 1.6 + rng.uniform(-0.6, 0.4)
            top, bottom = y0 + rng.uniform(0, 0.5), y0 + height - 1.5
            courses[rng.randrange(len(tones))].addRRect(skia.RRect.MakeRectXY(box(left, top, right, bottom), 1, 1))
            edges_light.append((left + 1, top + 0.5, right - 1, top + 0.5))
            edges_dark.append((left + 1, bottom, right - 1, bottom))
            x += width
    for builder, tone in zip(courses, tones, strict=True):
        canvas.drawPath(builder.detach(), fill(tone))
    strokes(canvas, edges_light, pen((255, 226, 200), 0.8, 60))
    strokes(canvas, edges_dark, pen((40, 20, 16), 0.9, 110))
    wall = box(0, 0, SIZE, line)
    mottle(canvas, wall, rng, 0.5, 24)
    mottle(canvas, wall, rng, 1.7, 30, (1.6, 1.6))
    glow(canvas, SIZE * (0.5 + 0.6 * light.x), 20, 190, (255, 244, 222), 70)
    _pavement(canvas, rng, line)


def _pavement(canvas: skia.Canvas, rng: random.Random, line: float) -> None:
    stone = shift((146, 142, 136), rng, 10)
    vertical(canvas, line, SIZE, mix(stone, (50, 46, 42), 0.3), stone, mix(stone, (230, 226, 218), 0.15))
    joints: list[tuple[float, float, float, float]] = [
        (SIZE / 2 + i * 34, line, SIZE / 2 + i * 62, SIZE) for i in range(-5, 6)
    ]
    joints.append((0, line + 0.42 * (SIZE - line), SIZE, line + 0.42 * (SIZE - line)))
    strokes(canvas, joints, pen(mix(stone, (30, 28, 26), 0.6), 1.0, 140))
    ground_noise(canvas, line, rng, 0.5, 22, 0.8, 0.8)
    canvas.drawRect(
        box(0, line, SIZE, line + 9), linear((0, line), (0, line + 9), ((24, 18, 16), 130), ((24, 18, 16), 0))
    )


def _studio(canvas: skia.Canvas, rng: random.Random, line: float, light: Light) -> None:
    paper = shift(
        rng.choice(
            ((226, 224, 220), (196, 200, 204), (150, 156, 164), (208, 200, 190), (186, 196, 190), (98, 102, 108))
        ),
        rng,
        8,
    )
    vertical(canvas, 0, line, mix(paper, (70, 70, 76), 0.22), paper)
    vertical(canvas, line, SIZE, paper, mix(paper, (255, 255, 255), 0.16), mix(paper, (90, 90, 92), 0.18))
    # The sweep: paper bends from the wall onto the floor without an edge.
    canvas.drawRect(
        box(0, line - 26, SIZE, line + 18),
        linear((0, line - 26), (0, line + 18), (paper, 0), (mix(paper, (60, 60, 64), 0.16), 70), (paper, 0)),
    )
    glow(canvas, SIZE * (0.5 + 0.35 * light.x), line - 70, 150, (255, 253, 246), 120)
    canvas.drawPath(below_line([(0, 0), (SIZE, 0)], SIZE), _corner_fall_off())
    mottle(canvas, box(0, 0, SIZE, SIZE), rng, 1.8, 10, (1.4, 1.4))


def _corner_fall_off() -> skia.Paint:
    stops = [skia.ColorSetARGB(a, 0, 0, 0) for a in (0, 0, 70)]
    return skia.Paint(Shader=skia.GradientShader.MakeRadial((SIZE / 2, SIZE / 2), 165, stops, [0, 0.5, 1]))


PAINTERS: dict[str, Callable[[skia.Canvas, random.Random, float, Light], None]] = {
    "night city": _night_city,
    "room": _room,
    "brick wall": _brick_wall,
    "studio": _studio,
}
