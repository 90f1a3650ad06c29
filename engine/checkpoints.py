"""Sizes of checkpoints on disk, from the headers of their safetensors files: no weights are read but a few samples."""

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..models.errors import UserError

SAMPLE = 4096
"""Bytes at the start and the end of a file's tensors that tell equal weights from others."""

_ITEM_BYTES = {"F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2}
FLOATS = ("F64", "F32", "F16", "BF16")

Tensor = tuple[str, list[int]]
"""Format and shape of a stored tensor."""

SINGLE_FILE_PARTS = {
    "model.diffusion_model.": "unet",
    "first_stage_model.": "vae",
    "cond_stage_model.": "text_encoder",
    "conditioner.embedders.0.": "text_encoder",
    "conditioner.embedders.1.": "text_encoder_2",
}
"""What the names of tensors begin with in single files of Stable Diffusion."""


@dataclass(frozen=True)
class StoredPart:
    """A component on disk. key: equal for files with equal headers and samples. floats: numbers in a floating-point
    format, which are loaded in the chosen dtype; others: bytes in other formats (packed weights), loaded as they are.
    """

    key: str
    floats: int
    others: int

    def nbytes(self, itemsize: int) -> int:
        """Bytes when numbers are loaded with this size."""
        return self.floats * itemsize + self.others


def stored_parts(path: Path) -> dict[str, StoredPart]:
    """Components of a diffusers folder, a single file or a folder of a transformers model ("weights"), by name.

    Of several files with the same weights (variants) the one without a variant in its name counts. Raises UserError
    for a path without safetensors files, and for a damaged one.
    """
    if path.is_file():
        return _parts_of_file(path)
    if not path.is_dir():
        raise UserError(f"there is no checkpoint at {path}: give a folder or a .safetensors file.")
    if (path / "model_index.json").is_file():
        found = {
            folder.name: _joined([(file, _header(file)) for file in weight_files(folder)])
            for folder in sorted(path.iterdir())
            if folder.is_dir() and weight_files(folder)
        }
    else:
        files = weight_files(path)
        found = {"weights": _joined([(file, _header(file)) for file in files])} if files else {}
    if not found:
        raise UserError(f"{path} holds no safetensors files: save the model as safetensors there.")
    return found


def stored_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a model's folder by name. Raises UserError for a damaged file."""
    return {name: tensor for file in weight_files(folder) for name, tensor in _header(file).items()}


def packed_bytes(tensors: Mapping[str, Tensor]) -> int:
    """Bytes of the tensors that are in no floating-point format."""
    return sum(_nbytes(dtype, shape) for dtype, shape in tensors.values() if dtype not in FLOATS)


def _nbytes(dtype: str, shape: list[int]) -> int:
    return math.prod(shape) * _ITEM_BYTES.get(dtype, 1)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model's folder: those of its index if there is one, else the one with a plain name."""
    for index in sorted(folder.glob("*.safetensors.index.json"), key=lambda file: len(file.name)):
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError) as problem:
            raise UserError(
                f"{index} is no index of safetensors files ({type(problem).__name__}): get it again."
            ) from None
        if missing := [name for name in names if not (folder / name).is_file()]:
            raise UserError(f"{folder} lacks {missing[0]}, which {index.name} names: get it again.")
        return [folder / name for name in names]
    files = sorted(folder.glob("*.safetensors"), key=lambda file: (len(file.name), file.name))
    return files[:1]


def _parts_of_file(path: Path) -> dict[str, StoredPart]:
    header = _header(path)
    grouped: dict[str, dict[str, Tensor]] = {}
    for name, tensor in header.items():
        part = next((part for prefix, part in SINGLE_FILE_PARTS.items() if name.startswith(prefix)), None)
        if part is not None:
            grouped.setdefault(part, {})[name] = tensor
    if not grouped:
        grouped = {"weights": header}
    return {part: _joined([(path, tensors)], part) for part, tensors in grouped.items()}


def _header(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file: name -> (dtype, shape)."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > path.stat().st_size:
                raise ValueError("it ends within its header")
            header = json.loads(file.read(length))
        tensors = {name: (of["dtype"], of["shape"]) for name, of in header.items() if name != "__metadata__"}
        end = max((of["data_offsets"][1] for name, of in header.items() if name != "__metadata__"), default=0)
        if path.stat().st_size < 8 + length + end:
            raise ValueError("it ends within its tensors")
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise UserError(f"{path} is no complete safetensors file ({problem}): get it again.") from None
    return tensors


def _joined(files: list[tuple[Path, Mapping[str, Tensor]]], part: str = "") -> StoredPart:
    floats = others = 0
    digest = hashlib.sha256(part.encode())
    for path, tensors in files:
        for name, (dtype, shape) in sorted(tensors.items()):
            if dtype in FLOATS:
                floats += math.prod(shape)
            else:
                others += _nbytes(dtype, shape)
            digest.update(f"{name} {dtype} {shape}\n".encode())
        digest.update(_samples(path))
    return StoredPart(digest.hexdigest()[:16], floats, others)


def _samples(path: Path) -> bytes:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        file.seek(8 + length)
        start = file.read(SAMPLE)
        file.seek(max(8 + length, path.stat().st_size - SAMPLE))
        return start + file.read(SAMPLE)
