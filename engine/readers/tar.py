"""Tar shards of pictures, as webdataset and img2dataset write them: KEY.jpg, KEY.txt and KEY.json of one sample."""

import hashlib
import json
import os
import tarfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ...models.errors import UserError
from ...models.files import write_whole
from ..caption_text import CAPTION_LIMIT, caption_in_json, caption_in_text
from ..decoding import EXTENSIONS, UNREADABLE, BadImage
from .entries import EncodedDataset, check_ordinal, counted, fingerprint_of, labels_of, printable
from .payload import Span

Progress = Callable[[int, int], None]
"""(shards read, shards)."""

_VERSION = 1
_NONE = (-1, -1)


@dataclass
class Listing:
    """What is in one shard. spans: (offset, bytes) of picture, .txt and .json of every key, six numbers a row.

    damage: (byte, what is wrong there) where the shard cannot be read any further, or None.
    """

    keys: list[str] = field(default_factory=list)
    spans: list[list[int]] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    damage: tuple[int, str] | None = None


class TarDataset(EncodedDataset):
    """The samples of tar shards, by offset: any order is quick. Keys "SHARD.tar/SAMPLE", sorted.

    A sample's name ends at the first dot after its folder, as webdataset has it; what follows is its extension. A
    sample without a picture is no entry; of several pictures the first counts, and of several samples of one name the
    later ones are SAMPLE#2, SAMPLE#3. Where a shard is damaged, one more entry with that problem stands for the rest.
    Captions: the sample's .txt, or "caption" of its .json; the first that has a text.
    fingerprint: of all keys and sizes in bytes; not of what is in the pictures, nor of captions.
    """

    kind = "tar"

    def __init__(
        self, shards: Sequence[Path], name: str, listing: Path | None = None, progress: Progress | None = None
    ) -> None:
        """listing: folder that keeps what a scan of each shard found, until its size or time of change differs.

        Raises UserError if no shard holds a picture.
        """
        self.name = name
        self._shards = [str(shard) for shard in shards]
        keys: list[str] = []
        rows: list[np.ndarray] = []
        problems: dict[str, str] = {}
        skipped: Counter[str] = Counter()
        for number, (shard, label) in enumerate(zip(shards, labels_of(shards), strict=True)):
            found = _listing(shard, listing)
            skipped.update(found.skipped)
            keys += [f"{label}/{key}" for key in found.keys]
            spans = np.array(found.spans, np.int64).reshape(-1, 6)
            rows.append(np.column_stack([np.full(len(spans), number), spans]))
            if found.damage is not None:
                keys.append(f"{label}/(damaged at byte {found.damage[0]})")
                rows.append(np.array([[number, 0, 0, *_NONE, *_NONE]]))
                problems[keys[-1]] = found.damage[1]
            if progress is not None:
                progress(number + 1, len(shards))
        self.skipped = dict(sorted(skipped.items()))
        if len(keys) == len(problems):
            first = next((f"; {key}: {problem}" for key, problem in problems.items()), "")
            raise UserError(
                f"the {len(shards)} tar shards of {name} hold no pictures, but {counted(self.skipped)}{first}: "
                "give shards with members such as 0001.jpg, uncompressed."
            )
        order = sorted(range(len(keys)), key=keys.__getitem__)
        self._keys = [keys[i] for i in order]
        self._rows = np.concatenate(rows)[order]  # shard, then the listing's spans
        self._problems = problems
        self.fingerprint = fingerprint_of(zip(self._keys, self._rows[:, 2].tolist(), strict=True))
        damaged = f", {len(problems)} of them damaged" if problems else ""
        self.description = f"{len(self)} entries in {len(shards)} tar shards{damaged}"

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, i: int) -> str:
        check_ordinal(i, len(self))
        return self._keys[i]

    def payload(self, i: int) -> Span:
        if (problem := self._problems.get(self.key(i))) is not None:
            raise BadImage(UNREADABLE, problem)
        return self._span(i, 1)

    def captions(self, ordinals: Sequence[int]) -> list[str | None]:
        found: list[str | None] = []
        with ExitStack() as opened:
            file: BinaryIO | None = None
            shard = -1
            for i in ordinals:
                check_ordinal(i, len(self))
                if (number := int(self._rows[i, 0])) != shard:  # entries of one shard are neighbours
                    opened.close()
                    shard, file = number, None
                    with suppress(OSError):
                        file = opened.enter_context(open(self._shards[shard], "rb"))
                found.append(None if file is None else _caption_at(file, self._rows[i, 3:].tolist()))
        return found

    def _span(self, i: int, column: int) -> Span:
        shard, offset, size = (int(value) for value in self._rows[i, [0, column, column + 1]])
        return Span(self._shards[shard], offset, size)


