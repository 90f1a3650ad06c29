"""What goes wrong when weights are brought to a device, as the scheduler understands it."""

import contextlib
from collections.abc import Iterator

import torch

from ...models.errors import UserError, first_line
from .base import ModelUnavailable, OutOfMemory


@contextlib.contextmanager
def loading_to(place: str, model: str) -> Iterator[None]:
    """Raises OutOfMemory where the block ran out of a GPU's memory, ModelUnavailable where the device or the files do
    not serve."""
    try:
        yield
    except torch.OutOfMemoryError as problem:
        raise OutOfMemory(f"the weights of {model} do not fit on {place}") from problem
    except UserError as problem:
        raise ModelUnavailable(str(problem)) from problem
    except RuntimeError as problem:
        raise ModelUnavailable(
            f"{model} cannot be loaded on {place} ({first_line(problem)}): see whether the device works "
            "(`nvidia-smi`), then start again."
        ) from problem
