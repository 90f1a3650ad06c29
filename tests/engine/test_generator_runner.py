"""Generators behind the scheduler's protocol: loaded, run, offloaded, and every failure where it belongs."""

import asyncio
import weakref

import numpy as np
import pytest
import torch
from maia.engine.items import Drawn, Edit, TextToImage
from maia.engine.plan import Duration, Workspace, component_bytes
from maia.engine.residency import NotLoadedError, WeightStore
from maia.engine.runners.base import ModelUnavailable, OutOfMemory, Runner
from maia.engine.runners.generator import GeneratorRunner
from maia.models.errors import ExperimentError
from maia.models.generators import GeneratorOptions, load_editor, load_text_to_image
from PIL import Image
from tiny_diffusion import drawer, noise_image, tiny_folder

SD, EDIT = "stable-diffusion-v1-5", "instruct-pix2pix"
SIDE = 32


def drawing(**options):
    """A runner that draws, and its store."""
    store = WeightStore()
    options = {"path": tiny_folder(SD), "steps": 1, "size": SIDE, **options}
    return GeneratorRunner(load_text_to_image(GeneratorOptions(**options)), store), store


def runners(**options):
    """Both runners on one store."""
    draw, store = drawing(**options)
    options = {"path": tiny_folder(EDIT), "steps": 1, "size": SIDE, **options}
    return draw, GeneratorRunner(load_editor(GeneratorOptions(**options)), store), store


async def test_items_are_drawn_as_without_the_scheduler_and_in_their_order():
    draw, edit, store = runners()
    runner: Runner = draw
    assert store.device_bytes("cpu") == 0
    await runner.load("cpu")
    items = [TextToImage("a red dog", 1), TextToImage(" ", 2), TextToImage("word " * 99, 3, "evaluation")]
    results = await runner.run(items)
    expected = drawer(steps=1, size=SIDE).generate([item.prompt for item in items], [item.seed for item in items])
    assert [type(result) for result in results] == [Drawn, ExperimentError, Drawn]
    assert [result.note for result in results[::2]] == [picture.note for picture in expected[::2]]
    assert results[2].note and not results[0].note
    for result, picture in zip(results[::2], expected[::2], strict=True):
        assert np.abs(np.asarray(result.image, int) - np.asarray(picture.image, int)).max() <= 1
    await edit.load("cpu")
    changed = await edit.run([Edit(results[0].image, "make it blue", 4), Edit(Image.new("RGB", (99, 1)), "x", 4)])
    assert [type(result) for result in changed] == [Drawn, ExperimentError]
    assert changed[0].image.size == (32, 32) and changed[0].image.mode == "RGB"


async def test_the_facts_are_those_of_the_weights():
    draw, edit, store = runners(max_batch=3)
    assert (draw.facts.name, edit.facts.name, draw.facts.max_batch) == ("text2image", "edit", 3)
    both = (*draw.facts.components, *edit.facts.components)
    assert component_bytes(both) == store.host_bytes() < draw.facts.nbytes + edit.facts.nbytes
    shared = {part.key for part in draw.facts.components} & {part.key for part in edit.facts.components}
    assert len(shared) == 2
    await draw.load("cpu")
    assert store.device_bytes("cpu") == draw.facts.nbytes
    await edit.load("cpu")
    assert store.device_bytes("cpu") == component_bytes(both)
    await draw.offload()
    assert store.device_bytes("cpu") == edit.facts.nbytes
    with pytest.raises(NotLoadedError):
        draw._generator.generate(["a dog"], [1])
    assert draw.group(TextToImage("a", 1)) == draw.group(TextToImage("b", 2)) != edit.group(None)
    assert "safety checker off" in draw.description


async def test_what_is_measured_and_named_elsewhere_is_taken():
    generator = load_text_to_image(GeneratorOptions(path=tiny_folder(SD), steps=1, size=32))
    runner = GeneratorRunner(
        generator,
        WeightStore(),
        workspace=Workspace(10, 20),
        duration=Duration(1.0, 2.0),
        items_per_unit=90,
        items_per_call=7,
        devices={"gpu0": "cpu"},
        name="painter",
    )
    facts = runner.facts
    assert (facts.name, facts.devices, facts.workspace.nbytes(2), facts.duration.seconds(2)) == (
        "painter",
        ("gpu0",),
        50,
        5.0,
    )
    assert (facts.items_per_unit, facts.items_per_call) == (90, 7)
    await runner.load("gpu0")
    assert isinstance((await runner.run([TextToImage("a dog", 1)]))[0], Drawn)
    with pytest.raises(KeyError):
        await runner.load("gpu1")


