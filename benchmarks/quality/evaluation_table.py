"""A table of an evaluation, and the files that it becomes: CSV for programs, Markdown for documents."""

import csv
import io
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...models.files import write_whole

Cell = str | int | float | None
"""None: there is no such value."""
PREFIX = "table-"
SUFFIXES = (".csv", ".md")
NOTHING = "–"


@dataclass(frozen=True)
class Table:
    """name: of its files, without prefix and suffix. rows: a cell for each column. notes: sentences that belong to it,
    such as what was left out."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"a row of {self.name} has not as many cells as there are columns")

    def column(self, name: str) -> list[Cell]:
        """All cells of a column, from top to bottom."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]


def to_csv(table: Table) -> str:
    """Header and rows; numbers with six significant digits, nothing where there is no value. Notes are not in it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([_exact(cell) for cell in row] for row in table.rows)
    return text.getvalue()


def to_markdown(table: Table) -> str:
    """Heading, rows with numbers for reading, and the notes as a list."""
    lines = [f"## {table.title}", ""]
    numeric = numeric_columns(table)
    lines.append(_line(table.columns))
    lines.append("|" + "|".join("---:" if is_number else "---" for is_number in numeric) + "|")
    lines += [_line([shown(cell) for cell in row]) for row in table.rows]
    if table.notes:
        lines += ["", *(f"- {_one_line(note)}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def numeric_columns(table: Table) -> list[bool]:
    """Of each column, whether all its cells are numbers or empty."""
    cells = [[row[place] for row in table.rows] for place in range(len(table.columns))]
    return [bool(column) and not any(isinstance(cell, str) for cell in column) for column in cells]


def shown(cell: Cell) -> str:
    """A cell for reading: two decimals, or two significant digits for what is smaller than 0.1."""
    if cell is None:
        return NOTHING
    if isinstance(cell, float):
        if not math.isfinite(cell):
            return NOTHING
        text = f"{abs(cell):.2f}" if abs(cell) >= 0.0995 or cell == 0 else f"{abs(cell):.2g}"
        return f"−{text}" if cell < 0 else text
    return str(cell)


def write_table_files(tables: Sequence[Table], out: Path, names: Collection[str]) -> list[Path]:
    """Both files of each table into `out`, which is made if need be; returns the paths written, in order.

    names: all tables that may be made. Files of those that are not made now are removed, so that none of an earlier
    evaluation stays.
    """
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for table in tables:
        for suffix, text in zip(SUFFIXES, (to_csv(table), to_markdown(table)), strict=True):
            path = out / f"{PREFIX}{table.name}{suffix}"
            write_whole(path, text.encode())
            written.append(path)
    for name in set(names) - {table.name for table in tables}:
        for suffix in SUFFIXES:
            (out / f"{PREFIX}{name}{suffix}").unlink(missing_ok=True)
    return written


def _exact(cell: Cell) -> str | int:
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return ""
    return f"{cell:.6g}" if isinstance(cell, float) else cell


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_one_line(cell).replace("|", "\\|") for cell in cells) + " |"


def _one_line(text: str) -> str:
    return " ".join(text.split())
