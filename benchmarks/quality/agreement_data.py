"""What is compared: the truths of units with a known one, and what procedures wrote about them."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ...agent.report_data import UnitRun, load_run
from ...agent.trajectories_read import TRUTHS
from ...agent.transcript import Start
from ...models.errors import UserError
from ...models.groundtruth import GroundTruthTarget, ground_truth
from ...models.registry import GROUND_TRUTHS

KINDS = ("single", "or", "conditional")
"""Of truths: a concept (the paper's monosemantic neurons), any of several, one in the presence of another."""

ALL = "all"
"""The group of all units, beside those of KINDS."""

Text = Literal["label", "description"]
"""What of a procedure's answer is judged: the few words that name the concept (as in the paper), or the sentences."""

LEFT_OUT_TRUTH = "its truth is not known"


@dataclass(frozen=True)
class Truth:
    """A ground-truth label, read. kind: one of KINDS. concepts: one, two or more, or (a, b) for "a in the presence of
    b"."""

    kind: str
    concepts: tuple[str, ...]

    @property
    def phrase(self) -> str:
        """As judges read it: "dog, in the presence of leash"."""
        if self.kind == "conditional":
            return f"{self.concepts[0]}, in the presence of {self.concepts[1]}"
        return " OR ".join(self.concepts)


def parse_truth(text: str) -> Truth:
    """The truth that a label states: "stripes", "train OR instrument", "dog|leash" or "dog given leash".

    Raises ValueError where a concept is empty or named twice, or operators are mixed.
    """
    alternatives = [" ".join(part.split()) for part in re.split(r"\s+OR\s+", f" {text} ")]
    condition = [" ".join(part.split()) for part in re.split(r"\||\sgiven\s", f" {text} ")]
    if len(condition) > (1 if len(alternatives) > 1 else 2):
        raise ValueError(f"{text!r} mixes operators: write A, A OR B, or A|B")
    kind, parts = ("conditional", condition) if len(condition) > 1 else ("or", alternatives)
    if not all(parts) or len({part.casefold() for part in parts}) < len(parts):
        raise ValueError(f"{text!r} lacks a concept, or names one twice: write A, A OR B, or A|B")
    return Truth(kind if len(parts) > 1 else "single", tuple(parts))


class Described(NamedTuple):
    """What one procedure has for a unit. truth: None where the procedure does not know it. label: several labels stand
    joined by " OR ". description: sentences; may be empty."""

    truth: str | None
    label: str
    description: str


@dataclass(frozen=True)
class Procedure:
    """One way to describe units. units: in the order of its run or file. left_out: unit or line -> why it is not among
    them. failed: units of a run that ended without a label."""

    name: str
    units: dict[str, Described]
    left_out: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str | None] = field(default_factory=dict)


def read_procedure(path: Path, name: str | None = None, truths: Mapping[str, str] | None = None) -> Procedure:
    """A run directory (`read_descriptions`) or a file of candidates (`read_candidates`). name: the path's if None."""
    return read_descriptions(path, name, truths) if path.is_dir() else read_candidates(path, name)


def read_descriptions(run: Path, name: str | None = None, truths: Mapping[str, str] | None = None) -> Procedure:
    """Labels and descriptions of a run's finished units, read without writing to the run.

    truths: unit -> label of its truth, such as a target's; a unit that is not in it has the truth that RUN/truths.json
    states, else RUN/scores.json, else the suite of ground-truth neurons that it is of; else None. Raises UserError
    where `run` holds no run, or truths.json is damaged.
    """
    stated = {**_truths_of(run), **(truths or {})}
    units: dict[str, Described] = {}
    left_out: dict[str, str] = {}
    failed: dict[str, str | None] = {}
    for unit in load_run(run).units:
        truth = stated.get(unit.name) or (unit.score.truth if unit.score is not None else None) or _suite_truth(unit)
        label = " OR ".join(" ".join(label.split()) for label in unit.labels if label.strip())
        if label:
            units[unit.name] = Described(truth, label, " ".join(getattr(unit.end, "description", "").split()))
        else:
            left_out[unit.name] = "it ended without a label" if unit.status in ("done", "failed") else unit.status
            if unit.status in ("done", "failed"):
                failed[unit.name] = truth
    return Procedure(name or run.resolve().name, units, left_out, failed)


def read_candidates(file: Path, name: str | None = None) -> Procedure:
    """A procedure's answers from a file: people's, MILAN's.

    JSONL (one object a line) or JSON (a list of them, or an object of them by unit): {"unit": "synthetic.or.3",
    "label": "trains and instruments", "description": "…", "truth": "train OR instrument"}. Label or description must be
    there, the truth may be missing. A bad entry costs itself and stands in `left_out` by its number. Raises UserError
    for a file that cannot be read.
    """
    units: dict[str, Described] = {}
    left_out: dict[str, str] = {}
    for number, entry in _entries(file):
        try:
            unit, described = _candidate(entry)
            if unit in units:
                raise ValueError(f"{unit} is there already: the first one counts")
            units[unit] = described
        except ValueError as problem:
            left_out[f"entry {number}"] = str(problem)
    return Procedure(name or file.stem, units, left_out)


