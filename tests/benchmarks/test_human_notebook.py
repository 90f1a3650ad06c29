"""Human experts' notebooks: their cells run in order, and what they leave is a run like any other."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from maia.agent.api import api_methods
from maia.agent.dialogue import messages
from maia.agent.experiment import Settings, prompts_of
from maia.agent.report_data import load_run, load_unit
from maia.agent.transcript import Conclusion, Experiment, ImageStore, Reply, Start, unit_directory
from maia.benchmarks.baselines.human import Human, HumanSession
from maia.benchmarks.baselines.human_calls import CallNames, Plain
from maia.benchmarks.baselines.human_notebook import RUN, UNITS_FILE, notebook, open_session, write_notebook
from maia.benchmarks.quality.agreement_data import read_descriptions
from maia.models.errors import ExperimentError, UserError
from maia.models.targets import Unit
from PIL import Image

UNITS = [Unit("ground-truth", "single", 3), Unit("ground-truth", "or", 5)]
PROFILE = "world: testbed\ntarget: ground-truth\nbackbone: scripted\ndataset_images: 120\njobs: 1\nturns: 7\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two notebooks, and a profile with a small dataset."""
    base = tmp_path_factory.mktemp("human")
    profile = base / "small.yaml"
    profile.write_text(PROFILE)
    write_notebook(base / "books", UNITS, str(profile), seed=4)
    yield base / "books"


def code_cells(path: Path) -> list[str]:
    book = json.loads(path.read_text())
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    return ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]


