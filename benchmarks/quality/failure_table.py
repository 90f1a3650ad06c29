"""The table of `maia bench failure-modes`, and what it says."""

from typing import Any

from rich.table import Table

from .failure_counts import MODES

MEANING = {
    "invented-result": "cites a number or an image that no result has",
    "copied-example": "prompts copied from the instructions' examples",
    "thin-evidence": "concludes from one image, or without a counter-test",
    "repeated-experiment": "runs an experiment a second time",
    "picture-description": "describes a picture instead of what activates the unit",
    "unreadable-reply": "no code and no label can be read from the reply",
    "code-check": "code that cannot run, stopped before it ran",
    "runtime-error": "code that failed while it ran",
    "code-after-last-turn": "writes code when the final answer was asked for",
    "forced-conclusion": "concludes only because the turns were used up",
}
_EXPLANATION = """\
Each row is one way to fail. The same neurons are described twice, with the same
seeds: with guards off (replies are acted upon as they come), and with guards on
(a reply that a guard refuses is sent back with what to mend, at most twice for
each guard and neuron; code is checked before it runs, and the reply that mends
it costs no turn). Invented results and described pictures beside an experiment
are remarked upon, not sent back: the experiment is worth running all the same.

{meanings}

replies    Share of all replies in which the failure stands: its code was run,
           its conclusion was taken, or it could not be used and was lost.
sent back  Replies with this failure that a guard sent back; it stands in none
           of them.
neurons    Share of the neurons in whose experiments the failure stands at
           least once.

In brackets: 95 % Wilson intervals. Replies about one neuron depend on each
other, so that the intervals under "replies" are rather too narrow. Where those
of off and on overlap, describe more neurons (--units) before you trust the
difference.

A guard helps if its row falls from off to on while "truth found" does not.
Replies that are sent back use up turns: if "forced-conclusion" rises much,
allow more --turns. If "unreadable-reply" or "code-check" stays high with guards
on, the model cannot keep the form: hold it to the reply grammar, or choose a
larger model.
"""
EXPLANATION = _EXPLANATION.format(
    meanings="\n".join(f"{name:<{max(map(len, MEANING)) + 2}}{meaning}" for name, meaning in MEANING.items())
)


def table(result: dict[str, Any]) -> Table:
    """Modes by row: rates off and on; then what became of the units. At most 80 columns wide."""
    off, on = result["off"], result["on"]
    shown = Table(
        title=f"Failures of {result['backbone']} over {off['units']} ground-truth neurons, seed {result['seed']}",
        caption=f"{off['replies']} replies with guards off, {on['replies']} on",
    )
    shown.add_column("failure", no_wrap=True)
    for heading in ("replies,\noff", "replies,\non", "sent\nback", "neurons,\noff", "neurons,\non"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for mode in MODES:
        a, b = off["modes"][mode], on["modes"][mode]
        back = b["shown"]["count"] - b["stands"]["count"]
        cells = percent(a["stands"]), percent(b["stands"]), str(back) if back else "", percent(a["units"])
        shown.add_row(mode, *cells, percent(b["units"]))
    shown.add_section()
    for name in ("finished", "truth found"):
        shown.add_row(name, "", "", "", percent(off[name]), percent(on[name]))
    return shown


def percent(entry: dict[str, Any]) -> str:
    """Rate and interval in per cent on two lines, such as "12 %" and "[5-26]"."""
    if entry["rate"] is None:
        return "-"
    low, high = entry["interval"]
    return f"{100 * entry['rate']:.0f} %\n[{100 * low:.0f}-{100 * high:.0f}]"
