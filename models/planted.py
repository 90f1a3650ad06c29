"""Classifiers with planted biases as a target: they answer the pictures that the offline world made, from their scenes.

A layer for each kind of bias ("context", "colour", "size", "clean"); units are classes. See `planted_suite` for what a
class's value is."""

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from .errors import UserError
from .groundtruth import SceneRegistry, scene_behind
from .planted_suite import BiasKind, PlantedClass, definition, planted_suite
from .registry import PLANTED
from .targets import Response, Unit, check_layers, check_unit, nearest_first
from .testbed.scene import SIZE, Rendering, Scene, Segments, concept_areas, concept_mask


class PlantedTarget:
    """Classes of known bias behind the Target protocol; their units may be named by their nouns (`NamedUnits`)."""

    mask_threshold: float | None = 0.0

    def __init__(
        self, registry: SceneRegistry, classes: Mapping[BiasKind, Sequence[PlantedClass]] | None = None
    ) -> None:
        """classes: of each layer, in the order of their indices; None: the fixed suite."""
        self._registry = registry
        self.name = PLANTED
        chosen = planted_suite() if classes is None else classes
        self.classes: dict[str, tuple[PlantedClass, ...]] = {str(kind): tuple(own) for kind, own in chosen.items()}
        self.layers: dict[str, int] = {layer: len(own) for layer, own in self.classes.items()}
        text = json.dumps([definition(), {layer: [repr(one) for one in own] for layer, own in self.classes.items()}])
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()

    def planted(self, unit: Unit) -> PlantedClass:
        """The class of that unit, with its truth. Raises UserError for a unit that there is not."""
        self.check(unit)
        return self.classes[unit.layer][unit.index]

    def check(self, unit: Unit) -> None:
        """Raises UserError that lists the valid layers or indices if there is no such unit."""
        check_unit(self, unit)

    def index_of(self, layer: str, name: str) -> int:
        """The index of the class of that noun. Raises UserError with the layer's nouns for another."""
        check_layers(self, [layer])
        nouns = [one.noun for one in self.classes[layer]]
        if name not in nouns:
            raise UserError(f"layer {layer!r} has no class {name!r}: choose from {nearest_first(name, nouns)}.")
        return nouns.index(name)

    def view(self, image: Image.Image) -> Image.Image:
        """The picture itself in RGB."""
        return image.convert("RGB")

    def respond(self, images: Sequence[Image.Image], unit: Unit) -> list[Response]:
        """One answer a picture; map: float32 [224, 224], the value on the noun's visible pixels, 0 elsewhere. Raises
        ExperimentError for a picture that the world did not make."""
        chosen = self.planted(unit)
        answers = []
        for image in images:
            scene, rendering = scene_behind(self._registry, image)
            mask = concept_mask(scene, rendering, chosen.concept)
            value = np.float32(chosen.answer(scene, int(mask.sum())))
            answers.append(Response(float(value), mask.astype(np.float32) * value))
        return answers

    def maps(self, images: Sequence[Image.Image], layers: Sequence[str]) -> dict[str, np.ndarray]:
        """float32 [B, C, 224, 224] for each layer, 200 KB a picture and class: prefer `maxima` or `respond`."""
        check_layers(self, layers)
        found = {layer: np.zeros((len(images), self.layers[layer], SIZE, SIZE), np.float32) for layer in layers}
        for layer in layers:
            for index in range(self.layers[layer]):
                for place, answer in enumerate(self.respond(images, Unit(self.name, layer, index))):
                    found[layer][place, index] = answer.map
        return found

    def maxima(self, images: Sequence[Image.Image], layers: Sequence[str]) -> dict[str, np.ndarray]:
        """float32 [B, C] for each layer: the values, without maps."""
        check_layers(self, layers)
        return self._values([scene_behind(self._registry, image) for image in images], layers)

    def scene_maxima(self, scenes: Sequence[Scene], layers: Sequence[str]) -> dict[str, np.ndarray]:
        """`maxima` of the scenes' pictures, which need not be drawn: float32 [B, C] for each layer."""
        from .testbed.renderer import render_segments  # here, so that only those who draw need skia

        check_layers(self, layers)
        return self._values([(scene, render_segments(scene)) for scene in scenes], layers)

    def _values(
        self, pictures: Sequence[tuple[Scene, Rendering | Segments]], layers: Sequence[str]
    ) -> dict[str, np.ndarray]:
        found = {layer: np.zeros((len(pictures), self.layers[layer]), np.float32) for layer in layers}
        for place, (scene, drawn) in enumerate(pictures):
            area_of = concept_areas(scene, drawn)
            for layer in layers:
                found[layer][place] = [one.respond(area_of, scene) for one in self.classes[layer]]
        return found
