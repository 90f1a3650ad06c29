import base64
import hashlib
import io
import json
import math
import random
import re
import shutil
import subprocess
import threading
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from maia.agent.report import TESTBED_CAVEAT, build_report, summary_table
from maia.agent.report_data import METHODS, load_run
from maia.agent.report_parts import Pictures, anchors, clean, hypothesis_items, reply_sections
from maia.agent.report_plots import axis_over, number, score_plot, ticks
from maia.agent.transcript import (
    Conclusion,
    Experiment,
    Failure,
    ImageStore,
    LogEntry,
    Notice,
    Reply,
    Start,
    Transcript,
    unit_directory,
)
from maia.models.errors import UserError
from PIL import Image, ImageDraw
from rich.console import Console

HOSTILE = "<script>alert(1)</script>"
HOSTILE_TITLE = '"><img src=http://evil.example/x onerror=alert(2)> [bold]url(http://evil.example)\u202e\x00'
CODE = """def run_experiment(system, tools):
    # one factor at a time: is it the object or its colour?
    prompts = ["a red {noun} on the grass", "a blue {noun} on the grass"]
    images = tools.text2image(prompts)
    activations, masked = system.neuron(images)
    for prompt, value in zip(prompts, activations):
        print(f"{prompt}: {value:.3f}")
    tools.log_experiment(activations, masked, prompts, "colour contrast")
"""
PALETTE = {"clock": "white", "mushroom": "#c8402f", "bus": "#f2c230", "umbrella": "#3566c8"}
UNITS = {  # unit: (noun it likes, truth, final labels)
    "efficientnet-lite0.blocks.10.47": ("clock", None, ["clocks and other round dials"]),
    "efficientnet-lite0.blocks.15.267": ("mushroom", None, ["red mushrooms"]),
    "efficientnet-lite0.blocks.13.12": ("bus", None, [HOSTILE]),
    "efficientnet-lite0.head.901": ("umbrella", None, []),
    "groundtruth.single.3": ("clock", "clock", ["clock"]),
    "groundtruth.or.5": ("mushroom", "mushroom or striped", ["mushrooms", "striped surfaces"]),
    "groundtruth.conditional.2": ("bus", "bus given in the snow", ["yellow buses"]),
    "groundtruth.single.8": ("umbrella", "umbrella", []),
}
FAILED, UNFINISHED = "efficientnet-lite0.head.901", "groundtruth.single.8"


def draw(noun: str, rng: random.Random) -> Image.Image:
    """A simple picture of one object with a ground, light and grain; no two are alike."""
    sky = np.linspace(0.55, 1.0, 224)[:, None, None] * np.array([rng.randint(90, 220) for _ in range(3)])
    grain = np.random.default_rng(rng.randint(0, 2**31)).normal(0, 5, (224, 224, 1))
    image = Image.fromarray(np.clip(np.broadcast_to(sky, (224, 224, 3)) + grain, 0, 255).astype("uint8"))
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, rng.randint(140, 180), 224, 224), fill=(rng.randint(60, 190), rng.randint(90, 170), 80))
    x, y, r = rng.randint(80, 144), rng.randint(95, 140), rng.randint(35, 62)
    if noun == "clock":
        pen.ellipse((x - r, y - r, x + r, y + r), fill="white", outline="#222222", width=5)
        pen.line((x, y, x, y - r * 0.7), fill="black", width=4)
        pen.line((x, y, x + r * 0.5, y), fill="black", width=4)
    elif noun == "mushroom":
        pen.rectangle((x - r / 4, y, x + r / 4, y + r), fill="#efe4cc")
        pen.pieslice((x - r, y - r, x + r, y + r), 180, 360, fill=PALETTE[noun])
    elif noun == "bus":
        pen.rounded_rectangle((x - r * 1.3, y - r / 2, x + r * 1.3, y + r / 2), 8, fill=PALETTE[noun])
        for i in range(4):
            pen.rectangle((x - r * 1.1 + i * r * 0.58, y - r / 3, x - r * 0.7 + i * r * 0.58, y), fill="#9fc4dd")
    else:
        pen.pieslice((x - r, y - r, x + r, y + r), 180, 360, fill=PALETTE.get(noun, "#7a5aa8"))
        pen.line((x, y, x, y + r), fill="#443322", width=4)
    return image


