"""A folder of picture files, at any depth."""

import json
import os
from collections import Counter
from pathlib import Path

from ...models.errors import UserError
from ..decoding import EXTENSIONS
from .entries import EncodedDataset, Span, check_ordinal, counted, extension, fingerprint_of


class FolderDataset(EncodedDataset):
    """All files below a folder that have a picture's extension, in order of their relative paths.

    Files and folders whose names start with a dot are not looked at; symbolic links are followed, each folder once.
    Captions: the file beside the picture with its name and .txt, or .json with "caption".
    fingerprint: of all relative paths and sizes in bytes; not of what is in the files.
    """

    kind = "folder"

    def __init__(self, root: Path, name: str) -> None:
        """Raises UserError if the folder holds no picture file."""
        self.name = name
        self._root = str(root)
        found, self.skipped = _scan(self._root)
        found.sort()
        if not found:
            raise UserError(
                f"{name} holds no pictures, but {counted(self.skipped)}: give a folder with .tar shards, with .parquet "
                f"files, or with files that end in .{', .'.join(sorted(EXTENSIONS))}."
            )
        self._keys = [key for key, _ in found]
        self.fingerprint = fingerprint_of(found)
        self.description = f"{len(found)} picture files in a folder"

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, i: int) -> str:
        check_ordinal(i, len(self))
        return self._keys[i]

    def payload(self, i: int) -> Span:
        return Span(os.path.join(self._root, *self.key(i).split("/")))

    def caption(self, i: int) -> str | None:
        picture = Path(self.payload(i).path)
        for suffix, parse in ((".txt", lambda text: text), (".json", caption_in_json)):
            try:
                text = picture.with_suffix(suffix).read_bytes().decode("utf-8", "replace")
            except OSError:
                continue
            return parse(text.strip())
        return None


def caption_in_json(text: str) -> str | None:
    """The text under "caption"; None where there is none."""
    try:
        found = json.loads(text).get("caption")
    except (ValueError, AttributeError):
        return None
    return found if isinstance(found, str) else None


def _scan(root: str) -> tuple[list[tuple[str, int]], dict[str, int]]:
    """(relative path with "/", bytes) of picture files, and how many other files have which extension."""
    found: list[tuple[str, int]] = []
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
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    folders.append(f"{prefix}{entry.name}/")
                elif extension(entry.name) in EXTENSIONS:
                    found.append((prefix + entry.name, _size(entry)))
                else:
                    skipped[extension(entry.name)] += 1
    return found, dict(sorted(skipped.items()))


def _size(entry: "os.DirEntry[str]") -> int:
    """0 for what cannot be looked at, such as a dangling link: a bad entry, not the end of the run."""
    try:
        return entry.stat().st_size
    except OSError:
        return 0
