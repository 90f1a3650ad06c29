"""The four-way choice (the paper's appendix E) answered by a vision-language model."""

import asyncio
import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from PIL import Image

from ...agent.observer import side_by_side
from ...agent.seeds import derive_seed
from ...agent.sheets import chat_image
from ...models.vlm.chat import ChatImage, ChatMessage, ChatReply, ChatRequest, ContextOverflow, RequestFailed, Sampling
from ...prompts.usefulness import ANSWER, INTRODUCTION, QUESTION, SET
from .agreement_judges import ANSWER_TOKENS, AT_ONCE, SHOWN, Complete
from .usefulness import Answers, Choice, Task, plain
from .usefulness_sets import SETS, ImageSets

SHEET_SIDE = 448
"""Pixels of a sheet's longer side: 222 for each of its four pictures, as much as networks see of them."""
PICTURE_SIDE = 224
"""Pixels of a picture's longer side where each is sent alone."""

Layout = Literal["sheets", "pictures"]
"""Four pictures a request, each with the four of a set; or all sixteen, for models that read so many."""

_ANSWER = re.compile(r"""(?:set\s+)?["'(*]*([1-4])["')*]*\.?""", re.IGNORECASE)


class _Question(NamedTuple):
    unit: str
    text: str
    rotation: int


async def choose_by_model(
    task: Task,
    sets: Mapping[str, ImageSets],
    complete: Complete,
    name: str = "model",
    *,
    layout: Layout = "sheets",
    rotations: int = SETS,
    structured: bool = True,
    max_tokens: int = ANSWER_TOKENS,
    at_once: int = AT_ONCE,
) -> Answers:
    """Ask a model about every unit and text, `rotations` times (1..4) with the order of the sets turned by one, at
    temperature 0; with 4, the right set stands once at each place, and a model that always names one place is right in
    a quarter of the answers.

    A text that several methods wrote of a unit is asked about once and counts for each of them. A question that has an
    answer which is not a number from 1 to 4, or that failed, gives no choice: some rotations alone would count the
    model's liking for a place. structured: answers are held to a grammar. Raises ValueError for another number of
    rotations, KeyError for a unit without sets, and what `complete` raises, RequestFailed and ContextOverflow aside.
    facts: rotations, requests, unreadable, failed (replies), unanswered (questions).
    """
    if not 1 <= rotations <= SETS:
        raise ValueError(f"rotations must be 1 to {SETS}, not {rotations}")
    gate = asyncio.Semaphore(at_once)
    problems: dict[str, str] = {}
    counts = {"rotations": rotations, "requests": 0, "unreadable": 0, "failed": 0, "unanswered": 0}
    places = [0] * SETS

    async def ask(question: _Question) -> int | None:
        """The set that is named, 0..3 as in `sets`; None where there is no answer."""
        order = order_of(question.rotation)
        trial = f"{question.unit}, {question.text[:SHOWN]!r}, rotation {question.rotation}"
        async with gate:
            shown = await asyncio.to_thread(pictures_of, sets[question.unit], layout)
            counts["requests"] += 1
            try:
                answer = complete(request_for(question.text, [shown[k] for k in order], structured, max_tokens))
                reply = answer if isinstance(answer, ChatReply) else await answer
            except (RequestFailed, ContextOverflow) as problem:
                counts["failed"] += 1
                problems[trial] = str(problem)
                return None
        place = parse_answer(reply.text)
        if place is None:
            counts["unreadable"] += 1
            problems[trial] = f"the reply {' '.join(reply.text.split())[:SHOWN]!r} is no number from 1 to {SETS}"
            return None
        places[place] += 1
        return order[place]

    asked: list[tuple[str, str, list[asyncio.Task[int | None]]]] = []
    try:
        async with asyncio.TaskGroup() as group:
            for unit, text in _texts(task):
                questions = [_Question(unit, text, rotation) for rotation in range(rotations)]
                asked.append((unit, text, [group.create_task(ask(question)) for question in questions]))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    choices: list[Choice] = []
    for unit, text, tasks in asked:
        chosen = [one.result() for one in tasks]
        if None in chosen:
            counts["unanswered"] += 1
            continue
        value = sum(one == sets[unit].strong for one in chosen) / rotations
        same = len(set(chosen)) == 1 if rotations > 1 else None
        choices += [Choice(name, unit, method, value, same) for method in task.methods_with(unit, text)]
    ordered = {trial: problems[trial] for trial in sorted(problems)}
    return Answers(name, "model", choices, places, ordered, counts)


def _texts(task: Task) -> list[tuple[str, str]]:
    """(unit, text), each text of a unit once."""
    return [
        (unit, text)
        for unit, texts in task.texts.items()
        for text in {plain(text): text for text in reversed(texts)}.values()
    ]


def order_of(rotation: int) -> list[int]:
    """Which set stands at each place: those of `ImageSets`, whose order the seed shuffled, turned by `rotation`."""
    return [(place + rotation) % SETS for place in range(SETS)]


def pictures_of(sets: ImageSets, layout: Layout) -> list[list[ChatImage]]:
    """What is sent of each set, in the order of `sets`."""
    if layout == "pictures":
        return [[chat_image(picture, PICTURE_SIDE) for picture in one] for one in sets.pictures]
    return [[chat_image(_sheet(list(one)), SHEET_SIDE)] for one in sets.pictures]


def _sheet(pictures: list[Image.Image]) -> Image.Image:
    return side_by_side(pictures, SHEET_SIDE)


def request_for(
    text: str, shown: list[list[ChatImage]], structured: bool = True, max_tokens: int = ANSWER_TOKENS
) -> ChatRequest:
    """What is asked about a text with the sets in one order. It depends on nothing else: not on the method, the unit,
    or which set is right. shown: pictures of each set, in the order shown."""
    parts: list[str | ChatImage] = [INTRODUCTION.format(text=text)]
    for number, pictures in enumerate(shown, 1):
        parts += [SET.format(number=number), *pictures]
    parts.append(QUESTION)
    seed = derive_seed(INTRODUCTION.format(text=text))
    sampling = Sampling(0.0, 1.0, max_tokens)
    return ChatRequest([ChatMessage("user", tuple(parts))], seed, sampling, ANSWER if structured else None)


def parse_answer(text: str) -> int | None:
    """0..3 for "1" to "4" ("Set" before it, quotes, brackets, asterisks and a full stop aside), None for any other."""
    match = _ANSWER.fullmatch(text.strip())
    return int(match[1]) - 1 if match is not None else None
