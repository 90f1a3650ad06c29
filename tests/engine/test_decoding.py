"""Every kind of bad or odd picture, made for real: the pixels that are shown, or the reason why there are none."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.engine import decoding
from maia.engine.decoding import REASONS, BadImage, decode, looks_like_picture, reason_of
from PIL import Image, ImageFile

SIDE = 48

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::PIL.Image.DecompressionBombWarning")


def photo(width: int = 64, height: int = SIDE) -> Image.Image:
    """Smooth colours, so that lossy formats keep them nearly."""
    y, x = np.mgrid[0:height, 0:width]
    channels = [x * 255 // max(1, width - 1), y * 255 // max(1, height - 1), np.full_like(x, 90)]
    return Image.fromarray(np.stack(channels, -1).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_header(width: int, height: int, mode: int = 2, bits: int = 8) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, mode, 0, 0, 0))


def bad(data: bytes, **limits: int) -> BadImage:
    with pytest.raises(BadImage) as caught:
        decode(data, **limits)
    assert caught.value.reason in REASONS and "\n" not in str(caught.value)
    assert reason_of(str(caught.value)) == caught.value.reason
    return caught.value


def near(found: Image.Image, expected: Image.Image, tolerance: float) -> None:
    assert found.mode == "RGB" and found.size == expected.size
    assert np.abs(np.asarray(found, int) - np.asarray(expected, int)).mean() <= tolerance


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("PPM", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("JPEG2000", {}, 0),
        ("JPEG", {"quality": 95}, 3),
        ("JPEG", {"quality": 95, "progressive": True}, 3),
        ("AVIF", {"quality": 95}, 3),
        ("GIF", {}, 25),
    ],
)
def test_formats(kind: str, options: dict[str, object], tolerance: float) -> None:
    data = encoded(photo(), kind, **options)
    assert looks_like_picture(data)
    near(decode(data), photo(), tolerance)


def test_what_pillow_opens_is_what_is_decoded() -> None:
    data = encoded(photo(500, 400), "JPEG", quality=80)
    assert decode(data).tobytes() == Image.open(io.BytesIO(data)).convert("RGB").tobytes()


def test_grey_one_bit_and_cmyk() -> None:
    grey = photo().convert("L")
    assert decode(encoded(grey, "PNG")).tobytes() == grey.convert("RGB").tobytes()
    near(decode(encoded(grey, "JPEG", quality=95)), grey.convert("RGB"), 2)
    bits = photo().convert("1")
    assert decode(encoded(bits, "PNG")).tobytes() == bits.convert("RGB").tobytes()
    near(decode(encoded(photo().convert("CMYK"), "JPEG", quality=95)), photo(), 4)
    near(decode(encoded(photo().convert("CMYK"), "TIFF")), photo(), 2)


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    values = np.linspace(0, 65535, 64 * SIDE).reshape(SIDE, 64).astype(np.uint16)
    expected = (values >> 8).astype(np.uint8)
    pgm = b"P5 64 %d 65535\n" % SIDE + values.astype(">u2").tobytes()
    for data in (encoded(Image.fromarray(values), "PNG"), encoded(Image.fromarray(values), "TIFF"), pgm):
        assert np.array_equal(np.asarray(decode(data)), np.repeat(expected[:, :, None], 3, 2))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_numbers_without_a_range_are_unsupported(mode: str) -> None:
    error = bad(encoded(Image.new(mode, (8, 8), 5), "TIFF"))
    assert error.reason == decoding.UNSUPPORTED and f"mode {mode}" in error.detail


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P", "L", "RGB"])
def test_what_is_transparent_lies_on_white(mode: str) -> None:
    """Left half visible, right half not, in every way that a PNG can say so."""
    options: dict[str, object] = {}
    if mode in ("RGBA", "LA"):
        image = Image.new(mode, (64, SIDE), (200, 30, 40, 255) if mode == "RGBA" else (70, 255))
        image.paste((10, 10, 10, 0) if mode == "RGBA" else (10, 0), (32, 0, 64, SIDE))
    elif mode in ("P", "PA"):
        image = Image.new("P", (64, SIDE), 1)
        image.putpalette([0, 255, 0, 200, 30, 40])
        image.paste(0, (32, 0, 64, SIDE))
        options["transparency"] = 0 if mode == "P" else bytes([0, 255])
    else:
        image = Image.new(mode, (64, SIDE), 70 if mode == "L" else (200, 30, 40))
        image.paste(9 if mode == "L" else (9, 9, 9), (32, 0, 64, SIDE))
        options["transparency"] = 9 if mode == "L" else (9, 9, 9)
    found = decode(encoded(image, "PNG", **options))
    assert found.mode == "RGB" and found.getpixel((60, 5)) == (255, 255, 255)
    assert found.getpixel((5, 5)) == ((70, 70, 70) if mode in ("L", "LA") else (200, 30, 40))


def test_half_transparent_is_half_white() -> None:
    found = decode(encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 127)), "PNG"))
    assert found.getpixel((3, 3)) == (128, 128, 128)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_pictures_stand_upright(kind: str, orientation: int) -> None:
    upright = photo()
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    held = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(held, kind, exif=exif, **({"quality": 95} if kind != "PNG" else {}))
    near(decode(data), upright, 6)


def test_broken_exif_costs_the_orientation_only() -> None:
    for exif in (b"Exif\0\0garbage!", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"):
        near(decode(encoded(photo(), "JPEG", quality=95, exif=exif)), photo(), 3)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animations_show_their_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    found = decode(encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    assert found.size == (32, 32) and found.getpixel((9, 9)) == (255, 0, 0)


def test_a_colour_profile_changes_nothing() -> None:
    plain, profiled = (
        encoded(photo(), "PNG"),
        encoded(photo(), "PNG", icc_profile=b"no profile that anyone could apply"),
    )
    assert decode(plain).tobytes() == decode(profiled).tobytes()


PLAIN = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "GIF", "TIFF", "JPEG2000", "AVIF")
TRUNCATED = [
    *((kind, {}) for kind in PLAIN),
    ("JPEG", {"progressive": True}),
    ("TIFF", {"compression": "tiff_lzw"}),
]


@pytest.mark.parametrize(("kind", "options"), TRUNCATED)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_truncated_pictures_are_bad_never_half_grey(kind: str, options: dict[str, object], share: float) -> None:
    rng = np.random.default_rng(0)
    noisy = Image.fromarray(rng.integers(0, 255, (80, 80, 3), np.uint8))
    data = encoded(noisy, kind, **options)
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = True  # as other libraries set it
    try:
        error = bad(data[: int(len(data) * share)])
        assert ImageFile.LOAD_TRUNCATED_IMAGES is True
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before
    assert error.reason in (decoding.DAMAGED, decoding.NOT_AN_IMAGE)
    assert error.reason == decoding.DAMAGED or share == 0.02


def test_empty_foreign_and_no_pictures() -> None:
    assert bad(b"").reason == decoding.EMPTY
    assert bad(b"\n <html><body>404 Not Found</body>").detail == "a web page"
    for data in (b"hello", b"\0" * 5000, b"PK\x03\x04" + bytes(100), bytes(range(256))):
        assert bad(data).reason == decoding.NOT_AN_IMAGE
    foreign = [
        (b"%PDF-1.7 ...", "PDF"),
        (b" <svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"8BPS\0\1", "Photoshop"),
    ]
    foreign.append((b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIF or video"))
    foreign.append((b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript"))
    for data, name in foreign:
        error = bad(data)
        assert (error.reason, error.detail) == (decoding.UNSUPPORTED, name)
    icon = io.BytesIO()
    photo(32, 32).save(icon, "ICO")
    assert bad(icon.getvalue()).reason == decoding.UNSUPPORTED


def test_a_bomb_is_refused_by_its_header() -> None:
    """No pixels follow the header, so whoever decodes first says "damaged"; and nothing is allocated."""
    error = bad(png_header(60_000, 60_000) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    assert error.reason == decoding.TOO_MANY_PIXELS
    assert bad(png_header(12_000, 12_000) + chunk(b"IDAT", b"x") + chunk(b"IEND", b"")).reason == decoding.DAMAGED
    data = encoded(photo(64, 48), "PNG")
    assert bad(data, pixel_limit=64 * 48 - 1).reason == decoding.TOO_MANY_PIXELS
    assert decode(data, pixel_limit=64 * 48).size == (64, 48)
    assert bad(data, byte_limit=len(data) - 1).reason == decoding.TOO_MANY_BYTES
    assert decode(data, byte_limit=len(data)).size == (64, 48)


def test_a_real_bomb_is_refused() -> None:
    rows = zlib.compressobj(1)
    packed = b"".join(rows.compress(bytes(14_001 * 100)) for _ in range(140)) + rows.flush()
    data = png_header(14_000, 14_000, mode=0) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    assert len(data) < 1_000_000
    assert bad(data).reason == decoding.TOO_MANY_PIXELS


def test_no_pixels_and_absurd_shapes() -> None:
    for width, height in ((0, 10), (10, 0)):
        error = bad(png_header(width, height) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))
        assert error.reason in (decoding.NO_PIXELS, decoding.DAMAGED)
    for size in ((1, 20_000), (20_000, 1), (4, 201)):
        error = bad(encoded(Image.new("RGB", size), "PNG"))
        assert error.reason == decoding.TOO_NARROW and f"{size[0]} x {size[1]}" in error.detail
    assert decode(encoded(Image.new("RGB", (4, 200)), "PNG")).size == (4, 200)
    assert decode(encoded(Image.new("RGB", (1, 1), "red"), "PNG")).getpixel((0, 0)) == (255, 0, 0)


@settings(max_examples=40)
@given(kind=st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"]), data=st.data())
def test_damaged_bytes_give_a_picture_or_a_reason_and_nothing_else(kind: str, data: st.DataObject) -> None:
    whole = bytearray(encoded(photo(), kind))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode(bytes(whole))
    except BadImage as error:
        assert error.reason in REASONS
    else:
        assert found.mode == "RGB" and min(found.size) > 0


@settings(max_examples=40)
@given(st.binary(max_size=300))
def test_any_bytes_give_a_picture_or_a_reason(data: bytes) -> None:
    for head in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"P6 3 3 255\n"):
        try:
            assert decode(head + data).mode == "RGB"
        except BadImage as error:
            assert error.reason in REASONS


def test_no_memory_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object) -> None:
        raise MemoryError

    data = encoded(photo(), "PNG")
    monkeypatch.setattr(ImageFile.ImageFile, "load", full)
    assert bad(data).reason == decoding.NO_MEMORY


def test_reasons_are_a_fixed_list() -> None:
    with pytest.raises(ValueError, match="is no reason"):
        BadImage("odd")
    assert str(BadImage(decoding.DAMAGED, "a\n b")) == "damaged or truncated: a b"
    assert len(set(REASONS)) == len(REASONS) and not any(": " in reason for reason in REASONS)
