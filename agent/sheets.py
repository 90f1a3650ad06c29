"""Pictures as a vision-language model gets them: one by one, or several on a contact sheet with numbers, titles and
activations drawn on it."""

import io
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ..models.vlm.chat import ChatImage
from .backbones.base import Picture

SHEET_LIMIT = 60
"""Pictures that one sheet holds at most."""
LEAST_CELL = 48
"""Pixels of a picture's side on a sheet: smaller ones, and the words below them, cannot be made out."""

LINES = 3
"""Lines of a title at most; as many as the longest one needs."""

_SHEETS_KEPT = 128
"""Files of sheets (about 0.5 MB each) that are not drawn again while a dialogue goes on."""
_COMPRESSION = 6
"""Of PNG (JPEG blurs small letters); a fixed level, so that the same sheet has the same bytes."""
_PAPER, _INK, _BAR, _BAR_INK = (255, 255, 255), (0, 0, 0), (24, 32, 48), (255, 255, 255)
_NUMBER_INK = (255, 214, 64)
_LARGE = 336
"""Pixels to which a picture may be enlarged on a sheet that has no other: more costs tokens and shows nothing new."""
_SMALL = 90
"""Pixels of a cell under which a title gets two lines at most: three would take too much of the picture."""
_NARROWEST = 50
"""How many times longer than wide a picture is sent at most."""
_LEAST_FONT = 11
_GAP = 4
"""Pixels between cells."""
_MISSING = "\U0010fffd"
"""A character of no script: what a font draws for it, it draws for all that it lacks."""
_ELLIPSIS = "..."
_SPELT = {"→": "->", "⇒": "=>", "≥": ">=", "≤": "<="}


def chat_image(picture: Path | Image.Image, side: int) -> ChatImage:
    """A picture whose longer side is `side` pixels at most; never enlarged. One that is very long and narrow gets white
    beside it: processors refuse such.

    A PNG or JPEG file that fits already is passed on byte by byte. Raises OSError for a file that is no picture.
    """
    if isinstance(picture, Image.Image):
        return _encoded(_shrunk(picture, side))
    return _file_image(picture, side, picture.stat().st_mtime_ns)


def chat_image_size(picture: Path, side: int) -> tuple[int, int]:
    """Width and height that `chat_image` will have; reads only the file's head."""
    with Image.open(picture) as image:
        return _fitted(image.size, side)


@lru_cache(maxsize=_SHEETS_KEPT)
def _file_image(path: Path, side: int, changed: int) -> ChatImage:
    with Image.open(path) as image:
        if image.size == _fitted(image.size, side) and image.format in ("PNG", "JPEG"):
            return ChatImage(path.read_bytes(), *image.size)
        return _encoded(_shrunk(image, side))


def _scaled(size: tuple[int, int], side: int) -> tuple[int, int]:
    longer = max(size)
    if longer <= side:
        return size
    width, height = (max(1, round(length * side / longer)) for length in size)
    return width, height


def _fitted(size: tuple[int, int], side: int) -> tuple[int, int]:
    width, height = _scaled(size, side)
    least = math.ceil(max(width, height) / _NARROWEST)
    return max(width, least), max(height, least)


