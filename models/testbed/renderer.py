"""Draws a scene: background, ground shadows, objects with light on their parts, camera; and the exact segment map.

Every random choice comes from a stream named after the scene's seed, a purpose and the object's key, so that
changing one thing leaves the pixels elsewhere as they were.
"""

import random
from functools import lru_cache

import numpy as np
import skia

from .backgrounds import draw_background
from .catalogue import all_drawings, drawing_choices, drawing_of
from .drawing import BODY, Part
from .scene import SIZE, Rendering, Scene, SceneObject, Segments
from .scenery import Light, argb, glow, light_of
from .textures import CLOSE_UP_PERIOD, OBJECT_PERIOD, PERIODS, body_colour, texture

__all__ = ["all_drawings", "drawing_choices", "render", "render_segments"]

_GRAIN_TILES = 4
_SOLID = 255  # parts as opaque as this let nothing through
_OPAQUE = 128  # parts less opaque than this are glare and glass: they hide nothing in the segment map
_INDOORS = ("room", "brick wall", "studio")


def render(scene: Scene) -> Rendering:
    """Draws a scene; the same scene always gives the same bytes.

    Raises KeyError or IndexError for a noun, pattern, colour, background or drawing that does not exist, UserError
    for a drawing of a pack that is not installed.
    """
    light = light_of(scene.seed)
    pixels = np.zeros((SIZE, SIZE, 4), np.uint8)
    canvas = skia.Canvas(pixels, skia.kRGBA_8888_ColorType)
    if scene.surface is not None:
        _draw_surface(canvas, scene, light)
        image, segments = _photograph(pixels, scene.seed), _surface_segments()
        return Rendering(image, segments.objects, segments.body)
    assert scene.background is not None
    line = draw_background(canvas, scene.background, scene.seed)
    objects = [_ReadyObject(scene.seed, entry) for entry in scene.objects]
    for ready in objects:
        _draw_shadow(canvas, ready, light, line, scene.background in _INDOORS)
    for ready in objects:
        _draw_object(canvas, ready, light)
    segments = _segment_map(objects)
    return Rendering(_photograph(pixels, scene.seed), segments.objects, segments.body)


def render_segments(scene: Scene) -> Segments:
    """The segment map of `render(scene)` without the picture, at a tenth of its cost. Raises as `render` does."""
    if scene.surface is not None:
        return _surface_segments()
    return _segment_map([_ReadyObject(scene.seed, entry, coloured=False) for entry in scene.objects])


class _ReadyObject:
    """An object with its parts, its surface (if it is `coloured`) and its place on the canvas."""

    def __init__(self, seed: int, entry: SceneObject, coloured: bool = True) -> None:
        self.entry = entry
        stream = f"{seed}/object/{entry.key}"
        rng = random.Random(f"{stream}/surface")
        period = min(PERIODS[-1], max(PERIODS[0], rng.uniform(*OBJECT_PERIOD) * entry.scale))
        self.shader = None
        if coloured:
            self.shader, self.tone = texture(entry.colour, entry.pattern, period, rng, 1 / entry.scale)
        else:
            self.tone = body_colour(entry.colour, rng)  # as `texture` draws it: parts may depend on it
        draw = drawing_of(entry.noun, entry.drawing)
        self.parts = draw(random.Random(f"{stream}/drawing"), self.tone)

    def place(self, canvas: skia.Canvas) -> None:
        """Moves the canvas into the object's unit box."""
        entry = self.entry
        canvas.translate(entry.x, entry.y)
        canvas.rotate(entry.tilt)
        canvas.scale(-entry.scale if entry.flip else entry.scale, entry.scale)


def _draw_object(canvas: skia.Canvas, ready: _ReadyObject, light: Light) -> None:
    """Draws the object on a layer of its own, closes the seams there, and lays the layer over the picture.

    Where two antialiased edges meet, each leaves a part of the pixel to what is beneath: the background would shine
    through the object. Within the silhouette of the solid parts, a pixel off its edge, the layer is made opaque.
    """
    frame = _frame(ready)
    if frame.isEmpty():
        return
    layer = np.zeros((frame.height(), frame.width(), 4), np.uint8)
    sheet = skia.Canvas(layer, skia.kRGBA_8888_ColorType, skia.kPremul_AlphaType)
    sheet.translate(-frame.left(), -frame.top())
    _draw_parts(sheet, ready, light)
    _close_seams(layer, _solid_inside(ready, frame))
    image = skia.Image.fromarray(layer, skia.kRGBA_8888_ColorType, skia.kPremul_AlphaType, copy=False)
    canvas.drawImage(image, frame.left(), frame.top())


