"""Ground-truth neurons: values and masks by the definition, the suite, the grammar of labels."""

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.engine.targets import load_target
from maia.models.errors import ExperimentError, UserError
from maia.models.groundtruth import GroundTruthNeuron, GroundTruthTarget, parse_label, same_truth
from maia.models.groundtruth_neuron import MIN_AREA, REFERENCE_AREA, confidence
from maia.models.groundtruth_suite import is_degenerate, neuron_suite
from maia.models.targets import Unit
from maia.models.testbed.dataset import DATASET_SIZE, dataset_scene
from maia.models.testbed.renderer import render
from maia.models.testbed.scene import Concept, Rendering, Scene, SceneObject, concept_mask, concept_present
from maia.models.testbed.world import World
from PIL import Image

DOG, CAT, ANIMAL = Concept("noun", "dog"), Concept("noun", "cat"), Concept("noun", "animal")
RED, STRIPED, SNOW = Concept("colour", "red"), Concept("pattern", "striped"), Concept("background", "snow")
SUITE = [neuron for neurons in neuron_suite().values() for neuron in neurons]


def painted(dog: int = 0, cat: int = 0, background: str = "snow") -> tuple[Scene, Rendering]:
    """A scene of a red plain dog and a blue striped cat of so many pixels each; half of an object is its body."""
    objects = np.zeros((224, 224), np.uint8)
    objects.reshape(-1)[:dog] = 1
    objects.reshape(-1)[30000 : 30000 + cat] = 2
    body = np.zeros((224, 224), bool)
    body.reshape(-1)[: dog // 2] = True
    body.reshape(-1)[30000 : 30000 + cat // 2] = True
    entries = (
        SceneObject("dog", "red", "plain", 0, 50, 50, 30),
        SceneObject("cat", "blue", "vertically striped", 0, 150, 150, 30),
    )
    image = np.random.default_rng(dog * 7 + cat).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    return Scene(1, background, entries), Rendering(image, objects, body)


def answer(neuron: GroundTruthNeuron, scene: Scene, rendering: Rendering) -> tuple[float, np.ndarray | None]:
    return neuron.respond(lambda concept: concept_mask(scene, rendering, concept))


class Registry:
    """A world's registry of pictures, by their bytes."""

    def __init__(self, *made: tuple[Scene, Rendering]):
        self.made = {rendering.image.tobytes(): (scene, rendering) for scene, rendering in made}

    def rendering_of(self, image: Image.Image) -> tuple[Scene, Rendering] | None:
        return self.made.get(image.convert("RGB").tobytes())


def picture(made: tuple[Scene, Rendering]) -> Image.Image:
    return Image.fromarray(made[1].image)


@given(st.integers(0, 50176), st.integers(0, 50176))
def test_confidence_rises_with_the_area(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert 0 <= confidence(low) <= confidence(high) <= 1
    assert (confidence(low) == 0) == (low < MIN_AREA)
    assert confidence(low) == 0 or confidence(low) > 0.5


def test_confidence_at_its_corners() -> None:
    assert confidence(MIN_AREA - 1) == 0
    assert confidence(REFERENCE_AREA // 4) == pytest.approx(0.75)
    assert confidence(REFERENCE_AREA - 1) < confidence(REFERENCE_AREA) == confidence(50176) == 1


def test_single_neurons_see_their_concept_only() -> None:
    scene, rendering = painted(dog=1000, cat=400)
    for concept, area in ((DOG, 1000), (CAT, 400), (ANIMAL, 1400), (RED, 500), (STRIPED, 200), (SNOW, 50176 - 1400)):
        value, mask = answer(GroundTruthNeuron("single", concept), scene, rendering)
        assert value == confidence(area)
        assert mask is not None and mask.sum() == area
    assert answer(GroundTruthNeuron("single", Concept("noun", "bus")), scene, rendering) == (0.0, None)


def test_what_is_nearly_hidden_is_absent() -> None:
    scene, rendering = painted(dog=MIN_AREA - 1, cat=400)
    assert answer(GroundTruthNeuron("single", DOG), scene, rendering) == (0.0, None)
    assert answer(GroundTruthNeuron("or", DOG, CAT), scene, rendering)[0] == confidence(400)
    assert answer(GroundTruthNeuron("conditional", CAT, DOG), scene, rendering) == (0.0, None)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 20000), st.integers(0, 20000))
def test_or_is_either_and_the_mean_of_both(dog: int, cat: int) -> None:
    scene, rendering = painted(dog, cat)
    value, mask = answer(GroundTruthNeuron("or", DOG, CAT), scene, rendering)
    present = [area for area in (dog, cat) if area >= MIN_AREA]
    assert value == (pytest.approx(np.mean([confidence(area) for area in present])) if present else 0)
    assert (mask is None) == (not present)
    assert mask is None or mask.sum() == sum(present)
    swapped = answer(GroundTruthNeuron("or", CAT, DOG), scene, rendering)
    assert swapped[0] == value and (mask is None or np.array_equal(swapped[1], mask))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 20000), st.integers(0, 20000))
