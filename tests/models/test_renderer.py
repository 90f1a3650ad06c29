"""The renderer: same scene, same bytes; edits stay where they belong; segment maps agree with the picture."""

import dataclasses
import hashlib
import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from maia.models.testbed.catalogue import all_drawings, drawing_choices, drawing_extent
from maia.models.testbed.layout import RELATIONS, ObjectSpec, lay_out
from maia.models.testbed.renderer import render
from maia.models.testbed.scene import SIZE, Scene, SceneObject
from maia.models.testbed.textures import VARIANTS, luminance, pattern_mask, second_tone
from maia.models.testbed.vocabulary import BACKGROUNDS, COLOURS, NOUNS, PATTERNS, PLAIN
from scipy.ndimage import binary_dilation, binary_erosion, convolve

SURFACES = (*PATTERNS, PLAIN)


@st.composite
def specs(draw: st.DrawFn, most: int = 3) -> list[ObjectSpec]:
    nouns = draw(st.lists(st.sampled_from(sorted(NOUNS)), min_size=1, max_size=most, unique=True))
    return [
        ObjectSpec(
            noun,
            draw(st.sampled_from(sorted(COLOURS))),
            draw(st.sampled_from(SURFACES)),
            draw(st.sampled_from(("small", "medium", "large", None))),
            draw(st.integers(0, len(all_drawings()[noun]) - 1)),
            key,
        )
        for key, noun in enumerate(nouns)
    ]


def scene_of(objects: list[ObjectSpec], background: str, seed: int) -> Scene:
    return Scene(seed, background, lay_out(objects, background, (), seed))


def changed(a: np.ndarray, b: np.ndarray, level: int = 1) -> np.ndarray:
    return (np.abs(a.astype(int) - b.astype(int)) > level).any(axis=2)


def without(scene: Scene, key: int) -> Scene:
    return dataclasses.replace(scene, objects=tuple(entry for entry in scene.objects if entry.key != key))


scenes = st.builds(scene_of, specs(), st.sampled_from(sorted(BACKGROUNDS)), st.integers(0, 10**6))


@given(scenes)
@settings(max_examples=15, deadline=None)
def test_rendering_is_deterministic_and_well_formed(scene: Scene) -> None:
    first, second = render(scene), render(Scene.from_json(scene.to_json()))
    assert first.image.tobytes() == second.image.tobytes()
    assert first.objects.tobytes() == second.objects.tobytes()
    assert first.image.shape == (SIZE, SIZE, 3) and first.image.dtype == np.uint8
    assert first.objects.dtype == np.uint8 and first.body.dtype == bool
    assert set(np.unique(first.objects)) <= set(range(len(scene.objects) + 1))
    assert not (first.body & (first.objects == 0)).any()


