"""Decoding of the small backbone: the same numbers as transformers' own cache and attention."""

import pytest
import torch
from maia.models.vlm.checkpoint import read_checkpoint
from maia.models.vlm.in_process import InProcessModel
from maia.models.vlm.small.decoding import ROOM, GrowingLayer, grouped_attention, growing_cache
from tiny_vlm import tiny_checkpoint
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward


class Module(torch.nn.Module):
    num_key_value_groups = 3
    is_causal = True


@pytest.mark.parametrize("mask", ["none", "bool", "float"])
def test_attention_of_one_token_is_torchs(mask: str) -> None:
    torch.manual_seed(0)
    module = Module().eval()
    query, key, value = (torch.randn(4, heads, length, 16) for heads, length in ((9, 1), (3, 70), (3, 70)))
    allowed = torch.rand(4, 1, 1, 70) > 0.3
    masks = {"none": None, "bool": allowed, "float": torch.zeros(4, 1, 1, 70).masked_fill(~allowed, -1e9)}
    ours, _ = grouped_attention(module, query, key, value, masks[mask], scaling=0.2)
    theirs, _ = sdpa_attention_forward(module, query, key, value, masks[mask], scaling=0.2)
    assert ours.shape == theirs.shape and torch.allclose(ours, theirs, atol=1e-6)
    if mask != "none":
        free, _ = grouped_attention(module, query, key, value, None, scaling=0.2)
        assert not torch.allclose(ours, free, atol=1e-3)


def test_the_growing_cache_holds_what_was_appended() -> None:
    """Over several enlargements, and when it is used anew."""
    ours, theirs = GrowingLayer(), DynamicLayer()
    for _ in range(2):
        for length in (5, 1, ROOM - 1, 1, 1, ROOM + 7, 1):
            states = torch.randn(2, 3, length, 8), torch.randn(2, 3, length, 8)
            for one, other in zip(ours.update(*states), theirs.update(*states), strict=True):
                assert torch.equal(one, other)
            assert ours.get_seq_length() == theirs.get_seq_length()
        ours.reset()
        theirs.reset()


def test_a_padded_batch_decodes_as_with_transformers_own() -> None:
    """Logits of every step, with the last tokens fed back."""
    model = InProcessModel(read_checkpoint(tiny_checkpoint("maia-small")), "fp32").module
    text = model.config.text_config
    torch.manual_seed(0)
    ids = torch.randint(5, 200, (3, 12))
    seen = torch.ones_like(ids)
    seen[0, :4] = 0

    def logits(cache, attention: str) -> torch.Tensor:
        model.model.language_model.set_attn_implementation(attention)
        steps, tokens, mask = [], ids, seen
        for _ in range(6):
            with torch.inference_mode():
                out = model(input_ids=tokens, attention_mask=mask, past_key_values=cache, use_cache=True).logits[:, -1]
            steps.append(out)
            tokens = out.argmax(-1, keepdim=True)
            mask = torch.cat([mask, torch.ones_like(tokens)], 1)
        return torch.stack(steps)

    ours, theirs = logits(growing_cache(text), "maia_grouped"), logits(DynamicCache(config=text), "sdpa")
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert (ours[0] - ours[1]).abs().max() > 1e-3
