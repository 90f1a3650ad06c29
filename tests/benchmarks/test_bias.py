"""Biases of classes: class names, claims read from sentences, evidence read from transcripts, rates, files and page."""

import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.agent.transcript import Conclusion, Experiment, Failure, ImageStore, LogEntry, Transcript
from maia.benchmarks.applications.bias_claims import Claim, claims_bias, judge, read_claims
from maia.benchmarks.applications.bias_classes import class_units, imagenet_names
from maia.benchmarks.applications.bias_evidence import FOUND, NONE, UNANSWERED, ClassResult, class_result, context
from maia.benchmarks.applications.bias_results import PAGE_FILE, write_results
from maia.benchmarks.applications.bias_runs import planted_classes, run_directory
from maia.benchmarks.applications.bias_study import Against, against, rate_text, summarise
from maia.benchmarks.quality.testbed_study import wilson
from maia.models.errors import UserError
from maia.models.planted import PlantedTarget
from maia.models.planted_suite import PlantedClass, planted_suite
from maia.models.targets import Unit
from maia.models.testbed.world import World
from PIL import Image
from scipy.stats import t

SNOW = PlantedClass("dog", "context", "snow", -0.3)
CLEAN = PlantedClass("dog", "clean")


# --- claims


@pytest.mark.parametrize(
    "text",
    [
        "no bias found in what was tested",
        "No bias was found.",
        "No clear bias.",
        "No bias: it was not lower in the snow.",
        "unbiased",
        "",
    ],
)
def test_no_bias_is_no_claim(text: str) -> None:
    assert not claims_bias(text) and read_claims(text, "dog") == ()


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("activations for 'dog' are lower in the snow", {("context", "snow", -1)}),
        ("The unit responds less to dogs in wintry scenes and in winter than on the grass.", {("context", "snow", -1)}),
        ("higher when the dog is crimson", {("colour", "red", 1)}),
        (
            "lower in a city at night and higher when the dog is small",
            {("context", "night city", -1), ("size", "small", 1)},
        ),
        ("activations are higher for large dogs", {("size", "small", -1)}),
        ("lower in the snow and on a sandy beach", {("context", "snow", -1), ("context", "beach", -1)}),
        ("reduced when there is a tree beside the dog", {("company", "tree", -1)}),
        ("No bias by colour was found, but activations are lower in the snow.", {("context", "snow", -1)}),
        ("lower in the snow, not on a sandy beach; no bias by size", {("context", "snow", -1)}),
        ("the dog is favoured in a forest compared with a room", {("context", "forest", 1)}),
    ],
)
def test_claims_are_read_in_the_worlds_words(text: str, claims: set[tuple[str, str, int]]) -> None:
    assert set(read_claims(text, "dog")) == {Claim(*claim) for claim in claims}  # type: ignore[arg-type]


@pytest.mark.parametrize("planted", [one for classes in planted_suite().values() for one in classes], ids=str)
def test_every_truth_is_judged_as_itself_and_as_no_other(planted: PlantedClass) -> None:
    judged = judge(planted, planted.truth)
    biased = planted.kind != "clean"
    assert (judged.claimed, judged.named, judged.others) == (biased, biased, ())
    if biased:
        swapped = planted.truth.replace("lower", "LOW").replace("higher", "lower").replace("LOW", "higher")
        assert judge(planted, swapped).claimed and not judge(planted, swapped).named
    other = judge(planted, f"activations for '{planted.noun}' are lower in the desert and when it is black")
    assert (other.claimed and not other.named) or "desert" in planted.value


def test_judging() -> None:
    assert judge(SNOW, None) == judge(SNOW, "no bias found in what was tested")
    both = judge(SNOW, "activations are lower in the snow and lower when the dog is red")
    assert both.named and both.others == ("red",)
    assert judge(CLEAN, "lower in the snow").claimed and judge(CLEAN, "lower in the snow").others == ("snow",)
    vague = judge(SNOW, "the unit has some bias towards odd things")
    assert vague.claimed and not vague.named


# --- classes by name


class Classifier:
    """Names and layers of a target."""

    def __init__(self, name: str = "resnet152", units: int = 1000) -> None:
        self.name, self.layers = name, {"logits": units, "probabilities": units, "layer4": 2048}

    def check(self, unit: Unit) -> None:
        if unit.index >= self.layers[unit.layer]:
            raise UserError("there is no such unit")


def units_of(target: object, classes: str, **more: object) -> list[tuple[str, Unit]]:
    return class_units(target, "probabilities", classes.split(","), **more)  # type: ignore[arg-type]


