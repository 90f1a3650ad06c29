"""The target of held-out ground-truth neurons: its units answer as their definitions say, beside the suite's target."""

from dataclasses import replace

import numpy as np
import pytest
from maia.agent.run import open_target
from maia.engine.dataset import open_dataset
from maia.engine.index_build import cached_index
from maia.engine.profile import load_profile
from maia.engine.sizing import models_of
from maia.engine.targets import load_target
from maia.models.errors import UserError
from maia.models.groundtruth import GroundTruthTarget, same_truth
from maia.models.groundtruth_split import split_concepts
from maia.models.registry import GROUND_TRUTH, GROUND_TRUTH_HELD_OUT, TARGETS, load_network
from maia.models.targets import Unit, parse_units
from maia.models.testbed.dataset import dataset_scene
from maia.models.testbed.renderer import render
from maia.models.testbed.scene import concept_mask
from maia.models.testbed.world import World

SCENES = 40


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def target(world: World) -> GroundTruthTarget:
    loaded = load_target(GROUND_TRUTH_HELD_OUT, world)
    assert isinstance(loaded, GroundTruthTarget)
    return loaded


def units(target: GroundTruthTarget) -> list[Unit]:
    return [Unit(target.name, layer, i) for layer, count in target.layers.items() for i in range(count)]


def test_every_concept_is_held_out_and_every_truth_is_new_and_can_be_stated(target: GroundTruthTarget) -> None:
    held = split_concepts().test
    neurons = [target.neuron(unit) for unit in units(target)]
    assert all(concept in held for neuron in neurons for concept in neuron.concepts)
    assert all(neuron.kind == unit.layer for unit, neuron in zip(units(target), neurons, strict=True))
    assert len({neuron.truth for neuron in neurons}) == len(neurons)
    assert all(same_truth(neuron.truth, neuron) for neuron in neurons)
    assert list(target.layers) == ["single", "or", "conditional"] and min(target.layers.values()) >= 15


def test_it_is_a_target_of_its_own_by_name(target: GroundTruthTarget, world: World) -> None:
    suite = load_target(GROUND_TRUTH, world)
    assert target.name == GROUND_TRUTH_HELD_OUT in TARGETS
    assert target.fingerprint != suite.fingerprint
    again = load_target(GROUND_TRUTH_HELD_OUT, World())
    assert isinstance(again, GroundTruthTarget)
    assert (again.fingerprint, again.neurons) == (target.fingerprint, target.neurons)
    named = parse_units("single=0,1,2:or=3", target)
    assert [str(unit) for unit in named][-1] == "ground-truth-heldout.or.3"
    with pytest.raises(UserError, match="0 to"):
        target.check(Unit(target.name, "single", target.layers["single"]))


def test_it_answers_as_the_definition_says(target: GroundTruthTarget, world: World) -> None:
    """Values and masks from the segment map by hand, over scenes in which the neurons of all kinds fire."""
    fired = dict.fromkeys(target.layers, 0)
    for k in range(SCENES):
        scene, image = dataset_scene(k), world.dataset_image(k)
        rendering = render(scene)
        maxima = target.maxima([image], list(target.layers))
        for unit in units(target)[:: 1 if k < 4 else 7]:
            neuron = target.neuron(unit)
            masks = [concept_mask(scene, rendering, concept) for concept in neuron.concepts]
            areas = [int(mask.sum()) for mask in masks]
            sure = [0.5 + 0.5 * min(1.0, (area / 2500) ** 0.5) if area >= 60 else 0.0 for area in areas]
            if neuron.kind == "or":
                expected = np.mean([value for value in sure if value]) if any(sure) else 0.0
            else:
                expected = sure[0] if all(sure) else 0.0
            (answer,) = target.respond([image], unit)
            assert answer.value == pytest.approx(expected, abs=1e-6)
            assert maxima[unit.layer][0, unit.index] == np.float32(answer.value)
            assert (answer.map > 0).any() == (expected > 0)
            fired[unit.layer] += expected > 0
    assert min(fired.values()) > 5, fired


def test_its_index_holds_the_scenes_on_which_it_fires_most(target: GroundTruthTarget, world: World, tmp_path) -> None:
    index = cached_index(target, open_dataset(f"testbed:{SCENES}"), list(target.layers), tmp_path)
    index.check_target(target)
    values = target.scene_maxima([world.dataset_scene(k) for k in range(SCENES)], list(target.layers))
    compared = 0
    for unit in units(target):
        own = values[unit.layer][:, unit.index]
        entries = [entry for entry in index.entries(unit, 5) if entry.value > 0]
        assert [entry.value for entry in entries] == pytest.approx(sorted(own, reverse=True)[: len(entries)])
        assert all(own[entry.id] == np.float32(entry.value) for entry in entries)
        compared += len(entries)
    assert compared > 100
    other = load_target(GROUND_TRUTH, world)
    with pytest.raises(UserError):
        index.check_target(other)


def test_it_is_taken_wherever_the_suite_is(world: World) -> None:
    profile = load_profile("testbed")
    named = replace(profile, target=GROUND_TRUTH_HELD_OUT)
    assert models_of(named)[-1].components == ()
    assert open_target(GROUND_TRUTH_HELD_OUT, world, named).name == GROUND_TRUTH_HELD_OUT
    with pytest.raises(UserError, match="testbed"):
        open_target(GROUND_TRUTH_HELD_OUT, world, replace(named, world="diffusers"))
    with pytest.raises(UserError, match="no network"):
        load_network(GROUND_TRUTH_HELD_OUT)
    with pytest.raises(UserError, match="weights"):
        load_target(GROUND_TRUTH_HELD_OUT, world, weights="somewhere")
