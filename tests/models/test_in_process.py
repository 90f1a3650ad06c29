"""The model in this process: batches as one by one, every fault where it belongs, weights read whole or not at all."""

import json
import shutil

import pytest
import torch
from chats import GREEDY, WARM, assistant, dialogues, picture, requests, user
from maia.models.errors import UserError
from maia.models.vlm import in_process
from maia.models.vlm.chat import (
    ChatImage,
    ChatMessage,
    ChatReply,
    ChatRequest,
    ContextOverflow,
    RequestFailed,
    Sampling,
)
from maia.models.vlm.checkpoint import read_checkpoint
from maia.models.vlm.conversation import conversation, harmless
from maia.models.vlm.in_process import InProcessModel
from tiny_vlm import own_checkpoint, tiny_checkpoint

CONTEXT = 600


@pytest.fixture(scope="module")
def model() -> InProcessModel:
    return InProcessModel(read_checkpoint(tiny_checkpoint()), "fp32", context=CONTEXT)


@pytest.mark.parametrize("sampling", [GREEDY, WARM])
def test_an_answer_does_not_depend_on_its_batch(model, sampling):
    asked = requests(sampling)
    alone = [model.generate([request])[0] for request in asked]
    assert all(isinstance(reply, ChatReply) for reply in alone)
    assert len({reply.text for reply in alone}) == len(alone)
    assert model.generate(asked) == alone
    assert model.generate(asked[::-1]) == alone[::-1]
    # Among rows that end earlier and later, that are drawn otherwise, and that are held to a grammar.
    others = [ChatRequest(asked[0].messages, 99, Sampling(1.5, 1.0, n), 'root ::= "a"+') for n in (1, 20)]
    assert model.generate([others[0], asked[2], others[1], asked[0]])[1::2] == [alone[2], alone[0]]


def test_the_seed_decides_what_is_drawn(model):
    (messages,) = dialogues()[:1]
    texts = [model.generate([ChatRequest(messages, seed, WARM)])[0].text for seed in (1, 2, 1)]
    assert texts[0] == texts[2] != texts[1]
    # Equal seeds in one batch are equal rows: a generator that rows share would draw them one after the other.
    replies = model.generate([ChatRequest(messages, 1, WARM)] * 3)
    assert [reply.text for reply in replies] == [texts[0]] * 3


def test_pictures_and_their_order_matter(model):
    def answer(*parts):
        return model.generate([ChatRequest((user(*parts),), 1, GREEDY)])[0].text

    first, second = picture(1), picture(2)
    assert len({answer("x"), answer("x", first), answer("x", first, second), answer("x", second, first)}) == 4


def test_it_computes_what_the_model_computes_on_the_whole_text(model):
    """Against one forward over prompt and answer, with no cache and no padding."""
    asked = requests(GREEDY)
    for request, reply in zip(asked, model.generate(asked), strict=True):
        prompt = dict(model._prompt(request))
        for _ in range(reply.answer_tokens):
            with torch.no_grad():
                token = model.module(**prompt).logits[0, -1].argmax()
            prompt["input_ids"] = torch.cat([prompt["input_ids"], token.view(1, 1)], 1)
            prompt["attention_mask"] = torch.ones_like(prompt["input_ids"])
        answer = prompt["input_ids"][0, reply.prompt_tokens :]
        assert len(answer) == reply.answer_tokens
        assert model._processor.tokenizer.decode(answer, skip_special_tokens=True) == reply.text


def test_how_an_answer_ends_and_what_it_counts(model):
    (messages,) = dialogues()[:1]
    ended, cut = model.generate(
        [ChatRequest(messages, 1, GREEDY, 'root ::= "dog"'), ChatRequest(messages, 1, GREEDY, 'root ::= "d"{40}')]
    )
    assert (ended.text, ended.finish) == ("dog", "stop")
    # The token that ends it counts.
    assert ended.answer_tokens == 1 + len(model._processor.tokenizer.encode("dog", add_special_tokens=False))
    assert cut.finish == "length" and cut.answer_tokens == GREEDY.max_tokens and set(cut.text) == {"d"}
    assert ended.prompt_tokens == cut.prompt_tokens == model._prompt(requests(GREEDY)[0])["input_ids"].shape[1]
    assert ended.cached_tokens == 0


