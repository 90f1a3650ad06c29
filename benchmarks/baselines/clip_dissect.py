"""CLIP-Dissect: a unit's label is the concept of a list that its most activating images share, by an image-text model.

Oikarinen and Weng, "CLIP-Dissect: Automatic Description of Neuron Representations in Deep Vision Networks", ICLR 2023
(arXiv 2204.10965), similarity function soft-WPMI. With S [N, M] the similarities of N probing images and M concepts,
x_1, x_2, … the images by falling activation of unit k, and B_k the set of images that activate it highly:

    P[i, m]        = softmax over m of a S[i, m]                          the concept-activation matrix
    p(x_r in B_k)  = p_start - (p_start - p_end) (r - 1) / top_k          for r <= top_k, else 0
    log E_k[m]     = sum over r of log(1 + p(x_r in B_k) (P[x_r, m] - 1) + 1e-7)
    score[k, m]    = log E_k[m] - lam log p(m)

Constants (top_k 100, a 10, lam 1, p_start .998, p_end .97, 1e-7) and the images' linear membership are those of the
authors' code (Trustworthy-ML-Lab/CLIP-dissect, similarity.py), which was read and not copied.

log p(m), how probable the concept is whatever the unit, is there the mean of E_k[m] over the units of a layer
(prior="units"). That says nothing of a unit alone, and makes a label depend on which units were asked for. So the
default here is the prior of a unit whose images are drawn at random from the probing set, of which the expectation has
a closed form, since the draws are independent: sum over r of log(1 + p(x_r in B) (mean over i of P[i, m] - 1) + 1e-7).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from PIL import Image

from ...agent.exemplars import exemplar_images
from ...agent.services import Services
from ...engine.exemplars import EXEMPLARS
from ...models.errors import ExperimentError, UserError, first_line
from ...models.targets import Unit
from .concept_lists import ConceptList, vocabulary_concepts
from .image_text import DescriberWords, ImageTextSimilarity

TOP_K = 100
SCALE = 10.0
LAMBDA = 1.0
P_START, P_END = 0.998, 0.97
LEAST = 1e-7
"""Added to every factor before its logarithm."""

PROBING_IMAGES = 1000
CHUNK = 64
"""Pictures that are drawn, compared and measured together; the answers do not depend on it."""
_ROWS = 1024

Prior = Literal["unrelated", "units"]
_T = TypeVar("_T")


def concept_probabilities(similarities: np.ndarray, a: float = SCALE) -> np.ndarray:
    """P: float64 [N, M], rows sum to 1, from similarities float [N, M]."""
    scaled = a * np.asarray(similarities, np.float64)
    scaled -= scaled.max(axis=1, keepdims=True)
    np.exp(scaled, out=scaled)
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))


def membership(top_k: int = TOP_K, p_start: float = P_START, p_end: float = P_END) -> np.ndarray:
    """p(x_r in B) for ranks 1 … top_k: float64 [top_k], from p_start down to just above p_end."""
    return p_start - np.arange(top_k) / top_k * (p_start - p_end)


def log_expected(probabilities: np.ndarray, members: np.ndarray) -> np.ndarray:
    """log E: float64 [M]. probabilities: of the images by falling activation, [k, M], or [M] for all of them alike;
    members: [k]."""
    rows = np.broadcast_to(probabilities, (len(members), probabilities.shape[-1]))
    return np.asarray(np.log(1 + members[:, None] * (rows - 1) + LEAST).sum(axis=0))


def mean_probabilities(similarities: np.ndarray, a: float = SCALE) -> np.ndarray:
    """The mean of P over the images: float64 [M]."""
    total = np.zeros(similarities.shape[1])
    for start in range(0, len(similarities), _ROWS):
        total += concept_probabilities(similarities[start : start + _ROWS], a).sum(axis=0)
    return total / len(similarities)


def soft_wpmi(
    similarities: np.ndarray,
    activations: np.ndarray,
    top_k: int = TOP_K,
    a: float = SCALE,
    lam: float = LAMBDA,
    p_start: float = P_START,
    p_end: float = P_END,
    prior: Prior = "unrelated",
) -> np.ndarray:
    """Scores of the concepts in nats, the higher the better: float64 [M], or [U, M] for activations of U units.

    similarities: float [N, M] of images and concepts, cosines in the paper. activations: float [N] or [N, U], higher
    is more; equal ones count in the order of the images. The formula, and what prior chooses, is in the module's
    docstring. Raises ValueError for shapes that do not fit, values that are not finite, top_k outside 1 … N,
    probabilities outside 0 <= p_end <= p_start <= 1, and prior="units" with a single unit.
    """
    units = activations[:, None] if activations.ndim == 1 else activations
    _check(similarities, units, top_k, p_start, p_end)
    if prior == "units" and units.shape[1] < 2:
        raise ValueError("a prior over units needs at least two: that of one unit is the unit itself")
    members = membership(top_k, p_start, p_end)
    highest = np.argsort(-units.astype(np.float64), axis=0, kind="stable")[:top_k]
    evidence = np.stack([log_expected(concept_probabilities(similarities[own], a), members) for own in highest.T])
    if prior == "units":
        log_prior = np.logaddexp.reduce(evidence, axis=0) - np.log(len(evidence))
    else:
        log_prior = log_expected(mean_probabilities(similarities, a), members)
    scores = evidence - lam * log_prior
    return np.asarray(scores[0] if activations.ndim == 1 else scores)


def _check(similarities: np.ndarray, units: np.ndarray, top_k: int, p_start: float, p_end: float) -> None:
    if similarities.ndim != 2 or units.ndim != 2 or len(similarities) != len(units):
        raise ValueError(f"similarities {similarities.shape} and activations {units.shape} are not of the same images")
    if not (np.isfinite(similarities).all() and np.isfinite(units).all()):
        raise ValueError("similarities and activations must be finite")
    if not 1 <= top_k <= len(units):
        raise ValueError(f"top_k is {top_k}, and there are {len(units)} images")
    if not 0 <= p_end <= p_start <= 1:
        raise ValueError(f"probabilities of membership fall from {p_start} to {p_end}")


@dataclass(frozen=True)
class DissectOptions:
    """images: of the probing set at most (all, where the dataset has fewer).

    source: where a unit's images come from. "probe": it is measured on the probing set, as in the paper, which costs
    `images` measurements a unit. "index": the unit's exemplars in the index, which are the highest over the whole
    dataset, without any measurement; top_k is then 15 at most (`engine.exemplars.EXEMPLARS`), and the probing set
    serves the prior alone.
    """

    images: int = PROBING_IMAGES
    top_k: int = TOP_K
    source: Literal["probe", "index"] = "probe"
    a: float = SCALE
    lam: float = LAMBDA
    p_start: float = P_START
    p_end: float = P_END


@dataclass
class _Probe:
    """images: empty where no unit is measured on them. similarities: float32 [N, M]."""

    images: list[Image.Image]
    similarities: np.ndarray
    mean: np.ndarray


@dataclass
class Dissector:
    """Labels units by CLIP-Dissect over one list of concepts; may be asked about many units at once.

    The probing set is drawn once, by the seed, from the dataset that the world draws; where the index holds pictures
    instead, from the exemplars of all units of the unit's layer. Its similarities are shared by all units.
    problems: pictures that could not be used, each with why; they take part in nothing.
    """

    similarity: ImageTextSimilarity
    concepts: ConceptList = field(default_factory=vocabulary_concepts)
    options: DissectOptions = field(default_factory=DissectOptions)
    seed: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    _probes: dict[tuple[str, str], _Probe] = field(default_factory=dict)
    # A lock belongs to one event loop, and a run has several.
    _locks: "WeakKeyDictionary[Any, asyncio.Lock]" = field(default_factory=WeakKeyDictionary)

    async def label(self, services: Services, unit: Unit) -> str:
        """The concept with the highest score; of equal ones the first of the list."""
        return self.concepts.concepts[int(np.argmax(await self.scores(services, unit)))]

    async def scores(self, services: Services, unit: Unit) -> np.ndarray:
        """Scores of all concepts, float64 [M]. Raises UserError where fewer pictures than top_k can be used."""
        chosen = self.options
        async with self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            probe = await self._prepared(services, unit)
        if chosen.source == "index":
            return await self._of_exemplars(services, unit, probe)

        async def measure(images: Sequence[Image.Image]) -> list[float]:
            return [response.value for response in await services.respond(images, unit)]

        values = await self._each(measure, probe.images, str(unit))
        kept = [place for place, value in enumerate(values) if value is not None and np.isfinite(value)]
        self._check_enough(len(kept), chosen.top_k)
        activations = np.array([values[place] for place in kept], np.float64)
        numbers = (chosen.top_k, chosen.a, chosen.lam, chosen.p_start, chosen.p_end)
        return soft_wpmi(probe.similarities[kept], activations, *numbers)

    async def _of_exemplars(self, services: Services, unit: Unit, probe: _Probe) -> np.ndarray:
        chosen = self.options
        found = services.index.entries(unit)
        rows = await self._compare(services, await exemplar_images(services, found), f"exemplars of {unit}")
        used = np.array([row for row in rows if row is not None])[: chosen.top_k]
        self._check_enough(len(used), 1)
        members = membership(min(chosen.top_k, EXEMPLARS), chosen.p_start, chosen.p_end)[: len(used)]
        evidence = log_expected(concept_probabilities(used, chosen.a), members)
        return evidence - chosen.lam * log_expected(probe.mean, members)

    async def _prepared(self, services: Services, unit: Unit) -> _Probe:
        pictured = services.index.has_pictures
        key = (str(unit.target), unit.layer) if pictured else ("", services.index.facts.dataset_fingerprint)
        if key not in self._probes:
            numbers = self._numbers(services, unit)
            images: list[Image.Image] = []
            rows: list[Any] = []
            for start in range(0, len(numbers), CHUNK):
                part = numbers[start : start + CHUNK]
                drawn = await _pictures(services, part)
                found = await self._compare(services, drawn, f"probing images from {part[0]}")
                rows += [row for row in found if row is not None]
                if self.options.source == "probe":
                    images += [image for image, row in zip(drawn, found, strict=True) if row is not None]
            self._check_enough(len(rows), self.options.top_k if self.options.source == "probe" else 1)
            similarities = np.array(rows, np.float32)
            self._probes[key] = _Probe(images, similarities, mean_probabilities(similarities, self.options.a))
        return self._probes[key]

    def _numbers(self, services: Services, unit: Unit) -> list[int]:
        """Which of the dataset's images are probed, in rising order."""
        index = services.index
        if index.has_pictures:
            own = (Unit(unit.target, unit.layer, place) for place in range(index.layers[unit.layer]))
            known: Sequence[int] = sorted({image for other in own for image, _ in index.exemplars(other)})
        else:
            known = range(index.facts.dataset_size)
        stream = random.Random(f"{self.seed}/clip-dissect/probing-set")
        return sorted(stream.sample(known, min(self.options.images, len(known))))

    async def _compare(self, services: Services, images: Sequence[Image.Image], what: str) -> list[np.ndarray | None]:
        async def ask(part: Sequence[Image.Image]) -> list[np.ndarray]:
            return list(await self.similarity(services, part, self.concepts.concepts))

        return await self._each(ask, images, what)

    async def _each(
        self, ask: Callable[[Sequence[Image.Image]], Awaitable[list[_T]]], images: Sequence[Image.Image], what: str
    ) -> list[_T | None]:
        """What is answered to each picture, None where that fails. After a failure the pictures are asked about one by
        one, so that a bad one costs itself."""
        answers: list[_T | None] = []
        for start in range(0, len(images), CHUNK):
            part = images[start : start + CHUNK]
            try:
                answers += await ask(part)
                continue
            except ExperimentError:
                pass
            for place, image in enumerate(part, start):
                try:
                    answers += await ask([image])
                except ExperimentError as problem:
                    self.problems[f"{what}, picture {place}"] = first_line(problem)
                    answers.append(None)
        return answers

    def _check_enough(self, count: int, needed: int) -> None:
        if count < needed:
            reasons = f" ({len(self.problems)} cannot be used)" if self.problems else ""
            raise UserError(
                f"CLIP-Dissect ranks {needed} images of a unit and has {count}{reasons}: lower top_k to "
                f"{max(count, 1)} or give a larger dataset."
            )


