"""From a problem to table 2: l1 chooses units, the agent judges each, regressions say what the kept ones are worth."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ...agent.backbones.base import Backbone
from ...agent.backbones.scripted.spurious import SELECTIVE, SpuriousExperimenter, read_grid
from ...agent.experiment import Settings
from ...agent.run import Opened, Run, RunProgress, describe, locked
from ...agent.services import running
from ...agent.tasks import load_task
from ...agent.transcript import Conclusion, Experiment, Transcript
from ...engine.dataset import open_dataset
from ...engine.index_build import build_index
from ...engine.profile import Profile
from ...models.errors import UserError
from ...models.files import write_whole
from ...models.targets import Unit
from .spurious_problem import Problem, variance_shares
from .spurious_regression import Sparse, reach
from .spurious_rows import (
    CAPTION,
    MILAN,
    ORIGINAL,
    SAME,
    TOP,
    Row,
    Rows,
    balanced_rows,
    chosen_row,
    original_row,
    unbalanced_rows,
)

TASK = "spurious-feature"
RESULT = "result.json"
SHOWN = 6
"""Exemplars of a unit on the page."""


@dataclass(frozen=True)
class Options:
    """backbone: a name, or one of one's own; None: the profile's. top: units that the agent judges. milan: its
    checkpoint. captions: a baseline of captions by the profile's vision-language model."""

    profile: Profile
    backbone: str | Backbone | None = None
    seed: int = 0
    jobs: int | None = None
    turns: int | None = None
    top: int = TOP
    milan: Path | None = None
    captions: bool = True
    sandbox: str = Settings.sandbox


@dataclass(frozen=True)
class Judged:
    """What the agent said of a unit. label: SELECTIVE, SPURIOUS, or empty where it came to none. grid: class,
    surroundings, mean, active and count of each cell that its log tells of. pictures: ids of the first that it logged.
    class_share, place_share: of the unit's variance on balanced pictures, which the agent has not seen."""

    unit: str
    index: int
    label: str
    reasoning: str
    grid: list[tuple[str, str, float, int, int]]
    pictures: list[str]
    class_share: float
    place_share: float

    @property
    def kept(self) -> bool:
        """Only what is called selective is kept."""
        return self.label == SELECTIVE


@dataclass
class Study:
    """A finished study. top: units that l1 chose, ascending."""

    problem: str
    seed: int
    facts: dict[str, Any]
    top: list[int]
    judged: list[Judged]
    rows: Rows = field(default_factory=Rows)

    def to_json(self) -> bytes:
        """RESULT's content."""
        told = asdict(self) | {"rows": self.rows.to_json()["rows"], "notes": self.rows.notes}
        return (json.dumps(told, indent=1) + "\n").encode()


class Watch(RunProgress):
    """What a study shows of its progress; this one shows nothing."""

    def stage(self, what: str) -> Callable[[int, int], None]:
        """A bar for a stage: call what this returns with (done, all)."""
        return lambda done, total: None

    def say(self, sentence: str) -> None:
        """Something that a person should know now."""


def run_study(problem: Problem, out: Path, options: Options, watch: Watch | None = None) -> Study:
    """Do what of it is not done yet, write RESULT, and return it. A killed study goes on where it stood.

    Raises UserError for what a person has to mend.
    """
    watch = watch or Watch()
    with locked(out):
        top, notes = choose_top(problem, options)
        for note in notes:
            watch.say(note)
        index = _index(problem, out / "index", watch)
        run = _ask_agent(problem, out, options, top, index, watch)
        try:
            pairs = zip(run.units, run.transcripts, strict=True)
            judged = [_judged(problem, unit, transcript) for unit, transcript in pairs]
            rows = _rows(problem, options, top.units, judged, watch)
            rows.rows += _labelled(problem, run, options, index)
        finally:
            run.close()
        rows.notes[:0] = [*problem.notes, *notes, *_without(judged)]
        study = Study(problem.name, options.seed, _facts(problem, top, options, run), list(top.units), judged, rows)
        write_whole(out / RESULT, study.to_json())
    return study


