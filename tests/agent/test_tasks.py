"""Tasks as files: the built-in ones, a user's own from end to end, and every way in which a file can be wrong."""

import asyncio
import copy
import hashlib
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import Said, call
from fakes import UNIT, CannedBackbone, experiment, services
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.agent.answers import TEXT_LIMIT
from maia.agent.backbones import registry
from maia.agent.backbones.registry import scripted_for
from maia.agent.experiment import Settings, prompts_of, run_units
from maia.agent.guards import GUARDS
from maia.agent.replies import parse_reply
from maia.agent.report import build_report, summary_table
from maia.agent.run_facts import TASK_TEXT, facts_of, joined
from maia.agent.tasks import (
    DESCRIPTION,
    DESCRIPTION_ENDINGS,
    Ending,
    Task,
    endings_of,
    facts_of_task,
    fills_named,
    load_task,
)
from maia.agent.transcript import Conclusion, Notice, Start, Transcript, record_from_json, record_to_json
from maia.engine.profile import load_profile
from maia.models.errors import ExperimentError, UserError
from maia.prompts.grammars import reply_grammar
from maia.prompts.tasks import REPLY_FORMAT, task_files
from rich.console import Console

FILLS = {
    DESCRIPTION: {},
    "spurious-feature": {"classes": ["husky", "pug"], "surroundings": ["snow", "sand", "sea"]},
    "bias-identification": {"class_name": ["grand piano"]},
}

OWN: dict[str, Any] = {
    "name": "brightness",
    "fills": {"shade": "shade that is asked about"},
    "prompt": "Is the unit about {shade}?\n\n{reply_format}\nThen:\n[EVIDENCE]: <numbers>\n[VERDICT]: BRIGHT or DARK\n",
    "last_turn": "No code any more: is it about {shade}?\n[EVIDENCE]: <numbers>\n[VERDICT]: BRIGHT or DARK\n",
    "endings": [
        {"heading": "EVIDENCE", "kind": "text"},
        {"heading": "VERDICT", "kind": "choice", "choices": ["BRIGHT", "DARK"]},
    ],
}
MEASURE = experiment(
    """
prompts = ["red 10", "red 200"]
activations, masked = system.neuron(tools.text2image(prompts))
tools.log_experiment(activations, masked, prompts, "")
"""
)
ANSWER = "[EVIDENCE]: 0.7843 against 0.03922\n[VERDICT]: bright\n"


def write(folder: Path, data: dict[str, Any]) -> Path:
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


def run(folder: Path, task: Task | str, replies: list[str], **options: Any) -> tuple[Transcript, CannedBackbone]:
    backbone = CannedBackbone(replies)
    chosen = Settings(**{"task": task, "turns": 4, "check_code": False} | options)
    transcripts = asyncio.run(run_units([UNIT], backbone, {"fake": services(folder)}, chosen, folder, jobs=1))
    return transcripts[0], backbone


# --- the built-in tasks


def test_what_a_description_is_asked_with_has_not_changed() -> None:
    """Old runs go on only with the same prompt, and adapters were trained on it: SHA-256 of the texts of before."""
    task = load_task(DESCRIPTION)
    wanted = {
        task.prompt: "a176aa2043938a1d325bbdf5001bae96f7e7b7b6e60238b41cc68f0eb02bb566",
        task.last_turn: "2cfc02a716c62ad26be9d297e2713902fdc3e51215e4601a8191ec67351644c9",
        reply_grammar(task.endings, False): "ca3064d6e028a919fd013cccb98530926e8408553984e5eae00f705ac718d82b",
        reply_grammar(task.endings, True): "8e23002e2b74d2c531bb66bf4ba1a6e0a37c4e869196b558f2a58879da4a6af0",
    }
    for text, digest in wanted.items():
        assert hashlib.sha256(text.encode()).hexdigest() == digest, text[:80]
    assert task.endings == DESCRIPTION_ENDINGS and task.guards is None
    assert prompts_of(Settings(), CannedBackbone([]))[1] == task.prompt


def test_records_of_a_description_are_as_before(tmp_path: Path) -> None:
    transcript, _ = run(tmp_path, DESCRIPTION, ["[DESCRIPTION]: it is red\n[LABEL]: red\n"], guards=())
    start = transcript.records[0]
    assert isinstance(start, Start) and start.task == "neuron-description"
    assert set(start.settings) == {"removed_tools", "guards", "check_code", "target_fingerprint"}


