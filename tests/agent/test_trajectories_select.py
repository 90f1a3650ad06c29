"""What is taken of the trajectories that are kept, and what the card finds in the files."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fakes import CONCLUSION, experiment
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.agent.trajectories import CollectOptions, collect
from maia.agent.trajectories_card import contamination, lengths
from maia.agent.trajectories_judge import Kept, named_concepts, truth_key
from maia.agent.trajectories_read import Trajectory
from maia.agent.trajectories_select import (
    DUPLICATE,
    NEAR,
    capped,
    in_turn,
    reply_words,
    shingles,
    validation_neurons,
    without_duplicates,
)
from maia.agent.transcript import ImageStore, Reply
from maia.models.groundtruth_labels import parse_label
from maia.models.groundtruth_split import split_concepts
from recorded_runs import measured, record_run
from tiny_vlm import tiny_checkpoint

WORDS = [f"word{number}" for number in range(400)]


def kept(name: str, truth: str | None, text: str = "") -> Kept:
    neuron = parse_label(truth) if truth is not None else None
    records = [Reply(1, text or f"{name} says this of {truth}")]
    trajectory = Trajectory(name, "run", name, records, ImageStore(Path("nowhere")), neuron)
    return Kept(trajectory, truth or "", frozenset({1}), {}, neuron)


def changed(words: list[str], count: int, seed: int) -> str:
    """The text with `count` words in a row replaced."""
    place = random.Random(seed).randrange(len(words) - count)
    return " ".join([*words[:place], *(f"other{seed}" for _ in range(count)), *words[place + count :]])


def test_duplicates_anywhere_and_near_duplicates_of_one_neuron() -> None:
    text = " ".join(random.Random(0).choices(WORDS, k=600))
    entries = [
        kept("a", "dog", text),
        kept("b", "cat", text.upper() + " ."),  # the same words
        kept("c", "dog", changed(text.split(), 4, 1)),  # 8 of some 600 shingles
        kept("d", "dog", changed(text.split(), 150, 2)),
        kept("e", "cat", changed(text.split(), 4, 3)),  # of another neuron
    ]
    stay, gone = without_duplicates(entries)
    assert [entry.trajectory.name for entry in stay] == ["a", "d", "e"]
    assert gone == [("b", DUPLICATE, "a"), ("c", NEAR, "a")]


@given(st.integers(0, 400), st.integers(0, 99))
@settings(max_examples=40)
def test_near_duplicates_are_those_that_share_nine_tenths(count: int, seed: int) -> None:
    """Against the exact share, but for a margin of four standard deviations of the estimate."""
    words = random.Random(seed).choices(WORDS, k=500)
    first, second = kept("a", "dog", " ".join(words)), kept("b", "dog", changed(words, count, seed))
    one, two = shingles(reply_words(first)), shingles(reply_words(second))
    share = len(one & two) / len(one | two)
    _, gone = without_duplicates([first, second])
    if share >= 0.98:
        assert gone
    if share <= 0.78:
        assert not gone


neurons = st.sampled_from(["dog", "cat", "red", "dog OR cat", "red OR blue", "blue OR red", "dog given snow", None])


@given(st.lists(neurons, min_size=1, max_size=60), st.integers(0, 9))
def test_the_order_is_balanced_from_the_beginning_and_does_not_depend_on_that_of_the_runs(
    truths: list[str | None], seed: int
) -> None:
    entries = [kept(f"unit{number:02}", truth) for number, truth in enumerate(truths)]
    ordered = in_turn(entries, seed)
    assert Counter(map(id, ordered)) == Counter(map(id, entries))
    assert in_turn(entries[::-1], seed) == ordered
    totals = Counter(entry.kind for entry in entries)
    for end in range(len(ordered) + 1):
        counts = Counter(entry.kind for entry in ordered[:end])
        open_kinds = [counts[kind] for kind in totals if counts[kind] < totals[kind]]
        # A kind falls behind another only once it is used up.
        assert not open_kinds or max(counts.values(), default=0) - min(open_kinds) <= 1


@given(st.lists(neurons, min_size=1, max_size=60), st.integers(1, 4), st.integers(0, 9))
def test_no_more_of_a_neuron_than_may_be(truths: list[str | None], most: int, seed: int) -> None:
    entries = [kept(f"unit{number:02}", truth) for number, truth in enumerate(truths)]
    stay, names = capped(entries, most, seed)
    before, after = (Counter(entry.neuron for entry in group) for group in (entries, stay))
    assert after == {neuron: min(most, count) for neuron, count in before.items()}
    assert len(stay) + len(names) == len(entries) and capped(entries, None, seed) == (entries, [])


@given(st.lists(neurons, min_size=1, max_size=60), st.floats(0, 0.9), st.integers(0, 9))
def test_a_neuron_trains_or_validates(truths: list[str | None], share: float, seed: int) -> None:
    entries = [kept(f"unit{number:02}", truth) for number, truth in enumerate(truths)]
    chosen = validation_neurons(entries, share, seed)
    assert chosen == validation_neurons(entries[::-1], share, seed)
    for kind in {entry.kind for entry in entries}:
        of_kind = {entry.neuron for entry in entries if entry.kind == kind}
        assert len(of_kind - chosen) >= 1
        if len(of_kind) > 1 and share > 0:
            assert 1 <= len(of_kind & chosen) <= max(1, share * len(of_kind) + 1)
        if share == 0:
            assert not chosen


def test_an_or_has_no_order_and_a_condition_has() -> None:
    keys = [
        truth_key(parse_label(label)) for label in ("red OR blue", "blue OR red", "red given blue", "blue given red")
    ]  # type: ignore[arg-type]
    assert keys[0] == keys[1] and len(set(keys)) == 3


def test_words_of_concepts_in_free_text() -> None:
    found = named_concepts("Diagonally striped dogs, a kitten, things that round things are not; a reddish, white wall")
    assert set(map(str, found)) == {"diagonally striped", "dog", "cat", "round thing", "white", "brick wall"}


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=50))
def test_lengths(values: list[int]) -> None:
    found = lengths(values)
    ordered = sorted(values)
    assert (found["min"], found["max"], found["total"]) == (ordered[0], ordered[-1], sum(values))
    assert sum(v <= found["p95"] for v in values) >= 0.95 * len(values) and found["p95"] in values
    assert sum(v <= found["median"] for v in values) >= 0.5 * len(values) and found["median"] in values


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Six runs, two of each of three truths, whose dialogues differ."""
    made = []
    for number, truth in enumerate(["blue", "blue", "dog", "dog", "yellow OR blue", "yellow OR blue"]):
        run = tmp_path_factory.mktemp(f"run{number}")
        end = CONCLUSION.replace("[LABEL]: red", f"[LABEL]: {truth}")
        code = experiment(measured(*range(number * 20, number * 20 + 3 + number)))
        record_run(run, {"0": [code, end]}, truth, path=str(tiny_checkpoint("qwen2.5-vl")), context=16384)
        made.append(run)
    return made


