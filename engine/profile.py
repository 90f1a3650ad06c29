"""A profile: one YAML file that says which models a run uses, and how much of the machine."""

import os
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from ..models.errors import UserError

_BUILT_IN = Path(__file__).parent / "profiles"

WORLDS = ("testbed",)


@dataclass(frozen=True)
class Profile:
    """What `--profile` chooses. Options of the command line override single fields.

    world: where images come from. target, backbone: their names. dataset_images: how many images of the dataset the
    exemplar index covers (None: all). jobs: units that run at once. turns: experiments a unit may take. index:
    directory of an exemplar index to be used instead of one of the world's dataset. weights: file or directory of
    the target's. device: see `engine.targets.load_target`.
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
    for name in ("world", "target", "backbone", *optional):
        if not isinstance(data.get(name), str) and not (name in optional and data.get(name) is None):
            raise UserError(f"{path}: {name} must be a name, not {data[name]!r}.")
    for name in ("jobs", "turns", "dataset_images"):
        value = data[name]
        if name == "dataset_images" and value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UserError(f"{path}: {name} must be a whole number of at least 1, not {value!r}.")
    if data["world"] not in WORLDS:
        raise UserError(f"{path}: there is no world {data['world']!r}: choose from {', '.join(WORLDS)}.")
    return Profile(**data)


def cache_directory() -> Path:
    """Where indexes and packs are kept between runs: $MAIA_CACHE, else $XDG_CACHE_HOME/maia, else ~/.cache/maia."""
    if os.environ.get("MAIA_CACHE"):
        return Path(os.environ["MAIA_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "maia"
