"""What the scheduler counts: queue times, batch sizes, bytes copied, how busy each device was; and a run's trace."""

import json
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

REMEMBERED = 100_000
"""Queue times kept for a model's percentiles: the latest."""


@dataclass
class ModelMetrics:
    """Of one model. queue_seconds: from a question's arrival to the start of its batch, of each item. batches: how
    many batches had that many items. loads, loaded_bytes: copies from the host's memory to the device; the first one
    counts. halved: batches for which the memory did not suffice."""

    items: int = 0
    failed: int = 0
    cancelled: int = 0
    halved: int = 0
    batches: Counter[int] = field(default_factory=Counter)
    queue_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    busy_seconds: float = 0.0
    loads: int = 0
    loaded_bytes: int = 0
    load_seconds: float = 0.0
    offloads: int = 0

    def batch_mean(self) -> float:
        """Items of an average batch; 0 before the first."""
        count = sum(self.batches.values())
        return sum(size * number for size, number in self.batches.items()) / count if count else 0.0

    def queue_quantile(self, q: float) -> float:
        """Seconds; 0 before the first item."""
        return float(np.quantile(np.array(self.queue_seconds), q)) if self.queue_seconds else 0.0

    def report(self) -> dict[str, Any]:
        """Numbers for JSON."""
        return {
            "items": self.items,
            "failed": self.failed,
            "cancelled": self.cancelled,
            "halved": self.halved,
            "batches": sum(self.batches.values()),
            "batch_mean": round(self.batch_mean(), 3),
            "batch_sizes": {str(size): self.batches[size] for size in sorted(self.batches)},
            "queue_p50_seconds": round(self.queue_quantile(0.5), 6),
            "queue_p95_seconds": round(self.queue_quantile(0.95), 6),
            "busy_seconds": round(self.busy_seconds, 6),
            "loads": self.loads,
            "loaded_bytes": self.loaded_bytes,
            "load_seconds": round(self.load_seconds, 6),
            "offloads": self.offloads,
        }


@dataclass
class DeviceMetrics:
    """Of one device. busy_seconds: during which at least one batch ran (servers' own work is not seen). peak: most
    bytes in use by the scheduler's count. budget: what may be used."""

    budget: int
    busy_seconds: float = 0.0
    peak: int = 0


class Metrics:
    """Of one scheduler since it was made; seconds are on the clock of its event loop."""

    def __init__(self, models: list[str], budgets: dict[str, int]) -> None:
        self.models = {name: ModelMetrics() for name in models}
        self.devices = {name: DeviceMetrics(budget) for name, budget in budgets.items()}
        self.seconds = 0.0
        self._running: dict[str, int] = dict.fromkeys(budgets, 0)
        self._since: dict[str, float] = {}
        self._record: Callable[[dict[str, Any]], None] | None = None

    def batch_started(self, device: str, now: float) -> None:
        """A batch started on the device."""
        if self._running[device] == 0:
            self._since[device] = now
        self._running[device] += 1

    def batch_ended(self, device: str, now: float) -> None:
        """A batch ended on the device."""
        self._running[device] -= 1
        if self._running[device] == 0:
            self.devices[device].busy_seconds += now - self._since[device]

    def used(self, device: str, nbytes: int) -> None:
        """So many bytes of the device are in use now."""
        self.devices[device].peak = max(self.devices[device].peak, nbytes)

    def record_to(self, path: Path | None) -> None:
        """Append every call to a file of JSON lines: agent, model, items, and when it came and was answered
        (seconds). None: no longer."""
        if path is None:
            self._record = None
            return

        def write(line: dict[str, Any]) -> None:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

        self._record = write

    def call(self, agent: str, model: str, items: int, asked: float, answered: float) -> None:
        """A call was answered."""
        if self._record is not None:
            line = {"agent": agent, "model": model, "items": items}
            self._record(line | {"asked": round(asked, 6), "answered": round(answered, 6)})

    def report(self) -> dict[str, Any]:
        """Numbers for JSON: of each model, each device, and the whole.

        peak: by the scheduler's count; allocator_peak: what torch's allocator held of a GPU at most (0: no GPU).
        """
        from .allocator import peak_reserved  # here: it loads torch

        return {
            "seconds": round(self.seconds, 6),
            "swap_bytes": sum(model.loaded_bytes for model in self.models.values()),
            "models": {name: model.report() for name, model in self.models.items()},
            "devices": {
                name: {
                    "budget": device.budget,
                    "peak": device.peak,
                    "allocator_peak": peak_reserved(name),
                    "busy_seconds": round(device.busy_seconds, 6),
                    "utilisation": round(device.busy_seconds / self.seconds, 4) if self.seconds else 0.0,
                }
                for name, device in self.devices.items()
            },
        }
