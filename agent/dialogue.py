"""The transcript as a dialogue: the projection of its records to the messages that a backbone reads."""

from collections.abc import Sequence

from .backbones.base import Message, Picture
from .transcript import Conclusion, Experiment, Failure, ImageStore, LogEntry, Notice, Record, Reply, Start

STDOUT_LIMIT = 4000
"""Characters of printed output that the backbone sees of one experiment."""


def messages(records: Sequence[Record], images: ImageStore) -> list[Message]:
    """System prompt, task, then replies and results in turn. The same records give the same messages, so that the
    prefix of a dialogue never changes (a server's prefix cache hits)."""
    dialogue: list[Message] = []
    waiting: list[str | Picture] = []
    for record in records:
        if isinstance(record, Start):
            dialogue.append(Message("system", (record.system_prompt,)))
            waiting.append(record.task_prompt)
        elif isinstance(record, Reply):
            dialogue.append(Message("user", tuple(waiting)))
            dialogue.append(Message("assistant", (record.text,)))
            waiting = []
        elif isinstance(record, Experiment):
            waiting.extend(_result(record, images))
        elif isinstance(record, Notice):
            waiting.append(record.text)
        elif isinstance(record, Conclusion | Failure):
            break
    if waiting:
        dialogue.append(Message("user", tuple(waiting)))
    return dialogue


def _result(record: Experiment, images: ImageStore) -> list[str | Picture]:
    parts: list[str | Picture] = [f"[RESULT OF EXPERIMENT {record.turn}]"]
    for number, entry in enumerate(record.log, start=1):
        parts.append(f"Log entry {number}:")
        parts.extend(_entry(entry, images))
    if record.stdout:
        parts.append(f"Printed:\n{record.stdout[:STDOUT_LIMIT]}")
    if record.outcome != "ok":
        what = {"error": "Your code raised an error", "timeout": "Your code ran out of time"}.get(
            record.outcome, "Your code broke a limit"
        )
        parts.append(f"{what}:\n{record.error}\nMend it in your next reply.")
    elif not record.log and not record.stdout:
        parts.append("The experiment logged nothing: call tools.log_experiment to see results.")
    return parts


def _entry(entry: LogEntry, images: ImageStore) -> list[str | Picture]:
    parts: list[str | Picture] = []
    for position, title in enumerate(entry.titles):
        value = f", activation {entry.activations[position]:g}" if entry.activations else ""
        parts.append(f"({position + 1}) {title}{value}")
        parts.append(Picture(images.path(entry.images[position]), title))
    if entry.text:
        parts.append(entry.text)
    return parts
