"""Concepts held out from training, and ground-truth neurons on either side: those to train on, those to test with.

A concept is contaminated by training as soon as a truth that was trained on shares a canonical word with it. That
matters for groups: whoever is shown that "animal" is right for pictures of dogs has been shown dogs as an answer, and
whoever was taught "horizontally striped" has been taught the word "striped". So the draw is closed: with a held-out
group all its members are held out, and no other group has a held-out member. Every training concept's members are
disjoint from every held-out concept's, and no group is lost to either side.
"""

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from .groundtruth_neuron import GroundTruthNeuron, Kind
from .groundtruth_suite import is_degenerate, neuron_suite
from .testbed.scene import Concept
from .testbed.vocabulary import FAMILIES, GROUPS

HELD_OUT = {"noun": 10, "colour": 3, "pattern": 4, "background": 3}
"""Words of each family that are held out, of 40, 12, 14 and 10."""
HELD_OUT_GROUPS = 2
"""Of 8."""
LEAST_UNGROUPED = 1
"""Held-out words of a family that belong to no group, at least: groups alone would make the test narrow."""

SPLIT_SEED = 0
"""Of the split that everything uses that is trained and tested here."""

_PICTURES = {"noun": 216.0, "colour": 750.0, "pattern": 504.0, "background": 432.0}
"""Pictures of the dataset that hold a word of the family (`testbed.dataset`: 8,640 objects in 4,320 scenes, and 360
close-ups)."""
_OBJECTS, _ORDERED_PAIRS = 8640, 11520
"""Of the dataset: objects, and ordered pairs of two objects in one scene (1,440 scenes each of 1, 2 and 3 objects)."""
_PATTERN_LEVELS = 18  # with the four of "plain"
_COMPARABLE = 2.0
"""How many times more frequent one alternative of an OR may be than the other: exemplars have to show both."""
_EXEMPLARS = 15.0
"""Pictures of the dataset in which a condition holds, at least, so that exemplars can show it."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class Split:
    """test: the held-out concepts, words and groups. No training concept shares a canonical word with one of them."""

    test: frozenset[Concept]

    @cached_property
    def training(self) -> frozenset[Concept]:
        """All other concepts."""
        return frozenset(concept for concept in all_concepts() if concept not in self.test)

    def is_training(self, neuron: GroundTruthNeuron) -> bool:
        """Whether no concept of the neuron's truth is held out, nor shares a canonical word with one that is."""
        return not any(contaminates(concept, held) for concept in neuron.concepts for held in self.test)

    def is_test(self, neuron: GroundTruthNeuron) -> bool:
        """Whether all concepts of the neuron's truth are held out."""
        return all(concept in self.test for concept in neuron.concepts)

    def training_neurons(self, count: int, seed: int = 0) -> list[GroundTruthNeuron]:
        """`count` neurons to train on, or as many as there are (some 3,500), no truth twice, kinds in turn while they
        last (there are only as many single ones as there are concepts).

        None of the suite's alternatives and conditions is among them, so that those of the suite are new in any case;
        its single ones are all concepts there are.
        """
        suite = {_truth(neuron) for kind in ("or", "conditional") for neuron in neuron_suite()[kind]}
        kinds = [[n for n in drawn if _truth(n) not in suite] for drawn in self._drawn(self.training, seed).values()]
        return list(itertools.islice(_in_turn(kinds), count))

    def test_neurons(self, per_kind: int, seed: int = 0) -> list[GroundTruthNeuron]:
        """Up to `per_kind` neurons of each kind whose concepts are all held out, no truth twice, kind by kind. (Of
        single ones there are no more than held-out concepts.)"""
        return [neuron for drawn in self._drawn(self.test, seed).values() for neuron in drawn[:per_kind]]

    def _drawn(self, concepts: Iterable[Concept], seed: int) -> dict[Kind, list[GroundTruthNeuron]]:
        """All sensible neurons over the concepts in an order drawn by the seed: combinations of families in turn."""
        ordered = sorted(concepts)
        sides = random.Random(f"sides/{seed}")
        either = [GroundTruthNeuron("or", *sides.sample(pair, 2)) for pair in itertools.combinations(ordered, 2)]
        given = [GroundTruthNeuron("conditional", a, b) for a, b in itertools.permutations(ordered, 2)]
        sensible: dict[Kind, list[GroundTruthNeuron]] = {
            "single": [GroundTruthNeuron("single", concept) for concept in ordered],
            "or": [neuron for neuron in either if _sensible(neuron)],
            "conditional": [neuron for neuron in given if _sensible(neuron)],
        }
        return {kind: _mixed(neurons, f"neurons/{kind}/{seed}") for kind, neurons in sensible.items()}


