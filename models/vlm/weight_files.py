"""A checkpoint's weight files, checked from their first bytes and sizes: nothing is loaded."""

import json
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import UserError

_POINTER = b"version https://git-lfs"
_HEADER_LIMIT = 100_000_000
"""Bytes: the most that the safetensors format allows."""


def weight_files(folder: Path, what: str) -> tuple[Path, ...]:
    """The files that hold the weights, each checked. what: what messages call the checkpoint.

    Raises UserError where there are none, where the index names missing ones, and where one is a Git LFS pointer or
    was cut short.
    """
    for pattern, suffix in (("model", "safetensors"), ("pytorch_model", "bin")):
        index, single = folder / f"{pattern}.{suffix}.index.json", folder / f"{pattern}.{suffix}"
        if index.is_file():
            files = _indexed(index, what)
        elif single.is_file():
            files = (single,)
        else:
            continue
        for file in files:
            _check_file(file, what)
        return files
    raise UserError(
        f"{what} has no weights (neither model.safetensors nor model.safetensors.index.json in {folder}): download "
        "all files of the checkpoint."
    )


def _indexed(index: Path, what: str) -> tuple[Path, ...]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{what}: {index} cannot be read ({type(error).__name__}): download it again.") from error
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing or not names:
        raise UserError(
            f"{what} lacks {len(missing)} of {len(names)} weight files ({', '.join(missing[:3])}) in {index.parent}: "
            "download them."
        )
    return tuple(index.parent / name for name in names)


def _check_file(file: Path, what: str) -> None:
    with file.open("rb") as opened:
        start = opened.read(len(_POINTER))
    if start == _POINTER:
        raise UserError(
            f"{what}: {file} is a Git LFS pointer, not the weights: run `git lfs pull` in {file.parent}, or download "
            "the file."
        )
    if file.suffix == ".safetensors":
        safetensors_header(file, what)
    elif not zipfile.is_zipfile(file):
        raise UserError(f"{what}: {file} is damaged or cut short: download it again.")


def safetensors_header(file: Path, what: str) -> Mapping[str, Any]:
    """Tensors of the file by name: {"dtype", "shape", "data_offsets"}. Raises UserError if the file is not whole."""
    size = file.stat().st_size
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            if length > min(size, _HEADER_LIMIT):
                raise ValueError("the header is longer than the file")
            header = json.loads(opened.read(length))
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        if 8 + length + end != size:
            raise ValueError(f"{size} bytes instead of {8 + length + end}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, struct.error) as error:
        raise UserError(f"{what}: {file} is damaged or cut short ({error}): download it again.") from error
    return header
