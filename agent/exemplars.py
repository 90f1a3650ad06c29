"""A unit's dataset exemplars as pictures, whole and masked."""

import asyncio
from collections.abc import Sequence

from PIL import Image

from ..engine.exemplars import Exemplar
from ..models.targets import Unit
from .services import Services


async def exemplar_images(services: Services, found: Sequence[Exemplar]) -> list[Image.Image]:
    """The exemplars' pictures: from the index, or drawn again by the world that the dataset is a part of."""
    if services.index.has_pictures:
        return await asyncio.to_thread(lambda: [services.index.picture(exemplar.id) for exemplar in found])
    return await services.dataset_images([exemplar.id for exemplar in found])


async def masked_exemplars(
    services: Services, unit: Unit, found: Sequence[Exemplar], images: Sequence[Image.Image]
) -> list[Image.Image]:
    """The pictures masked by the maps that the index holds; where it holds none, the target is asked again."""
    maps = [exemplar.map for exemplar in found if exemplar.map is not None]
    if len(maps) < len(found):
        maps = [response.map for response in await services.respond(images, unit)]
    return await services.masked(images, maps, services.index.threshold(unit))
