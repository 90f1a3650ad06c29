"""Words of descriptions, counted."""

from hypothesis import given
from hypothesis import strategies as st
from maia.agent.word_counts import LISTED, count_words

WORD = st.sampled_from(["dog", "red", "brick wall", "animal", "snow", "cup", "night city", "horizontally striped"])
SIDE = st.lists(WORD, min_size=1, max_size=5).map(", ".join)


def test_words_of_the_bright_region_and_of_all_are_counted_once_a_picture() -> None:
    lines = ["dog, red, red | snow, dog", "dog | cup", "cup, animal"]
    assert (
        count_words(lines)
        == "3 pictures\nbright: dog 2, animal 1, cup 1, red 1\npicture: cup 2, dog 2, animal 1, red 1, snow 1"
    )


def test_the_list_ends_after_the_most_frequent() -> None:
    lines = [f"word {k}, often" for k in range(LISTED + 5)]
    bright = count_words(lines).splitlines()[1].split(", ")
    assert bright[0] == f"bright: often {LISTED + 5}" and len(bright) == LISTED


@given(lines=st.lists(st.tuples(SIDE, SIDE).map(" | ".join), min_size=1, max_size=15))
def test_counts_are_the_descriptions_that_hold_a_word(lines: list[str]) -> None:
    total, bright, whole = count_words(lines).splitlines()
    assert total == f"{len(lines)} pictures"
    for told, text in ((bright, [line.split(" | ")[0] for line in lines]), (whole, lines)):
        for entry in told.split(": ", 1)[1].split(", "):
            word, _, count = entry.rpartition(" ")
            assert int(count) == sum(word in line.replace(" | ", ", ").split(", ") for line in text) > 0
