"""`maia bench scheduler`: traces replayed under the product's policy, under simple ones, and against an offline bound.

The scheduler is the product's own, in virtual time, with runners that take as long as the models' facts say and a
ledger of memory that does not trust it. What is not simulated: a server and a batch that run at the same time do not
slow each other down here.
"""

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ...engine.plan import Plan
from ...engine.policy import Policy
from ..throughput.surroundings import commit
from .bound import Found, bound
from .reference_policies import FifoLru, OneModel
from .replay import Outcome, replay, unpinned
from .scenarios import QUICK, SYNTHETIC, TESTBED_CALLS, Scenario, from_record

GOALS = {"swap_bytes_vs_optimum": 1.15, "swap_bytes_vs_lru": 0.5, "budget_violations": 0}
"""At most. The first two are medians over the scenarios under pressure."""

SEARCH_NODES, SEARCH_AGENTS, BEAM = 10_000, 4, 5
"""How far the optimum is searched for (A* is of use for few agents only), and how widely a good schedule is."""
APART_AGENTS = 64
"""Up to so many agents calls are also kept apart: every one has a queue of its own then, which takes long to replay."""

Progress = Callable[[str, int, int], None]
"""Called with (what is done, steps done, steps in all)."""


@dataclass(frozen=True)
class Reference:
    """A policy that ours is compared with. apart: it does not batch across calls."""

    policy: Policy
    apart: bool = False


REFERENCES = {
    "lru": Reference(FifoLru()),
    "lru_apart": Reference(FifoLru(), apart=True),
    "one_model": Reference(OneModel()),
}
RATIOS = ("swap_bytes", "p50_latency", "p95_latency", "mean_latency", "makespan")
"""Of the product's policy over each reference: `swap_bytes_vs_lru` and so on; below 1 the product's is better."""


def run(
    json_file: Path | None = None,
    quick: bool = False,
    *,
    records: Sequence[Path] = (),
    seed: int = 0,
    policy: Policy | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The figures as plain data, also written to a file if one is named (`docs/scheduler.md` says what each means).

    quick: three small scenarios instead of all. records: JSON lines of recorded runs, replayed with real models' sizes
    beside the made-up traces and the run that comes with this package. policy: instead of the product's. Raises
    UserError for a file that is no record.
    """
    builders: list[Callable[[], Scenario]] = [
        lambda scenario=scenario: scenario.build(seed)  # type: ignore[misc]
        for scenario in (QUICK if quick else SYNTHETIC)
    ]
    recorded = records if quick else [TESTBED_CALLS, *records]
    builders += [lambda path=path: from_record(path) for path in recorded]  # type: ignore[misc]
    scenarios: list[dict[str, Any]] = []
    for number, build in enumerate(builders):
        scenario = build()
        if progress is not None:
            progress(scenario.name, number, len(builders))
        scenarios.append(measure(scenario, policy))
    result = {"benchmark": "scheduler"} | summarise(scenarios)
    result |= {
        "goals": GOALS,
        "seed": seed,
        "commit": commit(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "scenarios": scenarios,
    }
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def measure(scenario: Scenario, policy: Policy | None = None) -> dict[str, Any]:
    """One scenario under all policies, with the bound, and the product's ratios."""
    plan, trace = scenario.plan, scenario.trace
    found = bound(plan, trace, SEARCH_NODES if len(trace) <= SEARCH_AGENTS else 0, BEAM)
    outcomes = {"ours": replay(plan, trace, policy)}
    for name, reference in REFERENCES.items():
        if reference.apart and len(trace) > APART_AGENTS:
            continue
        outcomes[name] = replay(unpinned(plan), trace, reference.policy, reference.apart)
    figures = {name: _figures(outcome, plan) for name, outcome in outcomes.items()}
    ours = figures["ours"]
    ratios = {
        f"{figure}_vs_{name}": _over(ours[figure], figures[name][figure]) if name in figures else None
        for name in REFERENCES
        for figure in RATIOS
    }
    return {
        "name": scenario.name,
        "pressure": scenario.pressure,
        "swap_bytes_vs_optimum": _over(ours["swap_bytes"], found.lower),
        "swap_bytes_vs_best_found": None if found.upper is None else _over(ours["swap_bytes"], found.upper),
        **ratios,
        "budget_violations": ours["budget_violations"],
        "requests": len(outcomes["ours"].latencies),
        "bound": _bound(found),
        "policies": figures,
        "plan": {
            name: {"device": place.device, "resident": place.resident, "batch": place.batch}
            for name, place in plan.places.items()
        },
        "given": scenario.facts,
    }


def summarise(scenarios: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians at the top, with the worst and the best and where they are under `spread`.

    Ratios of swap bytes are over the scenarios under pressure: where all fits, every policy loads all once.
    """
    pressed = [scenario for scenario in scenarios if scenario["pressure"]]
    medians: dict[str, Any] = {}
    spread: dict[str, Any] = {}
    ratios = [key for key in scenarios[0] if "_vs_" in key]
    for ratio in ratios:
        among = pressed if ratio.startswith("swap_bytes") else scenarios
        values = sorted((s[ratio], s["name"]) for s in among if s[ratio] is not None)
        if not values:
            medians[ratio] = None
            continue
        medians[ratio] = statistics.median(value for value, _ in values)
        spread[ratio] = {
            "best": values[0][0],
            "best_in": values[0][1],
            "worst": values[-1][0],
            "worst_in": values[-1][1],
            "scenarios": len(values),
        }
        if ratio in GOALS:
            spread[ratio]["reach_the_goal"] = sum(value <= GOALS[ratio] for value, _ in values)
    violations = sum(scenario["budget_violations"] for scenario in scenarios)
    reached = {name: medians.get(name, violations) for name in GOALS}
    return medians | {
        "budget_violations": violations,
        "goals_met": {name: value is not None and value <= GOALS[name] for name, value in reached.items()},
        "scenarios_under_pressure": len(pressed),
        "spread": spread,
    }


def _figures(outcome: Outcome, plan: Plan) -> dict[str, Any]:
    p50, p95 = np.percentile(outcome.latencies, (50, 95))
    link = max(device.link for device in plan.devices)
    return {
        "swap_bytes": outcome.swap_bytes,
        "loads": outcome.loads,
        "p50_latency": round(float(p50), 4),
        "p95_latency": round(float(p95), 4),
        "mean_latency": round(float(np.mean(outcome.latencies)), 4),
        "makespan": round(outcome.makespan, 3),
        "swap_seconds_share": round(outcome.swap_bytes / link / outcome.makespan, 5),
        "busy_share": round(outcome.busy / outcome.makespan / len(plan.devices), 4),
        "batch_mean": {name: round(size, 2) for name, size in outcome.batch.items()},
        "budget_violations": len(outcome.violations),
        "failed_items": outcome.failed,
    }


def _bound(found: Found) -> dict[str, Any]:
    return {"bytes": found.lower, "best_found_bytes": found.upper, "is_optimum": found.lower == found.upper}


def _over(above: float, below: float) -> float | None:
    return round(above / below, 4) if below else None
