"""What placement decides and the scheduler obeys: models with their sizes, devices, and where each model goes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Component:
    """A part of a model that is loaded as a whole. key: of its weights' content; two models with one key share it."""

    key: str
    nbytes: int


@dataclass(frozen=True)
class Workspace:
    """Bytes beside the weights while a batch runs: fixed + per_item * batch."""

    fixed: int = 0
    per_item: int = 0

    def nbytes(self, batch: int) -> int:
        """Bytes for a batch of this size."""
        return self.fixed + self.per_item * batch


@dataclass(frozen=True)
class Duration:
    """Seconds that a batch takes: fixed + per_item * batch."""

    fixed: float = 0.0
    per_item: float = 0.0

    def seconds(self, batch: int) -> float:
        """Seconds for a batch of this size."""
        return self.fixed + self.per_item * batch


@dataclass(frozen=True)
class ModelFacts:
    """What has to be known of a model to place it.

    max_batch: items that one batch can hold at most. items_per_unit: items that describing one unit takes on average;
    items_per_call: how many of them one call brings at once. devices: names of those that it may be on (None: any).
    kind: "batch": runs batches that the scheduler forms; its workspace is held while one runs. "server": batches by
    itself, in a process of its own; its items are requests in flight, and its workspace (for the plan's batch: the
    key-value cache of so many sequences) is held as long as it is awake. can_sleep: the server can give its memory
    back and take it again; else it is resident or not there at all.
    """

    name: str
    components: tuple[Component, ...] = ()
    workspace: Workspace = Workspace()
    duration: Duration = Duration()
    max_batch: int = 1
    items_per_unit: float = 1.0
    items_per_call: float = 1.0
    kind: Literal["batch", "server"] = "batch"
    can_sleep: bool = False
    devices: tuple[str, ...] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return component_bytes(self.components)

    def held(self, batch: int) -> int:
        """Bytes that are taken as long as the model is loaded and idle."""
        return self.nbytes + self.held_beside(batch)

    def held_beside(self, batch: int) -> int:
        """Of these, what is not weights: a server's workspace."""
        return self.workspace.nbytes(batch) if self.kind == "server" else 0


@dataclass(frozen=True)
class Device:
    """Where models run. memory: bytes that may be used of it. link: bytes a second from the host's memory to it.

    slots: batches (of different models) that may run at the same time.
    """

    name: str
    memory: int
    link: float
    slots: int = 1


@dataclass(frozen=True)
class Place:
    """A model's place. batch: items of its batches.

    resident: it stays loaded (a server always; another model unless an eviction saves more copies than it costs); else
    it is loaded when it is needed.
    """

    device: str
    resident: bool
    batch: int


@dataclass(frozen=True)
class Plan:
    """Which model goes where. Every model of `models` has its entry in `places`.

    seconds: estimate for describing one unit, of the busiest device. bound: no plan has less (`engine.placement` tells
    of what). exact: no plan has less than `seconds`.
    """

    devices: tuple[Device, ...]
    models: tuple[ModelFacts, ...]
    places: Mapping[str, Place] = field(default_factory=dict)
    seconds: float = 0.0
    bound: float = 0.0
    exact: bool = False

    @property
    def gap(self) -> float:
        """Share by which `seconds` may be above the best plan's."""
        return 0.0 if self.exact or not self.seconds else self.seconds / self.bound - 1 if self.bound else float("inf")

    def facts(self, model: str) -> ModelFacts:
        """Facts of the model of that name. Raises KeyError."""
        for facts in self.models:
            if facts.name == model:
                return facts
        raise KeyError(model)

    def device(self, name: str) -> Device:
        """The device of that name. Raises KeyError."""
        for device in self.devices:
            if device.name == name:
                return device
        raise KeyError(name)

    def on(self, device: str) -> tuple[ModelFacts, ...]:
        """The models that are placed on a device, in the plan's order."""
        return tuple(facts for facts in self.models if self.places[facts.name].device == device)


def component_bytes(components: Iterable[Component]) -> int:
    """Bytes of the components, each counted once."""
    return sum({component.key: component.nbytes for component in components}.values())
