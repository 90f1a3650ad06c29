"""How many threads of the CPU torch uses for a while."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Runs torch on `count` threads of the CPU, and gives back the number that was set before.

    The order in which sums are taken, and so their last bits, depend on it.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def one_thread() -> AbstractContextManager[None]:
    """Runs torch on one thread of the CPU: sums are then always taken in one order, and many jobs do not collide."""
    return cpu_threads(1)
