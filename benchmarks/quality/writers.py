"""Writers and selectors of the predictive evaluation: by the offline world's words, by embeddings, by a model."""

import asyncio
import random
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from ...agent.backbones.scripted.evidence import concepts_in, members_of
from ...agent.backbones.scripted.hypotheses import Hypothesis
from ...agent.seeds import derive_seed
from ...models.text_embeddings import TextEmbedder
from ...models.vlm.chat import ChatMessage, ChatReply, ChatRequest, ContextOverflow, RequestFailed, Sampling
from ...prompts.evaluation import SELECT, WRITE, select_grammar, write_grammar
from .agreement_judges import Complete
from .pool import Picked, Unusable, several
from .predictive import PROMPTS, PromptSet, read_label, write_prompts

_T = TypeVar("_T")

ATTEMPTS = 3
"""Answers of a model that are asked for until one can be used."""
WRITE_TOKENS, SELECT_TOKENS = 700, 120
AGAIN = 0.7
"""Temperature of a further attempt: the first one is greedy."""


class SceneWriter:
    """Prompts of the offline world's words; of a label that names none of them all are neutral."""

    name = "scene"

    async def write(self, label: str, seed: int) -> tuple[PromptSet, int]:
        """See `Writer.write`."""
        return write_prompts(label, seed), 0


class SceneSelector:
    """Reads the offline world's words in label and prompts. Of prompts that are equally likely those come first that
    were shown first."""

    name = "scene"

    async def pick(self, label: str, prompts: Sequence[str], seed: int) -> Picked:
        """See `Selector.pick`. A label that names nothing of the world picks by chance."""
        hypothesis = read_label(label)
        if hypothesis is None:
            order = random.Random(seed).sample(range(len(prompts)), len(prompts))
            return Picked(tuple(order[:PROMPTS]), tuple(order[-PROMPTS:]))
        return _extremes([likely(hypothesis, text) for text in prompts])


def likely(hypothesis: Hypothesis, prompt: str) -> float:
    """0 to 1: how much of what activates such a unit the prompt's words hold. A condition's parts count for less than
    half, so that they never come before the whole, and the first for more than the second."""
    words = concepts_in(prompt)
    a = not members_of(hypothesis.a).isdisjoint(words)
    b = bool(hypothesis.b) and not members_of(hypothesis.b).isdisjoint(words)
    if hypothesis.kind == "given":
        return 1.0 if a and b else 0.4 * a + 0.2 * b
    return float(a or b)


class EmbeddingSelector:
    """By the cosine of label and prompt; of an OR, by the nearest of its parts."""

    name = "embeddings"

    def __init__(self, embedder: TextEmbedder) -> None:
        self._embedder = embedder

    async def pick(self, label: str, prompts: Sequence[str], seed: int) -> Picked:
        """See `Selector.pick`."""
        parts = [part.strip() for part in re.split(r"\bOR\b", label) if part.strip()] or [label]

        def nearest() -> np.ndarray:
            return np.max([self._embedder.similarity([part] * len(prompts), list(prompts)) for part in parts], axis=0)

        return _extremes([float(value) for value in await asyncio.to_thread(nearest)])


def _extremes(values: Sequence[float]) -> Picked:
    order = sorted(range(len(values)), key=lambda place: -values[place])
    least = sorted(range(len(values)), key=lambda place: values[place])
    most = tuple(order[:PROMPTS])
    return Picked(most, tuple(place for place in least if place not in most)[:PROMPTS])


class ModelWriter:
    """A language model, or one that sees pictures too, asked in words."""

    name = "model"

    def __init__(self, complete: Complete, structured: bool = True) -> None:
        """structured: answers are held to a grammar."""
        self._complete, self._structured = complete, structured

    async def write(self, label: str, seed: int) -> tuple[PromptSet, int]:
        """See `Writer.write`."""
        grammar = write_grammar(PROMPTS) if self._structured else None
        question = WRITE.format(label=label, count=PROMPTS)
        return await _asked(self._complete, question, seed, WRITE_TOKENS, grammar, read_written)


class ModelSelector:
    """A model that is told one label and the pool."""

    name = "model"

    def __init__(self, complete: Complete, structured: bool = True) -> None:
        """structured: answers are held to a grammar."""
        self._complete, self._structured = complete, structured

    async def pick(self, label: str, prompts: Sequence[str], seed: int) -> Picked:
        """See `Selector.pick`."""
        listed = "\n".join(f"{place}. {text}" for place, text in enumerate(prompts, start=1))
        question = SELECT.format(label=label, prompts=listed, count=PROMPTS)
        grammar = select_grammar(PROMPTS, len(prompts)) if self._structured else None

        def read(text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
            return read_picked(text, len(prompts))

        (most, least), unusable = await _asked(self._complete, question, seed, SELECT_TOKENS, grammar, read)
        return Picked(most, least, unusable)


async def _asked(
    complete: Complete, question: str, seed: int, tokens: int, grammar: str | None, read: Callable[[str], _T]
) -> tuple[_T, int]:
    """(what `read` makes of an answer, unusable ones before). Raises Unusable."""

    async def call(attempt: int) -> str:
        sampling = Sampling(AGAIN if attempt else 0.0, 1.0, tokens)
        message = ChatMessage("user", (question,))
        request = ChatRequest([message], derive_seed(f"{seed}/{attempt}"), sampling, grammar)
        try:
            answer = complete(request)
            return (answer if isinstance(answer, ChatReply) else await answer).text
        except ContextOverflow as problem:
            raise Unusable(f"the question does not fit ({problem})") from problem
        except RequestFailed as problem:
            return f"(failed: {problem})"

    return await several(call, read, ATTEMPTS)


_LINE = re.compile(r"^\s*\d+\s*[.):]\s*(?P<prompt>\S.*?)\s*$")


def read_written(text: str) -> PromptSet:
    """The prompts in a writer's answer. Raises ValueError where they are not PROMPTS different ones of each kind."""
    head, found, rest = text.partition("NEUTRAL")
    if not found or "POSITIVE" not in head:
        raise ValueError("it lacks a heading POSITIVE or NEUTRAL")
    kinds = []
    for name, part in (("positive", head), ("neutral", rest)):
        prompts = [match["prompt"].strip("\"'* ") for line in part.splitlines() if (match := _LINE.match(line))]
        prompts = [prompt for prompt in dict.fromkeys(prompts) if prompt]
        if len(prompts) < PROMPTS:
            raise ValueError(f"it has {len(prompts)} different {name} prompts, not {PROMPTS}")
        kinds.append(prompts[:PROMPTS])
    return PromptSet(kinds[0], kinds[1])


def read_picked(text: str, pool: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Places from 0 in a selector's answer. Raises ValueError where they are not PROMPTS of each kind, all different
    and in the list."""
    rows = []
    for name in ("MOST", "LEAST"):
        match = re.search(rf"{name}\W*:\s*([^\n]*)", text)
        if match is None:
            raise ValueError(f"it lacks the line {name}")
        rows.append(tuple(int(number) - 1 for number in re.findall(r"\d+", match[1])))
    for row in rows:
        if len(row) != PROMPTS:
            raise ValueError(f"a line has {len(row)} numbers, not {PROMPTS}")
    both = [*rows[0], *rows[1]]
    if len(set(both)) < len(both):
        raise ValueError("a number stands there twice")
    if not all(0 <= place < pool for place in both):
        raise ValueError(f"a number is not from 1 to {pool}")
    return rows[0], rows[1]
