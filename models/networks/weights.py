"""Weights from local files: where they are looked for, how they are read and checked. Nothing is ever fetched."""

import os
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..errors import UserError
from .fingerprint import COUNTER

VARIABLE = "MAIA_WEIGHTS"
"""The environment variable that names the directory of all weights."""

WRAPPERS = ("state_dict", "model_state_dict", "model", "teacher")
"""Entries of a training checkpoint that hold the state dict, the first found is taken."""

PREFIX = "module."
"""Taken off where every name has it: left by DataParallel."""

RANDOM_SPREAD = 0.02
"""Standard deviation of random weights that the architecture starts at zero."""

PATCHES = 7
"""Patches of colour along a side of the pictures that random batch norms take their statistics from."""

SHOWN = 5
"""Names that a message lists before it says how many more there are."""


@dataclass(frozen=True)
class WeightFiles:
    """The files that hold an architecture's weights.

    names: accepted in a directory, the first present is taken. part: prefix of the entries that are wanted in a file
    that holds more (a text tower); a file without it holds nothing else. torchscript: whether such an archive is
    accepted. source: who publishes the file, for messages.
    """

    names: tuple[str, ...]
    source: str
    part: str = ""
    torchscript: bool = False


def weights_directory() -> Path:
    """$MAIA_WEIGHTS, else maia/weights in the user's data directory ($XDG_DATA_HOME or ~/.local/share)."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "maia" / "weights"


def find_weights(name: str, files: WeightFiles, given: Path | None, megabytes: int) -> Path:
    """The file with the weights of target `name`.

    given: a file of any name, or a directory with one of `files.names` in it or in <name>/ below it; None: the
    directory <name>/ in `weights_directory()`. Raises UserError that says which file belongs where.
    """
    if given is not None and given.expanduser().is_file():
        return given.expanduser()
    if given is not None and not given.expanduser().is_dir():
        raise UserError(
            f"there are no weights at {given}: give a file, or a directory with {' or '.join(files.names)}."
        )
    places = [given.expanduser(), given.expanduser() / name] if given is not None else [weights_directory() / name]
    for place in places:
        for file in files.names:
            if (place / file).is_file():
                return place / file
    raise UserError(
        f"the weights of {name} are missing: put {' or '.join(files.names)} ({files.source}; about {megabytes} MB) "
        f"into {places[0]}, or name a file or directory with --weights; --weights random measures without them."
    )


def read_state(path: Path, files: WeightFiles) -> dict[str, torch.Tensor]:
    """The state dict in a safetensors file, a TorchScript archive (where accepted) or a file of torch.save.

    Nothing in the file is executed: pickles with code in them are refused. Wrappers of training checkpoints are taken
    off, and `files.part` is cut out. Raises UserError for a file that is damaged or holds something else.
    """
    try:
        content = _read_file(path, files)
    except UserError:
        raise
    except Exception as problem:  # safetensors, zipfile and pickle raise what they like on damaged files
        raise UserError(
            f"the weights {path} cannot be read: the file is damaged or holds more than tensors "
            f"({type(problem).__name__}: {_first_line(problem)}); get it again from its source, {files.source}, "
            "or save the bare state dict as safetensors."
        ) from problem
    return _cut_part(_unwrap(content, path), files.part)


def _first_line(problem: Exception) -> str:
    return (str(problem).splitlines() or [""])[0][:200]


def _read_file(path: Path, files: WeightFiles) -> Any:
    # By content, not by suffix: a safetensors file starts with the length of its JSON header.
    with path.open("rb") as file:
        head = file.read(9)
    if len(head) == 9 and head[8:] == b"{":
        from safetensors.torch import load_file

        return load_file(path)
    if zipfile.is_zipfile(path) and _is_torchscript(path):
        if not files.torchscript:
            raise UserError(
                f"the weights {path} are a TorchScript archive: save its state dict as safetensors instead."
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit is deprecated, and the published file is of its format
            return torch.jit.load(path, map_location="cpu").state_dict()
    return torch.load(path, map_location="cpu", weights_only=True)


def _is_torchscript(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(entry.rpartition("/")[2] == "constants.pkl" for entry in archive.namelist())


def _unwrap(content: Any, path: Path) -> dict[str, torch.Tensor]:
    while isinstance(content, Mapping):
        inner = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, Mapping) or not content:
        raise UserError(f"the weights {path} hold no state dict: save `module.state_dict()` as safetensors.")
    others = [str(key) for key, value in content.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise UserError(
            f"the weights {path} hold entries that are no tensors ({_listed(others)}): save the state dict."
        )
    state = dict(content)
    return _cut_part(state, PREFIX) if all(name.startswith(PREFIX) for name in state) else state


def _cut_part(state: dict[str, torch.Tensor], part: str) -> dict[str, torch.Tensor]:
    if not part or not any(name.startswith(part) for name in state):
        return state
    return {name.removeprefix(part): tensor for name, tensor in state.items() if name.startswith(part)}


def load_state(module: nn.Module, state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Copies the weights into the module. Every entry must be there, of its shape and kind, and finite.

    Only batch norm's counters of training steps may be absent: older files lack them and no output depends on them.
    Half precision is widened. Raises UserError that names the first entries that are missing, left over or differ.
    """
    own = module.state_dict()
    needed = {name for name in own if name.rpartition(".")[2] != COUNTER}
    problems = []
    if missing := [name for name in own if name in needed and name not in state]:
        problems.append(f"lack {_listed(missing)}")
    if unknown := [name for name in state if name not in own]:
        problems.append(f"hold {_listed(unknown)}, which the network does not have")
    shared = [name for name in own if name in state and name in needed]
    if shapes := [name for name in shared if own[name].shape != state[name].shape]:
        detail = [f"{name} ({list(state[name].shape)} instead of {list(own[name].shape)})" for name in shapes]
        problems.append(f"have other shapes: {_listed(detail)}")
    if kinds := [name for name in shared if own[name].is_floating_point() != state[name].is_floating_point()]:
        problems.append(f"have another type of number in {_listed(kinds)}")
    elif broken := [name for name in shared if not torch.isfinite(state[name]).all()]:
        problems.append(f"hold numbers that are not finite in {_listed(broken)}")
    if problems:
        raise UserError(
            f"the weights {path} do not fit the network: they {'; they '.join(problems)}: give the file of this "
            "architecture, with the number of classes that it was published with."
        )
    module.load_state_dict({**own, **state}, strict=True)


