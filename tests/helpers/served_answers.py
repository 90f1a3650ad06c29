"""Answers of the server of the fixture `served`, and of the model in this process, in a form that can be compared."""

import json
import urllib.request
from dataclasses import replace

import torch
from maia.engine.chat_client import messages_for
from maia.models.vlm.chat import ChatReply, ChatRequest
from maia.models.vlm.checkpoint import Checkpoint
from maia.models.vlm.in_process import InProcessModel
from served import Served


def comparable(reply: ChatReply) -> ChatReply:
    """Without the bytes of a character that the answer's end cuts: vLLM keeps them back."""
    return replace(reply, cached_tokens=None, text=reply.text.rstrip("\ufffd"))


def told(
    served: Served, checkpoint: Checkpoint, request: ChatRequest, model: str | None = None
) -> tuple[list[int], list[int], torch.Tensor]:
    """The server's prompt and answer (tokens), and the answer's log-probabilities. model: the name that is asked for
    (None: the checkpoint's)."""
    family = checkpoint.family
    body = {
        "model": model or served.model,
        "messages": messages_for(request.messages, family.images_first, family.system_role),
        "temperature": 0,
        "max_tokens": request.sampling.max_tokens,
        "add_special_tokens": checkpoint.adds_special_tokens,
        "logprobs": True,
        "return_token_ids": True,
    }
    call = urllib.request.Request(
        f"{served.url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(call, timeout=120) as answer:
        data = json.load(answer)
    (choice,) = data["choices"]
    likely = torch.tensor([token["logprob"] for token in choice["logprobs"]["content"]])
    return data["prompt_token_ids"], choice["token_ids"], likely


def forced(own: InProcessModel, prompt, answer: list[int]) -> torch.Tensor:
    """Log-probabilities that the model gives to the answer's tokens, in one forward without a cache."""
    length = prompt["input_ids"].shape[1]
    ids = torch.cat([prompt["input_ids"], torch.tensor([answer])], 1)
    inputs = {
        name: tensor.to(own.module.dtype) if tensor.is_floating_point() else tensor for name, tensor in prompt.items()
    }
    inputs |= {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    with torch.no_grad():
        logits = own.module(**inputs).logits[0, length - 1 : -1].float()
    return torch.log_softmax(logits, -1).gather(1, torch.tensor(answer)[:, None])[:, 0]
