"""`maia synthetic`: the neurons of known truth, how often runs find it, and whose descriptions agree better with it."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ..models.errors import UserError

if TYPE_CHECKING:
    from .quality.agreement import Panel
    from .quality.agreement_data import Pairing

synthetic_app = typer.Typer(help="Neurons made of a concept detector, whose truth is known.", no_args_is_help=True)
console = Console()

JsonFile = Annotated[Path | None, typer.Option("--json", help="Write the numbers here, too.")]
Embeddings = Annotated[
    Path | None, typer.Option(help="Folder of the sentence-embedding model (default: the installed MiniLM).")
]
EMBEDDINGS, MODEL, _ = JUDGES = ("embeddings", "model", "none")


@synthetic_app.command("list")
def list_neurons(
    detector: Annotated[str, typer.Option(help="testbed, grounded, or a YAML file of options.")] = "testbed",
    device: Annotated[str, typer.Option(help="Where a detector with weights is loaded.")] = "cpu",
) -> None:
    """List the neurons with the names that --units takes, and which of them the detector can be asked for."""
    from rich.table import Table
    from rich.text import Text

    from ..engine.detector_options import DetectorOptions
    from ..engine.targets import load_target
    from ..models.registry import SYNTHETIC
    from ..models.synthetic_target import SyntheticTarget
    from ..models.targets import Unit
    from ..models.testbed.world import World

    target = load_target(SYNTHETIC, World(), device=device, detector=DetectorOptions.read(detector))
    assert isinstance(target, SyntheticTarget)
    table = Table("kind", "index", "name", "truth", "can be asked")
    asked = 0
    for layer, neurons in target.neurons.items():
        for place, neuron in enumerate(neurons):
            try:
                target.check(Unit(target.name, layer, place))
                problem = ""
            except UserError as error:
                problem = str(error).partition(":")[0]
            asked += not problem
            table.add_row(layer, str(place), neuron.name, neuron.truth, Text(problem or "yes"))
    console.print(table)
    console.print(f"{asked} of {sum(target.layers.values())} neurons can be asked of the detector {detector}.")


@synthetic_app.command()
def evaluate(
    runs: Annotated[list[Path], typer.Argument(help="Directories of maia describe, or files of candidates (JSONL).")],
    embeddings: Embeddings = None,
    words_only: Annotated[bool, typer.Option("--words-only", help="No sentence embeddings.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Say how often labels state the truth, by kind: by words, by embeddings, and exactly on the testbed."""
    from .quality.agreement_data import read_procedure
    from .quality.agreement_evaluate import evaluate_synthetic
    from .quality.agreement_table import truth_table

    embedder = None if words_only else _embedder(embeddings)
    results: dict[str, Any] = {}
    for path in runs:
        name = str(path)
        if name in results:
            raise UserError(f"{path} is given twice: give every run once.")
        results[name] = evaluate_synthetic(read_procedure(path), embedder)
    console.print(truth_table(results))
    for name, result in results.items():
        for unit, why in result["left_out"].items():
            console.print(f"{name}: {unit} left out: {why}", markup=False, highlight=False, soft_wrap=True)
    _write(results, json_file)


@synthetic_app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="A run directory, or a file of candidates (JSONL).")],
    b: Annotated[Path, typer.Argument(help="Another one: who of the two agrees better with the truth?")],
    judge: Annotated[
        list[str] | None,
        typer.Option(help="embeddings, model (--vlm), or none; may be repeated (default: embeddings)."),
    ] = None,
    vlm: Annotated[str | None, typer.Option(help="The judging model: a folder, a name, or small.")] = None,
    profile: Annotated[str, typer.Option(help="Where the judging model is said to run.")] = "testbed",
    backbone: Annotated[str, typer.Option(help="How it runs: in-process or served.")] = "in-process",
    embeddings: Embeddings = None,
    answers: Annotated[list[Path] | None, typer.Option(help="Answer files of people (with --key).")] = None,
    key: Annotated[Path | None, typer.Option(help="The key file of their form.")] = None,
    form: Annotated[
        Path | None, typer.Option(help="Write the form for people here (.html), and its key beside.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the form's order and of the bootstrap.")] = 0,
    json_file: JsonFile = None,
) -> None:
    """The two-alternative forced choice of the paper's table 1: judges say which description agrees better."""
    from .quality.agreement import compare as compared
    from .quality.agreement_answers import read_answers
    from .quality.agreement_data import pair_up, read_procedure
    from .quality.agreement_form import read_key, write_form
    from .quality.agreement_judges import judge_by_embeddings
    from .quality.agreement_table import notes, table

    judges = judge or [EMBEDDINGS]
    wrong = [name for name in judges if name not in JUDGES]
    if wrong:
        raise UserError(f"there is no judge {wrong[0]!r}: choose from {', '.join(JUDGES)}, or people by --form.")
    if bool(answers) != (key is not None):
        raise UserError("people's answers need the key of their form: give --answers and --key together.")
    pairing = pair_up(read_procedure(a), read_procedure(b))
    if form is not None:
        page, beside = write_form(pairing, form, seed)
        console.print(f"Form: {page} (give people this file alone). Key: {beside}", soft_wrap=True)
    panels: list[Panel] = []
    if EMBEDDINGS in judges:
        panels.append(judge_by_embeddings(pairing, _embedder(embeddings)))
    if MODEL in judges:
        panels.append(_judged_by_model(pairing, profile, vlm, backbone))
    if key is not None:
        panels.append(read_answers(answers or [], read_key(key)))
    if not panels:
        return
    result = compared(pairing, panels, seed)
    console.print(table(result))
    for line in notes(result):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    _write(result, json_file)


def _judged_by_model(pairing: "Pairing", profile: str, vlm: str | None, backbone: str) -> "Panel":
    from dataclasses import replace

    from ..engine.assembly import assemble
    from ..engine.profile import load_profile
    from ..engine.vlm import resolve_vlm, with_model
    from ..engine.vlm_runner import close_model
    from ..models.testbed.describer import Describer
    from ..models.testbed.world import World
    from .quality.agreement_judges import judge_by_model, through

    chosen = replace(with_model(load_profile(profile), vlm), backbone=backbone)
    model = resolve_vlm(chosen)
    scheduler = assemble({}, World(), Describer(), chosen.jobs, chosen, model, console.print)

    async def judged() -> "Panel":
        async with scheduler, scheduler.agent("judge"):
            return await judge_by_model(
                pairing, through(scheduler), model.title, structured=model.options.structured, at_once=chosen.jobs
            )

    try:
        return asyncio.run(judged())
    finally:
        close_model(scheduler)


def _embedder(folder: Path | None) -> Any:
    from ..models.text_embeddings import load_embedder

    return load_embedder(folder)


def _write(result: Any, file: Path | None) -> None:
    from ..models.files import write_whole

    if file is not None:
        write_whole(file, (json.dumps(result, indent=1) + "\n").encode())
        console.print(f"JSON: {file}", markup=False, highlight=False, soft_wrap=True)
