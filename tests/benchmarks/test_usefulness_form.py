"""The four-way choice for people: blinding, answers, and the page in a browser."""

import base64
import html
import io
import json
import random
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.benchmarks.quality.usefulness import Task, score
from maia.benchmarks.quality.usefulness_form import (
    SIDE,
    ChoiceKey,
    form_page,
    make_key,
    read_answers,
    read_key,
    write_form,
)
from maia.benchmarks.quality.usefulness_sets import ImageSets
from maia.models.errors import UserError
from PIL import Image

HOSTILE = '</script><script>alert("x")</script><!-- <b>&amp; \u2028 {{ 7 * 7 }} `${1}`'


def sets_of(units: list[str], side: int = 8) -> dict[str, ImageSets]:
    """Four sets of flat pictures for each unit, all of them different."""
    found = {}
    for place, unit in enumerate(units):
        pictures = tuple(
            tuple(Image.new("RGB", (side, side), (20 * place % 256, 60 * k, 60 * j)) for j in range(4))
            for k in range(4)
        )
        ids = tuple(tuple(range(90000 + 4 * k, 90004 + 4 * k)) for k in range(4))
        found[unit] = ImageSets(unit, ids, pictures, place % 4)
    return found


def task_of(methods: tuple[str, ...], texts: list[tuple[str, ...]]) -> Task:
    return Task(methods, "label", {f"s.x.{k}": of for k, of in enumerate(texts)})


def three(count: int = 6) -> Task:
    names = ("Arm-red", "Arm-blue", "Arm-green")
    return task_of(names, [tuple(f"{name[4:]} says {k}" for name in names) for k in range(count)])


def key_of(task: Task, seed: int = 0) -> ChoiceKey:
    return make_key(task, sets_of(list(task.texts)), seed)[0]


def page_of(task: Task, seed: int = 0) -> str:
    return form_page(*make_key(task, sets_of(list(task.texts)), seed))


