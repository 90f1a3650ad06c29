"""Reading a run directory for people: whatever is there is shown, whatever is damaged is named.

Unlike `Transcript`, which a run resumes from, nothing here writes: the report of a run that is still going must
not touch its files. A damaged line, file or score costs that item and leaves a sentence in `problems`.
"""

import json
import math
import types
import typing
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..models.errors import UserError
from .report_machine import MachineTables, machine_tables
from .tasks import Ending, endings_of
from .transcript import (
    Conclusion,
    Experiment,
    Failure,
    LogEntry,
    Record,
    Reply,
    Start,
    record_from_json,
    unit_directory,
)

METHODS = ("agent", "exemplar-only", "random")
"""Ways to come by a label, in the order in which they are shown."""

# What reading JSON of another shape can raise (OverflowError: an integer that no float holds).
_MALFORMED = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True)
class MethodScore:
    """How well one label predicts the unit. Activations are raw; None stands for a number that is not finite.

    difference: mean(positive) - mean(neutral). interval: of the difference, raw. over_p95 and
    over_p95_minus_median: the difference over p95 and over p95 - p50 of the unit's activations on the dataset.
    drawable: False when the world could not draw the label, so that its positive prompts do not show it.
    """

    label: str
    positive: list[float | None]
    neutral: list[float | None]
    positive_prompts: list[str]
    neutral_prompts: list[str]
    positive_images: list[str]
    neutral_images: list[str]
    difference: float | None
    interval: tuple[float, float] | None
    over_p95: float | None
    over_p95_minus_median: float | None
    drawable: bool = True

    @property
    def plain(self) -> bool:
        """Whether there is only the plain difference to show: the unit is silent on 95 % of the dataset."""
        return self.over_p95_minus_median is None and self.difference is not None

    @property
    def score(self) -> float | None:
        """The difference over p95 - p50, or else the plain difference."""
        return self.difference if self.plain else self.over_p95_minus_median


@dataclass(frozen=True)
class UnitScore:
    """A unit's entry in scores.json. truth: for ground-truth neurons only."""

    truth: str | None
    truth_found: bool | None
    p50: float | None
    p95: float | None
    methods: dict[str, MethodScore]

    def normalised_interval(self, method: MethodScore) -> tuple[float, float] | None:
        """The interval of the method's `score`; None where there is none."""
        if method.plain:
            return method.interval
        if method.interval is None or self.p50 is None or self.p95 is None or self.p95 <= self.p50:
            return None
        low, high = method.interval
        return low / (self.p95 - self.p50), high / (self.p95 - self.p50)


@dataclass
class UnitRun:
    """All that is known of one unit. problems: sentences about what could not be read."""

    name: str
    records: list[Record] = field(default_factory=list)
    score: UnitScore | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def start(self) -> Start | None:
        return next((record for record in self.records if isinstance(record, Start)), None)

    @property
    def end(self) -> Conclusion | Failure | None:
        return next((record for record in reversed(self.records) if isinstance(record, Conclusion | Failure)), None)

    @property
    def turns(self) -> int:
        """Number of replies of the backbone."""
        return sum(isinstance(record, Reply) for record in self.records)

    @property
    def status(self) -> str:
        """ "done", "failed", "unfinished", "not started", or "damaged" (nothing of the transcript can be read)."""
        if self.end is not None:
            return "done" if isinstance(self.end, Conclusion) else "failed"
        if self.records:
            return "unfinished"
        return "damaged" if self.problems else "not started"

    @property
    def name_parts(self) -> tuple[str, str]:
        """(target, layer.index) of the unit's name; ("", name) when its Start record is missing."""
        prefix = f"{self.start.target}." if self.start else ""
        if prefix and self.name.startswith(prefix):
            return prefix[:-1], self.name[len(prefix) :]
        return "", self.name

    @property
    def labels(self) -> list[str]:
        return list(self.end.labels) if isinstance(self.end, Conclusion) else []

    @property
    def endings(self) -> tuple[Ending, ...]:
        """The sections of its task's final answer."""
        return endings_of(self.start)

    @property
    def answer(self) -> Ending:
        """The last of them."""
        return self.endings[-1]

    @property
    def first_entry(self) -> LogEntry | None:
        """The first log entry with pictures: the exemplars, where the experimenter began with them."""
        logs = (entry for record in self.records if isinstance(record, Experiment) for entry in record.log)
        return next((entry for entry in logs if entry.images), None)


@dataclass
class RunData:
    """config: run.json, {} when it is damaged. machine: what the scheduler counted, if that was kept."""

    path: Path
    config: dict[str, Any]
    units: list[UnitRun]
    problems: list[str]
    machine: MachineTables | None = None


