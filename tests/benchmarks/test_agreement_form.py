"""The form for people: blinding, answers, and the page in a browser."""

import html.parser
import json
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.benchmarks.quality.agreement import summarise
from maia.benchmarks.quality.agreement_answers import read_answers
from maia.benchmarks.quality.agreement_data import Described, Pairing, Procedure, pair_up
from maia.benchmarks.quality.agreement_form import Key, form_page, make_key, read_key, write_form
from maia.models.errors import UserError

TRUTHS = ["stripes", "train OR instrument", "dog|leash", "tail", "dog OR car", "sky|bird"]
HOSTILE = '</script><script>alert("x")</script><!-- <b>&amp; \u2028 {{ 7 * 7 }} `${1}`'


def procedure(name: str, texts: list[str]) -> Procedure:
    return Procedure(name, {f"s.x.{k}": Described(TRUTHS[k % 6], text, "") for k, text in enumerate(texts)})


def pairing(count: int = 6, swap: bool = False) -> Pairing:
    pair = [procedure(f"Arm-{name}", [f"{name} says {k}" for k in range(count)]) for name in ("red", "blue")]
    return pair_up(*pair[:: -1 if swap else 1])


def data_of(page: str) -> Any:
    """What the page's script reads."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def sheet(key: Key, judge: str, favours: str, **changes: Any) -> dict[str, Any]:
    """An answer file of someone who takes the texts of arm "a" or "b", or what stands "left"."""
    answers = []
    for trial in key.trials:
        left = random.Random(f"{judge}{trial.id}").randrange(2)
        sides = [(False, left), (True, 1 - left)] if int(trial.id[1:]) <= key.repeats else [(False, left)]
        for repeat, first in sides:
            chosen = {"a": trial.a, "b": 1 - trial.a, "left": first}[favours]
            answers.append({"trial": trial.id, "repeat": repeat, "left": first, "chosen": chosen})
    asked = len(key.trials) + key.repeats
    return {"format": 1, "form": key.form, "judge": judge, "asked": asked, "answers": answers} | changes


def put(folder: Path, name: str, content: Any) -> Path:
    file = folder / name
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


# Blinding

texts = st.lists(
    st.tuples(st.text("ab XZ<é", min_size=1, max_size=6), st.text("ab XZ<é", min_size=1, max_size=6)), max_size=6
)


@settings(max_examples=40)
@given(texts, st.integers(0, 3))
def test_the_page_is_the_same_whichever_procedure_is_a(pairs: list[tuple[str, str]], seed: int) -> None:
    """So that nothing in it can tell: it is a function of which texts stand together."""
    pairs = [*pairs, ("some", "other")]
    one, other = (procedure(name, [pair[k] for pair in pairs]) for k, name in enumerate(("one", "other")))
    reversed_units = Procedure("one", dict(reversed(one.units.items())))
    keys = [make_key(pair_up(*arms), seed) for arms in ((one, other), (other, one), (reversed_units, other))]
    assert form_page(keys[0]) == form_page(keys[1]) == form_page(keys[2])
    for k, arm in ((0, "a"), (1, "b")):
        for trial in keys[k].trials:
            assert trial.texts[trial.a if arm == "a" else 1 - trial.a] == one.units[trial.pair.unit].label


def test_the_page_names_neither_procedures_nor_units_nor_kinds() -> None:
    key = make_key(pairing())
    page = form_page(key)
    assert "Arm-" not in page and "s.x." not in page and "conditional" not in page
    assert set(data_of(page)) == {"form", "repeats", "trials"}
    assert all(set(trial) == {"id", "truth", "texts"} for trial in data_of(page)["trials"])


def test_sides_and_order_are_drawn_by_the_seed() -> None:
    keys = [make_key(pairing(60), seed) for seed in range(20)]
    first = [trial.a for key in keys for trial in key.trials]
    assert 0.45 < sum(first) / len(first) < 0.55, "1200 fair draws: within 3.5 standard deviations"
    assert len({key.form for key in keys}) == 20 and keys[0] == make_key(pairing(60), 0)
    assert [trial.pair.unit for trial in keys[0].trials] != [trial.pair.unit for trial in keys[1].trials]
    assert {trial.pair for trial in keys[0].trials} == set(pairing(60).pairs), "all are asked"
    assert keys[0].repeats == 6 and keys[0].judges == 10


def test_texts_stay_texts() -> None:
    one, other = procedure("one", [HOSTILE]), procedure("other", ["plain"])
    page = form_page(make_key(pair_up(one, other)))
    (trial,) = data_of(page)["trials"]
    assert HOSTILE in trial["texts"]

    class Scripts(html.parser.HTMLParser):
        count = 0

        def handle_starttag(self, tag: str, attrs: Any) -> None:
            self.count += tag == "script"
            assert not {name for name, _ in attrs} & {"src", "href", "onclick", "onload"}

    parser = Scripts()
    parser.feed(page)
    assert parser.count == 2 and "http" not in page.replace("http-equiv", "")


def test_what_cannot_be_asked() -> None:
    same = procedure("one", ["x"])
    with pytest.raises(UserError, match="nothing to ask people"):
        make_key(pair_up(same, procedure("other", ["X"])))
    with pytest.raises(UserError, match=r"from 0 to 0\.5"):
        make_key(pairing(), repeats=0.7)


def test_files_are_written_and_another_forms_key_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "form.html"
    page, beside = write_form(pairing(), out)
    assert page == out and beside.name == "form.key.json"
    assert read_key(beside) == make_key(pairing()) and page.read_text() == form_page(make_key(pairing()))
    write_form(pairing(), out)
    with pytest.raises(UserError, match="un-blinds another form"):
        write_form(pairing(5), out)
    assert read_key(beside) == make_key(pairing())
    with pytest.raises(UserError, match=r"ends in \.html"):
        write_form(pairing(), tmp_path / "form")


def test_keys_that_cannot_be_used(tmp_path: Path) -> None:
    _, file = write_form(pairing(), tmp_path / "form.html")
    whole = json.loads(file.read_text())
    with pytest.raises(UserError, match="is missing"):
        read_key(tmp_path / "none.json")
    changed = json.loads(file.read_text())
    changed["trials"][0]["texts"][0] = "better"
    for content, what in (
        (changed, "was changed"),
        ("{", "damaged"),
        ([], "damaged"),
        (whole | {"format": 2}, "version"),
    ):
        with pytest.raises(UserError, match=what):
            read_key(put(tmp_path, "bad.json", content))


# Answers


def test_answers_are_unblinded(tmp_path: Path) -> None:
    key = make_key(pairing(20), repeats=0.2)
    files = [put(tmp_path, f"{n}.json", sheet(key, f"judge {n}", "a" if n < 3 else "b")) for n in range(4)]
    panel = read_answers(files, key)
    result = summarise(key.pairing, panel)
    assert result["win_rate"]["all"]["rate"] == 0.75 and result["win_rate"]["all"]["verdicts"] == 80
    assert result["judges"] == 4 and result["self_agreement"]["rate"] == 1.0
    assert result["self_agreement"]["of"] == 16 and panel.problems == {} and panel.facts["unfinished"] == {}
    assert result["agreement"]["pairwise"] == pytest.approx(0.5)
    # The same people about the same texts, with the procedures exchanged.
    swapped = make_key(pairing(20, swap=True), repeats=0.2)
    assert swapped.form == key.form
    exchanged = summarise(swapped.pairing, read_answers(files, swapped))
    assert exchanged["win_rate"]["all"]["rate"] == 0.25


def test_who_looks_at_the_side_only_does_not_agree_with_himself(tmp_path: Path) -> None:
    key = make_key(pairing(20), repeats=0.5)
    result = summarise(key.pairing, read_answers([put(tmp_path, "x.json", sheet(key, "x", "left"))], key))
    assert result["self_agreement"] == result["self_agreement"] | {"rate": 0.0, "of": 10}
    assert result["first_shown"]["rate"] == 1.0 and result["win_rate"]["all"]["ties"] == 10


def test_damaged_foreign_and_duplicate_files_are_named(tmp_path: Path) -> None:
    key, other = make_key(pairing()), make_key(pairing(), seed=1)
    good = sheet(key, "Ann", "a")
    contents: dict[str, Any] = {
        "good.json": good,
        "cut.json": json.dumps(good)[:200],
        "binary.json": None,
        "list.json": [],
        "deep.json": "[" * 100_000,
        "version.json": good | {"format": 2},
        "nameless.json": good | {"judge": "  "},
        "long.json": good | {"judge": "x" * 61},
        "none.json": good | {"answers": 3},
        "foreign.json": sheet(other, "Bob", "a"),
        "again.json": sheet(key, " ANN ", "b", answers=good["answers"][:2]),
    }
    files = [put(tmp_path, name, content) for name, content in contents.items() if content is not None]
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    files += [tmp_path / "binary.json", tmp_path / "missing.json"]
    panel = read_answers(files, key)
    names = {what: {Path(file).name for file in panel.facts[what]} for what in ("damaged", "foreign", "duplicate")}
    assert names["foreign"] == {"foreign.json"} and names["duplicate"] == {"again.json"}
    assert names["damaged"] == {*contents, "missing.json"} - {"good.json", "foreign.json", "again.json"}
    assert panel.facts["files"] == 12 and len(panel.problems) == 11
    assert summarise(key.pairing, panel)["win_rate"]["all"]["rate"] == 1.0
    with pytest.raises(UserError, match="no file holds answers to this form"):
        read_answers([tmp_path / "foreign.json", tmp_path / "cut.json"], key)
    with pytest.raises(UserError, match="no file was given"):
        read_answers([], key)


def test_of_two_files_of_a_judge_the_fuller_counts(tmp_path: Path) -> None:
    key = make_key(pairing())
    full = sheet(key, "Ann", "a")
    files = [put(tmp_path, "early.json", full | {"answers": full["answers"][:3]}), put(tmp_path, "full.json", full)]
    for order in (files, files[::-1]):
        panel = read_answers(order, key)
        assert [Path(file).name for file in panel.facts["duplicate"]] == ["early.json"] and len(panel.verdicts) == 6
    alone = read_answers(files[:1], key)
    assert alone.facts["unfinished"] == {"ann": f"3 of {6 + key.repeats}"} and len(alone.verdicts) <= 3


def test_damaged_answers_cost_themselves(tmp_path: Path) -> None:
    key = make_key(pairing(), repeats=0)
    whole = sheet(key, "Ann", "a")["answers"]
    bad = [
        whole[0] | {"chosen": 2},
        whole[1] | {"chosen": True},
        whole[2] | {"left": None},
        whole[3] | {"trial": "t99"},
        whole[4],
        whole[4] | {"chosen": 1 - whole[4]["chosen"]},
        7,
        {"trial": "t6"},
    ]
    panel = read_answers([put(tmp_path, "x.json", sheet(key, "Ann", "a", answers=bad))], key)
    assert [verdict.value for verdict in panel.verdicts] == [1.0], "of an answer given twice the first one counts"
    assert len(panel.problems) == 7 and all("x.json, answer" in name for name in panel.problems)


# In a browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed (Debian: apt install chromium)")

# Stands in for a person: types a name, presses keys, and leaves what was downloaded in the document.
PERSON = """
const files = [], RealBlob = Blob;
window.Blob = class extends RealBlob { constructor(parts, kind) { super(parts, kind); files.push(parts.join("")); } };
HTMLAnchorElement.prototype.click = function () {};
const press = (more) => document.dispatchEvent(new KeyboardEvent("keydown", { cancelable: true, ...more }));
const key = (name, more) => press({ key: name, ...more });
const id = (name) => document.getElementById(name);
const seen = [];
const note = () => seen.push([id("count").textContent, id("truth").textContent, id("left").textContent.trim()]);
key("1");
id("judge").value = "  Ann   Lee ";
id("who").requestSubmit();
%s
id("early").click();
const out = document.createElement("pre");
out.id = "result";
out.textContent = JSON.stringify({ files, seen, bar: id("bar").value, done: !id("done").hidden });
document.body.append(out);
"""


def browse(page: Path, profile: Path) -> str:
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
        "--dump-dom",
        page.as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=True).stdout


def person(page: str, file: Path, does: str, profile: Path) -> dict[str, Any]:
    """What is left after someone did that. The page's policy would not let a second script in."""
    opened = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    file.write_text(opened.replace("</body>", f"<script>{PERSON % does}</script></body>"))
    found = re.search(r'<pre id="result">(.*?)</pre>', browse(file, profile), re.DOTALL)
    assert found is not None
    result: dict[str, Any] = json.loads(html.unescape(found[1]))
    return result


