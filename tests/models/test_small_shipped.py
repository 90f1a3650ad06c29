"""The language adapter that ships: small, whole, and made by the recipe that ships."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from maia.engine.finetune_options import read_options
from maia.engine.finetune_run import LOG, REPORT
from maia.models.vlm.small import assemble as room
from maia.models.vlm.small.merge import CONFIG_FILE, WEIGHTS_FILE
from safetensors.torch import load_file

LIMIT = 20_000_000
"""Bytes of all weights and logs of the small backbone that a user downloads with the program."""


def test_what_ships_is_small() -> None:
    files = [file for file in room.ADAPTER.parent.rglob("*") if file.is_file() and file.suffix != ".py"]
    assert {WEIGHTS_FILE, "vision.safetensors", CONFIG_FILE, REPORT, LOG} <= {file.name for file in files}
    assert sum(file.stat().st_size for file in files if "__pycache__" not in file.parts) < LIMIT


def test_the_adapter_is_that_of_the_recipe() -> None:
    """The options of the built-in recipe are those that made it, and its log is that of this training."""
    told = json.loads((room.ADAPTER / REPORT).read_text())
    recipe = asdict(read_options("small", model="m", data=Path("d"), out=Path("o")))
    same = ("lora", "epochs", "batch", "accumulate", "max_steps", "learning_rate", "schedule", "warmup", "seed", "clip")
    assert {name: told["options"][name] for name in same} == json.loads(json.dumps({n: recipe[n] for n in same}))
    lines = [json.loads(line) for line in (room.ADAPTER / LOG).read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, told["steps"] + 1)) and told["steps"] == recipe[
        "max_steps"
    ]
    assert lines[0]["loss"] == told["first_loss"] > 1 > 0.4 > told["last_loss"] == lines[-1]["loss"]


def test_every_block_is_adapted_and_no_number_is_broken() -> None:
    weights = load_file(room.ADAPTER / WEIGHTS_FILE)
    settings = json.loads((room.ADAPTER / CONFIG_FILE).read_text())
    up = [name for name in weights if name.endswith(".lora_B.weight")]
    assert len(weights) == 2 * len(up) == 2 * 7 * 30
    assert all(bool(torch.isfinite(tensor).all()) for tensor in weights.values())
    assert all(float(weights[name].abs().max()) > 0 and weights[name].shape[1] == settings["r"] for name in up)
