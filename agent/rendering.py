"""One message of the dialogue as a vision-language model reads it: which of its pictures are sent one by one and which
on a contact sheet, how the text refers to them, and what is left of a message that is shortened."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..models.errors import ExperimentError
from ..models.vlm.chat import ChatImage
from ..models.vlm.families import Family
from .backbones.base import Message, Passage, Picture
from .replies import parse_reply
from .sheets import chat_image, chat_image_size, sheet_image, sheet_limit, sheet_size

GONE = "(pictures of this experiment are no longer shown)"
CODE_GONE = "(the code of this experiment is left out)"
_SQUARE = ("crop", "fixed")
"""Image rules of processors that cut a picture to a square, or squeeze it into one."""
REPLY_LIMIT = 800
"""Characters that are left of a shortened reply."""


@dataclass(frozen=True)
class Single:
    """A picture that is sent by itself. number: its place among all pictures of the dialogue, from 1. side: see
    `Family`."""

    picture: Picture
    number: int
    side: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as sent, in pixels."""
        return chat_image_size(self.picture.path, self.side)

    def image(self) -> ChatImage:
        """What is sent."""
        return chat_image(self.picture.path, self.side)


@dataclass(frozen=True)
class Sheet:
    """Pictures that are sent on one contact sheet. square: see `contact_sheet`."""

    pictures: tuple[Picture, ...]
    numbers: tuple[int, ...]
    side: int
    square: bool

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as sent, in pixels; the sheet is not drawn for it."""
        return sheet_size(self.pictures, self.side, self.square)

    def image(self) -> ChatImage:
        """What is sent; the same bytes every time."""
        return sheet_image(self.pictures, self.side, self.numbers, self.square)


Sent = str | Single | Sheet


@dataclass(frozen=True)
class Cut:
    """What is left out of a message. pictures: its pictures. details: its passages are shortened; of a reply, the
    code."""

    pictures: bool = False
    details: bool = False


def rendered(message: Message, first_number: int, family: Family, images_per_turn: int, cut: Cut) -> list[Sent]:
    """What is sent of a message, in order: texts (no two in a row) and pictures.

    first_number: of its first picture, counted through the dialogue and whether pictures are sent or not, so that a
    picture keeps its number. images_per_turn: that are sent of one message at most.
    """
    if message.role == "assistant":
        text = "\n".join(_texts(message, details=True))
        return [_printable(shortened_reply(text) if cut.details else text)]
    pictures = [part for part in message.parts if isinstance(part, Picture)]
    numbers = {place: first_number + place for place in range(len(pictures))}
    if cut.pictures or images_per_turn == 0 or not pictures:
        parts: list[Sent] = list(_texts(message, not cut.details))
        return _joined([*parts, GONE] if cut.pictures and images_per_turn and pictures else parts)
    singles, sheet = divided(pictures, images_per_turn, sheet_limit(family.sheet_side))
    sent: dict[int, Single | Sheet] = {
        place: Single(pictures[place], numbers[place], family.image_side) for place in singles
    }
    if sheet:
        # Where its last picture stood: everything that refers to it comes before it.
        sent[sheet[-1]] = Sheet(
            tuple(pictures[place] for place in sheet),
            tuple(numbers[place] for place in sheet),
            family.sheet_side,
            family.image_rule in _SQUARE,
        )
    return _placed(message, not cut.details, numbers, sent, set(singles), set(sheet), family.images_first)


def divided(pictures: Sequence[Picture], images_per_turn: int, on_sheet: int) -> tuple[list[int], list[int]]:
    """Places of the pictures that are sent one by one, and of those on the sheet, both in order.

    images_per_turn 1: all are on the sheet. More: if there are too many, all places but one go to the best (highest
    activation; without activations the first), which stay by themselves. on_sheet: that a sheet holds; those beyond are
    left out, the worst first.
    """
    places = list(range(len(pictures)))
    if images_per_turn > 1 and len(pictures) <= images_per_turn:
        return places, []
    ranked = sorted(places, key=lambda place: -_rank(pictures[place]))  # stable: of equals, the first
    alone = images_per_turn - 1
    return sorted(ranked[:alone]), sorted(ranked[alone : alone + on_sheet])


def _rank(picture: Picture) -> float:
    return float("-inf") if picture.activation is None else picture.activation


def shortened_reply(text: str) -> str:
    """A reply's hypotheses without its code; of one that cannot be read, the beginning."""
    try:
        parsed = parse_reply(text)
    except ExperimentError:
        return _beginning(text)
    if parsed.code is None or not parsed.hypotheses:
        return _beginning(text)
    return f"[HYPOTHESIS LIST]:\n{_beginning(parsed.hypotheses)}\n{CODE_GONE}"


