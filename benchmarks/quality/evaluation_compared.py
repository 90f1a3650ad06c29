"""What tables and plots of an evaluation compare: measures, which units a mean is over, pairs of methods, and notes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from .evaluation_units import PARTIAL, Study, TargetUnits, UnitValues, name_units
from .unit_statistics import FEW_UNITS, Paired, compare_units


@dataclass(frozen=True)
class Measure:
    """A way to make activations of different units comparable. divisor: from (p50, p95); where it is not positive, the
    unit is left out."""

    name: str
    title: str
    divisor: Callable[[float, float], float]


RAW = Measure("raw", "raw activations", lambda p50, p95: 1.0)
OVER_P95 = Measure("over p95", "activations over the unit's 95th percentile", lambda p50, p95: p95)
OVER_SPREAD = Measure(
    "over p95 - p50", "activations over the distance from median to 95th percentile", lambda p50, p95: p95 - p50
)
MEASURES = (RAW, OVER_P95, OVER_SPREAD)
TRUTH = "truth found"
"""The share of a unit's seeds that found its truth, as a measure in the paired table."""


def usable(of: TargetUnits, units: Iterable[str], measure: Measure) -> dict[str, float]:
    """Unit -> divisor, for those whose divisor is positive."""
    divisors = {unit: measure.divisor(*of.percentiles[unit]) for unit in units}
    return {unit: divisor for unit, divisor in divisors.items() if divisor > 0}


def values_of(
    of: TargetUnits, method: str, units: Iterable[str], measure: Measure, what: Callable[[UnitValues], float]
) -> dict[str, float]:
    """Unit -> value of one method under a measure, for those of the units that it measured and that have a divisor."""
    measured = of.values.get(method, {})
    return {unit: what(measured[unit]) / by for unit, by in usable(of, units, measure).items() if unit in measured}


def positive(values: UnitValues) -> float:
    return values.positive


def neutral(values: UnitValues) -> float:
    return values.neutral


def difference(values: UnitValues) -> float:
    return values.positive - values.neutral


SIGNS: dict[str, Callable[[UnitValues], float]] = {"+": positive, "-": neutral}


def compared(of: TargetUnits, units: Sequence[str], method: str) -> list[str]:
    """The units that a row's mean of this method is over: those that all methods have, of people's those they have."""
    needed = [other for other in of.methods if other not in PARTIAL]
    return of.common(units, dict.fromkeys([*needed, method]))


@dataclass(frozen=True)
class Comparison:
    """Two methods of a target compared over the units of a layer (or all) under a measure."""

    target: str
    layer: str
    a: str
    b: str
    measure: str
    paired: Paired


def comparisons(study: Study, layers: bool = True) -> Iterator[Comparison]:
    """The first method of each target against each other, under every measure and by truth found.

    layers: each layer for itself too, else all units of a target together.
    """
    for of in study.targets:
        a, *others = of.methods or [""]
        groups = of.groups()
        for layer, units in groups.items() if layers else list(groups.items())[-1:]:
            for b in others:
                for measure in MEASURES:
                    ours, theirs = (values_of(of, method, units, measure, difference) for method in (a, b))
                    yield Comparison(of.target, layer, a, b, measure.name, compare_units(ours, theirs))
                found, other = (truth_shares(of, method, units) for method in (a, b))
                if found and other:
                    yield Comparison(of.target, layer, a, b, TRUTH, compare_units(found, other))


def truth_shares(of: TargetUnits, method: str, units: Iterable[str]) -> dict[str, float]:
    """Unit -> share of seeds that found its truth, for those that have one."""
    shares = ((unit, of.values[method][unit].truth_found) for unit in units if unit in of.values.get(method, {}))
    return {unit: share for unit, share in shares if share is not None}


class Left:
    """Notes of one table: units that were left out, by why; each said once."""

    def __init__(self) -> None:
        self._units: dict[str, set[str]] = {}
        self._said: dict[str, None] = {}
        self._few = False

    def note(self, what: str, units: Iterable[str]) -> None:
        if found := set(units):
            self._units.setdefault(what, set()).update(found)

    def say(self, sentence: str) -> None:
        self._said[sentence] = None

    def few(self, units: int) -> None:
        self._few |= 0 < units < FEW_UNITS

    def incomplete(self, of: TargetUnits) -> None:
        """Units that lack a method, and so are in no mean."""
        everyone = [unit for units in of.layers.values() for unit in units]
        for method in of.methods:
            if method not in PARTIAL:
                missing = [unit for unit in everyone if unit not in of.values[method]]
                self.note(f"{of.target}: units left out of all means, without a label by {method}", missing)

    def without_divisor(self, of: TargetUnits, measure: Measure) -> None:
        missing = of.percentiles.keys() - usable(of, of.percentiles, measure).keys()
        self.note(f"{of.target}: units left out {measure.name}, which is not positive", missing)

    def unpaired(self, one: Comparison) -> None:
        """Units that one of the two lacks. Not by truth found, since only some units have one."""
        if one.measure == RAW.name:
            for method, units in ((one.b, one.paired.only_a), (one.a, one.paired.only_b)):
                self.note(f"{one.target}: units left out of {one.a} less {one.b}, without a label by {method}", units)

    def sentences(self) -> tuple[str, ...]:
        named = [name_units(what, units) for what, units in self._units.items()]
        few = (
            [f"The intervals of rows with fewer than {FEW_UNITS} units are too narrow (percentile bootstrap)."]
            if self._few
            else []
        )
        return (*self._said, *named, *few)
