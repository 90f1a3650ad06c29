"""What can be asked of the models of a run through the scheduler, and what they answer beside plain values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from ..models.targets import Unit

Purpose = Literal["exploration", "evaluation"]


@dataclass(frozen=True)
class TextToImage:
    """A picture for a prompt. The same (prompt, seed) gives the same picture. Answer: Drawn."""

    prompt: str
    seed: int
    purpose: Purpose = "exploration"


@dataclass(frozen=True, eq=False)
class Edit:
    """A picture (RGB) changed by an instruction. Answer: Drawn."""

    image: Image.Image
    instruction: str
    seed: int


@dataclass(frozen=True)
class DatasetImage:
    """Picture k of the world's dataset. Answer: Drawn."""

    k: int


@dataclass(frozen=True, eq=False)
class Drawn:
    """A picture, RGB. note: what its asker has to be told about it, such as a prompt that was cut; "" if nothing."""

    image: Image.Image
    note: str = ""


@dataclass(frozen=True, eq=False)
class Measure:
    """A unit's answer to a picture. Answer: models.targets.Response."""

    image: Image.Image
    unit: Unit


@dataclass(frozen=True, eq=False)
class Mask:
    """A picture as the target sees it, with what is above the threshold kept and outlined. map: float32 [h, w].
    Answer: a picture."""

    image: Image.Image
    map: np.ndarray
    threshold: float


@dataclass(frozen=True, eq=False)
class Describe:
    """One line about the highlighted region of a picture. Answer: str."""

    image: Image.Image


@dataclass(frozen=True, eq=False)
class Summarize:
    """What the highlighted regions of pictures have in common. Answer: str."""

    images: Sequence[Image.Image]
