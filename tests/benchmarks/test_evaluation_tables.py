"""Tables of an evaluation against cases whose answer is known, what is left out of them, the paper's values, files."""

import csv
import io
import json
import math
import random
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.benchmarks.quality.evaluation_compared import OVER_P95, OVER_SPREAD, RAW
from maia.benchmarks.quality.evaluation_table import Table, shown, to_csv, to_markdown
from maia.benchmarks.quality.evaluation_tables import (
    ablation_table,
    agreement_table,
    difference_table,
    layer_table,
    make_tables,
    paired_table,
    power_table,
    truth_table,
    write_tables,
)
from maia.benchmarks.quality.evaluation_units import layer_key, organise
from maia.benchmarks.quality.measured import RESULTS, read_evaluation
from maia.benchmarks.quality.paper_values import (
    METHODS,
    TABLE_A3,
    TARGETS,
    paper_counts,
    printed_averages_that_disagree,
    unit_lists,
)
from maia.benchmarks.quality.testbed_study import wilson
from maia.models.errors import UserError
from maia.models.networks.architectures import CLIP_LAYERS, DINO_BLOCKS, RESNET_LAYERS
from maia.models.targets import parse_units
from measurements import measurement, study_of


def rows_of(table: Table) -> list[dict[str, Any]]:
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def row_where(table: Table, **cells: Any) -> dict[str, Any]:
    found = [row for row in rows_of(table) if all(row[name] == cell for name, cell in cells.items())]
    assert len(found) == 1, f"{len(found)} rows of {table.name} have {cells}"
    return found[0]


RESNET = [
    measurement("resnet152.conv1.0", "agent", 4.0, 1.0, p50=1.0, p95=2.0),
    measurement("resnet152.conv1.1", "agent", 2.0, 2.0, p50=1.0, p95=4.0),
    measurement("resnet152.layer4.5", "agent", 9.0, 3.0, p50=0.0, p95=3.0),
    measurement("resnet152.conv1.0", "milan", 3.0, 1.0, p50=1.0, p95=2.0),
    measurement("resnet152.conv1.1", "milan", 1.0, 0.0, p50=1.0, p95=4.0),
    measurement("resnet152.layer4.5", "milan", 6.0, 3.0, p50=0.0, p95=3.0),
    measurement("resnet152.conv1.0", "human", 5.0, 0.5, p50=1.0, p95=2.0),
]


def test_by_layer_has_means_over_units_and_the_papers_values_beside_them() -> None:
    table = layer_table(organise(RESNET), RAW)
    conv1, everything = row_where(table, layer="conv1"), row_where(table, layer="all layers")
    assert (conv1["units"], conv1["agent +"], conv1["agent -"]) == (2, 3.0, 1.5)
    assert (conv1["milan +"], conv1["milan -"], conv1["human units"], conv1["human +"]) == (2.0, 0.5, 1, 5.0)
    assert (everything["units"], everything["agent +"]) == (3, 5.0), "over units, not over layers"
    assert row_where(table, layer="layer4")["human +"] is None
    assert (conv1["agent + (paper)"], conv1["agent - (paper)"], conv1["milan + (paper)"]) == (7.28, 3.53, 7.23)
    assert everything["human + (paper)"] == 4.15
    assert any("the paper publishes" in note for note in table.notes)


def test_normalised_tables_divide_within_each_unit() -> None:
    over = row_where(layer_table(organise(RESNET), OVER_P95), layer="conv1")
    assert over["agent +"] == pytest.approx((4 / 2 + 2 / 4) / 2) and over["agent -"] == pytest.approx(
        (1 / 2 + 2 / 4) / 2
    )
    spread = row_where(layer_table(organise(RESNET), OVER_SPREAD), layer="all layers")
    assert spread["agent +"] == pytest.approx((4 / 1 + 2 / 3 + 9 / 3) / 3)
    whole = row_where(layer_table(organise(RESNET), OVER_P95), layer="all layers")
    assert whole["agent + (paper)"] == 1.63, "table A4"
    assert not any("(paper)" in name for name in layer_table(organise(RESNET), OVER_SPREAD).columns)


