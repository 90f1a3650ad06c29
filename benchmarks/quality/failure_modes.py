"""How often a backbone fails, in which ways, and what the guards do about it: `maia bench failure-modes`.

The same ground-truth neurons are described twice with the same seeds: with guards and the check of code off, and on.
Both runs are runs like any other: killed and started again, they go on.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from ...agent.backbones.base import Backbone
from ...agent.experiment import Settings
from ...agent.guards import GUARDS
from ...agent.run import Run, RunProgress, describe
from ...agent.transcript import Conclusion, Transcript
from ...engine.profile import Profile, load_profile
from ...models.errors import UserError
from ...models.files import write_whole
from ...models.groundtruth import GroundTruthTarget, same_truth
from ...models.targets import Unit
from .failure_counts import failures_of, summary
from .failure_table import EXPLANATION, table
from .flawed import FlawedBackbone
from .testbed_study import KINDS, ground_truth_units

ARMS: dict[str, dict[str, Any]] = {
    "off": {"guards": (), "check_code": False},
    "on": {"guards": GUARDS, "check_code": True},
}
"""The two runs: what each has in its Settings."""
FLAWED = FlawedBackbone.name
"""The backbone that is bad on purpose: not one that can be chosen for real runs."""


def units_of(count: int, seed: int) -> list[Unit]:
    """`count` ground-truth neurons, in equal parts of each kind as far as that goes, drawn by the seed."""
    each = ground_truth_units(-(-count // len(KINDS)), seed)
    by_kind = [[unit for unit in each if unit.layer == kind] for kind in KINDS]
    mixed = [units[i] for i in range(max(map(len, by_kind))) for units in by_kind if i < len(units)]
    if len(mixed) < count:
        raise UserError(f"there are only {len(mixed)} ground-truth neurons: choose --units {len(mixed)} or fewer.")
    return mixed[:count]


def run_arm(
    arm: str,
    backbone: str | Backbone,
    units: Sequence[Unit],
    out: Path,
    profile: Profile,
    settings: Settings,
    progress: RunProgress,
) -> dict[str, Any]:
    """One of the two runs, in OUT/off or OUT/on, and what went wrong in it (`failure_counts.summary`)."""
    chosen = replace(settings, **ARMS[arm])
    path = out / arm
    run = describe(
        units, path, backbone=backbone, profile=profile, jobs=profile.jobs, settings=chosen, progress=progress
    )
    run.close()
    return summary(
        failures_of(transcript.records, _found(run, unit, transcript))
        for unit, transcript in zip(run.units, run.transcripts, strict=True)
    )


def _found(run: Run, unit: Unit, transcript: Transcript) -> bool:
    """Whether the conclusion names the neuron's truth; a unit without a conclusion does not."""
    target = run.services[unit.target].target
    if not isinstance(target, GroundTruthTarget) or not isinstance(transcript.end, Conclusion):
        return False
    return bool(same_truth(" OR ".join(transcript.end.labels), target.neuron(unit)))


def failure_modes_command(
    backbone: str,
    units: int,
    out: Path,
    json_file: Path | None,
    console: Console,
    profile: str | Profile = "testbed",
    jobs: int | None = None,
    turns: int | None = None,
    seed: int = 0,
    sandbox: str = "bubblewrap",
) -> dict[str, Any]:
    """Run both arms, print the table with its explanation, and write the numbers to json_file.

    backbone: a name that `maia describe --backbone` knows, or "flawed". Raises UserError where the profile's world has
    no neurons of known truth.
    """
    from ...agent.progress import TerminalProgress

    loaded = profile if isinstance(profile, Profile) else load_profile(profile)
    if loaded.world != "testbed":
        raise UserError(
            f"the profile draws with {loaded.world}, and the neurons of known truth only see what the "
            "testbed draws: choose a profile with world: testbed."
        )
    loaded = replace(loaded, jobs=jobs or loaded.jobs)
    settings = Settings(turns=turns or loaded.turns, seed=seed, sandbox=sandbox)
    drawn = units_of(units, seed)
    chosen: str | Backbone = FlawedBackbone() if backbone == FLAWED else backbone
    result: dict[str, Any] = {
        "backbone": backbone,
        "vlm": loaded.vlm and dict(loaded.vlm),
        "seed": seed,
        "turns": settings.turns,
    }
    for arm in ARMS:
        console.print(f"Guards {arm}: {len(drawn)} neurons with {backbone}, into {out / arm}", soft_wrap=True)
        with TerminalProgress(console, len(drawn)) as bars:
            result[arm] = run_arm(arm, chosen, drawn, out, loaded, settings, bars)
    write_whole(out / "failure-modes.json", (json.dumps(result, indent=1) + "\n").encode())
    if json_file:
        json_file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    console.print(table(result))
    console.print(EXPLANATION, markup=False, highlight=False)
    return result
