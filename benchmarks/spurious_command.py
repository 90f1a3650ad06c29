"""`maia spurious`: find and remove spurious features of a classifier's last layer."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ..models.errors import UserError

if TYPE_CHECKING:
    from .applications.spurious_study import Options, Study

console = Console()


def spurious(
    out: Annotated[Path, typer.Option(help="Directory of the study. The same command on it goes on.")],
    data: Annotated[Path | None, typer.Option(help="Folder of Spawrious' o2o_easy set (spawrious224 in it).")] = None,
    testbed: Annotated[
        bool, typer.Option("--testbed", help="The offline world with a planted shortcut instead.")
    ] = False,
    seeds: Annotated[
        int, typer.Option(help="With --testbed: studies with other classes, places, pictures.", min=1)
    ] = 5,
    seed: Annotated[int, typer.Option(help="Of splits, training, draws; with --testbed the first of several.")] = 0,
    backbone: Annotated[str | None, typer.Option(help="scripted, served, in-process (default: the profile's).")] = None,
    vlm: Annotated[str | None, typer.Option(help="Model of the backbone: a folder, a name, small.")] = None,
    profile: Annotated[str, typer.Option(help="A built-in profile or the path of a YAML file.")] = "testbed",
    jobs: Annotated[int | None, typer.Option(help="Units at once.", min=1)] = None,
    turns: Annotated[int | None, typer.Option(help="Experiments a unit may take.", min=1)] = None,
    units: Annotated[int, typer.Option(help="Units that l1 chooses for the agent.", min=1)] = 50,
    device: Annotated[str | None, typer.Option(help="Of the network: cpu, cuda or cuda:N.")] = None,
    initial: Annotated[
        str | None,
        typer.Option(help="First weights of the training: torchvision's resnet18 (file, folder), or random."),
    ] = None,
    learning_rate: Annotated[float, typer.Option(help="Of the training.", min=0.0)] = 1e-4,
    steps: Annotated[int | None, typer.Option(help="Of the training at most, for a trial.", min=1)] = None,
    limit: Annotated[int | None, typer.Option(help="Pictures of each folder at most, for a trial.", min=2)] = None,
    milan: Annotated[Path | None, typer.Option(help="MILAN's checkpoint: then MILAN is a row, too.")] = None,
    sandbox: Annotated[str, typer.Option(help="Where experiments' code runs, as in `maia describe`.")] = "bubblewrap",
) -> None:
    """Keep the units that answer to one class wherever it stands, refit the classifier on them, compare (table 2)."""
    from ..engine.profile import load_profile
    from ..engine.vlm import with_model
    from .applications.spurious_study import Options

    if (data is None) != testbed:
        raise UserError("name one: --data FOLDER (Spawrious), or --testbed.")
    chosen = with_model(load_profile(profile), vlm)
    chosen = replace(chosen, device=device or chosen.device, backbone=backbone or chosen.backbone)
    if data is not None and chosen.world == "testbed" and chosen.backbone == "scripted":
        raise UserError(
            "the offline world cannot draw dogs of the four breeds, so that the scripted experimenter has nothing to "
            "experiment with: give --profile with a world of diffusion models, or --testbed."
        )
    options = Options(chosen, None, seed, jobs, turns, units, milan, sandbox=sandbox)
    if data is not None:
        from .applications.spurious_training import Recipe

        recipe = Recipe(learning_rate=learning_rate, seed=seed, initial=initial, steps=steps)
        spawrious_study(data, out, recipe, options, device, limit)
    else:
        testbed_studies(out, range(seed, seed + seeds), options)


def spawrious_study(
    data: Path, out: Path, recipe: Any, options: "Options", device: str | None = None, limit: int | None = None
) -> "Study":
    """The study of section 5.1 on a folder; leaves table and page in `out`. Raises UserError."""
    from .applications.spurious_page import write_results
    from .applications.spurious_spawrious import spawrious_problem
    from .applications.spurious_study import run_study

    with _watching(options.top) as watch:
        problem = spawrious_problem(data, out, recipe, watch.stage, device, limit)
        study = run_study(problem, out, options, watch)
    page = write_results({options.seed: study}, out, "Spurious features: Spawrious O2O-easy")
    console.print(f"Table and pictures: {page}", soft_wrap=True)
    return study


def testbed_studies(out: Path, seeds: range, options: "Options", sizes: Any = None) -> "dict[int, Study]":
    """A study for each seed in out/seed-N; table and page over all of them in `out`."""
    from .applications.spurious_page import write_results
    from .applications.spurious_study import run_study
    from .applications.spurious_testbed import Sizes, testbed_problem

    studies = {}
    for seed in seeds:
        console.print(f"Seed {seed}:")
        with _watching(options.top) as watch:
            problem = testbed_problem(seed, out / f"seed-{seed}", sizes or Sizes(), watch.stage)
            studies[seed] = run_study(problem, out / f"seed-{seed}", replace(options, seed=seed), watch)
        page = write_results(studies, out, f"Spurious features: the testbed, {len(studies)} seeds")
    console.print(f"Table and pictures: {page}", soft_wrap=True)
    return studies


def _watching(units: int) -> "Any":
    from ..agent.progress import TerminalProgress
    from ..engine.progress import advance_to
    from .applications.spurious_study import Watch

    class Terminal(TerminalProgress, Watch):
        def stage(self, what: str) -> Callable[[int, int], None]:
            def show(done: int, total: int) -> None:
                advance_to(self._bars, self._task(what, total), done, "items")

            return show

        def say(self, sentence: str) -> None:
            self._bars.console.print(f"  {sentence}", highlight=False, markup=False)

    return Terminal(console, units)
