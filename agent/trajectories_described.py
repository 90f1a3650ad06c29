"""Samples for an observer: pictures of a run, and what there is to say of them (`described.json`)."""

import itertools
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..engine.vlm import Vlm
from ..models.errors import UserError
from ..models.vlm.chat import ChatMessage
from ..prompts.brief import BRIEF_DESCRIBE, BRIEF_OBSERVER
from .sheets import chat_image
from .trajectories_read import DESCRIBED, read_object
from .trajectories_samples import Sample
from .transcript import ImageStore

PACK = 8
"""Pictures of a sample. An observer is asked of one at a time; packed into one dialogue, pictures that have nothing to
do with each other fill a step of training."""


def described_samples(runs: Sequence[Path], vlm: Vlm, pictures: int, seed: int) -> Iterator[tuple[str, Sample]]:
    """(name, sample) of up to so many pictures of the runs, drawn by the seed, PACK to a sample.

    They are taken in turn by the first word of what there is to say: most pictures of experiments show nothing bright,
    and what is rare is to be learned as well as what is common.

    Raises UserError for a damaged file, OSError for a picture that cannot be read.
    """
    found = [(ImageStore(run / "images").path(name), text) for run in runs for name, text in _read(run / DESCRIBED)]
    rng = random.Random(f"described/{seed}")
    groups: dict[str, list[tuple[Path, str]]] = {}
    for entry in rng.sample(found, len(found)):
        groups.setdefault(re.split(r", | \| ", entry[1])[0], []).append(entry)
    turns = itertools.chain.from_iterable(itertools.zip_longest(*(groups[word] for word in sorted(groups))))
    chosen = list(itertools.islice((entry for entry in turns if entry is not None), pictures))
    rng.shuffle(chosen)
    for number, start in enumerate(range(0, len(chosen) - PACK + 1, PACK)):
        yield f"described/{number}", _sample(chosen[start : start + PACK], vlm)


def _sample(entries: Sequence[tuple[Path, str]], vlm: Vlm) -> Sample:
    messages, learn, counter = [ChatMessage("system", (BRIEF_OBSERVER,))], [False], vlm.counter
    tokens = counter.message + counter.text(BRIEF_OBSERVER)
    for path, text in entries:
        picture = chat_image(path, vlm.family.image_side)
        messages += [ChatMessage("user", (picture, BRIEF_DESCRIBE)), ChatMessage("assistant", (text,))]
        learn += [False, True]
        tokens += 2 * counter.message + counter.image(picture.width, picture.height)
        tokens += counter.text(BRIEF_DESCRIBE) + counter.text(text)
    return Sample(messages, learn, tokens)


def _read(file: Path) -> list[tuple[str, str]]:
    data = read_object(file)
    told = {name: text for name, text in data.items() if isinstance(text, str)}
    if len(told) < len(data):
        raise UserError(f"{file} must map pictures to texts: mend or delete it.")
    return sorted(told.items())
