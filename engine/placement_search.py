"""Which models go to which device: exactly for a few models, else by local search. Subsets of models are bit masks."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from .placement_device import INF, Configuration, DeviceChoices, must_stay
from .plan import Device, ModelFacts

Assignment = list[tuple[int, int, Configuration]]
"""For each device: the models on it, those that stay, and the batches."""


class DeviceTable:
    """The least seconds of every subset of the models on one device, by dynamic programming over its residents."""

    def __init__(self, choices: DeviceChoices) -> None:
        self.choices = choices
        count = len(choices.models)
        self.seconds = np.full(2**count, INF)
        self.residents = np.zeros(2**count, dtype=np.int64)
        for residents in reversed(range(2**count)):  # of equals the one with more residents is taken
            self._try(residents, count)

    def _try(self, residents: int, count: int) -> None:
        configurations = self.choices.configurations(residents)
        if not configurations:
            return
        costs = np.array([configuration.seconds for configuration in configurations])
        totals = np.zeros((len(costs), 1))
        subsets = np.array([residents])
        for i in range(count):
            column = costs[:, i : i + 1]
            if residents >> i & 1:
                totals = totals + column
            elif np.isfinite(column).any():
                totals = np.concatenate([totals, totals + column], axis=1)
                subsets = np.concatenate([subsets, subsets | 1 << i])
        least = totals.min(axis=0)
        better = least < self.seconds[subsets]
        self.seconds[subsets[better]] = least[better]
        self.residents[subsets[better]] = residents


def solve_exactly(models: Sequence[ModelFacts], devices: Sequence[Device], jobs: int) -> Assignment | None:
    """The plan whose busiest device takes the fewest seconds, of those the one with the least sum; None: none fits."""
    tables: dict[tuple[object, ...], DeviceTable] = {}
    each = []
    for device in devices:
        eligible = tuple(model.devices is None or device.name in model.devices for model in models)
        key = (device.memory, device.link, device.slots, eligible)
        if key not in tables:
            tables[key] = DeviceTable(DeviceChoices(models, device, jobs))
        each.append(tables[key])
    everything = 2 ** len(models) - 1
    worst = _fold(each, [table.seconds for table in each], np.maximum)[-1][0][everything]
    if not np.isfinite(worst):
        return None
    capped = [np.where(table.seconds <= worst * (1 + 1e-12), table.seconds, INF) for table in each]
    left, subsets = everything, []
    for _, taken in reversed(_fold(each, capped, np.add)):
        subsets.append(int(taken[left]))
        left ^= subsets[-1]
    result = []
    for table, subset in zip(each, reversed(subsets), strict=True):
        residents = int(table.residents[subset])
        result.append((subset, residents, best_configuration(table.choices, subset, residents)))
    return result


def _fold(
    tables: Sequence[DeviceTable], costs: Sequence[np.ndarray], combine: np.ufunc
) -> list[tuple[np.ndarray, np.ndarray]]:
    """After each device: the least cost of every subset on the devices so far, and what of it this device takes."""
    size = len(costs[0])
    done = np.where(np.arange(size) == 0, 0.0, INF)
    steps = []
    for cost in costs:
        least, taken = np.full(size, INF), np.zeros(size, dtype=np.int64)
        for whole in range(size):
            parts = _subsets(whole)
            values = combine(cost[parts], done[whole ^ parts])
            best = int(values.argmin())
            least[whole], taken[whole] = values[best], parts[best]
        done = least
        steps.append((least, taken))
    return steps


def _subsets(whole: int) -> np.ndarray:
    """All subsets, the whole first."""
    parts = np.zeros(1, dtype=np.int64)
    for i in range(whole.bit_length()):
        if whole >> i & 1:
            parts = np.concatenate([parts, parts | 1 << i])
    return parts[::-1]


def best_configuration(choices: DeviceChoices, subset: int, residents: int) -> Configuration:
    """The batches with the least seconds for this subset and these residents. Raises ValueError if none fits."""
    members = choices.members(subset)
    return min(choices.configurations(residents), key=lambda entry: sum(entry.seconds[i] for i in members))


class LocalSearch:
    """For many models: starts from what certainly fits, then moves models while that is better."""

    def __init__(self, models: Sequence[ModelFacts], devices: Sequence[Device], jobs: int) -> None:
        self.models = models
        self.choices = [DeviceChoices(models, device, jobs) for device in devices]
        self._found: list[dict[int, tuple[float, int]]] = [{} for _ in devices]

    def solve(self, start: Sequence[int]) -> Assignment:
        """start: a device for every model, on which it fits when all that can is offloaded."""
        where = min(self._improved(list(start)), self._improved(self._greedy(start)))[1]
        result = []
        for device, choices in enumerate(self.choices):
            subset = self._subset(where, device)
            residents = self._best(device, subset)[1]
            result.append((subset, residents, best_configuration(choices, subset, residents)))
        return result

    def _improved(self, where: list[int]) -> tuple[tuple[float, float], list[int]]:
        value = self._value(where)
        while True:
            found = min(((self._value(next_), next_) for next_ in self._neighbours(where)), default=None)
            if found is None or not found[0] < value:
                return value, where
            value, where = found

    def _greedy(self, start: Sequence[int]) -> list[int]:
        """The longest first, each to the device on which the plan so far is the least; where it fits on none, as at
        the start."""
        where = [-1] * len(start)
        alone = [self._best(device, 1 << i)[0] for i, device in enumerate(start)]
        for i in sorted(range(len(start)), key=lambda i: (not must_stay(self.models[i]), -alone[i])):
            options = [[*where[:i], device, *where[i + 1 :]] for device in range(len(self.choices))]
            least = min(options, key=self._value)
            where = least if self._value(least)[0] < INF else [*where[:i], start[i], *where[i + 1 :]]
        return where

    def _neighbours(self, where: list[int]) -> Iterator[list[int]]:
        """One model moved to another device, or two of different devices exchanged."""
        if len(self.choices) == 1:
            return
        for i in range(len(where)):
            for device in range(len(self.choices)):
                if device != where[i]:
                    yield [*where[:i], device, *where[i + 1 :]]
        for i, j in itertools.combinations(range(len(where)), 2):
            if where[i] != where[j]:
                swapped = list(where)
                swapped[i], swapped[j] = where[j], where[i]
                yield swapped

    def _value(self, where: Sequence[int]) -> tuple[float, float]:
        seconds = [self._best(device, self._subset(where, device))[0] for device in range(len(self.choices))]
        return max(seconds), sum(seconds)

    def _subset(self, where: Sequence[int], device: int) -> int:
        return sum(1 << i for i, chosen in enumerate(where) if chosen == device)

    def _best(self, device: int, subset: int) -> tuple[float, int]:
        """Seconds and residents of a subset: residents are added, taken away and exchanged while that is better."""
        known = self._found[device]
        if subset not in known:
            residents = subset & self.choices[device].staying
            seconds = self._seconds(device, subset, residents)
            while True:
                options = ((self._seconds(device, subset, next_), next_) for next_ in self._changed(subset, residents))
                found = min(options, default=(INF, 0))
                if not found[0] < seconds:
                    break
                seconds, residents = found
            known[subset] = (seconds, residents)
        return known[subset]

    def _changed(self, subset: int, residents: int) -> Iterator[int]:
        members = [i for i in range(len(self.models)) if subset >> i & 1 and not must_stay(self.models[i])]
        for i in members:
            yield residents ^ 1 << i
        for i, j in itertools.combinations(members, 2):
            if (residents >> i & 1) != (residents >> j & 1):
                yield residents ^ 1 << i ^ 1 << j

    def _seconds(self, device: int, subset: int, residents: int) -> float:
        choices = self.choices[device]
        members = choices.members(subset)
        return min((sum(entry.seconds[i] for i in members) for entry in choices.configurations(residents)), default=INF)


def lower_bound(models: Sequence[ModelFacts], devices: Sequence[Device], jobs: int) -> float:
    """No plan's busiest device takes fewer seconds.

    Each model takes at least what it takes alone on its best device, and the busiest device at least the mean over
    the devices. Models that are not resident swap at least what no other model shares, over the fastest link. Which
    are resident is relaxed to fractions of models in the memory of all devices together, where a shared component
    counts for each of its models in equal parts, so that no set of residents counts for more than it takes.
    """
    alone, swapping, taken = [], [], []
    sharing: dict[str, int] = {}
    for part in (part for model in models for part in {part.key: part for part in model.components}.values()):
        sharing[part.key] = sharing.get(part.key, 0) + 1
    for model in models:
        parts = {part.key: part.nbytes for part in model.components}
        alone.append(min(_seconds_alone(model, device, jobs) for device in devices))
        exclusive = sum(nbytes for key, nbytes in parts.items() if sharing[key] == 1)
        calls = model.items_per_unit / model.items_per_call
        never_swapped = must_stay(model)
        swapping.append(0.0 if never_swapped else calls / jobs * exclusive / max(device.link for device in devices))
        held = model.workspace.nbytes(1) if model.kind == "server" else 0
        taken.append(sum(nbytes / sharing[key] for key, nbytes in parts.items()) + held)
    room = float(sum(device.memory for device in devices))
    room -= sum(size for model, size in zip(models, taken, strict=True) if must_stay(model))
    saved = 0.0
    by_worth = sorted(zip(swapping, taken, strict=True), key=lambda pair: pair[0] / pair[1] if pair[1] else INF)
    for worth, size in reversed(by_worth):
        share = 1.0 if size <= room else max(room, 0.0) / size
        saved += worth * share
        room -= size * share
    total = sum(alone) + sum(swapping) - saved
    return max([total / len(devices), *alone])


def _seconds_alone(model: ModelFacts, device: Device, jobs: int) -> float:
    choices = DeviceChoices([model], device, jobs)
    return min((entry.seconds[0] for entry in choices.configurations(1)), default=INF)
