"""What all readers of encoded pictures share: keys, fingerprint, pictures by number, and a stream of decoded ones."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

from PIL import Image

from ..caption_text import Captioned
from .payload import Span, Stream, View, light_view, load, pixels_of
from .stream import InProcess, Workers

CAPTION_BATCH = 4096
"""Captions that are in memory at a time, while all of them are looked at."""


def phase_of(key: str) -> int:
    """0 .. 2^32 - 1, from the key alone: which positions of the entry's maps are sampled."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big")


def fingerprint_of(entries: Iterable[tuple[str, int]]) -> str:
    """64 hex digits of (key, bytes) pairs, in the order given."""
    digest = hashlib.sha256()
    for key, size in entries:
        digest.update(f"{key}\0{size}\n".encode())
    return digest.hexdigest()


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
        """Its caption, where the format has one; None where it is missing, blank or cannot be read."""
        ...

    def captions(self, ordinals: Sequence[int]) -> list[str | None]:
        """`caption` of each, read together: cheap, and best in rising order."""
        ...

    @property
    def captioned(self) -> Captioned:
        """How many entries have a caption. The first time, formats that keep captions in files read all of them."""
        ...

    def decoded(self, ordinals: Sequence[int], preprocess: View, workers: int) -> Stream:
        """What a network sees of these entries, in this order, repeated ones too; decoded ahead by worker processes.

        workers: processes; 0 decodes in this one. The pixels do not depend on it, and are those of
        `preprocess.view(self.image(i))`. A picture at which a worker process dies is tried once more.
        """
        ...


class EncodedDataset(ABC):
    """A Dataset of encoded pictures; readers say what is where."""

    name: str
    kind: str
    fingerprint: str
    description: str
    skipped: dict[str, int]
    embedded = False

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def key(self, i: int) -> str: ...

    @abstractmethod
    def payload(self, i: int) -> Span | bytes:
        """Encoded bytes of entry i, or where they lie: what a worker is given. Raises BadImage."""

    def caption(self, i: int) -> str | None:
        return self.captions([i])[0]

    @abstractmethod
    def captions(self, ordinals: Sequence[int]) -> list[str | None]: ...

    @cached_property
    def captioned(self) -> Captioned:
        return Captioned.of(
            text
            for start in range(0, len(self), CAPTION_BATCH)
            for text in self.captions(range(start, min(start + CAPTION_BATCH, len(self))))
        )

    def phase(self, i: int) -> int:
        return phase_of(self.key(i))

    def image(self, i: int) -> Image.Image:
        return load(self.payload(i))

    def decoded(self, ordinals: Sequence[int], preprocess: View, workers: int) -> Stream:
        if workers < 0:
            raise ValueError(f"workers must be 0 or more, not {workers}")
        for i in ordinals:
            check_ordinal(i, len(self))
        view = light_view(preprocess)
        if workers == 0:
            return InProcess(ordinals, lambda i: pixels_of(self.payload(i), view))
        return Workers(ordinals, self.payload, view, min(workers, max(1, len(ordinals))))


def check_ordinal(i: int, count: int) -> None:
    """Raises IndexError outside 0 .. count - 1 (negative numbers are no short hand for the last)."""
    if not 0 <= i < count:
        raise IndexError(f"the dataset has entries 0 to {count - 1}, not {i}")


def extension(name: str) -> str:
    """Lower-case extension without its dot: "jpeg" of "a/b.JPEG"; "" where there is none."""
    return Path(name).suffix[1:].lower()


def printable(name: str) -> str:
    """A file's name as a key: what is not UTF-8 in it as \\xNN, so that it can be written anywhere."""
    return name if name.isascii() else name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def labels_of(files: Sequence[Path]) -> list[str]:
    """What the files are called in keys: their paths with "/" from the last folder that holds all of them."""
    parents = [file.absolute().parent for file in files]
    common = os.path.commonpath(parents)
    return [printable(file.absolute().relative_to(common).as_posix()) for file in files]


def counted(skipped: dict[str, int]) -> str:
    """What was skipped, for people: "3 .txt files, 1 file without extension"; "no files" for nothing."""
    parts = [
        f"{count} {f'.{ext} ' if ext else ''}file{'s' if count > 1 else ''}{'' if ext else ' without extension'}"
        for ext, count in skipped.items()
    ]
    return ", ".join(parts) or "no files"
