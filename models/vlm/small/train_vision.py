"""Trains the small backbone's vision part: `python -m maia.models.vlm.small.train_vision --out FILE --seed 0`.

Scenes are random, not the dataset's, and use exploration drawings only. Two processes draw them and keep
EfficientNet's features; the head then learns from these, in minutes.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from safetensors.torch import save_file
from torch.nn import functional

from .cached import IGNORE, SHARD, VARIANTS, draw_shard
from .head import CHANNELS, SlotHead
from .judge import judge
from .slots import SLOTS

SCENES, EPOCHS, BATCH, LEARNING_RATE, WEIGHT_DECAY = 9_000, 12, 32, 2e-3, 0.03
CELLS_WEIGHT, ATTENTION_WEIGHT = 0.5, 0.3
"""Of the losses that only help: what every cell shows, and where the object queries attend."""
SMOOTHING = 0.05
SLOT_WEIGHTS = (1.0, 1.0, 1.0, 0.7, 0.7, 0.7, 0.5, 0.7, 0.5)

Data = dict[str, torch.Tensor]


def read_shards(files: Sequence[Path]) -> Data:
    """All shards' tensors, joined along the scenes; joined in place, for they are large."""
    whole: Data = {}
    for number, file in enumerate(files):
        part = torch.load(file, weights_only=True)
        for name, values in part.items():
            if name not in whole:
                whole[name] = torch.empty((len(files) * SHARD, *values.shape[1:]), dtype=values.dtype)
            whole[name][number * SHARD : (number + 1) * SHARD] = values
    return whole


def draw(folder: Path, shards: int, workers: int) -> list[Path]:
    """The files of the shards, drawn where they are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(draw_shard, [folder] * shards, range(shards)))


def new_head(data: Data, seed: int) -> SlotHead:
    """A fresh head with features standardised by the first 400 scenes."""
    torch.manual_seed(seed)
    head = SlotHead(tuple(len(words) for words in SLOTS.values()))
    for name in CHANNELS:
        sample = data[name][:400].float()
        getattr(head, f"{name}_mean").copy_(sample.mean((0, 1)))
        getattr(head, f"{name}_scale").copy_(1 / (sample.flatten(0, 1).std(0) + 1e-3))
    return head


def slots_loss(logits: Sequence[torch.Tensor], truth: torch.Tensor, either: torch.Tensor) -> torch.Tensor:
    """Mean over the pictures; where both objects are as bright, the order counts that fits better."""

    def of(columns: Sequence[int], slots: Sequence[int]) -> torch.Tensor:
        return sum(
            SLOT_WEIGHTS[column]
            * functional.cross_entropy(logits[slot], truth[:, column], reduction="none", label_smoothing=SMOOTHING)
            for column, slot in zip(columns, slots, strict=True)
        )  # type: ignore[return-value]

    straight, crossed = of(range(6), range(6)), of(range(6), (3, 4, 5, 0, 1, 2))
    return (torch.where(either, torch.minimum(straight, crossed), straight) + of((6, 7, 8), (6, 7, 8))).mean()


def cells_loss(logits: torch.Tensor, cells: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """Of what every clear cell shows."""
    total = torch.zeros(())
    for part, wanted in zip(logits.split(list(sizes), 2), cells.flatten(2).unbind(1), strict=True):
        if (wanted != IGNORE).any():
            total = total + functional.cross_entropy(part.flatten(0, 1), wanted.flatten().long(), ignore_index=IGNORE)
    return total


def attention_loss(
    attended: torch.Tensor, objects: torch.Tensor, which: torch.Tensor, either: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy of where a query attends with where its object is; pictures whose objects may change places are
    left to the slots."""
    target = functional.avg_pool2d(objects.float(), 2).flatten(2)
    target = target / target.sum(-1, keepdim=True).clamp(min=1e-6)
    rows = torch.arange(len(which))
    losses = []
    for query in (0, 1):
        wanted = target[rows, which[:, query].clamp(min=0)]
        counts = (which[:, query] >= 0) & ~either
        losses.append((-(wanted * attended[:, query]).sum(-1) * counts).mean())
    return torch.stack(losses).sum()


def train(data: Data, seed: int, epochs: int, say: Callable[[str], None]) -> SlotHead:
    """A head trained with AdamW and one cycle of the learning rate."""
    head = new_head(data, seed)
    count = len(data["truth"])
    steps = epochs * (count // BATCH)
    optimizer = torch.optim.AdamW(head.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.15)
    order = np.random.default_rng(seed)
    sizes = (head.words[0], head.words[1], head.words[2], head.words[6])
    started = time.monotonic()
    for epoch in range(epochs):
        losses = []
        for rows in np.array_split(order.permutation(count)[: count // BATCH * BATCH], count // BATCH):
            variant = torch.from_numpy(order.integers(VARIANTS, size=BATCH))
            picked = torch.from_numpy(np.sort(rows))
            truth, either, region, which = (
                data[name][picked, variant] for name in ("truth", "either", "region", "which")
            )
            features = tuple(data[name][picked].float() for name in CHANNELS)
            logits, attended, cells = head(features, region[:, None].float())
            loss = slots_loss(logits, truth, either)
            shown = loss.item()
            loss = loss + CELLS_WEIGHT * cells_loss(cells, data["cells"][picked, :, ::2, ::2], sizes)
            loss = loss + ATTENTION_WEIGHT * attention_loss(attended, data["objects"][picked], which, either)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(head.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            losses.append(shown)
        say(f"epoch {epoch + 1}/{epochs}: loss {np.mean(losses):.3f} after {time.monotonic() - started:.0f} s")
    return head.eval()


def main(
    out: Annotated[Path, typer.Option(help="Where to write the weights.")],
    seed: Annotated[int, typer.Option(help="Of the head's first weights and of the order.")] = 0,
    scenes: Annotated[int, typer.Option(help="Number of training scenes, in hundreds.")] = SCENES,
    epochs: Annotated[int, typer.Option(help="Passes over the scenes.")] = EPOCHS,
    cache: Annotated[Path, typer.Option(help="Folder of the features (0.35 MB a scene).")] = Path("vision-cache"),
    workers: Annotated[int, typer.Option(help="Processes that draw.")] = 2,
    fresh: Annotated[int, typer.Option(help="Fresh pictures that judge at the end.")] = 600,
) -> None:
    """Draw, train, write the weights (half precision), and say what they reach on fresh pictures."""
    started = time.monotonic()
    files = draw(cache, scenes // SHARD, workers)
    typer.echo(f"{scenes} scenes after {time.monotonic() - started:.0f} s")
    head = train(read_shards(files), seed, epochs, typer.echo)
    save_file({name: values.half().contiguous() for name, values in head.state_dict().items()}, out)
    typer.echo(f"wrote {out.name} ({out.stat().st_size / 1e6:.1f} MB)")
    typer.echo(judge(out, fresh))


if __name__ == "__main__":
    typer.run(main)
