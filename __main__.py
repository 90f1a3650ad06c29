"""The command line: `maia …` or `python -m maia …`."""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer
from rich.console import Console

from .agent.index_commands import Detector, Device, Weights, index_app
from .benchmarks.bias_command import bias
from .benchmarks.commands import bench_app
from .benchmarks.evaluate_command import evaluate, paper_units
from .benchmarks.finetune_commands import finetune_app
from .benchmarks.people_commands import notebook, usefulness
from .benchmarks.spurious_command import spurious
from .benchmarks.synthetic_commands import synthetic_app
from .models.errors import UserError

if TYPE_CHECKING:
    from .agent.run import Opened
    from .agent.tasks import Task
    from .engine.items import Purpose
    from .engine.profile import Profile
    from .models.targets import Unit

app = typer.Typer(
    name="maia",
    help="Automated interpretability of vision networks on your own machines.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
sandbox_app = typer.Typer(help="The sandbox in which model-written code runs.", no_args_is_help=True)
packs_app = typer.Typer(help="Optional packs of further drawings, for evaluation only.", no_args_is_help=True)
app.add_typer(sandbox_app, name="sandbox")
app.add_typer(packs_app, name="packs")
app.add_typer(index_app, name="index")
app.add_typer(bench_app, name="bench")
app.add_typer(finetune_app, name="finetune")
app.add_typer(synthetic_app, name="synthetic")
app.command()(evaluate)
app.command()(paper_units)
app.command()(notebook)
app.command()(usefulness)
app.command()(spurious)
app.command()(bias)

console = Console()
errors = Console(stderr=True)
_debug = False

Out = Annotated[
    Path, typer.Option("--out", help="Directory of the run. The same command on it goes on where it stood.")
]
Jobs = Annotated[int | None, typer.Option(help="Units that run at once (default: the profile's).", min=1)]
Turns = Annotated[int | None, typer.Option(help="Experiments a unit may take (default: the profile's).", min=1)]
Seed = Annotated[int, typer.Option(help="Seed of everything that is random.")]
SandboxMode = Annotated[str, typer.Option("--sandbox", help="bubblewrap, or none: run model-written code UNPROTECTED.")]


Model = Annotated[
    str | None, typer.Option("--vlm", help="Vision-language model: a name of the catalogue, or a checkpoint's folder.")
]
Url = Annotated[str | None, typer.Option(help="OpenAI-compatible server that has it, as http://host:8000/v1.")]
Adapter = Annotated[str | None, typer.Option(help="LoRA adapter that answers, of those that the profile names.")]
Context = Annotated[int | None, typer.Option(help="Tokens that the model may read (default: the profile's).", min=512)]


@app.callback()
def options(debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False) -> None:
    """Options of all commands."""
    global _debug
    _debug = debug


# The network's units answer to things that this world can draw (docs/results.md has units drawn at random).
DEMO_UNITS = {
    "efficientnet-lite0": "blocks.10=20,47:blocks.15=126,127",
    "ground-truth": "single=16,76:or=18:conditional=19",
}
DEMO_IMAGES = 3000
"""Images of the dataset that the demo's index covers: its first run has to stay under five minutes on two cores."""


@app.command()
def demo(
    out: Out = Path("runs/demo"),
    jobs: Jobs = None,
    seed: Seed = 0,
    sandbox: SandboxMode = "bubblewrap",
    backbone: Annotated[str, typer.Option(help="scripted, or small: the fine-tuned model that ships.")] = "scripted",
) -> None:
    """Interpret eight units at once, offline: four of an ImageNet network, four ground-truth neurons."""
    from .engine.profile import load_profile
    from .engine.targets import load_target
    from .engine.vlm import with_backbone
    from .models.targets import parse_units
    from .models.testbed.world import World

    world = World()
    named = [unit for name, text in DEMO_UNITS.items() for unit in parse_units(text, load_target(name, world))]
    # The CPU, so that the demo shows the same on every machine.
    profile = replace(with_backbone(load_profile("testbed"), backbone), dataset_images=DEMO_IMAGES, device="cpu")
    _run(named, out, profile, jobs, None, seed, sandbox)


@app.command()
def describe(
    units: Annotated[str, typer.Option(help="Units by layer, such as 'blocks.10=3,47:head=9'.")],
    out: Out,
    profile: Annotated[str, typer.Option(help="A built-in profile or the path of a YAML file.")] = "testbed",
    target: Annotated[str | None, typer.Option(help="Network to interpret (default: the profile's).")] = None,
    backbone: Annotated[
        str | None,
        typer.Option(help="Who experiments: scripted, small, served or in-process (default: the profile's)."),
    ] = None,
    vlm: Model = None,
    url: Url = None,
    adapter: Adapter = None,
    context: Context = None,
    describer: Annotated[
        str | None, typer.Option(help="Who describes pictures: pixels (offline world) or vlm (default: the profile's).")
    ] = None,
    guards: Annotated[str, typer.Option(help="Guards over replies: all, none, or names with commas.")] = "all",
    index: Annotated[
        Path | None,
        typer.Option(help="Exemplar index to use (maia index build) (default: one of the world's dataset)."),
    ] = None,
    weights: Weights = None,
    device: Device = None,
    memory: Annotated[
        str | None, typer.Option(help="That models may use, such as 24GiB (default: see --profile).")
    ] = None,
    jobs: Jobs = None,
    turns: Turns = None,
    seed: Seed = 0,
    sandbox: SandboxMode = "bubblewrap",
    score: Annotated[bool, typer.Option(help="Score the labels on unseen images.")] = True,
    record_calls: Annotated[
        Path | None, typer.Option(help="Append every call of a model to this file, for maia bench scheduler --record.")
    ] = None,
    detector: Detector = None,
    without: Annotated[
        str | None, typer.Option(help="Tools to leave out, with commas: an ablation, as text2image,edit_images.")
    ] = None,
    drawings: Annotated[
        str, typer.Option(help="Offline world: what experiments draw with: exploration, or evaluation (an ablation).")
    ] = "exploration",
    task: Annotated[
        str | None, typer.Option(help="What is asked: a built-in task, or a YAML file of your own (docs/tasks.md).")
    ] = None,
    fill: Annotated[
        list[str] | None, typer.Option(help="What the task's text leaves open, as class_name=flagpole or name=a,b,c.")
    ] = None,
) -> None:
    """Describe units of a target; leaves transcripts, scores and a report in the output directory."""
    from .agent.api import removable
    from .agent.guards import guards_named
    from .agent.run import open_units
    from .agent.tasks import DESCRIPTION, fills_named, load_task
    from .engine.items import Purpose
    from .engine.profile import load_profile
    from .engine.vlm import with_backbone, with_model

    asked = load_task(task or DESCRIPTION, fills_named(fill or []))
    chosen = with_model(load_profile(profile), vlm, url, adapter, context)
    chosen = with_backbone(chosen, backbone or chosen.backbone)
    chosen = replace(
        chosen,
        target=target or chosen.target,
        index=str(index) if index else chosen.index,
        weights=weights or chosen.weights,
        device=device or chosen.device,
        memory=memory or chosen.memory,
        describer=describer or chosen.describer,
        detector=detector or chosen.detector,
    )
    watching = guards_named(guards)
    if drawings not in get_args(Purpose):
        raise UserError(f"there are no drawings {drawings!r}: choose from {', '.join(get_args(Purpose))}.")
    if drawings != "exploration" and chosen.world != "testbed":
        raise UserError("--drawings is for the offline world: elsewhere another profile has another generator.")
    removed = removable([name.strip() for name in without.split(",") if name.strip()] if without else ())
    opened, drawn = open_units(units, chosen.target, chosen), cast("Purpose", drawings)
    _run(opened, out, chosen, jobs, turns, seed, sandbox, score, record_calls, watching, removed, drawn, asked)


def _run(
    units: "list[Unit] | Opened",
    out: Path,
    profile: "Profile",
    jobs: int | None,
    turns: int | None,
    seed: int,
    sandbox: str,
    score: bool = True,
    record_calls: Path | None = None,
    guards: tuple[str, ...] | None = None,
    removed: tuple[str, ...] = (),
    drawings: "Purpose" = "exploration",
    task: "Task | None" = None,
) -> None:
    from .agent.experiment import Settings
    from .agent.guards import GUARDS
    from .agent.progress import TerminalProgress
    from .agent.report import build_report, summary_table
    from .agent.run import describe as describe_units
    from .agent.run import locked
    from .agent.sandbox.supervisor import Sandbox
    from .agent.tasks import DESCRIPTION, task_of
    from .benchmarks.quality.score_run import score_run

    box = Sandbox(mode=sandbox)
    box.check_available()
    if box.banner:
        errors.print(box.banner, style="bold red")
    _announce(profile, out)
    watching = GUARDS if guards is None else guards
    settings = Settings(
        turns=turns or profile.turns,
        seed=seed,
        sandbox=sandbox,
        guards=watching,
        removed_tools=removed,
        drawings=drawings,
        task=task or DESCRIPTION,
    )
    scored = score and task_of(settings.task).describes
    with locked(out):  # until the report is written: scores.json has one writer as well
        named = units if isinstance(units, list) else units.units
        with TerminalProgress(console, len(named)) as bars:
            run = describe_units(
                units, out, profile=profile, jobs=jobs, settings=settings, progress=bars, record_calls=record_calls
            )
            try:
                if scored:
                    score_run(run, bars.scoring)
            finally:
                run.close()
        report = build_report(out)
    console.print(summary_table(out))
    if score and not scored:
        name = task_of(settings.task).name
        console.print(f"No scores: answers to the task {name} are no labels, from which activations are predicted.")
    elif profile.world == "testbed":
        console.print(
            "Scores say how well a label predicts activation in this rendered world, on drawings never explored."
        )
    console.print(f"Report: {report}", soft_wrap=True)


def _announce(profile: "Profile", out: Path) -> None:
    from .engine.profile import VLM_BACKBONES
    from .models.testbed.packs import available

    packs = ", ".join(f"{name} ({len(nouns)} nouns)" for name, nouns in available().items())
    packs = packs or "none (optional: maia packs install)"
    model = f" ({profile.vlm.get('model')})" if profile.vlm and profile.backbone in VLM_BACKBONES else ""
    console.print(f"Backbone: [bold]{profile.backbone}[/]{model}. Drawing packs: {packs}. Run: {out}", soft_wrap=True)
    if profile.text2image and profile.edit:
        describes = "the offline world's describer" if profile.describer == "pixels" or not model else "the same model"
        draws, edits = profile.text2image["model"], profile.edit["model"]
        console.print(f"Pictures: {draws}; edits: {edits}; described by {describes}.", soft_wrap=True)
    if profile.vlm and profile.backbone not in VLM_BACKBONES:
        console.print(f"The profile's {profile.vlm['model']} is not used: --backbone served uses it.", soft_wrap=True)


@app.command()
def serve(
    profile: Annotated[str, typer.Option(help="A built-in profile or the path of a YAML file.")] = "lab",
    vlm: Model = None,
    context: Context = None,
    memory: Annotated[
        str | None, typer.Option(help="Of each GPU for all models, such as 24GiB (default: see --profile).")
    ] = None,
    gpus: Annotated[int | None, typer.Option(help="How many GPUs (default: those that are here).", min=1)] = None,
    jobs: Jobs = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on (default: 127.0.0.1); others need an API key.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (default: a free one).", min=1, max=65535)] = None,
) -> None:
    """Serve the profile's vision-language model with vLLM, and keep it running until Ctrl-C."""
    from .engine.profile import load_profile
    from .engine.serve_command import serve_command
    from .engine.vlm import with_model

    chosen = with_model(load_profile(profile), vlm, context=context)
    say = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    serve_command(chosen, memory, gpus, jobs, host, port, say)


@app.command()
def plan(
    profile: Annotated[str, typer.Option(help="A built-in profile or the path of a YAML file.")] = "lab",
    memory: Annotated[
        str | None, typer.Option(help="Of each GPU, such as 24GiB (default: the profile's, else what is here).")
    ] = None,
    gpus: Annotated[int | None, typer.Option(help="How many GPUs (default: those that are here).", min=1)] = None,
    jobs: Jobs = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the plan in numbers here.")] = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Measure the models on this machine's GPU first (minutes).")
    ] = False,
) -> None:
    """Which models stay on the GPU, which are swapped, and how large batches are, with the arithmetic."""
    from .engine.explain import plan_command

    if calibrate:
        from .benchmarks.gpu.calibrate import calibrate_command

        console.print(calibrate_command(profile, say=console.print), markup=False, highlight=False, soft_wrap=True)
    console.print(plan_command(profile, memory, gpus, jobs, json_file), markup=False, highlight=False, soft_wrap=True)


