"""Dialogues of an experiment's shape, and a tokenizer that can be counted by hand."""

import math
import random
import re
from collections.abc import Sequence
from pathlib import Path

from maia.agent.backbones.base import Message, Part, Passage, Picture
from maia.models.vlm.chat import ChatImage, ChatMessage
from maia.models.vlm.families import Family, families
from PIL import Image

_TOKEN = re.compile(r"\w{1,6}|[^\w\s]")


class CountingTokens:
    """A token for every six letters and every sign. image: tokens of a picture; None: one for every 28 x 28 pixels."""

    message = 3
    exact = True

    def __init__(self, image: int | None = None) -> None:
        self._image = image

    def text(self, text: str) -> int:
        return len(_TOKEN.findall(text))

    def image(self, width: int, height: int) -> int:
        return self._image if self._image is not None else math.ceil(width / 28) * math.ceil(height / 28)

    def stream(self, messages: Sequence[ChatMessage]) -> list[object]:
        """The tokens themselves, as a prefix cache compares them: pictures are equal if their bytes are."""
        stream: list[object] = []
        for message in messages:
            stream += [f"<{message.role}>"] * self.message
            for part in message.parts:
                if isinstance(part, ChatImage):
                    key = hash(part.data)
                    stream += [(key, place) for place in range(self.image(part.width, part.height))]
                else:
                    stream += _TOKEN.findall(part)
        return stream


def family(**changes: object) -> Family:
    """A row of facts with what matters to a prompt."""
    row = vars(families()["qwen2.5-vl"]) | {"image_side": 64, "sheet_side": 200, "images_per_prompt": 99}
    return Family(**(row | changes))


def words(count: int, rng: random.Random) -> str:
    """So many tokens of text."""
    return " ".join(rng.choice(("red", "ball", "beach", "dog", "green", "in", "the", "snow")) for _ in range(count))


def pictures(folder: Path, count: int = 8, side: int = 40) -> list[Path]:
    """Files of one colour each."""
    paths = [folder / f"{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        Image.new("RGB", (side, side), (number * 30 % 256, 80, 200 - number * 20 % 200)).save(path)
    return paths


def reply(hypotheses: str, code: str) -> Message:
    """An experiment as a backbone writes it."""
    text = f"[HYPOTHESIS LIST]:\nHypothesis_1: {hypotheses}\n[CODE]:\n```python\n{code}\n```"
    return Message("assistant", (text,))


def result(number: int, shown: Sequence[Picture], note: Passage) -> Message:
    """An experiment's result, laid out as `agent.dialogue` does."""
    parts: list[Part] = [f"[RESULT OF EXPERIMENT {number}]"]
    for place, picture in enumerate(shown, start=1):
        value = "" if picture.activation is None else f", activation {picture.activation:g}"
        parts += [Passage(f"({place}) {picture.title}{value}", ""), picture]
    return Message("user", (*parts, note))