@pytest.mark.parametrize("name", FILLS)
def test_the_built_in_files(name: str) -> None:
    assert task_files().keys() == FILLS.keys()
    task = load_task(name, FILLS[name])
    assert task.name == name and task == load_task(task_files()[name], FILLS[name])
    assert REPLY_FORMAT in task.prompt and "{" not in task.prompt.replace(REPLY_FORMAT, "") + task.last_turn
    for values in task.fills.values():
        assert all(value in task.prompt for value in values)
    assert max(map(len, task.prompt.splitlines())) <= 160


@pytest.mark.parametrize("name", FILLS)
def test_no_built_in_prompt_quotes_its_fills_as_examples(name: str) -> None:
    """What a prompt quotes counts as an example, and the guard copied-example refuses prompts like it."""
    from maia.agent.guard_evidence import example_prompts

    task = load_task(name, FILLS[name])
    quoted = example_prompts(Start("t.l.0", "t", "l", 0, "b", name, 0, 1, "", task.prompt))
    assert not [text for text in quoted for values in FILLS[name].values() for value in values if value in text]


def test_scripted_experimenters_are_for_built_in_tasks(tmp_path: Path) -> None:
    for name, fills in FILLS.items():
        assert scripted_for(load_task(name, fills)).name == "scripted"
    kinds = {type(scripted_for(load_task(name, fills))).__name__ for name, fills in FILLS.items()}
    assert len(kinds) == 3
    with pytest.raises(UserError, match="served or in-process"):
        scripted_for(load_task(write(tmp_path, OWN), {"shade": "light"}))


# --- a user's own


def test_a_users_own_task_from_end_to_end(tmp_path: Path) -> None:
    task = load_task(write(tmp_path, OWN), {"shade": ["light", "sun"]})
    assert task.prompt.startswith("Is the unit about light and sun?\n\nWhile you experiment")
    transcript, backbone = run(tmp_path, task, [MEASURE, "[EVIDENCE]: none", "[VERDICT]: BRIGHT or DARK", ANSWER])
    assert transcript.end == Conclusion(4, "0.7843 against 0.03922", ["BRIGHT"])
    notices = [notice.text for notice in transcript.of(Notice)]
    assert "no [VERDICT]: add a line [VERDICT]: BRIGHT or DARK" in notices[0] and "several answers" in notices[1]
    assert backbone.seen[0][1].text.startswith("Is the unit about light and sun?")
    start = transcript.records[0]
    assert isinstance(start, Start) and start.task == "brightness"
    # A record tells how its replies are read, where the task's file is not.
    again = record_from_json(record_to_json(start))
    assert isinstance(again, Start) and endings_of(again) == task.endings

    profile = load_profile("testbed")
    facts = facts_of([UNIT], "canned", profile, Settings(task=task))
    assert facts["task"] == "brightness"
    assert facts[TASK_TEXT] == {"fills": {"shade": ["light", "sun"]}, "sha256": task.digest}
    (tmp_path / "run.json").write_text(json.dumps(facts))
    page = build_report(tmp_path).read_text()
    assert "BRIGHT" in page and ">Verdict<" in page and "brightness (shade light, sun)" in page
    assert ">Score<" not in page and "not scored" not in page
    console = Console(width=100, record=True, file=(tmp_path / "table").open("w"))
    console.print(summary_table(tmp_path))
    table = console.export_text()
    assert "verdict" in table and "BRIGHT" in table and "truth" not in table


def test_the_last_turn_asks_in_the_tasks_words(tmp_path: Path) -> None:
    task = load_task(write(tmp_path, OWN), {"shade": "light"})
    transcript, backbone = run(tmp_path, task, [MEASURE, ANSWER], turns=1)
    assert [notice.text for notice in transcript.of(Notice)] == [task.last_turn]
    assert "is it about light?" in backbone.seen[-1][-1].text
    assert isinstance(transcript.end, Conclusion) and transcript.end.forced