@app.command()
def units(
    target: Annotated[str, typer.Option(help="Network whose units to list.")] = "efficientnet-lite0",
    weights: Weights = None,
    every: Annotated[bool, typer.Option("--all", help="All modules that have units.")] = False,
) -> None:
    """List the layers of a target and how many units each has."""
    from rich.table import Table

    from .engine.targets import NetworkTarget, load_target
    from .models.testbed.world import World

    loaded = load_target(target, World(), weights=weights, device="cpu")
    recommended = loaded.network.layers if isinstance(loaded, NetworkTarget) and not every else loaded.layers
    table = Table("layer", "units", "indices", title=f"Units of {loaded.name}")
    for layer in recommended:
        table.add_row(layer, str(loaded.layers[layer]), f"0-{loaded.layers[layer] - 1}")
    console.print(table)
    if len(recommended) < len(loaded.layers):
        console.print(f"{len(loaded.layers) - len(recommended)} more modules can be named as layers: --all lists them.")


@app.command()
def report(run: Annotated[Path, typer.Argument(help="Directory of a run.")]) -> None:
    """Write the HTML report of a run and print its table."""
    from .agent.report import build_report, summary_table

    path = build_report(run)
    console.print(summary_table(run))
    console.print(f"Report: {path}", soft_wrap=True)