async def _pictures(services: Services, numbers: Sequence[int]) -> list[Image.Image]:
    if services.index.has_pictures:
        return await asyncio.to_thread(lambda: [services.index.picture(number) for number in numbers])
    return await services.dataset_images(numbers)


WORDS_OPTIONS = DissectOptions(images=400, source="index")
"""Where words stand for CLIP. images: describing one takes a CPU 0.2 s, and more change the prior little, which cannot
fall below that of a concept which is nowhere, log(1 - p(x_r in B)) an image."""

_BY_RUN: "WeakKeyDictionary[Any, Dissector]" = WeakKeyDictionary()


async def clip_dissect_label(services: Services, unit: Unit, dissector: Dissector | None = None) -> str:
    """The label of CLIP-Dissect. dissector: with its similarities, concepts and options.

    None: over the offline world's vocabulary, with the words of whoever describes pictures in the place of CLIP
    (`DescriberWords`, WORDS_OPTIONS), and one Dissector for all units of a scheduler, so that the probing set is
    described once. It has no seed that could be chosen: labels then depend on the unit alone.
    """
    if dissector is None:
        dissector = _BY_RUN.setdefault(services.scheduler, Dissector(DescriberWords(), options=WORDS_OPTIONS))
    return await dissector.label(services, unit)
