"""A LoRA adapter, served by vLLM under its name and applied by peft in this process: equal tokens and probabilities."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from chats import GREEDY, assistant, picture, user
from maia.engine.chat_client import ChatClient
from maia.engine.finetune_base import fingerprint
from maia.engine.residency import WeightStore
from maia.engine.serving_command import server_command
from maia.engine.vlm import resolve_vlm
from maia.engine.vlm_runner import vlm_runner
from maia.models.errors import UserError
from maia.models.vlm.chat import ChatMessage, ChatRequest
from maia.models.vlm.checkpoint import Checkpoint, read_checkpoint
from maia.models.vlm.in_process import InProcessModel
from served import Served
from served_answers import comparable, forced, told
from talking import profile_of
from tiny_vlm import own_checkpoint, tiny_adapter, tiny_checkpoint

ANSWER = replace(GREEDY, max_tokens=24)
CLOSE = {"fp32": 1e-3, "bf16": 0.05}
"""Mean difference of log-probabilities that rounding alone stays below."""


def requests() -> list[ChatRequest]:
    """Without pictures, with one, with two, and with two over several turns."""
    dialogues: list[tuple[ChatMessage, ...]] = [
        (user("Which images make the unit fire?"),),
        (ChatMessage("system", ("Be brief.",)), user("What is this? ", picture(1))),
        (user("Compare ", picture(2, 100, 30), " with ", picture(3, 64, 64)),),
        (user("First", picture(4)), assistant("A dog."), user("And this?", picture(5), "Which concept is it?")),
    ]
    return [ChatRequest(messages, 7 + place, ANSWER) for place, messages in enumerate(dialogues)]


@pytest.fixture(scope="module")
def checkpoint(served: Served) -> Checkpoint:
    return read_checkpoint(served.path)


@pytest.fixture(scope="module")
def models(served: Served, checkpoint: Checkpoint) -> dict[str, InProcessModel]:
    """In this process, in fp32: the model itself, and with the adapter."""
    paths = {served.model: None, served.adapter: served.adapter_path}
    return {
        name: InProcessModel(checkpoint, "fp32", adapter=path, context=served.context) for name, path in paths.items()
    }


async def test_greedy_answers_of_both_are_those_of_this_process(served: Served, checkpoint, models) -> None:
    """Token for token in fp32; asked in turn, so that the one does not linger in the other's prefix cache."""
    texts: dict[str, list[str]] = {}
    for name in (served.model, served.adapter, served.model):
        family = checkpoint.family
        client = ChatClient(
            served.url,
            name,
            images_first=family.images_first,
            system_role=family.system_role,
            adds_special_tokens=checkpoint.adds_special_tokens,
        )
        theirs = [comparable(await client.complete(request)) for request in requests()]
        await client.close()
        assert [comparable(reply) for reply in models[name].generate(requests())] == theirs, name
        texts[name] = [reply.text for reply in theirs]
    assert all(a != b for a, b in zip(texts[served.model], texts[served.adapter], strict=True))


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_probabilities_of_the_adapter_are_the_servers(served: Served, checkpoint, models, dtype: str) -> None:
    """Of the tokens that the server (fp32) chose with the adapter. The bare model, or another adapter, is far off."""
    adapted = models[served.adapter]
    if dtype != "fp32":
        adapted = InProcessModel(checkpoint, dtype, adapter=served.adapter_path, context=served.context)
    near, far = [], []
    for request in requests():
        prompt, answer, expected = told(served, checkpoint, request, served.adapter)
        inputs = adapted._prompt(request)
        assert inputs["input_ids"][0].tolist() == prompt
        near.append((forced(adapted, inputs, answer) - expected).abs())
        bare = models[served.model]
        far.append((forced(bare, bare._prompt(request), answer) - expected).abs())
    assert max(difference.mean() for difference in near) < CLOSE[dtype]
    assert min(difference.mean() for difference in far) > 4 * CLOSE["bf16"]


async def test_an_adapter_that_the_server_does_not_have(served: Served) -> None:
    client = ChatClient(served.url, "untrained")
    with pytest.raises(UserError, match=f"{served.model}.*{served.adapter}"):
        await client.complete(requests()[0])
    await client.close()


def test_a_profile_names_the_adapter_of_the_server(served: Served) -> None:
    profile = profile_of(served.path, adapters={served.adapter: str(served.adapter_path)}, adapter=served.adapter)
    vlm = resolve_vlm(profile)
    assert vlm.title == f"tiny + {served.adapter}" and vlm.facts["adapter"] == served.adapter


@pytest.mark.parametrize("backbone", ["served", "in-process"])
def test_an_adapter_of_another_base_is_refused_with_both_names(tmp_path: Path, backbone: str) -> None:
    """Of the same shapes, with other weights: told by the report of its training. Its own base takes it."""
    other = own_checkpoint(tmp_path)
    weights = next(other.glob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-100] ^= 1
    weights.write_bytes(data)
    adapter = shutil.copytree(tiny_adapter(), tmp_path / "mine")
    told_by = {"base": fingerprint(read_checkpoint(tiny_checkpoint(), "first"))}
    (adapter / "training.json").write_text(json.dumps(told_by))

    def taken(path: Path, name: str) -> None:
        profile = profile_of(path, backbone, model=name, adapters={"mine": str(adapter)}, adapter="mine")
        if backbone == "served":
            vlm = resolve_vlm(profile)
            assert "--lora-modules" in server_command(vlm.options, read_checkpoint(path, name), 1).argv
        else:
            vlm_runner(resolve_vlm(profile), profile, WeightStore(), ("cpu",), print)

    with pytest.raises(UserError, match=r"adapter mine was trained for first .* those of second"):
        taken(other, "second")
    taken(tiny_checkpoint(), "renamed")
