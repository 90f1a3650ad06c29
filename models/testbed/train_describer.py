"""Trains the describer's two heads on rendered scenes: `python -m maia.models.testbed.train_describer`.

Scenes are random, not those of the dataset, and use exploration drawings only; half of them go through a masked image
and back, so that the heads know what restored pictures look like. One core, one seed, 3 GB of memory; 15 minutes
on a core of a busy machine.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from safetensors.torch import save_file
from torch.nn import functional

from ..threads import one_thread
from .dense import (
    BACKGROUND_CELL,
    BACKGROUND_NAMES,
    CELL,
    COLOUR_NAMES,
    GRID,
    NOUN_NAMES,
    PATTERN_NAMES,
    SURFACE_CELL,
    DenseHead,
    Features,
    FrozenNet,
    features,
    read_cells,
)
from .describer import PREFIXES, WEIGHTS, Describer, Pieces, find
from .describer_scenes import FIRST_SEED, picture, random_scene
from .renderer import render
from .scene import Rendering, Scene
from .second_look import ObjectHead, object_features

SCENES = 3500
EPOCHS = 4
BATCH = 16
LEARNING_RATE = 4e-3
NAMING_EPOCHS, NAMING_BATCH, NAMING_RATE = 20, 64, 1e-3
IGNORE = -1

Labels = dict[str, torch.Tensor]


def cell_labels(scene: Scene, rendering: Rendering) -> Labels:
    """int64 [28, 28] per head, IGNORE where a cell is not clear; "body" is 0 or 1.

    A cell belongs to the object that covers the most of it if that is over 40 %, to the background if objects
    cover under 15 %. Colour and pattern are asked where the body covers over 30 %.
    """
    labels = {name: np.full((GRID, GRID), IGNORE) for name in ("noun", "colour", "pattern", "background", "body")}
    if scene.surface is not None:
        values = (SURFACE_CELL, COLOUR_NAMES.index(scene.surface[0]), PATTERN_NAMES.index(scene.surface[1]), IGNORE, 1)
        for name, value in zip(labels, values, strict=True):
            labels[name][:] = value
        return {name: torch.from_numpy(values) for name, values in labels.items()}
    assert scene.background is not None
    empty = _share(rendering.objects == 0) > 0.85
    labels["noun"][empty] = BACKGROUND_CELL
    labels["background"][empty] = BACKGROUND_NAMES.index(scene.background)
    best = np.zeros((GRID, GRID))
    for i, entry in enumerate(scene.objects):
        covered, body = _share(rendering.objects == i + 1), _share((rendering.objects == i + 1) & rendering.body)
        mine = (covered > 0.4) & (covered > best)
        best = np.maximum(best, covered)
        labels["noun"][mine] = NOUN_NAMES.index(entry.noun)
        labels["body"][mine] = (body > 0.5 * covered)[mine]
        mine = body > 0.3
        labels["colour"][mine] = COLOUR_NAMES.index(entry.colour)
        labels["pattern"][mine] = PATTERN_NAMES.index(entry.pattern)
    return {name: torch.from_numpy(values) for name, values in labels.items()}


def _share(mask: np.ndarray) -> np.ndarray:
    """float [28, 28]: the share of each cell that a bool [224, 224] mask covers."""
    return mask.reshape(GRID, CELL, GRID, CELL).mean(axis=(1, 3))


@dataclass
class Lesson:
    """A training scene with the picture that is looked at (about 0.2 MB)."""

    scene: Scene
    rendering: Rendering
    image: np.ndarray


def collect(net: FrozenNet, count: int) -> tuple[list[Lesson], list[torch.Tensor], Labels]:
    """The training scenes, their features (half precision, stacked per scale) and their labels."""
    lessons: list[Lesson] = []
    stacks: list[torch.Tensor] = []
    labels: dict[str, list[torch.Tensor]] = {}
    for i in range(count):
        scene = random_scene(FIRST_SEED + i)
        rendering = render(scene)
        lessons.append(Lesson(scene, rendering, picture(scene, rendering)))
        found = features(net, lessons[-1].image)
        if not stacks:
            stacks = [torch.empty((count, *values.shape), dtype=torch.float16) for values in found]
        for stack, values in zip(stacks, found, strict=True):
            stack[i] = values
        for name, values in cell_labels(scene, rendering).items():
            labels.setdefault(name, []).append(values)
    return lessons, stacks, {name: torch.stack(values) for name, values in labels.items()}


def loss_of(logits: dict[str, torch.Tensor], labels: Labels) -> torch.Tensor:
    """Sum of the heads' cross-entropies; background cells count less, for there are so many."""
    weight = torch.ones(len(NOUN_NAMES))
    weight[[BACKGROUND_CELL, SURFACE_CELL]] = 0.25
    total = functional.cross_entropy(logits["noun"], labels["noun"], weight, ignore_index=IGNORE)
    for name, factor in (("colour", 0.7), ("pattern", 1.0), ("background", 0.3)):
        total = total + factor * functional.cross_entropy(logits[name], labels[name], ignore_index=IGNORE)
    clear = labels["body"] != IGNORE
    body = functional.binary_cross_entropy_with_logits(logits["body"][:, 0][clear], labels["body"][clear].float())
    return total + 0.3 * body


def set_scales(head: DenseHead, stacks: list[torch.Tensor]) -> None:
    """Standardises every feature channel by the first 400 training scenes."""
    for name, stack in zip(("fine", "middle", "coarse"), stacks, strict=True):
        sample = stack[:400].float()
        getattr(head, f"{name}_mean").copy_(sample.mean((0, 2, 3))[:, None, None])
        getattr(head, f"{name}_scale").copy_(1 / (sample.std((0, 2, 3))[:, None, None] + 1e-3))


