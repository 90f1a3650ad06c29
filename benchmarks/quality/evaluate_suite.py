"""The testbed's whole study, from nothing: the agent and its ablations over seeds, evaluated beside the baselines.

Every run is one of `maia describe`, and the evaluation one of `maia evaluate`: killed and started again, all go on.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from ...agent.experiment import Settings
from ...agent.run import RunProgress, describe, locked
from ...engine.profile import Profile
from ...models.targets import Unit
from .evaluate_methods import ABLATED, AGENT, OTHER
from .testbed_study import ground_truth_units, real_units

PER_KIND, REAL, SEEDS = 40, 60, 3
"""Ground-truth neurons of each kind, units of EfficientNet-Lite0, and seeds of the agent."""


@dataclass(frozen=True)
class Suite:
    """What is run. unit_seed: by which units are drawn: all runs have the same."""

    per_kind: int = PER_KIND
    real: int = REAL
    seeds: int = SEEDS
    unit_seed: int = 0
    jobs: int = 2
    backbone: str = "scripted"


def suite_runs(suite: Suite, out: Path) -> Iterator[tuple[str, Settings, Path]]:
    """(method, its settings, directory) of every run."""
    for seed in range(suite.seeds):
        whole = Settings(seed=seed)
        yield AGENT, whole, out / "runs" / f"agent-{seed}"
        ablations = {name: replace(whole, removed_tools=removed) for removed, name in ABLATED.items()}
        ablations[OTHER] = replace(whole, drawings="evaluation")
        for name, settings in ablations.items():
            yield f"{AGENT}: {name}", settings, out / "runs" / f"{name.replace(' ', '-')}-{seed}"


def run_suite(
    suite: Suite,
    out: Path,
    profile: Profile,
    progress: Callable[[int], AbstractContextManager[RunProgress]],
    say: Callable[[str], None],
) -> list[str]:
    """All runs; returns what `read_methods` takes. progress: a display for so many units."""
    chosen = suite_units(suite, out)
    arguments = []
    for method, settings, path in suite_runs(suite, out):
        say(f"{method}, seed {settings.seed}: {len(chosen)} units")
        with locked(path), progress(len(chosen)) as bars:
            own = replace(profile, backbone=suite.backbone)
            describe(chosen, path, profile=own, jobs=suite.jobs, settings=settings, progress=bars).close()
        arguments.append(f"{method}={path}")
    return arguments


def suite_units(suite: Suite, out: Path) -> list[Unit]:
    """The units of all runs; dead and saturated ones of the network are not drawn."""
    units = ground_truth_units(suite.per_kind, suite.unit_seed)
    if suite.real:
        with locked(out / "runs"):
            units += real_units(suite.real, suite.unit_seed, out / "runs", RunProgress())[0]
    return units
