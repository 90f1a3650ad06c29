"""A concept detector for the offline world: it looks a picture's scene up, and so is never wrong.

It stands where a lab has Grounding DINO and SAM, of which no weights come with the program: synthetic neurons then run
end to end without any, and with a truth that is exact.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from PIL import Image

from ..errors import ExperimentError, UserError
from ..groundtruth import SceneRegistry, not_drawn_here
from ..groundtruth_labels import concept_of
from ..groundtruth_neuron import MIN_AREA, REFERENCE_AREA, confidence
from ..registry import SYNTHETIC
from ..synthetic import Kind, SyntheticNeuron
from ..synthetic_target import SyntheticTarget
from ..targets import check_layers, nearest_first
from ..testbed.scene import SIZE, Concept, Scene, concept_areas, concept_mask
from ..testbed.vocabulary import FAMILIES
from .base import Detection


class SceneDetector:
    """Answers pictures that the offline world made. A concept's score is graded by its visible pixels
    (`groundtruth_neuron.confidence`); its mask is exact, not dilated; boxes are that of the whole mask."""

    fingerprint = f"testbed-scenes-{MIN_AREA}-{REFERENCE_AREA}"

    def __init__(self, registry: SceneRegistry):
        self._registry = registry

    def check(self, concepts: Sequence[str]) -> None:
        """Raises UserError for a concept that the world does not draw, with the nearest words."""
        for concept in concepts:
            concept_named(concept)

    def detect(
        self, images: Sequence[Image.Image], concepts: Sequence[str], masks: bool = True
    ) -> list[dict[str, Detection]]:
        """See `ConceptDetector`. Raises ExperimentError for a picture that the world did not make."""
        return self.detect_each(images, [concepts] * len(images), masks)

    def detect_each(
        self, images: Sequence[Image.Image], concepts: Sequence[Sequence[str]], masks: bool = True
    ) -> list[dict[str, Detection]]:
        """As `detect`, with concepts of each picture's own."""
        return [
            {concept: self._detection(*self._lookup(image), concept_named(concept), masks) for concept in own}
            for image, own in zip(images, concepts, strict=True)
        ]

    def _lookup(self, image: Image.Image) -> tuple[Scene, object]:
        known = self._registry.rendering_of(image)
        if known is None:
            raise ExperimentError(not_drawn_here())
        return known

    def _detection(self, scene: Scene, rendering: object, concept: Concept, masks: bool) -> Detection:
        mask = concept_mask(scene, rendering, concept)  # type: ignore[arg-type]
        score = confidence(int(mask.sum()))
        if not score:
            return Detection(0.0, np.zeros((0, 4), np.float32), np.zeros(0, np.float32), None)
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        box = np.array([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], np.float32)
        return Detection(score, box, np.array([score], np.float32), mask if masks else None)


class SceneSyntheticTarget(SyntheticTarget):
    """Synthetic neurons over that detector. Their index needs no pictures: scenes are read (`index_pass.ScenePass`)."""

    def __init__(
        self,
        registry: SceneRegistry,
        neurons: Mapping[Kind, Sequence[SyntheticNeuron]] | None = None,
        name: str = SYNTHETIC,
    ):
        """neurons, name: see `SyntheticTarget`."""
        super().__init__(SceneDetector(registry), neurons, name, SIZE)

    def scene_maxima(self, scenes: Sequence[Scene], layers: Sequence[str]) -> dict[str, np.ndarray]:
        """`maxima` of the scenes' pictures, which need not be drawn: float32 [B, C] for each layer."""
        from ..testbed.renderer import render_segments  # here, so that only those who draw need skia

        check_layers(self, layers)
        result = {layer: np.zeros((len(scenes), self.layers[layer]), np.float32) for layer in layers}
        meant = {concept: concept_named(concept) for concept in self.concepts(layers)}
        for place, scene in enumerate(scenes):
            area_of = concept_areas(scene, render_segments(scene))
            score_of = lru_cache(maxsize=None)(lambda concept, a=area_of: confidence(a(meant[concept])))
            for layer in layers:
                result[layer][place] = [
                    neuron.value(score_of) if self._can_fire(neuron) else 0.0 for neuron in self.neurons[layer]
                ]
        return result


def concept_named(word: str) -> Concept:
    """The world's concept that a word or phrase names. Raises UserError where it draws nothing of that name."""
    found = concept_of(word.strip().lower())
    if found is None:
        known = [value for values in FAMILIES.values() for value in values]
        raise UserError(
            f"the offline world draws no {word!r}: choose from {nearest_first(word, known)}; or take a detector of "
            "photographs (docs/synthetic-neurons.md)."
        )
    return found
