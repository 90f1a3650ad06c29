"""Training sets: the samples are what the model was sent, and only what is worth imitating is imitated."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from fakes import CONCLUSION, experiment
from maia.agent.trajectories import CollectOptions, CollectReport, collect
from maia.models.errors import UserError
from maia.models.vlm.chat import ChatImage, ChatRequest
from recorded_runs import SHOWN, measured, record_run
from tiny_vlm import tiny_checkpoint

QWEN = "qwen2.5-vl"
RED = CONCLUSION
BLUE = CONCLUSION.replace("red", "blue")


def made(out: Path, *runs: Path, family: str = QWEN, **options: Any) -> CollectReport:
    """A training set of which nothing is held out, without guards."""
    chosen = {"split": None, "guards": (), "validation": 0.0} | options
    return collect(runs, out, CollectOptions(str(tiny_checkpoint(family)), **chosen))


def rows(out: Path, name: str = "train.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / name).read_text().splitlines()]


def read_back(out: Path, row: dict[str, Any]) -> list[tuple[str, list[str | bytes]]]:
    """(role, texts and picture files) of each message."""
    pictures = iter(row["images"])
    told = [
        (m["role"], [p["text"] if p["type"] == "text" else (out / next(pictures)).read_bytes() for p in m["content"]])
        for m in row["messages"]
    ]
    assert next(pictures, None) is None, "a picture more than places"
    return told


def sent(request: ChatRequest) -> list[tuple[str, list[str | bytes]]]:
    return [(m.role, [p.data if isinstance(p, ChatImage) else p for p in m.parts]) for m in request.messages]


def learned(row: dict[str, Any]) -> list[bool]:
    return [message["learn"] for message in row["messages"] if message["role"] == "assistant"]


DIALOGUE = [experiment(SHOWN), experiment(measured(10, 200)), experiment(measured(30, 90, 250)), RED]


@pytest.mark.parametrize("family", [QWEN, "llava-next"])
def test_a_sample_is_every_request_and_its_reply(tmp_path: Path, family: str) -> None:
    path = tiny_checkpoint(family)
    asked = record_run(tmp_path / "run", {"0": DIALOGUE}, path=str(path), context=16384)
    made(tmp_path / "set", tmp_path / "run", family=family)
    found = rows(tmp_path / "set")
    assert_covers(tmp_path / "set", found, asked, DIALOGUE)
    assert {(row["truth"], row["kind"], *row["concepts"]) for row in found} == {("red", "single", "red")}


def assert_covers(out: Path, found: list[dict[str, Any]], asked: list[ChatRequest], replies: list[str]) -> None:
    """Every reply is imitated once, after the very request that it answered."""
    told = [read_back(out, row) for row in found]
    for number, (request, reply) in enumerate(zip(asked, replies, strict=True)):
        wanted = [*sent(request), ("assistant", [reply])]
        holding = [
            place
            for place, row in enumerate(found)
            if len(learned(row)) > number and learned(row)[number] and told[place][: len(wanted)] == wanted
        ]
        imitating = [row for row in found if len(learned(row)) > number and learned(row)[number]]
        assert len(holding) == len(imitating) == 1, number


def test_a_dialogue_that_forgets_becomes_a_sample_for_each_stretch(tmp_path: Path) -> None:
    replies = [experiment(measured(*(turn * 20 + i for i in range(6)))) for turn in range(6)] + [RED]
    path = str(tiny_checkpoint(QWEN))
    asked = record_run(tmp_path / "run", {"0": replies}, turns=8, path=path, context=16384, prompts="brief")
    sizes = [sum(len(part) for m in request.messages for part in m.parts if isinstance(part, str)) for request in asked]
    assert sizes == sorted(sizes), "nothing was left out with this much room"
    for context in (4096, 5000, 6000, 7000, 8000):
        run = tmp_path / f"run{context}"
        try:
            asked = record_run(run, {"0": replies}, turns=8, path=path, context=context, max_tokens=1200)
        except IndexError:
            continue
        if len(asked) < len(replies):
            continue
        made(tmp_path / f"set{context}", run, context=context, max_tokens=1200)
        found = rows(tmp_path / f"set{context}")
        assert_covers(tmp_path / f"set{context}", found, asked, replies)
        if len(found) > 1:
            assert max(row["tokens"] for row in found) <= context
            return
    pytest.fail("no context was tight enough to leave something out")


def test_prompts_are_those_that_the_model_is_asked_with(tmp_path: Path) -> None:
    full = record_run(tmp_path / "full", {"0": DIALOGUE}, path=str(tiny_checkpoint(QWEN)), context=16384)
    brief = record_run(
        tmp_path / "brief", {"0": DIALOGUE}, path=str(tiny_checkpoint(QWEN)), context=16384, prompts="brief"
    )
    made(tmp_path / "set", tmp_path / "brief")
    told = read_back(tmp_path / "set", rows(tmp_path / "set")[0])
    assert told[:2] == sent(full[0]) != sent(brief[0])


def test_failures_are_not_imitated_and_their_repairs_make_pairs(tmp_path: Path) -> None:
    broken = experiment("x = 1 / 0").replace("Hypothesis_1: red", "Hypothesis_1: early")
    replies = [experiment(SHOWN), broken, experiment(measured(5, 250)), "I think.", experiment(measured(7)), RED]
    run = tmp_path / "run"
    record_run(run, {"0": replies}, path=str(tiny_checkpoint(QWEN)), context=16384)
    report = made(tmp_path / "set", run)
    (row,) = rows(tmp_path / "set")
    assert learned(row) == [True, False, True, False, True, True]
    assert not any(message["learn"] for message in row["messages"] if message["role"] != "assistant")
    first, second = rows(tmp_path / "set", "preferences.jsonl")
    assert first["rejected"] == broken and "Hypothesis_1: early" in first["chosen"]
    assert "red 250" in first["chosen"] and "1 / 0" not in first["chosen"]
    assert second["rejected"] == "I think." and "red 7" in second["chosen"]
    told = read_back(tmp_path / "set", row)
    assert read_back(tmp_path / "set", first) == told[:4] and told[3][0] == "user" and told[5] == ("user", told[5][1])
    assert report.samples == {"train.jsonl": 1, "validation.jsonl": 0, "preferences.jsonl": 2}

    (run / "untrained_turns.json").write_text(json.dumps({"fake.layer.0": [1, 5]}))
    made(tmp_path / "again", run)
    (row,) = rows(tmp_path / "again")
    assert learned(row) == [False, False, True, False, False, True]
    assert [pair["rejected"] for pair in rows(tmp_path / "again", "preferences.jsonl")] == [broken]
    (run / "untrained_turns.json").write_text(json.dumps({"fake.layer.0": [1, 2, 3, 4, 5, 6]}))
    with pytest.raises(UserError, match="nothing to learn: 1"):
        made(tmp_path / "none", run)


def test_replies_over_the_limit_or_with_special_tokens_are_not_imitated(tmp_path: Path) -> None:
    replies = [
        experiment(SHOWN),
        experiment("print('<|im_end|>')\n" + measured(9)),
        experiment(measured(*range(90))),
        RED,
    ]
    record_run(tmp_path / "run", {"0": replies}, path=str(tiny_checkpoint(QWEN)), context=16384)
    made(tmp_path / "set", tmp_path / "run", max_tokens=700)
    found = rows(tmp_path / "set")
    assert [any(learned(row)[n] for row in found if len(learned(row)) > n) for n in range(4)] == [
        True,
        False,
        False,
        True,
    ]
    assert all("<|im_end|>" not in json.dumps(row["messages"]) for row in found)


def test_rejected_are_the_wrong_the_failed_and_the_unfinished(tmp_path: Path) -> None:
    path = {"path": str(tiny_checkpoint(QWEN)), "context": 16384}
    record_run(tmp_path / "right", {"0": DIALOGUE, "1": [*DIALOGUE[:2], BLUE]}, **path)
    record_run(tmp_path / "failed", {"0": ["nothing"] * 9}, turns=2, **path)
    transcript = tmp_path / "right" / "units" / "fake.layer.1" / "transcript.jsonl"
    cut = tmp_path / "cut" / "units" / "fake.layer.1" / "transcript.jsonl"
    cut.parent.mkdir(parents=True)
    cut.write_bytes(b"\n".join(transcript.read_bytes().split(b"\n")[:-2]) + b"\n")
    report = made(tmp_path / "set", tmp_path / "right", tmp_path / "failed", tmp_path / "cut")
    assert {reason: [name for name, _ in names] for reason, names in report.rejected.items()} == {
        "wrong label": ["0-right/fake.layer.1"],
        "failed": ["1-failed/fake.layer.0"],
        "unfinished": ["2-cut/fake.layer.1"],
    }
    (pair,) = rows(tmp_path / "set", "preferences.jsonl")
    assert (pair["chosen"], pair["rejected"]) == (DIALOGUE[0], "nothing"), "one unit failed where the other went on"


def test_a_right_and_a_wrong_end_of_the_same_dialogue_are_a_pair(tmp_path: Path) -> None:
    path = {"path": str(tiny_checkpoint(QWEN)), "context": 16384}
    record_run(tmp_path / "right", {"0": DIALOGUE}, **path)
    record_run(tmp_path / "wrong", {"0": [*DIALOGUE[:3], BLUE]}, **path)
    made(tmp_path / "set", tmp_path / "right", tmp_path / "wrong")
    (pair,) = rows(tmp_path / "set", "preferences.jsonl")
    assert (pair["chosen"], pair["rejected"]) == (RED, BLUE) and pair["messages"][-1]["role"] == "user"
    assert read_back(tmp_path / "set", pair) == read_back(tmp_path / "set", rows(tmp_path / "set")[0])[:-1]
    # Replies that ran and differ are pairs on request only, and a wrong end earlier is one at once.
    record_run(tmp_path / "other", {"0": [DIALOGUE[0], experiment(measured(1)), BLUE]}, **path)
    made(tmp_path / "faults", tmp_path / "right", tmp_path / "other")
    assert rows(tmp_path / "faults", "preferences.jsonl") == []
    made(tmp_path / "all", tmp_path / "right", tmp_path / "other", pairs="all")
    (pair,) = rows(tmp_path / "all", "preferences.jsonl")
    assert pair["chosen"] == DIALOGUE[1] and pair["source"].startswith("outcome")
    made(tmp_path / "no", tmp_path / "right", tmp_path / "wrong", pairs="none")
    assert rows(tmp_path / "no", "preferences.jsonl") == []


def test_guards_are_run_afterwards(tmp_path: Path) -> None:
    """They did not watch: a conclusion without evidence is unsound all the same, a repeated experiment not imitated."""
    path = {"path": str(tiny_checkpoint(QWEN)), "context": 16384}
    record_run(tmp_path / "thin", {"0": [DIALOGUE[0], RED]}, **path)
    with pytest.raises(UserError, match="unsound conclusion: 1"):
        made(tmp_path / "set", tmp_path / "thin", guards=("thin-evidence",))
    again = [DIALOGUE[0], DIALOGUE[1], DIALOGUE[1], RED]
    record_run(tmp_path / "again", {"0": again}, **path)
    made(tmp_path / "set", tmp_path / "again", guards=("repeated-experiment",))
    assert learned(rows(tmp_path / "set")[-1])[-2:] == [False, True]


def test_held_out_concepts_are_never_an_answer(tmp_path: Path) -> None:
    """Red is held out by the split that everything uses."""
    path = {"path": str(tiny_checkpoint(QWEN)), "context": 16384}
    record_run(tmp_path / "red", {"0": DIALOGUE}, **path)
    record_run(tmp_path / "blue", {"0": [*DIALOGUE[:3], BLUE]}, truth="blue", **path)
    record_run(
        tmp_path / "words",
        {"0": [DIALOGUE[0], RED.replace("[LABEL]: red", "[LABEL]: all that is reddish or red")]},
        None,
        **path,
    )
    options = CollectOptions(str(tiny_checkpoint(QWEN)), guards=(), validation=0, min_score=None)
    report = collect([tmp_path / n for n in ("red", "blue", "words")], tmp_path / "set", options)
    assert [name for name, _ in report.rejected["held-out concept"]] == ["0-red/fake.layer.0", "2-words/fake.layer.0"]
    assert [row["truth"] for row in rows(tmp_path / "set")] == ["blue"]
    check = report.card["contamination"]
    assert check["held_out_answers"] == [] and check["mentions"]["train.jsonl"] == 1, "red pictures were shown"


def test_labels_of_unknown_truth_need_a_score(tmp_path: Path) -> None:
    run = tmp_path / "run"
    record_run(run, {"0": DIALOGUE}, None, path=str(tiny_checkpoint(QWEN)), context=16384)
    (run / "run.json").write_text('{"units": ["fake.layer.0"]}')
    with pytest.raises(UserError, match="no score: 1"):
        made(tmp_path / "set", run)

    def score(value: float) -> None:
        method = {"label": "red", "positive": [1], "neutral": [0], "difference": 1, "over_p95_minus_median": value}
        (run / "scores.json").write_text(json.dumps({"fake.layer.0": {"methods": {"agent": method}}}))

    score(0.1)
    with pytest.raises(UserError, match="low score: 1"):
        made(tmp_path / "set", run)
    score(0.9)
    assert made(tmp_path / "set", run).samples["train.jsonl"] == 1
    (row,) = rows(tmp_path / "set")
    assert (row["truth"], row["kind"], row["concepts"]) == (None, "other", ["red"])


def test_datasets_reads_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    replies = {"0": [DIALOGUE[0], experiment("x = 1 / 0"), *DIALOGUE[1:]], "1": [experiment(measured(3, 4)), RED]}
    record_run(tmp_path / "run", replies, path=str(tiny_checkpoint(QWEN)), context=16384)
    record_run(
        tmp_path / "more",
        {"0": [experiment(measured(5)), BLUE]},
        "blue",
        path=str(tiny_checkpoint(QWEN)),
        context=16384,
    )
    made(tmp_path / "set", tmp_path / "run", tmp_path / "more", validation=0.5)
    for name in ("train.jsonl", "validation.jsonl", "preferences.jsonl"):
        plain = rows(tmp_path / "set", name)
        if name != "preferences.jsonl" or plain:
            read = datasets.load_dataset("json", data_files=str(tmp_path / "set" / name), split="train")
            assert [dict(row) for row in read] == plain and len(plain) > 0


def test_damage_costs_its_trajectory_alone(tmp_path: Path) -> None:
    path = {"path": str(tiny_checkpoint(QWEN)), "context": 16384}
    others = {"0": [experiment(measured(100 + i, 200 + i)) for i in range(2)] + [RED]}
    for name, shades in (("whole", 0), ("lost", 20), ("torn", 40), ("line", 60), ("truth", 80)):
        replies = [experiment(measured(*(shades + i for i in range(3)))), RED]
        record_run(tmp_path / name, {"0": replies}, **path)
    record_run(tmp_path / "kept", others, **path)
    next((tmp_path / "lost" / "images").glob("*.png")).unlink()
    torn = sorted((tmp_path / "torn" / "images").glob("*.png"))
    for file in torn:
        file.write_bytes(file.read_bytes()[:-20])
    line = tmp_path / "line" / "units" / "fake.layer.0" / "transcript.jsonl"
    line.write_bytes(line.read_bytes().replace(b'"outcome"', b'"outgrown"', 1))
    (tmp_path / "truth" / "truths.json").write_text('{"fake.layer.0": "things that please the eye"}')
    names = ("whole", "lost", "torn", "line", "truth", "kept")
    report = made(tmp_path / "set", *(tmp_path / name for name in names))
    assert sorted(row["id"] for row in rows(tmp_path / "set")) == ["0-whole/fake.layer.0/0", "5-kept/fake.layer.0/0"]
    told = {reason: sorted(name for name, _ in entries) for reason, entries in report.rejected.items()}
    assert told == {
        "damaged": ["3-line/fake.layer.0", "4-truth/fake.layer.0"],
        "picture missing or damaged": ["1-lost/fake.layer.0", "2-torn/fake.layer.0"],
    }
    shown = {name for row in rows(tmp_path / "set") for name in row["images"]}
    assert all((tmp_path / "set" / name).is_file() for name in shown)
    for name, content in (("truths.json", "[]"), ("untrained_turns.json", '{"fake.layer.0": "all"}')):
        (tmp_path / "kept" / name).write_text(content)
        with pytest.raises(UserError, match=name):
            made(tmp_path / "broken", tmp_path / "kept")
        (tmp_path / "kept" / name).unlink()


def test_a_set_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record_run(tmp_path / "run", {"0": DIALOGUE}, path=str(tiny_checkpoint(QWEN)), context=16384)
    made(tmp_path / "set", tmp_path / "run")
    first = {p.relative_to(tmp_path / "set"): p.read_bytes() for p in (tmp_path / "set").rglob("*") if p.is_file()}
    with pytest.raises(UserError, match="exists"):
        made(tmp_path / "set", tmp_path / "run")
    made(tmp_path / "set", tmp_path / "run", overwrite=True)
    again = {p.relative_to(tmp_path / "set"): p.read_bytes() for p in (tmp_path / "set").rglob("*") if p.is_file()}
    assert first == again, "the same runs make the same bytes"
    with pytest.raises(UserError, match="no training set"):
        made(tmp_path / "run", tmp_path / "run", overwrite=True)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        made(tmp_path / "set", tmp_path / "run", overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run", "set"]
    assert (tmp_path / "set" / "card.json").read_bytes() == first[Path("card.json")]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"validation": 1.0}, "validation"),
        ({"max_samples": 0}, "max_samples"),
        ({"pairs": "some"}, "none, faults, all"),
        ({"guards": ("sleep",)}, "no guard 'sleep'"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        made(tmp_path / "set", tmp_path, **options)
    with pytest.raises(UserError, match=r"no run\.json"):
        made(tmp_path / "set", tmp_path)
    with pytest.raises(UserError, match="no runs"):
        made(tmp_path / "set")
    assert not (tmp_path / "set").exists()