def collected(out: Path, runs: list[Path], **options: Any) -> Any:
    chosen = {"guards": (), "validation": 0.0} | options
    return collect(runs, out, CollectOptions(str(tiny_checkpoint("qwen2.5-vl")), **chosen))


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_the_budget_is_kept_and_what_is_over_it_is_named(tmp_path: Path, runs: list[Path]) -> None:
    report = collected(tmp_path / "two", runs, max_samples=2)
    assert Counter(row["kind"] for row in rows(tmp_path / "two" / "train.jsonl")) == {"single": 1, "or": 1}
    assert len(report.rejected["over the budget"]) == 4
    whole = collected(tmp_path / "whole", runs)
    tokens = [row["tokens"] for row in rows(tmp_path / "whole" / "train.jsonl")]
    assert len(tokens) == 6 and not whole.rejected
    budget = sum(tokens[:3])
    collected(tmp_path / "some", runs, token_budget=budget)
    assert [row["tokens"] for row in rows(tmp_path / "some" / "train.jsonl")] == tokens[:3]
    collected(tmp_path / "less", runs, token_budget=budget - 1)
    assert len(rows(tmp_path / "less" / "train.jsonl")) == 2
    report = collected(tmp_path / "capped", runs, per_neuron=1)
    assert report.samples["train.jsonl"] == 3 and len(report.rejected["over the number of a neuron"]) == 3


