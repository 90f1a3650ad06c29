"""What `maia bench scheduler` replays: agents, models, memory and links; recorded runs with real models' sizes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...engine.placement import place
from ...engine.plan import Device, ModelFacts, Plan, component_bytes
from .real_sizes import GIB, MODELS, SETS
from .traces import Request, Step, Trace, recorded, synthetic, with_demand

SLOW_LINK, FAST_LINK = 12e9, 25e9
"""Bytes a second that PCIe 3.0 and 4.0 with 16 lanes bring in practice."""


@dataclass(frozen=True)
class Scenario:
    """A trace and the plan that placement makes for it."""

    name: str
    trace: Trace
    plan: Plan
    facts: dict[str, object]

    @property
    def pressure(self) -> bool:
        """Some device cannot hold all of its models that are asked for at once, with the largest one's workspace."""
        return any(_needed(self.plan, device) > device.memory for device in self.plan.devices)


@dataclass(frozen=True)
class Synthetic:
    """A made-up scenario: so many agents describe so many units each, with a set of models on equal devices."""

    models: str
    memory_gib: int
    agents: int
    units: int
    link: float
    devices: int = 1

    def build(self, seed: int) -> Scenario:
        """Its trace and plan."""
        chosen = SETS[self.models]
        trace = synthetic(self.agents, self.units, chosen.roles, seed)
        facts = with_demand(chosen.models, trace, self.agents * self.units)
        devices = [Device(f"gpu{n}", self.memory_gib * GIB, self.link) for n in range(self.devices)]
        size = f"{self.devices} x {self.memory_gib}" if self.devices > 1 else f"{self.memory_gib}"
        name = f"{self.models}, {size} GiB, {self.agents} agent{'s' if self.agents > 1 else ''}"
        return Scenario(name, trace, place(facts, devices, self.agents), self.__dict__.copy())


SYNTHETIC = (
    Synthetic("paper-4bit", 12, 1, 4, SLOW_LINK),
    Synthetic("paper-4bit", 12, 4, 3, SLOW_LINK),
    Synthetic("paper-4bit", 12, 16, 2, SLOW_LINK),
    Synthetic("paper-4bit", 12, 64, 1, SLOW_LINK),
    Synthetic("paper-4bit", 16, 16, 2, SLOW_LINK),
    Synthetic("paper", 16, 1, 4, SLOW_LINK),
    Synthetic("paper", 16, 4, 3, SLOW_LINK),
    Synthetic("paper", 16, 16, 2, SLOW_LINK),
    Synthetic("paper", 24, 1, 4, FAST_LINK),
    Synthetic("paper", 24, 4, 3, FAST_LINK),
    Synthetic("paper", 24, 16, 2, FAST_LINK),
    Synthetic("paper", 24, 64, 1, FAST_LINK),
    Synthetic("paper", 24, 1000, 1, FAST_LINK),
    Synthetic("generators", 24, 16, 2, FAST_LINK),
    Synthetic("generators", 24, 32, 1, FAST_LINK, devices=2),
    Synthetic("flux", 48, 4, 2, FAST_LINK),
    Synthetic("flux", 48, 16, 1, FAST_LINK),
    Synthetic("paper", 48, 16, 1, FAST_LINK),
    Synthetic("generators", 48, 256, 1, FAST_LINK),
    Synthetic("flux", 80, 16, 1, FAST_LINK),
    Synthetic("flux-32b", 80, 16, 1, FAST_LINK),
    Synthetic("flux-32b", 141, 64, 1, FAST_LINK),
)
QUICK = (
    Synthetic("paper-4bit", 12, 4, 1, SLOW_LINK),
    Synthetic("paper", 16, 8, 1, SLOW_LINK),
    Synthetic("paper", 48, 4, 1, FAST_LINK),
)

STAND_INS = {
    "world": "sd-1.5",
    "text2image": "sd-1.5",
    "edit": "instruct-pix2pix",
    "describer": "llava-next-7b-4bit",
    "ground-truth": "grounded-sam",
}
TARGETS = ("resnet-152", "grounded-sam", "clip-rn50", "dino-vit-b/8")
"""Real models that take the place of a recorded run's: by name, and the others, which are targets, in turn."""

TESTBED_CALLS = Path(__file__).with_name("testbed_calls.txt")
"""The first 150 s of a real run, on two busy cores: four scripted agents that describe ground-truth neurons
(`maia describe --target ground-truth --units single=1-4 --jobs 4 --record-calls FILE`)."""


def from_record(path: Path, memory_gib: int = 12, link: float = SLOW_LINK) -> Scenario:
    """A recorded run's requests, as if its small models had been real ones. Raises UserError."""
    trace = recorded(path)
    names = dict.fromkeys(r.model for agent in trace.values() for step in agent for r in step.requests)
    others = sorted(name for name in names if name not in STAND_INS)
    real = STAND_INS | {name: TARGETS[n % len(TARGETS)] for n, name in enumerate(others)}
    mapped = {
        agent: tuple(Step(tuple(Request(real[r.model], r.items) for r in step.requests), step.think) for step in steps)
        for agent, steps in trace.items()
    }
    facts = with_demand([MODELS[name] for name in dict.fromkeys(real[name] for name in names)], mapped, len(mapped))
    plan = place(facts, [Device("gpu0", memory_gib * GIB, link)], len(mapped))
    given = {"record": path.name, "memory_gib": memory_gib, "agents": len(mapped), "link": link, "models": real}
    return Scenario(f"{path.stem}, {memory_gib} GiB, {len(mapped)} agents", mapped, plan, given)


def _needed(plan: Plan, device: Device) -> int:
    models: Sequence[ModelFacts] = plan.on(device.name)
    held = sum(facts.held_beside(plan.places[facts.name].batch) for facts in models)
    workspace = max((f.workspace.nbytes(plan.places[f.name].batch) for f in models if f.kind == "batch"), default=0)
    return component_bytes(part for facts in models for part in facts.components) + held + workspace
