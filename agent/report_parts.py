"""Pieces of the report's page: pictures embedded once, code highlighting, replies taken apart, turns, facts."""

import base64
import hashlib
import io
import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape
from PIL import Image
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from .report_data import UnitRun
from .tasks import DESCRIPTION_ENDINGS
from .transcript import Conclusion, Experiment, Failure, ImageStore, LogEntry, Notice, Record, Reply, Start

THUMBNAIL = 160
"""Longer side of an embedded picture in pixels."""
QUALITY = 82
"""WebP quality of an embedded picture."""
LONGEST_HIGHLIGHTED = 40_000
"""Characters of code that are highlighted; longer code is shown plain (pygments is slow on hostile input)."""

SHOWN = tuple(ending.heading for ending in DESCRIPTION_ENDINGS)
"""Headings of a description's final answer."""

_IMAGE_ID = re.compile(r"[0-9a-f]{8,64}\Z")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|[\ud800-\udfff]")
_SECTION = re.compile(r"^[ \t>*#_]*\[[ \t]*([A-Z][A-Z0-9 _]{0,30})\][ \t*_]*:?[ \t*_]*", re.MULTILINE | re.IGNORECASE)
_FENCE = re.compile(r"^[ \t]*```[a-z]*[ \t]*$\n?", re.MULTILINE)
_ITEM = re.compile(r"\s*(?:[-*•]\s+)?((?:hypothesis[ _]?)?\d+)\s*[:.)]\s+(.*)", re.IGNORECASE)


def policy_hash(text: str) -> str:
    """Of a Content-Security-Policy: this style sheet or script and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"


def clean(text: str) -> str:
    """Text without control characters and lone surrogates, which no page can hold: shown as U+FFFD."""
    return _CONTROL.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


class Pictures:
    """The run's pictures as CSS background classes: each is embedded once however often it is shown.

    missing: ids asked for that are not there or cannot be decoded, with the reason.
    """

    def __init__(self, store: ImageStore) -> None:
        self.store = store
        self.missing: dict[str, str] = {}
        self._uris: dict[str, str] = {}

    def use(self, image_id: str) -> str | None:
        """The CSS class that shows the picture, or None when it is missing."""
        if image_id not in self._uris and image_id not in self.missing:
            self._load(image_id)
        return f"i{image_id}" if image_id in self._uris else None

    def _load(self, image_id: str) -> None:
        # An id is part of a file name and of the style sheet: it must be nothing but hex digits.
        if not _IMAGE_ID.match(image_id):
            self.missing[image_id] = "not an image id"
            return
        try:
            image = self.store.get(image_id)
            image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
            buffer = io.BytesIO()
            image.save(buffer, "WEBP", quality=QUALITY, method=2)
        except FileNotFoundError:
            self.missing[image_id] = "the file is missing"
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            self.missing[image_id] = f"it cannot be decoded ({type(error).__name__})"
        else:
            self._uris[image_id] = base64.b64encode(buffer.getvalue()).decode("ascii")

    def css(self) -> Markup:
        """One rule for each picture used so far."""
        rules = (f".i{i}{{background-image:url(data:image/webp;base64,{data})}}" for i, data in self._uris.items())
        return Markup("\n".join(rules))


def highlight_python(code: str) -> Markup:
    """Code as HTML spans with pygments' short class names; everything escaped."""
    code = clean(code).strip("\n")
    if len(code) > LONGEST_HIGHLIGHTED:
        return escape(code)
    return Markup(highlight(code, PythonLexer(), HtmlFormatter(nowrap=True)))


@dataclass(frozen=True)
class Section:
    """One part of a reply. kind: "hypotheses", "code" or "text". name: as the reply has it, "" before the first."""

    kind: str
    name: str
    text: str


def reply_sections(
    text: str, code: str = "", concluded: bool = False, headings: Collection[str] = SHOWN
) -> list[Section]:
    """Take a reply apart for reading; nothing of it is dropped but what is shown beside it anyway.

    That is the `code` of the turn's experiment, and with `concluded` the sections of the final answer, under these
    headings.
    """
    text, code = clean(text), clean(code).strip()
    if code:
        text = text.replace(code, "", 1)
    pieces = _SECTION.split(text)
    sections = []
    for name, body in zip(["", *pieces[1::2]], pieces[::2], strict=True):
        name = name.strip().upper()
        body = _FENCE.sub("", body).strip()
        shown_elsewhere = concluded and name.rstrip("0123456789 _") in headings
        if not body or shown_elsewhere:
            continue
        kind = "hypotheses" if name.startswith("HYPOTHES") else "code" if name == "CODE" else "text"
        sections.append(Section(kind, name, body))
    return sections


