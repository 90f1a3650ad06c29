"""Placement: which models stay on which device, which are swapped in, and how large their batches are.

Memory. On a device with residents R, for every model m that is placed there,

    weights(R and m) + held(R) + active(m) + beside(m) <= memory

weights: bytes of the distinct components. held: workspaces of the resident servers, for the plan's concurrency; they
are taken all the time. active: the workspace of a batch of m (of a server that is not resident: for the plan's
concurrency; of one that is: nothing more). beside: with `slots` > 1, as many workspaces of the largest resident's batch
as can run beside m: min(slots - 1, other residents that run batches). So a loaded model never waits for workspace,
whichever other residents are at work, and one model at a time can be swapped in while they are.

Batches. A model's batch is one of `batch_sizes(limit)`, where the limit is max_batch, and what the agents can fill:
each has one call under way, hence jobs * items_per_call items; a server takes one request of each agent.

Seconds. Describing a unit costs on a device, summed over the models on it,

    items_per_unit * duration(batch) / batch  +  (if not resident)  calls per unit / jobs * bytes to copy / link

since the calls of all agents gather while a model is away, and one swap serves them all; calls per unit are
items_per_unit / items_per_call, and what residents share with the model is not copied. Two swapped models that fit
together are charged as if they did not. The objective is the busiest device's seconds, then the sum over devices.

Up to `EXACT_MODELS` models the plan is optimal (dynamic programming over subsets of models: for each device over its
residents, then over devices). Beyond, it is a local optimum, and `Plan.bound` tells how far from the optimum at most.
What holds of both in practice, on 500 random instances of 6 to 10 models on one to three devices: the local optimum is
within 8 % of the optimum (19 of 20: within 1 %), the optimum within 30 % of the bound (19 of 20: within 20 %). Where
models barely fit on several devices, which the bound does not see, the optimum may be twice the bound.
"""

import itertools
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..models.errors import UserError
from .placement_device import must_stay
from .placement_search import Assignment, LocalSearch, lower_bound, solve_exactly
from .plan import Device, ModelFacts, Place, Plan, component_bytes
from .sizes import format_bytes

EXACT_MODELS = 10
"""So many models are placed optimally: a second on one core."""

COLUMNS = 80
"""Of a terminal."""

MOST_SERVERS = 3
"""Servers' shares are tried in every combination."""


@dataclass(frozen=True)
class Change:
    """Something a person could change when a plan does not fit. text: said of it, as in "serve llava in 4 bits"."""

    text: str
    models: tuple[ModelFacts, ...]
    devices: tuple[Device, ...]


class DoesNotFit(UserError):
    """The models fit on the devices in no way. smallest: bytes that every device needs at least so that they do.

    arithmetic: the lines that show what is too large. remedies: changes each of which was found to be enough.
    """

    def __init__(self, smallest: int, arithmetic: Sequence[str], remedies: Sequence[str], reserved: int = 0) -> None:
        """reserved: bytes of a device that are no model's, and come on top of `smallest` in the text."""
        self.smallest, self.arithmetic, self.remedies = smallest, tuple(arithmetic), tuple(remedies)
        memory = f"{format_up(smallest + reserved)} of memory to use on each device"
        lines = ["the models do not fit:", *arithmetic, "Each of these would be enough:"]
        for remedy in (memory, *remedies):
            lines += textwrap.wrap(
                remedy, COLUMNS, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False
            )
        super().__init__("\n".join(lines))


def place(
    models: Sequence[ModelFacts],
    devices: Sequence[Device],
    jobs: int,
    changes: Sequence[Change] | None = None,
    exact_models: int = EXACT_MODELS,
) -> Plan:
    """The plan for `jobs` agents at work. Pure; the same arguments give the same plan.

    changes: what the error may propose beside more memory, if it is enough (None: `own_changes`). Raises DoesNotFit,
    and UserError for a model that is allowed on none of the devices, or more than `MOST_SERVERS` servers.
    """
    _check(models, devices, jobs)
    if len(models) <= exact_models:
        found = solve_exactly(models, devices, jobs)
    else:
        start = _feasible(models, devices)
        found = None if start is None else LocalSearch(models, devices, jobs).solve(start)
    if found is None:
        raise _does_not_fit(models, devices, jobs, changes)
    return _plan(models, devices, jobs, found, exact=len(models) <= exact_models)


