"""Backbones by name."""

from ...engine.profile import VLM_BACKBONES, Profile
from ...engine.scheduler import Scheduler
from ...engine.vlm import Vlm, resolve_vlm
from ...models.errors import UserError
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


def load_backbone(profile: Profile, vlm: Vlm | None, scheduler: Scheduler) -> Backbone:
    """The profile's backbone. vlm: from `model_of`; the scheduler has it as its model VLM."""
    if vlm is None:
        return ScriptedBackbone()
    return VlmBackbone(backbone_name(profile, vlm), vlm, scheduler)
