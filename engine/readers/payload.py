"""One picture on its way: where its bytes lie, how it is decoded as a network sees it, and a stream of decoded ones."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self

import numpy as np
from PIL import Image

from ...models.errors import ExperimentError
from ...models.pictures import SquareView
from ..decoding import BYTE_LIMIT, NOT_SHOWN, TOO_MANY_BYTES, UNREADABLE, BadImage, decode


class View(Protocol):
    """What a network looks at of a picture: `models.networks.network.Preprocess`.

    key: two views of one key see the same pixels. Goes to worker processes by pickle, so its class must be a module's.
    """

    @property
    def size(self) -> int: ...
    @property
    def key(self) -> str: ...
    def view(self, image: Image.Image) -> Image.Image: ...


def light_view(view: View) -> View:
    """The same view by a class that needs no torch, where there is one: a worker process then starts in a fifth."""
    try:
        light = SquareView(view.size, view.resize, view.interpolation)  # type: ignore[attr-defined]
    except AttributeError:
        return view
    return light if light.key == view.key else view


@dataclass(frozen=True)
class Decoded:
    """One entry, as a network sees it. pixels: uint8 [S, S, 3] RGB, or None and the problem that explains it."""

    ordinal: int
    pixels: np.ndarray | None
    problem: str | None = None


class Span(NamedTuple):
    """Where encoded bytes lie. size: -1 for the whole file."""

    path: str
    offset: int = 0
    size: int = -1

    def read(self, limit: int = BYTE_LIMIT) -> bytes:
        """The bytes. Raises BadImage if they cannot be read whole, or are more than `limit`."""
        try:
            with open(self.path, "rb") as file:
                if self.size < 0:
                    data = file.read(limit + 1)
                    if len(data) > limit:
                        raise BadImage(TOO_MANY_BYTES, f"at most {limit} bytes are read")
                    return data
                if self.size > limit:
                    raise BadImage(TOO_MANY_BYTES, f"{self.size} bytes; at most {limit} are read")
                file.seek(self.offset)
                data = file.read(self.size)
        except OSError as error:
            raise BadImage(UNREADABLE, error.strerror or str(error)) from None
        if len(data) < self.size:
            raise BadImage(UNREADABLE, f"the file ends {self.size - len(data)} bytes too early")
        return data


def load(payload: Span | bytes) -> Image.Image:
    """RGB picture of encoded bytes, or of where they lie. Raises BadImage."""
    return decode(payload.read() if isinstance(payload, Span) else payload)


def pixels_of(payload: Span | bytes, view: View) -> np.ndarray:
    """uint8 [S, S, 3]: the view of an encoded picture. Raises BadImage."""
    return view_pixels(load(payload), view)


def view_pixels(image: Image.Image, view: View) -> np.ndarray:
    """uint8 [S, S, 3], writable: the view of an RGB picture. Raises BadImage for one that the view refuses."""
    try:
        pixels = np.array(view.view(image), dtype=np.uint8)
    except ExperimentError as refusal:
        raise BadImage(NOT_SHOWN, str(refusal)) from None
    if pixels.shape != (view.size, view.size, 3):
        raise ValueError(f"the view is {pixels.shape}, not {(view.size, view.size, 3)}")
    return pixels


class Stream(ABC):
    """Decoded entries in the order asked for; to be used with `with`, or read to its end, or closed."""

    def __iter__(self) -> Self:
        return self

    @abstractmethod
    def __next__(self) -> Decoded: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """End what decodes; what is left is not decoded."""
