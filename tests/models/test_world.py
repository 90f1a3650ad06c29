"""The world: pictures for prompts, edits, and which scene a picture shows."""

import io
import threading

import numpy as np
import pytest
from maia.models.errors import ExperimentError
from maia.models.pictures import pixel_hash
from maia.models.testbed.dataset import dataset_scene
from maia.models.testbed.language import parse_prompt
from maia.models.testbed.renderer import render
from maia.models.testbed.world import World
from PIL import Image


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def test_pictures_and_their_scenes(world: World) -> None:
    prompts = ["a red ball on grass", "a close-up of blue zigzag fabric", "a forest"]
    images = world.text2image(prompts, [1, 2, 3])
    for prompt, seed, image in zip(prompts, (1, 2, 3), images, strict=True):
        assert (image.mode, image.size) == ("RGB", (224, 224))
        assert world.scene_of(image) == parse_prompt(prompt, seed)


def test_a_picture_does_not_depend_on_its_batch(world: World) -> None:
    prompts = ["a dog", "a cat", "a fish in the sea"]
    together = world.text2image(prompts, [4, 5, 6])
    alone = [World().text2image([p], [s])[0] for p, s in zip(prompts, (4, 5, 6), strict=True)]
    assert [pixel_hash(i) for i in together] == [pixel_hash(i) for i in alone]


def test_purposes_give_other_pictures_of_the_same_prompt(world: World) -> None:
    explored = world.text2image(["a plain red ball on grass"], [7], "exploration")[0]
    held_out = world.text2image(["a plain red ball on grass"], [7], "evaluation")[0]
    assert pixel_hash(explored) != pixel_hash(held_out)


def test_every_bad_prompt_is_named_by_number(world: World) -> None:
    with pytest.raises(ExperimentError) as raised:
        world.text2image(["a dog", "a wolf", "a cat", ""], [0, 1, 2, 3])
    text = str(raised.value)
    assert "Prompt 2" in text and "'wolf'" in text and "Prompt 4" in text
    assert "Prompt 1" not in text and "Prompt 3" not in text


@pytest.mark.parametrize("arguments", [("a dog", [0]), (["a dog"], [0, 1]), ([3], [0])])
def test_wrong_arguments(world: World, arguments: tuple[object, object]) -> None:
    with pytest.raises(ExperimentError):
        world.text2image(*arguments)  # type: ignore[arg-type]


def test_edits_of_pictures_and_of_prompts_agree(world: World) -> None:
    image = world.text2image(["a dog on grass"], [9])[0]
    edited = world.edit([image], ["replace the dog with a cat"])[0]
    ((original, again),) = world.edit_prompts(["a dog on grass"], ["replace the dog with a cat"], [9])
    assert pixel_hash(original) == pixel_hash(image) and pixel_hash(again) == pixel_hash(edited)
    assert pixel_hash(edited) != pixel_hash(image)
    scene = world.scene_of(edited)
    assert scene is not None and [entry.noun for entry in scene.objects] == ["cat"]
    twice = world.edit([edited], ["make it dotted"])[0]
    assert world.scene_of(twice).objects[0].noun == "cat"  # type: ignore[union-attr]


def test_bad_edits_are_named_by_number(world: World) -> None:
    image = world.text2image(["a plain red dog on grass"], [9])[0]
    with pytest.raises(ExperimentError, match="Edit 2: There is no 'cat'"):
        world.edit([image, image], ["make it blue", "remove the cat"])
    with pytest.raises(ExperimentError, match="Edit 1:"):
        world.edit_prompts(["a dog"], ["make the cat blue"], [1])
    with pytest.raises(ExperimentError, match="Prompt 1:"):
        world.edit_prompts(["a wolf"], ["make the wolf blue"], [1])
    with pytest.raises(ExperimentError, match="2 images but 1 instructions"):
        world.edit([image, image], ["make it blue"])


def test_changed_pixels_are_unknown(world: World) -> None:
    image = world.text2image(["a dog on grass"], [11])[0]
    changed = image.copy()
    changed.putpixel((0, 0), tuple((c + 1) % 256 for c in image.getpixel((0, 0))))  # type: ignore[union-attr, arg-type]
    for unknown in (changed, image.resize((112, 112)), Image.new("RGB", (224, 224))):
        assert world.scene_of(unknown) is None and world.rendering_of(unknown) is None
    with pytest.raises(ExperimentError, match="Image 2"):
        world.edit([image, changed], ["make it red", "make it red"])
    with pytest.raises(ExperimentError, match="Image 1"):
        world.edit(["dog.png"], ["make it red"])  # type: ignore[list-item]


def test_a_picture_survives_storage(world: World) -> None:
    image = world.text2image(["a dog on grass"], [11])[0]
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    assert world.scene_of(Image.open(buffer)) == world.scene_of(image) is not None
    assert world.scene_of(image.convert("RGBA")) == world.scene_of(image)


def test_dataset_images(world: World) -> None:
    image = world.dataset_image(12)
    assert world.scene_of(image) == dataset_scene(12)
    assert pixel_hash(image) == pixel_hash(World().dataset_image(12))


def test_renderings_are_drawn_again_when_forgotten() -> None:
    world = World(renderings=1)
    images = world.text2image(["a dog", "a cat"], [0, 0])
    for image in images:
        known = world.rendering_of(image)
        assert known is not None
        scene, rendering = known
        assert np.array_equal(rendering.image, np.asarray(image))
        assert np.array_equal(rendering.objects, render(scene).objects)


def test_the_registry_is_bounded_and_forgets_the_oldest() -> None:
    world = World(scenes=2)
    a, b = world.text2image(["a red ball", "a blue box"], [0, 0])
    assert world.scene_of(a) is not None  # a is now the more recent one
    (c,) = world.text2image(["a green cup"], [0])
    assert world.scene_of(b) is None and world.scene_of(a) is not None and world.scene_of(c) is not None


def test_threads_get_the_pictures_of_one_thread() -> None:
    jobs = [("a dog on grass", i) for i in range(4)] + [("two red dotted balls", i) for i in range(4)]
    expected = [pixel_hash(World().text2image([p], [s])[0]) for p, s in jobs]
    world, found = World(scenes=3, renderings=2), [""] * len(jobs)

    def draw(i: int) -> None:
        image = world.text2image([jobs[i][0]], [jobs[i][1]])[0]
        found[i] = pixel_hash(image)
        world.rendering_of(image)

    threads = [threading.Thread(target=draw, args=(i,)) for i in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == expected
