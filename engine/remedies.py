"""What could be changed in a profile so that its models fit: the least changes that do, found by trying them."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .catalogue import catalogue
from .placement import Change, smallest_memory
from .profile import GENERATORS, Profile, generator_options, vlm_options
from .sizing import CPU, models_of, to_place
from .vlm_options import VlmOptions
from .vlm_sizing import IN_PROCESS, runs_here

SHOWN = 4
"""Changes that are proposed at most."""

TOGETHER = 3
"""Changes that are tried together at most."""


@dataclass(frozen=True)
class Option:
    """A change of a profile. topic: of two options with one topic only one makes sense."""

    topic: str
    text: str
    apply: Callable[[Profile], Profile]


def changes_that_fit(profile: Profile, amounts: Mapping[str, int]) -> list[Change]:
    """Changes after which there is a plan, with as few of them together as that takes (none if more than TOGETHER).

    Of options that differ in degree (contexts, smaller models) the mildest that is enough. amounts: bytes that may be
    used of each device.
    """
    options = list(_options(profile))
    found: list[Change] = []
    for count in range(1, TOGETHER + 1):
        seen: set[tuple[str, ...]] = set()
        for chosen in itertools.combinations(options, count):
            topics = tuple(option.topic for option in chosen)
            if len(set(topics)) < count or topics in seen:
                continue
            changed = profile
            for option in chosen:
                changed = option.apply(changed)
            models, devices = to_place(changed, models_of(changed), amounts)
            if smallest_memory(models, devices)[0] == 0:
                seen.add(topics)
                found.append(Change(" and ".join(option.text for option in chosen), tuple(models), tuple(devices)))
        if found:
            break
    return [*found[:SHOWN], *_one_more(profile, amounts)]


def _one_more(profile: Profile, amounts: Mapping[str, int]) -> Iterator[Change]:
    """A further GPU like the largest, if that is enough."""
    largest = max(amounts, key=lambda name: amounts[name])
    if largest == CPU:
        return
    name = next(name for i in itertools.count() if (name := f"cuda:{i}") not in amounts)
    models, devices = to_place(profile, models_of(profile), {**amounts, name: amounts[largest]})
    if smallest_memory(models, devices)[0] == 0:
        yield Change(f"one more GPU such as {largest}", tuple(models), tuple(devices))


def _options(profile: Profile) -> Iterator[Option]:
    """The mildest first."""
    served = vlm_options(profile) if runs_here(profile) else None
    if served is not None:
        if not served.sleep and profile.backbone != IN_PROCESS:
            yield Option("sleep", "let the served model sleep (vlm: sleep: true)", _vlm(sleep=True))
        for context in (8192, 4096):
            if context < served.context:
                yield Option("context", f"a context of {context} tokens (vlm: context)", _vlm(context=context))
        if served.quantization is None:
            yield Option("bits", "weights in 4 bits (vlm: quantization: 4bit)", _vlm(quantization="4bit"))
        if served.dtype == "fp32":
            yield Option("dtype", "16 bits a number (vlm: dtype: bf16)", _vlm(dtype="bf16"))
        yield from _smaller(served)
    for task in (task for task in GENERATORS if getattr(profile, task) is not None):
        name, options = generator_options(profile, task)
        if not options.vae_slicing:
            yield Option(
                f"{task} slicing",
                f"pictures decoded one by one ({task}: vae_slicing: true)",
                _of(task, vae_slicing=True),
            )
        if options.dtype == "fp32":
            yield Option(f"{task} dtype", f"16 bits a number ({task}: dtype: fp16)", _of(task, dtype="fp16"))
        size = options.size or (catalogue().generators[name].size if name in catalogue().generators else 512)
        if size > 512:
            yield Option(f"{task} size", f"pictures of 512 pixels ({task}: size: 512)", _of(task, size=512))
        for other in ("sdxl-turbo", "stable-diffusion-v1-5"):
            if (task == "text2image" and name == "flux-schnell") or (task, name, other) == (
                "text2image",
                "sdxl-turbo",
                "stable-diffusion-v1-5",
            ):
                text = f"a smaller generator ({task}: model: {other})"
                yield Option(f"{task} model", text, _of(task, model=other, path=None, size=None))


def _smaller(served: VlmOptions) -> Iterator[Option]:
    """Smaller models of the catalogue. A folder holds one model, and an adapter fits one: where the profile names
    either, or a family, the change would be more than another name."""
    known = catalogue().vlms
    if served.path is not None or served.model not in known or served.adapters or served.family:
        return
    for name in sorted(known, key=lambda name: -known[name].parameters):
        if known[name].parameters < known[served.model].parameters:
            context = min(served.context, known[name].context)
            yield Option("vlm", f"a smaller model (vlm: model: {name})", _vlm(model=name, context=context))


def _vlm(**entries: Any) -> Callable[[Profile], Profile]:
    return _of("vlm", **entries)


def _of(field: str, **entries: Any) -> Callable[[Profile], Profile]:
    def apply(profile: Profile) -> Profile:
        mapping: Mapping[str, Any] = getattr(profile, field)
        changed: dict[str, Any] = {field: {**mapping, **entries}}
        return replace(profile, **changed)

    return apply