def _beginning(text: str) -> str:
    return text if len(text) <= REPLY_LIMIT else f"{text[:REPLY_LIMIT]} ..."


def _texts(message: Message, details: bool) -> list[str]:
    """The texts; where a picture's title is in none of them, a line for it."""
    texts: list[str] = []
    whole = message.text
    for part in message.parts:
        if isinstance(part, Picture):
            if part.title not in whole:
                texts.append(_caption(part))
        else:
            texts.append(_text(part, details))
    return texts


def _text(part: str | Passage, details: bool) -> str:
    if isinstance(part, str):
        return part
    return part.text if details else part.short


def _caption(picture: Picture) -> str:
    value = "" if picture.activation is None else f", activation {picture.activation:g}"
    return f"{picture.title}{value}"


def _placed(
    message: Message,
    details: bool,
    numbers: dict[int, int],
    sent: dict[int, Single | Sheet],
    singles: set[int],
    sheet: set[int],
    images_first: bool,
) -> list[Sent]:
    """Texts and pictures in order, with a mark in the text for every picture; or (images_first) the pictures, a line
    that says which is which, and the text with its marks."""
    body: list[Sent] = []
    place = 0
    for before, part in zip((None, *message.parts), message.parts, strict=False):
        if not isinstance(part, Picture):
            body.append(_text(part, details))
            continue
        named = isinstance(before, str | Passage) and part.title in _text(before, details)
        words = [f"picture {numbers[place]}"] + ([] if named else [_caption(part)])
        mark = f"[{': '.join(words)}{'' if place in singles | sheet else ', not shown'}]"
        # On the line that names the picture, where there is one: a line break more is a token more.
        if named and body and isinstance(body[-1], str) and body[-1]:
            body[-1] = f"{body[-1]} {mark}"
        else:
            body.append(mark)
        if place in sent and not images_first:
            entry = sent[place]
            body += [entry] if isinstance(entry, Single) else [f"Contact sheet of {_ranges(entry.numbers)}:", entry]
        place += 1
    if not images_first:
        return _joined(body)
    first = sorted(sent.items(), key=lambda item: (isinstance(item[1], Sheet), item[0]))
    legend = [
        f"contact sheet of {_ranges(entry.numbers)}" if isinstance(entry, Sheet) else f"picture {entry.number}"
        for _, entry in first
    ]
    above = "image above" if len(legend) == 1 else "images above, in order"
    return [*(entry for _, entry in first), *_joined([f"The {above}: {'; '.join(legend)}.", *body])]


def _ranges(numbers: Sequence[int]) -> str:
    """ "pictures 3 to 7, 9": numbers in rising order."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    words = [str(low) if low == high else f"{low} to {high}" for low, high in spans]
    return f"{'picture' if len(numbers) == 1 else 'pictures'} {', '.join(words)}"


def _joined(parts: Sequence[Sent]) -> list[Sent]:
    """Texts in a row as one, a line each; empty ones gone."""
    joined: list[Sent] = []
    for part in parts:
        if isinstance(part, str):
            part = _printable(part)
            if not part:
                continue
            if joined and isinstance(joined[-1], str):
                joined[-1] = f"{joined[-1]}\n{part}"
                continue
        joined.append(part)
    return joined


def _printable(text: str) -> str:
    """Without lone surrogates, which no tokenizer and no server reads."""
    return text.encode("utf-8", "replace").decode("utf-8")
