"""From a profile to a scheduler: the run's models with their sizes, the devices there are, the plan, the runners."""

import os
from collections.abc import Mapping
from dataclasses import replace

from ..models.diffusion.components import weights_bytes
from ..models.targets import Target
from ..models.testbed.describer import Describer
from .placement import place
from .plan import Component, Device, Duration, ModelFacts
from .residency import WeightStore
from .runners.base import Runner
from .runners.describer import DESCRIBER, DescriberRunner
from .runners.target import TargetRunner
from .runners.world import WORLD, DrawingWorld, WorldRunner
from .scheduler import Scheduler
from .targets import GPU_BATCH, NetworkTarget

DRAWING = "drawing"
"""The device that the offline world draws on: processor time beside that of networks, and no memory worth counting."""
CPU = "cpu"

WORLD_FACTS = ModelFacts(
    WORLD, duration=Duration(0.0, 0.013), max_batch=16, items_per_unit=110, items_per_call=10, devices=(DRAWING,)
)
"""Seconds measured on one core (docs/testbed.md); items of the scripted experimenter's average unit."""
DESCRIBER_FACTS = ModelFacts(
    DESCRIBER, duration=Duration(0.0, 0.03), max_batch=16, items_per_unit=110, items_per_call=10, devices=(CPU,)
)
TARGET_FACTS = ModelFacts(
    "target", duration=Duration(0.0, 0.02), max_batch=GPU_BATCH, items_per_unit=230, items_per_call=10
)


def assemble(targets: Mapping[str, Target], world: DrawingWorld, describer: Describer, jobs: int) -> Scheduler:
    """The scheduler of a run: its world, its describer, its targets (by name), placed for `jobs` agents.

    Raises UserError (placement.DoesNotFit) if they do not fit.
    """
    store = WeightStore()
    runners: dict[str, Runner] = {
        WORLD: WorldRunner(world, WORLD_FACTS),
        DESCRIBER: DescriberRunner(
            describer, replace(DESCRIBER_FACTS, components=(Component(DESCRIBER, describer.nbytes),))
        ),
    }
    devices = [Device(DRAWING, 1, 1e9), Device(CPU, host_memory(), 1e9)]
    for name, target in targets.items():
        runners[name] = TargetRunner(target, target_facts(target), store)
    plan = place([runner.facts for runner in runners.values()], devices, jobs)
    return Scheduler(plan, runners)


def target_facts(target: Target) -> ModelFacts:
    """Facts of a target: its network's weights; ground-truth neurons have none."""
    facts = replace(TARGET_FACTS, name=target.name, devices=(CPU,))
    if not isinstance(target, NetworkTarget):
        return facts
    return replace(facts, components=(Component(target.fingerprint, weights_bytes(target.network.module)),))


def host_memory() -> int:
    """Bytes of the machine's main memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
