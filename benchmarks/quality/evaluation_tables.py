"""The tables of an evaluation, from its measurements: those of the paper and paired comparisons of methods.

Every mean is over units, and targets are never averaged together. Means of one row are over the same units: those that
all methods have (people, who are given a part, over theirs); units that lack one are counted and named below the table.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from ...models.errors import UserError
from .agreement_data import ALL, KINDS
from .evaluation_compared import (
    MEASURES,
    OVER_P95,
    RAW,
    SIGNS,
    Left,
    Measure,
    compared,
    comparisons,
    difference,
    truth_shares,
    usable,
    values_of,
)
from .evaluation_table import Cell, Table, write_table_files
from .evaluation_units import PARTIAL, Study, TargetUnits, ablated, layer_key, method_key, organise
from .measured import Measured
from .paper_values import ABLATIONS, ALL_LAYERS, CITED, METHODS, TABLE_1, TABLE_A4, TABLE_A5, PlusMinus, paper_row
from .testbed_study import wilson
from .unit_statistics import (
    POWER,
    SIGNIFICANCE,
    compare_units,
    smallest_difference,
    summarise_units,
    units_needed,
)

BY_LAYER = {"raw": "by-layer", "over p95": "by-layer-over-p95", "over p95 - p50": "by-layer-over-spread"}
TABLE_NAMES = (*BY_LAYER.values(), "differences", "paired", "power", "ablations", "truth", "forced-choice")
"""All that `write_tables` may write."""

PAPER_UNITS = (
    f'Columns with "paper" hold the values that the paper publishes ({CITED}) for the same network and layer, over its '
    "own units, images and dataset; it does not say which units."
)
BOOTSTRAP = "Intervals: 95 %, bootstrap over units. Seeds of a unit are averaged first."
PLANNED = (0.1, 0.25, 0.5)
"""Differences, in the measure's own unit, that the power table reckons units for."""
_NONE = (None, None)
MANY_TESTS = "p is of the two-sided exact sign test and is not corrected for the number of comparisons."


def write_tables(
    measured: Sequence[Measured], out: Path, agreements: Sequence[Mapping[str, Any]] = (), notes: Sequence[str] = ()
) -> list[Path]:
    """All tables as CSV and Markdown into `out`; the same measurements give the same bytes, in whatever order.

    agreements: what `agreement.compare` returned, for each pair of methods. notes: sentences about what never was
    measured. Returns the files written. Raises UserError where there is nothing to make a table of.
    """
    return write_table_files(make_tables(organise(measured, notes), agreements), out, TABLE_NAMES)


def make_tables(study: Study, agreements: Sequence[Mapping[str, Any]] = ()) -> list[Table]:
    """Those tables that there is something for, in the order of TABLE_NAMES; the first carries the study's notes.

    Raises UserError where there is nothing to make a table of.
    """
    if not study.targets:
        left = f" ({' '.join(study.notes)})" if study.notes else ""
        raise UserError(f"nothing was measured{left}: evaluate a run that has labels.")
    made = [layer_table(study, measure) for measure in MEASURES]
    made += [difference_table(study), paired_table(study), power_table(study), ablation_table(study)]
    made += [truth_table(study), agreement_table(agreements)]
    kept = [table for table in made if table.rows]
    if kept and study.notes:
        first = kept[0]
        kept[0] = Table(first.name, first.title, first.columns, first.rows, first.notes + study.notes)
    return kept


def layer_table(study: Study, measure: Measure) -> Table:
    """Table A3 (raw) and A4 (over p95): mean activation on positive and neutral images by layer and method."""
    methods = sorted({method for of in study.targets for method in of.methods}, key=method_key)
    partial = [method for method in methods if method in PARTIAL]
    rows, notes, published = [], Left(), []
    for of in study.targets:
        notes.incomplete(of)
        notes.without_divisor(of, measure)
        for layer, units in of.groups().items():
            paper = _published(of.target, layer, measure)
            published.append(paper)
            row: list[Cell] = [of.target, layer, *(_count(of, units, method, measure) for method in (None, *partial))]
            for method in methods:
                shared = compared(of, units, method) if method in of.values else []
                for what in SIGNS.values():
                    values = values_of(of, method, shared, measure, what)
                    row.append(fmean(values.values()) if values else None)
            rows.append((row, paper))
    columns = ["target", "layer", "units", *(f"{method} units" for method in partial)]
    columns += [f"{method} {sign}" for method in methods for sign in SIGNS]
    from_paper = [method for method in METHODS if any(method in paper for paper in published)]
    columns += [f"{method} {sign} (paper)" for method in from_paper for sign in SIGNS]
    for row, paper in rows:
        for method in from_paper:
            row += paper.get(method, (None, None))
    return Table(
        BY_LAYER[measure.name],
        f"Mean activation on positive (+) and neutral (-) images by layer: {measure.title}",
        tuple(columns),
        tuple(tuple(row) for row, _ in rows),
        (*notes.sentences(), *([PAPER_UNITS] if from_paper else [])),
    )