def _frame(ready: _ReadyObject) -> skia.IRect:
    """The pixels that the object can touch; may be empty."""
    around = skia.Rect.MakeEmpty()
    for part in ready.parts:
        around.join(part.path.getBounds())
    board = skia.Canvas(SIZE, SIZE)
    ready.place(board)
    frame = board.getTotalMatrix().mapRect(around).roundOut().makeOutset(2, 2)
    return frame if frame.intersect(skia.IRect.MakeWH(SIZE, SIZE)) else skia.IRect.MakeEmpty()


def _solid_inside(ready: _ReadyObject, frame: skia.IRect) -> np.ndarray:
    """bool, the frame's size: covered by solid parts, as are the eight neighbours."""
    silhouette = np.zeros((frame.height(), frame.width()), np.uint8)
    canvas = skia.Canvas(silhouette, skia.kAlpha_8_ColorType, skia.kPremul_AlphaType)
    canvas.translate(-frame.left(), -frame.top())
    ready.place(canvas)
    ink = skia.Paint(AntiAlias=False, Color=_black(255))
    for part in ready.parts:
        if _alpha(part) >= _SOLID:
            canvas.drawPath(part.path, ink)
    covered = silhouette > 0
    inside = np.zeros_like(covered)
    rows = covered[:-2] & covered[1:-1] & covered[2:]
    inside[1:-1, 1:-1] = rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:]
    return inside


def _close_seams(layer: np.ndarray, inside: np.ndarray) -> None:
    """Makes premultiplied RGBA opaque `inside`, its colours as they are; in place."""
    rows, columns = np.nonzero(inside & (layer[..., 3] < 255))
    thin = layer[rows, columns].astype(np.float32)
    layer[rows, columns] = np.minimum(thin * (255 / np.maximum(thin[:, 3:], 1)) + 0.5, 255)


def _draw_parts(canvas: skia.Canvas, ready: _ReadyObject, light: Light) -> None:
    # Light comes from the scene's side, also on mirrored objects.
    side = -light.x if ready.entry.flip else light.x
    canvas.save()
    ready.place(canvas)
    edge = skia.Paint(
        AntiAlias=True,
        Style=skia.Paint.kStroke_Style,
        StrokeWidth=1.1 / ready.entry.scale,
        Color=skia.ColorSetARGB(70, 0, 0, 0),
    )
    for part in ready.parts:
        if part.fill == BODY:
            paint = skia.Paint(AntiAlias=True, Shader=ready.shader)
        else:
            paint = skia.Paint(AntiAlias=True, Color=_part_colour(part))
        canvas.drawPath(part.path, paint)
        if part.overlay is not None:
            _draw_overlay(canvas, part)
        shade = _shade(part, side)
        if shade is not None:
            canvas.drawPath(part.path, shade)
        if part.fill == BODY:
            canvas.drawPath(part.path, edge)
    canvas.restore()


def _draw_overlay(canvas: skia.Canvas, part: Part) -> None:
    canvas.save()
    canvas.clipPath(part.path, doAntiAlias=True)
    smooth = skia.SamplingOptions(skia.FilterMode.kLinear, skia.MipmapMode.kLinear)
    paint = skia.Paint(BlendMode=skia.BlendMode.kHardLight)
    canvas.drawImageRect(part.overlay, skia.Rect.MakeLTRB(*part.box), smooth, paint)
    canvas.restore()


def _part_colour(part: Part) -> int:
    assert not isinstance(part.fill, str), f"unknown fill {part.fill!r}"
    return argb(part.fill, _alpha(part))


def _white(alpha: float) -> int:
    return skia.ColorSetARGB(int(alpha), 255, 255, 255)


