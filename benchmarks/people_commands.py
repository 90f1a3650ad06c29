"""`maia notebook` for experts who interpret units by hand, and `maia usefulness`: whether descriptions help people."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ..models.errors import UserError

if TYPE_CHECKING:
    from ..engine.profile import Profile
    from ..engine.vlm import Vlm
    from .quality.agreement_data import Text
    from .quality.usefulness import Answers, Task
    from .quality.usefulness_sets import ImageSets

console = Console()

ProfileName = Annotated[str, typer.Option(help="A built-in profile or the path of a YAML file.")]


def notebook(
    units: Annotated[str, typer.Option(help="Units by layer, such as 'blocks.10=3,47:head=9'.")],
    out: Annotated[Path, typer.Option(help="Folder of the notebooks; what experts save goes to OUT/run.")],
    profile: ProfileName = "testbed",
    target: Annotated[str | None, typer.Option(help="Network to interpret (default: the profile's).")] = None,
    seed: Annotated[int, typer.Option(help="Of the notebooks' order, and of pictures.")] = 0,
) -> None:
    """Write a Jupyter notebook for each unit: the same task, system and tools as the agent has (the paper's C3)."""
    from ..agent.run import open_units
    from ..engine.profile import load_profile
    from .baselines.human_notebook import write_notebook

    chosen = load_profile(profile)
    named = open_units(units, target or chosen.target, chosen).units
    written = write_notebook(out, named, profile, seed)
    console.print(f"{len(written)} notebooks in {out}; open one with Jupyter (pip install jupyterlab).", soft_wrap=True)
    console.print(f"Then: maia evaluate RUN {out / 'run'} --out …", soft_wrap=True)


def usefulness(
    runs: Annotated[
        list[str] | None, typer.Argument(help="NAME=DIRECTORY of runs whose labels are shown.", show_default=False)
    ] = None,
    form: Annotated[Path | None, typer.Option(help="Write the form for people here (.html), its key beside.")] = None,
    answers: Annotated[list[Path] | None, typer.Option(help="Answer files that people saved; repeatable.")] = None,
    key: Annotated[Path | None, typer.Option(help="The key file of their form.")] = None,
    vlm: Annotated[str | None, typer.Option(help="A model that chooses, too: a folder, a name, small.")] = None,
    backbone: Annotated[str, typer.Option(help="How that model is run: in-process or served.")] = "in-process",
    profile: ProfileName = "testbed",
    index: Annotated[Path | None, typer.Option(help="The runs' exemplar index (default: the profile's).")] = None,
    text: Annotated[str, typer.Option(help="What is shown of a unit: label or description.")] = "label",
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the numbers here, too.")] = None,
) -> None:
    """The paper's appendix E: one of four sets of images activates the unit strongly; does the text tell which?"""
    from ..engine.profile import load_profile
    from ..engine.vlm import with_model
    from .quality.usefulness import score, to_markdown
    from .quality.usefulness_form import read_answers, read_key, write_form

    if bool(answers) != (key is not None):
        raise UserError("people's answers need the key of their form: give --answers and --key together.")
    if text not in ("label", "description"):
        raise UserError(f"--text cannot be {text!r}: choose label or description.")
    results = []
    if key is not None:
        read = read_key(key)
        results.append(score(read.task, read_answers(answers or [], read), seed))
    if form is not None or vlm is not None:
        chosen = with_model(load_profile(profile), vlm)
        chosen = replace(chosen, index=str(index) if index else chosen.index)
        chosen = replace(chosen, backbone=backbone if vlm is not None else "scripted")
        task, sets, chose = _gathered(runs or [], text, chosen, seed)
        if form is not None:
            page, beside = write_form(task, sets, form, seed)
            console.print(f"Form: {page} (give people this file alone). Key: {beside}", soft_wrap=True)
        if chose is not None:
            results.append(score(task, chose, seed))
    elif not results:
        raise UserError("nothing to do: give --form, or --vlm, or --answers with --key.")
    if results:
        console.print(to_markdown(results), markup=False, highlight=False)
    if json_file is not None:
        json_file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _gathered(
    runs: list[str], text: str, profile: "Profile", seed: int
) -> "tuple[Task, dict[str, ImageSets], Answers | None]":
    """The task with its image sets, and what the profile's model chose."""
    from ..agent.progress import TerminalProgress
    from ..agent.run import model_of, open_services
    from ..agent.services import running, scheduler_of
    from ..engine.vlm_runner import close_model
    from ..models.targets import Unit
    from .quality.agreement_data import read_procedure
    from .quality.agreement_judges import through
    from .quality.usefulness import gather
    from .quality.usefulness_judges import choose_by_model
    from .quality.usefulness_sets import dataset_of, draw_all

    if not runs:
        raise UserError("no runs were named: give the directories that `maia describe` wrote to, or NAME=DIRECTORY.")
    named = [entry.partition("=") if "=" in entry else (None, "", entry) for entry in runs]
    shown: Text = "label" if text == "label" else "description"
    task = gather([read_procedure(Path(path), name) for name, _, path in named], shown)
    units = [Unit.parse(name) for name in task.texts]
    targets = list(dict.fromkeys(unit.target for unit in units))
    layers = {name: list(dict.fromkeys(unit.layer for unit in units if unit.target == name)) for name in targets}
    vlm: Vlm | None = model_of(profile)
    with TerminalProgress(console, len(units)) as bars:
        services = open_services(targets, layers, profile, Path(named[0][2]), bars, vlm)
        scheduler = scheduler_of(services)
        datasets = {name: found for name, one in services.items() if (found := dataset_of(one.index)) is not None}

        async def work() -> "tuple[Task, dict[str, ImageSets], Answers | None]":
            async with running(services.values()):
                sets, left_out = await draw_all(services, units, seed, datasets, bars.scoring)
                kept = task.without(left_out)
                if vlm is None:
                    return kept, sets, None
                async with scheduler.agent("usefulness"):
                    structured = vlm.options.structured
                    return (
                        kept,
                        sets,
                        await choose_by_model(kept, sets, through(scheduler), vlm.title, structured=structured),
                    )

        try:
            return asyncio.run(work())
        finally:
            close_model(scheduler)
