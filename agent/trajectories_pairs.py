"""Pairs for preference tuning: two replies to the same prompt, one better than the other.

Rules, by source:

repair: within a kept trajectory, a reply whose code failed, was refused or could not be read, followed at once by one
whose experiment ran and is imitated. Rejected is the first. Chosen is what should have stood in its place: the first
reply with its code replaced by the repaired code, so that nothing speaks of an error that was not made yet; where the
first reply could not be read, or a guard found something in it, the repaired reply's hypotheses and code in the form.

fault: two trajectories of the same unit, one kept, with the same dialogue up to a reply. Chosen is the kept one's,
which is imitated; rejected the other's, which is at fault itself: refused, failed, or a conclusion that is wrong.

outcome: the same, where the other's reply is an experiment that ran, and its trajectory ended in a wrong label or none.
Such a reply need not be the worse one; so these pairs are only made on request.
"""

import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from ..models.errors import ExperimentError
from .replies import ParsedReply, parse_reply
from .trajectories_judge import FAILED, WRONG, Kept, Rejection, faulty_turns
from .trajectories_read import Trajectory
from .transcript import Conclusion, Experiment, Record, Reply

REPAIR, FAULT, OUTCOME = "repair", "fault", "outcome"


@dataclass(frozen=True)
class Pair:
    """kept: whose prompt it is. replies_before: how many replies the prompt holds."""

    kept: Kept
    replies_before: int
    chosen: str
    rejected: str
    source: str


def repairs(kept: Kept) -> Iterator[Pair]:
    """Pairs of a kept trajectory's failed replies and their repairs."""
    trajectory = kept.trajectory
    replies = [record for record in trajectory.records if isinstance(record, Reply)]
    ran = {r.turn: r for r in trajectory.records if isinstance(r, Experiment) and r.outcome == "ok"}
    faulty = faulty_turns(trajectory)
    for number, (failed, mended) in enumerate(itertools.pairwise(replies)):
        if failed.turn in faulty and mended.turn in kept.learn and mended.turn in ran:
            chosen = _in_place(failed.text, mended.text, failed.turn in kept.findings)
            if chosen is not None and chosen != failed.text:
                yield Pair(kept, number, chosen, failed.text, REPAIR)


def _in_place(failed: str, mended: str, at_fault: bool) -> str | None:
    """The repaired code in the place of the failed reply's."""
    try:
        repaired = parse_reply(mended)
    except ExperimentError:
        return None
    if repaired.code is None:
        return None
    try:
        parsed = parse_reply(failed)
    except ExperimentError:
        parsed = ParsedReply()
    code = (parsed.code or "").strip("\n")
    if not at_fault and code and failed.count(code) == 1:
        return failed.replace(code, repaired.code.strip("\n"))
    hypotheses = repaired.hypotheses if at_fault or not parsed.hypotheses else parsed.hypotheses
    return f"[HYPOTHESIS LIST]:\n{hypotheses}\n[CODE]:\n```python\n{repaired.code.strip(chr(10))}\n```\n"


def contrasts(kept: Sequence[Kept], rejected: Sequence[tuple[Trajectory, Rejection]], outcomes: bool) -> Iterator[Pair]:
    """Pairs of a kept trajectory and a rejected one of the same unit, whose dialogues part at a reply."""
    by_unit: dict[tuple[str, str], list[Trajectory]] = {}
    for trajectory, rejection in rejected:
        if rejection.reason in (WRONG, FAILED) and trajectory.start is not None:
            by_unit.setdefault(_same(trajectory), []).append(trajectory)
    for entry in kept:
        for other in by_unit.get(_same(entry.trajectory), []):
            pair = _parting(entry, other, outcomes)
            if pair is not None:
                yield pair


def _same(trajectory: Trajectory) -> tuple[str, str]:
    truth = trajectory.truth.truth if trajectory.truth is not None else ""
    return trajectory.unit, truth


def _parting(kept: Kept, other: Trajectory, outcomes: bool) -> Pair | None:
    """The pair at the first reply in which they differ, if all before it is the same and the rule holds."""
    better, worse = _steps(kept.trajectory), _steps(other)
    for number, ((before, mine), (their_before, theirs)) in enumerate(zip(better, worse, strict=False)):
        if before != their_before:
            return None
        if mine.text == theirs.text:
            continue
        last = other.records[-1]
        concluded = isinstance(last, Conclusion) and last.turn == theirs.turn
        fault = concluded or theirs.turn in faulty_turns(other)
        if mine.turn not in kept.learn or not (fault or outcomes):
            return None
        return Pair(kept, number, mine.text, theirs.text, FAULT if fault else OUTCOME)
    return None


def _steps(trajectory: Trajectory) -> list[tuple[str, Reply]]:
    """Each reply with a digest of the records between the one before and it: what was shown in between."""
    steps: list[tuple[str, Reply]] = []
    between: list[Record] = []
    for record in trajectory.records:
        if isinstance(record, Reply):
            steps.append((_digest(between), record))
            between = []
        else:
            between.append(record)
    return steps


def _digest(records: Sequence[Record]) -> str:
    """Of all that the prompt is made from: a start's seed and settings are not shown."""
    shown = [{k: v for k, v in asdict(record).items() if k not in _UNSHOWN} for record in records]
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()


_UNSHOWN = ("unit", "target", "layer", "index", "backbone", "task", "seed", "turns", "settings", "activation_threshold")
