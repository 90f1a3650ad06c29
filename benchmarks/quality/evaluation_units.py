"""Measurements brought into the form that tables are made from: by target, layer, method and unit, seeds averaged.

What contradicts itself or cannot be a measurement is left out here, once, and named: it is never averaged over.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from .measured import NAMED, Measured
from .paper_values import ALL_LAYERS
from .unit_statistics import by_unit

METHOD_ORDER = (
    "agent",
    "exemplar-majority",
    "exemplar-only",
    "exemplar-caption",
    "clip-dissect",
    "milan",
    "human",
    "random",
)
"""Those that come first in tables, in this order; others follow by name."""
LAYER_ORDER = ("single", "mono", "or", "conditional")
"""Layers of neurons of known truth, from simple to complex; others follow, numbers in them by size."""
PARTIAL = ("human",)
"""Methods that the protocol gives to a part of the units (C3): the others' means do not wait for them."""
LONG_LABEL = 300
"""Characters; labels longer than that are counted in the notes. The paper's are a few words."""


@dataclass(frozen=True)
class UnitValues:
    """One method's measurements of one unit: means over seeds of raw activations. truth_found: the share of seeds that
    found the truth, None where there is none."""

    positive: float
    neutral: float
    seeds: tuple[int, ...]
    truth_found: float | None


@dataclass(frozen=True)
class TargetUnits:
    """All that is known of one target. values: method -> unit -> values. layers: layer -> units, both in order of
    display. percentiles: unit -> (p50, p95). kinds: unit -> kind of truth, "" for none."""

    target: str
    layers: dict[str, tuple[str, ...]]
    values: dict[str, dict[str, UnitValues]]
    percentiles: dict[str, tuple[float, float]]
    kinds: dict[str, str]

    @property
    def methods(self) -> list[str]:
        """Those that are not ablations of others, in order."""
        return [method for method in self.values if ablated(method) is None]

    def groups(self) -> dict[str, tuple[str, ...]]:
        """Layer -> units, and all of them where there are several layers."""
        if len(self.layers) < 2:
            return dict(self.layers)
        return {**self.layers, ALL_LAYERS: tuple(unit for units in self.layers.values() for unit in units)}

    def common(self, units: Iterable[str], methods: Iterable[str]) -> list[str]:
        """Those of the units that all of the methods measured."""
        have = [self.values[method] for method in methods]
        return [unit for unit in units if all(unit in values for values in have)]


@dataclass(frozen=True)
class Study:
    """targets: by name. notes: what was left out, and what is odd about what was not."""

    targets: tuple[TargetUnits, ...]
    notes: tuple[str, ...]


def ablated(method: str) -> str | None:
    """The method that this one is an ablation of ("agent: exemplars only" of "agent"), else None."""
    base, colon, _ = method.partition(": ")
    return base if colon else None


def method_key(method: str) -> tuple[int, str]:
    """Sorts methods for display: METHOD_ORDER, others by name, an ablation after what it ablates."""
    base = ablated(method) or method
    return (METHOD_ORDER.index(base) if base in METHOD_ORDER else len(METHOD_ORDER), method)


def layer_key(layer: str) -> tuple[int, tuple[tuple[int, int, str], ...]]:
    """Sorts layers for display: LAYER_ORDER, others by name with the numbers in it by size."""
    parts = re.findall(r"\d+|\D+", layer)
    natural = tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)
    return (LAYER_ORDER.index(layer) if layer in LAYER_ORDER else len(LAYER_ORDER), natural)


def organise(measured: Sequence[Measured], notes_before: Sequence[str] = ()) -> Study:
    """The measurements by target and method. Their order plays no part. notes_before: what is known to be missing.

    Left out and named: numbers that are not finite; a unit's name that is not that of its target, layer and index; two
    different measurements of one unit, method and seed; a unit with two pairs of percentiles (indices of two datasets)
    or two kinds. Noted: repeated, empty and very long labels, units whose methods ran with different seeds.
    """
    notes = _Notes()
    kept = _consistent_units(_distinct([one for one in measured if _plausible(one, notes)], notes), notes)
    for one in kept:
        if not one.label.strip():
            notes.add("empty labels, measured as they are", f"{one.unit} by {one.method}")
        elif len(one.label) > LONG_LABEL:
            notes.add(f"labels of more than {LONG_LABEL} characters", f"{one.unit} by {one.method}")
    targets = []
    for target in sorted({one.target for one in kept}):
        targets.append(_target_units(target, [one for one in kept if one.target == target], notes))
    return Study(tuple(targets), (*notes_before, *notes.sentences(), *_seeds(kept)))


