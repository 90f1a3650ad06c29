"""Segment maps without pictures, and the areas and values counted from them, against those of the pictures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.models.groundtruth import GroundTruthTarget
from maia.models.groundtruth_suite import neuron_suite
from maia.models.testbed.catalogue import all_drawings
from maia.models.testbed.dataset import DATASET_SIZE, dataset_scene
from maia.models.testbed.renderer import render, render_segments
from maia.models.testbed.scene import Concept, Scene, SceneObject, Segments, concept_areas, concept_mask
from maia.models.testbed.vocabulary import COLOURS, FAMILIES, GROUPS, NOUNS, PATTERNS
from maia.models.testbed.world import World

CONCEPTS = [Concept(family, value) for family, values in FAMILIES.items() for value in values]
CONCEPTS += [Concept(family, name) for name, (family, _) in GROUPS.items()]


@pytest.mark.parametrize("noun", NOUNS)
def test_segments_are_those_of_the_picture_for_every_drawing(noun: str) -> None:
    colours, patterns = list(COLOURS), list(PATTERNS)
    for drawing in range(len(all_drawings()[noun])):
        entries = tuple(
            SceneObject(noun, colours[drawing], patterns[drawing], drawing, 60 + 90 * i, 120, 55, 5.0, bool(i), i)
            for i in range(2)
        )
        scene = Scene(drawing, "studio", entries)
        rendering, segments = render(scene), render_segments(scene)
        assert rendering.objects.any()
        assert np.array_equal(segments.objects, rendering.objects) and segments.objects.dtype == np.uint8
        assert np.array_equal(segments.body, rendering.body) and segments.body.dtype == bool


@settings(deadline=None, max_examples=25)
@given(st.integers(0, DATASET_SIZE - 1))
def test_areas_are_those_of_the_masks(k: int) -> None:
    scene = dataset_scene(k)
    segments = render_segments(scene)
    area_of = concept_areas(scene, segments)
    for concept in CONCEPTS:
        assert area_of(concept) == concept_mask(scene, segments, concept).sum()


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 224 * 224), min_size=4, max_size=4), st.booleans())
def test_a_neuron_has_the_same_value_by_areas_and_by_masks(cuts: list[int], snow: bool) -> None:
    a, b, c, d = sorted(cuts)
    objects, body = np.zeros(224 * 224, np.uint8), np.zeros(224 * 224, bool)
    objects[a:b], objects[c:d] = 1, 2
    body[a : (a + b) // 2], body[c:d] = True, True
    entries = (
        SceneObject("dog", "red", "plain", 0, 50, 50, 30),
        SceneObject("cup", "blue", "vertically striped", 0, 150, 150, 30),
    )
    scene = Scene(1, "snow" if snow else "grass", entries)
    segments = Segments(objects.reshape(224, 224), body.reshape(224, 224))
    area_of = concept_areas(scene, segments)
    for neurons in neuron_suite().values():
        for neuron in neurons:
            value, mask = neuron.respond(lambda concept: concept_mask(scene, segments, concept))
            assert neuron.value(area_of) == value and (mask is None) == (value == 0)
            assert neuron.may_fire(scene) or value == 0


def test_maxima_of_scenes_are_those_of_their_pictures() -> None:
    world = World()
    target = GroundTruthTarget(world)
    numbers = range(3, DATASET_SIZE, 211)
    layers = list(target.layers)
    seen = target.maxima([world.dataset_image(k) for k in numbers], layers)
    counted = target.scene_maxima([world.dataset_scene(k) for k in numbers], layers)
    for layer in layers:
        assert counted[layer].dtype == np.float32 and np.array_equal(counted[layer], seen[layer])
    assert seen["single"].any()
