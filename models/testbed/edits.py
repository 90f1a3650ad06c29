"""Edits in English: a scene and an instruction give the scene in which only the named thing is different.

Seed, keys and places stay, so that pictures before and after an edit differ in the edited thing (and its shadow).
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..errors import ExperimentError
from .catalogue import Purpose, drawing_choices
from .grammar import Attributes, Description, Mention, read_text, single
from .language import caption, check_text, choose_objects
from .layout import MAX_OBJECTS
from .placing import extent, insert, moved, new_object, related, renamed, resized
from .references import PRONOUN, missing, present, read_reference, resolve
from .scene import Scene, SceneObject
from .vocabulary import BACKGROUNDS, PLAIN
from .words import Kind, tokenize

FORMS = (
    "replace the dog with a cat",
    "make the car green",
    "make it striped",
    "change the color of the ball to blue",
    "change the background to a forest",
    "put it on snow",
    "add a red ball beside the dog",
    "make the dog larger",
    "move it to the left",
    "remove the fence",
)
STEP = 45.0
"""Pixels of one "move to the left"."""

_VERBS = (
    "replace|swap|exchange|substitute|switch|change|turn|transform|convert|add|insert|include|place|put|draw|remove|"
    "delete|erase|make|paint|color|colour|recolor|recolour|dye|move|shift|bring|set|give|take"
)
_BIGGER = ("larger", "bigger", "taller", "huge", "large", "big", "giant", "enormous")
_SMALLER = ("smaller", "shorter", "tiny", "small", "little")
_SIZE = re.compile(rf"^(?:look )?(?:a (?:bit|little) |much |far )?({'|'.join(_BIGGER + _SMALLER)})$")
_WHOLE = re.compile(
    r"^(?:the |whole |entire )*"
    r"(?:background|backdrop|scene|picture|image|photo|setting|surroundings|weather|place|location)$"
)
_NEXT = re.compile(rf"(?:\s*[,;.]\s*|\s+)(?:and |then |and then )?\s*(?=\b(?:{_VERBS})\b(?! of))")


def edit_scene(scene: Scene, text: str, purpose: Purpose | None = None) -> Scene:
    """The scene after an instruction such as those in FORMS (several may be joined by "and" or "then").

    The edited objects keep key, place, colour and pattern as far as the text does not name them. purpose
    chooses the drawings of new nouns; None: as those in the scene. Raises ExperimentError when the instruction is
    not understood, names what is not there or is there more than once, cannot be drawn, or changes nothing.
    """
    plain = " ".join(check_text(text, "edit").lower().replace("’", "'").split())
    plain = re.sub(r"^(?:please |now |could you |can you |then )+", "", plain).rstrip(" .!?")
    after = scene
    for clause in _clauses(plain):
        after = _edit_once(after, clause, purpose or purpose_of(scene))
    if after == scene:
        raise ExperimentError(f"The edit {text!r} changes nothing: the picture already shows {caption(scene)}.")
    return after


def purpose_of(scene: Scene) -> Purpose:
    """What the scene's drawings are for; exploration when it has no objects."""
    held_out = any(entry.drawing in drawing_choices(entry.noun, "evaluation") for entry in scene.objects)
    return "evaluation" if held_out else "exploration"


def _clauses(text: str) -> list[str]:
    parts, start = [], 0
    for match in _NEXT.finditer(text):
        # "turn", "place", "color" are nouns too: a new clause starts after a conjunction or punctuation only.
        if match.start() > start and re.search(r"[,;.]|\band\b|\bthen\b", match.group()):
            parts.append(text[start : match.start()])
            start = match.end()
    return [*parts, text[start:]]


def _edit_once(scene: Scene, text: str, purpose: Purpose) -> Scene:
    for pattern, action in _RULES:
        match = pattern.match(text)
        if match is not None:
            return action(scene, purpose, *[group or "" for group in match.groups()])
    raise _not_understood(scene, text)


def _not_understood(scene: Scene, text: str) -> ExperimentError:
    return ExperimentError(
        f"The edit {text!r} is not understood. The picture shows {caption(scene)}. "
        f"Edits that work look like: {'; '.join(FORMS)}."
    )


# What changes


def _change(scene: Scene, indices: Sequence[int], change: Callable[[SceneObject], SceneObject]) -> Scene:
    objects = [change(entry) if i in indices else entry for i, entry in enumerate(scene.objects)]
    return replace(scene, objects=tuple(objects))


# What it becomes


