"""What a backbone did with one neuron, counted from its transcript, and the rates of many with their intervals.

Replies about one neuron depend on each other. Rates of replies therefore have a Wilson interval over an effective
number of replies: theirs, divided by the design effect, which is how much the rate varies between neurons beyond what
independent replies would (Kish 1965; for Wilson's interval Korn and Graubard 1998). Rates of neurons have Wilson's
interval itself; means and differences of rates of replies the percentile bootstrap over neurons; differences of rates
of neurons Newcombe's paired interval (1998, method 10), which does not shrink to a point where nothing differs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ...agent.experiment import turns_spent
from ...agent.guards import GUARDS
from ...agent.transcript import Conclusion, Experiment, Failure, Record
from .failure_counts import AFTER_LAST, CODE_CHECK, UNREADABLE, failures_of, proportion
from .predictive import RESAMPLES, bootstrap_mean
from .testbed_study import KINDS, wilson

SEED = 0
"""Of the bootstrap."""


@dataclass(frozen=True)
class UnitCounts:
    """One neuron. kind: of KINDS. replies: all; codes: those whose code was to be run; ran: those whose code ran to its
    end. turns: replies that count as turns. shown: replies with a failure, by its name (`failure_counts.MODES`), also
    what guards find, whether or not they watched. label: None without a conclusion. score: the difference of mean
    activations that the label predicts (`predictive`); 0 without a label, None where nothing was scored. failed: why
    the experiment broke off."""

    unit: str
    kind: str
    truth: str
    replies: int
    codes: int
    ran: int
    turns: int
    shown: Mapping[str, int] = field(default_factory=dict)
    label: str | None = None
    found: bool = False
    forced: bool = False
    score: float | None = None
    failed: str | None = None


def count_unit(
    unit: str, kind: str, truth: str, records: Sequence[Record], found: bool, score: float | None
) -> UnitCounts:
    """Counts of a finished transcript. Code that guards sent back, or that came after the last turn, was not to be run;
    code that a check found wrong before it ran was, and did not."""
    failures = failures_of(records, found)
    shown: dict[str, int] = {}
    for mode, _ in {(one.mode, one.turn) for one in failures.failures}:
        shown[mode] = shown.get(mode, 0) + 1
    experiments = [record for record in records if isinstance(record, Experiment)]
    checked = {one.turn for one in failures.failures if one.mode == CODE_CHECK}
    tried = {record.turn for record in experiments} | checked
    end = records[-1] if records else None
    return UnitCounts(
        unit=unit,
        kind=kind,
        truth=truth,
        replies=failures.replies,
        codes=len(tried),
        ran=sum(record.outcome == "ok" for record in experiments),
        turns=turns_spent(records),
        shown=dict(sorted(shown.items())),
        label=" OR ".join(end.labels) if isinstance(end, Conclusion) else None,
        found=found,
        forced=isinstance(end, Conclusion) and end.forced,
        score=score,
        failed=end.reason if isinstance(end, Failure) else None,
    )


Pair = tuple[int, int]
"""(count, of how many) of one neuron."""

REPLY_RATES: dict[str, Callable[[UnitCounts], Pair]] = {
    "executable_rate": lambda unit: (unit.ran, unit.codes),
    "format_rate": lambda unit: (unit.replies - unit.shown.get(UNREADABLE, 0), unit.replies),
    **{
        name.replace("-", "_"): lambda unit, name=name: (unit.shown.get(name, 0), unit.replies)  # type: ignore[misc]
        for name in (*GUARDS, AFTER_LAST)
    },
}
"""Rates of replies by name, as (count, of how many) of one neuron."""

UNIT_RATES: dict[str, Callable[[UnitCounts], bool]] = {
    "truth_found": lambda unit: unit.found,
    "finished": lambda unit: unit.label is not None,
    "forced_conclusion": lambda unit: unit.forced,
    "all_code_ran": lambda unit: unit.ran == unit.codes,
}
"""Rates of neurons by name."""

MEANS: dict[str, Callable[[UnitCounts], float | None]] = {
    "turns": lambda unit: float(unit.turns),
    "predictive_score": lambda unit: unit.score,
}
"""Means over neurons by name."""


def reply_rate(pairs: Sequence[Pair]) -> dict[str, Any]:
    """count, of, rate, and the 95 % interval over the effective number of replies. design_effect: None where the rate
    does not tell it (0 or 1, or fewer than two neurons): then replies are taken as independent."""
    counted = np.array(pairs, dtype=float).reshape(-1, 2)
    count, of = (int(total) for total in counted.sum(0))
    entry = proportion(count, of)
    effect = _design_effect(counted, count / of) if of else None
    if effect is not None:
        entry["interval"] = list(wilson(count / effect, of / effect))
    return {**entry, "design_effect": effect}


def _design_effect(pairs: np.ndarray, rate: float) -> float | None:
    """Variance of the rate as a ratio over neurons (linearised), by that of independent replies; at least 1.

    pairs: float64 [neurons, 2]."""
    kept = pairs[pairs[:, 1] > 0]
    units, replies = len(kept), kept[:, 1].sum()
    if units < 2 or rate in (0.0, 1.0):
        return None
    between = ((kept[:, 0] - rate * kept[:, 1]) ** 2).sum() * units / (units - 1) / replies**2
    return float(max(1.0, between * replies / (rate * (1 - rate))))


def mean_of(values: Sequence[float | None]) -> dict[str, Any] | None:
    """mean, 95 % bootstrap interval over neurons, and how many; None where no neuron has a value."""
    kept = [value for value in values if value is not None]
    if not kept:
        return None
    return {"mean": float(np.mean(kept)), "interval": list(bootstrap_mean(kept, SEED)), "units": len(kept)}


def summary(units: Sequence[UnitCounts]) -> dict[str, Any]:
    """All rates and means of one model. truth: truth found by kind. rates: of replies and of neurons. by_kind: the
    means by kind. units: every neuron's counts."""
    kinds = {kind: [unit for unit in units if unit.kind == kind] for kind in KINDS}
    return {
        "neurons": len(units),
        "replies": sum(unit.replies for unit in units),
        "truth": {kind: proportion(sum(unit.found for unit in of), len(of)) for kind, of in kinds.items()},
        "rates": {name: reply_rate([pair(unit) for unit in units]) for name, pair in REPLY_RATES.items()}
        | {name: proportion(sum(map(holds, units)), len(units)) for name, holds in UNIT_RATES.items()},
        "means": {name: mean_of([value(unit) for unit in units]) for name, value in MEANS.items()},
        "by_kind": {
            kind: {name: mean_of([value(unit) for unit in of]) for name, value in MEANS.items()}
            for kind, of in kinds.items()
        },
        "failed": {unit.unit: unit.failed for unit in units if unit.failed is not None},
        "units": [asdict(unit) for unit in units],
    }


