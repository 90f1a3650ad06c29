"""What guards know of a unit: facts read from its records, with no other state."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .guard_code import Code, read_code
from .tasks import Ending, endings_of
from .transcript import Experiment, LogEntry, Record, Reply, Start

_GENERIC_TITLE = re.compile(
    r"(?:image|img|picture|photo|exemplar|example|sample|original|edited|edit|result|prompt|test)?[\s_#]*\d*", re.I
)
DECIMAL = re.compile(r"(?<![\w.])[-+\N{MINUS SIGN}]?\d+\.\d+(?:[eE][-+]?\d{1,3})?(?!\w|\.\d)")
"""A decimal number that stands for itself: no part of a word, of a version or of a file's name."""

_RESULT = re.compile(rf"{DECIMAL.pattern}|(?:^|[|:=,]\s*)[-+]?\d+\s*(?:[|,]|$)")
"""A line of a log that tells a measured value: a decimal, or a whole number between bars or at an end."""
_TOOLS_NOTE = re.compile(r"The highest activation here \(")
"""How tools.log_experiment's own note begins: it tells of no further image."""
_STOP = frozenset(
    re.findall(
        r"\w+",
        "a an the of on in at to into with and or for by from as is are be it its this that these those some any one "
        "over under near beside behind before front top against next up down out photo photograph picture image "
        "drawing view standing sitting lying laying placed shown plain simple ",
    )
)


def words_of(text: str) -> frozenset[str]:
    """Content words in lower case and in the singular, as far as a final s tells; without articles, prepositions and
    words that every picture could have."""
    return frozenset(singular(word) for word in re.findall(r"[a-z][a-z'-]*", text.lower()) if word not in _STOP)


def singular(word: str) -> str:
    """The word without its plural ending, so that "dogs" is "dog" (and "buses" and "bus" are one)."""
    if len(word) > 4 and word.endswith(("ses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def is_generic(title: str) -> bool:
    """Whether a title says nothing of what is in the image, such as "image 3"."""
    return _GENERIC_TITLE.fullmatch(title.strip()) is not None or not words_of(title)


@dataclass(frozen=True)
class Done:
    """An experiment that was run, with what its code says."""

    record: Experiment
    code: Code

    @property
    def exemplars_only(self) -> bool:
        """Whether all that it can have measured are the dataset's exemplars."""
        return "dataset_exemplars" in self.code.methods and not self.code.makes_images

    @property
    def measured(self) -> list[LogEntry]:
        """Log entries with activations."""
        return [entry for entry in self.record.log if entry.activations]


@dataclass(frozen=True)
class MadeImage:
    """An image of the agent's own that was measured: its id, its title and its activation."""

    id: str
    title: str
    activation: float


@dataclass
class Evidence:
    """All facts of one unit up to the reply that is judged.

    turn: of that reply. reply: its text. made: measured images of the agent's own, in order. lines: lines of logs and
    printed output that hold a number, of experiments that measured images of the agent's own.
    """

    start: Start | None = None
    turn: int = 0
    reply: str = ""
    done: list[Done] = field(default_factory=list)
    made: list[MadeImage] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def endings(self) -> tuple[Ending, ...]:
        """The sections of the task's final answer; a description's where the records do not begin with a Start."""
        return endings_of(self.start)

    @property
    def removed_tools(self) -> frozenset[str]:
        """Methods that this run does not have."""
        removed = self.start.settings.get("removed_tools", ()) if self.start else ()
        return frozenset(str(name) for name in removed) if isinstance(removed, list | tuple) else frozenset()

    def texts(self) -> Iterable[str]:
        """Everything that the backbone was shown, or wrote as code, in this unit; nothing that it wrote as prose."""
        if self.start:
            yield from (self.start.system_prompt, self.start.task_prompt)
        for done in self.done:
            record = done.record
            yield from (record.code, record.stdout, record.error)
            for entry in record.log:
                yield entry.text
                yield from entry.titles

    def values(self) -> list[float]:
        """Measured values: logged activations, thresholds, and decimals in logs and printed output."""
        found: list[float] = []
        for done in self.done:
            record = done.record
            if record.activation_threshold is not None:
                found.append(record.activation_threshold)
            for text in (record.stdout, *(entry.text for entry in record.log)):
                found += [to_number(number) for number in DECIMAL.findall(text)]
            for entry in record.log:
                found += entry.activations
        return found


def to_number(text: str) -> float:
    """The number that a match of DECIMAL stands for; a typographic minus is one."""
    return float(text.replace("\N{MINUS SIGN}", "-"))


def gather(records: Sequence[Record]) -> Evidence:
    """The facts in the records up to their last reply."""
    evidence = Evidence()
    exemplars: set[str] = set()
    for record in records:
        if isinstance(record, Start):
            evidence.start = record
        elif isinstance(record, Reply):
            evidence.turn, evidence.reply = record.turn, record.text
        elif isinstance(record, Experiment):
            done = Done(record, read_code(record.code))
            evidence.done.append(done)
            if done.exemplars_only:
                exemplars.update(image for entry in record.log for image in entry.images)
            else:
                _add_made(evidence, done, exemplars)
    return evidence


def _add_made(evidence: Evidence, done: Done, exemplars: set[str]) -> None:
    seen = {image.id for image in evidence.made}
    for entry in done.measured:
        for image, title, activation in zip(entry.images, entry.titles, entry.activations, strict=False):
            if image not in exemplars | seen and not re.match(r"\s*exemplar\b", title, re.I):
                evidence.made.append(MadeImage(image, title, activation))
                seen.add(image)
    if "neuron" in done.code.methods:
        for text in (done.record.stdout, *(entry.text for entry in done.record.log)):
            evidence.lines += [
                line for line in text.splitlines() if _RESULT.search(line) and not _TOOLS_NOTE.match(line)
            ]


def example_prompts(start: Start | None) -> tuple[str, ...]:
    """Descriptions and edits that the prompts give as examples: quoted texts of two content words and more."""
    if start is None:
        return ()
    quoted = re.findall(r'"([^"\n{}]{8,120})"', f"{start.system_prompt}\n{start.task_prompt}".replace('"""', "\n"))
    return tuple(dict.fromkeys(text for text in quoted if len(words_of(text)) >= 2 and ":" not in text))
