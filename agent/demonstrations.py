"""Demonstrations: the teacher's dialogues on ground-truth neurons, made fast and many.

The experiment loop, its tools and its texts are the real ones. Three things are quicker than in a run: the teacher's
own code runs in this process; a ground-truth neuron answers from a scene's segments without its picture being drawn; a
picture is drawn once it is logged. Exemplars come from random scenes that are none of the dataset's, so that whoever
learns from these dialogues has seen no picture of it.
"""

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..engine.exemplars import EXEMPLARS, Exemplar
from ..engine.items import Drawn, Purpose
from ..kernels.mask import apply_region
from ..models.errors import ExperimentError
from ..models.files import write_whole
from ..models.groundtruth_neuron import GroundTruthNeuron
from ..models.groundtruth_split import split_concepts
from ..models.targets import Response, Unit
from ..models.testbed.describer_scenes import random_scene
from ..models.testbed.language import parse_prompt
from ..models.testbed.renderer import render, render_segments
from ..models.testbed.scene import Concept, Scene, Segments, concept_mask
from .backbones.teacher.readings import Reading, read_scene
from .backbones.teacher.teacher import Teacher
from .experiment import TURNS, Settings, UnitRun
from .sandbox.limits import Outcome
from .trajectories_read import DESCRIBED, TRUTHS, UNTRAINED
from .transcript import ImageStore
from .word_counts import count_words

FIRST_SEED = 40_000_000
"""Demonstrations' scenes have seeds from here on: none of them is the dataset's, the describer's or an evaluation's."""
TARGET = "ground-truth-demonstrated"
GRADED = 0.35
"""Share of neurons that answer as units of a network do: on another scale, and with noise."""
SILENT = 0.015
"""Share of dialogues in which the dataset shows no exemplar."""
HURRIED = 0.06
"""Share of dialogues with few turns, so that the answer has to be given before all is tested."""
PLACES = 2
"""Pictures beside each dialogue whose background is highlighted, whichever it is: an observer learns to see that of
places that are no training neuron's concept, as it does of things and colours from other neurons' exemplars."""


class LazyImage(Image.Image):
    """A picture that is drawn when its pixels are wanted. scene: what it shows; mask: of its highlighted region, None:
    it is whole."""

    def __init__(self, scene: Scene, mask: np.ndarray | None = None) -> None:
        super().__init__()
        self.scene, self.mask = scene, mask

    def convert(self, *args: Any, **kwargs: Any) -> "LazyImage":
        """Itself: all pictures are RGB."""
        return self

    def draw(self) -> Image.Image:
        """The picture."""
        pixels = render(self.scene).image
        return Image.fromarray(pixels if self.mask is None else apply_region(pixels, self.mask))


class LazyStore(ImageStore):
    """Draws what it is given to keep."""

    def put(self, image: Image.Image) -> str:
        """See `ImageStore.put`."""
        return super().put(image.draw() if isinstance(image, LazyImage) else image)


@lru_cache(maxsize=4096)
def segments_of(scene: Scene) -> Segments:
    """The scene's segments, without its colours."""
    return render_segments(scene)


@dataclass(frozen=True)
class Answers:
    """How a neuron answers. scale, noise: of a graded one: scale * (value + noise), noise uniform up to `noise`, drawn
    by the scene's seed; the others answer as they are."""

    neuron: GroundTruthNeuron
    scale: float = 1.0
    noise: float = 0.0

    def __call__(self, scene: Scene) -> tuple[float, np.ndarray | None]:
        """(activation, bool mask [224, 224] or None where it is silent)."""
        value, mask = 0.0, None
        if self.neuron.may_fire(scene):
            drawn = segments_of(scene)
            value, mask = self.neuron.respond(lambda concept: concept_mask(scene, drawn, concept))
        if self.noise:
            value += random.Random(f"{scene.seed}/{self.neuron.truth}").uniform(0, self.noise)
        return value * self.scale, mask


