"""`maia evaluate RUN…`: finished runs of any methods, as the paper's tables."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ..models.errors import UserError
from .quality.evaluate_people import SELECTORS, WRITERS, Asked

if TYPE_CHECKING:
    from ..engine.profile import Profile
    from .quality.evaluate_methods import Comparison

console = Console()


def evaluate(
    out: Annotated[Path, typer.Option(help="Directory of the evaluation. The same command on it goes on.")],
    runs: Annotated[
        list[str] | None, typer.Argument(help="Directories of finished runs, or NAME=DIRECTORY.", show_default=False)
    ] = None,
    suite: Annotated[
        str | None, typer.Option(help="testbed: make the runs, too: the agent and its ablations over seeds (a night).")
    ] = None,
    per_kind: Annotated[
        int | None, typer.Option(help="Of the suite: ground-truth neurons of each kind.", min=0)
    ] = None,
    real: Annotated[int | None, typer.Option(help="Of the suite: units of EfficientNet-Lite0.", min=0)] = None,
    seeds: Annotated[int | None, typer.Option(help="Of the suite: seeds of the agent.", min=1)] = None,
    jobs: Annotated[int, typer.Option(help="Of the suite: units at once.", min=1)] = 2,
    baseline: Annotated[
        list[str] | None, typer.Option(help="Methods whose labels are made here; repeatable. none: no others.")
    ] = None,
    writer: Annotated[
        str, typer.Option(help="Who writes prompts: scene (the offline world's words), model.")
    ] = "scene",
    selector: Annotated[str, typer.Option(help="Who picks among them: scene, embeddings, model.")] = "scene",
    profile: Annotated[str, typer.Option(help="A built-in profile or the path of a YAML file.")] = "testbed",
    index: Annotated[Path | None, typer.Option(help="The runs' exemplar index (default: the profile's).")] = None,
    weights: Annotated[str | None, typer.Option(help="Of the target, as in `maia describe`.")] = None,
    detector: Annotated[str | None, typer.Option(help="Of synthetic neurons, as in `maia describe`.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N (default: the profile's).")] = None,
    vlm: Annotated[
        str | None, typer.Option(help="Model that writes, picks or captions: a folder, a name, small.")
    ] = None,
    clip: Annotated[Path | None, typer.Option(help="Folder of the CLIP of clip-dissect.")] = None,
    concepts: Annotated[Path | None, typer.Option(help="Its concepts: a text file, one a line.")] = None,
    milan: Annotated[Path | None, typer.Option(help="MILAN's checkpoint: then milan is a baseline, too.")] = None,
    backbone: Annotated[str, typer.Option(help="How that model is run: in-process or served.")] = "in-process",
    seed: Annotated[int, typer.Option(help="Of prompts, their order, and pictures.")] = 0,
) -> None:
    """Compare the labels of runs by the paper's protocol: every label on prompts that all methods wrote."""
    from ..engine.profile import load_profile
    from ..engine.vlm import with_model
    from .quality.evaluate_methods import BASELINES, compare, read_methods
    from .quality.evaluate_people import CAPTION, DISSECT, MILAN

    for name, chosen, choices in (("writer", writer, WRITERS), ("selector", selector, SELECTORS)):
        if chosen not in choices:
            raise UserError(f"there is no {name} {chosen!r}: choose from {', '.join(choices)}.")
    named_profile = with_model(load_profile(profile), vlm)
    own = replace(
        named_profile,
        index=str(index) if index else named_profile.index,
        weights=weights or named_profile.weights,
        detector=detector or named_profile.detector,
        device=device or named_profile.device,
        backbone=backbone if vlm is not None or "model" in (writer, selector) else "scripted",
    )
    if suite is not None:
        sizes = {"per_kind": per_kind, "real": real, "seeds": seeds, "jobs": jobs}
        runs = [*(runs or ()), *_suite(suite, out, own, sizes)]
    found = read_methods(runs or ())
    known = list(BASELINES) if own.world == "testbed" else ["random", *([DISSECT] if clip else ())]
    known += [*([CAPTION] if vlm is not None else []), *([MILAN] if milan else [])]
    named = known if baseline is None else [name for name in baseline if name != "none"]
    comparison = compare(found, named, known)
    _told(comparison)
    _evaluate(comparison, own, Asked(writer, selector, clip, concepts, milan, own.device or "cpu"), seed, out)


