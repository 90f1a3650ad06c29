"""How near a generator is to its denoising network's own time, to plain diffusers, and to itself in another batch."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image

from ...engine.residency import WeightStore
from ...engine.sizing import BATCHED
from ...models.diffusion.pictures import picture_generator
from ...models.diffusion.quiet import quiet
from ...models.diffusion.settings import denoiser
from ...models.generators import EditGenerator, Job, TextToImageGenerator
from ..throughput.timing import ratio, seconds_of, summary, time_in_turn
from .rows import Goal, Row, promise_row, row, spread_row

Generator = TextToImageGenerator | EditGenerator

PROMPT = "a photograph of an old wooden house by a lake, in the evening, with a boat and two people"
INSTRUCTION = "replace the house with a lighthouse"

OVERHEAD = Goal("<=", 1.10)
"""A picture's time over that of its steps' passes through the denoising network."""
SPEED_UP = Goal(">=", 1.5)
"""Compiled and channels-last over diffusers as it comes."""
PUBLISHED = {"plain": 31.0, "compiled, channels-last": 47.0, "TensorRT": 61.0}
"""Steps a second of SD-1.5, 512 x 512, a single picture, published for one A100. Not ours."""
AFTER_SWAP = Goal("<=", 2.0)
"""First picture after a swap over a picture: compiling again would be a hundred times."""
CLOSE_HALF, CLOSE_SINGLE = Goal("<=", 0.02), Goal("<=", 1e-4)
"""Largest difference of one picture (values in [0, 1]) in batches of other sizes, in 16 and in 32 bits: our choice."""
APART = 2.0
"""Pictures of other seeds must differ by this many times as much: else the comparison says nothing."""
WARM_UP = 2


@dataclass(frozen=True, eq=False)
class Recorded:
    """What the denoising network was called with in a picture's first step, and how often in all steps."""

    arguments: tuple[Any, ...]
    named: dict[str, Any]
    calls: int

    def passes(self, network: torch.nn.Module) -> Callable[[], None]:
        """The network's part of the picture alone: as many passes, on the first step's values."""

        def run() -> None:
            with torch.no_grad():
                for _ in range(self.calls):
                    network(*self.arguments, **self.named)

        return run


def sample_jobs(generator: Generator, count: int) -> list[Job]:
    """One prompt, or one edit of one picture, with the seeds 0, 1, …"""
    if isinstance(generator, TextToImageGenerator):
        return [generator.job(PROMPT, seed) for seed in range(count)]
    picture = Image.linear_gradient("L").resize((generator.size, generator.size)).convert("RGB")
    return [generator.job(picture, INSTRUCTION, seed) for seed in range(count)]


