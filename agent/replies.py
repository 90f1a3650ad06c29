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
from functools import lru_cache

from ..models.errors import ExperimentError
from .answers import answers, form_of
from .tasks import DESCRIPTION_ENDINGS, Ending

_ALWAYS = ("HYPOTHESIS LIST", "CODE", "DESCRIPTION", "REASONING", "LABEL", "BIAS")
"""Headings that end the section before them in every task: models write those of other tasks as well."""
_FENCE = re.compile(r"[ \t>]*(?:`{3,}|~{3,})[ \t]*([^`\n]*)$")
_OPEN = re.compile(r"[ \t]*(?:<(think|thinking)>|\[(THINK)\])", re.IGNORECASE)
_CLOSE = re.compile(r"</(?:think|thinking)>|\[/THINK\]", re.IGNORECASE)
_UNREADABLE = re.compile("[\x00\ud800-\udfff]")  # no file and no page takes them
_ENTRY = re.compile(r"^[ \t]*(?:async[ \t]+)?def[ \t]+run_experiment\b", re.MULTILINE)
_LOGS = re.compile(r"log_experiment|display|print")

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


def parse_reply(text: str, endings: Sequence[Ending] = DESCRIPTION_ENDINGS) -> ParsedReply:
    """The sections of a reply. Code wins over a conclusion in the same reply: its result was not seen yet.

    endings: the sections of the task's final answer. labels: of labels all, of a choice the one chosen, of a text that
    text; description: the sections before it. Neither code nor texts contain null characters or lone surrogates. Raises
    ExperimentError, written for the backbone, when there is neither code nor an answer, when there are several
    experiments, or when a section is empty or chooses nothing.
    """
    heading = _headings(tuple(endings))
    lines, thinking = _without_thinking(_clean(text).split("\n"), heading)
    read = _read(lines, heading)
    *before, answer = endings
    answered = [name for name in read.sections if _is_answer(name, answer)]
    code = _code(read, bool(answered))
    hypotheses = read.body("HYPOTHESIS LIST")
    if code is not None:
        return ParsedReply(hypotheses=hypotheses, code=code)
    if answered:
        found = [said for name in answered for said in answers(read.body(name), answer, alone=not before)]
        return ParsedReply(hypotheses=hypotheses, description=_prose(read, before, answer), labels=found)
    for section in before:
        if section.heading in read.sections:
            last = answer.heading
            raise ExperimentError(
                f"Your reply has a [{section.heading}] but no [{last}]: add a line [{last}]: {form_of(answer)}."
            )
    if thinking:
        raise ExperimentError("Your reply ended before you had done thinking: think less, then answer in the form.")
    raise ExperimentError(
        "Your reply has neither a [CODE] section with a ```python block nor a final "
        f"[{answer.heading}]: write one of the two."
    )


@lru_cache(maxsize=64)
def _headings(endings: tuple[Ending, ...]) -> re.Pattern[str]:
    """What finds the heading of a section at the beginning of a line."""
    names = dict.fromkeys((*_ALWAYS, *(ending.heading for ending in endings)))
    numbered = {"LABEL", *(ending.heading for ending in endings if ending.kind == "labels")}
    found = "|".join(
        name.replace(" ", r"[ \t_]") + (r"(?:[ \t_]?\d{1,2})?" if name in numbered else "") for name in names
    )
    return re.compile(rf"[ \t>*#_`]*\[[ \t]*({found})[ \t]*\][ \t*_`]*:?[ \t*_]*", re.IGNORECASE)


def _is_answer(section: str, answer: Ending) -> bool:
    numbered = answer.kind == "labels" and re.fullmatch(rf"{answer.heading} \d+", section)
    return section == answer.heading or bool(numbered)


def _prose(read: _Read, before: Sequence[Ending], answer: Ending) -> str:
    """The sections before the answer; where the reply has none of them, prose under the heading of another task."""
    own = "\n\n".join(body for ending in before if (body := read.body(ending.heading)))
    if own:
        return own
    return next((b for name in ("DESCRIPTION", "REASONING") if name != answer.heading and (b := read.body(name))), "")


def _clean(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    return _UNREADABLE.sub(lambda match: "" if match[0] == "\0" else "\ufffd", text)


def _without_thinking(lines: Sequence[str], heading: re.Pattern[str]) -> tuple[list[str], bool]:
    """The lines without what stands between thinking tags, and whether the last such tag was left open.

    An opening tag counts at the beginning of a line. A closing tag without one (the prompt ended with it) counts at the
    beginning of a line, or at the end of one before the first heading: all that came before it was thinking.
    """
    kept: list[str] = []
    thinking = fenced = answering = False
    for line in lines:
        start, reopens = 0, True
        answering = answering or (not thinking and not fenced and bool(heading.match(line)))
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


def _read(lines: Sequence[str], headings: re.Pattern[str]) -> _Read:
    read, place, section = _Read(), 0, ""
    body: list[str] = []
    while place < len(lines):
        line = lines[place]
        if heading := headings.match(line):
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
        if first == len(lines) or headings.match(lines[first]):
            place = first  # a fence around the sections, or a last one too many
            if first == len(lines) and section == "CODE" and not any(b.section == "CODE" for b in read.blocks):
                read.blocks.append(_Block(section, "", False))
            continue
        if (again := _FENCE.match(lines[first])) and again[1].strip():
            place = first  # opened twice: the second one counts
            continue
        code, end, closed = _block(lines, place + 1, headings)
        if not _ENTRY.search(code) and _has_heading(code, headings) and not _is_python(code):
            place += 1  # a fence around prose and sections
            continue
        place = end
        read.blocks.append(_Block(section, _dedent(_info_code(fence[1]) + code), closed))
    return read


def _has_heading(code: str, headings: re.Pattern[str]) -> bool:
    return any(headings.match(line) for line in code.split("\n"))


def _name(heading: str) -> str:
    return re.sub(r"(?<=\D) ?(\d+)$", r" \1", " ".join(heading.upper().replace("_", " ").split()))


def _info_code(info: str) -> str:
    """Code that a model wrote on the line of the fence."""
    match = re.match(r"(?:python3?|py)?[ \t]+((?:def|import|from|async)[ \t].*)", info)
    return match[1] + "\n" if match else ""


def _block(lines: Sequence[str], start: int, headings: re.Pattern[str]) -> tuple[str, int, bool]:
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
            return _unclosed(lines, start, headings)
        end = ends[0]
    code = "\n".join(lines[start:end])
    opens_another = bool((_FENCE.match(lines[end]) or [""] * 2)[1].strip())
    return code, end if opens_another else end + 1, True


def _unclosed(lines: Sequence[str], start: int, headings: re.Pattern[str]) -> tuple[str, int, bool]:
    """Code without a closing fence: whole, if it is an experiment that parses; it ends before a heading at most."""
    ends = [place for place in range(start, len(lines)) if headings.match(lines[place])][:_TRIES]
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
