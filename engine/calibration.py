"""How much memory a model's batches take beside its weights: by arithmetic without a GPU, or measured on one."""

import functools
import itertools
import json
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..models.errors import UserError
from ..models.files import write_whole
from .plan import Duration, Workspace

if TYPE_CHECKING:
    import torch

FORMAT = 1

MARGIN = 1.5
"""On traced bytes: what convolution and attention kernels take inside an operation, and what the allocator cannot use
of its blocks. An estimate; measured workspaces take `MEASURED_MARGIN`."""

MEASURED_MARGIN = 1.1
"""On measured bytes, which are those in use: what the allocator holds beside them."""


class _Meter:
    """Bytes of the tensors that were made since it began and still exist, and their peak."""

    def __init__(self) -> None:
        self.now = self.peak = 0
        self._live: dict[int, weakref.ref[Any]] = {}

    def made(self, tensor: "torch.Tensor") -> None:
        """Counts the tensor's storage until it is freed; once, however many views it has."""
        storage = tensor.untyped_storage()
        key, nbytes = storage._cdata, storage.nbytes()
        if key in self._live:
            return

        def freed(_: object) -> None:
            self._live.pop(key, None)
            self.now -= nbytes

        self._live[key] = weakref.ref(storage, freed)
        self.now += nbytes
        self.peak = max(self.peak, self.now)


def peak_bytes(function: Callable[[], object]) -> int:
    """Peak of the bytes of all tensors that exist at the same time while `function` runs, of those made by it.

    Exact for what torch's operations return; what they take inside is not seen. Works with fake tensors, so that no
    memory is taken, and with real ones on the CPU. Weights that exist before are not counted.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    meter = _Meter()

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            # Views of tensors that existed before share their storage: nothing is made.
            given = {value.untyped_storage()._cdata for value in _tensors(args, kwargs)}
            result = func(*args, **(kwargs or {}))
            for value in _tensors(result):
                if value.untyped_storage()._cdata not in given:
                    meter.made(value)
            return result

    with torch.inference_mode(), Recorder():
        result = function()
    del result
    return meter.peak


def _tensors(*values: object) -> "list[torch.Tensor]":
    import torch
    from torch.utils._pytree import tree_leaves

    return [value for value in tree_leaves(values) if isinstance(value, torch.Tensor)]


@contextmanager
def no_memory() -> Iterator[None]:
    """Tensors and modules made within it have shapes and dtypes but no memory."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        yield


def trace_workspace(run: Callable[[int], object], margin: float = MARGIN) -> Workspace:
    """Workspace of a model from its operations' results, with batches of one and two. run(batch): makes the inputs and
    runs the model, within `no_memory`, as the model must have been built. Raises RuntimeError outside of it, where the
    trace would take real memory."""
    from torch._guards import detect_fake_mode

    if detect_fake_mode() is None:
        raise RuntimeError("trace_workspace has to be called within no_memory().")
    return line_above({batch: int(peak_bytes(functools.partial(run, batch)) * margin) for batch in (1, 2)})


def line_above(points: Mapping[int, int]) -> Workspace:
    """fixed + per_item * batch that is nowhere below the bytes measured for those batches: the steepest step between
    neighbours, raised until no point is above it. Raises ValueError for no points."""
    sizes = sorted(points)
    steps = [-(-(points[after] - points[before]) // (after - before)) for before, after in itertools.pairwise(sizes)]
    per_item = max([0, *steps]) if steps else points[sizes[0]] // sizes[0]
    return Workspace(max(0, max(points[size] - per_item * size for size in sizes)), per_item)


def measure_workspace(
    run: Callable[[int], object], device: "torch.device", batches: tuple[int, ...] = (1, 2, 4)
) -> Workspace:
    """Workspace of a model on a CUDA device, whose weights are there already: the peaks of torch's allocator.

    run(batch): makes the inputs and runs the model. The first run warms up libraries and is not counted. Raises
    UserError for a device that is no GPU, and torch.OutOfMemoryError.
    """
    import torch

    if device.type != "cuda":
        raise UserError(f"workspaces are measured on a GPU, not on {device}: without one they are traced.")
    run(batches[0])
    points = {}
    for batch in batches:
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run(batch)
        torch.cuda.synchronize(device)
        points[batch] = int((torch.cuda.max_memory_allocated(device) - before) * MEASURED_MARGIN)
    return line_above(points)


@dataclass(frozen=True)
class Measured:
    """What was measured of a model on this machine; None: not measured."""

    workspace: Workspace | None = None
    duration: Duration | None = None


@dataclass
class Calibration:
    """What was measured of models on one machine, by model and setting: a text that names all that the numbers depend
    on otherwise (dtype, size, steps; see `sizing`). Kept as JSON."""

    entries: dict[str, dict[str, Measured]] = field(default_factory=dict)

    def of(self, model: str, setting: str) -> Measured:
        """What is known; an empty Measured if nothing is."""
        return self.entries.get(model, {}).get(setting, Measured())

    def add(self, model: str, setting: str, measured: Measured) -> None:
        """Replaces what was known of the model in this setting."""
        self.entries.setdefault(model, {})[setting] = measured

    def save(self, path: Path) -> None:
        """Writes the file as a whole: whoever reads it sees the old one or the new one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        entries = {m: {s: asdict(known) for s, known in settings.items()} for m, settings in self.entries.items()}
        text = json.dumps({"format": FORMAT, "entries": entries}, indent=1, sort_keys=True)
        write_whole(path, text.encode())

    @classmethod
    def load(cls, path: Path) -> "Calibration":
        """What the file holds; nothing if there is none. Raises UserError for a file that is damaged."""
        if not path.is_file():
            return cls()
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["format"] != FORMAT:
                raise ValueError(f"format {data['format']}")
            entries = {
                model: {
                    setting: Measured(
                        None if known["workspace"] is None else Workspace(**known["workspace"]),
                        None if known["duration"] is None else Duration(**known["duration"]),
                    )
                    for setting, known in settings.items()
                }
                for model, settings in data["entries"].items()
            }
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise UserError(f"{path} is no calibration file ({problem}): remove it and calibrate again.") from None
        return cls(entries)
