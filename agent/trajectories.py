"""`maia finetune collect`: run directories to a training set.

A training set is a directory: train.jsonl and validation.jsonl (dialogues), preferences.jsonl (pairs of replies),
pictures/, and the data card, card.json and card.md. `datasets.load_dataset("json", data_files=...)` reads every file
that is not empty.
"""

import contextlib
import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .. import __version__
from ..models.errors import UserError
from ..models.files import name_file, write_whole
from .trajectories_build import Builder, Say
from .trajectories_card import PREFERENCES, TRAIN, card_text, contamination
from .trajectories_options import CollectOptions, vlm_of
from .trajectories_read import read_runs

__all__ = ["CollectOptions", "CollectReport", "collect"]

CARD = "card.json"
_LIBRARIES = ("numpy", "pillow", "tokenizers")


@dataclass(frozen=True)
class CollectReport:
    """samples: by file. rejected: (name, detail) by reason. card: the content of card.json."""

    out: Path
    samples: Mapping[str, int]
    rejected: Mapping[str, Sequence[tuple[str, str]]]
    card: Mapping[str, Any]

    @property
    def text(self) -> str:
        """A sentence or two for people."""
        made = ", ".join(f"{count} in {name}" for name, count in self.samples.items())
        lost = "; ".join(f"{reason}: {len(names)}" for reason, names in self.rejected.items())
        return f"{self.out}: {made}. Left out: {lost or 'nothing'}. See {self.out / 'card.md'}."


def collect(runs: Sequence[Path], out: Path, options: CollectOptions, say: Say = lambda text: None) -> CollectReport:
    """Make a training set in `out` of the trajectories in run directories (those of `maia describe --out`).

    The same runs and options make the same files. The set is there whole or not at all. say: is told how far it is.
    Raises UserError for options and directories that are wrong, where `out` exists already, and where nothing is left
    to train on.
    """
    options.check()
    if not runs:
        raise UserError("no runs were named: give the directories that `maia describe` wrote to (its --out).")
    _refuse_existing(out, options.overwrite)
    vlm = vlm_of(options)
    with _draft(out) as draft:
        builder = Builder(options, vlm, draft, say)
        builder.write(builder.judged(read_runs(runs)), runs)
        samples = {name: len(tally.lengths) for name, tally in builder.tallies.items()}
        if not samples[TRAIN]:
            lost = "; ".join(f"{reason}: {len(names)}" for reason, names in builder.rejected.items())
            raise UserError(f"nothing is left to train on ({lost or 'the runs hold no unit'}): give other runs.")
        samples[PREFERENCES] = sum(builder.pairs.values())
        say("checking what was written")
        check = contamination(draft, options.split)
        if check["held_out_answers"] or check["shared_truths"]:
            raise AssertionError(f"the split leaks: {check['held_out_answers'][:5]}, {check['shared_truths'][:5]}")
        card = {
            "model": {**vlm.facts, "prompt_budget": vlm.budget},
            "counted": "with the checkpoint's own tokenizer" if vlm.exact else "by an estimate",
            "runs": [run.resolve().name for run in runs],
            "options": options.facts,
            "command": options.command or "(called from Python)",
            "versions": {"maia": __version__, "python": platform.python_version()}
            | {name: version(name) for name in _LIBRARIES},
            "files": {name: tally.facts for name, tally in builder.tallies.items()}
            | {PREFERENCES: {"samples": samples[PREFERENCES], "sources": builder.pairs}},
            "stored_pictures": len(builder.pictures),
            "rejected": {
                reason: [{"name": name, "detail": detail} for name, detail in names]
                for reason, names in builder.rejected.items()
            },
            "contamination": check,
        }
        write_whole(draft / CARD, (json.dumps(card, indent=1) + "\n").encode())
        write_whole(draft / "card.md", card_text(card).encode())
        _put_in_place(draft, out)
    return CollectReport(out, samples, builder.rejected, card)


def _refuse_existing(out: Path, overwrite: bool) -> None:
    if not out.exists():
        return
    if not overwrite:
        raise UserError(f"{out} exists: give another --out, or --overwrite to replace an older training set.")
    if not (out / CARD).is_file() or not (out / TRAIN).is_file():
        raise UserError(f"{out} is no training set, and is not overwritten: give another --out.")


@contextlib.contextmanager
def _draft(out: Path) -> Iterator[Path]:
    """A folder beside `out` that is gone in the end, if it is still there."""
    draft = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror}): give another --out.") from None
    try:
        yield draft
    except OSError as error:
        name_file(error, out)
        raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _put_in_place(draft: Path, out: Path) -> None:
    """Rename; an older set is kept until the new one is there."""
    older = draft.with_suffix(".old")
    if out.exists():
        out.rename(older)
    draft.rename(out)
    shutil.rmtree(older, ignore_errors=True)