def test_another_process_draws_the_same_bytes() -> None:
    code = (
        "import hashlib\n"
        "from maia.models.testbed.scene import Scene, SceneObject\n"
        "from maia.models.testbed.renderer import render\n"
        "scene = Scene(5, 'forest', (SceneObject('dog', 'red', 'plaid', 0, 110.0, 140.0, 60.0),))\n"
        "print(hashlib.sha256(render(scene).image.tobytes()).hexdigest())\n"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    render(Scene(6, "sea"))  # what was drawn before must not matter
    scene = Scene(5, "forest", (SceneObject("dog", "red", "plaid", 0, 110.0, 140.0, 60.0),))
    assert hashlib.sha256(render(scene).image.tobytes()).hexdigest() == other


@given(scenes, st.sampled_from(sorted(COLOURS)), st.sampled_from(SURFACES), st.sampled_from(sorted(NOUNS)))
@settings(max_examples=20, deadline=None)
def test_editing_an_object_changes_only_where_it_stands(scene: Scene, colour: str, pattern: str, noun: str) -> None:
    old = scene.objects[0]
    new = dataclasses.replace(old, noun=noun, colour=colour, pattern=pattern, drawing=0)
    edited = dataclasses.replace(scene, objects=(new, *scene.objects[1:]))
    empty = render(without(scene, old.key)).image
    before, after = render(scene).image, render(edited).image
    touched = changed(before, empty, 0) | changed(after, empty, 0)
    assert not (changed(before, after) & ~touched).any()
    # And what an object touches is near it: its box, its shadow to the side, nothing above.
    rows, columns = np.nonzero(touched)
    assert rows.min() >= old.y - 1.5 * old.scale - 8 and columns.min() >= old.x - 2.6 * old.scale - 30
    assert rows.max() <= old.y + 1.6 * old.scale + 30 and columns.max() <= old.x + 2.6 * old.scale + 30


# Drawings of many small parts, whose seams were 3 % of the body.
SMALL_UMBRELLA_AND_AIRPLANE = scene_of(
    [
        ObjectSpec("umbrella", "black", "horizontally striped", "small", 0, 0),
        ObjectSpec("airplane", "black", PLAIN, "small", 0, 1),
    ],
    "beach",
    0,
)


@given(scenes, st.sampled_from(sorted(BACKGROUNDS)))
@example(SMALL_UMBRELLA_AND_AIRPLANE, "grass")
@settings(max_examples=12, deadline=None)
def test_changing_the_background_leaves_the_objects_alone(scene: Scene, background: str) -> None:
    before, after = render(scene), render(dataclasses.replace(scene, background=background))
    assert (before.objects == after.objects).all()
    seen_through = changed(before.image, after.image)
    for number in range(1, len(scene.objects) + 1):
        # Off its antialiased edge, a body lets nothing through.
        solid = binary_erosion(before.body & (before.objects == number), iterations=2)
        assert not (seen_through & solid).any()


@given(specs(1), st.sampled_from(sorted(BACKGROUNDS)), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_the_body_is_where_the_colour_shows(objects: list[ObjectSpec], background: str, seed: int) -> None:
    red, blue = (
        scene_of([dataclasses.replace(objects[0], colour=colour, pattern=PLAIN)], background, seed)
        for colour in ("yellow", "blue")
    )
    a, b = render(red), render(blue)
    assert (a.body == b.body).all()
    recoloured = changed(a.image, b.image, 4)
    # Fins and panes that are translucent hide nothing and stay out of the map, tinted as they may be.
    stray = recoloured & ~binary_dilation(a.objects > 0, np.ones((3, 3)), iterations=2)
    assert stray.sum() <= 0.05 * (a.objects > 0).sum()
    solid = binary_erosion(a.body, np.ones((3, 3)))
    if solid.sum() > 50:
        assert recoloured[solid].mean() > 0.98  # the rest: under a strong glare or line


def test_the_map_agrees_with_the_antialiased_silhouette() -> None:
    for noun in NOUNS:
        entry = SceneObject(noun, "red", PLAIN, 0, 112.0, 112.0, 70.0)
        with_it, alone = render(Scene(3, "studio", (entry,))), render(Scene(3, "studio"))
        covered = with_it.objects > 0
        inside = binary_erosion(covered, np.ones((3, 3)))
        seen = changed(with_it.image, alone.image, 3)
        # A light object may equal the backdrop in places; most of it must not.
        assert seen[inside].mean() > 0.85, noun
        # Above the object nothing changes: the map misses no part.
        assert not seen[: max(0, np.nonzero(covered.any(axis=1))[0][0] - 2)].any(), noun


@pytest.mark.parametrize("noun", sorted(NOUNS))
def test_every_drawing_fits_its_box_and_shows_its_body(noun: str) -> None:
    assert drawing_choices(noun, "evaluation") == (len(all_drawings()[noun]) - 1,)
    assert len(drawing_choices(noun, "exploration")) >= 1
    for drawing in range(len(all_drawings()[noun])):
        left, top, right, bottom = drawing_extent(noun, drawing)
        assert min(left, top) > -1.75 and max(right, bottom) < 1.75 and bottom > 0.5
        result = render(Scene(drawing, "snow", (SceneObject(noun, "red", "dotted", drawing, 112.0, 112.0, 60.0),)))
        assert (result.objects > 0).sum() > 600
        assert result.body.sum() > 0.1 * (result.objects > 0).sum()


@pytest.mark.parametrize("background", sorted(BACKGROUNDS))
def test_every_background_is_rich_and_varies(background: str) -> None:
    first, second = render(Scene(1, background)).image, render(Scene(2, background)).image
    assert first.std() > 8
    assert changed(first, second, 6).mean() > 0.3
    assert (render(Scene(1, background)).objects == 0).all()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_shows_tiles_and_does_not_alias(pattern: str) -> None:
    for index in (0, 3):
        for variant in range(VARIANTS):
            mask = pattern_mask(pattern, index, variant).astype(float)
            assert mask.std() > 25, (index, variant)  # there is a pattern
            # No seam: the step over the tile's edge is no larger than the steps inside (99.5th percentile).
            steps = np.abs(np.diff(mask, axis=0)), np.abs(np.diff(mask, axis=1))
            assert np.abs(mask[0] - mask[-1]).mean() <= steps[0].mean(axis=1).max() + 8
            assert np.abs(mask[:, 0] - mask[:, -1]).mean() <= steps[1].mean(axis=0).max() + 8
            # No aliasing: little power at the highest frequencies (a one-pixel checkerboard has 1, specks are fine).
            ripple = convolve(mask, np.array([[1, -1], [-1, 1]]) / 4.0, mode="wrap")
            assert ripple.std() < (0.5 if pattern == "speckled" else 0.36) * mask.std(), (index, variant)


@given(st.sampled_from(sorted(COLOURS)), st.sampled_from(PATTERNS), st.integers(0, 999))
@settings(max_examples=150, deadline=None)
def test_second_tone_stands_out(colour: str, pattern: str, seed: int) -> None:
    tone = second_tone(colour, pattern, random.Random(seed))
    assert abs(luminance(tone) - luminance(COLOURS[colour])) > 28


@given(st.sampled_from(sorted(COLOURS)), st.sampled_from(SURFACES), st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_close_ups_fill_the_picture(colour: str, pattern: str, seed: int) -> None:
    result = render(Scene(seed, None, surface=(colour, pattern)))
    assert (result.objects == 1).all() and result.body.all()
    if pattern != PLAIN:
        assert result.image.mean(axis=2).std() > 6


@given(specs(5), st.sampled_from(sorted(BACKGROUNDS)), st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_objects_are_inside_and_visible(objects: list[ObjectSpec], background: str, seed: int) -> None:
    scene = scene_of(objects, background, seed)
    assert sorted(entry.key for entry in scene.objects) == [spec.key for spec in objects]
    together = render(scene)
    for i, entry in enumerate(scene.objects):
        alone = render(dataclasses.replace(scene, objects=(entry,))).objects > 0
        border = alone[0].any() or alone[-1].any() or alone[:, 0].any() or alone[:, -1].any()
        assert not border
        assert (together.objects == i + 1).sum() >= 0.7 * alone.sum()
    if len(objects) == 1 and objects[0].size is None:
        assert scene.objects[0].scale >= 36


@given(specs(3), st.sampled_from(RELATIONS), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_relations_hold(objects: list[ObjectSpec], relation: str, seed: int) -> None:
    if len(objects) < 2:
        return
    placed = {entry.key: entry for entry in lay_out(objects, "grass", [(0, relation, 1)], seed)}
    order = [entry.key for entry in lay_out(objects, "grass", [(0, relation, 1)], seed)]
    a, b = placed[0], placed[1]
    tops = {k: e.y + drawing_extent(e.noun, e.drawing)[1] * e.scale for k, e in placed.items()}
    feet = {k: e.y + drawing_extent(e.noun, e.drawing)[3] * e.scale for k, e in placed.items()}
    if relation in ("left of", "right of"):
        assert (a.x < b.x) == (relation == "left of")
    elif relation == "above":
        assert feet[0] <= tops[1] + 1
    elif relation == "under":
        assert feet[1] <= tops[0] + 1
    elif relation == "on":
        assert abs(feet[0] - tops[1]) < 0.1 * (feet[1] - tops[1]) + 2 and order.index(0) > order.index(1)
    elif relation == "in front of":
        assert order.index(0) > order.index(1)
    elif relation == "behind":
        assert order.index(0) < order.index(1)


def test_layout_refuses_what_it_cannot_do() -> None:
    two = [ObjectSpec("dog", "red", PLAIN, key=0), ObjectSpec("cat", "red", PLAIN, key=1)]
    with pytest.raises(ValueError, match="unknown relation"):
        lay_out(two, "grass", [(0, "inside", 1)])
    with pytest.raises(ValueError, match="circle"):
        lay_out(two, "grass", [(0, "on", 1), (1, "on", 0)])
    with pytest.raises(ValueError, match="at most 5"):
        lay_out(two * 3, "grass")
    with pytest.raises(ValueError, match="not there"):
        lay_out(two, "grass", [(0, "on", 2)])
