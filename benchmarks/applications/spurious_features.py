"""Units' activations over many pictures, kept in parts on disk, so that a killed run goes on."""

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from ...models.errors import UserError
from ...models.files import write_whole

if TYPE_CHECKING:
    from ...engine.targets import NetworkTarget

Pooling = Literal["mean", "max"]
PART = 256
"""Pictures of a part: what a killed run loses at most."""
BATCH = 16
"""Pictures of a forward."""

Draw = Callable[[int], Image.Image]
"""The i-th picture, RGB. OSError and ValueError cost that picture."""
Counted = Callable[[int, int], None]
"""Called with (pictures done, all)."""


def features_of(
    target: "NetworkTarget",
    layer: str,
    pooling: Pooling,
    draw: Draw,
    names: Sequence[str],
    folder: Path,
    progress: Counted = lambda done, total: None,
) -> np.ndarray:
    """float32 [len(names), C]: each unit's mean (or maximum) over positions; a row of NaN where there is no picture.

    names: of the pictures, which parts on disk are checked against; a part of other pictures, network, layer or pooling
    is made again. Raises UserError for an unknown layer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for first in range(0, len(names), PART):
        chosen = names[first : first + PART]
        told = json.dumps([target.fingerprint, layer, pooling, BATCH, list(chosen)])
        key = hashlib.sha256(told.encode()).hexdigest()
        file = folder / f"{first:06d}.npz"
        part = _read(file, key)
        if part is None:
            part = _part(target, layer, pooling, draw, range(first, first + len(chosen)))
            buffer = io.BytesIO()
            np.savez(buffer, key=np.array(key), values=part)
            write_whole(file, buffer.getvalue())
        parts.append(part)
        progress(first + len(chosen), len(names))
    if not parts:
        return np.zeros((0, target.network.layer(layer).units), np.float32)
    return np.concatenate(parts)


def complete(features: np.ndarray, labels: np.ndarray, what: str, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Both without the rows of pictures that could not be read, which a note counts. Raises UserError if all are."""
    there = ~np.isnan(features).any(1)
    bad = int((~there).sum())
    if bad:
        notes.append(f"{bad} {what} pictures could not be read and count nowhere.")
    if not there.any():
        raise UserError(f"none of the {len(there)} {what} pictures could be read: look at the folder's files.")
    return features[there], labels[there]


def _read(file: Path, key: str) -> np.ndarray | None:
    try:
        with np.load(file) as found:
            return np.array(found["values"]) if str(found["key"]) == key else None
    except (OSError, ValueError, KeyError, EOFError):
        return None  # none yet, or damaged: it is made (again)


def _part(target: "NetworkTarget", layer: str, pooling: Pooling, draw: Draw, numbers: range) -> np.ndarray:
    import torch

    from ...engine.extraction import as_map

    spec, size = target.network.layer(layer), target.network.preprocess.size
    values = np.full((len(numbers), spec.units), np.nan, np.float32)
    for first in range(0, len(numbers), BATCH):
        rows: list[int] = []
        pixels = np.zeros((BATCH, size, size, 3), np.uint8)
        for number in numbers[first : first + BATCH]:
            try:
                image = draw(number)
            except (OSError, ValueError, SyntaxError):
                continue
            pixels[len(rows)] = np.asarray(target.view(image))
            rows.append(number - numbers[0])

        def keep(_layer: str, output: torch.Tensor, rows: list[int] = rows) -> None:
            maps = as_map(output[: len(rows)], spec).float()
            pooled = maps.mean((2, 3)) if pooling == "mean" else maps.amax((2, 3))
            values[rows] = pooled.cpu().numpy()

        if rows:
            target.forward(torch.from_numpy(pixels), [layer], keep)
    return values
