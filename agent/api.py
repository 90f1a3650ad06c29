"""The experiments' API: its text for the prompt, and its methods for the sandbox, both taken from the code itself."""

import inspect
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence

from ..models.errors import UserError
from .system import System
from .tools import Tools

_OBJECTS: dict[str, type] = {"system": System, "tools": Tools}


def api_methods(removed: Collection[str] = ()) -> dict[str, list[str]]:
    """Public methods by object name, without the removed ones (for ablations), in the order of their definition."""
    return {
        name: [
            method
            for method, value in vars(cls).items()
            if inspect.iscoroutinefunction(value) and not method.startswith("_") and method not in removed
        ]
        for name, cls in _OBJECTS.items()
    }


KEPT = "log_experiment"
"""Without it an experiment shows nothing."""


def removable(names: Sequence[str]) -> tuple[str, ...]:
    """The tools that an ablation takes away, in the order of their definition. Raises UserError for what is no tool."""
    choices = [name for name in api_methods()["tools"] if name != KEPT]
    for name in names:
        if name not in choices:
            raise UserError(f"there is no tool {name!r} that could be left out: choose from {', '.join(choices)}.")
    return tuple(name for name in choices if name in names)


def methods_of(removed: Collection[str] = ()) -> Mapping[str, Mapping[str, inspect.Signature]]:
    """Signatures of the same methods, as an experiment calls them (without self)."""
    return {
        name: {method: _unbound(getattr(_OBJECTS[name], method)) for method in names}
        for name, names in api_methods(removed).items()
    }


def _unbound(function: Callable[..., object]) -> inspect.Signature:
    signature = inspect.signature(function)
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def api_text(removed: Collection[str] = ()) -> str:
    """What the backbone reads about `system` and `tools`: signatures and docstrings as the code has them."""
    blocks = []
    for name, methods in api_methods(removed).items():
        cls = _OBJECTS[name]
        lines = [f"class {cls.__name__}:  # your object: {name}", f'    """{inspect.getdoc(cls)}"""']
        for method in methods:
            function = getattr(cls, method)
            signature = str(inspect.signature(function)).replace("PIL.Image.Image", "Image")
            for qualified in (cls.__module__, System.__module__):
                signature = signature.replace(f"{qualified}.", "")
            doc = textwrap.indent(inspect.getdoc(function) or "", " " * 8).strip()
            lines += ["", f"    def {method}{signature}:", f'        """{doc}"""']
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)
