"""The bias task over classes: one run of `maia describe` for each, since each has a task of its own (its class's name).

Finished runs are read again, unfinished ones go on where they stood: the same call on the same directory loses nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...agent.experiment import Settings
from ...agent.run import Opened, RunProgress, describe, locked, open_target
from ...engine.profile import Profile
from ...models.registry import PLANTED
from ...models.targets import Target, Unit
from ...models.testbed.world import World
from .bias_evidence import ClassResult, class_result

TASK = "bias-identification"
RUNS = "runs"
"""Folder of the runs, one a class, named by its unit."""

Done = Callable[[int, int], None]
"""Called with (classes done, classes in all)."""


@dataclass(frozen=True)
class Options:
    """How classes are studied. settings: of every run; its task is set for each class."""

    profile: Profile
    settings: Settings
    jobs: int | None = None


def open_classifier(name: str, profile: Profile) -> Opened:
    """The target of that name, loaded once for all classes, with the world whose pictures it may see. Raises UserError
    as `maia describe` does."""
    world = World()
    return Opened([], world, {name: open_target(name, world, profile)})


def run_directory(out: Path, unit: Unit) -> Path:
    """Where a class's run lies."""
    return out / RUNS / str(unit).replace("/", "_")


def run_classes(
    classes: Sequence[tuple[str, Unit]],
    opened: Opened,
    target: str,
    out: Path,
    options: Options,
    progress: RunProgress,
    done: Done = lambda count, total: None,
) -> list[ClassResult]:
    """Every class's run, then what it found. classes: (class name, unit). target: as the profile names it.

    A unit that fails is a result without an answer. Raises UserError for what a person has to mend.
    """
    from ...agent.tasks import load_task

    results = []
    with locked(out):
        for place, (name, unit) in enumerate(classes):
            settings = replace(options.settings, task=load_task(TASK, {"class_name": [name]}))
            run = describe(
                replace(opened, units=[unit]),
                run_directory(out, unit),
                target=target,
                profile=options.profile,
                jobs=options.jobs,
                settings=settings,
                progress=progress,
            )
            results.append(class_result(name, str(unit), run.transcripts[0]))
            if place == len(classes) - 1:
                run.close()  # a server that was started serves all classes
            done(place + 1, len(classes))
    return results


def planted_classes(target: Target, per_kind: int | None) -> list[tuple[str, Unit]]:
    """(noun, unit) of the testbed's classes: the first `per_kind` of each layer, or all."""
    return [
        (target.planted(unit).noun, unit)  # type: ignore[attr-defined]
        for layer, count in target.layers.items()
        for unit in (
            Unit(PLANTED, layer, index) for index in range(min(count, count if per_kind is None else per_kind))
        )
    ]
