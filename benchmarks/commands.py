"""`maia bench …`: measurements."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

bench_app = typer.Typer(help="Measurements.", no_args_is_help=True)
console = Console()
errors = Console(stderr=True)

JsonFile = Annotated[Path | None, typer.Option("--json", help="Also write the results here.")]


@bench_app.command("testbed")
def bench_testbed(
    out: Annotated[
        Path, typer.Option(help="Directory of the run. The same command on it goes on where it stood.")
    ] = Path("runs/study"),
    per_kind: Annotated[int, typer.Option(help="Ground-truth neurons of each kind.")] = 40,
    real: Annotated[int, typer.Option(help="Units of EfficientNet-Lite0.")] = 40,
    jobs: Annotated[int, typer.Option(min=1)] = 8,
    seed: Annotated[int, typer.Option(help="Seed of everything that is random.")] = 0,
    json_file: JsonFile = None,
) -> None:
    """How often the truth is found, and how well labels predict, over many units of the testbed."""
    from ..agent.progress import TerminalProgress
    from .quality.testbed_study import run_study

    with TerminalProgress(console, 3 * per_kind + real) as bars:
        study = run_study(out, per_kind, real, seed, jobs, bars, bars.scoring)
    if json_file:
        json_file.write_text(json.dumps(study, indent=1) + "\n", encoding="utf-8")
    console.print((out / "study.md").read_text(encoding="utf-8"), markup=False, soft_wrap=True)


@bench_app.command("extraction")
def bench_extraction(
    model: Annotated[str | None, typer.Option(help="A target's name (default: torchvision:resnet50).")] = None,
    layers: Annotated[str | None, typer.Option(help="Such as 'conv1,layer4' (default: the recommended ones).")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N (default: cuda if there is one).")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, float16 or bfloat16 (default: float32).")] = None,
    batch: Annotated[
        int | None, typer.Option(help="Images of a forward; activations' last bits depend on it.", min=1)
    ] = None,
    images: Annotated[int | None, typer.Option(help="Images of a timed pass (default: 32; GPU 512).", min=1)] = None,
    files: Annotated[int | None, typer.Option(help="JPEG files, end to end (default: 96; GPU 4096).", min=2)] = None,
    repeats: Annotated[int | None, typer.Option(help="Of every measurement (default: 5).", min=1)] = None,
    threads: Annotated[int | None, typer.Option(help="Of torch on the CPU (default: 1).", min=1)] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that decode (default: the free cores).", min=0)] = None,
    weights: Annotated[str | None, typer.Option(help="File or directory (default: random weights).")] = None,
    json_file: JsonFile = None,
) -> None:
    """How fast the index pass is: beside the bare forward, the usual pass for each layer, and from JPEG files."""
    from rich.progress import Progress

    from .throughput.extraction import run_benchmark
    from .throughput.extraction_table import tables

    given = {
        "model": model,
        "layers": layers.split(",") if layers else None,
        "device": device,
        "batch": batch,
        "images": images,
        "repeats": repeats,
        "dtype": dtype,
        "weights": weights,
        "threads": threads,
        "workers": workers,
        "files": files,
    }
    with Progress(console=errors, transient=True) as bars:
        task = bars.add_task("preparing", total=None)
        result = run_benchmark(
            **{name: value for name, value in given.items() if value is not None},  # type: ignore[arg-type]
            progress=lambda what, done, total: bars.update(task, description=what, completed=done, total=total),
        )
    if json_file:
        json_file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for table in tables(result):
        console.print(table)


@bench_app.command("detector")
def bench_detector(
    quick: Annotated[bool, typer.Option("--quick", help="Tiny networks: whether it runs, not how fast.")] = False,
    repeats: Annotated[int, typer.Option(help="Of every measurement.", min=1)] = 3,
    device: Annotated[str | None, typer.Option(help="cpu or cuda (default: cuda if there is one).")] = None,
    threads: Annotated[int, typer.Option(help="Of torch on the CPU.", min=1)] = 1,
    json_file: JsonFile = None,
) -> None:
    """Pictures a second of the concept detector, over one picture and one concept at a time with whole models."""
    from .throughput.detector import detector_bench_command

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    detector_bench_command(json_file, repeats, quick, device, threads, say)


@bench_app.command("captions")
def bench_captions(
    images: Annotated[int, typer.Option(help="Scenes of the testbed.", min=10)] = 3000,
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="Also the filter by sentence embeddings (MiniLM).")
    ] = False,
    json_file: JsonFile = None,
) -> None:
    """What caption filters lose of a detector's exemplars, and what they save, against the full pass on the testbed."""
    from rich.progress import Progress
    from rich.table import Table

    from ..engine.dataset import open_dataset
    from .quality.caption_recall import measure, rows

    embed, model = None, ""
    if embeddings:
        from ..models.text_embeddings import load_embedder

        embedder = load_embedder()
        embed, model = embedder.embed, embedder.fingerprint
    with Progress(console=console) as bars:
        task = bars.add_task("scenes", total=images)
        result = measure(
            open_dataset(f"testbed:{images}"),
            embed=embed,
            model=model,
            progress=lambda done, _: bars.update(task, completed=done),
        )
    head, *lines = rows(result)
    table = Table(*head, title=f"{result['neurons']} neurons over {images} scenes")
    for line in lines:
        table.add_row(*line)
    console.print(table)
    if json_file:
        json_file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


