"""English into a description: which things, what is said of them, how they stand, on what background.

A hand-written left-to-right reading of tokens. Adjectives wait for the noun after them ("a red striped ball"),
or fall back on the noun before them ("a ball with red stripes", "a ball that is red"). What cannot be drawn
faithfully is an ExperimentError: two colours for one thing, two backgrounds, a coloured background.
"""

from dataclasses import dataclass, field, replace

from ..errors import ExperimentError
from .vocabulary import COLOURS
from .wordlists import BACKGROUND_COLOURS
from .words import Kind, Token, tokenize, unknown_words

Members = tuple[str, ...]


@dataclass
class Attributes:
    """What is said of a thing. colours, patterns: one set of candidates for each that is named."""

    colours: list[Members] = field(default_factory=list)
    patterns: list[Members] = field(default_factory=list)
    size: str | None = None
    counts: tuple[int, ...] = ()
    article: bool = False

    def __bool__(self) -> bool:
        return bool(self.colours or self.patterns or self.size or self.counts)

    def merge(self, other: "Attributes") -> None:
        """Take over what another says."""
        for members in other.colours:
            _narrow(self.colours, members)
        for members in other.patterns:
            _narrow(self.patterns, members)
        if other.size and self.size not in (None, other.size):
            raise ExperimentError(f"A thing cannot be both {self.size} and {other.size}.")
        self.size = self.size or other.size
        self.counts = self.counts or other.counts


def _narrow(candidates: list[Members], members: Members) -> None:
    """Add a word; words that agree ("horizontal" and "stripes") become one."""
    for i, known in enumerate(candidates):
        common = tuple(m for m in known if m in members)
        if common:
            candidates[i] = common
            return
    candidates.append(members)


@dataclass
class Mention:
    """One noun of the sentence, for one or more objects. nouns: candidates."""

    word: str
    nouns: Members
    plural: bool
    attributes: Attributes


@dataclass
class Description:
    """What a text asks for. relations: (mention, relation, mention). surface: a close-up of a bare surface."""

    mentions: list[Mention] = field(default_factory=list)
    relations: list[tuple[int, str, int]] = field(default_factory=list)
    background: str | None = None
    surface: Attributes | None = None
    close_up: bool = False


ADJECTIVES = (Kind.COLOUR, Kind.PATTERN, Kind.SIZE, Kind.COUNT, Kind.ARTICLE)
_CONNECTORS = (Kind.WITH, Kind.IN, Kind.OF, Kind.RELATION)


def _is_phrase(token: Token) -> bool:
    """Whether a background brings its own preposition ("in the snow")."""
    return token.text.startswith(("in ", "on "))


