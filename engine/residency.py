"""Weights on devices: host copies that never change, loaded and dropped as models need them, each once a device."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle


class NotLoadedError(RuntimeError):
    """A module was called while its weights were on no device: a fault in the program."""


@dataclass(eq=False)
class _Slot:
    """Where a module keeps a tensor. tensor: number of the host's tensor that belongs there."""

    owner: nn.Module
    name: str
    parameter: bool
    tensor: int

    def put(self, value: torch.Tensor) -> None:
        if self.parameter:
            self.owner._parameters[self.name].data = value  # type: ignore[union-attr]
        else:
            self.owner._buffers[self.name] = value


@dataclass(eq=False)
class _Part:
    """A module of a model. guards: hooks that refuse calls while it is not loaded."""

    key: str
    module: nn.Module
    slots: list[_Slot]
    guards: list[RemovableHandle] = field(default_factory=list)


@dataclass(eq=False)
class _Copy:
    """A key's tensors on a device, and the models that use them."""

    tensors: list[torch.Tensor]
    users: set[str]


class WeightStore:
    """The weights of models by the hash of their content.

    Each key has one copy in the host's memory (pinned where there is CUDA) and at most one on each device, whatever
    number of models uses it. Modules stay modules: their parameters and buffers point to the copies of the device on
    which their model is loaded, and to nothing while it is loaded nowhere; calling one then raises NotLoadedError.
    The host's copies are never written, so that nothing is copied back. May be used by several threads.

    bytes_copied: bytes that loads have copied to devices so far.
    """

    def __init__(self, pin: bool | None = None) -> None:
        """pin: whether host copies are in pinned memory; None: where there is CUDA."""
        self._pin = torch.cuda.is_available() if pin is None else pin
        self._host: dict[str, list[torch.Tensor]] = {}
        self._models: dict[str, list[_Part]] = {}
        self._at: dict[str, torch.device] = {}
        self._copies: dict[tuple[str, torch.device], _Copy] = {}
        self._lock = threading.RLock()
        self.bytes_copied = 0

    def add(self, model: str, parts: Iterable[tuple[str, nn.Module]]) -> None:
        """Takes over the weights of a model's modules, each with its key; the model is then loaded nowhere.

        Raises ValueError for a model that is there already, or a module that does not have the tensors of its key.
        """
        with self._lock:
            if model in self._models:
                raise ValueError(f"the weights of {model} have been added before")
            taken = []
            for key, module in parts:
                slots, tensors = _slots(module)
                host = self._host.get(key)
                if host is None:
                    host = self._host[key] = [self._held(tensor) for tensor in tensors]
                elif [_kind(tensor) for tensor in host] != [_kind(tensor) for tensor in tensors]:
                    raise ValueError(f"a module of {model} has other tensors than those that are kept as {key}")
                taken.append(_Part(key, module, slots))
            self._models[model] = taken
            for part in taken:
                self._empty(part)

    def _held(self, tensor: torch.Tensor) -> torch.Tensor:
        host = tensor.detach().to("cpu")
        return host.pin_memory() if self._pin else host

    def keep(self, model: str, device: str | torch.device) -> None:
        """What is on the device already of the model's weights stays there until it is loaded, whoever lets go of it.

        Raises KeyError for an unknown model.
        """
        place = _place(device)
        with self._lock:
            for part in self._models[model]:
                copy = self._copies.get((part.key, place))
                if copy is not None:
                    copy.users.add(model)

    def load(self, model: str, device: str | torch.device) -> int:
        """Brings the model's weights to the device; returns the bytes copied (0 for what was there already).

        Raises KeyError for an unknown model, ValueError where it is loaded on another device, and what torch raises
        (torch.OutOfMemoryError): then nothing is loaded that was not before.
        """
        place = _place(device)
        with self._lock:
            parts = self._models[model]
            if model in self._at:
                if self._at[model] != place:
                    raise ValueError(f"{model} is loaded on {self._at[model]}: release it before it goes to {place}")
                return 0
            copied = 0
            try:
                for part in parts:
                    if (part.key, place) not in self._copies:
                        # A copy always, on the CPU too: what is released must be memory that is given back.
                        tensors = [_copy(tensor, place) for tensor in self._host[part.key]]
                        self._copies[part.key, place] = _Copy(tensors, set())
                        copied += _nbytes(tensors)
                if place.type == "cuda":
                    torch.cuda.synchronize(place)
            except BaseException:
                self._let_go(model, place)
                if place.type == "cuda":
                    torch.cuda.empty_cache()
                raise
            for part in parts:
                self._copies[part.key, place].users.add(model)
            self._at[model] = place
            self.bytes_copied += copied
            self.attach(model)
            return copied

    def attach(self, model: str) -> None:
        """Points the modules of a loaded model to its device's copies again: some pipelines cast theirs in between."""
        with self._lock:
            place = self._at[model]
            for part in self._models[model]:
                for guard in part.guards:
                    guard.remove()
                part.guards.clear()
                tensors = self._copies[part.key, place].tensors
                for slot in part.slots:
                    slot.put(tensors[slot.tensor])

    def release(self, model: str) -> int:
        """Drops the model's hold on its device; returns the bytes that no other model there uses and that are freed.

        Nothing happens to a model that is loaded nowhere. Raises KeyError for an unknown one.
        """
        with self._lock:
            parts = self._models[model]
            place = self._at.pop(model, None)
            if place is None:
                return 0
            for part in parts:
                self._empty(part)
            freed = self._let_go(model, place)
            if place.type == "cuda":
                # To the driver, so that what other processes and the budget's check see is what is in use.
                torch.cuda.empty_cache()
            return freed

    def _let_go(self, model: str, place: torch.device) -> int:
        """Drops copies that nobody else uses; returns their bytes."""
        freed = 0
        for key in {part.key for part in self._models[model]}:
            copy = self._copies.get((key, place))
            if copy is not None:
                copy.users.discard(model)
                if not copy.users:
                    freed += _nbytes(copy.tensors)
                    del self._copies[key, place]
        return freed

    def remove(self, model: str) -> None:
        """Forgets the model, and the host's copies that no other one uses. Raises KeyError for an unknown one."""
        with self._lock:
            self.release(model)
            gone = {part.key for part in self._models.pop(model)}
            used = {part.key for parts in self._models.values() for part in parts}
            for key in gone - used:
                del self._host[key]

    def device(self, model: str) -> torch.device | None:
        """Where the model is loaded."""
        with self._lock:
            return self._at.get(model)

    def device_bytes(self, device: str | torch.device) -> int:
        """Bytes of weights on a device, each key counted once."""
        place = _place(device)
        with self._lock:
            return sum(_nbytes(copy.tensors) for (_, where), copy in self._copies.items() if where == place)

    def host_bytes(self) -> int:
        """Bytes of the host's copies, each key counted once."""
        with self._lock:
            return sum(_nbytes(tensors) for tensors in self._host.values())

    def _empty(self, part: _Part) -> None:
        """Takes the weights from a module and lets it refuse calls."""
        for slot in part.slots:
            kept = self._host[part.key][slot.tensor]
            slot.put(torch.empty(0, dtype=kept.dtype))
        if part.guards:
            return
        name = type(part.module).__name__

        def refuse(module: nn.Module, arguments: Any) -> None:
            raise NotLoadedError(f"the weights of this {name} ({part.key[:12]}) are on no device: load its model first")

        # On every module with weights of its own, for parts of a pipeline are called below their root too.
        owners = {id(slot.owner): slot.owner for slot in part.slots}
        owners[id(part.module)] = part.module
        part.guards.extend(owner.register_forward_pre_hook(refuse, prepend=True) for owner in owners.values())


def _place(device: str | torch.device) -> torch.device:
    """The device with its number, so that "cuda" and "cuda:0" are one."""
    place = torch.device(device)
    if place.type == "cuda" and place.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return place


def _slots(module: nn.Module) -> tuple[list[_Slot], list[torch.Tensor]]:
    """Where the module keeps tensors, and these, tied ones once; in the order of their names."""
    slots: list[_Slot] = []
    tensors: list[torch.Tensor] = []
    numbers: dict[int, int] = {}
    for _, owner in sorted(module.named_modules(remove_duplicate=True)):
        for kind in (owner._parameters, owner._buffers):
            for name, tensor in sorted(kind.items()):
                if tensor is None:
                    continue
                if id(tensor) not in numbers:
                    numbers[id(tensor)] = len(tensors)
                    tensors.append(tensor)
                slots.append(_Slot(owner, name, kind is owner._parameters, numbers[id(tensor)]))
    return slots, tensors


def _kind(tensor: torch.Tensor) -> tuple[torch.Size, torch.dtype]:
    return tensor.shape, tensor.dtype


def _copy(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    return tensor.clone() if device.type == "cpu" else tensor.to(device, non_blocking=True)


def _nbytes(tensors: list[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
