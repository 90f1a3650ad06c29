"""A study's results: the table as Markdown and CSV, all of it as JSON, and one page with pictures."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from ...agent.report_parts import Pictures, clean, page_environment, policy_hash, read_asset
from ...agent.transcript import ImageStore
from ...models.files import write_whole
from ..quality.evaluation_table import Table, numeric_columns, shown, write_table_files
from .spurious_rows import (
    AGENT,
    ALL_REFIT,
    L1_SAME,
    L1_SAME_REFIT,
    NAMES,
    PAPER,
    RANDOM,
    Row,
    Rows,
    difference,
    over_seeds,
)
from .spurious_study import Judged, Study

PAGE, SUMMARY = "spurious.html", "summary.json"
TABLE = "spurious-features"
RIVALS = (ALL_REFIT, RANDOM, L1_SAME, L1_SAME_REFIT)
"""With whom the agent's row is compared by seed."""
_COLUMNS = (
    "subset",
    "selection",
    "units",
    "balanced",
    "accuracy",
    "low",
    "high",
    "over",
    "units (paper)",
    "accuracy (paper)",
)
_WIDTH = 320


def table_of(title: str, rows: Sequence[Row], notes: Sequence[str]) -> Table:
    """Rows beside the paper's numbers. Skipped rows stand in the notes, with why."""
    skipped = [f"{' / '.join(NAMES[row.key])}: skipped, {row.skipped}." for row in rows if row.accuracy is None]
    cells = []
    for row in rows:
        if row.accuracy is None:
            continue
        low, high = row.interval or (None, None)
        paper = PAPER.get(row.key, (None, None))
        cells.append(
            (*NAMES[row.key], row.units, "yes" if row.balanced else "no", row.accuracy, low, high, row.over, *paper)
        )
    return Table(TABLE, title, _COLUMNS, tuple(cells), (*skipped, *notes, _PAPER_NOTE))


_PAPER_NOTE = (
    "(paper): table 2 of Shaham et al. 2024, ResNet-18 on Spawrious O2O-easy; low, high: 95 % intervals (one fit: "
    "Wilson's over test pictures; several draws, sets or seeds: Student's of their mean)."
)


def write_results(studies: Mapping[int, Study], out: Path, title: str) -> Path:
    """All files of one study or of several seeds' into `out`; returns the page's path.

    studies: by seed. Each one's pictures are read from out/seed-N/agent, or out/agent of a single one that is there.
    """
    many = len(studies) > 1
    rows_by_seed = {seed: study.rows for seed, study in studies.items()}
    rows = list(over_seeds(rows_by_seed).values()) if many else next(iter(studies.values())).rows.rows
    notes = [f"seed {seed}: {note}" if many else note for seed, study in studies.items() for note in study.rows.notes]
    gaps = _gaps(rows_by_seed) if many else []
    told = table_of(title, rows, [*(gap["sentence"] for gap in gaps), *notes])
    write_table_files([told], out, [TABLE])
    summary = {
        "title": title,
        "seeds": list(studies),
        "rows": [asdict(row) for row in rows],
        "differences": gaps,
        "notes": notes,
    }
    write_whole(out / SUMMARY, (json.dumps(summary, indent=1) + "\n").encode())
    write_whole(out / PAGE, _page(studies, out, title, told, rows).encode("utf-8"))
    return out / PAGE


def _gaps(studies: Mapping[int, Rows]) -> list[dict[str, Any]]:
    found = []
    for rival in RIVALS:
        gap = difference(studies, AGENT, rival)
        if gap is None:
            continue
        mean, interval = gap
        told = f", 95 % interval {interval[0]:+.2f} to {interval[1]:+.2f}" if interval else ""
        sentence = f"agent less {' / '.join(NAMES[rival])}: {mean:+.2f} over seeds{told}."
        found.append({"rival": rival, "mean": mean, "interval": interval, "sentence": sentence})
    return found


def _page(studies: Mapping[int, Study], out: Path, title: str, table: Table, rows: Sequence[Row]) -> str:
    folder = Path(__file__).parent
    environment = page_environment().overlay(loader=jinja2.FileSystemLoader(folder))
    views, styles = [], []
    for seed, study in studies.items():
        place = out / f"seed-{seed}" if (out / f"seed-{seed}").is_dir() else out
        pictures = Pictures(ImageStore(place / "agent" / "images"))
        views.append(_study_view(study, pictures))
        styles.append(str(pictures.css()))
    own = folder.joinpath("spurious_page.css").read_text(encoding="utf-8")
    # A picture is a class named by its hash: the same one in two studies is the same rule.
    rules = dict.fromkeys(line for style in styles for line in style.splitlines())
    style = Markup(read_asset("report.css") + own + "\n".join(rules))
    policy = f"default-src 'none'; img-src data:; style-src {policy_hash(style)}; base-uri 'none'; form-action 'none'"
    return environment.get_template("spurious_page.html.j2").render(
        policy=Markup(policy),
        style=style,
        title=title,
        columns=list(zip(table.columns, numeric_columns(table), strict=True)),
        rows=[[shown(cell) for cell in row] for row in table.rows],
        notes=[clean(note) for note in table.notes],
        bars=[_bar(row) for row in rows if row.accuracy is not None],
        width=_WIDTH,
        studies=views,
    )


def _bar(row: Row) -> dict[str, Any]:
    low, high = row.interval or (row.accuracy, row.accuracy)
    paper = PAPER.get(row.key)
    return {
        "name": " / ".join(NAMES[row.key]),
        "agent": row.key == AGENT,
        "value": f"{row.accuracy:.2f}",
        "length": round(_WIDTH * (row.accuracy or 0), 1),
        "low": round(_WIDTH * max(0.0, low or 0), 1),
        "high": round(_WIDTH * min(1.0, high or 0), 1),
        "paper": round(_WIDTH * paper[1], 1) if paper else None,
    }


def _study_view(study: Study, pictures: Pictures) -> dict[str, Any]:
    units = [
        _unit_view(entry, pictures) for entry in sorted(study.judged, key=lambda entry: (not entry.kept, entry.index))
    ]
    return {
        "name": study.problem,
        "facts": [(name, str(value)) for name, value in study.facts.items()],
        "kept": [unit for unit in units if unit["kept"]],
        "dropped": [unit for unit in units if not unit["kept"]],
    }


def _unit_view(entry: Judged, pictures: Pictures) -> dict[str, Any]:
    classes = list(dict.fromkeys(cell[0] for cell in entry.grid))
    places = list(dict.fromkeys(cell[1] for cell in entry.grid))
    cells = {(name, place): (mean, active, count) for name, place, mean, active, count in entry.grid}
    grid = []
    for name in classes:
        row = []
        for place in places:
            if (name, place) not in cells:
                row.append(("", 0))
                continue
            mean, active, count = cells[name, place]
            row.append((f"{mean:.3g} ({active}/{count})", round(4 * active / count) if count else 0))
        grid.append((name, row))
    return {
        "name": entry.unit,
        "label": entry.label or "no conclusion",
        "kept": entry.kept,
        "reasoning": clean(entry.reasoning),
        "pictures": [found for image in entry.pictures if (found := pictures.use(image))],
        "places": places,
        "grid": grid,
        "shares": f"class {entry.class_share:.2f}, surroundings {entry.place_share:.2f}",
    }