def _entries(file: Path) -> Iterator[tuple[int, Any]]:
    """(1-based number, entry), with the exception in the place of a line that is no JSON."""
    try:
        text = file.read_text(encoding="utf-8")
        whole = None if file.suffix == ".jsonl" else json.loads(text)
    except (OSError, ValueError) as problem:
        raise UserError(
            f"{file} cannot be read ({problem}): give a run's directory, or a .json or .jsonl file of descriptions."
        ) from None
    if whole is None:
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                try:
                    yield number, json.loads(line)
                except ValueError as problem:
                    yield number, problem
    elif isinstance(whole, dict):
        yield from enumerate(
            ({**entry, "unit": unit} if isinstance(entry, dict) else entry for unit, entry in whole.items()), 1
        )
    elif isinstance(whole, list):
        yield from enumerate(whole, 1)
    else:
        raise UserError(f"{file} holds neither a list nor an object: write one entry for each unit.")


def _candidate(entry: Any) -> tuple[str, Described]:
    """Raises ValueError that says what is wrong."""
    if isinstance(entry, ValueError):
        raise ValueError(f"no JSON ({entry})")
    if not isinstance(entry, dict):
        raise ValueError("no object")
    texts = {key: entry.get(key) for key in ("unit", "label", "description", "truth")}
    if wrong := [key for key, text in texts.items() if not isinstance(text, str | None)]:
        raise ValueError(f"{wrong[0]} is no text")
    unit, label, description, truth = (" ".join((text or "").split()) for text in texts.values())
    if not unit or not (label or description):
        raise ValueError("no unit" if not unit else f"{unit} has neither label nor description")
    return unit, Described(truth or None, label, description)


@dataclass(frozen=True)
class Pair:
    """A unit that both procedures described. a, b: their texts, which differ."""

    unit: str
    truth: Truth
    a: str
    b: str


@dataclass(frozen=True)
class Pairing:
    """Two procedures side by side. a, b: their names. pairs: to be judged. identical: units with the same text of both,
    which nobody is asked about and which count half. left_out: unit or entry -> why it is not compared."""

    a: str
    b: str
    text: Text
    pairs: tuple[Pair, ...]
    identical: dict[str, Truth]
    left_out: dict[str, str]


def pair_up(a: Procedure, b: Procedure, text: Text = "label") -> Pairing:
    """The units that both described, in a's order. Texts that differ in case and white space only are identical.

    The truth is that of whichever knows it. Raises UserError where the procedures have one name, or no unit is left.
    """
    if a.name == b.name:
        raise UserError(f"both procedures are called {a.name!r}: give them different names (NAME=PATH).")
    left_out = {f"{entry} ({procedure.name})": why for procedure in (a, b) for entry, why in procedure.left_out.items()}
    pairs: list[Pair] = []
    identical: dict[str, Truth] = {}
    for unit in dict.fromkeys([*a.units, *b.units]):
        found = _pair(unit, a, b, text)
        if isinstance(found, str):
            left_out[unit] = found
        elif found.a.casefold() == found.b.casefold():
            identical[unit] = found.truth
        else:
            pairs.append(found)
    if not pairs and not identical:
        reasons = "; ".join(f"{unit}: {why}" for unit, why in list(left_out.items())[:3]) or "neither has any"
        raise UserError(
            f"{a.name} and {b.name} have no unit that can be compared ({reasons}): give runs or files about the same "
            "units, with their truths."
        )
    return Pairing(a.name, b.name, text, tuple(pairs), identical, left_out)


def _pair(unit: str, a: Procedure, b: Procedure, text: Text) -> Pair | str:
    """The pair, or why there is none."""
    if lacking := [procedure.name for procedure in (a, b) if unit not in procedure.units]:
        return f"{lacking[0]} has no description of it"
    of_a, of_b = a.units[unit], b.units[unit]
    texts = [getattr(described, text) for described in (of_a, of_b)]
    if not all(texts):
        return f"{(a, b)[texts.index('')].name} has no {text} of it"
    try:
        truths = [parse_truth(described.truth) for described in (of_a, of_b) if described.truth is not None]
    except ValueError as problem:
        return f"its truth cannot be read: {problem}"
    if not truths:
        return LEFT_OUT_TRUTH
    if truths[0] != truths[-1]:
        return f"its truth is {truths[0].phrase!r} for {a.name}, {truths[-1].phrase!r} for {b.name}"
    return Pair(unit, truths[0], *texts)


def _truths_of(run: Path) -> dict[str, str]:
    file = run / TRUTHS
    if not file.exists():
        return {}
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        data = None
    if not isinstance(data, dict) or not all(isinstance(label, str) for label in data.values()):
        raise UserError(f"{file} must map units to labels: mend or delete it.")
    return data


def _suite_truth(unit: UnitRun) -> str | None:
    """Of the suite's neuron that the unit was; None for other targets, and for another version of the suite."""
    start = unit.start
    if not isinstance(start, Start) or start.target not in GROUND_TRUTHS:
        return None
    suite = _suite(start.target)
    neurons = suite.neurons.get(start.layer, ())
    same = start.settings.get("target_fingerprint", suite.fingerprint) == suite.fingerprint
    return neurons[start.index].truth if same and 0 <= start.index < len(neurons) else None


@cache
def _suite(name: str) -> GroundTruthTarget:
    class Nothing:
        def rendering_of(self, image: object) -> None:
            """No pictures are shown to it."""

    return ground_truth(name, Nothing())
