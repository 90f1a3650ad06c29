"""Prompts to scenes and scenes to captions."""

import random
from collections.abc import Sequence

from ..errors import ExperimentError
from .catalogue import Purpose, drawing_choices
from .grammar import Attributes, Description, Members, Mention, read, single
from .layout import MAX_OBJECTS, ObjectSpec, Relation, lay_out
from .scene import Scene, SceneObject
from .vocabulary import BACKGROUNDS, COLOURS, NOUNS, PATTERNS, PLAIN
from .words import tokenize

MAX_PROMPT = 300
"""Characters of the longest prompt or edit."""
USUAL_SHARE = 0.7
"""How often an object without a colour in the prompt has one that its noun usually has."""
PLAIN_SHARE = 0.8
"""How often an object without a pattern in the prompt is plain."""
_NUMBER_WORDS = ("no", "a", "two", "three", "four", "five")


def check_text(text: object, what: str) -> str:
    """The text, or ExperimentError when it is no string, blank or longer than MAX_PROMPT."""
    if not isinstance(text, str):
        raise ExperimentError(f"The {what} must be a string, not {type(text).__name__}.")
    if not text.strip():
        raise ExperimentError(f"The {what} is empty.")
    if len(text) > MAX_PROMPT:
        raise ExperimentError(f"The {what} has {len(text)} characters; at most {MAX_PROMPT} are read.")
    return text


def parse_prompt(text: str, seed: int, purpose: Purpose = "exploration") -> Scene:
    """The scene that an English prompt asks for.

    What the prompt leaves open (places, drawings, members of a group such as "animal", colours, the background)
    is drawn from the seed and does not depend on the words, so that prompts which differ in one word give
    pictures that differ in one thing. Same (text, seed, purpose), same scene. purpose chooses the drawings: those of
    "evaluation" never appear in exploration. Raises ExperimentError: unknown words (with the nearest known ones),
    negation, contradictions, more than 5 objects, empty or over-long prompts.
    """
    found = read(tokenize(check_text(text, "prompt")))
    if found.surface is not None:
        return Scene(seed, None, surface=_choose_surface(found.surface, seed))
    if not found.mentions and found.background is None:
        raise ExperimentError("The prompt names nothing to draw: name a thing, a pattern or a background.")
    background = found.background or random.Random(f"{seed}/prompt/background").choice(tuple(BACKGROUNDS))
    specs, owners = choose_objects(found, seed, purpose)
    try:
        objects = lay_out(specs, background, _object_relations(found, owners), seed)
    except ValueError as error:
        raise ExperimentError(f"Cannot arrange {text.strip()!r}: {error}.") from None
    return Scene(seed, background, objects)


def choose_attributes(noun: str, colours: Members | None, patterns: Members | None, rng_name: str) -> tuple[str, str]:
    """(colour, pattern) of an object: of the candidates, or as usual for the noun where the text left it open."""
    rng = random.Random(f"{rng_name}/colour")
    usual = NOUNS[noun].usual if rng.random() < USUAL_SHARE else ()
    colour = rng.choice(colours or usual or tuple(COLOURS))
    rng = random.Random(f"{rng_name}/pattern")
    open_choice = (PLAIN,) if rng.random() < PLAIN_SHARE else PATTERNS
    return colour, rng.choice(patterns or open_choice)


def _choose_surface(surface: Attributes, seed: int) -> tuple[str, str]:
    rng = random.Random(f"{seed}/prompt/surface")
    colour = rng.choice(single("colour", surface.colours, "the surface") or tuple(COLOURS))
    # A colour alone ("red") is a plain surface, a surface alone ("a texture") has some pattern.
    default = (PLAIN,) if surface.colours else PATTERNS
    return colour, rng.choice(single("pattern", surface.patterns, "the surface") or default)


def _choose_counts(mentions: Sequence[Mention], seed: int) -> list[int]:
    """How many objects each mention stands for; vague numbers give way when there are too many."""
    counts, least = [], []
    for i, mention in enumerate(mentions):
        options = mention.attributes.counts or ((2, 3) if mention.plural else (1,))
        if options == (2, 3) and not mention.plural:
            options = (1,)  # "some grass"
        if options[0] == 0:
            raise ExperimentError(f"Zero {mention.word}: describe only what should be in the picture.")
        vague = len(options) > 1
        least.append(min(2, options[0]) if vague else options[0])
        counts.append(random.Random(f"{seed}/prompt/{i}/count").choice(options))
    if sum(least) > MAX_OBJECTS:
        raise ExperimentError(f"At most {MAX_OBJECTS} things fit into a picture; this asks for {sum(least)}.")
    while sum(counts) > MAX_OBJECTS:
        spare = max(range(len(counts)), key=lambda i: counts[i] - least[i])
        counts[spare] -= 1
    return counts


