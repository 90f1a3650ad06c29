"""Results of `agreement.compare` and `agreement_evaluate` as tables for the terminal and as Markdown."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from .agreement_data import ALL, KINDS

Cells = tuple[str, ...]
HEADS: Cells = ("judges", "truths", "units", "verdicts", "rate of A", "95 % interval", "A : B : tie", "sign test", "by")
SHOWN = 8
"""Entries of a list that are written out."""


def rows(result: dict[str, Any]) -> Iterator[Cells]:
    """A row for each panel and kind of truth, under HEADS."""
    for name, panel in result["panels"].items():
        for kind in (ALL, *KINDS):
            entry = panel["win_rate"].get(kind)
            if entry is not None:
                yield (
                    name if kind == ALL else "",
                    kind,
                    str(entry["units"]),
                    str(entry["verdicts"]),
                    "–" if entry["rate"] is None else f"{entry['rate']:.2f}",
                    _interval(entry["interval"]),
                    f"{entry['wins']} : {entry['losses']} : {entry['ties']}",
                    f"p {entry['p']:.2g}",
                    entry["interval_by"] or "–",
                )


def notes(result: dict[str, Any]) -> list[str]:
    """What the table does not say: how far judges agree with themselves and others, and what was left out."""
    said = [f"A is {result['a']}, B is {result['b']}; judged by their {result['text']}s, on {result['units']} units."]
    if result["identical"]:
        said.append(f"{len(result['identical'])} units with the same {result['text']} of both count half.")
    for name, panel in result["panels"].items():
        own, first, others = panel["self_agreement"], panel["first_shown"], panel["agreement"]
        parts = [f"{panel['judges']} judge{'' if panel['judges'] == 1 else 's'}"]
        if "judges_wanted" in panel["facts"]:
            parts[0] += f" of {panel['facts']['judges_wanted']} wanted"
        parts.append(
            f"agreement with itself {_share(own)} once the order is swapped" if own else "not asked in swapped order"
        )
        if first and first["of"]:
            parts.append(f"chose what stood first in {_share(first)}")
        if others:
            kappa = "–" if others["kappa"] is None else f"{others['kappa']:.2f}"
            parts.append(f"judges agree in {others['pairwise']:.2f} of pairs (Fleiss' kappa {kappa})")
        if panel["unjudged"]:
            parts.append(f"{len(panel['unjudged'])} units without a verdict")
        said.append(f"{name}: " + "; ".join(parts) + ".")
        said += _list(f"{name}, problems", panel["problems"])
    between = result["between_panels"]
    if between:
        kappa = "–" if between["kappa"] is None else f"{between['kappa']:.2f}"
        said.append(f"Panels agree in {between['pairwise']:.2f} of {between['units']} units (Fleiss' kappa {kappa}).")
    return said + _list("Not compared", result["left_out"])


def table(result: dict[str, Any]) -> Table:
    """For the terminal."""
    shown = Table(title=Text(f"Which agrees better with the truth: {result['a']} (A) or {result['b']} (B)?"))
    for place, head in enumerate(HEADS):
        shown.add_column(head, justify="right" if 2 <= place <= 7 else "left")
    for cells in rows(result):
        shown.add_row(*map(Text, cells))
    return shown


def to_markdown(result: dict[str, Any]) -> str:
    """Table and notes for documents."""
    return _markdown(HEADS, rows(result)) + "\n" + "\n".join(f"- {note}" for note in notes(result)) + "\n"


def truth_rows(results: dict[str, dict[str, Any]]) -> Iterator[Cells]:
    """A row for each procedure, measure and kind: (procedure, measure, truths, "6 of 20", "0.30", interval)."""
    for name, result in results.items():
        for measure in ("exact", "words", "embedding"):
            for kind, entry in (result.get(measure) or {}).items():
                count = f"{entry['count']} of {entry['of']}"
                yield name, measure, kind, count, f"{entry['rate']:.2f}", _interval(entry["interval"])


TRUTH_HEADS: Cells = ("procedure", "measure", "truths", "found", "rate", "95 % interval")


def truth_table(results: dict[str, dict[str, Any]]) -> Table:
    """Truths found by procedure. results: name -> what `evaluate_synthetic` or `evaluate_exact` returned."""
    shown = Table(title="Truths that labels state")
    for place, head in enumerate(TRUTH_HEADS):
        shown.add_column(head, justify="right" if place >= 3 else "left")
    for cells in truth_rows(results):
        shown.add_row(*map(Text, cells))
    return shown


def truth_markdown(results: dict[str, dict[str, Any]]) -> str:
    """The same for documents."""
    return _markdown(TRUTH_HEADS, truth_rows(results))


def _markdown(heads: Sequence[str], lines: Iterator[Cells]) -> str:
    shown = [heads, ["---"] * len(heads), *lines]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n" for cells in shown)


def _list(what: str, entries: dict[str, str]) -> list[str]:
    """One note, with SHOWN entries at most; none where there is nothing."""
    if not entries:
        return []
    more = f"; and {len(entries) - SHOWN} more" if len(entries) > SHOWN else ""
    return [
        f"{what} ({len(entries)}): " + "; ".join(f"{k}: {v}" for k, v in list(entries.items())[:SHOWN]) + more + "."
    ]


def _share(entry: dict[str, Any]) -> str:
    return f"{entry['rate']:.2f} of {entry['of']}" if entry["of"] else "–"


def _interval(bounds: Sequence[float] | None) -> str:
    return "–" if bounds is None else f"{bounds[0]:.2f} … {bounds[1]:.2f}"
