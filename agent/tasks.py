"""Tasks as data: what a backbone is asked about a unit, and in which sections its answer ends. Each is a YAML file.

The built-in ones stand in `prompts/task_files`; a user's own has the same form (docs/tasks.md). A run's records hold
what readers need of its task, so that they can be read where the file is not.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast, get_args

import yaml

from ..models.errors import UserError
from ..prompts.tasks import REPLY_FORMAT, task_files
from .transcript import Start

DESCRIPTION = "neuron-description"
"""The task of a run that names none."""
Kind = Literal["text", "labels", "choice"]
OWN_HEADINGS = ("HYPOTHESIS LIST", "CODE", "THINK", "RESULT OF EXPERIMENT")
"""Headings that the dialogue needs itself."""
FACT = "task"
"""Where a Start record's settings hold what the task is made of."""
TASK_TEXT = "task_text"
"""Where run.json holds `facts_of_task`."""

_KEYS = ("name", "prompt", "last_turn", "endings")
_OPTIONAL = ("fills", "guards")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_FILL = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_HEADING = re.compile(r"[A-Z]+( [A-Z]+)*")
_CHOICE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 _/-]{0,38}[A-Za-z0-9])?")
_REPLY_FORMAT = "reply_format"


@dataclass(frozen=True)
class Ending:
    """One section of the final answer. heading: upper case, what stands in square brackets. kind: "text" is prose,
    "labels" are few words each ([LABEL] or [LABEL 1], [LABEL 2] ...), "choice" is one of `choices`."""

    heading: str
    kind: Kind
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """What is asked. prompt, last_turn: whole texts. endings: in order; the last one is the answer, those before it are
    text. fills: what was filled in, by name. guards: names of the guards that make sense for it; None: all."""

    name: str
    prompt: str
    last_turn: str
    endings: tuple[Ending, ...]
    fills: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    guards: tuple[str, ...] | None = None

    @property
    def answer(self) -> Ending:
        """The section that is the answer."""
        return self.endings[-1]

    @property
    def describes(self) -> bool:
        """Whether the answer is labels: words that say what activates the unit, and can be scored by that."""
        return self.answer.kind == "labels"

    @property
    def digest(self) -> str:
        """SHA-256 of all that a backbone is told and held to, as 64 hexadecimal digits."""
        endings = [[ending.heading, ending.kind, list(ending.choices)] for ending in self.endings]
        whole = [self.prompt, self.last_turn, endings, None if self.guards is None else list(self.guards)]
        return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


DESCRIPTION_ENDINGS = (Ending("DESCRIPTION", "text"), Ending("LABEL", "labels"))
"""Those of the task DESCRIPTION, for readers of replies without a record of their task."""


def load_task(name_or_file: str | Path, fills: Mapping[str, Sequence[str]] | None = None) -> Task:
    """A built-in task by its name, or a user's own by its file, with its fills put in.

    fills: values by name; several become "a, b and c" in the text. Raises UserError for a task that there is not (with
    the nearest names), a file that is damaged or no task, fills that are missing, unknown or empty.
    """
    built_in = task_files()
    file = built_in.get(str(name_or_file))
    if file is None:
        file = Path(name_or_file)
        if isinstance(name_or_file, str) and file.suffix not in (".yaml", ".yml") and not file.is_file():
            near = difflib.get_close_matches(name_or_file, built_in, n=1, cutoff=0.5)
            meant = f" (did you mean {near[0]}?)" if near else ""
            raise UserError(
                f"there is no task {name_or_file!r}{meant}: give a YAML file of your own (docs/tasks.md), or choose "
                f"from {', '.join(built_in)}."
            )
    data = _read(file)
    name = data["name"]
    if name in built_in and file.resolve() != built_in[name].resolve():
        raise UserError(f"{file}: {name} is the name of a built-in task: give yours another name.")
    given = _values(name, data.get("fills") or {}, fills or {})
    texts = {_REPLY_FORMAT: REPLY_FORMAT} | {key: listed(values) for key, values in given.items()}
    # In one go, so that what was filled in is not filled in again.
    prompt, last_turn = (_FILL.sub(lambda match: texts[match[1]], data[key]) for key in ("prompt", "last_turn"))
    guards = data.get("guards")
    return Task(name, prompt, last_turn, data["endings"], given, None if guards is None else tuple(guards))


def task_of(task: Task | str) -> Task:
    """The task itself, or the built-in one of that name. Raises what `load_task` does."""
    return task if isinstance(task, Task) else _built_in(task)


