"""The labels that are compared: those of finished runs, and of baselines; and whether they may be compared at all."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...agent.report_data import RunData, load_run
from ...agent.services import Services
from ...models.errors import UserError
from ...models.targets import Unit
from ..baselines.captioner import Captioner
from ..baselines.clip_dissect import Dissector, clip_dissect_label
from ..baselines.controls import exemplar_only_label, random_label
from ..baselines.majority import exemplar_majority_label
from ..baselines.milan_folder import MilanModel, milan_label
from .evaluation_units import PARTIAL
from .pool import Unusable, check_label

AGENT, HUMAN = "agent", "human"
ABLATED = {("text2image", "edit_images"): "exemplars only", ("dataset_exemplars",): "generated only"}
"""Settings of the paper's section 4.3, by the tools that they lack …"""
OTHER = "other generator"
"""… and the third: exploration with another generator. In the offline world, with the drawings of evaluations."""


@dataclass(frozen=True)
class MethodRun:
    """One run of a method. labels: by unit, of those that came to one; missing: by unit, why there is none.
    fingerprints: by target, of the weights that the run asked; dataset: of its exemplars. drawn_with: what exploration
    drew with."""

    method: str
    path: Path
    seed: int
    labels: Mapping[str, str]
    missing: Mapping[str, str]
    fingerprints: Mapping[str, str]
    dataset: Mapping[str, Any]
    world: str
    drawn_with: Any = None


def read_methods(arguments: Sequence[str]) -> list[MethodRun]:
    """Runs from "RUN" or "NAME=RUN"; one without a name is "agent" ("human" if people made it), with the ablation that
    the tools which it lacked make of it.

    Runs of one name are seeds of one method. Raises UserError for what is no run, for two runs of one name with one
    seed, and for runs of one name that explored with different generators.
    """
    if not arguments:
        raise UserError("no runs were named: give the directories that `maia describe` wrote to, or NAME=DIRECTORY.")
    found: list[MethodRun] = []
    for text in arguments:
        name, equals, path = text.partition("=")
        run = _read(Path(path if equals else text), name if equals else None)
        for other in found:
            if other.method == run.method and other.drawn_with != run.drawn_with:
                raise UserError(
                    f"{other.path} and {run.path} are both {run.method}, but explored with different generators: give "
                    f"one of them a name, as in '{run.method}: other generator={run.path}'."
                )
            if (other.method, other.seed) == (run.method, run.seed):
                raise UserError(
                    f"{other.path} and {run.path} are both {run.method} with seed {run.seed}: give one of them another "
                    f"name, as in other={run.path}."
                )
        found.append(run)
    return found


def _read(path: Path, name: str | None) -> MethodRun:
    data = load_run(path)
    config = data.config
    if not config:
        raise UserError(f"{path / 'run.json'} cannot be read: mend it, or leave the run out.")
    labels: dict[str, str] = {}
    missing: dict[str, str] = {}
    fingerprints: dict[str, str] = {}
    for unit in data.units:
        label = " OR ".join(unit.labels)
        problem = check_label(label) if unit.status == "done" else unit.status
        if problem is None:
            labels[unit.name] = label
        else:
            missing[unit.name] = problem
        if unit.start is not None:
            fingerprints[unit.start.target] = str(unit.start.settings.get("target_fingerprint", ""))
    return MethodRun(
        name or _name(data),
        path,
        int(config.get("seed", 0)),
        labels,
        missing,
        fingerprints,
        config.get("dataset") or {},
        str(config.get("world", "testbed")),
        (config.get("generators") or {}).get("text2image") or config.get("drawings", "exploration"),
    )


def _name(data: RunData) -> str:
    lacking = {str(tool) for tool in data.config.get("removed_tools") or ()}
    name = HUMAN if data.config.get("backbone") == HUMAN else AGENT
    if not lacking:
        return f"{name}: {OTHER}" if data.config.get("drawings", "exploration") != "exploration" else name
    known = next((ablation for tools, ablation in ABLATED.items() if set(tools) == lacking), None)
    return f"{name}: {known or 'without ' + ', '.join(sorted(lacking))}"


Baseline = Callable[[Services, Unit, int], Awaitable[str]]


async def _exemplar_only(services: Services, unit: Unit, seed: int) -> str:
    return await exemplar_only_label(services, unit)


async def _random(services: Services, unit: Unit, seed: int) -> str:
    return random_label(unit, seed)


async def _majority(services: Services, unit: Unit, seed: int) -> str:
    return await exemplar_majority_label(services, unit)


async def _dissect(services: Services, unit: Unit, seed: int) -> str:
    return await clip_dissect_label(services, unit)


BASELINES: dict[str, Baseline] = {
    "exemplar-only": _exemplar_only,
    "exemplar-majority": _majority,
    "clip-dissect": _dissect,
    "random": _random,
}
"""Methods whose labels an evaluation makes itself, by name. All know the offline world's words alone; "clip-dissect"
has the words of whoever describes pictures in the place of CLIP."""