def _listed(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def random_seed(weights: Path | str | None) -> int | None:
    """The seed that "random" (0) or "random:SEED" asks for; None for anything else. A file of that name: ./random."""
    match = re.fullmatch(r"random(?::([0-9]+))?", weights) if isinstance(weights, str) else None
    return int(match[1] or 0) if match else None


def randomise(module: nn.Module, example: torch.Tensor, seed: int) -> None:
    """Replaces what is the same everywhere in fresh weights, so that maps neither vanish nor overflow.

    Weight matrices of zeros become small random ones. Batch norms get random gains and shifts and the statistics of
    the maps that they then see, in one forward on random pictures of the shape of `example` [2 or more, 3, H, W] on
    one thread: the weights are the same on every run of one machine; another processor may round them otherwise.
    """
    norms = [inner for inner in module.modules() if isinstance(inner, nn.modules.batchnorm._BatchNorm)]
    generator = torch.Generator().manual_seed(seed)
    threads, momenta = torch.get_num_threads(), [norm.momentum for norm in norms]
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            for parameter in module.parameters():
                if parameter.ndim > 1 and not parameter.any():
                    parameter.normal_(0, RANDOM_SPREAD, generator=generator)
            for norm in norms:
                if norm.affine:
                    norm.weight.uniform_(0.5, 1.5, generator=generator)
                    norm.bias.normal_(0, 0.5, generator=generator)
                norm.reset_running_stats()
                norm.momentum = None  # the plain average over forwards: here of the one
                norm.train()
            if norms:
                module(_random_pictures(example, generator))
    finally:
        torch.set_num_threads(threads)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()


def _random_pictures(example: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Pictures, normalised, of everything between soft patches of colour and grain, so that statistics hold on any."""
    rows = len(example)
    soft = torch.randn(rows, 3, PATCHES, PATCHES, generator=generator)
    soft = functional.interpolate(soft, size=example.shape[-2:], mode="bilinear")
    shade = torch.randn(rows, 3, 1, 1, generator=generator)
    grain = torch.linspace(0, 1, rows)[:, None, None, None]
    return 0.5 * shade + (1 - grain) * soft + grain * torch.randn(example.shape, generator=generator)
