"""Two methods compared over the same units: paired differences, interval, sign test, and how many units that needs.

A unit is the thing that is sampled. Several seeds of one unit are averaged before anything is compared, so that the
values that go in here are independent of each other.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

from .agreement import sign_test
from .predictive import bootstrap_mean

POWER = 0.8
SIGNIFICANCE = 0.05
"""Two-sided."""
FEW_UNITS = 10
"""Below this many units a percentile bootstrap's intervals are too narrow to be taken at their word."""


@dataclass(frozen=True)
class Summary:
    """The mean over units and its 95 % bootstrap interval; mean is None without units, interval with fewer than two."""

    units: int
    mean: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Paired:
    """Method A less method B over the units that both have.

    differences: by unit, sorted by name. only_a, only_b: units that lack the other method, sorted; they count nowhere.
    wins, losses, ties: units in which A's value is higher, lower, the same (within rounding). p: of the two-sided exact
    sign test over units without ties; 1.0 where there is none. sd: sample standard deviation of the differences, None
    for fewer than two.
    """

    differences: dict[str, float]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    summary: Summary
    wins: int
    losses: int
    ties: int
    p: float
    sd: float | None

    @property
    def units(self) -> int:
        return len(self.differences)


def by_unit(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    """The mean of each unit's values (one for each seed), units sorted by name; their order plays no part."""
    seeds: dict[str, list[float]] = defaultdict(list)
    for unit, value in values:
        seeds[unit].append(value)
    return {unit: fmean(sorted(seeds[unit])) for unit in sorted(seeds)}


def summarise_units(values: Mapping[str, float], seed: int = 0) -> Summary:
    """Mean and interval of one value a unit. Resampled in the order of their names: the order given plays no part."""
    ordered = [values[unit] for unit in sorted(values)]
    if not ordered:
        return Summary(0, None, None)
    return Summary(len(ordered), fmean(ordered), bootstrap_mean(ordered, seed) if len(ordered) > 1 else None)


def compare_units(a: Mapping[str, float], b: Mapping[str, float], seed: int = 0) -> Paired:
    """A less B, paired by unit. a, b: one finite value for each unit (see `by_unit`). seed: of the bootstrap."""
    shared = sorted(a.keys() & b.keys())
    same = {unit for unit in shared if math.isclose(a[unit], b[unit], rel_tol=1e-9, abs_tol=1e-12)}
    differences = {unit: 0.0 if unit in same else a[unit] - b[unit] for unit in shared}
    wins, losses = (sum(sign * value > 0 for value in differences.values()) for sign in (1, -1))
    return Paired(
        differences,
        tuple(sorted(a.keys() - b.keys())),
        tuple(sorted(b.keys() - a.keys())),
        summarise_units(differences, seed),
        wins,
        losses,
        len(same),
        sign_test(wins, losses),
        stdev(differences.values()) if len(differences) > 1 else None,
    )


def units_needed(difference: float, sd: float, power: float = POWER, significance: float = SIGNIFICANCE) -> int | None:
    """How many units a mean paired difference needs to be found, by the normal approximation.

    n = ((z(1 - significance / 2) + z(power)) sd / difference)^2, rounded up, for a two-sided test of the mean of paired
    differences whose standard deviation is sd (Chow, Shao, Wang, Lokhnygina: Sample Size Calculations in Clinical
    Research, 3rd ed., section 3.1). At least 2; for fewer than about 10 units it promises too much, since sd is itself
    an estimate. None for a difference of 0, which no number of units shows. Raises ValueError for a negative sd, and
    for power or significance that do not lie between 0 and 1.
    """
    z = _z_sum(power, significance)
    if sd < 0:
        raise ValueError("a standard deviation is not negative")
    if difference == 0:
        return None
    # Less a trifle, so that smallest_difference(n) needs n units and not n + 1.
    return max(2, math.ceil((z * sd / difference) ** 2 * (1 - 1e-12)))


def smallest_difference(
    units: int, sd: float, power: float = POWER, significance: float = SIGNIFICANCE
) -> float | None:
    """The smallest mean difference that so many units would show; `units_needed` solved for the difference.

    None for fewer than two units. Raises ValueError as `units_needed` does.
    """
    z = _z_sum(power, significance)
    if sd < 0:
        raise ValueError("a standard deviation is not negative")
    return z * sd / math.sqrt(units) if units > 1 else None


def _z_sum(power: float, significance: float) -> float:
    if not 0 < power < 1 or not 0 < significance < 1:
        raise ValueError("power and significance lie between 0 and 1")
    normal = NormalDist()
    return normal.inv_cdf(1 - significance / 2) + normal.inv_cdf(power)
