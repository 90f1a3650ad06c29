"""Reading the last section of a conclusion: labels, one of several choices, or prose."""

import re

from ..models.errors import ExperimentError
from .tasks import Ending

LABEL_LIMIT = 300
"""Characters of a label that are kept."""
LABEL_WORDS = 40
"""Words over which a text of more than LABEL_LIMIT characters is no label at all."""
TEXT_LIMIT = 2000
"""Characters of prose that are kept as an answer."""
_AROUND = "\"'`*_<>:,; "  # what models put around a label
_LABEL_AGAIN = re.compile(r"(?:final )?label ?\d{0,2} ?[:=] ?", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"[\s:*_\"'`]*<[^<>]*>")
"""The form's "<a few words>", copied instead of filled in."""


def form_of(ending: Ending) -> str:
    """What is written after the section's heading, in brief."""
    if ending.kind == "choice":
        return " or ".join(ending.choices)
    return "<a few words>" if ending.kind == "labels" else "<your answer>"


def answers(body: str, ending: Ending, alone: bool) -> list[str]:
    """What the section says: labels, or one text. alone: there is no other section, so that a text is taken whole and
    not its first paragraph. Raises ExperimentError, written for the backbone, for a body that says nothing."""
    first = body.partition("\n\n")[0]
    paragraph = " ".join(first.split())
    if ending.kind == "labels":
        return _labels(paragraph, ending.heading)
    if ending.kind == "choice":
        return [_choice(paragraph, ending)]
    return [_text(body if alone else paragraph, ending.heading)]


def _labels(paragraph: str, heading: str) -> list[str]:
    """The label, or several on one line ("dogs, [LABEL 2]: cats"), of a section's first paragraph."""
    again = re.compile(rf"\[ ?{heading} ?\d{{0,2}} ?\]", re.IGNORECASE)
    parts = [part for part in again.split(paragraph) if part.strip(" :,;*_")]
    return [_label(part, heading) for part in parts or [""]]


def _label(text: str, heading: str) -> str:
    if _PLACEHOLDER.match(text):
        raise ExperimentError(f"A [{heading}] of your reply repeats the form: write the concept in the place of <...>.")
    label = text.strip(_AROUND)
    if not label:
        raise ExperimentError(f"A [{heading}] of your reply is empty: write a few words after it.")
    if len(label) > LABEL_LIMIT and label.count(" ") >= LABEL_WORDS:
        raise ExperimentError(f"A [{heading}] is over {LABEL_LIMIT} characters: name the concept in a few words.")
    label = label[:LABEL_LIMIT]
    while (again := _LABEL_AGAIN.match(label)) and (rest := label[again.end() :].strip(_AROUND)):
        label = rest
    return label.rstrip()


def _choice(paragraph: str, ending: Ending) -> str:
    """The choice with which the section begins. One that comes later may be denied there ("it is not SELECTIVE")."""
    said = _LABEL_AGAIN.sub("", paragraph.lstrip(_AROUND), count=1).lstrip(_AROUND)
    wanted = form_of(ending)
    found, rest = _leading(said, ending)
    if found is None:
        raise ExperimentError(f"The [{ending.heading}] of your reply has to begin with {wanted}: write one of them.")
    other = re.match(r"[\s\"'`*_.,]*(?:or\b|/|\|)[\s\"'`*_]*", rest, re.IGNORECASE)
    if other and _leading(rest[other.end() :], ending)[0] is not None:
        raise ExperimentError(f"The [{ending.heading}] of your reply names several answers: write one, {wanted}.")
    return found


def _leading(text: str, ending: Ending) -> tuple[str | None, str]:
    """The longest choice with which the text begins, and what follows it; (None, the text) if it begins with none."""
    for choice in sorted(ending.choices, key=len, reverse=True):
        words = r"[ _]".join(map(re.escape, choice.split()))
        if match := re.match(rf"{words}(?!\w)", text, re.IGNORECASE):
            return choice, text[match.end() :]
    return None, text


def _text(body: str, heading: str) -> str:
    if _PLACEHOLDER.fullmatch(body.strip()):
        raise ExperimentError(f"The [{heading}] of your reply repeats the form: write your answer in its place.")
    text = body.strip().strip(_AROUND)
    if not text:
        raise ExperimentError(f"The [{heading}] of your reply is empty: write your answer after it.")
    return text[:TEXT_LIMIT].rstrip()