async def test_items_of_another_kind_are_a_fault_of_the_program():
    draw, edit, _ = runners()
    for runner, item in ((draw, Edit(noise_image(0), "x", 1)), (edit, TextToImage("x", 1))):
        await runner.load("cpu")
        with pytest.raises(TypeError):
            await runner.run([item])


@pytest.mark.parametrize(("fixed", "tried"), [(False, [4, 2, 2]), (True, [4, 2, 2])])
async def test_a_batch_that_does_not_fit_is_given_back_to_be_halved(fixed, tried):
    draw, _ = drawing(fixed_batch=fixed, max_batch=4)
    await draw.load("cpu")
    pipeline, rows, kept = draw._generator.pipeline, [], []

    class Small:
        def __getattr__(self, name):
            return getattr(pipeline, name)

        def __call__(self, **arguments):
            rows.append(len(arguments["prompt"]))
            if rows[-1] > 2:
                latents = torch.zeros(1000)
                kept.append(weakref.ref(latents))
                raise torch.OutOfMemoryError("CUDA out of memory")
            return pipeline(**arguments)

    draw._generator.pipeline = Small()
    items = [TextToImage("a dog", seed) for seed in range(4)]
    with pytest.raises(OutOfMemory) as told:
        await draw.run(items)
    # The error that is told must not hold the memory of the batch, or its halves would not fit either.
    assert told.value is not None and len(kept) == 1 and kept[0]() is None
    results = await draw.run(items[:2]) + await draw.run(items[2:])
    assert all(isinstance(result, Drawn) for result in results)
    assert rows == tried


async def test_a_plan_of_smaller_batches_is_filled_up_to_its_size():
    draw, _ = drawing(fixed_batch=True, max_batch=4)
    draw.set_batch(2)
    await draw.load("cpu")
    one = await draw.run([TextToImage("a dog", 1)])
    two = await draw.run([TextToImage("a cat", 2), TextToImage("a dog", 1)])
    assert np.array_equal(np.asarray(one[0].image), np.asarray(two[1].image))
    for batch in (0, 5):
        with pytest.raises(ValueError):
            draw.set_batch(batch)


async def test_weights_that_a_pipeline_casts_while_it_draws_are_the_stores_again():
    # As SDXL does with its VAE: what it leaves behind would be memory that no one counts.
    draw, store = drawing()
    await draw.load("cpu")
    vae, real = draw._generator.pipeline.vae, draw._generator.draw

    def casting(jobs):
        vae.double().float()
        return real(jobs)

    draw._generator.draw = casting
    place = vae.decoder.conv_in.weight.data_ptr()
    await draw.run([TextToImage("a dog", 1)])
    assert vae.decoder.conv_in.weight.data_ptr() == place
    assert store.device_bytes("cpu") == draw.facts.nbytes


async def test_a_device_that_is_full_or_broken_is_told_apart(monkeypatch):
    draw, store = drawing()
    for raised, expected in (
        (torch.OutOfMemoryError("CUDA out of memory"), OutOfMemory),
        (RuntimeError("CUDA error: device-side assert triggered"), ModelUnavailable),
    ):

        def fail(tensor, device, raised=raised):
            raise raised

        monkeypatch.setattr("maia.engine.residency._copy", fail)
        with pytest.raises(expected, match="text2image"):
            await draw.load("cpu")
        monkeypatch.undo()
    await draw.load("cpu")
    assert store.device_bytes("cpu") == draw.facts.nbytes


async def test_an_offload_waits_for_a_run_that_was_cancelled():
    draw, store = drawing(steps=3, size=64)
    await draw.load("cpu")
    problems = []
    real = draw._generator.draw

    def seen(jobs):
        try:
            return real(jobs)
        except Exception as problem:
            problems.append(problem)
            raise

    draw._generator.draw = seen
    running = asyncio.ensure_future(draw.run([TextToImage("a dog", seed) for seed in range(4)]))
    while not draw._lock.locked():
        await asyncio.sleep(0.001)
    running.cancel()
    await draw.offload()
    assert not problems and store.device_bytes("cpu") == 0
    with pytest.raises(asyncio.CancelledError):
        await running