def test_units_without_a_positive_divisor_are_left_out_and_named() -> None:
    flat = [replace(one, p50=2.0, p95=2.0) if one.index == 1 else one for one in RESNET]
    table = layer_table(organise(flat), OVER_SPREAD)
    assert row_where(table, layer="conv1")["units"] == 1 and row_where(table, layer="conv1")["agent +"] == 4.0
    assert any("not positive: 1 (resnet152.conv1.1)" in note for note in table.notes)
    assert row_where(layer_table(organise(flat), OVER_P95), layer="conv1")["units"] == 2


def test_units_that_lack_a_method_are_in_no_mean_and_named() -> None:
    table = layer_table(organise([one for one in RESNET if (one.method, one.index) != ("milan", 1)]), RAW)
    conv1 = row_where(table, layer="conv1")
    assert (conv1["units"], conv1["agent +"], conv1["milan +"]) == (1, 4.0, 3.0)
    assert any("without a label by milan: 1 (resnet152.conv1.1)" in note for note in table.notes)


def test_targets_are_not_averaged_together_and_have_their_own_methods() -> None:
    other = [measurement("mine.conv1.0", "agent", 100.0), measurement("mine.conv1.0", "random", 0.0)]
    table = layer_table(organise([*RESNET, *other]), RAW)
    assert row_where(table, target="mine")["agent +"] == 100.0
    assert row_where(table, target="resnet152", layer="all layers")["agent +"] == 5.0
    assert row_where(table, target="mine")["human units"] is None
    assert row_where(table, target="mine")["agent + (paper)"] is None, "the paper has no such target"


def test_differences_have_intervals() -> None:
    table = difference_table(organise(RESNET))
    row = row_where(table, layer="all layers", method="agent", measure="raw")
    assert row["difference"] == pytest.approx((3 + 0 + 6) / 3) and 0 <= row["low"] < 3 < row["high"] <= 6
    alone = row_where(table, layer="layer4", method="milan", measure="over p95")
    assert (alone["units"], alone["difference"], alone["low"]) == (1, 1.0, None)
    assert any("too narrow" in note for note in table.notes)


def test_paired_table_has_wins_and_the_sign_test() -> None:
    table = paired_table(organise(RESNET))
    row = row_where(table, layer="all layers", other="milan", measure="raw")
    assert (row["method"], row["units"], row["difference"]) == ("agent", 3, pytest.approx((1 - 1 + 3) / 3))
    assert (row["wins"], row["losses"], row["ties"], row["p"]) == (2, 1, 0, 1.0)
    human = row_where(table, layer="all layers", other="human", measure="raw")
    assert (human["units"], human["difference"]) == (1, -1.5)
    assert any("without a label by human: 2" in note for note in table.notes)


def test_seeds_are_averaged_before_units_are_compared() -> None:
    seeds = [measurement("t.l.0", "agent", value, seed=k) for k, value in enumerate((1.0, 2.0, 6.0))]
    table = paired_table(organise([*seeds, measurement("t.l.0", "random", 2.0)]))
    row = row_where(table, measure="raw")
    assert (row["units"], row["difference"], row["wins"]) == (1, 1.0, 1)


def test_power_table() -> None:
    pairs = [(3.0, 1.0), (2.0, 1.0), (5.0, 2.0)]
    made = [measurement(f"t.l.{k}", name, pair[side]) for k, pair in enumerate(pairs) for side, name in enumerate("ab")]
    row = row_where(power_table(organise(made)), measure="raw")
    assert (row["difference"], row["sd"]) == (2.0, 1.0), "differences of 2, 1 and 3"
    assert row["smallest difference shown"] == pytest.approx(2.80158 / math.sqrt(3), rel=1e-4)
    assert (row["units for this difference"], row["units for 0.5"], row["units for 0.1"]) == (2, 32, 785)


def test_ablations_are_compared_with_the_whole_over_common_units() -> None:
    made = [measurement(f"resnet152.conv1.{k}", "agent", 3.0 + k, 1.0) for k in range(3)]
    made += [measurement(f"resnet152.conv1.{k}", "agent: exemplars only", 2.0, 1.0) for k in range(2)]
    study = organise(made)
    table = ablation_table(study)
    whole, part = row_where(table, method="agent"), row_where(table, method="agent: exemplars only")
    assert (whole["units"], whole["+"], part["units"], part["+"], part["-"]) == (2, 3.5, 2, 2.0, 1.0)
    assert part["whole less this"] == 1.5 and whole["whole less this"] is None
    assert (part["+ (paper)"], part["- (paper)"], whole["+ (paper)"]) == (3.53, 1.54, None)
    assert any("not measured under all: 1 (resnet152.conv1.2)" in note for note in table.notes)
    assert "agent: exemplars only +" not in layer_table(study, RAW).columns
    assert row_where(layer_table(study, RAW), layer="conv1")["units"] == 3, "ablations cost no unit of other tables"