def _caption_at(file: BinaryIO, spans: Sequence[int]) -> str | None:
    """Of one sample in its open shard. spans: (offset, bytes) of its .txt and of its .json."""
    for place, caption_in in ((0, caption_in_text), (2, caption_in_json)):
        offset, size = spans[place], spans[place + 1]
        if not 0 < size <= CAPTION_LIMIT:
            continue
        try:
            file.seek(offset)
            data = file.read(size)
        except OSError:
            continue
        if len(data) == size and (text := caption_in(data)) is not None:
            return text
    return None


def _listing(shard: Path, directory: Path | None) -> Listing:
    """Of one shard: the kept one if the shard is still the same, else by a scan, which is then kept."""
    if directory is None:
        return scan_shard(shard)
    try:
        status = shard.stat()
    except OSError as error:
        return Listing(damage=(0, error.strerror or str(error)))
    same = {"version": _VERSION, "bytes": status.st_size, "changed_ns": status.st_mtime_ns}
    name = hashlib.sha256(os.fsencode(shard.absolute())).hexdigest()[:32]
    path = directory / f"{shard.stem[:40]}-{name}.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["of"] == same:
            damage = kept["damage"]
            return Listing(kept["keys"], kept["spans"], kept["skipped"], None if damage is None else tuple(damage))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none yet, or half of one: what the scan finds takes its place
    found = scan_shard(shard)
    directory.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps({"of": same, **vars(found)}, separators=(",", ":")).encode())
    return found


def scan_shard(shard: Path) -> Listing:
    """Reads the headers of all members, in one pass; a damaged shard up to its damage."""
    samples = _Samples()
    found = Listing()
    try:
        size = shard.stat().st_size
        with tarfile.open(shard, "r:") as archive:
            try:
                while (member := archive.next()) is not None:
                    archive.members.clear()  # type: ignore[attr-defined]  # it would keep all it ever read
                    if member.isfile():
                        samples.enter(member)
            except (tarfile.TarError, OSError, ValueError) as error:
                found.damage = (archive.offset, f"the shard is damaged: {error}")
            else:
                found.damage = _early_end(shard, archive.offset, size)
    except (tarfile.TarError, OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or "no uncompressed tar archive"
        found.damage = (0, reason)
    for name in sorted(samples):
        if samples[name].spans[0] >= 0:
            found.keys.append(name)
            found.spans.append(samples[name].spans)
    found.skipped = dict(samples.skipped)
    return found


@dataclass
class _Sample:
    spans: list[int] = field(default_factory=lambda: [*_NONE, *_NONE, *_NONE])
    extensions: set[str] = field(default_factory=set)


class _Samples(dict[str, _Sample]):
    """Samples of one shard by name, while its members are read."""

    def __init__(self) -> None:
        self.skipped: Counter[str] = Counter()
        self._repeats: Counter[str] = Counter()

    def enter(self, member: tarfile.TarInfo) -> None:
        """Put one file where it belongs."""
        folder, slash, base = printable(member.name.removeprefix("./")).rpartition("/")
        if base.startswith("."):
            return
        stem, _, ext = base.partition(".")
        name, ext = f"{folder}{slash}{stem}", ext.lower()
        sample = self._latest(name)
        if ext in sample.extensions:  # a second one: of the next sample of this name
            self._repeats[name] += 1
            sample = self._latest(name)
        sample.extensions.add(ext)
        column = 0 if ext in EXTENSIONS else {"txt": 2, "json": 4}.get(ext)
        if column is None or member.issparse() or sample.spans[column] >= 0:
            self.skipped[ext] += 1
        else:
            sample.spans[column : column + 2] = [member.offset_data, member.size]

    def _latest(self, name: str) -> _Sample:
        number = self._repeats[name]
        return self.setdefault(f"{name}#{number + 1}" if number else name, _Sample())


def _early_end(shard: Path, offset: int, size: int) -> tuple[int, str] | None:
    """tarfile takes whatever is no header for the end: it is one if it is zeros, or the end of the file."""
    if offset >= size:
        return None if offset == size else (size, "the shard ends too early")
    with shard.open("rb") as file:
        file.seek(offset)
        block = file.read(tarfile.BLOCKSIZE)
    if len(block) == tarfile.BLOCKSIZE and not any(block):
        return None
    return offset, "the shard is damaged: no member begins here"
