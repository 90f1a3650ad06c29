"""A plan in words and sums, for a person to check: `maia plan`."""

import json as json_module
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..models.errors import UserError
from .explain_vlm import explain_vlm, on_gpu, server_share
from .placement import COLUMNS, DoesNotFit, place
from .plan import Device, ModelFacts, Plan, component_bytes
from .profile import Profile, load_profile
from .remedies import changes_that_fit
from .sized import Sized
from .sizes import format_bytes
from .sizing import kept_bytes, memory_of, sized_models, to_place
from .vlm_sizing import ELSEWHERE, server_cache_bytes

LABEL, AMOUNT = 50, 10
"""Columns of text and of amounts; what follows has the rest of 80."""


def plan_command(
    profile: str,
    memory: str | None = None,
    gpus: int | None = None,
    jobs: int | None = None,
    json: Path | None = None,
) -> str:
    """The text of `maia plan`: lines of at most 80 columns. Needs neither a GPU nor weights.

    profile: a built-in profile's name or a path. memory: of each GPU, such as "24GiB", in the place of the profile's.
    gpus: how many. jobs: agents at work. json: a file that gets the plan in numbers. Raises DoesNotFit, whose text has
    the arithmetic and what would fit, and UserError for what is wrong in the profile or the arguments.
    """
    chosen = load_profile(profile)
    if jobs is not None:
        chosen = replace(chosen, jobs=jobs)
    models, amounts = sized_models(chosen), memory_of(chosen, memory, gpus)
    plan = plan_profile(chosen, models, amounts)
    if json is not None:
        try:
            json.write_text(
                json_module.dumps(plan_as_json(plan, chosen.jobs, amounts), indent=1) + "\n", encoding="utf-8"
            )
        except OSError as problem:
            raise UserError(f"{json} cannot be written: {problem.strerror}.") from None
    return explain(plan, models, amounts, chosen)


def plan_profile(profile: Profile, models: Sequence[Sized], amounts: Mapping[str, int]) -> Plan:
    """The plan for the profile's models. amounts: bytes that may be used of each device (`sizing.memory_of`). Raises
    DoesNotFit, with changes of the profile that would be enough."""
    facts, devices = to_place(profile, [model.facts for model in models], amounts)
    try:
        return place(facts, devices, profile.jobs)
    except DoesNotFit:
        pass
    try:
        return place(facts, devices, profile.jobs, changes_that_fit(profile, amounts))
    except DoesNotFit as problem:
        reserved = max(sum(kept_bytes(profile, device.name).values()) for device in devices)
        raise DoesNotFit(problem.smallest, problem.arithmetic, problem.remedies, reserved) from None


def explain(plan: Plan, models: Sequence[Sized], amounts: Mapping[str, int], profile: Profile) -> str:
    """The plan's text. models: those of the plan, with sources; amounts: bytes that may be used of each device."""
    named = {model.facts.name: model for model in models}
    here = [device for device in plan.devices if device.name != ELSEWHERE]
    many = f"{len(here)} devices" if len(here) > 1 else here[0].name
    lines = [f"Plan for {profile.jobs} agents at work on {many}. Amounts in GiB.", ""]
    for device in here:
        lines += _device(plan, device, named, amounts[device.name], kept_bytes(profile, device.name))
    if profile.world == "testbed":
        lines += ["The offline world draws and describes on the CPU beside this: not counted here.", ""]
    else:
        lines += _times(plan, named, profile.jobs)
    lines += explain_vlm(plan, named, profile, amounts)
    lines += _host(plan)
    return "\n".join(line.rstrip() for line in lines)


def _hundredths(nbytes: int) -> int:
    return round(nbytes * 100 / 2**30)


class _Sum:
    """Rows of a sum. Amounts are rounded so that the rows as they are shown add up to the sum as it is shown."""

    def __init__(self, nbytes: int = 0) -> None:
        self.nbytes = nbytes
        self.lines: list[str] = []

    def add(self, label: str, nbytes: int, note: str = "") -> None:
        shown = _hundredths(self.nbytes + nbytes) - _hundredths(self.nbytes)
        self.nbytes += nbytes
        self.lines.append(_row(label, shown, note))

    def total(self, label: str) -> None:
        self.lines.append(_row(label, _hundredths(self.nbytes), ""))


def _row(label: str, hundredths: int, note: str) -> str:
    start = f"{label}\n" if len(label) > LABEL else ""
    return f"{start}{'' if start else label:<{LABEL}}{hundredths / 100:>{AMOUNT}.2f}  {note}"


def _device(plan: Plan, device: Device, named: Mapping[str, Sized], amount: int, kept: Mapping[str, int]) -> list[str]:
    lines = [device.name]
    lines.append(_row("  memory that may be used", _hundredths(amount), ""))
    left = amount
    for what, nbytes in kept.items():
        lines.append(_row(f"  - {what}", _hundredths(left) - _hundredths(left - nbytes), "estimate"))
        left -= nbytes
    lines.append(_row("  = for models", _hundredths(device.memory), ""))
    here = plan.on(device.name)
    staying = [facts for facts in here if plan.places[facts.name].resident]
    swapped = [facts for facts in here if not plan.places[facts.name].resident]
    counted: dict[str, str] = {}
    base = _Sum()
    if staying:
        lines += ["", "  stays loaded"]
        for facts in staying:
            _weights(base, named[facts.name], counted)
            if facts.kind == "server":
                _workspace(base, named[facts.name], plan)
        base.total("  = taken at any time")
        lines += base.lines
    most = base.nbytes
    working = [facts for facts in staying if facts.kind == "batch"]
    if working:
        largest = max(working, key=lambda facts: facts.workspace.nbytes(plan.places[facts.name].batch))
        part = _Sum(base.nbytes)
        lines += ["", f"  while one of them works; {largest.name} takes most"]
        _workspace(part, named[largest.name], plan)
        part.total("  = with what stays")
        lines += part.lines
        most = max(most, part.nbytes)
    if swapped:
        lines += ["", "  loaded when needed, at least one at a time beside what stays"]
    for facts in swapped:
        part = _Sum(base.nbytes)
        _weights(part, named[facts.name], dict(counted))
        _workspace(part, named[facts.name], plan)
        part.total("  = with what stays")
        lines += part.lines
        most = max(most, part.nbytes)
    lines += ["", _row("  at most in use", _hundredths(most), "")]
    lines += [_row("  left", _hundredths(device.memory) - _hundredths(most), ""), ""]
    return lines


