"""The describer: regions found again from pixels, words of a regular form, and accuracy on scenes it never saw."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from maia.kernels.mask import DARKEN, apply_region, outline
from maia.models.testbed.dense import (
    BACKGROUND_CELL,
    BACKGROUND_NAMES,
    COLOUR_NAMES,
    GRID,
    NOUN_NAMES,
    OUTPUTS,
)
from maia.models.testbed.describer import (
    WEIGHTS,
    Content,
    DescribedObject,
    Describer,
    Description,
    SeenObject,
    Sight,
    content,
    find,
    load_heads,
    summary,
)
from maia.models.testbed.describer_scenes import random_region, random_scene
from maia.models.testbed.evaluate_describer import measure
from maia.models.testbed.layout import ObjectSpec, lay_out
from maia.models.testbed.masked_view import recover
from maia.models.testbed.renderer import render
from maia.models.testbed.scene import SIZE, Scene
from maia.models.testbed.train_describer import cell_labels
from maia.models.testbed.vocabulary import BACKGROUNDS, COLOURS, NOUNS, PATTERNS, PLAIN
from PIL import Image
from safetensors.torch import load_file, save_file

OBJECT = rf"an? (?:(?:{'|'.join(COLOURS)}) (?:{'|'.join((*PATTERNS, PLAIN))}) )?(?:{'|'.join(NOUNS)})"
BACKGROUND = rf"background: (?:{'|'.join(BACKGROUNDS)})"
CONTENT = (
    rf"(?:{OBJECT}(?:, {OBJECT})*(?:; {BACKGROUND})?|{BACKGROUND}|nothing that has a name"
    rf"|close-up of a (?:{'|'.join(COLOURS)}) (?:{'|'.join((*PATTERNS, PLAIN))}) surface)"
)
LINE = re.compile(rf"(?:{CONTENT}|nothing is highlighted)(?:; darkened: {CONTENT})?")


@pytest.fixture(scope="module")
def describer() -> Describer:
    return Describer()


@given(st.integers(0, 10**6), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
@example(97, 125)  # a city at night, darker inside than outside
def test_the_region_is_found_again(scene_seed: int, region_seed: int) -> None:
    picture = render(random_scene(scene_seed)).image
    region = random_region(region_seed)
    view = recover(apply_region(picture, region))
    # Exact but for dark pockets of a few pixels, which look the same inside and outside.
    assert (view.region != region).sum() <= 8
    region = region & view.region
    assert (view.image[region] == picture[region]).all()
    dark = ~view.region & ~outline(view.region)
    assert np.abs(view.image[dark].astype(int) - picture[dark]).max(initial=0) <= 0.5 / DARKEN + 1


def test_a_region_of_night_sky_is_found_by_its_brightness() -> None:
    picture = np.minimum(render(Scene(3, "night city")).image, 60)
    region = np.zeros((SIZE, SIZE), bool)
    region[20:80, 30:120] = True
    region[40:60, 60:80] = False  # with a hole
    assert (recover(apply_region(picture, region)).region == region).all()


def test_pictures_without_an_outline_are_whole_or_dark() -> None:
    picture = render(random_scene(5)).image
    assert recover(picture).region.all() and (recover(picture).image == picture).all()
    dark = apply_region(picture, np.zeros((SIZE, SIZE), bool))
    assert not recover(dark).region.any()
    assert recover(apply_region(picture, np.ones((SIZE, SIZE), bool))).region.all()


def test_stray_pixels_of_the_outline_colour_are_no_outline() -> None:
    picture = render(random_scene(5)).image.copy()
    picture[100, 100] = picture[7, 200] = (255, 214, 0)
    assert recover(picture).region.all()


words = st.tuples(
    st.sampled_from(sorted(NOUNS)),
    st.sampled_from([*sorted(COLOURS), None]),
    st.sampled_from((*PATTERNS, PLAIN)),
    st.floats(0, 1),
).map(lambda t: DescribedObject(t[0], t[1], t[2] if t[1] else None, t[3]))
contents = st.one_of(
    st.builds(
        Content,
        st.lists(words, max_size=4).map(tuple),
        st.sampled_from([*sorted(BACKGROUNDS), None]),
    ),
    st.builds(Content, surface=st.tuples(st.sampled_from(sorted(COLOURS)), st.sampled_from((*PATTERNS, PLAIN)))),
)


@given(st.one_of(st.none(), contents), st.one_of(st.none(), contents))
@settings(max_examples=200, deadline=None)
def test_lines_have_the_published_form_and_say_what_was_seen(region: Content | None, rest: Content | None) -> None:
    text = Description(region, rest).text
    assert LINE.fullmatch(text), text
    shown, _, dark = text.partition("; darkened: ")
    for part, told in ((region, shown), (rest, dark)):
        if part is None:
            continue
        for entry in part.objects:
            assert str(entry) in told
        if part.background and not part.surface:
            assert told.endswith(f"background: {part.background}")
    assert bool(dark) == (rest is not None)


def test_summary_counts_images() -> None:
    dog = DescribedObject("dog", "red", "dotted", 0.5)
    dogs = Description(Content((dog, dog), "snow"), None)
    cat = Description(Content((DescribedObject("cat", "red", PLAIN, 0.5),)), Content())
    surface = Description(Content(surface=("blue", "dotted")), None)
    assert (
        summary([dogs, dogs, cat, surface])
        == "Of 4 regions: noun dog 2; colour red 3; pattern dotted 3; background snow 2."
    )
    assert summary([cat]) == "Of 1 regions: noun cat 1; colour red 1; pattern plain 1."
    assert summary([Description(None, Content())]) == "Of 1 regions: nothing that has a name."


def blank() -> dict[str, np.ndarray]:
    """Log-probabilities that see grass everywhere."""
    found = {name: np.full((channels, GRID, GRID), -8.0, np.float32) for name, channels in OUTPUTS.items()}
    found["noun"][BACKGROUND_CELL] = 0
    found["background"][BACKGROUND_NAMES.index("grass")] = 0
    return found


def put(found: dict[str, np.ndarray], where: tuple[slice, slice], noun: str) -> None:
    found["noun"][(slice(None), *where)] = -8.0
    found["noun"][(NOUN_NAMES.index(noun), *where)] = 0


def test_touching_objects_are_told_apart_and_stray_cells_join() -> None:
    found = blank()
    put(found, (slice(5, 15), slice(2, 10)), "dog")
    put(found, (slice(5, 15), slice(10, 20)), "car")
    put(found, (slice(6, 8), slice(3, 5)), "cat")  # an error inside the dog
    put(found, (slice(25, 26), slice(25, 26)), "bird")  # an error in the grass
    pieces = find(found)
    expected = np.zeros((2, GRID, GRID), bool)
    expected[0, 5:15, 2:10] = expected[1, 5:15, 10:20] = True
    assert sorted(cells.tobytes() for cells in pieces.objects) == sorted(cells.tobytes() for cells in expected)
    assert pieces.background == "grass" and not pieces.close_up
    assert not (pieces.background_cells & expected.any(axis=0)).any()


def test_a_surface_everywhere_is_a_close_up() -> None:
    found = blank()
    put(found, (slice(None), slice(None)), "surface")
    pieces = find(found)
    assert pieces.close_up and pieces.background is None and pieces.objects[0].all()


def test_only_what_covers_enough_of_the_region_is_named() -> None:
    cells = np.zeros((GRID, GRID), bool)
    cells[0:10, 0:10] = True
    sight = Sight((SeenObject("dog", "red", "dotted", cells),), "snow", ~cells)
    region = np.zeros((SIZE, SIZE), bool)
    region[:80, :80] = True
    assert str(content(sight, region, 0.3)) == "a red dotted dog"
    region[:] = False
    region[76:84, :80] = True  # half dog, half snow, but little of the dog: its share counts
    assert str(content(sight, region, 0.3)) == "a red dotted dog; background: snow"
    region[:] = False
    region[100:, :] = True
    assert str(content(sight, region, 0.3)) == "background: snow"
    region[:] = True
    assert content(sight, region, 0.3).objects[0].share == pytest.approx(100 / GRID**2, abs=1e-3)


def test_labels_of_cells_agree_with_the_map() -> None:
    scene = Scene(8, "room", lay_out([ObjectSpec("box", "red", "dotted", "large", 0, 0)], "room", (), 8))
    rendering = render(scene)
    labels = cell_labels(scene, rendering)
    nouns = np.repeat(np.repeat(labels["noun"].numpy(), 8, 0), 8, 1)
    assert (rendering.objects[nouns == NOUN_NAMES.index("box")] == 1).mean() > 0.8
    assert (rendering.objects[nouns == BACKGROUND_CELL] == 0).mean() > 0.98
    assert set(np.unique(labels["colour"])) == {-1, COLOUR_NAMES.index("red")}


def test_region_and_rest_are_kept_apart(describer: Describer) -> None:
    specs = [ObjectSpec("umbrella", "red", PLAIN, None, 0, 0), ObjectSpec("clock", "blue", PLAIN, None, 0, 1)]
    scene = Scene(4, "grass", lay_out(specs, "grass", [(0, "left of", 1)], 4))
    rendering = render(scene)
    for i, entry in enumerate(scene.objects):
        masked = Image.fromarray(apply_region(rendering.image, rendering.objects == i + 1))
        description = describer.describe(masked)
        assert [found.noun for found in description.objects] == [entry.noun]
        assert description.rest is not None
        assert scene.objects[1 - i].noun in [found.noun for found in description.rest.objects]
        assert description.rest.background == "grass"
        assert LINE.fullmatch(description.text)


def test_same_pixels_same_words_whatever_came_before(describer: Describer) -> None:
    image = Image.fromarray(render(random_scene(77)).image)
    first = describer.describe_text(image)
    describer.describe_text(Image.fromarray(render(random_scene(78)).image))
    stored = io.BytesIO()
    image.save(stored, "PNG")
    assert describer.describe_text(Image.open(stored)) == first
    assert Describer().describe_text(image) == first


def test_a_dark_picture_shows_nothing(describer: Describer) -> None:
    picture = render(random_scene(5)).image
    dark = Image.fromarray(apply_region(picture, np.zeros((SIZE, SIZE), bool)))
    assert describer.describe_text(dark).startswith("nothing is highlighted; darkened: ")
    assert describer.describe(dark).objects == ()


def test_it_is_mostly_right_on_scenes_it_never_saw(describer: Describer) -> None:
    tally = measure(describer, "exploration", 40)
    rates = {
        family: tally.right[family] / tally.asked[family] for family in ("noun", "colour", "pattern", "background")
    }
    for family, least in (("noun", 0.88), ("colour", 0.85), ("pattern", 0.72), ("background", 0.95)):
        assert rates[family] >= least, rates


def test_heads_refuse_weights_that_do_not_fit(tmp_path: Path) -> None:
    state = load_file(WEIGHTS)
    state.pop("dense.out.bias")
    save_file(state, tmp_path / "cut.safetensors")
    with pytest.raises(RuntimeError, match=r"out\.bias"):
        load_heads(tmp_path / "cut.safetensors")
    with pytest.raises(FileNotFoundError):
        load_heads(tmp_path / "absent.safetensors")