def record(generator: Generator, jobs: Sequence[Job]) -> Recorded:
    """Draws the jobs as one batch. generator: not compiled, for compiled code does not see the hook."""
    found: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def keep(_: torch.nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        found.append((arguments, dict(named)) if not found else found[0])

    hook = network_of(generator).register_forward_pre_hook(keep, with_kwargs=True)
    try:
        generator.floats(jobs)
    finally:
        hook.remove()
    return Recorded(*found[0], len(found))


def network_of(generator: Generator) -> torch.nn.Module:
    """The denoising network."""
    return getattr(generator.pipeline, denoiser(generator.pipeline))


def warmed(way: Callable[[], object], device: torch.device) -> float:
    """Seconds of the first of WARM_UP calls."""
    first = seconds_of(way, device)
    for _ in range(WARM_UP - 1):
        way()
    return first


def overhead(
    name: str, generator: Generator, jobs: Sequence[Job], repeats: int, device: torch.device, recorded: Recorded
) -> Iterator[Row]:
    """A batch of pictures from prompts to numbers on the CPU, over the passes of the denoising network in it."""
    draw, passes = lambda: generator.floats(jobs), recorded.passes(network_of(generator))
    first, _ = warmed(draw, device), warmed(passes, device)
    times = time_in_turn({"picture": draw, "network": passes}, repeats, device)
    pictures, network = summary(times["picture"])["median"], summary(times["network"])["median"]
    yield spread_row(
        f"{name}: picture over its {recorded.calls} network passes",
        ratio(times["picture"], times["network"])["all"],
        "x",
        OVERHEAD,
        batch=len(jobs),
        picture_seconds=pictures,
        network_seconds=network,
        steps_per_second=recorded.calls / pictures,
        network_passes_per_second=recorded.calls / network,
        first_seconds=first,
        note=f"{recorded.calls / pictures:.1f} steps/s, first call {first:.1f} s",
    )


def batch_gain(
    name: str, generator: Generator, jobs: Sequence[Job], repeats: int, device: torch.device
) -> Iterator[Row]:
    """Singles one after the other, over one batch of the same pictures. The goal is what plans assume without a
    measurement (`sizing.BATCHED`)."""
    count = len(jobs)
    ways = {"batch": lambda: generator.floats(jobs), "singles": lambda: [generator.floats([job]) for job in jobs]}
    for way in ways.values():
        way()
    times = time_in_turn(ways, repeats, device)
    assumed = count / (1 + BATCHED * (count - 1))
    yield spread_row(
        f"{name}: {count} singles over a batch of {count}",
        ratio(times["singles"], times["batch"])["all"],
        "x",
        Goal(">=", assumed),
        batch_seconds=summary(times["batch"])["median"],
        singles_seconds=summary(times["singles"])["median"],
        note="the goal is what plans assume",
    )


def same_picture(name: str, generator: Generator, jobs: Sequence[Job], goal: Goal) -> Iterator[Row]:
    """One job alone and among the others; jobs differ in their seed. As a promise: that seeds mean something."""
    together = generator.floats(jobs)[0]
    alone = torch.cat([generator.floats([job])[0] for job in jobs])
    difference, between = _largest(alone, together), _between(together)
    yield row(
        f"{name}: largest difference alone and in a batch of {len(jobs)}",
        difference,
        "of [0, 1]",
        goal,
        between_seeds=between,
        note=f"pictures of other seeds differ by {between:.3g}",
    )
    # Comparisons with NaN are false.
    apart = between > 0 and between >= APART * difference
    yield promise_row(f"{name}: another seed is another picture", apart, between_seeds=between, difference=difference)


def same_bits(name: str, generator: Generator, jobs: Sequence[Job]) -> Iterator[Row]:
    """With fixed_batch: the first job alone, first, and last among others, and the others in the other order."""
    filled = copy.copy(generator)
    filled.options, filled.batch = replace(generator.options, fixed_batch=True), len(jobs)
    forwards, backwards = filled.floats(jobs)[0], filled.floats(jobs[::-1])[0].flip(0)
    alone = filled.floats(jobs[:1])[0]
    equal = torch.equal(forwards, backwards) and torch.equal(alone, forwards[:1])
    difference = max(_largest(forwards, backwards), _largest(alone, forwards[:1]))
    yield promise_row(
        f"{name}: with fixed_batch the same bits in any batch",
        equal and bool(torch.isfinite(forwards).all()),
        difference=difference,
        batch=len(jobs),
    )


def _largest(one: torch.Tensor, other: torch.Tensor) -> float:
    return (one - other).abs().max().item()


def _between(pictures: torch.Tensor) -> float:
    """Difference of the two pictures that are most alike."""
    count = len(pictures)
    return min(_largest(pictures[i], pictures[j]) for i in range(count) for j in range(i))


def against_plain(
    plain: Any,
    ours: TextToImageGenerator,
    jobs: Sequence[Job],
    repeats: int,
    device: torch.device,
    recorded: Recorded,
) -> Iterator[Row]:
    """One batch by diffusers' own pipeline as it comes (but for the sampler, which is ours, so that both take as many
    passes), over ours, compiled and channels-last. Compilation is in the first call alone.

    plain: a pipeline of the same weights on the device. recorded: of a generator that is not compiled, for these jobs.
    """
    draw = lambda: ours.floats(jobs)  # noqa: E731
    first = warmed(draw, device)
    usual = lambda: plain_picture(plain, jobs, ours.options.steps, ours.size)  # noqa: E731
    warmed(usual, device)
    times = time_in_turn({"plain": usual, "ours": draw}, repeats, device)
    rates = {way: recorded.calls / summary(seconds)["median"] for way, seconds in times.items()}
    yield spread_row(
        "compiled and channels-last against plain diffusers",
        ratio(times["plain"], times["ours"])["all"],
        "x",
        SPEED_UP,
        steps_per_second=rates["ours"],
        plain_steps_per_second=rates["plain"],
        published_steps_per_second_a100=PUBLISHED,
        first_seconds=first,
        note=f"{rates['ours']:.1f} against {rates['plain']:.1f} steps/s, first call {first:.0f} s with compilation; "
        f"published for one A100: {', '.join(f'{way} {rate:g}' for way, rate in PUBLISHED.items())}",
    )
    yield from overhead("compiled", ours, jobs, repeats, device, recorded)
    yield from after_swap(ours, jobs, summary(times["ours"])["median"], device)


def plain_picture(pipeline: Any, jobs: Sequence[Job], steps: int, size: int) -> torch.Tensor:
    """Float [N, 3, size, size] on the CPU, by diffusers alone."""
    randoms = [picture_generator(job.seed) for job in jobs]
    with quiet():
        drawn = pipeline(
            prompt=[job.prompt for job in jobs],
            height=size,
            width=size,
            num_inference_steps=steps,
            generator=randoms,
            output_type="pt",
        )
    return drawn.images.float().cpu()


def after_swap(generator: Generator, jobs: Sequence[Job], usual: float, device: torch.device) -> Iterator[Row]:
    """The first picture after the weights were offloaded and loaded again, over a picture. Last of all: the weights
    stay with a store that is then dropped."""
    store, name = WeightStore(), "compiled"
    store.add(name, [(part.key, part.module) for part in generator.components])
    store.load(name, device)
    first = seconds_of(lambda: generator.floats(jobs), device)
    store.remove(name)
    yield row("compiled: first picture after a swap over a picture", first / usual, "x", AFTER_SWAP, seconds=first)