class RunMaker:
    """Writes a run directory as `maia describe` would, out of invented results."""

    def __init__(self, path: Path, exemplars: int, rounds: int, variety: int) -> None:
        self.path, self.exemplars, self.rounds, self.variety = path, exemplars, rounds, variety
        self.drawn: dict[tuple[str, int], str] = {}
        self.store = ImageStore(path / "images")
        self.scores: dict[str, dict] = {}

    def picture(self, noun: str, rng: random.Random) -> str:
        key = (noun, rng.randrange(self.variety))
        if key not in self.drawn:
            self.drawn[key] = self.store.put(draw(noun, random.Random(repr(key))))
        return self.drawn[key]

    def entry(self, pairs: list[tuple[str, str]], liked: str, rng: random.Random, text: str = "") -> LogEntry:
        values = [round(rng.gauss(4.1, 0.6) if noun == liked else abs(rng.gauss(0.9, 0.5)), 3) for noun, _ in pairs]
        return LogEntry(values, [self.picture(noun, rng) for noun, _ in pairs], [title for _, title in pairs], text)

    def unit(self, name: str) -> None:
        noun, truth, labels = UNITS[name]
        rng = random.Random(name)
        target, layer, index = name.split(".", 1)[0], name.split(".", 1)[1].rsplit(".", 1)[0], name.rsplit(".", 1)[1]
        script = Transcript(unit_directory(self.path, name) / "transcript.jsonl")
        script.append(
            Start(
                name,
                target,
                layer,
                int(index),
                "scripted",
                "neuron description",
                7,
                12,
                "You run experiments on one unit.\n\nsystem.neuron(images) -> (activations, masked_images)",
                "Describe what activates the unit.",
                {"exemplars": self.exemplars},
            )
        )
        show = "def run_experiment(system, tools):\n    activations, images = tools.dataset_exemplars(system)\n"
        show += (
            '    tools.log_experiment(activations, images, ["exemplar"] * len(images), tools.summarize_images(images))'
        )
        script.append(Reply(1, f"I look at the exemplars first.\n[CODE]:\n```python\n{show}\n```"))
        exemplars = self.entry(
            [(noun, f"exemplar {i + 1}") for i in range(self.exemplars)],
            noun,
            rng,
            f"All pictures show a {noun}, most of them large and near the middle.",
        )
        script.append(Experiment(1, show, "ok", log=[exemplars]))
        others = [other for other in PALETTE if other != noun]
        for turn in range(2, 2 + self.rounds):
            code = (
                CODE.replace("{noun}", noun)
                if turn % 2 == 0
                else f"print(system.neuron(tools.edit_images('a {noun}')))"
            )
            hypotheses = f"Hypothesis_1: {noun}s of any colour\nHypothesis_2: red {noun}s\nHypothesis_3: {others[0]}s"
            script.append(Reply(turn, f"[HYPOTHESIS LIST]:\n{hypotheses}\n[CODE]:\n```python\n{code}\n```"))
            if turn == 3:
                error = "TypeError: edit_images() takes two lists (prompts, edits), and got one text.\n  line 1"
                script.append(Experiment(turn, code, "error", error, stdout=""))
                continue
            titles = [(noun, f"a red {noun} on the grass"), (noun, f"a blue {noun} on the grass")]
            titles += [(other, f"a {other} in front of a brick wall, beside nothing else") for other in others]
            if name.endswith("13.12"):
                titles[0] = (noun, HOSTILE_TITLE)
            printed = f"a red {noun} on the grass: 4.211\na blue {noun} on the grass: 3.870"
            script.append(Experiment(turn, code, "ok", "", printed, [self.entry(titles, noun, rng, "colour contrast")]))
        last = 2 + self.rounds
        if name == FAILED:
            script.append(Reply(last, "I am not sure how to go on."))
            script.append(Notice(last, "unreadable reply", "No [CODE] and no [LABEL] was found in the reply."))
            script.append(Failure(last, "three replies in a row held neither code nor a conclusion"))
        elif name != UNFINISHED:
            answer = " ".join(f"[LABEL {i + 1}]: {label}" for i, label in enumerate(labels))
            script.append(Reply(last, f"[DESCRIPTION]: The unit responds to {noun}s.\n{answer}"))
            story = (
                f"The unit responds to {noun}s: strongly whatever their colour, hardly to {others[0]}s or {others[1]}s."
            )
            script.append(Conclusion(last, story, labels, forced=name.endswith("13.12")))
            self.score(name, noun, truth, labels, rng)

    def score(self, name: str, noun: str, truth: str | None, labels: list[str], rng: random.Random) -> None:
        p50, p95, methods = 0.81, 3.36, {}
        for method, strength, label in zip(
            METHODS, (3.2, 2.4, 0.1), (" or ".join(labels), f"{noun}s outdoors", "blue doors"), strict=True
        ):
            positive = [round(0.9 + strength + rng.gauss(0, 0.5), 3) for _ in range(7)]
            neutral = [round(abs(0.9 + rng.gauss(0, 0.4)), 3) for _ in range(7)]
            difference = sum(positive) / 7 - sum(neutral) / 7
            methods[method] = {
                "label": label,
                "positive_prompts": [f"a {noun} {place}" for place in ("in the snow", "on the grass", "in a room") * 3][
                    :7
                ],
                "neutral_prompts": ["a door in a forest", "two cups on a table", "a boat on the sea"] * 2 + ["a dog"],
                "positive_images": [self.picture(noun if strength > 1 else "x", rng) for _ in range(7)],
                "neutral_images": [self.picture("x", rng) for _ in range(7)],
                "positive": positive,
                "neutral": neutral,
                "difference": difference,
                "interval": [difference - 0.5, difference + 0.45],
                "over_p95": difference / p95,
                "over_p95_minus_median": difference / (p95 - p50),
            }
        found = None if truth is None else truth != "bus given in the snow"
        self.scores[name] = {"truth": truth, "truth_found": found, "p50": p50, "p95": p95, "methods": methods}


