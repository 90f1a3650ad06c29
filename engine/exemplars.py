"""The exemplar index: what every unit of some layers does over a dataset.

Per unit: the maximum of its map on every image (exemplars, percentiles, dead or saturated) and the quantiles of its
map values (the threshold of masked images). Built in one pass over the dataset, in chunks, and kept in a cache.
"""

import fcntl
import hashlib
import json
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, runtime_checkable

import numpy as np
import safetensors
from PIL import Image
from safetensors.numpy import load_file, save

from ..models.errors import UserError
from ..models.files import write_whole
from ..models.targets import Target, Unit, check_layers

if TYPE_CHECKING:
    from ..models.testbed.scene import Scene

EXEMPLARS = 15
"""Exemplars of a unit (the paper, section 3.2)."""

MASK_QUANTILE = 0.99
"""Quantile of a unit's map values above which a masked image shows it.

The paper's figure 2 says .95, its predecessors (network dissection, MILAN) .99 and more. Looked at on
EfficientNet-Lite0: .95 shows 25-35 % of an exemplar in deep layers, object and surroundings, and in the middle layers
94 % of all images have some region, so that an outline says nothing. At .99 it is 10-20 %, the object itself, and in
deep layers about 15 % of all images have a region (in the middle ones still 70 %).
"""

CHUNK_IMAGES = 512
"""Images in a chunk file: what a killed build loses at most."""

BATCH_IMAGES = 8
SAMPLED_POSITIONS = 4
"""Positions of each map whose values stand for all in the quantiles."""

# Quantiles kept for every unit; those between are interpolated. Dense near 1, where masks are cut.
QUANTILES = np.array([*np.arange(0, 0.9, 0.05), *np.arange(0.9, 0.99, 0.01), *np.arange(0.99, 0.9995, 0.001), 1.0])

FORMAT = 1

Status = Literal["ok", "dead", "saturated"]
Progress = Callable[[int, int], None]
"""Called with (images done, images in all)."""