def test_truth_counts_shares_of_seeds() -> None:
    def found(index: int, seed: int, truth: bool, kind: str = "or") -> Any:
        return measurement(f"ground-truth.{kind}.{index}", "agent", 1.0, seed=seed, truth_found=truth, kind=kind)

    made = [found(0, 0, True), found(0, 1, False), found(1, 0, True), found(1, 1, True)]
    made += [found(2, 0, False, "single"), found(2, 1, False, "single"), measurement("real.l.0", "agent", 1.0)]
    table = truth_table(organise(made))
    row = row_where(table, kind="or")
    assert (row["units"], row["found"], row["rate"]) == (2, 1.5, 0.75)
    assert (row["low"], row["high"]) == wilson(1.5, 2)
    assert [row["kind"] for row in rows_of(table)] == ["single", "or", "all kinds"]
    assert row_where(table, kind="all kinds")["rate"] == 0.5
    assert {row["target"] for row in rows_of(table)} == {"ground-truth"}, "real units have no truth"


def test_truths_are_compared_by_unit_too() -> None:
    made = [
        measurement(f"ground-truth.or.{k}", method, 1.0, truth_found=method == "agent" or k == 0, kind="or")
        for k in range(3)
        for method in ("agent", "random")
    ]
    row = row_where(paired_table(organise(made)), measure="truth found")
    assert (row["difference"], row["wins"], row["ties"], row["p"]) == (pytest.approx(2 / 3), 2, 1, 0.5)


def test_forced_choice_has_the_papers_rate_either_way_round() -> None:
    entry = {"units": 40, "rate": 0.7, "interval": [0.55, 0.82], "p": 0.02}
    panels = {"people": {"win_rate": {"all": entry, "single": entry, "or": {**entry, "rate": None}}}}
    table = agreement_table(
        [{"a": "agent", "b": "milan", "panels": panels}, {"a": "milan", "b": "human", "panels": panels}]
    )
    assert row_where(table, A="agent", kind="all")["rate of A (paper)"] == 0.73
    assert row_where(table, A="milan", kind="all")["rate of A (paper)"] == pytest.approx(0.17)
    assert row_where(table, A="agent", kind="single")["rate of A (paper)"] is None
    assert len(table.rows) == 4


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([measurement("t.l.7", "agent", math.nan)], "not finite"),
        ([measurement("t.l.7", "agent", 1.0, p95=math.inf)], "not finite"),
        ([replace(measurement("t.l.7", "agent", 1.0), index=8)], "name is not of its target"),
        ([measurement("t.l.7", "agent", 1.0), measurement("t.l.7", "agent", 2.0)], "measured twice"),
        ([measurement("t.l.7", "agent", 1.0), measurement("t.l.7", "random", 1.0, p95=3.0)], "percentiles of two"),
        ([measurement("t.l.7", "agent", 1.0), measurement("t.l.7", "random", 1.0, kind="or")], "two kinds"),
    ],
)
def test_what_contradicts_itself_is_left_out_and_named(wrong: list[Any], said: str) -> None:
    study = organise([*wrong, measurement("t.l.0", "agent", 1.0)])
    assert study.targets[0].layers == {"l": ("t.l.0",)}
    assert any(said in note and "t.l.7" in note for note in study.notes)
    assert any(said in note for note in make_tables(study)[0].notes)


def test_odd_labels_repetitions_and_missing_seeds_are_said_and_kept() -> None:
    same = measurement("t.l.2", "agent", 1.0)
    made = [measurement("t.l.0", "agent", 1.0, label=" "), measurement("t.l.1", "agent", 1.0, label="x" * 301)]
    study = organise([*made, same, same, measurement("t.l.1", "agent", 3.0, seed=4)])
    assert study.targets[0].values["agent"]["t.l.1"].positive == 2.0 and len(study.targets[0].layers["l"]) == 3
    text = " ".join(study.notes)
    for said in ("empty labels", "more than 300 characters", "given twice", "agent 0, 4", "without all seeds of agent"):
        assert said in text


