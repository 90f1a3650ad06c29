"""Drawings of an evaluation as inline SVG: bars with intervals (the paper's figures 4 and 7), and paired differences.

Colours come from the page's style sheet (classes hue-0, hue-1, … by a method's place among the methods), so that both
themes work. Texts are escaped. The same arguments give the same drawing.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from ...agent.report_plots import Axis, axis_over, number, ticks
from .unit_statistics import Summary

GREY = 7
"""Of the classes hue-0 to hue-7 the one without a colour; methods beyond the seventh share it."""
_NAME, _LEFT, _RIGHT, _WIDTH = 172.0, 184.0, 506.0, 600.0
_VALUE = 552.0
"""Where numbers end; the paper's end at the right edge."""
_BAR, _GAP, _TOP, _FOOT = 13.0, 10.0, 8.0, 24.0
_LANE, _DOT = 34.0, 3.4


@dataclass(frozen=True)
class Bar:
    """value: None draws nothing. kind: class of its filling, "positive" or "neutral". paper: what the paper has there,
    drawn as a mark."""

    kind: str
    value: float | None
    interval: tuple[float, float] | None = None
    paper: float | None = None


@dataclass(frozen=True)
class BarRow:
    """A method and its bars, one below the other. hue: its place among the methods. aside: small print by its name."""

    name: str
    hue: int
    bars: tuple[Bar, ...]
    aside: str = ""


@dataclass(frozen=True)
class Lane:
    """A dot for each unit, and the mean over units with its interval."""

    name: str
    hue: int
    values: Mapping[str, float]
    summary: Summary
    aside: str = ""


def bar_plot(rows: Sequence[BarRow], what: str, ends: Iterable[float] = ()) -> Markup:
    """Horizontal bars from zero with 95 % intervals, a row for each method. what: spoken title, and the axis' title.

    ends: further values that the axis is to hold, such as those of neighbouring plots. Nothing for no rows.
    """
    if not rows:
        return Markup()
    bars = [bar for row in rows for bar in row.bars]
    axis = axis_over([*ends, *(end for bar in bars for end in _ends(bar))], _LEFT, _RIGHT)
    bottom = _TOP + sum(_BAR * len(row.bars) + _GAP for row in rows)
    parts, y = _scale(axis, bottom), _TOP
    for row in rows:
        tall = _BAR * len(row.bars)
        parts.append(f'<g class="{_hue(row.hue)}">{_name(row.name, row.aside, y + tall / 2)}')
        for place, bar in enumerate(row.bars):
            parts += _bar(bar, axis, y + place * _BAR)
        parts.append("</g>")
        y += tall + _GAP
    spoken = "; ".join(f"{row.name}: {_spoken(row.bars)}" for row in rows)
    return _svg(parts, bottom, f"{what}. {spoken}.", what)


def dot_plot(lanes: Sequence[Lane], what: str) -> Markup:
    """A lane for each comparison: a dot a unit, the mean as a line, its interval as a band. Nothing for no lanes."""
    shown = [lane for lane in lanes if lane.values]
    if not shown:
        return Markup()
    values = [value for lane in shown for value in (*lane.values.values(), *(lane.summary.interval or ()))]
    axis = axis_over(values, _LEFT, _WIDTH - 12)
    bottom = _TOP + _LANE * len(shown)
    parts = _scale(axis, bottom)
    for place, lane in enumerate(shown):
        parts += _lane(lane, axis, _TOP + _LANE * (place + 0.5))
    spoken = "; ".join(
        f"{lane.name}: mean {number(lane.summary.mean, sign=True)} over {lane.summary.units} units" for lane in shown
    )
    return _svg(parts, bottom, f"{what}. {spoken}.", what)


def legend(kinds: Iterable[tuple[str, str]]) -> Markup:
    """What bars of each kind are: (kind, words)."""
    items = (
        f'<span class="key"><svg viewBox="0 0 22 12" width="22" height="12" aria-hidden="true">'
        f'<rect class="{escape(kind)}" x="1" y="1" width="20" height="10"/></svg>{escape(words)}</span>'
        for kind, words in kinds
    )
    return Markup('<p class="keys">' + "".join(items) + "</p>")


