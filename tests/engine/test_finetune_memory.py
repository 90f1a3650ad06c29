"""The sums of a training's memory, the setting that they name, and what is told where memory does not suffice."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.engine import finetune, finetune_memory, finetune_run
from maia.engine.catalogue import VlmEntry, catalogue
from maia.engine.finetune_lora import trained_weights, with_adapter
from maia.engine.finetune_memory import (
    Memory,
    Setting,
    TrainingShape,
    check_room,
    fitting,
    needed_bytes,
    rungs,
    setting_of,
    shape_of_entry,
    shape_of_files,
)
from maia.engine.finetune_options import LoraChoice, built_in_recipes, read_options
from maia.engine.finetune_trainer import MaskedTrainer
from maia.models.errors import UserError
from maia.models.vlm.checkpoint import read_checkpoint
from maia.models.vlm.loading import read_model
from tiny_vlm import tiny_checkpoint
from training_sets import training_set

GIB = 2**30

# google/gemma-3-4b-it, from its published config.json and the sizes of its tensors.
GEMMA_3_4B = VlmEntry(
    source="google/gemma-3-4b-it",
    family="gemma-3",
    linear=3209010688,
    embeddings=671252480,
    vision=419816304,
    layers=34,
    kv_heads=4,
    head_dim=256,
    hidden=2560,
    intermediate=10240,
    context=131072,
    image_tokens=256,
)

MODELS = {**catalogue().vlms, "gemma-3-4b": GEMMA_3_4B}

RECIPES = {
    "llava-next-7b-24gb": 24,
    "llava-next-7b-80gb": 80,
    "qwen2.5-vl-7b-24gb": 24,
    "gemma3-4b-24gb": 24,
}
OF_A_GPU = 0.97
"""Share of a GPU's nominal memory that it has, CUDA's own part aside."""

shapes = st.builds(
    lambda layers, hidden, wide, itemsize, vocabulary: TrainingShape(
        weights=itemsize * (layers * (3 * wide + 4) * hidden * hidden + vocabulary * hidden),
        packed=layers * (3 * wide + 4) * hidden * hidden // 2 + itemsize * vocabulary * hidden,
        itemsize=itemsize,
        layers=layers,
        hidden=hidden,
        intermediate=wide * hidden,
        queries=hidden,
        keys=hidden // 4,
        vocabulary=vocabulary,
    ),
    st.integers(2, 80),
    st.sampled_from([256, 2048, 8192]),
    st.integers(1, 5),
    st.sampled_from([2, 4]),
    st.integers(1000, 300000),
)
choices = st.builds(
    lambda batch, tokens, share, checkpointing, quantization, rank, rows: Setting(
        batch, tokens, max(1, int(share * tokens)), checkpointing, quantization, LoraChoice(rank=rank), rows
    ),
    st.integers(1, 16),
    st.integers(16, 40000),
    st.floats(0, 1),
    st.booleans(),
    st.sampled_from([None, "4bit"]),
    st.integers(1, 128),
    st.sampled_from([1, 2]),
)


def total(shape: TrainingShape, setting: Setting) -> int:
    return needed_bytes(shape, setting).total


@given(shapes, choices)
def test_the_parts_add_up(shape, setting):
    needed = needed_bytes(shape, setting)
    assert sum(needed.parts.values()) == needed.total and min(needed.parts.values()) >= 0
    assert needed.weights == (shape.weights if setting.quantization is None else shape.packed)


@given(shapes, choices)
def test_more_of_anything_takes_more(shape, setting):
    least = total(shape, setting)
    for more in (
        replace(setting, batch=setting.batch + 1),
        replace(setting, tokens=setting.tokens + 1),
        replace(setting, learned=setting.learned + 1),
        replace(setting, rows=setting.rows + 1),
        replace(setting, lora=replace(setting.lora, rank=setting.lora.rank + 1)),
        replace(setting, lora=replace(setting.lora, dropout=0.1)),
    ):
        assert total(shape, more) > least
    for name in ("layers", "hidden", "intermediate", "queries", "keys", "vocabulary", "itemsize"):
        assert total(replace(shape, **{name: getattr(shape, name) + 1}), setting) > least, name
    assert total(shape, replace(setting, gradient_checkpointing=True)) <= least
    if setting.quantization is None:
        assert total(shape, replace(setting, quantization="4bit")) < least


@settings(max_examples=50)
@given(shapes, choices, st.floats(0.01, 1.0))
def test_the_setting_that_is_named_fits_and_is_the_first_that_does(shape, setting, share):
    room = int(share * total(shape, setting))
    found = fitting(shape, setting, room)
    steps = [total(shape, rung) for rung in rungs(shape, setting)]
    assert steps == sorted(steps, reverse=True)
    if found is None:
        assert not steps or min(steps) > room
        return
    assert total(shape, found) <= room
    before = list(rungs(shape, setting))[: list(rungs(shape, setting)).index(found)]
    assert all(total(shape, rung) > room for rung in before)


def test_what_is_told_names_every_change_in_its_order():
    shape = shape_of_entry(MODELS["llava-v1.6-mistral-7b"], "bf16")
    setting = Setting(4, 8192, 2048, False, None)
    told = []
    for rung in list(rungs(shape, setting))[:4]:
        with pytest.raises(UserError) as raised:
            check_room(shape, setting, total(shape, rung), "cuda:0")
        told.append(str(raised.value).split(": take ")[1].split(": ")[0:5])
        assert str(raised.value).startswith("cuda:0 has ") and "weights 14.09 GiB" in str(raised.value)
    texts = [": ".join(parts) for parts in told]
    assert texts[0].startswith("batch: 1 (and 4 times as much accumulate): ")
    assert "gradient_checkpointing: true" in texts[1] and "quantization" not in texts[1]
    assert "gradient_checkpointing: true, quantization: 4bit: " in texts[2]
    assert "quantization: 4bit, max_tokens: 7936" in texts[3]
    with pytest.raises(UserError, match="smaller model or a larger GPU"):
        check_room(shape, setting, GIB, "cuda:0")
    assert check_room(shape, setting, total(shape, setting), "cuda:0") == needed_bytes(shape, setting)


def test_weights_that_are_packed_already_are_not_packed_again():
    shape = replace(shape_of_entry(MODELS["qwen2.5-vl-3b"], "bf16"), packed=None)
    assert not [rung for rung in rungs(shape, Setting(2, 600, 100, False, None)) if rung.quantization]
    with pytest.raises(ValueError, match="no size in 4 bits"):
        needed_bytes(shape, Setting(1, 600, 100, False, "4bit"))


def test_after_a_failure_the_next_setting_takes_less_than_what_failed():
    shape = shape_of_entry(MODELS["qwen2.5-vl-7b"], "bf16")
    setting = Setting(1, 8192, 2048, True, "4bit")
    with pytest.raises(UserError) as raised, Memory(shape, setting, 80 * GIB, "cuda:0").told():
        raise torch.OutOfMemoryError("CUDA out of memory.")
    told = str(raised.value)
    assert "CUDA out of memory" in told and "80.0" in told
    tokens = int(told.split("max_tokens: ")[1].split(":")[0])
    assert total(shape, replace(setting, tokens=tokens, learned=min(2048, tokens))) <= 0.9 * total(shape, setting)


@pytest.mark.parametrize(
    ("name", "queries"),
    # Of published configurations: heads * head_dim.
    [("llava-v1.6-mistral-7b", 32 * 128), ("qwen2.5-vl-7b", 28 * 128), ("gemma-3-4b", 8 * 256)],
)
def test_widths_of_the_catalogues_models(name, queries):
    shape = shape_of_entry(MODELS[name], "bf16")
    assert shape.queries == queries
    hidden, keys, wide = shape.hidden, shape.keys, shape.intermediate
    by_hand = 2 * (hidden + queries) + 2 * (hidden + keys) + 3 * (hidden + wide)
    assert shape.trained(LoraChoice()) == 16 * shape.layers * by_hand


@pytest.mark.parametrize("family", ["llava-next", "qwen2.5-vl", "gemma-3"])
def test_sums_of_a_checkpoint_are_those_of_the_model_itself(family):
    checkpoint = read_checkpoint(tiny_checkpoint(family))
    shape = shape_of_files(checkpoint, "fp32")
    model = with_adapter(read_model(checkpoint.path, "fp32", None), LoraChoice(rank=4))
    trained, _ = trained_weights(model)
    assert shape.trained(LoraChoice(rank=4)) == trained
    assert shape.weights == sum(weight.numel() * 4 for weight in set(model.parameters())) - 4 * trained
    assert shape.vocabulary == model.get_output_embeddings().weight.shape[0]


@pytest.mark.parametrize("checkpointing", [False, True])
def test_activations_are_not_less_than_what_torch_keeps(tmp_path, checkpointing):
    """Counted as the backward pass keeps them, on the tiny model; the estimate may be higher, at most four times."""
    checkpoint = read_checkpoint(tiny_checkpoint("llava-next"))
    model = with_adapter(read_model(checkpoint.path, "fp32", None), LoraChoice(rank=4)).train()
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
    shape, tokens = shape_of_files(checkpoint, "fp32"), 512
    kept: dict[int, int] = {}
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}

    def packed(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.full((1, tokens), 5)
    with torch.autograd.graph.saved_tensors_hooks(packed, lambda tensor: tensor):
        hidden = model.get_base_model().model.language_model(input_ids=ids, use_cache=False).last_hidden_state
    found = sum(kept.values())
    del hidden
    counted = needed_bytes(shape, Setting(1, tokens, 1, checkpointing, None, LoraChoice(rank=4))).activations
    assert found <= counted <= 4 * found or (checkpointing and found <= counted)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_fits_the_memory_that_it_names(name, tmp_path):
    options = read_options(name, data=tmp_path, out=tmp_path / "out")
    shape = shape_of_entry(MODELS[options.model], options.dtype)
    needed = needed_bytes(shape, setting_of(options, options.max_tokens, options.max_tokens // 4))
    outside = catalogue().server.outside_bytes
    assert 0.5 * RECIPES[name] * GIB < needed.total + outside < OF_A_GPU * RECIPES[name] * GIB
    assert options.max_tokens <= MODELS[options.model].context
    text = (Path(finetune.__file__).parent / "finetuning" / f"{name}.yaml").read_text()
    assert "not measured on a gpu" in text.lower()
    for label, nbytes in needed.parts.items():
        assert f"{label:<34}{nbytes / GIB:6.2f} GiB" in text
    assert f"{'in all':<34}{needed.total / GIB:6.2f} GiB" in text


def test_every_built_in_recipe_is_readable(tmp_path):
    assert set(built_in_recipes()) == {*RECIPES, "small"}
    for name in built_in_recipes():
        read_options(name, model="m", data=tmp_path, out=tmp_path / "out")


def _train(tmp_path, say=lambda _: None):
    return finetune.train(
        _config(tmp_path),
        say,
        model=str(tiny_checkpoint()),
        data=training_set(tmp_path / "data", 2),
        out=tmp_path / "out",
    )


def _config(tmp_path) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text("{max_steps: 1, batch: 2, accumulate: 1, log_steps: 1, threads: 1, device: cpu}")
    return file


def test_memory_that_runs_out_while_training_is_told_with_the_setting_that_would_fit(tmp_path, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore")

    monkeypatch.setattr(MaskedTrainer, "compute_loss", full)
    said = []
    with pytest.raises(UserError, match=r"Tried to allocate 2 GiB.*weights .* MiB.*take batch: 1 \(and 2 times"):
        _train(tmp_path, said.append)
    assert [line for line in said if "of memory by estimate" in line]


def test_a_gpu_that_has_less_is_refused_before_weights_are_read(tmp_path, monkeypatch):
    def read(*_, **__):
        raise AssertionError("weights were read")

    monkeypatch.setattr(finetune_run, "read_model", read)
    monkeypatch.setattr(finetune_run, "_device", lambda _: torch.device("cuda"))
    monkeypatch.setattr(finetune_run, "check_dtype", lambda *_: None)
    monkeypatch.setattr(finetune_run, "chosen_dtype", lambda *_: "fp32")
    monkeypatch.setattr(finetune_memory, "free_bytes", lambda _: 2**20)
    with pytest.raises(
        UserError, match=r"cuda has 1 MiB free, and the training needs about 1\.\d+ GiB \(weights 2 MiB"
    ):
        _train(tmp_path)
