"""The files of an index while it is built: one part for each chunk of the dataset, and the winners' pictures.

A part's name holds the range of its images and a hash of its bytes, so that a damaged one is known for what it is.
"""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from PIL import Image
from safetensors.numpy import save

from ..models.files import write_whole
from .index_part import LayerPart

JPEG_QUALITY = 95
"""Of the winners' pictures. They are looked at, not measured: activations and maps are of the dataset's own pixels."""

_NAME = re.compile(r"([0-9]{9})-([0-9]{9})\.([0-9a-f]{16})\.safetensors")
_LIGHT = ("units", "ids", "values")
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold: the same bytes whenever it is written


@dataclass(frozen=True, order=True)
class PartFile:
    """A part of a pass on disk: images first .. stop - 1 (ordinals of the dataset)."""

    first: int
    stop: int
    path: Path


@dataclass(frozen=True)
class Part:
    """What a chunk adds. pictures: JPEG by ordinal, of images that are exemplars. keys: their names in the dataset.
    problems: (ordinal, key, reason) of images that could not be read."""

    layers: dict[str, LayerPart]
    pictures: dict[int, bytes]
    keys: dict[int, str]
    problems: list[tuple[int, str, str]]


def write_part(directory: Path, first: int, stop: int, part: Part) -> PartFile:
    """Writes the part whole or not at all."""
    tensors = {f"{layer}/{name}": a for layer, found in part.layers.items() for name, a in found.tensors().items()}
    ordinals = sorted(part.pictures)
    sizes = [len(part.pictures[ordinal]) for ordinal in ordinals]
    tensors["pictures/ids"] = np.array(ordinals, np.int64)
    tensors["pictures/offsets"] = np.cumsum([0, *sizes]).astype(np.int64)
    tensors["pictures/bytes"] = np.frombuffer(b"".join(part.pictures[o] for o in ordinals), np.uint8)
    notes = {"keys": {str(o): key for o, key in sorted(part.keys.items())}, "problems": part.problems}
    tensors["notes"] = np.frombuffer(json.dumps(notes).encode(), np.uint8)
    data = save({name: np.ascontiguousarray(array) for name, array in tensors.items()})
    name = f"{first:09d}-{stop:09d}.{hashlib.sha256(data).hexdigest()[:16]}.safetensors"
    write_whole(directory / name, data)
    return PartFile(first, stop, directory / name)


def list_parts(directory: Path) -> list[PartFile]:
    """The parts in a directory by range; files with other names are passed over."""
    if not directory.is_dir():
        return []
    named = ((_NAME.fullmatch(path.name), path) for path in directory.iterdir())
    return sorted(PartFile(int(found[1]), int(found[2]), path) for found, path in named if found)


def is_damaged(file: PartFile) -> bool:
    """Whether the part's bytes are not those that were written."""
    found = _NAME.fullmatch(file.path.name)
    assert found is not None
    with file.path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()[:16] != found[3]


def read_layer(file: PartFile, layer: str) -> LayerPart:
    """One layer of a part; no other bytes are read."""
    with safetensors.safe_open(file.path, framework="numpy") as opened:
        prefix = f"{layer}/"
        names = [name for name in opened.keys() if name.startswith(prefix)]  # noqa: SIM118
        return LayerPart.from_tensors({name.removeprefix(prefix): opened.get_tensor(name) for name in names})


def read_best(file: PartFile, layer: str) -> dict[str, np.ndarray]:
    """ "units", "ids" and "values" of a layer's exemplars in a part, without their maps."""
    with safetensors.safe_open(file.path, framework="numpy") as opened:
        return {name: opened.get_tensor(f"{layer}/{name}") for name in _LIGHT}


def read_notes(file: PartFile) -> tuple[dict[int, str], list[tuple[int, str, str]]]:
    """(keys by ordinal, problems) of a part."""
    with safetensors.safe_open(file.path, framework="numpy") as opened:
        notes: dict[str, Any] = json.loads(opened.get_tensor("notes").tobytes())
    keys = {int(ordinal): key for ordinal, key in notes["keys"].items()}
    return keys, [(int(ordinal), key, reason) for ordinal, key, reason in notes["problems"]]


def read_pictures(file: PartFile, wanted: set[int]) -> Iterator[tuple[int, bytes]]:
    """(ordinal, JPEG) of the part's pictures that are wanted, by ordinal."""
    with safetensors.safe_open(file.path, framework="numpy") as opened:
        ids, offsets = opened.get_tensor("pictures/ids"), opened.get_tensor("pictures/offsets")
        data = opened.get_slice("pictures/bytes")
        for place, ordinal in enumerate(ids.tolist()):
            if ordinal in wanted:
                yield ordinal, data[int(offsets[place]) : int(offsets[place + 1])].tobytes()


def encode_pictures(pixels: Mapping[int, np.ndarray]) -> dict[int, bytes]:
    """JPEG bytes of uint8 [S, S, 3] pictures, by ordinal."""

    def encode(picture: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
        return buffer.getvalue()

    with ThreadPoolExecutor(4) as pool:  # Pillow encodes outside Python's lock
        return dict(zip(pixels, pool.map(encode, pixels.values()), strict=True))


def picture_name(ordinal: int) -> str:
    """The picture's name in the index's zip file."""
    return f"{ordinal:09d}.jpg"


def write_pictures(path: Path, pictures: Iterable[tuple[int, bytes]]) -> None:
    """A zip file of pictures, uncompressed (JPEG is), in the order given; whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, allowZip64=True) as file:
            for ordinal, data in pictures:
                file.writestr(zipfile.ZipInfo(picture_name(ordinal), _FIRST_DAY), data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def missing_ranges(files: Sequence[PartFile], first: int, stop: int) -> list[tuple[int, int]]:
    """Ranges of first .. stop - 1 that no part covers. Parts must not overlap: see `without_overlap`."""
    missing, at = [], first
    for file in files:
        if file.first > at:
            missing.append((at, min(file.first, stop)))
        at = max(at, file.stop)
    if at < stop:
        missing.append((at, stop))
    return [(a, b) for a, b in missing if a < b]


def without_overlap(files: Sequence[PartFile]) -> list[PartFile]:
    """The parts by range, without those that share images with one before (a chunk that two builds made)."""
    kept: list[PartFile] = []
    for file in sorted(files, key=lambda f: (f.first, -f.stop, f.path.name)):
        if not kept or file.first >= kept[-1].stop:
            kept.append(file)
    return kept
