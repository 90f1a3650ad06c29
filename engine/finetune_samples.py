"""The rows of a training set (`train.jsonl`, `preferences.jsonl`), read and checked before anything is computed."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from ..models.errors import UserError, first_line
from ..models.vlm.chat import ChatImage, ChatMessage

TRAIN, VALIDATION, PREFERENCES = "train.jsonl", "validation.jsonl", "preferences.jsonl"
ROLES = ("system", "user", "assistant")
SHOWN = 5
"""Skipped samples that a message names."""


class BadSample(Exception):
    """This one sample cannot be used; others can. kind: a word or two by which such samples are counted."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Sample:
    """A dialogue. messages: (role, parts, learn); a part is a text, or None where the next of `images` stands. images:
    files. learn: whether the loss counts the message. tokens: what the collector counted, None if it did not."""

    id: str
    messages: tuple[tuple[str, tuple[str | None, ...], bool], ...]
    images: tuple[Path, ...]
    tokens: int | None = None

    def chat(self) -> list[ChatMessage]:
        """The dialogue as it is sent to a model, with the bytes of its pictures. Raises BadSample for a picture that
        is missing or unreadable."""
        files = iter(self.images)
        return [
            ChatMessage(role, tuple(picture(next(files)) if part is None else part for part in parts))  # type: ignore[arg-type]
            for role, parts, _ in self.messages
        ]

    def upto_learned(self) -> "Sample":
        """Without what follows the last message that is learned. Raises BadSample where none is."""
        learned = [place for place, message in enumerate(self.messages) if message[2]]
        if not learned:
            raise BadSample("nothing to learn", "no message of it is to be learned")
        kept = self.messages[: learned[-1] + 1]
        pictures = sum(part is None for _, parts, _ in kept for part in parts)
        return Sample(self.id, kept, self.images[:pictures], self.tokens)


@dataclass(frozen=True)
class Pair:
    """Two answers to one prompt. chosen, rejected: the prompt with the answer as its one learned message."""

    id: str
    chosen: Sample
    rejected: Sample


@dataclass
class Skipped:
    """Samples that were left out. names: of those of each kind, as "id (why)"."""

    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name: str, problem: BadSample) -> None:
        """One more."""
        self.names.setdefault(problem.kind, []).append(f"{name} ({problem})")

    @property
    def total(self) -> int:
        """How many."""
        return sum(map(len, self.names.values()))

    def told(self) -> list[str]:
        """A sentence for each kind."""
        lines = []
        for kind, names in sorted(self.names.items()):
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            lines.append(f"left out {len(names)} of the samples, {kind}: {'; '.join(names[:SHOWN])}{more}")
        return lines


def picture(file: Path) -> ChatImage:
    """The picture in a file, decoded once to see that it is whole. Raises BadSample."""
    try:
        data = file.read_bytes()
    except OSError as problem:
        raise BadSample("picture missing", f"{file.name}: {first_line(problem)}") from problem
    try:
        import io

        with Image.open(io.BytesIO(data)) as opened:
            return ChatImage(data, *opened.size)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as problem:
        raise BadSample("picture unreadable", f"{file.name}: {first_line(problem)}") from problem


def read_samples(folder: Path, name: str = TRAIN) -> tuple[list[Sample], Skipped]:
    """The dialogues of a training set's file, in its order, and those that are damaged.

    Raises UserError where there is no such file, and where two samples have one id.
    """
    return _read(folder, name, lambda row: sample_of(row, folder))


def read_pairs(folder: Path) -> tuple[list[Pair], Skipped]:
    """The pairs of a training set, and those that are damaged. Raises UserError (see `read_samples`)."""
    return _read(folder, PREFERENCES, lambda row: pair_of(row, folder))


def sample_of(row: Mapping[str, Any], folder: Path) -> Sample:
    """A row of train.jsonl. Raises BadSample that says what is wrong with it."""
    messages = []
    for place, message in enumerate(row.get("messages") or ()):
        role, learn = message.get("role"), message.get("learn", False)
        if role not in ROLES:
            raise BadSample("damaged", f"message {place} is of the role {role!r}, not one of {', '.join(ROLES)}")
        if learn and role != "assistant":
            raise BadSample("damaged", f"message {place} is the {role}'s and is to be learned")
        messages.append((role, tuple(_part(part, place) for part in message.get("content") or ()), bool(learn)))
    images = tuple(folder / str(name) for name in row.get("images") or ())
    places = sum(part is None for _, parts, _ in messages for part in parts)
    if places != len(images):
        raise BadSample("damaged", f"it has {places} places for pictures and {len(images)} pictures")
    if not messages:
        raise BadSample("damaged", "it has no messages")
    tokens = row.get("tokens")
    return Sample(str(row.get("id")), tuple(messages), images, tokens if isinstance(tokens, int) else None)


def pair_of(row: Mapping[str, Any], folder: Path) -> Pair:
    """A row of preferences.jsonl. Raises BadSample."""
    answers = [row.get("chosen"), row.get("rejected")]
    if not all(isinstance(answer, str) and answer.strip() for answer in answers):
        raise BadSample("damaged", "it lacks a chosen or a rejected answer")
    prompt = [{**message, "learn": False} for message in row.get("messages") or ()]
    if not prompt or prompt[-1].get("role") != "user":
        raise BadSample("damaged", "its prompt does not end with the user's message")

    def with_answer(text: Any) -> Sample:
        answer = {"role": "assistant", "content": [{"type": "text", "text": text}], "learn": True}
        return sample_of({**row, "messages": [*prompt, answer]}, folder)

    return Pair(str(row.get("id")), with_answer(answers[0]), with_answer(answers[1]))


def _part(part: Any, place: int) -> str | None:
    """A text; None for a picture."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "image":
        return None
    if kind == "text" and isinstance(part.get("text"), str):
        return part["text"]
    raise BadSample("damaged", f"a part of message {place} is neither a text nor an image")


def _read(folder: Path, name: str, made: Any) -> tuple[list[Any], Skipped]:
    file = folder / name
    if not file.is_file():
        raise UserError(
            f"there is no {name} in {folder}: give the directory that `maia finetune collect` wrote, or run it first."
        )
    found, skipped = [], Skipped()
    for number, line in _lines(file):
        named = f"line {number}"
        try:
            row = _row(line)
            named = str(row.get("id") or named)
            found.append(made(row))
        except BadSample as problem:
            skipped.add(named, problem)
    doubled = [key for key, count in Counter(entry.id for entry in found).items() if count > 1]
    if doubled:
        raise UserError(
            f"{file}: {len(doubled)} ids stand there more than once ({', '.join(doubled[:SHOWN])}): collect the "
            "training set again."
        )
    return found, skipped


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    with file.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield number, line


def _row(line: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as problem:
        raise BadSample("damaged", f"no JSON: {first_line(problem)}") from problem
    if not isinstance(row, dict):
        raise BadSample("damaged", "no JSON object")
    return row


def check_any(samples: Sequence[Any], skipped: Skipped, file: Path) -> None:
    """Raises UserError where nothing is left to train on."""
    if not samples:
        told = "; ".join(skipped.told()) or "it is empty"
        raise UserError(f"{file} holds nothing to train on ({told}): collect a training set, or raise max_tokens.")
