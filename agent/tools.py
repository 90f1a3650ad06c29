"""The `tools` of an experiment. Their docstrings are the API text that the backbone reads."""

import math
from collections import Counter
from collections.abc import Sequence

from PIL import Image

from ..engine.items import Drawn
from ..models.errors import ExperimentError
from ..models.targets import Unit
from .exemplars import exemplar_images, masked_exemplars
from .seeds import derive_seed
from .services import Services
from .system import System, check_images
from .transcript import LogEntry

MAX_IMAGES = 128
"""Images that one call may make, so that a loop gone wrong costs seconds, not hours."""
SIGNIFICANT_DIGITS = 4


def significant(value: float) -> float:
    """value rounded to the digits that logs hold."""
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


class Tools:
    """Instruments for experiments on the unit."""

    def __init__(self, services: Services, unit: Unit, seed: str, activation_threshold: float | None) -> None:
        """seed: the name of this experiment's random stream. After the experiment, `logged` and `threshold` hold what
        it left."""
        self._services = services
        self._unit = unit
        self._seed = seed
        self._made: Counter[str] = Counter()
        self.threshold = activation_threshold
        self.logged: list[LogEntry] = []

    async def dataset_exemplars(self, system: System) -> tuple[list[float], list[Image.Image]]:
        """The 15 images of the dataset that activate the unit most, highest first.

        Returns (activations, masked_images). They show how the unit typically behaves, and what a high activation
        is: later logs are compared with their mean.

        Example:
            activations, images = tools.dataset_exemplars(system)
            titles = [f"exemplar {i + 1}" for i in range(len(images))]
            tools.log_experiment(activations, images, titles, tools.describe_images(images, titles))
        """
        if system != "system":  # objects of the API arrive as their names
            raise ExperimentError("dataset_exemplars takes the object system: write tools.dataset_exemplars(system).")
        services = self._services
        found = services.index.entries(self._unit)
        if not found:
            raise ExperimentError("No image of the dataset activates this unit: it has no exemplars.")
        images = await exemplar_images(services, found)
        shown = await masked_exemplars(services, self._unit, found, images)
        activations = [exemplar.value for exemplar in found]
        self.threshold = sum(activations) / len(activations)
        return activations, shown

    async def text2image(self, prompts: list[str]) -> list[Image.Image]:
        """Make one image for each prompt.

        prompts: short descriptions in plain English. Repeat a prompt to get variations of it.

        Example:
            images = tools.text2image(["a red ball on a sandy beach", "a red ball in the snow"])
        """
        texts = _check_texts(prompts, "prompts")
        return await self._draw(texts)

    async def edit_images(
        self, prompts: list[str] | list[Image.Image], edits: list[str]
    ) -> tuple[list[Image.Image], list[str]]:
        """Make images and change one thing in each, to compare the two.

        prompts: descriptions of the originals, or images that the tools made. edits: one instruction for each
        original, which says what should be there ("replace the dog with a cat", "make the ball green", "change the
        background to a forest"). A list of one is used for all of the other list.
        Returns (images, titles): original, edited, original, edited, …

        Example:
            images, titles = tools.edit_images(["a dog on the grass"], ["replace the dog with a cat"])
            activations, masked_images = system.neuron(images)
            tools.log_experiment(activations, masked_images, titles, "")
        """
        instructions = _check_texts(edits, "edits")
        if not isinstance(prompts, list | tuple) or not prompts:
            raise ExperimentError("prompts must be a list of texts or of images, with at least one of them.")
        originals = list(prompts)
        count = max(len(originals), len(instructions))
        if len(originals) == 1:
            originals = originals * count
        if len(instructions) == 1:
            instructions = instructions * count
        if len(originals) != len(instructions):
            raise ExperimentError(
                f"edit_images got {len(originals)} originals and {len(instructions)} edits: "
                "give as many of one as of the other."
            )
        if all(isinstance(entry, str) for entry in originals):
            names = [str(entry) for entry in originals]
            images = await self._draw(names)
        else:
            images = check_images(originals, "prompts")
            names = [f"image {i + 1}" for i in range(count)]
        seeds = self._seeds(count, "edit")
        edited = self._noted(await self._services.edit(images, instructions, seeds), "Edit")
        pairs = [picture for pair in zip(images, edited, strict=True) for picture in pair]
        titles = [
            title for name, edit in zip(names, instructions, strict=True) for title in (name, f"{name} -> {edit}")
        ]
        return pairs, titles

    async def describe_images(self, images: list[Image.Image], titles: list[str]) -> str:
        """Have a fresh observer, who knows none of your hypotheses, describe the highlighted region of each image.

        images: masked images (or whole ones: then all is described). titles: one for each image.
        Returns one line "title: description" for each image.
        """
        checked, names = check_images(images), _check_texts(titles, "titles", allow_empty=True)
        _same_length(images=checked, titles=names)
        lines = await self._services.describe(checked)
        return "\n".join(f"{name}: {line}" for name, line in zip(names, lines, strict=True))

    async def summarize_images(self, images: list[Image.Image]) -> str:
        """Have a fresh observer, who knows none of your hypotheses, say what the highlighted regions have in common."""
        checked = check_images(images)
        if not checked:
            raise ExperimentError("summarize_images got no images.")
        return await self._services.summarize(checked)

    async def log_experiment(
        self, activations: list[float], images: list[Image.Image], titles: list[str], text: str | list[str] = ""
    ) -> None:
        """Put results into the log. Only logged results are shown to you after the experiment.

        activations, images and titles have the same length. text: anything else worth knowing, such as descriptions.
        """
        numbers = _check_numbers(activations)
        checked, names = check_images(images), _check_texts(titles, "titles", allow_empty=True)
        _same_length(activations=numbers, images=checked, titles=names)
        lines = [text] if isinstance(text, str) else list(text)
        note = "\n".join(str(line) for line in lines)
        if self.threshold is not None and numbers and max(numbers) < self.threshold:
            note += ("\n" if note else "") + (
                f"The highest activation here ({significant(max(numbers))}) is below the exemplars' mean "
                f"({significant(self.threshold)}): go on experimenting."
            )
        await self._append(numbers, checked, names, note)

    async def display(self, *items: object) -> None:
        """Show anything in the next turn: texts, numbers, images, or lists of them, in this order."""
        images: list[Image.Image] = []
        words: list[str] = []
        for item in items:
            for entry in item if isinstance(item, list | tuple) else [item]:
                if isinstance(entry, Image.Image):
                    images.append(entry.convert("RGB"))
                    words.append(f"[image {len(images)}]")
                else:
                    words.append(str(entry))
        await self._append([], images, [f"image {i + 1}" for i in range(len(images))], "\n".join(words))

    async def _append(self, numbers: list[float], images: list[Image.Image], titles: list[str], text: str) -> None:
        ids = await self._services.keep(images)
        self.logged.append(LogEntry([significant(number) for number in numbers], ids, titles, text))

    async def _draw(self, prompts: list[str]) -> list[Image.Image]:
        seeds = self._seeds(len(prompts))
        return self._noted(await self._services.text2image(prompts, seeds), "Prompt")

    def _noted(self, drawn: Sequence[Drawn], name: str) -> list[Image.Image]:
        """The pictures; what has to be told about them goes into the log."""
        notes = [f"{name} {place}: {entry.note}" for place, entry in enumerate(drawn, 1) if entry.note]
        if notes:
            self.logged.append(LogEntry([], [], [], "\n".join(notes)))
        return [entry.image for entry in drawn]

    def _seeds(self, count: int, purpose: str = "image") -> list[int]:
        """The next seeds of this experiment's stream: 31-bit, the same whenever the experiment is run again."""
        if count > MAX_IMAGES:
            raise ExperimentError(f"One call makes at most {MAX_IMAGES} images, not {count}: split it.")
        first = self._made[purpose]
        self._made[purpose] += count
        return [derive_seed(f"{self._seed}/{purpose}/{number}") for number in range(first, first + count)]


def _check_texts(texts: object, name: str, allow_empty: bool = False) -> list[str]:
    if isinstance(texts, str):
        raise ExperimentError(f"{name} must be a list of texts, not one text: write [{texts[:40]!r}].")
    if not isinstance(texts, list | tuple):
        raise ExperimentError(f"{name} must be a list of texts, not {type(texts).__name__}.")
    if not texts and not allow_empty:
        raise ExperimentError(f"{name} is empty.")
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise ExperimentError(f"{name}[{position}] is {type(text).__name__}, not a text.")
    return list(texts)


def _check_numbers(values: object) -> list[float]:
    if not isinstance(values, list | tuple):
        raise ExperimentError(f"activations must be a list of numbers, not {type(values).__name__}.")
    for position, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ExperimentError(f"activations[{position}] is {value!r:.60}, not a finite number.")
    return [float(value) for value in values]


def _same_length(**lists: Sequence[object]) -> None:
    if len({len(entry) for entry in lists.values()}) > 1:
        counts = ", ".join(f"{len(entry)} {name}" for name, entry in lists.items())
        raise ExperimentError(f"These lists must have the same length: {counts}.")