def _check(models: Sequence[ModelFacts], devices: Sequence[Device], jobs: int) -> None:
    names = [device.name for device in devices]
    if not names:
        raise UserError("there is no device to place models on.")
    if jobs < 1:
        raise UserError(f"jobs must be at least 1, not {jobs}.")
    for what, given in (("models", [model.name for model in models]), ("devices", names)):
        if twice := sorted({name for name in given if given.count(name) > 1}):
            raise UserError(f"{what} need names of their own: {', '.join(twice)} is there twice.")
    for model in models:
        if model.devices is not None and not set(model.devices) & set(names):
            raise UserError(f"{model.name} may only be on {', '.join(model.devices)}: choose from {', '.join(names)}.")
    sizes: dict[str, int] = {}
    for part in (part for model in models for part in model.components):
        if sizes.setdefault(part.key, part.nbytes) != part.nbytes:
            raise UserError(f"the component {part.key} has two sizes, {sizes[part.key]} and {part.nbytes} bytes.")
    if sum(model.kind == "server" for model in models) > MOST_SERVERS:
        raise UserError(f"at most {MOST_SERVERS} of the models can be servers.")


def _plan(models: Sequence[ModelFacts], devices: Sequence[Device], jobs: int, found: Assignment, exact: bool) -> Plan:
    places, totals = {}, []
    for device, (subset, residents, configuration) in zip(devices, found, strict=True):
        members = [i for i in range(len(models)) if subset >> i & 1]
        totals.append(sum(configuration.seconds[i] for i in members))
        for i in members:
            places[models[i].name] = Place(device.name, bool(residents >> i & 1), configuration.batches[i])
    seconds = max(totals)
    # The bound is rounded, too: it may not pass a plan that reaches it.
    bound = seconds if exact else min(seconds, lower_bound(models, devices, jobs))
    in_order = {model.name: places[model.name] for model in models}
    return Plan(tuple(devices), tuple(models), in_order, seconds, bound, exact)


@dataclass(frozen=True)
class Need:
    """What a model takes at least on a device: its weights with those of servers that must stay, their workspaces,
    and its own for one item."""

    model: ModelFacts
    device: Device
    beside: tuple[ModelFacts, ...]

    @property
    def parts(self) -> tuple[int, int, int]:
        """Bytes: weights, held workspaces, the model's own workspace."""
        models = {model.name: model for model in (*self.beside, self.model)}
        held = sum(model.workspace.nbytes(1) for model in self.beside)
        own = 0 if self.model.name in {model.name for model in self.beside} else self.model.workspace.nbytes(1)
        return component_bytes(part for model in models.values() for part in model.components), held, own

    @property
    def nbytes(self) -> int:
        """Bytes in all."""
        return sum(self.parts)


def _layouts(models: Sequence[ModelFacts], devices: Sequence[Device]) -> Iterator[list[list[Need]]]:
    """For each way to spread the servers that must stay over the devices: what each model needs where it may be.

    If all else is swapped, and batches have one item, nothing needs less: this decides whether a plan exists.
    """
    staying = [model for model in models if must_stay(model)]
    for chosen in itertools.product(*(_allowed(model, devices) for model in staying)):
        home = {model.name: device for model, device in zip(staying, chosen, strict=True)}
        needs = []
        for model in models:
            where = [home[model.name]] if model.name in home else _allowed(model, devices)
            beside = {device.name: tuple(other for other in staying if home[other.name] == device) for device in where}
            needs.append([Need(model, device, beside[device.name]) for device in where])
        yield needs


def _allowed(model: ModelFacts, devices: Sequence[Device]) -> list[Device]:
    return [device for device in devices if model.devices is None or device.name in model.devices]