@dataclass(frozen=True)
class IndexFacts:
    """What an index is of; two indexes with the same facts hold the same numbers. layers: units of each layer.

    mask_threshold: the target's own, or None where the index holds quantiles.
    """

    target: str
    target_fingerprint: str
    dataset_fingerprint: str
    dataset_size: int
    layers: dict[str, int]
    mask_threshold: float | None
    format: int = FORMAT

    @classmethod
    def of(cls, target: Target, dataset_fingerprint: str, dataset_size: int, layers: Sequence[str]) -> Self:
        """Raises UserError for a layer that the target lacks."""
        check_layers(target, layers)
        counts = {layer: count for layer, count in target.layers.items() if layer in layers}
        return cls(target.name, target.fingerprint, dataset_fingerprint, dataset_size, counts, target.mask_threshold)

    @property
    def key(self) -> str:
        """Names the index's files."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        return f"{self.target}-{digest[:16]}"


class ExemplarIndex:
    """Answers about units over a dataset. Made by `build_index`, `cached_index` or `load`."""

    def __init__(self, facts: IndexFacts, tensors: dict[str, np.ndarray]):
        """tensors: "LAYER/maxima" float32 [C, N] and, without a mask threshold, "LAYER/quantiles" float32 [C, Q]."""
        self.facts = facts
        self._tensors = tensors

    def exemplars(self, unit: Unit, k: int = EXEMPLARS) -> list[tuple[int, float]]:
        """The k images that activate the unit most, as (image id, activation), highest first; ties go to the lower id.

        Images that leave the unit at its floor (its lowest activation over the dataset) are no exemplars: a dead
        unit has none, and a ground-truth neuron only those that hold its concept.
        """
        maxima = self._maxima(unit)
        order = np.argsort(-maxima, kind="stable")[:k]
        return [(int(image), float(maxima[image])) for image in order if maxima[image] > maxima.min()]

    def threshold(self, unit: Unit, quantile: float = MASK_QUANTILE) -> float:
        """What the unit's map must exceed to be shown: the target's own threshold, or a quantile of its map values.

        The quantile is taken over SAMPLED_POSITIONS positions of every image, the same ones in every build, and
        interpolated between QUANTILES.
        Measured on 1,000 images (EfficientNet-Lite0, 1,500 units of four layers): of all positions, .99 lets through
        .01 with a root mean square error of .0015 and at worst .006; it falls with the root of the number of images.
        It is below the unit's highest value if the unit varies at all: one that often reaches its ceiling (the .99
        quantile of a fifth of the head is ReLU6's 6) shows where it does so, instead of nothing anywhere.
        """
        maxima = self._maxima(unit)
        if self.facts.mask_threshold is not None:
            return self.facts.mask_threshold
        found = np.float32(np.interp(quantile, QUANTILES, self._row(unit, "quantiles")))
        highest = maxima.max()
        if highest == maxima.min():
            return float(found)
        return float(min(found, np.nextafter(highest, np.float32(-np.inf))))

    def percentile(self, unit: Unit, q: float) -> float:
        """Quantile q (0..1) of the unit's activations over the dataset's images; exact."""
        return float(np.quantile(self._maxima(unit), q))

    def status(self, unit: Unit) -> Status:
        """ "saturated": at least half of the images drive the unit to its one highest value, and that is positive.

        "dead": fewer than EXEMPLARS images raise it above its floor, so there is nothing to describe.
        """
        maxima = self._maxima(unit)
        if maxima.max() > 0 and (maxima == maxima.max()).mean() >= 0.5:
            return "saturated"
        return "dead" if (maxima > maxima.min()).sum() < EXEMPLARS else "ok"

    def _maxima(self, unit: Unit) -> np.ndarray:
        return self._row(unit, "maxima")

    def _row(self, unit: Unit, what: str) -> np.ndarray:
        layers = self.facts.layers
        if unit.target != self.facts.target or unit.layer not in layers or not 0 <= unit.index < layers[unit.layer]:
            raise UserError(
                f"the exemplar index holds {self.facts.target} with the layers {', '.join(layers)}, and not {unit}: "
                "build one with the unit's layer."
            )
        return self._tensors[f"{unit.layer}/{what}"][unit.index]

    def save(self, directory: Path) -> Path:
        """Writes KEY.safetensors, then KEY.json, each whole or not at all; returns the latter's path."""
        data = save(self._tensors)
        directory.mkdir(parents=True, exist_ok=True)
        write_whole(directory / f"{self.facts.key}.safetensors", data)
        described = asdict(self.facts) | {"sha256": hashlib.sha256(data).hexdigest()}
        path = directory / f"{self.facts.key}.json"
        write_whole(path, (json.dumps(described, indent=2) + "\n").encode())
        return path

    @classmethod
    def load(cls, path: Path, expected: IndexFacts | None = None) -> Self:
        """The index whose JSON file is at `path`.

        Raises UserError if it is missing or damaged, or if it differs from `expected`: the sentence names what differs.
        """
        remedy = f"delete {path} and run again: it is then built anew."
        try:
            described = json.loads(path.read_text(encoding="utf-8"))
            sha256 = described.pop("sha256")
            facts = IndexFacts(**described)
        except FileNotFoundError:
            raise UserError(f"there is no exemplar index at {path}: run again, and it is built.") from None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise UserError(f"the exemplar index {path} is damaged: {remedy}") from None
        if expected is not None and facts != expected:
            wanted = asdict(expected)
            differing = [name.replace("_", " ") for name, value in asdict(facts).items() if value != wanted[name]]
            raise UserError(f"the exemplar index {path} is of something else ({', '.join(differing)} differ): {remedy}")
        tensors_path = path.with_suffix(".safetensors")
        if not tensors_path.is_file() or hashlib.sha256(tensors_path.read_bytes()).hexdigest() != sha256:
            raise UserError(f"the exemplar index's numbers {tensors_path} are missing or damaged: {remedy}")
        return cls(facts, load_file(tensors_path))


_Reduce = Callable[[range], dict[str, np.ndarray]]
"""What is kept of the images with these ids: see `_reduce`."""


class SceneDataset(Protocol):
    """A dataset by index, as scenes and as pictures: number k is always the same."""

    def dataset_scene(self, k: int) -> "Scene": ...
    def drawn_ahead(self) -> AbstractContextManager[Callable[[int], Image.Image]]: ...


@runtime_checkable
class SceneTarget(Protocol):
    """A target with a threshold of its own that needs no pictures, only what is where in them."""

    def scene_maxima(self, scenes: "Sequence[Scene]", layers: Sequence[str]) -> dict[str, np.ndarray]:
        """`Target.maxima` of the scenes' pictures."""
        ...


def build_index(
    target: Target,
    dataset_size: int,
    image_of: Callable[[int], Image.Image],
    layers: Sequence[str],
    directory: Path,
    dataset_fingerprint: str,
    progress: Progress | None = None,
) -> ExemplarIndex:
    """The index of these layers over images 0 .. dataset_size - 1, kept under `directory`.

    Loads it if it is there. Else one pass over the images; a build that was killed goes on after its last whole
    chunk, and two builds of the same index wait for each other. Raises UserError for unknown layers, an empty
    dataset, or a damaged index.
    """
    facts = IndexFacts.of(target, dataset_fingerprint, dataset_size, layers)
    return _built(facts, lambda ids: _reduce(target, facts, [image_of(k) for k in ids], ids), directory, progress)


def _built(facts: IndexFacts, reduce: _Reduce, directory: Path, progress: Progress | None) -> ExemplarIndex:
    if facts.dataset_size < 1:
        raise UserError("the dataset holds no images: give at least one.")
    path = directory / f"{facts.key}.json"
    with _lock(directory / f"{facts.key}.lock"):
        if not path.exists():
            chunks = directory / f"{facts.key}.chunks"
            files = _build_chunks(facts, reduce, chunks, progress)
            _merge(facts, files).save(directory)
            shutil.rmtree(chunks)
        return ExemplarIndex.load(path, facts)