def test_validation_shares_no_truth_and_the_card_counts(tmp_path: Path, runs: list[Path]) -> None:
    report = collected(tmp_path / "set", runs, validation=0.4, command="maia finetune collect")
    train, validation = (rows(tmp_path / "set" / f"{name}.jsonl") for name in ("train", "validation"))
    assert (len(train), len(validation)) == (4, 2)
    assert not {row["truth"] for row in train} & {row["truth"] for row in validation}
    card = json.loads((tmp_path / "set" / "card.json").read_text())
    facts = card["files"]["train.jsonl"]
    assert facts["samples"] == 4 and facts["kinds"] == dict(Counter(row["kind"] for row in train))
    assert facts["tokens"]["total"] == sum(row["tokens"] for row in train)
    assert facts["turns"] == facts["turns_imitated"] == 8 and 0 < facts["learn_share"] < 0.5
    assert facts["pictures"] == sum(len(row["images"]) for row in train)
    stored = {name for row in [*train, *validation] for name in row["images"]}
    assert card["stored_pictures"] == len(stored) == len(list((tmp_path / "set" / "pictures").iterdir()))
    text = (tmp_path / "set" / "card.md").read_text()
    assert "maia finetune collect" in text and report.card["contamination"]["shared_truths"] == []


def test_the_check_finds_what_is_planted_in_the_files(tmp_path: Path, runs: list[Path]) -> None:
    """A held-out truth, a held-out label that is imitated, one that is preferred against, a truth on both sides."""
    collected(tmp_path / "set", runs, validation=0.4)
    split, files = split_concepts(), {name: tmp_path / "set" / f"{name}.jsonl" for name in ("train", "validation")}
    assert contamination(tmp_path / "set", split)["held_out_answers"] == []
    originals = {name: file.read_text() for name, file in files.items()}

    def planted(name: str, change: Any) -> dict[str, Any]:
        row = json.loads(originals[name].splitlines()[0])
        change(row)
        files[name].write_text(originals[name] + json.dumps(row) + "\n")
        found = contamination(tmp_path / "set", split)
        files[name].write_text(originals[name])
        return found

    def label(row: dict[str, Any], learn: bool = True) -> None:
        row["messages"][-1]["content"][0]["text"] = "[DESCRIPTION]: x\n[LABEL]: dogs given boxes\n"
        row["messages"][-1]["learn"] = learn

    assert len(planted("train", lambda row: row.update(truth="striped"))["held_out_answers"]) == 1
    assert [a.split(": ")[1] for a in planted("validation", label)["held_out_answers"]] == ["box"]
    assert planted("train", lambda row: label(row, learn=False))["held_out_answers"] == []
    both = json.loads(originals["train"].splitlines()[0])["truth"]
    assert planted("validation", lambda row: row.update(truth=both))["shared_truths"] == [both]
    copied = planted("validation", lambda row: row.update(json.loads(originals["train"].splitlines()[0])))
    assert copied["overlap"] > contamination(tmp_path / "set", split)["overlap"]
    pair = {**json.loads(originals["train"].splitlines()[0]), "chosen": "[LABEL]: dog", "rejected": "[LABEL]: red"}
    (tmp_path / "set" / "preferences.jsonl").write_text(json.dumps(pair) + "\n")
    assert [a.split(": ")[1] for a in contamination(tmp_path / "set", split)["held_out_answers"]] == ["red"]
