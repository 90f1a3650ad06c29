"""A network with some of its parts exchanged, all others shared, and the parts that are put into Grounding DINO."""

import copy
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention


def exchanged(module: nn.Module, parts: Mapping[str, nn.Module]) -> nn.Module:
    """A module like the given one, which stays as it is, with other parts at the dotted paths.

    All that is not exchanged is shared: weights are the same tensors, wherever they are moved later. Raises KeyError
    for a path that there is not.
    """
    if "" in parts:
        return parts[""]
    below: dict[str, dict[str, nn.Module]] = {}
    for path, part in parts.items():
        name, _, rest = path.partition(".")
        below.setdefault(name, {})[rest] = part
    # A shallow copy shares the tables of weights and of children: of these it needs its own.
    result = copy.copy(module)
    result._modules = dict(module._modules)
    for name, inner in below.items():
        child = module._modules[name]
        if child is None:
            raise KeyError(name)
        result._modules[name] = exchanged(child, inner)
    return result


class Held(nn.Module):
    """Answers with what it was given to hold, whatever it is asked."""

    value: Any = None

    def forward(self, *arguments: Any, **named: Any) -> Any:
        return self.value


class HeldBackbone(Held):
    """Stands for Grounding DINO's image backbone. value: (masks of its levels, empty maps, position embeddings)."""

    def __init__(self, position_embedding: nn.Module) -> None:
        super().__init__()
        self.position_embedding = position_embedding


class HeldText(Held):
    """Stands for its text encoder. value: [rows, length, width]."""

    def forward(self, *arguments: Any, **named: Any) -> Any:
        return SimpleNamespace(last_hidden_state=self.value)


class RowwiseFusion(nn.Module):
    """Grounding DINO's attention between picture and text, by each row alone, with the weights of the given module.

    transformers' own subtracts the largest weight of the whole batch before each softmax: the same numbers up to
    rounding, but the bits of a row then depend on the others. It also writes the weights, picture x text, several times
    over. Weights are not handed back (None).
    """

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.attention = attention

    def forward(
        self,
        vision_features: torch.Tensor,
        text_features: torch.Tensor,
        vision_attention_mask: torch.Tensor | None = None,
        text_attention_mask: torch.Tensor | None = None,
    ) -> tuple[tuple[torch.Tensor, None], tuple[torch.Tensor, None]]:
        """[rows, positions, width] and [rows, length, width] to the same; masks: bool, True for padding."""
        own = self.attention

        def heads(projection: nn.Module, x: torch.Tensor) -> torch.Tensor:
            return projection(x).unflatten(-1, (own.num_heads, own.head_dim)).transpose(1, 2)

        def attend(
            query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, padding: torch.Tensor | None
        ) -> torch.Tensor:
            allowed = None if padding is None else ~padding[:, None, None, :]
            mixed = scaled_dot_product_attention(query, key, value, attn_mask=allowed, scale=own.scale)
            return mixed.transpose(1, 2).flatten(2)

        of_picture, of_text = heads(own.vision_proj, vision_features), heads(own.text_proj, text_features)
        picture_values = heads(own.values_vision_proj, vision_features)
        text_values = heads(own.values_text_proj, text_features)
        to_picture = own.out_vision_proj(attend(of_picture, of_text, text_values, text_attention_mask))
        to_text = own.out_text_proj(attend(of_text, of_picture, picture_values, vision_attention_mask))
        return (to_picture, None), (to_text, None)
