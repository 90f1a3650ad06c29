"""What pictures have in common, as counts of words: the summary of an observer that describes each in words alone."""

from collections import Counter
from collections.abc import Sequence

LISTED = 12
"""Words of each list that are told, the most frequent."""
BRIGHT, WHOLE = "bright", "picture"
"""Names of the lists: words of the highlighted regions, and of the whole pictures."""


def count_words(lines: Sequence[str]) -> str:
    """How many descriptions hold each word. lines: one description for each picture, "word, word | word": what is
    bright, and what is around it (`prompts.brief.BRIEF_DESCRIBE`); without a bar all of it is bright.

    Returns three lines: the number of pictures, then "bright: word count, …" and "picture: word count, …", by count and
    then by the alphabet."""
    counts: dict[str, Counter[str]] = {BRIGHT: Counter(), WHOLE: Counter()}
    for line in lines:
        bright, _, around = line.partition(" | ")
        inside = set(bright.split(", "))
        counts[BRIGHT].update(inside)
        counts[WHOLE].update(inside | set(around.split(", ")) if around else inside)
    told = [f"{len(lines)} pictures"]
    for name, counted in counts.items():
        often = sorted(counted.items(), key=lambda entry: (-entry[1], entry[0]))[:LISTED]
        told.append(f"{name}: " + ", ".join(f"{word} {count}" for word, count in often))
    return "\n".join(told)
