"""The `system` of an experiment: the unit under study, callable on images."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from ..engine.targets import NetworkTarget
from ..kernels.mask import mask_batch
from ..models.errors import ExperimentError
from ..models.targets import Response, Target, Unit
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
        return await self._services.lanes.run("network", self._measure, checked)

    def _measure(self, images: Sequence[Image.Image]) -> tuple[list[float], list[Image.Image]]:
        threshold = self._services.index.threshold(self._unit)
        responses = self._services.target.respond(images, self._unit)
        return [float(response.value) for response in responses], masked(
            self._services.target, images, responses, threshold
        )


def masked(
    target: Target, images: Sequence[Image.Image], responses: Sequence[Response], threshold: float
) -> list[Image.Image]:
    """What the target sees of each image, with the region above threshold kept and outlined, the rest darkened."""
    return masked_by_maps(target, images, [response.map for response in responses], threshold)


def masked_by_maps(
    target: Target, images: Sequence[Image.Image], maps: Sequence[np.ndarray], threshold: float
) -> list[Image.Image]:
    """`masked` with activation maps, float32 [h, w], that are known already; on the target's device if it has one."""
    if not images:
        return []
    device = target.device if isinstance(target, NetworkTarget) else torch.device("cpu")
    views = np.stack([np.asarray(target.view(image)) for image in images])
    pixels, stacked = torch.from_numpy(views).to(device), torch.from_numpy(np.stack(maps)).to(device)
    thresholds = torch.full((len(images),), threshold, dtype=torch.float32, device=device)
    return [Image.fromarray(picture) for picture in mask_batch(pixels, stacked, thresholds).cpu().numpy()]


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
