"""The running state of one layer during an index pass: exemplars, histograms and extremes of what has been seen."""

from dataclasses import dataclass

import numpy as np
import torch

from ..kernels.reduce import first_argmax, reduce_layer
from ..kernels.sketch import BINS, add
from ..kernels.topk import empty_topk, join_topk, merge_topk
from ..models.networks.network import LayerSpec
from .extraction import gather_maps
from .index_part import LayerPart, SparseCounts, best_rows


@dataclass
class Rows:
    """The images of one batch: ids int64 [B] on the CPU, distinct; phases int64 [B] and valid bool [B] on the device.

    Rows that are not valid count nowhere.
    """

    ids: torch.Tensor
    phases: torch.Tensor
    valid: torch.Tensor


class LayerState:
    """One layer over the images so far. `update` takes a batch; `take_part` hands over what came since the last one.

    The k best of each unit stay known between parts, so that a later part holds only what can still matter: on
    average k * (1 + ln(N / k)) entries of a unit over N images, instead of k in every part.
    """

    def __init__(self, units: int, k: int, samples: int | None, device: torch.device, cells: bool = True):
        """samples: positions of a map that are counted (None: all). cells: whether map values are counted at all."""
        self._k, self._samples, self._units = k, samples, units
        self._values, self._ids = empty_topk(units, k, device)
        self._cells = torch.zeros((units, BINS), dtype=torch.int32, device=device) if cells else None
        self._maxima = torch.zeros((units, BINS), dtype=torch.int32, device=device)
        self._pending: list[dict[str, np.ndarray]] = []
        self._pending_rows = 0
        self._shape: tuple[int, int] = (0, 0)
        self._reset_extremes()
        self.branches: dict[str, str] = {}

    def _reset_extremes(self) -> None:
        device = self._values.device
        self._lowest = torch.full((self._units,), torch.inf, device=device)
        self._highest = torch.full((self._units,), -torch.inf, device=device)
        self._lowest_count = torch.zeros(self._units, dtype=torch.int64, device=device)
        self._highest_count = torch.zeros(self._units, dtype=torch.int64, device=device)

    def update(self, output: torch.Tensor, spec: LayerSpec, rows: Rows) -> None:
        """A batch's output of the layer, as the module gave it (see `kernels.reduce.reduce_layer` for layouts)."""
        reduced = reduce_layer(
            output,
            spec.layout,
            self._cells,
            rows.phases,
            self._samples,
            prefix=spec.prefix,
            valid=rows.valid,
            positions=False,
        )
        self.branches["reduce"] = reduced.branch
        images, units = self._admit(reduced.maxima, rows)
        if len(images):
            maps = gather_maps(output, spec, images, units)
            positions = first_argmax(maps.flatten(1))
            self._keep(images, units, reduced.maxima, rows.ids, positions, maps)

    def update_maxima(self, maxima: torch.Tensor, rows: Rows) -> None:
        """A batch's activations float32 [B, C], of a target that gives no maps."""
        images, units = self._admit(maxima, rows)
        if len(images):
            nowhere = torch.full((len(images),), -1, dtype=torch.int64)
            self._keep(images, units, maxima, rows.ids, nowhere, torch.zeros((len(images), 0, 0)))

    def _admit(self, maxima: torch.Tensor, rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        """(image, unit) pairs that are among the k best so far; counts the activations."""
        maxima += 0.0  # -0.0 becomes 0.0: of two equal zeros the order of images would else choose the bits
        merged = merge_topk(self._values, self._ids, maxima, rows.ids)
        self.branches["topk"] = merged.branch
        self._values, self._ids = merged.values, merged.ids
        known = maxima > -torch.inf  # neither NaN nor a row that does not count
        add(self._maxima, maxima.masked_fill(~known, torch.nan))
        lowest = torch.minimum(self._lowest, maxima.masked_fill(~known, torch.inf).amin(0))
        highest = torch.maximum(self._highest, maxima.masked_fill(~known, -torch.inf).amax(0))
        self._lowest_count = _counted(maxima, known, lowest, self._lowest, self._lowest_count)
        self._highest_count = _counted(maxima, known, highest, self._highest, self._highest_count)
        self._lowest, self._highest = lowest, highest
        images, units = merged.taken.nonzero(as_tuple=True)
        return images, units

    def _keep(
        self,
        images: torch.Tensor,
        units: torch.Tensor,
        maxima: torch.Tensor,
        ids: torch.Tensor,
        positions: torch.Tensor,
        maps: torch.Tensor,
    ) -> None:
        self._shape = (maps.shape[1], maps.shape[2])
        self._pending.append(
            {
                "units": units.to(torch.int32).cpu().numpy(),
                "ids": ids[images.cpu()].numpy(),
                "values": maxima[images, units].cpu().numpy(),
                "positions": positions.to(torch.int32).cpu().numpy(),
                "maps": maps.cpu().numpy(),
            }
        )
        self._pending_rows += len(units)
        if self._pending_rows > 2 * self._k * self._units:  # what has been beaten since is dropped: memory is bounded
            self._pending = [self._pruned()]
            self._pending_rows = len(self._pending[0]["units"])

    def _pruned(self) -> dict[str, np.ndarray]:
        """The pending exemplars that are still among the k best, in the order of `LayerPart`."""
        if not self._pending:
            empty = np.empty(0, np.int32)
            return {
                "units": empty,
                "ids": np.empty(0, np.int64),
                "values": np.empty(0, np.float32),
                "positions": empty,
                "maps": np.empty((0, *self._shape), np.float32),
            }
        light = {
            name: np.concatenate([batch[name] for batch in self._pending])
            for name in ("units", "ids", "values", "positions")
        }
        best = self._ids.cpu().numpy()
        still = (best[light["units"]] == light["ids"][:, None]).any(1)
        rows = np.flatnonzero(still)
        rows = rows[best_rows(light["units"][rows], light["values"][rows], light["ids"][rows], self._k)]
        starts = np.cumsum([0, *(len(batch["units"]) for batch in self._pending)])
        maps = np.empty((len(rows), *self._shape), np.float32)
        for batch, start in zip(self._pending, starts[:-1], strict=True):
            here = (rows >= start) & (rows < start + len(batch["units"]))
            maps[here] = batch["maps"][rows[here] - start]
        return {name: values[rows] for name, values in light.items()} | {"maps": maps}

    def take_part(self) -> LayerPart:
        """What the images since the last call add, and starts the next part. The k best stay known."""
        kept = self._pruned()
        part = LayerPart(
            **kept,
            cells=_sparse(self._cells),
            maxima=_sparse(self._maxima),
            lowest=self._lowest.cpu().numpy(),
            lowest_count=self._lowest_count.cpu().numpy(),
            highest=self._highest.cpu().numpy(),
            highest_count=self._highest_count.cpu().numpy(),
        )
        self._pending, self._pending_rows = [], 0
        self._reset_extremes()
        return part

    def know(self, part: dict[str, np.ndarray]) -> None:
        """Takes in exemplars that an earlier run left ("units", "ids", "values"): what they beat is not kept again."""
        slots = np.arange(len(part["units"])) - np.searchsorted(part["units"], part["units"])
        values, ids = empty_topk(self._units, self._k)
        values[part["units"], slots] = torch.from_numpy(part["values"])
        ids[part["units"], slots] = torch.from_numpy(part["ids"])
        device = self._values.device
        self._values, self._ids = join_topk(self._values, self._ids, values.to(device), ids.to(device))


def _sparse(counts: torch.Tensor | None) -> SparseCounts:
    """The counts that are not zero; sets the histogram back to zero."""
    if counts is None:
        return SparseCounts.empty()
    flat = counts.view(-1)
    at = flat.nonzero()[:, 0]
    found = SparseCounts(at.cpu().numpy(), flat[at].to(torch.int64).cpu().numpy())
    counts.zero_()
    return found


def _counted(
    maxima: torch.Tensor, known: torch.Tensor, extreme: torch.Tensor, before: torch.Tensor, count: torch.Tensor
) -> torch.Tensor:
    """int64 [C]: how many images so far have the extreme; `before` and `count` are those without this batch."""
    return torch.where(before == extreme, count, 0) + ((maxima == extreme) & known).sum(0)
