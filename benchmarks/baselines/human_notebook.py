"""Notebooks in which human experts study units with the agent's tools (the paper's appendix C3), written as JSON.

Which unit a notebook is about stands in units.json beside it, and not in the notebook: a layer's name would give away
the kind of a ground-truth neuron, and the agent is not told either.
"""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...agent.experiment import Settings
from ...engine.profile import Profile, load_profile
from ...models.errors import UserError
from ...models.files import write_whole
from ...models.targets import Unit
from .human import HumanSession

UNITS_FILE = "units.json"
"""Who is who, beside the notebooks."""
RUN = "run"
"""The run's directory, beside the notebooks."""
FORMAT = 1

_HOW = """\
# Unit {number} of {count}

Find out what activates this unit, with the same task, `system` and `tools` as the automated agent.

1. Run the cells in order. The first one loads the unit; the second prints the task.
2. Write experiments: each cell calls `system` and `tools`, logs results with `tools.log_experiment(…)`, and ends with
   `session.show()`, which shows what was logged and keeps it. Copy the cells as often as you need.
3. Write your description and labels into the last cell but one, and run it **once**. The last cell frees the machine
   for the next notebook: only one can be open at a time.

Do not open `{units}`: it says which unit this is."""

_OPEN = """\
from maia.benchmarks.baselines.human_notebook import open_session

session = open_session("{units}", {number})
system, tools = session.system, session.tools"""

_EXEMPLARS = """\
def run_experiment(system, tools):
    activations, images = tools.dataset_exemplars(system)
    titles = [f"exemplar {i + 1}" for i in range(len(images))]
    tools.log_experiment(activations, images, titles, tools.describe_images(images, titles))


run_experiment(system, tools)
session.show()"""

_DRAWN = """\
def run_experiment(system, tools):
    prompts = ["a dog on the grass", "a cat on the grass"]
    images = tools.text2image(prompts)
    activations, masked_images = system.neuron(images)
    tools.log_experiment(activations, masked_images, prompts, "")


run_experiment(system, tools)
session.show(hypotheses="")"""

_CONCLUDE = """\
description = ""  # two or three sentences: what activates the unit, what does not, under which condition
labels = []  # one short text for each concept, such as ["dogs"]; "A given B" if it responds to A only together with B

session.conclude(description, labels)"""


def write_notebook(
    out: str | Path, units: Sequence[Unit], profile: str = "testbed", seed: int = 0, settings: Settings | None = None
) -> list[Path]:
    """Write a notebook for each unit into the folder `out`, in an order drawn by the seed, and `units.json`; returns
    the notebooks' paths, in order.

    Experts get the folder, or a part of it: "unit-01.ipynb" and so on, and units.json. What they save goes to `run`
    beside them, a run directory like any other. profile: a name or a YAML file's path, as of a run. settings: of the
    runs that the labels are compared with (task, removed tools); None: the profile's. Raises UserError where there
    is no unit, one is named twice, the profile is unknown, or the folder holds notebooks of other units.
    """
    folder = Path(out)
    if not units or len(set(units)) < len(units):
        raise UserError("name each unit once, and at least one: layer=index,index, such as blocks.10=3,47.")
    chosen = load_profile(profile)
    settings = settings or Settings(turns=chosen.turns, seed=seed)
    ordered = sorted(units)
    random.Random(f"{seed}/notebooks").shuffle(ordered)
    data = {
        "format": FORMAT,
        "profile": profile,
        "units": [str(unit) for unit in ordered],
        "task": settings.task,
        "turns": settings.turns,
        "seed": settings.seed,
        "removed_tools": list(settings.removed_tools),
    }
    beside = folder / UNITS_FILE
    if beside.exists() and _read(beside) != data:
        raise UserError(f"{folder} holds notebooks of other units or settings: give another folder, or delete them.")
    paths = [folder / f"unit-{number:02d}.ipynb" for number in range(1, len(ordered) + 1)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(beside, (json.dumps(data, indent=1) + "\n").encode())
        for number, path in enumerate(paths, 1):
            if not path.exists():  # a person may have worked in it
                write_whole(path, (json.dumps(notebook(number, len(paths)), indent=1) + "\n").encode())
    except OSError as problem:
        raise UserError(f"{folder} cannot be written ({problem.strerror}): give another folder.") from None
    return paths


def notebook(number: int, count: int) -> dict[str, Any]:
    """Notebook `number` of `count`, in Jupyter's format 4.5 (nbformat's schema). Its code cells only call a
    `HumanSession`."""
    cells = [
        ("markdown", _HOW.format(number=number, count=count, units=UNITS_FILE)),
        ("code", _OPEN.format(units=UNITS_FILE, number=number)),
        ("code", "print(session.task)"),
        ("markdown", "## Experiments\n\nBegin with what the dataset shows."),
        ("code", _EXEMPLARS),
        ("markdown", "Then make images of your own. Copy and change this cell."),
        ("code", _DRAWN),
        ("markdown", "## Your answer"),
        ("code", _CONCLUDE),
        ("code", "session.close()"),
    ]
    return {
        "cells": [_cell(place, kind, text) for place, (kind, text) in enumerate(cells, 1)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cell(place: int, kind: str, text: str) -> dict[str, Any]:
    code: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {"cell_type": kind, "id": f"cell-{place}", "metadata": {}, **code, "source": text.splitlines(keepends=True)}


def open_session(units: str | Path, number: int, profile: Profile | None = None) -> HumanSession:
    """The session of notebook `number`, 1-based. units: the units.json beside it. profile: in the place of the one that
    stands there. Raises UserError for a file or number that there is not, and what HumanSession does."""
    file = Path(units)
    data = _read(file)
    if not 1 <= number <= len(data["units"]):
        raise UserError(f"{file} has units 1 to {len(data['units'])}, and not {number}.")
    settings = Settings(
        task=data["task"], turns=data["turns"], seed=data["seed"], removed_tools=tuple(data["removed_tools"])
    )
    chosen = profile or load_profile(data["profile"])
    return HumanSession(Unit.parse(data["units"][number - 1]), file.parent / RUN, chosen, settings=settings)


def _read(file: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if data["format"] != FORMAT or not all(isinstance(unit, str) for unit in data["units"]):
            raise ValueError("it is of another version")
        for name in ("profile", "task", "turns", "seed", "removed_tools"):
            data[name]
    except FileNotFoundError:
        raise UserError(
            f"{file} is missing: run the notebook in the folder that it was written to, beside {UNITS_FILE}."
        ) from None
    except (OSError, ValueError, TypeError, KeyError) as problem:
        raise UserError(f"{file} is damaged ({problem}): write the notebooks again.") from None
    return data
