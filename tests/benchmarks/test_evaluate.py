"""Whose labels may be compared, and an evaluation that goes on where it stood."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from maia.agent.transcript import Conclusion, Failure, Start, record_to_json
from maia.benchmarks.quality import evaluate as module
from maia.benchmarks.quality.evaluate import Protocol, evaluate
from maia.benchmarks.quality.evaluate_methods import (
    BASELINES,
    Comparison,
    MethodRun,
    check_services,
    compare,
    read_methods,
)
from maia.benchmarks.quality.measured import RESULTS
from maia.benchmarks.quality.pool import LABEL_LIMIT
from maia.models.errors import UserError
from prompted import Selector, Services, Writer

DATASET = {"name": "testbed", "images": 4680, "fingerprint": "abc"}


def write_run(
    path: Path,
    labels: dict[str, list[str] | None],
    seed: int = 0,
    backbone: str = "scripted",
    target: str = "f1",
    **config: Any,
) -> Path:
    """A finished run of units of the target t; a unit without labels failed."""
    facts = {"units": list(labels), "backbone": backbone, "seed": seed, "world": "testbed", "dataset": DATASET}
    for name, found in labels.items():
        layer, index = name.split(".")[1:]
        settings = {"target_fingerprint": target}
        start = Start(name, "t", layer, int(index), backbone, "neuron-description", seed, 3, "s", "t", settings)
        end = Failure(1, "it gave up") if found is None else Conclusion(1, "It responds.", found)
        folder = path / "units" / name
        folder.mkdir(parents=True)
        (folder / "transcript.jsonl").write_text("".join(record_to_json(record) + "\n" for record in (start, end)))
    (path / "run.json").write_text(json.dumps(facts | config))
    return path


def test_runs_are_named_by_backbone_and_lacking_tools(tmp_path: Path) -> None:
    one = write_run(tmp_path / "a", {"t.l.0": ["dog", "cat"], "t.l.1": None})
    two = write_run(tmp_path / "b", {"t.l.0": ["bus"]}, removed_tools=["text2image"])
    runs = read_methods([str(one), str(two), f"mine={write_run(tmp_path / 'c', {'t.l.0': ['cup']})}"])
    assert [run.method for run in runs] == ["agent", "agent: without text2image", "mine"]
    assert runs[0].labels == {"t.l.0": "dog OR cat"} and runs[0].missing == {"t.l.1": "failed"}
    assert runs[0].fingerprints == {"t": "f1"}
    people = write_run(tmp_path / "e", {"t.l.0": ["x"]}, backbone="human")
    blind = write_run(tmp_path / "f", {"t.l.0": ["x"]}, removed_tools=["edit_images", "text2image"])
    other = write_run(tmp_path / "g", {"t.l.0": ["x"]}, drawings="evaluation")
    named = [run.method for run in read_methods([str(people), str(blind), str(other)])]
    assert named == ["human", "agent: exemplars only", "agent: other generator"]
    drawn = [
        write_run(tmp_path / name, {"t.l.0": ["x"]}, seed=seed, generators={"text2image": {"model": name}})
        for seed, name in enumerate(("sd-1.5", "sdxl"))
    ]
    with pytest.raises(UserError, match="'agent: other generator="):
        read_methods([str(path) for path in drawn])
    assert len(read_methods([str(drawn[0]), f"agent: other generator={drawn[1]}"])) == 2
    with pytest.raises(UserError, match="both agent with seed 0"):
        read_methods([str(one), str(write_run(tmp_path / "d", {"t.l.0": ["x"]}))])
    with pytest.raises(UserError, match=r"no run\.json"):
        read_methods([str(tmp_path)])
    with pytest.raises(UserError, match="no runs"):
        read_methods([])


def test_labels_that_no_writer_can_read_are_missing_ones(tmp_path: Path) -> None:
    labels: dict[str, list[str] | None] = {"t.l.0": [" "], "t.l.1": ["x" * (LABEL_LIMIT + 1)], "t.l.2": ["dog"]}
    (run,) = read_methods([str(write_run(tmp_path / "a", labels))])
    assert set(run.labels) == {"t.l.2"} and "empty" in run.missing["t.l.0"] and "characters" in run.missing["t.l.1"]


def method(name: str, labels: dict[str, str], seed: int = 0, **changes: Any) -> MethodRun:
    facts: dict[str, Any] = {"fingerprints": {"t": "f1"}, "dataset": DATASET, "world": "testbed"} | changes
    return MethodRun(name, Path(name), seed, labels, facts.pop("missing", {}), **facts)


BOTH = {"t.l.0": "dog", "t.l.1": "cat"}


def test_units_that_some_run_lacks_are_left_out_and_named() -> None:
    found = compare([method("a", BOTH), method("b", {"t.l.1": "bus"}, missing={"t.l.0": "failed"})], ["random"])
    assert found.units == ["t.l.1"] and found.left_out == {"t.l.0": {"b, seed 0": "failed"}}
    other = compare([method("a", BOTH), method("b", {"t.l.1": "bus", "t.l.9": "x"})], [])
    assert other.left_out["t.l.9"] == {"a, seed 0": "not in this run"}


def test_people_may_have_labelled_a_part() -> None:
    found = compare([method("a", BOTH), method("human", {"t.l.1": "bus"})], [])
    assert found.units == list(BOTH) and not found.left_out
    assert found.labels("t.l.0", 0) == {"a": "dog"} and found.labels("t.l.1", 0) == {"a": "cat", "human": "bus"}


def test_seeds_are_runs_of_one_name_and_a_single_run_takes_part_in_each() -> None:
    found = compare([method("a", BOTH), method("a", {**BOTH, "t.l.0": "fox"}, seed=1)], [])
    assert found.seeds == [0, 1]
    assert found.labels("t.l.0", 0) == {"a": "dog"} and found.labels("t.l.0", 1) == {"a": "fox"}
    with_people = Comparison([method("a", BOTH), method("a", BOTH, seed=1), method("human", {"t.l.0": "hound"})], ())
    assert with_people.labels("t.l.0", 1) == {"a": "dog", "human": "hound"}


@pytest.mark.parametrize(
    ("runs", "baselines", "why"),
    [
        ([method("a", BOTH), method("b", BOTH, dataset={**DATASET, "fingerprint": "other"})], [], "another version"),
        ([method("a", BOTH), method("b", BOTH, dataset={**DATASET, "images": 9})], [], "number of images"),
        ([method("a", BOTH), method("b", BOTH, fingerprints={"t": "f2"})], [], "different weights"),
        ([method("a", BOTH), method("b", {"t.l.5": "x"})], [], "no unit in common"),
        ([method("a", BOTH)], ["milana"], "there is no baseline 'milana' here"),
        ([method("random", BOTH)], ["random"], "name of a run"),
        (
            [method("a", BOTH), method("a", BOTH, 1), method("b", BOTH), method("b", BOTH, 2), method("a", BOTH, 2)],
            [],
            "no run with the seed 1",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(runs: list[MethodRun], baselines: list[str], why: str) -> None:
    with pytest.raises(UserError, match=why):
        compare(runs, baselines)


def test_what_is_open_must_be_what_the_runs_asked() -> None:
    comparison = compare([method("a", BOTH)], [])
    opened: Any = {"t": SimpleNamespace(target=SimpleNamespace(fingerprint="f1"))}
    check_services(comparison, opened, DATASET)
    with pytest.raises(UserError, match="another version"):
        check_services(comparison, opened, {**DATASET, "fingerprint": "zzz"})
    with pytest.raises(UserError, match="other weights"):
        check_services(comparison, {"t": SimpleNamespace(target=SimpleNamespace(fingerprint="f2"))}, DATASET)  # type: ignore[dict-item]


class _Scheduler:
    """Runs nothing: `running` starts and stops it."""

    def __init__(self) -> None:
        self.plan = SimpleNamespace(devices=())

    async def __aenter__(self) -> "_Scheduler":
        return self

    async def __aexit__(self, *exception: object) -> None:
        return None

    def agent(self, name: str) -> "_Scheduler":
        return self


def opened(words: dict[str, float]) -> Services:
    services: Any = Services(words)
    services.scheduler = _Scheduler()
    services.target = SimpleNamespace(fingerprint="f1", name="t")
    services.index = SimpleNamespace(percentile=lambda unit, share: {0.5: 0.1, 0.95: 0.6}[share])
    return services


def _evaluate(comparison: Comparison, services: Services, out: Path, seed: int = 0) -> dict[str, Any]:
    protocol = Protocol(Writer(), Selector(), seed, "drawings")  # type: ignore[arg-type]
    return asyncio.run(evaluate(comparison, {"t": services}, protocol, out, lambda done, total: None))  # type: ignore[dict-item]


def test_an_evaluation_measures_every_method_and_goes_on_where_it_stood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def baseline(services: Any, unit: Any, seed: int) -> str:
        return "tent"

    monkeypatch.setitem(BASELINES, "random", baseline)
    comparison = compare([method("a", BOTH), method("b", {"t.l.0": "cat", "t.l.1": "unwritable"})], ["random"])
    services = opened({"dog": 1.0, "cat": 0.5})
    found = _evaluate(comparison, services, tmp_path)
    rows = {(row["unit"], row["method"]): row for row in found["measured"]}
    assert set(rows) == {("t.l.0", "a"), ("t.l.0", "b"), ("t.l.0", "random"), ("t.l.1", "a"), ("t.l.1", "random")}
    assert rows["t.l.0", "a"]["positive"] == 1.0 and rows["t.l.0", "b"]["positive"] == 0.5
    assert rows["t.l.0", "random"]["label"] == "tent" and rows["t.l.0", "random"]["positive"] == 0.0
    assert rows["t.l.0", "a"]["p50"] == 0.1 and rows["t.l.0", "a"]["p95"] == 0.6
    assert "said nothing" in found["problems"]["t.l.1, seed 0"]["b"]
    assert found["unusable"]["b"] == 3 + 3
    written = (tmp_path / RESULTS).read_bytes()

    (tmp_path / RESULTS).unlink()
    kept = tmp_path / "units" / "t.l.1.0.json"
    kept.write_text(kept.read_text()[:50])  # cut off by a crash
    again = opened({"dog": 1.0, "cat": 0.5})
    _evaluate(comparison, again, tmp_path)
    assert (tmp_path / RESULTS).read_bytes() == written
    assert again.drawn and all("t.l.1" not in str(entry) for entry in again.drawn)
    assert 0 < len(again.drawn) < len(services.drawn)  # of the one unit alone

    changed = compare([method("a", {**BOTH, "t.l.0": "fox"}), comparison.runs[1]], ["random"])
    third = opened({"fox": 2.0})
    rows = {(row["unit"], row["method"]): row for row in _evaluate(changed, third, tmp_path)["measured"]}
    assert rows["t.l.0", "a"]["label"] == "fox" and rows["t.l.0", "a"]["positive"] == 2.0
    assert rows["t.l.1", "a"]["positive"] == 0.5  # kept, as its labels are the same


def test_other_seeds_draw_other_pictures(tmp_path: Path) -> None:
    comparison = compare([method("a", BOTH)], [])
    seeds = []
    for seed in (0, 1):
        services = opened({"dog": 1.0})
        _evaluate(comparison, services, tmp_path / str(seed), seed)
        seeds.append({number for _, number, _ in services.drawn})
    assert not seeds[0] & seeds[1]
    assert json.loads((tmp_path / "0" / "units" / "t.l.0.0.json").read_text())["made_of"]["form"] == module.FORM