def contaminates(trained: Concept, held_out: Concept) -> bool:
    """Whether training on a truth with `trained` shows a word of `held_out` as an answer."""
    return trained.family == held_out.family and not trained.members.isdisjoint(held_out.members)


def all_concepts() -> list[Concept]:
    """Every word of the vocabulary that can be a neuron's concept, then the groups."""
    words = [Concept(family, value) for family, values in FAMILIES.items() for value in values]
    return words + [Concept(family, name) for name, (family, _) in GROUPS.items()]


def split_concepts(seed: int = SPLIT_SEED) -> Split:
    """The held-out concepts of a seed: HELD_OUT words of each family and HELD_OUT_GROUPS groups, closed (see above)."""
    rng = random.Random(f"held-out concepts/{seed}")
    groups = [Concept(family, name) for name, (family, _) in GROUPS.items()]
    choices = [pair for pair in itertools.combinations(groups, HELD_OUT_GROUPS) if _leaves_room(pair)]
    chosen = rng.choice(choices)
    held = set(chosen)
    for family, count in HELD_OUT.items():
        grouped = {word for group in groups if group.family == family for word in group.members}
        members = {word for group in chosen if group.family == family for word in group.members}
        free = [word for word in FAMILIES[family] if word not in grouped]
        words = members | set(rng.sample(free, count - len(members)))
        held |= {Concept(family, word) for word in words}
    return Split(frozenset(held))


def _leaves_room(groups: Sequence[Concept]) -> bool:
    """Whether the groups' members leave LEAST_UNGROUPED of the held-out words to such as belong to none."""
    return all(
        count - sum(len(group.members) for group in groups if group.family == family) >= LEAST_UNGROUPED
        for family, count in HELD_OUT.items()
    )


def _truth(neuron: GroundTruthNeuron) -> tuple[Kind, frozenset[Concept] | tuple[Concept, ...]]:
    """What two neurons with the same truth have in common: an OR has no order."""
    return neuron.kind, frozenset(neuron.concepts) if neuron.kind == "or" else neuron.concepts


def _sensible(neuron: GroundTruthNeuron) -> bool:
    """Whether the dataset's exemplars can show the truth: alternatives about equally frequent, conditions met."""
    a, b = neuron.a, neuron.b
    if b is None or is_degenerate(neuron):
        return b is None
    if neuron.kind == "conditional":
        return a.family != "background" and _together(a, b) >= _EXEMPLARS
    overlap = a.family == b.family and not a.members.isdisjoint(b.members)
    low, high = sorted(_PICTURES[concept.family] * len(concept.members) for concept in (a, b))
    return not overlap and high <= _COMPARABLE * low


def _together(a: Concept, b: Concept) -> float:
    """Pictures of the dataset with a and b, about."""
    if b.family == "background":
        return _PICTURES[a.family] * len(a.members) * _share(b)
    same_object = 0 if a.family == b.family else _OBJECTS
    return (same_object + _ORDERED_PAIRS) * _share(a) * _share(b)


def _share(concept: Concept) -> float:
    """Of the objects (for a background: of the scenes), those that have the concept."""
    levels = _PATTERN_LEVELS if concept.family == "pattern" else len(FAMILIES[concept.family])
    return len(concept.members) / levels


def _mixed(neurons: Sequence[GroundTruthNeuron], key: str) -> list[GroundTruthNeuron]:
    """Shuffled, and combinations of families (groups by themselves) in turn, so that no family prevails."""
    shuffled = list(neurons)
    random.Random(key).shuffle(shuffled)
    strata: dict[tuple[tuple[str, bool], ...], list[GroundTruthNeuron]] = {}
    for neuron in shuffled:
        families = tuple((concept.family, len(concept.members) > 1) for concept in neuron.concepts)
        strata.setdefault(families, []).append(neuron)
    return list(_in_turn([strata[families] for families in sorted(strata)]))


def _in_turn(lists: Sequence[Sequence[_T]]) -> Iterator[_T]:
    """One of each in turn until all are used up."""
    for row in itertools.zip_longest(*lists):
        yield from (entry for entry in row if entry is not None)