def data_of(page: str) -> Any:
    """What the page's script reads."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def sheet(key: ChoiceKey, judge: str, offset: int, good: str, **changes: Any) -> dict[str, Any]:
    """An answer file of someone who chooses rightly where the text is of the method `good`."""
    answers = []
    for place, question in enumerate(key.trials):
        draw = random.Random(f"{judge}{place}")
        order, slot = draw.sample(range(4), 4), (offset + place) % len(key.methods)
        right = question.methods[slot] == good
        chosen = question.strong if right else (question.strong + 1) % 4
        answers.append({"trial": question.id, "text": slot, "order": order, "chosen": chosen})
    return {"format": 1, "form": key.form, "judge": judge, "asked": len(answers), "answers": answers} | changes


def put(folder: Path, name: str, content: Any) -> Path:
    file = folder / name
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


# Blinding

words = st.text("ab X<é", min_size=1, max_size=5)


@settings(max_examples=15)
@given(st.lists(st.tuples(words, words), min_size=1, max_size=5), st.integers(0, 3))
def test_the_page_is_the_same_whatever_the_methods_are_called(texts: list[tuple[str, str]], seed: int) -> None:
    one = page_of(task_of(("a", "b"), texts), seed)
    assert one == page_of(task_of(("b", "a"), texts), seed)
    assert one == page_of(task_of(("z", "a"), [of[::-1] for of in texts]), seed), "in the other order"


def test_the_page_holds_nothing_that_tells() -> None:
    page = page_of(three())
    assert "Arm-" not in page and "s.x." not in page and "9000" not in re.sub('data:[^"]*', "", page)
    data = data_of(page)
    assert set(data) == {"form", "trials"} and all(set(trial) == {"id", "texts", "sets"} for trial in data["trials"])
    assert "http" not in page.replace("http-equiv", "") and "src=" not in page
    assert re.search(r"img-src data:; style-src 'sha256-[^;]*; script-src 'sha256-", page)


def test_all_pictures_are_encoded_alike() -> None:
    task = three(2)
    units = list(task.texts)
    key, pictures = make_key(task, {unit: sets_of([unit], 300)[unit] for unit in units})
    shown = [pictures[digest] for question in key.trials for one in question.pictures for digest in one]
    for uri in shown:
        with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
            assert (image.format, image.size) == ("JPEG", (SIDE, SIDE)) and not image.getexif()


def test_each_participant_sees_all_methods_alike_and_each_unit_once() -> None:
    key = key_of(three(9))
    for offset in range(3):
        seen = Counter(trial.methods[(offset + place) % 3] for place, trial in enumerate(key.trials))
        assert set(seen.values()) == {3}, "nine units, three methods"
    assert all(sorted(trial.methods) == sorted(key.methods) for trial in key.trials)
    texts = {trial.unit: dict(zip(trial.methods, trial.texts, strict=True)) for trial in key.trials}
    assert all(texts[unit]["Arm-red"] == f"red says {unit[4:]}" for unit in texts)
    slots = Counter(trial.methods.index("Arm-red") for seed in range(40) for trial in key_of(three(6), seed).trials)
    assert min(slots.values()) > 52, "of 240: a third at each slot, within 3.8 standard deviations"
    assert key.participants == 30 and key_of(three(9)) == key and len({key_of(three(), s).form for s in range(5)}) == 5


def test_texts_stay_texts() -> None:
    page = page_of(task_of(("one", "other"), [(HOSTILE, "plain")]))
    (trial,) = data_of(page)["trials"]
    assert HOSTILE in trial["texts"] and len(re.findall("<script", page)) == 2


def test_files_are_written_and_another_forms_key_is_kept(tmp_path: Path) -> None:
    task, out = three(), tmp_path / "deep" / "form.html"
    page, beside = write_form(task, sets_of(list(task.texts)), out)
    assert page == out and beside.name == "form.key.json" and read_key(beside) == key_of(task)
    assert page.read_text() == page_of(task) and read_key(beside).task.texts.keys() == task.texts.keys()
    assert read_key(beside).task.texts["s.x.2"] == task.texts["s.x.2"]
    with pytest.raises(UserError, match="un-blinds another form"):
        write_form(three(5), sets_of(list(task.texts)), out)
    with pytest.raises(UserError, match=r"ends in \.html"):
        write_form(task, sets_of(list(task.texts)), tmp_path / "form")
    whole = json.loads(beside.read_text())
    changed = json.loads(beside.read_text())
    changed["trials"][0]["texts"][0] = "better"
    lacking = json.loads(beside.read_text())
    lacking["trials"][0]["pictures"].pop()
    for content, what in (
        (changed, "was changed"),
        (lacking, "lacks sets"),
        ("{", "damaged"),
        ([], "damaged"),
        (whole | {"kind": "other"}, "another sort of form"),
    ):
        with pytest.raises(UserError, match=what):
            read_key(put(tmp_path, "bad.json", content))
    with pytest.raises(UserError, match="is missing"):
        read_key(tmp_path / "none.json")


# Answers


def test_answers_are_unblinded(tmp_path: Path) -> None:
    key = key_of(three(9))
    files = [put(tmp_path, f"{n}.json", sheet(key, f"judge {n}", n, "Arm-red")) for n in range(3)]
    answers = read_answers(files, key)
    result = score(key.task, answers)
    assert {name: entry["rate"] for name, entry in result["methods"].items()} == {
        "Arm-red": 1.0,
        "Arm-blue": 0.0,
        "Arm-green": 0.0,
    }
    assert all(entry["answers"] == 9 and entry["participants"] == 3 for entry in result["methods"].values())
    assert answers.problems == {} and answers.facts["unfinished"] == {} and sum(answers.places) == 27
    assert answers.facts["participants_wanted"] == 30


def test_a_text_of_two_methods_counts_for_both(tmp_path: Path) -> None:
    key = key_of(task_of(("one", "other"), [("dogs", " Dogs"), ("cats", "trees")]))
    answers = read_answers([put(tmp_path, "x.json", sheet(key, "x", 0, "one"))], key)
    of_first = sorted(choice.method for choice in answers.choices if choice.unit == "s.x.0")
    assert of_first == ["one", "other"] and len(answers.choices) == 3


def test_damaged_foreign_and_duplicate_files_are_named(tmp_path: Path) -> None:
    key, other = key_of(three()), key_of(three(), seed=1)
    good = sheet(key, "Ann", 0, "Arm-red")
    contents: dict[str, Any] = {
        "good.json": good,
        "cut.json": json.dumps(good)[:200],
        "list.json": [],
        "version.json": good | {"format": 2},
        "nameless.json": good | {"judge": "  "},
        "none.json": good | {"answers": 3},
        "foreign.json": sheet(other, "Bob", 0, "Arm-red"),
        "again.json": sheet(key, " ANN ", 1, "Arm-blue", answers=good["answers"][:2]),
    }
    answers = read_answers([*(put(tmp_path, name, c) for name, c in contents.items()), tmp_path / "missing.json"], key)
    names = {what: {Path(file).name for file in answers.facts[what]} for what in ("damaged", "foreign", "duplicate")}
    assert names["foreign"] == {"foreign.json"} and names["duplicate"] == {"again.json"}
    assert names["damaged"] == {*contents, "missing.json"} - {"good.json", "foreign.json", "again.json"}
    assert len(answers.choices) == 6 and len(answers.problems) == 8
    with pytest.raises(UserError, match="no file holds answers to this form"):
        read_answers([tmp_path / "foreign.json", tmp_path / "cut.json"], key)


def test_damaged_answers_cost_themselves(tmp_path: Path) -> None:
    key = key_of(three(8))
    whole = sheet(key, "Ann", 0, "Arm-red")["answers"]
    bad = [
        whole[0] | {"chosen": 4},
        whole[1] | {"chosen": True},
        whole[2] | {"text": 3},
        whole[3] | {"order": [0, 1, 2, 2]},
        whole[4] | {"trial": "t99"},
        whole[5],
        whole[5] | {"chosen": (whole[5]["chosen"] + 1) % 4},
        7,
        whole[6] | {"order": "0123"},
    ]
    answers = read_answers([put(tmp_path, "x.json", sheet(key, "Ann", 0, "Arm-red", answers=bad))], key)
    assert [choice.unit for choice in answers.choices] == [key.trials[5].unit], "given twice: the first one counts"
    assert len(answers.problems) == 8 and answers.facts["unfinished"] == {"ann": "1 of 8"}


# In a browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# Stands in for a person: types a name, presses keys, and leaves what was downloaded in the document.
PERSON = """
const files = [], RealBlob = Blob;
window.Blob = class extends RealBlob { constructor(parts, kind) { super(parts, kind); files.push(parts.join("")); } };
HTMLAnchorElement.prototype.click = function () {};
const key = (name, more) =>
  document.dispatchEvent(new KeyboardEvent("keydown", { cancelable: true, key: name, ...more }));
