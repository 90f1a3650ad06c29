"""What the scheduler counted, in the report."""

import json
from pathlib import Path

import pytest
from fakes import UNIT
from maia.agent.report import build_report
from maia.agent.run import write_metrics
from maia.agent.transcript import unit_directory
from maia.engine.metrics import Metrics


class _Machine:
    """As much of a scheduler as is asked for its metrics."""

    def __init__(self) -> None:
        self.metrics = Metrics(["painter", "idle"], {"gpu": 3 * 2**30, "drawing": 0})


class _Services:
    def __init__(self) -> None:
        self.scheduler = _Machine()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    unit_directory(tmp_path, str(UNIT)).mkdir(parents=True)
    (tmp_path / "run.json").write_text(json.dumps({"units": [str(UNIT)], "target": ["fake"]}))
    return tmp_path


def page(run: Path) -> str:
    return build_report(run).read_text(encoding="utf-8")


def test_what_was_counted_is_shown_and_survives_a_call_that_asked_for_nothing(run: Path) -> None:
    assert "Models and memory" not in page(run)
    services = _Services()
    metrics = services.scheduler.metrics
    painter = metrics.models["painter"]
    painter.items, painter.loads, painter.loaded_bytes, painter.busy_seconds = 1234, 2, 5 * 2**30, 75.25
    painter.batches.update({4: 300, 34: 1})
    painter.queue_seconds.extend([0.05, 0.2, 2.0])
    metrics.used("gpu", 2 * 2**30)
    metrics.seconds = 100.0
    write_metrics(run, {"fake": services})  # type: ignore[dict-item]
    shown = page(run)
    for words in ("Models and memory", "1,234", "301", "4.1", "200 ms", "75.2 s", "5.00 GiB", "2.00 GiB", "3.00 GiB"):
        assert words in shown, words
    write_metrics(run, {"fake": _Services()})  # type: ignore[dict-item]
    assert page(run) == shown


@pytest.mark.parametrize("damage", ["{", "[]", '{"models": {"x": 3}}', '{"models": {}, "devices": 7, "seconds": 1}'])
def test_a_damaged_file_is_named_and_costs_itself(run: Path, damage: str) -> None:
    (run / "metrics.json").write_text(damage)
    shown = page(run)
    assert "Models and memory" not in shown and "metrics.json" in shown and "could not be shown" in shown
