"""What is learned of a dialogue, and that its tokens are those that the model reads when it answers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.engine.finetune_samples import BadSample, sample_of
from maia.engine.finetune_tokens import IGNORED, Encoder, batched
from maia.models.errors import UserError
from maia.models.vlm.chat import ChatRequest
from maia.models.vlm.checkpoint import read_checkpoint
from maia.models.vlm.in_process import InProcessModel
from maia.models.vlm.random_families import RANDOM_FAMILIES
from tiny_vlm import own_checkpoint, tiny_checkpoint
from training_sets import dialogue

FAMILIES = sorted(RANDOM_FAMILIES)
LEARNS = (True, False, True, True, False)

_encoders: dict[str, Encoder] = {}


def encoder_of(family: str) -> Encoder:
    if family not in _encoders:
        _encoders[family] = Encoder(read_checkpoint(tiny_checkpoint(family)))
    return _encoders[family]


def learned_texts(encoder: Encoder, encoded) -> list[str]:
    """The runs of targets, decoded with their special tokens."""
    runs, last = [], -2
    for place, target in enumerate(encoded.targets.tolist()):
        if target == IGNORED:
            continue
        if place != last + 1:
            runs.append([])
        runs[-1].append(target)
        last = place
    return [encoder.processor.tokenizer.decode(run, skip_special_tokens=False) for run in runs]


def replies(row) -> list[str]:
    return [entry["content"][0]["text"].strip() for entry in row["messages"] if entry["learn"]]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("images", [0, 2])
def test_the_targets_are_the_learned_replies_with_the_token_that_ends_them(tmp_path, family, images):
    encoder = encoder_of(family)
    row = dialogue(tmp_path, "a", LEARNS, images)
    encoded = encoder.encode(sample_of(row, tmp_path))
    ends = [encoder.processor.tokenizer.decode([end]) for end in encoder.ends]
    found = learned_texts(encoder, encoded)
    assert len(found) == sum(LEARNS)
    for text, reply in zip(found, replies(row), strict=True):
        end = next(end for end in ends if text.endswith(end))
        assert text.removesuffix(end).strip() == reply
        assert not any(special in reply for special in ends)
    # A template without an end of the turn: the tokenizer's own end is what follows.
    assert encoded.unmarked == (sum(LEARNS) if family == "llava" else 0)
    # What follows the last learned reply is not computed: the last position predicts its end.
    assert encoded.targets[-1] in encoder.ends


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_are_those_of_the_model_that_answers_turn_after_turn(tmp_path, family):
    model = InProcessModel(read_checkpoint(tiny_checkpoint(family)), dtype="fp32")
    encoder = encoder_of(family)
    row = dialogue(tmp_path, "a", (True, True, True), 2)
    sample = sample_of(row, tmp_path)
    encoded = encoder.encode(sample)
    ids, messages = encoded.inputs["input_ids"][0].tolist(), sample.chat()
    asked = [place for place, message in enumerate(messages) if message.role == "assistant"]
    starts = [
        place
        for place, target in enumerate(encoded.targets.tolist())
        if target != IGNORED and (place == 0 or encoded.targets[place - 1] == IGNORED)
    ]
    for place, start in zip(asked, starts, strict=True):
        prompt = model._prompt(ChatRequest(messages[:place], seed=0))
        told = prompt["input_ids"][0].tolist()
        assert ids[: len(told)] == told
        assert start == len(told) - 1  # the prompt's last token predicts the reply's first
    # The pictures of the last prompt are those of the sample.
    for name in encoder.image_inputs:
        if name in prompt:
            torch.testing.assert_close(encoded.inputs[name], prompt[name], rtol=0, atol=0)


@settings(max_examples=25)
@given(st.lists(st.text(min_size=1, max_size=40).filter(str.strip), min_size=1, max_size=3), st.data())
def test_whatever_is_said_is_learned_to_its_end_and_nothing_else(tmp_path_factory, texts, data):
    folder = tmp_path_factory.mktemp("said")
    family = data.draw(st.sampled_from(["llava-next", "qwen2.5-vl", "gemma-3"]))
    encoder, row = encoder_of(family), dialogue(folder, "a", [True] * len(texts), 0)
    said = [message for message in row["messages"] if message["role"] == "assistant"]
    for message, text in zip(said, texts, strict=True):
        message["content"][0]["text"] = text
    encoded = encoder.encode(sample_of(row, folder))
    assert sum(target in encoder.ends for target in encoded.targets.tolist()) == len(texts)
    for text, reply in zip(learned_texts(encoder, encoded), texts, strict=True):
        # A newline at the beginning of a reply may be one token with the template's: it is not the reply's alone.
        end = next(end for end in map(encoder.processor.tokenizer.decode, ([e] for e in encoder.ends)) if end in text)
        core = text.removesuffix(end).strip()
        assert core and reply.strip().replace(end, f"{end[0]} {end[1:]}").endswith(core)


def test_pictures_after_the_last_learned_reply_are_left_out(tmp_path):
    encoder = encoder_of("qwen2.5-vl")
    row = dialogue(tmp_path, "a", (True, False, False), 2)
    encoded = encoder.encode(sample_of(row, tmp_path))
    assert len(encoded.inputs["image_grid_thw"]) == 2


def test_a_batch_gives_each_sample_what_it_gets_alone(tmp_path):
    encoder = encoder_of("qwen2.5-vl")
    encoded = [
        encoder.encode(sample_of(dialogue(tmp_path, n, [True] * k, k - 1), tmp_path)) for n, k in (("a", 1), ("b", 3))
    ]
    batch = batched(encoded, encoder.image_inputs, encoder.pad)
    assert batch["input_ids"].shape == batch["targets"].shape == (2, encoded[1].length)
    assert batch["targets"][0, : encoded[0].length].equal(encoded[0].targets)
    assert (batch["targets"][0, encoded[0].length :] == IGNORED).all()
    assert batch["attention_mask"].sum(1).tolist() == [entry.length for entry in encoded]


def test_what_cannot_be_encoded_is_told(tmp_path):
    encoder = encoder_of("llava-next")
    row = dialogue(tmp_path, "a", (True, True), 1)
    file = tmp_path / row["images"][0]
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(BadSample) as torn:
        encoder.encode(sample_of(row, tmp_path))
    assert torn.value.kind == "picture unreadable"
    file.unlink()
    with pytest.raises(BadSample, match=r"a-0-0\.png") as missing:
        encoder.encode(sample_of(row, tmp_path))
    assert missing.value.kind == "picture missing"
    with pytest.raises(BadSample, match="no message of it is to be learned"):
        encoder.encode(sample_of(dialogue(tmp_path, "b", (False,), 0), tmp_path))


def test_a_template_that_rewrites_earlier_replies_is_refused(tmp_path):
    folder = own_checkpoint(tmp_path, "qwen2.5-vl")
    file = folder / "chat_template.jinja"
    source = file.read_text()
    # As templates of thinking models do: something is written into the last reply only.
    changed = source.replace(
        "{{- '<|im_end|>\\n' }}",
        "{{- ('' if loop.last or message['role'] != 'assistant' else '!') + '<|im_end|>\\n' }}",
    )
    assert changed != source
    file.write_text(changed)
    encoder = Encoder(read_checkpoint(folder))
    with pytest.raises(UserError, match="otherwise once the dialogue goes on"):
        encoder.encode(sample_of(dialogue(tmp_path, "a", (True, True), 0), tmp_path))
