"""Labels as ground-truth neurons: the grammar in which a label can be exactly right."""

import re
from functools import cache

from .groundtruth_neuron import GroundTruthNeuron
from .testbed.scene import Concept, find_concept
from .testbed.vocabulary import BACKGROUNDS, FAMILIES, GROUPS, NOUNS, PATTERNS

_GIVEN = (
    r"(?:,? (?:but )?only)?,? (?:given|in the presence of|in presence of|conditional on|when accompanied by"
    r"|when there is|if there is|together with|with)|,? (?:but )?only (?:when|if|where)|,? (?:when|if)"
)
_CONDITION = re.compile(rf"(?P<a>.+?)(?:{_GIVEN}) (?P<b>.+)")
_PRESENT = re.compile(
    r" (?:is|are) (?:also )?(?:present|visible|there|shown|in (?:the |a )?(?:image|picture|scene|photo))$"
)
_PLACE = re.compile(r" in (?:the |a )?(?:same )?(?:image|picture|scene|photo)$")
_ARTICLE = re.compile(r"^(?:an?|the|any|some|all) ")
_HEAD = re.compile(r" (?:objects?|things?|items?|surfaces?|patterns?|textures?|colou?rs?|backgrounds?|scenes?)$")
_FRONT = re.compile(r"^(?:the )?(?:colou?r|pattern|background) (?:of )?")


def parse_label(text: str) -> GroundTruthNeuron | None:
    """The neuron whose truth the label states, or None if it is not of the grammar.

    "A"; "A OR B" ("either A or B"); "A given B" ("A in the presence of B", "A only when B is in the image", "A, but
    only with B", and for backgrounds their phrase: "dog in the snow"). A and B are canonical words, groups, plurals
    or synonyms of the vocabulary, with or without article and a head such as "objects" or "background". Case and
    a final full stop do not matter.
    """
    label = re.sub(r"\s+", " ", text).strip().strip(".\"'").lower()
    whole = concept_of(label)
    if whole is not None:
        return GroundTruthNeuron("single", whole)
    sides = label.removeprefix("either ").split(" or ")
    if len(sides) == 2:
        a, b = (concept_of(side) for side in sides)
        return GroundTruthNeuron("or", a, b) if a and b else None
    return _conditional(label)


def same_truth(label: str, neuron: GroundTruthNeuron) -> bool:
    """Whether the label states exactly the neuron's truth; the order matters in a condition, not in an OR."""
    stated = parse_label(label)
    if stated is None or stated.kind != neuron.kind:
        return False
    if neuron.kind == "or":
        return set(stated.concepts) == set(neuron.concepts)
    return stated.concepts == neuron.concepts


def _conditional(label: str) -> GroundTruthNeuron | None:
    match = _CONDITION.fullmatch(label)
    if match is not None:
        condition = _PLACE.sub("", _PRESENT.sub("", match["b"]))
        a, b = concept_of(match["a"].removesuffix(",").strip()), concept_of(condition.removeprefix("there is "))
        return GroundTruthNeuron("conditional", a, b) if a and b else None
    for name, background in BACKGROUNDS.items():
        if label.endswith(" " + background.phrase):
            a = concept_of(label.removesuffix(" " + background.phrase))
            return GroundTruthNeuron("conditional", a, Concept("background", name)) if a else None
    return None


def concept_of(words: str) -> Concept | None:
    """The concept of a noun phrase: what it names as it stands, else without article, then without head."""
    seen = words.strip()
    for rule in (None, _ARTICLE, _HEAD, _FRONT):
        seen = rule.sub("", seen) if rule else seen
        if seen in _words():
            return _words()[seen]
    return None


@cache
def _words() -> dict[str, Concept]:
    """Every accepted word; canonical words and groups win over plurals and synonyms."""
    known: dict[str, Concept] = {}
    for name, background in BACKGROUNDS.items():
        for word in (*background.synonyms, re.sub(r"^(?:on|in|in front of) (?:the |an? )?", "", background.phrase)):
            known[word] = Concept("background", name)
    for name, noun in NOUNS.items():
        for word in (noun.plural, *noun.synonyms, *(f"{synonym}s" for synonym in noun.synonyms)):
            known[word] = Concept("noun", name)
    for name in (*PATTERNS, *GROUPS):
        if name.endswith("striped"):
            concept = find_concept(name)
            assert concept is not None
            adjective = name.replace("ally striped", "al striped")  # the world draws "vertical striped" too
            known |= {adjective: concept, adjective.replace("striped", "stripes"): concept}
    known["dots"], known["grey"] = Concept("pattern", "dotted"), Concept("colour", "gray")
    for name, (family, _) in GROUPS.items():
        known[name] = Concept(family, name)
        if family == "noun":
            known[f"{name}s"] = Concept(family, name)
    for family, values in FAMILIES.items():
        known.update({value: Concept(family, value) for value in values})
    return known
