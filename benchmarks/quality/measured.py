"""The one record that tables of an evaluation are made of: a label, a unit, and what the label predicted."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...models.errors import UserError, first_line

RESULTS = "evaluation.json"
"""What an evaluation's directory holds beside its tables."""
NAMED = 8
"""Units that a note names before it only counts."""


@dataclass(frozen=True)
class Measured:
    """How well one method's label predicted one unit, by the protocol of the paper's section 4 (figure 3).

    Activations are in the unit's own scale (raw), float64. ``positive`` and ``neutral`` are means over the images of
    the seven prompts that a selector, given the label alone, called the most and the least likely to activate the unit.
    ``asdict`` of an instance is JSON; ``evaluation.json`` holds a list of them under "measured".
    """

    unit: str
    """The unit's full name, "resnet152.layer4.122": ``str(Unit)``."""
    target: str
    layer: str
    index: int
    method: str
    """"agent", "exemplar-majority", "clip-dissect", "milan", "human", "random"; ablations: "agent: exemplars only"."""
    seed: int
    """The seed of the run that made the label."""
    label: str
    positive: float
    neutral: float
    p50: float
    p95: float
    """Percentiles of the unit's activations over the dataset, of the same scale as ``positive`` and ``neutral``."""
    truth_found: bool | None = None
    """Exact match with the ground truth where there is one, else None."""
    kind: str = ""
    """"single", "or", "conditional" for a unit of known truth, else ""."""

    @property
    def difference(self) -> float:
        """``positive - neutral``, raw: what the label separates."""
        return self.positive - self.neutral


@dataclass(frozen=True)
class Evaluation:
    """What evaluation.json holds. notes: what was left out of it and why, and entries of it that cannot be read."""

    measured: tuple[Measured, ...]
    facts: dict[str, Any]
    notes: tuple[str, ...] = ()


def read_evaluation(folder: Path) -> Evaluation:
    """The evaluation.json of a directory. A damaged entry costs that entry and is named.

    Raises UserError where the file is missing, is no such file, or holds no measurement that can be read.
    """
    path = folder / RESULTS
    remedy = "give the directory that `maia evaluate` wrote, or run it again"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        entries, facts = data["measured"], data.get("facts", {})
        if not isinstance(entries, list) or not isinstance(facts, dict):
            raise ValueError("it holds no list of measurements")
        notes = list(_notes(data))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: {remedy}.") from None
    except KeyError as problem:
        raise UserError(f"{path} is damaged (it has no {problem}): {remedy}.") from None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as problem:
        raise UserError(f"{path} is damaged ({first_line(problem)}): {remedy}.") from None
    measured = []
    for number, entry in enumerate(entries):
        try:
            measured.append(_from_json(entry))
        except ValueError as problem:
            notes.append(f"Entry {number} of {RESULTS} is left out: {problem}.")
    if not measured:
        raise UserError(f"{path} holds no measurement that can be read: {remedy}.")
    return Evaluation(tuple(measured), facts, tuple(notes))


def _notes(data: dict[str, Any]) -> Iterator[str]:
    """Sentences from left_out and problems (by unit and method, why) and unusable (by method, how many)."""
    for part, what in (("left_out", "Not evaluated, since a method has no label"), ("problems", "Without a result")):
        reasons: dict[tuple[str, str], list[str]] = {}
        for unit, methods in data.get(part, {}).items():
            for method, why in methods.items():
                reasons.setdefault((method, str(why)), []).append(unit)
        for (method, why), units in sorted(reasons.items()):
            more = f" and {len(units) - NAMED} more" if len(units) > NAMED else ""
            yield f"{what}: {method}, {why}: {len(units)} ({'; '.join(units[:NAMED])}{more})."
    counts = {method: count for method, count in data.get("unusable", {}).items() if count}
    if counts:
        listed = ", ".join(f"{method} {count}" for method, count in sorted(counts.items()))
        yield f"Answers of writer and selector that could not be used and were asked for again: {listed}."


def _from_json(entry: Any) -> Measured:
    """Raises ValueError that names the first field of another type."""
    if not isinstance(entry, dict):
        raise ValueError("it is no object")
    values: dict[str, Any] = {}
    for name in ("unit", "target", "layer", "method", "label", "kind"):
        values[name] = _typed(entry, name, str)
    for name in ("index", "seed"):
        values[name] = _typed(entry, name, int)
    for name in ("positive", "neutral", "p50", "p95"):
        values[name] = float(_typed(entry, name, (int, float)))
    if (truth := entry.get("truth_found")) is not None:
        values["truth_found"] = _typed(entry, "truth_found", bool, truth)
    return Measured(**values)


def _typed(entry: dict[str, Any], name: str, kind: Any, default: Any = None) -> Any:
    value = entry.get(name, "" if name == "kind" else default)
    # bool is an int to Python, and no number here.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{name} is {value!r:.60}")
    return value
