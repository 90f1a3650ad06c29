"""The small backbone's architecture in a real vLLM server answers as in this process."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
from chats import GREEDY, assistant, picture, user
from maia.engine.chat_client import ChatClient
from maia.engine.serving import VllmServer
from maia.engine.serving_command import server_command
from maia.engine.vlm_options import VlmOptions
from maia.models.vlm.chat import ChatRequest
from maia.models.vlm.checkpoint import Checkpoint, read_checkpoint
from maia.models.vlm.in_process import InProcessModel
from served import Served
from served_answers import comparable, forced, told
from tiny_vlm import tiny_checkpoint

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed here"),
    pytest.mark.timeout(600),
]
CONTEXT = 4096


def requests() -> list[ChatRequest]:
    """Without pictures, with one of another size than the tower's, with three over two turns."""
    dialogues = [
        (user("Which images make the unit fire?"),),
        (user("What is this? ", picture(1, 100, 30)),),
        (user("First", picture(2), picture(3)), assistant("A dog."), user("And this?", picture(4), "Which concept?")),
    ]
    return [ChatRequest(messages, 0, GREEDY) for messages in dialogues]


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return read_checkpoint(tiny_checkpoint("maia-small"))


@pytest.fixture(scope="module")
def small(checkpoint: Checkpoint, tmp_path_factory) -> Iterator[Served]:
    """A server of a tiny model of that architecture."""
    options = VlmOptions("small", path=checkpoint.path, dtype="fp32", context=CONTEXT, concurrent=4)
    log = tmp_path_factory.mktemp("small") / "server.log"
    server = VllmServer(lambda port: server_command(options, checkpoint, port, kv_bytes=2**29), log)
    server.start()
    yield Served(server.url, "small", checkpoint.path, "", Path(), CONTEXT, "fp32")
    server.stop()


async def test_greedy_answers_are_those_of_this_process(small: Served, checkpoint: Checkpoint) -> None:
    own = InProcessModel(checkpoint, "fp32", context=CONTEXT)
    family = checkpoint.family
    client = ChatClient(
        small.url,
        small.model,
        images_first=family.images_first,
        system_role=family.system_role,
        adds_special_tokens=checkpoint.adds_special_tokens,
    )
    theirs = [comparable(await client.complete(request)) for request in requests()]
    await client.close()
    assert [comparable(reply) for reply in own.generate(requests())] == theirs


def test_its_tower_sees_the_same_pictures(small: Served, checkpoint: Checkpoint) -> None:
    """Log-probabilities of the server's answers are ours; with the pictures in another order they are not."""
    own = InProcessModel(checkpoint, "fp32", context=CONTEXT)
    request = requests()[-1]
    prompt, answer, expected = told(small, checkpoint, request)
    inputs = own._prompt(request)
    assert inputs["input_ids"][0].tolist() == prompt
    assert inputs["pixel_values"].shape == (3, 3, 224, 224)
    assert (forced(own, inputs, answer) - expected).abs().max() < 1e-3
    inputs["pixel_values"] = inputs["pixel_values"].flip(0)
    assert (forced(own, inputs, answer) - expected).abs().max() > 2e-3
