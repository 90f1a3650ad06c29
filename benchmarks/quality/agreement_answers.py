"""Answer files of people: checked against the key, damaged and foreign ones named, and un-blinded into verdicts."""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ...models.errors import UserError
from .agreement import Panel, Verdict
from .agreement_form import FORMAT, LONGEST_NAME, Key

PEOPLE = "people"
"""Name of the panel."""


@dataclass(frozen=True)
class Answer:
    """One choice. left: which of the trial's texts stood first; chosen: which was taken; both 0 or 1."""

    trial: str
    repeat: bool
    left: int
    chosen: int


@dataclass
class Sheet:
    """A file's answers. judge: the name as it was given, in lower case: one person has one. asked: how many questions
    the judge had. problems: of single answers."""

    file: str
    judge: str
    asked: int
    answers: list[Answer] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


class Foreign(ValueError):
    """An answer file of another form."""


_T = TypeVar("_T", bound="HasFile")


class HasFile(Protocol):
    """What was read of a file."""

    @property
    def file(self) -> str:
        """Its name."""
        ...


def one_each(
    files: Sequence[Path], read: Callable[[Path], _T], who: Callable[[_T], tuple[str, int]], one: str, many: str
) -> tuple[dict[str, _T], dict[str, str], dict[str, Any]]:
    """(what was read, by who answered; file -> what cost it; facts: files, damaged, foreign, duplicate).

    read: raises Foreign, ValueError or OSError. who: name and number of answers; of two files of one name the one with
    more answers counts, the first of equals. one, many: what messages call who answers. Raises UserError where no file
    can be used.
    """
    problems: dict[str, str] = {}
    facts: dict[str, Any] = {"files": len(files), "damaged": [], "foreign": [], "duplicate": []}
    kept: dict[str, _T] = {}
    for file in files:
        try:
            found = read(file)
        except (OSError, ValueError, RecursionError) as problem:
            facts["foreign" if isinstance(problem, Foreign) else "damaged"].append(str(file))
            problems[str(file)] = str(problem) or type(problem).__name__
            continue
        name, count = who(found)
        other = kept.get(name)
        if other is not None:
            loser, winner = (other, found) if count > who(other)[1] else (found, other)
            facts["duplicate"].append(loser.file)
            problems[loser.file] = f"{winner.file} has answers of the same {one}, and no fewer"
            found = winner
        kept[name] = found
    if not kept:
        reasons = "; ".join(f"{file}: {why}" for file, why in list(problems.items())[:3]) or "no file was given"
        raise UserError(f"no file holds answers to this form ({reasons}): give the files that {many} downloaded.")
    return kept, problems, facts


def read_answers(files: Sequence[Path], key: Key, name: str = PEOPLE) -> Panel:
    """The judges' verdicts on the key's pairs.

    A file that is damaged, belongs to another form, or repeats a judge's name (the one with more answers counts, the
    first of equals) is left out and named in `problems`; so is a single answer that is damaged, unknown or given twice.
    Unfinished files count for what they hold. A judge's verdict on a pair is the mean of its answers: choosing
    differently once the sides are swapped is a tie.

    facts: files, damaged, foreign, duplicate (lists of file names), unfinished (judge -> "12 of 40"), judges_wanted.
    Raises UserError where no file can be used.
    """
    kept, problems, facts = one_each(
        files, lambda file: read_sheet(file, key), lambda sheet: (sheet.judge, len(sheet.answers)), "judge", "judges"
    )
    for sheet in kept.values():
        problems |= {f"{sheet.file}, {answer}": why for answer, why in sheet.problems.items()}
    facts["unfinished"] = {
        sheet.judge: f"{len(sheet.answers)} of {sheet.asked}"
        for sheet in kept.values()
        if len(sheet.answers) < sheet.asked
    }
    facts["judges_wanted"] = key.judges
    answers = [answer for sheet in kept.values() for answer in sheet.answers]
    first = sum(answer.chosen == answer.left for answer in answers)
    verdicts = [verdict for sheet in kept.values() for verdict in verdicts_of(sheet, key)]
    return Panel(name, "people", verdicts, (first, len(answers)), problems, facts)


def read_sheet(file: Path, key: Key) -> Sheet:
    """One file's answers to the key's form. Raises Foreign for another form's, else ValueError or OSError that says
    what is wrong with the file."""
    data = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(data, dict) or data.get("format") != FORMAT or not isinstance(data.get("form"), str):
        raise ValueError("it is no answer file")
    if data["form"] != key.form:
        raise Foreign(f"it answers another form ({data['form'][:8]}, not {key.form[:8]})")
    judge, answers = data.get("judge"), data.get("answers")
    if not isinstance(judge, str) or not 0 < len(judge.strip()) <= LONGEST_NAME:
        raise ValueError("it names no judge")
    if not isinstance(answers, list):
        raise ValueError("it has no list of answers")
    sheet = Sheet(str(file), " ".join(judge.split()).lower(), len(key.trials) + key.repeats)
    trials = {trial.id for trial in key.trials}
    seen: set[tuple[str, bool]] = set()
    for number, entry in enumerate(answers, 1):
        try:
            answer = _answer(entry)
            if answer.trial not in trials:
                raise ValueError(f"the form has no trial {answer.trial[:20]!r}")
            if (answer.trial, answer.repeat) in seen:
                raise ValueError(f"{answer.trial} is answered already")
        except ValueError as problem:
            sheet.problems[f"answer {number}"] = str(problem)
        else:
            seen.add((answer.trial, answer.repeat))
            sheet.answers.append(answer)
    return sheet


def _answer(entry: Any) -> Answer:
    """Raises ValueError that says what is wrong."""
    if not isinstance(entry, dict):
        raise ValueError("it is no object")
    trial, repeat, left, chosen = (entry.get(name) for name in ("trial", "repeat", "left", "chosen"))
    if not isinstance(trial, str) or not isinstance(repeat, bool):
        raise ValueError("it names no trial")
    for side in (left, chosen):
        if type(side) is not int or side not in (0, 1):
            raise ValueError("it names neither of the two texts")
    return Answer(trial, repeat, int(left or 0), int(chosen or 0))


def verdicts_of(sheet: Sheet, key: Key) -> list[Verdict]:
    """A judge's verdicts, in the form's order."""
    choices: defaultdict[str, list[int]] = defaultdict(list)
    for answer in sheet.answers:
        choices[answer.trial].append(answer.chosen)
    verdicts = []
    for trial in key.trials:
        if values := [float(chosen == trial.a) for chosen in choices[trial.id]]:
            same = len(set(values)) == 1 if len(values) > 1 else None
            verdicts.append(Verdict(sheet.judge, trial.pair.unit, sum(values) / len(values), same))
    return verdicts