def _feasible(models: Sequence[ModelFacts], devices: Sequence[Device]) -> list[int] | None:
    """A device for every model on which it fits if all that can is offloaded; None if there is none."""
    positions = {device.name: i for i, device in enumerate(devices)}
    for layout in _layouts(models, devices):
        fitting = [[need for need in needs if need.nbytes <= need.device.memory] for needs in layout]
        if all(fitting):
            # The roomiest device of each: the others follow by moves.
            best = [max(needs, key=lambda need: need.device.memory - need.nbytes) for needs in fitting]
            return [positions[need.device.name] for need in best]
    return None


def smallest_memory(models: Sequence[ModelFacts], devices: Sequence[Device]) -> tuple[int, list[Need]]:
    """Bytes that every device would need at least (those with more keep it) so that a plan exists; 0: one does.

    With it what models need that do not fit, in the layout of servers that needs least.
    """
    best: tuple[int, list[Need]] | None = None
    for layout in _layouts(models, devices):
        lacking = []
        for needs in layout:
            if all(need.nbytes > need.device.memory for need in needs):
                lacking.append(min(needs, key=lambda need: need.nbytes))
        smallest = max((need.nbytes for need in lacking), default=0)
        if best is None or smallest < best[0]:
            best = smallest, lacking
    assert best is not None  # `_check`: every model has a device
    return best


def _does_not_fit(
    models: Sequence[ModelFacts], devices: Sequence[Device], jobs: int, changes: Sequence[Change] | None
) -> DoesNotFit:
    smallest, lacking = smallest_memory(models, devices)
    lacking = sorted(lacking, key=lambda need: -need.nbytes)
    # The one that decides, and servers that must stay, which take the room of the others.
    shown = [need for need in lacking if need is lacking[0] or must_stay(need.model)]
    arithmetic = [line for need in shown for line in _arithmetic(need)]
    if more := [need.model.name for need in lacking if need not in shown]:
        arithmetic.append(f"  nor do, with less: {', '.join(more)}")
    remedies = []
    for change in own_changes(models, devices) if changes is None else changes:
        if smallest_memory(change.models, change.devices)[0] == 0:
            place(change.models, change.devices, jobs)  # the proof; it raises if the two should ever disagree
            remedies.append(change.text)
    return DoesNotFit(smallest, arithmetic, remedies)


def own_changes(models: Sequence[ModelFacts], devices: Sequence[Device]) -> Iterator[Change]:
    """What could help with any models: a server that sleeps, one more device like the largest."""
    for model in models:
        if must_stay(model):
            asleep = tuple(replace(other, can_sleep=True) if other is model else other for other in models)
            yield Change(f"let the server of {model.name} sleep while others work", asleep, tuple(devices))
    largest = max(devices, key=lambda device: device.memory)
    name = f"{largest.name}, again"
    # A model that may be on the device may be on its like.
    models = tuple(
        replace(model, devices=(*model.devices, name))
        if model.devices is not None and largest.name in model.devices
        else model
        for model in models
    )
    yield Change(
        f"one more device such as {largest.name}",
        models,
        (*devices, replace(largest, name=name)),
    )


def _arithmetic(need: Need) -> list[str]:
    weights, held, own = need.parts
    others = [model.name for model in need.beside if model.name != need.model.name]
    with_whom = f" with {', '.join(others)}, which may not leave" if others else ""
    terms = [f"      {format_bytes(weights):>10} weights{with_whom}"]
    if held:
        terms.append(f"    + {format_bytes(held):>10} held by the server")
    if own:
        item = "request" if need.model.kind == "server" else "item"
        terms.append(f"    + {format_bytes(own):>10} workspace for one {item}")
    return [
        f"  {need.model.name} on {need.device.name}:",
        *terms,
        f"    = {format_up(need.nbytes):>10}, more than the {format_bytes(need.device.memory)} for models",
    ]


def format_up(nbytes: int) -> str:
    """As `format_bytes`, but never less than what is meant: rounded up to a hundredth of a GiB."""
    hundredths = -(-nbytes * 100 // 2**30)
    return f"{hundredths / 100:.2f} GiB" if nbytes >= 2**30 else f"{-(-nbytes // 2**20)} MiB"