def test_conditional_is_a_where_b_is_too(dog: int, cat: int) -> None:
    scene, rendering = painted(dog, cat)
    value, mask = answer(GroundTruthNeuron("conditional", DOG, CAT), scene, rendering)
    if dog >= MIN_AREA and cat >= MIN_AREA:
        assert value == confidence(dog) and mask is not None
        assert np.array_equal(mask, rendering.objects == 1)
    else:
        assert value == 0 and mask is None
    elsewhere = painted(dog, cat, background="grass")
    assert answer(GroundTruthNeuron("conditional", DOG, SNOW), *elsewhere) == (0.0, None)


def test_may_fire_never_misses_a_firing_neuron() -> None:
    for made in (painted(1000, 400), painted(1000, 0), painted(0, 400, "grass")):
        for neuron in SUITE:
            assert answer(neuron, *made)[0] == 0 or neuron.may_fire(made[0])


def test_target_answers_pictures_of_the_world() -> None:
    made = painted(1000, 400), painted(70, 3000, "grass")
    target = load_target("ground-truth", Registry(*made))
    assert isinstance(target, GroundTruthTarget)
    images = [picture(one) for one in made]
    layers = list(target.layers)
    maps, maxima = target.maps(images, layers), target.maxima(images, layers)
    for layer in layers:
        assert np.array_equal(maps[layer].max((2, 3)), maxima[layer])
        assert maps[layer].shape == (2, target.layers[layer], 224, 224)
    for layer, index in (("single", 37), ("or", 1), ("conditional", 5)):
        unit = Unit("ground-truth", layer, index)
        for place, response in enumerate(target.respond(images, unit)):
            assert np.array_equal(response.map, maps[layer][place, index]) and response.map.dtype == np.float32
            assert response.value == maxima[layer][place, index] == response.map.max()
    dog = next(i for i, neuron in enumerate(target.neurons["single"]) if neuron.truth == "dog")
    response = target.respond(images, Unit("ground-truth", "single", dog))[0]
    assert np.array_equal(response.map > target.mask_threshold, made[0][1].objects == 1)
    assert response.value == pytest.approx(confidence(1000))


def test_foreign_pictures_are_an_error_that_the_model_reads() -> None:
    made = painted(1000, 400)
    target = GroundTruthTarget(Registry(made))
    unit = Unit("ground-truth", "single", 0)
    changed = made[1].image.copy()
    changed[0, 0, 0] ^= 1
    with pytest.raises(ExperimentError, match="original picture"):
        target.respond([picture(made), Image.fromarray(changed)], unit)
    with pytest.raises(ExperimentError):
        target.maxima([Image.new("RGB", (64, 64))], ["single"])
    with pytest.raises(UserError, match="choose from single, or, conditional"):
        target.check(Unit("ground-truth", "singel", 0))
    with pytest.raises(UserError, match="indices run from 0"):
        target.neuron(Unit("ground-truth", "single", 1000))


def test_pictures_of_the_real_world_are_seen() -> None:
    world = World()
    target = GroundTruthTarget(world)
    truths = [neuron.truth for neuron in target.neurons["single"]]
    images = [world.draw("a red dog in the snow", 0), world.draw("a blue cup on the grass", 1)]
    found = target.maxima(images, ["single"])["single"]
    firing = [{truth for truth, value in zip(truths, values, strict=True) if value > 0} for values in found]
    assert {"dog", "animal", "red", "snow"} <= firing[0] and firing[0].isdisjoint({"cup", "blue", "grass"})
    assert {"cup", "container", "blue", "grass"} <= firing[1] and firing[1].isdisjoint({"dog", "red", "snow"})
    with pytest.raises(ExperimentError):
        target.maxima([images[0].rotate(90)], ["single"])


def test_fingerprint_is_of_the_definition_not_of_the_world() -> None:
    assert GroundTruthTarget(Registry()).fingerprint == GroundTruthTarget(Registry(painted(1000))).fingerprint


def test_the_suite_has_sixty_of_each_kind_over_all_families() -> None:
    suite = neuron_suite()
    assert list(suite) == ["single", "or", "conditional"]
    for kind, neurons in suite.items():
        assert len(neurons) >= 60
        assert all(neuron.kind == kind for neuron in neurons)
        families = {concept.family for neuron in neurons for concept in neuron.concepts}
        assert families == {"noun", "colour", "pattern", "background"}
        meanings = [frozenset(n.concepts) if kind == "or" else n.concepts for n in neurons]
        assert len(set(meanings)) == len(neurons)
    assert not any(is_degenerate(neuron) for neuron in SUITE)
    assert any(neuron.a == STRIPED for neuron in suite["single"])


