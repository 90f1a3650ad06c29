"""Parquet files with encoded pictures in a column: bytes, or the {bytes, path} structs of Hugging Face's datasets."""

import hashlib
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...models.errors import UserError
from ..caption_text import tidy
from ..decoding import BYTE_LIMIT, TOO_MANY_BYTES, UNREADABLE, BadImage, looks_like_picture
from .entries import EncodedDataset, check_ordinal, labels_of

if TYPE_CHECKING:
    import pyarrow.parquet

KEY_COLUMN = "key"
CAPTION_COLUMNS = ("caption", "text", "TEXT")
"""The first of them that is there, and text."""
BATCH_ROWS = 16
"""Rows that are in memory at a time, per open file."""


@dataclass
class _File:
    """One file. groups: first row of each row group, then the number of rows. keys: of its rows, if it has any."""

    path: Path
    label: str
    first: int
    groups: list[int]
    keys: list[str] | None = None
    problem: str | None = None
    footer: str = ""
    unreadable: dict[int, tuple[int, str]] = field(default_factory=dict)  # group -> (first bad row of it, why)


class ParquetDataset(EncodedDataset):
    """The rows of parquet files, in order of files and rows. Keys "FILE.parquet/row-000012".

    If all of a file's rows have different texts in a column called "key", these stand in place of row numbers.
    Quick in order; any other order reads a row group from its start. A file that cannot be read is one entry with
    that problem; rows behind a damage in a row group are entries with that problem.
    fingerprint: of names, sizes and footers (row counts, sizes and statistics of columns); not of each row's bytes.
    """

    kind = "parquet"

    def __init__(self, files: Sequence[Path], name: str) -> None:
        """Raises UserError if no column of the first readable file holds pictures."""
        self.name = name
        self.skipped: dict[str, int] = {}
        self._column, self._captions = _find_columns(files, name)
        self._files: list[_File] = []
        count = 0
        labels = sorted(zip(labels_of(files), files, strict=True))
        for label, path in labels:
            file = _survey(path, label, count, self._column)
            self._files.append(file)
            count += file.groups[-1]
        self._firsts = [file.first for file in self._files]
        self._count = count
        described = "\n".join(f"{f.label} {f.groups[-1]} {f.footer} {f.problem}" for f in self._files)
        self.fingerprint = hashlib.sha256(f"{self._column}\n{described}".encode()).hexdigest()
        damaged = sum(file.problem is not None for file in self._files)
        self.description = (
            f"{count} rows in {len(files)} parquet files, pictures in the column {self._column!r}"
            f"{f', {damaged} of the files unreadable' if damaged else ''}"
        )
        self._lock = threading.Lock()  # guards the two below
        self._cursor: _Cursor | None = None
        self._texts: tuple[_File, int, list[str | None]] | None = None

    def __len__(self) -> int:
        return self._count

    def key(self, i: int) -> str:
        file, row = self._locate(i)
        if file.problem is not None:
            return file.label
        return f"{file.label}/{file.keys[row] if file.keys is not None else f'row-{row:06d}'}"

    def payload(self, i: int) -> bytes:
        file, row = self._locate(i)
        if file.problem is not None:
            raise BadImage(UNREADABLE, file.problem)
        with self._lock:
            data = self._read(file, row)
        if data is None:
            raise BadImage(UNREADABLE, "the row holds no bytes")
        if len(data) > BYTE_LIMIT:
            raise BadImage(TOO_MANY_BYTES, f"{len(data)} bytes; at most {BYTE_LIMIT} are read")
        return data

    def captions(self, ordinals: Sequence[int]) -> list[str | None]:
        return [self._caption(*self._locate(i)) for i in ordinals]

    def _caption(self, file: _File, row: int) -> str | None:
        if self._captions is None or file.problem is not None:
            return None
        group = bisect_right(file.groups, row) - 1
        with self._lock:
            if self._texts is None or self._texts[0] is not file or self._texts[1] != group:
                self._texts = (file, group, self._read_captions(file, group, self._captions))
            return self._texts[2][row - file.groups[group]]

    @staticmethod
    def _read_captions(file: _File, group: int, column: str) -> list[str | None]:
        """Of a row group; all None where the column is damaged, or missing in this file."""
        rows = file.groups[group + 1] - file.groups[group]
        try:
            with _open(file.path) as opened:
                read = opened.read_row_group(group, columns=[column], use_threads=False)
            texts = [tidy(text) for text in read.column(0).to_pylist()]
        except Exception:  # whatever pyarrow finds in damaged data
            return [None] * rows
        return texts if len(texts) == rows else [None] * rows

    def _locate(self, i: int) -> tuple[_File, int]:
        check_ordinal(i, self._count)
        file = self._files[bisect_right(self._firsts, i) - 1]
        return file, i - file.first

    def _read(self, file: _File, row: int) -> bytes | None:
        group = bisect_right(file.groups, row) - 1
        inside = row - file.groups[group]
        if group in file.unreadable and inside >= file.unreadable[group][0]:
            raise BadImage(UNREADABLE, file.unreadable[group][1])
        cursor = self._cursor
        if cursor is None or not cursor.reaches(file, group, inside):
            cursor = self._cursor = _Cursor(file, group, self._column)
        try:
            return cursor.read(inside)
        except Exception as error:  # whatever pyarrow finds in damaged data
            self._cursor = None
            why = f"row group {group}: {error or type(error).__name__}"
            file.unreadable[group] = (cursor.stop, why)
            raise BadImage(UNREADABLE, why) from None


