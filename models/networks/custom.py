"""A user's own network: the target's name "package.module:function" names the function that builds it."""

import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from ..errors import UserError
from .build import make_network
from .network import Network, Preprocess

OPTION = "weights"
"""The argument that a user's function may take: Path of the weights, or None."""


def is_function_name(spec: str) -> bool:
    """Whether the name is written as "package.module:function"."""
    return re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", spec) is not None


def build_custom(spec: str, name: str, weights: Path | None) -> Network:
    """What the function returns, as the target `name`: a Network, or an nn.Module and its Preprocess.

    Called with `weights` if it takes an argument of that name, with nothing otherwise. Code of the user's runs.
    Raises UserError if it cannot be imported, raises, returns something else or a module that does not run.
    """
    function = _import_function(spec)
    arguments = _arguments(spec, function, weights)
    try:
        made = function(**arguments)
    except UserError:
        raise
    except Exception as problem:
        raise UserError(f"{spec} failed ({_what(problem)}): call it in Python to see where.") from problem
    if isinstance(made, Network):
        return replace(made, name=name)
    match made:
        case (nn.Module() as module, Preprocess() as preprocess):
            try:
                return make_network(name, module, preprocess, definition=spec, description=f"built by {spec}")
            except Exception as problem:
                raise UserError(
                    f"the module that {spec} returned does not run on [2, 3, {preprocess.size}, {preprocess.size}] or "
                    f"has no layers ({_what(problem)})."
                ) from problem
    raise UserError(
        f"{spec} returned {_kind(made)}: it must return a Network (see models/networks/build.py: make_network), or an "
        "nn.Module and its Preprocess as a tuple."
    )


def _import_function(spec: str) -> Callable[..., Any]:
    path, _, function_name = spec.partition(":")
    try:
        module = importlib.import_module(path)
    except Exception as problem:  # a user's module may raise anything
        raise UserError(
            f"{path} cannot be imported ({_what(problem)}): install it, or put its folder into PYTHONPATH."
        ) from problem
    function = getattr(module, function_name, None)
    if not callable(function):
        public = ", ".join(key for key, value in vars(module).items() if callable(value) and key[0] != "_") or "none"
        raise UserError(f"{path} has no function {function_name!r}: its functions are {public}.")
    return function


def _arguments(spec: str, function: Callable[..., Any], weights: Path | None) -> dict[str, Path | None]:
    parameters = inspect.signature(function).parameters
    required = [
        key
        for key, value in parameters.items()
        if key != OPTION
        and value.default is value.empty
        and value.kind not in (value.VAR_POSITIONAL, value.VAR_KEYWORD)
    ]
    if required:
        raise UserError(
            f"{spec} needs {', '.join(required)}: it may take {OPTION!r} and nothing else without a default."
        )
    if OPTION in parameters:
        return {OPTION: weights}
    if weights is not None:
        raise UserError(f"{spec} takes no {OPTION!r}: give it that argument, or leave --weights out.")
    return {}


def _what(problem: Exception) -> str:
    return f"{type(problem).__name__}: {problem}"


def _kind(made: object) -> str:
    if isinstance(made, tuple):
        return f"a tuple of {', '.join(type(item).__name__ for item in made) or 'nothing'}"
    return f"an object of type {type(made).__name__}"
