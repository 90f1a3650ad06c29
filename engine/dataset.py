"""Datasets of pictures: what they have in common, and how a name or path becomes one.

A bad picture costs itself: its entry stays, and `decoded` says what its problem is.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from PIL import Image

from ..models.errors import UserError
from .decoding import BadImage
from .readers.entries import Decoded, Stream, View
from .readers.folder import FolderDataset
from .readers.testbed import TestbedDataset

__all__ = ["BadImage", "Dataset", "Decoded", "Stream", "View", "open_dataset"]


class Dataset(Protocol):
    """Pictures by number, 0 .. len - 1; the same number is the same picture wherever the data lies.

    name: what a person called it. kind: "folder", "tar", "parquet" or "testbed". description: what was found, for
    people. fingerprint: 64 hex digits that change with what is in it; each reader states what they do not cover.
    embedded: its pictures are part of this program, so that they can always be made again. skipped: files that are
    no entries, counted by extension.
    """

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def embedded(self) -> bool: ...
    @property
    def skipped(self) -> dict[str, int]: ...

    def __len__(self) -> int: ...

    def key(self, i: int) -> str:
        """Stable, unique name of entry i. Entries are sorted by key (parquet: by file, then row)."""
        ...

    def phase(self, i: int) -> int:
        """0 .. 2^32 - 1, from the key alone: which positions of the entry's maps are sampled."""
        ...

    def image(self, i: int) -> Image.Image:
        """The whole picture, RGB. Raises BadImage with its reason."""
        ...

    def caption(self, i: int) -> str | None:
        """Its caption, where the format has one."""
        ...

    def decoded(self, ordinals: Sequence[int], preprocess: View, workers: int) -> Stream:
        """What a network sees of these entries, in this order, repeated ones too; decoded ahead by worker processes.

        workers: processes; 0 decodes in this one. The pixels do not depend on it, and are those of
        `preprocess.view(self.image(i))`. A picture at which a worker process dies is tried once more.
        """
        ...


def open_dataset(spec: str | Path) -> Dataset:
    """The dataset that a person named.

    "testbed" or "testbed:3000" (its first 3000 scenes), or a folder of pictures.
    Raises UserError if there is nothing there, or nothing that can be read: the sentence says what was looked for.
    """
    name = str(spec)
    if isinstance(spec, str) and (spec == "testbed" or spec.startswith("testbed:")):
        return _testbed(spec)
    path = Path(spec)
    if path.is_dir():
        return FolderDataset(path, name)
    raise UserError(f"there is no dataset {name!r}: give a folder of pictures, or testbed.")


def _testbed(spec: str) -> TestbedDataset:
    _, colon, count = spec.partition(":")
    if colon and not count.isdecimal():
        raise UserError(f"{count!r} is no number of scenes: give testbed or testbed:3000.")
    return TestbedDataset(spec, int(count) if colon else None)
