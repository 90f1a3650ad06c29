"""Checkpoints with random weights: what is written is what is published, whole, and the same every time."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from maia.models.errors import UserError
from maia.models.vlm.architectures import build_random
from maia.models.vlm.checkpoint import read_checkpoint
from maia.models.vlm.families import families
from maia.models.vlm.loading import register
from maia.models.vlm.random_families import RANDOM_FAMILIES
from maia.models.vlm.weight_files import safetensors_header
from PIL import Image
from safetensors.torch import load_file
from tiny_vlm import tiny_checkpoint

# Names of weights as the published checkpoints have them (their model.safetensors.index.json).
PUBLISHED = {
    "llava-next": (
        "vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.weight",
        "language_model.model.layers.0.self_attn.q_proj.weight",
        "multi_modal_projector.linear_1.weight",
        "image_newline",
    ),
    "llava": (
        "vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.weight",
        "language_model.model.layers.0.self_attn.q_proj.weight",
        "multi_modal_projector.linear_1.weight",
    ),
    "qwen2.5-vl": ("visual.blocks.0.attn.qkv.weight", "model.layers.0.self_attn.q_proj.weight", "lm_head.weight"),
    "qwen3-vl": (
        "model.visual.blocks.0.attn.qkv.weight",
        "model.language_model.layers.0.self_attn.q_proj.weight",
        "model.visual.deepstack_merger_list.0.norm.weight",
    ),
    "gemma-3": (
        "vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.weight",
        "language_model.model.layers.0.self_attn.q_proj.weight",
        "multi_modal_projector.mm_input_projection_weight",
    ),
    "mistral-small-3": (
        "vision_tower.transformer.layers.0.attention.q_proj.weight",
        "language_model.model.layers.0.self_attn.q_proj.weight",
        "multi_modal_projector.patch_merger.merging_layer.weight",
    ),
    "maia-small": (
        "model.vision_tower.tower.words",
        "model.language_model.layers.0.self_attn.q_proj.weight",
        "model.language_model.embed_tokens.weight",
    ),
}


def digests(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


@pytest.fixture(scope="module", params=sorted(RANDOM_FAMILIES))
def name(request) -> str:
    return request.param


def answer(model, processor, picture: Image.Image) -> torch.Tensor:
    """Logits after a dialogue with that picture. Shape: (vocabulary,)."""
    text = {"type": "text", "text": "what is this?"}
    dialogue = [
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": [text, {"type": "image", "image": picture}]},
    ]
    inputs = processor.apply_chat_template(
        dialogue, tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=True
    )
    with torch.inference_mode():
        return model(**inputs).logits[0, -1]


def test_transformers_loads_it_whole_and_it_sees_pictures(name: str, caplog) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    path = tiny_checkpoint(name)
    register()
    model, told = AutoModelForImageTextToText.from_pretrained(path, output_loading_info=True, dtype="auto")
    assert not any(told.values()), told
    assert type(model).__name__ in families()[name].architectures
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    processor = AutoProcessor.from_pretrained(path)
    assert processor.tokenizer.padding_side == "left"
    red, blue = (answer(model, processor, Image.new("RGB", (90, 60), colour)) for colour in ("red", "blue"))
    assert torch.isfinite(red).all()
    # Far beyond rounding: the pictures reach the language model.
    assert (red - blue).abs().max() > 1e-2


def test_weights_have_their_published_names(name: str) -> None:
    names = set(safetensors_header(tiny_checkpoint(name) / "model.safetensors", name))
    assert set(PUBLISHED[name]) <= names
    towers = {weight.split(".")[0] for weight in names}
    assert len(towers) <= 5, towers


def test_its_template_is_as_the_family_says(name: str) -> None:
    row, checkpoint = families()[name], read_checkpoint(tiny_checkpoint(name))
    assert (checkpoint.family.system_role, checkpoint.family.images_first) == (row.system_role, row.images_first)
    assert checkpoint.family == row
    assert not checkpoint.adds_special_tokens


def test_special_tokens_are_single_and_answers_end(name: str) -> None:
    from tokenizers import Tokenizer

    path, row = tiny_checkpoint(name), RANDOM_FAMILIES[name]
    tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
    for token in (*row.tokens.values(), *row.more_tokens):
        assert len(tokenizer.encode(f"a{token}b", add_special_tokens=False).ids) == 3
    stops = json.loads((path / "generation_config.json").read_text())["eos_token_id"]
    stops = stops if isinstance(stops, list) else [stops]
    assert stops == [tokenizer.token_to_id(token) for token in row.stops]
    text = "[CODE]:\n```python\ndef run_experiment(system, tools):\n\treturn 'Ünïcode ☃'\n```"
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids) == text


def test_the_same_arguments_write_the_same_bytes(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    folders = [build_random(tmp_path / str(place), "llava-next", seed=seed) for place, seed in enumerate((0, 0, 1))]
    assert torch.equal(torch.random.get_rng_state(), before)
    first, again, other = map(digests, folders)
    assert first == again == digests(tiny_checkpoint("llava-next"))
    assert {file for file in first if first[file] != other[file]} == {"model.safetensors"}
    weights = load_file(folders[0] / "model.safetensors")
    assert weights["language_model.model.layers.0.self_attn.q_proj.weight"].std() == pytest.approx(0.1, rel=0.05)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0", "1", "2"]


def test_the_tokenizer_learns_from_the_texts_it_is_given(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    build_random(tmp_path, "qwen2.5-vl", texts=["zyzzyva " * 50])
    own = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    usual = Tokenizer.from_file(str(tiny_checkpoint("qwen2.5-vl") / "tokenizer.json"))
    assert len(own.encode(" zyzzyva").ids) < len(usual.encode(" zyzzyva").ids)


def test_wrong_choices_are_answered_with_the_right_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no checkpoint can be built of 'gpt': choose from llava-next, llava,"):
        build_random(tmp_path, "gpt")
    with pytest.raises(UserError, match=r"there is no size 'huge': choose from tiny, small"):
        build_random(tmp_path, "llava-next", size="huge")
    assert not list(tmp_path.iterdir())
