"""What people call in a notebook, `system` and `tools` without `await`, and how the record of an experiment has it."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image


class Plain:
    """An object of the API without `await`: `system` or `tools`, with the agent's methods and docstrings."""

    def __init__(
        self,
        name: str,
        methods: Sequence[str],
        of: type,
        call: Callable[[str, str, Sequence[Any], dict[str, Any]], Any],
    ) -> None:
        self._name, self.__doc__ = name, of.__doc__
        for method in methods:
            setattr(self, method, _plain(name, method, getattr(of, method), call))

    def __repr__(self) -> str:
        return self._name


def _plain(name: str, method: str, function: Callable[..., Any], call: Callable[..., Any]) -> Callable[..., Any]:
    """What a person calls: with the method's name, docstring and signature, for Jupyter's help."""

    def asked(*args: Any, **kwargs: Any) -> Any:
        return call(name, method, args, kwargs)

    signature = inspect.signature(function)
    asked.__name__, asked.__doc__ = method, function.__doc__
    setattr(asked, "__signature__", signature.replace(parameters=list(signature.parameters.values())[1:]))  # noqa: B010
    return asked


def by_name(value: Any) -> Any:
    """Objects of the API go by their names, as they come out of the agent's sandbox."""
    return repr(value) if isinstance(value, Plain) else value


class CallNames:
    """Names for pictures, by the call that made them, so that the record of an experiment tells which were measured."""

    def __init__(self) -> None:
        self._lists: dict[str, list[Image.Image]] = {}
        self._places: dict[int, str] = {}

    def assigned(self, result: Any) -> str:
        """The left side of an assignment: "images_1 = ", or "_, images_2 = "; "" where there are no pictures."""
        parts = result if isinstance(result, tuple) else (result,)
        names = [self._new(part) if _are_images(part) else "_" for part in parts]
        return f"{', '.join(names)} = " if any(name != "_" for name in names) else ""

    def _new(self, images: list[Image.Image]) -> str:
        name = f"images_{len(self._lists) + 1}"
        self._lists[name] = list(images)  # kept, so that no other object gets their ids
        self._places |= {id(image): f"{name}[{place}]" for place, image in enumerate(images)}
        return name

    def written(self, value: Any) -> str:
        """An argument as the record has it: Python, with pictures by name; those that no call made are `image`."""
        if isinstance(value, Image.Image):
            return self._places.get(id(value), "image")
        if not isinstance(value, list | tuple):
            return repr(value)
        for name, images in self._lists.items():
            if len(images) == len(value) and all(a is b for a, b in zip(images, value, strict=True)):
                return name
        return f"[{', '.join(map(self.written, value))}]"


def _are_images(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, Image.Image) for entry in value)