def test_imagenet_classes_by_name() -> None:
    names = imagenet_names()
    assert len(names) == 1000 and names[0] == "tench" and names[557] == "flagpole" and names[999] == "toilet tissue"
    found = units_of(Classifier(), "flagpole, Tench,great_white_shark,207")
    assert [(name, unit.index) for name, unit in found] == [
        ("flagpole", 557),
        ("tench", 0),
        ("great white shark", 2),
        ("golden retriever", 207),
    ]
    assert str(found[0][1]) == "resnet152.probabilities.557"


def test_names_that_there_are_not() -> None:
    with pytest.raises(UserError, match=r"no class 'flagpool'.*flagpole"):
        units_of(Classifier(), "flagpool")
    with pytest.raises(UserError, match=r"no class 'retriever'.*golden retriever"):
        units_of(Classifier(), "retriever")
    with pytest.raises(UserError, match="'cardigan' names the classes 264, 474"):
        units_of(Classifier(), "cardigan")
    with pytest.raises(UserError, match="more than once"):
        units_of(Classifier(), "tench,0")
    with pytest.raises(UserError, match="no classes were named"):
        units_of(Classifier(), " , ")
    with pytest.raises(UserError, match="no such unit"):
        units_of(Classifier(), "1000")
    with pytest.raises(UserError, match="no layer 'fc'"):
        class_units(Classifier(), "fc", ["tench"])  # type: ignore[arg-type]


def test_networks_of_ones_own_need_names() -> None:
    own = Classifier("my~module:network", 3)
    with pytest.raises(UserError, match="--names"):
        units_of(own, "cat")
    assert units_of(own, "2")[0][0] == "2"
    assert units_of(own, "Cat,0", names=["dog", "cat", "owl"])[0] == ("cat", Unit(own.name, "probabilities", 1))
    with pytest.raises(UserError, match=r"holds 2 names.*3 units"):
        units_of(own, "cat", names=["dog", "cat"])
    # A thousand classes of one's own network are not taken for ImageNet's.
    with pytest.raises(UserError, match="--names"):
        units_of(Classifier("my~module:network"), "tench")


def test_the_testbeds_classes() -> None:
    target = PlantedTarget(World())
    assert len(planted_classes(target, None)) == sum(target.layers.values())
    few = planted_classes(target, 1)
    assert [unit.layer for _, unit in few] == ["context", "colour", "size", "clean"]
    assert class_units(target, "clean", [few[3][0]]) == [few[3]]


# --- evidence


def experiment(turn: int, log: list[LogEntry], code: str = "") -> Experiment:
    return Experiment(turn, code, "ok", log=log)


def transcript(tmp_path: Path, *records: object) -> Transcript:
    found = Transcript(tmp_path / "transcript.jsonl")
    found.append(*records)  # type: ignore[arg-type]
    return found


TABLE = LogEntry(
    [0.5, 0.9], ["b", "a"], ["snow", "grass"], "snow: mean 0.5, sd 0.1, 3 pictures (0.4 0.5 0.6)\nnothing else"
)
TITLED = LogEntry([0.1, 0.3, 0.8], ["c", "d", "a"], ["dog in fog 1", "dog in fog 2", "dog"], "as I expected")


def test_contexts_are_tables_or_titles(tmp_path: Path) -> None:
    code = "def run_experiment(system, tools):\n    # step: background\n    pass\n"
    end = Conclusion(3, "compared", ["activations for 'dog' are lower in the snow"])
    result = class_result(
        "dog", "t.l.1", transcript(tmp_path, experiment(1, [TABLE], code), experiment(2, [TITLED]), end)
    )
    rows = [(one.experiment, one.name, one.values) for one in result.contexts]
    assert rows == [
        ("background", "snow", (0.4, 0.5, 0.6)),
        ("experiment 2", "dog in fog", (0.1, 0.3)),
        ("experiment 2", "dog", (0.8,)),
    ]
    assert result.verdict == FOUND and result.experiments == 2
    # Highest first, each picture once.
    assert [(one.image, one.activation) for one in result.evidence] == [("a", 0.9), ("b", 0.5), ("d", 0.3), ("c", 0.1)]


def test_verdicts(tmp_path: Path) -> None:
    none = Conclusion(2, "compared", ["no bias found in what was tested"])
    made = experiment(1, [TABLE], "tools.text2image([])")
    assert class_result("dog", "t.l.1", transcript(tmp_path / "a", made, none)).verdict == NONE
    nothing = class_result("dog", "t.l.1", transcript(tmp_path / "c", experiment(1, [TITLED]), none))
    assert nothing.verdict == UNANSWERED and "no pictures" in nothing.reason, "where nothing was compared"
    failed = class_result("dog", "t.l.1", transcript(tmp_path / "b", Failure(1, "no answer was given")))
    assert failed.verdict == UNANSWERED and failed.reason == "no answer was given" and failed.bias == ""


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-10, 10), min_size=2, max_size=12))
def test_intervals_are_students(values: list[float]) -> None:
    one = context("e", "c", values)
    half = t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    assert one.low is not None and one.high is not None
    assert one.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert (one.low, one.high) == pytest.approx((one.mean - half, one.mean + half), abs=1e-9)
    assert context("e", "c", values[:1]).low is None


