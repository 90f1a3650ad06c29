"""Reading a backbone's reply: sections in square brackets, and one block of code.

A reply is read line by line, once, so that no text takes long. What models add around the form is overlooked: thinking
between tags, a fence around everything, a fence opened twice, headings in bold. Where a fence could end the code or
belong to it (a text inside the code that contains one), Python's syntax decides.
"""

import ast
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..models.errors import ExperimentError

_HEADING = re.compile(
    r"[ \t>*#_`]*\[[ \t]*(HYPOTHESIS[ \t]LIST|CODE|DESCRIPTION|LABEL(?:[ \t_]?\d{1,2})?|REASONING|BIAS)[ \t]*\]"
    r"[ \t*_`]*:?[ \t*_]*",
    re.IGNORECASE,
)
_FENCE = re.compile(r"[ \t>]*(?:`{3,}|~{3,})[ \t]*([^`\n]*)$")
_OPEN = re.compile(r"[ \t]*(?:<(think|thinking)>|\[(THINK)\])", re.IGNORECASE)
_CLOSE = re.compile(r"</(?:think|thinking)>|\[/THINK\]", re.IGNORECASE)
_NEXT_LABEL = re.compile(r"\[ ?LABEL ?\d{0,2} ?\]", re.IGNORECASE)
_LABEL_AGAIN = re.compile(r"(?:final )?label ?\d{0,2} ?[:=] ?", re.IGNORECASE)
_UNREADABLE = re.compile("[\x00\ud800-\udfff]")  # no file and no page takes them
_ENTRY = re.compile(r"^[ \t]*(?:async[ \t]+)?def[ \t]+run_experiment\b", re.MULTILINE)
_LOGS = re.compile(r"log_experiment|display|print")

LABEL_LIMIT = 300
"""Characters of a label that are kept."""
LABEL_WORDS = 40
"""Words over which a text of more than LABEL_LIMIT characters is no label at all."""
_AROUND = "\"'`*_<>:,; "  # what models put around a label
_TRIES = 6  # fences at which a block of code may end
_MAX_PARSED = 60_000  # characters of code whose syntax is looked at


@dataclass(frozen=True)
class ParsedReply:
    """code is set for an experiment; labels (with description or reasoning) for a conclusion."""

    hypotheses: str = ""
    code: str | None = None
    description: str = ""
    labels: list[str] = field(default_factory=list)


@dataclass
class _Block:
    """Code between fences. section: the heading under which it stands."""

    section: str
    code: str
    closed: bool


@dataclass
class _Read:
    """Bodies by heading in upper case (a heading that comes again replaces its body), and all blocks of code."""

    sections: dict[str, list[str]] = field(default_factory=dict)
    blocks: list[_Block] = field(default_factory=list)

    def body(self, name: str) -> str:
        return "\n".join(self.sections.get(name, [])).strip()


def parse_reply(text: str) -> ParsedReply:
    """The sections of a reply. Code wins over a conclusion in the same reply: its result was not seen yet.

    Neither code nor texts contain null characters or lone surrogates. Raises ExperimentError, written for the backbone,
    when there is neither code nor a label, when there are several experiments, or when a section is empty.
    """
    lines, thinking = _without_thinking(_clean(text).split("\n"))
    read = _read(lines)
    labels = [name for name in read.sections if name.startswith("LABEL") or name == "BIAS"]
    code = _code(read, bool(labels))
    hypotheses = read.body("HYPOTHESIS LIST")
    if code is not None:
        return ParsedReply(hypotheses=hypotheses, code=code)
    if labels:
        description = read.body("DESCRIPTION") or read.body("REASONING")
        found = [label for name in labels for label in _labels(read.body(name))]
        return ParsedReply(hypotheses=hypotheses, description=description, labels=found)
    if "DESCRIPTION" in read.sections:
        raise ExperimentError("Your reply has a [DESCRIPTION] but no [LABEL]: add a line [LABEL]: <a few words>.")
    if thinking:
        raise ExperimentError("Your reply ended before you had done thinking: think less, then answer in the form.")
    raise ExperimentError(
        "Your reply has neither a [CODE] section with a ```python block nor a final [LABEL]: write one of the two."
    )


