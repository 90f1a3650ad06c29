"""The testbed study: how often a planted bias is detected and named, how often one is claimed where there is none."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...models.planted_suite import KINDS, PlantedClass
from ..quality.testbed_study import wilson
from .bias_claims import judge
from .bias_evidence import UNANSWERED, ClassResult

ALL_PLANTED, CLEAN = "all planted", "clean"


@dataclass(frozen=True)
class Against:
    """A class's result against its truth. detected: a bias was claimed. named: the planted context was claimed, in its
    direction. others: contexts claimed that were not planted."""

    unit: str
    name: str
    kind: str
    truth: str
    strength: float
    verdict: str
    bias: str
    detected: bool
    named: bool
    others: tuple[str, ...]


def against(result: ClassResult, planted: PlantedClass) -> Against:
    """The result held against what was planted."""
    judged = judge(planted, result.bias)
    return Against(
        result.unit,
        result.name,
        planted.kind,
        planted.truth,
        planted.strength,
        result.verdict,
        result.bias,
        judged.claimed,
        judged.named,
        judged.others,
    )


def rate(found: int, count: int) -> dict[str, Any]:
    """A share with its 95 % Wilson interval; None where there is nothing to count."""
    low, high = wilson(found, count)
    return {"found": found, "of": count, "rate": found / count if count else None, "low": low, "high": high}


def summarise(rows: Sequence[Against]) -> dict[str, Any]:
    """Rates by kind, of all planted classes, and of the clean ones.

    Of planted classes: "detected" (any bias claimed), "named" (the planted one, with its direction), "named alone" (and
    nothing else). Of clean ones: "false alarm". A class without an answer claims nothing: it counts, and is counted.
    """
    groups: dict[str, list[Against]] = {kind: [row for row in rows if row.kind == kind] for kind in KINDS}
    groups[ALL_PLANTED] = [row for row in rows if row.kind != CLEAN]
    summary: dict[str, Any] = {}
    for name, members in groups.items():
        if not members:
            continue
        found: dict[str, Any] = {"classes": len(members)}
        found["no answer"] = sum(row.verdict == UNANSWERED for row in members)
        if name == CLEAN:
            found["false alarm"] = rate(sum(row.detected for row in members), len(members))
        else:
            found["detected"] = rate(sum(row.detected for row in members), len(members))
            found["named"] = rate(sum(row.named for row in members), len(members))
            found["named alone"] = rate(sum(row.named and not row.others for row in members), len(members))
        summary[name] = found
    return summary


def rate_rows(summary: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(kind, what, "7/8 = .88 [.53, .98]") in the order of the summary: what Markdown and page show."""
    return [
        (f"{name} ({entry['classes']})", what, rate_text(value))
        for name, entry in summary.items()
        for what, value in entry.items()
        if isinstance(value, dict)
    ]


def rate_text(value: Mapping[str, Any]) -> str:
    """ "7/8 = 0.88 [0.53, 0.98]"."""
    return f"{value['found']}/{value['of']} = {value['rate']:.2f} [{value['low']:.2f}, {value['high']:.2f}]"


def as_json(rows: Sequence[Against]) -> list[dict[str, Any]]:
    """The rows for json.dumps."""
    return [asdict(row) for row in rows]
