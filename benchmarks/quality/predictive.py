"""How well a label predicts a unit on images nobody has seen (paper, section 4 and figure 3, in its simple form).

A writer turns the label into 7 prompts that should activate the unit and 7 that should not; images come from
drawings that exploration never uses; the score is the difference of the mean activations: raw, over the unit's 95th
percentile (paper, C1), and over the distance from its median to its 95th percentile, since the maximum over
positions has a high floor.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...agent.backbones.scripted.design import Designer, Setting
from ...agent.backbones.scripted.evidence import concepts_in, family_of, members_of
from ...agent.backbones.scripted.hypotheses import CONCEPTS, Hypothesis
from ...agent.seeds import derive_seed
from ...agent.services import Services
from ...agent.tools import significant
from ...models.groundtruth import parse_label
from ...models.targets import Unit
from ...models.testbed.vocabulary import GROUPS

PROMPTS = 7
"""Positive and neutral prompts for a label (paper, section 4.1)."""
RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class PromptSet:
    """What a label predicts. drawable: False when the label names nothing that this world can draw; then all prompts
    are neutral ones."""

    positive: list[str]
    neutral: list[str]
    drawable: bool = True


def read_label(label: str) -> Hypothesis | None:
    """The hypothesis that a label states: exactly, or else the first concepts of the vocabulary that it names."""
    parsed = parse_label(label)
    if parsed is not None:
        kind = {"conditional": "given"}.get(parsed.kind, parsed.kind)
        return Hypothesis(kind, str(parsed.a), str(parsed.b) if parsed.b is not None else "")
    named = [concept for concept in CONCEPTS if concept in concepts_in(label)]
    named += [group for group in GROUPS if group in label.lower() and not members_of(group) & set(named)]
    if not named:
        return None
    if len(named) == 1:
        return Hypothesis("single", named[0])
    return Hypothesis("or" if " OR " in label else "given", named[0], named[1])


def write_prompts(label: str, seed: int) -> PromptSet:
    """7 positive and 7 neutral prompts for a label, everything that it does not name varying."""
    designer = Designer(seed)
    hypothesis = read_label(label)
    if hypothesis is None:
        neutral = [designer.setting().text() for _ in range(2 * PROMPTS)]
        return PromptSet(neutral[:PROMPTS], neutral[PROMPTS:], drawable=False)
    named = members_of(hypothesis.a) | (members_of(hypothesis.b) if hypothesis.b else frozenset())
    return PromptSet(
        [_positive(designer, hypothesis, i).text() for i in range(PROMPTS)],
        [designer.setting(avoid=named).text() for _ in range(PROMPTS)],
    )


def _positive(designer: Designer, hypothesis: Hypothesis, number: int) -> Setting:
    """The two sides of an OR take turns, so that a half-right label is tested on both halves."""
    if hypothesis.kind == "or":
        side = hypothesis.a if number % 2 == 0 else hypothesis.b
        return designer.positive(Hypothesis("single", side))
    if hypothesis.kind == "given" and family_of(hypothesis.a) != family_of(hypothesis.b):
        base = designer.with_concept(hypothesis.a, designer.setting())
        return designer.with_concept(hypothesis.b, base)
    return designer.positive(hypothesis)


async def score_label(services: Services, unit: Unit, label: str, seed: int) -> dict[str, object]:
    """The entry of scores.json for one label of one unit.

    Values are activations of the unit. `interval`: 95 % bootstrap interval of the difference of means. `over_p95`
    and `over_p95_minus_median` are None where the divisor is not positive.
    """
    prompts = write_prompts(label, derive_seed(f"{seed}/{unit}/{label}/prompts"))
    texts = prompts.positive + prompts.neutral
    seeds = [derive_seed(f"{seed}/{unit}/{label}/image/{i}") for i in range(len(texts))]
    images = [drawn.image for drawn in await services.text2image(texts, seeds, purpose="evaluation")]
    values = [float(response.value) for response in await services.respond(images, unit)]
    positive, neutral = values[:PROMPTS], values[PROMPTS:]
    difference = float(np.mean(positive) - np.mean(neutral))
    p50, p95 = services.index.percentile(unit, 0.5), services.index.percentile(unit, 0.95)
    ids = await services.keep(images)
    return {
        "label": label,
        "drawable": prompts.drawable,
        "positive_prompts": prompts.positive,
        "neutral_prompts": prompts.neutral,
        "positive_images": ids[:PROMPTS],
        "neutral_images": ids[PROMPTS:],
        "positive": [significant(value) for value in positive],
        "neutral": [significant(value) for value in neutral],
        "difference": significant(difference),
        "interval": [significant(bound) for bound in bootstrap_difference(positive, neutral, seed)],
        "over_p95": significant(difference / p95) if p95 > 0 else None,
        "over_p95_minus_median": significant(difference / (p95 - p50)) if p95 > p50 else None,
    }


def bootstrap_difference(a: Sequence[float], b: Sequence[float], seed: int) -> tuple[float, float]:
    """95 % percentile-bootstrap interval of mean(a) - mean(b), resampling each side."""
    rng = np.random.default_rng(seed)
    return _interval(_resampled_means(a, rng) - _resampled_means(b, rng))


def bootstrap_mean(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """95 % percentile-bootstrap interval of the mean over units."""
    return _interval(_resampled_means(values, np.random.default_rng(seed)))


def _resampled_means(values: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """float64 [RESAMPLES]: means of samples drawn with replacement."""
    data = np.asarray(values)
    return data[rng.integers(len(data), size=(RESAMPLES, len(data)))].mean(1)


def _interval(means: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