def _clean(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    return _UNREADABLE.sub(lambda match: "" if match[0] == "\0" else "\ufffd", text)


def _without_thinking(lines: Sequence[str]) -> tuple[list[str], bool]:
    """The lines without what stands between thinking tags, and whether the last such tag was left open.

    An opening tag counts at the beginning of a line. A closing tag without one (the prompt ended with it) counts at the
    beginning of a line, or at the end of one before the first heading: all that came before it was thinking.
    """
    kept: list[str] = []
    thinking = fenced = answering = False
    for line in lines:
        start, reopens = 0, True
        answering = answering or (not thinking and not fenced and bool(_HEADING.match(line)))
        close = _CLOSE.search(line)
        early = not (fenced or answering)
        if close and (thinking or not line[: close.start()].strip() or (early and not line[close.end() :].strip())):
            opened = None if thinking else _OPEN.match(line)
            if opened is None or opened.end() > close.start():
                if not thinking:
                    kept, answering, reopens = [], False, False
                thinking, fenced, start = False, False, close.end()
        elif thinking:
            continue
        while not fenced and reopens and (opened := _OPEN.match(line, start)):
            close = _CLOSE.search(line, opened.end())
            thinking, start = close is None, close.end() if close else len(line)
        if start == 0 or start < len(line):
            kept.append(line[start:])
            fenced ^= bool(_FENCE.match(line, start))
    return kept, thinking


def _read(lines: Sequence[str]) -> _Read:
    read, place, section = _Read(), 0, ""
    body: list[str] = []
    while place < len(lines):
        line = lines[place]
        if heading := _HEADING.match(line):
            section, body = _name(heading[1]), []
            read.sections[section] = body
            line = line[heading.end() :]
        fence = _FENCE.match(line)
        if fence is None:
            body.append(line)
            place += 1
            continue
        first = place + 1
        while first < len(lines) and not lines[first].strip():
            first += 1
        if first == len(lines) or _HEADING.match(lines[first]):
            place = first  # a fence around the sections, or a last one too many
            if first == len(lines) and section == "CODE" and not any(b.section == "CODE" for b in read.blocks):
                read.blocks.append(_Block(section, "", False))
            continue
        if (again := _FENCE.match(lines[first])) and again[1].strip():
            place = first  # opened twice: the second one counts
            continue
        code, end, closed = _block(lines, place + 1)
        if not _ENTRY.search(code) and _has_heading(code) and not _is_python(code):
            place += 1  # a fence around prose and sections
            continue
        place = end
        read.blocks.append(_Block(section, _dedent(_info_code(fence[1]) + code), closed))
    return read


def _has_heading(code: str) -> bool:
    return any(_HEADING.match(line) for line in code.split("\n"))


def _name(heading: str) -> str:
    return re.sub(r"LABEL ?(\d+)", r"LABEL \1", " ".join(heading.upper().replace("_", " ").split()))


def _info_code(info: str) -> str:
    """Code that a model wrote on the line of the fence."""
    match = re.match(r"(?:python3?|py)?[ \t]+((?:def|import|from|async)[ \t].*)", info)
    return match[1] + "\n" if match else ""


def _block(lines: Sequence[str], start: int) -> tuple[str, int, bool]:
    """(code, the line after it, whether a fence closed it) of the block whose first line is given."""
    ends = []
    for place in range(start, len(lines)):
        if _FENCE.match(lines[place]):
            ends.append(place)
            if len(ends) == _TRIES:
                break
    for end in ends:
        if len(ends) == 1 or _is_python("\n".join(lines[start:end])):
            break
    else:
        if not ends:
            return _unclosed(lines, start)
        end = ends[0]
    code = "\n".join(lines[start:end])
    opens_another = bool((_FENCE.match(lines[end]) or [""] * 2)[1].strip())
    return code, end if opens_another else end + 1, True


def _unclosed(lines: Sequence[str], start: int) -> tuple[str, int, bool]:
    """Code without a closing fence: whole, if it is an experiment that parses; it ends before a heading at most."""
    ends = [place for place in range(start, len(lines)) if _HEADING.match(lines[place])][:_TRIES]
    for end in [*ends, len(lines)]:
        code = "\n".join(lines[start:end])
        if _ENTRY.search(code) and _LOGS.search(code) and _is_python(_dedent(code)):
            return code, end, True
    return "\n".join(lines[start:]), len(lines), False


def _is_python(code: str) -> bool:
    if len(code) > _MAX_PARSED:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(_dedent(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return False
    return True


def _dedent(code: str) -> str:
    """Code whose first line is indented (in a list, say) moved to the left, if all of it can be."""
    lines = code.split("\n")
    first = next((line for line in lines if line.strip()), "")
    margin = first[: len(first) - len(first.lstrip(" \t"))]
    if not margin or any(line.strip() and not line.startswith(margin) for line in lines):
        return code
    return "\n".join(line[len(margin) :] if line.strip() else "" for line in lines)


def _code(read: _Read, concluded: bool) -> str | None:
    """The experiment, or None where there is none."""
    if "CODE" in read.sections:
        blocks = [block for block in read.blocks if block.section == "CODE"]
    else:
        blocks = [] if concluded else read.blocks
    whole = [block.code for block in blocks if block.closed and block.code.strip()]
    experiments = list(dict.fromkeys(code.strip("\n") for code in whole if _ENTRY.search(code)))
    if len(experiments) == 1:
        return experiments[0].rstrip() + "\n"
    if len(whole) > 1:
        raise ExperimentError("Your reply has several blocks of code: write one run_experiment function in one block.")
    if whole:
        return whole[0].rstrip() + "\n"
    if "CODE" not in read.sections:
        return None
    if any(not block.closed and block.code.strip() for block in blocks):
        raise ExperimentError("The code block of your reply is not closed: it was cut off; write a shorter experiment.")
    body = read.body("CODE")
    if concluded and not _ENTRY.search(body):
        return None  # "[CODE]: none", then a conclusion
    if not body:
        raise ExperimentError("The [CODE] section of your reply is empty.")
    return body.rstrip() + "\n"


_PLACEHOLDER = re.compile(r"[\s:*_\"'`]*<[^<>]*>")
"""The form's "<a few words>", copied instead of filled in."""


def _labels(body: str) -> list[str]:
    """The label, or several on one line ("dogs, [LABEL 2]: cats"), of a section's first paragraph."""
    paragraph = " ".join(body.partition("\n\n")[0].split())
    return [_label(part) for part in _NEXT_LABEL.split(paragraph) if part.strip(" :,;*_")] or [_label("")]


def _label(text: str) -> str:
    if _PLACEHOLDER.match(text):
        raise ExperimentError("A [LABEL] of your reply repeats the form: write the concept in the place of <...>.")
    label = text.strip(_AROUND)
    if not label:
        raise ExperimentError("A [LABEL] of your reply is empty: write a few words after it.")
    if len(label) > LABEL_LIMIT and label.count(" ") >= LABEL_WORDS:
        raise ExperimentError(f"A [LABEL] is over {LABEL_LIMIT} characters: name the concept in a few words.")
    label = label[:LABEL_LIMIT]
    while (again := _LABEL_AGAIN.match(label)) and (rest := label[again.end() :].strip(_AROUND)):
        label = rest
    return label.rstrip()