const id = (name) => document.getElementById(name);
const seen = [];
const pictures = () => [1, 2, 3, 4].map((n) => [...id(`set${n}`).querySelectorAll("img")].map((one) => one.src));
const note = () => seen.push([id("count").textContent, id("text").textContent, pictures()]);
key("1");
id("judge").value = "  Ann   Lee ";
id("who").requestSubmit();
note(); key("3"); note(); key("4"); note(); key("Backspace"); note();
key("1", { repeat: true }); key("2", { ctrlKey: true }); key("5"); note(); id("set2").click();
id("early").click();
while (id("done").hidden) key("4");
id("download").click();
const out = document.createElement("pre");
out.id = "result";
out.textContent = JSON.stringify({ files, seen, saved: id("file").textContent });
document.body.append(out);
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed (Debian: apt install chromium)")
def test_browser_asks_by_keys_and_writes_answers_that_are_read(tmp_path: Path) -> None:
    task = three(5)
    key, pictures = make_key(task, sets_of(list(task.texts)))
    # The page's policy would not let a second script in.
    opened = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", form_page(key, pictures))
    file = put(tmp_path, "form.html", opened.replace("</body>", f"<script>{PERSON}</script></body>"))
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    more = ["--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    command = [str(CHROMIUM), *flags.split(), *more, file.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=280, check=True).stdout
    found = re.search(r'<pre id="result">(.*?)</pre>', dom, re.DOTALL)
    assert found is not None
    result = json.loads(html.unescape(found[1]))
    seen = result["seen"]
    assert [entry[0] for entry in seen] == [f"Question {n} of 5" for n in (1, 2, 3, 2, 2)]
    assert seen[1] == seen[3] == seen[4], "held keys, shortcuts and other keys answer nothing"
    early, done = (json.loads(text) for text in result["files"])
    assert early["judge"] == "Ann Lee" and len(early["answers"]) == 2 and done["answers"][:2] == early["answers"]
    assert len(done["answers"]) == done["asked"] == 5 and result["saved"].startswith("Saved as answers-")

    # What was on the screen is what the answers say was.
    trials = {question.id: question for question in key.trials}
    for (_, text, shown), answer, place in zip(seen[:2], early["answers"], (2, 1), strict=True):
        question = trials[answer["trial"]]
        assert text == question.texts[answer["text"]] and answer["chosen"] == answer["order"][place]
        assert shown == [[pictures[digest] for digest in question.pictures[k]] for k in answer["order"]]
    # One offset for all, so that methods come about equally often.
    offsets = {(answer["text"] - int(answer["trial"][1:]) + 1) % 3 for answer in done["answers"]}
    assert len(offsets) == 1 and len({answer["trial"] for answer in done["answers"]}) == 5
    answers = read_answers([put(tmp_path, "ann.json", done)], key)
    assert answers.problems == {} and len(answers.choices) == 5 and answers.places == [0, 1, 1, 3]