def test_layers_stand_in_order_of_their_numbers() -> None:
    names = ["head", "blocks.10", "blocks.5", "conditional", "or", "single", "layer1", "conv1", "blocks.11.mlp"]
    assert sorted(names, key=layer_key) == [
        *("single", "or", "conditional", "blocks.5", "blocks.10", "blocks.11.mlp", "conv1", "head", "layer1"),
    ]


def test_nothing_measured_is_said() -> None:
    with pytest.raises(UserError, match="nothing was measured"):
        make_tables(organise([]))
    with pytest.raises(UserError, match="not finite"):
        make_tables(organise([measurement("t.l.0", "agent", math.nan)]))


def test_only_people_or_only_ablations_make_tables() -> None:
    people = make_tables(organise([measurement("t.l.0", "human", 2.0)]))
    assert row_where(people[0], layer="l")["human +"] == 2.0
    alone = {table.name: table for table in make_tables(organise([measurement("t.l.0", "agent: generated only", 2.0)]))}
    assert row_where(alone["ablations"], method="agent: generated only")["+"] == 2.0
    assert any("agent itself was not measured" in note for note in alone["ablations"].notes)


def test_files_are_the_same_whatever_the_order(tmp_path: Path) -> None:
    made = study_of({"ground-truth": ["single", "or"], "resnet152": ["conv1"]}, ["agent", "random"], units=3, seeds=2)
    first = write_tables(made, tmp_path / "a")
    shuffled = list(made)
    random.Random(5).shuffle(shuffled)
    second = write_tables(shuffled, tmp_path / "b")
    assert [path.name for path in first] == [path.name for path in second] and len(first) == 14
    assert all(one.read_bytes() == other.read_bytes() for one, other in zip(first, second, strict=True))
    left = write_tables([one for one in made if one.target == "resnet152"], tmp_path / "a")
    assert sorted(path.name for path in left) == sorted(path.name for path in (tmp_path / "a").iterdir())
    assert "table-truth.csv" not in {path.name for path in left}, "an earlier evaluation's table would mislead"


CELLS = st.one_of(
    st.none(),
    st.integers(-(10**9), 10**9),
    st.floats(-1e6, 1e6),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=8),
)


@settings(max_examples=60)
@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=5)))
def test_csv_round_trip(rows: list[list[Any]]) -> None:
    columns = tuple(f'column "{k}", | {k}' for k in range(len(rows[0])))
    table = Table("t", "T", columns, tuple(map(tuple, rows)))
    read = list(csv.reader(io.StringIO(to_csv(table), newline="")))
    assert tuple(read[0]) == columns
    for cells, texts in zip(rows, [row or [""] for row in read[1:]], strict=True):
        for cell, text in zip(cells, texts, strict=True):
            if isinstance(cell, float):
                assert float(text) == pytest.approx(cell, rel=1e-5)
            else:
                assert text == ("" if cell is None else str(cell))
    lines = [line for line in to_markdown(table).splitlines() if line.startswith("|")]
    assert len(lines) == len(rows) + 2, "no cell breaks a line"
    assert all(line.replace("\\|", "").count("|") == len(columns) + 1 for line in lines if "|---" not in line)


@pytest.mark.parametrize(
    ("cell", "text"),
    [(None, "–"), (math.nan, "–"), (-0.0, "0.00"), (-1.234, "−1.23"), (0.00049, "0.00049"), (0.0995, "0.10"), (3, "3")],
)
def test_numbers_for_reading(cell: Any, text: str) -> None:
    assert shown(cell) == text


def test_tables_refuse_ragged_rows() -> None:
    with pytest.raises(ValueError, match="as many cells"):
        Table("t", "T", ("a", "b"), ((1,),))


# What evaluation.json holds.


