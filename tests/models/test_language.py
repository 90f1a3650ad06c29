"""Prompts: what each asks for, what is refused and how, and captions that read back."""

import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.models.errors import ExperimentError
from maia.models.testbed.catalogue import drawing_choices
from maia.models.testbed.language import MAX_PROMPT, caption, parse_prompt
from maia.models.testbed.scene import Scene
from maia.models.testbed.vocabulary import BACKGROUNDS, COLOURS, GROUPS, NOUNS, PATTERNS, PLAIN
from maia.models.testbed.words import lexicon, nearest, tokenize

# prompt | things as "noun/colour/pattern" ("*": open; a group's name: one of its members) | background ("*": open)
TABLE = """
a red striped ball on a sandy beach | ball/red/striped | beach
two clocks on a brick wall | clock/*/* clock/*/* | brick wall
three small green bottles | bottle/green/* bottle/green/* bottle/green/* | *
a large dotted umbrella in front of a lighthouse | umbrella/*/dotted lighthouse/*/* | *
A Dog, standing on the grass. | dog/*/* | grass
a ball with red stripes | ball/red/striped | *
a ball with horizontal red stripes | ball/red/horizontally striped | *
a ball with red dots and a blue box | ball/red/dotted box/blue/* | *
a ball that is red and dotted | ball/red/dotted | *
the ball is red | ball/red/* | *
a ball that is red and a dog that is furry on the grass | ball/red/* dog/*/furry | grass
a red ball, dotted, in the snow | ball/red/dotted | snow
a ball in red and a blue box in a room | ball/red/* box/blue/* | room
a house painted red | house/red/* | *
red and blue balls | ball/red/* ball/blue/* | *
two red and blue balls | ball/red/* ball/blue/* | *
a red and a blue ball | ball/red/* ball/blue/* | *
a striped ball and a red plain box | ball/*/striped box/red/plain | *
a grey cat | cat/gray/* | *
a colour photo of a gray kitten | cat/gray/* | *
an animal on grass | animal/*/* | grass
a round thing | round thing/*/* | *
a red object in the desert | object/red/* | desert
something striped | object/*/striped | *
a vehicle and a building | vehicle/*/* building/*/* | *
a grid box | box/*/grid | *
a chequered vase indoors | vase/*/checkered | room
a zig-zag cup | cup/*/zigzag | *
a polka dot dress-free dotted tent | error dress |
a pair of yellow birds in the woods | bird/yellow/* bird/yellow/* | forest
a field of 3 flowers | flower/*/* flower/*/* flower/*/* | grass
five stars in the night sky | star/*/* star/*/* star/*/* star/*/* star/*/* | night city
an airplane flying over the sea | airplane/*/* | sea
a water bottle on a beach | bottle/*/* | beach
a beach ball on the lawn | ball/*/* | grass
a house in a green field | house/*/* | grass
a white dog on a white background | dog/white/* | studio
a teal fluffy puppy | dog/turquoise/furry | *
a dark blue car in the city at night | car/blue/* | night city
a tartan armchair in a kitchen | chair/*/plaid | room
a dog with a red ball | dog/*/* ball/red/* | *
a dog beside a house and a tree | dog/*/* house/*/* tree/*/* | *
a dog between two trees | dog/*/* tree/*/* tree/*/* | *
a fish in the ocean | fish/*/* | sea
a cat under a tree in the garden | cat/*/* tree/*/* | grass
a bird on top of a fence | bird/*/* fence/*/* | *
a candle next to a lamp, realistic photo, high quality | candle/*/* lamp/*/* | *
mug & bowl | cup/*/* bowl/*/* | *
a box covered in scaly skin | box/*/scaly | *
a vase with a honeycomb pattern | vase/*/honeycomb | *
a purple-colored guitar | guitar/purple/* | *
a wavy leaf in front of a brick wall | leaf/*/wavy | brick wall
a vertically striped window | window/*/vertically striped | *
a mesh fence in the snow | fence/*/mesh | snow
a speckled mushroom in a forest | mushroom/*/speckled | forest
a bowl beside a basket | error basket |
a dog with a house in the background | dog/*/* house/*/* | *
a cat on a forest background | cat/*/* | forest
a tv and a bike | screen/*/* bicycle/*/* | *
one butterfly above a flower | butterfly/*/* flower/*/* | *
a close-up of a dog | dog/*/* | *
a plain black door | door/black/plain | *
a photograph of a bridge over the water | bridge/*/* | sea
a boat sailing-free at sea | error sailing |
a sandy beach | | beach
the ocean | | sea
an empty room | | room
"""
ROWS = [[part.strip() for part in line.split("|")] for line in TABLE.strip().splitlines()]
DRAWN = [row for row in ROWS if not row[1].startswith("error")]
SURFACES = {
    "a close-up of zigzag fabric": (None, "zigzag"),
    "a close-up of blue checkered cloth": ("blue", "checkered"),
    "red dots": ("red", "dotted"),
    "horizontal red stripes": ("red", "horizontally striped"),
    "honeycomb pattern": (None, "honeycomb"),
    "green": ("green", PLAIN),
    "the texture of yellow fur": ("yellow", "furry"),
    "a woven surface in brown": ("brown", "woven"),
}