@dataclass
class Demonstration:
    """What UnitRun asks in the place of `Services`: the world, the neuron and its exemplars. rng: of the observer's
    mistakes. described: what there is to say, without mistakes, of the pictures that were kept, by their ids."""

    answers: Answers
    exemplars: Sequence[Scene]
    images: ImageStore
    rng: random.Random
    target: Any = field(default_factory=lambda: _Target())
    drawings: Purpose = "exploration"
    described: dict[str, str] = field(default_factory=dict)

    @property
    def index(self) -> "Demonstration":
        """Itself: it knows its exemplars."""
        return self

    def entries(self, unit: Unit) -> list[Exemplar]:
        """See `ExemplarIndex.entries`."""
        values = [self.answers(scene)[0] for scene in self.exemplars]
        return [Exemplar(k, str(k), value, None, None) for k, value in enumerate(values)]

    def threshold(self, unit: Unit) -> float:
        """Masks are exact: whatever is above 0."""
        return 0.0

    has_pictures = False

    async def dataset_images(self, numbers: Sequence[int]) -> list[Image.Image]:
        """The exemplars."""
        return [LazyImage(self.exemplars[k]) for k in numbers]

    async def text2image(
        self, prompts: Sequence[str], seeds: Sequence[int], purpose: Purpose | None = None
    ) -> list[Drawn]:
        """Pictures that are not drawn yet. Raises ExperimentError as the world does."""
        failed, drawn = [], []
        for place, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True), start=1):
            try:
                drawn.append(Drawn(LazyImage(parse_prompt(prompt, seed, "exploration"))))
            except ExperimentError as error:
                failed.append(f"Prompt {place}: {error}")
        if failed:
            raise ExperimentError("\n".join(failed))
        return drawn

    async def respond(self, images: Sequence[Image.Image], unit: Unit) -> list[Response]:
        """The neuron's answers; maps are masks, or empty."""
        result = []
        for image in images:
            assert isinstance(image, LazyImage)
            value, mask = self.answers(image.scene)
            result.append(Response(value, np.zeros((1, 1), np.float32) if mask is None else mask))
        return result

    async def masked(
        self, images: Sequence[Image.Image], maps: Sequence[np.ndarray], threshold: float
    ) -> list[Image.Image]:
        """The pictures with their masks; where nothing activates the neuron all is dark."""
        shown: list[Image.Image] = []
        for image, mask in zip(images, maps, strict=True):
            assert isinstance(image, LazyImage)
            shown.append(LazyImage(image.scene, mask if mask.size > 1 else np.zeros((224, 224), bool)))
        return shown

    async def describe(self, images: Sequence[Image.Image]) -> list[str]:
        """What an observer that errs now and then says."""
        return [_read(image).misread(self.rng).text() for image in images]

    async def summarize(self, images: Sequence[Image.Image]) -> str:
        """See `Observer.summarize`."""
        return count_words(await self.describe(images))

    async def keep(self, images: Sequence[Image.Image]) -> list[str]:
        """Ids in the store."""
        names = [self.images.put(image) for image in images]
        self.described |= {name: _read(image).text() for name, image in zip(names, images, strict=True)}
        return names


@dataclass(frozen=True)
class _Target:
    name: str = TARGET
    fingerprint: str = "demonstrated"


