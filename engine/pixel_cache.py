"""Decoded pictures on disk, so that many targets with the same view decode a dataset once.

    DIR/<dataset and view>/cache.json     what it is of
    DIR/<dataset and view>/pixels.u8      uint8 [N, S, S, 3], with holes where nothing is yet: N * S * S * 3 bytes
    DIR/<dataset and view>/states.u32     uint32 [N, 2]: MISSING, WHOLE or BAD, and the CRC-32 of the pixels
    DIR/<dataset and view>/problems.jsonl {"entry":, "problem":} of bad entries

An entry's state is written after its pixels are on the disk, so that neither kill -9 nor a power cut leaves an entry
that claims to be whole and is not. Several processes may fill one cache: what they write is the same.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..models.errors import UserError
from ..models.files import name_file, write_whole
from .caption_text import Captioned
from .decoding import CRASHED, NO_MEMORY, UNREADABLE, reason_of
from .readers.entries import Dataset, check_ordinal
from .readers.payload import Decoded, Stream, View

MISSING, WHOLE, BAD = 0, 1, 2
UNSYNCED = 256
"""Entries whose states wait for one `fsync` of their pixels: what a crash costs at most."""
PASSING = (UNREADABLE, NO_MEMORY, CRASHED)
"""Problems of the machine and not of the picture's bytes."""
_AHEAD = 64
"""Entries that the system is asked to read ahead."""
_FORMAT = 1