def _means(word: str, value: str) -> bool:
    return word in ("*", "object", value) or (word in GROUPS and value in GROUPS[word][1])


def _assigned(wanted: list[str], scene: Scene) -> bool:
    """Whether the wanted things and the objects of the scene can be paired."""
    if not wanted:
        return not scene.objects
    noun, colour, pattern = wanted[0].split("/")
    for i, entry in enumerate(scene.objects):
        if _means(noun, entry.noun) and _means(colour, entry.colour) and _means(pattern, entry.pattern):
            rest = Scene(scene.seed, scene.background, scene.objects[:i] + scene.objects[i + 1 :])
            if _assigned(wanted[1:], rest):
                return True
    return False


def _things(text: str) -> list[str]:
    """Split "round thing/*/* ball/red/*" at the spaces that end a thing."""
    joined, rest = [], text
    while rest:
        noun, colour, pattern_on = rest.split("/", 2)
        pattern = next(p for p in ("*", *PATTERNS, *GROUPS, PLAIN) if pattern_on == p or pattern_on.startswith(p + " "))
        joined.append(f"{noun}/{colour}/{pattern}")
        rest = pattern_on[len(pattern) :].strip()
    return joined


@pytest.mark.parametrize(("prompt", "things", "background"), DRAWN, ids=[row[0] for row in DRAWN])
def test_prompt_asks_for(prompt: str, things: str, background: str) -> None:
    for seed in (0, 1, 7):
        scene = parse_prompt(prompt, seed)
        assert _assigned(_things(things), scene), scene
        assert background in ("*", scene.background)


def test_table_is_long_enough() -> None:
    assert len(DRAWN) >= 60


@pytest.mark.parametrize("prompt", SURFACES)
def test_surfaces(prompt: str) -> None:
    colour, pattern = SURFACES[prompt]
    for seed in (0, 1):
        scene = parse_prompt(prompt, seed)
        assert scene.background is None and scene.surface is not None and not scene.objects
        assert scene.surface[0] == colour or (colour is None and scene.surface[0] in COLOURS)
        assert scene.surface[1] == pattern


