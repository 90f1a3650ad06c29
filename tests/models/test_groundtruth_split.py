"""The split by concept: nothing that is trained on tells what is tested."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.models.groundtruth_labels import parse_label, same_truth
from maia.models.groundtruth_neuron import GroundTruthNeuron
from maia.models.groundtruth_split import (
    HELD_OUT,
    HELD_OUT_GROUPS,
    Split,
    all_concepts,
    contaminates,
    split_concepts,
)
from maia.models.groundtruth_suite import is_degenerate, neuron_suite
from maia.models.testbed.scene import Concept
from maia.models.testbed.vocabulary import FAMILIES, GROUPS

seeds = st.integers(0, 10_000)


@given(seeds)
def test_so_many_of_each_family_are_held_out_and_groups_are_whole(seed: int) -> None:
    split = split_concepts(seed)
    counts = Counter(concept.family for concept in split.test if concept.value not in GROUPS)
    assert counts == HELD_OUT and sum(concept.value in GROUPS for concept in split.test) == HELD_OUT_GROUPS
    held = {concept.value for concept in split.test}
    for name, (_, members) in GROUPS.items():
        inside = held & set(members)
        assert inside == (set(members) if name in held else set())
    for family, words in FAMILIES.items():
        grouped = {word for kind, members in GROUPS.values() if kind == family for word in members}
        assert held & set(words) - grouped, f"a held-out {family} of no group"
    assert split == split_concepts(seed) and split.training | split.test == set(all_concepts())


@given(seeds, st.integers(0, 99))
@settings(max_examples=8)
def test_no_training_truth_holds_or_implies_a_test_concept(seed: int, order: int) -> None:
    split = split_concepts(seed)
    training, test = split.training_neurons(10_000, order), split.test_neurons(10_000, order)
    shown = {(concept.family, word) for neuron in training for concept in neuron.concepts for word in concept.members}
    asked = {(concept.family, word) for neuron in test for concept in neuron.concepts for word in concept.members}
    assert not shown & asked and asked == {(c.family, word) for c in split.test for word in c.members}
    assert all(split.is_training(neuron) and not split.is_test(neuron) for neuron in training)
    assert all(split.is_test(neuron) and not split.is_training(neuron) for neuron in test)
    assert not {_key(neuron) for neuron in training} & {_key(neuron) for neuron in test}


def _key(neuron: GroundTruthNeuron) -> object:
    return neuron.kind, frozenset(neuron.concepts) if neuron.kind == "or" else neuron.concepts


@pytest.fixture(scope="module")
def split() -> Split:
    return split_concepts()


def test_thousands_of_neurons_no_truth_twice_none_degenerate(split: Split) -> None:
    neurons = split.training_neurons(10_000)
    assert len(neurons) > 3000 and len({_key(neuron) for neuron in neurons}) == len(neurons)
    assert not any(is_degenerate(neuron) for neuron in neurons)
    singles = [neuron for neuron in neurons if neuron.kind == "single"]
    assert {neuron.a for neuron in singles} == split.training
    # Every truth can be stated as a label that is found right.
    assert all(same_truth(neuron.truth, neuron) and parse_label(neuron.truth) is not None for neuron in neurons)


def test_the_suites_pairs_are_not_trained_on(split: Split) -> None:
    suite = {_key(neuron) for kind in ("or", "conditional") for neuron in neuron_suite()[kind]}  # type: ignore[index]
    assert not suite & {_key(neuron) for neuron in split.training_neurons(10_000)}


def test_the_first_neurons_are_of_all_kinds_and_families(split: Split) -> None:
    neurons = split.training_neurons(150)
    assert Counter(neuron.kind for neuron in neurons) == {"single": 50, "or": 50, "conditional": 50}
    families = Counter(concept.family for neuron in neurons for concept in neuron.concepts)
    assert set(families) == set(FAMILIES) and min(families.values()) > 25
    assert neurons == split.training_neurons(3000)[:150] and neurons != split.training_neurons(150, seed=1)


def test_test_neurons_by_kind(split: Split) -> None:
    kinds = Counter(neuron.kind for neuron in split.test_neurons(60))
    assert kinds == {"single": len(split.test), "or": 60, "conditional": 60}
    assert Counter(neuron.kind for neuron in split.test_neurons(5)) == {"single": 5, "or": 5, "conditional": 5}


def test_alternatives_are_about_equally_frequent_and_conditions_can_be_met(split: Split) -> None:
    """Against the dataset itself, not the counts that the split reckons with."""
    from maia.models.testbed.dataset import DATASET_SIZE, dataset_scene
    from maia.models.testbed.scene import concept_present

    scenes = [dataset_scene(k) for k in range(0, DATASET_SIZE, 2)]
    holds = {c: frozenset(i for i, scene in enumerate(scenes) if concept_present(scene, c)) for c in all_concepts()}
    for neuron in [*split.training_neurons(600), *split.test_neurons(60)]:
        a, b = (holds[concept] for concept in (neuron.concepts * 2)[:2])
        if neuron.kind == "or":
            assert max(len(a), len(b)) < 2.5 * min(len(a), len(b)), neuron.truth
        if neuron.kind == "conditional":
            assert len(a & b) >= 3, neuron.truth  # of half the dataset


def test_what_contaminates_what() -> None:
    dog, animal, cat, striped = (
        Concept("noun", "dog"),
        Concept("noun", "animal"),
        Concept("noun", "cat"),
        Concept("pattern", "striped"),
    )
    assert contaminates(dog, animal) and contaminates(animal, dog) and contaminates(dog, dog)
    assert not contaminates(dog, cat) and not contaminates(striped, animal)
    split = Split(frozenset({animal}))
    assert not split.is_training(GroundTruthNeuron("or", striped, cat))
    mixed = GroundTruthNeuron("conditional", striped, animal)
    assert not split.is_training(mixed) and not split.is_test(mixed)