def choose_top(problem: Problem, options: Options) -> tuple[Sparse, list[str]]:
    """The l1 regression with `options.top` units on unbalanced pictures, and what there is to say of it. Raises
    UserError where no unit tells anything of the classes."""
    try:
        top = reach(problem.validation.features, problem.validation.labels, options.top, options.seed)
    except ValueError as problem_found:
        raise UserError(
            f"l1 cannot choose units of {problem.target.name}.{problem.layer} ({problem_found}): give pictures of "
            "several classes, and a layer whose units answer to them."
        ) from None
    notes = []
    if len(top.units) < options.top:
        notes.append(
            f"l1 finds {len(top.units)} informative units, fewer than the {options.top} wanted: the study goes on with "
            "those."
        )
    elif len(top.units) > options.top:
        notes.append(f"l1 comes to {len(top.units)} units, none of its strengths to exactly {options.top}.")
    if not top.converged:
        notes.append("saga did not converge at the strength that chose the units; its last weights were taken.")
    return top, notes


def _index(problem: Problem, folder: Path, watch: Watch) -> Path:
    build_index(problem.target, open_dataset(problem.exemplars), [problem.layer], folder, progress=watch.stage("index"))
    return folder


def _settings(problem: Problem, options: Options) -> Settings:
    fills = {"classes": list(problem.classes), "surroundings": list(problem.surroundings)}
    return Settings(
        task=load_task(TASK, fills),
        turns=options.turns or options.profile.turns,
        seed=options.seed,
        sandbox=options.sandbox,
    )


def _profile(problem: Problem, options: Options, index: Path) -> Profile:
    return replace(options.profile, index=str(index), target=problem.target.name, weights=problem.weights)


def _ask_agent(problem: Problem, out: Path, options: Options, top: Sparse, index: Path, watch: Watch) -> Run:
    from ...models.testbed.world import World

    units = [Unit(problem.target.name, problem.layer, unit) for unit in top.units]
    opened = Opened(units, World(), {problem.target.name: problem.target})
    backbone = options.backbone or options.profile.backbone
    if backbone == SpuriousExperimenter.name:
        backbone = SpuriousExperimenter(problem.classes, problem.surroundings)
    profile = _profile(problem, options, index)
    return describe(
        opened,
        out / "agent",
        backbone=backbone,
        profile=profile,
        jobs=options.jobs,
        seed=options.seed,
        settings=_settings(problem, options),
        progress=watch,
    )


def _judged(problem: Problem, unit: Unit, transcript: Transcript) -> Judged:
    end = transcript.end
    label = end.labels[0] if isinstance(end, Conclusion) and end.labels else ""
    reasoning = end.description if isinstance(end, Conclusion) else end.reason if end else "unfinished"
    entries = [entry for record in transcript.of(Experiment) for entry in record.log]
    grid = read_grid("\n".join(entry.text for entry in entries))
    pictures: list[str] = next((entry.images[:SHOWN] for entry in entries if entry.images and entry.activations), [])
    shares = variance_shares(problem.pool.features[:, unit.index], problem.pool.labels, problem.pool_places)
    cells = [(name, place, cell.mean, cell.active, cell.count) for (name, place), cell in grid.items()]
    return Judged(str(unit), unit.index, label, reasoning, cells, pictures, *shares)


def _without(judged: list[Judged]) -> list[str]:
    failed = [entry for entry in judged if not entry.label]
    if not failed:
        return []
    named = "; ".join(f"{entry.unit}: {entry.reasoning}" for entry in failed[:3])
    return [f"{len(failed)} units came to no conclusion and are not kept ({named})."]


