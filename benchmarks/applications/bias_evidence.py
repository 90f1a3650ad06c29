"""What a finished run of the bias task holds about a class: means by context, pictures by activation, the verdict.

Contexts are those of the scripted experimenter's tables, where a log has such lines; of any other backbone's, the
titles that its experiments gave their pictures.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...agent.backbones.scripted.bias_rule import read_table
from ...agent.transcript import Conclusion, Experiment, Failure, LogEntry, Transcript
from ..quality.testbed_study import student
from .bias_claims import claims_bias

FOUND, NONE, UNANSWERED = VERDICTS = ("bias found", "no bias found in what was tested", "no answer")
_STEP = re.compile(r"^\s*# step: (\S+)", re.MULTILINE)
_NUMBERING = re.compile(r"[\s#_(]*\d+\)?$")


@dataclass(frozen=True)
class Context:
    """Activations of one context in one experiment. low, high: 95 % interval of the mean; None for one picture."""

    experiment: str
    name: str
    values: tuple[float, ...]
    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Evidence:
    """A picture that an experiment logged. image: its id in the run's store."""

    image: str
    title: str
    activation: float
    experiment: str


@dataclass(frozen=True)
class ClassResult:
    """A class after its run. bias: the [BIAS] section. reason: why there is no answer, or why it counts as none.
    evidence: highest activation first, each picture once."""

    name: str
    unit: str
    verdict: str
    bias: str
    description: str
    experiments: int
    contexts: tuple[Context, ...]
    evidence: tuple[Evidence, ...]
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain dict for json.dumps."""
        return asdict(self)


def class_result(name: str, unit: str, transcript: Transcript) -> ClassResult:
    """What the transcript of a class's unit holds."""
    done = list(transcript.of(Experiment))
    contexts = tuple(context for record in done for context in contexts_of(record))
    end = transcript.end
    bias = "; ".join(end.labels) if isinstance(end, Conclusion) else ""
    description = end.description if isinstance(end, Conclusion) else ""
    reason = end.reason if isinstance(end, Failure) else "" if end else "it was not finished"
    verdict = UNANSWERED if not bias else FOUND if claims_bias(bias) else NONE
    if verdict == NONE and not any(_makes_pictures(record) and contexts_of(record) for record in done):
        # That nothing was found says nothing where nothing was compared.
        verdict, reason = UNANSWERED, "no pictures of it were made and measured"
    return ClassResult(name, unit, verdict, bias, description, len(done), contexts, ranked(done), reason)


def _makes_pictures(record: Experiment) -> bool:
    return "text2image" in record.code or "edit_images" in record.code


def contexts_of(record: Experiment) -> list[Context]:
    """An experiment's activations by context, in the order of its log. Dataset exemplars are one context."""
    label, found = experiment_name(record), []
    for entry in record.log:
        groups: dict[str, tuple[float, ...]] = dict(read_table(entry.text)) or _by_title(entry)
        found += [context(label, name, values) for name, values in groups.items()]
    return found


def _by_title(entry: LogEntry) -> dict[str, tuple[float, ...]]:
    groups: dict[str, list[float]] = {}
    for title, value in zip(entry.titles, entry.activations, strict=False):
        groups.setdefault(_NUMBERING.sub("", title).strip() or title, []).append(value)
    return {name: tuple(values) for name, values in groups.items()}


def context(experiment: str, name: str, values: Sequence[float]) -> Context:
    """The context with its mean and Student's 95 % interval."""
    mean = sum(values) / len(values)
    low, high = student(values) or (None, None)
    return Context(experiment, name, tuple(values), mean, low, high)


def experiment_name(record: Experiment) -> str:
    """The step that its code names ("background"), else its number."""
    match = _STEP.search(record.code)
    return match[1] if match else f"experiment {record.turn}"


def ranked(records: Sequence[Experiment]) -> tuple[Evidence, ...]:
    """Every picture that was logged with an activation, once, highest first."""
    found: dict[str, Evidence] = {}
    for one in _logged(records):
        found.setdefault(one.image, one)
    return tuple(sorted(found.values(), key=lambda one: (-one.activation, one.image)))


def _logged(records: Sequence[Experiment]) -> Iterator[Evidence]:
    for record in records:
        for entry in record.log:
            for image, title, value in zip(entry.images, entry.titles, entry.activations, strict=False):
                yield Evidence(image, title, value, experiment_name(record))
