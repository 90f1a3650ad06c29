"""The result of `maia finetune evaluate` as a table for the terminal, as Markdown, and what it says."""

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from .testbed_study import KINDS

ROWS = {
    "executable_rate": "code that ran to its end, of all code that was to be run",
    "format_rate": "replies that can be read",
    "invented_result": "replies that cite a number or an image that no result has",
    "copied_example": "experiments with prompts copied from the instructions",
    "thin_evidence": "conclusions from one image, or without a counter-test",
    "repeated_experiment": "experiments that were made before",
    "picture_description": "replies that describe a picture, not what activates the unit",
    "code_after_last_turn": "code where the final answer was asked for",
    "truth_found": "neurons whose truth the label states exactly",
    "finished": "neurons with a label",
    "forced_conclusion": "neurons whose label came only when the turns were used up",
    "all_code_ran": "neurons without any code that failed",
    "turns": "turns used",
    "predictive_score": "difference of mean activations, 7 predicted images less 7 neutral ones",
}
"""Every row beside the truth by kind, with what it means."""

_EXPLANATION = """\
The same neurons, seeds and settings for each model. Rates and, in brackets,
95 % intervals: Wilson's. Those of replies (the first eight) count as many
replies as would vary that much if they were independent, since replies about
one neuron depend on each other; where nothing or everything fails, that cannot
be told, and all replies count. Means and differences of rates of replies:
bootstrap over neurons. Differences of rates of neurons: Newcombe's, paired.
An interval of a difference that has 0 in it shows no difference.

{meanings}

Guards' findings are looked for afterwards, whether or not guards watched.
A neuron without a label counts as not found, with a predictive score of 0.
"""
EXPLANATION = _EXPLANATION.format(
    meanings="\n".join(f"{name:<{max(map(len, ROWS)) + 2}}{meaning}" for name, meaning in ROWS.items())
)

Row = tuple[str, list[str], str]
"""Name, a cell for each model, the difference."""


def rows(result: dict[str, Any]) -> Iterator[Row]:
    """The table's rows. The difference is that of the judged model less the first other one."""
    arms = list(result["arms"].values())
    other = compared_with(result)
    change = result["differences"].get(other) or {"truth": {}, "rates": {}, "means": {}}
    for kind in KINDS:
        if result["neurons"][kind]:
            cells = [_rate(arm["truth"][kind], counts=True) for arm in arms]
            yield f"truth, {kind}", cells, _points(change["truth"].get(kind))
    for name in ROWS:
        if name in arms[0]["rates"]:
            yield name, [_rate(arm["rates"][name]) for arm in arms], _points(change["rates"].get(name))
        else:
            yield name, [_mean(arm["means"][name]) for arm in arms], _change(change["means"].get(name))


def compared_with(result: dict[str, Any]) -> str | None:
    """The model that the judged one is compared with in the table: the first other one."""
    return next(iter(result["differences"]), None)


def table(result: dict[str, Any]) -> Table:
    """Measures by row, models by column, and the difference."""
    options = result["options"]
    shown = Table(
        title=f"{sum(result['neurons'].values())} neurons of {options['target']}, seed {options['seed']}",
        caption=f"guards {', '.join(options['guards']) or 'off'}, at most {options['turns']} experiments, "
        f"{options['drawings']} drawings",
    )
    shown.add_column("", no_wrap=True)
    for name in result["arms"]:
        shown.add_column(name, justify="right")
    other = compared_with(result)
    if other is not None:
        shown.add_column(f"{result['judged']} less {other}", justify="right")
    for name, cells, change in rows(result):
        shown.add_row(name, *cells, *([change] if other is not None else []))
    return shown


def to_markdown(result: dict[str, Any]) -> str:
    """The same table for documents."""
    other = compared_with(result)
    heads = ["", *result["arms"], *([f"{result['judged']} − {other}"] if other is not None else [])]
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    for name, cells, change in rows(result):
        shown = [name, *cells, *([change] if other is not None else [])]
        lines.append("| " + " | ".join(cell.replace("\n", " ") for cell in shown) + " |")
    return "\n".join(lines) + "\n"


def _rate(entry: dict[str, Any], counts: bool = False) -> str:
    """Such as "12 %" and "[5-26]" on two lines. counts: "6 of 20, 30 %"."""
    if entry["rate"] is None:
        return "-"
    low, high = entry["interval"]
    told = f"{entry['count']} of {entry['of']}, " if counts else ""
    return f"{told}{_percent(entry['rate'])} %\n[{_percent(low)}-{_percent(high)}]"


def _percent(share: float) -> str:
    """With a digit after the point where it matters: near 0 and near 100."""
    near = 0 < 100 * share < 9.95 or 90 < 100 * share < 100
    return f"{100 * share:.1f}" if near else f"{100 * share:.0f}"


def _points(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "-"
    low, high = entry["interval"]
    return f"{100 * entry['difference']:+.0f}\n[{100 * low:+.0f}, {100 * high:+.0f}]"


def _mean(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "-"
    low, high = entry["interval"]
    return f"{entry['mean']:.2f}\n[{low:.2f}, {high:.2f}]"


def _change(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "-"
    low, high = entry["interval"]
    return f"{entry['difference']:+.2f}\n[{low:+.2f}, {high:+.2f}]"