def test_a_run_does_not_go_on_with_another_text(tmp_path: Path) -> None:
    path = write(tmp_path, OWN)
    task = load_task(path, {"shade": "light"})
    run(tmp_path, task, [MEASURE, ANSWER])
    assert run(tmp_path, load_task(path, {"shade": "light"}), [])[0].end is not None, "the same goes on"
    changed = copy.deepcopy(OWN) | {"last_turn": OWN["last_turn"] + "Be brief.\n"}
    facts = facts_of([UNIT], "canned", load_profile("testbed"), Settings(task=task))
    (tmp_path / "run.json").write_text(json.dumps(facts))
    for other in (load_task(path, {"shade": "dark"}), load_task(write(tmp_path, changed), {"shade": "light"})):
        with pytest.raises(UserError, match="another --out"):
            run(tmp_path, other, [])
        with pytest.raises(UserError, match="task brightness with another text or other fills"):
            joined(tmp_path, facts_of([UNIT], "canned", load_profile("testbed"), Settings(task=other)))
    with pytest.raises(UserError, match="task, task_text"):
        joined(tmp_path, facts_of([UNIT], "canned", load_profile("testbed"), Settings()))


def test_a_run_of_before_there_were_tasks_goes_on(tmp_path: Path) -> None:
    facts = facts_of([UNIT], "canned", load_profile("testbed"), Settings())
    (tmp_path / "run.json").write_text(json.dumps({key: facts[key] for key in facts if key != TASK_TEXT}))
    assert joined(tmp_path, facts)[TASK_TEXT] == facts_of_task(DESCRIPTION)


def test_a_task_keeps_the_guards_that_it_names(tmp_path: Path) -> None:
    task = load_task(write(tmp_path, OWN | {"guards": ["thin-evidence"]}), {"shade": "light"})
    transcript, _ = run(tmp_path, task, [ANSWER, MEASURE, ANSWER])
    assert [notice.kind for notice in transcript.of(Notice)] == ["guard/thin-evidence"], "nothing was measured yet"
    free = load_task(write(tmp_path, OWN | {"guards": []}), {"shade": "light"})
    transcript, _ = run(tmp_path / "free", free, [ANSWER])
    assert not list(transcript.of(Notice)) and transcript.end is not None
    assert free.digest != task.digest


def test_guards_look_for_concepts_in_labels_alone(tmp_path: Path) -> None:
    """A verdict names nothing that images could show: two images measured are enough. A label has to be tested."""
    alike = experiment(
        """
activations, masked = system.neuron(tools.text2image(["red 100", "red 101"]))
tools.log_experiment(activations, masked, ["red 100", "red 101"], "")
"""
    )
    choice = load_task(write(tmp_path, OWN), {"shade": "light"})
    bias = load_task("bias-identification", {"class_name": "piano"})
    sentence = "[DESCRIPTION]: red\n[BIAS]: the picture shows that it is higher for the red ones that stand on red"
    cases = {
        "choice": (choice, "[EVIDENCE]: red\n[VERDICT]: BRIGHT", []),
        "text": (bias, sentence, []),
        "labels": (load_task(DESCRIPTION), "[DESCRIPTION]: red\n[LABEL]: red", ["guard/thin-evidence"]),
    }
    for name, (task, answer, wanted) in cases.items():
        transcript, _ = run(tmp_path / name, task, [alike, answer, answer, answer, answer], guards=GUARDS)
        assert [notice.kind for notice in transcript.of(Notice)][:1] == wanted, name
        assert transcript.end is not None and transcript.end.turn == (2 if not wanted else 4)


# --- the command line


PROFILE = "world: testbed\ntarget: ground-truth\nbackbone: scripted\ndataset_images: 40\njobs: 1\nturns: 2\n"
DRAWN = experiment(
    """
prompts = ["a dog", "a cat"]
activations, masked = system.neuron(tools.text2image(prompts))
tools.log_experiment(activations, masked, prompts, "")
"""
)


def describe(place: Path, *more: object) -> Said:
    (place / "profile.yaml").write_text(PROFILE)
    profile, out = place / "profile.yaml", place / "run"
    return call("describe", "--units", "single=0", "--profile", profile, "--out", out, *more)


