"""One pass over a stretch of a dataset: every layer's exemplars, histograms and extremes from one forward a batch."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import torch
from PIL import Image

from ..kernels.topk import MAX_ID
from ..models.networks.network import LayerSpec
from ..models.synthetic_target import SyntheticTarget
from .captions import CaptionFilter
from .dataset import Dataset, Decoded
from .index_files import Part, encode_pictures
from .index_state import LayerState, Rows
from .targets import NetworkTarget

if TYPE_CHECKING:
    from ..models.testbed.scene import Scene

Advance = Callable[[int], None]
"""Called with the number of images done since the last call."""


class IndexPass(Protocol):
    """What turns a chunk of a dataset into a part; keeps the exemplars that are best so far between chunks."""

    states: dict[str, LayerState]

    def run(self, dataset: Dataset, ordinals: range, decoded: Iterator[Decoded], advance: Advance) -> Part:
        """The part of these images, which `decoded` gives in this order."""
        ...


class NetworkPass:
    """The pass of a network. Every forward has exactly `batch` rows.

    The bits of an image's activations depend on the batch's size (torch and cuDNN choose other routines), though
    not on its place in the batch and not on the other images (measured on the CPU: docs/performance.md). So the last
    batch, and batches with images that could not be read, are filled up with rows that count nowhere.
    """

    def __init__(
        self, target: NetworkTarget, layers: Sequence[str], k: int, samples: int | None, batch: int, pictures: bool
    ):
        """pictures: whether the winners' pictures are kept in the parts."""
        self.target, self.batch, self._pictures = target, batch, pictures
        self._specs: dict[str, LayerSpec] = target.network.specs(layers)
        self.states = {name: LayerState(spec.units, k, samples, target.device) for name, spec in self._specs.items()}

    def run(self, dataset: Dataset, ordinals: range, decoded: Iterator[Decoded], advance: Advance) -> Part:
        """The part of these images. Raises RuntimeError if `decoded` ends too early."""
        pixels: dict[int, np.ndarray] = {}
        problems: list[tuple[int, str, str]] = []
        for wanted, found in decoded_batches(ordinals, decoded, self.batch):
            problems += problems_of(dataset, found)
            good = {p.ordinal: p.pixels for p in found if p.pixels is not None}
            if good:
                self.forward(good, [dataset.phase(ordinal) for ordinal in good])
            if self._pictures:
                pixels |= good
            advance(len(wanted))
        return finished_part(dataset, self.states, pixels if self._pictures else None, problems)

    def forward(self, pixels: Mapping[int, np.ndarray], phases: Sequence[int]) -> None:
        """One batch of at most `batch` pictures, uint8 [S, S, 3] by ordinal, into the states."""
        size, count = self.target.network.preprocess.size, len(pixels)
        images = torch.zeros((self.batch, size, size, 3), dtype=torch.uint8)
        for row, picture in enumerate(pixels.values()):
            images[row] = torch.from_numpy(picture)
        ids = MAX_ID - torch.arange(self.batch)  # distinct, as the merge wants them; empty rows are never taken
        ids[:count] = torch.tensor(list(pixels), dtype=torch.int64)
        shifts = torch.zeros(self.batch, dtype=torch.int64)
        shifts[:count] = torch.tensor(list(phases), dtype=torch.int64)
        device = self.target.device
        rows = Rows(ids, shifts.to(device), (torch.arange(self.batch) < count).to(device))

        def visit(layer: str, output: torch.Tensor) -> None:
            self.states[layer].update(output, self._specs[layer], rows)

        self.target.forward(images, list(self._specs), visit)


@runtime_checkable
class SceneTarget(Protocol):
    """A target with a threshold of its own that needs no pictures, only what is where in them."""

    def scene_maxima(self, scenes: "Sequence[Scene]", layers: Sequence[str]) -> dict[str, np.ndarray]:
        """`Target.maxima` of the scenes' pictures."""
        ...


