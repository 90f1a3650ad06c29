"""Lists of concepts that CLIP-Dissect chooses labels from: the offline world's vocabulary, or a text file."""

from dataclasses import dataclass
from pathlib import Path

from ...agent.backbones.scripted.hypotheses import CONCEPTS
from ...models.errors import UserError

LONGEST = 60
"""Characters of a concept at most: what is longer is a sentence, and CLIP's text encoder reads 77 tokens."""
NAMED = 3
"""Lines of each kind that a note names."""


@dataclass(frozen=True)
class ConceptList:
    """concepts: each once, in the order of the list (ties between concepts go to the earlier one). notes: sentences on
    the lines that were left out."""

    name: str
    concepts: tuple[str, ...]
    notes: tuple[str, ...] = ()


def vocabulary_concepts() -> ConceptList:
    """The offline world's words: nouns, colours, patterns, backgrounds, then groups."""
    return ConceptList("the offline world's vocabulary", CONCEPTS)


def read_concepts(file: Path) -> ConceptList:
    """The concepts of a UTF-8 text file, one a line; white space at the ends and in rows does not matter.

    Blank lines, lines that repeat an earlier one (whatever the case), and those longer than LONGEST characters are left
    out and told. Raises UserError for a file that cannot be read, is no text, or holds fewer than two concepts.
    """
    try:
        lines = file.expanduser().read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        reason = "is no UTF-8 text" if isinstance(problem, UnicodeDecodeError) else "cannot be read"
        raise UserError(f"the concept list {file} {reason}: give a text file with one concept a line.") from None
    found: dict[str, str] = {}
    left: dict[str, list[str]] = {"blank": [], "repeated": [], f"longer than {LONGEST} characters": []}
    for number, line in enumerate(lines, 1):
        concept = " ".join(line.split())
        if not concept:
            left["blank"].append(f"line {number}")
        elif len(concept) > LONGEST:
            left[f"longer than {LONGEST} characters"].append(f"line {number}")
        elif concept.casefold() in found:
            left["repeated"].append(f"line {number} {concept!r}")
        else:
            found[concept.casefold()] = concept
    notes = tuple(_note(kind, places) for kind, places in left.items() if places)
    if len(found) < 2:
        told = f" ({' '.join(notes)})" if notes else ""
        raise UserError(f"the concept list {file} holds {len(found)} concepts{told}: give one with at least two.")
    return ConceptList(file.name, tuple(found.values()), notes)


def _note(kind: str, places: list[str]) -> str:
    more = f" and {len(places) - NAMED} more" if len(places) > NAMED else ""
    lines = "1 line is" if len(places) == 1 else f"{len(places)} lines are"
    return f"{lines} {kind} and left out: {', '.join(places[:NAMED])}{more}."
