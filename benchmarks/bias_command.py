"""`maia bias`: biases of a classifier's classes (the paper's section 5.2), and the testbed where they are known."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ..models.errors import UserError

if TYPE_CHECKING:
    from ..engine.profile import Profile
    from .applications.bias_runs import Options

console = Console()
errors = Console(stderr=True)


def bias(
    out: Annotated[Path, typer.Option(help="Directory of runs and results. The same command on it goes on.")],
    target: Annotated[
        str | None, typer.Option(help="Classifier to study, as resnet152 (default: the profile's).")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(help="Class names or indices with commas, as flagpole,tench.", show_default=False)
    ] = None,
    testbed: Annotated[
        bool, typer.Option("--testbed", help="Classes with planted biases of known truth, and clean ones: the study.")
    ] = False,
    per_kind: Annotated[
        int | None, typer.Option(help="Of the testbed: the first classes of each kind (default: all).", min=1)
    ] = None,
    layer: Annotated[str, typer.Option(help="Layer whose units are classes: probabilities or logits.")] = (
        "probabilities"
    ),
    names: Annotated[
        Path | None, typer.Option(help="Class names of your own network, one a line, in the order of its outputs.")
    ] = None,
    profile: Annotated[str, typer.Option(help="A built-in profile or the path of a YAML file.")] = "testbed",
    backbone: Annotated[
        str | None, typer.Option(help="Who experiments: scripted, small, served or in-process.")
    ] = None,
    vlm: Annotated[str | None, typer.Option("--vlm", help="A name of the catalogue, or a checkpoint's folder.")] = None,
    url: Annotated[str | None, typer.Option(help="OpenAI-compatible server, as http://host:8000/v1.")] = None,
    index: Annotated[Path | None, typer.Option(help="Exemplar index (default: one of the world's dataset).")] = None,
    weights: Annotated[str | None, typer.Option(help="Of the target, as in `maia describe`.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N (default: the profile's).")] = None,
    turns: Annotated[int | None, typer.Option(help="Experiments a class may take.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything that is random.")] = 0,
    sandbox: Annotated[
        str, typer.Option(help="bubblewrap, or none: run model-written code UNPROTECTED.")
    ] = "bubblewrap",
) -> None:
    """Look for biases in classes of a classifier: contexts in which a class's output is lower or higher than elsewhere.

    Leaves a verdict for each class (a bias, or that none was found in what was tested), means by context with
    intervals, and the pictures behind them, as bias.html, .md, .json and .csv.
    """
    from ..agent.experiment import Settings
    from ..agent.sandbox.supervisor import Sandbox
    from ..engine.profile import load_profile
    from ..engine.vlm import with_backbone, with_model
    from ..models.registry import PLANTED
    from .applications.bias_runs import Options

    if testbed and (classes or target or names or index or weights):
        raise UserError("--testbed has classes of its own: leave --target, --classes and what belongs to them out.")
    if not testbed and not classes:
        raise UserError("no classes were named: give --classes flagpole,tench, or --testbed.")
    chosen = with_model(load_profile(profile), vlm, url)
    chosen = with_backbone(chosen, backbone or chosen.backbone)
    chosen = replace(
        chosen,
        target=PLANTED if testbed else target or chosen.target,
        index=str(index) if index else chosen.index,
        weights=weights or chosen.weights,
        device=device or chosen.device,
    )
    box = Sandbox(mode=sandbox)
    box.check_available()
    if box.banner:
        errors.print(box.banner, style="bold red")
    settings = Settings(turns=turns or chosen.turns, seed=seed, sandbox=sandbox)
    asked = (classes or "").split(",")
    _study(out, Options(chosen, settings), testbed, per_kind, layer, asked, names)


def _study(
    out: Path, options: "Options", testbed: bool, per_kind: int | None, layer: str, asked: list[str], names: Path | None
) -> None:
    from ..agent.progress import TerminalProgress
    from .applications.bias_classes import class_units, read_names
    from .applications.bias_results import write_results
    from .applications.bias_runs import open_classifier, planted_classes, run_classes
    from .applications.bias_study import against, rate_rows, summarise

    profile = options.profile
    opened = open_classifier(profile.target, profile)
    loaded = opened.targets[profile.target]
    if testbed:
        units = planted_classes(loaded, per_kind)
    else:
        units = class_units(loaded, layer, asked, read_names(names) if names else None)
    console.print(f"Backbone: [bold]{profile.backbone}[/]. {len(units)} classes of {loaded.name}. Out: {out}")
    with TerminalProgress(console, len(units)) as bars:
        results = run_classes(units, opened, profile.target, out, options, bars)
    rows = []
    if testbed:
        planted = {str(unit): loaded.planted(unit) for _, unit in units}  # type: ignore[attr-defined]
        rows = [against(result, planted[result.unit]) for result in results]
    page = write_results(out, results, _facts(profile, options, len(units)), rows)
    for group, what, text in rate_rows(summarise(rows)):
        console.print(f"{group}: {what} {text}", markup=False, highlight=False)
    for result in [] if testbed else results:
        console.print(f"{result.name}: {result.bias or result.reason}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"Results: {page}", soft_wrap=True)


def _facts(profile: "Profile", options: "Options", classes: int) -> dict[str, Any]:
    """What the results rest on."""
    return {
        "target": profile.target,
        "classes": classes,
        "backbone": profile.backbone,
        "world": profile.world,
        "turns": options.settings.turns,
        "seed": options.settings.seed,
    }
