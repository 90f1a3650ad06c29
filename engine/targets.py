"""Networks as targets: on a device, in a dtype, with answers that depend on the picture alone; and targets by name."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import torch
from PIL import Image

from ..models.errors import ExperimentError, UserError
from ..models.networks.network import Network
from ..models.targets import Response, Target, Unit, check_layers, check_unit, nearest_first
from ..models.threads import cpu_threads
from .extraction import Extraction, Visit, as_map, gather_maps

if TYPE_CHECKING:
    from ..models.groundtruth import SceneRegistry
    from .detector_options import DetectorOptions

DTYPES: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
"""What networks may compute in; maps are always handed over as float32."""

GPU_BATCH = 16
"""Rows of every forward that answers pictures on a GPU; those that are left over are zeros."""


@runtime_checkable
class EachTarget(Protocol):
    """A target that answers several units' pictures at once."""

    def respond_each(
        self, images: Sequence[Image.Image], units: Sequence[Unit]
    ) -> Sequence[Response | ExperimentError]:
        """The answer of each picture's own unit, or why there is none."""
        ...


@runtime_checkable
class WeightedDetector(Protocol):
    """A concept detector with networks, whose device is where their weights are."""

    fingerprint: str

    @property
    def modules(self) -> dict[str, torch.nn.Module]: ...
    @property
    def device(self) -> torch.device: ...


