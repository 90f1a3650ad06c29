"""What identifies a picture, and what a network looks at of it. Without torch, so that decoding processes are light."""

import hashlib
from dataclasses import dataclass
from typing import Literal

from PIL import Image

Interpolation = Literal["bilinear", "bicubic"]

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def pixel_hash(image: Image.Image) -> str:
    """32 hex digits of the SHA-256 of size and RGB pixels: the same picture has the same hash, however it is stored."""
    image = image if image.mode == "RGB" else image.convert("RGB")
    return hashlib.sha256(repr(image.size).encode() + image.tobytes()).hexdigest()[:32]


@dataclass(frozen=True)
class SquareView:
    """The square of a picture that a network looks at: shorter side to `resize` pixels, then the centre of `size`.

    size: side in pixels, at most `resize`.
    """

    size: int
    resize: int
    interpolation: Interpolation

    @property
    def key(self) -> str:
        """Names the view: two of one key see the same pixels (a network's mean and std come later)."""
        return f"{self.size}-{self.resize}-{self.interpolation}"

    def view(self, image: Image.Image) -> Image.Image:
        """RGB [size, size].

        A picture of exactly this size is taken as it is: resizing and cropping would cut its edges off, and maps would
        not cover the rendered scene that is masked. Others are cropped with torchvision's rounding (the longer side
        down, the crop's corner to the nearest even number).
        """
        picture = image if image.mode == "RGB" else image.convert("RGB")
        if picture.size == (self.size, self.size):
            return picture
        shorter = min(picture.size)
        width, height = (self.resize * side // shorter for side in picture.size)
        left, top = (round((side - self.size) / 2) for side in (width, height))
        picture = picture.resize((width, height), RESAMPLING[self.interpolation])
        return picture.crop((left, top, left + self.size, top + self.size))