@pytest.mark.parametrize(
    ("prompt", "named"),
    [
        ("a wolf and a truck near a mountain", ["'wolf'", "dog", "'truck'", "car", "'mountain'", "snow"]),
        ("a dgo on grass", ["'dgo'", "dog"]),
        ("an umbrela", ["'umbrela'", "umbrella"]),
        ("a dog without a hat", ["without", "should be in the picture", "'hat'"]),
        ("a dog, not a cat", ["not"]),
        ("a dog that isn't red", ["not"]),
        ("a dog or a cat", ["'or'", "one prompt for each"]),
        ("a dog in the snow at night", ["snow", "night city"]),
        ("a forest at night", ["forest", "night city"]),
        ("a red and white checkered ball", ["one colour", "red", "white"]),
        ("a striped dog with dots", ["one pattern", "dotted"]),
        ("a ball on striped fabric", ["background", "grass"]),
        ("a dog with a red background", ["background"]),
        ("a dog in purple snow", ["snow", "no colour"]),
        ("ten dogs", ["5", "10"]),
        ("three dogs and three cats", ["5", "6"]),
        ("flowers in a vase", ["'in'", "vase"]),
        ("a dog house", ["dog house", "beside"]),
        ("a dog and a red", ["stops before"]),
        ("🐶 on grass", ["🐶"]),
        ("zero dogs", ["should be in the picture"]),
        ("the", ["nothing to draw"]),
        ("", ["empty"]),
        ("  \n", ["empty"]),
        ("x" * (MAX_PROMPT + 1), ["301", "300"]),
        (None, ["NoneType"]),
        (["a dog"], ["list"]),
        (b"a dog", ["bytes"]),
    ],
)
def test_refused_with_the_reason(prompt: object, named: list[str]) -> None:
    with pytest.raises(ExperimentError) as raised:
        parse_prompt(prompt, 0)  # type: ignore[arg-type]
    for words in named:
        assert words in str(raised.value)


@pytest.mark.parametrize("row", [row for row in ROWS if row[1].startswith("error")], ids=lambda row: row[0])
def test_every_unknown_word_is_an_error(row: list[str]) -> None:
    with pytest.raises(ExperimentError, match=row[1].split()[1]):
        parse_prompt(row[0], 0)


def test_nearest_words() -> None:
    assert nearest("puppys")[0] == "dog"
    assert nearest("fox")[0] == "dog" and "car" in nearest("truck") and "snow" in nearest("mountains")
    assert nearest("qqqqqqqq") == []


def _box(scene: Scene, noun: str) -> tuple[float, float]:
    entry = next(entry for entry in scene.objects if entry.noun == noun)
    return entry.x, entry.y


def test_relations_place_things() -> None:
    for seed in range(6):
        scene = parse_prompt("a dog to the left of a cat", seed)
        assert _box(scene, "dog")[0] < _box(scene, "cat")[0]
        scene = parse_prompt("a ball right of a box", seed)
        assert _box(scene, "ball")[0] > _box(scene, "box")[0]
        scene = parse_prompt("a bird above a bowl", seed)
        assert _box(scene, "bird")[1] < _box(scene, "bowl")[1]
        scene = parse_prompt("a dog in front of a house", seed)
        assert [entry.noun for entry in scene.objects] == ["house", "dog"]
        scene = parse_prompt("a small dog between a tree and a house", seed)
        assert _box(scene, "tree")[0] < _box(scene, "dog")[0] < _box(scene, "house")[0]


def test_sizes() -> None:
    for seed in range(5):
        scales = [parse_prompt(f"a {size} box on the grass", seed).objects[0].scale for size in ("tiny", "huge")]
        assert scales[0] < scales[1]


def test_same_prompt_and_seed_same_scene_and_seeds_differ() -> None:
    assert parse_prompt("an animal", 5) == parse_prompt("an animal", 5)
    assert len({parse_prompt("an animal", seed).objects[0].noun for seed in range(40)}) == 5
    assert len({parse_prompt("a dog", seed).background for seed in range(80)}) == len(BACKGROUNDS)


def test_one_word_changes_one_thing() -> None:
    for seed in range(8):
        red, blue = (parse_prompt(f"a {c} dotted ball on grass", seed).objects[0] for c in ("red", "blue"))
        assert (red.x, red.y, red.scale, red.drawing, red.key) == (blue.x, blue.y, blue.scale, blue.drawing, blue.key)


