"""Stand-ins with known answers for tests of the loop: a world of flat colours and a target that measures redness."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from maia.agent.backbones.base import Message
from maia.agent.services import Models, Services
from maia.agent.transcript import ImageStore
from maia.engine.assembly import assemble
from maia.engine.exemplars import Exemplar
from maia.engine.profile import Profile
from maia.models.errors import ExperimentError
from maia.models.targets import Response, Unit
from PIL import Image

UNIT = Unit("fake", "layer", 0)


class FlatWorld:
    """The colour of a picture is its prompt's: "red 120" is (120, 0, 0) plus the seed's last bits in blue."""

    def draw(self, prompt: str, seed: int, purpose: str = "exploration") -> Image.Image:
        name, _, value = prompt.partition(" ")
        if name != "red" or not value.isdigit():
            raise ExperimentError(f"cannot draw {prompt!r}")
        return Image.new("RGB", (16, 16), (int(value), 0, seed % 50))

    def edited(self, image: Image.Image, instruction: str) -> Image.Image:
        value = instruction.split()[-1]
        if not value.isdigit():
            raise ExperimentError(f"cannot make it {value!r}")
        return Image.new("RGB", image.size, (int(value), 0, 0))

    def dataset_image(self, k: int) -> Image.Image:
        return Image.new("RGB", (16, 16), (255 - k, 0, 0))


class FlatDescriber:
    modules = {}  # noqa: RUF012

    def describe_text(self, image: Image.Image) -> str:
        return f"red {image.getpixel((8, 8))[0]}"

    def summarize(self, images: Sequence[Image.Image]) -> str:
        return f"{len(images)} flat pictures"


class RednessTarget:
    """Activation: red / 255. broken: raises, as a lost device would."""

    name = "fake"
    fingerprint = "redness-1"
    layers = {"layer": 2}  # noqa: RUF012
    mask_threshold = None

    def __init__(self, broken: bool = False) -> None:
        self.broken = broken

    def view(self, image: Image.Image) -> Image.Image:
        return image

    def respond(self, images: Sequence[Image.Image], unit: Unit) -> list[Response]:
        if self.broken:
            raise RuntimeError("device lost")
        maps = [np.asarray(image, dtype=np.float32)[::4, ::4, 0] / 255 for image in images]
        return [Response(float(m.max()), m) for m in maps]


@dataclass
class FlatIndex:
    """Exemplars are images 0, 1, 2 … of the world."""

    has_pictures = False

    def entries(self, unit: Unit, k: int = 15) -> list[Exemplar]:
        return [Exemplar(i, str(i), (255 - i) / 255, None, None) for i in range(k)]

    def threshold(self, unit: Unit) -> float:
        return 0.5

    def percentile(self, unit: Unit, q: float) -> float:
        return q


class CannedBackbone:
    """Gives the replies in turn; it finds its place from the dialogue, as a resumed run has to."""

    name = "canned"

    def __init__(self, replies: Sequence[str]) -> None:
        self.replies = list(replies)
        self.seen: list[Sequence[Message]] = []

    async def reply(self, messages: Sequence[Message], seed: int, grammar: str | None = None) -> str:
        self.seen.append(messages)
        await asyncio.sleep(0)
        return self.replies[sum(message.role == "assistant" for message in messages)]


def services(run: Path, broken: bool = False, profile: Profile | None = None) -> Services:
    """profile: whose generators draw in the place of the flat world."""
    target: Any = RednessTarget(broken)
    index: Any = FlatIndex()
    describer: Any = FlatDescriber()
    scheduler = assemble({target.name: target}, FlatWorld(), describer, 4, profile)
    models = Models() if profile is None else Models("text2image", "edit")
    return Services(target, index, scheduler, ImageStore(run / "images"), models)


def experiment(body: str) -> str:
    """A reply whose code is this body of run_experiment."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return (
        f"[HYPOTHESIS LIST]:\nHypothesis_1: red\n[CODE]:\n```python\ndef run_experiment(system, tools):\n{lines}\n```\n"
    )


CONCLUSION = "[DESCRIPTION]: it responds to red\n[LABEL]: red\n"
