"""The report: one HTML page for a run that holds everything it shows and asks the network for nothing.

`build_report` writes RUN/report.html; `summary_table` is the same overview for the terminal. Both show a run as far as
it is: units may be unfinished, failed or unscored. Text that a model wrote is escaped everywhere; a Content-Security-
Policy admits only the page's own style sheets and script (by their hashes) and pictures within the page.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup
from rich.table import Table
from rich.text import Text

from ..models.files import write_whole
from .report_data import METHODS, MethodScore, RunData, UnitRun, load_run
from .report_machine import DEVICE_COLUMNS, MODEL_COLUMNS
from .report_parts import (
    Pictures,
    Turn,
    activation_range,
    anchors,
    clean,
    fact,
    highlight_python,
    hypothesis_items,
    log_rows,
    page_environment,
    policy_hash,
    read_asset,
    turns_of,
)
from .report_plots import (
    activation_bar,
    axis_over,
    digits_for,
    interval_plot,
    number,
    score_plot,
    spread_plot,
)
from .report_replies import GUARD_COLUMNS, REPLY_COLUMNS, reply_tables
from .tasks import DESCRIPTION, TASK_TEXT
from .transcript import ImageStore

TESTBED_CAVEAT = "Scores say: predicts activation in this rendered world."
SCRIPTED = "scripted"
"""Name of the backbone that is a program; the page says so."""
THUMBNAILS = 5
"""Pictures of a unit in the overview table."""


@dataclass(frozen=True)
class UnitView:
    """A unit with what the template needs beside its data."""

    run: UnitRun
    anchor: str
    turns: list[Turn]
    low: float
    high: float

    @property
    def p95(self) -> float | None:
        return self.run.score.p95 if self.run.score else None

    @property
    def digits(self) -> int:
        """Decimals for this unit's activations."""
        return digits_for(max(self.high, -self.low))

    def bar(self, value: float | None) -> Markup:
        return activation_bar(value, self.low, self.high, self.p95)

    def activation(self, value: float | None) -> str:
        return number(value, self.digits)

    def mean(self, values: list[float | None]) -> str:
        """Mean of those that are finite."""
        finite = [value for value in values if value is not None]
        return self.activation(sum(finite) / len(finite) if finite else None)

    @property
    def top(self) -> list[tuple[str, float | None, str]]:
        """The strongest pictures of the first log entry: (image id, activation, title)."""
        if self.run.first_entry is None:
            return []
        rows = log_rows(self.run.first_entry)
        rows.sort(key=lambda row: float("-inf") if row[1] is None else row[1], reverse=True)
        return rows[:THUMBNAILS]


def build_report(run: Path) -> Path:
    """Write RUN/report.html, whole or not at all, and return its path.

    run: a run's directory; only report.html in it is written. What is missing or damaged (pictures, transcripts,
    scores) is left out and named on the page. Raises UserError if there is no run.json.
    """
    page = render_report(load_run(run))
    path = run / "report.html"
    write_whole(path, page.encode("utf-8"))
    return path


def render_report(data: RunData) -> str:
    """The page's HTML; reads the run's pictures, writes nothing."""
    pictures = Pictures(ImageStore(data.path / "images"))
    environment = page_environment()
    environment.globals.update(
        use=pictures.use,
        number=number,
        score_plot=score_plot,
        interval_plot=interval_plot,
        spread_plot=spread_plot,
        highlight=highlight_python,
        hypothesis_items=hypothesis_items,
        log_rows=log_rows,
        METHODS=METHODS,
        dumps=_dumps,
    )
    units = [
        UnitView(unit, anchor, turns_of(unit), *activation_range(unit))
        for unit, anchor in zip(data.units, anchors(unit.name for unit in data.units), strict=True)
    ]
    # The body comes first: it decides which pictures the head embeds and which are missing.
    template = environment.get_template("report_template.html.j2")
    context = _context(data, units)
    main = Markup(environment.get_template("report_units.html.j2").render(context))
    style, script = Markup(read_asset("report.css")), Markup(read_asset("report.js"))
    picture_style = pictures.css()
    return template.render(
        context,
        main=main,
        style=style,
        picture_style=picture_style,
        script=script,
        policy=_policy([style, picture_style], script),
        problems=_problems(data, pictures),
    )


