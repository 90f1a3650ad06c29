"""From a profile to a run's scheduler: its models with their sizes, the devices there are, the plan, the runners."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch

from ..models.diffusion.components import weights_bytes
from ..models.generators import EditGenerator, TextToImageGenerator, load_editor, load_text_to_image
from ..models.targets import Target
from .allocator import limit_allocators
from .placement import place
from .plan import Component, Device, Duration, ModelFacts, Plan
from .profile import GENERATORS, Profile, generator_options
from .residency import WeightStore
from .runners.base import Runner
from .runners.describer import DESCRIBER, DescriberRunner, ImageDescriber
from .runners.generator import TEXT_TO_IMAGE, GeneratorRunner
from .runners.target import TargetRunner
from .runners.world import WORLD, DrawingWorld, WorldRunner
from .scheduler import Scheduler
from .sizing import CPU, devices_of, host_bytes, sized_models
from .targets import GPU_BATCH, device_of, weight_modules
from .vlm import Vlm
from .vlm_runner import vlm_runner
from .vlm_sizing import ELSEWHERE, IN_PROCESS, elsewhere

DRAWING = "drawing"
"""The device that the offline world draws on: processor time beside that of networks, and no memory worth counting."""
HOST_LINK = 1e10
"""Bytes a second from the host's memory to the host's memory: a rough figure."""

WORLD_FACTS = ModelFacts(
    WORLD, duration=Duration(0.0, 0.013), max_batch=16, items_per_unit=110, items_per_call=10, devices=(DRAWING,)
)
DESCRIBER_FACTS = ModelFacts(
    DESCRIBER, duration=Duration(0.0, 0.03), max_batch=16, items_per_unit=110, items_per_call=10, devices=(CPU,)
)
TARGET_FACTS = ModelFacts(
    "target", duration=Duration(0.0, 0.02), max_batch=GPU_BATCH, items_per_unit=230, items_per_call=10
)
"""Seconds on one core; items of the scripted experimenter's average unit, roughly."""


def assemble(
    targets: Mapping[str, Target],
    world: DrawingWorld,
    describer: ImageDescriber,
    jobs: int,
    profile: Profile | None = None,
    vlm: Vlm | None = None,
    say: Callable[[str], None] = lambda what: None,
) -> Scheduler:
    """The scheduler of a run, for `jobs` agents: the offline world, its describer, the targets (by name), the profile's
    generators, if it names any, and the vision-language model, if one is given. Takes over the weights of targets and
    generators.

    profile: says what memory may be used; None: all of the host's. say: is told how the start of a server goes.
    Raises UserError for what cannot be loaded, and DoesNotFit.
    """
    store = WeightStore()
    own = None if profile is None else _of_this_machine(profile, vlm)
    devices = [Device(CPU, host_bytes(), HOST_LINK)] if own is None else devices_of(own)
    computing = tuple(device.name for device in devices)
    if CPU not in computing:
        devices.append(Device(CPU, host_bytes(), HOST_LINK))
    pipelines = own is not None and (
        own.backbone == IN_PROCESS or any(getattr(own, task) is not None for task in GENERATORS)
    )
    devices = [replace(device, slots=_slots(pipelines)) if device.name == CPU else device for device in devices]
    runners: list[Runner] = [WorldRunner(world, WORLD_FACTS), DescriberRunner(describer, DESCRIBER_FACTS, store)]
    runners += [TargetRunner(target, _target_facts(target, computing, own), store) for target in targets.values()]
    planned: Callable[[Plan], None] = lambda plan: None  # noqa: E731
    if own is not None:
        runners += _generators(own, computing, store)
        if vlm is not None:
            runner, planned = vlm_runner(vlm, own, store, computing, say)
            runners.append(runner)
            devices += [elsewhere()] if runner.facts.devices == (ELSEWHERE,) else []
    devices.append(Device(DRAWING, 0, HOST_LINK))
    plan = place([runner.facts for runner in runners], devices, jobs)
    planned(plan)
    limit_allocators(plan)
    for runner in runners:
        if isinstance(runner, GeneratorRunner):
            runner.set_batch(plan.places[runner.facts.name].batch)
    return Scheduler(plan, {runner.facts.name: runner for runner in runners})


def _of_this_machine(profile: Profile, vlm: Vlm | None) -> Profile:
    """The profile as a run uses it: on the CPU where there is no GPU, whatever one may plan for; and without a
    vision-language model that nothing asks."""
    device = profile.device or (None if torch.cuda.is_available() else CPU)
    return replace(profile, device=device, vlm=profile.vlm if vlm is not None else None)


def _slots(pipelines: bool) -> int:
    """Batches at a time on the CPU. Networks answer on one thread, so that their bits are always the same: as many of
    them work as there are cores. A pipeline, or a vision-language model in this process, takes all cores for itself."""
    return 1 if pipelines else len(os.sched_getaffinity(0))


def _target_facts(target: Target, computing: tuple[str, ...], profile: Profile | None) -> ModelFacts:
    """Weights as they are; workspace and times from the catalogue. Neurons that look scenes up have neither."""
    modules = weight_modules(target)
    if not modules:
        return replace(TARGET_FACTS, name=target.name, devices=(CPU,))
    facts = TARGET_FACTS
    if profile is not None:
        facts = sized_models(replace(profile, target=target.name, text2image=None, edit=None, vlm=None))[-1].facts
    components = tuple(Component(key, weights_bytes(module)) for key, module in modules.items())
    where = computing if device_of(target).type == "cuda" else (CPU,)
    return replace(facts, name=target.name, components=components, devices=where)


def _generators(profile: Profile, computing: tuple[str, ...], store: WeightStore) -> list[GeneratorRunner]:
    device = torch.device(computing[0])
    loaded: dict[str, TextToImageGenerator | EditGenerator] = {}
    for task in GENERATORS:
        if getattr(profile, task) is not None:
            _, options = generator_options(profile, task)
            load = load_text_to_image if task == TEXT_TO_IMAGE else load_editor
            loaded[task] = load(options, device, share_with=loaded.values())
    # Only now: a runner takes the weights out of its generator.
    sized = {model.facts.name: model.facts for model in sized_models(replace(profile, vlm=None))}
    where = {name: name for name in computing}
    return [
        GeneratorRunner(
            generator,
            store,
            sized[task].workspace,
            sized[task].duration,
            sized[task].items_per_unit,
            sized[task].items_per_call,
            where,
        )
        for task, generator in loaded.items()
    ]
