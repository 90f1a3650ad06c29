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
    images = [world.draw(prompt, seed) for prompt, seed in zip(prompts, (1, 2, 3), strict=True)]
    for prompt, seed, image in zip(prompts, (1, 2, 3), images, strict=True):
        assert (image.mode, image.size) == ("RGB", (224, 224))
        assert world.scene_of(image) == parse_prompt(prompt, seed)


def test_a_picture_does_not_depend_on_its_batch(world: World) -> None:
    prompts = ["a dog", "a cat", "a fish in the sea"]
    together = [world.draw(prompt, seed) for prompt, seed in zip(prompts, (4, 5, 6), strict=True)]
    alone = [World().draw(p, s) for p, s in zip(prompts, (4, 5, 6), strict=True)]
    assert [pixel_hash(i) for i in together] == [pixel_hash(i) for i in alone]


def test_purposes_give_other_pictures_of_the_same_prompt(world: World) -> None:
    explored = world.draw("a plain red ball on grass", 7, "exploration")
    held_out = world.draw("a plain red ball on grass", 7, "evaluation")
    assert pixel_hash(explored) != pixel_hash(held_out)


@pytest.mark.parametrize("prompt", ["a wolf", "", 3])
def test_what_cannot_be_drawn_is_told(world: World, prompt: object) -> None:
    with pytest.raises(ExperimentError):
        world.draw(prompt, 0)  # type: ignore[arg-type]


def test_edits(world: World) -> None:
    image = world.draw("a dog on grass", 9)
    edited = world.edited(image, "replace the dog with a cat")
    assert pixel_hash(edited) != pixel_hash(image)
    scene = world.scene_of(edited)
    assert scene is not None and [entry.noun for entry in scene.objects] == ["cat"]
    twice = world.edited(edited, "make it dotted")
    assert world.scene_of(twice).objects[0].noun == "cat"  # type: ignore[union-attr]
    with pytest.raises(ExperimentError, match="There is no 'dog'"):
        world.edited(edited, "remove the dog")


def test_changed_pixels_are_unknown(world: World) -> None:
    image = world.draw("a dog on grass", 11)
    changed = image.copy()
    changed.putpixel((0, 0), tuple((c + 1) % 256 for c in image.getpixel((0, 0))))  # type: ignore[union-attr, arg-type]
    for unknown in (changed, image.resize((112, 112)), Image.new("RGB", (224, 224))):
        assert world.scene_of(unknown) is None and world.rendering_of(unknown) is None
    with pytest.raises(ExperimentError, match="no picture that this world drew"):
        world.edited(changed, "make it red")
    with pytest.raises(ExperimentError, match="not str"):
        world.edited("dog.png", "make it red")  # type: ignore[arg-type]


def test_a_picture_survives_storage(world: World) -> None:
    image = world.draw("a dog on grass", 11)
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
    images = [world.draw("a dog", 0), world.draw("a cat", 0)]
    for image in images:
        known = world.rendering_of(image)
        assert known is not None
        scene, rendering = known
        assert np.array_equal(rendering.image, np.asarray(image))
        assert np.array_equal(rendering.objects, render(scene).objects)


def test_the_registry_is_bounded_and_forgets_the_oldest() -> None:
    world = World(scenes=2)
    a, b = world.draw("a red ball", 0), world.draw("a blue box", 0)
    assert world.scene_of(a) is not None  # a is now the more recent one
    c = world.draw("a green cup", 0)
    assert world.scene_of(b) is None and world.scene_of(a) is not None and world.scene_of(c) is not None


def test_threads_get_the_pictures_of_one_thread() -> None:
    jobs = [("a dog on grass", i) for i in range(4)] + [("two red dotted balls", i) for i in range(4)]
    expected = [pixel_hash(World().draw(p, s)) for p, s in jobs]
    world, found = World(scenes=3, renderings=2), [""] * len(jobs)

    def draw(i: int) -> None:
        image = world.draw(*jobs[i])
        found[i] = pixel_hash(image)
        world.rendering_of(image)

    threads = [threading.Thread(target=draw, args=(i,)) for i in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == expected