def test_open_choices_follow_their_shares() -> None:
    scenes = [parse_prompt("a dog on grass", seed) for seed in range(400)]
    usual = sum(scene.objects[0].colour in NOUNS["dog"].usual for scene in scenes) / 400
    plain = sum(scene.objects[0].pattern == PLAIN for scene in scenes) / 400
    # 0.7 + 0.3 * 5/12 = .825; four standard deviations
    assert 0.74 < usual < 0.90
    assert 0.72 < plain < 0.88


def test_purposes_have_disjoint_drawings() -> None:
    for noun in NOUNS:
        for seed in range(3):
            explored = parse_prompt(f"a {noun}", seed).objects[0].drawing
            held_out = parse_prompt(f"a {noun}", seed, "evaluation").objects[0].drawing
            assert explored in drawing_choices(noun, "exploration")
            assert held_out in drawing_choices(noun, "evaluation")
            assert explored != held_out


_things_drawn = st.tuples(
    st.sampled_from(sorted(NOUNS)), st.sampled_from(sorted(COLOURS)), st.sampled_from((PLAIN, *PATTERNS))
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_things_drawn, max_size=5), st.sampled_from(sorted(BACKGROUNDS)), st.integers(0, 2**31), st.data())
def test_captions_read_back(
    things: list[tuple[str, str, str]], background: str, seed: int, data: st.DataObject
) -> None:
    words = [f"a {pattern} {colour} {noun}" for noun, colour, pattern in things]
    scene = parse_prompt(f"{' and '.join(words)} {BACKGROUNDS[background].phrase}", seed)
    assert sorted((entry.noun, entry.colour, entry.pattern) for entry in scene.objects) == sorted(things)
    again = parse_prompt(caption(scene), data.draw(st.integers(0, 2**31)))
    assert sorted((entry.noun, entry.colour, entry.pattern) for entry in again.objects) == sorted(things)
    assert again.background == scene.background == background


@given(st.sampled_from(sorted(COLOURS)), st.sampled_from((PLAIN, *PATTERNS)), st.integers(0, 9))
@settings(deadline=None)
def test_captions_of_surfaces_read_back(colour: str, pattern: str, seed: int) -> None:
    scene = Scene(seed, None, surface=(colour, pattern))
    assert parse_prompt(caption(scene), seed + 1).surface == (colour, pattern)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=330), st.integers(0, 99))
def test_arbitrary_text_raises_experiment_errors_only(text: str, seed: int) -> None:
    try:
        scene = parse_prompt(text, seed)
    except ExperimentError as error:
        assert str(error).strip()
    else:
        assert scene.surface or scene.background


_KNOWN = sorted(" ".join(words) for words in lexicon())


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(_KNOWN) | st.sampled_from([",", ".", "a", "and", "with"]), max_size=12))
def test_known_words_in_any_order_raise_experiment_errors_only(words: list[str]) -> None:
    try:
        parse_prompt(" ".join(words), 3)
    except ExperimentError as error:
        assert str(error).strip()


def test_every_word_of_the_vocabulary_is_known() -> None:
    known = lexicon()
    for noun, facts in NOUNS.items():
        for word in (noun, facts.plural, *facts.synonyms):
            assert known[tuple(word.split())].members == (noun,), word
    for name, background in BACKGROUNDS.items():
        for word in (name, background.phrase, *background.synonyms):
            assert [token.members for token in tokenize(word)] == [(name,)], word
    for word in (*COLOURS, *PATTERNS, PLAIN):
        assert [token.members for token in tokenize(word)] == [(word,)]
    for group, (_, members) in GROUPS.items():
        assert [token.members for token in tokenize(group)] == [members]


def test_long_nonsense_is_refused_quickly() -> None:
    rng = random.Random(0)
    words = " ".join("".join(rng.choices(string.ascii_lowercase, k=4)) for _ in range(59))
    with pytest.raises(ExperimentError):
        parse_prompt(words, 0)
