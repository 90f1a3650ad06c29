"""The transcript: every step of one unit's experiment as typed records, appended to a JSONL file.

The file is the state: `kill -9` at any moment loses at most the step in flight, and reading the file back
gives the run exactly. Records hold no times and nothing of the machine, so that a resumed run and an
uninterrupted one write the same bytes. Pictures are PNG files named by the hash of their pixels, stored once
per run.
"""

import io
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image

from ..models.errors import UserError
from ..models.files import name_file, write_whole
from ..models.pictures import pixel_hash


@dataclass(frozen=True)
class LogEntry:
    """What one call of tools.log_experiment or tools.display left: the next turn sees it.

    activations: rounded to 4 significant digits. images: ids in the run's image store. The three lists are
    equally long (display entries may have no activations). text: free text, may be empty.
    """

    activations: list[float] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    text: str = ""


@dataclass(frozen=True)
class Start:
    """First record: everything that the run of this unit depends on."""

    type: ClassVar[str] = "start"
    unit: str
    target: str
    layer: str
    index: int
    backbone: str
    task: str
    seed: int
    turns: int
    system_prompt: str
    task_prompt: str
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """One raw reply of the backbone. turn: 1-based."""

    type: ClassVar[str] = "reply"
    turn: int
    text: str


@dataclass(frozen=True)
class Remark:
    """What a guard had to say about a reply that was acted upon. kind: "guard/<name>", or "let-pass/<name>" for what it
    would have refused, had it not done so often enough."""

    kind: str
    text: str


NOT_RUN = "not-run"
"""Outcome of an experiment in whose code a check found what is wrong, twice in a row."""


@dataclass(frozen=True)
class Experiment:
    """The code of a reply and what came of it. outcome: "ok", "error" (its code raised), "timeout", "limit" or
    NOT_RUN.

    activation_threshold: what a new maximum is measured against once tools.dataset_exemplars was called
    (the mean activation of the exemplars), None before.
    """

    type: ClassVar[str] = "experiment"
    turn: int
    code: str
    outcome: str
    error: str = ""
    stdout: str = ""
    log: list[LogEntry] = field(default_factory=list)
    activation_threshold: float | None = None
    remarks: list[Remark] = field(default_factory=list)


@dataclass(frozen=True)
class Notice:
    """Something the loop told the backbone in the place of acting upon its reply, or before the last one. kind:
    "unreadable-reply", "code-check", "guard/<name>", "last-turn" or "code-after-last-turn"."""

    type: ClassVar[str] = "notice"
    turn: int
    kind: str
    text: str


@dataclass(frozen=True)
class Conclusion:
    """The end: the long description and the short labels. forced: given because the turns were used up."""

    type: ClassVar[str] = "conclusion"
    turn: int
    description: str
    labels: list[str]
    forced: bool = False
    remarks: list[Remark] = field(default_factory=list)


@dataclass(frozen=True)
class Failure:
    """The unit ended without a conclusion; the run went on without it."""

    type: ClassVar[str] = "failure"
    turn: int
    reason: str


Record = Start | Reply | Experiment | Notice | Conclusion | Failure
_TYPES: dict[str, type] = {t.type: t for t in (Start, Reply, Experiment, Notice, Conclusion, Failure)}


def record_to_json(record: Record) -> str:
    """One line of the file, in ASCII (replies may hold any character, lone surrogates too), keys in field order."""
    return json.dumps({"type": record.type, **asdict(record)})


def record_from_json(line: str) -> Record:
    """Inverse of `record_to_json`. Raises ValueError on anything else."""
    data = json.loads(line)
    kind = _TYPES.get(data.pop("type", None)) if isinstance(data, dict) else None
    if kind is None:
        raise ValueError("not a transcript record")
    try:
        if kind is Experiment:
            data["log"] = [LogEntry(**entry) for entry in data["log"]]
        if "remarks" in data:
            data["remarks"] = [Remark(**remark) for remark in data["remarks"]]
        return kind(**data)
    except (TypeError, KeyError) as error:
        raise ValueError(f"{kind.__name__} record: {error}") from None


class ImageStore:
    """PNG files named by the hash of their pixels, each written once and whole.

    writer: the one thread that may call `put` where several would.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.writer = ThreadPoolExecutor(1, "images")

    def put(self, image: Image.Image) -> str:
        """Store an image in RGB; returns its id, the hash of its pixels."""
        image = image.convert("RGB")
        digest = pixel_hash(image)
        path = self.path(digest)
        if not path.exists():
            self.directory.mkdir(parents=True, exist_ok=True)
            buffer = io.BytesIO()
            image.save(buffer, "PNG")
            write_whole(path, buffer.getvalue())
        return digest

    def path(self, image_id: str) -> Path:
        """Where the image with this id is."""
        return self.directory / f"{image_id}.png"

    def get(self, image_id: str) -> Image.Image:
        """The stored image, decoded."""
        with Image.open(self.path(image_id)) as image:
            return image.convert("RGB")


def remove_unfinished(run: Path) -> None:
    """Delete the temporary files of `write_whole` in a run directory whose writers no longer live."""
    for pattern in (".*.tmp", "images/.*.tmp", "units/*/.*.tmp"):
        for path in run.glob(pattern):
            writer = path.name.split(".")[-2]
            if writer.isdecimal() and not _lives(int(writer)):
                path.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


class Transcript:
    """Append-only record file of one unit. Opening it drops a last line that a crash cut short."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: list[Record] = []
        if path.exists():
            self._load()

    def _load(self) -> None:
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        for number, line in enumerate(whole.split(b"\n")[:-1], start=1):
            try:
                self.records.append(record_from_json(line.decode("utf-8")))
            except ValueError as error:
                raise UserError(
                    f"{self.path} is damaged at line {number} ({error}): delete the file to start this unit again."
                ) from None
        if len(whole) < len(data):
            write_whole(self.path, whole)

    def append(self, *records: Record) -> None:
        """Write records through to the disk before returning, all of them at once: what is left after a crash holds
        all or none."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self.path.open("ab") as file:
                file.write(b"".join(record_to_json(record).encode("utf-8") + b"\n" for record in records))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            name_file(error, self.path)
            raise
        self.records.extend(records)

    @property
    def end(self) -> Conclusion | Failure | None:
        """The last record when the unit is finished."""
        last = self.records[-1] if self.records else None
        return last if isinstance(last, Conclusion | Failure) else None

    def of(self, kind: type) -> Iterator[Any]:
        """Records of one type, in order."""
        return (record for record in self.records if isinstance(record, kind))


def unit_directory(run: Path, unit: str) -> Path:
    """Where a unit's transcript lies: RUN/units/<target>.<layer>.<index>/ with / in layer names replaced by '_'."""
    return run / "units" / unit.replace("/", "_")
