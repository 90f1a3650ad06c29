"""Which vision-language model a run uses: from a profile to its family, its checkpoint and how its tokens count."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..models.errors import UserError
from ..models.networks.weights import weights_directory
from ..models.vlm.checkpoint import Checkpoint, read_checkpoint
from ..models.vlm.families import Family, family
from ..models.vlm.tokens import TokenCounter, counter_of, estimate
from .catalogue import catalogue
from .profile import Profile, vlm_options
from .vlm_options import VlmOptions

SPARE = 64
"""Tokens of a context that are left free, for what a chat template adds."""

TOLD = "maia.json"
"""File of a checkpoint that was made for MAIA: which prompts it was trained on."""
PROMPTS = ("full", "brief")

SMALL, SMALL_BASE = "small", "small-base"
"""The backbone that comes with the program, and what it was before it was fine-tuned."""
SMALL_OPTIONS = {"dtype": "fp32", "context": 8192, "max_tokens": 1200, "temperature": 0.0, "structured": False}
"""How the small backbone is asked. dtype: CPUs without bf16 instructions take five times as long with bf16, and a model
of this size is small anyway. temperature: it errs more with chance."""

_TELLING = ("model", "adapter", "dtype", "quantization", "context", "structured", "temperature", "top_p", "max_tokens")
"""Options that replies depend on, beside the family and the pictures a message may hold."""


@dataclass(frozen=True)
class Vlm:
    """checkpoint: None where the model runs elsewhere and its files are not here. exact: tokens are counted with the
    model's own tokenizer, not estimated."""

    options: VlmOptions
    family: Family
    checkpoint: Checkpoint | None
    counter: TokenCounter
    exact: bool

    @property
    def title(self) -> str:
        """The model's name, with its adapter's."""
        return self.options.model + (f" + {self.options.adapter}" if self.options.adapter else "")

    @property
    def facts(self) -> dict[str, Any]:
        """What its replies depend on, for run.json."""
        chosen = self.options
        return {
            **{name: getattr(chosen, name) for name in _TELLING},
            "family": self.family.name,
            "images": self.images_per_turn,
            # Only where they are others than ever, so that runs from before there was a choice go on.
            **({"prompts": self.prompts} if self.prompts != "full" else {}),
        }

    @property
    def prompts(self) -> str:
        """Which prompts it is asked with, "full" or "brief": as chosen, else those that the checkpoint's maia.json
        names, which it was trained on. Raises UserError for a maia.json that is damaged."""
        if self.options.prompts is not None or self.checkpoint is None:
            return self.options.prompts or "full"
        file = self.checkpoint.path / TOLD
        try:
            told = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
            name = told.get("prompts", "full")
        except (ValueError, AttributeError, OSError):
            name = None
        if name not in PROMPTS:
            raise UserError(f'{file} is damaged: write {{"prompts": "full"}} or "brief" into it.')
        return str(name)

    @property
    def images_per_turn(self) -> int:
        """Pictures that one message may hold."""
        return self.family.images_per_turn if self.options.images is None else self.options.images

    @property
    def budget(self) -> int:
        """Tokens that a prompt may have."""
        return self.options.context - self.options.max_tokens - SPARE


def checkpoint_path(options: VlmOptions) -> Path:
    """The checkpoint's folder: as named, else that of the model's name in $MAIA_WEIGHTS."""
    return options.path if options.path is not None else weights_directory() / options.model


def with_model(
    profile: Profile,
    model: str | None = None,
    url: str | None = None,
    adapter: str | None = None,
    context: int | None = None,
) -> Profile:
    """The profile with another vision-language model: a name of the catalogue, a checkpoint's folder, or "small", the
    one that comes with the program (which is put together the first time).

    Of the profile's own vlm, what holds for that model only (path, family, adapters) is left out then.
    """
    entries = dict(profile.vlm or {})
    if model in (SMALL, SMALL_BASE):
        from ..models.vlm.small.assemble import small_checkpoint

        entries = {**SMALL_OPTIONS, "model": model, "path": str(small_checkpoint(adapted=model == SMALL))}
    elif model is not None:
        for name in ("path", "family", "adapters", "adapter", "url"):
            entries.pop(name, None)
        path = Path(model).expanduser()
        entries |= {"model": path.resolve().name, "path": str(path)} if path.is_dir() else {"model": model}
    given = {"url": url, "adapter": adapter, "context": context}
    entries |= {name: value for name, value in given.items() if value is not None}
    return replace(profile, vlm=entries or None)


def with_backbone(profile: Profile, name: str) -> Profile:
    """The profile with the backbone of that name. "small" (and "small-base"): the model that comes with the program, in
    this process."""
    if name in (SMALL, SMALL_BASE):
        return replace(with_model(profile, name), backbone="in-process")
    return replace(profile, backbone=name)


def resolve_vlm(profile: Profile) -> Vlm:
    """The profile's model. Raises UserError for what is missing or wrong, in the options as in the files."""
    if profile.vlm is None or "model" not in profile.vlm:
        raise UserError(
            f"the backbone {profile.backbone} needs a vision-language model: name one with --vlm (a folder, or a name "
            "of the catalogue), or in the profile under vlm."
        )
    options = vlm_options(profile)
    assert options is not None
    if options.url is not None and options.path is None:
        return Vlm(options, chosen := _family_elsewhere(options), None, estimate(chosen), False)
    checkpoint = read_checkpoint(checkpoint_path(options), options.model)
    if options.context > checkpoint.context:
        raise UserError(
            f"{options.model} reads {checkpoint.context} tokens at most, not {options.context}: lower context in the "
            "profile's vlm."
        )
    return Vlm(options, checkpoint.family, checkpoint, counter_of(checkpoint), True)


def _family_elsewhere(options: VlmOptions) -> Family:
    if options.family is not None:
        return family(options.family, "the profile's vlm: family")
    book = catalogue().vlms
    if options.model not in book:
        raise UserError(
            f"nothing is known of {options.model!r} at {options.url}: name its family in the profile's vlm (family: "
            "qwen2.5-vl, for example; docs/backbones.md lists them), or the folder of its checkpoint (path)."
        )
    return family(book[options.model].family)