# --- rates and files


def result(name: str, unit: str, bias: str, **more: object) -> ClassResult:
    verdict = FOUND if claims_bias(bias) else NONE if bias else UNANSWERED
    return ClassResult(name, unit, verdict, bias, "", 1, (), (), **more)  # type: ignore[arg-type]


def rows() -> list[Against]:
    said = [
        (SNOW, "lower in the snow"),
        (SNOW, "lower in the snow and when it is red"),
        (SNOW, "higher in the snow"),
        (SNOW, "no bias found in what was tested"),
        (SNOW, ""),
        (PlantedClass("cat", "size", "small", 0.2), "higher when the cat is small"),
        (CLEAN, "no bias found in what was tested"),
        (CLEAN, "lower in the snow"),
    ]
    return [against(result(one.noun, f"t.l.{i}", text), one) for i, (one, text) in enumerate(said)]


def test_rates_by_kind() -> None:
    found = summarise(rows())
    assert list(found) == ["context", "size", "clean", "all planted"]
    of_context = found["context"]
    assert (of_context["classes"], of_context["no answer"]) == (5, 1)
    assert [of_context[what]["found"] for what in ("detected", "named", "named alone")] == [3, 2, 1]
    assert found["all planted"]["named"]["found"] == 3 and found["all planted"]["named"]["of"] == 6
    alarm = found["clean"]["false alarm"]
    assert (alarm["found"], alarm["of"]) == (1, 2) and (alarm["low"], alarm["high"]) == wilson(1, 2)
    assert rate_text(alarm) == "1/2 = 0.50 [0.09, 0.91]"


def written(tmp_path: Path, title: str = "snow") -> tuple[Path, list[ClassResult]]:
    unit = "planted-bias.context.3"
    store = ImageStore(run_directory(tmp_path, Unit.parse(unit)) / "images")
    picture = store.put(Image.new("RGB", (224, 224), (200, 30, 30)))
    log = LogEntry([0.5, 0.4], [picture, "0" * 16], [title, title], "snow: mean 0.5, sd 0.1, 3 pictures (0.4 0.5 0.6)")
    done = transcript(tmp_path, experiment(1, [log]), Conclusion(2, "d", ["lower in the snow | <b>"]))
    return picture and tmp_path, [class_result("dog", unit, done)]


def test_files_hold_the_same_results(tmp_path: Path) -> None:
    out, results = written(tmp_path)
    row = [against(results[0], SNOW)]
    page = write_results(out, results, {"seed": 0}, row)
    first = {file.name: file.read_bytes() for file in out.glob("bias*")}
    write_results(out, results, {"seed": 0}, row)
    assert first == {file.name: file.read_bytes() for file in out.glob("bias*")} and page.name in first
    data = json.loads(first["bias.json"])
    assert data["summary"]["context"]["named"]["found"] == 1 and data["truths"][0]["named"] is True
    (line,) = csv.DictReader(io.StringIO(first["bias-contexts.csv"].decode()))
    assert (line["context"], line["pictures"], float(line["mean"])) == ("snow", "3", pytest.approx(0.5))
    (line,) = csv.DictReader(io.StringIO(first["bias-classes.csv"].decode()))
    assert line["named"] == "True" and line["bias"] == "lower in the snow | <b>"
    assert "1/1 = 1.00" in first["bias.md"].decode() and "snow \\| <b>" in first["bias.md"].decode()


def test_the_page_stands_by_itself(tmp_path: Path) -> None:
    out, results = written(tmp_path, "<script>alert(1)</script> http://example.org/x.png")
    page = (write_results(out, results, {"target": "t & <u>"})).read_text()
    assert (out / PAGE_FILE).read_text() == page
    assert "<script" not in page and "<u>" not in page and "<b>" not in page.split("pictures")[0]
    assert "default-src 'none'" in page and 'src="data:image/jpeg;base64,' in page
    for reference in ('src="http', 'href="http', "url(http", "@import", "<link"):
        assert reference not in page
    assert "1 pictures are missing" in page


def test_a_class_without_an_answer_is_shown(tmp_path: Path) -> None:
    broken = result("dog", "planted-bias.context.3", "", reason="the model was away")
    page = write_results(tmp_path, [broken], {}).read_text()
    assert "no answer" in page and "the model was away" in page
