"""Failures of a backbone, counted from finished transcripts: the guards' own code applied to every reply, whether the
guards were on or off when it was given, and what the loop noted of replies that it could not use."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...agent.guards import GUARDS, find_in_conclusion, find_in_experiment
from ...agent.replies import parse_reply
from ...agent.tasks import endings_of
from ...agent.transcript import NOT_RUN, Conclusion, Experiment, Notice, Record, Reply, Start
from ...models.errors import ExperimentError
from .testbed_study import wilson

UNREADABLE, CODE_CHECK, RUNTIME, AFTER_LAST, FORCED = FORMAT_MODES = (
    "unreadable-reply",
    "code-check",
    "runtime-error",
    "code-after-last-turn",
    "forced-conclusion",
)
MODES: tuple[str, ...] = (*GUARDS, *FORMAT_MODES)


@dataclass(frozen=True)
class Failing:
    """One failure of one reply. acted: whether the loop went on with it (ran the code, took the conclusion)."""

    turn: int
    mode: str
    acted: bool


@dataclass
class UnitFailures:
    """All failures of one unit. replies: that it took. finished: it has a conclusion. found: its truth was found (None
    where there is no truth)."""

    replies: int
    finished: bool
    failures: list[Failing] = field(default_factory=list)
    found: bool | None = None


def failures_of(records: Sequence[Record], found: bool | None = None) -> UnitFailures:
    """Everything that went wrong in a unit's transcript.

    Guards' findings are looked for anew in every reply that can be read. They count as acted upon if the reply's turn
    has an Experiment that was run or the Conclusion. Of the format: a reply that could not be read, code that a check
    found wrong before it ran, code that raised an error or ran into a limit, code after the last turn, and a conclusion
    that was only given when it was asked for.
    """
    acted = {
        record.turn
        for record in records
        if isinstance(record, Conclusion) or (isinstance(record, Experiment) and record.outcome != NOT_RUN)
    }
    unit = UnitFailures(
        replies=sum(isinstance(record, Reply) for record in records),
        finished=any(isinstance(record, Conclusion) for record in records),
        found=found,
    )
    for place, record in enumerate(records):
        if isinstance(record, Reply):
            modes = _guarded(records[: place + 1])
            unit.failures += [Failing(record.turn, mode, record.turn in acted) for mode in modes]
        elif isinstance(record, Notice) and record.kind in FORMAT_MODES:
            unit.failures.append(Failing(record.turn, record.kind, False))
        elif isinstance(record, Experiment) and record.outcome != "ok":
            # Code that was found wrong twice in a row counts as an experiment, though it never ran.
            ran = record.outcome != NOT_RUN
            unit.failures.append(Failing(record.turn, RUNTIME if ran else CODE_CHECK, ran))
        elif isinstance(record, Conclusion) and record.forced:
            unit.failures.append(Failing(record.turn, FORCED, True))
    return unit


def _guarded(records: Sequence[Record]) -> list[str]:
    """Names of the guards that find something in the last reply, each once."""
    reply = records[-1]
    assert isinstance(reply, Reply)
    start = records[0] if isinstance(records[0], Start) else None
    try:
        parsed = parse_reply(reply.text, endings_of(start))
    except ExperimentError:
        return []
    if parsed.code is None:
        return list(dict.fromkeys(finding.guard for finding in find_in_conclusion(records, parsed)))
    if any(isinstance(record, Notice) and record.kind == "last-turn" for record in records):
        return []  # code that nobody would have run
    return list(dict.fromkeys(finding.guard for finding in find_in_experiment(records, parsed)))


def proportion(count: int, of: int) -> dict[str, Any]:
    """count of `of` with its rate and 95 % Wilson interval; no rate where there is nothing to count in."""
    return {"count": count, "of": of, "rate": count / of if of else None, "interval": list(wilson(count, of))}


def summary(units: Iterable[UnitFailures]) -> dict[str, Any]:
    """Rates over all units. modes: for each of MODES the replies that showed it ("shown"), those in which it stands
    ("stands", of all replies), and the units in which it stands at least once ("units").

    It stands where the reply was acted upon. What cannot be acted upon (a reply that cannot be read, code that a check
    stopped, code after the last turn) stands wherever it occurred: the reply was lost.
    """
    listed = list(units)
    replies = sum(unit.replies for unit in listed)
    shown: Counter[str] = Counter()
    stands: Counter[str] = Counter()
    in_units: Counter[str] = Counter()
    for unit in listed:
        counted = {(one.turn, one.mode) for one in unit.failures}
        standing = {(one.turn, one.mode) for one in unit.failures if one.acted or one.mode in FORMAT_MODES}
        shown.update(mode for _, mode in counted)
        stands.update(mode for _, mode in standing)
        in_units.update({mode for _, mode in standing})
    judged = [unit.found for unit in listed if unit.found is not None]
    return {
        "units": len(listed),
        "replies": replies,
        "finished": proportion(sum(unit.finished for unit in listed), len(listed)),
        "truth found": proportion(sum(judged), len(judged)),
        "modes": {
            mode: {
                "shown": proportion(shown[mode], replies),
                "stands": proportion(stands[mode], replies),
                "units": proportion(in_units[mode], len(listed)),
            }
            for mode in MODES
        },
    }
