"""The training data as tensors: features of rendered lessons with their labels, drawn by several processes."""

from pathlib import Path

import numpy as np
import torch

from ...efficientnet import EfficientNetLite0, load_weights, read_weights, weights_path
from ...threads import one_thread
from .features import GRID, SIDE, Eye
from .lessons import FIRST_SEED, Lesson, lessons
from .slots import BACKGROUND_WORDS, COLOUR_WORDS, NONE, NOUN_WORDS, PATTERN_WORDS, SURFACE, indices

VARIANTS = 3
"""Regions that share a scene's features."""
SHARD = 100
OBJECTS = 3
IGNORE = -1


def trained_eye() -> Eye:
    """The eye with the weights of the pip package. Raises UserError where it is missing."""
    whole = EfficientNetLite0()
    load_weights(whole, read_weights(weights_path()))
    eye = Eye()
    eye.net.stem, eye.net.blocks = whole.stem, whole.blocks
    return eye.eval().requires_grad_(False)


def to_pixels(picture: np.ndarray) -> torch.Tensor:
    """uint8 [224, 224, 3] as the processor gives it to the tower: float32 [1, 3, 224, 224] in 0..1."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255


def shard(first: int, count: int) -> dict[str, torch.Tensor]:
    """The tensors of `count` lessons from the seed `first` on; see `row`."""
    eye = trained_eye()
    with one_thread(), torch.inference_mode():
        rows = [row(eye, lesson) for lesson in lessons(first, count, VARIANTS)]
    return {name: torch.stack([entry[name] for entry in rows]) for name in rows[0]}


def row(eye: Eye, lesson: Lesson) -> dict[str, torch.Tensor]:
    """fine, middle, coarse: features, float16. region, truth, either, which: by variant; the share of every cell that
    is bright, float16 [V, 28, 28]; the slots' words, int64 [V, 9]; whether the objects may change places, bool [V];
    which objects they are, int64 [V, 2], -1 for none. cells: noun, colour, pattern, background, int8 [4, 28, 28],
    IGNORE where a cell is not clear. objects: the share of every cell that an object covers, float16 [3, 28, 28]."""
    features, seen = eye(to_pixels(lesson.picture))
    found = {name: values[0].half() for name, values in zip(("fine", "middle", "coarse"), features, strict=True)}
    regions = [_share(region) for region in lesson.regions]
    regions[0] = seen[0, 0].numpy()  # as the tower itself finds it
    count = max(1, len(lesson.scene.objects))
    objects = np.zeros((OBJECTS, GRID, GRID))
    for number in range(count):
        objects[number] = _share(lesson.rendering.objects == number + 1)
    return {
        **found,
        "region": torch.from_numpy(np.stack(regions)).half(),
        "truth": torch.tensor([indices(entry.words) for entry in lesson.told]),
        "either": torch.tensor([entry.either for entry in lesson.told]),
        "which": torch.tensor(
            [[IGNORE if i is None else i for i in (entry.first, entry.second)] for entry in lesson.told]
        ),
        "cells": torch.from_numpy(_cells(lesson)),
        "objects": torch.from_numpy(objects).half(),
    }


def _cells(lesson: Lesson) -> np.ndarray:
    """A cell's noun is that of the object which covers most of it if that is over 40 %, NONE where objects cover under
    15 %; colour and pattern where the body covers over 30 %."""
    scene, rendering = lesson.scene, lesson.rendering
    cells = np.full((4, GRID, GRID), IGNORE, np.int8)
    if scene.surface is not None:
        for place, (words, word) in enumerate(
            ((NOUN_WORDS, SURFACE), (COLOUR_WORDS, scene.surface[0]), (PATTERN_WORDS, scene.surface[1]))
        ):
            cells[place] = words.index(word)
        return cells
    empty = _share(rendering.objects == 0) > 0.85
    cells[0][empty] = NOUN_WORDS.index(NONE)
    cells[3][empty] = BACKGROUND_WORDS.index(scene.background or NONE)
    best = np.zeros((GRID, GRID))
    for number, entry in enumerate(scene.objects):
        mine = rendering.objects == number + 1
        covered, body = _share(mine), _share(mine & rendering.body) > 0.3
        cells[0][(covered > 0.4) & (covered > best)] = NOUN_WORDS.index(entry.noun)
        best = np.maximum(best, covered)
        cells[1][body] = COLOUR_WORDS.index(entry.colour)
        cells[2][body] = PATTERN_WORDS.index(entry.pattern)
    return cells


def _share(mask: np.ndarray) -> np.ndarray:
    """float [28, 28]: the share of each cell that a bool [224, 224] mask covers."""
    cell = SIDE // GRID
    return mask.reshape(GRID, cell, GRID, cell).mean(axis=(1, 3))


def draw_shard(folder: Path, number: int) -> Path:
    """Writes the shard of that number into the folder, if it is not there. Returns its file."""
    file = folder / f"{number:05d}.pt"
    if not file.is_file():
        partial = file.with_suffix(".partial")
        torch.save(shard(FIRST_SEED + number * SHARD, SHARD), partial)
        partial.rename(file)
    return file