def _ends(bar: Bar) -> list[float]:
    return [value for value in (bar.value, bar.paper, *(bar.interval or ())) if value is not None]


def _hue(place: int) -> str:
    return f"hue-{min(place, GREY)}"


def _name(name: str, aside: str, y: float) -> str:
    small = f'<tspan class="aside"> {escape(aside)}</tspan>' if aside else ""
    return f'<text class="name" x="{_NAME:g}" y="{y + 4:g}">{escape(name)}{small}</text>'


def _bar(bar: Bar, axis: Axis, y: float) -> list[str]:
    parts = []
    middle = round(y + _BAR / 2, 1)
    if bar.value is not None:
        zero, end = axis(0.0), axis(bar.value)
        parts.append(
            f'<rect class="{bar.kind}" x="{min(zero, end):g}" y="{y + 1:g}" width="{max(abs(end - zero), 0.5):.1f}" '
            f'height="{_BAR - 2:g}"/>'
        )
        if bar.interval is not None:
            low, high = (axis(value) for value in bar.interval)
            parts.append(
                f'<path class="whisker" d="M{low} {middle}H{high}M{low} {middle - 3}v6M{high} {middle - 3}v6"/>'
            )
    if bar.paper is not None:
        x = axis(bar.paper)
        diamond = f"M{x} {middle - 4.5}l4.5 4.5l-4.5 4.5l-4.5 -4.5z"
        parts.append(f'<path class="paper" d="{diamond}"><title>paper: {bar.paper:g}</title></path>')
        parts.append(f'<text class="value published" x="{_WIDTH:g}" y="{middle + 3.6:g}">{number(bar.paper)}</text>')
    if bar.value is not None:
        parts.append(f'<text class="value" x="{_VALUE:g}" y="{middle + 3.6:g}">{number(bar.value)}</text>')
    return parts


def _lane(lane: Lane, axis: Axis, y: float) -> list[str]:
    parts = [f'<g class="{_hue(lane.hue)}">{_name(lane.name, lane.aside, y)}']
    if lane.summary.interval is not None:
        low, high = (axis(value) for value in lane.summary.interval)
        parts.append(f'<rect class="band" x="{low}" y="{y - 12:g}" width="{max(high - low, 1):.1f}" height="24"/>')
    # A fixed zigzag instead of random jitter: the same evaluation gives the same page.
    for place, (unit, value) in enumerate(lane.values.items()):
        parts.append(
            f'<circle cx="{axis(value)}" cy="{y + (place % 5 - 2) * 3.4:g}" r="{_DOT}">'
            f"<title>{escape(unit)}: {number(value, sign=True)}</title></circle>"
        )
    if lane.summary.mean is not None:
        x = axis(lane.summary.mean)
        parts.append(f'<path class="mean" d="M{x} {y - 13:g}v26"/>')
    parts.append("</g>")
    return parts


def _scale(axis: Axis, bottom: float) -> list[str]:
    marks = ticks(axis.low, axis.high, 6)
    digits = max(0, -math.floor(math.log10(marks[1] - marks[0]))) if len(marks) > 1 else 2
    parts = []
    for mark in marks:
        x, kind = axis(mark), "zero" if mark == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{x}" x2="{x}" y1="{_TOP - 4:g}" y2="{bottom:g}"/>')
        parts.append(f'<text class="tick" x="{x}" y="{bottom + 15:g}">{number(mark, digits)}</text>')
    return parts


def _spoken(bars: Sequence[Bar]) -> str:
    return ", ".join(f"{bar.kind} {number(bar.value)}" for bar in bars)


def _svg(parts: Sequence[str], bottom: float, spoken: str, title: str) -> Markup:
    high = bottom + _FOOT + 16
    return Markup(
        f'<svg class="chart" viewBox="0 0 {_WIDTH:g} {high:g}" role="img" aria-label="{escape(spoken)}">'
        f'{"".join(parts)}<text class="title" x="{_LEFT:g}" y="{bottom + 33:g}">{escape(title)}</text></svg>'
    )
