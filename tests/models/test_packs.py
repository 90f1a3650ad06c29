"""Noun packs: what is kept of a package, refusals, and sprites. No network: the package tool is replaced."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import skia
from maia.models.errors import UserError
from maia.models.testbed.packs import PACKS, available, install, sprite
from maia.models.testbed.vocabulary import NOUNS
from PIL import Image, ImageDraw


def _picture(suffix: str) -> bytes:
    """A disc, dark on the left and light on the right, with empty margins."""
    image = Image.new("RGBA", (200, 160), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.ellipse((20, 20, 180, 140), fill=(60, 20, 20, 255))
    draw.pieslice((20, 20, 180, 140), -90, 90, fill=(255, 120, 120, 255))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP" if suffix == ".webp" else "PNG", lossless=True)
    return buffer.getvalue()


def _fake_npm(nouns: list[str]):
    def run(command: list[str], where: Path) -> None:
        assert command == ["npm", "pack", PACKS["emoji"].package]
        with tarfile.open(where / "pack.tgz", "w:gz") as archive:
            for noun in nouns:
                data = _picture(".webp")
                info = tarfile.TarInfo(f"package/assets/{PACKS['emoji'].files[noun]}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))

    return run


def test_tables_name_nouns_of_the_world() -> None:
    for pack in PACKS.values():
        assert set(pack.files) <= set(NOUNS)
        assert len(set(pack.files.values())) == len(pack.files)


def test_install_keeps_the_nouns_and_nothing_else(tmp_path: Path) -> None:
    assert available(tmp_path) == {}
    assert install("emoji", tmp_path, _fake_npm(["dog", "cat"])) == ["dog", "cat"]
    assert available(tmp_path) == {"emoji": ["dog", "cat"]}
    assert sorted(p.name for p in (tmp_path / "emoji").iterdir()) == ["SOURCE", "cat.webp", "dog.webp"]
    assert [p.name for p in tmp_path.iterdir()] == ["emoji"]
    assert install("emoji", tmp_path, _fake_npm(["bird"])) == ["bird"]


def test_a_failing_tool_leaves_the_old_pack(tmp_path: Path) -> None:
    install("emoji", tmp_path, _fake_npm(["dog"]))
    with pytest.raises(UserError, match="none of the expected files"):
        install("emoji", tmp_path, _fake_npm([]))
    assert available(tmp_path) == {"emoji": ["dog"]}
    with pytest.raises(UserError, match="emoji, stamps"):
        install("clipart", tmp_path)


def test_a_missing_tool_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="npm is not installed"):
        install("emoji", tmp_path / "packs")


def test_sprites_stand_in_the_box_and_keep_light_and_shade(tmp_path: Path) -> None:
    install("emoji", tmp_path, _fake_npm(["dog"]))
    found = sprite("emoji", "dog", tmp_path)
    left, top, right, bottom = found.box
    assert (left, right, bottom) == pytest.approx((-1, 1, 1)) and top == pytest.approx(1 - 2 * 121 / 161, abs=0.05)
    bounds = found.silhouette.computeTightBounds()
    assert (bounds.left(), bounds.bottom()) == pytest.approx((left, bottom), abs=0.02)
    # Filled red and lit: the left half is darker than red, the right half is lighter.
    pixels = np.zeros((100, 100, 4), np.uint8)
    canvas = skia.Canvas(pixels, skia.kRGBA_8888_ColorType)
    canvas.translate(50, 50)
    canvas.scale(50, 50)
    canvas.drawPath(found.silhouette, skia.Paint(Color=skia.ColorSetRGB(200, 30, 40)))
    paint = skia.Paint(BlendMode=skia.BlendMode.kHardLight)
    canvas.drawImageRect(found.overlay, skia.Rect.MakeLTRB(*found.box), skia.SamplingOptions(), paint)
    dark, light = pixels[65, 20, :3].astype(int), pixels[65, 80, :3].astype(int)
    assert (dark <= light).all() and dark.sum() < light.sum() - 100
    assert dark[0] > 2 * dark[1] and light[0] > light[1]
    assert pixels[65, 50, 3] == 255 and pixels[2, 2, 3] == 0


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    install("emoji", tmp_path, _fake_npm(["dog"]))
    (tmp_path / "emoji" / "dog.webp").write_bytes(b"no picture")
    with pytest.raises(UserError, match="install the pack again"):
        sprite("emoji", "dog", tmp_path)
