"""Vision-language checkpoints of some hundred thousand random weights, built once for all test processes."""

import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from maia.models.vlm.architectures import build_random


@cache
def tiny_checkpoint(family: str = "llava-next") -> Path:
    """A checkpoint's folder; not to be changed."""
    place = Path(os.environ["MAIA_TEST_CACHE"]) / f"vlm-{family}"
    if not place.exists():
        draft = Path(tempfile.mkdtemp(dir=place.parent))
        build_random(draft, family)
        try:
            os.rename(draft, place)
        except OSError:  # another process was first
            shutil.rmtree(draft)
    return place


def own_checkpoint(directory: Path, family: str = "llava-next") -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tiny_checkpoint(family), directory / f"vlm-{family}"))