def _pick(options: tuple[str, ...] | None, now: str, name: str) -> str:
    """now if it agrees with the options (or there are none), else one of them."""
    return now if not options or now in options else random.Random(name).choice(options)


def _told(seed: int, key: int, said: Attributes, now: tuple[str, str], what: str) -> tuple[str, str]:
    """(colour, pattern) after being told attributes."""
    colour = _pick(single("colour", said.colours, what), now[0], f"{seed}/edit/{key}/colour")
    return colour, _pick(single("pattern", said.patterns, what), now[1], f"{seed}/edit/{key}/pattern")


def _give(scene: Scene, indices: Sequence[int], said: Attributes) -> Scene:
    def change(entry: SceneObject) -> SceneObject:
        colour, pattern = _told(scene.seed, entry.key, said, (entry.colour, entry.pattern), entry.noun)
        return _sized(replace(entry, colour=colour, pattern=pattern), said.size)

    return _change(scene, indices, change)


def _sized(entry: SceneObject, size: str | None) -> SceneObject:
    factor = {"large": 1.35, "small": 0.7}.get(size or "", 1.0)
    return entry if factor == 1.0 else resized(entry, factor)


def _become(scene: Scene, indices: Sequence[int], text: str, purpose: Purpose) -> Scene:
    """Objects turned into what the text says: another noun, other attributes, or on another background."""
    size = _SIZE.match(text)
    if size:
        small = size.group(1) in _SMALLER
        return _change(scene, indices, lambda entry: _sized(entry, "small" if small else "large"))
    found = read_text(text)
    if found.relations or len(found.mentions) > 1:
        raise ExperimentError(
            f"One thing can become one other thing: {text!r} names several or places them; use 'add'."
        )
    if found.background is not None:
        scene = _set_background(scene, found)
    if found.surface is not None:
        return _give(scene, indices, found.surface)
    if not found.mentions:
        if found.background is None:
            raise ExperimentError(f"{text!r} is nothing that changes a picture of this world. {_hint()}")
        return scene
    said = found.mentions[0]
    wanted = said.attributes.counts[0] if said.attributes.counts else len(indices) if said.plural else 1
    if wanted > 1 and wanted != len(indices):
        raise ExperimentError(f"{len(indices)} thing cannot become {wanted}: replace one by one, then use 'add'.")
    scene = _change(scene, indices, lambda entry: _as_noun(scene.seed, entry, said.nouns, purpose))
    return _give(scene, indices, said.attributes)


def _as_noun(seed: int, entry: SceneObject, nouns: tuple[str, ...], purpose: Purpose) -> SceneObject:
    # "replace the dog with an animal" means another one
    options = tuple(noun for noun in nouns if noun != entry.noun) or nouns
    noun = random.Random(f"{seed}/edit/{entry.key}/noun").choice(options)
    if noun == entry.noun:
        return entry
    drawing = random.Random(f"{seed}/edit/{entry.key}/drawing").choice(drawing_choices(noun, purpose))
    return renamed(entry, noun, drawing)


def _hint() -> str:
    return "What can change: things, colours, patterns, sizes, places and the background; not poses or actions."


def _set_background(scene: Scene, found: Description) -> Scene:
    if scene.surface is not None:
        raise ExperimentError(
            "This picture is a close-up of a surface: it has no background. Change colour or pattern."
        )
    return replace(scene, background=found.background)


def _background(scene: Scene, purpose: Purpose, text: str) -> Scene:
    found = read_text(text)
    if found.background is None or found.mentions:
        raise ExperimentError(f"{text!r} is no background of this world; there are {', '.join(BACKGROUNDS)}.")
    return _set_background(scene, found)


# The forms


def _replace(scene: Scene, purpose: Purpose, what: str, by: str) -> Scene:
    if _WHOLE.match(what) or (scene.surface is None and _names_background(scene, what)):
        return _background(scene, purpose, by)
    if scene.surface is not None:
        return _surface(scene, purpose, by)
    aspect = re.match(r"^(?:the )?(?:colou?r|pattern|texture|surface)(?: of (.+))?$", what)
    if aspect:
        what = aspect.group(1) or "it"
    elif re.search(r"(?:'s|s') (?:colou?r|pattern|texture|surface)$", what):
        what = re.sub(r"(?:'s|s') \w+$", "", what)
    return _become(scene, resolve(scene, what), by, purpose)


