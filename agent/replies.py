"""Reading a backbone's reply: sections in square brackets, and one block of code."""

import re
from dataclasses import dataclass, field

from ..models.errors import ExperimentError

_HEADING = re.compile(
    r"^[ \t>*#_]*\[[ \t]*(HYPOTHESIS LIST|CODE|DESCRIPTION|LABEL(?:[ \t]*\d{1,2})?|REASONING|BIAS)[ \t]*\]"
    r"[ \t*_]*:?[ \t*_]*",
    re.IGNORECASE | re.MULTILINE,
)
_FENCE = re.compile(r"^[ \t]*```[^\n]*\n(.*?)^[ \t]*```", re.DOTALL | re.MULTILINE)

LABEL_LIMIT = 300
"""Characters of a label that are kept; longer ones are not labels."""


@dataclass(frozen=True)
class ParsedReply:
    """code is set for an experiment; labels (with description or reasoning) for a conclusion."""

    hypotheses: str = ""
    code: str | None = None
    description: str = ""
    labels: list[str] = field(default_factory=list)


def parse_reply(text: str) -> ParsedReply:
    """The sections of a reply. Code wins over a conclusion in the same reply: its result was not seen yet.

    Raises ExperimentError, written for the backbone, when there is neither code nor a label, when there are several
    blocks of code, or when a section is empty.
    """
    sections = _sections(text)
    hypotheses = sections.get("HYPOTHESIS LIST", "")
    code = _code(sections["CODE"]) if "CODE" in sections else None
    if code is None and "CODE" not in sections and not any(name.startswith("LABEL") for name in sections):
        blocks = _FENCE.findall(text)
        if len(blocks) == 1 and blocks[0].strip():
            code = blocks[0]
    if code is not None:
        return ParsedReply(hypotheses=hypotheses, code=code)
    labels = [_label(body) for name, body in sections.items() if name.startswith("LABEL") or name == "BIAS"]
    if labels:
        description = sections.get("DESCRIPTION", "") or sections.get("REASONING", "")
        return ParsedReply(hypotheses=hypotheses, description=description, labels=labels)
    if "DESCRIPTION" in sections:
        raise ExperimentError("Your reply has a [DESCRIPTION] but no [LABEL]: add a line [LABEL]: <a few words>.")
    raise ExperimentError(
        "Your reply has neither a [CODE] section with a ```python block nor a final [LABEL]: write one of the two."
    )


def _sections(text: str) -> dict[str, str]:
    """Bodies by heading in upper case. A heading that comes again keeps its last body, except CODE, which collects."""
    fences = [match.span(1) for match in _FENCE.finditer(text)]
    # A heading inside a block of code is a text of the code.
    found = [m for m in _HEADING.finditer(text) if not any(a <= m.start() < b for a, b in fences)]
    ends = [match.start() for match in found[1:]] + [len(text)]
    sections: dict[str, str] = {}
    for match, end in zip(found, ends if found else [], strict=True):
        name = " ".join(match.group(1).upper().split())
        name = re.sub(r"LABEL ?(\d+)", r"LABEL \1", name)
        body = text[match.end() : end].strip()
        sections[name] = f"{sections[name]}\n{body}" if name == "CODE" and name in sections else body
    return sections


def _code(body: str) -> str:
    blocks = _FENCE.findall(body + "\n")
    if len(blocks) > 1:
        raise ExperimentError("Your reply has several blocks of code: write one run_experiment function in one block.")
    if blocks:
        code = blocks[0]
    elif body.lstrip().startswith("```"):  # an opening fence that was never closed: the reply was cut off
        raise ExperimentError("The code block of your reply is not closed: it was cut off; write a shorter experiment.")
    else:
        code = body
    if not code.strip():
        raise ExperimentError("The [CODE] section of your reply is empty.")
    return code.rstrip() + "\n"


def _label(body: str) -> str:
    label = " ".join(body.split()).strip("\"'`*<> ")
    if not label:
        raise ExperimentError("A [LABEL] of your reply is empty: write a few words after it.")
    if len(label) > LABEL_LIMIT:
        raise ExperimentError(f"A [LABEL] is over {LABEL_LIMIT} characters: name the concept in a few words.")
    return label
