"""Words and phrases of English captions, so far as a keyword filter compares them.

Two words are related if they share a base. Bases are found by spelling alone, without a dictionary, and a word keeps
all that its spelling allows ("leaves": leaves, leave, leaf). So no regular inflection is missed for want of a
dictionary, and now and then a word too many is taken for one ("staring" for "star").
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

IRREGULAR: dict[str, str] = {
    "men": "man",
    "women": "woman",
    "people": "person",
    "children": "child",
    "feet": "foot",
    "teeth": "tooth",
    "geese": "goose",
    "mice": "mouse",
    "lice": "louse",
    "oxen": "ox",
    "dice": "die",
    "worn": "wear",
    "wore": "wear",
    "held": "hold",
    "ridden": "ride",
    "rode": "ride",
    "ran": "run",
    "swam": "swim",
    "flew": "fly",
    "flown": "fly",
    "woven": "weave",
    "lit": "light",
    "lying": "lie",
}
"""Forms that no rule makes; also at the end of a compound: "policemen", "grandchildren"."""
_COMPOUNDS = ("men", "women", "people", "children", "feet", "teeth", "mice")
_VOWELS = frozenset("aeiouy")
_SHORTEST_STEM = 3
"""Letters before -ed and -ing: "bed", "wing" and "ring" are whole words."""

_POSSESSIVE = re.compile(r"['\u2019]s\b|(?<=s)['\u2019](?!\w)")
_WORD = re.compile(r"[^\W_]+")


def words_of(text: str) -> list[str]:
    """The words of a text, without case, punctuation and possessives: "The dog's T-shirt" is the dog t shirt."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return _WORD.findall(_POSSESSIVE.sub(" ", plain))


@lru_cache(maxsize=1 << 16)
def bases(word: str) -> frozenset[str]:
    """The word, as `words_of` has it, and all that it may be an inflection of: plural, third person, -ed, -ing."""
    found = {word, *_of_irregular(word), *_of_plural(word)}
    for ending in ("ed", "ing"):
        stem = word.removesuffix(ending)
        if stem != word and len(stem) >= _SHORTEST_STEM and not _VOWELS.isdisjoint(stem):
            found |= {stem, stem + "e"}
            if stem[-1] == stem[-2]:
                found.add(stem[:-1])  # "running"
            if stem[-1] == "i":
                found.add(stem[:-1] + "y")  # "carried"
    return frozenset(found)


def _of_irregular(word: str) -> set[str]:
    if word in IRREGULAR:
        return {IRREGULAR[word]}
    return {word.removesuffix(end) + IRREGULAR[end] for end in _COMPOUNDS if word.endswith(end)}


def _of_plural(word: str) -> set[str]:
    if len(word) < 3 or not word.endswith("s") or word.endswith("ss"):
        return set()
    found = {word[:-1]}
    if word.endswith("es") and word[:-2].endswith(("s", "x", "z", "ch", "sh", "o")):
        found.add(word[:-2])
        if word.endswith(("sses", "zzes")):
            found.add(word[:-3])  # "gasses", "quizzes"
    if word.endswith("ies"):
        found.add(word[:-3] + "y")
    if word.endswith("ves"):
        found |= {word[:-3] + "f", word[:-3] + "fe"}
    return found


def related(first: str, second: str) -> bool:
    """Whether two words may be forms of one: they share a base."""
    return not bases(first).isdisjoint(bases(second))


class Phrases:
    """Phrases that are looked for in texts together, each a sequence of words; any word of them in any inflection."""

    def __init__(self, groups: Sequence[Iterable[tuple[str, ...]]]) -> None:
        """groups: phrases that mean one thing, each of one word or more, as `words_of` has them."""
        self._starting: dict[str, set[tuple[int, tuple[str, ...]]]] = {}
        for number, group in enumerate(groups):
            for phrase in group:
                for base in bases(phrase[0]):
                    self._starting.setdefault(base, set()).add((number, phrase))

    def within(self, words: Sequence[str]) -> set[int]:
        """Numbers of the groups of which a phrase stands in the text, its words side by side and in order."""
        found: set[int] = set()
        for place, word in enumerate(words):
            for base in bases(word):
                for number, phrase in self._starting.get(base, ()):
                    rest = words[place + 1 : place + len(phrase)]
                    if len(rest) == len(phrase) - 1 and all(map(related, rest, phrase[1:])):
                        found.add(number)
        return found
