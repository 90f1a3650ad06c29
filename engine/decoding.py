"""Encoded bytes to an RGB picture, or one short reason why not.

One decoder, Pillow, for all formats and all readers, so that the picture the agent sees is the one that was indexed.
Not JPEG's draft mode (which decodes at 1/2, 1/4 or 1/8 of the size): what it leaves out depends on the size of the
view, its pixels differ from those of the whole picture made smaller, and resizing costs more than decoding anyway.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
"""What is decoded, by Pillow's names. The formats of few pictures and many faults are left out."""
EXTENSIONS = frozenset(
    (
        *("jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff"),
        *("ppm", "pgm", "pbm", "pnm", "jp2", "j2k", "avif"),
    )
)
"""Of files that claim to be pictures: in lower case, without the dot."""

PIXEL_LIMIT = 178_956_970
"""Pixels of the largest picture: where Pillow's own protection against decompression bombs ends."""
BYTE_LIMIT = 256 << 20
"""Bytes of the largest file."""
ASPECT_LIMIT = 50
"""Longer side over shorter side. Beyond it the view, whose shorter side is fixed, would take gigabytes."""

EMPTY = "empty file"
TOO_MANY_BYTES = "file too large"
NOT_AN_IMAGE = "not an image"
UNSUPPORTED = "unsupported format"
DAMAGED = "damaged or truncated"
TOO_MANY_PIXELS = "too many pixels"
NO_PIXELS = "no pixels"
TOO_NARROW = "too long and narrow"
NOT_SHOWN = "not for this target"
"""The target's own view refuses it: too small for a detector, for example."""
UNREADABLE = "unreadable"
NO_MEMORY = "not enough memory"
CRASHED = "decoder crashed"
REASONS = (
    *(EMPTY, TOO_MANY_BYTES, NOT_AN_IMAGE, UNSUPPORTED, DAMAGED, TOO_MANY_PIXELS, NO_PIXELS, TOO_NARROW, NOT_SHOWN),
    *(UNREADABLE, NO_MEMORY, CRASHED),
)
"""All there are. A problem is written "reason" or "reason: detail", so that reports can count by `reason_of`."""

_OURS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
_FOREIGN = (
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"8BPS", "Photoshop"),
    (b"<svg", "SVG"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\1\0", "icon"),
)


class BadImage(Exception):
    """A picture that cannot be had. reason: one of REASONS. str(error): "reason" or "reason: detail", in one line."""

    def __init__(self, reason: str, detail: str = "") -> None:
        if reason not in REASONS:
            raise ValueError(f"{reason!r} is no reason: choose from {', '.join(REASONS)}")
        self.reason = reason
        self.detail = " ".join(detail.split())[:200]
        super().__init__(f"{reason}: {self.detail}" if self.detail else reason)


def reason_of(problem: str) -> str:
    """The reason in a problem's text, such as `str(BadImage)` or `Decoded.problem`."""
    return problem.partition(": ")[0]


def decode(data: bytes, pixel_limit: int = PIXEL_LIMIT, byte_limit: int = BYTE_LIMIT) -> Image.Image:
    """The picture that the bytes hold, as RGB PIL image of its full size, turned upright by its EXIF orientation.

    - Of an animation, the first frame. What is transparent lies on white.
    - 16-bit grey is scaled (its upper eight bits, as Pillow does for 16-bit colour), CMYK converted without a colour
      profile; embedded colour profiles are ignored, as networks' training pipelines do.
    - 32-bit integers and floats have no stated range, so they are unsupported; PPM's and PNG's is known.
    - Broken EXIF data costs the orientation, not the picture.
    pixel_limit, checked in the header before anything is decoded, can only lower Pillow's own limit.
    Raises BadImage for everything else. A JPEG whose data is damaged but complete is not recognised as damaged.
    """
    if not data:
        raise BadImage(EMPTY)
    if len(data) > byte_limit:
        raise BadImage(TOO_MANY_BYTES, f"{len(data)} bytes; at most {byte_limit} are read")
    with _whole_pictures_only():
        try:
            with Image.open(io.BytesIO(data), formats=_formats()) as image:
                _check_size(image.size, pixel_limit)
                image.load()
                return _to_rgb(_upright(image))
        except BadImage:
            raise
        except UnidentifiedImageError:
            raise _unidentified(data) from None
        except Image.DecompressionBombError as error:
            raise BadImage(TOO_MANY_PIXELS, str(error)) from None
        except MemoryError:
            raise BadImage(NO_MEMORY) from None
        except Exception as error:  # Pillow's plugins raise whatever hostile bytes lead them to
            raise BadImage(DAMAGED, f"{error or type(error).__name__}") from None


@contextmanager
def _whole_pictures_only() -> Iterator[None]:
    """Other libraries switch on that truncated pictures are filled up with grey."""
    former, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = former


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    """Those of FORMATS that this build of Pillow can open."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _check_size(size: tuple[int, int], pixel_limit: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise BadImage(NO_PIXELS, f"{width} x {height}")
    if width * height > pixel_limit:
        raise BadImage(TOO_MANY_PIXELS, f"{width} x {height}; at most {pixel_limit} are decoded")
    if max(size) > ASPECT_LIMIT * min(size):
        raise BadImage(TOO_NARROW, f"{width} x {height}; at most {ASPECT_LIMIT} times as long as wide")


def _upright(image: Image.Image) -> Image.Image:
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception:  # what cannot be read says nothing about how the picture was held
        return image
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy() if type(image) is not Image.Image else image  # without the file and its decoder
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise BadImage(UNSUPPORTED, f"{image.format} with 32 bits a pixel (mode {image.mode}), whose range is unknown")
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        canvas = Image.new("RGBA", coloured.size, "white")
        canvas.alpha_composite(coloured)
        return canvas.convert("RGB")
    try:
        return image.convert("RGB")
    except ValueError:
        raise BadImage(UNSUPPORTED, f"{image.format} of mode {image.mode}") from None


def looks_like_picture(data: bytes) -> bool:
    """Whether bytes start as one of FORMATS does; they may still be damaged."""
    if data[:4] == b"RIFF":
        return data[8:12] == b"WEBP"
    if data[4:8] == b"ftyp":
        return data[8:12] in (b"avif", b"avis")
    return data.startswith(_OURS) or (data[:1] == b"P" and data[1:2] in b"123456" and data[2:3].isspace())


def _unidentified(data: bytes) -> BadImage:
    head = data[:64].lstrip()
    if looks_like_picture(data):
        return BadImage(DAMAGED, "its header cannot be read")
    for signature, name in _FOREIGN:
        if data.startswith(signature) or (name == "SVG" and head.startswith(signature)):
            return BadImage(UNSUPPORTED, name)
    if data[4:8] == b"ftyp":
        return BadImage(UNSUPPORTED, "HEIF or video")
    text = head[:14].lower()
    return BadImage(NOT_AN_IMAGE, "a web page" if text.startswith((b"<!doctype html", b"<html")) else "")
