"""The two-alternative forced choice of the paper (section 4.2, table 1): which procedure's description of a unit agrees
better with its truth, in the eyes of judges; rates, intervals, and how far judges agree with themselves and others."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

import numpy as np

from .agreement_data import ALL, KINDS, Pairing, Truth
from .failure_counts import proportion
from .predictive import bootstrap_mean
from .testbed_study import wilson


@dataclass(frozen=True)
class Verdict:
    """One judge on one unit. value: 1.0 for procedure A, 0.0 for B, 0.5 for a tie: the mean of this judge's answers.
    consistent: whether all answers named one description; None where the judge was asked once, or order plays no part.
    """

    judge: str
    unit: str
    value: float
    consistent: bool | None = None


@dataclass(frozen=True)
class Panel:
    """Judges of one sort, and what they said. first_shown: (answers that named the description shown first, answers);
    None where nothing is shown in an order. problems: trial, file or unit -> what cost an answer. facts: of the
    judges."""

    name: str
    sort: Literal["embeddings", "model", "people"]
    verdicts: Sequence[Verdict]
    first_shown: tuple[int, int] | None = None
    problems: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def compare(pairing: Pairing, panels: Sequence[Panel], seed: int = 0) -> dict[str, Any]:
    """The whole result, in JSON's types: what `--json` writes. Rates are of A over B.

    seed: of the bootstrap. Raises ValueError for two panels of one name.
    """
    if len({panel.name for panel in panels}) < len(panels):
        raise ValueError("two panels have one name")
    return {
        "a": pairing.a,
        "b": pairing.b,
        "text": pairing.text,
        "units": len(pairing.pairs) + len(pairing.identical),
        "identical": list(pairing.identical),
        "left_out": dict(pairing.left_out),
        "panels": {panel.name: summarise(pairing, panel, seed) for panel in panels},
        "between_panels": judge_agreement(_majorities(panels)) if len(panels) > 1 else None,
    }


def summarise(pairing: Pairing, panel: Panel, seed: int = 0) -> dict[str, Any]:
    """A panel's win rates of A by kind of truth, and its agreement with itself.

    self_agreement: share of the trials asked more than once in which a judge always named one description (Wilson's
    interval), None where none was. agreement: see `judge_agreement`, None for one judge.
    """
    known = {pair.unit for pair in pairing.pairs}
    verdicts = [verdict for verdict in panel.verdicts if verdict.unit in known]
    repeated = [verdict.consistent for verdict in verdicts if verdict.consistent is not None]
    judges = list(dict.fromkeys(verdict.judge for verdict in verdicts))
    return {
        "sort": panel.sort,
        "judges": len(judges),
        "verdicts": len(verdicts),
        "unjudged": [pair.unit for pair in pairing.pairs if pair.unit not in {verdict.unit for verdict in verdicts}],
        "problems": dict(panel.problems),
        "facts": dict(panel.facts),
        "win_rate": win_rates(pairing, verdicts, seed),
        "self_agreement": proportion(sum(repeated), len(repeated)) if repeated else None,
        "first_shown": proportion(*panel.first_shown) if panel.first_shown is not None else None,
        "agreement": judge_agreement(verdicts) if len(judges) > 1 else None,
    }


def win_rates(pairing: Pairing, verdicts: Sequence[Verdict], seed: int = 0) -> dict[str, Any]:
    """`win_rate` for all units and for each kind of truth that occurs. Units with identical texts count as ties."""
    truths: dict[str, Truth] = {pair.unit: pair.truth for pair in pairing.pairs} | pairing.identical
    by_unit: defaultdict[str, list[float]] = defaultdict(list)
    for verdict in verdicts:
        by_unit[verdict.unit].append(verdict.value)
    groups = {}
    for kind in (ALL, *KINDS):
        units = [unit for unit, truth in truths.items() if kind in (ALL, truth.kind)]
        judged = [by_unit[unit] for unit in units if unit in by_unit]
        ties = sum(unit in pairing.identical for unit in units)
        if units:
            groups[kind] = win_rate(judged, ties, seed)
    return groups


def win_rate(judged: Sequence[Sequence[float]], identical: int = 0, seed: int = 0) -> dict[str, Any]:
    """Rate at which A won, over units, each with the mean of its judges' values.

    judged: values of each unit's judges. identical: further units that count half. Keys: units, verdicts, rate,
    interval (95 %), interval_by, wins, losses, ties (units in which most judges favoured A, B, neither), p (two-sided
    exact sign test over units without ties).

    interval_by: "wilson" where no unit has more than one judge (ties count half, which makes it wider than it need be);
    else "bootstrap over units": judges of one unit see the same texts, so that units are resampled with all their
    verdicts. Both tell what other units would show, with these judges. Where all units have one value the bootstrap
    knows no spread, and "wilson over units" takes each unit as one verdict.
    """
    means = [float(np.mean(values)) for values in judged] + [0.5] * identical
    wins, losses = (sum(sign * (mean - 0.5) > 0 for mean in means) for sign in (1, -1))
    entry: dict[str, Any] = {
        "units": len(means),
        "verdicts": sum(map(len, judged)),
        "rate": None,
        "interval": None,
        "interval_by": None,
    }
    if means:
        interval, how = _interval(means, max(map(len, judged), default=1) > 1, seed)
        entry |= {"rate": float(np.mean(means)), "interval": list(interval), "interval_by": how}
    return {**entry, "wins": wins, "losses": losses, "ties": len(means) - wins - losses, "p": sign_test(wins, losses)}


def _interval(means: Sequence[float], clustered: bool, seed: int) -> tuple[tuple[float, float], str]:
    if clustered and max(means) > min(means):
        return bootstrap_mean(means, seed), "bootstrap over units"
    return wilson(sum(means), len(means)), "wilson over units" if clustered else "wilson"


def sign_test(wins: int, losses: int) -> float:
    """Two-sided exact p of so unequal a split, were each as likely as the other; 1.0 where there is nothing."""
    from scipy.stats import binomtest

    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def judge_agreement(verdicts: Iterable[Verdict]) -> dict[str, Any] | None:
    """How far judges agree on the units that more than one judged; None where there is none.

    pairwise: share of pairs of judges with the same verdict (A, B or tie), mean over units. kappa: Fleiss'
    (Psychological Bulletin 76, 1971), (pairwise - chance) / (1 - chance) with chance from the shares of the three
    verdicts; units may have different numbers of judges. None where all verdicts are the same, so that chance is 1.
    """
    by_unit: defaultdict[str, list[float]] = defaultdict(list)
    for verdict in verdicts:
        by_unit[verdict.unit].append(verdict.value)
    shared = [values for values in by_unit.values() if len(values) > 1]
    if not shared:
        return None
    pairs = [[a == b for a, b in combinations(values, 2)] for values in shared]
    observed = float(np.mean([np.mean(same) for same in pairs]))
    counts = Counter(value for values in shared for value in values)
    chance = sum((count / counts.total()) ** 2 for count in counts.values())
    kappa = (observed - chance) / (1 - chance) if len(counts) > 1 else None
    return {"units": len(shared), "pairwise": observed, "kappa": kappa}


def _majorities(panels: Sequence[Panel]) -> list[Verdict]:
    """Each panel as one judge: what most of its judges say of each unit."""
    found = []
    for panel in panels:
        by_unit: defaultdict[str, list[float]] = defaultdict(list)
        for verdict in panel.verdicts:
            by_unit[verdict.unit].append(verdict.value)
        for unit, values in by_unit.items():
            found.append(Verdict(panel.name, unit, float(0.5 + 0.5 * np.sign(np.mean(values) - 0.5))))
    return found
