"""A message as a model reads it: where its pictures are, and how the text tells them apart."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from dialogues import family, pictures, reply, result
from hypothesis import given
from hypothesis import strategies as st
from maia.agent.backbones.base import Message, Passage, Picture
from maia.agent.rendering import Cut, Sent, Sheet, Single, divided, rendered, shortened_reply
from maia.agent.replies import parse_reply

VALUES = [3.0, 9.0, 1.0, 7.0, 5.0]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def message(files: list[Path]) -> Message:
    shown = [Picture(files[place], f"thing {place}", value) for place, value in enumerate(VALUES)]
    return result(4, shown, Passage("a long note", "note"))


def text_of(sent: Sequence[Sent]) -> str:
    return "\n".join(part for part in sent if isinstance(part, str))


def shape(sent: Sequence[Sent]) -> list[str]:
    return ["text" if isinstance(part, str) else type(part).__name__ for part in sent]


def test_no_pictures_for_a_model_that_takes_none(message: Message) -> None:
    sent = rendered(message, 31, family(), 0, Cut())
    assert shape(sent) == ["text"]
    assert "(2) thing 1, activation 9\n" in text_of(sent) and "picture" not in text_of(sent)


def test_one_sheet_after_the_lines_that_it_shows(message: Message) -> None:
    sent = rendered(message, 31, family(), 1, Cut())
    assert shape(sent) == ["text", "Sheet", "text"]
    assert isinstance(sent[1], Sheet) and sent[1].numbers == (31, 32, 33, 34, 35)
    assert "(2) thing 1, activation 9 [picture 32]\n" in sent[0]
    assert sent[0].endswith("Contact sheet of pictures 31 to 35:") and sent[2] == "a long note"
    assert not sent[1].square and sent[1].image().width == sent[1].size[0]


def test_the_best_alone_and_the_rest_on_a_sheet(message: Message) -> None:
    sent = rendered(message, 31, family(), 3, Cut())
    assert shape(sent) == ["text", "Single", "text", "Single", "text", "Sheet", "text"]
    alone = [part.number for part in sent if isinstance(part, Single)]
    assert alone == [32, 34], "the highest activations, each at its place"
    assert sent[0].endswith("(2) thing 1, activation 9 [picture 32]")
    assert sent[2].endswith("(4) thing 3, activation 7 [picture 34]")
    assert isinstance(sent[5], Sheet) and sent[5].numbers == (31, 33, 35)
    assert sent[4].endswith("Contact sheet of pictures 31, 33, 35:")


def test_all_alone_where_there_is_room(message: Message) -> None:
    sent = rendered(message, 1, family(), 5, Cut())
    assert [part.number for part in sent if isinstance(part, Single)] == [1, 2, 3, 4, 5]
    assert not any(isinstance(part, Sheet) for part in sent)


def test_pictures_first_are_told_apart_all_the_same(message: Message) -> None:
    sent = rendered(message, 31, family(images_first=True), 3, Cut())
    assert shape(sent) == ["Single", "Single", "Sheet", "text"]
    lines = text_of(sent).splitlines()
    assert lines[0] == "The images above, in order: picture 32; picture 34; contact sheet of pictures 31, 33, 35."
    assert "(2) thing 1, activation 9 [picture 32]" in lines


def test_a_picture_that_no_line_names_gets_one(files: list[Path]) -> None:
    loose = Message("user", ("Look:", Picture(files[0], "red 10", 2.5), Picture(files[1], "red 20")))
    assert "[picture 8: red 10, activation 2.5]" in text_of(rendered(loose, 8, family(), 2, Cut()))
    assert "[picture 9: red 20]" in text_of(rendered(loose, 8, family(), 1, Cut()))
    assert "red 10, activation 2.5\nred 20" in text_of(rendered(loose, 8, family(), 0, Cut()))


def test_more_pictures_than_a_sheet_holds(files: list[Path]) -> None:
    shown = [Picture(files[0], f"thing {place}", float(place)) for place in range(20)]
    small = family(sheet_side=336)
    sent = rendered(result(1, shown, Passage("", "")), 1, small, 1, Cut())
    (sheet,) = [part for part in sent if isinstance(part, Sheet)]
    assert sheet.numbers == tuple(range(3, 21)), "the lowest activations are left out"
    assert "[picture 2, not shown]" in text_of(sent) and "[picture 3]" in text_of(sent)


@pytest.mark.parametrize("rule, square", [("crop", True), ("fixed", True), ("anyres", False), ("patches", False)])
def test_square_sheets_for_what_cuts_or_squeezes(message: Message, rule: str, square: bool) -> None:
    (sheet,) = [p for p in rendered(message, 1, family(image_rule=rule), 1, Cut()) if isinstance(p, Sheet)]
    assert sheet.square == square and (len(set(sheet.size)) == 1 or not square)
    sent = sheet.image()
    assert (sent.width, sent.height) == sheet.size


@given(st.lists(st.none() | st.floats(-9, 9), max_size=30), st.integers(1, 8), st.integers(1, 30))
def test_who_stands_alone(values: list[float | None], images: int, on_sheet: int) -> None:
    shown = [Picture(Path("x"), "x", value) for value in values]
    alone, sheet = divided(shown, images, on_sheet)
    assert alone == sorted(set(alone)) and sheet == sorted(set(sheet)) and not set(alone) & set(sheet)
    assert len(alone) + bool(sheet) <= images and len(sheet) <= on_sheet
    assert len(alone) + len(sheet) == min(len(values), images - 1 + on_sheet) or len(alone) == len(values)
    assert bool(sheet) == (len(values) > images or (images == 1 and bool(values)))

    def rank(place: int) -> tuple[float, int]:
        value = values[place]
        return (float("-inf") if value is None else value, -place)

    left = set(range(len(values))) - set(alone) - set(sheet)
    for better, worse in ((alone, sheet), (sheet, left)):
        assert not better or not worse or min(map(rank, better)) > max(map(rank, worse))


def test_a_shortened_reply_is_its_hypotheses() -> None:
    short = shortened_reply(str(reply("it likes dogs", "x = 1").parts[0]))
    assert "it likes dogs" in short and "x = 1" not in short and "left out" in short
    endless = shortened_reply("nonsense " * 1000)
    assert len(endless) < 900 and endless.startswith("nonsense")
    conclusion = "[DESCRIPTION]: dogs\n[LABEL]: dogs"
    assert shortened_reply(conclusion) == conclusion and parse_reply(conclusion).labels == ["dogs"]
