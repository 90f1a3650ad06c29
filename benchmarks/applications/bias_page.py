"""The results of `maia bias` as one HTML page that holds everything it shows and asks the network for nothing.

The page has no script. A Content-Security-Policy admits its own style sheet, by its hash, and pictures inside it.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from PIL import Image

from ...agent.report_parts import policy_hash
from ...agent.report_plots import Axis, axis_over, number
from ...agent.transcript import ImageStore
from ...models.targets import Unit
from .bias_evidence import NONE, UNANSWERED, ClassResult, Context, Evidence
from .bias_runs import run_directory
from .bias_study import Against, rate_rows

HIGHEST, LOWEST = 8, 8
"""Pictures of a class that the page shows at most: the evidence's two ends."""
SIDE, QUALITY = 112, 80
"""Pixels of a picture's longer side in the page, and its JPEG quality: 4 kB a picture."""
_WIDTH, _LABEL, _VALUE = 560.0, 170.0, 90.0
_CLASSES = {NONE: "none", UNANSWERED: "open"}


def render_page(
    out: Path,
    results: Sequence[ClassResult],
    facts: Mapping[str, Any],
    rows: Sequence[Against],
    summary: Mapping[str, Any],
) -> str:
    """The page's HTML. out: where the runs' pictures lie; those that are missing are told, and left out."""
    folder = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = folder.joinpath("bias_page.css").read_text(encoding="utf-8")
    policy = f"default-src 'none'; img-src data:; style-src {policy_hash(style)}; base-uri 'none'; form-action 'none'"
    truths = {row.unit: row for row in rows}
    return environment.get_template("bias_page.html.j2").render(
        policy=Markup(policy),
        style=Markup(style),
        facts=[(str(name), str(value)) for name, value in facts.items()],
        rates=rate_rows(summary),
        classes=[_class_view(out, result, truths.get(result.unit)) for result in results],
    )


def _class_view(out: Path, result: ClassResult, row: Against | None) -> dict[str, Any]:
    store = ImageStore(run_directory(out, Unit.parse(result.unit)) / "images")
    low = result.evidence[HIGHEST:][-LOWEST:]
    shown = [(one, _embedded(store, one)) for one in (*result.evidence[:HIGHEST], *low)]
    experiments: dict[str, list[Context]] = {}
    for one in result.contexts:
        experiments.setdefault(one.experiment, []).append(one)
    axis = axis_over([end for one in result.contexts for end in (one.mean, one.low, one.high)], _LABEL, _WIDTH - _VALUE)
    return {
        "name": result.name,
        "unit": result.unit,
        "verdict": result.verdict,
        "mark": _CLASSES.get(result.verdict, "found"),
        "bias": result.bias or result.reason,
        "description": result.description,
        "truth": row.truth if row else "",
        "strength": f"{row.strength:+.0%}".replace("-", "\u2212") if row and row.strength else "",
        "charts": [(name, bars(contexts, axis)) for name, contexts in experiments.items()],
        "pictures": [(one.title, number(one.activation, 3), uri) for one, uri in shown if uri],
        "missing": sum(uri is None for _, uri in shown),
        "logged": len(result.evidence),
    }


def _embedded(store: ImageStore, one: Evidence) -> str | None:
    """A picture as a data URI, made smaller; None where it is missing or damaged."""
    try:
        image = store.get(one.image)
    except (OSError, Image.DecompressionBombError):
        return None
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def bars(contexts: Sequence[Context], axis: Axis) -> Markup:
    """A bar for each context's mean, with its 95 % interval, the number of pictures and the mean in figures."""
    line = 19
    height = line * len(contexts) + 4
    zero = axis(0.0)
    parts = [f'<line class="zero" x1="{zero}" x2="{zero}" y1="0" y2="{height}"/>']
    for place, one in enumerate(contexts):
        y, end = place * line + 3, axis(one.mean)
        label = Markup.escape(one.name if len(one.name) <= 28 else f"{one.name[:27]}\u2026")
        parts.append(f'<text class="name" x="{_LABEL - 8:g}" y="{y + 11}">{label}</text>')
        parts.append(f'<rect x="{min(zero, end):g}" y="{y}" width="{abs(end - zero):g}" height="13"/>')
        if one.low is not None and one.high is not None:
            low, high, middle = axis(one.low), axis(one.high), y + 6.5
            parts.append(f'<path d="M{low} {middle}H{high}M{low} {y + 3}v7M{high} {y + 3}v7"/>')
        text = f"{number(one.mean, 3)} (n = {len(one.values)})"
        parts.append(f'<text class="value" x="{_WIDTH:g}" y="{y + 11}">{text}</text>')
    return Markup(
        f'<svg class="bars" viewBox="0 0 {_WIDTH:g} {height}" role="img" '
        f'aria-label="Mean activations by context">{"".join(parts)}</svg>'
    )