@sandbox_app.command("check")
def sandbox_check(sandbox: SandboxMode = "bubblewrap") -> None:
    """Run hostile programs in the sandbox and see that each is contained."""
    from .agent.sandbox.check import run_check

    if not run_check(console, mode=sandbox):
        raise typer.Exit(1)


@packs_app.command("install")
def packs_install(name: Annotated[str, typer.Argument(help="emoji or stamps.")]) -> None:
    """Fetch a pack from its registry into the cache (needs a connection once)."""
    from .models.testbed.packs import install

    nouns = install(name)
    console.print(f"Pack {name}: {len(nouns)} nouns with further drawings.")


@packs_app.command("list")
def packs_list() -> None:
    """Say which packs are installed."""
    from .models.testbed.packs import available

    for name, nouns in available().items():
        console.print(f"{name}: {', '.join(nouns)}")
    if not available():
        console.print("No pack is installed; everything works without one.")


INTERRUPTED = 130


def main() -> None:
    """Entry point: errors for people end with one sentence and exit code 2."""
    try:
        app()
    except SystemExit as ending:  # typer turns an interrupt within a command into a silent exit code
        if ending.code == INTERRUPTED:
            _say_interrupted()
        raise
    except UserError as error:
        if _debug:
            raise
        errors.print(f"maia: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        sys.exit(2)
    except OSError as error:
        if _debug:
            raise
        where = f" ({error.filename})" if error.filename else ""
        errors.print(
            f"maia: {error.strerror or error}{where}: free the resource and give the same command again to go on.",
            style="red",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
        sys.exit(2)
    except KeyboardInterrupt:
        _say_interrupted()
        sys.exit(INTERRUPTED)


def _say_interrupted() -> None:
    errors.print("maia: interrupted; the same command goes on where this one stopped.", highlight=False)


if __name__ == "__main__":
    main()
