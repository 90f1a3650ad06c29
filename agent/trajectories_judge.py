"""Rejection: which trajectories are worth imitating, and which of their replies."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..models.errors import ExperimentError
from ..models.groundtruth_labels import parse_label, same_truth
from ..models.groundtruth_neuron import GroundTruthNeuron
from ..models.groundtruth_split import Split, contaminates
from ..models.testbed.scene import Concept
from ..models.testbed.vocabulary import BACKGROUNDS, FAMILIES, GROUPS, NOUNS
from .experiment import LAST, REFUSED_ANSWER
from .guards import find_in_conclusion, find_in_experiment
from .replies import ParsedReply, parse_reply
from .tasks import DESCRIPTION
from .trajectories_read import Trajectory
from .transcript import Conclusion, Experiment, Failure, Notice, Reply

DAMAGED, UNFINISHED, FAILED, TASK = "damaged", "unfinished", "failed", "another task"
WRONG, UNSCORED, LOW = "wrong label", "no score", "low score"
UNSOUND, HELD_OUT, NOTHING = "unsound conclusion", "held-out concept", "nothing to learn"
"""Why a trajectory is rejected."""


@dataclass(frozen=True)
class Rules:
    """min_score: of a label whose truth is not known; None: such are kept without a score. guards: those that a reply
    has to pass. split: concepts that no truth and no label may have; None: all may."""

    min_score: float | None
    guards: Collection[str]
    split: Split | None


@dataclass(frozen=True)
class Rejection:
    """reason: one of those above. detail: of this trajectory."""

    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Kept:
    """A trajectory to imitate. label: of its conclusion, several joined by " OR ". learn: turns to imitate. findings:
    guards that found something in a turn's reply. answer: what it says of the unit, as a neuron; None where the label
    is not of the grammar."""

    trajectory: Trajectory
    label: str
    learn: frozenset[int]
    findings: Mapping[int, tuple[str, ...]]
    answer: GroundTruthNeuron | None

    @property
    def neuron(self) -> str:
        """What trajectories of the same neuron have in common: the truth, where it is known."""
        if self.trajectory.truth is None:
            return f"unit {self.trajectory.unit}"
        return truth_key(self.trajectory.truth)

    @property
    def kind(self) -> str:
        """Of the truth; "other" where it is not known."""
        return self.trajectory.truth.kind if self.trajectory.truth is not None else "other"


def truth_key(neuron: GroundTruthNeuron) -> str:
    """The same for the same truth: an OR has no order."""
    words = sorted(map(str, neuron.concepts)) if neuron.kind == "or" else map(str, neuron.concepts)
    return f"{neuron.kind} {' | '.join(words)}"


def judge(trajectory: Trajectory, rules: Rules) -> Kept | Rejection:
    """Whether the trajectory is kept, and which of its turns are imitated."""
    if trajectory.damage:
        return Rejection(DAMAGED, trajectory.damage)
    start, end = trajectory.start, trajectory.records[-1] if trajectory.records else None
    if isinstance(end, Failure):
        return Rejection(FAILED, end.reason)
    if start is None or not isinstance(end, Conclusion):
        return Rejection(UNFINISHED)
    if start.task != DESCRIPTION:  # the only one whose truth and scores say which are worth it
        return Rejection(TASK, start.task)
    label = " OR ".join(end.labels)
    rejection = _untrue(trajectory, label, rules.min_score) or _held_out(trajectory, label, rules.split)
    if rejection is not None:
        return rejection
    findings = reply_findings(trajectory, rules.guards)
    if any(remark.kind == REFUSED_ANSWER for remark in end.remarks) or findings.get(end.turn):
        return Rejection(UNSOUND, ", ".join(findings.get(end.turn, ())) or REFUSED_ANSWER)
    faulty = faulty_turns(trajectory) | set(findings) | trajectory.untrained
    learn = {record.turn for record in trajectory.records if isinstance(record, Reply)} - faulty
    if not learn:
        return Rejection(NOTHING)
    return Kept(trajectory, label, frozenset(learn), findings, parse_label(label))


def _untrue(trajectory: Trajectory, label: str, min_score: float | None) -> Rejection | None:
    truth = trajectory.truth
    if truth is not None:
        return None if same_truth(label, truth) else Rejection(WRONG, f"{label!r}, not {truth.truth!r}")
    if min_score is None:
        return None
    if trajectory.score is None:
        return Rejection(UNSCORED)
    return None if trajectory.score >= min_score else Rejection(LOW, f"{trajectory.score:.3g}")


def _held_out(trajectory: Trajectory, label: str, split: Split | None) -> Rejection | None:
    """A held-out concept in the truth or in the label. Of a label that is not of the grammar every word counts."""
    if split is None:
        return None
    concepts = list(trajectory.truth.concepts) if trajectory.truth is not None else []
    found = [c for c in [*concepts, *label_concepts(label)] if any(contaminates(c, held) for held in split.test)]
    return Rejection(HELD_OUT, ", ".join(dict.fromkeys(map(str, found)))) if found else None


def label_concepts(label: str) -> list[Concept]:
    """The concepts that a label states, or else those whose words it contains."""
    stated = parse_label(label)
    return list(stated.concepts) if stated is not None else named_concepts(label)


def named_concepts(text: str) -> list[Concept]:
    """Concepts whose words stand in a text: canonical words, plurals, groups and synonyms."""
    return list(dict.fromkeys(_CONCEPTS[match.group(1).lower()] for match in _WORDS.finditer(text)))


def _spellings() -> dict[str, Concept]:
    known: dict[str, Concept] = {}
    for name, background in BACKGROUNDS.items():
        known |= {word: Concept("background", name) for word in background.synonyms}
    for name, noun in NOUNS.items():
        known |= {word: Concept("noun", name) for word in (noun.plural, *noun.synonyms)}
    for name, (family, _) in GROUPS.items():
        known |= {word: Concept(family, name) for word in (name, f"{name}s")}
    for family, values in FAMILIES.items():
        known |= {value: Concept(family, value) for value in values}
    return known


_CONCEPTS = _spellings()
# Longest first: "diagonally striped" is no "striped".
_WORDS = re.compile(rf"\b({'|'.join(map(re.escape, sorted(_CONCEPTS, key=len, reverse=True)))})\b", re.IGNORECASE)


def faulty_turns(trajectory: Trajectory) -> set[int]:
    """Turns whose reply was not acted upon, or whose code failed."""
    faulty: set[int] = set()
    for record in trajectory.records:
        if isinstance(record, Notice):
            if record.kind != LAST:  # that one speaks of no reply
                faulty.add(record.turn)
        elif isinstance(record, Experiment) and record.outcome != "ok":
            faulty.add(record.turn)
    return faulty


def reply_findings(trajectory: Trajectory, guards: Collection[str]) -> dict[int, tuple[str, ...]]:
    """Turns of replies in which these guards find something, with the guards' names, whether or not they watched then,
    and however often they had refused."""
    found: dict[int, tuple[str, ...]] = {}
    for place, record in enumerate(trajectory.records):
        if isinstance(record, Reply):
            names = _guards_of(trajectory.records[: place + 1], record, guards)
            if names:
                found[record.turn] = names
    return found


def _guards_of(records: Sequence[object], reply: Reply, guards: Collection[str]) -> tuple[str, ...]:
    try:
        parsed: ParsedReply = parse_reply(reply.text)
    except ExperimentError:
        return ()  # unreadable: a notice says so
    find = find_in_conclusion if parsed.code is None else find_in_experiment
    return tuple(finding.guard for finding in find(records, parsed) if finding.guard in guards)  # type: ignore[arg-type]
