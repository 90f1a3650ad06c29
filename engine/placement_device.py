"""One device: what fits on it together, and what describing a unit costs there (the model is told in `placement`)."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .plan import Device, ModelFacts

INF = float("inf")


def batch_sizes(largest: int) -> list[int]:
    """The sizes that a batch may get, the largest first: powers of two, one and a half times them, and `largest`."""
    sizes = {largest}
    for power in range(largest.bit_length()):
        sizes |= {size for size in (2**power, 3 * 2**power // 2) if 1 <= size <= largest}
    return sorted(sizes, reverse=True)


def largest_batch(model: ModelFacts, jobs: int) -> int:
    """What so many agents can fill: each has one call under way; a server takes at most one request of each."""
    wanted = jobs if model.kind == "server" else math.ceil(jobs * model.items_per_call)
    return max(1, min(model.max_batch, wanted))


def must_stay(model: ModelFacts) -> bool:
    """A server that cannot sleep takes its memory once and for all."""
    return model.kind == "server" and not model.can_sleep


@dataclass(frozen=True)
class Configuration:
    """Batch sizes for a set of residents. batches: by model (0: it does not fit beside them). seconds: for describing
    one unit, by model (inf where it does not fit)."""

    batches: tuple[int, ...]
    seconds: tuple[float, ...]


class DeviceChoices:
    """What can be done on a device with any subset of the models. Subsets are bit masks over `models`."""

    def __init__(self, models: Sequence[ModelFacts], device: Device, jobs: int) -> None:
        self.models, self.device, self.jobs = tuple(models), device, jobs
        self.sizes = [batch_sizes(largest_batch(model, jobs)) for model in models]
        self._servers = [model.kind == "server" for model in models]
        self.allowed = self._mask(lambda model: model.devices is None or device.name in model.devices)
        self.staying = self._mask(must_stay)
        keys = list({part.key: part.nbytes for model in models for part in model.components}.items())
        self._parts = [
            frozenset(i for i, (key, _) in enumerate(keys) if key in {part.key for part in model.components})
            for model in models
        ]
        self._part_bytes = [nbytes for _, nbytes in keys]
        self._known: dict[int, tuple[Configuration, ...]] = {}

    def _mask(self, holds: Callable[[ModelFacts], bool]) -> int:
        return sum(1 << i for i, model in enumerate(self.models) if holds(model))

    def members(self, subset: int) -> list[int]:
        """Positions of the models of a subset."""
        return [i for i in range(len(self.models)) if subset >> i & 1]

    def weights(self, subset: int) -> int:
        """Bytes of the distinct components."""
        parts: set[int] = set()
        for i in self.members(subset):
            parts |= self._parts[i]
        return sum(self._part_bytes[part] for part in parts)

    def configurations(self, residents: int) -> tuple[Configuration, ...]:
        """Every choice of batches with these residents that could be the best for some set of models."""
        if residents not in self._known:
            found = dict.fromkeys(self._configurations(residents))
            self._known[residents] = tuple(found)
        return self._known[residents]

    def _configurations(self, residents: int) -> Iterator[Configuration]:
        if residents & ~self.allowed or self.weights(residents) > self.device.memory:
            return
        servers = [i for i in self.members(residents) if self._servers[i]]
        working = [i for i in self.members(residents) if not self._servers[i]]
        weights = [self.weights(residents | 1 << i) for i in range(len(self.models))]
        for chosen in itertools.product(*(self.sizes[i] for i in servers)):
            batches = dict(zip(servers, chosen, strict=True))
            held = sum(self.models[i].workspace.nbytes(batch) for i, batch in batches.items())
            for most in self._workspaces(working):
                configuration = self._configure(residents, working, weights, batches, held, most)
                if configuration is not None:
                    yield configuration

    def _workspaces(self, working: Sequence[int]) -> list[int | None]:
        """Candidates for the largest workspace of a resident's batch; None where residents do not compete."""
        if self.device.slots == 1 or not working:
            return [None]
        values = {self.models[i].workspace.nbytes(batch) for i in working for batch in self.sizes[i]}
        return [*sorted(values, reverse=True)]

    def _configure(
        self,
        residents: int,
        working: Sequence[int],
        weights: Sequence[int],
        servers: dict[int, int],
        held: int,
        most: int | None,
    ) -> Configuration | None:
        batches, seconds = [], []
        stays = self.weights(residents)
        for i in range(len(self.models)):
            resident = bool(residents >> i & 1)
            if i in servers:
                batch = servers[i] if weights[i] + held <= self.device.memory else 0
            elif (not resident and self.staying >> i & 1) or not self.allowed >> i & 1:
                batch = 0
            else:
                beside = min(self.device.slots - 1, len(working) - resident)
                room = self.device.memory - weights[i] - held - beside * (most or 0)
                if resident and most is not None:
                    room = min(room, most)
                batch = self._fitting(i, room)
            if resident and not batch:
                return None
            batches.append(batch)
            seconds.append(self._seconds(i, batch, 0 if resident else weights[i] - stays))
        return Configuration(tuple(batches), tuple(seconds))

    def _fitting(self, i: int, room: int) -> int:
        workspace = self.models[i].workspace
        return next((size for size in self.sizes[i] if workspace.nbytes(size) <= room), 0)

    def _seconds(self, i: int, batch: int, copied: int) -> float:
        model = self.models[i]
        if not batch:
            return INF
        calls = model.items_per_unit / model.items_per_call
        swapping = calls / self.jobs * copied / self.device.link
        return model.items_per_unit * model.duration.seconds(batch) / batch + swapping
