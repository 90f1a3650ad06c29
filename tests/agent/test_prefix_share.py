"""How much of a run's prompts a server's prefix cache has read before: simulated runs of realistic sizes.

A prompt token counts as a hit if the whole prompt up to it is the beginning of an earlier prompt. What a turn adds (its
reply and its result) is new to any cache, so that the share has an upper bound that no way of shortening can pass. The
share found and its bound, in percent, as of this writing:

                                         context 16,384   context 32,768
    LLaVA-NeXT, a sheet a turn (2,880)       63 of 68          73 of 76
    Qwen, a sheet a turn (324)               82 of 87          88 of 88
    Qwen, three pictures (256) and a
    sheet (1,024) a turn                     70 of 76          80 of 84

90 % needs turns that add little beside what is repeated: with the replies too, which vLLM keeps as it writes them, Qwen
comes to 90 % at 32,768. A sheet of 2,880 tokens a turn rules it out.
"""

import functools
import itertools
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from dialogues import CountingTokens, family, pictures, reply, result, words
from maia.agent import context
from maia.agent.backbones.base import Message, Passage, Picture
from maia.agent.context import fit

TURNS = 12
UNITS = 2
ANSWER = 1536
"""Tokens of the context that are set aside for the answer."""


class SheetsAndPictures(CountingTokens):
    """Pictures of one size, and larger sheets."""

    def __init__(self, picture: int, sheet: int) -> None:
        super().__init__()
        self._tokens = picture, sheet

    def image(self, width: int, height: int) -> int:
        return self._tokens[max(width, height) > 64]


MODELS = {
    "llava": (family(sheet_side=336, images_per_prompt=4, images_first=True), 1, CountingTokens(2880)),
    "qwen": (family(sheet_side=336, images_per_prompt=32), 1, CountingTokens(324)),
    "qwen-several": (family(sheet_side=336, images_per_prompt=32), 4, SheetsAndPictures(256, 1024)),
}


FOLDER = tempfile.TemporaryDirectory(prefix="maia-prefixes-")
FILES = pictures(Path(FOLDER.name))


@dataclass
class Shares:
    """found: prompt tokens that were the beginning of an earlier prompt; replies: the reply that went between counted
    too; bound: all but what each turn added. breaks: turns a unit whose prompt did not just grow."""

    found: float
    replies: float
    bound: float
    breaks: float


def run_of(unit: int, shared: list[Message]) -> list[Message]:
    """A unit's dialogue: exemplars, then experiments with 4 to 12 pictures and logs of 300 to 800 tokens."""
    rng = random.Random(unit)
    messages = list(shared)
    for turn in range(1, TURNS + 1):
        count = 15 if turn == 1 else rng.choice((4, 6, 8, 12))
        values = [round(9 - place / 10 if turn == 1 else rng.uniform(0, 8.5), 3) for place in range(count)]
        shown = [Picture(rng.choice(FILES), words(6, rng), value) for value in values]
        left = max(10, rng.randint(300, 800) - 18 * count)
        messages.append(reply(words(80, rng), words(150, rng)))
        messages.append(result(turn, shown, Passage(words(left, rng), words(40, rng))))
    return messages


def common(one: list[object], other: list[object]) -> int:
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


@functools.cache
def shares(model: str, size: int) -> Shares:
    chosen, per_turn, counter = MODELS[model]
    rng = random.Random("api")
    shared = [Message("system", (words(1750, rng),)), Message("user", (words(750, rng),))]
    total = found = replies = new = breaks = 0
    first: list[object] = []
    for unit in range(UNITS):
        dialogue, before = run_of(unit, shared), first
        for end in range(2, len(dialogue) + 1, 2):
            prompt = fit(dialogue[:end], chosen, per_turn, counter, size - ANSWER)
            stream = counter.stream(prompt.messages)
            assert len(stream) + counter.message == prompt.tokens <= size - ANSWER
            hit = common(stream, before)
            total, found, replies = total + len(stream), found + hit, replies + hit
            if end > 2:
                new += len(counter.stream(prompt.messages[-2:]))
                if hit == len(before):
                    replies += len(counter.stream(prompt.messages[-2:-1]))
                else:
                    breaks += 1
            else:
                new += 0 if first else len(stream)
                first = first or stream
            before = stream
    return Shares(found / total, replies / total, 1 - new / total, breaks / UNITS)


@pytest.mark.parametrize(
    "model, size, least, replies, breaks",
    [
        ("llava", 16384, 0.61, 0.62, 7),
        ("llava", 32768, 0.70, 0.71, 3.5),
        ("qwen", 16384, 0.80, 0.83, 1.5),
        ("qwen", 32768, 0.86, 0.90, 0),
        ("qwen-several", 16384, 0.68, 0.70, 4.5),
        ("qwen-several", 32768, 0.77, 0.79, 1.5),
    ],
)
def test_the_cache_finds_nearly_all_that_was_sent_before(
    model: str, size: int, least: float, replies: float, breaks: float
) -> None:
    reached = shares(model, size)
    print(model, size, reached)
    assert reached.found >= 0.9 * reached.bound
    assert reached.found >= least and reached.replies >= replies and reached.breaks <= breaks


def test_the_low_water_mark_is_what_keeps_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = shares("qwen-several", 16384)
    monkeypatch.setattr(context, "LOW_WATER", 1.0)
    monkeypatch.setattr(context, "LOW_DETAILS", 1.0)
    bare = shares.__wrapped__("qwen-several", 16384)
    assert bare.breaks > 1.5 * kept.breaks and bare.found < kept.found - 0.05