def hypothesis_items(text: str) -> list[tuple[str, str]]:
    """Lines as (marker, text): "Hypothesis_2: clocks" -> ("2", "clocks"); a line without a number has marker ""."""
    items = []
    for line in text.splitlines():
        match = _ITEM.match(line)
        if match:
            items.append((re.sub(r"\D", "", match[1]), match[2]))
        elif line.strip():
            items.append(("", line.strip()))
    return items


@dataclass
class Turn:
    """All records of one turn, in order, except Start. headings: of the sections of the task's final answer."""

    number: int
    records: list[Record] = field(default_factory=list)
    headings: tuple[str, ...] = SHOWN

    def of(self, kind: type) -> list[Any]:
        return [record for record in self.records if isinstance(record, kind)]

    def sections(self) -> list[Section]:
        """The turn's replies taken apart."""
        code = next((experiment.code for experiment in self.of(Experiment)), "")
        concluded = bool(self.of(Conclusion))
        return [part for reply in self.of(Reply) for part in reply_sections(reply.text, code, concluded, self.headings)]

    @property
    def summary(self) -> str:
        """A few words for the turn's heading."""
        words = []
        for record in self.records:
            if isinstance(record, Experiment):
                shown = sum(len(entry.images) for entry in record.log)
                words.append(f"{shown} picture{'' if shown == 1 else 's'}" if shown else "experiment")
                if record.outcome != "ok":
                    words.append(record.outcome)
            elif isinstance(record, Notice):
                words.append("notice")
            elif isinstance(record, Conclusion | Failure):
                words.append(record.type)
        return " · ".join(words)


def turns_of(unit: UnitRun) -> list[Turn]:
    """The unit's records by turn, in the order of the transcript."""
    turns: dict[int, Turn] = {}
    headings = tuple(ending.heading for ending in unit.endings)
    for record in unit.records:
        if not isinstance(record, Start):
            turns.setdefault(record.turn, Turn(record.turn, headings=headings)).records.append(record)
    return list(turns.values())


def log_rows(entry: LogEntry) -> list[tuple[str, float | None, str]]:
    """(image id, activation or None, title) of each picture; the shorter lists are filled up."""
    rows = list(zip_longest(entry.images, entry.activations, entry.titles))
    return [(image or "", value, title or "") for image, value, title in rows[: len(entry.images)]]


def activation_range(unit: UnitRun) -> tuple[float, float]:
    """From the lowest (at most 0) to the highest activation that the unit's pages show."""
    values: list[float | None] = []
    for record in unit.records:
        if isinstance(record, Experiment):
            values += [value for entry in record.log for value in entry.activations]
    for method in unit.score.methods.values() if unit.score else ():
        values += [*method.positive, *method.neutral]
    finite = [value for value in values if value is not None and abs(value) < float("inf")]
    return min([0.0, *finite]), max([0.0, *finite])


def anchors(names: Iterable[str]) -> list[str]:
    """A distinct fragment identifier for each unit, as near to its name as HTML and URLs allow."""
    taken: list[str] = []
    for name in names:
        slug = "unit-" + re.sub(r"[^A-Za-z0-9_.-]+", "-", name)
        number = 2
        base = slug
        while slug in taken:
            slug, number = f"{base}-{number}", number + 1
        taken.append(slug)
    return taken


def fact(value: Any) -> str:
    """A value of run.json on one line: "a, b" for lists, "name (key value)" for objects, "none" for nothing."""
    if value is None or value == [] or value == {} or value == "":
        return "none"
    if isinstance(value, dict) and "name" in value:
        rest = {key: item for key, item in value.items() if key != "name"}
        return fact(value["name"]) + (f" ({fact(rest)})" if rest else "")
    if isinstance(value, dict):
        return ", ".join(f"{key} {fact(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(fact(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value)


def read_asset(name: str) -> str:
    """Text of a file beside this module (style sheet, script)."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def page_environment() -> jinja2.Environment:
    """Templates of this room: everything is escaped, and characters that no page may hold are replaced."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: clean(value) if type(value) is str else value,
    )
