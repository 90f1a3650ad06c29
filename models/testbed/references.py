"""Which objects of a scene a phrase means: "the red ball", "it", "all dogs", "the dog on the left"."""

import re

from ..errors import ExperimentError
from .grammar import Description, Mention, read_text
from .language import caption
from .scene import Scene, SceneObject
from .vocabulary import NOUNS

_SIDE = re.compile(r"\b(?:on the )?(left|right)(?:most)?(?: side)?\b(?! of)")
_ALL = re.compile(r"\b(?:all (?:of )?|both (?:of )?|every |each )(?:the )?")
PRONOUN = re.compile(r"^(?:it|this|that|itself)$")
PRONOUNS = re.compile(r"^(?:them|everything|these|those|all|both)$")


def missing(scene: Scene, what: str) -> ExperimentError:
    """The error for a thing that the picture does not show."""
    return ExperimentError(f"There is no {what!r} in the picture. The picture shows {caption(scene)}.")


def read_reference(text: str) -> Description:
    """Description of a phrase, without the words that choose among several ("all", "on the left")."""
    return read_text(_ALL.sub("the ", _SIDE.sub("", text)))


def resolve(scene: Scene, text: str) -> list[int]:
    """Indices of the objects that a phrase means. ExperimentError when there are none, or one of several."""
    text = text.strip()
    everything = list(range(len(scene.objects)))
    shows = f"The picture shows {caption(scene)}."
    if PRONOUNS.match(text) and everything:
        return everything
    if PRONOUN.match(text):
        if len(everything) == 1:
            return everything
        raise ExperimentError(f"{text!r} is not clear: name one thing. {shows}")
    side = _SIDE.search(text)
    every = _ALL.search(text)
    found = read_reference(text)
    said = _only_mention(found)
    if said is None:
        # "the red", "the stripes": whatever has these attributes
        said = Mention("thing", tuple(NOUNS), True, found.surface) if found.surface else None
    if said is None or found.relations:
        raise ExperimentError(f"{text!r} does not name one thing of the picture. {shows}")
    chosen = [i for i in everything if matches(scene.objects[i], said)]
    if not chosen:
        raise missing(scene, text.removeprefix("the "))
    if side is not None:
        pick = min if side.group(1) == "left" else max
        return [pick(chosen, key=lambda i: scene.objects[i].x)]
    if len(chosen) > 1 and not said.plural and not every:
        raise ExperimentError(
            f"There are {len(chosen)} things that {text!r} could mean: add its colour or pattern, 'on the left', or "
            f"say 'all'. {shows}"
        )
    return chosen


def _only_mention(found: Description) -> Mention | None:
    return found.mentions[0] if len(found.mentions) == 1 and found.background is None else None


def matches(entry: SceneObject, said: Mention) -> bool:
    """Whether an object has the noun, colour and pattern that are said."""
    attributes = said.attributes
    return (
        entry.noun in said.nouns
        and all(entry.colour in members for members in attributes.colours)
        and all(entry.pattern in members for members in attributes.patterns)
    )


def present(scene: Scene, said: Mention, but: int | None = None) -> int | None:
    """Key of the first object that the mention can mean, other than the one with key `but`."""
    return next((entry.key for entry in scene.objects if entry.key != but and matches(entry, said)), None)
