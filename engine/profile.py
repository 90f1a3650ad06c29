"""A profile: one YAML file that says which models a run uses, and how much of the machine."""

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ..models.errors import UserError
from .sizes import parse_bytes

if TYPE_CHECKING:
    from ..models.diffusion.options import GeneratorOptions
    from .vlm_options import VlmOptions

_BUILT_IN = Path(__file__).parent / "profiles"

WORLDS = ("testbed", "diffusers")
GENERATORS = ("text2image", "edit")
"""The fields that say what a world of diffusion models draws and edits with."""

VLM_BACKBONES = ("served", "in-process")
"""Names of the backbones that are vision-language models."""
DESCRIBERS = ("pixels", "vlm")

_NUMBERS = ("jobs", "turns", "dataset_images")
_MAPPINGS = (*GENERATORS, "vlm")


@dataclass(frozen=True)
class Profile:
    """What `--profile` chooses. Options of the command line override single fields.

    world: where images come from. target, backbone: their names. dataset_images: how many images of the dataset the
    exemplar index covers (None: all). jobs: units that run at once. turns: experiments a unit may take. index:
    directory of an exemplar index to be used instead of one of the world's dataset. weights: file or directory of
    the target's. device: see `engine.targets.load_target`. memory: how much of each GPU may be used, in all ("24GiB"),
    or by GPU ({"cuda:0": "24GiB"}, others are not used); None: all but a margin. text2image, edit: what a world of
    diffusion models draws and edits with (see `generator_options`). vlm: the vision-language model (`vlm_options`).
    describer: who describes pictures: "pixels" (the offline world's), "vlm", or None: vlm where the world is not drawn
    by us and the backbone has one. detector: what the target "synthetic" is made of (see `detector_options`; None: the
    offline world's in that world, else Grounding DINO and SAM from $MAIA_WEIGHTS).
    """

    world: str
    target: str
    backbone: str
    dataset_images: int | None
    jobs: int
    turns: int
    index: str | None = None
    weights: str | None = None
    device: str | None = None
    memory: str | int | Mapping[str, str | int] | None = None
    text2image: Mapping[str, Any] | None = None
    edit: Mapping[str, Any] | None = None
    vlm: Mapping[str, Any] | None = None
    describer: str | None = None
    detector: str | Mapping[str, Any] | None = None


def built_in_profiles() -> list[str]:
    """Names that `load_profile` takes besides paths."""
    return sorted(path.stem for path in _BUILT_IN.glob("*.yaml"))


def load_profile(name: str) -> Profile:
    """The built-in profile of this name, or the one in a YAML file.

    Raises UserError naming the file and the field that is wrong.
    """
    path = _BUILT_IN / f"{name}.yaml" if name in built_in_profiles() else Path(name)
    if not path.is_file():
        raise UserError(
            f"there is no profile {name!r}: give one of {', '.join(built_in_profiles())}, or the path of a YAML file."
        )
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not readable YAML: {' '.join(str(error).split())}") from None
    return _checked(data, path)


def generator_options(profile: Profile, task: str, where: str = "") -> "tuple[str, GeneratorOptions]":
    """(name of the catalogue, options) of `profile.text2image` or `profile.edit`.

    The name is the mapping's entry `model`: of the catalogue, or any name if there is a path. Where options name no
    path, they get the directory of that name in $MAIA_WEIGHTS. where: what messages call the mapping. Raises UserError
    for what is wrong in it, or missing.
    """
    from ..models.diffusion.options import GeneratorOptions
    from ..models.networks.weights import weights_directory
    from .catalogue import catalogue

    where = where or f"the profile's {task}"
    entries = getattr(profile, task)
    if not isinstance(entries, Mapping) or not isinstance(entries.get("model"), str):
        names = [name for name, entry in catalogue().generators.items() if entry.task == task]
        raise UserError(f"{where} must be a mapping with the entry model: choose from {', '.join(names)}.")
    if entries.get("path") is None:
        catalogue().generator(entries["model"], task, where)
    rest = {name: value for name, value in entries.items() if name != "model"}
    if rest.get("path") is None:
        rest["path"] = weights_directory() / entries["model"]
    return entries["model"], GeneratorOptions.from_mapping(rest, where)


def vlm_options(profile: Profile, where: str = "") -> "VlmOptions | None":
    """Options of `profile.vlm`; None where no model is served. Raises UserError for what is wrong in it."""
    from .vlm_options import VlmOptions

    return None if profile.vlm is None else VlmOptions.from_mapping(profile.vlm, where or "the profile's vlm")


def _checked(data: Any, path: Path) -> Profile:
    names = [entry.name for entry in fields(Profile)]
    optional = [entry.name for entry in fields(Profile) if entry.default is not MISSING]
    if not isinstance(data, dict):
        raise UserError(f"{path} holds no fields: a profile has {', '.join(names)}.")
    unknown, missing = (
        sorted(set(data) - set(names)),
        [name for name in names if name not in data and name not in optional],
    )
    if unknown or missing:
        problem = f"unknown fields {', '.join(map(str, unknown))}" if unknown else f"no field {', '.join(missing)}"
        raise UserError(f"{path} has {problem}: a profile has {', '.join(names)}.")
    for name in names:
        if name in (*_NUMBERS, *_MAPPINGS, "memory", "detector"):
            continue
        if not isinstance(data.get(name), str) and not (name in optional and data.get(name) is None):
            raise UserError(f"{path}: {name} must be a name, not {data[name]!r}.")
    for name in _NUMBERS:
        value = data[name]
        if name == "dataset_images" and value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UserError(f"{path}: {name} must be a whole number of at least 1, not {value!r}.")
    if data["world"] not in WORLDS:
        raise UserError(f"{path}: there is no world {data['world']!r}: choose from {', '.join(WORLDS)}.")
    if data.get("describer") not in (None, *DESCRIBERS):
        raise UserError(f"{path}: there is no describer {data['describer']!r}: choose from {', '.join(DESCRIBERS)}.")
    profile = Profile(**data)
    _check_models(profile, path)
    _check_memory(profile.memory, f"{path}: memory")
    return profile


def _check_models(profile: Profile, path: Path) -> None:
    for task in GENERATORS:
        if profile.world == "diffusers":
            generator_options(profile, task, f"{path}: {task}")
        elif getattr(profile, task) is not None:
            raise UserError(f"{path}: the world {profile.world} draws by itself: leave {task} out.")
    vlm_options(profile, f"{path}: vlm")


def _check_memory(memory: Any, where: str) -> None:
    try:
        for name, amount in memory.items() if isinstance(memory, Mapping) else [("cuda:0", memory)]:
            if not re.fullmatch(r"cuda:\d+", str(name)):
                raise UserError(f"{name!r} is no GPU: write cuda:0, cuda:1 and so on.")
            if amount is not None or isinstance(memory, Mapping):
                parse_bytes(amount)
        if isinstance(memory, Mapping) and not memory:
            raise UserError("it names no GPU.")
    except UserError as problem:
        raise UserError(f"{where}: {problem}") from None
