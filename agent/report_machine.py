"""What the scheduler counted during a run (metrics.json), as tables for the report."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..engine.sizes import format_bytes

MODEL_COLUMNS = (
    "Model",
    "Items",
    "Batches",
    "Items a batch",
    "Waited, median",
    "Waited, 95 %",
    "Busy",
    "Loads",
    "Copied",
)
DEVICE_COLUMNS = ("Device", "Most memory in use", "Budget", "Busy")


@dataclass(frozen=True)
class MachineTables:
    """Rows of text, a cell for each column. seconds: how long the scheduler ran. backbone: (what, how many) of a
    vision-language model that wrote the replies."""

    seconds: str
    models: Sequence[tuple[str, ...]]
    devices: Sequence[tuple[str, ...]]
    backbone: Sequence[tuple[str, str]] = ()


def machine_tables(metrics: dict[str, Any]) -> MachineTables:
    """Tables of `Metrics.report()`. Raises KeyError, TypeError, ValueError or AttributeError for anything else."""
    models = [
        (
            str(name),
            _count(model["items"]),
            _count(model["batches"]),
            f"{float(model['batch_mean']):.1f}",
            _seconds(model["queue_p50_seconds"]),
            _seconds(model["queue_p95_seconds"]),
            _seconds(model["busy_seconds"]),
            _count(model["loads"]),
            format_bytes(int(model["loaded_bytes"])),
        )
        for name, model in metrics["models"].items()
    ]
    devices = [
        (
            str(device_name),
            *(format_bytes(int(device[name])) if device["budget"] else "–" for name in ("peak", "budget")),
            f"{float(device['utilisation']):.0%}",
        )
        for device_name, device in metrics["devices"].items()
    ]
    return MachineTables(_seconds(metrics["seconds"]), models, devices, _backbone(metrics.get("backbone") or {}))


def _count(value: Any) -> str:
    return f"{int(value):,}"


def _seconds(value: Any) -> str:
    seconds = float(value)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 600 else f"{seconds / 60:.0f} min"


_COUNTED = (
    ("requests", "Requests"),
    ("retries", "Asked again"),
    ("failed", "Failed"),
    ("prompt_tokens", "Prompt tokens"),
    ("answer_tokens", "Answer tokens"),
    ("cut_off", "Answers cut off"),
    ("images_dropped", "Pictures left out of full contexts"),
    ("passages_shortened", "Passages shortened in full contexts"),
    ("overflows", "Requests found too long"),
    ("restarts", "Restarts of the server"),
)


def _backbone(counts: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [(words, f"{int(counts[name]):,}") for name, words in _COUNTED if name in counts]
    if counts.get("cached_tokens"):
        rows.append(("Prompt tokens from the prefix cache", f"{float(counts['prefix_hits']):.1%}"))
    return rows