def test_requests_that_cannot_be_answered_cost_themselves(model):
    good = requests(GREEDY)[1]
    broken = ChatImage(b"no picture", 8, 8)
    long = "word " * CONTEXT
    asked = [
        ChatRequest((user(broken),), 1, GREEDY),
        good,
        ChatRequest((user(long),), 1, GREEDY),
        ChatRequest((user("x"),), 1, GREEDY, "root ::= nothing"),
        good,
    ]
    overflow, failed = ContextOverflow, RequestFailed
    answers = model.generate(asked)
    assert [type(answer) for answer in answers] == [failed, ChatReply, overflow, failed, ChatReply]
    assert answers[2].limit == CONTEXT and "600" in str(answers[2])
    assert answers[1] == answers[4] == model.generate([good])[0]
    assert model.generate([]) == []


def test_the_context_ends_an_answer(model):
    def asked(words):
        return ChatRequest((user("unit " * words),), 1, Sampling(0.0, 1.0, 400), 'root ::= "a"{500}')

    beside = model._prompt(asked(0))["input_ids"].shape[1]
    a_word = (model._prompt(asked(50))["input_ids"].shape[1] - beside) / 50
    (reply,) = model.generate([asked(int((CONTEXT - 10 - beside) / a_word))])
    assert reply.prompt_tokens > CONTEXT - 30
    assert reply.finish == "length" and reply.prompt_tokens + reply.answer_tokens == CONTEXT


def test_a_batch_that_fails_is_taken_apart(model, monkeypatch):
    """Whoever is at fault is found; memory that runs out is the whole batch's."""
    asked = requests(GREEDY)
    expected = model.generate(asked)
    at_fault = model._prompt(asked[2])["input_ids"].shape[1]
    generate = model.module.generate
    raised: list[Exception] = [ValueError("shapes")]

    def faulty(**inputs):
        if inputs["input_ids"].shape[1] >= at_fault:
            raise raised[0]
        return generate(**inputs)

    longer = [n for n, request in enumerate(asked) if model._prompt(request)["input_ids"].shape[1] >= at_fault]
    monkeypatch.setattr(model.module, "generate", faulty)
    for number, answer in enumerate(model.generate(asked)):
        if number in longer:
            assert isinstance(answer, RequestFailed) and "shapes" in str(answer)
        else:
            assert answer == expected[number]
    raised[0] = torch.OutOfMemoryError("no memory")
    with pytest.raises(torch.OutOfMemoryError):
        model.generate(asked)


def test_numbers_that_are_not_finite_are_no_answer(model, monkeypatch):
    asked = requests(WARM)
    expected = model.generate(asked)
    prepare = in_process.RowSampling.__call__

    def poisoned(self, input_ids, scores):
        scores = scores.clone()
        scores[1, 5 if input_ids.shape[1] % 2 else slice(None)] = float("nan")
        return prepare(self, input_ids, scores)

    monkeypatch.setattr(in_process.RowSampling, "__call__", poisoned)
    answers = model.generate(asked)
    assert isinstance(answers[1], RequestFailed) and "finite" in str(answers[1])
    assert [answers[n] for n in (0, 2, 3)] == [expected[n] for n in (0, 2, 3)]


def test_a_system_message_heads_the_first_question_where_the_template_takes_none():
    messages = [
        ChatMessage("system", ("Rules.",)),
        user(picture(1), "Go"),
        assistant("ok"),
        user("x"),
    ]
    told, pictures = conversation(messages, system_role=False)
    assert [message["role"] for message in told] == ["user", "assistant", "user"]
    assert [part.get("text", part["type"]) for part in told[0]["content"]] == ["Rules.", "\n\n", "image", "Go"]
    kept, _ = conversation(messages, system_role=True)
    assert [message["role"] for message in kept] == ["system", "user", "assistant", "user"]
    assert [image.size for image in pictures] == [(60, 40)] and pictures[0].mode == "RGB"


def test_special_tokens_in_texts_are_only_texts(model):
    """A reply that quotes "<image>" or ends a turn by its own words would else break the next request."""
    quoted = "I see <image> and </s><pad> here"
    (reply,) = model.generate([ChatRequest((user("Look", picture(1)), assistant(quoted), user("x")), 1, GREEDY)])
    assert isinstance(reply, ChatReply)
    text = harmless(quoted, model._specials)
    ids = model._processor.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert not set(ids) & set(model._processor.tokenizer.all_special_ids)
    assert text == "I see < image> and < /s>< pad> here"