def make_run(path: Path, exemplars: int = 3, rounds: int = 2, variety: int = 12) -> Path:
    """A run of eight units: six concluded and scored, one failed, one unfinished.

    exemplars: pictures of the first turn. rounds: turns after it. variety: different pictures of one noun.
    """
    maker = RunMaker(path, exemplars, rounds, variety)
    path.mkdir(parents=True)
    for name in UNITS:
        maker.unit(name)
    config = {
        "target": ["efficientnet-lite0", "groundtruth"],
        "units": list(UNITS),
        "backbone": "scripted",
        "seed": 7,
        "dataset": {"name": "testbed", "scenes": 4000},
        "packs": [],
        "world": "testbed",
        "versions": {"maia": "0.1.0", "torch": "2.13.0", "python": "3.11.2"},
    }
    (path / "run.json").write_text(json.dumps(config))
    (path / "scores.json").write_text(json.dumps(maker.scores))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose report is built; not to be changed."""
    path = make_run(tmp_path_factory.mktemp("report") / "run")
    build_report(path)
    return path


@pytest.fixture
def own(run: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(run, tmp_path / "own"))


class Page(HTMLParser):
    """Parses a page: elements with their attributes, text by kind of element; notes badly nested tags."""

    VOID = frozenset(("meta", "br", "img", "link", "input", "circle", "line", "rect", "base"))

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.stack: list[str] = []
        self.wrong: list[str] = []
        self.texts: list[str] = []
        self.raw: dict[str, list[str]] = {"style": [], "script": []}
        self.feed(html)
        self.close()
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in self.VOID:
            return
        if not self.stack or self.stack.pop() != tag:
            self.wrong.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        inside = self.stack[-1] if self.stack else ""
        self.raw.get(inside, self.texts).append(data)

    def tags(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag == name]

    def ids(self) -> list[str]:
        return [attributes["id"] or "" for _, attributes in self.elements if "id" in attributes]

    def external(self) -> list[str]:
        """Everything that a browser could fetch."""
        keys = ("src", "href", "srcset", "action", "poster", "data", "xlink:href")
        links = [value or "" for _, attributes in self.elements for key, value in attributes.items() if key in keys]
        urls = [
            url
            for css in (*self.raw["style"], *(a["style"] or "" for _, a in self.elements if "style" in a))
            for url in re.findall(r"url\(([^)]{0,60})|(@import)", css)
        ]
        fetched = [link for link in links if not link.startswith("#")]
        return fetched + ["".join(url) for url in urls if not "".join(url).startswith("data:image/webp;base64,")]


def page_of(run: Path) -> Page:
    return Page((run / "report.html").read_text(encoding="utf-8"))


# What the page holds


def test_page_shows_the_run_and_every_unit(run: Path) -> None:
    page = page_of(run)
    for text in (
        "8 units of efficientnet-lite0, groundtruth",
        "scripted a program with fixed rules",
        "testbed (scenes 4000)",
        "6 done, 1 failed, 1 unfinished",
        "maia 0.1.0",
        TESTBED_CAVEAT,
        "clocks and other round dials",
        "Failed at turn 4",
        "Notice · unreadable reply",
        "TypeError: edit_images() takes two lists",
        "a red clock on the grass: 4.211",
        "Final answer, asked for when the turns were used up",
        "mushrooms or striped surfaces",
        "You run experiments on one unit.",
        "bus given in the snow",
    ):
        assert text in page.text, text
    ids = page.ids()
    assert len(ids) == len(set(ids))
    assert {f"unit-{name}" for name in UNITS} <= set(ids)
    assert {attributes["href"][1:] for attributes in page.tags("a")} <= set(ids)
    assert page.wrong == [] and page.stack == []


def test_overview_row_has_thumbnails_scores_and_truth(run: Path) -> None:
    html = (run / "report.html").read_text(encoding="utf-8")
    rows = html[html.index("<tbody>") : html.index("</tbody>")].split("<tr>")[1:]
    by_unit = dict(zip(UNITS, rows, strict=True))
    scores = json.loads((run / "scores.json").read_text())
    for name, row in by_unit.items():
        assert row.count('role="img"') == 3
        for method, entry in scores.get(name, {"methods": {}})["methods"].items():
            assert f'class="mini m-{method}"' in row
            for key in ("over_p95_minus_median", "over_p95"):
                assert number(entry[key], sign=True) in row
    assert "not scored" in by_unit[FAILED] and "failed" in by_unit[FAILED]
    assert ">found<" in by_unit["groundtruth.or.5"] and ">not found<" in by_unit["groundtruth.conditional.2"]
    # The strongest exemplars come first.
    first = load_run(run).units[0].first_entry
    best = first.images[int(np.argmax(first.activations))]
    assert re.search(r"pic small i(\w+)", by_unit[next(iter(UNITS))])[1] == best


def test_each_picture_is_embedded_once_and_decodes(run: Path) -> None:
    page = page_of(run)
    embedded = re.findall(r"\.i(\w+)\{background-image:url\(data:image/webp;base64,([^)]+)\)", page.raw["style"][-1])
    shown = [
        re.search(r" i(\w+)$", a["class"])[1] for a in page.tags("span") if (a.get("class") or "").startswith("pic ")
    ]
    assert sorted(image for image, _ in embedded) == sorted(set(shown))
    assert len(shown) > len(set(shown))  # thumbnails are shown twice
    assert sum(path.stem in set(shown) for path in (run / "images").glob("*.png")) == len(embedded)
    for _, data in embedded[:20]:
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert image.format == "WEBP" and max(image.size) == 160
            image.load()


def test_building_twice_gives_the_same_bytes_and_leaves_the_run_alone(own: Path) -> None:
    torn = unit_directory(own, UNFINISHED) / "transcript.jsonl"
    with torn.open("ab") as file:
        file.write(b'{"type": "reply", "turn": 9, "te')  # the run is writing just now
    before = {path: path.read_bytes() for path in own.rglob("*") if path.is_file()}
    assert build_report(own) == own / "report.html"
    after = {path: path.read_bytes() for path in own.rglob("*") if path.is_file()}
    assert after == before
    assert "could not be shown" not in page_of(own).text


def test_a_failed_build_keeps_the_old_page(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (own / "report.html").read_bytes()

    def full_disk(self: Path, target: Path) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OSError, match="no space"):
        build_report(own)
    assert (own / "report.html").read_bytes() == before


# What models write stays text


def test_hostile_text_is_escaped(run: Path) -> None:
    page = page_of(run)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", (run / "report.html").read_text(encoding="utf-8"))
    assert page.text.count(HOSTILE) >= 4  # overview, heading, final answer, scored label
    assert '"><img src=http://evil.example/x onerror=alert(2)> [bold]url(http://evil.example)' in " ".join(
        str(attributes.get("title")) for attributes in page.tags("span")
    )
    assert len(page.tags("script")) == 1 and "alert" not in page.raw["script"][0]
    assert page.tags("img") == page.tags("link") == page.tags("iframe") == []
    assert not [key for _, attributes in page.elements for key in attributes if key.startswith("on") or key == "style"]
    assert page.external() == []


def test_external_finds_what_a_browser_would_fetch() -> None:
    bad = '<style>a{background:url(http://x/y)}</style><img src="//x"><a href="http://x">'
    assert Page(bad).external() == ["//x", "http://x", "http://x/y"]


def test_policy_names_exactly_the_pages_own_styles_and_script(run: Path) -> None:
    page = page_of(run)
    (policy,) = (a["content"] for a in page.tags("meta") if a.get("http-equiv") == "Content-Security-Policy")
    hashes = [
        "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in (*page.raw["style"], *page.raw["script"])
    ]
    assert sorted(re.findall(r"sha256-[^']+", policy)) == sorted(hashes)
    assert policy.startswith("default-src 'none'; img-src data:;") and "unsafe" not in policy


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(exclude_categories=()), max_size=80))
def test_clean_text_can_be_written_and_keeps_ordinary_text(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode("utf-8")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", cleaned)
    if text.isascii() and text.isprintable():
        assert cleaned == text


# Damage costs the item and is named


def test_damaged_lines_are_named_and_the_rest_is_shown(own: Path) -> None:
    path = unit_directory(own, "groundtruth.single.3") / "transcript.jsonl"
    lines = path.read_bytes().splitlines()
    lines[2] = lines[2][: len(lines[2]) // 2]
    lines.insert(4, b'{"type": "reply", "turn": 2, "text": 7}')
    lines.insert(5, b'{"type": "experiment", "turn": 2, "code": "", "outcome": "ok", "log": [{"images": 3}]}')
    lines.insert(6, b"\xff\xfe")
    lines.insert(7, b'{"type": "experiment", "turn": 2, "code": "", "outcome": "ok"}')
    path.write_bytes(b"\n".join(lines) + b"\n")
    build_report(own)
    page = page_of(own)
    assert "5 items could not be shown" in page.text
    for number_ in (3, 5, 6, 7, 8):
        assert f"groundtruth.single.3: line {number_} of its transcript is damaged" in page.text
    unit = next(unit for unit in load_run(own).units if unit.name == "groundtruth.single.3")
    assert unit.status == "done" and unit.labels == ["clock"]


def test_missing_and_broken_pictures_are_named(own: Path) -> None:
    entry = load_run(own).units[0].first_entry
    missing, broken, cut = dict.fromkeys(entry.images)
    image = own / "images" / f"{missing}.png"
    image.unlink()
    (own / "images" / f"{broken}.png").write_bytes(b"no picture")
    (own / "images" / f"{cut}.png").write_bytes((own / "images" / f"{cut}.png").read_bytes()[:2000])
    build_report(own)
    page = page_of(own)
    assert "3 items could not be shown" in page.text
    assert f"picture {missing}: the file is missing" in page.text
    assert (
        f"picture {broken}: it cannot be decoded" in page.text and f"picture {cut}: it cannot be decoded" in page.text
    )
    assert page.text.count("missing missing missing") == 1  # the overview's three thumbnails


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "abc", "a" * 65, "deadbeef.png", "deadbeef\n"])
def test_only_hex_ids_become_file_names(tmp_path: Path, name: str) -> None:
    pictures = Pictures(ImageStore(tmp_path))
    assert pictures.use(name) is None
    assert pictures.missing == {name: "not an image id"}


def test_units_without_transcript_scores_or_start(own: Path) -> None:
    shutil.rmtree(unit_directory(own, "groundtruth.single.3"))
    (unit_directory(own, "groundtruth.or.5") / "transcript.jsonl").write_bytes(b"\x00\n")
    scores = json.loads((own / "scores.json").read_text())
    scores["efficientnet-lite0.blocks.10.47"]["methods"]["agent"]["positive"] = ["high"]
    scores["efficientnet-lite0.blocks.13.12"]["p50"] = 10**400
    scores["efficientnet-lite0.blocks.15.267"]["methods"].pop("agent")
    scores["groundtruth.conditional.2"]["p95"] = math.nan
    scores["groundtruth.conditional.2"]["methods"]["agent"]["drawable"] = False
    (own / "scores.json").write_text(json.dumps(scores))
    extra = Transcript(own / "units" / "stray" / "transcript.jsonl")
    extra.append(Reply(1, "[CODE]:\n```python\nprint('not run')\n```"))
    build_report(own)
    statuses = {unit.name: unit.status for unit in load_run(own).units}
    assert statuses["groundtruth.single.3"] == "not started" and statuses["groundtruth.or.5"] == "damaged"
    assert statuses["stray"] == "unfinished" and len(statuses) == 9
    page = page_of(own)
    for name in ("10.47", "13.12"):
        assert f"efficientnet-lite0.blocks.{name}: its entry in scores.json cannot be read" in page.text
    assert page.text.count("cannot be drawn") == 1
    assert "'not run'" in page.text  # code of a reply whose experiment is not recorded yet
    assert page.wrong == []


@pytest.mark.parametrize(
    "damage", [b"", b"[]", b'{"units": [3, null, "a\\u0000b", "' + b"9" * 400 + b'"]}', b"[" * 100_000]
)
def test_damaged_run_json_and_scores(own: Path, damage: bytes) -> None:
    (own / "run.json").write_bytes(damage)
    (own / "scores.json").write_bytes(damage)
    build_report(own)
    page = page_of(own)
    assert "not scored" in page.text
    if damage.startswith(b"{"):
        assert "10 units of" in page.text and "2 items could not be shown" in page.text
    else:
        assert "8 units of" in page.text
        assert "run.json" in page.text and "scores.json" in page.text and "2 items could not be shown" in page.text


def test_a_run_before_its_first_turn(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"units": ["t.l.0"], "target": "t", "backbone": "some-model"}')
    build_report(tmp_path)
    text = page_of(tmp_path).text
    assert "1 unit of t" in text and "not started" in text
    assert "fixed rules" not in text and TESTBED_CAVEAT not in text


def test_no_run_is_a_user_error(tmp_path: Path) -> None:
    for build in (build_report, summary_table):
        with pytest.raises(UserError, match=r"holds no run\.json"):
            build(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_random_damage_never_stops_the_report(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    run = tmp_path_factory.mktemp("fuzz")
    script = Transcript(run / "units" / "t.l.0" / "transcript.jsonl")
    script.append(Start("t.l.0", "t", "l", 0, "scripted", "task", 0, 3, "system", "task"))
    script.append(Reply(1, "[HYPOTHESIS LIST]:\n1. dogs\n[CODE]:\nx = 1"))
    script.append(Experiment(1, "x = 1", "ok", log=[LogEntry([1.5, 2.0], ["ab" * 16], ["a", "b", "c"], "text")]))
    script.append(Conclusion(2, "dogs", ["dogs"]))
    entry = {
        "label": "dogs",
        "positive": [1.0, 2.0],
        "neutral": [0.0],
        "difference": 1.5,
        "interval": [1, 2],
        "over_p95": 1.0,
        "over_p95_minus_median": 2.0,
    }
    scores = {"t.l.0": {"truth": "dog", "truth_found": True, "p50": 0.5, "p95": 1.5, "methods": {"agent": entry}}}
    (run / "run.json").write_text(json.dumps({"units": ["t.l.0"], "target": "t", "seed": 3}))
    (run / "scores.json").write_text(json.dumps(scores))
    for path in (script.path, run / "scores.json", run / "run.json"):
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(0, 4))):
            at = data.draw(st.integers(0, len(content) - 1))
            piece = data.draw(
                st.sampled_from([b"", b"null", b'"', b"-1", b"[]", b"{}", b"1e999", b"NaN", b"9" * 400, b"\n"])
            )
            content[at : at + data.draw(st.integers(0, 8))] = piece
            content = content or bytearray(b" ")
        path.write_bytes(content)
    page = Page(build_report(run).read_text(encoding="utf-8"))
    assert page.wrong == [] and page.stack == [] and page.external() == []
    Console(quiet=True).print(summary_table(run))


# Pieces


def test_reply_sections_show_everything_once() -> None:
    reply = "Preface.\n**[HYPOTHESIS LIST]**:\nHypothesis_1: dogs\n- cats\n[CODE]:\n```python\nx = 1\n```\nAfter."
    assert [(part.kind, part.text) for part in reply_sections(reply, "x = 1")] == [
        ("text", "Preface."),
        ("hypotheses", "Hypothesis_1: dogs\n- cats"),
        ("code", "After."),
    ]
    assert [part.text for part in reply_sections(reply)][-1] == "x = 1\nAfter."
    final = "[DESCRIPTION]: long\n[LABEL 1]: a\n[LABEL 2]: b"
    assert reply_sections(final, concluded=True) == []
    assert [(part.name, part.text) for part in reply_sections(final)] == [
        ("DESCRIPTION", "long"),
        ("LABEL 1", "a"),
        ("LABEL 2", "b"),
    ]
    assert hypothesis_items("Hypothesis_2: dogs\n 3) cats\nboth\n") == [("2", "dogs"), ("3", "cats"), ("", "both")]


finite = st.floats(-1e6, 1e6)


@settings(max_examples=100, deadline=None)
@given(st.lists(finite, max_size=8), finite, finite)
@example([5e-324], 0.0, 1.0)
def test_axis_holds_its_values_in_order(values: list[float], a: float, b: float) -> None:
    axis = axis_over(values, 10, 90)
    assert all(axis.low <= value <= axis.high for value in [0.0, *values])
    assert 10 <= axis(a) <= 90
    assert axis(min(a, b)) <= axis(max(a, b))
    marks = ticks(axis.low, axis.high)
    assert 1 <= len(marks) <= 7
    slack = 1e-6 * (axis.high - axis.low) + 1e-9
    assert all(axis.low - slack <= mark <= axis.high + slack for mark in marks)


def test_numbers_read_well() -> None:
    assert [number(v, sign=True) for v in (1.234, -0.5, -0.001, 0.0, None, math.nan)] == [
        "+1.23",
        "−0.50",
        "0.00",
        "0.00",
        "–",
        "–",
    ]


@given(st.lists(st.text(max_size=6), max_size=6))
def test_anchors_are_distinct_and_safe(names: list[str]) -> None:
    made = anchors(names)
    assert len(set(made)) == len(names)
    assert all(re.fullmatch(r"unit-[A-Za-z0-9_.-]*", anchor) for anchor in made)


def test_score_plot_draws_every_activation(run: Path) -> None:
    score = load_run(run).units[0].score
    root = ElementTree.fromstring(str(score_plot(score)))
    dots = [element for element in root.iter("circle") if element.get("r") == "3.6"]
    assert len(dots) == 3 * 14
    assert len([element for element in root.iter("line") if element.get("class") == "mean"]) == 6
    assert {element.text for element in root.iter("text")} >= {"p50", "p95", *METHODS}
    # The agent's positive dots lie right of its neutral ones, as the numbers do.
    x = {
        kind: np.mean([float(dot.get("cx")) for dot in dots[:14] if dot.get("class") == kind])
        for kind in ("positive", "neutral")
    }
    assert x["positive"] > x["neutral"] + 50


def test_summary_table_for_the_terminal(own: Path) -> None:
    path = unit_directory(own, UNFINISHED) / "transcript.jsonl"
    Transcript(path).append(Conclusion(5, "d", ["[red]umbrellas[/red]", "b"]))
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(summary_table(own))
    text = console.export_text()
    agent = json.loads((own / "scores.json").read_text())["groundtruth.or.5"]["methods"]["agent"]
    row = next(line for line in text.splitlines() if " or.5 " in line)
    for cell in ("mushrooms OR striped surfaces", number(agent["over_p95_minus_median"], sign=True), "yes"):
        assert cell in row
    assert "[red]umbrellas[/red] OR b" in text and "(failed)" in text
    assert text.count("groundtruth ") == 1, "a target is named once, above its units"
    assert re.search(r"conditional\.2 .*bus given in the snow.* no ", text)


def test_a_unit_silent_on_most_of_the_dataset_shows_its_plain_difference(own: Path) -> None:
    scores = json.loads((own / "scores.json").read_text())
    scores["groundtruth.or.5"]["methods"]["agent"] |= {
        "over_p95": None,
        "over_p95_minus_median": None,
        "difference": 0.75,
    }
    (own / "scores.json").write_text(json.dumps(scores))
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(summary_table(own))
    assert "+0.75*" in next(line for line in console.export_text().splitlines() if " or.5 " in line)


# In a browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed (Debian: apt install chromium)")


def browse(page: Path, profile: Path, *arguments: str) -> str:
    """The DOM after scripts ran, as headless Chromium serialises it."""
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={profile}",
        "--window-size=1400,2400",
        *arguments,
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


@in_browser
def test_browser_shows_the_page_without_network(run: Path, tmp_path: Path) -> None:
    shot = tmp_path / "page.png"
    offline = ("--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9")
    dom = browse(run / "report.html", tmp_path / "profile", *offline, f"--screenshot={shot}")
    page = Page(dom)
    for text in ("8 units of", "clocks and other round dials", HOSTILE, TESTBED_CAVEAT, "not found"):
        assert text in page.text
    assert page.external() == []
    # These buttons are made by the page's script: the policy lets it run, and it ran to its end.
    assert "Open all dialogues" in page.text
    assert sum(attributes.get("type") == "button" for attributes in page.tags("button")) == 5
    with Image.open(shot) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    # Thumbnails are painted: the page's own colours are calm, the pictures are not.
    saturated = (pixels.max(2) - pixels.min(2) > 80).mean()
    assert pixels.shape[1] == 1400 and saturated > 0.01


@in_browser
def test_sorting_by_score(run: Path, tmp_path: Path) -> None:
    html = re.sub(r"<meta http-equiv[^>]*>", "", (run / "report.html").read_text(encoding="utf-8"))
    scores = json.loads((run / "scores.json").read_text())
    wanted = sorted(scores, key=lambda name: scores[name]["methods"]["agent"]["over_p95_minus_median"])
    click = "document.querySelectorAll('.overview th button')[2].click();"
    for clicks, direction, scored in ((1, "descending", wanted[::-1]), (2, "ascending", wanted)):
        page = tmp_path / f"{direction}.html"
        page.write_text(html.replace("</body>", f"<script>{click * clicks}</script></body>"), encoding="utf-8")
        dom = browse(page, tmp_path / f"profile-{direction}")
        # Units without a score come last either way.
        assert re.findall(r'class="c-unit" data-value="([^"]+)"', dom) == [*scored, FAILED, UNFINISHED] != list(UNITS)
        assert f'aria-sort="{direction}"' in dom


@in_browser
def test_policy_stops_what_escaping_would_have_let_through(run: Path, tmp_path: Path) -> None:
    """Control: the same injected text works, and reaches a server, in a copy without the policy."""
    asked: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        html = (run / "report.html").read_text(encoding="utf-8")
        taken = {}
        for name, text in (("guarded", html), ("open", re.sub(r"<meta http-equiv[^>]*>", "", html))):
            attack = (
                f"<script>document.title = 'taken'</script><img src='http://127.0.0.1:{server.server_port}/{name}'>"
            )
            page = tmp_path / f"{name}.html"
            page.write_text(text.replace("</main>", attack + "</main>"), encoding="utf-8")
            taken[name] = "<title>taken</title>" in browse(page, tmp_path / f"profile-{name}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert taken == {"guarded": False, "open": True}
    assert asked == ["/open"]