class OwnCode:
    """Runs the teacher's code in a thread of this process. It is no sandbox: for code of ours alone."""

    async def run(self, code: str, handle: Any, started: Any = None) -> Outcome:
        """See `Sandbox.run`."""
        loop = asyncio.get_running_loop()

        def call(name: str, *args: Any, **kwargs: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(handle(name, args, kwargs), loop).result()

        def work() -> Outcome:
            told: list[str] = []
            space: dict[str, Any] = {"print": lambda *parts: told.append(" ".join(map(str, parts)) + "\n")}
            try:
                exec(compile(code, "experiment", "exec"), space)
                space["run_experiment"](_Object("system", call), _Object("tools", call))
            except Exception as error:
                return Outcome("error", f"{type(error).__name__}: {error}", "".join(told), 0.0)
            return Outcome("ok", "", "".join(told), 0.0)

        return await asyncio.to_thread(work)


class _Object:
    def __init__(self, name: str, call: Callable[..., Any]) -> None:
        self._name, self._call = name, call

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            plain = [value._name if isinstance(value, _Object) else value for value in args]
            return self._call(f"{self._name}.{method}", *plain, **kwargs)

        return called


@dataclass(frozen=True)
class Pool:
    """Scenes that exemplars are chosen from, with the visible pixels of every concept asked for. first: the first
    scene's number."""

    scenes: Sequence[Scene]

    @classmethod
    def drawn(cls, size: int, first: int = 0) -> "Pool":
        """`size` random scenes."""
        return cls([random_scene(FIRST_SEED + first + k) for k in range(size)])

    def exemplars(self, answers: Answers, rng: random.Random, count: int = EXEMPLARS) -> list[Scene]:
        """The scenes of a random half that activate the neuron most, highest first: another half, other exemplars."""
        half = rng.sample(range(len(self.scenes)), len(self.scenes) // 2)
        values = {k: value for k in half if (value := self._value(answers, k)) > answers.noise * answers.scale}
        best = sorted(values, key=lambda k: (-values[k], k))[:count]
        return [self.scenes[k] for k in best]

    def _value(self, answers: Answers, k: int) -> float:
        scene = self.scenes[k]
        return answers(scene)[0] if answers.neuron.may_fire(scene) else 0.0


POOL = 3000
"""Random scenes that a part's exemplars are chosen from."""
_TURNS = ("single", "or", "conditional", "or", "conditional", "single", "conditional")
"""Kinds in turn: the two that are harder come more often."""


def neurons_of(part: int, count: int) -> list[GroundTruthNeuron]:
    """Neurons to demonstrate, none of which holds a held-out concept. part: numbers from 0; other parts have other
    neurons of two concepts. Single ones are repeated, with other exemplars: there are few."""
    drawn = split_concepts().training_neurons(3000, seed=1)
    by_kind = {kind: [neuron for neuron in drawn if neuron.kind == kind] for kind in set(_TURNS)}
    rng = random.Random(part)
    chosen = []
    for number in range(count):
        kind = by_kind[_TURNS[number % len(_TURNS)]]
        single = kind[0].kind == "single"
        chosen.append(rng.choice(kind) if single else kind[(number * 2 + part) % len(kind)])
    return chosen


FILES = (TRUTHS, UNTRAINED, DESCRIBED)


def demonstrate(
    neurons: Sequence[GroundTruthNeuron],
    out: Path,
    pool: Pool,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Dialogues of the teacher on the neurons (some may be repeated), as a run directory: transcripts, pictures,
    and FILES. Neurons that are there already are not done again."""
    store = LazyStore(out / "images")
    truths, untrained, described = (_load(out / name) for name in FILES)
    for number, neuron in enumerate(neurons):
        unit = Unit(TARGET, neuron.kind, seed * 100_000 + number)
        if str(unit) not in truths:
            skipped, told = asyncio.run(_one(neuron, unit, out, pool, store))
            truths[str(unit)], untrained[str(unit)] = neuron.truth, skipped
            described |= told
            if number % 50 == 49:
                _save(out, truths, untrained, described)
        progress(number + 1, len(neurons))
    _save(out, truths, untrained, described)
    return out


async def _one(
    neuron: GroundTruthNeuron, unit: Unit, out: Path, pool: Pool, store: ImageStore
) -> tuple[list[int], dict[str, str]]:
    """(turns that are not to be imitated, descriptions of the pictures)"""
    rng = random.Random(f"demonstration/{unit}")
    answers = Answers(neuron)
    if rng.random() < GRADED:
        answers = Answers(neuron, round(rng.uniform(0.6, 9), 2), round(rng.uniform(0.05, 0.3), 2))
    exemplars = [] if rng.random() < SILENT else pool.exemplars(answers, rng)
    turns = rng.choice((1, 2, 2)) if rng.random() < HURRIED else TURNS
    services = Demonstration(answers, exemplars, store, rng)
    directory = out / "units" / str(unit)
    if directory.exists():
        (directory / "transcript.jsonl").unlink(missing_ok=True)
    teacher = Teacher(rng.randrange(2**31))
    run = UnitRun(unit, teacher, services, Settings(turns=turns, guards=(), seed=0), out, lambda *_: None)  # type: ignore[arg-type]
    run.sandbox = OwnCode()
    await run.run()
    await services.keep([_bright_place(rng) for _ in range(PLACES)])
    return sorted(teacher.untrained), services.described


def _bright_place(rng: random.Random) -> LazyImage:
    """A random scene with its background highlighted, which is no close-up."""
    while (scene := random_scene(FIRST_SEED + rng.randrange(10**7))).background is None:
        pass
    return LazyImage(scene, concept_mask(scene, segments_of(scene), Concept("background", scene.background)))


def _read(image: Image.Image) -> Reading:
    assert isinstance(image, LazyImage)
    mask = np.ones((224, 224), bool) if image.mask is None else image.mask
    return read_scene(image.scene, segments_of(image.scene), mask)


def _load(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def _save(out: Path, *contents: dict[str, Any]) -> None:
    for name, content in zip(FILES, contents, strict=True):
        write_whole(out / name, (json.dumps(content, indent=1) + "\n").encode())
