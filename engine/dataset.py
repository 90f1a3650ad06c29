"""Datasets of pictures: what they have in common, and how a name or path becomes one.

A bad picture costs itself: its entry stays, and `decoded` says what its problem is.
"""

from pathlib import Path

from ..models.errors import UserError
from .decoding import EXTENSIONS, BadImage
from .pixel_cache import CachedDataset
from .readers.entries import Dataset, counted, extension
from .readers.folder import FolderDataset, scan_folder
from .readers.parquet import ParquetDataset
from .readers.patterns import matching_files
from .readers.payload import Decoded, Stream, View
from .readers.tar import Progress, TarDataset
from .readers.testbed import TestbedDataset

__all__ = ["BadImage", "Dataset", "Decoded", "Stream", "View", "open_dataset"]


def open_dataset(
    spec: str | Path,
    listing: Path | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """The dataset that a person named; `Dataset.kind` and `.description` say as what it was read.

    - "testbed", or "testbed:3000": its first 3000 scenes;
    - a folder of pictures at any depth, such as ImageNet's class folders;
    - a folder with .tar shards, one shard, or several by a pattern: shards/{00000..00331}.tar, shards/*.tar;
    - a folder with .parquet files, one file, or several by a pattern.
    Parquet files that are named like a tar shard or folder beside them hold img2dataset's metadata and are skipped.
    listing: folder that keeps what a scan of each tar shard found. cache: folder that keeps decoded pixels
    (`engine.pixel_cache`). progress: (tar shards scanned, all).
    Raises UserError if there is nothing there, nothing that can be read, or a mixture: the sentence says what was
    looked for.
    """
    dataset = _open(spec, listing, progress)
    return dataset if cache is None else CachedDataset(dataset, cache)


def _open(spec: str | Path, listing: Path | None, progress: Progress | None) -> Dataset:
    name = str(spec)
    if isinstance(spec, str) and (spec == "testbed" or spec.startswith("testbed:")):
        return _testbed(spec)
    if Path(spec).is_dir():
        return _open_folder(Path(spec), name, listing, progress)
    files = [Path(spec)] if Path(spec).exists() else matching_files(name)
    kinds = {extension(file.name) for file in files}
    if kinds == {"tar"}:
        return TarDataset(files, name, listing, progress)
    if kinds == {"parquet"}:
        return ParquetDataset(files, name)
    looked_for = "testbed, a folder of pictures, .tar shards (uncompressed) or .parquet files"
    if not files:
        raise UserError(f"there is no dataset {name!r}: give {looked_for}.")
    raise UserError(f"{name} is no dataset, but {_listed(kinds)}: give {looked_for}.")


def _open_folder(folder: Path, name: str, listing: Path | None, progress: Progress | None) -> Dataset:
    scan = scan_folder(folder)
    metadata = {
        file for file in scan.parquets if file.with_suffix(".tar") in scan.tars or file.with_suffix("").is_dir()
    }
    parquets = [file for file in scan.parquets if file not in metadata]
    if metadata:
        scan.skipped["parquet"] = len(metadata)
    found = {"picture files": len(scan.pictures), ".tar files": len(scan.tars), ".parquet files": len(parquets)}
    there = [f"{count} {what}" for what, count in found.items() if count]
    if not there:
        raise UserError(
            f"{name} holds no pictures, but {counted(scan.skipped)}: give a folder with .tar shards, with .parquet "
            f"files, or with files that end in .{', .'.join(sorted(EXTENSIONS))}."
        )
    if len(there) > 1:
        raise UserError(
            f"{name} holds {' and '.join(there)}, and it is not plain which of them are meant: give a folder with one "
            f"kind only, or a pattern such as {folder / '*.tar'}."
        )
    if scan.pictures:
        return FolderDataset(folder, name, scan)
    dataset = TarDataset(scan.tars, name, listing, progress) if scan.tars else ParquetDataset(parquets, name)
    for ext, count in scan.skipped.items():  # files beside the shards, and members in them
        dataset.skipped[ext] = dataset.skipped.get(ext, 0) + count
    return dataset


def _listed(kinds: set[str]) -> str:
    return " and ".join(sorted(f"a .{kind} file" if kind else "a file without extension" for kind in kinds))


def _testbed(spec: str) -> TestbedDataset:
    _, colon, count = spec.partition(":")
    if colon and not count.isdecimal():
        raise UserError(f"{count!r} is no number of scenes: give testbed or testbed:3000.")
    return TestbedDataset(spec, int(count) if colon else None)