def _names_background(scene: Scene, what: str) -> bool:
    found = read_reference(what) if not PRONOUN.match(what) else Description()
    if found.background is None or found.mentions:
        return False
    if found.background != scene.background:
        raise ExperimentError(f"The background is not {found.background!r}. The picture shows {caption(scene)}.")
    return True


def _surface(scene: Scene, purpose: Purpose, text: str) -> Scene:
    found = read_text(text)
    if found.surface is None or scene.surface is None:
        raise ExperimentError(
            f"This picture is {caption(scene)}: only its colour and pattern can change, as in 'make it red' or "
            "'change the pattern to dotted'."
        )
    return replace(scene, surface=_told(scene.seed, 0, found.surface, scene.surface, "the surface"))


def _make(scene: Scene, purpose: Purpose, text: str) -> Scene:
    """ "make X Y": X ends with its noun or pronoun."""
    tokens = tokenize(text)
    for i, token in enumerate(tokens[:-1], start=1):
        what = " ".join(t.text for t in tokens[:i])
        thing = token.kind in (Kind.NOUN, Kind.BACKGROUND) or token.standing
        if thing or token.text in ("it", "them", "everything") or _WHOLE.match(what):
            rest = " ".join(t.text for t in tokens[i:])
            rest = re.sub(r"^(?:look |to be |be |into |to |appear |a lot )+", "", rest)
            return _make_become(scene, purpose, what, rest)
    raise _not_understood(scene, f"make {text}")


def _make_become(scene: Scene, purpose: Purpose, what: str, rest: str) -> Scene:
    if scene.surface is not None:
        return _surface(scene, purpose, rest)
    if _WHOLE.match(what) or (PRONOUN.match(what) and len(scene.objects) != 1 and _names_some_background(rest)):
        return _background(scene, purpose, rest)
    side = re.match(r"^on the (left|right)(?: side)? (.+)$", rest)
    if side:
        what, rest = f"{what} on the {side.group(1)}", side.group(2)
    return _replace(scene, purpose, what, rest)


def _names_some_background(text: str) -> bool:
    """Whether a text names a background alone."""
    if _SIZE.match(text):
        return False
    found = read_text(text)
    return found.background is not None and not found.mentions


def _add(scene: Scene, purpose: Purpose, text: str) -> Scene:
    if scene.surface is not None:
        raise ExperimentError(
            "This picture is a close-up of a surface: nothing can be added, only colour and pattern change."
        )
    to = re.match(r"^(.+?) (?:to|on|onto) (?:the )?(.+)$", text)
    if to and not read_text(to.group(1)).mentions and read_text(to.group(1)).surface:
        return _become(scene, resolve(scene, "the " + to.group(2)), to.group(1), purpose)
    found = read_text(re.sub(r"^(.+?) to the (?:scene|picture|image|photo|background)$", r"\1", text))
    if not found.mentions:
        if found.background is not None:
            return _set_background(scene, found)
        raise ExperimentError(f"{text!r} names no thing to add. {_hint()}")
    if found.background not in (None, scene.background):
        raise ExperimentError(f"The background is {scene.background!r}: change it in an edit of its own.")
    # The far ends of relations are in the picture already ("beside the dog"); what is not there is added too.
    targets = {b: present(scene, found.mentions[b]) for _, _, b in found.relations}
    new = [i for i in range(len(found.mentions)) if targets.get(i) is None]
    for i in new:
        related_to = [(name, targets[b]) for a, name, b in found.relations if a == i and targets[b] is not None]
        name, key = related_to[0] if related_to else (None, None)
        scene = _add_one(scene, found.mentions[i], purpose, None if name == "between" else name, key)
    return scene


def _add_one(scene: Scene, said: Mention, purpose: Purpose, name: str | None, other_key: int | None) -> Scene:
    first_key = max((entry.key for entry in scene.objects), default=-1) + 1
    for spec in choose_objects(Description([said]), scene.seed, purpose, first_key)[0]:
        if len(scene.objects) >= MAX_OBJECTS:
            raise ExperimentError(f"The picture is full: at most {MAX_OBJECTS} things fit. {caption(scene)}.")
        other = next((i for i, entry in enumerate(scene.objects) if entry.key == other_key), 0)
        scene = insert(scene, new_object(scene, spec, name, other), name, other_key)
    return scene


