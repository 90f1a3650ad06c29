"""Exemplar-majority: the word that most of a unit's exemplars have in common, the simplest control there is."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from ...agent.backbones.scripted.evidence import ATOMS, seen
from ...agent.exemplars import exemplar_images, masked_exemplars
from ...agent.services import Services
from ...models.targets import Unit

NOTHING = "no visual concept found"
"""The label of a unit without exemplars, or whose exemplars nothing is said of."""

Reader = Callable[[str], Iterable[str]]
"""The words of a description, each counted once, in the order of preference among equally frequent ones."""

_WORD = re.compile(r"[a-z][a-z-]*[a-z]")
_COMMON = """
about above all also an and another any are around as at background be behind below beside between bright but by can
close dark darkened each either for from front group has have highlighted image in inside into is it its just line many
more most near next nothing object of off on one onto or other out outline outlined over part partly parts photo
picture region scene seen several show showing shown shows side single small some something that the their there these
they thing this those through to top two under up upper very view visible what which while with within without
"""
_SAY_NOTHING = frozenset(_COMMON.split())
"""Words of sentences about pictures that name nothing in them."""


def vocabulary_words(description: str) -> list[str]:
    """Concepts of the offline world that a description names in the highlighted region, in the vocabulary's order."""
    named = seen(description, 0.0).region
    return [word for word in ATOMS if word in named]


def open_words(description: str) -> list[str]:
    """All words of a description that may name something, as written but in lower case, in its order."""
    return [word for word in dict.fromkeys(_WORD.findall(description.lower())) if word not in _SAY_NOTHING]


def majority(descriptions: Sequence[str], reader: Reader = vocabulary_words, order: Sequence[str] = ATOMS) -> str:
    """The word that the most descriptions hold; NOTHING where none holds any.

    Counts are bare: a colour that is in every third picture counts as much as a rare noun. Ties go to the word that
    comes first in `order`, then to the one that was read first.
    """
    counts = Counter(word for description in descriptions for word in dict.fromkeys(reader(description)))
    rank = {word: place for place, word in enumerate(order)}
    best = sorted(counts, key=lambda word: (-counts[word], rank.get(word, len(rank))))  # stable: as they were read
    return best[0] if best else NOTHING


async def exemplar_majority_label(
    services: Services, unit: Unit, reader: Reader = vocabulary_words, order: Sequence[str] = ATOMS
) -> str:
    """`majority` over the descriptions of the unit's 15 masked exemplars, by whoever describes the run's pictures.

    reader, order: `open_words` and () for descriptions in free English. Raises what `Services.describe` raises.
    """
    found = services.index.entries(unit)
    if not found:
        return NOTHING
    shown = await masked_exemplars(services, unit, found, await exemplar_images(services, found))
    return majority(await services.describe(shown), reader, order)