class NetworkTarget:
    """A network behind the Target protocol (`models.targets`).

    layers: the network's recommended layers in order of depth, then its other ones. Two targets of one network with
    different dtypes differ in their fingerprint; device and threads change the last bits only and are not part of it.
    """

    mask_threshold: float | None = None

    def __init__(
        self, network: Network, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, threads: int = 1
    ):
        """Moves the network's module to `device` and `dtype`. threads: of the CPU, if that is the device."""
        if dtype not in DTYPES.values():
            raise ValueError(f"{dtype} is none of {', '.join(DTYPES)}")
        if threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}")
        self.network = network
        self.device = torch.device(device)
        self.dtype = dtype
        self.threads = threads
        self.name = network.name
        self.layers: dict[str, int] = {
            name: spec.units for name, spec in (network.layers | network.other_layers).items()
        }
        self.fingerprint = network.fingerprint
        if dtype is not torch.float32:
            self.fingerprint += f"-{dtype_name(dtype)}"
        network.module.to(self.device, dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._extractions: dict[frozenset[str], Extraction] = {}
        self._building = threading.Lock()

    def check(self, unit: Unit) -> None:
        """Raises UserError that lists the valid layers or indices if the network lacks the unit."""
        check_unit(self, unit)

    def view(self, image: Image.Image) -> Image.Image:
        """RGB [size, size]: see `Preprocess.view`."""
        return self.network.preprocess.view(image)

    def forward(self, pixels: torch.Tensor, layers: Sequence[str], visit: Visit) -> None:
        """One forward for an index pass: visit(layer, output) for each layer, in order of depth.

        pixels: uint8 [B, size, size, 3] on the CPU, of `view`s. Outputs are the network's own tensors: in its dtype
        and on its device, laid out as `network.layer(name)` says, valid during the call only (see `Extraction.run`).
        Their last bits depend on B. Raises UserError for an unknown layer or one that cannot be hooked.
        """
        extraction = self.extraction(layers)
        if self.device.type == "cuda":
            pixels = pixels if pixels.is_pinned() else pixels.pin_memory()
        with self._settings():
            extraction.run(self._input(pixels.to(self.device, non_blocking=True)), visit)

    def extraction(self, layers: Sequence[str]) -> Extraction:
        """The hooks for these layers; made once for each set. Raises UserError: see `Extraction`."""
        check_layers(self, layers)
        if not layers:
            raise ValueError("no layers given")
        wanted = frozenset(layers)
        with self._building:
            if wanted not in self._extractions:
                specs = self.network.specs([name for name in self.layers if name in wanted])
                example = self.network.example().to(self.device, self.dtype)
                try:
                    with self._settings():
                        self._extractions[wanted] = Extraction(self.network.module, specs, example)
                except RuntimeError as error:
                    if self.dtype is torch.float32:
                        raise
                    raise UserError(
                        f"{self.name} cannot run in {dtype_name(self.dtype)} on {self.device} "
                        f"({str(error).splitlines()[0]}): use dtype float32."
                    ) from error
            return self._extractions[wanted]

    def maps(self, images: Sequence[Image.Image], layers: Sequence[str]) -> dict[str, np.ndarray]:
        """float32 [B, C, h, w] of each layer asked for; runs no further than the deepest of them.

        Tokens lie on their grid without the prefix, vectors are 1x1 maps. The bits of a map depend on its picture
        alone: sums are taken in an order that depends on the size of the batch (but not on the other rows of it), so
        that every forward has the same size. That is one on the CPU, where larger batches are no faster, and
        GPU_BATCH on a GPU, which a batch of one leaves idle.
        Raises UserError for an unknown layer, ValueError for no images.
        """
        parts: dict[str, list[np.ndarray]] = {layer: [] for layer in layers}
        for pixels, count in self._batches(images):

            def keep(layer: str, output: torch.Tensor, count: int = count) -> None:
                maps = as_map(output[:count], self.network.layer(layer))
                # A copy in any case: the next module may work in place.
                parts[layer].append(maps.to("cpu", copy=True, memory_format=torch.contiguous_format).numpy())

            self.forward(pixels, list(parts), keep)
        return {layer: np.concatenate(found) for layer, found in parts.items()}

    def maxima(self, images: Sequence[Image.Image], layers: Sequence[str]) -> dict[str, np.ndarray]:
        """float32 [B, C] of each layer asked for; NaN is missing, and stays only where a whole map is NaN."""
        return {layer: np.fmax.reduce(maps, axis=(2, 3)) for layer, maps in self.maps(images, layers).items()}

    def respond(self, images: Sequence[Image.Image], unit: Unit) -> list[Response]:
        """One answer a picture; bits as in `maps`. Raises UserError for a unit that the network lacks."""
        return self.respond_each(images, [unit] * len(images))

    def respond_each(self, images: Sequence[Image.Image], units: Sequence[Unit]) -> list[Response]:
        """The answer of each picture's own unit, all of one layer, so that many units share a forward; as `respond`."""
        for unit in set(units):
            self.check(unit)
        (layer,) = {unit.layer for unit in units} or {""}
        if not images:
            raise ValueError("no images given")
        spec = self.network.layer(layer)
        indices = torch.tensor([unit.index for unit in units])
        found: list[np.ndarray] = []
        for pixels, count in self._batches(images):

            def keep(_layer: str, output: torch.Tensor, count: int = count) -> None:
                own = indices[len(found) : len(found) + count]
                found.extend(gather_maps(output, spec, torch.arange(count), own).cpu().numpy())

            self.forward(pixels, [layer], keep)
        return [Response(float(np.fmax.reduce(values, axis=None)), values) for values in found]

    def _batches(self, images: Sequence[Image.Image]) -> Iterator[tuple[torch.Tensor, int]]:
        """Pixels of as many rows as every forward has, and how many of them are pictures."""
        if not images:
            raise ValueError("no images given")
        rows = GPU_BATCH if self.device.type == "cuda" else 1
        size = self.network.preprocess.size
        for first in range(0, len(images), rows):
            chosen = images[first : first + rows]
            pixels = np.zeros((rows, size, size, 3), np.uint8)
            for row, image in enumerate(chosen):
                pixels[row] = np.asarray(self.view(image))
            yield torch.from_numpy(pixels), len(chosen)

    def _input(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.network.preprocess.normalise(pixels).to(self.dtype)

    @contextmanager
    def _settings(self) -> Iterator[None]:
        with ExitStack() as settings:
            if self.device.type == "cuda":
                # float32 means float32 (TF32 keeps 10 bits), and the algorithm does not depend on what was timed.
                settings.enter_context(
                    torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
                )
            else:
                settings.enter_context(cpu_threads(self.threads))
            yield


def weight_modules(target: Target) -> dict[str, torch.nn.Module]:
    """The modules that hold a target's weights, by keys that tell their content; empty where it has none."""
    if isinstance(target, NetworkTarget):
        return {f"target/{target.fingerprint}": target.network.module}
    detector = getattr(target, "detector", None)
    if not isinstance(detector, WeightedDetector):
        return {}
    return {f"detector/{detector.fingerprint}/{name}": module for name, module in detector.modules.items()}


def device_of(target: Target) -> torch.device:
    """Where a target computes; the CPU where it has no weights."""
    if isinstance(target, NetworkTarget):
        return target.device
    detector = getattr(target, "detector", None)
    return detector.device if isinstance(detector, WeightedDetector) else torch.device("cpu")


def load_target(
    name: str,
    registry: "SceneRegistry | None" = None,
    weights: str | Path | None = None,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    threads: int = 1,
    detector: "DetectorOptions | None" = None,
) -> Target:
    """The target of that name (see `models.registry`), ready to answer.

    registry: the world whose pictures ground-truth neurons can see; needed for those only, which take none of the
    others. weights: file or directory, where the network needs one. detector: what synthetic neurons are made of (None:
    the world's own, if there is one). device: "cpu", "cuda" or "cuda:N" (None:
    cuda if there is one). dtype: a name of DTYPES (None: float32). threads: of the CPU.
    Raises UserError for an unknown name, device or dtype, and for weights that are missing or differ.
    """
    from ..models.registry import GROUND_TRUTHS, PLANTED, SYNTHETIC, load_network

    if name == SYNTHETIC:
        from .detector_options import TESTBED, DetectorOptions, synthetic_target

        if weights is not None:
            raise UserError("synthetic neurons have a detector instead of weights: leave --weights out (--detector).")
        chosen = detector or DetectorOptions(model=TESTBED)
        return synthetic_target(chosen, registry, "cpu" if chosen.model == TESTBED else resolve_device(device))
    if name in GROUND_TRUTHS:
        from ..models.groundtruth import ground_truth

        if registry is None:
            raise ValueError("ground-truth neurons need the world whose pictures they see")
        if weights is not None:
            raise UserError("ground-truth neurons have no weights: leave --weights out.")
        return ground_truth(name, registry)
    if name == PLANTED:
        from ..models.planted import PlantedTarget

        if registry is None:
            raise ValueError("classes with planted biases need the world whose pictures they see")
        if weights is not None:
            raise UserError("classes with planted biases have no weights: leave --weights out.")
        return PlantedTarget(registry)
    # Before the weights are read, which may take long.
    found_device, found_dtype = resolve_device(device), resolve_dtype(dtype)
    return NetworkTarget(load_network(name, weights), found_device, found_dtype, threads)


def resolve_device(device: str | torch.device | None) -> torch.device:
    """The device that is meant; None is cuda if there is one, else cpu. Raises UserError for one that is not here."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device is None:
        return torch.device("cuda" if gpus else "cpu")
    valid = ["cpu", *(["cuda"] if gpus else []), *(f"cuda:{place}" for place in range(gpus))]
    if str(device) in valid:
        return torch.device(device)
    reason = "" if gpus or not str(device).startswith("cuda") else ": torch finds no NVIDIA GPU on this machine"
    raise UserError(f"there is no device {str(device)!r}{reason}: choose from {', '.join(valid)}.")


def resolve_dtype(dtype: str | torch.dtype | None) -> torch.dtype:
    """The dtype that is meant; None is float32. Raises UserError for one that is not in DTYPES."""
    name = dtype_name(dtype) if isinstance(dtype, torch.dtype) else dtype or "float32"
    if name not in DTYPES:
        raise UserError(f"there is no dtype {name!r} for networks: choose from {nearest_first(name, list(DTYPES))}.")
    return DTYPES[name]


def dtype_name(dtype: torch.dtype) -> str:
    """ "float32" of torch.float32."""
    return str(dtype).removeprefix("torch.")