def _black(alpha: float) -> int:
    return skia.ColorSetARGB(int(alpha), 0, 0, 0)


def _shade(part: Part, side: float) -> skia.Paint | None:
    """Light on a part as a translucent gradient over its bounds. side: where light comes from, -1 left .. +1 right."""
    if part.shade == "flat":
        return None
    if part.shade in ("dark", "light"):
        return skia.Paint(AntiAlias=True, Color=_black(82) if part.shade == "dark" else _white(70))
    bounds = part.path.getBounds()
    left, top, right, bottom = bounds.left(), bounds.top(), bounds.right(), bounds.bottom()
    cx, cy = (left + right) / 2, (top + bottom) / 2
    lit, unlit = (left, right) if side < 0 else (right, left)
    gradient = skia.GradientShader
    if part.shade == "sphere":
        radius = max(right - left, bottom - top) / 2 + 1e-3
        centre = (cx + 0.55 * side * radius, cy - 0.42 * radius)
        stops = [_white(125), _white(30), _black(18), _black(140)]
        shader = gradient.MakeRadial(centre, 1.6 * radius, stops, [0, 0.28, 0.58, 1])
    elif part.shade == "vertical":
        ends = [(cx + 0.25 * side * (right - left), top), (cx - 0.25 * side * (right - left), bottom)]
        shader = gradient.MakeLinear(ends, [_white(66), _black(0), _black(92)])
    elif part.shade == "sideways":
        shader = gradient.MakeLinear([(lit, cy - 0.1), (unlit, cy + 0.1)], [_white(58), _black(0), _black(92)])
    elif part.shade == "cylinder":
        stops = [_black(64), _white(96), _black(8), _black(120)]
        shader = gradient.MakeLinear([(lit, cy), (unlit, cy)], stops, [0, 0.27, 0.58, 1])
    elif part.shade == "glass":
        stops = [_white(150), _white(12), _white(96), _black(36)]
        shader = gradient.MakeLinear([(lit, top), (unlit, bottom)], stops, [0, 0.38, 0.5, 1])
    else:
        raise KeyError(f"unknown shade {part.shade!r}")
    return skia.Paint(AntiAlias=True, Shader=shader)


def _draw_shadow(canvas: skia.Canvas, ready: _ReadyObject, light: Light, line: float, indoors: bool) -> None:
    """The object's silhouette laid onto the ground, away from the light; on the wall if it hangs indoors."""
    entry = ready.entry
    foot = entry.y + entry.scale
    on_ground = foot > line
    if not on_ground and not indoors:
        return
    matrix = skia.Matrix()
    if on_ground:
        length, lean = 0.34 - 0.16 * light.height, 1.35 * light.x
        matrix.setScale(1, length)
        matrix.postSkew(lean, 0)
        origin = (entry.x, foot)
        alpha, blur = 115, 1.2 + 0.03 * entry.scale
    else:
        length, lean = 1.0, 0.0
        origin = (entry.x - 7 * light.x, foot + 5)
        alpha, blur = 80, 3.0
    # A layer as small as the shadow: blurring the whole picture would cost more than all the rest.
    high = 2.3 * entry.scale * length
    wide = 1.35 * entry.scale + 8
    left, right = origin[0] - wide - max(0.0, lean * high), origin[0] + wide - min(0.0, lean * high)
    canvas.save()
    canvas.clipRect(skia.Rect.MakeLTRB(left, origin[1] - high - 8, right, origin[1] + 0.3 * entry.scale * length + 8))
    canvas.saveLayer(None, skia.Paint(ImageFilter=skia.ImageFilters.Blur(blur, blur), Alpha=alpha))
    canvas.translate(*origin)
    canvas.concat(matrix)
    canvas.translate(-entry.x, -foot)
    ready.place(canvas)
    ink = skia.Paint(AntiAlias=False, Color=_black(255))
    for part in ready.parts:
        if _hides(part):
            canvas.drawPath(part.path, ink)
    canvas.restore()
    canvas.restore()
    if on_ground:  # darkest where the object touches
        canvas.save()
        canvas.translate(entry.x, foot)
        canvas.scale(entry.scale * 0.8, max(2.0, 0.09 * entry.scale))
        glow(canvas, 0, 0, 1, (0, 0, 0), 120)
        canvas.restore()


