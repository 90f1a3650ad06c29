"""A study as Markdown tables."""

from typing import Any

from .score_run import METHODS


def _interval(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "–"
    low, high = entry["interval"]
    return f"{entry['mean']:+.2f} ({low:+.2f} … {high:+.2f})"


def truth_table(groups: dict[str, Any]) -> str:
    """Truth found by kind of neuron and method, with 95 % Wilson intervals."""
    lines = [
        "| neurons | " + " | ".join(METHODS) + " |",
        "|---|" + "---|" * len(METHODS),
    ]
    for name, group in groups.items():
        if "truth_found" not in group["agent"]:
            continue
        cells = []
        for method in METHODS:
            found = group[method]["truth_found"]
            low, high = found["interval"]
            cells.append(f"{found['found']} of {group['units']}: {found['rate']:.2f} ({low:.2f} … {high:.2f})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def score_table(groups: dict[str, Any], field: str) -> str:
    """Mean score over units by group and method with 95 % bootstrap intervals, and the agent's paired advantage.

    field: "difference", "over_p95" or "over_p95_minus_median".
    """
    lines = [
        "| units | n | " + " | ".join(METHODS) + " | agent − exemplar-only |",
        "|---|---|" + "---|" * (len(METHODS) + 1),
    ]
    for name, group in groups.items():
        cells = [_interval(group[method][field]) for method in METHODS]
        advantage = _interval(group.get(f"agent minus exemplar-only, {field}"))
        lines.append(f"| {name} | {group['units']} | " + " | ".join(cells) + f" | {advantage} |")
    return "\n".join(lines)


def to_markdown(study: dict[str, Any]) -> str:
    """All tables of a study."""
    groups = study["groups"]
    parts = []
    if any("truth_found" in group["agent"] for group in groups.values()):
        parts.append("Truth found (exact match):\n\n" + truth_table(groups))
    real = {name: group for name, group in groups.items() if "truth_found" not in group["agent"]}
    known = {name: group for name, group in groups.items() if name not in real}
    if real:
        parts.append("Difference of means over (p95 − median):\n\n" + score_table(real, "over_p95_minus_median"))
        parts.append("Difference of means over p95:\n\n" + score_table(real, "over_p95"))
    if known:
        parts.append("Difference of means, activations of 0 to 1:\n\n" + score_table(known, "difference"))
    return "\n\n".join(parts) + "\n"
