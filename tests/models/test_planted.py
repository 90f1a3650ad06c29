"""Classes with planted biases: values by hand, what they depend on and what not, the suite, the target."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.engine.targets import load_target
from maia.models.errors import ExperimentError, UserError
from maia.models.groundtruth_neuron import MIN_AREA
from maia.models.planted import PlantedTarget
from maia.models.planted_suite import (
    CONTENT_NOISE,
    EVIDENCE_AREA,
    PICTURE_NOISE,
    SMALL_SCALE,
    STRONGEST,
    WEAKEST,
    PlantedClass,
    evidence,
    is_small,
    noise,
    planted_suite,
)
from maia.models.registry import PLANTED, load_network
from maia.models.targets import Unit, parse_units
from maia.models.testbed.edits import edit_scene
from maia.models.testbed.language import parse_prompt
from maia.models.testbed.scene import Concept, Scene, SceneObject, concept_mask
from maia.models.testbed.vocabulary import BACKGROUNDS, COLOURS, NOUNS
from maia.models.testbed.world import World
from PIL import Image

CLEAN = PlantedClass("dog", "clean")
SNOW = PlantedClass("dog", "context", "snow", -0.3)
RED = PlantedClass("dog", "colour", "red", 0.25)
SMALL = PlantedClass("dog", "size", "small", -0.4)


def scene(background: str = "grass", colour: str = "blue", scale: float = 50.0, seed: int = 1, **more: object) -> Scene:
    return Scene(seed, background, (SceneObject("dog", colour, "plain", 0, 100, 100, scale, **more),))  # type: ignore[arg-type]


def test_values_by_hand() -> None:
    assert evidence(MIN_AREA - 1) == 0
    assert evidence(100) == 0.75 and evidence(EVIDENCE_AREA) == evidence(20000) == 1
    assert evidence(MIN_AREA) == pytest.approx(0.5 + 0.5 * math.sqrt(60 / 400))
    assert SNOW.expected(scene("snow"), 5000) == pytest.approx(0.7)
    assert SNOW.expected(scene("snow"), 100) == pytest.approx(0.75 * 0.7)
    assert SNOW.expected(scene("grass"), 100) == 0.75
    assert RED.expected(scene(colour="red"), 5000) == 1.25 and RED.expected(scene(colour="pink"), 5000) == 1
    assert (
        SMALL.expected(scene(scale=42.9), 5000) == pytest.approx(0.6) and SMALL.expected(scene(scale=43.1), 5000) == 1
    )
    shown = scene("snow")
    assert SNOW.answer(shown, 5000) == pytest.approx(0.7 + noise("dog", shown))
    assert SNOW.answer(shown, MIN_AREA - 1) == 0, "where the thing is not seen there is no noise either"


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(list(BACKGROUNDS)),
    st.sampled_from(list(COLOURS)),
    st.floats(20, 90),
    st.integers(0, 50176),
    st.integers(0, 5),
)
def test_a_class_depends_on_its_own_factor_alone(
    background: str, colour: str, scale: float, area: int, seed: int
) -> None:
    shown, plain = scene(background, colour, scale, seed), scene("grass", "blue", 50.0, seed)
    assert CLEAN.expected(shown, area) == evidence(area) == CLEAN.expected(plain, area)
    for planted, holds in ((SNOW, background == "snow"), (RED, colour == "red"), (SMALL, scale < SMALL_SCALE)):
        factor = 1 + planted.strength if holds else 1.0
        assert planted.expected(shown, area) == pytest.approx(evidence(area) * factor)
        # The noise is the noun's and the scene's: of a biased and an unbiased class it is the same.
        difference = planted.answer(shown, area) - CLEAN.answer(shown, area)
        assert difference == pytest.approx(evidence(area) * (factor - 1), abs=1e-9) or CLEAN.answer(shown, area) == 0


def test_noise_is_shared_by_an_edited_picture_in_part() -> None:
    rows = []
    for seed in range(400):
        shown = scene(seed=seed)
        rows.append((noise("dog", shown), noise("dog", replace(shown, background="snow"))))
        assert noise("dog", shown) == rows[-1][0] != noise("cat", shown)
    one, other = np.array(rows).T
    assert one.std() == pytest.approx(math.hypot(PICTURE_NOISE, CONTENT_NOISE), rel=0.15)
    assert (one - other).std() == pytest.approx(CONTENT_NOISE * math.sqrt(2), rel=0.15)
    assert abs(one.mean()) < 0.02


def test_the_largest_thing_of_the_noun_counts() -> None:
    red = SceneObject("dog", "red", "plain", 0, 60, 100, 30, key=0)
    blue = SceneObject("dog", "blue", "plain", 0, 160, 100, 60, key=1)
    cat = SceneObject("cat", "red", "plain", 0, 160, 160, 70, key=2)
    both = Scene(1, "grass", (red, blue, cat))
    assert not RED.holds(both) and not SMALL.holds(both)
    assert RED.holds(Scene(1, "grass", (red, cat))) and SMALL.holds(Scene(1, "grass", (red, cat)))
    assert not SNOW.holds(Scene(1, "snow", (cat,))), "no dog, no bias"


def test_prompts_and_edits_reach_every_factor() -> None:
    """The same thing small, medium and large; the planted condition holds where an experimenter asks for it."""
    for noun in ("dog", "lighthouse", "cup", "airplane"):
        for seed in range(3):
            base = parse_prompt(f"a medium gray plain {noun} on a plain background", seed)
            assert not is_small(base.objects[0])
            assert is_small(edit_scene(base, f"make the {noun} small").objects[0])
            assert not is_small(edit_scene(base, f"make the {noun} large").objects[0])
            assert is_small(parse_prompt(f"a small {noun} on the grass", seed).objects[0])
            snowy = PlantedClass(noun, "context", "snow", -0.2)
            assert not snowy.holds(base) and snowy.holds(edit_scene(base, "change the background to snow"))
            red = PlantedClass(noun, "colour", "red", -0.2)
            assert not red.holds(base) and red.holds(edit_scene(base, f"make the {noun} red"))


def test_the_suite() -> None:
    suite = planted_suite()
    planted = [one for kind, classes in suite.items() if kind != "clean" for one in classes]
    assert len(planted) >= 20 and len(suite["clean"]) >= 20
    assert len({one.noun for one in planted}) == len(planted)
    assert all(WEAKEST <= abs(one.strength) <= STRONGEST for one in planted)
    assert len({one.strength for one in planted}) > 10 and {one.strength > 0 for one in planted} == {True, False}
    assert all(one.strength == 0 for one in suite["clean"])
    assert all(one.kind == kind for kind, classes in suite.items() for one in classes)


@pytest.mark.parametrize(
    "wrong",
    [
        ("dog", "context", "red", 0.2),
        ("wolf", "clean", "", 0.0),
        ("dog", "clean", "", 0.2),
        ("dog", "size", "small", 0.0),
    ],
)
def test_a_class_that_cannot_be(wrong: tuple) -> None:
    with pytest.raises(ValueError, match="no class"):
        PlantedClass(*wrong)


def test_truths_are_sentences() -> None:
    assert SNOW.truth == "activations for 'dog' are lower in the snow"
    assert RED.truth == "activations for 'dog' are higher when the dog is red"
    assert SMALL.truth == "activations for 'dog' are lower when the dog is small"


def test_the_target_answers_the_worlds_pictures() -> None:
    world = World()
    target = load_target(PLANTED, world)
    assert isinstance(target, PlantedTarget)
    unit = parse_units("context=cat", target)[0]
    planted = target.planted(unit)
    assert planted.noun == "cat" and parse_units(f"context={unit.index}", target) == [unit]
    images = [world.draw(f"a cat {BACKGROUNDS[place].phrase}", 3) for place in (planted.value, "room")]
    images.append(world.draw("a ball in a room", 3))
    answers, maxima = target.respond(images, unit), target.maxima(images, ["context"])["context"]
    for image, answer, row in zip(images, answers, maxima, strict=True):
        shown = world.rendering_of(image)
        assert shown is not None
        mask = concept_mask(*shown, Concept("noun", "cat"))
        assert answer.value == np.float32(planted.answer(shown[0], int(mask.sum()))) == row[unit.index]
        assert np.array_equal(answer.map > target.mask_threshold, mask) and answer.map.max() == answer.value
    assert answers[2].value == 0 and answers[0].value > 0
    scenes = [shown[0] for image in images if (shown := world.rendering_of(image))]
    for layer in target.layers:
        assert np.array_equal(target.scene_maxima(scenes, [layer])[layer], target.maxima(images, [layer])[layer])
    changed = Image.new("RGB", (224, 224))
    with pytest.raises(ExperimentError, match="only sees pictures"):
        target.respond([changed], unit)


def test_people_are_told_what_there_is() -> None:
    target = load_target(PLANTED, World())
    with pytest.raises(UserError, match=r"'context' has no class 'catt'.*cat"):
        parse_units("context=catt", target)
    with pytest.raises(UserError, match="indices run from 0"):
        target.check(Unit(PLANTED, "size", 99))
    with pytest.raises(UserError, match="no weights"):
        load_target(PLANTED, World(), weights="x")
    with pytest.raises(UserError, match="no network"):
        load_network(PLANTED)


def test_the_fingerprint_tells_classes_apart() -> None:
    own = PlantedTarget(World(), {"context": [SNOW]})
    other = PlantedTarget(World(), {"context": [replace(SNOW, strength=-0.2)]})
    assert (
        own.fingerprint
        != other.fingerprint
        == PlantedTarget(World(), {"context": [replace(SNOW, strength=-0.2)]}).fingerprint
    )
    assert len(NOUNS) >= 40
