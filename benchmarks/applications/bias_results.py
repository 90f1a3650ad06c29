"""What `maia bias` leaves: JSON, CSV, Markdown and one page, all of the same results."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...models.files import write_whole
from .bias_evidence import ClassResult
from .bias_study import Against, as_json, rate_rows, summarise

JSON_FILE, MARKDOWN_FILE, PAGE_FILE = "bias.json", "bias.md", "bias.html"
CLASSES_FILE, CONTEXTS_FILE = "bias-classes.csv", "bias-contexts.csv"


def write_results(
    out: Path, results: Sequence[ClassResult], facts: Mapping[str, Any], rows: Sequence[Against] = ()
) -> Path:
    """Write all files, each whole or not at all; returns the page's path. facts: of the command, as they are. rows: of
    the testbed study, one a result; none elsewhere. The same arguments give the same bytes."""
    from .bias_page import render_page

    summary = summarise(rows)
    data: dict[str, Any] = {"facts": dict(facts), "classes": [result.to_json() for result in results]}
    if rows:
        data |= {"summary": summary, "truths": as_json(rows)}
    write_whole(out / JSON_FILE, (json.dumps(data, indent=1) + "\n").encode())
    write_whole(out / CLASSES_FILE, class_table(results, rows).encode())
    write_whole(out / CONTEXTS_FILE, context_table(results).encode())
    write_whole(out / MARKDOWN_FILE, markdown(results, facts, summary).encode())
    page = out / PAGE_FILE
    write_whole(page, render_page(out, results, facts, rows, summary).encode())
    return page


def class_table(results: Sequence[ClassResult], rows: Sequence[Against]) -> str:
    """CSV: one line a class."""
    head = ["class", "unit", "verdict", "bias", "experiments", "reason"]
    truths = {row.unit: row for row in rows}
    if rows:
        head += ["kind", "truth", "strength", "detected", "named", "others"]
    lines: list[list[Any]] = []
    for result in results:
        line: list[Any] = [result.name, result.unit, result.verdict, result.bias, result.experiments, result.reason]
        if rows:
            row = truths[result.unit]
            line += [row.kind, row.truth, row.strength, row.detected, row.named, " ".join(row.others)]
        lines.append(line)
    return _csv(head, lines)


def context_table(results: Sequence[ClassResult]) -> str:
    """CSV: one line a context of an experiment, with its mean and 95 % interval."""
    head = ["class", "unit", "experiment", "context", "pictures", "mean", "low", "high"]
    lines = [
        [result.name, result.unit, one.experiment, one.name, len(one.values), one.mean, one.low, one.high]
        for result in results
        for one in result.contexts
    ]
    return _csv(head, lines)


def _csv(head: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([head, *lines])
    return text.getvalue()


def markdown(results: Sequence[ClassResult], facts: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """The results for reading: rates first, where the truth is known, then a line a class."""
    parts = ["# Biases", "", "; ".join(f"{name}: {value}" for name, value in facts.items()), ""]
    if summary:
        parts += ["| classes | | rate, 95 % Wilson interval |", "|---|---|---|"]
        parts += [f"| {group} | {what} | {text} |" for group, what, text in rate_rows(summary)]
        parts.append("")
    parts += ["| class | verdict | bias |", "|---|---|---|"]
    for result in results:
        said = (result.bias or result.reason).replace("|", "\\|").replace("\n", " ")
        parts.append(f"| {result.name} ({result.unit}) | {result.verdict} | {said} |")
    return "\n".join(parts) + "\n"
