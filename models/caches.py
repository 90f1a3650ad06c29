"""Where MAIA keeps what it can make again."""

import os
from pathlib import Path


def cache_directory() -> Path:
    """Where indexes, packs and models are kept between runs: $MAIA_CACHE, else $XDG_CACHE_HOME/maia, else
    ~/.cache/maia."""
    if os.environ.get("MAIA_CACHE"):
        return Path(os.environ["MAIA_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "maia"
