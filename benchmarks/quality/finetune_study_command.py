"""`maia finetune evaluate`: from its options to the table."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from ...engine.profile import Profile, load_profile
from ...models.errors import UserError
from .finetune_study import StudyOptions, arms_of, evaluate
from .finetune_study_table import EXPLANATION, table


def named_folders(texts: Sequence[str], option: str) -> dict[str, str]:
    """{"NAME": "FOLDER"} of "NAME=FOLDER" texts. Raises UserError for another form, and for a name that comes twice."""
    found: dict[str, str] = {}
    for text in texts:
        name, separator, folder = text.partition("=")
        if not (separator and name and folder):
            raise UserError(f"{option} {text!r} is not NAME=FOLDER: give, for example, {option} tuned=runs/adapter.")
        if name in found:
            raise UserError(f"{option} has {name} twice: give each folder a name of its own.")
        found[name] = folder
    return found


def finetune_evaluate_command(
    out: Path,
    json_file: Path | None,
    console: Console,
    *,
    profile: str | Profile = "testbed",
    backbone: str = "in-process",
    vlm: str | None = None,
    url: str | None = None,
    adapters: Sequence[str] = (),
    models: Sequence[str] = (),
    references: Sequence[str] = (),
    runs: Sequence[str] = (),
    structured: bool = False,
    temperature: float | None = None,
    context: int | None = None,
    options: StudyOptions | None = None,
) -> dict[str, Any]:
    """Compare (see `finetune_study.arms_of` and `evaluate`), print the table with its explanation, write json_file.

    adapters, models, runs: as NAME=FOLDER; an adapter without "=FOLDER" is one that the profile, or the server at url,
    has. options: what all have in common. Raises UserError.
    """
    from ...agent.progress import TerminalProgress

    loaded = profile if isinstance(profile, Profile) else load_profile(profile)
    known = {text: None for text in adapters if "=" not in text}
    arms = arms_of(
        loaded,
        backbone=backbone,
        vlm=vlm,
        url=url,
        adapters={**known, **named_folders([text for text in adapters if "=" in text], "--adapter")},
        models=named_folders(models, "--model"),
        references=references,
        runs=named_folders(runs, "--run"),
        structured=structured,
        temperature=temperature,
        context=context,
    )

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    result = evaluate(arms, out, options or StudyOptions(), say, lambda units: TerminalProgress(console, units))
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    console.print(table(result))
    console.print(EXPLANATION, markup=False, highlight=False)
    for name, arm in result["arms"].items():
        for unit, reason in arm["failed"].items():
            say(f"{name}: {unit} has no label: {reason}")
    return result
