"""The `system` of an experiment: the unit under study, callable on images."""

from PIL import Image

from ..models.errors import ExperimentError
from ..models.targets import Unit
from .services import Services


class System:
    """The vision system with the one unit that you study."""

    def __init__(self, services: Services, unit: Unit) -> None:
        self._services = services
        self._unit = unit

    async def neuron(self, images: list[Image.Image]) -> tuple[list[float], list[Image.Image]]:
        """Measure the unit on images.

        images: PIL images, as the tools return them.
        Returns (activations, masked_images), one of each for every image. An activation is the unit's maximum over
        all positions of the image. A masked image keeps the region that activates the unit, darkens the rest and
        outlines the region; where nothing activates the unit there is no outline and all is dark.

        Example:
            images = tools.text2image(["a dog on the grass", "a cat on the grass"])
            activations, masked_images = system.neuron(images)
        """
        checked = check_images(images)
        if not checked:
            return [], []
        services = self._services
        responses = await services.respond(checked, self._unit)
        shown = await services.masked(
            checked, [response.map for response in responses], services.index.threshold(self._unit)
        )
        return [float(response.value) for response in responses], shown


def check_images(images: object, name: str = "images") -> list[Image.Image]:
    """images as a list of PIL images. Raises ExperimentError saying what was given instead."""
    if isinstance(images, Image.Image):
        raise ExperimentError(f"{name} must be a list of images, not one image: write [image].")
    if not isinstance(images, list | tuple):
        raise ExperimentError(f"{name} must be a list of images, not {type(images).__name__}.")
    for position, image in enumerate(images):
        if not isinstance(image, Image.Image):
            hint = ""
            if isinstance(image, list | tuple):
                hint = " (edit_images returns two lists, images and titles: unpack them first)"
            elif isinstance(image, str):
                hint = " (make images from prompts with tools.text2image first)"
            raise ExperimentError(f"{name}[{position}] is {type(image).__name__}, not an image{hint}.")
    return [image.convert("RGB") for image in images]