def _count(of: TargetUnits, units: Sequence[str], partial: str | None, measure: Measure) -> int | None:
    """How many units a row's means are over: those of a method that is given a part (None where it was not run), or of
    all others."""
    if partial is not None:
        return len(usable(of, compared(of, units, partial), measure)) if partial in of.values else None
    whole = [method for method in of.methods if method not in PARTIAL]
    return len(usable(of, of.common(units, whole), measure)) if whole else 0


def _published(target: str, layer: str, measure: Measure) -> Mapping[str, PlusMinus]:
    if measure is RAW:
        row = paper_row(target, layer)
        return row.values if row else {}
    return TABLE_A4.get(target, {}) if measure is OVER_P95 and layer == ALL_LAYERS else {}


def difference_table(study: Study) -> Table:
    """By layer, method and measure: the mean of positive less neutral, with its interval."""
    rows: list[tuple[Cell, ...]] = []
    notes = Left()
    for of in study.targets:
        notes.incomplete(of)
        for measure in MEASURES:
            notes.without_divisor(of, measure)
            for layer, units in of.groups().items():
                for method in of.methods:
                    values = values_of(of, method, compared(of, units, method), measure, difference)
                    found = summarise_units(values)
                    notes.few(found.units)
                    rows.append(
                        (of.target, layer, method, measure.name, found.units, found.mean, *(found.interval or _NONE))
                    )
    return Table(
        "differences",
        "Difference of mean activations, positive less neutral",
        ("target", "layer", "method", "measure", "units", "difference", "low", "high"),
        tuple(rows),
        (BOOTSTRAP, *notes.sentences()),
    )


_WHICH = ("target", "layer", "method", "other", "measure")


def paired_table(study: Study) -> Table:
    """The first method less each other, unit by unit: mean, interval, wins and losses, sign test."""
    rows: list[tuple[Cell, ...]] = []
    notes = Left()
    for one in comparisons(study):
        of, summary = one.paired, one.paired.summary
        notes.few(of.units)
        notes.unpaired(one)
        which = (one.target, one.layer, one.a, one.b, one.measure)
        tested = (of.wins, of.losses, of.ties, of.p)
        rows.append((*which, of.units, summary.mean, *(summary.interval or _NONE), *tested))
    return Table(
        "paired",
        "A method less another: differences of positive and neutral, paired by unit",
        (*_WHICH, "units", "difference", "low", "high", "wins", "losses", "ties", "p"),
        tuple(rows),
        (BOOTSTRAP, MANY_TESTS, "Ties are left out of the sign test.", *notes.sentences()),
    )


def power_table(study: Study) -> Table:
    """How many units a difference needs, by the spread of the paired differences that were observed."""
    rows: list[tuple[Cell, ...]] = []
    for one in comparisons(study, layers=False):
        of = one.paired
        if of.sd is None or of.summary.mean is None:
            continue
        which = (one.target, one.a, one.b, one.measure)
        needed = [units_needed(value, of.sd) for value in (of.summary.mean, *PLANNED)]
        rows.append((*which, of.units, of.summary.mean, of.sd, smallest_difference(of.units, of.sd), *needed))
    return Table(
        "power",
        "How many units a difference of two methods needs",
        (
            *("target", "method", "other", "measure", "units", "difference", "sd"),
            *("smallest difference shown", "units for this difference"),
            *(f"units for {planned:g}" for planned in PLANNED),
        ),
        tuple(rows),
        (
            f"For {100 * POWER:.0f} % power at {100 * SIGNIFICANCE:.0f} %, two-sided, paired, by the normal "
            "approximation from the observed standard deviation (sd) of the differences.",
            "For planning further units: it tells nothing about the present ones that their interval does not.",
        ),
    )


def ablation_table(study: Study) -> Table:
    """Table A5 and figure 7: a method and its ablations over the units that all of them have."""
    rows: list[tuple[list[Cell], PlusMinus | None]] = []
    notes = Left()
    for of in study.targets:
        for base in sorted({base for method in of.values if (base := ablated(method))}, key=method_key):
            rows += _ablation_rows(of, base, notes)
    any_paper = any(paper for _, paper in rows)
    columns = ["target", "method", "units", "+", "+ low", "+ high", "-", "- low", "- high"]
    columns += ["whole less this", "low", "high", "p", "truth found"]
    return Table(
        "ablations",
        "Ablations: raw activations",
        (*columns, "+ (paper)", "- (paper)") if any_paper else tuple(columns),
        tuple((*cells, *(paper or _NONE)) if any_paper else tuple(cells) for cells, paper in rows),
        (
            BOOTSTRAP,
            '"Whole less this": difference of positive and neutral of the whole method less that of the ablation, '
            "paired by unit; p: sign test. Truth found: rate over those of the units that have a truth.",
            *notes.sentences(),
            *([PAPER_UNITS] if any_paper else []),
        ),
    )


