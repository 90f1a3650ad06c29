"""A unit's dataset exemplars as pictures, whole and masked."""

from collections.abc import Sequence

from PIL import Image

from ..engine.exemplars import Exemplar
from ..models.targets import Unit
from .services import Services
from .system import masked, masked_by_maps


def exemplar_images(services: Services, found: Sequence[Exemplar]) -> list[Image.Image]:
    """The exemplars' pictures: from the index, or drawn again by the world that the dataset is a part of."""
    if services.index.has_pictures:
        return [services.index.picture(exemplar.id) for exemplar in found]
    return [services.world.dataset_image(exemplar.id) for exemplar in found]


def masked_exemplars(
    services: Services, unit: Unit, found: Sequence[Exemplar], images: Sequence[Image.Image]
) -> list[Image.Image]:
    """The pictures masked by the maps that the index holds; where it holds none, the target is asked again."""
    target, threshold = services.target, services.index.threshold(unit)
    maps = [exemplar.map for exemplar in found if exemplar.map is not None]
    if len(maps) < len(found):
        return masked(target, images, target.respond(images, unit), threshold)
    return masked_by_maps(target, images, maps, threshold)
