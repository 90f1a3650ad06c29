"""Ground-truth neurons as a target: the suite, or other ones, answer the pictures that the world made, by their segment
maps."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
from PIL import Image

from .errors import ExperimentError
from .groundtruth_labels import parse_label, same_truth
from .groundtruth_neuron import MIN_AREA, REFERENCE_AREA, GroundTruthNeuron, Kind
from .groundtruth_suite import neuron_suite
from .registry import GROUND_TRUTH, GROUND_TRUTH_HELD_OUT
from .targets import Response, Unit, check_layers, check_unit
from .testbed.scene import SIZE, Rendering, Scene, concept_areas, concept_mask

__all__ = ["GroundTruthNeuron", "GroundTruthTarget", "SceneRegistry", "ground_truth", "parse_label", "same_truth"]

HELD_OUT_PER_KIND, HELD_OUT_SEED = 40, 0
"""Of the neurons of GROUND_TRUTH_HELD_OUT: how many of each kind at most, and what draws them."""


class SceneRegistry(Protocol):
    """What the neurons need of a world: the scene and segment map behind a picture that it made, or None."""

    def rendering_of(self, image: Image.Image) -> tuple[Scene, Rendering] | None: ...


class GroundTruthTarget:
    """Ground-truth neurons behind the Target protocol: a layer for each kind, "single", "or", "conditional"."""

    mask_threshold: float | None = 0.0

    def __init__(
        self,
        registry: SceneRegistry,
        neurons: Mapping[Kind, Sequence[GroundTruthNeuron]] | None = None,
        name: str = GROUND_TRUTH,
    ):
        """neurons: of each kind, in the order of their indices; None: the fixed suite. name: what units call it."""
        self._registry = registry
        self.name = name
        chosen = neuron_suite() if neurons is None else neurons
        self.neurons: dict[str, tuple[GroundTruthNeuron, ...]] = {str(kind): tuple(n) for kind, n in chosen.items()}
        self.layers: dict[str, int] = {layer: len(neurons) for layer, neurons in self.neurons.items()}
        definition = {layer: [neuron.truth for neuron in neurons] for layer, neurons in self.neurons.items()}
        text = json.dumps([MIN_AREA, REFERENCE_AREA, definition])
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()

    def neuron(self, unit: Unit) -> GroundTruthNeuron:
        """The neuron of that unit, with its truth. Raises UserError for a unit that there is not."""
        self.check(unit)
        return self.neurons[unit.layer][unit.index]

    def check(self, unit: Unit) -> None:
        """Raises UserError that lists the valid layers or indices if there is no such unit."""
        check_unit(self, unit)

    def view(self, image: Image.Image) -> Image.Image:
        """The picture itself in RGB."""
        return image.convert("RGB")

    def respond_scene(self, scene: Scene, rendering: Rendering, unit: Unit) -> Response:
        """The unit's answer to a rendered scene. map: float32 [224, 224], the value inside the mask, 0 outside."""
        neuron = self.neuron(unit)
        return _response(neuron.respond(lambda concept: concept_mask(scene, rendering, concept)))

    def respond(self, images: Sequence[Image.Image], unit: Unit) -> list[Response]:
        """One answer a picture. Raises ExperimentError for a picture that the world did not make."""
        return [self.respond_scene(*self._lookup(image), unit) for image in images]

    def maps(self, images: Sequence[Image.Image], layers: Sequence[str]) -> dict[str, np.ndarray]:
        """float32 [B, C, 224, 224] for each layer, 200 KB a picture and neuron: prefer `maxima` or `respond`."""
        result = {
            layer: np.zeros((len(images), count, SIZE, SIZE), np.float32) for layer, count in self._counts(layers)
        }
        for layer, place, index, answer in self._answers(images, layers):
            result[layer][place, index] = _response(answer).map
        return result

    def maxima(self, images: Sequence[Image.Image], layers: Sequence[str]) -> dict[str, np.ndarray]:
        """float32 [B, C] for each layer: the values, without maps."""
        result = {layer: np.zeros((len(images), count), np.float32) for layer, count in self._counts(layers)}
        for layer, place, index, answer in self._answers(images, layers):
            result[layer][place, index] = answer[0]
        return result

    def scene_maxima(self, scenes: Sequence[Scene], layers: Sequence[str]) -> dict[str, np.ndarray]:
        """`maxima` of the scenes' pictures, which need not be drawn: float32 [B, C] for each layer."""
        from .testbed.renderer import render_segments  # here, so that only those who draw need skia

        result = {layer: np.zeros((len(scenes), count), np.float32) for layer, count in self._counts(layers)}
        for place, scene in enumerate(scenes):
            area_of = concept_areas(scene, render_segments(scene))
            for layer in layers:
                result[layer][place] = [neuron.value(area_of) for neuron in self.neurons[layer]]
        return result

    def _counts(self, layers: Sequence[str]) -> list[tuple[str, int]]:
        check_layers(self, layers)
        return [(layer, self.layers[layer]) for layer in layers]

    def _answers(
        self, images: Sequence[Image.Image], layers: Sequence[str]
    ) -> Iterator[tuple[str, int, int, tuple[float, np.ndarray | None]]]:
        """(layer, picture, index, answer) of the neurons that may fire; the masks of a picture are made once."""
        for place, image in enumerate(images):
            scene, rendering = self._lookup(image)
            mask_of = lru_cache(maxsize=None)(lambda concept, s=scene, r=rendering: concept_mask(s, r, concept))
            for layer in layers:
                for index, neuron in enumerate(self.neurons[layer]):
                    if neuron.may_fire(scene):
                        yield layer, place, index, neuron.respond(mask_of)

    def _lookup(self, image: Image.Image) -> tuple[Scene, Rendering]:
        return scene_behind(self._registry, image)


def scene_behind(registry: SceneRegistry, image: Image.Image) -> tuple[Scene, Rendering]:
    """What the picture shows. Raises ExperimentError for one that the world did not make."""
    known = registry.rendering_of(image)
    if known is None:
        raise ExperimentError(not_drawn_here())
    return known


def not_drawn_here() -> str:
    """What the backbone reads of a picture that the world did not make."""
    return (
        "the picture cannot be seen by this neuron, which is a synthetic unit that only sees pictures made by the "
        "tools (dataset exemplars, text2image, edit_images), unmodified. If it is a masked image, pass the original "
        "picture; if you cropped, resized or painted it, use edit_images instead."
    )


def _response(answer: tuple[float, np.ndarray | None]) -> Response:
    value, mask = answer
    if mask is None:
        return Response(0.0, np.zeros((SIZE, SIZE), np.float32))
    values = mask.astype(np.float32) * np.float32(value)
    return Response(float(np.float32(value)), values)


def ground_truth(name: str, registry: SceneRegistry) -> GroundTruthTarget:
    """The target of one of `registry.GROUND_TRUTHS`: the suite, or neurons none of whose concepts any training set may
    have (`groundtruth_split`)."""
    if name == GROUND_TRUTH:
        return GroundTruthTarget(registry)
    if name == GROUND_TRUTH_HELD_OUT:
        from .groundtruth_split import split_concepts

        drawn = split_concepts().test_neurons(HELD_OUT_PER_KIND, HELD_OUT_SEED)
        return GroundTruthTarget(
            registry, {kind: [n for n in drawn if n.kind == kind] for kind in neuron_suite()}, name
        )
    raise ValueError(f"{name!r} is no target of ground-truth neurons")
