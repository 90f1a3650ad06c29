"""How well replies could be used, as tables for the report: what was refused, remarked or had to be mended."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .guards import LET_PASS, REFUSED, REMARKED, guard_counts
from .report_data import UnitRun
from .transcript import NOT_RUN, Conclusion, Experiment, Notice

REPLY_COLUMNS = ("What happened", "Times", "Units")
GUARD_COLUMNS = ("Guard", "Refused", "Remarked", "Let pass", "Units")


@dataclass(frozen=True)
class ReplyTables:
    """replies: how many there were. rows of text, a cell for each column. guards: those that found something.
    watched: names of the guards that were on."""

    replies: int
    rows: Sequence[tuple[str, ...]]
    guards: Sequence[tuple[str, ...]]
    watched: str


def reply_tables(units: Sequence[UnitRun], config: Mapping[str, Any]) -> ReplyTables:
    """Counts over the run's transcripts. config: run.json."""
    times: Counter[str] = Counter()
    in_units: Counter[str] = Counter()
    guards: Counter[tuple[str, str]] = Counter()
    guard_units: Counter[str] = Counter()
    for unit in units:
        seen = Counter(name for record in unit.records if (name := _what(record)))
        times += seen
        in_units += Counter(dict.fromkeys(seen, 1))
        found = guard_counts(unit.records)
        guards += found
        guard_units += Counter({name: 1 for name, _ in found})
    rows = [(name, f"{times[name]:,}", f"{in_units[name]:,}") for name in _ORDER if times[name]]
    names = sorted({name for name, _ in guards})
    guard_rows = [
        (name, *(f"{guards[name, what]:,}" for what in (REFUSED, REMARKED, LET_PASS)), f"{guard_units[name]:,}")
        for name in names
    ]
    watched = config.get("guards")
    return ReplyTables(
        sum(unit.turns for unit in units),
        rows,
        guard_rows,
        (", ".join(map(str, watched)) or "none") if isinstance(watched, list) else "not recorded",
    )


_UNREADABLE, _CHECKED, _RAISED, _LIMIT = (
    "Reply without readable sections",
    "Code found wrong before it ran",
    "Code raised an error",
    "Code ran out of time or broke a limit",
)
_LATE, _FORCED, _FAILED = (
    "Code where an answer was asked for",
    "Answer only when the turns were used up",
    "No answer",
)
_ORDER = (_UNREADABLE, _CHECKED, _RAISED, _LIMIT, _LATE, _FORCED, _FAILED)


def _what(record: Any) -> str | None:
    if isinstance(record, Notice):
        return {"unreadable-reply": _UNREADABLE, "code-check": _CHECKED, "code-after-last-turn": _LATE}.get(record.kind)
    if isinstance(record, Experiment):
        return {"ok": None, "error": _RAISED, NOT_RUN: _CHECKED}.get(record.outcome, _LIMIT)
    if isinstance(record, Conclusion):
        return _FORCED if record.forced else None
    return _FAILED if record.type == "failure" else None
