"""Which drawings an evaluation's page has: figure 4, the same by layer, paired differences, figure 7, truths."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from .evaluation_compared import (
    MEASURES,
    OVER_P95,
    OVER_SPREAD,
    RAW,
    SIGNS,
    Measure,
    compared,
    comparisons,
    usable,
    values_of,
)
from .evaluation_plots import GREY, Bar, BarRow, Lane, bar_plot, dot_plot
from .evaluation_table import Table
from .evaluation_units import Study, TargetUnits, ablated, method_key
from .paper_values import ALL_LAYERS, TABLE_A4, PlusMinus, paper_row
from .unit_statistics import summarise_units

KINDS = ("positive", "neutral")
"""Classes of bars, in the order of SIGNS."""
CONTROL = "random"

Hues = Mapping[str, int]


@dataclass(frozen=True)
class Figure:
    """caption: what it shows, in a few words. drawing: SVG, empty where there is nothing to draw."""

    caption: str
    drawing: Markup


@dataclass(frozen=True)
class Group:
    """Figures that belong together. keys: whether bars are of the two kinds, positive and neutral."""

    title: str
    figures: tuple[Figure, ...]
    keys: bool = False


def hues_of(study: Study) -> dict[str, int]:
    """Method -> its colour's place in all figures; an ablation has that of what it ablates, the control is grey."""
    methods = {method for of in study.targets for method in of.values}
    coloured = sorted({ablated(method) or method for method in methods} - {CONTROL}, key=method_key)
    return {method: GREY if method == CONTROL else coloured.index(ablated(method) or method) for method in methods}


def make_figures(study: Study, tables: Sequence[Table]) -> list[Group]:
    """All groups that have something to show. tables: of the same study, for truths, ablations and forced choice."""
    groups = []
    hues = hues_of(study)
    for of in study.targets:
        if of.methods:
            groups.append(Group(f"{of.target}: activations by method", tuple(_overall(of, hues)), keys=True))
        if of.methods and len(of.layers) > 1:
            groups.append(Group(f"{of.target}: by layer", tuple(_layers(of, hues)), keys=True))
        if len(of.methods) > 1:
            alone = Study((of,), ())
            groups.append(Group(f"{of.target}: unit by unit", tuple(_paired(alone, hues))))
    by_name = {table.name: table for table in tables}
    groups += _of_table(by_name, hues, "ablations", "Ablations", _ablations, keys=True)
    groups += _of_table(by_name, hues, "truth", "Truth found", _truths)
    groups += _of_table(by_name, hues, "forced-choice", "Forced choice", _choices)
    return [group for group in groups if group.figures]


def _of_table(
    by_name: Mapping[str, Table], hues: Hues, name: str, title: str, draw: Any, keys: bool = False
) -> list[Group]:
    return [Group(title, tuple(draw(by_name[name], hues)), keys)] if name in by_name else []


def _overall(of: TargetUnits, hues: Hues) -> Iterator[Figure]:
    layer, units = list(of.groups().items())[-1]
    for measure in MEASURES:
        yield _by_method(of, hues, layer, units, measure)


def _layers(of: TargetUnits, hues: Hues) -> Iterator[Figure]:
    for layer, units in of.layers.items():
        yield _by_method(of, hues, layer, units, RAW, layer)


def _by_method(
    of: TargetUnits, hues: Hues, layer: str, units: Sequence[str], measure: Measure, caption: str = ""
) -> Figure:
    paper: Mapping[str, PlusMinus] = {}
    if measure is RAW:
        row = paper_row(of.target, layer)
        paper = row.values if row else {}
    elif measure is OVER_P95 and layer == ALL_LAYERS:
        paper = TABLE_A4.get(of.target, {})
    rows = []
    for method in of.methods:
        shared = compared(of, units, method)
        bars = []
        for place, what in enumerate(SIGNS.values()):
            found = summarise_units(values_of(of, method, shared, measure, what))
            printed = paper[method][place] if method in paper else None
            bars.append(Bar(KINDS[place], found.mean, found.interval, printed))
        rows.append(BarRow(method, hues[method], tuple(bars), f"n {len(usable(of, shared, measure))}"))
    return Figure(caption or measure.title.capitalize(), bar_plot(rows, f"activation, {measure.name}"))


def _paired(study: Study, hues: Hues) -> Iterator[Figure]:
    of = study.targets[0]
    every = list(comparisons(study))
    for measure in (RAW, OVER_SPREAD):
        for layer in of.groups():
            chosen = [one for one in every if (one.layer, one.measure) == (layer, measure.name)]
            lanes = [
                Lane(f"less {one.b}", hues[one.b], one.paired.differences, one.paired.summary, f"n {one.paired.units}")
                for one in chosen
            ]
            if any(lane.values for lane in lanes):
                what = f"{chosen[0].a} less the other, {measure.name}"
                yield Figure(f"{layer}, {measure.title}", dot_plot(lanes, what))


def _ablations(table: Table, hues: Hues) -> Iterator[Figure]:
    for target, rows in _by(table, "target").items():
        bars = []
        for row in rows:
            pair = tuple(
                Bar(kind, row[sign], _interval(row, f"{sign} low", f"{sign} high"), row.get(f"{sign} (paper)"))
                for kind, sign in zip(KINDS, SIGNS, strict=True)
            )
            method = row["method"]
            bars.append(BarRow(method.removeprefix(f"{ablated(method)}: "), hues[method], pair))
        yield Figure(f"{target}, {rows[0]['units']} units", bar_plot(bars, "activation, raw"))


def _truths(table: Table, hues: Hues) -> Iterator[Figure]:
    for target, rows in _by(table, "target").items():
        for kind in dict.fromkeys(row["kind"] for row in rows):
            shown = [row for row in rows if row["kind"] == kind]
            bars = [
                BarRow(
                    row["method"],
                    hues[row["method"]],
                    (Bar("positive", row["rate"], _interval(row, "low", "high")),),
                    f"n {row['units']}",
                )
                for row in shown
            ]
            yield Figure(f"{target}, {kind}", bar_plot(bars, "share of units whose truth was found", [1.0]))


def _choices(table: Table, hues: Hues) -> Iterator[Figure]:
    rows = next(iter(_by(table, None).values()))
    bars = [
        BarRow(
            f"{row['A']} to {row['B']}",
            hues.get(row["A"], GREY),
            (Bar("positive", row["rate of A"], _interval(row, "low", "high"), row["rate of A (paper)"]),),
            f"{row['judges']}, {row['kind']}",
        )
        for row in rows
    ]
    yield Figure("The first is preferred to the second", bar_plot(bars, "share of units", [1.0]))


def _by(table: Table, column: str | None) -> dict[Any, list[dict[str, Any]]]:
    """The table's rows as dictionaries, by the values of a column."""
    groups: dict[Any, list[dict[str, Any]]] = {}
    for cells in table.rows:
        row = dict(zip(table.columns, cells, strict=True))
        groups.setdefault(row[column] if column else None, []).append(row)
    return groups


def _interval(row: Mapping[str, Any], low: str, high: str) -> tuple[float, float] | None:
    return None if row[low] is None else (row[low], row[high])
