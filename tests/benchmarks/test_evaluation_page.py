"""The page of an evaluation: self-contained, escaped, complete, and drawn to scale."""

import base64
import hashlib
import html.parser
import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from maia.benchmarks.quality.evaluation_page import PAGE, write_page, write_results
from maia.benchmarks.quality.evaluation_plots import Bar, BarRow, Lane, bar_plot, dot_plot
from maia.benchmarks.quality.evaluation_tables import make_tables
from maia.benchmarks.quality.evaluation_units import organise
from maia.benchmarks.quality.measured import RESULTS, Measured
from maia.benchmarks.quality.unit_statistics import Summary, summarise_units
from maia.models.errors import UserError
from measurements import measurement, study_of

HOSTILE = '<script>alert("x")</script><img src=http://x.test/y>'
METHODS = ["agent", "random", "milan", "agent: exemplars only"]


class Parsed(html.parser.HTMLParser):
    """Tags with their attributes, and the text of each tag."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[tuple[str, str]] = []
        self._open = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words.append((self._open, data.strip()))

    def of(self, tag: str, kind: str = "") -> list[dict[str, str]]:
        return [found for name, found in self.tags if name == tag and kind in [*found.get("class", "").split(), ""]]

    def text(self, tag: str) -> list[str]:
        return [data for name, data in self.words if name == tag and data]


@pytest.fixture(scope="module")
def measured() -> list[Measured]:
    return study_of({"ground-truth": ["single", "or"], "resnet152": ["conv1", "layer4"]}, METHODS, units=3, seeds=2)


@pytest.fixture(scope="module")
def page(measured: list[Measured], tmp_path_factory: pytest.TempPathFactory) -> str:
    facts = {"writer": "testbed", "runs": [{"run": HOSTILE}], HOSTILE: HOSTILE}
    hostile = [replace(one, method=HOSTILE) for one in measured if one.method == "milan"]
    path = tmp_path_factory.mktemp("page") / PAGE
    return write_page([*measured, *hostile], path, facts, notes=[HOSTILE]).read_text(encoding="utf-8")


def test_nothing_comes_from_elsewhere(page: str) -> None:
    parsed = Parsed(page)
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & {tag for tag, _ in parsed.tags}
    for _, attributes in parsed.tags:
        assert not {"src", "srcset", "xlink:href", "style", "onload", "action"} & attributes.keys()
        assert attributes.get("href", "#").startswith("#")
    assert not re.search(r"url\(|@import", "".join(parsed.text("style")))
    assert page.count("http-equiv") == 1
    assert "http" not in page.replace("http-equiv", "").replace("http://x.test", ""), "the hostile text alone has it"


def test_policy_admits_the_own_style_alone(page: str) -> None:
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None and page.count("<style") == 1
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = next(
        tag["content"] for tag in Parsed(page).of("meta") if tag.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_names_and_facts_are_text(page: str) -> None:
    assert "<script" not in page and "<img" not in page
    assert page.count("&lt;script&gt;") >= 4, "a method, a note, a fact and its name"
    assert HOSTILE in Parsed(page).text("li")


def test_all_tables_are_there_and_links_lead_to_them(measured: list[Measured], page: str) -> None:
    parsed = Parsed(page)
    tables = make_tables(organise(measured))
    ids = {tag["id"] for _, tag in parsed.tags if "id" in tag}
    assert {f"table-{table.name}" for table in tables} == ids
    assert {tag["href"].removeprefix("#") for tag in parsed.of("a")} == ids
    assert {table.title for table in tables} <= set(parsed.text("h2"))
    assert len(parsed.of("table")) == len(tables)
    assert all("paper" in tag["class"] for tag in parsed.of("th", "paper")) and parsed.of("th", "paper")


def test_every_unit_has_its_dot(measured: list[Measured], page: str) -> None:
    dots = [text for text in Parsed(page).text("title") if re.match(r"(ground-truth|resnet152)\.", text)]
    units = {one.unit for one in measured}
    assert {text.partition(":")[0] for text in dots} == units
    # Three other methods (the hostile one too), two measures, and each unit in its layer and among all.
    assert len(dots) == len(units) * 3 * 2 * 2


def test_same_bytes_whatever_the_order(measured: list[Measured], tmp_path: Path) -> None:
    first = write_page(measured, tmp_path / "a.html", {"seed": 1})
    second = write_page(measured[::-1], tmp_path / "b.html", {"seed": 1})
    assert first.read_bytes() == second.read_bytes()


def test_results_stand_beside_their_evaluation(measured: list[Measured], tmp_path: Path) -> None:
    data = {"measured": [asdict(one) for one in measured], "facts": {}, "left_out": {"t.l.0": {"agent": "it failed"}}}
    (tmp_path / RESULTS).write_text(json.dumps(data))
    written = write_results(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {RESULTS, *(path.name for path in written)}
    assert written[0].name == PAGE and "it failed" in written[0].read_text() and "it failed" in written[2].read_text()


def test_nothing_to_show_is_said_and_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing was measured"):
        write_page([], tmp_path / PAGE)
    with pytest.raises(UserError, match="is missing"):
        write_results(tmp_path)
    assert not list(tmp_path.iterdir())


def test_one_unit_of_one_method_makes_a_page(tmp_path: Path) -> None:
    path = write_page([measurement("t.l.0", "agent", 2.0, 1.0)], tmp_path / PAGE)
    assert "1 unit of t" in path.read_text()


def bars_of(drawing: str) -> dict[str, list[tuple[float, float]]]:
    """Left end and width of the bars of each kind."""
    found: dict[str, list[tuple[float, float]]] = {}
    for kind, x, width in re.findall(r'<rect class="(\w+)" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', drawing):
        found.setdefault(kind, []).append((float(x), float(width)))
    return found


def test_bars_are_to_scale_on_both_sides_of_zero() -> None:
    rows = [
        BarRow("a", 0, (Bar("positive", 4.0, (3.0, 5.0)), Bar("neutral", -2.0))),
        BarRow("b", 1, (Bar("positive", 1.0),)),
    ]
    drawing = str(bar_plot(rows, "activation"))
    bars = bars_of(drawing)
    (zero, four), (also_zero, one) = bars["positive"]
    left, two = bars["neutral"][0]
    assert zero == also_zero and four == pytest.approx(4 * one, abs=0.5) and two == pytest.approx(2 * one, abs=0.5)
    assert left + two == pytest.approx(zero, abs=0.2), "a negative bar ends at zero"
    low, high = map(float, re.findall(r'class="whisker" d="M([\d.]+) [\d.]+H([\d.]+)', drawing)[0])
    assert low - zero == pytest.approx(3 * one, abs=0.5) and high - zero == pytest.approx(5 * one, abs=0.5)


def test_the_papers_value_is_marked_on_the_same_axis() -> None:
    drawing = str(bar_plot([BarRow("a", 0, (Bar("positive", 1.0, None, 3.0), Bar("neutral", None)))], "activation"))
    ((zero, one),) = bars_of(drawing)["positive"]
    mark = float(re.findall(r'class="paper" d="M([\d.]+)', drawing)[0])
    assert mark - zero == pytest.approx(3 * one, abs=0.5) and "paper: 3" in drawing
    assert "neutral" not in bars_of(drawing), "no value, no bar"


def test_empty_plots_are_nothing() -> None:
    assert not bar_plot([], "activation") and not dot_plot([], "difference")
    assert not dot_plot([Lane("a", 0, {}, Summary(0, None, None))], "difference")


def test_dots_stand_at_their_values() -> None:
    values = {"u0": -1.0, "u1": 1.0, "u2": 3.0}
    drawing = str(dot_plot([Lane("less b", 1, values, summarise_units(values))], "difference"))
    first, second, third = (float(x) for x in re.findall(r'<circle cx="([\d.]+)"', drawing))
    mean = float(re.findall(r'class="mean" d="M([\d.]+)', drawing)[0])
    assert second - first == pytest.approx(third - second, abs=0.3) and mean == pytest.approx(second, abs=0.2)
    assert "u2: +3.00" in drawing and "mean +1.00 over 3 units" in drawing


def test_types_of_facts(tmp_path: Path) -> None:
    facts: dict[str, Any] = {"writer": "w", "seeds": [0, 1], "none": None, "runs": {"a": 1}}
    text = write_page([measurement("t.l.0", "agent", 2.0)], tmp_path / PAGE, facts).read_text()
    words = Parsed(text).text("dd")
    assert {"w", "0, 1", "none"} <= set(words) and "Further facts" in text and "runs" in Parsed(text).text("pre")[0]
