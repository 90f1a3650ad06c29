"""The model in this process behind the scheduler's protocol: loaded, run, offloaded, counted."""

import asyncio
import threading
from dataclasses import replace

import pytest
import torch
from maia.engine.placement import place
from maia.engine.plan import Component, Device, Duration, ModelFacts, Workspace
from maia.engine.residency import NotLoadedError, WeightStore
from maia.engine.runners.base import ModelUnavailable, OutOfMemory, Runner
from maia.engine.runners.chat_counts import ChatCounts
from maia.engine.runners.in_process import InProcessRunner
from maia.engine.scheduler import Scheduler
from maia.models.diffusion.components import weights_bytes
from maia.models.vlm.chat import ChatMessage, ChatReply, ChatRequest, ContextOverflow, Sampling
from maia.models.vlm.checkpoint import read_checkpoint
from maia.models.vlm.in_process import InProcessModel
from tiny_vlm import tiny_checkpoint

FACTS = ModelFacts("vlm", workspace=Workspace(10, 20), duration=Duration(1, 2), max_batch=4)


def made(**options) -> tuple[InProcessRunner, InProcessModel, WeightStore]:
    store = WeightStore()
    model = InProcessModel(read_checkpoint(tiny_checkpoint()), "fp32", context=200)
    return InProcessRunner(model, FACTS, store, **options), model, store


def request(text: str = "Which concept?", seed: int = 3) -> ChatRequest:
    return ChatRequest((ChatMessage("user", (text,)),), seed, Sampling(0.9, 0.95, 6))


async def test_it_answers_as_the_model_does_and_gives_its_memory_back():
    reference = InProcessModel(read_checkpoint(tiny_checkpoint()), "fp32", context=200)
    runner, model, store = made()
    assert isinstance(runner, InProcessRunner)
    held: Runner = runner
    nbytes = weights_bytes(reference.module)
    assert runner.facts.nbytes == nbytes == store.host_bytes() and store.device_bytes("cpu") == 0
    assert (runner.facts.workspace, runner.facts.duration, runner.facts.max_batch) == (
        Workspace(10, 20),
        Duration(1, 2),
        4,
    )
    items = [request(), request("long " * 300), request("Another?", 4)]
    with pytest.raises(NotLoadedError):
        await held.run(items)
    for _ in range(2):
        await held.load("cpu")
        assert store.device_bytes("cpu") == nbytes
        answers = await held.run(items)
        assert answers[::2] == reference.generate(items)[::2] and isinstance(answers[1], ContextOverflow)
        await held.offload()
        assert store.device_bytes("cpu") == 0
        assert sum(tensor.numel() for tensor in model.module.parameters()) == 0
    replies = [answer for answer in answers if isinstance(answer, ChatReply)]
    assert runner.counts == ChatCounts(
        requests=6,
        prompt_tokens=2 * sum(reply.prompt_tokens for reply in replies),
        answer_tokens=2 * sum(reply.answer_tokens for reply in replies),
        failed=2,
    )


async def test_the_loop_goes_on_while_it_answers(monkeypatch):
    runner, model, _ = made()
    await runner.load("cpu")
    started, goes_on = threading.Event(), threading.Event()

    def waits(items):
        started.set()
        assert goes_on.wait(20)
        return []

    monkeypatch.setattr(model, "generate", waits)
    running = asyncio.create_task(runner.run([request()]))
    while not started.is_set():
        await asyncio.sleep(0.001)
    goes_on.set()
    assert await running == []


async def test_memory_that_runs_out_is_told_and_nothing_is_counted(monkeypatch):
    runner, model, _ = made()
    await runner.load("cpu")

    def full(**inputs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    generate = model.module.generate
    monkeypatch.setattr(model.module, "generate", full)
    with pytest.raises(OutOfMemory, match="2 requests"):
        await runner.run([request(), request()])
    assert runner.counts == ChatCounts()
    monkeypatch.setattr(model.module, "generate", generate)
    assert isinstance((await runner.run([request()]))[0], ChatReply)


async def test_weights_that_do_not_fit_or_a_device_that_is_not_there():
    runner, _, store = made(devices={"gpu0": "cuda:7", "cpu": "cpu"})
    assert runner.facts.devices == ("gpu0", "cpu")
    with pytest.raises(ModelUnavailable, match="vlm cannot be loaded on cuda:7"):
        await runner.load("gpu0")
    assert store.device_bytes("cpu") == 0

    def full(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    store.load, load = full, store.load
    with pytest.raises(OutOfMemory, match="do not fit"):
        await runner.load("cpu")
    store.load = load
    await runner.load("cpu")
    assert isinstance((await runner.run([request()]))[0], ChatReply)


async def test_only_requests_are_taken():
    runner, _, _ = made()
    await runner.load("cpu")
    longer = replace(request("x"), sampling=Sampling(0.9, 0.95, 60))
    assert runner.group(request()) == runner.group(request("x", 9)) != runner.group(longer)
    assert runner.group(longer).share == 60 / Sampling.max_tokens
    assert runner.group(replace(longer, sampling=Sampling(max_tokens=9999))).share == 1.0
    with pytest.raises(TypeError, match="ChatRequest"):
        await runner.run(["Which concept?"])


async def test_four_bits_are_read_again_after_an_offload():
    pytest.importorskip("bitsandbytes")
    store = WeightStore()
    model = InProcessModel(read_checkpoint(tiny_checkpoint()), "fp32", quantization="4bit", context=200)
    facts = ModelFacts("vlm", (Component("four bits", 1000),), max_batch=2)
    runner = InProcessRunner(model, facts, store)
    assert runner.facts.components == facts.components
    with pytest.raises(NotLoadedError):
        await runner.run([request()])
    await runner.load("cpu")
    (first,) = await runner.run([request()])
    await runner.offload()
    assert model.module is None
    await runner.load("cpu")
    assert await runner.run([request()]) == [first] and isinstance(first, ChatReply)


async def test_under_the_scheduler_a_batch_that_does_not_fit_is_halved(monkeypatch):
    runner, model, _ = made()
    plan = place([runner.facts], [Device("cpu", 10**9, 1e9)], 4)
    assert plan.places["vlm"].batch > 1
    largest: list[int] = []
    generate = model.generate

    def small(items):
        largest.append(len(items))
        if len(items) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(items)

    monkeypatch.setattr(model, "generate", small)
    items = [request(seed=seed) for seed in range(4)]
    async with Scheduler(plan, {"vlm": runner}) as scheduler:
        answers = await asyncio.gather(*(scheduler.submit("vlm", [item]) for item in items))
    assert max(largest) > 1 and all(isinstance(answer, ChatReply) for (answer,) in answers)
    assert runner.counts.requests == 4
