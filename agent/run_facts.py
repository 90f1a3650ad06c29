"""What run.json says of a run: settings that may not change while it goes on."""

import importlib.metadata
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..engine.detector_options import detector_of
from ..engine.exemplars import Manifest
from ..engine.profile import GENERATORS, Profile
from ..engine.vlm import Vlm
from ..models.errors import UserError
from ..models.registry import SYNTHETIC
from ..models.targets import Unit
from .experiment import Settings
from .tasks import TASK_TEXT, facts_of_task, task_of

VERSIONED = ("torch", "transformers", "numpy", "pillow", "skia-python")
GROWING = ("units", "target")
"""Facts of run.json that a later call on the same directory may add to."""


def dataset_facts(profile: Profile) -> dict[str, Any]:
    """What exemplars of a run with this profile are taken from: name, number of images, fingerprint."""
    from ..models.testbed.dataset import DATASET_SIZE, dataset_fingerprint

    if profile.index is not None:
        manifest = Manifest.read(Path(profile.index))
        return {
            "name": manifest.dataset,
            "images": manifest.facts.dataset_size,
            "fingerprint": manifest.facts.dataset_fingerprint,
        }
    return {
        "name": profile.world,
        "images": profile.dataset_images or DATASET_SIZE,
        "fingerprint": dataset_fingerprint(),
    }


def facts_of(
    units: Sequence[Unit], backbone: str, profile: Profile, settings: Settings, vlm: Vlm | None = None
) -> dict[str, Any]:
    """The content of run.json for a run of these units alone. vlm: the model behind the backbone, if it has one."""
    from ..models.testbed.packs import available

    generators = {task: dict(entries) for task in GENERATORS if (entries := getattr(profile, task)) is not None}
    return {
        "units": [str(unit) for unit in units],
        "target": sorted({unit.target for unit in units}),
        "backbone": backbone,
        **({"vlm": vlm.facts} if vlm is not None else {}),
        **({"detector": asdict(detector_of(profile))} if SYNTHETIC in {unit.target for unit in units} else {}),
        **({"describer": profile.describer} if profile.describer is not None else {}),
        "world": profile.world,
        "dataset": dataset_facts(profile),
        **({"generators": generators} if generators else {}),
        "packs": {name: len(nouns) for name, nouns in available().items()},
        "task": task_of(settings.task).name,
        TASK_TEXT: facts_of_task(settings.task),
        "seed": settings.seed,
        "turns": settings.turns,
        "removed_tools": list(settings.removed_tools),
        "guards": list(settings.guards),
        "check_code": settings.check_code,
        "sandbox": settings.sandbox,
        "drawings": settings.drawings,
        "versions": {name: _version(name) for name in VERSIONED},
    }


def joined(path: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """`facts` with the units that the directory's run.json has already.

    Raises UserError when the directory holds a run with other settings, or its run.json is damaged.
    """
    file = path / "run.json"
    if not file.exists():
        return facts
    try:
        old = json.loads(file.read_text(encoding="utf-8"))
        units, targets = list(map(str, old["units"])), set(map(str, old["target"]))
        old.setdefault("drawings", Settings.drawings)  # of before there was the choice
        old.setdefault(TASK_TEXT, facts[TASK_TEXT])  # as well; the transcripts hold the prompt itself
    except (ValueError, TypeError, KeyError):
        raise UserError(f"{file} is damaged: delete it to go on with this run, or give another --out.") from None
    different = [name for name in facts if name not in (*GROWING, "versions") and old.get(name) != facts[name]]
    if different == [TASK_TEXT]:
        raise UserError(
            f"{path} holds a run of the task {facts['task']} with another text or other fills: give the file and the "
            "fills as they were then, or another --out."
        )
    if different:
        raise UserError(
            f"{path} holds a run with other settings ({', '.join(different)}): give the same options, or another --out."
        )
    return facts | {
        "units": list(dict.fromkeys([*units, *facts["units"]])),
        "target": sorted({*targets, *facts["target"]}),
    }


def _version(package: str) -> str:
    return importlib.metadata.version(package)
