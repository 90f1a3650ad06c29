"""Synthetic neurons: lists, names and arithmetic; one suite of tests for those of scenes and those of detectors."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from maia.models.detectors.base import BadPicture, Detection
from maia.models.detectors.scenes import SceneSyntheticTarget
from maia.models.errors import ExperimentError, UserError
from maia.models.groundtruth import GroundTruthTarget
from maia.models.groundtruth_labels import concept_of
from maia.models.groundtruth_neuron import GroundTruthNeuron
from maia.models.synthetic import ALL, KINDS, RELEASED, TABLE, SyntheticNeuron, synthetic_neurons
from maia.models.synthetic_target import SyntheticTarget
from maia.models.targets import Unit, parse_units
from maia.models.testbed.dataset import dataset_scene
from maia.models.testbed.world import World
from PIL import Image
from tiny_detector import pictures, tiny_detector


def named(kind: str, *names: str) -> dict:
    return {kind: tuple(SyntheticNeuron.parse(kind, name) for name in names)}  # type: ignore[arg-type]


# Lists and names.


def test_the_lists_are_those_that_were_printed_and_published() -> None:
    counts = {source: [len(synthetic_neurons(source)[kind]) for kind in KINDS] for source in (TABLE, RELEASED, ALL)}
    assert counts == {TABLE: [45, 24, 19], RELEASED: [47, 18, 20], ALL: [47, 25, 20]}
    table, both = synthetic_neurons(TABLE), synthetic_neurons(ALL)
    assert all(both[kind][: len(table[kind])] == table[kind] for kind in KINDS)
    assert {n.same for ns in both.values() for n in ns} == {
        n.same for source in (TABLE, RELEASED) for ns in synthetic_neurons(source).values() for n in ns
    }


@given(
    st.sampled_from(KINDS), st.lists(st.sampled_from(["dog", "car window", "red"]), min_size=2, max_size=2, unique=True)
)
def test_a_name_is_read_as_it_is_written(kind, concepts) -> None:
    neuron = SyntheticNeuron(kind, tuple(concepts[: 1 if kind == "mono" else 2]))
    assert SyntheticNeuron.parse(kind, f" {neuron.name.upper()} ") == neuron
    turned = SyntheticNeuron(kind, neuron.concepts[::-1])
    assert (neuron.same == turned.same) == (kind != "conditional")


WRONG = {
    "mono": ["", "a+b", "a|b"],
    "or": ["dog", "dog+", "dog+dog", "a|b", "a+b+c"],
    "conditional": ["dog", "|dog", "dog|dog", "a+b|c"],
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in WRONG.items() for name in names])
def test_what_is_no_neuron_is_refused(kind, name) -> None:
    with pytest.raises(UserError, match=r"write (one|two|A)"):
        SyntheticNeuron.parse(kind, name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[dog]",
        "singles: [dog]",
        "mono: dog",
        "mono: [yes]",
        "mono: []",
        "mono: [dog, Dog]",
        "or: [a+b, b+a]",
        "mono: [",
    ],
)
def test_a_list_of_ones_own_that_is_wrong_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=r"mine\.yaml"):
        synthetic_neurons(file)


def test_a_list_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("mono: [Dog]\nconditional: ['dog|leash']\n")
    found = synthetic_neurons(tmp_path / "mine.yaml")
    assert [len(found[kind]) for kind in KINDS] == [1, 0, 1]
    assert found["conditional"][0].truth == "dog given leash"
    with pytest.raises(UserError, match="table-a6"):
        synthetic_neurons(tmp_path / "other.yaml")


# Arithmetic.

scores = st.sampled_from([0.0, 0.31, 0.5, 0.9])


@given(scores, scores)
def test_the_three_kinds_combine_scores_and_masks(a: float, b: float) -> None:
    """Against the paper's sentences (appendix C4), written out."""

    def detection(score: float, row: int) -> Detection:
        mask = np.zeros((4, 4), bool)
        mask[row] = True
        return Detection(score, np.zeros((1, 4), np.float32), np.zeros(1, np.float32), mask if score else None)

    def rows(mask: np.ndarray | None) -> list[int]:
        return [] if mask is None else np.flatnonzero(mask.any(1)).tolist()

    found = {"dog": detection(a, 0), "leash": detection(b, 2)}
    value, mask = SyntheticNeuron("mono", ("dog",)).respond(found)
    assert value == a and (mask is None) == (a == 0)
    value, mask = SyntheticNeuron("or", ("dog", "leash")).respond(found)
    assert value == (np.mean([a, b]) if a and b else max(a, b))
    assert rows(mask) == [row for row, score in ((0, a), (2, b)) if score]
    value, mask = SyntheticNeuron("conditional", ("dog", "leash")).respond(found)
    assert value == (a if b else 0.0)
    assert rows(mask) == ([0] if value else [])


# The target, over scenes and over a detector with weights.


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module", params=["scenes", "detector"])
def told(request, world: World) -> tuple[SyntheticTarget, Sequence[Image.Image]]:
    """A target and pictures that some of its neurons answer to."""
    neurons = {
        "mono": (*named("mono", "dog", "car", "red")["mono"],),
        **named("or", "dog+car", "red+snow"),
        **named("conditional", "dog|snow", "car|red"),
    }
    if request.param == "scenes":
        shown = [world.dataset_image(k) for k in range(24)]
        return SceneSyntheticTarget(world, neurons), shown
    detector = tiny_detector(box_threshold=0.45)
    return SyntheticTarget(detector, neurons, size=96), pictures(*[(96, 96)] * 3, (120, 90), seed=3)