class ScenePass:
    """The pass of ground-truth neurons: they read scenes, so nothing is drawn, and their index holds no maps."""

    def __init__(self, target: SceneTarget, units: Mapping[str, int], k: int, scene: "Callable[[int], Scene]"):
        """units: of each layer. scene: the dataset's scene of an ordinal."""
        self._target, self._scene = target, scene
        self.states = {name: LayerState(c, k, None, torch.device("cpu"), cells=False) for name, c in units.items()}

    def run(self, dataset: Dataset, ordinals: range, decoded: Iterator[Decoded], advance: Advance) -> Part:
        """The part of these scenes; `decoded` is not read."""
        for ordinal in ordinals:
            rows = Rows(torch.tensor([ordinal]), torch.tensor([dataset.phase(ordinal)]), torch.tensor([True]))
            for layer, maxima in self._target.scene_maxima([self._scene(ordinal)], list(self.states)).items():
                self.states[layer].update_maxima(torch.from_numpy(maxima.copy()), rows)
            advance(1)
        return finished_part(dataset, self.states, None, [])


class DetectorPass:
    """The pass of synthetic neurons: their values alone, without masks, so that nothing is segmented; the index holds
    no maps. What a caption filter rules out is not asked, and counts as absent."""

    def __init__(
        self,
        target: SyntheticTarget,
        layers: Sequence[str],
        k: int,
        batch: int,
        captions: CaptionFilter,
        pictures: bool,
    ):
        """batch: pictures that are decoded and asked about together. pictures: whether the winners' are kept."""
        self._target, self._batch, self._captions, self._pictures = target, batch, captions, pictures
        self._layers, self._concepts = list(layers), target.concepts(layers)
        cpu = torch.device("cpu")
        self.states = {name: LayerState(target.layers[name], k, None, cpu, cells=False) for name in layers}

    def run(self, dataset: Dataset, ordinals: range, decoded: Iterator[Decoded], advance: Advance) -> Part:
        """The part of these images. Raises RuntimeError if `decoded` ends too early."""
        pixels: dict[int, np.ndarray] = {}
        problems: list[tuple[int, str, str]] = []
        for wanted, found in decoded_batches(ordinals, decoded, self._batch):
            problems += problems_of(dataset, found)
            good = {picture.ordinal: picture.pixels for picture in found if picture.pixels is not None}
            if good:
                self._ask(dataset, good)
            if self._pictures:
                pixels |= good
            advance(len(wanted))
        return finished_part(dataset, self.states, pixels if self._pictures else None, problems)

    def _ask(self, dataset: Dataset, pixels: Mapping[int, np.ndarray]) -> None:
        views = [Image.fromarray(picture) for picture in pixels.values()]
        asked = self._captions.asked(list(pixels), self._concepts) if self._concepts else None
        values = self._target.values(views, self._layers, None if asked is None or asked.all() else asked)
        rows = Rows(
            torch.tensor(list(pixels), dtype=torch.int64),
            torch.tensor([dataset.phase(ordinal) for ordinal in pixels], dtype=torch.int64),
            torch.ones(len(pixels), dtype=torch.bool),
        )
        for layer, maxima in values.items():
            self.states[layer].update_maxima(torch.from_numpy(maxima.copy()), rows)


def decoded_batches(ordinals: range, decoded: Iterator[Decoded], batch: int) -> Iterator[tuple[range, list[Decoded]]]:
    """The images in batches, in order. Raises RuntimeError if `decoded` gives others, or ends too early."""
    for first in range(ordinals.start, ordinals.stop, batch):
        wanted = range(first, min(first + batch, ordinals.stop))
        found = list(islice(decoded, len(wanted)))
        if [picture.ordinal for picture in found] != list(wanted):
            raise RuntimeError(f"the decoder gave other images than {wanted.start} to {wanted.stop - 1}")
        yield wanted, found


def problems_of(dataset: Dataset, found: Sequence[Decoded]) -> list[tuple[int, str, str]]:
    """Ordinal, name and problem of the images that could not be read."""
    return [(p.ordinal, dataset.key(p.ordinal), p.problem or "") for p in found if p.pixels is None]


def finished_part(
    dataset: Dataset,
    states: Mapping[str, LayerState],
    pixels: Mapping[int, np.ndarray] | None,
    problems: list[tuple[int, str, str]],
) -> Part:
    """Takes the states' parts, with the keys of their exemplars and (pixels given) their pictures."""
    layers = {name: state.take_part() for name, state in states.items()}
    winners = sorted({int(o) for part in layers.values() for o in part.ids})
    pictures = encode_pictures({o: pixels[o] for o in winners}) if pixels is not None else {}
    return Part(layers, pictures, {o: dataset.key(o) for o in winners}, problems)
