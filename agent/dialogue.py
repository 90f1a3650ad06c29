"""The transcript as a dialogue: the projection of its records to the messages that a backbone reads."""

from collections.abc import Sequence

from .backbones.base import Message, Part, Passage, Picture
from .transcript import NOT_RUN, Conclusion, Experiment, Failure, ImageStore, LogEntry, Notice, Record, Reply, Start

STDOUT_LIMIT = 4000
"""Characters of printed output that the backbone sees of one experiment."""


def messages(records: Sequence[Record], images: ImageStore) -> list[Message]:
    """System prompt, task, then replies and results in turn. The same records give the same messages, so that the
    prefix of a dialogue never changes (a server's prefix cache hits)."""
    dialogue: list[Message] = []
    waiting: list[Part] = []
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


def _result(record: Experiment, images: ImageStore) -> list[Part]:
    parts: list[Part] = [f"[RESULT OF EXPERIMENT {record.turn}]"]
    for number, entry in enumerate(record.log, start=1):
        parts.append(Passage(f"Log entry {number}:", f"Log entry {number}, shortened: {short_log(entry)}"))
        parts.extend(_entry(entry, images))
    if record.stdout:
        parts.append(Passage(f"Printed:\n{record.stdout[:STDOUT_LIMIT]}", ""))
    if record.outcome != "ok":
        what = _TROUBLE.get(record.outcome, "Your code broke a limit:\n")
        parts.append(f"{what}{record.error}\nMend it in your next reply.")
    elif not record.log and not record.stdout:
        parts.append("The experiment logged nothing: call tools.log_experiment to see results.")
    parts.extend(remark.text for remark in record.remarks)
    return parts


_TROUBLE = {"error": "Your code raised an error:\n", "timeout": "Your code ran out of time:\n", NOT_RUN: ""}
SHORT_TEXT = 300
"""Characters that are kept of an entry's text when it is shortened."""


def short_log(entry: LogEntry) -> str:
    """A line or two in an entry's place: how many pictures, highest and lowest activation, how the text began."""
    lines = []
    if entry.activations:
        ranked = sorted(range(len(entry.activations)), key=lambda i: -entry.activations[i])
        high, low = ranked[0], ranked[-1]
        lines.append(
            f"{len(ranked)} pictures; highest activation {entry.activations[high]:g} ({entry.titles[high]}), lowest "
            f"{entry.activations[low]:g} ({entry.titles[low]})."
        )
    if entry.text:
        lines.append(entry.text if len(entry.text) <= SHORT_TEXT else _ends(entry.text))
    return "\n".join(lines) or "nothing measured."


def _ends(text: str) -> str:
    """The first lines, and the last one: there stands how the activations compare with the exemplars'."""
    return f"{text[:SHORT_TEXT].rsplit(chr(10), 1)[0]}\n...\n{text.rsplit(chr(10), 1)[-1][:SHORT_TEXT]}"


def _entry(entry: LogEntry, images: ImageStore) -> list[Part]:
    parts: list[Part] = []
    for position, title in enumerate(entry.titles):
        activation = entry.activations[position] if entry.activations else None
        value = "" if activation is None else f", activation {activation:g}"
        parts.append(Passage(f"({position + 1}) {title}{value}", ""))
        parts.append(Picture(images.path(entry.images[position]), title, activation))
    if entry.text:
        parts.append(Passage(entry.text, ""))
    return parts
