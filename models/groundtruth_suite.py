"""The fixed suite of ground-truth neurons: at least 60 of each kind, over all families of the world's concepts."""

from functools import cache

from .groundtruth_neuron import GroundTruthNeuron, Kind
from .testbed.scene import Concept
from .testbed.vocabulary import BACKGROUNDS, COLOURS, FAMILIES, GROUPS, NOUNS, PATTERNS


def implies(a: Concept, b: Concept) -> bool:
    """Whether a picture that holds a always holds b by the words alone: a is b or one of b's members."""
    return a.family == b.family and a.members <= b.members


def is_degenerate(neuron: GroundTruthNeuron) -> bool:
    """Whether the neuron's truth has a shorter form ("a OR its group"), or can never be true (two backgrounds)."""
    a, b = neuron.a, neuron.b
    if b is None:
        return False
    both_backgrounds = a.family == b.family == "background" and neuron.kind == "conditional"
    return implies(a, b) or implies(b, a) or both_backgrounds


def _pairs(first: list[Concept], second: list[Concept], step: int) -> list[tuple[Concept, Concept]]:
    """Every first with the second that stands `step` further: families are mixed evenly, without chance."""
    return [(a, second[(place + step) % len(second)]) for place, a in enumerate(first)]


@cache
def neuron_suite() -> dict[Kind, tuple[GroundTruthNeuron, ...]]:
    """{"single": …, "or": …, "conditional": …}: always the same neurons in the same order, no truth twice."""
    nouns = [Concept("noun", value) for value in NOUNS]
    colours = [Concept("colour", value) for value in COLOURS]
    patterns = [Concept("pattern", value) for value in PATTERNS]
    backgrounds = [Concept("background", value) for value in BACKGROUNDS]
    groups = [Concept(family, name) for name, (family, _) in GROUPS.items()]
    noun_groups = [group for group in groups if group.family == "noun"]
    striped, grid = Concept("pattern", "striped"), Concept("pattern", "grid")

    single = [Concept(family, value) for family, values in FAMILIES.items() for value in values] + groups
    # Alternatives are about equally frequent, so that exemplars can show both.
    either = [
        *_pairs(nouns[::2], nouns, 17),
        *_pairs(colours, colours, 5),
        *_pairs(patterns, patterns, 5),
        *_pairs(backgrounds, backgrounds, 3),
        *_pairs(colours[::2], patterns, 4),
        *_pairs(noun_groups, noun_groups, 2),
        *_pairs([striped, grid], colours, 7),
    ]
    given = [
        *_pairs(nouns[::2], backgrounds, 4),
        *_pairs(noun_groups, backgrounds, 1),
        *_pairs(patterns, backgrounds, 2),
        *_pairs([striped, grid], backgrounds, 6),
        *_pairs(colours, noun_groups, 3),
        *_pairs(colours, backgrounds, 7),
        *_pairs(noun_groups, noun_groups, 1),
        *_pairs(patterns[::2], noun_groups, 2),
        *_pairs(colours[1::2], nouns, 8),
        *_pairs(nouns[1::4], noun_groups, 4),
    ]
    return {
        "single": tuple(GroundTruthNeuron("single", concept) for concept in single),
        "or": _checked("or", either),
        "conditional": _checked("conditional", given),
    }


def _checked(kind: Kind, pairs: list[tuple[Concept, Concept]]) -> tuple[GroundTruthNeuron, ...]:
    """The neurons of these pairs without the degenerate and the repeated (an OR has no order)."""
    kept: dict[frozenset[Concept] | tuple[Concept, Concept], GroundTruthNeuron] = {}
    for a, b in pairs:
        neuron = GroundTruthNeuron(kind, a, b)
        if not is_degenerate(neuron):
            kept.setdefault(frozenset((a, b)) if kind == "or" else (a, b), neuron)
    return tuple(kept.values())