def test_the_command_with_a_users_own_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = "[EVIDENCE]: dogs and cats were drawn\n[VERDICT]: DARK, as far as it was tested\n"
    backbone = CannedBackbone([DRAWN, answer])
    monkeypatch.setitem(registry._EXPERIMENTERS, "brightness", lambda task: backbone)
    said = describe(tmp_path, "--task", write(tmp_path, OWN), "--fill", "shade=light, sun")
    assert said.code == 0, said
    assert "DARK" in said.out and "No scores: answers to the task brightness" in " ".join(said.out.split())
    assert not (tmp_path / "run" / "scores.json").exists()
    config = json.loads((tmp_path / "run" / "run.json").read_text())
    assert config["task"] == "brightness" and config[TASK_TEXT]["fills"] == {"shade": ["light", "sun"]}
    assert "Is the unit about light and sun?" in backbone.seen[0][1].text
    again = describe(tmp_path, "--task", tmp_path / "own.yaml", "--fill", "shade=light, sun")
    assert again.code == 0 and len(backbone.seen) == 2, "what is done is not asked again"
    assert "with another text" in describe(tmp_path, "--task", tmp_path / "own.yaml", "--fill", "shade=sea").sentence()


def test_mistakes_on_the_command_line(tmp_path: Path) -> None:
    own = write(tmp_path, OWN)
    assert "--backbone served or in-process" in describe(tmp_path, "--task", own, "--fill", "shade=light").sentence()
    assert "did you mean bias-identification" in describe(tmp_path, "--task", "bias-identificaton").sentence()
    assert "--fill class_name=value" in describe(tmp_path, "--task", "bias-identification").sentence()
    assert "takes none" in describe(tmp_path, "--fill", "class_name=dog").sentence()
    assert not (tmp_path / "run" / "run.json").exists()


