"""Run directories as trajectories: each unit's records, with what is known of the unit and of its replies."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ..models.errors import UserError
from ..models.groundtruth import GROUND_TRUTH, GroundTruthTarget
from ..models.groundtruth_labels import parse_label
from ..models.groundtruth_neuron import GroundTruthNeuron
from .report_data import UnitRun, load_run, load_unit
from .transcript import ImageStore, Record, Start

TRUTHS = "truths.json"
"""Optional file of a run: {unit: label}, the truths of units that the fixed suite does not hold."""
UNTRAINED = "untrained_turns.json"
"""Optional file of a run: {unit: [turns]}, replies that are not to be imitated, such as mistakes made on purpose."""
DESCRIBED = "described.json"
"""Optional file of a run: {picture's id: what there is to say of it}, of which an observer can learn."""


@dataclass(frozen=True)
class Trajectory:
    """One unit of one run. name: of the trajectory, no other has it. truth: None where it is not known. score: of the
    label on new images (`MethodScore.score`), None where there is none. untrained: turns that are not to be imitated.
    damage: why the records cannot be relied upon, "" if they can."""

    name: str
    run: str
    unit: str
    records: Sequence[Record]
    images: ImageStore
    truth: GroundTruthNeuron | None = None
    score: float | None = None
    untrained: frozenset[int] = field(default_factory=frozenset)
    damage: str = ""

    @property
    def start(self) -> Start | None:
        """The first record, if it is what it should be."""
        first = self.records[0] if self.records else None
        return first if isinstance(first, Start) else None


def read_runs(runs: Sequence[Path]) -> Iterator[Trajectory]:
    """Every unit of every run, in order. What is damaged comes with `damage` set.

    Raises UserError for a directory that holds no run, or whose own files of truths or turns are damaged: they speak of
    all units.
    """
    if len({run.resolve() for run in runs}) < len(runs):
        raise UserError("a run directory is named twice: name each one once.")
    for number, run in enumerate(runs):
        units = _units(run)
        truths, untrained = _truths(run / TRUTHS), _untrained(run / UNTRAINED)
        images = ImageStore(run / "images")
        for unit in units:
            yield _trajectory(f"{number}-{run.resolve().name}", unit, images, truths, untrained)


def _units(run: Path) -> list[UnitRun]:
    """Of a run, or of a directory that holds nothing of one but units, as demonstrations do. Raises UserError for what
    is neither."""
    found = sorted(run.glob("units/*/transcript.jsonl"))
    if (run / "run.json").is_file() or not found:
        return load_run(run).units
    return [load_unit(None, path.parent) for path in found]


def _trajectory(
    run: str, unit: UnitRun, images: ImageStore, truths: dict[str, str], untrained: dict[str, frozenset[int]]
) -> Trajectory:
    damage = "; ".join(unit.problems)
    truth = None
    if unit.name in truths:
        truth = parse_label(truths[unit.name])
        if truth is None:
            damage = damage or f"{TRUTHS} gives it the truth {truths[unit.name]!r}, which is no label of the grammar"
    elif unit.start is not None and unit.start.target == GROUND_TRUTH:
        truth, problem = _suite_truth(unit.start)
        damage = damage or problem
    if unit.records and not isinstance(unit.records[0], Start):
        damage = damage or "its transcript does not begin with a start record"
    agent = unit.score.methods.get("agent") if unit.score is not None else None
    score = agent.score if agent is not None else None
    skipped = untrained.get(unit.name, frozenset())
    return Trajectory(f"{run}/{unit.name}", run, unit.name, unit.records, images, truth, score, skipped, damage)


def _suite_truth(start: Start) -> tuple[GroundTruthNeuron | None, str]:
    """The suite's neuron that the unit was, or what speaks against it."""
    suite = _suite()
    fingerprint = start.settings.get("target_fingerprint", suite.fingerprint)
    neurons = suite.neurons.get(start.layer, ())
    if fingerprint != suite.fingerprint or not 0 <= start.index < len(neurons):
        return None, "it is a ground-truth neuron of another version of the suite, and no truths.json tells its truth"
    return neurons[start.index], ""


@cache
def _suite() -> GroundTruthTarget:
    class Nothing:
        def rendering_of(self, image: object) -> None:
            """No pictures are shown to it."""

    return GroundTruthTarget(Nothing())


def _truths(file: Path) -> dict[str, str]:
    data = read_object(file)
    if not all(isinstance(label, str) for label in data.values()):
        raise UserError(f"{file} must map units to labels: mend or delete it.")
    return {unit: str(label) for unit, label in data.items()}


def _untrained(file: Path) -> dict[str, frozenset[int]]:
    data = read_object(file)
    if not all(isinstance(turns, list) and all(type(turn) is int for turn in turns) for turns in data.values()):
        raise UserError(f"{file} must map units to lists of turns: mend or delete it.")
    return {unit: frozenset(turns) for unit, turns in data.items() if isinstance(turns, list)}


def read_object(file: Path) -> dict[str, object]:
    """The JSON object in a run's optional file, {} where there is none. Raises UserError for anything else."""
    if not file.exists():
        return {}
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({error}): mend or delete it.") from None
    if not isinstance(data, dict):
        raise UserError(f"{file} holds no JSON object: mend or delete it.")
    return data
