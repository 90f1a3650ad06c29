"""The words of prompts and edits: what each means, which change nothing, and what is near an unknown one."""

import difflib
import re
import unicodedata
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache

from .vocabulary import BACKGROUNDS, COLOURS, GROUPS, NOUNS, PATTERNS, PLAIN
from .wordlists import (
    ANYTHING,
    BACKGROUND_WORDS,
    BRIGHT,
    COLOUR_WORDS,
    COUNTS,
    FILLERS,
    GROUP_WORDS,
    MATERIALS,
    NOUN_WORDS,
    NUMBERS,
    PATTERN_ADJECTIVES,
    PATTERN_NOUNS,
    RELATED,
    RELATIONS,
    SHADES,
    SIZES,
)


class Kind(Enum):
    """What a token does in a sentence."""

    NOUN = auto()
    COLOUR = auto()
    PATTERN = auto()
    BACKGROUND = auto()
    SIZE = auto()
    COUNT = auto()
    ARTICLE = auto()
    AND = auto()
    OR = auto()
    COMMA = auto()
    WITH = auto()
    IN = auto()
    OF = auto()
    IS = auto()
    RELATION = auto()
    MATERIAL = auto()
    CLOSE_UP = auto()
    NEGATION = auto()
    FILLER = auto()
    UNKNOWN = auto()


@dataclass(frozen=True)
class Token:
    """One word or phrase. members: the canonical words it may mean (a relation or size: its name).

    counts: numbers it may mean. plural: a plural noun. standing: a pattern as a noun ("stripes").
    """

    kind: Kind
    text: str
    members: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    plural: bool = False
    standing: bool = False


_SIMPLE: dict[Kind, str] = {
    Kind.ARTICLE: "a, an, the, this, that, these, those, its, another, each, every, any, their, his, her",
    Kind.AND: "and, plus, as well as, also",
    Kind.OR: "or, either, versus, vs",
    Kind.WITH: "with, having, has, have, featuring, covered in, covered with, covered by, made of, made from, "
    "made out of, decorated with, that has, that have, which has, which have, contains, containing, showing",
    Kind.IN: "in, at, inside, into, within, inside of, through, across, along, during, amid, among, against, from",
    Kind.OF: "of, for, to",
    Kind.IS: "is, are, that is, that are, which is, which are, was, being, colored, coloured, painted, be, that's",
    Kind.CLOSE_UP: "close up, closeup, close up view, close up photo, macro, macro shot, macro photo, detail, "
    "zoomed in, extreme close up, full frame",
    Kind.NEGATION: "no, not, without, never, except, nothing, none, don't, isn't, aren't, doesn't, lacking, minus, "
    "excluding, cannot, can't, neither, nor, 't",
    Kind.FILLER: FILLERS,
}

_WORD = re.compile(r"[^\W_]+|'[a-z]+|[^\s]")
_PUNCTUATION = {",": Kind.COMMA, ".": Kind.COMMA, ";": Kind.COMMA, ":": Kind.COMMA, "!": Kind.COMMA, "?": Kind.COMMA}
_DROPPED = frozenset("\"'()[]-_*")