@dataclass
class _Notes:
    found: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, what: str, item: str) -> None:
        self.found[what].add(item)

    def sentences(self) -> tuple[str, ...]:
        return tuple(name_units(what, items) for what, items in sorted(self.found.items()))


def name_units(what: str, names: Iterable[str]) -> str:
    """A note: how many units (or else) there are, and NAMED of them, numbers in their names by size."""
    units = sorted(names, key=layer_key)
    more = f" and {len(units) - NAMED} more" if len(units) > NAMED else ""
    return f"{what}: {len(units)} ({', '.join(units[:NAMED])}{more})."


def _plausible(one: Measured, notes: _Notes) -> bool:
    if one.unit != f"{one.target}.{one.layer}.{one.index}":
        notes.add("measurements left out, the unit's name is not of its target, layer and index", one.unit)
        return False
    if not all(map(math.isfinite, (one.positive, one.neutral, one.p50, one.p95))):
        notes.add("measurements left out, numbers that are not finite", f"{one.unit} by {one.method}")
        return False
    return True


def _distinct(measured: Sequence[Measured], notes: _Notes) -> list[Measured]:
    same: dict[tuple[str, str, int], set[Measured]] = defaultdict(set)
    for one in measured:
        key = (one.unit, one.method, one.seed)
        if one in same[key]:
            notes.add("given twice, counted once", f"{one.unit} by {one.method}, seed {one.seed}")
        same[key].add(one)
    for (unit, method, seed), versions in same.items():
        if len(versions) > 1:
            notes.add("left out, measured twice with different results", f"{unit} by {method}, seed {seed}")
    return [next(iter(same[key])) for key in sorted(same) if len(same[key]) == 1]


def _consistent_units(measured: Sequence[Measured], notes: _Notes) -> list[Measured]:
    facts: dict[str, set[tuple[float, float, str]]] = defaultdict(set)
    for one in measured:
        facts[one.unit].add((one.p50, one.p95, one.kind))
    for unit, versions in facts.items():
        if len({version[:2] for version in versions}) > 1:
            notes.add("units left out, percentiles of two datasets", unit)
        elif len(versions) > 1:
            notes.add("units left out, two kinds of truth", unit)
    return [one for one in measured if len(facts[one.unit]) == 1]


def _target_units(target: str, measured: Sequence[Measured], notes: _Notes) -> TargetUnits:
    units: dict[str, list[Measured]] = defaultdict(list)
    for one in sorted(measured, key=lambda one: (layer_key(one.layer), one.index)):
        units[one.unit].append(one)
    layers: dict[str, list[str]] = defaultdict(list)
    for unit, ones in units.items():
        layers[ones[0].layer].append(unit)
    values = {
        method: _unit_values([one for one in measured if one.method == method])
        for method in sorted({one.method for one in measured}, key=method_key)
    }
    _note_lacking_seeds(values, notes)
    return TargetUnits(
        target,
        {layer: tuple(names) for layer, names in layers.items()},
        values,
        {unit: (ones[0].p50, ones[0].p95) for unit, ones in units.items()},
        {unit: ones[0].kind for unit, ones in units.items()},
    )


def _note_lacking_seeds(values: Mapping[str, dict[str, UnitValues]], notes: _Notes) -> None:
    for method, of in values.items():
        every = sorted({seed for unit in of.values() for seed in unit.seeds})
        for unit, one in of.items():
            if list(one.seeds) != every:
                notes.add(f"units without all seeds of {method}, averaged over those that they have", unit)


def _seeds(measured: Sequence[Measured]) -> list[str]:
    """One sentence, where a method was run with several seeds: which seeds each was run with."""
    seeds: dict[str, set[int]] = defaultdict(set)
    for one in measured:
        seeds[one.method].add(one.seed)
    if all(len(found) == 1 for found in seeds.values()):
        return []
    listed = (f"{method} {', '.join(map(str, sorted(seeds[method])))}" for method in sorted(seeds, key=method_key))
    return [f"Seeds, averaged within a unit: {'; '.join(listed)}."]


def _unit_values(measured: Sequence[Measured]) -> dict[str, UnitValues]:
    positive = by_unit((one.unit, one.positive) for one in measured)
    neutral = by_unit((one.unit, one.neutral) for one in measured)
    seeds: Mapping[str, list[int]] = defaultdict(list)
    found: Mapping[str, list[bool]] = defaultdict(list)
    for one in measured:
        seeds[one.unit].append(one.seed)
        if one.truth_found is not None:
            found[one.unit].append(one.truth_found)
    return {
        unit: UnitValues(
            positive[unit],
            neutral[unit],
            tuple(sorted(seeds[unit])),
            fmean(found[unit]) if found[unit] else None,
        )
        for unit in positive
    }
