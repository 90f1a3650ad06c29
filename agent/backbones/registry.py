"""Backbones by name."""

from collections.abc import Callable

from ...engine.profile import VLM_BACKBONES, Profile
from ...engine.scheduler import Scheduler
from ...engine.vlm import Vlm, resolve_vlm
from ...models.errors import UserError
from ..tasks import DESCRIPTION, Task, listed, task_of
from .base import Backbone
from .scripted.backbone import ScriptedBackbone
from .vlm import VlmBackbone

BACKBONES = (ScriptedBackbone.name, *VLM_BACKBONES)


def model_of(profile: Profile) -> Vlm | None:
    """The vision-language model behind the profile's backbone; None if it has none. Raises UserError for an unknown
    backbone, with the valid names, and for what is wrong with the model."""
    if profile.backbone not in BACKBONES:
        raise UserError(f"there is no backbone {profile.backbone!r}: choose from {', '.join(BACKBONES)}.")
    return resolve_vlm(profile) if profile.backbone in VLM_BACKBONES else None


def backbone_name(profile: Profile, vlm: Vlm | None) -> str:
    """What transcripts and reports call it."""
    return profile.backbone if vlm is None else f"{profile.backbone} {vlm.title}"


def load_backbone(profile: Profile, vlm: Vlm | None, scheduler: Scheduler, task: Task | str = DESCRIPTION) -> Backbone:
    """The profile's backbone for a task. vlm: from `model_of`; the scheduler has it as its model VLM. Raises UserError
    where the backbone is a program and the task is not one of those that it was written for."""
    if vlm is None:
        return scripted_for(task)
    return VlmBackbone(backbone_name(profile, vlm), vlm, scheduler)


def scripted_for(task: Task | str) -> Backbone:
    """The scripted experimenter of a built-in task. Raises UserError for a user's own."""
    chosen = task_of(task)
    if (experimenter := _EXPERIMENTERS.get(chosen.name)) is None:
        raise UserError(
            f"the scripted backbone is a program for the tasks {', '.join(_EXPERIMENTERS)}, and cannot read the task "
            f"{chosen.name}: choose --backbone {' or '.join(VLM_BACKBONES)}."
        )
    return experimenter(chosen)


def _spurious(task: Task) -> Backbone:
    from .scripted.spurious import SpuriousExperimenter

    return SpuriousExperimenter(task.fills["classes"], task.fills["surroundings"])


def _bias(task: Task) -> Backbone:
    from .scripted.bias import BiasExperimenter

    return BiasExperimenter(listed(task.fills["class_name"]))


_EXPERIMENTERS: dict[str, Callable[[Task], Backbone]] = {
    DESCRIPTION: lambda task: ScriptedBackbone(),
    "spurious-feature": _spurious,
    "bias-identification": _bias,
}
