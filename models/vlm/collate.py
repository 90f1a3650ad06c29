"""Prompts that were processed one by one, as one left-padded batch."""

from collections.abc import Collection, Mapping, Sequence

import torch

IDS, MASK = "input_ids", "attention_mask"


def collate(
    prompts: Sequence[Mapping[str, torch.Tensor]], image_inputs: Collection[str], pad: int
) -> dict[str, torch.Tensor]:
    """One batch of what a processor returned for single prompts.

    Tensors of the tokens ([1, length] each) are padded on the left, ids with `pad` and others with 0, so that all
    prompts end where their answers begin. image_inputs: names of the image processor's tensors; they are joined along
    their first axis, in the prompts' order, and the others padded with 0 at their ends. A prompt without pictures lacks
    these names.
    """
    length = max(prompt[IDS].shape[1] for prompt in prompts)
    batch = {}
    for name in dict.fromkeys(name for prompt in prompts for name in prompt):
        if name in image_inputs:
            batch[name] = joined_pictures([prompt[name] for prompt in prompts if name in prompt])
            continue
        rows = []
        for prompt in prompts:
            row = prompt.get(name, torch.zeros_like(prompt[IDS]))
            rows.append(torch.nn.functional.pad(row, (length - row.shape[1], 0), value=pad if name == IDS else 0))
        batch[name] = torch.cat(rows)
    return batch


def joined_pictures(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """An image processor's tensors along their first axis; the other axes are those of the largest, padded with 0."""
    sizes = [max(sizes) for sizes in zip(*(tensor.shape[1:] for tensor in tensors), strict=True)]
    padded = []
    for tensor in tensors:
        widths = [(0, size - own) for size, own in zip(sizes, tensor.shape[1:], strict=True)]
        padded.append(torch.nn.functional.pad(tensor, [width for pair in reversed(widths) for width in pair]))
    return torch.cat(padded)
