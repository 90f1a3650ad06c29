"""Edits: what changes, what stays (in the scene and in the pixels), and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.models.errors import ExperimentError
from maia.models.testbed.catalogue import drawing_choices
from maia.models.testbed.edits import FORMS, edit_scene, purpose_of
from maia.models.testbed.language import caption, parse_prompt
from maia.models.testbed.placing import extent
from maia.models.testbed.renderer import render
from maia.models.testbed.scene import SIZE, Scene
from maia.models.testbed.vocabulary import COLOURS, GROUPS, NOUNS, PATTERNS, PLAIN
from scipy.ndimage import binary_dilation

# prompt | edit | caption after it; the things of a caption may come in any order
TABLE = """
a plain brown dog on grass | replace the dog with a cat | a plain brown cat on the grass
a plain brown dog on grass | Please replace the dog with a dotted red cat! | a dotted red cat on the grass
a plain red ball on a plain red box at sea | replace the ball with a blue cup | a plain blue cup, a plain red box on sea
a plain red car in a desert | make the car green | a plain green car in a desert
a plain red car in a desert | make it dotted | a dotted red car in a desert
a plain red car in a desert | make it dotted and green | a dotted green car in a desert
a plain red car in a desert | change the background to a forest | a plain red car in a forest
a plain red car in a desert | put it on snow | a plain red car in the snow
a plain red car in a desert | put the car on a beach | a plain red car on a sandy beach
a plain red car in a desert | make it night | a plain red car in a city at night
a plain red car in a desert | replace the desert with grass | a plain red car on the grass
a plain red car in a desert | turn it into a bus | a plain red bus in a desert
a plain red car in a desert | change car to bus | a plain red bus in a desert
a plain red car in a desert | make it a bus | a plain red bus in a desert
a plain red car in a desert | change the color of the car to blue | a plain blue car in a desert
a plain red car in a desert | change the car's colour from red to blue | a plain blue car in a desert
a plain red car on grass | paint it blue and add a plain pink ball | a plain blue car, a plain pink ball on grass
a plain red car in a desert | add dots to the car | a dotted red car in a desert
a plain red car in a desert | give the car zigzags | a zigzag red car in a desert
a plain red car in a desert | replace the red with blue | a plain blue car in a desert
a dotted red car in a desert | replace the dots with zigzags | a zigzag red car in a desert
a dotted red car in a desert | remove the dots | a plain red car in a desert
a plain red car in a desert | change it to a dotted bus in the snow | a dotted red bus in the snow
a plain red car on grass | add a plain red fence behind the car | a plain red car, a plain red fence on grass
a plain white fence and a plain red dog in a room | remove the fence | a plain red dog in a room
a plain red dog in a room | remove the dog | an empty scene in a room
two plain red dogs in a room | make the dogs blue | two plain blue dogs in a room
two plain red dogs in a room | make all the dogs blue | two plain blue dogs in a room
two plain red dogs in a room | make them blue | two plain blue dogs in a room
two plain red dogs in a room | make the left dog blue | a plain red dog and a plain blue dog in a room
a plain red ring in a room | make the round thing green | a plain green ring in a room
a close-up of red zigzag fabric | make it blue | a close-up of zigzag blue fabric
a close-up of red zigzag fabric | change the pattern to dots | a close-up of dotted red fabric
a close-up of red zigzag fabric | replace the zigzags with mesh | a close-up of mesh red fabric
"""
ROWS = [[part.strip() for part in line.split("|")] for line in TABLE.strip().splitlines()]


def _facts(scene: Scene) -> tuple[object, ...]:
    things = sorted((entry.noun, entry.colour, entry.pattern) for entry in scene.objects)
    return scene.background, scene.surface, things


@pytest.mark.parametrize(("prompt", "edit", "after"), ROWS, ids=[row[1] for row in ROWS])
def test_edit_gives(prompt: str, edit: str, after: str) -> None:
    for seed in (0, 5):
        before = parse_prompt(prompt, seed)
        edited = edit_scene(before, edit)
        assert _facts(edited) == _facts(parse_prompt(after, 0)), caption(edited)
        assert edited.seed == before.seed


def test_edits_keep_key_place_and_the_other_objects() -> None:
    for seed in range(5):
        before = parse_prompt("a plain red ball and a plain gray dog on grass", seed)
        edited = edit_scene(before, "replace the ball with a lamp")
        for old, new in zip(before.objects, edited.objects, strict=True):
            if old.noun == "dog":
                assert new == old
            else:
                assert (new.noun, new.key, new.flip, new.tilt) == ("lamp", old.key, old.flip, old.tilt)
                assert extent(new)[3] == pytest.approx(extent(old)[3], abs=0.1)


def test_sizes_and_moves() -> None:
    before = parse_prompt("a small plain red ball on grass", 1)
    (ball,) = before.objects
    assert edit_scene(before, "make the ball larger").objects[0].scale > ball.scale
    assert edit_scene(before, "make it much smaller").objects[0].scale < ball.scale
    assert edit_scene(before, "move it to the left").objects[0].x < ball.x
    assert edit_scene(before, "shift the ball to the right").objects[0].x > ball.x
    assert edit_scene(before, "move the ball up").objects[0].y < ball.y


def test_moves_beside_another_thing() -> None:
    for seed in range(8):
        scene = parse_prompt("a small plain red ball left of a small plain gray dog on grass", seed)
        scene = edit_scene(scene, "move the dog to the center")
        boxes = {e.noun: extent(e) for e in edit_scene(scene, "move the ball to the right of the dog").objects}
        assert boxes["ball"][0] > boxes["dog"][2]
        boxes = {e.noun: extent(e) for e in edit_scene(scene, "put the ball on the dog").objects}
        assert boxes["dog"][1] < boxes["ball"][3] < (boxes["dog"][1] + boxes["dog"][3]) / 2
        assert boxes["dog"][0] < (boxes["ball"][0] + boxes["ball"][2]) / 2 < boxes["dog"][2]


def test_groups_become_another_member() -> None:
    scene = parse_prompt("a dog on grass", 2)
    noun = edit_scene(scene, "replace the dog with an animal").objects[0].noun
    assert noun in GROUPS["animal"][1] and noun != "dog"


def test_new_nouns_keep_the_purpose() -> None:
    for seed in range(4):
        for purpose in ("exploration", "evaluation"):
            scene = parse_prompt("a dog on grass", seed, purpose)  # type: ignore[arg-type]
            edited = edit_scene(edit_scene(scene, "replace the dog with a cat"), "add a ball")
            assert purpose_of(edited) == purpose
            assert all(e.drawing in drawing_choices(e.noun, purpose) for e in edited.objects)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("prompt", "edit", "named"),
    [
        ("a red dog on grass", "foo", ["red dog", FORMS[0]]),
        ("a red dog on grass", "replace the cat with a ball", ["no 'cat'", "red dog"]),
        ("a red dog on grass", "make the dog sit", ["'sit'"]),
        ("a red dog on grass", "add a hat", ["'hat'"]),
        ("a red dog on grass", "make the dog red", ["changes nothing"]),
        ("a red dog on grass", "change the background to a wolf", ["'wolf'"]),
        ("a red dog on grass", "change the background to a ball", ["no background", "forest"]),
        ("a red dog on grass", "replace the snow with sand", ["snow", "grass"]),
        ("a red dog on grass", "put the ball on the box", ["'ball'"]),
        ("a red dog on grass", "replace the dog with two cats", ["add"]),
        ("two red dogs on grass", "make the dog blue", ["2 things", "on the left"]),
        ("a red dog and a blue cat on grass", "make it green", ["'it'", "red dog", "blue cat"]),
        ("five red balls on grass", "add a dog", ["5"]),
        ("a close-up of red zigzag fabric", "add a dog", ["close-up"]),
        ("a close-up of red zigzag fabric", "put it on snow", []),
        ("a red dog on grass", "", ["empty"]),
        ("a red dog on grass", None, ["NoneType"]),
        ("a red dog on grass", "make " + "x" * 400, ["300"]),
    ],
)
def test_refused_with_the_reason(prompt: str, edit: object, named: list[str]) -> None:
    with pytest.raises(ExperimentError) as raised:
        edit_scene(parse_prompt(prompt, 0), edit)  # type: ignore[arg-type]
    for words in named:
        assert words in str(raised.value)


# Pixels


def _around(scene: Scene, keys: set[int], reach: float) -> np.ndarray:
    """bool [224, 224]: the boxes of the objects with these keys, wider by `reach` half-sizes for the shadow."""
    region = np.zeros((SIZE, SIZE), bool)
    for entry in scene.objects:
        if entry.key in keys:
            left, top, right, bottom = extent(entry)
            far = reach * entry.scale + 4
            ys, xs = slice(max(0, int(top - far)), int(bottom + far)), slice(max(0, int(left - far)), int(right + far))
            region[ys, xs] = True
    return region


def _differences(before: Scene, after: Scene) -> np.ndarray:
    """int [224, 224]: the largest difference of any channel."""
    a, b = (render(scene).image.astype(int) for scene in (before, after))
    return np.abs(a - b).max(axis=2)


PIXEL_EDITS = [
    ("replace the ball with a cat", {0}),
    ("make the ball larger", {0}),
    ("remove the ball", {0}),
    ("move the ball to the left", {0}),
    ("add a dotted vase", {2}),
    ("turn the house into a tree", {1}),
]


@pytest.mark.parametrize(("edit", "keys"), PIXEL_EDITS, ids=[edit for edit, _ in PIXEL_EDITS])
def test_pixels_outside_the_edited_region_stay(edit: str, keys: set[int]) -> None:
    backgrounds = ("on the grass", "in a room", "in a city at night", "on the sea")
    for seed, where in enumerate(backgrounds):
        before = parse_prompt(f"a small plain red ball and a small striped blue house {where}", seed)
        after = edit_scene(before, edit)
        region = _around(before, keys, 1.0) | _around(after, keys, 1.0)
        difference = _differences(before, after)
        assert difference[~region].max() <= 1
        assert (difference[region] > 8).sum() > 50


@pytest.mark.parametrize(
    "edit", ["make the ball green", "make the ball zigzag", "make the ball checkered and dark blue"]
)
def test_recolouring_changes_the_object_only(edit: str) -> None:
    for seed, where in enumerate(("on a sandy beach", "in front of a brick wall", "in the snow")):
        before = parse_prompt(f"a small plain red ball and a small striped yellow house {where}", seed)
        rendering = render(before)
        number = 1 + [entry.noun for entry in before.objects].index("ball")
        shown = rendering.objects == number
        difference = _differences(before, edit_scene(before, edit))
        # Two pixels more for soft edges.
        assert difference[~binary_dilation(shown, iterations=2)].max() <= 1
        body = shown & rendering.body
        assert (difference[body] > 8).mean() > 0.2


def test_background_edits_keep_the_objects_apart_from_light() -> None:
    before = parse_prompt("a plain red ball and a plain blue box on the grass", 4)
    after = edit_scene(before, "change the background to snow")
    assert after.objects == before.objects
    a, b = render(before), render(after)
    assert np.array_equal(a.objects, b.objects) and np.array_equal(a.body, b.body)
    assert (np.abs(a.image.astype(int) - b.image.astype(int)).max(axis=2)[a.objects == 0] > 8).mean() > 0.5


# Properties


_ATTRIBUTES = st.tuples(st.sampled_from(sorted(COLOURS)), st.sampled_from((PLAIN, *PATTERNS)))


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(sorted(NOUNS)), st.sampled_from(sorted(NOUNS)), _ATTRIBUTES, st.integers(0, 10_000))
def test_any_noun_becomes_any_other(old: str, new: str, said: tuple[str, str], seed: int) -> None:
    before = parse_prompt(f"a {old}", seed)
    colour, pattern = said
    if (old, before.objects[0].colour, before.objects[0].pattern) == (new, colour, pattern):
        return
    edited = edit_scene(before, f"replace the {old} with a {pattern} {colour} {new}")
    (entry,) = edited.objects
    assert (entry.noun, entry.colour, entry.pattern, edited.background) == (new, colour, pattern, before.background)
    left, top, right, bottom = extent(entry)
    assert min(left, top) >= 3 and max(right, bottom) <= SIZE - 3


_SCENES = [parse_prompt(p, 3) for p in ("a dog and two red balls on grass", "a close-up of red fabric", "a forest")]
_WORDS = "replace,change,make,put,add,remove,move,turn,the,it,them,with,to,on,a,red,dotted,dog,cat,ball,left"


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(_SCENES),
    st.lists(st.sampled_from(_WORDS.split(",")), max_size=9).map(" ".join) | st.text(max_size=60),
)
def test_any_text_raises_experiment_errors_only(scene: Scene, text: str) -> None:
    try:
        edited = edit_scene(scene, text)
    except ExperimentError as error:
        assert str(error).strip()
    else:
        assert edited != scene
        assert len({entry.key for entry in edited.objects}) == len(edited.objects)


def test_what_carries_letters_is_never_added_mirrored() -> None:
    for seed in range(12):
        scene = edit_scene(parse_prompt("a dog on the grass", seed), "add a sign")
        assert not next(entry for entry in scene.objects if entry.noun == "sign").flip
