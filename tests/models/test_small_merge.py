"""The small backbone's adapter merged into its weights, against peft."""

import json
from pathlib import Path

import pytest
import torch
from maia.models.errors import UserError
from maia.models.vlm.small.merge import merge
from safetensors.torch import load_file, save_file

TOLERANCE = 1e-6
PROJECTIONS = ["q_proj", "v_proj", "down_proj"]


def tiny_llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=64,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
        )
    )


def adapted(folder: Path, **settings):
    """peft's model with an adapter of which no part is zero, saved in the folder."""
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(
        tiny_llama(), LoraConfig(**{"r": 4, "lora_alpha": 6, "target_modules": PROJECTIONS} | settings)
    )
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator))
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize(
    "settings",
    [{}, {"use_rslora": True}, {"rank_pattern": {"v_proj": 7}}, {"rank_pattern": {"v_proj": 7}, "use_rslora": True}],
    ids=["plain", "rank-stabilised", "ranks", "both"],
)
def test_merging_is_what_peft_does(tmp_path, settings):
    model = adapted(tmp_path, **settings)
    weights = dict(tiny_llama().state_dict())
    before = {name: weight.clone() for name, weight in weights.items()}
    assert merge(weights, tmp_path) == 2 * len(PROJECTIONS)
    theirs = model.merge_and_unload().state_dict()
    assert set(weights) == set(theirs)
    for name, weight in weights.items():
        assert (weight - theirs[name]).abs().max() <= TOLERANCE, name
        changed = any(f".{projection}." in name for projection in PROJECTIONS)
        assert torch.equal(weight, before[name]) != changed, name


def test_sums_are_rounded_once(tmp_path):
    adapted(tmp_path)
    exact, weights = dict(tiny_llama().bfloat16().float().state_dict()), dict(tiny_llama().bfloat16().state_dict())
    merge(exact, tmp_path)
    merge(weights, tmp_path)
    for name, weight in weights.items():
        assert weight.dtype == torch.bfloat16 and torch.equal(weight, exact[name].bfloat16()), name


@pytest.mark.parametrize(
    "settings",
    [
        {"use_dora": True},
        {"alpha_pattern": {"v_proj": 9}},
        {"bias": "all"},
        {"modules_to_save": ["lm_head"]},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_what_would_be_merged_wrongly_is_refused_by_name(tmp_path, settings):
    adapted(tmp_path, **settings)
    with pytest.raises(UserError, match=f"trained with {next(iter(settings))}: train without"):
        merge(dict(tiny_llama().state_dict()), tmp_path)


def test_modules_outside_the_language_model_are_refused(tmp_path):
    """What is merged into holds the language model only: see assemble.py."""
    adapted(tmp_path)
    parts = load_file(tmp_path / "adapter_model.safetensors")
    tower = "base_model.model.model.vision_tower.tower.head.bright"
    extra = {f"{tower}.lora_A.weight": torch.ones(4, 4), f"{tower}.lora_B.weight": torch.ones(128, 4)}
    save_file(parts | extra, tmp_path / "adapter_model.safetensors")
    with pytest.raises(UserError, match=r"another model: it changes model\.vision_tower\.tower\.head\.bright\.weight"):
        merge(dict(tiny_llama().state_dict()), tmp_path)


def test_an_adapter_of_another_width_is_refused(tmp_path):
    adapted(tmp_path)
    weights = {name: weight.repeat(2, *[1] * (weight.ndim - 1)) for name, weight in tiny_llama().state_dict().items()}
    with pytest.raises(UserError, match="another model"):
        merge(weights, tmp_path)


def test_embeddings_of_an_adapter_are_refused(tmp_path):
    adapted(tmp_path, target_modules=["q_proj", "embed_tokens"])
    with pytest.raises(UserError, match=r"more than low-rank matrices.*embed_tokens"):
        merge(dict(tiny_llama().state_dict()), tmp_path)


@pytest.mark.parametrize("fault", ["no config", "no rank", "cut weights", "no weights", "half a pair", "nothing"])
def test_a_damaged_adapter_is_named(tmp_path, fault):
    adapted(tmp_path)
    config, weights = tmp_path / "adapter_config.json", tmp_path / "adapter_model.safetensors"
    if fault == "no config":
        config.unlink()
    elif fault == "no rank":
        settings = json.loads(config.read_text())
        del settings["r"]
        config.write_text(json.dumps(settings))
    elif fault == "cut weights":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif fault == "no weights":
        weights.unlink()
    elif fault == "half a pair":
        parts = load_file(weights)
        save_file({name: part for name, part in parts.items() if "layers.1.mlp.down_proj.lora_B" not in name}, weights)
    else:
        save_file({}, weights)
    with pytest.raises(UserError, match=str(tmp_path)):
        merge(dict(tiny_llama().state_dict()), tmp_path)
