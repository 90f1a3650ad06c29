"""`maia index query`: names of units, numbers that are the index's, a page that is whole, closed and safe."""

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from command import call
from hypothesis import given
from hypothesis import strategies as st
from maia.agent.index_page import _mask_uri, build_page, render_page
from maia.agent.index_plots import LINEAR_BINS, Mark, histogram_plot, rebin
from maia.agent.index_query import answer, as_json, bad_images, query_units
from maia.engine.dataset import open_dataset
from maia.engine.exemplars import ExemplarIndex
from maia.engine.index_build import BuildOptions, build_index
from maia.engine.targets import load_target
from maia.kernels.mask import mask_image
from maia.kernels.sketch import BINS, add
from maia.models.errors import UserError
from maia.models.targets import Unit
from maia.models.testbed.world import World
from PIL import Image
from tiny import LAYERS, tiny_target, write_pictures

HOSTILE = "<img src=x onerror=alert(1)>[bold]\u202e.png"
COUNT = 40
SMALL = "region too small to show"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("data"), COUNT, bad_every=10)


@pytest.fixture(scope="module")
def index(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ExemplarIndex:
    return _build(folder, tmp_path_factory.mktemp("index"))


def _build(folder: Path, out: Path) -> ExemplarIndex:
    built = build_index(tiny_target(), open_dataset(folder), list(LAYERS), out, BuildOptions(batch=8, samples=4))
    assert built is not None
    return built


class Page(HTMLParser):
    """What a page holds: elements with attributes, text, and how often each tag is opened less closed."""

    VOID = frozenset({"meta", "input", "img"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.bold: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())
        if self.open and self.open[-1] == "b":
            self.bold.append(data)

    def of(self, tag: str, kind: str = "") -> list[dict[str, str]]:
        return [a for t, a in self.elements if t == tag and (not kind or kind in a.get("class", "").split())]


def _decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("late:2", [("late", 2)]),
        (" early : 3, 0-1 ", [("early", 3), ("early", 0), ("early", 1)]),
        ("early=3:late=0,2-3", [("early", 3), ("late", 0), ("late", 2), ("late", 3)]),
    ],
)
def test_units_are_read_in_both_forms(index: ExemplarIndex, text: str, expected: list[tuple[str, int]]) -> None:
    assert query_units(index, text) == [Unit("tiny", layer, place) for layer, place in expected]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lates:2", ["no layer 'lates'", "late, logits, early", "maia index build"]),
        ("lates=2", ["no layer 'lates'", "late, logits, early"]),
        ("late:4", ["no unit 4", "'late'", "0 to 3"]),
        ("late:1-9", ["no unit 9", "0 to 3"]),
        ("late", ["'late' names no unit", "early (0-4)", "late (0-3)", "logits (0-2)"]),
        ("late:", ["names no unit"]),
        ("", ["names no unit"]),
        ("late:x", ["'x' is no index", "3-7"]),
        ("late:1,1", ["more than once"]),
        ("late:3-1", ["backwards", "1-3"]),
    ],
)
def test_mistakes_name_the_choices(index: ExemplarIndex, text: str, words: list[str]) -> None:
    with pytest.raises(UserError) as problem:
        query_units(index, text)
    for word in words:
        assert word in str(problem.value)


