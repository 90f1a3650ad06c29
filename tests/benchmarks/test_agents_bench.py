"""`maia bench agents` in small: real pipelines, a real sandbox, a budget that makes models take turns."""

import io
import json
import os
from pathlib import Path

import pytest
from maia.benchmarks.scheduling import agents
from rich.console import Console
from tiny_diffusion import tiny_folder


@pytest.mark.slow
def test_many_agents_under_a_tight_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "IMAGES", 24)
    monkeypatch.setattr(agents, "random_pipeline", lambda name, directory, tiny: tiny_folder(name))
    cache, said = os.environ.get("MAIA_CACHE"), io.StringIO()
    file = tmp_path / "agents.json"
    result = agents.run_benchmark(file, (1, 2), units=2, turns=2, console=Console(file=said, width=120))
    assert json.loads(file.read_text()) == result
    assert os.environ.get("MAIA_CACHE") == cache
    assert result["budget_violations"] == 0 and result["units"] == 2
    one, two = result["agents"]["1"], result["agents"]["2"]
    assert result["speedup_2_vs_1"] == pytest.approx(two["units_per_hour"] / one["units_per_hour"])
    for row in (one, two):
        assert row["failed"] == 0 and row["drawn"] > 0 and 0 < row["peak"] <= row["budget"]
        loads = {name: model["loads"] for name, model in row["models"].items()}
        assert loads["describer"] + loads["efficientnet-lite0"] > 2, "the budget made no swap"
        assert row["swap_bytes"] == sum(model["loaded_bytes"] for model in row["models"].values())
    assert one["drawn"] == two["drawn"], "the units' experiments do not depend on how many run at once"
    assert "units an hour" in said.getvalue()
