"""Backbones by name."""

from ...models.errors import UserError
from .base import Backbone
from .scripted.backbone import ScriptedBackbone

BACKBONES: dict[str, type[Backbone]] = {"scripted": ScriptedBackbone}


def load_backbone(name: str) -> Backbone:
    """The backbone of that name. Raises UserError with the valid names."""
    if name not in BACKBONES:
        raise UserError(f"there is no backbone {name!r}: choose from {', '.join(BACKBONES)}.")
    return BACKBONES[name]()
