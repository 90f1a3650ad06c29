"""Contact sheets: what is drawn where, and what is sent of a picture."""

import io
from pathlib import Path

import numpy as np
import pytest
from dialogues import pictures
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.agent.backbones.base import Picture
from maia.agent.sheets import (
    LINES,
    SHEET_LIMIT,
    chat_image,
    chat_image_size,
    contact_sheet,
    drawable,
    grid,
    sheet_image,
    sheet_limit,
    sheet_size,
    title_lines,
)
from PIL import Image

EDIT = "a red ball on a sandy beach -> replace the ball with a large green umbrella"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return pictures(tmp_path_factory.mktemp("pictures"), side=64)


@pytest.mark.parametrize("side", [336, 672, 1024])
@pytest.mark.parametrize("count", [1, 2, 4, 15, 18, 24, 60])
def test_every_picture_is_there_and_large_enough(files: list[Path], side: int, count: int) -> None:
    if count > sheet_limit(side):
        with pytest.raises(ValueError, match=f"holds 1 to {sheet_limit(side)}"):
            contact_sheet([Picture(files[0], "x")] * count, side)
        return
    shown = [Picture(files[place % len(files)], EDIT, 1.5) for place in range(count)]
    sheet = contact_sheet(shown, side)
    layout = grid([EDIT] * count, side)
    assert sheet.size == layout.size and max(sheet.size) <= side
    assert layout.font >= 11 and layout.cell >= 48 and layout.columns * layout.rows >= count
    for place, picture in enumerate(shown):
        row, column = divmod(place, layout.columns)
        left, top = column * (layout.cell + 4), row * (layout.cell_height + 4)
        middle = sheet.getpixel((left + layout.cell // 2, top + layout.bar + layout.cell // 2))
        with Image.open(picture.path) as image:
            assert middle == image.getpixel((32, 32)), f"picture {place + 1} stands in its place"
        title = np.asarray(sheet)[top + layout.bar + layout.cell : top + layout.cell_height, left : left + layout.cell]
        assert title.min() < 80, "the title is drawn below"
        bar = np.asarray(sheet)[top : top + layout.bar, left : left + layout.cell].astype(int)
        yellow = (bar[..., 0] > 180) & (bar[..., 2] < 120)
        white = bar.min(axis=-1) > 180
        assert yellow.any() and white.any(), "number and activation are drawn in the bar"
        assert np.nonzero(yellow)[1].max() < np.nonzero(white)[1].min(), "and do not overlap"


def test_what_a_sheet_says_changes_its_pixels(files: list[Path]) -> None:
    def bytes_of(number: int, title: str, activation: float | None, file: int = 0) -> bytes:
        return sheet_image((Picture(files[file], title, activation),), 336, (number,)).data

    variants = [
        bytes_of(1, "dog", 1.0),
        bytes_of(2, "dog", 1.0),
        bytes_of(1, "cat", 1.0),
        bytes_of(1, "dog", 1.1),
        bytes_of(1, "dog", None),
        bytes_of(1, "dog", 1.0, file=1),
    ]
    assert len(set(variants)) == len(variants)
    again = contact_sheet([Picture(files[0], "dog", 1.0)], 336)
    buffer = io.BytesIO()
    again.save(buffer, "PNG", compress_level=6)
    assert buffer.getvalue() == variants[0], "drawn anew, the bytes are the same"
    with Image.open(io.BytesIO(variants[0])) as sent:
        assert np.array_equal(np.asarray(sent), np.asarray(again)), "PNG: every pixel as drawn"


def test_a_square_sheet(files: list[Path]) -> None:
    shown = [Picture(files[0], "dog")] * 2
    plain, square = contact_sheet(shown, 336), contact_sheet(shown, 336, square=True)
    assert plain.width > plain.height and square.size == (plain.width, plain.width)
    assert sheet_size(shown, 336, square=True) == square.size and sheet_size(shown, 336) == plain.size


@given(st.lists(st.text(max_size=60), min_size=1, max_size=SHEET_LIMIT), st.integers(300, 1100))
@settings(max_examples=40)
def test_any_titles_fit(titles: list[str], side: int) -> None:
    titles = titles[: sheet_limit(side)]
    layout = grid(titles, side)
    assert max(layout.size) <= side and layout.columns * layout.rows >= len(titles)
    for title in titles:
        assert len(title_lines(title, layout.cell, layout.font, layout.lines)) <= layout.lines <= LINES


@given(st.text())
def test_any_text_is_drawable(text: str) -> None:
    clean = drawable(text)
    assert drawable(clean) == clean and clean.isprintable()
    clean.encode("utf-8")


def test_characters_without_a_glyph() -> None:
    assert drawable("é ñ ＡＢ → x\n\ty") == "e n AB -> x y"
    assert drawable("\ud83d漢") == "??"


@given(st.integers(8, 60), st.integers(60, 300))
@settings(max_examples=50)
def test_both_ends_of_a_long_title_stay(count: int, width: int) -> None:
    title = " ".join(["first", *["middle"] * count, "last"])
    lines = title_lines(title, width, 11, 2)
    assert len(lines) <= 2
    joined = " ".join(lines)
    assert joined.startswith("first") and joined.endswith("last")
    assert joined == title or "... " in joined


def test_pictures_of_any_kind(tmp_path: Path) -> None:
    kinds = {"grey.png": "L", "palette.png": "P", "alpha.png": "RGBA", "deep.png": "I;16", "photo.jpg": "RGB"}
    for name, mode in kinds.items():
        Image.new(mode, (50, 200)).save(tmp_path / name)
    sheet = contact_sheet([Picture(tmp_path / name, name) for name in kinds], 672)
    assert max(sheet.size) <= 672
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(OSError, match=r"broken\.png"):
        contact_sheet([Picture(tmp_path / "broken.png", "x")], 672)


def test_a_file_that_fits_is_sent_as_it_is(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg"):
        Image.effect_noise((90, 60), 50).convert("RGB").save(tmp_path / name)
        sent = chat_image(tmp_path / name, 90)
        assert sent.data == (tmp_path / name).read_bytes() and (sent.width, sent.height) == (90, 60)
    smaller = chat_image(tmp_path / "a.png", 45)
    assert (smaller.width, smaller.height) == (45, 30) == chat_image_size(tmp_path / "a.png", 45)
    with Image.open(io.BytesIO(smaller.data)) as image:
        assert image.size == (45, 30) and image.format == "PNG"
    Image.new("RGB", (20, 20)).save(tmp_path / "a.bmp")
    assert chat_image(tmp_path / "a.bmp", 90).data.startswith(b"\x89PNG"), "servers read PNG and JPEG"
    assert chat_image(Image.new("RGB", (4, 2)), 90) == chat_image(Image.new("RGB", (4, 2)), 90)
    assert chat_image_size(tmp_path / "a.bmp", 90) == (20, 20), "never enlarged"


def test_a_picture_too_narrow_for_processors(tmp_path: Path) -> None:
    Image.new("RGB", (400, 1)).save(tmp_path / "line.png")
    sent = chat_image(tmp_path / "line.png", 400)
    assert (sent.width, sent.height) == (400, 8) == chat_image_size(tmp_path / "line.png", 400)
    with Image.open(io.BytesIO(sent.data)) as image:
        rows = np.asarray(image.convert("L")).mean(axis=1)
    assert sorted(rows)[:2] == [0, 255], "one black line on white"
    small = chat_image(tmp_path / "line.png", 100)
    assert (small.width, small.height) == (100, 2) == chat_image_size(tmp_path / "line.png", 100)
