"""What a [BIAS] section claims, in the offline world's vocabulary, and whether that is what was planted.

A person reads "activations are reduced in wintry scenes" as snow, so synonyms of prompts count. What a sentence names
is all that is read: which class it is about is known.
"""

import re
from dataclasses import dataclass
from typing import Literal

from ...models.planted_suite import PlantedClass
from ...models.testbed.words import Kind, tokenize

ClaimKind = Literal["context", "colour", "size", "pattern", "company"]

_NONE = re.compile(
    r"\b(?:no|not any|without(?: any)?|did not find (?:any|an?)?|found no)\s+(?:\w+\s+){0,3}?bias(?:es)?\b"
    r"|\bunbiased\b|\bno context was found\b",
    re.IGNORECASE,
)
_LOWER = re.compile(
    r"\b(?:low(?:er|ers|ered)?|less|reduc\w+|decreas\w+|drop\w*|weak\w*|suppress\w*|fall\w*|smaller activations?|fewer|"
    r"diminish\w*|worse)\b",
    re.IGNORECASE,
)
_HIGHER = re.compile(
    r"\b(?:high(?:er|est)?|more|increas\w+|strong\w*|rise\w*|rais\w+|boost\w*|prefer\w*|favou?r\w*|greater|larger "
    r"activations?|better|elevated)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"\bwhile\b|\bwhereas\b|\bbut\b|\band\b|[;,.]", re.IGNORECASE)
_COMPARED = re.compile(
    r"\b(?:than|compared (?:to|with)|relative to|as opposed to|rather than|versus)\b.*", re.IGNORECASE
)
_NEGATED = re.compile(r"\b(?:not|no|never|neither|nor|without)\b|n['\u2019]t\b", re.IGNORECASE)
_KINDS: dict[Kind, ClaimKind] = {
    Kind.BACKGROUND: "context",
    Kind.COLOUR: "colour",
    Kind.PATTERN: "pattern",
    Kind.NOUN: "company",
}


@dataclass(frozen=True)
class Claim:
    """That activations are lower (-1) or higher (+1; 0: not said) where the value holds."""

    kind: ClaimKind
    value: str
    direction: int


@dataclass(frozen=True)
class Judged:
    """A claim held against the truth. claimed: any bias at all. named: the planted context, with its direction.
    others: contexts claimed that were not planted."""

    claimed: bool
    named: bool
    others: tuple[str, ...]


def claims_bias(text: str) -> bool:
    """Whether a [BIAS] section claims one. "no bias found in what was tested" and its like do not, unless another
    clause says where the activations are lower or higher ("no bias by colour, but lower in the snow")."""
    if _NONE.search(text) is None:
        return bool(text.strip())
    return any(_LOWER.search(clause) or _HIGHER.search(clause) for clause in _positive_clauses(text))


def _positive_clauses(text: str) -> list[str]:
    """The clauses that deny nothing, each without what it compares with."""
    return [_COMPARED.sub("", clause) for clause in _CLAUSE.split(text) if not _NEGATED.search(clause)]


def read_claims(text: str, noun: str) -> tuple[Claim, ...]:
    """The contexts that a [BIAS] section names, each once. noun: the class's, which is no claim.

    What follows "than" or "compared with" is what was compared with. A clause with "not" or "no" claims nothing; one
    that says neither lower nor higher goes on with what the one before said. That large things are answered less says
    that small ones are answered more.
    """
    if not claims_bias(text):
        return ()
    found: dict[Claim, None] = {}
    direction = 0
    for said in _positive_clauses(text):
        lower, higher = _LOWER.search(said), _HIGHER.search(said)
        direction = -1 if lower else 1 if higher else direction
        for token in tokenize(said):
            if token.kind is Kind.SIZE and token.members[0] in ("small", "large"):
                found[Claim("size", "small", direction if token.members[0] == "small" else -direction)] = None
            elif token.kind in _KINDS and len(token.members) == 1 and token.members[0] not in (noun, "plain"):
                found[Claim(_KINDS[token.kind], token.members[0], direction)] = None
    return tuple(found)


def judge(planted: PlantedClass, text: str | None) -> Judged:
    """A unit's [BIAS] section (None: there was no answer, which claims nothing) against its truth."""
    claims = read_claims(text or "", planted.noun)
    direction = 1 if planted.strength > 0 else -1
    truth = Claim(planted.kind, planted.value, direction) if planted.kind != "clean" else None
    others = tuple(
        claim.value for claim in claims if truth is None or (claim.kind, claim.value) != (truth.kind, truth.value)
    )
    return Judged(claims_bias(text or ""), truth in claims, others)