def _rows(problem: Problem, options: Options, top: tuple[int, ...], judged: list[Judged], watch: Watch) -> Rows:
    kept = [entry.index for entry in judged if entry.kept]
    rows = unbalanced_rows(problem.validation, problem.test, top, kept, options.seed)
    if problem.original is not None:
        rows.rows.insert(0, original_row(problem.original, problem.test.features.shape[1]))
    else:
        why = "the network has no classifier of these classes: only the regression on its units is fitted"
        rows.rows.insert(0, Row(ORIGINAL, None, False, None, skipped=why))
    if problem.balanced:
        count = min(len(kept) or SAME, len(top))
        found = balanced_rows(
            problem.pool, problem.balanced, problem.test, count, options.seed, watch.stage("balanced sets")
        )
        rows.rows += found.rows
        rows.notes += found.notes
    return rows


def _labelled(problem: Problem, run: Run, options: Options, index: Path) -> list[Row]:
    """Rows of methods that name a unit: kept is what names a class and none of the surroundings. The paper's authors
    picked by hand the labels that are about dogs."""
    from ...agent.run import model_of
    from ..quality.evaluate_methods import Unusable
    from ..quality.evaluate_people import Asked, people_of

    skipped = {
        MILAN: "" if options.milan else "no checkpoint of MILAN was given (--milan)",
        CAPTION: "it needs a vision-language model as backbone, which captions the exemplars",
    }
    named = options.backbone if isinstance(options.backbone, str) else options.profile.backbone
    services = run.services[problem.target.name]
    vlm = None
    if options.captions and (isinstance(options.backbone, str) or options.backbone is None):
        from ...engine.vlm import with_backbone

        vlm = model_of(with_backbone(replace(_profile(problem, options, index), backbone=named), named))
        skipped[CAPTION] = "" if vlm is not None else skipped[CAPTION]
    if all(skipped.values()):
        return [Row(key, None, False, None, skipped=why) for key, why in skipped.items()]
    people = people_of(Asked("scene", "scene", milan=options.milan), services.scheduler, vlm)

    async def labels(key: str) -> dict[int, str]:
        found = {}
        async with running([services]), services.scheduler.agent(key):
            for unit in run.units:
                try:
                    found[unit.index] = await people.baselines[key](services, unit, options.seed)
                except Unusable as problem_of_unit:
                    found[unit.index] = f"(none: {problem_of_unit})"
        return found

    rows = []
    for key, why in skipped.items():
        if why:
            rows.append(Row(key, None, False, None, skipped=why))
            continue
        told = asyncio.run(labels(key))
        kept = [
            unit
            for unit, label in told.items()
            if label[:1] != "(" and names_class(label, problem.classes, problem.surroundings)
        ]
        row = chosen_row(key, problem.validation, problem.test, kept, "none of its labels names a class alone")
        rows.append(replace(row, note="; ".join(f"{unit}: {label}" for unit, label in told.items())))
    return rows


def names_class(label: str, classes: tuple[str, ...], surroundings: tuple[str, ...]) -> bool:
    """Whether a label has a content word of a class, and none of any surrounding."""
    small = frozenset(["a", "an", "the", "in", "on", "at", "of", "with", "plain"])

    def words(texts: tuple[str, ...]) -> set[str]:
        return {word.lower() for text in texts for word in text.split()} - small

    said = {word.strip(".,;:()\"'").lower() for word in label.split()}
    said |= {word.removesuffix("s") for word in said}
    return bool(said & words(classes)) and not said & words(surroundings)


def _facts(problem: Problem, top: Sparse, options: Options, run: Run) -> dict[str, Any]:
    return {
        "target": problem.target.name,
        "layer": problem.layer,
        "feature of a unit": f"{problem.pooling} over positions",
        "classes": ", ".join(problem.classes),
        "surroundings": ", ".join(problem.surroundings),
        **problem.facts,
        "backbone": run.backbone.name if run.backbone else "",
        "l1 strength (C)": f"{top.C:.4g}",
        "seed": options.seed,
    }


def read_study(folder: Path) -> Mapping[str, Any]:
    """RESULT of a folder. Raises UserError where it is missing or damaged."""
    try:
        found: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        return found
    except (OSError, ValueError):
        raise UserError(f"{folder / RESULT} is missing or damaged: run `maia spurious` on it again.") from None
