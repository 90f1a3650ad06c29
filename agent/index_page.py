"""Units of an exemplar index as one HTML page that holds everything it shows and asks the network for nothing.

The page has no script: pictures are uncovered by hovering, by clicking and with the keyboard through checkboxes. Names
of files and layers are escaped; a Content-Security-Policy admits the page's own style sheet (by its hash) and pictures
within the page.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from ..engine.exemplars import MASK_QUANTILE, Exemplar, ExemplarIndex
from ..kernels.mask import DARKEN, OUTLINE, outline, region
from ..models.files import write_whole
from ..models.targets import Target, Unit
from ..models.testbed.world import World
from .index_plots import Mark, histogram_plot
from .index_query import UnitAnswer, answer, bad_images, place_of
from .report_parts import QUALITY, anchors, page_environment, policy_hash, read_asset
from .report_plots import activation_bar


@dataclass(frozen=True)
class Shot:
    """An exemplar as the page shows it. picture, mask: data URIs; mask is what darkens and outlines, "" for a layer
    without places. at: the maximum's place in per cent of the width and the height. remark: why the mask shows no
    region, or ""."""

    rank: int
    file: str
    activation: str
    bar: Markup
    picture: str
    mask: str
    at: tuple[float, float] | None
    place: str
    remark: str


@dataclass(frozen=True)
class UnitView:
    """A unit's answer with its drawings."""

    answer: UnitAnswer
    anchor: str
    shots: list[Shot]
    activations: Markup
    map_values: Markup


def build_page(
    index: ExemplarIndex, units: Sequence[Unit], path: Path, target: Target | None = None, world: World | None = None
) -> Path:
    """Write the page of these units to `path`, whole or not at all, and return it; arguments as for `render_page`."""
    write_whole(path, render_page(index, units, target, world).encode("utf-8"))
    return path


def render_page(
    index: ExemplarIndex, units: Sequence[Unit], target: Target | None = None, world: World | None = None
) -> str:
    """The page's HTML.

    target: needed where the index keeps no pictures (`index.has_pictures`): they are drawn again by `world` and seen
    as the target sees them, and where it keeps no maps either, the target gives them. world: the one that a target of
    ground-truth neurons was loaded with. Raises ValueError without a target that is needed, UserError if the index
    lacks a unit, is damaged, or is of another target.
    """
    if target is not None:
        index.check_target(target)
    elif not index.has_pictures:
        raise ValueError("the index keeps no pictures: a page of its units needs the target")
    world = world or World()
    answers = [answer(index, unit) for unit in units]
    views = [
        UnitView(
            found,
            anchor,
            _shots(index, found, target, world) if found.status == "ok" else [],
            _activations_plot(found),
            _map_values_plot(found),
        )
        for found, anchor in zip(answers, anchors(str(unit) for unit in units), strict=True)
    ]
    environment = page_environment()
    style = Markup(read_asset("report.css") + read_asset("index_page.css"))
    policy = f"default-src 'none'; img-src data:; style-src {policy_hash(style)}; base-uri 'none'; form-action 'none'"
    return environment.get_template("index_page.html.j2").render(
        policy=Markup(policy), style=style, views=views, **_header(index, answers)
    )


def _header(index: ExemplarIndex, answers: Sequence[UnitAnswer]) -> dict[str, Any]:
    facts, images = index.facts, index.manifest.images
    one = answers[0].name if len(answers) == 1 else f"{len(answers)} units"
    own = facts.mask_threshold
    shown = f"the target's own threshold, {own:g}" if own is not None else f"the {MASK_QUANTILE:g} quantile of each"
    rows = [
        ("Target", facts.target),
        ("Dataset", f"{index.manifest.dataset} ({facts.dataset_kind})"),
        ("Images read", f"{images['read']:,} of {images['entries']:,}; bad: {bad_images(index)}"),
        ("Masks show values above", shown + ("" if own is not None else " unit's map values")),
    ]
    return {"title": f"{one} of {facts.target}", "rows": rows}


def _shots(index: ExemplarIndex, found: UnitAnswer, target: Target | None, world: World) -> list[Shot]:
    exemplars = found.exemplars
    pictures = [
        index.picture(one.id) if index.has_pictures else world.dataset_image(one.id).convert("RGB") for one in exemplars
    ]
    maps = [one.map for one in exemplars]
    if target is not None and any(one is None for one in maps):
        maps = [response.map for response in target.respond(pictures, found.unit)]
    if target is not None and not index.has_pictures:  # an index keeps pictures as the target saw them
        pictures = [target.view(picture) for picture in pictures]
    return [
        _shot(rank, one, picture, values, found)
        for rank, (one, picture, values) in enumerate(zip(exemplars, pictures, maps, strict=True), 1)
    ]


def _shot(rank: int, one: Exemplar, picture: Image.Image, values: np.ndarray | None, found: UnitAnswer) -> Shot:
    mask, remark, at = "", "", None
    if values is not None and values.size > 1:  # a vector's one value has no place to show
        inside = region(values, picture.height, picture.width, found.threshold)
        mask = _mask_uri(inside)
        if not inside.any():  # between the map's cells the values are lower
            remark = "below the threshold" if one.value <= found.threshold else "region too small to show"
    if one.position is not None and one.map is not None and one.map.size > 1:
        (row, column), (rows, columns) = one.position, one.map.shape
        at = (round(100 * (column + 0.5) / columns, 2), round(100 * (row + 0.5) / rows, 2))
    low = min(0.0, found.lowest)
    return Shot(
        rank,
        one.key,
        found.number(one.value),
        activation_bar(one.value, low, max(found.highest, 0.0), found.p95),
        _uri(picture, "WEBP", quality=QUALITY, method=2),
        mask,
        at,
        place_of(one),
        remark,
    )


def _mask_uri(inside: np.ndarray) -> str:
    """What lies over a picture so that it looks as `kernels.mask.apply_region` makes it: data URI of a small PNG."""
    kinds = np.where(inside, 0, 1).astype(np.uint8)
    kinds[outline(inside)] = 2
    image = Image.fromarray(kinds, "L").convert("P")
    image.putdata(kinds.ravel().tolist())
    image.putpalette([0, 0, 0, 0, 0, 0, *OUTLINE])
    return _uri(image, "PNG", transparency=bytes([0, round(255 * (1 - DARKEN)), 255]), optimize=True)


def _uri(image: Image.Image, form: str, **options: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return f"data:image/{form.lower()};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _activations_plot(found: UnitAnswer) -> Markup:
    marks = []
    values = [one.value for one in found.exemplars]
    if values and found.status == "ok":
        text = f"{len(values)} exemplars, {found.number(values[-1])} to {found.number(values[0])}"
        marks.append(Mark("exemplars", text, values[-1], values[0]))
    marks.append(Mark("p95", f"p95 {found.number(found.p95)}", found.p95))
    return histogram_plot(found.activations, marks, "images")


def _map_values_plot(found: UnitAnswer) -> Markup:
    if found.map_values is None or all(one.map is not None and one.map.size == 1 for one in found.exemplars):
        return Markup()  # a vector's values are the activations
    mark = Mark("threshold", f"threshold {found.number(found.threshold)}", found.threshold)
    return histogram_plot(found.map_values, [mark], "sampled positions", above=found.threshold)