def load_run(run: Path) -> RunData:
    """Read run.json, every transcript, and scores.json if it is there. Writes nothing.

    Units come in the order of run.json, then those that only have a directory. Raises UserError if `run` holds no
    run.json; anything else that is wrong becomes a sentence in `problems` (of the run or of the unit).
    """
    if not (run / "run.json").is_file():
        raise UserError(f"{run} holds no run.json: give the directory that `maia describe` wrote to (its --out).")
    problems: list[str] = []
    config = _load_object(run / "run.json", problems)
    scores = _load_object(run / "scores.json", problems) if (run / "scores.json").exists() else {}
    listed = config.get("units")
    names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
    units = [load_unit(name, unit_directory(run, name)) for name in dict.fromkeys(names)]
    known = {unit_directory(run, unit.name).name for unit in units}
    for path in sorted((run / "units").glob("*/transcript.jsonl")):
        if path.parent.name not in known:
            units.append(load_unit(None, path.parent))
    for unit in units:
        if unit.name in scores:
            try:
                unit.score = parse_score(scores[unit.name])
            except _MALFORMED as error:
                unit.problems.append(f"its entry in scores.json cannot be read ({_reason(error)})")
    return RunData(run, config, units, problems, _machine(run / "metrics.json", problems))


def _machine(path: Path, problems: list[str]) -> MachineTables | None:
    if not path.exists():
        return None
    metrics = _load_object(path, problems)
    try:
        return machine_tables(metrics) if metrics else None
    except _MALFORMED as error:
        problems.append(f"{path.name} cannot be read ({_reason(error)})")
        return None


def _load_object(path: Path, problems: list[str]) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        problems.append(f"{path.name} cannot be read ({_reason(error)})")
        return {}
    if not isinstance(data, dict):
        problems.append(f"{path.name} is no JSON object")
        return {}
    return data


def load_unit(name: str | None, directory: Path) -> UnitRun:
    """name None: take it from the Start record, or else the directory's name."""
    unit = UnitRun(directory.name if name is None else name)
    try:
        data = (directory / "transcript.jsonl").read_bytes()
    except FileNotFoundError:
        return unit
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        unit.problems.append(f"its transcript cannot be read ({_reason(error)})")
        return unit
    # What follows the last newline is a step in flight, not damage.
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        try:
            record = record_from_json(line.decode("utf-8"))
            _check_types(record)
        except _MALFORMED as error:
            unit.problems.append(f"line {number} of its transcript is damaged and left out ({_reason(error)})")
        else:
            unit.records.append(record)
    if name is None and unit.start is not None:
        unit.name = unit.start.unit
    return unit


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:160]


def _check_types(record: Any) -> None:
    """Raises ValueError unless every field has its declared type (dataclasses do not check)."""
    for entry in fields(record):
        if not _has_type(getattr(record, entry.name), entry.type):
            raise ValueError(f"field {entry.name!r} has a wrong type")
    for item in (*getattr(record, "log", ()), *getattr(record, "remarks", ())):
        _check_types(item)


def _has_type(value: Any, declared: Any) -> bool:
    origin = typing.get_origin(declared) or declared
    if origin in (types.UnionType, typing.Union):
        return any(_has_type(value, option) for option in typing.get_args(declared))
    if origin is float:
        return _number(value) is not None or isinstance(value, float)
    if not isinstance(value, origin) or (origin is int and isinstance(value, bool)):
        return False
    return origin is not list or all(_has_type(item, typing.get_args(declared)[0]) for item in value)


def parse_score(data: dict[str, Any]) -> UnitScore:
    """One unit's entry of scores.json. Raises one of _MALFORMED on another shape."""
    methods = {name: _method(data["methods"][name]) for name in METHODS if data["methods"].get(name) is not None}
    truth, found = data.get("truth"), data.get("truth_found")
    if not isinstance(truth, str | None) or not isinstance(found, bool | None):
        raise ValueError("truth is no text, or truth_found neither true, false nor null")
    return UnitScore(truth, found, _number(data.get("p50")), _number(data.get("p95")), methods)


def _method(data: dict[str, Any]) -> MethodScore:
    interval = [_number(value) for value in data.get("interval") or ()]
    low, high = interval if len(interval) == 2 else (None, None)
    return MethodScore(
        label=_text(data["label"]),
        positive=[_number(value) for value in data["positive"]],
        neutral=[_number(value) for value in data["neutral"]],
        **{
            key: [_text(item) for item in data.get(key) or ()]
            for key in ("positive_prompts", "neutral_prompts", "positive_images", "neutral_images")
        },
        difference=_number(data["difference"]),
        interval=(low, high) if low is not None and high is not None else None,
        over_p95=_number(data.get("over_p95")),
        over_p95_minus_median=_number(data.get("over_p95_minus_median")),
        drawable=data.get("drawable") is not False,
    )


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r:.40} is no number")
    return float(value) if math.isfinite(value) else None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.40} is no text")
    return value
