"""The predictive evaluation of several labels of one unit (the paper's section 4 and figure 3).

A writer turns each method's label into 7 prompts that should activate the unit and 7 that should not. All methods'
prompts are one pool. For each method a selector, which is told that method's label and nothing else, picks the 7 that
are most likely to activate the unit if the label is right, and the 7 that are least likely to. What was picked is drawn
once, by what exploration did not draw with, and the unit is asked: so a label is tested on what others thought of.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from PIL import Image

from ...agent.seeds import derive_seed
from ...agent.services import Services
from ...agent.tools import significant
from ...models.errors import ExperimentError
from ...models.targets import Unit
from .predictive import PROMPTS, PromptSet

LABEL_LIMIT = 300
"""Characters of a label at most: what is longer is a description, and no writer was meant to read it."""


class Unusable(Exception):
    """A writer's or a selector's answers could not be used, however often it was asked. counted: answers."""

    def __init__(self, message: str, counted: int = 1) -> None:
        super().__init__(message)
        self.counted = counted


@dataclass(frozen=True)
class Picked:
    """Places in the list that was shown, from 0: most and least likely, the most certain first. unusable: answers
    before this one."""

    most: tuple[int, ...]
    least: tuple[int, ...]
    unusable: int = 0


class Writer(Protocol):
    """Writes prompts for a label."""

    name: str

    async def write(self, label: str, seed: int) -> tuple[PromptSet, int]:
        """The prompts, and how many answers before were unusable. Raises Unusable."""
        ...


class Selector(Protocol):
    """Picks prompts for a label."""

    name: str

    async def pick(self, label: str, prompts: Sequence[str], seed: int) -> Picked:
        """PROMPTS of each kind, no place twice. Raises Unusable."""
        ...


@dataclass(frozen=True)
class PoolPrompt:
    """One prompt of the pool. id: in the order of writing; author: the method for whose label it was written."""

    id: int
    text: str
    author: str
    positive: bool


@dataclass
class UnitResult:
    """All of one unit. shown: by method, the ids of the pool in the order in which its selector saw them. picked: by
    method, (ids of the most, ids of the least likely). activations: by id, of what was picked. problems: by method, why
    it has no result here. unusable: answers of writer and selector, by method."""

    pool: list[PoolPrompt] = field(default_factory=list)
    shown: dict[str, list[int]] = field(default_factory=dict)
    picked: dict[str, tuple[list[int], list[int]]] = field(default_factory=dict)
    activations: dict[int, float] = field(default_factory=dict)
    images: dict[int, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    unusable: dict[str, int] = field(default_factory=dict)

    def means(self, method: str) -> tuple[float, float]:
        """(positive, neutral): mean activations of what the method's selector picked."""
        most, least = ([self.activations[k] for k in ids] for ids in self.picked[method])
        return sum(most) / len(most), sum(least) / len(least)


def check_label(label: str) -> str | None:
    """What is wrong with a label: it is empty, or longer than LABEL_LIMIT."""
    if not label.strip():
        return "the label is empty"
    if len(label) > LABEL_LIMIT:
        return f"the label has {len(label)} characters, and {LABEL_LIMIT} at most are read"
    return None


async def evaluate_unit(
    services: Services, unit: Unit, labels: Mapping[str, str], writer: Writer, selector: Selector, seed: int
) -> UnitResult:
    """The evaluation of the labels of one unit, by method. The order of the methods changes nothing but ids.

    A method whose label is unusable, or that writer or selector give no usable answer for, is missing from `picked`,
    and `problems` says why; the pool then lacks its prompts, or its selector's choice alone.
    """
    result = UnitResult()
    for method, label in labels.items():
        problem = check_label(label)
        if problem is None:
            problem = await _written(result, method, label, writer, derive_seed(f"{seed}/{unit}/{label}/prompts"))
        if problem is not None:
            result.problems[method] = problem
    if len(result.pool) < 2 * PROMPTS:
        return result
    for method in labels:
        if method not in result.problems:
            await _selected(result, method, labels[method], selector, f"{seed}/{unit}/{labels[method]}")
    await _measured(result, services, unit, seed)
    return result


async def _written(result: UnitResult, method: str, label: str, writer: Writer, seed: int) -> str | None:
    try:
        prompts, unusable = await writer.write(label, seed)
    except Unusable as problem:
        result.unusable[method] = problem.counted
        return f"the writer: {problem}"
    result.unusable[method] = unusable
    for texts, positive in ((prompts.positive, True), (prompts.neutral, False)):
        for text in texts:
            result.pool.append(PoolPrompt(len(result.pool), text, method, positive))
    return None


async def _selected(result: UnitResult, method: str, label: str, selector: Selector, name: str) -> None:
    # Sorted first: the order that is shown must not tell the methods apart, nor depend on theirs.
    order = sorted(result.pool, key=lambda prompt: (prompt.text, prompt.positive, prompt.author))
    random.Random(f"{name}/order").shuffle(order)
    result.shown[method] = [prompt.id for prompt in order]
    try:
        picked = await selector.pick(label, [prompt.text for prompt in order], derive_seed(f"{name}/select"))
    except Unusable as problem:
        result.problems[method] = f"the selector: {problem}"
        result.unusable[method] = result.unusable.get(method, 0) + problem.counted
        return
    result.unusable[method] = result.unusable.get(method, 0) + picked.unusable
    most, least = ([order[place].id for place in places] for places in (picked.most, picked.least))
    result.picked[method] = (most, least)


async def _measured(result: UnitResult, services: Services, unit: Unit, seed: int) -> None:
    """Draws every prompt that somebody picked, once, and asks the unit. Whoever picked one that cannot be drawn has no
    result here."""
    wanted = sorted({k for most, least in result.picked.values() for k in (*most, *least)})

    async def draw(k: int) -> Image.Image | ExperimentError:
        text = result.pool[k].text
        number = sum(other.text == text for other in result.pool[:k])  # equal texts are different pictures
        image_seed = derive_seed(f"{seed}/{unit}/{text}/image/{number}")
        try:
            return (await services.text2image([text], [image_seed], purpose="evaluation"))[0].image
        except ExperimentError as problem:
            return problem

    drawn = dict(zip(wanted, await asyncio.gather(*map(draw, wanted)), strict=True))
    for k, found in drawn.items():
        if isinstance(found, ExperimentError):
            for method in [name for name, picked in result.picked.items() if k in (*picked[0], *picked[1])]:
                result.problems[method] = f"the prompt {result.pool[k].text!r} cannot be drawn: {found}"
                del result.picked[method]
    kept = sorted({k for most, least in result.picked.values() for k in (*most, *least)})
    if not kept:
        return
    images = [image for k in kept if not isinstance(image := drawn[k], ExperimentError)]
    for k, response in zip(kept, await services.respond(images, unit), strict=True):
        result.activations[k] = significant(float(response.value))
    result.images = dict(zip(kept, await services.keep(images), strict=True))


_T = TypeVar("_T")


async def several(call: Callable[[int], Awaitable[str]], read: Callable[[str], _T], attempts: int) -> tuple[_T, int]:
    """What `read` makes of the first answer that it can read, and how many it could not. call: is given the attempt's
    number. read: raises ValueError. Raises Unusable after `attempts`."""
    reasons = []
    for attempt in range(attempts):
        text = await call(attempt)
        try:
            return read(text), attempt
        except ValueError as problem:
            reasons.append(f"{problem} ({' '.join(text.split())[:60]!r})")
    raise Unusable(f"no usable answer in {attempts}: {reasons[-1]}", attempts)
