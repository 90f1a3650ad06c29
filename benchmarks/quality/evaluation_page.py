"""An evaluation as one HTML page that holds everything it shows and asks the network for nothing.

The page has no script. A Content-Security-Policy admits its own style sheet, by its hash, and nothing else.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ...agent.report_parts import page_environment, policy_hash, read_asset
from ...models.files import write_whole
from .evaluation_figures import KINDS, make_figures
from .evaluation_plots import legend
from .evaluation_table import PREFIX, SUFFIXES, Table, numeric_columns, shown
from .evaluation_tables import make_tables, write_tables
from .evaluation_units import Study, organise
from .measured import Measured, read_evaluation

PAGE = "evaluation.html"
LONG_TABLE = 24
"""Rows; a longer table is folded until it is opened."""


def write_results(folder: Path, agreements: Sequence[Mapping[str, Any]] = ()) -> list[Path]:
    """All tables and the page beside the evaluation.json of a directory; returns their paths, the page's first.

    Raises UserError where evaluation.json is missing or damaged, or there is nothing to show.
    """
    found = read_evaluation(folder)
    page = write_page(found.measured, folder / PAGE, found.facts, agreements, found.notes)
    return [page, *write_tables(found.measured, folder, agreements, found.notes)]


def write_page(
    measured: Sequence[Measured],
    path: Path,
    facts: Mapping[str, Any] | None = None,
    agreements: Sequence[Mapping[str, Any]] = (),
    notes: Sequence[str] = (),
) -> Path:
    """Write the page, whole or not at all, and return its path; the directory must exist.

    facts: of the evaluation, JSON, shown as they are. agreements, notes: as for `evaluation_tables.write_tables`. The
    same arguments give the same bytes. Raises UserError where there is nothing to show.
    """
    study = organise(measured, notes)
    write_whole(path, render_page(study, make_tables(study, agreements), facts or {}).encode("utf-8"))
    return path


def render_page(study: Study, tables: Sequence[Table], facts: Mapping[str, Any]) -> str:
    """The page's HTML, of a study and its own tables."""
    folder = Path(__file__).parent
    environment = page_environment().overlay(loader=jinja2.FileSystemLoader(folder))
    style = Markup(read_asset("report.css") + folder.joinpath("evaluation_page.css").read_text(encoding="utf-8"))
    policy = f"default-src 'none'; style-src {policy_hash(style)}; base-uri 'none'; form-action 'none'"
    return environment.get_template("evaluation_page.html.j2").render(
        policy=Markup(policy),
        style=style,
        title=_title(study),
        facts=[*_counts(study), *((str(name), _fact(value)) for name, value in facts.items() if not _nested(value))],
        nested=json.dumps({name: value for name, value in facts.items() if _nested(value)}, indent=1),
        notes=study.notes,
        groups=make_figures(study, tables),
        tables=[_table_view(table) for table in tables],
        keys=legend(zip(KINDS, ("positive images", "neutral images"), strict=True)),
        has_paper=any("(paper)" in column for table in tables for column in table.columns),
    )


def _title(study: Study) -> str:
    units = sum(len(names) for of in study.targets for names in of.layers.values())
    names = ", ".join(of.target for of in study.targets)
    return f"{units} unit{'' if units == 1 else 's'} of {names}"


def _counts(study: Study) -> list[tuple[str, str]]:
    methods = dict.fromkeys(method for of in study.targets for method in of.values)
    layers = [
        f"{of.target}: {', '.join(f'{layer} {len(names)}' for layer, names in of.layers.items())}"
        for of in study.targets
    ]
    return [("Methods", ", ".join(methods)), ("Units by layer", "; ".join(layers))]


def _nested(value: Any) -> bool:
    """Whether a fact is more than one line of words: those stand folded at the page's end."""
    return isinstance(value, Mapping) or (
        isinstance(value, list | tuple) and any(isinstance(part, Mapping | list | tuple) for part in value)
    )


def _fact(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value in (None, "") else str(value)


def _table_view(table: Table) -> dict[str, Any]:
    """What the template shows: cells as text, what stands in which column, and where a new group of rows begins."""
    groups = [row[0] for row in table.rows]
    return {
        "title": table.title,
        "anchor": f"{PREFIX}{table.name}",
        "files": " and ".join(f"{PREFIX}{table.name}{suffix}" for suffix in SUFFIXES),
        "columns": [
            {"name": re.sub(r" ([+-])", "\u00a0\\1", name), "number": number, "paper": "(paper)" in name}
            for name, number in zip(table.columns, numeric_columns(table), strict=True)
        ],
        "rows": [
            {"cells": [shown(cell) for cell in row], "first": place > 0 and groups[place - 1] != groups[place]}
            for place, row in enumerate(table.rows)
        ],
        "notes": table.notes,
        "folded": len(table.rows) > LONG_TABLE,
    }
