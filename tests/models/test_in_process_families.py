"""The model in this process, family by family: what the libraries' classes want of batches differs between them."""

import pytest
import torch
from chats import WARM, requests
from maia.models.vlm.architectures import RANDOM_FAMILIES
from maia.models.vlm.chat import ChatReply, ChatRequest
from maia.models.vlm.checkpoint import read_checkpoint
from maia.models.vlm.collate import collate
from maia.models.vlm.conversation import conversation
from maia.models.vlm.in_process import InProcessModel
from tiny_vlm import tiny_checkpoint


@pytest.fixture(scope="module", params=sorted(RANDOM_FAMILIES))
def model(request) -> InProcessModel:
    return InProcessModel(read_checkpoint(tiny_checkpoint(request.param)), "fp32", context=4000)


def next_scores(model: InProcessModel, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Log-probabilities of what follows the prompts, as generation computes them: positions from the mask."""
    seen: list[torch.Tensor] = []

    def keep(ids, scores):
        seen.append(torch.log_softmax(scores, -1))
        return scores

    model.module.generate(**inputs, max_new_tokens=1, logits_processor=[keep])
    return seen[0]


def test_batches_are_those_of_the_processor(model):
    asked = requests(WARM)
    ours = collate([model._prompt(request) for request in asked], model._image_inputs, model._pad)
    texts, pictures = [], []
    for request in asked:
        told, found = conversation(request.messages, model.checkpoint.family.system_role)
        texts.append(model._processor.apply_chat_template(told, add_generation_prompt=True, tokenize=False))
        pictures.append(found)
    # Some processors want the pictures prompt by prompt, some cannot take a prompt without any among others.
    nested = model.checkpoint.family.name == "gemma-3"
    theirs = model._processor(
        text=texts,
        images=pictures if nested else [picture for found in pictures for picture in found],
        padding=True,
        return_tensors="pt",
        add_special_tokens=model.checkpoint.adds_special_tokens,
    )
    assert set(ours) == set(theirs)
    for name, tensor in theirs.items():
        assert torch.equal(ours[name], tensor), name


def test_what_follows_does_not_depend_on_the_batch(model):
    prompts = [model._prompt(request) for request in requests(WARM)]
    together = next_scores(model, collate(prompts, model._image_inputs, model._pad))
    alone = torch.cat([next_scores(model, dict(prompt)) for prompt in prompts])
    assert (together - alone).abs().max() < 1e-3
    # The measure is fine enough: other prompts are far away, and so are other pictures.
    assert (together[0] - together[1]).abs().max() > 0.02
    kept, other = (requests(WARM, first=first)[2] for first in (1, 50))
    far = next_scores(model, dict(model._prompt(other))) - next_scores(model, dict(model._prompt(kept)))
    assert far.abs().max() > 5e-3


def test_answers_do_not_depend_on_the_batch(model):
    asked = requests(WARM)
    alone = [model.generate([request])[0] for request in asked]
    assert all(isinstance(reply, ChatReply) for reply in alone)
    assert model.generate(asked) == alone
    held = [ChatRequest(request.messages, 1, WARM, 'root ::= "dog" | "cat"') for request in asked]
    assert {reply.text for reply in model.generate(held)} <= {"dog", "cat"}
