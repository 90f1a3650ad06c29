"""A folder of picture files, at any depth."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..caption_text import CAPTION_LIMIT, caption_in_json, caption_in_text
from ..decoding import EXTENSIONS, BadImage
from .entries import EncodedDataset, check_ordinal, extension, fingerprint_of, printable
from .payload import Span


@dataclass(frozen=True)
class Scan:
    """What lies below a folder. pictures: (relative path with "/", bytes); others: by extension; sorted all."""

    pictures: list[tuple[str, int]]
    tars: list[Path]
    parquets: list[Path]
    skipped: dict[str, int]


class FolderDataset(EncodedDataset):
    """All files below a folder that have a picture's extension, in order of their relative paths.

    Captions: the file beside the picture with its name and .txt, or .json with "caption"; the first that has a text.
    fingerprint: of all relative paths and sizes in bytes; not of what is in the files.
    """

    kind = "folder"

    def __init__(self, root: Path, name: str, scan: Scan) -> None:
        self.name = name
        self.skipped = scan.skipped
        self._root = str(root)
        self._paths = [path for path, _ in scan.pictures]
        self.fingerprint = fingerprint_of((printable(path), size) for path, size in scan.pictures)
        self.description = f"{len(self)} picture files in a folder"

    def __len__(self) -> int:
        return len(self._paths)

    def key(self, i: int) -> str:
        check_ordinal(i, len(self))
        return printable(self._paths[i])

    def payload(self, i: int) -> Span:
        check_ordinal(i, len(self))
        return Span(os.path.join(self._root, self._paths[i]))

    def captions(self, ordinals: Sequence[int]) -> list[str | None]:
        return [_caption_beside(os.path.splitext(self.payload(i).path)[0]) for i in ordinals]


def _caption_beside(stem: str) -> str | None:
    for extension_, caption_in in ((".txt", caption_in_text), (".json", caption_in_json)):
        try:
            text = caption_in(Span(stem + extension_).read(CAPTION_LIMIT))
        except BadImage:  # there is none, or it cannot be read
            continue
        if text is not None:
            return text
    return None


def scan_folder(root: Path) -> Scan:
    """Looks at all files below `root`, except those whose names, or whose folders' names, start with a dot.

    Symbolic links are followed; a folder that is reached twice counts once.
    """
    found = Scan([], [], [], {})
    skipped: Counter[str] = Counter()
    seen: set[tuple[int, int]] = set()
    folders = [""]
    while folders:
        prefix = folders.pop()
        here = os.path.join(root, prefix)
        status = os.stat(here)
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(here) as entries:
            files = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda e: e.name)
        folders += [f"{prefix}{entry.name}/" for entry in reversed(files) if entry.is_dir()]
        for entry in files:
            if entry.is_dir():
                continue
            match extension(entry.name):
                case "tar":
                    found.tars.append(Path(entry.path))
                case "parquet":
                    found.parquets.append(Path(entry.path))
                case ext if ext in EXTENSIONS:
                    found.pictures.append((prefix + entry.name, _size(entry)))
                case ext:
                    skipped[ext] += 1
    found.pictures.sort(key=lambda picture: printable(picture[0]))
    found.tars.sort()
    found.parquets.sort()
    found.skipped.update(sorted(skipped.items()))
    return found


def _size(entry: "os.DirEntry[str]") -> int:
    """0 for what cannot be looked at, such as a dangling link: a bad entry, not the end of the run."""
    try:
        return entry.stat().st_size
    except OSError:
        return 0