def _plurals(word: str) -> str:
    if word.endswith(("s", "x", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


def _split(words: str) -> list[str]:
    return words.split(", ")


def _noun_entries() -> list[tuple[str, Token]]:
    entries: list[tuple[str, Token]] = []

    def add(singular: str, members: tuple[str, ...], plural: str | None = None) -> None:
        plural = plural or _plurals(singular)
        if plural != singular:
            entries.append((plural, Token(Kind.NOUN, plural, members, plural=True)))
        entries.append((singular, Token(Kind.NOUN, singular, members)))

    for word in _split(ANYTHING):
        add(word, tuple(NOUNS))
    for name, (family, members) in GROUPS.items():
        if family == "noun":
            for word in (name, *_split(GROUP_WORDS.get(name, name))):
                add(word, members)
    for name, noun in NOUNS.items():
        add(name, (name,), noun.plural)
        for word in (*noun.synonyms, *_split(NOUN_WORDS.get(name, name))):
            # A compound takes the plural of its head: "wine bottles", "front doors".
            head = word[: -len(name)] + noun.plural if word.endswith(name) else None
            add(word, (name,), head)
    return entries


def _attribute_entries() -> list[tuple[str, Token]]:
    entries: list[tuple[str, Token]] = []
    for colour in COLOURS:
        for word in (colour, *COLOUR_WORDS[colour].split()):
            token = Token(Kind.COLOUR, word, (colour,))
            entries += [(word, token), *((f"{shade} {word}", token) for shade in SHADES)]
    for word in ("colorful", "colourful"):
        entries.append((word, Token(Kind.COLOUR, word, BRIGHT)))
    for standing, table in ((False, PATTERN_ADJECTIVES), (True, PATTERN_NOUNS)):
        for name, words in table.items():
            members = GROUPS[name][1] if name in GROUPS else (name,)
            entries += [(w, Token(Kind.PATTERN, w, members, standing=standing)) for w in _split(words)]
    for word in (PLAIN, "unpatterned", "solid", "smooth", "uniform", "patternless"):
        entries.append((word, Token(Kind.PATTERN, word, (PLAIN,))))
    return entries


def _other_entries() -> list[tuple[str, Token]]:
    entries = [(word, Token(kind, word)) for kind, words in _SIMPLE.items() for word in _split(words)]
    entries += [(word, Token(Kind.MATERIAL, word)) for word in _split(MATERIALS)]
    entries += [(w, Token(Kind.SIZE, w, (size,))) for size, words in SIZES.items() for w in _split(words)]
    entries += [(w, Token(Kind.RELATION, w, (name,))) for name, words in RELATIONS.items() for w in _split(words)]
    entries += [(w, Token(Kind.COUNT, w, counts=counts)) for counts, words in COUNTS.items() for w in _split(words)]
    entries += [(word, Token(Kind.COUNT, word, counts=(n,))) for n, word in enumerate(NUMBERS)]
    for name, background in BACKGROUNDS.items():
        extra = _split(BACKGROUND_WORDS[name])
        for word in (name, *background.synonyms, *extra, background.phrase):
            entries.append((word, Token(Kind.BACKGROUND, word, (name,))))
    return entries


@cache
def lexicon() -> dict[tuple[str, ...], Token]:
    """Every known word or phrase (as a tuple of words). Later tables win: nouns over groups over all else."""
    known: dict[tuple[str, ...], Token] = {}
    for word, token in (*_other_entries(), *_attribute_entries(), *_noun_entries()):
        known[tuple(word.split())] = token
    for word in RELATED:
        known.setdefault(tuple(word.split()), Token(Kind.UNKNOWN, word))
    return known


@cache
def _longest() -> int:
    return max(len(words) for words in lexicon())


def tokenize(text: str) -> list[Token]:
    """Tokens of a sentence, longest phrases first. Nothing is dropped but quotes, brackets and hyphens."""
    plain = unicodedata.normalize("NFKC", text).lower().replace("’", "'").replace("n't", " not ")
    words = [w for w in _WORD.findall(plain.replace("&", " and ").replace("+", " and ")) if w not in _DROPPED]
    known, tokens, i = lexicon(), [], 0
    while i < len(words):
        for length in range(min(_longest(), len(words) - i), 0, -1):
            token = known.get(tuple(words[i : i + length]))
            if token is not None:
                break
        else:
            token, length = _single(words[i]), 1
        tokens.append(token)
        i += length
    return tokens


def _single(word: str) -> Token:
    if word in _PUNCTUATION:
        return Token(_PUNCTUATION[word], word)
    if word.isascii() and word.isdigit():
        return Token(Kind.COUNT, word, counts=(min(int(word[:6]), 999),))
    return Token(Kind.UNKNOWN, word)


@cache
def _nameable() -> dict[str, str]:
    """Word -> canonical word, for suggestions."""
    kinds = (Kind.NOUN, Kind.COLOUR, Kind.PATTERN, Kind.BACKGROUND, Kind.SIZE)
    names: dict[str, str] = {}
    for words, token in lexicon().items():
        if token.kind in kinds:
            single = len(token.members) == 1
            names[" ".join(words)] = token.members[0] if single else " ".join(words)
    return names


def nearest(word: str, limit: int = 3) -> list[str]:
    """Known words near an unknown one: related things first, then similar spelling; may be empty."""
    found = list(RELATED.get(word, RELATED.get(word.removesuffix("s"), RELATED.get(word.removesuffix("es"), ()))))
    if found:
        return found[:limit]
    for match in difflib.get_close_matches(word[:40], _nameable(), n=limit, cutoff=0.75):
        if _nameable()[match] not in found:
            found.append(_nameable()[match])
    return found[:limit]


def unknown_words(tokens: list[Token]) -> str | None:
    """A sentence that names each unknown word and the nearest known ones; None when all are known."""
    parts = []
    for word in dict.fromkeys(token.text for token in tokens if token.kind is Kind.UNKNOWN):
        near = nearest(word)
        parts.append(f"{word!r} (nearest: {', '.join(near)})" if near else f"{word!r} (nothing near)")
    if not parts:
        return None
    hint = "" if all("nearest" in part for part in parts) else " " + vocabulary_text()
    return f"This world cannot draw {', '.join(parts)}.{hint}"


def vocabulary_text() -> str:
    """One paragraph that lists everything that can be drawn."""
    groups = ", ".join(name for name, (family, _) in GROUPS.items() if family == "noun")
    return (
        f"It draws these things: {', '.join(NOUNS)}; groups: {groups}; "
        f"colours: {', '.join(COLOURS)}; patterns: {PLAIN}, striped, {', '.join(PATTERNS)}; "
        f"backgrounds: {', '.join(BACKGROUNDS)}; relations: {', '.join(RELATIONS)}."
    )