class _Reader:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.found = Description()
        self.pending = Attributes()
        self.elliptic: list[Attributes] = []  # "a red and a blue ball": waiting for their noun
        self.connector: Token | None = None  # the last preposition, since the last noun
        self.subjects: list[int] = []  # mentions that a relation would speak of
        self.after = False  # adjectives belong to the noun before them
        self.about_background = False  # the last thing named is the background

    def read(self) -> Description:
        for i, token in enumerate(self.tokens):
            following = self.tokens[i + 1] if i + 1 < len(self.tokens) else None
            if token.kind in (Kind.COLOUR, Kind.PATTERN, Kind.SIZE):
                self._adjective(token, following)
            elif token.kind in (Kind.ARTICLE, Kind.COUNT):
                self._article(token)
            elif token.kind is Kind.NOUN:
                self._noun(token, self.tokens[i - 1] if i else None)
            elif token.kind is Kind.BACKGROUND:
                self._background(token)
            elif token.kind is Kind.MATERIAL:
                self._material(token, following)
            elif token.kind in (Kind.AND, Kind.COMMA):
                self.after = (self.after and token.kind is Kind.COMMA) or self._speaks_of_last(i + 1)
                if not self.pending:
                    self.connector = None
            elif token.kind is Kind.IS:
                predicate = following is not None and following.kind in (Kind.ARTICLE, Kind.COUNT)
                known = bool(self.found.mentions) or self.about_background
                self.after = known and not predicate and not self.pending
            elif token.kind in _CONNECTORS:
                self._settle(token)
                self.connector = token
                self.after = token.kind is Kind.IN and self._speaks_of_last(i + 1)
            elif token.kind is Kind.CLOSE_UP:
                self.found.close_up = True
        return self._finish()

    def _speaks_of_last(self, start: int) -> bool:
        """Whether the adjectives from here on find no noun of their own."""
        if not self.found.mentions:
            return False
        for token in self.tokens[start:]:
            if token.kind in (Kind.NOUN, Kind.MATERIAL) or token.standing:
                return False
            if token.kind is Kind.BACKGROUND and not _is_phrase(token):
                return False
            if token.kind not in (*ADJECTIVES, Kind.FILLER, Kind.AND, Kind.COMMA):
                break
        return True

    def _adjective(self, token: Token, following: Token | None) -> None:
        said = Attributes()
        if token.kind is Kind.SIZE:
            said.size = token.members[0]
        else:
            (said.colours if token.kind is Kind.COLOUR else said.patterns).append(token.members)
        if self.after:
            self._tell_last(said)
            return
        self.pending.merge(said)
        if token.standing and (following is None or following.kind not in (Kind.NOUN, Kind.MATERIAL)):
            self._standing(token)

    def _standing(self, token: Token) -> None:
        """ "stripes" as a noun: of the thing before it, or of a bare surface."""
        on = self.connector is not None and self.connector.kind is Kind.RELATION
        if self.about_background or on:
            raise ExperimentError(f"{token.text!r} cannot lie on the background: backgrounds have no pattern.")
        self._give_pending(token.text)

    def _give_pending(self, word: str) -> None:
        said, self.pending = self.pending, Attributes()
        if self.found.mentions:
            # "with two red stripes": the number counts stripes, not things
            self._tell_last(replace(said, counts=()))
        else:
            self.found.surface = self.found.surface or Attributes()
            self.found.surface.merge(said)

    def _tell_last(self, said: Attributes) -> None:
        if self.about_background:
            self._natural(said)
        else:
            self.found.mentions[-1].attributes.merge(said)
            self.connector = None

    def _article(self, token: Token) -> None:
        if self.pending:
            if self.pending.article or not self.found.mentions:
                if self.pending.colours or self.pending.patterns:
                    self.elliptic.append(self.pending)
                    self.pending = Attributes()
            else:
                self._give_pending(token.text)
        self.after = False
        self.pending.article = True
        if token.kind is Kind.COUNT:
            self.pending.counts = token.counts

    def _settle(self, token: Token) -> None:
        """Adjectives that no noun followed belong to the noun before them."""
        if not self.pending:
            self.pending = Attributes()
            return
        if self.pending.counts and not (self.pending.colours or self.pending.patterns or self.pending.size):
            self.pending = Attributes()  # "one on the left": the number of nothing new
        elif self.pending.article and self.found.mentions:
            raise ExperimentError(f"A thing is missing before {token.text!r}: say what has these attributes.")
        else:
            self._give_pending(token.text)

    def _noun(self, token: Token, before: Token | None) -> None:
        generic = len(token.members) > 1
        if before is not None and before.kind is Kind.NOUN:
            if generic:
                return  # "a ball shape"
            raise ExperimentError(
                f"{before.text + ' ' + token.text!r} cannot be drawn as one thing: say how they stand, "
                f"as in 'a {before.text} beside a {token.text}'."
            )
        name = self.connector.members[0] if self.connector and self.connector.members else None
        if self.connector is not None and self.connector.kind is Kind.IN:
            raise ExperimentError(
                f"{self.connector.text!r} needs a background, and {token.text!r} is a thing: "
                "use on, beside, in front of, behind, above, under, left of or right of."
            )
        attributes, self.pending = self.pending, Attributes()
        if self.found.surface is not None:
            attributes.merge(self.found.surface)
            self.found.surface, name = None, None
        group = [*self.elliptic, attributes]
        self.elliptic = []
        new = range(len(self.found.mentions), len(self.found.mentions) + len(group))
        for entry in group:
            self.found.mentions.append(Mention(token.text, token.members, token.plural and len(group) == 1, entry))
        if self.connector is not None and self.connector.kind is Kind.WITH and self.subjects:
            self.found.relations += [(k, "beside", self.subjects[-1]) for k in new]
        elif name is not None:
            self.found.relations += [(s, name, k) for s in self.subjects for k in new]
        joined = self.connector is None and before is not None
        self.subjects = [*self.subjects, *new] if joined else list(new)
        self.connector, self.after, self.about_background = None, False, False

    def _background(self, token: Token) -> None:
        name = token.members[0]
        if self.found.background not in (None, name):
            raise ExperimentError(
                f"Two backgrounds in one picture: {self.found.background} and {name} (from {token.text!r}). Keep one."
            )
        if _is_phrase(token):
            self._settle(token)
        self.found.background = name
        said, self.pending = self.pending, Attributes()
        self.about_background = True
        if said.colours or said.patterns:
            self._natural(said)
        self.connector, self.after = None, False

    def _natural(self, said: Attributes) -> None:
        """A background may be given its natural colour only."""
        name = self.found.background or ""
        allowed = BACKGROUND_COLOURS.get(name, ())
        if (said.patterns and said.patterns != [("plain",)]) or any(not set(c) & set(allowed) for c in said.colours):
            raise ExperimentError(
                f"The background {name!r} has no colour or pattern to choose: those belong to things. "
                "Leave them out, or ask for a close-up such as 'a close-up of red striped fabric'."
            )

    def _material(self, token: Token, following: Token | None) -> None:
        if following is not None and following.kind is Kind.NOUN:
            return  # "a striped fabric chair"
        under = self.connector is not None and self.connector.kind is Kind.RELATION
        if token.text in ("background", "backdrop"):
            if not self.pending:
                return  # "with a forest background", "the background is a forest"
            under = True
        if self.found.mentions and under and (self.pending.colours or self.pending.patterns):
            raise ExperimentError(
                f"A background cannot be a coloured or patterned {token.text}: use one of "
                f"{', '.join(BACKGROUND_COLOURS)}, or a close-up of the {token.text} alone."
            )
        if self.found.mentions and under:
            raise ExperimentError(f"{token.text!r} is no background: use one of {', '.join(BACKGROUND_COLOURS)}.")
        if self.about_background and not self.found.mentions:
            self.pending = Attributes()
            return
        self._give_pending(token.text)

    def _finish(self) -> Description:
        found = self.found
        if self.elliptic or (self.pending.article and found.mentions and self.pending):
            raise ExperimentError("The sentence stops before its thing: say what is red, striped and so on.")
        if self.pending:
            if self.about_background and not found.mentions:
                self._natural(self.pending)
            else:
                self._give_pending("")
        surface = found.surface
        if surface is not None and found.background is not None:
            if surface.colours or surface.patterns:
                raise ExperimentError(
                    f"A close-up of a surface has no background: leave out {found.background!r} or name a thing."
                )
            found.surface = None
        if surface is not None and surface.counts and not (surface.colours or surface.patterns):
            raise ExperimentError("Say what there should be that many of.")
        return found


