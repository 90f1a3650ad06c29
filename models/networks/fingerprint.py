"""What a network is, in one hash: two networks of one fingerprint give the same answers."""

import hashlib
from collections.abc import Mapping

import torch
from torch import nn

from .network import LayerSpec, Preprocess

COUNTER = "num_batches_tracked"
"""Batch norm's counter of training steps: some files have it, some not, and no output depends on it."""


def fingerprint_of(module: nn.Module, preprocess: Preprocess, layers: Mapping[str, LayerSpec], definition: str) -> str:
    """Hex sha256 of the state dict (names, dtypes, shapes, bytes), preprocess, named layers and `definition`.

    definition: what the builder is, with a version to be raised when it changes what comes out. Not covered: the
    code of the libraries that run the module (an index notes their versions), the counters of batch norm, and
    buffers that are not in the state dict. Does not depend on device, strides or the order of the state dict.
    """
    digest = hashlib.sha256(f"{definition}\n{preprocess!r}\n".encode())
    for name, spec in sorted(layers.items()):
        digest.update(f"{name} {spec!r}\n".encode())
    for name, tensor in sorted(module.state_dict().items()):
        if name.rpartition(".")[2] == COUNTER:
            continue
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(memoryview(flat.view(torch.uint8).numpy()))
    return digest.hexdigest()