def _alpha(part: Part) -> int:
    return part.fill[3] if not isinstance(part.fill, str) and len(part.fill) == 4 else 255


def _hides(part: Part) -> bool:
    return _alpha(part) >= _OPAQUE


def _draw_surface(canvas: skia.Canvas, scene: Scene, light: Light) -> None:
    """A close-up: the surface fills the picture, lit from one side, very slightly turned."""
    assert scene.surface is not None
    rng = random.Random(f"{scene.seed}/surface")
    low, high = CLOSE_UP_PERIOD
    shader, _ = texture(*scene.surface, low * (high / low) ** rng.random(), rng)
    canvas.save()
    canvas.rotate(rng.uniform(-4, 4), SIZE / 2, SIZE / 2)
    canvas.drawRect(skia.Rect.MakeLTRB(-40, -40, SIZE + 40, SIZE + 40), skia.Paint(Shader=shader))
    canvas.restore()
    glow(canvas, SIZE * (0.5 + 0.5 * light.x), SIZE * 0.2, 1.1 * SIZE, (255, 252, 240), 60)
    ends = [(SIZE * (0.5 + 0.5 * light.x), 0), (SIZE * (0.5 - 0.5 * light.x), SIZE)]
    dusk = skia.GradientShader.MakeLinear(ends, [_black(0), _black(10), _black(80)])
    canvas.drawPaint(skia.Paint(Shader=dusk))


def _surface_segments() -> Segments:
    return Segments(np.ones((SIZE, SIZE), np.uint8), np.ones((SIZE, SIZE), bool))


def _segment_map(objects: list[_ReadyObject]) -> Segments:
    """Drawn without antialiasing: object number in channel 0, 255 in channel 1 on bodies."""
    segments = np.zeros((SIZE, SIZE, 4), np.uint8)
    canvas = skia.Canvas(segments, skia.kRGBA_8888_ColorType)
    for i, ready in enumerate(objects):
        canvas.save()
        ready.place(canvas)
        for part in ready.parts:
            if _hides(part):
                flag = 255 if part.fill == BODY else 0
                canvas.drawPath(part.path, skia.Paint(AntiAlias=False, Color=skia.ColorSetARGB(255, i + 1, flag, 0)))
        canvas.restore()
    return Segments(segments[..., 0].copy(), segments[..., 1] > 0)


@lru_cache(maxsize=1)
def _grain() -> np.ndarray:
    """float32 [tiles, 256, 256]: film grain of deviation 1, a little correlated as in photographs."""
    noise = np.random.default_rng(7).standard_normal((_GRAIN_TILES, 256, 256)).astype(np.float32)
    soft = noise + 0.6 * (np.roll(noise, 1, 1) + np.roll(noise, 1, 2))
    return soft / soft.std()


def _photograph(pixels: np.ndarray, seed: int) -> np.ndarray:
    """uint8 RGB [224, 224, 3]: exposure, contrast, colour cast and grain, all from the scene's seed alone."""
    rng = random.Random(f"{seed}/camera")
    exposure, contrast, warmth = rng.uniform(0.93, 1.07), rng.uniform(0.93, 1.07), rng.uniform(-0.025, 0.025)
    levels = np.arange(256, dtype=np.float32)
    curve = ((levels - 128) * contrast + 128) * exposure
    table = np.clip(np.stack([curve * (1 + warmth), curve, curve * (1 - warmth)], 1), 0, 255)
    dx, dy = rng.randrange(256 - SIZE), rng.randrange(256 - SIZE)
    grain = _grain()[rng.randrange(_GRAIN_TILES), dy : dy + SIZE, dx : dx + SIZE] * rng.uniform(1.2, 3.0)
    image = np.empty((SIZE, SIZE, 3), np.uint8)
    for channel in range(3):
        exposed = table[:, channel].take(pixels[..., channel])
        exposed += grain
        np.clip(exposed, 0, 255, out=exposed)
        image[..., channel] = exposed
    return image