def difference(units: Sequence[UnitCounts], base: Sequence[UnitCounts]) -> dict[str, Any]:
    """`units` less `base`, neuron by neuron: {"truth": by kind, "rates", "means"}, each with "difference" and a 95 %
    "interval". Raises ValueError where they are not about the same neurons in the same order."""
    if [unit.unit for unit in units] != [unit.unit for unit in base]:
        raise ValueError("two models can only be compared neuron by neuron on the same neurons")
    pairs = list(zip(units, base, strict=True))
    of_kind = {kind: [pair for pair in pairs if pair[0].kind == kind] for kind in KINDS}
    return {
        "truth": {kind: paired_rates([(a.found, b.found) for a, b in of]) for kind, of in of_kind.items()},
        "rates": {
            name: ratio_difference([count(a) for a, _ in pairs], [count(b) for _, b in pairs])
            for name, count in REPLY_RATES.items()
        }
        | {name: paired_rates([(holds(a), holds(b)) for a, b in pairs]) for name, holds in UNIT_RATES.items()},
        "means": {name: _mean_difference([(value(a), value(b)) for a, b in pairs]) for name, value in MEANS.items()},
    }


def paired_rates(pairs: Sequence[tuple[bool, bool]]) -> dict[str, Any] | None:
    """Difference of two rates over the same neurons (the first less the second), with Newcombe's paired interval.
    gained, lost: neurons that only the first has, and only the second. None without neurons."""
    if not pairs:
        return None
    count = len(pairs)
    both, gained = sum(a and b for a, b in pairs), sum(a and not b for a, b in pairs)
    lost = sum(b and not a for a, b in pairs)
    neither = count - both - gained - lost
    p1, p2 = (both + gained) / count, (both + lost) / count
    (low1, high1), (low2, high2) = wilson(both + gained, count), wilson(both + lost, count)
    phi = _correlation(both, gained, lost, neither)
    below = (p1 - low1) ** 2 - 2 * phi * (p1 - low1) * (high2 - p2) + (high2 - p2) ** 2
    above = (high1 - p1) ** 2 - 2 * phi * (high1 - p1) * (p2 - low2) + (p2 - low2) ** 2
    interval = [p1 - p2 - float(np.sqrt(max(0.0, below))), p1 - p2 + float(np.sqrt(max(0.0, above)))]
    return {"difference": p1 - p2, "interval": interval, "gained": gained, "lost": lost, "units": count}


def _correlation(both: int, gained: int, lost: int, neither: int) -> float:
    """Phi of the two, a positive one corrected for continuity as method 10 has it; 0 where one of them is constant."""
    margins = (both + gained) * (lost + neither) * (both + lost) * (gained + neither)
    if not margins:
        return 0.0
    product, count = both * neither - gained * lost, both + gained + lost + neither
    return float((max(0.0, product - count / 2) if product > 0 else product) / np.sqrt(margins))


def ratio_difference(pairs: Sequence[Pair], base: Sequence[Pair]) -> dict[str, Any] | None:
    """Difference of two rates of replies with the bootstrap over neurons, both resampled together. None where one of
    them has no reply to count."""
    own, other = (np.array(entries, dtype=float).reshape(-1, 2) for entries in (pairs, base))
    if not own[:, 1].sum() or not other[:, 1].sum():
        return None
    drawn = np.random.default_rng(SEED).integers(len(own), size=(RESAMPLES, len(own)))
    a, b = own[drawn].sum(1), other[drawn].sum(1)  # [resamples, 2]
    told = (a[:, 1] > 0) & (b[:, 1] > 0)
    differences = a[told, 0] / a[told, 1] - b[told, 0] / b[told, 1]
    rates = own.sum(0)[0] / own.sum(0)[1] - other.sum(0)[0] / other.sum(0)[1]
    low, high = np.quantile(differences, [0.025, 0.975])
    return {"difference": float(rates), "interval": [float(low), float(high)], "units": len(own)}


def _mean_difference(pairs: Sequence[tuple[float | None, float | None]]) -> dict[str, Any] | None:
    found = mean_of([a - b for a, b in pairs if a is not None and b is not None])
    return found and {"difference": found["mean"], "interval": found["interval"], "units": found["units"]}
