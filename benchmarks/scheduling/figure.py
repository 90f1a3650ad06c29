"""The figure of docs/scheduler.md: bytes copied in each scenario, over the offline bound, as SVG."""

import math
from typing import Any
from xml.sax.saxutils import escape

_SERIES = (
    ("one_model", "one model at a time", "#9a6a00", "square"),
    ("lru", "FIFO with LRU", "#c2410c", "triangle"),
    ("found", "best schedule found offline", "#475569", "bar"),
    ("ours", "this scheduler", "#1d4ed8", "circle"),
)
_WIDTH, _LEFT, _RIGHT, _TOP, _ROW = 860, 268, 836, 74, 24


def draw(result: dict[str, Any]) -> str:
    """One row a scenario under pressure, bytes copied over the bound on a logarithmic axis; 1 is the bound itself."""
    rows = [scenario for scenario in result["scenarios"] if scenario["pressure"] and scenario["bound"]["bytes"]]
    values = [_values(scenario) for scenario in rows]
    highest = max((value for row in values for value in row.values()), default=2.0)
    powers = range(math.ceil(math.log2(max(highest, 2.0)) - 1e-9) + 1)
    scale = (_RIGHT - _LEFT) / powers[-1]
    bottom = _TOP + _ROW * len(rows)
    parts = [_text(16, 24, "Bytes copied to the device, as a multiple of the offline bound", 15, weight=600)]
    x = 16.0
    for _, label, colour, shape in reversed(_SERIES):
        parts += [_mark(x + 6, 44, colour, shape), _text(x + 18, 48, label, 12)]
        x += 34 + 6.6 * len(label)
    for power in powers:
        at = _LEFT + power * scale
        parts.append(f'<line x1="{at:.1f}" y1="{_TOP - 8}" x2="{at:.1f}" y2="{bottom}" stroke="#e2e8f0"/>')
        parts.append(_text(at, bottom + 16, f"{2**power}", 12, anchor="middle"))
    parts.append(f'<line x1="{_LEFT}" y1="{_TOP - 8}" x2="{_LEFT}" y2="{bottom}" stroke="#475569"/>')
    parts.append(_text((_LEFT + _RIGHT) / 2, bottom + 34, "times the bound (logarithmic)", 12, anchor="middle"))
    for number, (scenario, row) in enumerate(zip(rows, values, strict=True)):
        y = _TOP + _ROW * number + _ROW / 2
        parts.append(_text(_LEFT - 12, y + 4, scenario["name"], 12, anchor="end"))
        ends = [_LEFT + math.log2(max(value, 1.0)) * scale for value in row.values()]
        parts.append(f'<line x1="{min(ends):.1f}" y1="{y}" x2="{max(ends):.1f}" y2="{y}" stroke="#cbd5e1"/>')
        for key, _, colour, shape in _SERIES:
            if key in row:
                parts.append(_mark(_LEFT + math.log2(max(row[key], 1.0)) * scale, y, colour, shape))
    height = bottom + 48
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'font-family="system-ui, sans-serif" role="img" aria-label="Bytes copied, over the offline bound">\n'
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def _values(scenario: dict[str, Any]) -> dict[str, float]:
    bound = scenario["bound"]["bytes"]
    found = {name: scenario["policies"][name]["swap_bytes"] / bound for name in ("ours", "lru", "one_model")}
    best = scenario["bound"]["best_found_bytes"]
    return found if best is None else found | {"found": best / bound}


def _text(x: float, y: float, text: str, size: int, anchor: str = "start", weight: int = 400) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="#1e293b">{escape(text)}</text>'
    )


def _mark(x: float, y: float, colour: str, shape: str) -> str:
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{colour}"/>'
    if shape == "square":
        return f'<rect x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10" fill="{colour}"/>'
    if shape == "bar":
        return f'<rect x="{x - 1.5:.1f}" y="{y - 9:.1f}" width="3" height="18" fill="{colour}"/>'
    return f'<path d="M {x - 6:.1f} {y + 5:.1f} L {x + 6:.1f} {y + 5:.1f} L {x:.1f} {y - 6:.1f} Z" fill="{colour}"/>'
