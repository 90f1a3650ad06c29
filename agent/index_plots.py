"""Histograms of an exemplar index: the sketch's logarithmic bins made linear, and drawn as inline SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from ..kernels.sketch import bin_edges
from .report_plots import Axis, number, ticks

LINEAR_BINS = 40

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM, _HEIGHT = 400.0, 34.0, 392.0, 40.0, 138.0, 172.0
_ROW = 14.0
_FLOOR = 0.5
"""Images at the foot of the logarithmic axis: one image is still a bar."""


@dataclass(frozen=True)
class Histogram:
    """Counts in bins of equal width. edges: [n + 1], rising; counts: [n], integers that sum to what was counted.

    Both are empty where none was counted, and where all values are the same, or as near as the sketch can tell.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    def as_json(self) -> dict[str, Any]:
        """Edges and counts as lists."""
        return {"edges": list(self.edges), "counts": list(self.counts)}


def rebin(counts: np.ndarray, lowest: float | None, highest: float | None, bins: int = LINEAR_BINS) -> Histogram:
    """`bins` linear bins from int64 [BINS] of the sketch, over what it holds.

    lowest, highest: exact extremes, where known; else the edges of the outermost bins that hold something. Values lie
    evenly within a sketch's bin, and the cumulative counts are rounded, so that they stay integers and their sum
    stays what it was. Infinite values count in the outermost bins.
    """
    edges = bin_edges()
    held = np.flatnonzero(counts)
    if not len(held) or (len(held) == 1 and (lowest is None or highest is None)):
        return Histogram((), ())
    finite = edges[1:-1]
    known = [value for value in (lowest, highest) if value is not None and math.isfinite(value)]
    low = _first_finite(lowest, float(np.clip(edges[held[0]], finite[0], finite[-1])), known, min)
    high = _first_finite(highest, float(np.clip(edges[held[-1] + 1], finite[0], finite[-1])), known, max)
    if not low < high:
        return Histogram((), ())
    linear = np.linspace(low, high, bins + 1)
    below = np.interp(linear, np.clip(edges, low, high), np.concatenate([[0], np.cumsum(counts)]))
    below[0], below[-1] = 0, counts.sum()
    return Histogram(tuple(linear.tolist()), tuple(np.diff(np.rint(below)).astype(int).tolist()))


def _first_finite(exact: float | None, edge: float, known: Sequence[float], extreme: Any) -> float:
    """The exact end where it is finite; else the bin's edge, which the other end may lie beyond by rounding."""
    if exact is not None and math.isfinite(exact):
        return exact
    return float(extreme([edge, *known]))


@dataclass(frozen=True)
class Mark:
    """Something to point out on the axis: a value, or a range where `end` is given. kind: CSS class."""

    kind: str
    text: str
    value: float
    end: float | None = None


def histogram_plot(histogram: Histogram, marks: Sequence[Mark], what: str, above: float | None = None) -> Markup:
    """The histogram as SVG: counts on a logarithmic axis (most values lie at a ReLU's zero), marks labelled on top.

    what: what is counted, such as "images". above: bars of higher values are highlighted. Texts are the caller's own
    words and numbers. Returns nothing for an empty histogram.
    """
    if not histogram.counts:
        return Markup()
    axis = Axis(histogram.edges[0], histogram.edges[-1], _LEFT, _RIGHT)
    top = math.log10(max(*histogram.counts, 1) / _FLOOR)

    def height_of(count: float) -> float:
        return round((_BOTTOM - _TOP) * math.log10(count / _FLOOR) / top, 1)

    parts = [*_grid(max(histogram.counts), height_of, what), *_scale(axis)]
    for count, left, right in zip(histogram.counts, histogram.edges, histogram.edges[1:], strict=False):
        if count:
            tall, kind = height_of(count), " above" if above is not None and right > above else ""
            x, width = axis(left), max(axis(right) - axis(left) - 1, 1)
            parts.append(
                f'<rect class="bin{kind}" x="{x}" y="{_BOTTOM - tall:g}" width="{width:.1f}" height="{tall}"/>'
            )
    for row, mark in enumerate(marks):
        parts += _mark(mark, axis, row)
    spoken = f"Histogram of {sum(histogram.counts):,} {what}. " + "; ".join(mark.text for mark in marks)
    return Markup(
        f'<svg class="histogram" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" '
        f'aria-label="{Markup.escape(spoken)}">{"".join(parts)}</svg>'
    )


def _grid(highest: int, height_of: Any, what: str) -> list[str]:
    decades = math.floor(math.log10(highest)) if highest else 0
    every = 1 + decades // 4
    parts = [f'<text class="what" x="0" y="{_HEIGHT - 2:g}">{Markup.escape(what)}, log scale</text>']
    for power in range(0, decades + 1, every):
        y = round(_BOTTOM - height_of(10**power), 1)
        parts.append(f'<line class="grid" x1="{_LEFT:g}" x2="{_RIGHT:g}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="tick end" x="{_LEFT - 5:g}" y="{y + 3.5:g}">{_short(10**power)}</text>')
    return parts


def _short(count: int) -> str:
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count // size}{letter}"
    return str(count)


def _scale(axis: Axis) -> list[str]:
    at = ticks(axis.low, axis.high, 5)
    digits = min(6, max(0, -math.floor(math.log10(at[1] - at[0])))) if len(at) > 1 else 3
    parts = [f'<line class="axis" x1="{_LEFT:g}" x2="{_RIGHT:g}" y1="{_BOTTOM:g}" y2="{_BOTTOM:g}"/>']
    for value in at:
        parts.append(f'<text class="tick" x="{axis(value)}" y="{_BOTTOM + 17:g}">{number(value, digits)}</text>')
    return parts


def _mark(mark: Mark, axis: Axis, row: int) -> list[str]:
    """A mark's label in its own row on top, and its line (a range: a band at the axis) in the plot."""
    x, y = axis(mark.value), 11 + row * _ROW
    text = Markup.escape(mark.text)
    if mark.end is None:
        side, at = ("end", x - 5) if x > (_LEFT + _RIGHT) / 2 else ("", x + 5)
        line = f'<line class="{mark.kind}" x1="{x}" x2="{x}" y1="{y - 9:g}" y2="{_BOTTOM:g}"/>'
        return [line, f'<text class="{mark.kind} {side}" x="{at:g}" y="{y:g}">{text}</text>']
    end = max(axis(mark.end), x + 2)
    side, at = ("end", end) if (x + end) / 2 > (_LEFT + _RIGHT) / 2 else ("", x)
    return [
        f'<rect class="{mark.kind}" x="{x}" y="{_BOTTOM + 1:g}" width="{end - x:.1f}" height="4"/>',
        f'<text class="{mark.kind} {side}" x="{at:g}" y="{y:g}">{text}</text>',
    ]