def test_the_checkpoints_own_settings_of_generation_are_not_used(tmp_path, model):
    folder = own_checkpoint(tmp_path)
    file = folder / "generation_config.json"
    settings = {
        **json.loads(file.read_text()),
        "repetition_penalty": 5.0,
        "do_sample": True,
        "temperature": 0.01,
        "min_length": 40,
    }
    file.write_text(json.dumps(settings))
    asked = requests(GREEDY)
    assert InProcessModel(read_checkpoint(folder), "fp32", context=CONTEXT).generate(asked) == model.generate(asked)


def test_number_formats(model):
    half = InProcessModel(read_checkpoint(tiny_checkpoint()), "bf16", context=CONTEXT)
    assert half.nbytes < 0.6 * model.nbytes and half.key != model.key
    assert all(isinstance(reply, ChatReply) for reply in half.generate(requests(WARM)))
    with pytest.raises(UserError, match="fp16 needs a GPU"):
        InProcessModel(read_checkpoint(tiny_checkpoint()), "fp16")


def test_weights_that_are_missing_are_not_made_up(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = own_checkpoint(tmp_path)
    file = folder / "model.safetensors"
    weights = load_file(file)
    gone = next(name for name in weights if "layers.1" in name and "q_proj" in name)
    del weights[gone]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lacks weights.*q_proj"):
        InProcessModel(read_checkpoint(folder), "fp32")


def test_what_is_not_installed_is_said(monkeypatch, tmp_path):
    from maia.models.vlm import loading

    monkeypatch.setattr(loading.importlib.util, "find_spec", lambda name: None)
    checkpoint = read_checkpoint(tiny_checkpoint())
    with pytest.raises(UserError, match="pip install bitsandbytes"):
        InProcessModel(checkpoint, "fp32", quantization="4bit")
    with pytest.raises(UserError, match="pip install peft"):
        InProcessModel(checkpoint, "fp32", adapter=tmp_path)


def test_an_adapter_changes_the_answers(model, tmp_path):
    peft = pytest.importorskip("peft")
    fresh = InProcessModel(read_checkpoint(tiny_checkpoint()), "fp32").module
    layers = r".*language_model.*\.(q_proj|v_proj|o_proj)"
    tuned = peft.get_peft_model(fresh, peft.LoraConfig(r=4, target_modules=layers))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for name, weight in tuned.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(weight, std=0.2)
    tuned.save_pretrained(tmp_path / "adapter")
    asked = requests(GREEDY)
    adapted = InProcessModel(read_checkpoint(tiny_checkpoint()), "fp32", adapter=tmp_path / "adapter", context=CONTEXT)
    replies = adapted.generate(asked)
    assert replies != model.generate(asked) and adapted.key != model.key
    merged = tuned.merge_and_unload()
    adapted.module, module = merged, adapted.module
    merged.generation_config = module.generation_config
    assert adapted.generate(asked) == replies
    shutil.rmtree(tmp_path / "adapter")
    with pytest.raises(UserError, match="no LoRA adapter"):
        InProcessModel(read_checkpoint(tiny_checkpoint()), "fp32", adapter=tmp_path)


def test_four_bits(model, tmp_path):
    pytest.importorskip("bitsandbytes")
    small = InProcessModel(read_checkpoint(tiny_checkpoint()), "fp32", quantization="4bit", context=CONTEXT)
    assert small.module is None and small.nbytes == 0
    small.read("cpu")
    assert 0 < small.nbytes < 0.7 * model.nbytes
    asked = requests(WARM)
    replies = small.generate(asked)
    assert all(isinstance(reply, ChatReply) for reply in replies)
    assert [small.generate([request])[0] for request in asked] == replies
    # A checkpoint that was saved in 4 bits is one that cannot be moved, asked for or not.
    folder = own_checkpoint(tmp_path)
    (folder / "model.safetensors").unlink()
    small.module.save_pretrained(folder)
    stored = InProcessModel(read_checkpoint(folder), "fp32", context=CONTEXT)
    assert stored.quantized and stored.module is None
    stored.read("cpu")
    assert stored.generate(asked) == replies
    small.drop()
    assert small.nbytes == 0