def test_the_file_of_the_documentation_is_one(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text()
    (tmp_path / "own.yaml").write_text(text.partition("```yaml\n")[2].partition("```")[0])
    task = load_task(tmp_path / "own.yaml", {"material": "wood"})
    assert task.answer == Ending("VERDICT", "choice", ("TEXTURE", "COLOUR")) and not task.describes


# --- wrong files


def changed(**entries: Any) -> dict[str, Any]:
    return copy.deepcopy(OWN) | entries


def ending(**entries: Any) -> dict[str, Any]:
    last = {"heading": "VERDICT", "kind": "choice", "choices": ["BRIGHT", "DARK"]} | entries
    return changed(endings=[OWN["endings"][0], {key: value for key, value in last.items() if value is not None}])


WRONG: list[tuple[dict[str, Any], str]] = [
    (changed(promt="x"), "no key 'promt'"),
    ({key: value for key, value in OWN.items() if key != "last_turn"}, "lacks last_turn"),
    (changed(endings=[]), "lacks endings"),
    (changed(prompt=["a"]), "prompt must be a text"),
    (changed(name="My Task"), "small letters"),
    (changed(name=DESCRIPTION), "built-in task"),
    (changed(fills={"shade": "x", "colour": "y"}), "lacks the fill {colour}"),
    (changed(fills={}), "{shade} in prompt is no fill"),
    (changed(fills=["shade"]), "fills must say"),
    (changed(fills={"Shade": "x"}), "cannot name a fill"),
    (changed(prompt=OWN["prompt"].replace("{reply_format}", "")), "lacks {reply_format}"),
    (changed(last_turn=OWN["last_turn"] + "{reply_format}"), "{reply_format} in last_turn"),
    (changed(last_turn="Answer now."), "last_turn does not show [EVIDENCE]"),
    (changed(prompt=OWN["prompt"].replace("[VERDICT]", "VERDICT")), "prompt does not show [VERDICT]"),
    (changed(endings={"heading": "A", "kind": "text"}), "must be a list"),
    (changed(endings=["VERDICT"]), "needs a heading and a kind"),
    (ending(heading="EVIDENCE"), "two endings"),
    (ending(heading="CODE"), "dialogue's own"),
    (ending(heading="HYPOTHESIS LIST"), "dialogue's own"),
    (ending(heading="Verdict"), "capital letters"),
    (ending(heading="VERDICT 2"), "capital letters"),
    (ending(heading="V]:("), "capital letters"),
    (ending(kind="number", choices=None), "choose from text, labels, choice"),
    (ending(choices=None), "needs choices"),
    (ending(kind="text"), "takes no choices"),
    (ending(choices=["YES"]), "two choices or more"),
    (ending(choices=["dark", "DARK"]), "alike"),
    (ending(choices=[True, False]), "in quotes"),
    (ending(choices=['a"', "b"]), "plain words"),
    (ending(size=3), "needs a heading and a kind"),
    (changed(endings=list(reversed(OWN["endings"]))), "the answer comes last"),
    (changed(guards=["thin"]), "choose from invented-result"),
]


@pytest.mark.parametrize(("data", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_wrong_file_is_told_in_one_sentence(tmp_path: Path, data: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        load_task(write(tmp_path, data), {"shade": "light"})
    text = str(error.value)
    assert (
        message in text
        and "own.yaml" in text
        and "\n" not in text
        and text.endswith((".", "NO]` belongs to a choice."))
    )


@pytest.mark.parametrize(
    "content", [b"name: [", b"\xff\xfe\x00", b"- a\n- b\n", b"", b"&a [*a]", b"name: !!python/object:x {}"]
)
def test_what_is_no_task_at_all(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"own\.yaml"):
        load_task(path)


def test_unknown_tasks_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean spurious-feature"):
        load_task("spurious-features")
    with pytest.raises(UserError, match="choose from bias-identification"):
        load_task("poetry")
    with pytest.raises(UserError, match="No such file"):
        load_task(tmp_path / "none.yaml")
    with pytest.raises(UserError, match="Is a directory"):
        load_task(tmp_path)


@pytest.mark.parametrize(
    ("fills", "message"),
    [
        ({}, "needs class_name, the name of the class"),
        ({"class": ["x"]}, "no fill 'class': choose from class_name"),
        ({"class_name": []}, "empty value"),
        ({"class_name": [""]}, "empty value"),
        ({"class_name": ["a\nb"]}, "several lines"),
        ({"class_name": ["a", "a"]}, "twice"),
    ],
)
def test_wrong_fills(fills: dict[str, list[str]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_task("bias-identification", fills)
    with pytest.raises(UserError, match="takes none"):
        load_task(DESCRIPTION, {"class_name": ["x"]})


def test_fills_of_the_command_line() -> None:
    assert fills_named(["classes=a, b c,d", "x=1=2"]) == {"classes": ("a", "b c", "d"), "x": ("1=2",)}
    for texts, message in ((["classes"], "name=value"), (["=a"], "name=value"), (["a=1", "a=2"], "twice")):
        with pytest.raises(UserError, match=message):
            fills_named(texts)


@settings(max_examples=30, deadline=None)
@given(st.text(min_size=1, max_size=30).filter(lambda text: text.strip() and text.isprintable()))
def test_what_is_filled_in_stands_there_as_it_is(value: str) -> None:
    """Braces and backslashes too; nothing in it is filled in again."""
    task = load_task("bias-identification", {"class_name": [value]})
    plain = load_task("bias-identification", {"class_name": ["@@@"]})
    assert task.prompt == plain.prompt.replace("@@@", value) and task.fills == {"class_name": (value,)}


# --- replies


HEADINGS = st.lists(
    st.from_regex(r"\A[A-Z]{1,6}( [A-Z]{1,6})?\Z").filter(lambda h: h not in ("CODE", "THINK")),
    min_size=1,
    max_size=4,
    unique=True,
)
PROSE = st.from_regex(r"\A[a-z][a-z ,.0-9]{0,40}[a-z]\Z")


@settings(max_examples=40, deadline=None)
@given(HEADINGS, st.sampled_from(["text", "labels", "choice"]), st.data())
def test_the_sections_of_any_task_are_read(headings: list[str], kind: Any, data: st.DataObject) -> None:
    choices = ("PLAIN", "PLAIN AND SIMPLE", "odd") if kind == "choice" else ()
    endings = (*(Ending(heading, "text") for heading in headings[:-1]), Ending(headings[-1], kind, choices))
    bodies = [data.draw(PROSE) for _ in headings[:-1]]
    last = headings[-1]
    if kind == "labels":
        wanted = data.draw(st.lists(PROSE.filter(lambda t: not t.startswith("label")), min_size=1, max_size=3))
        wanted = [label.strip(" ,") for label in wanted]
        closing = [f"[{last} {n}]: {label}" for n, label in enumerate(wanted, 1)]
    else:
        wanted = [data.draw(st.sampled_from(choices) if choices else PROSE.map(lambda t: t.strip(" ,")))]
        wanted = [" ".join(wanted[0].split())] if headings[:-1] else wanted
        said = wanted[0].lower() if choices and data.draw(st.booleans()) else wanted[0]
        closing = [f"**[{last}]**: {said}"]
    if kind == "labels":
        wanted = [" ".join(label.split()) for label in wanted]
    parts = [*(f"[{heading}]: {body}" for heading, body in zip(headings, bodies, strict=False)), *closing]
    random.Random(len(parts)).shuffle(parts)
    if kind == "labels":
        wanted = [label for part in parts for n, label in enumerate(wanted, 1) if part.startswith(f"[{last} {n}]")]
    parsed = parse_reply("\n".join(parts), endings)
    assert parsed.code is None and parsed.labels == wanted
    assert parsed.description == "\n\n".join(body.strip() for body in bodies)


CHOICE = (Ending("REASONING", "text"), Ending("LABEL", "choice", ("SELECTIVE", "SPURIOUS")))


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("SELECTIVE", "SELECTIVE"),
        ("**Spurious**", "SPURIOUS"),
        ('"SPURIOUS".', "SPURIOUS"),
        ("Label: SPURIOUS", "SPURIOUS"),
        ("SPURIOUS, it is not SELECTIVE for one class", "SPURIOUS"),
        ("SELECTIVE (huskies)", "SELECTIVE"),
        ("<SPURIOUS>", "SPURIOUS"),
        ("SELECTIVE or SPURIOUS", None),
        ("<SELECTIVE or SPURIOUS, one word>", None),
        ("SELECTIVE / SPURIOUS", None),
        ("it is not SELECTIVE", None),
        ("selectively dogs", None),
        ("UNSURE", None),
        ("", None),
    ],
)
def test_a_choice_is_one_of_them(said: str, wanted: str | None) -> None:
    reply = f"[REASONING]: it was tested\n[LABEL]: {said}"
    if wanted is None:
        with pytest.raises(ExperimentError, match="SELECTIVE or SPURIOUS"):
            parse_reply(reply, CHOICE)
    else:
        assert parse_reply(reply, CHOICE).labels == [wanted]


def test_a_text_as_the_answer() -> None:
    endings = load_task("bias-identification", FILLS["bias-identification"]).endings
    parsed = parse_reply("[DESCRIPTION]: means\n[BIAS]: **no bias found\nin what was tested**\n\nThat is all.", endings)
    assert parsed.labels == ["no bias found in what was tested"]
    for wrong in ("[BIAS]:", "[BIAS]: <one sentence>", "[DESCRIPTION]: means", "[LABEL]: dog"):
        with pytest.raises(ExperimentError, match=r"\[BIAS\]"):
            parse_reply(wrong, endings)
    alone = (Ending("ANSWER", "text"),)
    parsed = parse_reply("[ANSWER]: first\n\nsecond\n" + "x" * TEXT_LIMIT, alone)
    assert parsed.labels[0].startswith("first\n\nsecond\nxxx") and len(parsed.labels[0]) == TEXT_LIMIT
    assert parsed.description == ""


def test_sections_of_other_tasks_end_a_section_and_are_no_answer() -> None:
    parsed = parse_reply("[REASONING]: tested\n[BIAS]: high on snow\n[LABEL]: SPURIOUS", CHOICE)
    assert (parsed.description, parsed.labels) == ("tested", ["SPURIOUS"])
    assert parse_reply("[REASONING]: tested\n[LABEL]: dogs").description == "tested"
    own = (Ending("VERDICT", "choice", ("YES", "NO")),)
    with pytest.raises(ExperimentError, match=r"final \[VERDICT\]"):
        parse_reply("[LABEL]: YES", own)
    code = "[VERDICT]: YES\n" + experiment("print(1)")
    assert "def run_experiment" in (parse_reply(code, own).code or ""), "code wins over a conclusion"


def test_tasks_are_compared_by_all_that_is_said() -> None:
    task = load_task(DESCRIPTION)
    others = [
        replace(task, prompt="x"),
        replace(task, last_turn="x"),
        replace(task, endings=task.endings[1:]),
        replace(task, guards=()),
    ]
    assert len({other.digest for other in (task, *others)}) == 5
    assert endings_of(None) == DESCRIPTION_ENDINGS
    damaged = Start("t.l.0", "t", "l", 0, "b", "x", 0, 1, "", "", {"task": {"endings": [{"heading": 3}]}})
    assert endings_of(damaged) == DESCRIPTION_ENDINGS
