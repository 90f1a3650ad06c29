"""Loading and offloading of weights: how near to the bus, and whether what was shared and swapped stays what it was."""

from collections.abc import Iterator, Mapping, Sequence

import torch

from ...engine.plan import Component, component_bytes
from ...engine.residency import WeightStore
from ...models.generators import Job
from ..throughput.timing import ratio, seconds_of, summary
from .generators import Generator
from .rows import Goal, Row, promise_row, row, spread_row

BUS = Goal(">=", 0.8)
"""Rate of a load over that of one copy from pinned memory: our choice."""
ROUNDED = Goal("<=", 1.05)
"""Bytes that the allocator holds for weights over the ledger's: our choice."""


def swap_rows(
    generators: Mapping[str, Generator],
    jobs: Sequence[Job],
    repeats: int,
    device: torch.device,
    pin: bool | None = None,
) -> Iterator[Row]:
    """Loads the first generator `repeats` times, beside a bare copy of as many bytes from pinned memory; then the
    second one beside it. jobs: of the first one. pin: see WeightStore.

    The generators' weights are with a store afterwards, which is dropped: they are of no further use.
    """
    first, *others = generators
    before = generators[first].floats(jobs)[0]
    store = WeightStore(pin)
    added = seconds_of(lambda: _add_all(store, generators), device)
    components = {name: _components(generator) for name, generator in generators.items()}
    nbytes = component_bytes(components[first])
    yield from _bus(store, first, nbytes, repeats, device, added)
    held = _reserved(device)
    store.load(first, device)
    taken = _reserved(device) - held if device.type == "cuda" else store.device_bytes(device)
    yield row(
        "bytes that torch holds for weights over the ledger's",
        taken / nbytes,
        "x",
        ROUNDED,
        bytes_held=taken,
        bytes=nbytes,
    )
    after = generators[first].floats(jobs)[0]
    same = torch.equal(before, after)
    yield promise_row("the same picture, to the last bit, before and after swaps", same)
    for name in others:
        expected = component_bytes([*components[first], *components[name]]) - nbytes
        copied = store.load(name, device)
        yield promise_row(
            f"what {name} shares with {first} is not copied again",
            copied == expected,
            bytes_copied=copied,
            bytes=expected,
        )


def _bus(store: WeightStore, name: str, nbytes: int, repeats: int, device: torch.device, added: float) -> Iterator[Row]:
    source = torch.empty(nbytes, dtype=torch.uint8, pin_memory=device.type == "cuda").fill_(1)
    target = torch.empty(nbytes, dtype=torch.uint8, device=device)
    times: dict[str, list[float]] = {"load": [], "offload": [], "bare": []}
    for _ in range(repeats + 1):
        times["load"].append(seconds_of(lambda: store.load(name, device), device))
        times["offload"].append(seconds_of(lambda: store.release(name), device))
        times["bare"].append(seconds_of(lambda: target.copy_(source, non_blocking=True), device))
    # The first turn warms up.
    load, offload, bare = (times[way][1:] for way in ("load", "offload", "bare"))
    rate, most = nbytes / summary(load)["median"], nbytes / summary(bare)["median"]
    yield spread_row(
        f"loading {name}: share of the bus",
        ratio(bare, load)["all"],
        "of a bare copy",
        BUS,
        bytes=nbytes,
        bytes_per_second=rate,
        bare_bytes_per_second=most,
        load_seconds=summary(load)["median"],
        pinning_seconds=added,
        note=f"{rate / 1e9:.1f} of {most / 1e9:.1f} GB/s, {nbytes / 1e9:.2f} GB",
    )
    yield spread_row(f"offloading {name}", offload, "s")


def _add_all(store: WeightStore, generators: Mapping[str, Generator]) -> None:
    for name, generator in generators.items():
        store.add(name, [(part.key, part.module) for part in generator.components])


def _components(generator: Generator) -> list[Component]:
    return [Component(part.key, part.nbytes) for part in generator.components]


def _reserved(device: torch.device) -> int:
    if device.type != "cuda":
        return 0
    # Else weights would be put into blocks that are cached from before, and nothing would seem to be taken.
    torch.cuda.empty_cache()
    return torch.cuda.memory_reserved(device)
