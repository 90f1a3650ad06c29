"""torch's own limit on a GPU's memory, set to what the plan gives this process: the net below the scheduler's count."""

import re

import torch

from .plan import ModelFacts, Plan


def limit_allocators(plan: Plan) -> dict[str, int]:
    """Caps torch's caching allocator on each CUDA device of the plan; returns the caps in bytes, by device.

    A cap is the device's memory in the plan less what servers that never sleep hold of it for themselves, in their own
    processes. A workspace that was underestimated then raises torch.OutOfMemoryError here, so that its batch is halved,
    where it would otherwise take memory that belongs to others. Servers that sleep are not taken off: their memory is
    this process's while they do (the scheduler's count sees to the rest).

    Devices that this machine lacks are left out. A cap holds for the whole process until the next call. It does not
    cover what the allocator does not hand out: the CUDA context and loaded kernels, handles and memory that cuDNN,
    cuBLAS or NCCL take from the driver by themselves, private pools of other allocators, and other processes.
    """
    here = torch.cuda.device_count() if torch.cuda.is_available() else 0
    caps = {}
    for device in plan.devices:
        index = _cuda_index(device.name)
        if index is None or index >= here:
            continue
        servers = [facts for facts in plan.on(device.name) if _always_awake(plan, facts)]
        taken = sum(facts.held(plan.places[facts.name].batch) for facts in servers)
        total = torch.cuda.get_device_properties(index).total_memory
        caps[device.name] = min(max(0, device.memory - taken), total)
        torch.cuda.set_per_process_memory_fraction(caps[device.name] / total, index)
    return caps


def peak_reserved(device: str) -> int:
    """Most bytes that torch's allocator has held of the device so far, used or cached; 0 for what is no GPU here."""
    index = _cuda_index(device)
    if index is None or not torch.cuda.is_available() or index >= torch.cuda.device_count():
        return 0
    return torch.cuda.max_memory_reserved(index)


def _always_awake(plan: Plan, facts: ModelFacts) -> bool:
    return facts.kind == "server" and (plan.places[facts.name].resident or not facts.can_sleep)


def _cuda_index(name: str) -> int | None:
    """Number of the GPU that torch calls so; None for other devices (a plan may have some that torch does not know)."""
    match = re.fullmatch(r"cuda(?::(\d+))?", name)
    return None if match is None else int(match[1] or 0)
