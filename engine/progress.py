"""How long work looks in a terminal: a bar with count, rate, time gone and time left."""

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


def progress_bars(console: Console) -> Progress:
    """Bars whose tasks have a field "rate": text beside the count."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def advance_to(bars: Progress, task: TaskID, done: int, what: str) -> None:
    """Sets a task to `done`, with its rate in `what` a second."""
    speed = bars.tasks[bars.task_ids.index(task)].speed
    bars.update(task, completed=done, rate=f"{speed:.0f} {what}/s" if speed else "")
