"""The report's drawings, as inline SVG: score intervals, strip plots, activation bars.

Colours come from the page's style sheet (classes m-agent, m-exemplar-only, m-random), so that both themes work.
All functions return Markup; numbers are the only thing that goes in, except method names from METHODS.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from .report_data import METHODS, MethodScore, UnitScore

_DOT = 4.2


@dataclass(frozen=True)
class Axis:
    """Maps values of [low, high] to pixels of [left, right]."""

    low: float
    high: float
    left: float
    right: float

    def __call__(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.left + share * (self.right - self.left), 1)


def axis_over(values: Iterable[float | None], left: float, right: float) -> Axis:
    """An axis that holds all finite values and zero, with a little room; [0, 1] when they are all zero."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    low, high = min([0.0, *finite]), max([0.0, *finite])
    if high - low < 1e-9:
        high = low + 1.0
    room = 0.04 * (high - low)
    return Axis(low - (room if low < 0 else 0.0), high + room, left, right)


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers within [low, high]: steps of 1, 2 or 5 times a power of ten, about `wanted` of them."""
    raw = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    return [round(i * step, 10) for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def number(value: float | None, digits: int = 2, sign: bool = False) -> str:
    """A number for reading: a real minus sign, an en dash for None."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    if not any(character in "123456789" for character in text):
        text = text.lstrip("+-")
    return text.replace("-", "−")


def digits_for(highest: float) -> int:
    """Decimals with which a number of this size has three significant digits (0 to 6)."""
    return 2 if highest <= 0 else min(6, max(0, 2 - math.floor(math.log10(highest))))


def activation_bar(value: float | None, low: float, high: float, p95: float | None = None) -> Markup:
    """A bar under a picture: from zero to the activation, on the unit's range [low, high]; a tick at p95."""
    if value is None or high <= low:
        return Markup('<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true"></svg>')
    axis = Axis(low, high, 0, 100)
    zero, end = axis(0.0), axis(value)
    tick = ""
    if p95 is not None and low < p95 < high:
        tick = f'<rect class="p95" x="{axis(p95)}" y="0" width="0.8" height="4"/>'
    return Markup(
        '<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="track" width="100" height="4"/>'
        f'<rect class="fill" x="{min(zero, end):g}" width="{abs(end - zero):g}" height="4"/>{tick}</svg>'
    )


def interval_plot(method: str, score: UnitScore, axis: Axis) -> Markup:
    """One method's score over p95 - p50 in the overview: a dot with its interval on an axis shared by all units."""
    assert method in METHODS
    entry = score.methods.get(method)
    width = axis.left + axis.right
    parts = [f'<line class="zero" x1="{axis(0)}" x2="{axis(0)}" y1="0" y2="18"/>']
    if entry is not None and entry.score is not None:
        interval = score.normalised_interval(entry)
        if interval:
            low, high = (axis(value) for value in interval)
            parts.append(f'<line class="span" x1="{low}" x2="{high}" y1="9" y2="9"/>')
        parts.append(f'<circle cx="{axis(entry.score)}" cy="9" r="{_DOT}"/>')
    return Markup(
        f'<svg class="mini m-{method}" viewBox="0 0 {width:g} 18" width="{width:g}" height="18" aria-hidden="true">'
        f"{''.join(parts)}</svg>"
    )


def spread_plot(method: str, values: Sequence[float], axis: Axis) -> Markup:
    """The scores of all units under one method: a dot for each, a tick at the mean."""
    assert method in METHODS
    width = axis.left + axis.right
    mean = sum(values) / len(values) if values else None
    dots = "".join(f'<circle class="one" cx="{axis(value)}" cy="13" r="{_DOT}"/>' for value in values)
    tick = "" if mean is None else f'<line class="mean" x1="{axis(mean)}" x2="{axis(mean)}" y1="2" y2="24"/>'
    return Markup(
        f'<svg class="mini m-{method}" viewBox="0 0 {width:g} 26" width="{width:g}" height="26" aria-hidden="true">'
        f'<line class="zero" x1="{axis(0)}" x2="{axis(0)}" y1="0" y2="26"/>{dots}{tick}</svg>'
    )


