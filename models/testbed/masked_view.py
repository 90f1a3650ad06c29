"""Finds the highlighted region of a masked image again, from pixels alone, and undoes the mask.

A masked image (kernels/mask.py) keeps the region, darkens the rest by DARKEN and draws an outline of exactly
OUTLINE just outside the region. Darkening kept a quarter of the grey levels, so the rest comes back in steps of 4.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation, distance_transform_edt, label

from ...kernels.mask import DARKEN, OUTLINE, OUTLINE_WIDTH, outline

DARK_LIMIT = round(DARKEN * 255)
"""No darkened channel is brighter."""

_SPECK = 6  # outlines of fewer pixels are chance: a picture may hold a pixel of the outline's colour
_EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True)
class MaskedView:
    """image: uint8 [H, W, 3], the picture as it was before masking, as far as it can be restored.
    region: bool [H, W], what is highlighted: everything in a picture without a mask, nothing in a dark one."""

    image: np.ndarray
    region: np.ndarray


def recover(masked: np.ndarray) -> MaskedView:
    """The region and the restored picture of a masked (or plain) image, uint8 [H, W, 3]."""
    line = _outline(masked)
    if not line.any():
        dark = masked.max() <= DARK_LIMIT
        image = _brighten(masked) if dark else masked
        return MaskedView(image, np.full(line.shape, not dark))
    region = _inside(masked, line)
    image = np.where(region[..., None], masked, _brighten(masked))
    # The outline hides a strip of the rest: fill it from the nearest pixel of the rest (or of the region).
    known = ~line & ~region
    if not known.any():
        known = ~line
    rows, columns = distance_transform_edt(~known, return_distances=False, return_indices=True)
    image[line] = image[rows[line], columns[line]]
    return MaskedView(image, region)


def _brighten(image: np.ndarray) -> np.ndarray:
    return np.minimum(np.rint(image / DARKEN), 255).astype(np.uint8)


def _outline(image: np.ndarray) -> np.ndarray:
    line = (image == np.array(OUTLINE, np.uint8)).all(axis=2)
    pieces, count = label(line, _EIGHT)
    small = np.flatnonzero(np.bincount(pieces.ravel(), minlength=count + 1) < _SPECK)
    line[np.isin(pieces, small)] = False
    return line


def _inside(image: np.ndarray, line: np.ndarray) -> np.ndarray:
    """bool [H, W]: the pieces between outlines that are highlighted.

    A piece with a pixel brighter than darkening allows is inside. Dark pieces take the opposite of the pieces
    across their outline; where nothing is certain, the brighter of two sides is inside.
    """
    pieces, count = label(~line)
    brightest = image.max(axis=2)
    state: dict[int, bool] = {}
    for piece in range(1, count + 1):
        if brightest[pieces == piece].max() > DARK_LIMIT:
            state[piece] = True
    across = _neighbours(pieces, count)
    _propagate(state, across)
    guessed: list[list[int]] = []
    while len(state) < count:
        before = set(state)
        start = next(piece for piece in range(1, count + 1) if piece not in state)
        inner = brightest[pieces == start].mean()
        outer = [brightest[pieces == other].mean() for other in across[start]]
        state[start] = not outer or inner > max(outer)
        _propagate(state, across)
        guessed.append([piece for piece in state if piece not in before])
    region = np.isin(pieces, [piece for piece, inside in state.items() if inside])
    dark = [piece for piece in range(1, count + 1) if brightest[pieces == piece].max() <= DARK_LIMIT]
    return _judged(region, line, pieces, [*guessed, *([piece] for piece in dark)])


def _judged(region: np.ndarray, line: np.ndarray, pieces: np.ndarray, doubtful: list[list[int]]) -> np.ndarray:
    """The region with those doubtful groups of pieces turned over that make its own outline the one that is drawn.

    Pieces a hair apart may have been taken for opposites, and where all is dark inside for outside. The turn that
    mends most comes first, the smallest of equals.
    """
    while wrong := int((outline(region) ^ line).sum()):
        turned = [region ^ np.isin(pieces, group) for group in doubtful]
        order = [(int((outline(other) ^ line).sum()), int((other ^ region).sum()), i) for i, other in enumerate(turned)]
        if not order or min(order)[0] >= wrong:
            break
        region = turned[min(order)[2]]
    return region


def _neighbours(pieces: np.ndarray, count: int) -> dict[int, set[int]]:
    """Which pieces lie across an outline from each piece."""
    across: dict[int, set[int]] = {}
    reach = np.ones((2 * OUTLINE_WIDTH + 3,) * 2, bool)
    for piece in range(1, count + 1):
        near = binary_dilation(pieces == piece, reach)
        across[piece] = set(np.unique(pieces[near]).tolist()) - {0, piece}
    return across


def _propagate(state: dict[int, bool], across: dict[int, set[int]]) -> None:
    """Gives every piece that can be reached from a known one the opposite of its neighbour, the nearest first."""
    waiting = deque(state)
    while waiting:
        piece = waiting.popleft()
        for other in across[piece]:
            if other not in state:
                state[other] = not state[piece]
                waiting.append(other)
