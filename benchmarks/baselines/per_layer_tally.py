"""The usual way to find a network's exemplars and thresholds: a full forward for every layer, all activations counted.

What Network Dissection's tally does (Bau et al., 2020; its `tally_topk_and_quantile`), written anew and plainly: the
maxima of a batch go to a running top-k, and all activations, as [B * H * W, C], to a running sample of quantiles of
the kind of Karnin, Lang and Liberty (2016). It is what the index pass is timed against, and its results are those the
pass has to agree with.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ...engine.extraction import as_map
from ...models.networks.network import LayerSpec

RESOLUTION = 4096
"""Values that the quantiles' sample keeps at least, for each unit; the original's default."""

_SHRINK = 2 / 3
_SMALLEST = 128


class RunningTopK:
    """The k largest values of each unit and the numbers of their observations."""

    def __init__(self, k: int) -> None:
        self._k, self._count = k, 0
        self._values: torch.Tensor | None = None
        self._ids: torch.Tensor | None = None

    def add(self, values: torch.Tensor) -> None:
        """Observations [B, C]; they are numbered as they come."""
        best = values.T.contiguous().topk(min(self._k, len(values)), dim=1)
        numbers = best.indices + self._count
        self._count += len(values)
        if self._values is None or self._ids is None:
            self._values, self._ids = best.values, numbers
            return
        pool, ids = torch.cat([self._values, best.values], 1), torch.cat([self._ids, numbers], 1)
        chosen = pool.topk(min(self._k, pool.shape[1]), dim=1)
        self._values, self._ids = chosen.values, ids.gather(1, chosen.indices)

    def result(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Values [C, k], descending, and int64 numbers [C, k] (fewer columns while fewer were seen)."""
        assert self._values is not None and self._ids is not None, "nothing was added"
        return self._values, self._ids


class RunningQuantiles:
    """A sample of each unit's values in levels: one of level l stands for 2^l values that were seen.

    A level that is full is sorted, and every second value of it, from the first or the second at random, goes to the
    next level. Exact as long as no more than 2 * `resolution` values of a unit have been seen.
    """

    def __init__(self, resolution: int = RESOLUTION, seed: int = 0) -> None:
        self._size = 2 * resolution
        self._random = torch.Generator().manual_seed(seed)
        self._buffer: torch.Tensor | None = None  # level 0, filled in place
        self._filled = 0
        self._levels: list[torch.Tensor] = []  # from level 1 on, [C, n]
        self._lowest = self._highest = torch.empty(0)

    def add(self, values: torch.Tensor) -> None:
        """Values [N, C]."""
        if self._buffer is None:
            self._buffer = values.new_empty((values.shape[1], self._size))
            self._lowest, self._highest = values[0], values[0]
        start = 0
        while start < len(values):
            room = self._capacity(0) - self._filled
            if room <= 0:
                self._compress()
                continue
            piece = values[start : start + room]
            self._buffer[:, self._filled : self._filled + len(piece)] = piece.T
            self._filled += len(piece)
            start += len(piece)

    def quantiles(self, shares: Sequence[float]) -> torch.Tensor:
        """float64 [C, len(shares)]: values at the ranks q * (n - 1) of the weighted sample, linear in between."""
        assert self._buffer is not None, "nothing was added"
        levels = [self._buffer[:, : self._filled], *self._levels]
        values, order = torch.cat(levels, 1).double().sort(dim=1)
        weights = torch.cat([torch.full((level.shape[1],), 2.0**height) for height, level in enumerate(levels)])
        weights = weights.to(values.device, torch.float64)[order]
        # A value of weight w stands for w ranks; its place is their middle.
        ranks = weights.cumsum(1) - (weights + 1) / 2
        found = []
        for share in shares:
            wanted = (share * (weights.sum(1) - 1))[:, None]
            right = torch.searchsorted(ranks, wanted).clamp(0, values.shape[1] - 1)
            left = (right - 1).clamp_min(0)
            low, high = ranks.gather(1, left), ranks.gather(1, right)
            part = ((wanted - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
            found.append(values.gather(1, left).lerp(values.gather(1, right), part))
        return torch.cat(found, 1)

    def extremes(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The smallest and largest value [C] of all that were seen."""
        assert self._buffer is not None, "nothing was added"
        self._see(self._buffer[:, : self._filled])
        return self._lowest, self._highest

    def _capacity(self, level: int) -> int:
        """The highest level has the whole size, those below each two thirds of the next."""
        size = math.ceil(self._size * _SHRINK ** (len(self._levels) - level))
        return min(self._size, max(_SMALLEST, size + size % 2))

    def _see(self, values: torch.Tensor) -> None:
        if values.shape[1]:
            self._lowest = torch.minimum(self._lowest, values.amin(1))
            self._highest = torch.maximum(self._highest, values.amax(1))

    def _compress(self) -> None:
        assert self._buffer is not None
        level, full = 0, self._buffer[:, : self._filled]
        self._see(full)
        self._filled = 0
        while True:
            even = full.shape[1] // 2 * 2
            rest, ordered = full[:, even:], full[:, :even].sort(dim=1).values
            kept = ordered[:, int(torch.randint(2, (), generator=self._random)) :: 2]
            if level == 0:
                assert not rest.shape[1], "level 0 holds an even number"
            else:
                self._levels[level - 1] = rest
            if level == len(self._levels):
                self._levels.append(kept.new_empty((len(kept), 0)))
            full = self._levels[level] = torch.cat([self._levels[level], kept], 1)
            level += 1
            if full.shape[1] < self._capacity(level):
                return


def tally_per_layer(
    module: nn.Module,
    layers: Mapping[str, LayerSpec],
    batches: Callable[[], Iterable[torch.Tensor]],
    k: int,
    resolution: int = RESOLUTION,
) -> dict[str, tuple[RunningTopK, RunningQuantiles]]:
    """Top-k and quantiles of each layer, from one full forward pass over all batches for each layer.

    batches: called once for each layer, gives the network's inputs [B, 3, H, W].
    """
    modules = dict(module.named_modules())
    found = {}
    for name, spec in layers.items():
        topk, quantiles = RunningTopK(k), RunningQuantiles(resolution)

        # In the hook: a successor that works in place has not yet changed the output.
        def tally(
            _module: nn.Module,
            _inputs: object,
            output: Any,
            spec: LayerSpec = spec,
            topk: RunningTopK = topk,
            quantiles: RunningQuantiles = quantiles,
        ) -> None:
            maps = as_map(output if spec.output is None else output[spec.output], spec)
            topk.add(maps.flatten(2).amax(2))
            quantiles.add(maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1]))

        handle = modules[spec.module].register_forward_hook(tally)
        try:
            for images in batches():
                with torch.inference_mode():
                    module(images)
        finally:
            handle.remove()
        found[name] = (topk, quantiles)
    return found