def _lane(axis: Axis, values: Sequence[float | None], y: float, kind: str) -> str:
    finite = [value for value in values if value is not None]
    # A fixed zigzag instead of random jitter: the same run gives the same page.
    dots = "".join(
        f'<circle class="{kind}" cx="{axis(value)}" cy="{y + (i % 3 - 1) * 3:g}" r="3.6"/>'
        for i, value in enumerate(finite)
    )
    if finite:
        x = axis(sum(finite) / len(finite))
        dots += f'<line class="mean" x1="{x}" x2="{x}" y1="{y - 9:g}" y2="{y + 9:g}"/>'
    return dots


def _scale(axis: Axis, top: float, bottom: float, wanted: int) -> str:
    marks = ticks(axis.low, axis.high, wanted)
    digits = max(0, -math.floor(math.log10(marks[1] - marks[0]))) if len(marks) > 1 else 2
    lines = [f'<line class="axis" x1="{axis.left:g}" x2="{axis.right:g}" y1="{bottom:g}" y2="{bottom:g}"/>']
    for mark in marks:
        x = axis(mark)
        lines.append(
            f'<line class="{"zero" if mark == 0 else "grid"}" x1="{x}" x2="{x}" y1="{top:g}" y2="{bottom:g}"/>'
        )
        lines.append(f'<text class="tick" x="{x}" y="{bottom + 15:g}">{number(mark, digits)}</text>')
    return "".join(lines)


def _caption_difference(entry: MethodScore) -> str:
    text = f"{number(entry.difference, 2, sign=True)}"
    if entry.interval:
        text += f" [{number(entry.interval[0])}, {number(entry.interval[1])}]"
    return text


def score_plot(score: UnitScore) -> Markup:
    """Left: activations on the positive (filled) and neutral (hollow) prompts of each method, means, p50 and p95.

    Right: the difference of the means with its interval. Both in raw activation.
    """
    shown = [name for name in METHODS if name in score.methods]
    entries = [score.methods[name] for name in shown]
    lane, top = 27, 26
    bottom = top + 2 * lane * len(shown) + 4
    values = [value for entry in entries for value in (*entry.positive, *entry.neutral)]
    left = axis_over([*values, score.p50, score.p95], 170, 500)
    right = axis_over([end for e in entries for end in (*(e.interval or ()), e.difference)], 540, 700)
    parts = [_scale(left, top, bottom, 6), _scale(right, top, bottom, 3)]
    for value, name in ((score.p50, "p50"), (score.p95, "p95")):
        if value is not None:
            x = left(value)
            parts.append(f'<line class="quantile" x1="{x}" x2="{x}" y1="{top - 6}" y2="{bottom}"/>')
            side = ("end", x + 2) if name == "p50" else ("start", x - 2)  # so that close quantiles stay readable
            parts.append(f'<text class="quantile {side[0]}" x="{side[1]:g}" y="{top - 10}">{name}</text>')
    for i, (name, entry) in enumerate(zip(shown, entries, strict=True)):
        y = top + 2 * lane * i + lane * 0.62
        parts.append(f'<g class="m-{name}">')
        if i:
            parts.append(f'<line class="grid" x1="0" x2="700" y1="{y - lane * 0.55:g}" y2="{y - lane * 0.55:g}"/>')
        parts.append(f'<text class="name" x="0" y="{y + lane / 2 + 4:g}">{name}</text>')
        for lane_y, values_of, kind in ((y, entry.positive, "positive"), (y + lane, entry.neutral, "neutral")):
            parts.append(f'<text class="kind" x="158" y="{lane_y + 4:g}">{kind}</text>')
            parts.append(_lane(left, values_of, lane_y, kind))
        if entry.difference is not None:
            middle = y + lane / 2
            if entry.interval:
                low, high = (right(value) for value in entry.interval)
                parts.append(f'<line class="span" x1="{low}" x2="{high}" y1="{middle:g}" y2="{middle:g}"/>')
            parts.append(f'<circle class="positive" cx="{right(entry.difference)}" cy="{middle:g}" r="4.6"/>')
        parts.append("</g>")
    parts.append(f'<text class="title" x="170" y="{bottom + 33:g}">activation</text>')
    parts.append(f'<text class="title" x="540" y="{bottom + 33:g}">difference of means</text>')
    spoken = "; ".join(f"{name}: difference {_caption_difference(e)}" for name, e in zip(shown, entries, strict=True))
    return Markup(
        f'<svg class="strip" viewBox="0 0 716 {bottom + 40:g}" role="img" '
        f'aria-label="Activations by method. {spoken}">{"".join(parts)}</svg>'
    )
