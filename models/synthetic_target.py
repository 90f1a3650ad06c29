"""Synthetic neurons behind the Target protocol."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .detectors.base import ConceptDetector, Detection, check_picture
from .errors import ExperimentError, UserError
from .pictures import SquareView
from .registry import SYNTHETIC
from .synthetic import KINDS, LISTS, Kind, SyntheticNeuron, synthetic_neurons
from .targets import Response, Unit, check_layers, check_unit, nearest_first

SIZE = 512
"""Side in pixels of what the detector is shown: what Stable Diffusion v1.5 draws."""


@dataclass(frozen=True)
class DetectorView(SquareView):
    """The square that the detector is shown; what is too small or too narrow for it is refused before it is enlarged,
    when it would show nothing but its own blur."""

    @property
    def key(self) -> str:
        """See `SquareView`; another one, as fewer pictures are taken."""
        return f"{super().key}-checked"

    def view(self, image: Image.Image) -> Image.Image:
        """RGB [size, size]. Raises BadPicture."""
        check_picture(image)
        return super().view(image)


class SyntheticTarget:
    """Synthetic neurons of one detector: a layer for each kind that has any.

    A neuron whose concept the detector cannot be asked for stays in its place, so that indices do not depend on the
    detector; it never fires, and `check` refuses it.
    """

    mask_threshold: float | None = 0.0

    def __init__(
        self,
        detector: ConceptDetector,
        neurons: Mapping[Kind, Sequence[SyntheticNeuron]] | None = None,
        name: str = SYNTHETIC,
        size: int = SIZE,
    ):
        """neurons: of each kind, in the order of their indices; None: `synthetic.ALL`. size: see SIZE."""
        self.detector, self.name = detector, name
        chosen = synthetic_neurons() if neurons is None else neurons
        self.neurons: dict[str, tuple[SyntheticNeuron, ...]] = {
            kind: tuple(chosen[kind]) for kind in KINDS if chosen.get(kind)
        }
        self.layers: dict[str, int] = {layer: len(found) for layer, found in self.neurons.items()}
        self.square = DetectorView(size, size, "bicubic")
        definition = {layer: [neuron.name for neuron in found] for layer, found in self.neurons.items()}
        text = json.dumps([detector.fingerprint, self.square.key, definition])
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()
        self._problems: dict[str, UserError | None] = {}

    def neuron(self, unit: Unit) -> SyntheticNeuron:
        """The neuron of that unit, with its truth. Raises UserError for a unit that there is not."""
        check_unit(self, unit)
        return self.neurons[unit.layer][unit.index]

    def index_of(self, layer: str, name: str) -> int:
        """The index of the neuron of that name ("dog", "train+instrument", "dog|leash").

        Raises UserError for a name that is not of the layer's kind or not in the list, with the nearest names.
        """
        check_layers(self, [layer])
        wanted = SyntheticNeuron.parse(layer, name)  # type: ignore[arg-type]
        for place, neuron in enumerate(self.neurons[layer]):
            if neuron.same == wanted.same:
                return place
        names = [neuron.name for neuron in self.neurons[layer]]
        raise UserError(
            f"the list of neurons has no {wanted.name!r} of kind {layer}: choose from "
            f"{nearest_first(wanted.name, names)}; or add it to a YAML file of yours and name that as the detector's "
            f"neurons (now one of {', '.join(LISTS)}, or a file)."
        )

    def check(self, unit: Unit) -> None:
        """Raises UserError if there is no such unit, or the detector cannot be asked for its concepts."""
        for concept in self.neuron(unit).concepts:
            problem = self._problem(concept)
            if problem is not None:
                raise problem

    def view(self, image: Image.Image) -> Image.Image:
        """RGB [size, size]: shorter side to `size`, then the centre. Raises BadPicture for one that is too small."""
        return self.square.view(image)

    def respond(self, images: Sequence[Image.Image], unit: Unit) -> list[Response]:
        """One answer a picture; map: float32 [size, size], the activation inside the mask and 0 outside.

        Raises ExperimentError for a picture that is too small, or that the detector cannot see."""
        self.check(unit)
        neuron = self.neuron(unit)
        views = [self.view(image) for image in images]
        return [self._response(neuron, found) for found in self.detector.detect(views, neuron.concepts)]

    def respond_each(self, images: Sequence[Image.Image], units: Sequence[Unit]) -> list[Response | ExperimentError]:
        """The answer of each picture's own unit, or why there is none; pictures of one unit share the detector's
        batches."""
        found: list[Response | ExperimentError | None] = [None] * len(images)
        for unit in dict.fromkeys(units):
            places = [place for place, own in enumerate(units) if own == unit]
            for place, answer in zip(places, self._answers([images[place] for place in places], unit), strict=True):
                found[place] = answer
        return [answer for answer in found if answer is not None]

    def _answers(self, images: Sequence[Image.Image], unit: Unit) -> list[Response | ExperimentError]:
        try:
            return [*self.respond(images, unit)]
        except ExperimentError as error:
            if len(images) == 1:
                return [error]
        return [answer for image in images for answer in self._answers([image], unit)]

    def maps(self, images: Sequence[Image.Image], layers: Sequence[str]) -> dict[str, np.ndarray]:
        """float32 [B, C, size, size] for each layer, a megabyte a picture and neuron: prefer `maxima` or `respond`."""
        check_layers(self, layers)
        views = [self.view(image) for image in images]
        answers = self._found(views, layers, masks=True)
        return {
            layer: np.stack(
                [np.stack([self._response(neuron, found).map for neuron in self.neurons[layer]]) for found in answers]
            )
            for layer in layers
        }

    def maxima(self, images: Sequence[Image.Image], layers: Sequence[str]) -> dict[str, np.ndarray]:
        """float32 [B, C] for each layer: the activations; nothing is segmented."""
        check_layers(self, layers)
        return self.values([self.view(image) for image in images], layers)

    def values(
        self, views: Sequence[Image.Image], layers: Sequence[str], asked: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """`maxima` of pictures that are views already. asked: bool [B, concepts], in the order of `concepts(layers)`:
        what is not asked counts as absent; None: all are."""
        concepts = self.concepts(layers)
        if asked is None:
            answers = self._found(views, layers, masks=False)
        else:
            allowed = [{concept for concept, yes in zip(concepts, row, strict=True) if yes} for row in asked]
            wanted = [self._needed(layers, row) for row in allowed]
            answers = self.detector.detect_each(views, wanted, masks=False)
        result = {}
        for layer in layers:
            rows = [[self._value(neuron, found) for neuron in self.neurons[layer]] for found in answers]
            result[layer] = np.array(rows, np.float32).reshape(len(views), self.layers[layer])
        return result

    def concepts(self, layers: Sequence[str]) -> list[str]:
        """All concepts of these layers' neurons that the detector can be asked for, each once."""
        named = dict.fromkeys(
            concept for layer in layers for neuron in self.neurons[layer] for concept in neuron.concepts
        )
        return [concept for concept in named if self._problem(concept) is None]

    def _needed(self, layers: Sequence[str], allowed: set[str]) -> list[str]:
        """Of the concepts that may be asked for those that decide a value: a condition whose second concept may not be
        asked is silent, whatever the first."""
        needed = {
            concept
            for layer in layers
            for neuron in self.neurons[layer]
            if neuron.kind != "conditional" or allowed.issuperset(neuron.concepts)
            for concept in neuron.concepts
        }
        return [concept for concept in self.concepts(layers) if concept in allowed & needed]

    def _found(self, views: Sequence[Image.Image], layers: Sequence[str], masks: bool) -> list[dict[str, Detection]]:
        concepts = self.concepts(layers)
        return self.detector.detect(views, concepts, masks=masks) if concepts else [{} for _ in views]

    def _response(self, neuron: SyntheticNeuron, found: Mapping[str, Detection]) -> Response:
        size = self.square.size
        value, mask = neuron.respond(found) if self._can_fire(neuron) else (0.0, None)
        map_ = np.zeros((size, size), np.float32) if mask is None else mask.astype(np.float32) * np.float32(value)
        return Response(float(np.float32(value)), map_)

    def _value(self, neuron: SyntheticNeuron, found: Mapping[str, Detection]) -> float:
        if not self._can_fire(neuron):
            return 0.0
        return neuron.value(lambda concept: found[concept].score if concept in found else 0.0)

    def _can_fire(self, neuron: SyntheticNeuron) -> bool:
        return all(self._problem(concept) is None for concept in neuron.concepts)

    def _problem(self, concept: str) -> UserError | None:
        if concept not in self._problems:
            try:
                self.detector.check([concept])
                self._problems[concept] = None
            except UserError as error:
                self._problems[concept] = error
        return self._problems[concept]
