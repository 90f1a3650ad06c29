"""Keys of a training configuration that are unknown, mistyped or missing, and what is told about them."""

from dataclasses import fields
from pathlib import Path

import pytest
from maia.engine.finetune import train
from maia.engine.finetune_options import LoraChoice, TrainOptions, options_from, read_options
from maia.models.errors import UserError

NEEDED = {"model": "m", "data": "data", "out": "out"}


def refused(tmp_path, text: str) -> str:
    file = tmp_path / "lab.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as raised:
        read_options(file, **NEEDED)
    return str(raised.value)


@pytest.mark.parametrize("key", ["learning-rate", "lr", "Batch", "max_token", "told", "3"])
def test_a_key_that_is_unknown_is_named_with_the_choices(tmp_path, key):
    told = refused(tmp_path, f"{key}: 1")
    assert "lab.yaml has no key " in told and key in told.split(": choose")[0]
    assert {"learning_rate", "max_tokens", "lora"} <= set(told.split("choose from ")[1].rstrip(".").split(", "))
    assert "told" not in told.split("choose from ")[1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("lora: {r: 8}", "lora has no key 'r': choose from rank, alpha, dropout, targets"),
        ("lora: 16", "lora must be a mapping with any of rank, alpha, dropout, targets, not 16"),
        ("dpo: {betta: 1}", "dpo has no key 'betta': choose from beta"),
        ("dpo: {beta: 0}", "dpo: beta must be a number from 0.0001 to 100, not 0"),
        ("lora: {targets: q_proj}", "targets must be a list of names such as q_proj, not 'q_proj'"),
        ("lora: {targets: []}", "targets must be a list"),
        ("lora: {rank: 1.5}", "rank must be a whole number of at least 1, not 1.5"),
        ("batch: true", "batch must be a whole number of at least 1, not True"),
        ("batch: '2'", "batch must be a whole number of at least 1, not '2'"),
        ("max_tokens: 8", "max_tokens must be a whole number of at least 16"),
        ("learning_rate: fast", "learning_rate must be a number from 1e-08 to 1, not 'fast'"),
        ("learning_rate: .nan", "learning_rate must be a number"),
        ("learning_rate: true", "learning_rate must be a number"),
        ("warmup: 1", "warmup must be a number from 0 to 0.9"),
        ("stage: dpo", "stage cannot be 'dpo': choose from sft, preferences"),
        ("quantization: 8bit", "quantization cannot be '8bit': choose from 4bit, null"),
        ("dtype: float16", "dtype cannot be 'float16': choose from auto, bf16, fp16, fp32"),
        ("gradient_checkpointing: 1", "gradient_checkpointing cannot be 1: choose from true, false"),
        ("gradient_checkpointing: 'yes'", "gradient_checkpointing cannot be 'yes'"),
        ("schedule: null", "schedule cannot be None"),
        ("seed: null", "seed must be a whole number"),
        ("adapter: 3", "adapter must be a path, not 3"),
        ("[1, 2]", "holds no keys"),
        ("", "holds no keys"),
        ("batch: [", "is not readable YAML"),
    ],
)
def test_a_value_that_is_wrong_is_named_with_what_it_may_be(tmp_path, text, told):
    assert told in refused(tmp_path, text)


def test_what_is_missing_is_named(tmp_path):
    file = tmp_path / "lab.yaml"
    file.write_text("model: m\nbatch: 2")
    with pytest.raises(UserError, match=r"does not say data, out: add it to the file, or give --data"):
        read_options(file)
    with pytest.raises(UserError, match=r"no training configuration 'smal': give one of .*small"):
        read_options("smal")


def test_training_refuses_before_it_does_anything(tmp_path):
    file = tmp_path / "lab.yaml"
    file.write_text("lernrate: 1")
    with pytest.raises(UserError, match="no key 'lernrate'"):
        train(file, **NEEDED)
    assert list(tmp_path.iterdir()) == [file]


def test_what_is_right_is_taken_and_overrides_come_before_the_file(tmp_path):
    file = tmp_path / "lab.yaml"
    file.write_text("{learning_rate: 1e-3, lora: {rank: 4, targets: [v_proj]}, max_steps: null, batch: 2}")
    options = read_options(file, **NEEDED, batch=3, seed=None)
    assert options.learning_rate == 0.001 and options.batch == 3 and options.max_steps is None
    assert options.lora == LoraChoice(rank=4, targets=("v_proj",)) and options.data == Path("data")
    assert options.seed == TrainOptions("m", Path("d"), Path("o")).seed


def test_every_default_is_a_value_that_the_file_may_have():
    """A key that was added without a rule for its values would be taken for a text."""
    usual = TrainOptions("m", Path("d"), Path("o"))
    values = {entry.name: getattr(usual, entry.name) for entry in fields(usual) if entry.name not in ("told",)}
    for name in ("lora", "dpo"):
        values[name] = {entry.name: getattr(values[name], entry.name) for entry in fields(values[name])}
    assert options_from(values, "defaults") == usual
