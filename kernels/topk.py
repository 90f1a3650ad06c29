"""The running top-k of each unit: which images have the largest values, ties to the lower id.

Value and id are packed into one int64 that orders as the pair does, so that a merge is one selection of the largest
and the result is a function of the set of candidates alone, whatever the order and the batches they came in.
"""

from dataclasses import dataclass

import torch

from .dispatch import Branch, RanBranch, choose, on_device_of
from .empty import EMPTY_ID, EMPTY_KEY

MAX_ID = 2**31 - 1
"""The largest id: half a key is the id's."""

_SIGN_FLIP = 0x7FFFFFFF


@dataclass(frozen=True)
class Merged:
    """The top-k after a merge.

    values: float32 [C, k], descending; ids: int64 [C, k], ascending among equal values; empty slots are
    (-inf, EMPTY_ID) and last. taken: bool [B, C], which candidates are in the result. branch: what ran.
    """

    values: torch.Tensor
    ids: torch.Tensor
    taken: torch.Tensor
    branch: RanBranch


def empty_topk(units: int, k: int, device: torch.device | str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
    """Values float32 [units, k] of -inf and ids int64 [units, k] of EMPTY_ID: nothing seen yet."""
    values = torch.full((units, k), -torch.inf, device=device)
    return values, torch.full((units, k), EMPTY_ID, dtype=torch.int64, device=device)


def merge_topk(
    values: torch.Tensor, ids: torch.Tensor, batch: torch.Tensor, batch_ids: torch.Tensor, branch: Branch = "auto"
) -> Merged:
    """The k best of a unit's slots and a batch's candidates, for every unit.

    values float32 [C, k] and ids int64 [C, k]: from `empty_topk` or the last merge. batch float32 [B, C]: the
    candidates; NaN and -inf are never taken; -0 counts as 0 and comes back as 0. batch_ids int64 [B], 0 .. MAX_ID:
    distinct, and not yet among `ids` (the caller sees every image once); on the CPU or on the device (where checking
    their range makes the CPU wait for the device).

    Nothing is changed in place. Raises ValueError for shapes or dtypes that do not fit or ids out of range, and
    BranchUnavailable (see dispatch.py).
    """
    _check(values, ids, batch, batch_ids)
    ran = choose(branch, batch)
    on_device = batch_ids.to(batch.device, non_blocking=True)
    if ran == "triton" and batch.numel() and values.shape[1]:
        from .topk_triton import merge

        with on_device_of(batch):
            return Merged(*merge(values, ids, batch, on_device), "triton")
    return Merged(*_merge_torch(values, ids, batch, on_device), ran)


def join_topk(
    values: torch.Tensor, ids: torch.Tensor, other_values: torch.Tensor, other_ids: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The top-k [C, k] of two parts' top-k (values float32 [C, k], ids int64 [C, k], as `merge_topk` gives them).

    With parts of disjoint sets of images this is the top-k of their union. Plain torch.
    """
    keys = torch.cat([sort_key(values, ids), sort_key(other_values, other_ids)], dim=1)
    return unpack_key(keys.topk(values.shape[1], dim=1).values)


def sort_key(values: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """int64 that orders as (value, lower id first): values float32, ids int64 0 .. MAX_ID of shapes that broadcast.

    EMPTY_KEY for NaN, -inf and negative ids.
    """
    bits = (values + 0.0).view(torch.int32)  # -0 + 0 is +0: equal values have equal bits.
    ordered = bits ^ ((bits >> 31) & _SIGN_FLIP)
    key = (ordered.long() << 32) | (MAX_ID - ids)
    return key.masked_fill_(~(values > -torch.inf) | (ids < 0), EMPTY_KEY)


def unpack_key(keys: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Values float32 and ids int64 of keys: the inverse of `sort_key`, and (-inf, EMPTY_ID) of EMPTY_KEY."""
    ordered = (keys >> 32).int()
    values = (ordered ^ ((ordered >> 31) & _SIGN_FLIP)).view(torch.float32)
    empty = keys == EMPTY_KEY
    return values.masked_fill(empty, -torch.inf), (MAX_ID - (keys & 0xFFFFFFFF)).masked_fill_(empty, EMPTY_ID)


def _check(values: torch.Tensor, ids: torch.Tensor, batch: torch.Tensor, batch_ids: torch.Tensor) -> None:
    if values.dtype != torch.float32 or batch.dtype != torch.float32:
        raise ValueError(f"values and batch are float32, not {values.dtype} and {batch.dtype}")
    if ids.dtype != torch.int64 or batch_ids.dtype != torch.int64:
        raise ValueError(f"ids and batch_ids are int64, not {ids.dtype} and {batch_ids.dtype}")
    fits = values.ndim == 2 and values.shape == ids.shape and batch.ndim == 2 and batch_ids.ndim == 1
    if not fits or batch.shape[1] != values.shape[0] or batch.shape[0] != batch_ids.shape[0]:
        shapes = [list(tensor.shape) for tensor in (values, ids, batch, batch_ids)]
        raise ValueError(f"values and ids are [C, k], batch [B, C] and batch_ids [B], not {shapes}")
    if batch_ids.numel():
        low, high = (int(bound) for bound in torch.aminmax(batch_ids))
        if low < 0 or high > MAX_ID:
            raise ValueError(f"ids are 0 .. {MAX_ID}, not {low} .. {high}")


def _merge_torch(
    values: torch.Tensor, ids: torch.Tensor, batch: torch.Tensor, batch_ids: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    merged_values, merged_ids = values.clone(), ids.clone()
    taken = torch.zeros_like(batch, dtype=torch.bool)
    if not values.shape[1] or not batch.numel():
        return merged_values, merged_ids, taken
    # After the first batches few units change: only those are selected anew.
    changed = (batch >= values[:, -1]).any(dim=0).nonzero()[:, 0]
    if len(changed):
        candidates = sort_key(batch[:, changed].T, batch_ids)
        pool = torch.cat([sort_key(values[changed], ids[changed]), candidates], dim=1)
        best = pool.topk(values.shape[1], dim=1).values
        merged_values[changed], merged_ids[changed] = unpack_key(best)
        taken[:, changed] = ((candidates >= best[:, -1:]) & (candidates != EMPTY_KEY)).T
    return merged_values, merged_ids, taken