@bench_app.command("agents")
def bench_agents(
    agents: Annotated[str, typer.Option(help="How many at a time, in turn.")] = "1,4,16",
    units: Annotated[int, typer.Option(help="Units that each number of agents describes.", min=1)] = 16,
    turns: Annotated[int, typer.Option(help="Experiments of a unit.", min=1)] = 3,
    repeats: Annotated[int, typer.Option(min=1)] = 1,
    json_file: JsonFile = None,
) -> None:
    """Units an hour with 1, 4 and 16 agents: real diffusers pipelines, and a budget that makes models take turns."""
    from ..models.errors import UserError
    from .scheduling.agents import run_benchmark

    try:
        counts = [int(count) for count in agents.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise UserError(f"--agents {agents!r} is no list of numbers of at least 1: write 1,4,16.")
    run_benchmark(json_file, counts, units, turns, repeats, console)


@bench_app.command("scheduler")
def bench_scheduler(
    quick: Annotated[bool, typer.Option("--quick", help="Three small scenarios instead of all.")] = False,
    record: Annotated[
        list[Path] | None, typer.Option(help="A run's calls (maia describe --record-calls), replayed too.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the made-up traces.")] = 0,
    figure: Annotated[Path | None, typer.Option(help="Also draw the comparison here (SVG).")] = None,
    json_file: JsonFile = None,
) -> None:
    """The scheduler in virtual time: bytes swapped and latencies beside simpler policies and an offline bound."""
    from rich.progress import Progress

    from .scheduling.bench import run
    from .scheduling.bench_table import tables
    from .scheduling.figure import draw

    with Progress(console=errors, transient=True) as bars:
        task = bars.add_task("preparing", total=None)
        result = run(
            json_file,
            quick,
            records=record or (),
            seed=seed,
            progress=lambda what, done, total: bars.update(task, description=what, completed=done, total=total),
        )
    for table in tables(result):
        console.print(table)
    if figure is not None:
        figure.write_text(draw(result), encoding="utf-8")


@bench_app.command("serving")
def bench_serving(
    checkpoint: Annotated[
        Path | None, typer.Option("--vlm", help="A checkpoint's folder (default: a small one with random weights).")
    ] = None,
    repeats: Annotated[int, typer.Option(help="Of every measurement.", min=1)] = 5,
    quick: Annotated[bool, typer.Option("--quick", help="Shorter answers, fewer dialogues: a first look.")] = False,
    json_file: JsonFile = None,
) -> None:
    """A vLLM server's start, tokens a second at 1, 8 and 32 requests together, and its prefix cache over dialogues."""
    from .throughput.serving import serving_bench_command

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    serving_bench_command(checkpoint, json_file, repeats, quick, say)


@bench_app.command("failure-modes")
def bench_failure_modes(
    out: Annotated[
        Path, typer.Option(help="Directory of the two runs. The same command on it goes on where it stood.")
    ] = Path("runs/failure-modes"),
    backbone: Annotated[
        str, typer.Option(help="scripted, served, in-process, or flawed: a program that is bad on purpose.")
    ] = "flawed",
    units: Annotated[int, typer.Option(help="Ground-truth neurons, in equal parts of each kind.", min=1)] = 12,
    profile: Annotated[str, typer.Option(help="A built-in profile or the path of a YAML file.")] = "testbed",
    vlm: Annotated[str | None, typer.Option("--vlm", help="A name of the catalogue, or a checkpoint's folder.")] = None,
    url: Annotated[str | None, typer.Option(help="OpenAI-compatible server, as http://host:8000/v1.")] = None,
    context: Annotated[int | None, typer.Option(help="Tokens that the model may read.", min=512)] = None,
    jobs: Annotated[int | None, typer.Option(help="Units that run at once (default: the profile's).", min=1)] = None,
    turns: Annotated[
        int | None, typer.Option(help="Experiments a unit may take (default: the profile's).", min=1)
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything that is random.")] = 0,
    sandbox: Annotated[
        str, typer.Option(help="bubblewrap, or none: run model-written code UNPROTECTED.")
    ] = "bubblewrap",
    json_file: JsonFile = None,
) -> None:
    """How often a backbone's replies fail, and in which ways, with the guards off and on."""
    from ..engine.profile import load_profile
    from ..engine.vlm import with_model
    from .quality.failure_modes import failure_modes_command

    chosen = with_model(load_profile(profile), vlm, url, None, context)
    failure_modes_command(backbone, units, out, json_file, console, chosen, jobs, turns, seed, sandbox)
