"""Judges that are models: sentence embeddings, and a language or vision-language model that is asked in both orders."""

import asyncio
import re
from collections.abc import Awaitable, Callable

from ...agent.seeds import derive_seed
from ...engine.scheduler import Scheduler
from ...engine.sizing import VLM
from ...models.text_embeddings import TextEmbedder
from ...models.vlm.chat import ChatMessage, ChatReply, ChatRequest, ContextOverflow, RequestFailed, Sampling
from ...prompts.agreement import AGREEMENT, ANSWER
from .agreement import Panel, Verdict
from .agreement_data import Pair, Pairing

Complete = Callable[[ChatRequest], ChatReply | Awaitable[ChatReply]]
"""Asks a model; may raise RequestFailed or ContextOverflow, which cost that trial."""

EQUAL = 1e-6
"""Cosines that differ by less are a tie: rounding of float32."""
ANSWER_TOKENS = 8
AT_ONCE = 16
SHOWN = 60
"""Characters of an unreadable reply that are reported."""

_ANSWER = re.compile(r"""["'(*]*([AB])["')*]*\.?""")


def judge_by_embeddings(pairing: Pairing, embedder: TextEmbedder, name: str = "embeddings") -> Panel:
    """The description whose embedding has the larger cosine with that of the truth's phrase wins.

    Order plays no part, so that there is no agreement with itself to report. facts: model, fingerprint, texts that were
    cut because they are too long.
    """
    before = embedder.truncated
    truths = [pair.truth.phrase for pair in pairing.pairs]
    of_a = embedder.similarity(truths, [pair.a for pair in pairing.pairs])
    of_b = embedder.similarity(truths, [pair.b for pair in pairing.pairs])
    verdicts = []
    for pair, a, b in zip(pairing.pairs, of_a, of_b, strict=True):
        value = 0.5 if abs(float(a) - float(b)) < EQUAL else float(a > b)
        verdicts.append(Verdict(name, pair.unit, value))
    facts = {
        "model": embedder.name,
        "fingerprint": embedder.fingerprint,
        "texts_cut": embedder.truncated - before,
    }
    return Panel(name, "embeddings", verdicts, facts=facts)


async def judge_by_model(
    pairing: Pairing,
    complete: Complete,
    name: str = "model",
    *,
    structured: bool = True,
    max_tokens: int = ANSWER_TOKENS,
    at_once: int = AT_ONCE,
) -> Panel:
    """Ask a model about every pair twice, with A's description first and with B's first, at temperature 0.

    A pair whose two answers name different descriptions is a tie. One with an answer that is not "A" or "B", or that
    failed, has no verdict: half of it alone would count the model's liking for a place. structured: answers are held to
    a grammar; without it give models that think aloud more max_tokens, and expect unreadable replies. at_once: requests
    in flight. Raises what `complete` raises, RequestFailed and ContextOverflow aside. facts: unreadable, failed
    (replies).
    """
    gate = asyncio.Semaphore(at_once)
    problems: dict[str, str] = {}
    counts = {"unreadable": 0, "failed": 0}

    async def ask(pair: Pair, a_first: bool) -> bool | None:
        """Whether the answer names the description that stands first."""
        request = request_for(pair, a_first, structured, max_tokens)
        trial = f"{pair.unit}, {'A' if a_first else 'B'} first"
        async with gate:
            try:
                answer = complete(request)
                reply = answer if isinstance(answer, ChatReply) else await answer
            except (RequestFailed, ContextOverflow) as problem:
                counts["failed"] += 1
                problems[trial] = str(problem)
                return None
        chosen = parse_answer(reply.text)
        if chosen is None:
            counts["unreadable"] += 1
            problems[trial] = f"the reply {' '.join(reply.text.split())[:SHOWN]!r} is neither A nor B"
        return chosen

    try:
        async with asyncio.TaskGroup() as group:
            asked = [
                (pair, group.create_task(ask(pair, True)), group.create_task(ask(pair, False)))
                for pair in pairing.pairs
            ]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    verdicts, first, answers = [], 0, 0
    for pair, one, other in asked:
        first_of_a, first_of_b = one.result(), other.result()
        first += (first_of_a is True) + (first_of_b is True)
        answers += (first_of_a is not None) + (first_of_b is not None)
        if first_of_a is not None and first_of_b is not None:
            value = (first_of_a + (not first_of_b)) / 2
            verdicts.append(Verdict(name, pair.unit, value, first_of_a != first_of_b))
    ordered = {trial: problems[trial] for trial in sorted(problems)}
    return Panel(name, "model", verdicts, (first, answers), ordered, counts)


def request_for(pair: Pair, a_first: bool, structured: bool = True, max_tokens: int = ANSWER_TOKENS) -> ChatRequest:
    """What is asked about a pair in one order. It depends on the texts and their order, not on which one is A."""
    first, second = (pair.a, pair.b) if a_first else (pair.b, pair.a)
    prompt = AGREEMENT.format(truth=pair.truth.phrase, first=first, second=second)
    sampling = Sampling(0.0, 1.0, max_tokens)
    return ChatRequest([ChatMessage("user", (prompt,))], derive_seed(prompt), sampling, ANSWER if structured else None)


def parse_answer(text: str) -> bool | None:
    """True for A, False for B (alone; quotes, brackets, asterisks and a full stop aside), None for anything else."""
    match = _ANSWER.fullmatch(text.strip())
    return match[1] == "A" if match is not None else None


def through(scheduler: Scheduler) -> Complete:
    """Asks the scheduler's vision-language model. Use it inside `async with scheduler.agent(…)`."""

    async def complete(request: ChatRequest) -> ChatReply:
        (result,) = await scheduler.submit(VLM, [request])
        if isinstance(result, BaseException):
            raise result
        assert isinstance(result, ChatReply)
        return result

    return complete