def _remove(scene: Scene, purpose: Purpose, text: str) -> Scene:
    if _WHOLE.match(text):
        return replace(scene, background="studio") if scene.surface is None else _surface(scene, purpose, text)
    pattern = re.match(r"^(?:the |all )*(\w+)(?: (?:from|of|on) (.+))?$", text)
    if pattern and not read_text(pattern.group(1)).mentions and read_text(pattern.group(1)).surface:
        said = Attributes(patterns=[(PLAIN,)])
        if scene.surface is not None:
            return replace(scene, surface=(scene.surface[0], PLAIN))
        return _give(scene, resolve(scene, pattern.group(2) or "the " + pattern.group(1)), said)
    chosen = resolve(scene, text)
    return replace(scene, objects=tuple(o for i, o in enumerate(scene.objects) if i not in chosen))


def _move(scene: Scene, purpose: Purpose, what: str, where: str) -> Scene:
    chosen = resolve(scene, what)
    direction = re.sub(r"^(?:to |a (?:bit|little) |further |the |more |towards )+", "", where).removesuffix(" side")
    steps = {"left": (-STEP, 0.0), "right": (STEP, 0.0), "up": (0.0, -STEP), "down": (0.0, STEP)}
    direction = {"upwards": "up", "downwards": "down", "top": "up", "bottom": "down"}.get(direction, direction)
    if direction in steps:
        return _change(scene, chosen, lambda entry: moved(entry, *steps[direction]))
    if direction in ("center", "centre", "middle"):
        return _change(scene, chosen, lambda entry: moved(entry, 112 - sum(extent(entry)[::2]) / 2, 0))
    raise _not_understood(scene, f"move {what} {where}")


def _put(scene: Scene, purpose: Purpose, text: str) -> Scene:
    """ "put X on Y": Y a background, or another thing of the picture. X may be new ("put a ball on the box")."""
    pronoun = re.match(rf"^(it|them|this|everything|the (?:scene|picture)) ((?:{_PREPOSITIONS})\b.*)$", text)
    body = f"a thing {pronoun.group(2)}" if pronoun else text
    found = read_text(re.sub(r" (?:to|into) (?:(?:a|an|the) )?(?!(?:the )?(?:left|right)\b)", " at the ", body))
    known = pronoun or re.match(r"^(?:the|both|all) ", text)
    if not found.mentions or (found.background is None and not found.relations):
        raise _not_understood(scene, f"put {text}")
    if not known:
        return _add(scene, purpose, text)
    if found.background is not None:
        if not pronoun and present(scene, found.mentions[0]) is None:
            raise missing(scene, found.mentions[0].word)
        return _set_background(scene, found)
    mover = scene.objects[resolve(scene, pronoun.group(1))[0]].key if pronoun else present(scene, found.mentions[0])
    a, name, b = found.relations[0]
    post = present(scene, found.mentions[b], mover)
    if mover is None or post is None:
        raise missing(scene, found.mentions[a if mover is None else b].word)
    if len(found.mentions) != 2 or name == "between":
        raise _not_understood(scene, f"put {text}")
    by_key = {entry.key: entry for entry in scene.objects}
    others = replace(scene, objects=tuple(entry for entry in scene.objects if entry.key != mover))
    return insert(others, related(by_key[mover], name, by_key[post]), name, post)


_Action = Callable[..., Scene]
_PREPOSITIONS = "in|on|at|to|onto|into|under|beside|next|behind|above|near|left|right|by|over|inside|against"
_DIRECTION = (
    r"(?:to |a bit |a little |further |the |more |towards )*"
    r"(?:left|right|up|down|upwards|downwards|top|bottom|center|centre|middle)(?: side)?"
)
_RULES: tuple[tuple[re.Pattern[str], _Action], ...] = (
    (re.compile(r"^(?:replace|swap|exchange|substitute|switch)(?: out)? (.+?) (?:with|for|by) (.+)$"), _replace),
    (re.compile(r"^(?:turn|transform|change|convert|switch|morph) (.+?) (?:into|to be|to|from .+ to) (.+)$"), _replace),
    (re.compile(rf"^(?:move|shift|put|place|bring|push|slide) (.+?) ({_DIRECTION})$"), _move),
    (re.compile(r"^(?:add|insert|include|draw) (.+)$"), _add),
    (re.compile(r"^(?:remove|delete|erase|take away|get rid of) (.+)$"), _remove),
    (re.compile(r"^(?:set|have) (.+?) (?:to|as) (.+)$"), _replace),
    (re.compile(r"^(?:move|put|place|bring|set|shift) (.+)$"), _put),
    (re.compile(r"^(?:make|paint|colou?r|recolou?r|dye|turn|render|cover) (.+)$"), _make),
    (re.compile(r"^give (.+)$"), _make),
)
