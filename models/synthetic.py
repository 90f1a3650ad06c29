"""Synthetic neurons: units whose truth is known, made of an open-set concept detector (the paper, section 4.2 and
appendix C4), and the lists of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from .detectors.base import Detection
from .errors import UserError

Kind = Literal["mono", "or", "conditional"]
KINDS: tuple[Kind, ...] = ("mono", "or", "conditional")
"""Layers of the target, by the paper's categories: monosemantic, A OR B, A given B."""

SIGNS: dict[Kind, str] = {"or": "+", "conditional": "|"}
"""Between the two concepts of a neuron's name."""

ALL, TABLE, RELEASED = LISTS = ("all", "table-a6", "released")
"""The paper's table A6 as printed, the label files that its authors published, and both: the table's neurons in its
order, then those that the files alone hold."""

_FOLDER = Path(__file__).with_name("synthetic_neurons")


@dataclass(frozen=True)
class SyntheticNeuron:
    """A neuron of one of the three kinds. concepts: one for "mono", else two; of a condition, what is named first is
    what fires, the second what has to be there."""

    kind: Kind
    concepts: tuple[str, ...]

    def __post_init__(self) -> None:
        wanted = 1 if self.kind == "mono" else 2
        if len(self.concepts) != wanted:
            raise ValueError(f"a neuron of kind {self.kind!r} has {wanted} concepts, not {len(self.concepts)}")

    @classmethod
    def parse(cls, kind: Kind, name: str) -> Self:
        """The neuron of a name: "dog", "train+instrument", "dog|leash". Case and outer blanks do not matter.

        Raises UserError for a name that is not of the kind, an empty concept, or one that is combined with itself.
        """
        text = " ".join(name.lower().split())
        sign = SIGNS.get(kind)
        concepts = tuple(part.strip() for part in text.split(sign)) if sign else (text,)
        how = f"A{sign}B, such as {_EXAMPLES[kind]}" if sign else f"one concept, such as {_EXAMPLES[kind]}"
        foreign = [other for other in SIGNS.values() if other != sign and other in text]
        if len(concepts) != (2 if sign else 1) or not all(concepts) or foreign:
            raise UserError(f"{name!r} is no synthetic neuron of kind {kind}: write {how}.")
        if len(set(concepts)) < len(concepts):
            raise UserError(
                f"{name!r} combines {concepts[0]!r} with itself, which is the neuron {concepts[0]} of kind mono: "
                "write two concepts."
            )
        return cls(kind, concepts)

    @property
    def name(self) -> str:
        """As `parse` takes it."""
        return SIGNS.get(self.kind, "").join(self.concepts)

    @property
    def truth(self) -> str:
        """The label that is right: "dog", "train OR instrument", "dog given leash"."""
        return {"or": " OR ", "conditional": " given "}.get(self.kind, "").join(self.concepts)

    @property
    def same(self) -> tuple[Kind, frozenset[str] | tuple[str, ...]]:
        """Equal for neurons that are one: the order of an OR does not matter."""
        return self.kind, frozenset(self.concepts) if self.kind == "or" else self.concepts

    def value(self, score_of: Callable[[str], float]) -> float:
        """The activation, 0 to 1, given the detector's score for a concept (0 where it is absent).

        mono: the score. or: that of the one present; if both are, their mean. conditional: that of the first, if the
        second is present too. The second is not asked for where the first decides.
        """
        first = score_of(self.concepts[0])
        if self.kind == "mono":
            return first
        if self.kind == "conditional":
            return first if first and score_of(self.concepts[1]) else 0.0
        second = score_of(self.concepts[1])
        return (first + second) / 2 if first and second else first or second

    def respond(self, found: Mapping[str, Detection]) -> tuple[float, np.ndarray | None]:
        """(activation, bool mask [h, w] or None where it is 0), given what the detector found of the concepts.

        or: all masks together. conditional: the first concept's mask.
        """
        value = self.value(lambda concept: found[concept].score)
        if not value:
            return 0.0, None
        shown = self.concepts if self.kind == "or" else self.concepts[:1]
        masks = [mask for concept in shown if found[concept].score and (mask := found[concept].mask) is not None]
        return value, np.logical_or.reduce(masks) if masks else None


_EXAMPLES: dict[Kind, str] = {"mono": "stripes", "or": "train+instrument", "conditional": "dog|leash"}


def synthetic_neurons(source: str | Path = ALL) -> dict[Kind, tuple[SyntheticNeuron, ...]]:
    """The neurons of one of LISTS, or of a user's YAML file, by kind.

    The file maps kinds to names: {mono: [dog, car window], or: [cat+dog], conditional: ["dog|leash"]}; kinds may be
    left out. Raises UserError for a file that is missing, not of this form, names a neuron twice, or holds none.
    """
    if source == ALL:
        table, released = (synthetic_neurons(name) for name in (TABLE, RELEASED))
        known = {neuron.same for neurons in table.values() for neuron in neurons}
        return {kind: (*table[kind], *(n for n in released[kind] if n.same not in known)) for kind in KINDS}
    path = _FOLDER / f"{source}.yaml" if source in LISTS else Path(source)
    return _read(path)


def _read(path: Path) -> dict[Kind, tuple[SyntheticNeuron, ...]]:
    import yaml

    form = "write kinds with lists of names, such as mono: [dog], or: [cat+dog], conditional: ['dog|leash']."
    if not path.is_file():
        raise UserError(f"there is no list of neurons {str(path)!r}: choose from {', '.join(LISTS)}, or a YAML file.")
    try:
        data: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not readable YAML ({' '.join(str(error).split())}): {form}") from None
    if not isinstance(data, dict) or not data or any(kind not in KINDS for kind in data):
        raise UserError(f"{path} holds no neurons of the kinds {', '.join(KINDS)}: {form}")
    found: dict[Kind, tuple[SyntheticNeuron, ...]] = {}
    for kind in KINDS:
        names = data.get(kind) or []
        if not isinstance(names, list) or any(not isinstance(name, str) for name in names):
            raise UserError(f"{path}: {kind} is no list of names (quote yes, no, on, off): {form}")
        found[kind] = tuple(SyntheticNeuron.parse(kind, name) for name in names)
        twice = [n.name for place, n in enumerate(found[kind]) if n.same in {o.same for o in found[kind][:place]}]
        if twice:
            raise UserError(f"{path} names {twice[0]} more than once: name every neuron once.")
    if not any(found.values()):
        raise UserError(f"{path} holds no neurons: {form}")
    return found
