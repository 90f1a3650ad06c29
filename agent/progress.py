"""Progress in the terminal: a bar for each index, a line for each unit that is under way."""

from rich.console import Console
from rich.progress import TaskID

from ..engine.progress import advance_to, progress_bars
from ..engine.scheduler import Scheduler
from ..models.targets import Unit
from .run import RunProgress
from .transcript import Conclusion, Experiment, Failure, Start, Transcript


class TerminalProgress(RunProgress):
    """Use as a context manager around a run."""

    def __init__(self, console: Console, units: int) -> None:
        self._bars = progress_bars(console)
        self._units = units
        self._done = 0
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "TerminalProgress":
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def _task(self, name: str, total: int) -> TaskID:
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total, rate="")
        return self._tasks[name]

    def index(self, target: str, done: int, total: int) -> None:
        advance_to(self._bars, self._task(f"index of {target}", total), done, "images")

    def unit(self, unit: Unit, transcript: Transcript) -> None:
        overall = self._task("units", self._units)
        first = transcript.records[0]
        turns = first.turns if isinstance(first, Start) else 1
        done = sum(1 for _ in transcript.of(Experiment))
        task = self._task(f"  {unit}", turns)
        if isinstance(transcript.end, Conclusion | Failure):
            self._done += 1
            end = transcript.end
            self._bars.remove_task(self._tasks.pop(f"  {unit}"))
            words = " OR ".join(end.labels) if isinstance(end, Conclusion) else f"failed: {end.reason}"
            self._bars.console.print(f"  {unit}: {words}", highlight=False, markup=False)
            self._bars.update(overall, completed=self._done)
        else:
            self._bars.update(task, completed=done, rate="experiments")

    def server(self, what: str) -> None:
        self._bars.console.print(f"  {what}", highlight=False, markup=False)

    def machine(self, scheduler: Scheduler) -> None:
        waiting = {name: count for name, count in scheduler.waiting().items() if count}
        batches = [m for m in scheduler.metrics.models.values() if m.batches]
        mean = sum(m.items for m in batches) / max(1, sum(sum(m.batches.values()) for m in batches))
        words = ", ".join(f"{count} for {name}" for name, count in waiting.items()) or "nothing waits"
        swaps = sum(model.offloads for model in scheduler.metrics.models.values())
        answered = sum(model.items for model in scheduler.metrics.models.values())
        task = self._task("items answered by models", 1)
        self._bars.update(
            task,
            completed=answered,
            total=answered + sum(waiting.values()),
            rate=f"waiting: {words}; batches of {mean:.1f}; swaps {swaps}",
        )

    def scoring(self, done: int, total: int) -> None:
        """Labels scored of all."""
        self._bars.update(self._task("scores", total), completed=done)