def _dumps(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _policy(styles: list[str], script: str) -> Markup:
    """A Content-Security-Policy: nothing from the network, no style or script but these."""
    allowed = " ".join(policy_hash(style) for style in styles)
    return Markup(
        f"default-src 'none'; img-src data:; style-src {allowed}; script-src {policy_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _context(data: RunData, units: list[UnitView]) -> dict[str, Any]:
    scored = [view.run.score for view in units if view.run.score]
    spreads = {name: _scores_of(data, name) for name in METHODS}
    ends: list[float | None] = []
    for score in scored:
        for method in score.methods.values():
            ends += [method.score, *(score.normalised_interval(method) or ())]
    judged = [score.truth_found for score in scored if score.truth is not None]
    return {
        "title": _title(data),
        "facts": _facts(data),
        "config": _dumps(data.config),
        "caveat": TESTBED_CAVEAT if data.config.get("world") == "testbed" else None,
        "scripted": data.config.get("backbone") == SCRIPTED,
        "units": units,
        "answer": _answer(data),
        "describes": _describes(data),
        "machine": data.machine,
        "replies": reply_tables(data.units, data.config),
        "reply_columns": REPLY_COLUMNS,
        "guard_columns": GUARD_COLUMNS,
        "model_columns": MODEL_COLUMNS,
        "device_columns": DEVICE_COLUMNS,
        "counts": _counts(data),
        "scored": len(scored),
        "averaged": max(len(values) for values in spreads.values()),
        "spreads": spreads,
        "means": {name: sum(values) / len(values) if values else None for name, values in spreads.items()},
        "spread_axis": axis_over((value for values in spreads.values() for value in values), 8, 252),
        "mini_axis": axis_over(ends, 6, 124),
        "found": sum(found is True for found in judged),
        "judged": len(judged),
    }


def _answer(data: RunData) -> str:
    """What a unit's answer is called: its section's heading, in small letters."""
    names = dict.fromkeys(unit.answer.heading.lower() for unit in data.units)
    return next(iter(names)) if len(names) == 1 else "answer"


def _describes(data: RunData) -> bool:
    """Whether units are described by labels, which have scores and perhaps a truth."""
    return not data.units or any(unit.answer.kind == "labels" for unit in data.units)


def _scores_of(data: RunData, method: str) -> list[float]:
    entries = (unit.score.methods.get(method) for unit in data.units if unit.score)
    values = (entry.over_p95_minus_median for entry in entries if entry is not None)
    return [value for value in values if value is not None]


def _title(data: RunData) -> str:
    target = data.config.get("target")
    if target is None:
        target = list(dict.fromkeys(unit.start.target for unit in data.units if unit.start))
    count = len(data.units)
    return f"{count} unit{'' if count == 1 else 's'} of {fact(target) if target else 'an unnamed target'}"


def _counts(data: RunData) -> str:
    order = ("done", "failed", "unfinished", "not started", "damaged")
    statuses = [unit.status for unit in data.units]
    return ", ".join(f"{statuses.count(status)} {status}" for status in order if status in statuses) or "none"


def _facts(data: RunData) -> list[tuple[str, str]]:
    shown = ("target", "backbone", "dataset", "seed", "packs", "versions")
    facts = [(key.capitalize(), fact(data.config[key])) for key in shown if key in data.config]
    if data.config.get("task", DESCRIPTION) != DESCRIPTION:
        text = data.config.get(TASK_TEXT)
        fills = text.get("fills") if isinstance(text, dict) else None
        facts.insert(0, ("Task", f"{fact(data.config['task'])}{f' ({fact(fills)})' if fills else ''}"))
    return [*facts[:2], ("Units", _counts(data)), *facts[2:]]


def _problems(data: RunData, pictures: Pictures) -> list[str]:
    problems = [*data.problems, *(f"{unit.name}: {text}" for unit in data.units for text in unit.problems)]
    return problems + [f"picture {image}: {reason}" for image, reason in pictures.missing.items()]


_CAPTION = (
    "score: mean activation on positive minus neutral prompts, over p95 − p50\n"
    "(*: the plain difference, as the unit is silent on 95 % of the dataset)"
)


def summary_table(run: Path) -> Table:
    """The overview for the terminal, by target: unit, label, score by method, truth, found; of a task whose answers are
    no labels, unit and answer.

    The score is the difference of means over p95 - p50; where that is 0, the difference itself, with a star.

    Raises UserError if there is no run.json.
    """
    data = load_run(run)
    describes = _describes(data)
    table = Table(caption=_CAPTION if describes else None)
    for heading in ("unit", _answer(data)):
        table.add_column(heading, overflow="fold")
    if describes:
        for heading in METHODS:
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("truth", overflow="fold")
        table.add_column("found")
    target = ""
    for unit in data.units:
        of_target, _, name = unit.name.partition(".")
        if of_target != target:
            target = of_target
            table.add_section()
            table.add_row(Text(clean(target), style="bold"))
        labels = " OR ".join(unit.labels) if unit.status == "done" else f"({unit.status})"
        methods = unit.score.methods if unit.score else {}
        scores = [_score(methods.get(method)) for method in METHODS]
        truth = (unit.score.truth if unit.score else None) or ""
        found = {True: "yes", False: "no", None: ""}[unit.score.truth_found if unit.score else None]
        # Text, not str: a label with [brackets] is no markup.
        cells = (name, labels, *scores, truth, found) if describes else (name, labels)
        table.add_row(*(Text(clean(cell)) for cell in cells))
    return table


def _score(method: MethodScore | None) -> str:
    if method is None:
        return number(None)
    return number(method.score, sign=True) + ("*" if method.plain else "")