@lru_cache
def _built_in(name: str) -> Task:
    return load_task(name)


def listed(values: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} and {values[-1]}"


def fills_named(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Fills from "name=a,b,c" each, as the command line takes them. Raises UserError for another form, or a name that
    comes twice."""
    fills: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise UserError(f"--fill {text!r} has no name=value: give --fill class_name=flagpole, or name=a,b,c.")
        if name in fills:
            raise UserError(f"--fill {name} is given twice: give its values at once, as --fill {name}=a,b,c.")
        fills[name] = tuple(value.strip() for value in values.split(","))
    return fills


# --- records


def facts_of_task(task: Task | str) -> dict[str, Any]:
    """What run.json says of a task beside its name."""
    chosen = task_of(task)
    return {"fills": {name: list(values) for name, values in chosen.fills.items()}, "sha256": chosen.digest}


def record_of_task(task: Task | str) -> dict[str, Any]:
    """What a Start record's settings say of a task: its facts and endings. Nothing of the task DESCRIPTION, whose
    prompt the record holds: transcripts from before there were others go on."""
    chosen = task_of(task)
    if chosen.name == DESCRIPTION:
        return {}
    endings = [
        {"heading": ending.heading, "kind": ending.kind, "choices": list(ending.choices)} for ending in chosen.endings
    ]
    return {FACT: {**facts_of_task(chosen), "endings": endings}}


def endings_of(start: Start | None) -> tuple[Ending, ...]:
    """The sections in which the answer of a recorded unit ends; the task DESCRIPTION's where the record names none."""
    recorded = start.settings.get(FACT) if start is not None else None
    try:
        endings = recorded["endings"] if recorded is not None else []
        found = tuple(Ending(str(e["heading"]), _kind(e["kind"]), tuple(map(str, e["choices"]))) for e in endings)
    except (TypeError, KeyError, ValueError):
        found = ()  # of a damaged record, as of none
    return found or DESCRIPTION_ENDINGS


# --- reading a file


def _kind(value: Any) -> Kind:
    if value not in get_args(Kind):
        raise ValueError(value)
    return cast("Kind", value)


def _read(file: Path) -> dict[str, Any]:
    """The file's entries, checked, with `endings` as a tuple of Ending."""
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as problem:
        raise UserError(f"{file} cannot be read ({problem.strerror}): give --task another file or a name.") from None
    except (ValueError, RecursionError, yaml.YAMLError) as problem:
        where = getattr(problem, "problem_mark", None)
        line = f" at line {where.line + 1}" if where is not None else ""
        raise UserError(f"{file} is no YAML file that can be read{line}: mend it there (docs/tasks.md).") from None
    if not isinstance(data, dict):
        raise UserError(f"{file} is no task: it needs the keys {', '.join(_KEYS)} (docs/tasks.md).")
    for key in data:
        if key not in (*_KEYS, *_OPTIONAL):
            raise UserError(f"{file}: there is no key {key!r}: choose from {', '.join((*_KEYS, *_OPTIONAL))}.")
    for key in _KEYS:
        if not data.get(key):
            raise UserError(f"{file} lacks {key}: a task needs {', '.join(_KEYS)} (docs/tasks.md).")
    for key in ("name", "prompt", "last_turn"):
        if not isinstance(data[key], str):
            raise UserError(f"{file}: {key} must be a text: write it between quotes, or after `{key}: |`.")
    if not _NAME.fullmatch(data["name"]):
        raise UserError(f"{file}: the name {data['name']!r} must be of small letters, digits and hyphens: my-task.")
    data["endings"] = _endings(file, data["endings"])
    _check_fills(file, data)
    _check_shown(file, data)
    _check_guards(file, data.get("guards"))
    return data


def _endings(file: Path, entries: Any) -> tuple[Ending, ...]:
    if not isinstance(entries, list):
        raise UserError(f"{file}: endings must be a list of sections, each with a heading and a kind (docs/tasks.md).")
    endings = tuple(_ending(file, entry) for entry in entries)
    for place, ending in enumerate(endings):
        if ending.heading in {other.heading for other in endings[:place]}:
            raise UserError(f"{file}: two endings have the heading {ending.heading}: rename one.")
        if ending.kind != "text" and place < len(endings) - 1:
            raise UserError(
                f"{file}: [{ending.heading}] is of kind {ending.kind} but not the last section: the answer comes last, "
                "and what comes before it is text."
            )
    return endings


def _ending(file: Path, entry: Any) -> Ending:
    if not isinstance(entry, dict) or not {"heading", "kind"} <= set(entry) <= {"heading", "kind", "choices"}:
        raise UserError(f"{file}: the ending {entry!r:.80} needs a heading and a kind, and choices if it is a choice.")
    heading, kind, choices = entry["heading"], entry["kind"], entry.get("choices", [])
    if not isinstance(heading, str) or not _HEADING.fullmatch(heading) or len(heading) > 30:
        raise UserError(
            f"{file}: the heading {heading!r:.60} must be of capital letters, up to 30 with single spaces, as VERDICT."
        )
    if heading in OWN_HEADINGS:
        raise UserError(f"{file}: the heading {heading} is the dialogue's own: choose another one, such as VERDICT.")
    if kind not in get_args(Kind):
        raise UserError(f"{file}: [{heading}] has the kind {kind!r:.40}: choose from {', '.join(get_args(Kind))}.")
    if (kind == "choice") != bool(choices):
        raise UserError(
            f"{file}: [{heading}] of kind {kind} {'needs' if kind == 'choice' else 'takes no'} choices: "
            "`choices: [YES, NO]` belongs to a choice."
        )
    if not isinstance(choices, list) or not all(isinstance(c, str) and _CHOICE.fullmatch(c) for c in choices):
        raise UserError(
            f"{file}: the choices of [{heading}] must be a list of a few plain words each, those that YAML reads as "
            'true or false in quotes: ["YES", "NO"].'
        )
    if kind == "choice" and len({" ".join(choice.lower().split()) for choice in choices}) < max(2, len(choices)):
        raise UserError(f"{file}: [{heading}] needs two choices or more, no two of them alike.")
    return Ending(heading, kind, tuple(choices))


def _check_fills(file: Path, data: dict[str, Any]) -> None:
    """The prompts use each fill that the file names, and no others."""
    declared = data.get("fills") or {}
    if not isinstance(declared, dict) or not all(isinstance(v, str) for v in declared.values()):
        raise UserError(
            f"{file}: fills must say of each name what it is, as `fills: {{class_name: name of the class}}`."
        )
    for name in declared:
        if not isinstance(name, str) or not _FILL.fullmatch(f"{{{name}}}") or name == _REPLY_FORMAT:
            raise UserError(f"{file}: {name!r} cannot name a fill: use small letters, digits and underscores.")
    used = set(_FILL.findall(data["prompt"]))
    if _REPLY_FORMAT not in used:
        raise UserError(f"{file}: the prompt lacks {{reply_format}}, the form of replies: put it on a line of its own.")
    for name in declared:
        if name not in used:
            raise UserError(f"{file}: the prompt lacks the fill {{{name}}}: use it there, or drop it from fills.")
    for key, allowed in (("prompt", {*declared, _REPLY_FORMAT}), ("last_turn", set(declared))):
        for name in _FILL.findall(data[key]):
            if name not in allowed:
                raise UserError(
                    f"{file}: {{{name}}} in {key} is no fill: name it under fills, or write it without braces."
                )


def _check_shown(file: Path, data: dict[str, Any]) -> None:
    """What is wanted at the end is said where it is asked for."""
    for key in ("prompt", "last_turn"):
        for ending in data["endings"]:
            if f"[{ending.heading}" not in data[key]:
                raise UserError(f"{file}: {key} does not show [{ending.heading}]: say there how the answer has to end.")


def _check_guards(file: Path, guards: Any) -> None:
    from .guards import GUARDS  # which reads replies, which know endings

    if guards is None:
        return
    if not isinstance(guards, list) or not all(guard in GUARDS for guard in guards):
        raise UserError(f"{file}: guards must be a list of names: choose from {', '.join(GUARDS)}, or [] for none.")


def _values(task: str, declared: Mapping[str, str], given: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The given fills in the order of the task's file. Raises UserError."""
    for name in given:
        if name not in declared:
            which = f"choose from {', '.join(declared)}" if declared else "it takes none, leave --fill away"
            raise UserError(f"the task {task} has no fill {name!r}: {which}.")
    for name, what in declared.items():
        if name not in given:
            raise UserError(f"the task {task} needs {name}, the {what}: give --fill {name}=value, or name=a,b,c.")
    found = {name: _several(given[name]) for name in declared}
    for name, values in found.items():
        if not values or not all(isinstance(v, str) and v.strip() and v.isprintable() for v in values):
            raise UserError(f"the fill {name} has an empty value, or one of several lines: give --fill {name}=a,b,c.")
        if len(set(values)) < len(values):
            raise UserError(f"the fill {name} names something twice ({', '.join(values)}): name each once.")
    return found


def _several(value: Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
