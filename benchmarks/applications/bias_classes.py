"""Classes of a classifier by their names, as units."""

import difflib
from collections.abc import Sequence
from pathlib import Path

from ...models.errors import UserError
from ...models.registry import LIBRARIES, TARGETS, spec_of
from ...models.targets import NamedUnits, Target, Unit, check_layers

LAYER = "probabilities"
"""Whose units are classes, where nothing else is said: class probabilities, as in the paper's section 5.2."""
IMAGENET_CLASSES = 1000


def imagenet_names() -> tuple[str, ...]:
    """The 1000 classes of ImageNet-1k, in the order of classifiers' outputs (from torchvision; nothing is loaded)."""
    from torchvision.models import ResNet152_Weights

    return tuple(ResNet152_Weights.IMAGENET1K_V2.meta["categories"])


def read_names(file: Path) -> tuple[str, ...]:
    """Class names of a text file, one a line, in the order of the outputs. Raises UserError if it cannot be read."""
    try:
        return tuple(line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read ({error}): give --names a text file, one class a line.") from None


def class_units(
    target: Target, layer: str, classes: Sequence[str], names: Sequence[str] | None = None
) -> list[tuple[str, Unit]]:
    """(class name, unit) of each class, in the order given. classes: names, or indices as digits.

    names: of the layer's units in order; None: the target's own, or ImageNet's for a classifier of its classes. Case
    and "_" for blanks do not matter. Raises UserError for a layer that the target lacks, an unknown name (the nearest
    are named), one that several classes have, a class given twice, and where no names are known.
    """
    check_layers(target, [layer])
    known = None if isinstance(target, NamedUnits) and names is None else _names_of(target, layer, names)
    found: list[tuple[str, Unit]] = []
    for given in (text.strip() for text in classes):
        if not given:
            continue
        if given.isdecimal():
            unit = Unit(target.name, layer, int(given))
            target.check(unit)
            found.append((known[unit.index] if known else given, unit))
        elif known is None and isinstance(target, NamedUnits):
            found.append((given, Unit(target.name, layer, target.index_of(layer, given))))
        else:
            place = _place(given, known or (), target.name)
            found.append(((known or ())[place], Unit(target.name, layer, place)))
    for place, (name, unit) in enumerate(found):
        if unit in [other for _, other in found[:place]]:
            raise UserError(f"class {name!r} is named more than once: name every class once.")
    if not found:
        raise UserError("no classes were named: give --classes flagpole,tench, or --testbed.")
    return found


def _names_of(target: Target, layer: str, names: Sequence[str] | None) -> tuple[str, ...] | None:
    units = target.layers[layer]
    if names is not None:
        if len(names) != units:
            raise UserError(f"--names holds {len(names)} names, and {target.name}.{layer} has {units} units.")
        return tuple(names)
    spec = spec_of(target.name)
    ours = spec in TARGETS or spec.partition(":")[0] in LIBRARIES
    return imagenet_names() if ours and units == IMAGENET_CLASSES else None


def _place(given: str, names: Sequence[str], target: str) -> int:
    if not names:
        raise UserError(f"the classes of {target} have no names that are known: give indices, or --names FILE.")
    wanted, plain = _plain(given), [_plain(name) for name in names]
    places = [place for place, name in enumerate(plain) if name == wanted]
    if len(places) > 1:
        raise UserError(f"{given!r} names the classes {', '.join(map(str, places))} of {target}: give the index.")
    if not places:
        inside = [name for name in plain if wanted and wanted in name.split()]
        nearest = list(dict.fromkeys([*difflib.get_close_matches(wanted, plain, n=4, cutoff=0.5), *inside]))[:6]
        shown = ", ".join(names[plain.index(name)] for name in nearest) or "the ImageNet classes, or an index"
        raise UserError(f"{target} has no class {given!r}: the nearest are {shown}.")
    return places[0]


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").split())