def dissecting(dissector: Dissector) -> Baseline:
    """CLIP-Dissect with a CLIP and concepts of one's own."""

    async def label(services: Services, unit: Unit, seed: int) -> str:
        return await dissector.label(services, unit)

    return label


def describing(model: MilanModel) -> Baseline:
    """MILAN. Raises Unusable for a unit without exemplars, and where its best description has no word."""

    async def label(services: Services, unit: Unit, seed: int) -> str:
        found = await milan_label(services, unit, model)
        if found is None:
            raise Unusable("MILAN says nothing of it", counted=0)
        return found

    return label


def captioning(captioner: Captioner) -> Baseline:
    """One request to the local model a unit. Raises Unusable where it has no label."""

    async def label(services: Services, unit: Unit, seed: int) -> str:
        found = await captioner.label(services, unit)
        if found is None:
            raise Unusable(captioner.failed[str(unit)], counted=0)
        return found

    return label


@dataclass
class Comparison:
    """Whose labels are compared. units: those for which every run has one (people's aside, who are given a part), in
    the order of the first run. left_out: by unit and method, why a label is missing."""

    runs: Sequence[MethodRun]
    baselines: Sequence[str] = ()
    units: list[str] = field(default_factory=list)
    left_out: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def seeds(self) -> list[int]:
        """Of all runs. A method with one run alone takes part in each."""
        return sorted({run.seed for run in self.runs})

    def labels(self, unit: str, seed: int) -> dict[str, str]:
        """Of the runs, by method."""
        chosen = {}
        for method in dict.fromkeys(run.method for run in self.runs):
            own = [run for run in self.runs if run.method == method]
            run = own[0] if len(own) == 1 else next(run for run in own if run.seed == seed)
            if unit in run.labels:
                chosen[method] = run.labels[unit]
        return chosen


def compare(
    runs: Sequence[MethodRun], baselines: Sequence[str], known: Collection[str] = tuple(BASELINES)
) -> Comparison:
    """Which units can be compared. Raises UserError where none can, for runs of different datasets or weights, for a
    method whose runs lack a seed that others have, and for unknown baselines."""
    for name in baselines:
        if name not in known:
            raise UserError(f"there is no baseline {name!r} here: choose from {', '.join(known)}.")
        if name in {run.method for run in runs}:
            raise UserError(f"{name} is the name of a run, too: give that run another one, as in mine=RUN.")
    _check_alike(runs)
    result = Comparison(runs, baselines)
    for method in {run.method for run in runs}:
        own = {run.seed for run in runs if run.method == method}
        if len(own) > 1 and own != set(result.seeds):
            lacking = ", ".join(map(str, sorted(set(result.seeds) - own)))
            raise UserError(
                f"{method} has no run with the seed {lacking}, which others have: run it, or leave those out."
            )
    for unit in dict.fromkeys(name for run in runs for name in (*run.labels, *run.missing)):
        reasons = {
            f"{run.method}, seed {run.seed}": run.missing.get(unit, "not in this run")
            for run in runs
            if unit not in run.labels and run.method not in PARTIAL
        }
        if reasons:
            result.left_out[unit] = reasons
        else:
            result.units.append(unit)
    if not result.units:
        example = next(iter(result.left_out.items()), ("no unit", {}))
        raise UserError(
            f"the runs have no unit in common that all of them described ({len(result.left_out)} are in some; "
            f"{example[0]}: {'; '.join(f'{who}: {why}' for who, why in example[1].items())})."
        )
    return result


def _check_alike(runs: Sequence[MethodRun]) -> None:
    first = runs[0]
    for run in runs[1:]:
        if _which(run.dataset) != _which(first.dataset):
            raise UserError(
                f"{run.path} took its exemplars from {run.dataset.get('name')!r}, {first.path} from "
                f"{first.dataset.get('name')!r}, in another version or number of images: such runs are not compared."
            )
        for target, fingerprint in run.fingerprints.items():
            if first.fingerprints.get(target, fingerprint) != fingerprint:
                raise UserError(
                    f"{run.path} and {first.path} asked the target {target} with different weights: such runs are not "
                    "compared."
                )


def _which(dataset: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(dataset.get(name) for name in ("fingerprint", "images"))


def check_services(comparison: Comparison, services: Mapping[str, Services], dataset: Mapping[str, Any]) -> None:
    """Raises UserError where the targets or the dataset (see `agent.run_facts.dataset_facts`) that are open now are not
    those of the runs."""
    for run in comparison.runs:
        if _which(run.dataset) != _which(dataset):
            raise UserError(
                f"{run.path} took its exemplars from {run.dataset.get('name')!r} with {run.dataset.get('images')} "
                f"images, and open here is {dataset['name']!r} with {dataset['images']}, or another version of it: "
                "give the --index or --profile of that run."
            )
        for target, fingerprint in run.fingerprints.items():
            if target in services and fingerprint and services[target].target.fingerprint != fingerprint:
                raise UserError(
                    f"{run.path} asked the target {target} with other weights or another definition than those here: "
                    "give the --profile, --weights or --detector of that run."
                )
