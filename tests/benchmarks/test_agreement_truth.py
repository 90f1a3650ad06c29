"""What is compared, and whether a label is the truth."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from maia.agent.transcript import Conclusion, Failure, Record, Start, Transcript, unit_directory
from maia.benchmarks.quality.agreement_data import (
    Described,
    Procedure,
    pair_up,
    parse_truth,
    read_candidates,
    read_descriptions,
    read_procedure,
)
from maia.benchmarks.quality.agreement_evaluate import evaluate_exact, evaluate_synthetic
from maia.benchmarks.quality.agreement_table import truth_markdown
from maia.benchmarks.quality.agreement_truth import (
    contains_words,
    embedded_truth,
    exact_truth,
    synthetic_truth,
)
from maia.models.errors import UserError
from maia.models.groundtruth_suite import neuron_suite


def write_run(run: Path, units: dict[str, tuple[str, ...] | None], target: str = "synthetic") -> Path:
    """A run whose units have these labels; (): it failed; None: it is unfinished. The description repeats them."""
    run.mkdir(parents=True)
    names = [f"{target}.{unit}" for unit in units]
    (run / "run.json").write_text(json.dumps({"units": names, "target": [target]}))
    for unit, labels in units.items():
        layer, index = unit.rsplit(".", 1)
        name = f"{target}.{unit}"
        records: list[Record] = [Start(name, target, layer, int(index), "vlm", "neuron-description", 0, 5, "", "")]
        if labels:
            records.append(Conclusion(3, f"Responds to\n{' and '.join(labels)}.", list(labels)))
        elif labels is not None:
            records.append(Failure(2, "it broke"))
        Transcript(unit_directory(run, name) / "transcript.jsonl").append(*records)
    return run


@pytest.mark.parametrize(
    ("text", "kind", "concepts", "phrase"),
    [
        ("stripes", "single", ("stripes",), "stripes"),
        ("train OR instrument", "or", ("train", "instrument"), "train OR instrument"),
        ("a OR b  OR c", "or", ("a", "b", "c"), "a OR b OR c"),
        ("dog|leash", "conditional", ("dog", "leash"), "dog, in the presence of leash"),
        ("red given car window", "conditional", ("red", "car window"), "red, in the presence of car window"),
        ("ORange", "single", ("ORange",), "ORange"),
    ],
)
def test_truths_are_read(text: str, kind: str, concepts: tuple[str, ...], phrase: str) -> None:
    truth = parse_truth(text)
    assert (truth.kind, truth.concepts, truth.phrase) == (kind, concepts, phrase)


@pytest.mark.parametrize("text", ["", " ", "dog OR", "dog|", "|", "a|b|c", "a OR b|c", "dog OR Dog", "a given b|c"])
def test_truths_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="write A, A OR B"):
        parse_truth(text)


def test_the_testbed_writes_truths_that_are_read() -> None:
    for kind, neurons in neuron_suite().items():
        for neuron in neurons:
            truth = parse_truth(neuron.truth)
            assert (truth.kind, truth.concepts) == (kind, tuple(map(str, neuron.concepts)))


# Runs and files


def test_a_run_is_read_with_the_truths_that_it_knows(tmp_path: Path) -> None:
    run = write_run(
        tmp_path / "run", {"or.0": ("trains", "boats"), "mono.1": ("striped things",), "mono.2": (), "mono.3": None}
    )
    (run / "truths.json").write_text('{"synthetic.or.0": "train OR boat", "synthetic.mono.2": "tail"}')
    before = sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*"))
    found = read_descriptions(run, "mine", {"synthetic.mono.1": "stripes"})
    assert found.name == "mine"
    assert found.units == {
        "synthetic.or.0": ("train OR boat", "trains OR boats", "Responds to trains and boats."),
        "synthetic.mono.1": ("stripes", "striped things", "Responds to striped things."),
    }
    assert found.left_out == {"synthetic.mono.2": "it ended without a label", "synthetic.mono.3": "unfinished"}
    assert found.failed == {"synthetic.mono.2": "tail"}
    assert before == sorted((path, path.stat().st_mtime_ns) for path in run.rglob("*")), "reading writes nothing"
    assert read_descriptions(run).units["synthetic.mono.1"].truth is None


def test_truths_of_the_testbed_are_known_by_the_unit(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"or.3": ("dog",), "or.99999": ("dog",)}, "ground-truth")
    found = read_procedure(run).units
    assert found["ground-truth.or.3"].truth == neuron_suite()["or"][3].truth
    assert found["ground-truth.or.99999"].truth is None


def test_runs_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no run\.json"):
        read_procedure(tmp_path)
    run = write_run(tmp_path / "run", {"mono.1": ("x",)})
    (run / "truths.json").write_text('{"synthetic.mono.1": 3}')
    with pytest.raises(UserError, match="must map units to labels"):
        read_procedure(run)


def test_bad_entries_of_a_file_cost_themselves(tmp_path: Path) -> None:
    file = tmp_path / "people.jsonl"
    lines = [
        '{"unit": "s.or.1", "label": " two  words ", "truth": "a OR b"}',
        "",
        '{"unit": "s.or.2"',
        '{"unit": "s.or.3", "label": 4}',
        '{"label": "x"}',
        '{"unit": "s.or.4", "label": " "}',
        '{"unit": "s.or.1", "label": "again"}',
        "[]",
        '{"unit": "s.or.5", "description": "Sentences."}',
    ]
    file.write_text("\n".join(lines))
    found = read_procedure(file)
    assert found.name == "people"
    assert found.units == {"s.or.1": ("a OR b", "two words", ""), "s.or.5": (None, "", "Sentences.")}
    assert list(found.left_out) == [f"entry {number}" for number in (3, 4, 5, 6, 7, 8)]
    assert "label is no text" in found.left_out["entry 4"] and "the first one counts" in found.left_out["entry 7"]


def test_json_files_hold_lists_or_units(tmp_path: Path) -> None:
    one, other = tmp_path / "a.json", tmp_path / "b.json"
    one.write_text('[{"unit": "u", "label": "x"}]')
    other.write_text('{"u": {"label": "x"}, "v": 3}')
    assert read_candidates(one).units == read_candidates(other).units
    assert list(read_candidates(other).left_out) == ["entry 2"]
    for text in ("3", "{", '"x"'):
        one.write_text(text)
        with pytest.raises(UserError, match=r"descriptions|entry for each unit"):
            read_candidates(one)
    with pytest.raises(UserError, match="cannot be read"):
        read_candidates(tmp_path / "missing.jsonl")


def test_only_units_of_both_are_compared_and_others_named() -> None:
    a = Procedure(
        "a",
        {
            "u1": Described("dog", "dogs", "x"),
            "u2": Described(None, "Cats ", ""),
            "u3": Described("sky", "sky", ""),
            "u4": Described(None, "x", ""),
            "u5": Described("a|b|c", "x", ""),
            "u6": Described("dog", "x", ""),
        },
        {"u9": "failed"},
    )
    b = Procedure(
        "b",
        {
            "u1": Described(None, "DOGS", "y"),
            "u2": Described("cat", "tails", ""),
            "u4": Described(None, "y", ""),
            "u5": Described(None, "y", ""),
            "u6": Described("cat", "y", ""),
            "u7": Described("x", "y", ""),
        },
    )
    of = pair_up(a, b)
    assert [(pair.unit, pair.truth.phrase, pair.a, pair.b) for pair in of.pairs] == [("u2", "cat", "Cats ", "tails")]
    assert list(of.identical) == ["u1"]
    assert of.left_out["u9 (a)"] == "failed" and of.left_out["u4"] == "its truth is not known"
    assert of.left_out["u3"] == "b has no description of it" and of.left_out["u7"].startswith("a has no")
    assert "cannot be read" in of.left_out["u5"] and "'dog' for a, 'cat' for b" in of.left_out["u6"]
    described = pair_up(a, b, "description")
    assert [pair.unit for pair in described.pairs] == ["u1"] and "no description of it" in described.left_out["u2"]
    with pytest.raises(UserError, match="both procedures are called 'a'"):
        pair_up(a, a)
    with pytest.raises(UserError, match=r"no unit that can be compared \(u3: c has"):
        pair_up(Procedure("d", {"u3": a.units["u3"]}), Procedure("c", {}))


# Is it the truth?


@pytest.mark.parametrize(
    ("label", "truth", "found"),
    [
        ("stripes", "stripes", True),
        ("Black-and-white stripes on clothing.", "stripes", True),
        ("a stripe", "stripes", True),
        ("striped surfaces", "stripes", False),
        ("images of dogs", "dog", True),
        ("hotdogs", "dog", False),
        ("dog OR cat", "dog", False),
        ("boats on water", "water", False),
        ("Car windows", "car window", True),
        ("window of a car", "car window", False),
        ("wolves", "wolf", True),
        ("wings", "wing", True),
        ("grass", "gras", False),
        ("buses", "bus", True),
        ("person", "people", True),
        ("trains or musical instruments", "train OR instrument", True),
        ("musical instruments OR trains", "train OR instrument", True),
        ("either trains or instruments", "train OR instrument", True),
        ("trains", "train OR instrument", False),
        ("trains, instruments, or cars", "train OR instrument", False),
        ("trains or cars", "train OR instrument", False),
        ("trains or old trains", "train OR instrument", False),
        ("trains and instruments", "train OR instrument", False),
        ("A, b or c", "c OR a OR b", True),
        ("dog given leash", "dog|leash", True),
        ("dogs on leashes", "dog|leash", True),
        ("dogs, but only with a leash", "dog|leash", True),
        ("only dogs when there is a leash", "dog|leash", True),
        ("dog|leash", "dog|leash", True),
        ("leash given dog", "dog|leash", False),
        ("leash of a dog", "dog|leash", False),
        ("dog leash", "dog|leash", False),
        ("dog OR leash", "dog|leash", False),
        ("dogs", "dog|leash", False),
        ("wheels of racecars", "wheel|racecar", True),
        ("dog with leash", "dog given leash", True),
        ("man on horses", "man on horse", True),
        ("", "dog", False),
        (" or ", "dog OR cat", False),
        ("given a leash", "dog|leash", False),
    ],
)
def test_labels_in_the_words_of_the_truth(label: str, truth: str, found: bool) -> None:
    assert synthetic_truth(label, truth) is found


def test_a_condition_may_stand_in_the_description() -> None:
    assert synthetic_truth("dogs", "dog|leash", "Fires for dogs, if a leash can be seen.")
    assert not synthetic_truth("leashes", "dog|leash", "Fires for dogs with leashes.")
    assert not synthetic_truth("dogs", "dog OR cat", "Also cats."), "alternatives must be labels"


NOUNS = ("arch", "dog", "bus", "fly", "leaf", "shoe", "tie", "wolf", "car window", "box", "horse", "glass")
PLURALS = {
    "arch": "arches",
    "bus": "buses",
    "fly": "flies",
    "leaf": "leaves",
    "wolf": "wolves",
    "box": "boxes",
    "glass": "glasses",
}


@given(st.sampled_from(NOUNS), st.sampled_from(NOUNS), st.booleans())
def test_words_match_themselves_in_both_numbers_and_no_others(one: str, other: str, plural: bool) -> None:
    shown = PLURALS.get(other, f"{other}s") if plural else other
    assert contains_words(one, f"some {shown}, there") is (one == other)
    assert contains_words(shown, other) is True


class Table:
    """Cosines from a table; a text is 1 from itself and 0 from what is not in it."""

    name, fingerprint = "table", "f"

    def __init__(self, cosines: dict[tuple[str, str], float]) -> None:
        self.cosines = cosines

    def similarity(self, a: Sequence[str], b: Sequence[str]) -> np.ndarray:
        pairs = zip(a, b, strict=True)
        return np.array([1.0 if x == y else self.cosines.get((x, y), 0.0) for x, y in pairs], np.float32)


def test_the_embeddings_measure_has_a_threshold_and_the_same_structure() -> None:
    near = Table({("dog", "puppies"): 0.7, ("leash", "with a cord"): 0.66, ("leash", "puppies"): 0.1})
    assert embedded_truth("puppies", "dog", near) and not embedded_truth("puppies", "dog", near, 0.71)
    assert embedded_truth("puppies with a cord", "dog|leash", near)
    assert not embedded_truth("puppies", "dog|leash", near) and not embedded_truth("puppies or cat", "dog", near)
    assert embedded_truth("cat or puppies", "dog OR cat", near)
    assert not synthetic_truth("cat or puppies", "dog OR cat"), "words know no synonyms"


def test_rates_by_kind_and_by_measure() -> None:
    procedure = Procedure(
        "mine",
        {
            "s.mono.0": Described("dog", "puppies", ""),
            "s.mono.1": Described("tail", "tails", ""),
            "s.or.0": Described("dog OR cat", "dog", "cats too"),
            "s.conditional.0": Described("dog|leash", "dog", "with leashes"),
            "s.conditional.1": Described(None, "dog", ""),
            "s.conditional.2": Described("a|b|c", "dog", ""),
        },
        {"s.mono.2": "it ended without a label", "s.mono.3": "unfinished"},
        {"s.mono.2": "sky"},
    )
    result = evaluate_synthetic(procedure, Table({("dog", "puppies"): 0.9}), 0.8)
    assert {kind: (e["count"], e["of"]) for kind, e in result["words"].items()} == {
        "all": (2, 5),
        "single": (1, 3),
        "or": (0, 1),
        "conditional": (1, 1),
    }
    assert (result["embedding"]["single"]["count"], result["embedding"]["conditional"]["count"]) == (1, 0)
    assert result["threshold"] == 0.8 and result["embedder"]["name"] == "table"
    assert set(result["left_out"]) == {"s.mono.3", "s.conditional.1", "s.conditional.2"}
    assert result["units"]["s.mono.2"] == {"truth": "sky", "label": None, "words": False, "embedding": False}
    assert "| mine | words | all | 2 of 5 | 0.40 |" in truth_markdown({"mine": result})
    alone = evaluate_synthetic(procedure)
    assert alone["embedding"] is alone["threshold"] is alone["embedder"] is None and alone["words"] == result["words"]
    with pytest.raises(UserError, match="no unit whose truth is known"):
        evaluate_synthetic(Procedure("x", {}))


def test_the_testbed_is_judged_exactly() -> None:
    neurons = [neuron for neurons in neuron_suite().values() for neuron in neurons[:6]]
    units = {f"ground-truth.x.{k}": Described(neuron.truth, neuron.truth, "") for k, neuron in enumerate(neurons)}
    units["ground-truth.x.0"] = Described(neurons[0].truth, neurons[1].truth, "")
    result = evaluate_exact(Procedure("x", {**units, "synthetic.mono.0": Described("yarn balls", "yarn balls", "")}))
    assert result["exact"]["all"]["count"] == 17 and result["exact"]["all"]["of"] == 18
    assert "no truth of the testbed" in result["left_out"]["synthetic.mono.0"]
    assert exact_truth("a striped thing or a dog", "dog OR striped")
    assert not exact_truth("dog", "dog OR striped")