class PixelCache:
    """One dataset as one view sees it; for one thread. On a full disk it raises OSError with the file's name."""

    def __init__(self, directory: Path, dataset: Dataset, view: View) -> None:
        """Opens, or makes, the cache below `directory`.

        Raises UserError if the files there are of something else, or damaged: the sentence names what differs.
        """
        self._side = view.size
        self._count = len(dataset)
        self._bytes = view.size * view.size * 3
        facts = {
            "format": _FORMAT,
            "dataset": dataset.fingerprint,
            "entries": len(dataset),
            "view": view.key,
            "side": view.size,
        }
        name = hashlib.sha256(f"{dataset.fingerprint}\n{view.key}".encode()).hexdigest()[:32]
        self.directory = directory / name
        self._remedy = f"delete {self.directory} and run again: it is then filled anew."
        self.directory.mkdir(parents=True, exist_ok=True)
        header = self.directory / "cache.json"
        if header.exists():
            self._check(header, facts)
        self._pixels = self._open("pixels.u8", self._count * self._bytes, header.exists())
        self._states = self._open("states.u32", self._count * 8, header.exists())
        self._problem_file = os.open(self.directory / "problems.jsonl", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        if not header.exists():
            write_whole(header, (json.dumps(facts, indent=2) + "\n").encode())
        self._problems = self._read_problems()
        self._waiting: list[tuple[int, int, int]] = []  # entry, state, CRC-32

    def states(self) -> np.ndarray:
        """uint32 [N, 2]: MISSING, WHOLE or BAD, and the CRC-32, of all entries as they are now on disk."""
        data = os.pread(self._states, self._count * 8, 0)
        return np.frombuffer(data, np.uint32).reshape(-1, 2)

    def expect(self, entries: Sequence[int]) -> None:
        """Ask the system to read these ahead."""
        if hasattr(os, "posix_fadvise"):
            for entry in entries:
                os.posix_fadvise(self._pixels, entry * self._bytes, self._bytes, os.POSIX_FADV_WILLNEED)

    def get(self, entry: int, state: int, crc: int) -> Decoded:
        """The entry, whose state is WHOLE or BAD. Raises UserError if its pixels are no longer what was written."""
        if state == BAD:
            if entry not in self._problems:
                self._problems = self._read_problems()  # another process found it
            if entry not in self._problems:
                raise UserError(f"{self.directory / 'problems.jsonl'} does not name entry {entry}: {self._remedy}")
            return Decoded(entry, None, self._problems[entry])
        pixels = np.empty((self._side, self._side, 3), np.uint8)
        read = os.preadv(self._pixels, [pixels.data.cast("B")], entry * self._bytes)
        if state != WHOLE or read != self._bytes or zlib.crc32(pixels.data) != crc:
            raise UserError(f"{self.directory / 'pixels.u8'} is damaged at entry {entry}: {self._remedy}")
        return Decoded(entry, pixels)

    def put(self, decoded: Decoded) -> None:
        """Keep an entry; it counts after the next `flush`, which happens by itself every UNSYNCED entries.

        A problem that may have passed by the next run (PASSING) is not kept.
        """
        entry = decoded.ordinal
        if decoded.pixels is not None:
            pixels = np.ascontiguousarray(decoded.pixels)
            self._write(self._pixels, pixels.data.cast("B"), entry * self._bytes, "pixels.u8")
            self._waiting.append((entry, WHOLE, zlib.crc32(pixels.data)))
        else:
            problem = decoded.problem or ""
            if reason_of(problem) in PASSING:
                return
            # The first line break ends what a crash may have cut short.
            line = "\n" + json.dumps({"entry": entry, "problem": problem}) + "\n"
            self._write(self._problem_file, memoryview(line.encode()), None, "problems.jsonl")
            self._problems[entry] = problem
            self._waiting.append((entry, BAD, 0))
        if len(self._waiting) >= UNSYNCED:
            self.flush()

    def flush(self) -> None:
        """Pixels to the disk, then the states that say so."""
        if not self._waiting:
            return
        os.fsync(self._pixels)
        os.fsync(self._problem_file)
        for entry, state, crc in self._waiting:
            data = np.array([state, crc], np.uint32)
            self._write(self._states, data.data.cast("B"), entry * 8, "states.u32")
        self._waiting.clear()

    def close(self) -> None:
        """Flush and close."""
        try:
            self.flush()
        finally:
            for file in (self._pixels, self._states, self._problem_file):
                os.close(file)

    def _open(self, name: str, size: int, must_exist: bool) -> int:
        path = self.directory / name
        if must_exist and (not path.is_file() or path.stat().st_size != size):
            found = f"{path.stat().st_size} bytes" if path.is_file() else "nothing"
            raise UserError(f"the pixel cache {path} is damaged ({found} in place of {size} bytes): {self._remedy}")
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            os.ftruncate(file, size)
        except OSError as error:
            os.close(file)
            name_file(error, path)
            raise
        return file

    def _check(self, header: Path, facts: dict[str, object]) -> None:
        try:
            found = json.loads(header.read_text(encoding="utf-8"))
            differing = [name for name in facts if found.get(name) != facts[name]]
        except (ValueError, AttributeError):
            raise UserError(f"the pixel cache's {header} is damaged: {self._remedy}") from None
        if differing:
            raise UserError(
                f"the pixel cache {self.directory} is of something else ({', '.join(differing)} differ): {self._remedy}"
            )

    def _read_problems(self) -> dict[int, str]:
        problems = {}
        for line in (self.directory / "problems.jsonl").read_bytes().splitlines():
            try:
                found = json.loads(line)
                problems[int(found["entry"])] = str(found["problem"])
            except (ValueError, TypeError, KeyError):
                continue  # an empty line, or one that a crash cut short: its entry has no state yet
        return problems

    def _write(self, file: int, data: memoryview, offset: int | None, name: str) -> None:
        """Not through a memory map, where a full disk would be a signal that ends the process."""
        try:
            while data:
                done = os.write(file, data) if offset is None else os.pwrite(file, data, offset)
                data = data[done:]
                offset = None if offset is None else offset + done
        except OSError as error:
            name_file(error, self.directory / name)
            raise


class CachedDataset:
    """A dataset that decodes every entry once for each view, and then reads it from `directory`.

    Whole pictures and captions still come from the dataset itself.
    """

    def __init__(self, dataset: Dataset, directory: Path) -> None:
        self._dataset = dataset
        self._directory = directory
        self.name = dataset.name
        self.kind = dataset.kind
        self.description = dataset.description
        self.fingerprint = dataset.fingerprint
        self.embedded = dataset.embedded
        self.skipped = dataset.skipped

    def __len__(self) -> int:
        return len(self._dataset)

    def key(self, i: int) -> str:
        return self._dataset.key(i)

    def phase(self, i: int) -> int:
        return self._dataset.phase(i)

    def image(self, i: int) -> Image.Image:
        return self._dataset.image(i)

    def caption(self, i: int) -> str | None:
        return self._dataset.caption(i)

    def captions(self, ordinals: Sequence[int]) -> list[str | None]:
        return self._dataset.captions(ordinals)

    @property
    def captioned(self) -> Captioned:
        return self._dataset.captioned

    def decoded(self, ordinals: Sequence[int], preprocess: View, workers: int) -> Stream:
        """Raises what `PixelCache` and the dataset raise."""
        for i in ordinals:
            check_ordinal(i, len(self))
        return _CachedStream(self._dataset, self._directory, list(ordinals), preprocess, workers)


class _CachedStream(Stream):
    def __init__(self, dataset: Dataset, directory: Path, ordinals: list[int], view: View, workers: int) -> None:
        self._cache = PixelCache(directory, dataset, view)
        self._closed = False
        try:
            states = self._cache.states()
            missing = list(dict.fromkeys(i for i in ordinals if states[i, 0] == MISSING))
            self._source = dataset.decoded(missing, view, workers if missing else 0)
        except BaseException:
            self._cache.close()
            raise
        self._entries = self._read(ordinals, states)

    def _read(self, ordinals: list[int], states: np.ndarray) -> Iterator[Decoded]:
        problems: dict[int, str | None] = {}  # of what was decoded just now
        for place, entry in enumerate(ordinals):
            if place % _AHEAD == 0:
                self._cache.expect([i for i in ordinals[place : place + 2 * _AHEAD] if states[i, 0] == WHOLE])
            if states[entry, 0] != MISSING:
                yield self._cache.get(entry, int(states[entry, 0]), int(states[entry, 1]))
            elif entry not in problems:
                decoded = next(self._source)
                self._cache.put(decoded)
                problems[entry] = decoded.problem
                yield decoded
            elif (problem := problems[entry]) is not None:
                yield Decoded(entry, None, problem)
            else:  # asked for twice
                self._cache.flush()
                state, crc = self._cache.states()[entry]
                yield self._cache.get(entry, int(state), int(crc))

    def __next__(self) -> Decoded:
        try:
            return next(self._entries)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End what decodes, and keep what was decoded."""
        if not self._closed:
            self._closed = True
            self._entries = iter(())
            try:
                self._source.close()
            finally:
                self._cache.close()
