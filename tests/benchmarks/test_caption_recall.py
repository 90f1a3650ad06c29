"""Recall of caption filters: the arithmetic against plain references, the testbed's truth, and captions thinned out."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.benchmarks.quality.caption_recall import (
    ThinnedTestbed,
    combined,
    compare,
    concept_scores,
    measure,
    rows,
    thinned_caption,
    values,
)
from maia.benchmarks.quality.caption_recall import testbed_synonyms as synonyms_of_testbed
from maia.engine.dataset import open_dataset
from maia.models.errors import UserError
from maia.models.groundtruth import GroundTruthTarget
from maia.models.groundtruth_neuron import GroundTruthNeuron
from maia.models.testbed.dataset import dataset_scene
from maia.models.testbed.language import caption
from maia.models.testbed.scene import find_concept
from maia.models.testbed.world import World

SCENES = 48
NAMES = ["a", "b", "c"]


@dataclass(frozen=True)
class Plain:
    kind: str
    concepts: tuple[str, ...]


NEURONS = [
    *(Plain("single", (name,)) for name in NAMES),
    *(Plain(kind, pair) for kind in ("or", "conditional") for pair in (("a", "b"), ("b", "c"), ("c", "a"))),
]


def value(neuron: Plain, scores: dict[str, float]) -> float:
    """One neuron's value in one picture, by the paper's words."""
    found = [scores[concept] for concept in neuron.concepts]
    present = [score for score in found if score]
    if neuron.kind == "or":
        return sum(present) / len(present) if present else 0.0
    if neuron.kind == "conditional":
        return found[0] if len(present) == 2 else 0.0
    return found[0]


def best(numbers: list[float], k: int) -> list[int]:
    return [i for i in sorted(range(len(numbers)), key=lambda i: (-numbers[i], i)) if numbers[i] > 0][:k]


matrices = st.integers(1, 9).flatmap(
    lambda n: st.tuples(
        st.lists(st.lists(st.sampled_from([0.0, 0.4, 0.6, 1.0]), min_size=3, max_size=3), min_size=n, max_size=n),
        st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=n, max_size=n),
    )
)


@settings(max_examples=60)
@given(matrices, st.integers(1, 4))
def test_comparison_against_a_plain_reference(drawn: tuple[list[list[float]], list[list[bool]]], k: int) -> None:
    scores, asked = (np.array(each) for each in drawn)
    found = compare(scores, asked, NAMES, NEURONS, k)
    recalls, ranks, fires = [], [], []
    for neuron in NEURONS:
        full = [value(neuron, dict(zip(NAMES, row, strict=True))) for row in scores.tolist()]
        kept = [value(neuron, dict(zip(NAMES, row, strict=True))) for row in (scores * asked).tolist()]
        wanted, there = best(full, k), best(kept, k)
        if wanted:
            recalls.append(len(set(wanted) & set(there)) / len(wanted))
            strong = [place < len(there) and kept[there[place]] >= full[i] for place, i in enumerate(wanted)]
            ranks.append(sum(strong) / len(wanted))
            fires.append(sum(a > 0 and b > 0 for a, b in zip(full, kept, strict=True)) / sum(a > 0 for a in full))
    expected = [float(np.mean(each)) if each else None for each in (recalls, ranks, fires)]
    assert [found[key] for key in ("recall", "rank_recall", "firing_recall")] == pytest.approx(expected)
    assert found["asked_share"] == pytest.approx(asked.mean())
    assert {key: entry["asked_share"] for key, entry in found["per_concept"].items()} == pytest.approx(
        dict(zip(NAMES, asked.mean(0), strict=True))
    )


@given(matrices)
def test_asking_everything_loses_nothing_and_conditions_save(
    drawn: tuple[list[list[float]], list[list[bool]]],
) -> None:
    scores, asked = (np.array(each) for each in drawn)
    everything = compare(scores, np.ones_like(asked), NAMES, NEURONS, 3)
    assert everything["recall"] in (1.0, None) and everything["asked_share"] == everything["combined_share"] == 1
    both = asked[:, :2].all(1)
    needed = combined(asked, NAMES, [Plain("conditional", ("a", "b"))])
    assert needed.tolist() == [[bool(x), bool(x), False] for x in both]
    kept = np.where(needed, scores, 0)  # what is not combined away gives the very same values
    neuron = [Plain("conditional", ("a", "b"))]
    assert np.array_equal(values(kept, NAMES, neuron), values(np.where(asked, scores, 0), NAMES, neuron))
    assert np.array_equal(combined(asked, NAMES, NEURONS), asked)  # single neurons need all that is asked


def neurons_of(*truths: tuple[str, ...]) -> list[GroundTruthNeuron]:
    return [GroundTruthNeuron(kind, *map(find_concept, concepts)) for kind, *concepts in truths]


CHOSEN = neurons_of(
    ("single", "red"),
    ("single", "animal"),
    ("single", "night city"),
    ("or", "blue", "vehicle"),
    ("conditional", "striped", "red"),
    ("conditional", "animal", "grass"),
)


def test_full_values_are_those_of_ground_truth_neurons() -> None:
    concepts = sorted({concept for neuron in CHOSEN for concept in neuron.concepts})
    scores = concept_scores(SCENES, concepts)
    layers = {kind: [n for n in CHOSEN if n.kind == kind] for kind in ("single", "or", "conditional")}
    expected = GroundTruthTarget(World(), layers).scene_maxima([dataset_scene(i) for i in range(SCENES)], list(layers))
    found = values(scores, [str(concept) for concept in concepts], CHOSEN)
    assert np.array_equal(found.astype(np.float32), np.concatenate(list(expected.values()), axis=1))
    assert (found > 0).any(0).sum() >= 4


def letters(texts: list[str]) -> np.ndarray:
    counts = [[text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts]
    return np.array(counts, np.float32)


@pytest.fixture(scope="module")
def measured() -> dict[str, object]:
    return measure(
        open_dataset(f"testbed:{SCENES}"),
        CHOSEN,
        5,
        left_out=(0.0, 0.5, 1.0),
        embed=letters,
        model="letters",
        thresholds=(-1.0, 0.6, 1.0),
    )


def test_what_each_mode_costs_and_finds(measured: dict) -> None:
    assert json.loads(json.dumps(measured)) == measured
    assert (measured["images"], measured["k"], measured["neurons"], measured["not_measured"]) == (SCENES, 5, 6, {})
    full, half, nothing = (entry["modes"] for entry in measured["passes"])
    for modes in (full, half, nothing):
        for name in ("off", "embedding from -1"):
            assert modes[name]["recall"] == modes[name]["rank_recall"] == modes[name]["asked_share"] == 1
        assert modes["keyword"]["asked_share"] <= modes["keyword with synonyms"]["asked_share"]
        assert modes["keyword"]["filter"]["mode"] == "keyword" and modes["off"]["filter"] == {"mode": "off"}
    # The testbed's own captions leave nothing out, but do not say "animal": what the synonyms are for.
    words, helped = full["keyword"], full["keyword with synonyms"]
    assert words["per_concept"]["red"]["recall"] == 1 and words["per_concept"]["animal"]["recall"] == 0
    assert helped["recall"] == helped["firing_recall"] == 1 > words["recall"] > 0
    assert measured["present_share"] <= helped["asked_share"] < 0.4
    # With half of the things left out recall falls, with all of them nothing is asked.
    assert 0 < half["keyword with synonyms"]["firing_recall"] < 1
    assert half["keyword with synonyms"]["asked_share"] < helped["asked_share"]
    assert nothing["keyword"]["recall"] == nothing["keyword"]["asked_share"] == 0
    shares = [full[f"embedding from {threshold}"]["asked_share"] for threshold in ("-1", "0.6", "1")]
    assert shares[0] > shares[1] > shares[2] == 0


def test_rows_tell_every_pass_and_mode(measured: dict) -> None:
    table = rows(measured)
    assert len(table) == 1 + 3 * 6 and len({len(row) for row in table}) == 1
    assert table[1] == ("0%", "off", *["100.0%"] * 5)


def test_without_embeddings_it_says_so() -> None:
    found = measure(open_dataset("testbed:3"), neurons_of(("single", "red"), ("single", "mesh")), left_out=(0.0,))
    assert "embedding" in found["not_measured"] and list(found["passes"][0]["modes"])[-1] == "keyword with synonyms"
    assert found["silent"] == sum(
        entry["recall"] is None for entry in found["passes"][0]["modes"]["off"]["per_concept"].values()
    )


def test_only_the_testbed_has_exact_truth() -> None:
    class Photographs:
        name, kind = "photographs", "folder"

    with pytest.raises(UserError, match="photographs has no exact truth: give testbed"):
        measure(Photographs())
    with pytest.raises(UserError, match=r"1.5 is no share .* from 0 to 1"):
        ThinnedTestbed(3, 1.5)


@settings(max_examples=40)
@given(st.integers(0, 4679), st.floats(0, 1), st.floats(0, 1))
def test_thinned_captions_say_less_and_never_something_else(number: int, first: float, second: float) -> None:
    less, more = sorted((first, second))
    scene = dataset_scene(number)
    whole = set(caption(scene).replace(",", "").split()) | {"a", "picture", "and"}
    few, many = (thinned_caption(scene, share).split() for share in (more, less))
    assert set(many) <= whole and set(few) - {"picture"} <= set(many) | {"a"}
    assert thinned_caption(scene, 1.0) == ("a close-up of fabric" if scene.surface else "a picture")
    told = ThinnedTestbed(number + 1, 0.0).caption(number)
    assert told == caption(scene)


def test_synonyms_name_what_captions_say() -> None:
    found = synonyms_of_testbed()
    assert "dog" in found["animal"] and "in a city at night" in found["night city"]
