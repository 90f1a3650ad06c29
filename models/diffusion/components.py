"""What a pipeline's parts hold: hashed by content, so that parts of one hash are kept in memory once."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ..errors import UserError

SHOWN = 5
"""Names that a message lists."""


@dataclass(frozen=True, eq=False)
class PipelineComponent:
    """A part of a pipeline. key: hash of its weights; nbytes: of its weights, each counted once."""

    name: str
    key: str
    nbytes: int
    module: nn.Module = field(repr=False)


def named_tensors(module: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Parameters and buffers by name, those that are not saved too; a tied weight under each of its names."""
    return [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]


def content_key(module: nn.Module) -> str:
    """Hex sha256 of the module's class and weights (names, dtypes, shapes, layout in memory, bytes).

    It does not depend on the files that they were read from, on the device, or on the module's configuration.
    """
    digest = hashlib.sha256(type(module).__name__.encode())
    for name, tensor in sorted(named_tensors(module)):
        # Channels-last weights are parts of their own; a contiguous tensor's strides are not unique.
        layout = "" if tensor.is_contiguous() else str(tensor.stride())
        digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)} {layout}\n".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def weights_bytes(module: nn.Module) -> int:
    """Bytes of the module's parameters and buffers, tied ones counted once."""
    return sum(
        tensor.numel() * tensor.element_size() for tensor in {id(t): t for _, t in named_tensors(module)}.values()
    )


def components_of(pipeline: Any, source: str) -> tuple[PipelineComponent, ...]:
    """The pipeline's parts that have weights, by name. Raises UserError for weights that are not finite."""
    found = []
    for name, module in sorted(pipeline.components.items()):
        if isinstance(module, nn.Module):
            broken = [key for key, tensor in named_tensors(module) if not torch.isfinite(tensor).all()]
            if broken:
                raise UserError(
                    f"the {name} of {source} holds numbers that are not finite in {', '.join(broken[:SHOWN])}: choose "
                    "dtype fp32 or bf16 if they overflowed fp16, else get the file again."
                )
            module.requires_grad_(False)
            found.append(PipelineComponent(name, content_key(module), weights_bytes(module), module))
    return tuple(found)


def hold_once(components: Iterable[PipelineComponent], held: Iterable[PipelineComponent]) -> list[str]:
    """Lets components use the tensors of those in `held` with the same key. Returns the names of what is now shared.

    Modules stay objects of their own: two configurations (slicing, sizes) may differ where the weights do not.
    """
    owners = {component.key: component.module for component in held}
    shared = []
    for component in components:
        owner = owners.get(component.key)
        if owner is not None and owner is not component.module:
            tensors = dict(named_tensors(owner))
            for name, tensor in named_tensors(component.module):
                tensor.data = tensors[name].data
            shared.append(component.name)
    return shared