def test_a_target_is_its_neurons_over_what_the_detector_finds(told) -> None:
    """Values and maps of all ways to ask are those of asking the detector about each concept alone."""
    target, shown = told
    layers = list(target.layers)
    maxima, maps = target.maxima(shown, layers), target.maps(shown, layers)
    fired = 0
    for layer in layers:
        for index, neuron in enumerate(target.neurons[layer]):
            unit = Unit(target.name, layer, index)
            for place, image in enumerate(shown):
                view = target.view(image)
                found = {c: target.detector.detect([view], [c])[0][c] for c in neuron.concepts}
                value, mask = neuron.respond(found)
                (answer,) = target.respond([image], unit)
                assert answer.value == maxima[layer][place, index] == np.float32(value)
                assert np.array_equal(answer.map, maps[layer][place, index])
                assert answer.map.shape == (target.square.size,) * 2
                assert np.array_equal(answer.map > 0, np.zeros_like(answer.map, bool) if mask is None else mask)
                fired += value > 0
    assert fired > len(shown) / 4


def test_units_asked_together_get_their_own_answers(told) -> None:
    target, shown = told
    units = [Unit(target.name, "mono", 0), Unit(target.name, "or", 1), Unit(target.name, "mono", 0)]
    small = Image.new("RGB", (5, 50))
    answers = target.respond_each([shown[0], shown[1], small], units)
    assert [answer.value for answer in answers[:2]] == [
        target.respond([shown[place]], units[place])[0].value for place in range(2)
    ]
    assert isinstance(answers[2], BadPicture) and "5 x 50" in str(answers[2])


def test_what_is_not_asked_counts_as_absent(told) -> None:
    target, shown = told
    layers, views = list(target.layers), [target.view(image) for image in shown]
    concepts = target.concepts(layers)
    assert sorted(concepts) == ["car", "dog", "red", "snow"]
    asked = np.ones((len(views), len(concepts)), bool)
    assert all(
        np.array_equal(a, b)
        for a, b in zip(
            target.values(views, layers, asked).values(), target.maxima(shown, layers).values(), strict=True
        )
    )
    asked[:, concepts.index("dog")] = False
    values = target.values(views, layers, asked)
    assert not values["mono"][:, 0].any() and not values["conditional"][:, 0].any()
    car = target.maxima(shown, ["mono"])["mono"][:, 1]
    assert np.array_equal(values["or"][:, 0], car)


def test_names_find_indices(told) -> None:
    target, _ = told
    found = parse_units("mono=red,0:or=car+dog:conditional=dog|snow", target)
    assert [(unit.layer, unit.index) for unit in found] == [("mono", 2), ("mono", 0), ("or", 0), ("conditional", 0)]
    for text, said in (("mono=dgo", "dog"), ("or=dog", "A\\+B"), ("conditional=snow|dog", "dog\\|snow")):
        with pytest.raises(UserError, match=said):
            parse_units(text, target)


def test_the_fingerprint_tells_detector_and_neurons(told) -> None:
    target, _ = told
    other = SyntheticTarget(target.detector, named("mono", "dog"), size=target.square.size)
    assert len({target.fingerprint, other.fingerprint}) == 2
    weaker = SyntheticTarget(tiny_detector(box_threshold=0.9), target.neurons, size=target.square.size)  # type: ignore[arg-type]
    assert weaker.fingerprint != target.fingerprint


# The offline world's.


def test_over_scenes_they_are_the_ground_truth_neurons(world: World) -> None:
    """The same concepts as ground-truth neurons: the same values and masks, and no picture is needed."""
    pairs = [("dog", "car"), ("red", "snow"), ("bird", "tree"), ("stripes", "grass")]
    kinds = {"single": "mono", "or": "or", "conditional": "conditional"}
    truths = {
        kind: [
            GroundTruthNeuron(kind, concept_of(a), None if kind == "single" else concept_of(b))  # type: ignore[arg-type]
            for a, b in pairs
        ]
        for kind in kinds
    }
    ours = {
        mine: tuple(SyntheticNeuron(mine, pair[:1] if mine == "mono" else pair) for pair in pairs)  # type: ignore[arg-type]
        for mine in kinds.values()
    }
    exact, target = GroundTruthTarget(world, truths), SceneSyntheticTarget(world, ours)  # type: ignore[arg-type]
    scenes = [dataset_scene(k) for k in range(60)]
    theirs, found = exact.scene_maxima(scenes, list(exact.layers)), target.scene_maxima(scenes, list(target.layers))
    assert all(np.array_equal(theirs[kind], found[mine]) for kind, mine in kinds.items())
    assert all((values > 0).sum() > 3 for values in (found["mono"], found["or"]))
    image = next(world.dataset_image(k) for k in range(60) if found["mono"][k, 0])
    one, other = (t.respond([image], Unit(t.name, layer, 0))[0] for t, layer in ((exact, "single"), (target, "mono")))
    assert one.value == other.value > 0 and np.array_equal(one.map, other.map)


def test_what_the_world_does_not_draw_never_fires_and_is_refused(world: World) -> None:
    target = SceneSyntheticTarget(world, {**named("mono", "snake", "dog"), **named("or", "dog+snake")})
    values = target.scene_maxima([dataset_scene(k) for k in range(40)], ["mono", "or"])
    assert values["mono"][:, 1].any() and not values["mono"][:, 0].any() and not values["or"].any()
    with pytest.raises(UserError, match="draws no 'snake'"):
        target.check(Unit(target.name, "or", 0))
    with pytest.raises(ExperimentError, match="cannot be seen"):
        target.respond(pictures((224, 224)), Unit(target.name, "mono", 1))
