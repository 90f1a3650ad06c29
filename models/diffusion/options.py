"""What can be chosen about a generator, with its defaults, and how it is read from a profile."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from ..errors import UserError

Dtype = Literal["fp16", "bf16", "fp32"]
Sampler = Literal["dpm-solver++", "ddim", "as-saved"]
Attention = Literal["sdpa", "xformers"]

MOST_STEPS = 1000
"""Steps of the noise schedule that all these models were trained with."""


@dataclass(frozen=True)
class GeneratorOptions:
    """Options of a generator. docs/generators.md says more about each.

    path: a diffusers folder or a single .safetensors file; None: the directory of the model's name in $MAIA_WEIGHTS.
    config: for a single file, a diffusers folder with the configuration of its parts; None: as SD-1.5 is published.
    dtype: None: fp16 on a GPU, fp32 on the CPU. steps: denoising steps. guidance: weight of the text; 1 and less: no
    guidance. image_guidance: weight of the picture that is edited. size: side of the pictures in pixels; None: as the
    model was trained. sampler: "as-saved": the checkpoint's own. channels_last: None: on a GPU. compile: the
    denoising network by torch.compile. vae_slicing: pictures are decoded one by one. safety_checker: pictures that
    the checkpoint's checker flags are withheld. max_batch: pictures of a batch at most. fixed_batch: every batch is
    filled up to that number, so that not even the last bit depends on what else is drawn.
    """

    path: Path | None = None
    config: Path | None = None
    dtype: Dtype | None = None
    steps: int = 25
    guidance: float = 7.5
    image_guidance: float = 1.5
    size: int | None = None
    sampler: Sampler = "dpm-solver++"
    attention: Attention = "sdpa"
    channels_last: bool | None = None
    compile: bool = False
    vae_slicing: bool = False
    safety_checker: bool = False
    max_batch: int = 4
    fixed_batch: bool = False

    @classmethod
    def from_mapping(cls, entries: Mapping[str, Any], where: str) -> "GeneratorOptions":
        """Options from a profile's mapping. where: what messages call it, as in "lab.yaml: text2image".

        Raises UserError that names the first unknown entry, or the first value of a wrong type or out of range.
        """
        known = {entry.name for entry in fields(cls)}
        if not isinstance(entries, Mapping):
            raise UserError(f"{where} must be a mapping of {', '.join(sorted(known))}.")
        for name in entries:
            if name not in known:
                raise UserError(f"{where} has no option {name!r}: choose from {', '.join(sorted(known))}.")
        values = {name: _checked(name, value, f"{where}: {name}") for name, value in entries.items()}
        return cls(**values)


_CHOICES = {"dtype": get_args(Dtype), "sampler": get_args(Sampler), "attention": get_args(Attention)}
_RANGES: dict[str, tuple[float, float]] = {
    "steps": (1, MOST_STEPS),
    "guidance": (0, 100),
    "image_guidance": (1, 100),
    "size": (8, 4096),
    "max_batch": (1, 1024),
}
_WHOLE = ("steps", "size", "max_batch")
_PATHS = ("path", "config")
_MAY_BE_NONE = ("path", "config", "dtype", "size", "channels_last")


def _checked(name: str, value: Any, where: str) -> Any:
    if value is None:
        if name in _MAY_BE_NONE:
            return None
        raise UserError(f"{where} has no value: give one, or leave it out for the default.")
    if name in _PATHS:
        if not isinstance(value, str | Path) or not str(value):
            raise UserError(f"{where} must be a path, not {value!r}.")
        return Path(value).expanduser()
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise UserError(f"{where} cannot be {value!r}: choose one of {', '.join(_CHOICES[name])}.")
        return value
    if name in _RANGES:
        lowest, highest = _RANGES[name]
        numbers = (int,) if name in _WHOLE else (int, float)
        if isinstance(value, bool) or not isinstance(value, numbers) or not lowest <= value <= highest:
            kind = "a whole number" if name in _WHOLE else "a number"
            raise UserError(f"{where} must be {kind} from {lowest} to {highest}, not {value!r}.")
        return value
    if not isinstance(value, bool):
        raise UserError(f"{where} must be true or false, not {value!r}.")
    return value
