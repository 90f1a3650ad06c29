"""Which branch computes: the Triton kernel or its plain-torch twin. Nothing falls back silently."""

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

Branch = Literal["auto", "triton", "torch"]
"""What a caller may ask for."""

RanBranch = Literal["triton", "torch"]
"""What a result says has run."""

INTERPRET_VARIABLE = "TRITON_INTERPRET"


class BranchUnavailable(RuntimeError):
    """The Triton branch was asked for where it cannot run; the text says why and what would help."""


def interpreted() -> bool:
    """Whether Triton runs kernels in its interpreter (on any device, slowly) instead of compiling them.

    Triton decides while it is imported, so the variable TRITON_INTERPRET=1 has to be set before. Imports triton only
    where the variable is set. Raises BranchUnavailable when the variable came after the import.
    """
    if os.environ.get(INTERPRET_VARIABLE) != "1":
        return False
    import triton.language as tl
    from triton.runtime.interpreter import InterpretedFunction

    # Triton's own library is made of kernel functions too: what they are shows what was set at the import.
    if not isinstance(tl.cdiv, InterpretedFunction):
        raise BranchUnavailable(
            f"{INTERPRET_VARIABLE}=1 was set after triton had been imported, where it has no effect: set it before"
            " the program starts"
        )
    return True


def choose(branch: Branch, tensor: torch.Tensor) -> RanBranch:
    """The branch that works on `tensor`: "auto" is Triton for CUDA tensors and torch for all others.

    "triton" may be asked for on the CPU under the interpreter only. Raises BranchUnavailable where "triton" cannot
    run, and ValueError for an unknown branch.
    """
    if branch == "torch":
        return "torch"
    if branch == "auto":
        return "triton" if tensor.is_cuda else "torch"
    if branch != "triton":
        raise ValueError(f"branch is 'auto', 'triton' or 'torch', not {branch!r}")
    if not tensor.is_cuda and not interpreted():
        raise BranchUnavailable(
            f"Triton compiles for CUDA tensors, and this one is on {tensor.device.type}: use branch 'torch' or 'auto',"
            f" or set {INTERPRET_VARIABLE}=1 before the program starts to interpret the kernels"
        )
    return "triton"


def on_device_of(tensor: torch.Tensor) -> AbstractContextManager[None]:
    """Makes the tensor's GPU the current one: Triton launches there, wherever the tensors are."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()
