"""Decoding without copies: a cache with room ahead, and attention that reads each key and value once.

What transformers does for one more token of a padded batch copies the whole cache twice: to append to it, and to repeat
its heads for the groups of queries that share them. Measured on two cores (8 dialogues of 1,000 tokens, float32):
0.35 s a token that way, 0.20 s this way.
"""

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

GROUPED = "maia_grouped"
"""Name of the attention, as configurations write it."""

ROOM = 256
"""Positions by which a full cache grows."""


class GrowingLayer(DynamicLayer):
    """A layer of the cache with room ahead: keys and values, [B, heads, length, size], are views of larger tensors."""

    _room: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Appends [B, heads, new, size] of both, and returns all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        length = self.get_seq_length()
        total = length + key_states.shape[-2]
        if self._room is None or self._room[0].shape[-2] < total or not length:
            self._room = (
                _enlarged(self.keys if length else None, key_states, total + ROOM),
                _enlarged(self.values if length else None, value_states, total + ROOM),
            )
        for room, states in zip(self._room, (key_states, value_states), strict=True):
            room[:, :, length:total] = states
        self.keys, self.values = (room[:, :, :total] for room in self._room)
        return self.keys, self.values


def _enlarged(old: torch.Tensor | None, like: torch.Tensor, length: int) -> torch.Tensor:
    room = like.new_empty(*like.shape[:2], length, like.shape[3])
    if old is not None:
        room[:, :, : old.shape[-2]] = old
    return room


def growing_cache(config: Any) -> DynamicCache:
    """An empty cache for a decoder without sliding windows."""
    cache = DynamicCache(config=config)
    cache.layers = [GrowingLayer() for _ in range(config.num_hidden_layers)]
    return cache


def grouped_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of one new token to all before it; of several tokens, and in training, torch's own.

    query: [B, heads, 1, size]; key, value: [B, groups, length, size]. Returns [B, 1, heads, size].
    """
    if query.shape[2] != 1 or module.training:
        attended, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return attended, None
    batch, heads, _, size = query.shape
    groups = key.shape[1]
    queries = query.reshape(batch, groups, heads // groups, size)
    weights = torch.matmul(queries, key.transpose(2, 3)) * (size**-0.5 if scaling is None else scaling)
    if attention_mask is not None:
        if attention_mask.dtype == torch.bool:
            weights = weights.masked_fill(~attention_mask, -torch.inf)
        else:
            weights = weights + attention_mask
    shares = torch.softmax(weights, -1, dtype=torch.float32).to(value.dtype)
    return torch.matmul(shares, value).reshape(batch, 1, heads, size), None


def register_attention() -> None:
    """Makes GROUPED known to transformers; a second call changes nothing."""
    AttentionInterface.register(GROUPED, grouped_attention)
    AttentionMaskInterface.register(GROUPED, sdpa_mask)