def _shrunk(image: Image.Image, side: int) -> Image.Image:
    scaled, size = _scaled(image.size, side), _fitted(image.size, side)
    image = image.convert("RGB")
    image = image if image.size == scaled else image.resize(scaled, Image.Resampling.LANCZOS)
    if scaled == size:
        return image
    canvas = Image.new("RGB", size, _PAPER)
    canvas.paste(image, ((size[0] - scaled[0]) // 2, (size[1] - scaled[1]) // 2))
    return canvas


def _encoded(image: Image.Image) -> ChatImage:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=_COMPRESSION)
    return ChatImage(buffer.getvalue(), image.width, image.height)


def sheet_limit(side: int) -> int:
    """Pictures that a sheet of side x side pixels holds legibly, at least 1."""
    height = LEAST_CELL + 3 * _line(_LEAST_FONT) + _GAP
    return max(1, min(SHEET_LIMIT, (side + _GAP) // (LEAST_CELL + _GAP) * ((side + _GAP) // height)))


def _line(font: int) -> int:
    return round(font * 1.25)


@dataclass(frozen=True)
class Grid:
    """Where things lie on a sheet, in pixels. A cell has a bar with number and activation, the picture below it, and
    `lines` lines of title below that."""

    columns: int
    rows: int
    cell: int
    font: int
    lines: int

    @property
    def bar(self) -> int:
        """Height of the bar, which is a line too."""
        return _line(self.font)

    @property
    def cell_height(self) -> int:
        """Height of a cell with its bar and its title."""
        return self.cell + self.bar * (1 + self.lines)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the sheet."""
        return (self.columns * (self.cell + _GAP) - _GAP, self.rows * (self.cell_height + _GAP) - _GAP)


def grid(titles: Sequence[str], side: int) -> Grid:
    """The arrangement that shows the pictures of these titles, 1 to sheet_limit(side), largest on at most side x side
    pixels.

    It depends on nothing else, so that a sheet's size is known before it is drawn. Few pictures make a smaller sheet.
    """
    return _grid(tuple(titles), side)


@lru_cache(maxsize=1024)
def _grid(titles: tuple[str, ...], side: int) -> Grid:
    layout = _widest(len(titles), side, 1)
    for lines in range(1, LINES + 1):
        tried = _widest(len(titles), side, lines)
        if lines == LINES and tried.cell < _SMALL:
            break
        layout = tried
        if all(len(_wrapped(drawable(title), layout.cell, layout.font)) <= lines for title in titles):
            break
    return layout


def _widest(count: int, side: int, lines: int) -> Grid:
    best: Grid | None = None
    for columns in range(1, count + 1):
        rows = math.ceil(count / columns)
        tallest = (side + _GAP) // rows - _GAP - (1 + lines) * _line(_LEAST_FONT)
        widest = min((side + _GAP) // columns - _GAP, tallest, max(side // 2, _LARGE))
        for cell in range(widest, best.cell if best else 0, -1):
            candidate = Grid(columns, rows, cell, min(18, max(_LEAST_FONT, cell // 11)), lines)
            if candidate.size[1] <= side:
                best = candidate
                break
    if best is None:
        raise ValueError(f"{count} pictures do not fit on a sheet of {side} pixels")
    return best


def contact_sheet(
    pictures: Sequence[Picture],
    side: int,
    first_number: int = 1,
    numbers: Sequence[int] | None = None,
    square: bool = False,
) -> Image.Image:
    """The pictures in reading order on one RGB sheet of at most side x side pixels, each with its number, its title and
    its activation if it has one. A title that is too long loses its middle, since those of edits differ at the end.

    numbers: theirs, where they do not simply count on from first_number. square: with white below or beside, for models
    that cut or squeeze other shapes. Raises ValueError for no pictures and for more than sheet_limit(side), OSError for
    a file that is no picture.
    """
    if not 1 <= len(pictures) <= sheet_limit(side):
        raise ValueError(f"a sheet of {side} pixels holds 1 to {sheet_limit(side)} pictures, not {len(pictures)}")
    numbers = range(first_number, first_number + len(pictures)) if numbers is None else numbers
    layout = grid([picture.title for picture in pictures], side)
    sheet = Image.new("RGB", sheet_size(pictures, side, square), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for place, (picture, number) in enumerate(zip(pictures, numbers, strict=True)):
        row, column = divmod(place, layout.columns)
        corner = (column * (layout.cell + _GAP), row * (layout.cell_height + _GAP))
        _draw_cell(sheet, draw, layout, corner, picture, number)
    return sheet


def sheet_size(pictures: Sequence[Picture], side: int, square: bool = False) -> tuple[int, int]:
    """Width and height of their contact sheet, in pixels, without drawing it."""
    size = grid([picture.title for picture in pictures], side).size
    return (max(size), max(size)) if square else size


@lru_cache(maxsize=_SHEETS_KEPT)
def sheet_image(pictures: tuple[Picture, ...], side: int, numbers: tuple[int, ...], square: bool = False) -> ChatImage:
    """`contact_sheet` as it is sent: the same pictures, titles, activations and numbers give the same bytes."""
    return _encoded(contact_sheet(pictures, side, numbers=numbers, square=square))


def _draw_cell(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    layout: Grid,
    corner: tuple[int, int],
    picture: Picture,
    number: int,
) -> None:
    left, top = corner
    font = _font(layout.font)
    draw.rectangle((left, top, left + layout.cell - 1, top + layout.bar - 1), fill=_BAR)
    middle = top + layout.bar / 2
    draw.text((left + 3, middle), f"#{number}", fill=_NUMBER_INK, font=font, anchor="lm")
    if picture.activation is not None:
        room = layout.cell - 12 - font.getlength(f"#{number}")
        texts = [f"{picture.activation:.{digits}g}" for digits in (4, 3, 2, 1)]
        value = next((text for text in texts if font.getlength(text) <= room), "")  # the message's text has it too
        draw.text((left + layout.cell - 4, middle), value, fill=_BAR_INK, font=font, anchor="rm")
    with Image.open(picture.path) as image:
        shown = image.convert("RGB")
    scale = layout.cell / max(shown.size)
    width, height = (max(1, round(length * scale)) for length in shown.size)
    shown = shown.resize((width, height), Image.Resampling.LANCZOS)
    x, y = left + (layout.cell - width) // 2, top + layout.bar + (layout.cell - height) // 2
    sheet.paste(shown, (x, y))
    for line, words in enumerate(title_lines(picture.title, layout.cell, layout.font, layout.lines)):
        y = top + layout.bar * (1 + line) + layout.cell + layout.bar // 2
        draw.text((left + 1, y), words, fill=_INK, font=font, anchor="lm")


def title_lines(title: str, width: int, font_size: int, lines: int) -> list[str]:
    """A title broken into at most `lines` lines of `width` pixels. What does not fit is left out of its middle."""
    title = drawable(title)
    whole = _wrapped(title, width, font_size)
    if len(whole) <= lines:
        return whole
    # The most characters, half of them from either end, that still fit.
    low, high = 0, len(title) - 1
    while low < high:
        kept = (low + high + 1) // 2
        if len(_wrapped(_without_middle(title, kept), width, font_size)) <= lines:
            low = kept
        else:
            high = kept - 1
    return _wrapped(_without_middle(title, low), width, font_size)[:lines]


def _without_middle(title: str, kept: int) -> str:
    """The ends of a title, `kept` characters or a few less, so that words stay whole where one of either end does."""
    head, tail = title[: kept - kept // 2], title[len(title) - kept // 2 :]
    if " " in head and title[len(head)] != " ":
        head = head[: head.rindex(" ")]
    if " " in tail and title[len(title) - len(tail) - 1] != " ":
        tail = tail[tail.index(" ") :]
    return f"{head.strip()}{_ELLIPSIS} {tail.strip()}"


def _wrapped(text: str, width: int, font_size: int) -> list[str]:
    """Lines broken at spaces, and inside words that are longer than a line."""
    font = _font(font_size)
    lines: list[str] = []
    line = ""
    for word in text.split():
        joined = f"{line} {word}" if line else word
        if font.getlength(joined) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        while font.getlength(word) > width and len(word) > 1:
            fits = next((n for n in range(len(word) - 1, 1, -1) if font.getlength(word[:n]) <= width), 1)
            lines.append(word[:fits])
            word = word[fits:]
        line = word
    return [*lines, line] if line else lines


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own scalable font: nothing is looked up in the system."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow was built with FreeType: its wheels are
    return font


def drawable(text: str) -> str:
    """The text with everything that the font has no glyph for replaced: by its plain form, or by a question mark."""
    visible = "".join(_SPELT.get(c, c if c.isprintable() or _surrogate(c) else " ") for c in text)
    return " ".join("".join(c if _has_glyph(c) else _plain(c) for c in visible).split())


def _plain(character: str) -> str:
    plain = "".join(c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))
    return plain if plain and all(_has_glyph(c) for c in plain) else "?"


def _surrogate(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"


@lru_cache(maxsize=4096)
def _has_glyph(character: str) -> bool:
    if _surrogate(character):
        return False
    if character == " ":
        return True
    font = _font(16)
    return bytes(font.getmask(character)) != bytes(font.getmask(_MISSING))
