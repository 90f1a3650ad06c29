"""The model in this process against a vLLM server of the same checkpoint: the same tokens, the same probabilities."""

from dataclasses import replace

import pytest
from chats import GREEDY, requests
from maia.engine.chat_client import ChatClient
from maia.models.vlm.checkpoint import Checkpoint, read_checkpoint
from maia.models.vlm.in_process import InProcessModel
from served import Served
from served_answers import comparable, forced, told

ANSWER = replace(GREEDY, max_tokens=24)
CLOSE = {"fp32": 1e-3, "bf16": 0.1}
"""Log-probabilities: rounding alone stays well below; other pictures are far above (measured in the test)."""


@pytest.fixture(scope="module")
def checkpoint(served: Served) -> Checkpoint:
    if served.dtype not in ("fp32", "float32"):
        pytest.fail("the tests' server must compute in fp32")
    return read_checkpoint(served.path)


def model(checkpoint: Checkpoint, served: Served, dtype: str) -> InProcessModel:
    return InProcessModel(checkpoint, dtype, context=served.context)


async def test_greedy_answers_are_the_servers(checkpoint, served):
    """Without pictures, with one, with three, over several turns; with a grammar and without; all in one batch."""
    family = checkpoint.family
    client = ChatClient(
        served.url,
        served.model,
        images_first=family.images_first,
        system_role=family.system_role,
        adds_special_tokens=checkpoint.adds_special_tokens,
    )
    asked = [*requests(ANSWER), *requests(ANSWER, 'root ::= "[TRY] " [a-z]{1,9} " = " ("dog" | "cat")')]
    theirs = [await client.complete(request) for request in asked]
    await client.close()
    ours = model(checkpoint, served, "fp32").generate(asked)
    assert [comparable(reply) for reply in ours] == [comparable(reply) for reply in theirs]
    assert len({reply.text for reply in ours}) > len(ours) / 2


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_probabilities_are_the_servers(checkpoint, served, dtype):
    """Of the tokens that the server chose: near-ties make other texts of equal numbers, but no other probabilities."""
    own = model(checkpoint, served, dtype)
    for request, other in zip(requests(ANSWER), requests(ANSWER, first=50), strict=True):
        prompt, answer, expected = told(served, checkpoint, request)
        inputs = own._prompt(request)
        assert inputs["input_ids"][0].tolist() == prompt
        assert (forced(own, inputs, answer) - expected).abs().max() < CLOSE[dtype]
        if "pixel_values" in inputs:
            far = (forced(own, own._prompt(other), answer) - expected).abs().max()
            assert far > 2 * CLOSE[dtype]
