"""The dataset: fixed scenes, a balanced design, exploration drawings only."""

import json
import subprocess
import sys
from collections import Counter
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maia.models.testbed.catalogue import drawing_choices
from maia.models.testbed.dataset import DATASET_SIZE, dataset_fingerprint, dataset_scene
from maia.models.testbed.renderer import render
from maia.models.testbed.scene import Concept, Scene, concept_mask, concept_present
from maia.models.testbed.vocabulary import BACKGROUNDS, COLOURS, NOUNS, PATTERNS, PLAIN


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [dataset_scene(k) for k in range(DATASET_SIZE)]


@pytest.fixture(scope="module")
def counts(scenes: list[Scene]) -> Counter[tuple[str, ...]]:
    """How many scenes hold a value, a pair within one object, or a background with a value."""
    found: Counter[tuple[str, ...]] = Counter()
    for scene in scenes:
        here: set[tuple[str, ...]] = {(scene.background or "close-up",)}
        for entry in scene.objects:
            here |= {(entry.noun,), (entry.colour,), (entry.pattern,)}
            here |= {(entry.noun, entry.colour), (entry.noun, entry.pattern), (entry.colour, entry.pattern)}
            here |= {(value, scene.background or "") for value in (entry.noun, entry.colour, entry.pattern)}
        if scene.surface:
            here.add(("close-up", *scene.surface))
        found.update(here)
    return found


def test_the_balance_that_is_promised(counts: Counter[tuple[str, ...]]) -> None:
    surfaces = (*PATTERNS, PLAIN)
    promises = [
        (product(NOUNS), 216),
        (product(NOUNS, COLOURS), 18),
        (product(NOUNS, surfaces), 12),
        (product(COLOURS, surfaces), 36),
        (product(NOUNS, BACKGROUNDS), 15),
        (product(COLOURS, BACKGROUNDS), 50),
        (product(surfaces, BACKGROUNDS), 35),
        (product(BACKGROUNDS), 380),
        (product(("close-up",), COLOURS, surfaces), 2),
    ]
    for values, least in promises:
        short = [value for value in values if counts[value] < least]
        assert not short, (least, short[:5])


def test_each_triple_of_noun_colour_and_pattern_is_there(scenes: list[Scene]) -> None:
    triples = Counter((e.noun, e.colour, e.pattern) for scene in scenes for e in scene.objects)
    assert len(triples) == len(NOUNS) * len(COLOURS) * (len(PATTERNS) + 1)
    assert {n for (_, _, pattern), n in triples.items() if pattern != PLAIN} == {1}


def test_one_to_three_different_nouns_and_exploration_drawings(scenes: list[Scene]) -> None:
    sizes = Counter(len(scene.objects) for scene in scenes)
    assert sizes[1] == sizes[2] == sizes[3] == 1440 and sizes[0] == 360
    for scene in scenes:
        assert len({entry.noun for entry in scene.objects}) == len(scene.objects)
        for entry in scene.objects:
            assert entry.drawing in drawing_choices(entry.noun, "exploration")
            assert entry.drawing not in drawing_choices(entry.noun, "evaluation")
    drawn = {(entry.noun, entry.drawing) for scene in scenes for entry in scene.objects}
    assert drawn == {(noun, i) for noun in NOUNS for i in drawing_choices(noun, "exploration")}


def test_a_scene_does_not_depend_on_what_was_asked_before(scenes: list[Scene]) -> None:
    code = (
        "import json; from maia.models.testbed.dataset import dataset_scene; "
        "print(json.dumps(dataset_scene(4321).to_json()))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert Scene.from_json(json.loads(other)) == scenes[4321]


@pytest.mark.parametrize("k", [-1, DATASET_SIZE])
def test_outside_the_range(k: int) -> None:
    with pytest.raises(IndexError, match="scenes 0 to"):
        dataset_scene(k)


@given(st.integers(0, DATASET_SIZE - 1))
@settings(max_examples=25, deadline=None)
def test_what_the_scene_says_is_to_be_seen(k: int) -> None:
    scene = dataset_scene(k)
    picture = render(scene)
    for entry in scene.objects:
        for family in ("noun", "colour", "pattern"):
            if (value := getattr(entry, family)) != PLAIN:
                assert concept_present(scene, Concept(family, value))
                assert concept_mask(scene, picture, Concept(family, value)).sum() > 60


def test_fingerprint_is_a_short_hash() -> None:
    assert len(dataset_fingerprint()) == 12 and int(dataset_fingerprint(), 16) >= 0


def test_fingerprint_covers_every_module_that_draws() -> None:
    code = (
        "import sys; from maia.models.testbed import dataset, renderer\n"
        "for k in range(12): renderer.render(dataset.dataset_scene(k))\n"
        "used = {m.__file__ for n, m in sys.modules.items() if n.startswith('maia.models.testbed.') and m.__file__}\n"
        "print(*sorted(used - {str(f) for f in dataset.source_files()}))\n"
    )
    missing = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert [Path(file).name for file in missing] == ["packs.py"]  # pictures for evaluation only