def train(stacks: list[torch.Tensor], labels: Labels, epochs: int) -> DenseHead:
    """A head trained with AdamW and one cycle of the learning rate; deterministic on one thread."""
    torch.manual_seed(0)
    head = DenseHead().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    set_scales(head, stacks)
    count = len(stacks[0])
    steps = epochs * (count // BATCH)
    optimizer = torch.optim.AdamW(head.parameters(), lr=LEARNING_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.15)
    order = np.random.default_rng(0)
    for epoch in range(epochs):
        losses = []
        for rows in np.array_split(order.permutation(count)[: count // BATCH * BATCH], count // BATCH):
            batch: Features = tuple(stack[rows].float() for stack in stacks)  # type: ignore[assignment]
            loss = loss_of(head(*batch), {name: values[rows] for name, values in labels.items()})
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        typer.echo(f"epoch {epoch + 1}/{epochs}: loss {np.mean(losses):.3f}")
    return head.eval()


def matched(pieces: Pieces, scene: Scene, rendering: Rendering) -> list[tuple[np.ndarray, tuple[int, int, int]]]:
    """The found objects that are clearly one true object: (cells, (noun, colour, pattern) as indices).

    Clearly: most of what they cover is that object. A close-up's noun is IGNORE.
    """
    if scene.surface is not None:
        answer = (IGNORE, COLOUR_NAMES.index(scene.surface[0]), PATTERN_NAMES.index(scene.surface[1]))
        return [(pieces.objects[0], answer)] if pieces.close_up else []
    found = []
    shares = [_share(rendering.objects == i + 1) for i in range(len(scene.objects))]
    for cells in () if pieces.close_up else pieces.objects:
        covered = np.array([share[cells].sum() for share in shares])
        if covered.max(initial=0) > max(0.7 * covered.sum(), 0.25 * cells.sum()):
            entry = scene.objects[int(covered.argmax())]
            answer = (
                NOUN_NAMES.index(entry.noun),
                COLOUR_NAMES.index(entry.colour),
                PATTERN_NAMES.index(entry.pattern),
            )
            found.append((cells, answer))
    return found


def collect_objects(
    net: FrozenNet, head: DenseHead, lessons: list[Lesson], stacks: list[torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Features float32 [N, LENGTH] and answers int64 [N, 3] of the objects that the dense head finds in the scenes."""
    vectors, answers = [], []
    for i, lesson in enumerate(lessons):
        found = read_cells(head, tuple(stack[i].float() for stack in stacks))  # type: ignore[arg-type]
        body = np.exp(found["body"][0])
        for cells, answer in matched(find(found), lesson.scene, lesson.rendering):
            vectors.append(object_features(net, lesson.image, cells, body))
            answers.append(answer)
    return torch.stack(vectors), torch.tensor(answers)


def train_naming(vectors: torch.Tensor, answers: torch.Tensor, epochs: int = NAMING_EPOCHS) -> ObjectHead:
    """A head that names objects; deterministic on one thread."""
    torch.manual_seed(0)
    head = ObjectHead()
    head.mean.copy_(vectors.mean(0))
    head.scale.copy_(1 / (vectors.std(0) + 1e-3))
    count = len(vectors)
    steps = epochs * (count // NAMING_BATCH)
    optimizer = torch.optim.AdamW(head.parameters(), lr=NAMING_RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, NAMING_RATE, total_steps=steps, pct_start=0.2)
    order = np.random.default_rng(1)
    for _ in range(epochs):
        for rows in np.array_split(
            order.permutation(count)[: count // NAMING_BATCH * NAMING_BATCH], count // NAMING_BATCH
        ):
            logits = head(vectors[rows])
            loss = torch.zeros(())
            for column, values in enumerate(logits.values()):
                wanted = answers[rows, column]
                loss = loss + functional.cross_entropy(values, wanted, ignore_index=IGNORE, label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return head.eval()


def main(
    out: Annotated[Path, typer.Option(help="Where to write the weights.")] = WEIGHTS,
    scenes: Annotated[int, typer.Option(help="Number of training scenes.")] = SCENES,
    epochs: Annotated[int, typer.Option(help="Passes of the dense head over the training scenes.")] = EPOCHS,
) -> None:
    """Train both heads, write their weights, and report accuracy on held-out scenes and held-out drawings."""
    from .evaluate_describer import report

    started = time.monotonic()
    net = FrozenNet()
    with one_thread():
        lessons, stacks, labels = collect(net, scenes)
        typer.echo(f"{scenes} scenes after {time.monotonic() - started:.0f} s")
        dense = train(stacks, labels, epochs)
        typer.echo(f"dense head after {time.monotonic() - started:.0f} s")
        vectors, answers = collect_objects(net, dense, lessons, stacks)
        typer.echo(f"{len(vectors)} objects after {time.monotonic() - started:.0f} s")
        naming = train_naming(vectors, answers)
    heads = zip(PREFIXES, (dense, naming), strict=True)
    save_file({prefix + k: v.contiguous() for prefix, head in heads for k, v in head.state_dict().items()}, out)
    typer.echo(f"wrote {out.name} ({out.stat().st_size / 1e6:.1f} MB) after {time.monotonic() - started:.0f} s")
    typer.echo(report(Describer(out)))


if __name__ == "__main__":
    typer.run(main)