_REFUSED = {
    Kind.NEGATION: "{!r}: what should not be there cannot be drawn; describe only what should be in the picture.",
    Kind.OR: "{!r}: a picture shows one choice; write one prompt for each.",
}


def read(tokens: list[Token]) -> Description:
    """The description that tokens ask for. Raises ExperimentError for unknown words, negation, contradictions."""
    problems = [unknown_words(tokens)] + [_REFUSED[t.kind].format(t.text) for t in tokens if t.kind in _REFUSED]
    if any(problems):
        raise ExperimentError(" ".join(dict.fromkeys(problem for problem in problems if problem)))
    return _Reader(tokens).read()


def read_text(text: str) -> Description:
    """`read` of a text."""
    return read(tokenize(text))


def single(kind: str, candidates: list[Members], word: str) -> Members | None:
    """The one set of candidates for a thing's colour or pattern; ExperimentError when the text names several."""
    if len(candidates) > 1:
        names = " and ".join(c[0] if len(c) == 1 else "/".join(c) for c in candidates)
        more = "A pattern's second tone is the renderer's choice: " if set(candidates[0]) <= set(COLOURS) else ""
        raise ExperimentError(
            f"A thing has one {kind}, but {word!r} got {names}. {more}name one {kind}, or write two things."
        )
    return candidates[0] if candidates else None