def paper_units(
    target: Annotated[str, typer.Argument(help="resnet152, clip-rn50 or dino-vits8.")],
    seed: Annotated[int, typer.Option(help="By which units are drawn from each layer.")] = 0,
) -> None:
    """Print as many units of each layer as the paper had (table A3), as `--units` takes them.

    The paper does not say which it drew; these are drawn by the seed.
    """
    from .quality.paper_values import LAYER_SIZES, paper_counts, unit_lists

    counts = paper_counts(target)
    print(unit_lists(target, counts, LAYER_SIZES[target], seed))


def _suite(name: str, out: Path, profile: "Profile", sizes: dict[str, int | None]) -> list[str]:
    from ..agent.progress import TerminalProgress
    from .quality.evaluate_suite import Suite, run_suite

    if name != "testbed":
        raise UserError(f"there is no suite {name!r}: choose testbed, or give the directories of runs.")
    chosen = replace(Suite(), **{name: size for name, size in sizes.items() if size is not None})  # type: ignore[arg-type]
    return run_suite(chosen, out, profile, lambda units: TerminalProgress(console, units), console.print)


def _told(comparison: "Comparison") -> None:
    console.print(f"{len(comparison.units)} units, seeds {', '.join(map(str, comparison.seeds))}.")
    for unit, reasons in list(comparison.left_out.items())[:5]:
        console.print(f"left out: {unit} ({'; '.join(f'{who}: {why}' for who, why in reasons.items())})")
    if len(comparison.left_out) > 5:
        console.print(f"and {len(comparison.left_out) - 5} more: evaluation.json names all.")


def _evaluate(comparison: "Comparison", profile: "Profile", asked: "Asked", seed: int, out: Path) -> dict[str, Any]:
    from ..agent.progress import TerminalProgress
    from ..agent.run import locked, model_of, open_services
    from ..agent.run_facts import dataset_facts
    from ..agent.services import scheduler_of
    from ..engine.vlm_runner import close_model
    from ..models.targets import Unit
    from .quality.evaluate import Protocol, evaluate
    from .quality.evaluate_methods import check_services
    from .quality.evaluate_people import people_of
    from .quality.evaluation_page import PAGE, write_results

    units = [Unit.parse(name) for name in comparison.units]
    targets = list(dict.fromkeys(unit.target for unit in units))
    layers = {name: list(dict.fromkeys(unit.layer for unit in units if unit.target == name)) for name in targets}
    drawings = {run.world: run.drawn_with for run in comparison.runs}
    generator = profile.text2image if profile.world != "testbed" else "the offline world's evaluation drawings"
    if profile.world != "testbed" and generator in drawings.values():
        console.print(
            "Pictures come from the generator that exploration drew with: the paper's protocol takes another."
        )
    model = model_of(profile)
    with locked(out), TerminalProgress(console, len(units)) as bars:
        services = open_services(targets, layers, profile, out, bars, model)
        try:
            check_services(comparison, services, dataset_facts(profile))
            people = people_of(asked, scheduler_of(services), model)
            protocol = Protocol(people.writer, people.selector, seed, generator, people.baselines)
            result = asyncio.run(evaluate(comparison, services, protocol, out, bars.scoring))
        finally:
            close_model(scheduler_of(services))
    for unit, reasons in result["problems"].items():
        for method, why in reasons.items():
            console.print(f"no result: {unit}, {method}: {why}", markup=False)
    write_results(out)
    console.print(f"Tables and figures: {out / PAGE}", soft_wrap=True)
    return result