def test_the_page_shows_the_index_numbers_files_masks_and_places(index: ExemplarIndex) -> None:
    unit = Unit("tiny", "late", 2)
    found, entries = answer(index, unit), index.entries(unit)
    assert found.status == "ok" and len(entries) == 15
    page = Page(render_page(index, [unit]))
    for value in (index.percentile(unit, 0.5), index.percentile(unit, 0.95), index.threshold(unit)):
        assert found.number(value) in page.texts
    assert "the 0.99 quantile of its map values" in page.texts
    assert f"36 of 40; bad: {bad_images(index)}" in page.texts and bad_images(index).startswith("4 (")
    pictures, masks, rings = page.of("img", "whole"), page.of("img", "mask"), page.of("circle", "under")
    boxes = [box for box in page.of("input") if "aria-label" in box]
    assert len(pictures) == len(masks) == len(rings) == len(boxes) == 15
    assert page.bold == [found.number(entry.value) for entry in entries]
    for place, entry in enumerate(entries):
        assert entry.key in page.texts and pictures[place]["alt"] == f"Exemplar {place + 1}: {entry.key}"
        assert entry.map is not None and entry.position is not None
        picture = np.asarray(index.picture(entry.id))
        shown = _over(picture, _decoded(masks[place]["src"]))
        expected = mask_image(picture, entry.map, index.threshold(unit)).astype(int)
        assert np.abs(shown - expected).max() <= 1
        row, column = entry.position
        assert float(rings[place]["cx"]) == pytest.approx(100 * (column + 0.5) / 5)
        assert float(rings[place]["cy"]) == pytest.approx(100 * (row + 0.5) / 5)
        assert f"Maximum at row {row + 1}, column {column + 1} of 5 × 5." in page.texts


def _over(picture: np.ndarray, mask: Image.Image) -> np.ndarray:
    """The picture under the page's mask, as a browser composes them: int [H, W, 3]."""
    layer = np.asarray(mask.convert("RGBA")).astype(float)
    alpha = layer[..., 3:] / 255
    return np.rint(picture * (1 - alpha) + layer[..., :3] * alpha).astype(int)


def test_a_mask_with_region_outline_and_rest_is_the_kernels(tmp_path: Path) -> None:
    inside = np.zeros((30, 40), bool)
    inside[5:12, 8:20] = inside[20, 30] = True
    layer = np.asarray(_decoded(_mask_uri(inside)).convert("RGBA"))
    assert (layer[inside][:, 3] == 0).all()
    assert tuple(layer[4, 10]) == (255, 214, 0, 255) and tuple(layer[0, 0]) == (0, 0, 0, 191)


