"""A world of prompts for evaluations: pictures are their prompts, writers and selectors go by the label's words."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from maia.benchmarks.quality.pool import Picked, Unusable
from maia.benchmarks.quality.predictive import PROMPTS, PromptSet
from maia.models.errors import ExperimentError
from maia.models.targets import Response, Unit


class Services:
    """Pictures are their prompts; the unit answers to words of them."""

    def __init__(self, words: dict[str, float], undrawable: str = "") -> None:
        self.words, self.undrawable = words, undrawable
        self.drawn: list[tuple[str, int, str]] = []

    async def text2image(self, prompts: Sequence[str], seeds: Sequence[int], purpose: str) -> list[Any]:
        if self.undrawable and self.undrawable in prompts[0]:
            raise ExperimentError("no such word")
        self.drawn += [(prompt, seed, purpose) for prompt, seed in zip(prompts, seeds, strict=True)]
        return [SimpleNamespace(image=prompt) for prompt in prompts]

    async def respond(self, images: Sequence[str], unit: Unit) -> list[Response]:
        values = [sum(v for word, v in self.words.items() if word in image.split()) for image in images]
        return [Response(float(value), np.zeros((1, 1), np.float32)) for value in values]

    async def keep(self, images: Sequence[str]) -> list[str]:
        return [f"id of {image}" for image in images]


class Writer:
    name = "plain"

    async def write(self, label: str, seed: int) -> tuple[PromptSet, int]:
        if label == "unwritable":
            raise Unusable("it said nothing", 3)
        return PromptSet([f"{label} no{k}" for k in range(PROMPTS)], [f"bus {label[:2]}{k}" for k in range(PROMPTS)]), 1


class Selector:
    """Prompts that share a word with the label first. It keeps what it was shown."""

    name = "plain"

    def __init__(self) -> None:
        self.shown: list[tuple[str, list[str]]] = []

    async def pick(self, label: str, prompts: Sequence[str], seed: int) -> Picked:
        self.shown.append((label, list(prompts)))
        order = sorted(range(len(prompts)), key=lambda k: -len(set(label.split()) & set(prompts[k].split())))
        return Picked(tuple(order[:PROMPTS]), tuple(order[-PROMPTS:]), 2)