def _weights(total: _Sum, model: Sized, counted: dict[str, str]) -> None:
    total.lines.append(f"    {model.facts.name}: {model.title}")
    for name, component in zip(model.parts, model.facts.components, strict=True):
        if component.key in counted:
            total.lines.append(f"      {name}: shared with {counted[component.key]}, counted there")
            continue
        total.add(f"      {name}", component.nbytes, model.weights)
        counted[component.key] = model.facts.name


def _workspace(total: _Sum, model: Sized, plan: Plan) -> None:
    batch = plan.places[model.facts.name].batch
    for text, fixed, per_item in model.terms:
        if fixed:
            total.add(f"      {text}", fixed, model.workspace)
        elif per_item:
            total.add(f"      {text}: {format_bytes(per_item)} x {batch}", per_item * batch, model.workspace)


def _times(plan: Plan, named: Mapping[str, Sized], jobs: int) -> list[str]:
    lines = [f"{'model':<19}{'device':<10}{'loaded':<13}{'batch':>6}{'a unit':>8}{'seconds':>10}{'of that swaps':>14}"]
    totals = dict.fromkeys((device.name for device in plan.devices), 0.0)
    for facts in plan.models:
        spot = plan.places[facts.name]
        swaps = swap_seconds(plan, facts, jobs)
        seconds = facts.items_per_unit * facts.duration.seconds(spot.batch) / spot.batch + swaps
        totals[spot.device] += seconds
        lines.append(
            f"{facts.name[:18]:<19}{spot.device:<10}{'stays' if spot.resident else 'when needed':<13}{spot.batch:>6}"
            f"{facts.items_per_unit:>8g}{seconds:>10.1f}{swaps:>14.2f}"
        )
    busiest = max(totals, key=lambda name: totals[name])
    where = "the server elsewhere" if busiest == ELSEWHERE else busiest
    hour = f": {3600 / plan.seconds:.0f} units an hour" if plan.seconds else ""
    lines += ["", f"Describing a unit takes {where} about {plan.seconds:.0f} s{hour}."]
    if any(named[facts.name].duration == "estimate" for facts in plan.models):
        lines += ["Times are rough estimates for one A100, not measured, and so are the items of a", "unit."]
    if plan.exact:
        lines.append("No other plan for these sizes and times is faster.")
    else:
        lines.append(f"No plan is faster by more than {plan.gap:.0%} of the best.")
    return [*lines, ""]


def swap_seconds(plan: Plan, facts: ModelFacts, jobs: int) -> float:
    """Seconds of a unit that copying the model to its device takes, as placement reckons."""
    spot = plan.places[facts.name]
    if spot.resident:
        return 0.0
    staying = [part for other in plan.on(spot.device) if plan.places[other.name].resident for part in other.components]
    copied = component_bytes([*staying, *facts.components]) - component_bytes(staying)
    return facts.items_per_unit / facts.items_per_call / jobs * copied / plan.device(spot.device).link


def host_copies(plan: Plan) -> tuple[int, int]:
    """Bytes of main memory: pinned copies of weights that this program holds, and those of servers that sleep."""
    own = component_bytes(part for facts in plan.models if facts.kind == "batch" for part in facts.components)
    asleep = sum(
        facts.nbytes for facts in plan.models if facts.kind == "server" and not plan.places[facts.name].resident
    )
    return own, asleep


def _host(plan: Plan) -> list[str]:
    own, asleep = host_copies(plan)
    more = f", and {format_bytes(asleep)} for the server's while it sleeps" if asleep else ""
    return textwrap.wrap(f"Main memory: {format_bytes(own)} for copies of weights{more}.", COLUMNS)


def plan_as_json(plan: Plan, jobs: int, amounts: Mapping[str, int]) -> dict[str, Any]:
    """The plan in numbers: bytes and seconds. amounts: see `plan_profile`."""
    own, asleep = host_copies(plan)
    return {
        "jobs": jobs,
        "devices": {device.name: {"memory": device.memory, "link": device.link} for device in plan.devices},
        "models": {
            facts.name: {
                "device": plan.places[facts.name].device,
                "resident": plan.places[facts.name].resident,
                "batch": plan.places[facts.name].batch,
                "kind": facts.kind,
                "weights": facts.nbytes,
                "components": {part.key: part.nbytes for part in facts.components},
                "workspace": facts.workspace.nbytes(plan.places[facts.name].batch),
                "server_share": server_share(plan, facts.name, amounts) if on_gpu(plan, facts.name) else None,
                "server_cache": server_cache_bytes(plan, facts.name) if facts.kind == "server" else None,
                "swap_seconds": swap_seconds(plan, facts, jobs),
            }
            for facts in plan.models
        },
        "seconds": plan.seconds,
        "bound": plan.bound,
        "exact": plan.exact,
        "host_bytes": own + asleep,
    }
