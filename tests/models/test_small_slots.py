"""What the small backbone's nine tokens should say of scenes whose segments are drawn by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.models.testbed.scene import Scene, SceneObject, Segments
from maia.models.vlm.small.lessons import lesson
from maia.models.vlm.small.slots import ALIKE, BACKGROUND_SHARE, MIN_VISIBLE, SLOTS, indices, told

DOG = SceneObject("dog", "red", "striped", 0, 0, 0, 1)
CAR = SceneObject("car", "blue", "plain", 0, 0, 0, 1)
BACKGROUND = "beach"
ALL = np.ones((224, 224), bool)
NOTHING = ("none", "none", "none")


def drawn(*areas: int, objects=(DOG, CAR)) -> tuple[Scene, Segments]:
    """A scene whose i-th object is a bar of that many pixels, from row 40 i on."""
    pixels = np.zeros((224, 224), np.uint8)
    for number, area in enumerate(areas):
        pixels[40 * number : 40 * (number + 1)].reshape(-1)[:area] = number + 1
    return Scene(0, BACKGROUND, objects[: len(areas)]), Segments(pixels, pixels > 0)


def test_the_words_are_distinct_and_of_one_vocabulary():
    assert len(SLOTS) == 9
    assert all(len(set(words)) == len(words) for words in SLOTS.values())
    assert {"dog", "car"} <= set(SLOTS["noun"]) and BACKGROUND in SLOTS["background"]


def test_a_whole_picture_tells_its_objects_the_larger_first():
    scene, segments = drawn(1000, 4000)
    found = told(scene, segments, ALL)
    assert found.words == ("car", "blue", "plain", "dog", "red", "striped", BACKGROUND, "all", "bright")
    assert (found.first, found.second, found.either) == (1, 0, False)


@pytest.mark.parametrize(("area", "either"), [(1000, True), (int(1000 * ALIKE) - 1, True), (int(1000 * ALIKE), False)])
def test_objects_of_about_the_same_size_may_change_places(area, either):
    scene, segments = drawn(1000, area)
    assert told(scene, segments, ALL).either == either


def test_of_a_bright_object_and_a_darkened_one_the_bright_comes_first():
    scene, segments = drawn(1000, 4000)
    found = told(scene, segments, segments.objects == 1)
    assert found.words == ("dog", "red", "striped", "car", "blue", "plain", BACKGROUND, "object", "dark")
    assert (found.first, found.second, found.either) == (0, 1, False)


def test_a_region_of_background_tells_the_largest_darkened_object_second():
    scene, segments = drawn(1000, 4000)
    found = told(scene, segments, segments.objects == 0)
    assert found.words == (*NOTHING, "car", "blue", "plain", BACKGROUND, "background", "dark")
    assert found.first is None


def test_an_object_with_much_background_around_it_is_both():
    scene, segments = drawn(1000)
    around = segments.objects == 1
    around[100:104] = True  # 896 of 1,896 pixels: more than BACKGROUND_SHARE
    assert BACKGROUND_SHARE < 896 / 1896
    assert told(scene, segments, around).words[6:] == (BACKGROUND, "both", "none")


@pytest.mark.parametrize(("pixels", "noun"), [(MIN_VISIBLE - 1, "none"), (MIN_VISIBLE, "dog")])
def test_what_can_hardly_be_seen_does_not_count(pixels, noun):
    scene, segments = drawn(pixels)
    assert told(scene, segments, ALL).words[0] == noun
    assert told(scene, segments, segments.objects == 0).words[3] == noun


def test_a_dark_picture_has_no_bright_object():
    scene, segments = drawn(1000)
    found = told(scene, segments, ~ALL)
    assert found.words == (*NOTHING, "dog", "red", "striped", BACKGROUND, "none", "dark")


def test_a_close_up_is_a_surface_before_nothing():
    scene = Scene(0, None, surface=("green", "striped"))
    segments = Segments(np.ones((224, 224), np.uint8), ALL)
    found = told(scene, segments, ALL)
    assert found.words == ("surface", *scene.surface, *NOTHING, "none", "all", "none")
    assert (found.first, found.second) == (0, None)


@given(st.integers(0, 10**6))
@settings(max_examples=8)
def test_every_lesson_has_words_that_the_tokens_can_say(seed):
    found = lesson(seed, 2)
    for entry, region in zip(found.told, found.regions, strict=True):
        assert len(indices(entry.words)) == len(SLOTS)
        names = [thing.noun for thing in found.scene.objects]
        for which, noun in ((entry.first, entry.words[0]), (entry.second, entry.words[3])):
            assert noun == "none" if which is None else noun in ("surface", names[which] if names else "surface")
        assert (entry.words[7] == "all") == region.all() and (entry.words[7] == "none") == (not region.any())