def choose_objects(
    found: Description, seed: int, purpose: Purpose, first_key: int = 0
) -> tuple[list[ObjectSpec], list[list[int]]]:
    """Specs of all objects (keys from first_key on), and for each mention the positions of its specs.

    Raises ExperimentError as `parse_prompt` does.
    """
    specs: list[ObjectSpec] = []
    owners: list[list[int]] = []
    for i, (mention, count) in enumerate(zip(found.mentions, _choose_counts(found.mentions, seed), strict=True)):
        owners.append(list(range(len(specs), len(specs) + count)))
        said = mention.attributes
        noun = random.Random(f"{seed}/prompt/{i}/noun").choice(mention.nouns)
        for j in range(count):
            key = first_key + len(specs)
            name = f"{seed}/prompt/{key}"
            colours = _share(said.colours, j, count, "colour", mention.word)
            patterns = _share(said.patterns, j, count, "pattern", mention.word)
            if j and noun == specs[-1].noun:
                # Things of one phrase look alike: "three bottles" are of one colour unless the prompt says more.
                colour = specs[-1].colour if not colours or specs[-1].colour in colours else None
                pattern = specs[-1].pattern if not patterns or specs[-1].pattern in patterns else None
            else:
                colour = pattern = None
            chosen = choose_attributes(noun, colours, patterns, name)
            drawing = random.Random(f"{name}/drawing").choice(drawing_choices(noun, purpose))
            size = said.size or ("large" if found.close_up else None)
            specs.append(ObjectSpec(noun, colour or chosen[0], pattern or chosen[1], size, drawing, key))
    return specs, owners


def _share(candidates: list[Members], j: int, count: int, kind: str, word: str) -> Members | None:
    """ "two red and blue balls": one of each. One thing cannot have two."""
    if 1 < len(candidates) <= count:
        return candidates[j % len(candidates)]
    return single(kind, candidates, word)


def _object_relations(found: Description, owners: list[list[int]]) -> list[Relation]:
    """Relations between mentions as relations between objects."""
    relations: list[Relation] = []
    for a, name, b in found.relations:
        if name == "between":
            posts = [k for other in found.relations if other[:2] == (a, name) for k in owners[other[2]]]
            posts += [k for m in range(b + 1, len(owners)) for k in owners[m]] if len(posts) < 2 else []
            if len(posts) != 2:
                raise ExperimentError("'between' needs two things to stand between, as in 'a dog between two trees'.")
            relations += [(k, "right of", posts[0]) for k in owners[a]] + [(k, "left of", posts[1]) for k in owners[a]]
        else:
            pairs = zip(owners[a], owners[b], strict=False) if len(owners[a]) == len(owners[b]) else ()
            relations += [(i, name, j) for i, j in pairs or ((i, owners[b][0]) for i in owners[a])]
    return list(dict.fromkeys(relations))


def describe_object(entry: SceneObject, count: int = 1) -> str:
    """ "a plain red ball", "two dotted blue boxes"."""
    words = f"{entry.pattern} {entry.colour} {NOUNS[entry.noun].plural if count > 1 else entry.noun}"
    article = "an" if count == 1 and words[0] in "aeiou" else _NUMBER_WORDS[count]
    return f"{article} {words}"


def caption(scene: Scene) -> str:
    """The canonical caption: nouns, colours, patterns and background, which `parse_prompt` reads back exactly.

    Places, sizes and relations are left out.
    """
    if scene.surface is not None:
        colour, pattern = scene.surface
        return f"a close-up of {pattern} {colour} fabric"
    where = BACKGROUNDS[scene.background or ""].phrase
    groups: dict[tuple[str, str, str], list[SceneObject]] = {}
    for entry in scene.objects:
        groups.setdefault((entry.noun, entry.colour, entry.pattern), []).append(entry)
    things = [describe_object(entries[0], len(entries)) for entries in groups.values()]
    if not things:
        return f"an empty scene {where}"
    return f"{things[0] if len(things) == 1 else ', '.join(things[:-1]) + ' and ' + things[-1]} {where}"