@pytest.mark.parametrize(
    ("kind", "a", "b"),
    [
        ("or", DOG, ANIMAL),
        ("or", ANIMAL, DOG),
        ("conditional", DOG, ANIMAL),
        ("conditional", ANIMAL, DOG),
        ("or", DOG, DOG),
        ("conditional", Concept("background", "grass"), SNOW),
    ],
)
def test_degenerate_neurons_are_known(kind: Literal["or", "conditional"], a: Concept, b: Concept) -> None:
    assert is_degenerate(GroundTruthNeuron(kind, a, b))


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [dataset_scene(k) for k in range(DATASET_SIZE)]


def test_the_dataset_shows_every_neuron_and_what_it_is_not(scenes: list[Scene]) -> None:
    """At least 15 scenes with it, rendered for the rarest; and 15 that tell it from the simpler neurons."""
    holding: dict[Concept, set[int]] = {}
    for concept in {concept for neuron in SUITE for concept in neuron.concepts}:
        holding[concept] = {k for k, scene in enumerate(scenes) if concept_present(scene, concept)}
    firing: dict[GroundTruthNeuron, set[int]] = {}
    for neuron in SUITE:
        a = holding[neuron.a]
        if neuron.b is None:
            firing[neuron] = a
            continue
        b = holding[neuron.b]
        firing[neuron] = a | b if neuron.kind == "or" else a & b
        assert len(a - b) >= 15, neuron.truth
        assert neuron.kind == "conditional" or len(b - a) >= 15, neuron.truth
    rarest = sorted(SUITE, key=lambda neuron: len(firing[neuron]))
    assert len(firing[rarest[20]]) >= 18
    for neuron in rarest[:8]:
        visible = 0
        for k in sorted(firing[neuron]):
            visible += answer(neuron, scenes[k], render(scenes[k]))[0] > 0
            if visible == 15:
                break
        assert visible == 15, neuron.truth


def test_every_truth_is_its_own_label_and_nobody_elses() -> None:
    for neuron in SUITE:
        assert same_truth(neuron.truth, neuron)
        assert [other.truth for other in SUITE if same_truth(neuron.truth, other)] == [neuron.truth]


@pytest.mark.parametrize(
    ("label", "truth"),
    [
        ("Dogs", "dog"),
        ("the dog.", "dog"),
        ("puppies", None),
        ("puppy", "dog"),
        ("the color red", "red"),
        ("Red objects", "red"),
        ("grey", "gray"),
        ("striped patterns", "striped"),
        ("horizontal stripes", "horizontally striped"),
        ("animals", "animal"),
        ("snowy field", "snow"),
        ("snow background", "snow"),
        ("plain background", "studio"),
        ("either red or striped", "red OR striped"),
        ("RED or a dog", "red OR dog"),
        ("dog in the snow", "dog given snow"),
        ("dog in the presence of a tree", "dog given tree"),
        ("dog only when snow is in the image", "dog given snow"),
        ("dog, but only with snow", "dog given snow"),
        ("dog when there is a tree", "dog given tree"),
        ("dog only if a tree is present", "dog given tree"),
        ("dog with a tree", "dog given tree"),
        ("dog given red objects", "dog given red"),
        ("", None),
        ("something", None),
        ("dog or cat or bird", None),
        ("dog given", None),
        ("dog given something", None),
        ("red dog", None),
        ("plain", None),
    ],
)
def test_labels_are_read(label: str, truth: str | None) -> None:
    neuron = parse_label(label)
    assert (neuron.truth if neuron else None) == truth


def test_order_matters_for_conditions_only() -> None:
    assert same_truth("striped or red", GroundTruthNeuron("or", RED, STRIPED))
    assert not same_truth("snow given dog", GroundTruthNeuron("conditional", DOG, SNOW))
    assert not same_truth("dog", GroundTruthNeuron("conditional", DOG, SNOW))
    assert not same_truth("dog OR snow", GroundTruthNeuron("conditional", DOG, SNOW))
    assert not same_truth("vertically striped", GroundTruthNeuron("single", STRIPED))


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_quietly(text: str) -> None:
    neuron = parse_label(text)
    assert neuron is None or parse_label(neuron.truth) == neuron


def test_a_neuron_has_as_many_concepts_as_its_kind() -> None:
    with pytest.raises(ValueError):
        GroundTruthNeuron("single", DOG, CAT)
    with pytest.raises(ValueError):
        GroundTruthNeuron("or", DOG)
