"""From parts to an index: the files that `engine.exemplars` reads."""

import importlib.metadata
import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from ..models.errors import UserError
from ..models.files import write_whole
from .decoding import reason_of
from .exemplars import IndexFacts, Manifest, sha256_of
from .index_files import PartFile, is_damaged, read_layer, read_notes, read_pictures, write_pictures
from .index_part import LayerPart, combine

VERSIONED = ("torch", "numpy", "pillow")


def merge_files(
    directory: Path,
    files: Sequence[PartFile],
    layers: Sequence[str],
    facts: IndexFacts,
    arithmetic: Mapping[str, Any],
    dataset: str,
    skipped: Mapping[str, int],
) -> None:
    """Adds the layers, whose parts cover the dataset, to the index in `directory` (made if there is none).

    dataset: its name, for people. skipped: its files that are no entries, counted by extension.
    One layer and one part are in memory at a time. The manifest is written last: until then nothing has changed for
    those who read the index. Raises UserError if a part is damaged.
    """
    for file in files:
        if is_damaged(file):
            file.path.unlink()
            raise UserError(f"the part {file.path} is damaged and was removed: run `maia index build` again.")
    old = Manifest.read(directory) if (directory / "manifest.json").exists() else None
    (directory / "layers").mkdir(exist_ok=True)
    rows: dict[str, dict[str, Any]] = dict(old.layers) if old else {}
    winners: set[int] = set()
    for layer in layers:
        merged = read_layer(files[0], layer)
        for file in files[1:]:
            merged = combine([merged, read_layer(file, layer)], facts.k)
        name = f"layers/{layer}.safetensors"
        write_whole(directory / name, save(_dense(merged, facts.k)))
        rows[layer] = {"units": len(merged.lowest), "file": name, "sha256": sha256_of(directory / name)}
        winners |= set(merged.ids.tolist())
    notes = [read_notes(file) for file in files]
    problems = sorted({problem for _, found in notes for problem in found})
    keys = {ordinal: key for found, _ in notes for ordinal, key in found.items() if ordinal in winners}
    hashes = _write_common(directory, old, files, winners, keys, problems)
    bad = Counter(reason_of(reason) for _, _, reason in problems)
    manifest = Manifest(
        facts,
        dict(old.arithmetic if old else arithmetic),
        {layer: rows[layer] for layer in sorted(rows)},
        {
            "entries": facts.dataset_size,
            "read": facts.dataset_size - len(problems),
            "bad": dict(sorted(bad.items())),
            "skipped": dict(sorted(skipped.items())),
        },
        hashes,
        {name: importlib.metadata.version(name) for name in VERSIONED},
        dataset,
    )
    write_whole(directory / "manifest.json", manifest.to_json())


def _write_common(
    directory: Path,
    old: Manifest | None,
    files: Sequence[PartFile],
    winners: set[int],
    keys: dict[int, str],
    problems: Sequence[tuple[int, str, str]],
) -> dict[str, str]:
    """winners.json, problems.jsonl and pictures.zip, of the layers before and those that come; their sha256."""
    before: dict[int, bytes] = {}
    if old is not None:
        known = json.loads((directory / "winners.json").read_text(encoding="utf-8"))
        keys = {int(ordinal): key for ordinal, key in known.items()} | keys
        if "pictures.zip" in old.files:
            with zipfile.ZipFile(directory / "pictures.zip") as archive:
                before = {int(Path(name).stem): archive.read(name) for name in archive.namelist()}
    hashes = {}
    lines = "".join(json.dumps({"id": o, "key": key, "problem": reason}) + "\n" for o, key, reason in problems)
    for name, data in (
        ("winners.json", json.dumps({str(o): keys[o] for o in sorted(keys)}, indent=0) + "\n"),
        ("problems.jsonl", lines),
    ):
        write_whole(directory / name, data.encode())
        hashes[name] = sha256_of(directory / name)

    def pictures() -> Iterator[tuple[int, bytes]]:
        coming = winners - before.keys()
        new = (pair for file in files for pair in read_pictures(file, coming))
        waiting = sorted(before)
        for ordinal, data in new:  # by ordinal: the parts are in the order of their ranges
            while waiting and waiting[0] < ordinal:
                yield waiting[0], before[waiting.pop(0)]
            yield ordinal, data
        for ordinal in waiting:
            yield ordinal, before[ordinal]

    if before or any(True for file in files for _ in read_pictures(file, winners)):
        write_pictures(directory / "pictures.zip", pictures())
        hashes["pictures.zip"] = sha256_of(directory / "pictures.zip")
    return hashes


def _dense(part: LayerPart, k: int) -> dict[str, np.ndarray]:
    """The arrays of a layer's file: exemplars by unit and rank, -inf and -1 where a unit has fewer than k."""
    count = len(part.lowest)
    ranks = np.arange(len(part.units)) - np.searchsorted(part.units, part.units)
    dense: dict[str, np.ndarray] = {
        "values": np.full((count, k), -np.inf, np.float32),
        "ids": np.full((count, k), -1, np.int64),
        "positions": np.full((count, k), -1, np.int32),
    }
    for name, array in dense.items():
        array[part.units, ranks] = getattr(part, name)
    if part.maps.size:
        dense["maps"] = np.zeros((count, k, *part.maps.shape[1:]), np.float32)
        dense["maps"][part.units, ranks] = part.maps
    others = part.tensors()
    return dense | {name: array for name, array in others.items() if name not in (*dense, "units", "maps")}
