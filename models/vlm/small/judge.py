"""How often each slot says what is there, on fresh masked pictures: `python -m maia.models.vlm.small.judge FILE`."""

from collections.abc import Iterable
from pathlib import Path

import torch
import typer

from ...errors import UserError
from ...threads import one_thread
from .cached import to_pixels, trained_eye
from .features import Eye
from .head import SlotHead
from .lessons import FRESH_SEED, Lesson, lessons
from .slots import NONE, SLOTS, indices


def read_head(file: Path) -> SlotHead:
    """The head with the weights of the file, float32. Raises UserError where it is missing or damaged."""
    from safetensors.torch import load_file

    head = SlotHead(tuple(len(words) for words in SLOTS.values()))
    try:
        head.load_state_dict({name: values.float() for name, values in load_file(file).items()})
    except Exception as problem:  # safetensors raises its own, torch RuntimeError
        raise UserError(
            f"the vision part {file} cannot be read ({str(problem).splitlines()[0]}): install the package again, or "
            "train it with `python -m maia.models.vlm.small.train_vision`."
        ) from problem
    return head.eval().requires_grad_(False)


def said(eye: Eye, head: SlotHead, lesson: Lesson) -> list[int]:
    """The most likely word of every slot."""
    with torch.inference_mode():
        logits, _, _ = head(*eye(to_pixels(lesson.picture)))
    return [int(values[0].argmax()) for values in logits]


def accuracies(eye: Eye, head: SlotHead, told: Iterable[Lesson]) -> dict[str, tuple[int, int]]:
    """By slot (right, asked). Slots of objects are asked where there is one; "… where none" counts how often they
    rightly say that there is none. Of two objects that may be told in either order, the better order counts."""
    counts: dict[str, list[int]] = {}
    for lesson in told:
        found, truth = said(eye, head, lesson), indices(lesson.told[0].words)
        if lesson.told[0].either:
            crossed = [*found[3:6], *found[:3], *found[6:]]
            found = max(found, crossed, key=lambda slots: sum(a == b for a, b in zip(slots, truth, strict=True)))
        for (name, words), mine, true in zip(SLOTS.items(), found, truth, strict=True):
            key = f"{name} where none" if words[true] == NONE else name
            entry = counts.setdefault(key, [0, 0])
            entry[0] += mine == true
            entry[1] += 1
    return {name: (right, asked) for name, (right, asked) in counts.items()}


def judge(file: Path, count: int, first: int = FRESH_SEED) -> str:
    """A line for each slot."""
    with one_thread():
        found = accuracies(trained_eye(), read_head(file), lessons(first, count))
    lines = [f"{name}: {right / asked:.3f} of {asked}" for name, (right, asked) in sorted(found.items())]
    return "\n".join([f"{count} fresh pictures", *lines])


if __name__ == "__main__":
    typer.run(lambda file, count=600: typer.echo(judge(Path(file), int(count))))
