"""Sets of pictures for the four-way choice (the paper's appendix E): one that activates a unit strongly, three drawn at
random from the dataset.

All pictures go the same way: the target's view of them, whole and without masks, so that neither shape nor edges tell
an exemplar from a picture of the dataset.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from ...agent.exemplars import exemplar_images
from ...agent.services import Services
from ...engine.dataset import BadImage, Dataset, open_dataset
from ...engine.exemplars import ExemplarIndex
from ...models.errors import ExperimentError, UserError
from ...models.pictures import pixel_hash
from ...models.targets import Unit

SETS = 4
"""Sets to choose from: chance is 25 % (the paper's appendix E)."""
SET_SIZE = 4
"""Pictures of a set (the same)."""
CHANCE = 1 / SETS


class NoSets(Exception):
    """This unit has no four sets, for the reason that is said; others may have."""


@dataclass(frozen=True)
class ImageSets:
    """What is shown of a unit, whichever method described it. ids: numbers of the pictures in the dataset, by set.
    pictures: the same as RGB, as the target sees them. strong: which set activates the unit, 0..3. unreadable: pictures
    of the dataset that were drawn and could not be shown, by number, with the reason."""

    unit: str
    ids: tuple[tuple[int, ...], ...]
    pictures: tuple[tuple[Image.Image, ...], ...]
    strong: int
    unreadable: tuple[tuple[int, str], ...] = ()


def drawn_exemplars(unit: str, exemplars: Sequence[int], seed: int) -> list[int]:
    """SET_SIZE of the unit's exemplars, in drawn order. Raises NoSets where there are fewer."""
    if len(exemplars) < SET_SIZE:
        raise NoSets(f"it has {len(exemplars)} exemplars, and a set needs {SET_SIZE}")
    return _stream(unit, seed, "strong").sample(list(exemplars), SET_SIZE)


def drawn_others(unit: str, exemplars: Sequence[int], size: int, seed: int) -> Iterator[int]:
    """Numbers of the dataset that are no exemplars, each at most once, all equally likely: take as many as needed.

    size: entries of the dataset. Lazy: a dataset of millions costs what is taken of it.
    """
    draw, seen = _stream(unit, seed, "others"), set(exemplars)
    while len(seen) < size:
        number = draw.randrange(size)
        if number not in seen:
            seen.add(number)
            yield number


def strong_place(unit: str, seed: int) -> int:
    """Where the strongly activating set stands among the four, 0..3."""
    return _stream(unit, seed, "place").randrange(SETS)


def _stream(unit: str, seed: int, purpose: str) -> random.Random:
    return random.Random(f"{seed}/usefulness/{purpose}/{unit}")


async def draw_sets(services: Services, unit: Unit, seed: int = 0, dataset: Dataset | None = None) -> ImageSets:
    """The unit's four sets. Use it inside `running` and `scheduler.agent(…)`.

    The strong set is drawn from the unit's exemplars (all 15 of them, or as many as there are), the others from all
    other pictures of the dataset; a picture that cannot be read, that the target cannot see, or whose pixels stand in
    the sets already is replaced by the next draw. dataset: that of the index, where it is not the offline world's
    (`dataset_of`). Raises NoSets where there are not enough pictures.
    """
    found = services.index.entries(unit)
    name, ids = str(unit), [exemplar.id for exemplar in found]
    chosen = drawn_exemplars(name, ids, seed)
    by_id = {exemplar.id: exemplar for exemplar in found}
    shown = await exemplar_images(services, [by_id[number] for number in chosen])
    try:
        strong = [services.target.view(image) for image in shown]
    except ExperimentError as problem:
        raise NoSets(f"an exemplar cannot be shown: {problem}") from None
    seen = {pixel_hash(image) for image in strong}
    size = services.index.facts.dataset_size
    wanted = (SETS - 1) * SET_SIZE
    others: list[tuple[int, Image.Image]] = []
    unreadable: list[tuple[int, str]] = []
    for number in drawn_others(name, ids, size, seed):
        try:
            picture = services.target.view(await _dataset_image(services, dataset, number))
        except (BadImage, ExperimentError) as problem:
            unreadable.append((number, str(problem)))
            continue
        digest = pixel_hash(picture)
        if digest not in seen:
            seen.add(digest)
            others.append((number, picture))
        if len(others) == wanted:
            break
    if len(others) < wanted:
        raise NoSets(f"the dataset has {len(others)} other pictures that can be shown, and {wanted} are needed")
    sets = [others[start : start + SET_SIZE] for start in range(0, wanted, SET_SIZE)]
    place = strong_place(name, seed)
    sets.insert(place, list(zip(chosen, strong, strict=True)))
    return ImageSets(
        name,
        tuple(tuple(number for number, _ in one) for one in sets),
        tuple(tuple(picture for _, picture in one) for one in sets),
        place,
        tuple(unreadable),
    )


async def _dataset_image(services: Services, dataset: Dataset | None, number: int) -> Image.Image:
    """Raises BadImage or ExperimentError for one that cannot be had."""
    if not services.index.has_pictures:
        (image,) = await services.dataset_images([number])
        return image
    if dataset is None:
        raise ValueError("the index is of a dataset outside this program: give it (`dataset_of`)")
    return await asyncio.to_thread(dataset.image, number)


def dataset_of(index: ExemplarIndex, spec: str | None = None) -> Dataset | None:
    """The dataset that an index was built over, from which other pictures are drawn; None for the offline world's,
    which needs none. spec: where it lies now, if that is not where it lay then.

    Raises UserError where it is missing, or is another one.
    """
    if not index.has_pictures:
        return None
    where = spec or index.manifest.dataset
    try:
        dataset = open_dataset(where)
    except UserError as problem:
        raise UserError(
            f"pictures are drawn from the dataset of the index {index.directory}, which cannot be opened ({problem}) "
            "Name its place now."
        ) from None
    if (dataset.fingerprint, len(dataset)) != (index.facts.dataset_fingerprint, index.facts.dataset_size):
        raise UserError(
            f"{where} holds {len(dataset)} entries and is not the dataset of the index {index.directory}, which was "
            f"built over {index.facts.dataset_size} entries of {index.manifest.dataset}: name that one."
        )
    return dataset


async def draw_all(
    services: Mapping[str, Services],
    units: Sequence[Unit],
    seed: int = 0,
    datasets: Mapping[str, Dataset] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[dict[str, ImageSets], dict[str, str]]:
    """The sets of many units by name, and why others have none. services, datasets: by the target's name.

    Use it inside `running(services.values())`. Raises UserError where a unit's target is not among the services.
    """
    sets: dict[str, ImageSets] = {}
    left_out: dict[str, str] = {}
    for done, unit in enumerate(units, 1):
        if unit.target not in services:
            raise UserError(f"{unit} is of a target that was not loaded: choose from {', '.join(services)}.")
        of = services[unit.target]
        async with of.scheduler.agent(f"sets/{unit}"):
            try:
                sets[str(unit)] = await draw_sets(of, unit, seed, (datasets or {}).get(unit.target))
            except NoSets as problem:
                left_out[str(unit)] = str(problem)
        progress(done, len(units))
    return sets, left_out
