"""Noun packs: what is kept of a package, refusals, sprites, where they are drawn. No network: tiny packs on disk."""

import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import skia
from maia.agent.experiment import Settings
from maia.agent.run_facts import facts_of, joined
from maia.engine.profile import load_profile
from maia.models.caches import cache_directory
from maia.models.errors import UserError
from maia.models.targets import Unit
from maia.models.testbed.catalogue import FIRST_PACK_DRAWING, all_drawings, drawing_choices, drawing_extent
from maia.models.testbed.dataset import dataset_scene
from maia.models.testbed.edits import edit_scene, purpose_of
from maia.models.testbed.language import parse_prompt
from maia.models.testbed.packs import PACKS, available, default_directory, install, sprite
from maia.models.testbed.renderer import render
from maia.models.testbed.scene import Concept, Scene, SceneObject, concept_mask
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
    assert install("emoji", tmp_path, _fake_npm(["fish"])) == ["fish"]


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


@pytest.fixture
def packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache's directory of packs."""
    monkeypatch.setenv("MAIA_CACHE", str(tmp_path))
    return tmp_path / "packs"


def _put(packs: Path, name: str, *nouns: str) -> None:
    for noun in nouns:
        suffix = Path(PACKS[name].files[noun]).suffix
        (packs / name).mkdir(parents=True, exist_ok=True)
        (packs / name / f"{noun}{suffix}").write_bytes(_picture(suffix))


def _alone(noun: str, drawing: int, flip: bool = False) -> Scene:
    return Scene(5, "studio", (SceneObject(noun, "blue", "plain", drawing, 112, 112, 60, flip=flip),))


@pytest.mark.parametrize("variables", [("MAIA_CACHE",), ("XDG_CACHE_HOME",), ("MAIA_CACHE", "XDG_CACHE_HOME"), ()])
@pytest.mark.parametrize("value", ["set", ""])
def test_packs_are_in_the_cache(
    variables: tuple[str, ...], value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MAIA_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in variables:
        monkeypatch.setenv(name, str(tmp_path / name) if value else "")
    assert default_directory() == cache_directory() / "packs"


def test_a_pack_has_its_own_index_whatever_else_is_installed(packs: Path) -> None:
    last = len(all_drawings()["dog"]) - 1
    explored = drawing_choices("dog", "exploration")
    assert drawing_choices("dog", "evaluation") == (last,)
    _put(packs, "stamps", "dog")
    assert drawing_choices("dog", "evaluation") == (last, FIRST_PACK_DRAWING + 1)
    _put(packs, "emoji", "dog")
    assert drawing_choices("dog", "evaluation") == (last, FIRST_PACK_DRAWING, FIRST_PACK_DRAWING + 1)
    assert drawing_choices("dog", "exploration") == explored
    assert drawing_choices("cat", "evaluation") == (len(all_drawings()["cat"]) - 1,)


def test_dataset_and_exploration_are_the_same_with_packs(packs: Path) -> None:
    def pictures() -> list[bytes]:
        prompts = [f"a red {noun} and a striped cup on the grass" for noun in ("dog", "car", "guitar")]
        scenes = [dataset_scene(k) for k in range(0, 4680, 600)] + [parse_prompt(text, 3) for text in prompts]
        scenes += [edit_scene(scenes[-1], "add a dog"), edit_scene(scenes[-1], "replace the cup with a ball")]
        return [render(scene).image.tobytes() for scene in scenes]

    without = pictures()
    for name, pack in PACKS.items():
        _put(packs, name, *pack.files)
    assert pictures() == without
    # Evaluation, where the packs are meant to be, does change.
    drawn = {parse_prompt("a dog", seed, "evaluation").objects[0].drawing for seed in range(40)}
    assert drawn == set(drawing_choices("dog", "evaluation")) and len(drawn) == 3
    assert purpose_of(_alone("dog", FIRST_PACK_DRAWING)) == "evaluation"


def test_a_sprite_is_coloured_shaded_and_in_the_segment_map(packs: Path) -> None:
    _put(packs, "emoji", "dog")
    scene = _alone("dog", FIRST_PACK_DRAWING)
    rendering = render(scene)
    mask = concept_mask(scene, rendering, Concept("noun", "dog"))
    assert np.array_equal(mask, concept_mask(scene, rendering, Concept("colour", "blue")))
    left, top, right, bottom = (112 + 60 * edge for edge in drawing_extent("dog", FIRST_PACK_DRAWING))
    rows, columns = np.nonzero(mask)
    assert (columns.min(), columns.max() + 1) == pytest.approx((left, right), abs=1.5)
    assert (rows.min(), rows.max() + 1) == pytest.approx((top, bottom), abs=1.5)
    assert mask.sum() == pytest.approx(np.pi / 4 * (right - left) * (bottom - top), rel=0.03)  # a disc
    pixels = rendering.image.astype(int)
    middle = int((top + bottom) / 2)
    dark, light = pixels[middle, 90], pixels[middle, 134]
    assert dark[2] > dark[0] + 30 and light.sum() > dark.sum() + 80
    mirrored = render(_alone("dog", FIRST_PACK_DRAWING, flip=True)).image.astype(int)
    assert mirrored[middle, 90].sum() > mirrored[middle, 134].sum() + 80
    # Outside its silhouette the picture is that of the empty studio, shadow apart: nothing of the overlay is left.
    empty = render(Scene(5, "studio", ())).image
    assert np.array_equal(rendering.image[: int(top) - 2], empty[: int(top) - 2])


def test_a_scene_of_a_pack_that_is_gone_says_so(packs: Path) -> None:
    _put(packs, "stamps", "dog")
    scene = _alone("dog", FIRST_PACK_DRAWING + 1)
    render(scene)
    shutil.rmtree(packs)
    with pytest.raises(UserError, match="maia packs install stamps"):
        render(scene)
    with pytest.raises(UserError, match="maia packs install stamps"):
        drawing_extent("dog", FIRST_PACK_DRAWING + 1)
    with pytest.raises(IndexError):
        render(_alone("dog", FIRST_PACK_DRAWING + len(PACKS)))


def test_a_run_goes_on_with_the_same_packs_only(packs: Path, tmp_path: Path) -> None:
    def start(path: Path) -> None:
        path.mkdir(exist_ok=True)
        facts = facts_of([Unit("ground-truth", "single", 0)], "scripted", load_profile("testbed"), Settings())
        (path / "run.json").write_text(json.dumps(joined(path, facts)))

    start(tmp_path / "plain")
    _put(packs, "emoji", "dog", "cat")
    start(tmp_path / "emoji")
    assert json.loads((tmp_path / "emoji" / "run.json").read_text())["packs"] == {"emoji": 2}
    start(tmp_path / "emoji")
    with pytest.raises(UserError, match=r"other settings \(packs\)"):
        start(tmp_path / "plain")
    _put(packs, "emoji", "ball")
    with pytest.raises(UserError, match=r"other settings \(packs\)"):
        start(tmp_path / "emoji")
