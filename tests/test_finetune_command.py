"""`maia finetune` from the command line: demonstrations, a training set, an adapter, and what it is worth."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import call
from tiny_vlm import tiny_checkpoint

FAMILY = "maia-small"
PROFILE = (
    "world: testbed\ntarget: ground-truth\nbackbone: scripted\ndataset_images: 64\njobs: 2\nturns: 2\ndevice: cpu\n"
)
RECIPE = """\
lora: {rank: 2, alpha: 4}
epochs: 1
accumulate: 1
max_tokens: 8192
threads: 1
save_steps: 2
log_steps: 1
"""


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAIA_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr("maia.agent.demonstrations.POOL", 300)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Demonstrations of four neurons, the training set that they make, and an adapter after two steps."""
    root = tmp_path_factory.mktemp("finetune")
    (root / "recipe.yaml").write_text(RECIPE)
    (root / "profile.yaml").write_text(PROFILE)
    said = call("finetune", "demonstrate", "--out", root / "demos", "--count", 4, "--part", 3)
    assert said.code == 0, said
    model = tiny_checkpoint(FAMILY)
    said = call(
        "finetune",
        "collect",
        root / "demos",
        "--out",
        root / "set",
        "--model",
        model,
        "--context",
        16384,
        "--validation",
        0,
        "--guards",
        "none",
    )
    assert said.code == 0, said
    said = call(
        "finetune",
        "train",
        "--config",
        root / "recipe.yaml",
        "--model",
        model,
        "--data",
        root / "set",
        "--out",
        root / "adapter",
        "--max-steps",
        2,
    )
    assert said.code == 0, said
    return root


def test_the_commands_leave_a_card_and_an_adapter(made: Path) -> None:
    card = json.loads((made / "set" / "card.json").read_text())
    assert "maia finetune collect" in json.dumps(card) and (made / "set" / "train.jsonl").stat().st_size
    lines = (made / "adapter" / "log.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == 2
    assert (made / "adapter" / "adapter_model.safetensors").exists()


def test_evaluate_compares_base_and_adapter(made: Path) -> None:
    file = made / "evaluation.json"
    said = call(
        "finetune",
        "evaluate",
        "--out",
        made / "study",
        "--profile",
        made / "profile.yaml",
        "--vlm",
        tiny_checkpoint(FAMILY),
        "--adapter",
        f"tuned={made / 'adapter'}",
        "--per-kind",
        1,
        "--turns",
        1,
        "--jobs",
        2,
        "--no-score",
        "--context",
        4096,
        "--sandbox",
        "none",
        "--json",
        file,
    )
    assert said.code == 0, said
    result = json.loads(file.read_text())
    assert {"executable_rate", "format_rate", "truth_single", "truth_or", "truth_conditional"} <= set(result)
    assert result["judged"] == "tuned" and set(result["arms"]) == {"base", "tuned"}


def test_mistakes_are_told_in_a_sentence(made: Path, tmp_path: Path) -> None:
    wrong = call("finetune", "collect", made / "demos", "--out", tmp_path / "x", "--model", tmp_path / "nothing")
    assert "nothing" in wrong.sentence()
    (tmp_path / "bad.yaml").write_text("learning_rat: 3\n")
    assert "learning_rat" in call("finetune", "train", "--config", tmp_path / "bad.yaml").sentence()
    again = call("finetune", "collect", made / "demos", "--out", made / "set", "--model", tiny_checkpoint(FAMILY))
    assert str(made / "set") in again.sentence()
    assert "--drawings" in call("finetune", "evaluate", "--out", tmp_path / "y", "--drawings", "x").sentence()
    assert (
        call("finetune", "collect", made / "demos", "--out", tmp_path / "z", "--model", "m", "--pairs", "x").code == 2
    )
