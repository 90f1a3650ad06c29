"""What a concept detector answers, and the pure steps between a model's scores and that answer."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image

from ..errors import ExperimentError

BOX_THRESHOLD = 0.3
TEXT_THRESHOLD = 0.25
"""As the paper has them (C4). Its published code has .25 for boxes and .3 for text."""

DILATION = 0.08
"""Radius of the dilation as a share of the picture's scale (`dilation_radius`): the paper's published code dilates
pictures of 224 x 224 nine times by an ellipse that reaches 2 pixels, 18 pixels in all."""

MIN_SIDE = 16
"""Pixels: the least width and height of a picture. Below it the picture is smaller than one patch of either model."""

MAX_ASPECT = 16.0
"""The longer side by the shorter, at most: detectors bound the longer side, so that little is left of the shorter."""


class BadPicture(ExperimentError):
    """A picture that no detector can look at. place: its index among those that were given."""

    def __init__(self, reason: str, place: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.place = place


@dataclass(frozen=True, eq=False)
class Detection:
    """One concept in one picture.

    score: 0..1, the largest box score; 0.0 where no box passes the thresholds. boxes: float32 [n, 4], x0 y0 x1 y1 in
    pixels of the picture, the best first. scores: float32 [n]. mask: bool [h, w] of the picture's size, the union of
    the boxes' segments, dilated; None where no mask was asked for or nothing was found.
    """

    score: float
    boxes: np.ndarray
    scores: np.ndarray
    mask: np.ndarray | None = None

    @property
    def found(self) -> bool:
        """Whether the concept is in the picture."""
        return len(self.boxes) > 0


class ConceptDetector(Protocol):
    """Finds concepts, which are short texts, in pictures."""

    @property
    def fingerprint(self) -> str:
        """Changes with weights, thresholds and dilation."""
        ...

    def detect(
        self, images: Sequence[Image.Image], concepts: Sequence[str], masks: bool = True
    ) -> list[dict[str, Detection]]:
        """One dict a picture, by concept, in the order given.

        The bits of an answer depend on its picture and concept alone. Raises UserError for a concept that cannot be
        asked for (`check`), and BadPicture, before anything is computed, for the first picture that cannot be looked at
        (`check_picture`, which a pass over a dataset asks first).
        """
        ...

    def detect_each(
        self, images: Sequence[Image.Image], concepts: Sequence[Sequence[str]], masks: bool = True
    ) -> list[dict[str, Detection]]:
        """As `detect`, with concepts of each picture's own."""
        ...

    def check(self, concepts: Sequence[str]) -> None:
        """Raises the UserError of `detect`, without a picture."""
        ...


def check_picture(image: Image.Image, place: int = 0) -> None:
    """Raises BadPicture for a picture that is too small (MIN_SIDE) or too narrow (MAX_ASPECT). place: what it says."""
    width, height = image.size
    if min(width, height) < MIN_SIDE:
        raise BadPicture(
            f"the picture is too small for the detector: {width} x {height} pixels, and each side needs at least "
            f"{MIN_SIDE}.",
            place,
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise BadPicture(
            f"the picture is too narrow for the detector: {width} x {height} pixels, and one side may be "
            f"{MAX_ASPECT:g} times the other at most.",
            place,
        )


def match_boxes(
    probabilities: np.ndarray, tokens: Sequence[int], box_threshold: float, text_threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which candidate boxes show the concept: (kept bool [n], scores float32 [n], matched bool [n, k]).

    probabilities: float [n, t], of each of n candidates for each of the text's t positions (sigmoid of Grounding
    DINO's logits). tokens: the k positions of the concept's own pieces, without the marks around it and the separator.
    scores: the largest probability over the concept's tokens; matched: which of them exceed `text_threshold`. A box is
    kept if its score exceeds `box_threshold` and at least one token is matched. (As in Grounding DINO, one matched
    token of several is enough: "car window" may be matched at "window" alone, which is why `matched` is told.)
    The second condition matters where text_threshold is the larger one. Comparisons are strict.
    Source: Liu et al. 2023; thresholds: paper, C4. Raises ValueError for no tokens.
    """
    if len(tokens) == 0:
        raise ValueError("a concept has at least one token")
    of_concept = np.asarray(probabilities, np.float32)[:, list(tokens)]
    scores = of_concept.max(axis=1)
    matched = of_concept > np.float32(text_threshold)
    return (scores > np.float32(box_threshold)) & matched.any(axis=1), scores, matched


def boxes_in_pixels(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """float32 [n, 4], x0 y0 x1 y1 in pixels, clipped to the picture, from centre x, centre y, width, height as shares
    of it."""
    centre, size = np.asarray(boxes, np.float32)[:, :2], np.asarray(boxes, np.float32)[:, 2:]
    corners = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
    limit = np.array([width, height, width, height], np.float32)
    return np.clip(corners * limit, np.float32(0), limit)


def best_first(boxes: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both by falling score; equal scores by their corners, so that the order does not depend on the candidates'."""
    order = np.lexsort((boxes[:, 3], boxes[:, 2], boxes[:, 1], boxes[:, 0], -scores))
    return boxes[order], scores[order]


def merge_masks(masks: Iterable[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """The union of bool [h, w] masks; nothing is set for none. Raises ValueError for a mask of another shape."""
    union = np.zeros(shape, bool)
    for mask in masks:
        if mask.shape != shape:
            raise ValueError(f"a mask is {mask.shape}, not {shape}")
        union |= mask
    return union


def dilation_radius(width: int, height: int, share: float = DILATION) -> int:
    """Pixels: `share` of the picture's scale, which is the geometric mean of its sides, rounded; at least 0."""
    return math.floor(share * math.sqrt(width * height) + 0.5)


def dilate(mask: np.ndarray, radius: int) -> np.ndarray:
    """bool [h, w]: all pixels whose centre is at most `radius` pixels from the centre of one that is set.

    That is the dilation with a disk. By the exact Euclidean distance transform, whose cost does not grow with the
    radius.
    """
    from scipy.ndimage import distance_transform_edt

    if radius < 0:
        raise ValueError(f"the radius is {radius}, which must be at least 0")
    if radius == 0 or not mask.any():
        return mask.astype(bool, copy=True)
    return np.asarray(distance_transform_edt(~mask.astype(bool)) <= radius)


NOTHING = Detection(0.0, np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
"""A concept that is not in the picture."""