def test_the_page_refers_to_nothing_outside_and_admits_its_own_style_only(index: ExemplarIndex) -> None:
    html = render_page(index, query_units(index, "early:0-4"))
    page = Page(html)
    assert not page.of("script") and not page.of("link") and not page.of("iframe")
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on") and name != "style", (tag, name)
            if name in ("src", "href", "srcset", "action", "data"):
                assert value.startswith(("data:image/", "#unit-")), value
    assert "//" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", html)
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style is not None and "url(" not in style[1] and "@import" not in style[1]
    (policy,) = (a["content"] for a in page.of("meta") if a.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy and "script" not in policy
    targets = {a["href"].removeprefix("#") for a in page.of("a")}
    assert targets == {a["id"] for a in page.of("section")} and len(targets) == 5


def test_hostile_file_names_stay_text(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "data", 30)
    for path in sorted(folder.rglob("*.png")):
        path.rename(path.with_name(f"{path.stem}{HOSTILE}"))
    index = _build(folder, tmp_path / "i")
    page = Page(render_page(index, query_units(index, "early:0-4")))
    named = [text for text in page.texts if HOSTILE in text]
    assert len(named) >= 15 and all(a.get("src", "").startswith("data:") and "onerror" not in a for a in page.of("img"))
    said = call("index", "query", tmp_path / "i", "--unit", "early:0-4")
    assert said.code == 0 and "[bold]" in said.out.replace("\n", "")


def test_dead_and_saturated_units_say_what_that_means_and_show_no_pictures(index: ExemplarIndex) -> None:
    unit = Unit("tiny", "late", 0)
    page = Page(render_page(index, [unit]))
    assert not page.of("img") and not page.of("svg") and "dead" in page.texts
    assert "Every image gives −0.5000, so that there is nothing to show or to describe." in page.texts
    assert as_json(index, [answer(index, unit)])["units"][0]["exemplars"] == []


def test_saturation_is_told_with_the_value(index: ExemplarIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExemplarIndex, "status", lambda self, unit: "saturated")
    unit = Unit("tiny", "late", 2)
    page = Page(render_page(index, [unit]))
    highest = answer(index, unit).number(index.percentile(unit, 1))
    assert not page.of("img") and any(f"highest value, {highest}, so that no image" in text for text in page.texts)


def test_a_threshold_says_where_it_comes_from(index: ExemplarIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = Unit("tiny", "late", 2)
    assert answer(index, unit).threshold_is == "the 0.99 quantile of its map values"
    monkeypatch.setattr(ExemplarIndex, "quantile", lambda self, unit, q: self.percentile(unit, 1))  # a ReLU6's ceiling
    found = answer(index, unit)
    assert found.threshold < found.highest and found.threshold_is.startswith("just below its highest value")


def test_a_vector_layer_shows_whole_pictures(index: ExemplarIndex) -> None:
    page = Page(render_page(index, [Unit("tiny", "logits", 1)]))
    assert page.of("img", "whole") and not page.of("img", "mask") and not page.of("circle") and not page.of("input")
    assert len(page.of("svg", "histogram")) == 1  # its map values are its activations


def test_an_exemplar_without_a_region_says_why(index: ExemplarIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = Unit("tiny", "late", 2)
    highest = index.percentile(unit, 1)
    monkeypatch.setattr(ExemplarIndex, "threshold", lambda self, unit: float(np.float32(highest) - np.float32(1e-6)))
    remarks = [text for text in Page(render_page(index, [unit])).texts if text in ("below the threshold", SMALL)]
    assert remarks[-1] == "below the threshold" and len(remarks) in (14, 15) and remarks.count(SMALL) <= 1


def test_ground_truth_neurons_are_drawn_again_and_masked_by_the_target(tmp_path: Path) -> None:
    world = World()
    target = load_target("ground-truth", world)
    index = build_index(target, open_dataset("testbed:120"), ["or"], tmp_path / "i", BuildOptions())
    assert index is not None and not index.has_pictures
    unit = next(u for u in (Unit("ground-truth", "or", i) for i in range(69)) if index.status(u) == "ok")
    with pytest.raises(ValueError, match="needs the target"):
        render_page(index, [unit])
    page = Page(build_page(index, [unit], tmp_path / "p.html", target, world).read_text(encoding="utf-8"))
    masks, entries = page.of("img", "mask"), index.entries(unit)
    assert len(masks) == len(entries) == 15 and not page.of("circle")
    for mask, entry in list(zip(masks, entries, strict=True))[::5]:
        picture = world.dataset_image(entry.id)
        (response,) = target.respond([picture], unit)
        expected = mask_image(np.asarray(picture), response.map, 0.0).astype(int)
        assert np.abs(_over(np.asarray(picture), _decoded(mask["src"])) - expected).max() <= 1
    assert not any(text.startswith("Map values") for text in page.texts)


def test_an_index_of_another_target_is_refused(index: ExemplarIndex) -> None:
    with pytest.raises(UserError, match="weights or definition"):
        render_page(index, [Unit("tiny", "late", 2)], tiny_target(seed=1))


def _counted(values: np.ndarray) -> np.ndarray:
    counts = torch.zeros(1, BINS, dtype=torch.int64)
    add(counts, torch.from_numpy(values)[:, None])
    return counts[0].numpy()


@given(
    st.lists(st.floats(-9, 9, width=32), min_size=2, max_size=60),
    st.integers(0, 40),
    st.booleans(),
)
def test_linear_bins_keep_every_count_and_its_place(values: list[float], zeros: int, known: bool) -> None:
    data = np.array(values + [0.0] * zeros, np.float32)
    low, high = (float(data.min()), float(data.max())) if known else (None, None)
    found = rebin(_counted(data), low, high)
    if not found.counts:
        assert np.ptp(data) <= (0 if known else max(2.0**-6 * np.abs(data).max(), 2.0**-23))
        return
    assert sum(found.counts) == len(data) and min(found.counts) >= 0
    assert found.edges[0] <= data.min() and found.edges[-1] >= data.max()
    below = np.cumsum([0, *found.counts])
    # A value is known to within 2^-6 of itself, and the cumulative count is rounded.
    for edge, count in zip(found.edges[1:-1], below[1:-1], strict=True):
        slack = 2.0**-6 * abs(edge) * 1.02 + 2.0**-23
        assert (data < edge - slack).sum() - 0.5 <= count <= (data <= edge + slack).sum() + 0.5


def test_infinite_values_count_at_the_ends() -> None:
    data = np.array([-np.inf, 1, 2, 3, np.inf, np.inf], np.float32)
    found = rebin(_counted(data), float("-inf"), float("inf"))
    assert sum(found.counts) == 6 and np.isfinite(found.edges).all()
    assert rebin(_counted(np.array([], np.float32)), None, None).counts == ()


def test_a_plot_is_well_formed_and_bars_say_their_counts() -> None:
    data = np.repeat(np.float32([0, 1, 2, 4]), [1000, 100, 10, 1])
    drawn = histogram_plot(rebin(_counted(data), 0.0, 4.0), [Mark("p95", "p95 <1>", 1.0)], "images", above=1.5)
    tree = ElementTree.fromstring(drawn)
    assert tree.get("aria-label") == "Histogram of 1,111 images. p95 <1>"
    bars = [e for e in tree if e.tag == "rect" and "bin" in (e.get("class") or "")]
    heights = [float(bar.get("height") or 0) for bar in bars]
    assert len(bars) == 4 and [bar.get("class") for bar in bars] == ["bin", "bin", "bin above", "bin above"]
    steps = np.diff(heights)  # one decade a step
    assert (steps < 0).all() and np.ptp(steps) < 0.3
    assert all(0 <= float(e.get("x") or 0) <= 400 for e in tree if e.get("x"))
    assert LINEAR_BINS == 40


def test_json_holds_the_index_numbers(index: ExemplarIndex, tmp_path: Path) -> None:
    file = tmp_path / "q.json"
    assert call("index", "query", index.directory, "--unit", "late:2", "--unit", "logits:0-1", "--json", file).code == 0
    data = json.loads(file.read_text())
    assert [unit["unit"] for unit in data["units"]] == ["tiny.late.2", "tiny.logits.0", "tiny.logits.1"]
    assert data["dataset"]["read"] == 36 and sum(data["dataset"]["bad"].values()) == 4
    first, unit = data["units"][0], Unit("tiny", "late", 2)
    assert first["threshold"] == index.threshold(unit) and first["p95"] == index.percentile(unit, 0.95)
    for row, entry in zip(first["exemplars"], index.entries(unit), strict=True):
        assert (row["id"], row["file"], row["activation"]) == (entry.id, entry.key, entry.value)
        assert tuple(row["position"]) == entry.position and row["map_size"] == [5, 5]
    assert sum(first["activations"]["counts"]) == 36
    assert sum(first["map_values"]["counts"]) == index.counts(unit, "cells").sum()


def test_the_table_and_the_page_from_the_command_line(index: ExemplarIndex, tmp_path: Path) -> None:
    said = call("index", "query", index.directory, "--unit", "late:2,0", "--unit", "late=2")
    assert said.code == 0, said.err
    unit = Unit("tiny", "late", 2)
    found = answer(index, unit)
    rows = [line.split() for line in said.out.splitlines()]
    for rank, entry in enumerate(index.entries(unit), 1):
        assert [str(rank), found.number(entry.value), entry.key] in [row[:3] for row in rows]
    assert said.out.count("late:2 ") == 1 and "Dead: Every image" in said.out
    page = tmp_path / "p.html"
    said = call("index", "query", index.directory, "--unit", "late:2", "--html", page)
    assert said.code == 0 and str(page) in said.out and page.read_text(encoding="utf-8") == render_page(index, [unit])
    assert "no layer 'lat'" in call("index", "query", index.directory, "--unit", "lat:0").sentence()
    assert "no exemplar index" in call("index", "query", tmp_path, "--unit", "late:0").sentence()