def cached_index(
    target: Target,
    dataset: SceneDataset,
    layers: Sequence[str],
    directory: Path,
    size: int | None = None,
    progress: Progress | None = None,
) -> ExemplarIndex:
    """`build_index` over the offline world's dataset. size: images of it that are used (None: all).

    The pictures are drawn in a second process while the target answers; for a SceneTarget none are drawn.
    """
    from ..models.testbed.dataset import DATASET_SIZE, dataset_fingerprint  # here, so that other datasets need no skia

    size = size or DATASET_SIZE
    if isinstance(target, SceneTarget):
        facts = IndexFacts.of(target, dataset_fingerprint(), size, layers)

        def reduce(ids: range) -> dict[str, np.ndarray]:
            return _named(target.scene_maxima([dataset.dataset_scene(k) for k in ids], list(facts.layers)))

        return _built(facts, reduce, directory, progress)
    with dataset.drawn_ahead() as image_of:
        return build_index(target, size, image_of, layers, directory, dataset_fingerprint(), progress)


def _build_chunks(facts: IndexFacts, reduce: _Reduce, directory: Path, progress: Progress | None) -> list[Path]:
    """Chunk files in the order of the images; those that a former build left whole are kept."""
    directory.mkdir(parents=True, exist_ok=True)
    files = []
    for start in range(0, facts.dataset_size, CHUNK_IMAGES):
        stop = min(start + CHUNK_IMAGES, facts.dataset_size)
        path = directory / f"{start:09d}.safetensors"
        if not _is_whole(path, facts, stop - start):
            parts = []
            for first in range(start, stop, BATCH_IMAGES):
                ids = range(first, min(first + BATCH_IMAGES, stop))
                parts.append(reduce(ids))
                if progress is not None:
                    progress(ids.stop, facts.dataset_size)
            write_whole(path, save({name: np.concatenate([part[name] for part in parts]) for name in parts[0]}))
        elif progress is not None:
            progress(stop, facts.dataset_size)
        files.append(path)
    return files


def _is_whole(path: Path, facts: IndexFacts, images: int) -> bool:
    if not path.exists():
        return False
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
        return all(shapes[f"{layer}/maxima"] == [images, count] for layer, count in facts.layers.items())
    except (safetensors.SafetensorError, KeyError, OSError):
        warnings.warn(f"the chunk {path} of an interrupted build is damaged; it is built again", stacklevel=2)
        return False


def _reduce(target: Target, facts: IndexFacts, images: list[Image.Image], ids: range) -> dict[str, np.ndarray]:
    """ "LAYER/maxima" [B, C] and, where quantiles are needed, "LAYER/samples" [B, P, C]."""
    layers = list(facts.layers)
    if facts.mask_threshold is not None:
        return _named(target.maxima(images, layers))
    reduced = {}
    for layer, maps in target.maps(images, layers).items():
        reduced[f"{layer}/maxima"] = maps.max((2, 3))
        reduced[f"{layer}/samples"] = _sample(maps, ids)
    return reduced


def _named(maxima: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{layer}/maxima": values for layer, values in maxima.items()}


def _sample(maps: np.ndarray, ids: Sequence[int]) -> np.ndarray:
    """float32 [B, P, C]: values of [B, C, h, w] maps at P = min(SAMPLED_POSITIONS, h * w) positions.

    One position in each of P equal stretches of the rows, shifted by the fractional part of id times the golden ratio:
    even over the picture and over the dataset, and the same for image k whatever else is in its batch.
    """
    count, channels, height, width = maps.shape
    cells = height * width
    positions = min(SAMPLED_POSITIONS, cells)
    shift = np.modf(np.asarray(ids) * ((1 + 5**0.5) / 2))[0]
    at = ((np.arange(positions) + shift[:, None]) * cells / positions).astype(int) % cells
    return np.take_along_axis(maps.reshape(count, channels, cells), at[:, None, :], axis=2).transpose(0, 2, 1).copy()


def _merge(facts: IndexFacts, files: list[Path]) -> ExemplarIndex:
    tensors: dict[str, np.ndarray] = {}
    for layer in facts.layers:
        maxima = np.concatenate([_read(path, f"{layer}/maxima") for path in files])
        tensors[f"{layer}/maxima"] = np.ascontiguousarray(maxima.T)
        if facts.mask_threshold is None:
            samples = np.concatenate([_read(path, f"{layer}/samples") for path in files])
            found = np.quantile(samples.reshape(-1, samples.shape[2]), QUANTILES, axis=0)
            tensors[f"{layer}/quantiles"] = np.ascontiguousarray(found.T, dtype=np.float32)
    return ExemplarIndex(facts, tensors)


def _read(path: Path, name: str) -> Any:
    with safetensors.safe_open(path, framework="numpy") as file:
        return file.get_tensor(name)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
