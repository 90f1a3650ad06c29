"""The scheduler benchmark's figures as tables for people."""

from typing import Any

from rich import box
from rich.table import Table

_RATIOS = {
    "swap_bytes_vs_optimum": "bytes copied / offline bound (any order, any delay)",
    "swap_bytes_vs_best_found": "bytes copied / best schedule found offline",
    "swap_bytes_vs_lru": "bytes copied / FIFO with LRU",
    "swap_bytes_vs_lru_apart": "bytes copied / FIFO with LRU, calls never share a batch",
    "swap_bytes_vs_one_model": "bytes copied / one model at a time",
    "p50_latency_vs_lru": "median latency / FIFO with LRU",
    "p95_latency_vs_lru": "95th percentile of latency / FIFO with LRU",
    "mean_latency_vs_lru": "mean latency / FIFO with LRU",
    "makespan_vs_lru": "time for everything / FIFO with LRU",
    "makespan_vs_lru_apart": "time for everything / FIFO with LRU, calls never share a batch",
    "p50_latency_vs_one_model": "median latency / one model at a time",
    "p95_latency_vs_one_model": "95th percentile of latency / one model at a time",
    "makespan_vs_one_model": "time for everything / one model at a time",
}
_COLUMNS = (
    "swap_bytes_vs_optimum",
    "swap_bytes_vs_best_found",
    "swap_bytes_vs_lru",
    "p95_latency_vs_lru",
    "makespan_vs_lru",
)


def tables(result: dict[str, Any]) -> list[Table]:
    """Each scenario's ratios; then their medians with the worst, and the goals."""
    each = Table(
        "scenario",
        title="This scheduler over others: bytes copied over the bound, the best schedule found\nand FIFO with LRU; "
        "p95 of latency and time for everything over FIFO with LRU;\nshare of the time that copying takes",
        box=box.SIMPLE,
        padding=(0, 1),
    )
    for heading in ("bound", "best", "LRU", "p95", "time", "copying"):
        each.add_column(heading, justify="right", no_wrap=True)
    for scenario in result["scenarios"]:
        share = scenario["policies"]["ours"]["swap_seconds_share"]
        mark = "" if scenario["pressure"] else " (all fits)"
        each.add_row(scenario["name"] + mark, *(_number(scenario[name]) for name in _COLUMNS), f"{share:.1%}")
    summary = Table("ratio", "median", "worst", "worst in", "goal", box=box.SIMPLE)
    for name, label in _RATIOS.items():
        spread = result["spread"].get(name, {})
        goal = f"<= {result['goals'][name]:g}" if name in result["goals"] else ""
        summary.add_row(label, _number(result[name]), _number(spread.get("worst")), spread.get("worst_in", ""), goal)
    summary.add_row("moments over the memory", str(result["budget_violations"]), "", "", "0")
    summary.title = f"{result['scenarios_under_pressure']} of {len(result['scenarios'])} scenarios under pressure"
    return [each, summary]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
