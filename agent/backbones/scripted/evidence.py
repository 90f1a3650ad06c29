"""What the scripted experimenter knows: read from the text of the dialogue, and from nothing else."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ....models.testbed.vocabulary import BACKGROUNDS, COLOURS, GROUPS, NOUNS, PATTERNS
from ..base import Message

ATOMS: tuple[str, ...] = (*NOUNS, *COLOURS, *PATTERNS, *BACKGROUNDS)
"""Every atomic concept that can be asked for."""

_FAMILY = {
    word: family
    for family, words in (("noun", NOUNS), ("colour", COLOURS), ("pattern", PATTERNS), ("background", BACKGROUNDS))
    for word in words
}
# Longest first, so that "night city" is not read as part of something else and "brick wall" as one background.
_SPELLINGS: dict[str, str] = {
    **{word: word for word in ATOMS},
    **{entry.plural: noun for noun, entry in NOUNS.items()},
    **{entry.phrase: background for background, entry in BACKGROUNDS.items()},
}
_WORDS = re.compile(
    r"\b(" + "|".join(re.escape(word) for word in sorted(_SPELLINGS, key=len, reverse=True)) + r")\b", re.IGNORECASE
)

RESULT_LINE = re.compile(r"^\s*(-?\d[\d.eE+-]*) \| (.+?)\s*$", re.MULTILINE)
EXEMPLAR_LINE = re.compile(r"^\s*exemplar (\d+): (.*)$", re.MULTILINE)
EXEMPLAR_VALUE = re.compile(r"^\(\d+\) exemplar (\d+), activation (-?\d[\d.eE+-]*)", re.MULTILINE)
_STEP = re.compile(r"^\s*# step: (\S+)", re.MULTILINE)


def family_of(word: str) -> str:
    """The family of an atomic concept or a group."""
    return GROUPS[word][0] if word in GROUPS else _FAMILY[word]


def members_of(word: str) -> frozenset[str]:
    """The atomic concepts that make a concept true."""
    return frozenset(GROUPS[word][1]) if word in GROUPS else frozenset((word,))


def concepts_in(text: str) -> frozenset[str]:
    """Atomic concepts that a prompt or description names."""
    return frozenset(_SPELLINGS[match.group(1).lower()] for match in _WORDS.finditer(text))


@dataclass(frozen=True)
class Observation:
    """An image that was made: everything that is in it, the unit's activation, and the step that made it."""

    concepts: frozenset[str]
    activation: float
    step: str = ""


@dataclass(frozen=True)
class Exemplar:
    """A dataset image: what a fresh observer saw in its highlighted region, and in the darkened rest."""

    region: frozenset[str]
    surroundings: frozenset[str]
    activation: float


@dataclass
class Evidence:
    """All that the dialogue showed so far. steps: the experiments done, by the name in their code's first comment.
    tools: methods that the system prompt tells of; None: it tells of none, so that there are all."""

    observations: list[Observation] = field(default_factory=list)
    exemplars: list[Exemplar] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    last_error: str = ""
    last_turn: bool = False
    tools: frozenset[str] | None = None

    def can(self, tool: str) -> bool:
        """Whether experiments may call this tool: an ablation takes some away."""
        return self.tools is None or tool in self.tools

    def before(self, step: str) -> "Evidence":
        """The evidence without the images of this step and of those after it."""
        kept = self.steps[: self.steps.index(step)] if step in self.steps else self.steps
        return replace(self, observations=[o for o in self.observations if o.step in kept], steps=kept)


_METHOD = re.compile(r"^ +def (\w+)\(self", re.MULTILINE)


def read(messages: Sequence[Message]) -> Evidence:
    """The evidence in a dialogue."""
    evidence = Evidence()
    told = frozenset(_METHOD.findall(messages[0].text)) if messages and messages[0].role == "system" else frozenset()
    evidence.tools = told or None
    for message in messages:
        text = message.text
        if message.role == "assistant":
            evidence.steps += _STEP.findall(text)
        elif message.role == "user":
            _read_result(text, evidence)
    return evidence


def seen(description: str, activation: float) -> Exemplar:
    """What an observer's line tells of a masked image: in the form of the offline world's describer ("…; darkened: …"),
    or in that of the small backbone ("… | …")."""
    region, _, rest = description.partition("darkened:" if "darkened:" in description else " | ")
    return Exemplar(concepts_in(region), concepts_in(rest), activation)


def _read_result(text: str, evidence: Evidence) -> None:
    failed = re.search(r"^Your code (?:raised|ran out|broke).*", text, re.MULTILINE)
    evidence.last_error = text[failed.start() :] if failed else ""
    evidence.last_turn = "This was the last experiment" in text
    values = {int(number): float(value) for number, value in EXEMPLAR_VALUE.findall(text)}
    for number, description in EXEMPLAR_LINE.findall(text):
        if int(number) in values:
            evidence.exemplars.append(seen(description, values[int(number)]))
    for value, prompt in RESULT_LINE.findall(text):
        step = evidence.steps[-1] if evidence.steps else ""
        evidence.observations.append(Observation(concepts_in(prompt), float(value), step))