@in_browser
def test_browser_asks_by_keys_and_writes_answers_that_are_read(tmp_path: Path) -> None:
    key = make_key(pairing(10), repeats=0.3)
    page, file = form_page(key), tmp_path / "form.html"
    # As written, with its policy: the script runs, and wires the form.
    file.write_text(page)
    assert 'id="trial" hidden' in browse(file, tmp_path / "plain")

    does = """
note(); key("ArrowLeft"); note(); key("2"); note(); key("Backspace"); note();
key("1", { repeat: true }); key("1", { ctrlKey: true }); note(); id("right").click(); note();
"""
    early = person(page, file, does, tmp_path / "profile")
    counts = [entry[0] for entry in early["seen"]]
    assert counts == [f"Question {n} of 13" for n in (1, 2, 3, 2, 2, 3)], "held keys and shortcuts answer nothing"
    assert early["seen"][1] == early["seen"][3] == early["seen"][4] and early["bar"] == 2 and not early["done"]
    written = json.loads(early["files"][0])
    assert written["judge"] == "Ann Lee" and len(written["answers"]) == 2
    texts = {trial.id: trial.texts for trial in key.trials}
    one, two = written["answers"]
    assert one["chosen"] == one["left"] and two["chosen"] == 1 - two["left"]
    assert early["seen"][0][2] == "1" + texts[one["trial"]][one["left"]]

    # The same name on the same computer goes on.
    does = 'note(); while (id("done").hidden) key("ArrowLeft");'
    done = person(page, file, does, tmp_path / "profile")
    assert done["seen"][0][0] == "Question 3 of 13" and done["done"]
    answers = json.loads(done["files"][0])
    assert answers["answers"][:2] == written["answers"] and answers["asked"] == 13
    panel = read_answers([put(tmp_path, "ann.json", answers)], key)
    assert panel.problems == {} and panel.facts["unfinished"] == {} and len(panel.verdicts) == 10
    asked_twice = [verdict for verdict in panel.verdicts if verdict.consistent is not None]
    assert len(asked_twice) == 3
    swapped = {(a["trial"], a["repeat"]): a["left"] for a in answers["answers"]}
    twice = [trial for trial, repeat in swapped if repeat]
    assert all(swapped[trial, True] == 1 - swapped[trial, False] for trial in twice)
    places = [(a["trial"], a["repeat"]) for a in answers["answers"]]
    assert all(places.index((trial, False)) < 5 <= places.index((trial, True)) for trial in twice)
