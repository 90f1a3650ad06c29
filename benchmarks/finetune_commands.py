"""`maia finetune`: demonstrations and runs to a training set, an adapter trained on it, and what it is worth."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..models.errors import UserError

finetune_app = typer.Typer(help="Fine-tune a vision-language model as an experimenter.", no_args_is_help=True)
console = Console()


def _say(text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


@finetune_app.command()
def demonstrate(
    out: Annotated[Path, typer.Option(help="Directory of the dialogues. The same command on it goes on.")],
    count: Annotated[int, typer.Option(help="Neurons to demonstrate.", min=1)] = 500,
    part: Annotated[int, typer.Option(help="Other numbers give other neurons and pictures.", min=0)] = 0,
) -> None:
    """Let the teacher, who is told what exemplars show, examine neurons of training concepts."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from ..agent.demonstrations import POOL, Pool, demonstrate, neurons_of

    neurons = neurons_of(part, count)
    pool = Pool.drawn(POOL, first=part * POOL)
    columns = (TextColumn("dialogues"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=count)
        demonstrate(neurons, out, pool, seed=part, progress=lambda done, total: bar.update(task, completed=done))


@finetune_app.command()
def collect(
    runs: Annotated[list[Path], typer.Argument(help="Directories of `maia describe` or `maia finetune demonstrate`.")],
    out: Annotated[Path, typer.Option(help="Directory of the training set.")],
    model: Annotated[str, typer.Option(help="What is to be trained: a checkpoint's folder, small-base, or a name.")],
    context: Annotated[int | None, typer.Option(help="Tokens that it reads (default: a run's).", min=512)] = None,
    max_samples: Annotated[int | None, typer.Option(help="Dialogues at most, kinds in equal parts.", min=1)] = None,
    token_budget: Annotated[int | None, typer.Option(help="Tokens at most.", min=1)] = None,
    per_neuron: Annotated[int | None, typer.Option(help="Dialogues of one neuron at most.", min=1)] = None,
    validation: Annotated[float | None, typer.Option(help="Share of the neurons that validates.")] = None,
    pairs: Annotated[str, typer.Option(help="Preference pairs: none, faults, all.")] = "faults",
    guards: Annotated[str, typer.Option(help="Guards that replies have to pass: all, none, or names.")] = "all",
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a training set that is there.")] = False,
) -> None:
    """Runs to a training set: what ended right and sound, without doubles, with no held-out concept as an answer."""
    from ..agent.guards import guards_named
    from ..agent.trajectories import CollectOptions, collect

    given = {} if validation is None else {"validation": validation}
    if pairs not in ("none", "faults", "all"):
        raise UserError(f"--pairs cannot be {pairs!r}: choose from none, faults, all.")
    options = CollectOptions(
        model=model,
        context=context,
        max_samples=max_samples,
        token_budget=token_budget,
        per_neuron=per_neuron,
        pairs=pairs,  # type: ignore[arg-type]
        guards=guards_named(guards),
        seed=seed,
        overwrite=overwrite,
        command="maia " + shlex.join(sys.argv[1:]),
        **given,  # type: ignore[arg-type]
    )
    _say(collect(runs, out, options, _say).text)


@finetune_app.command()
def train(
    config: Annotated[str, typer.Option(help="A YAML file, or the name of a built-in recipe.")],
    model: Annotated[str | None, typer.Option(help="Checkpoint's folder, or small-base (default: the file's).")] = None,
    data: Annotated[Path | None, typer.Option(help="Training set (default: the file's).")] = None,
    out: Annotated[Path | None, typer.Option(help="Directory of the adapter (default: the file's).")] = None,
    adapter: Annotated[Path | None, typer.Option(help="Adapter to go on from (default: the file's).")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Steps of the optimizer (default: the file's).", min=1)] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last whole checkpoint.")] = False,
) -> None:
    """Train a LoRA adapter: supervised, or on preferences."""
    from ..engine.finetune import train
    from ..engine.vlm import SMALL_BASE

    if model == SMALL_BASE:
        from ..models.vlm.small.assemble import small_checkpoint

        model = str(small_checkpoint(adapted=False, say=_say))
    report = train(config, _say, resume, model=model, data=data, out=out, adapter=adapter, max_steps=max_steps)
    _say(
        f"{report.out}: {report.steps} steps on {report.samples} samples in {report.seconds:.0f} s, loss "
        f"{report.first_loss:.3f} to {report.last_loss:.3f}."
    )
    for sentence in report.skipped:
        _say(f"left out: {sentence}")


@finetune_app.command()
def evaluate(
    out: Annotated[Path, typer.Option(help="Directory of the runs. The same command on it goes on.")],
    vlm: Annotated[
        str | None, typer.Option("--vlm", help="The base: a checkpoint's folder, a name, small-base.")
    ] = None,
    adapter: Annotated[
        list[str] | None, typer.Option(help="NAME=FOLDER of an adapter of the base; repeatable.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="NAME=FOLDER of a further checkpoint (NAME=small: ours).")
    ] = None,
    reference: Annotated[list[str] | None, typer.Option(help="Backbone to compare with, as scripted.")] = None,
    run: Annotated[list[str] | None, typer.Option(help="NAME=FOLDER of a run that is there already.")] = None,
    backbone: Annotated[str, typer.Option(help="How models are run: in-process or served.")] = "in-process",
    url: Annotated[str | None, typer.Option(help="OpenAI-compatible server that has them.")] = None,
    profile: Annotated[str, typer.Option(help="A built-in profile or the path of a YAML file.")] = "testbed",
    target: Annotated[str, typer.Option(help="Neurons of known truth.")] = "ground-truth-heldout",
    per_kind: Annotated[int, typer.Option(help="Neurons of each kind.", min=1)] = 40,
    turns: Annotated[int, typer.Option(help="Experiments a neuron may take.", min=1)] = 12,
    jobs: Annotated[int, typer.Option(help="Neurons that run at once.", min=1)] = 8,
    seed: Annotated[int, typer.Option(help="Seed of everything that is random.")] = 0,
    guards: Annotated[str, typer.Option(help="Guards over replies: all, none, or names.")] = "none",
    structured: Annotated[bool, typer.Option("--structured", help="Hold replies to the grammar.")] = False,
    temperature: Annotated[float | None, typer.Option(help="Of replies (default: the profile's).")] = None,
    context: Annotated[int | None, typer.Option(help="Tokens that a model reads.", min=512)] = None,
    drawings: Annotated[
        str, typer.Option(help="Of experiments' pictures: exploration, or evaluation (unseen).")
    ] = "exploration",
    score: Annotated[bool, typer.Option(help="Score the labels on unseen pictures too.")] = True,
    sandbox: Annotated[
        str, typer.Option(help="bubblewrap, or none: run model-written code UNPROTECTED.")
    ] = "bubblewrap",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file.")] = None,
) -> None:
    """Base against adapter on neurons of known truth that no training has seen, by the closed loop."""
    from ..agent.guards import guards_named
    from .quality.finetune_study import StudyOptions
    from .quality.finetune_study_command import finetune_evaluate_command

    if drawings not in ("exploration", "evaluation"):
        raise UserError(f"--drawings cannot be {drawings!r}: choose from exploration, evaluation.")
    finetune_evaluate_command(
        out,
        json_file,
        console,
        profile=profile,
        backbone=backbone,
        vlm=vlm,
        url=url,
        adapters=adapter or (),
        models=model or (),
        references=reference or (),
        runs=run or (),
        structured=structured,
        temperature=temperature,
        context=context,
        options=StudyOptions(
            target=target,
            per_kind=per_kind,
            turns=turns,
            seed=seed,
            jobs=jobs,
            guards=guards_named(guards),
            drawings=drawings,  # type: ignore[arg-type]
            sandbox=sandbox,
            score=score,
        ),
    )
