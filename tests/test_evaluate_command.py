"""`maia evaluate` from the command line: the testbed's suite in small, from nothing, twice the same."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import call
from maia.benchmarks.quality.measured import RESULTS

SIZES = ["--per-kind", "1", "--real", "0", "--seeds", "1", "--jobs", "2"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path) -> Iterator[None]:
    """No test sees or leaves indexes in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAIA_CACHE", str(tmp_path / "cache"))
        yield


def test_the_papers_units_are_printed_as_the_command_takes_them() -> None:
    told = call("paper-units", "resnet152", "--seed", "3")
    assert told.code == 0 and told.out.count("=") == 5 and told.out.count(",") == 100 - 5
    assert told.out != call("paper-units", "resnet152").out
    wrong = call("paper-units", "resnet18")
    assert wrong.code != 0 and "resnet152" in wrong.err + wrong.out


@pytest.mark.timeout(600)
def test_the_suite_makes_its_runs_and_all_tables(tmp_path: Path) -> None:
    out, profile = tmp_path / "study", tmp_path / "small.yaml"
    profile.write_text(
        "world: testbed\ntarget: ground-truth\nbackbone: scripted\ndataset_images: 700\njobs: 2\nturns: 12\n"
    )
    own = ["--profile", str(profile), "--baseline", "exemplar-only", "--baseline", "random"]
    told = call("evaluate", "--suite", "testbed", "--out", str(out), *SIZES, *own)
    assert told.code == 0, told
    assert "Tables and figures" in told.out
    found = json.loads((out / RESULTS).read_text())
    methods = {row["method"] for row in found["measured"]}
    assert {
        "agent",
        "agent: exemplars only",
        "agent: generated only",
        "agent: other generator",
        "exemplar-only",
        "random",
    } <= methods
    rows = {(row["layer"], row["method"]): row for row in found["measured"]}
    for kind in ("single", "or", "conditional"):
        agent = rows[kind, "agent"]
        assert agent["truth_found"] and agent["positive"] > 0.8 > 0.2 > agent["neutral"]
    page = (out / "evaluation.html").read_text()
    assert "http://" not in page and "https://" not in page and "exemplars only" in page
    tables = sorted(out.glob("*.csv"))
    assert tables
    for table in tables:
        assert len(list(csv.reader(table.open()))) > 1
    files = {path: path.read_bytes() for path in [*tables, out / RESULTS, out / "evaluation.html"]}

    # Evaluated again from the same runs, elsewhere: the same numbers.
    runs = [f"{row['method']}={out / 'runs' / row['run']}" for row in found["facts"]["methods"] if "run" in row]
    assert call("evaluate", "--out", str(tmp_path / "again"), *own, *runs).code == 0
    for path, content in files.items():
        assert (tmp_path / "again" / path.name).read_bytes() == content