def test_a_notebook_from_first_cell_to_last(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    opening, task, exemplars, drawing, concluding, closing = code_cells(folder / "unit-01.ipynb")
    names: dict[str, Any] = {}
    exec(opening, names)
    session = names["session"]
    unit = session.unit
    capsys.readouterr()
    exec(task, names)
    told = capsys.readouterr().out
    system_prompt, task_prompt = prompts_of(Settings(turns=7), Human())
    assert told == f"{system_prompt}\n{task_prompt}\n" and "ground-truth" not in told
    # Two notebooks on one directory, and a name that is no unit's.
    with pytest.raises(UserError, match=r"another run is writing.*run its last cell"):
        open_session(UNITS_FILE, 2)
    exec(exemplars, names)
    first = next(session.transcript.of(Experiment))
    assert len(first.log[0].activations) == len(first.log[0].images) > 1 and first.activation_threshold is not None
    assert first.code.splitlines()[1] == "    _, images_1 = tools.dataset_exemplars(system)"
    assert "tools.describe_images(images_1, ['exemplar 1'" in first.code

    exec(drawing, names)
    second = list(session.transcript.of(Experiment))[1]
    assert "    _, images_3 = system.neuron(images_2)" in second.code.splitlines()
    ast.parse(second.code)
    # As a person does it by hand: a call that fails is told, and stands in the record.
    with pytest.raises(ExperimentError, match="quux"):
        session.tools.text2image(["a quux"])
    with pytest.raises(ExperimentError, match="images must be a list"):
        session.system.neuron("a dog")
    with pytest.raises(ExperimentError, match="unexpected keyword argument 'wrong'"):
        session.tools.text2image(wrong=["a dog"])
    (image,) = session.tools.text2image(["a red car on the beach"])
    session.tools.log_experiment(*([value[0]] for value in session.system.neuron([image])), ["<car>"], "it's & that")
    shown = session.show(hypotheses="cars")
    page = shown._repr_html_()
    assert "data:image/png;base64," in page and "&lt;car&gt;" in page and "it&#x27;s &amp; that" in page
    assert repr(shown).startswith("Experiment 3 ") and "<car>: " in repr(shown)
    assert repr(session.show()) == "Nothing was called since the last time."

    with pytest.raises(UserError, match="there is no label"):
        exec(concluding, names)
    with pytest.raises(UserError, match="there is no description"):
        session.conclude(" ", ["cars"])
    with pytest.raises(UserError, match=r"plain words|cannot be read"):
        session.conclude("It likes cars.", ["cars [LABEL 2]: dogs"])
    assert session.transcript.end is None, "what was refused left nothing"
    said = concluding.replace('description = ""', 'description = "It responds to cars.\\nAnd to buses."')
    exec(said.replace("labels = []", 'labels = ["cars", "large  buses"]'), names)
    with pytest.raises(UserError, match="concluded already"):
        session.conclude("It responds to cars.", ["cars"])
    with pytest.raises(UserError, match="concluded already"):
        session.tools.text2image(["a dog"])
    exec(closing, names)
    exec(closing, names)
    with pytest.raises(UserError, match="was closed"):
        session.conclude("It responds to cars.", ["cars"])

    run = folder / RUN
    read = load_unit(None, unit_directory(run, str(unit)))
    assert read.problems == [] and read.status == "done" and read.labels == ["cars", "large buses"]
    start, end = read.start, read.end
    assert isinstance(start, Start) and isinstance(end, Conclusion) and read.name == str(unit)
    assert (start.backbone, start.turns, start.system_prompt, start.task_prompt) == (
        "human",
        7,
        system_prompt,
        task_prompt,
    )
    assert end.description == "It responds to cars.\nAnd to buses." and end.turn == 4
    assert [type(record) for record in read.records] == [Start, *[Reply, Experiment] * 3, Reply, Conclusion]
    third = list(record for record in read.records if isinstance(record, Experiment))[2]
    assert "tools.text2image(['a quux'])  # Prompt 1:" in third.code and "cars" in read.records[5].text
    assert third.activation_threshold == first.activation_threshold, "the exemplars' mean stays known"
    assert len(messages(read.records, ImageStore(run / "images"))) == 9, "the dialogue of an agent's run"
    whole = load_run(run)
    assert whole.problems == [] and whole.config["backbone"] == "human" and whole.config["units"] == [str(unit)]
    described = read_descriptions(run).units[str(unit)]
    assert described.label == "cars OR large buses" and described.truth is not None


def test_a_session_goes_on_after_the_kernel_was_restarted(folder: Path) -> None:
    units = folder / UNITS_FILE
    with open_session(units, 2) as session:
        image, *_ = session.tools.text2image(["a dog on the grass"])
        session.tools.display("seen", image)
    assert len(list(session.transcript.of(Experiment))) == 1, "closing keeps what was called"
    with open_session(units, 2) as again:
        same, *_ = again.tools.text2image(["a dog on the grass"])
        assert same.tobytes() != image.tobytes(), "another experiment has other seeds"
        again.conclude("Dogs.", "dogs")
    assert [reply.turn for reply in again.transcript.of(Reply)] == [1, 2, 3]
    assert len(load_run(folder / RUN).units) >= 1 and str(again.unit) in load_run(folder / RUN).config["units"]
    with pytest.raises(UserError, match="other settings"):
        HumanSession(again.unit, folder / RUN, str(folder.parent / "small.yaml"), settings=Settings(turns=7, seed=9))


def test_what_cannot_be_opened(folder: Path, tmp_path: Path) -> None:
    profile = str(folder.parent / "small.yaml")
    for unit, what in (
        ("ground-truth", "names no unit"),
        ("nobody.single.1", "nobody"),
        ("ground-truth.double.1", "no layer 'double'|double"),
        ("ground-truth.single.99999", "no unit 99999"),
    ):
        with pytest.raises(UserError, match=what):
            HumanSession(unit, tmp_path / "run", profile)
    assert not (tmp_path / "run" / "run.json").exists() and not (tmp_path / "run" / "units").exists()
    with pytest.raises(UserError, match="units 1 to 2, and not 3"):
        open_session(folder / UNITS_FILE, 3)
    with pytest.raises(UserError, match="is missing"):
        open_session(tmp_path / UNITS_FILE, 1)


def test_notebooks_do_not_tell_which_unit_they_are_about(folder: Path) -> None:
    paths = sorted(folder.glob("*.ipynb"))
    assert [path.name for path in paths] == ["unit-01.ipynb", "unit-02.ipynb"]
    for path in paths:
        assert not any(word in path.read_text() for word in ("ground-truth", "single", "or.5"))
    assert sorted(json.loads((folder / UNITS_FILE).read_text())["units"]) == sorted(map(str, UNITS))
    for cell in notebook(1, 2)["cells"]:
        assert cell["cell_type"] in ("code", "markdown") and {"id", "metadata", "source"} <= set(cell)
        assert ("outputs" in cell) == ("execution_count" in cell) == (cell["cell_type"] == "code")


def test_notebooks_that_somebody_works_in_are_kept(tmp_path: Path) -> None:
    (path,) = write_notebook(tmp_path, UNITS[:1])
    path.write_text("work")
    assert write_notebook(tmp_path, UNITS[:1]) == [path] and path.read_text() == "work"
    with pytest.raises(UserError, match="other units or settings"):
        write_notebook(tmp_path, UNITS)
    with pytest.raises(UserError, match="each unit once"):
        write_notebook(tmp_path / "b", [*UNITS, UNITS[0]])
    with pytest.raises(UserError, match="no profile"):
        write_notebook(tmp_path / "c", UNITS, "nonsense")


def test_the_objects_have_the_agents_methods_and_help() -> None:
    calls: list[Any] = []
    methods = api_methods(("edit_images",))["tools"]
    from maia.agent.tools import Tools

    tools = Plain("tools", methods, Tools, lambda *call: calls.append(call))
    tools.text2image(["a"], prompts=3)  # type: ignore[attr-defined]
    assert calls == [("tools", "text2image", (["a"],), {"prompts": 3})] and not hasattr(tools, "edit_images")
    assert tools.text2image.__doc__ == Tools.text2image.__doc__  # type: ignore[attr-defined]


def test_pictures_have_the_names_of_the_calls_that_made_them() -> None:
    named = CallNames()
    one, two, other = (Image.new("RGB", (2, 2)) for _ in range(3))
    assert named.assigned([one, two]) == "images_1 = " and named.assigned(([0.5, 1.0], [other])) == "_, images_2 = "
    assert named.assigned("text") == "" and named.assigned([]) == ""
    assert named.written([one, two]) == "images_1" and named.written((two, other)) == "[images_1[1], images_2[0]]"
    assert named.written([Image.new("RGB", (2, 2))]) == "[image]" and named.written(["it's", 1.5]) == '["it\'s", 1.5]'
