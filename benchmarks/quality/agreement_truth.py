"""How often a label is the truth: exactly, where words are closed (the testbed), and by two stated measures where they
are open (synthetic neurons on photographs). The measures are reported side by side and never mixed."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations

from ...models.groundtruth import parse_label, same_truth
from ...models.text_embeddings import TextEmbedder
from .agreement_data import Truth, parse_truth

THRESHOLD = 0.65
"""Cosine of all-MiniLM-L6-v2 from which two phrases count as one concept. Of the 990 pairs of the paper's 45 single
concepts (table A6) none reaches it (the highest is "blue" and "orange", 0.63; 99 % are below 0.57), while "striped
patterns" for stripes has 0.70, "denim pants" for jeans 0.90. It is strict: "insects" for bug has 0.35, "headwear" for
hat 0.59."""

_OR = re.compile(r"\s*(?:\bor\b|[/;])\s*", re.IGNORECASE)
_START = re.compile(r"^\s*(?:either|only|(?:the )?presence of)\b", re.IGNORECASE)
# What follows tells where, when or on what the named thing is: no part of its name.
_TURN = re.compile(
    r"[|,:()]|\b(?:given|in|on|at|with|within|without|near|by|beside|behind|under|above|over|against|from|to|for"
    r"|when|where|if|only|but|together|conditional|while|during|next|that|which|such|as|like|including"
    r"|being|having|holding|wearing|containing|showing|accompanied|surrounded|worn|held|seen)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+")
_IRREGULAR = {
    "people": "person",
    "men": "man",
    "women": "woman",
    "children": "child",
    "feet": "foot",
    "teeth": "tooth",
    "mice": "mouse",
    "geese": "goose",
}


Same = Callable[[str, str], bool]
"""Whether a phrase means a concept: same(concept, phrase)."""


@dataclass(frozen=True)
class Stated:
    """What a label says: alternatives, each with what it names (head) and what it says of where or when (rest); either
    may be empty."""

    heads: tuple[str, ...]
    rests: tuple[str, ...]


def read_label(label: str) -> Stated:
    """Alternatives stand between "or", "/" and ";" (with one, commas part too); a head ends at the first comma, bar,
    preposition other than "of", or word such as "given", "when", "wearing"."""
    text = _START.sub("", label)
    alternatives = [part for part in _OR.split(text) if part.strip()]
    if len(alternatives) > 1:
        alternatives = [piece for part in alternatives for piece in part.split(",") if piece.strip()]
    heads, rests = [], []
    for part in alternatives:
        turn = _TURN.search(part)
        heads.append(part[: turn.start()].strip() if turn else part.strip())
        rests.append(part[turn.start() :].strip(" |,:()") if turn else "")
    return Stated(tuple(heads), tuple(rests))


def synthetic_truth(label: str, truth: str, description: str = "") -> bool:
    """Whether the label names the truth's concepts in its words, and no others as alternatives.

    single: one alternative, and the concept's words stand in its head. or: as many alternatives as the truth has, each
    with another of its concepts in its head. conditional a|b: one alternative, with a in its head and b not; b stands
    in the rest of the label or in the description. Words are compared without case, in singular and plural; other forms
    ("striped") and synonyms are other words. Raises ValueError for a truth that cannot be read.

    Weak where a description mentions b to deny it, and for labels with further adjectives ("brown dogs" is found for
    dog, although it claims more).
    """
    wanted = parse_truth(truth)
    return _states(wanted, label, contains_words, description)


def embedded_truth(label: str, truth: str, embedder: TextEmbedder, threshold: float = THRESHOLD) -> bool:
    """As `synthetic_truth`, with a cosine of at least `threshold` in the place of words: a concept with a head, b with
    the rest of the label. The description is not read: it is too long to be near one concept."""
    return _states(parse_truth(truth), label, near(embedder, threshold))


def near(embedder: TextEmbedder, threshold: float) -> Same:
    """Sameness by embeddings."""

    def same(concept: str, phrase: str) -> bool:
        return bool(phrase) and float(embedder.similarity([concept], [phrase])[0]) >= threshold

    return same


def contains_words(concept: str, phrase: str) -> bool:
    """Whether the concept's words stand in the phrase, side by side, whichever are in the plural."""
    wanted, words = ([_forms(word) for word in _WORD.findall(text.casefold())] for text in (concept, phrase))
    return bool(wanted) and any(
        all(one & other for one, other in zip(wanted, words[start:], strict=False))
        for start in range(len(words) - len(wanted) + 1)
    )


def exact_truth(label: str, truth: str) -> bool:
    """Whether the label states exactly this truth in the testbed's grammar (`groundtruth.same_truth`). Raises
    ValueError for a truth that is not of it."""
    neuron = parse_label(truth)
    if neuron is None:
        raise ValueError(f"{truth!r} is no truth of the testbed")
    return same_truth(label, neuron)


def _states(truth: Truth, label: str, same: Same, description: str = "") -> bool:
    stated = read_label(label)
    if len(stated.heads) != (len(truth.concepts) if truth.kind == "or" else 1):
        return False
    if truth.kind == "or":
        places = range(len(truth.concepts))
        return any(
            all(_names(stated, place, concept, same) for place, concept in zip(order, truth.concepts, strict=True))
            for order in permutations(places)
        )
    if truth.kind == "single":
        return _names(stated, 0, truth.concepts[0], same)
    a, b = truth.concepts
    # "leash of a dog" names the leash, "wheels of a racecar" the wheels.
    named, _, owner = stated.heads[0].partition(" of ")
    beside = f"{owner} {stated.rests[0]}".strip()
    beside_it = same(b, beside) or (bool(description) and same(b, description))
    return _names(stated, 0, a, same) and not same(b, named) and beside_it


def _names(stated: Stated, place: int, concept: str, same: Same) -> bool:
    """Whether the alternative names the concept; one that has a preposition itself is looked for in all of it."""
    head, rest = stated.heads[place], stated.rests[place]
    return same(concept, f"{head} {rest}" if _TURN.search(concept) else head)


def _forms(word: str) -> frozenset[str]:
    """The word with all singulars that it may be the plural of: two words match where these meet."""
    forms = {word, _IRREGULAR.get(word, word)}
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        forms.add(word[:-1])
        for plural, singulars in (("ies", ("y",)), ("ves", ("f", "fe")), ("es", ("",))):
            if word.endswith(plural):
                forms |= {word.removesuffix(plural) + singular for singular in singulars}
    return frozenset(form for form in forms if form == word or len(form) > 1)