def _ablation_rows(of: TargetUnits, base: str, notes: Left) -> list[tuple[list[Cell], PlusMinus | None]]:
    methods = [method for method in of.values if method == base or ablated(method) == base]
    everyone = sorted({unit for method in methods for unit in of.values[method]})
    units = of.common(everyone, methods)
    notes.note(
        f"{of.target}: units left out of the ablations of {base}, not measured under all", set(everyone) - set(units)
    )
    if base not in of.values:
        notes.say(
            f"{of.target}: {base} itself was not measured, so that its ablations have nothing to be compared with."
        )
    notes.few(len(units))
    whole = values_of(of, base, units, RAW, difference)
    rows: list[tuple[list[Cell], PlusMinus | None]] = []
    for method in methods:
        cells: list[Cell] = [of.target, method, len(units)]
        for what in SIGNS.values():
            found = summarise_units(values_of(of, method, units, RAW, what))
            cells += [found.mean, *(found.interval or _NONE)]
        if method == base or not whole:
            cells += [None] * 4
        else:
            paired = compare_units(whole, values_of(of, method, units, RAW, difference))
            cells += [paired.summary.mean, *(paired.summary.interval or _NONE), paired.p]
        shares = truth_shares(of, method, units)
        cells.append(fmean(shares.values()) if shares else None)
        rows.append((cells, TABLE_A5.get(of.target, {}).get(ABLATIONS.get(method, ""))))
    return rows


def truth_table(study: Study) -> Table:
    """How often the truth was found exactly, by target, kind and method, with Wilson's interval over units."""
    rows: list[tuple[Cell, ...]] = []
    notes = Left()
    for of in study.targets:
        known = [unit for unit, kind in of.kinds.items() if any(truth_shares(of, m, [unit]) for m in of.values)]
        if not known:
            continue
        kinds = sorted({of.kinds[unit] for unit in known}, key=layer_key)
        groups = {kind or "not told": [unit for unit in known if of.kinds[unit] == kind] for kind in kinds}
        groups |= {"all kinds": known} if len(kinds) > 1 else {}
        for kind, units in groups.items():
            for method in of.values:
                shares = truth_shares(of, method, units)
                if kind == list(groups)[-1]:
                    notes.note(f"{of.target}: units of known truth that {method} lacks", set(units) - shares.keys())
                if shares:
                    found = sum(shares.values())
                    low, high = wilson(found, len(shares))
                    rows.append((of.target, kind, method, len(shares), found, found / len(shares), low, high))
    return Table(
        "truth",
        "Truth found (exact match)",
        ("target", "kind", "method", "units", "found", "rate", "low", "high"),
        tuple(rows),
        (
            "Intervals: 95 %, Wilson's, over units. A unit of several seeds counts as the share of them that found it.",
            *notes.sentences(),
        ),
    )


def agreement_table(results: Sequence[Mapping[str, Any]]) -> Table:
    """Table 1: at what rate the first method's label was preferred to the second's beside the truth.

    results: what `agreement.compare` returned for each pair. Pairs of the paper's have its values beside them.
    """
    rows: list[tuple[Cell, ...]] = []
    for result in results:
        paper = _published_rate(result["a"], result["b"])
        for judges, panel in result["panels"].items():
            for kind in (ALL, *KINDS):
                entry = panel["win_rate"].get(kind)
                if entry is None or entry["rate"] is None:
                    continue
                which = (result["a"], result["b"], judges, kind)
                told = paper if kind == ALL else None
                rows.append((*which, entry["units"], entry["rate"], *entry["interval"], entry["p"], told))
    return Table(
        "forced-choice",
        "Two-alternative forced choice: which label agrees better with the truth",
        ("A", "B", "judges", "kind", "units", "rate of A", "low", "high", "p", "rate of A (paper)"),
        tuple(rows),
        (f'"paper": {CITED}, table 1, by people, for its own 85 synthetic neurons.',),
    )


def _published_rate(a: str, b: str) -> float | None:
    if (a, b) in TABLE_1:
        return TABLE_1[a, b][0]
    return 1 - TABLE_1[b, a][0] if (b, a) in TABLE_1 else None