def test_evaluation_is_read_and_damaged_entries_are_named(tmp_path: Path) -> None:
    entries: list[Any] = [asdict(one) for one in RESNET]
    broken = [
        {**entries[0], "positive": "much"},
        {**entries[0], "seed": True},
        7,
        {"unit": "x"},
        {**entries[0], "p95": None},
    ]
    data = {
        "measured": [*entries, *broken],
        "facts": {"seed": 3},
        "left_out": {"resnet152.conv1.9": {"milan": "failed"}},
        "problems": {"resnet152.conv1.8, seed 0": {"agent": "the label is empty"}},
        "unusable": {"agent": 2, "milan": 0},
    }
    (tmp_path / RESULTS).write_text(json.dumps(data))
    found = read_evaluation(tmp_path)
    assert found.measured == tuple(RESNET) and found.facts == {"seed": 3}
    text = "\n".join(found.notes)
    for said in ("Entry 7", "positive is 'much'", "seed is True", "Entry 9", "Entry 10", "p95 is None"):
        assert said in text
    assert "milan, failed: 1 (resnet152.conv1.9)" in text and "the label is empty: 1" in text and "agent 2" in text
    assert "milan 0" not in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is missing"),
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ("{}", "has no 'measured'"),
        ('{"measured": 5}', "no list of measurements"),
        ('{"measured": [], "left_out": [1]}', "is damaged"),
        ('{"measured": [{}]}', "no measurement that can be read"),
    ],
)
def test_no_evaluation_is_said(tmp_path: Path, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / RESULTS).write_text(content)
    with pytest.raises(UserError, match=said) as error:
        read_evaluation(tmp_path)
    assert "maia evaluate" in str(error.value)


# The paper's values, and units drawn as it drew them.


def test_printed_averages_agree_with_their_rows_but_for_those_that_are_told() -> None:
    told = printed_averages_that_disagree()
    assert set(told) == {
        ("resnet152", "human", "+"),
        ("dino-vits8", "clip-dissect", "+"),
        ("dino-vits8", "agent", "-"),
        ("dino-vits8", "human", "+"),
        ("dino-vits8", "human", "-"),
    }
    assert told["dino-vits8", "agent", "-"] == (0.54, pytest.approx(-0.224))


def test_the_papers_layers_are_those_of_our_targets() -> None:
    layers = {target: list(paper_counts(target)) for target in TARGETS}
    assert layers["resnet152"] == list(RESNET_LAYERS) and layers["clip-rn50"] == list(CLIP_LAYERS)
    assert layers["dino-vits8"] == [f"blocks.{block}.mlp" for block in DINO_BLOCKS]
    assert all(sum(paper_counts(target).values()) == 100 for target in TARGETS)
    assert all(set(row.values) == set(METHODS) for row in TABLE_A3)
    with pytest.raises(UserError, match="choose from resnet152"):
        paper_counts("resnet18")


@settings(max_examples=40)
@given(st.integers(0, 40), st.integers(0, 12), st.integers(1, 40))
def test_unit_lists_are_what_the_command_reads(seed: int, few: int, more: int) -> None:
    target: Any = SimpleNamespace(name="resnet152", layers={"conv1": 64, "layer4": 2048})
    text = unit_lists("resnet152", {"conv1": few, "layer4": more}, target.layers, seed)
    units = parse_units(text, target)
    drawn = {layer: [unit.index for unit in units if unit.layer == layer] for layer in target.layers}
    assert {layer: len(indices) for layer, indices in drawn.items()} == {"conv1": few, "layer4": more}
    assert all(indices == sorted(set(indices)) for indices in drawn.values())
    assert text == unit_lists("resnet152", {"conv1": few, "layer4": more}, target.layers, seed)
    further = parse_units(unit_lists("resnet152", {"conv1": few + 1, "layer4": more}, target.layers, seed), target)
    assert set(units) < set(further), "a larger count keeps the units"


def test_units_are_drawn_uniformly() -> None:
    counts = [0] * 20
    for seed in range(800):
        for index in unit_lists("t", {"l": 5}, {"l": 20}, seed).removeprefix("l=").split(","):
            counts[int(index)] += 1
    # Binomial(800, 1/4): 200 with a standard deviation of 12.
    assert max(abs(count - 200) for count in counts) < 5 * 12.3


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"res9": 1}, "no layer 'res9'"),
        ({"l": 21}, "ask for 0 to 20"),
        ({"l": -1}, "ask for 0 to 20"),
        ({"l": 0}, "no units"),
    ],
)
def test_units_that_there_are_not_are_refused(counts: dict[str, int], said: str) -> None:
    with pytest.raises(UserError, match=said):
        unit_lists("t", counts, {"l": 20}, 0)
