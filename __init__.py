"""MAIA, local: automated interpretability of vision networks on your own machines.

Importing this package loads nothing heavy: public names are resolved on first use (PEP 562).
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC: dict[str, str] = {
    "describe": "agent.run",
    "ExperimentError": "models.errors",
    "UserError": "models.errors",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
