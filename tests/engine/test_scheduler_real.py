"""Real models behind the scheduler give what they give alone, whoever asks at the same time and whatever is swapped."""

import asyncio

import numpy as np
import pytest
from maia.engine.assembly import assemble
from maia.engine.cost_aware import CostAware
from maia.engine.items import DatasetImage, Describe, Drawn, Edit, Mask, Measure, Summarize, TextToImage
from maia.engine.plan import Device, Duration, Place, Plan, Workspace, component_bytes
from maia.engine.residency import WeightStore
from maia.engine.runners.generator import GeneratorRunner
from maia.engine.runners.target import masked
from maia.engine.scheduler import Scheduler
from maia.engine.targets import load_target
from maia.models.errors import ExperimentError
from maia.models.generators import GeneratorOptions, load_editor, load_text_to_image
from maia.models.targets import Unit
from maia.models.testbed.describer import Describer
from maia.models.testbed.world import World
from tiny_diffusion import noise_image, tiny_folder

NAME = "efficientnet-lite0"
UNITS = [Unit(NAME, "blocks.4", 3), Unit(NAME, "blocks.10", 47), Unit(NAME, "blocks.4", 11)]


async def test_the_testbed_through_the_scheduler_equals_direct_calls_to_the_byte():
    world, describer, target = World(), Describer(), load_target(NAME, device="cpu")
    prompts = [("a red dog on grass", 1), ("nonsense of no kind", 2), ("a blue car", 3), ("a cat", 4)]
    drawn = [world.draw(*prompts[k]) for k in (0, 2, 3)]
    edited = world.edited(drawn[0], "make the dog blue")
    dataset = [world.dataset_image(k) for k in range(2)]
    pictures = [*drawn, *dataset]
    responses = [target.respond([picture], unit)[0] for picture in pictures for unit in UNITS]
    masks = [Mask(picture, response.map, 0.1) for picture, response in zip(pictures, responses[::3], strict=True)]
    shown = [masked(target, [mask])[0] for mask in masks]
    texts = [describer.describe_text(picture) for picture in shown[:3]]
    summary = describer.summarize(shown[:3])

    scheduler = assemble({NAME: load_target(NAME, device="cpu")}, World(), Describer(), jobs=3)

    async def draws() -> tuple[list, list]:
        items = [TextToImage(*prompt) for prompt in prompts]
        found = await scheduler.submit("world", [*items, DatasetImage(0), DatasetImage(1)])
        return found, await scheduler.submit("world", [Edit(found[0].image, "make the dog blue", 0)])

    async def measures(unit: Unit) -> list:
        async with scheduler.agent(str(unit)):
            return await scheduler.submit(NAME, [Measure(picture, unit) for picture in pictures])

    async with scheduler:
        (found, changed), *measured, seen, told = await asyncio.gather(
            draws(),
            *(measures(unit) for unit in UNITS),
            scheduler.submit(NAME, masks),
            scheduler.submit("describer", [*(Describe(picture) for picture in shown[:3]), Summarize(shown[:3])]),
        )
    assert isinstance(found[1], ExperimentError)
    assert all(isinstance(picture, Drawn) for picture in (*found[:1], *found[2:], *changed))
    for result, picture in zip([found[0], *found[2:], *changed], [*pictures, edited], strict=True):
        assert result.image.tobytes() == picture.tobytes()
    for k, unit in enumerate(UNITS):
        for got, expected in zip(measured[k], responses[k :: len(UNITS)], strict=True):
            assert got.value == expected.value and got.map.tobytes() == expected.map.tobytes(), unit
    assert [picture.tobytes() for picture in seen] == [picture.tobytes() for picture in shown]
    assert told == [*texts, summary]
    metrics = scheduler.metrics.models
    assert metrics[NAME].items == 20 and sum(metrics[NAME].batches.values()) < 20, "calls share batches"


@pytest.mark.parametrize("fixed", [False, True])
async def test_generators_that_take_turns_in_memory_draw_what_they_draw_alone(fixed):
    """Fixed batches to the byte, others up to rounding; the two share an encoder and a decoder."""
    options = {"steps": 1, "size": 32, "max_batch": 2, "fixed_batch": fixed}
    draws = load_text_to_image(GeneratorOptions(path=tiny_folder("stable-diffusion-v1-5"), **options))
    edits = load_editor(GeneratorOptions(path=tiny_folder("instruct-pix2pix"), **options), share_with=[draws])
    prompts, seeds = ["a red dog", "a blue cat", "a car"], [1, 2, 3]
    pictures = [noise_image(k, (32, 32)) for k in range(3)]
    instructions = ["make it blue", "make it red", "add snow"]
    alone = [draws.generate([prompt], [seed])[0] for prompt, seed in zip(prompts, seeds, strict=True)]
    alone += [
        edits.edit([picture], [instruction], [seed])[0]
        for picture, instruction, seed in zip(pictures, instructions, seeds, strict=True)
    ]

    store = WeightStore()
    workspace = Workspace(1000, 10)
    runners = {
        r.facts.name: r for r in (GeneratorRunner(g, store, workspace, Duration(0.1, 0.1)) for g in (draws, edits))
    }
    facts = [runner.facts for runner in runners.values()]
    budget = max(f.nbytes for f in facts) + workspace.nbytes(2)
    assert budget < component_bytes(part for f in facts for part in f.components) + workspace.nbytes(1)
    plan = Plan((Device("cpu", budget, 1e9),), tuple(facts), {name: Place("cpu", False, 2) for name in runners})
    scheduler = Scheduler(plan, runners, CostAware(linger=0.0))
    most = 0

    async def ask(model: str, item: object) -> Drawn:
        nonlocal most
        (result,) = await scheduler.submit(model, [item])
        most = max(most, store.device_bytes("cpu"))
        return result

    items = [("text2image", TextToImage(prompt, seed)) for prompt, seed in zip(prompts, seeds, strict=True)]
    items += [("edit", Edit(*row)) for row in zip(pictures, instructions, seeds, strict=True)]
    async with scheduler:
        results = await asyncio.gather(*(ask(*item) for item in items))
        results += await asyncio.gather(*(ask(*item) for item in items))
    for result, picture in zip(results, [*alone, *alone], strict=True):
        difference = np.abs(np.asarray(result.image, int) - np.asarray(picture.image, int)).max()
        assert difference <= (0 if fixed else 1)
    metrics = scheduler.metrics
    assert sum(model.loads for model in metrics.models.values()) >= 3, "the budget forces swaps"
    assert sum(model.loaded_bytes for model in metrics.models.values()) == store.bytes_copied
    assert most <= metrics.devices["cpu"].peak <= budget
    assert scheduler.used("cpu") == store.device_bytes("cpu")