class _Cursor:
    """Reads one row group of a file, forwards."""

    def __init__(self, file: _File, group: int, column: str) -> None:
        self._of = (file.path, group)
        self._start = self.stop = 0  # rows of the group that are in memory
        self._batch: Any = None
        self._batches = self._iterate(file.path, group, column)

    @staticmethod
    def _iterate(path: Path, group: int, column: str) -> Iterator[Any]:
        with _open(path) as opened:
            yield from opened.iter_batches(BATCH_ROWS, row_groups=[group], columns=[column], use_threads=False)

    def reaches(self, file: _File, group: int, row: int) -> bool:
        return self._of == (file.path, group) and row >= self._start

    def read(self, row: int) -> bytes | None:
        while row >= self.stop:
            self._batch = next(self._batches, None)
            if self._batch is None:
                raise EOFError("fewer rows than its footer says")
            self._start, self.stop = self.stop, self.stop + self._batch.num_rows
        value = self._batch.column(0)[row - self._start].as_py()
        return value.get("bytes") if isinstance(value, dict) else value


def _open(path: Path) -> "pyarrow.parquet.ParquetFile":
    """Read in pieces of a megabyte, not a column at a time; checksums are compared where the file has them."""
    import pyarrow.parquet

    return pyarrow.parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False, page_checksum_verification=True)


def _find_columns(files: Sequence[Path], name: str) -> tuple[str, str | None]:
    """(column with pictures, "COLUMN.bytes" for structs; column with captions or None) of the first readable file."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError(f"reading {name} needs pyarrow: install it with pip install pyarrow.") from None
    types = pyarrow.types
    unreadable, seen = 0, ""
    for path in files:
        try:
            with _open(path) as opened:
                schema = opened.schema_arrow
                candidates = [column for column in map(_bytes_column, schema) if column is not None]
                for column in candidates:
                    if _holds_pictures(opened, column):
                        texts = {f.name for f in schema if types.is_string(f.type) or types.is_large_string(f.type)}
                        return column, next((text for text in CAPTION_COLUMNS if text in texts), None)
                seen = seen or ", ".join(f"{field.name} ({field.type})" for field in schema)
        except Exception:  # damaged: another file may tell
            unreadable += 1
    if unreadable == len(files):
        raise UserError(f"none of the {len(files)} parquet files of {name} can be read: see whether they are whole.")
    raise UserError(
        f"no column of {name} holds encoded pictures, as bytes or {{bytes, path}}: its columns are {seen[:400]}."
    )


def _bytes_column(field: Any) -> str | None:
    """What to read of a column that may hold pictures: its name, or that of its part "bytes"."""
    import pyarrow

    def is_bytes(kind: Any) -> bool:
        return pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind)

    if is_bytes(field.type):
        return str(field.name)
    if pyarrow.types.is_struct(field.type):
        place = field.type.get_field_index("bytes")
        if place >= 0 and is_bytes(field.type.field(place).type):
            return f"{field.name}.bytes"
    return None


def _holds_pictures(opened: "pyarrow.parquet.ParquetFile", column: str) -> bool:
    """Whether one of the first BATCH_ROWS values starts as a picture does."""
    for batch in opened.iter_batches(BATCH_ROWS, columns=[column], use_threads=False):
        values = (value.get("bytes") if isinstance(value, dict) else value for value in batch.column(0).to_pylist())
        return any(value is not None and looks_like_picture(value) for value in values)
    return False


def _survey(path: Path, label: str, first: int, column: str) -> _File:
    """What a file's footer says, and its keys."""
    try:
        with path.open("rb") as raw:
            size = raw.seek(0, 2)
            raw.seek(max(0, size - 8))
            length = int.from_bytes(raw.read(4), "little")
            raw.seek(max(0, size - 8 - length))
            footer = f"{size} {hashlib.sha256(raw.read()).hexdigest()}"
        with _open(path) as opened:
            if column not in map(_bytes_column, opened.schema_arrow):
                raise ValueError(f"it has no column {column!r}")
            groups = [0]
            for group in range(opened.num_row_groups):
                groups.append(groups[-1] + opened.metadata.row_group(group).num_rows)
            return _File(path, label, first, groups, _keys(opened), None, footer)
    except Exception as error:  # whatever pyarrow finds in damaged data
        return _File(path, label, first, [0, 1], None, f"{error or type(error).__name__}")


def _keys(opened: "pyarrow.parquet.ParquetFile") -> list[str] | None:
    if KEY_COLUMN not in opened.schema_arrow.names:
        return None
    try:
        keys = opened.read(columns=[KEY_COLUMN], use_threads=False).column(0).to_pylist()
    except Exception:  # the column is damaged; the pictures may not be
        return None
    different = len(set(keys)) == len(keys) and all(isinstance(key, str) for key in keys)
    return keys if different else None
