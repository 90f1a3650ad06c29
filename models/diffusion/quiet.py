"""The libraries without their progress bars and advice: what matters is checked and raised by us."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_LOCK = threading.Lock()
_saved: list[tuple[Any, int, bool]] = []
_inside = 0


@contextmanager
def quiet() -> Iterator[None]:
    """diffusers and transformers log errors only and draw no bars; both are as they were when the last one leaves.

    May be entered by several threads at once: what the libraries are told holds for all of them.
    """
    global _inside
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    with _LOCK:
        if _inside == 0:
            for library in (diffusers_logging, transformers_logging):
                _saved.append((library, library.get_verbosity(), library.is_progress_bar_enabled()))
                library.set_verbosity(logging.ERROR)
                library.disable_progress_bar()
        _inside += 1
    try:
        yield
    finally:
        with _LOCK:
            _inside -= 1
            while _inside == 0 and _saved:
                library, level, bar = _saved.pop()
                library.set_verbosity(level)
                if bar:
                    library.enable_progress_bar()
