"""How fast the index pass is: against the bare forward, against the usual pass for every layer, and from JPEG files.

All ways (extraction_ways.py) are timed in one process, in turn, on the same pictures with the same threads; ratios
are medians over the turns, each of times that were taken one shortly after the other. All run with
the memory settings of an index pass (`engine.memory`), which speed up the bare forward as much.
"""

import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...engine.dataset import open_dataset
from ...engine.exemplars import EXEMPLARS, SAMPLES
from ...engine.index_build import BATCH, CHUNK
from ...engine.memory import freed_blocks_kept
from ...engine.targets import NetworkTarget, dtype_name, resolve_device, resolve_dtype
from ...kernels.reduce import reduce_layer, sampling_stride, view_cells
from ...kernels.sketch import BINS
from ...models.errors import UserError
from ...models.networks.network import LayerSpec
from ...models.registry import GROUND_TRUTHS, TARGETS, load_network, spec_of
from ...models.threads import cpu_threads
from ..baselines.per_layer_tally import RESOLUTION
from .extraction_ways import TYPICAL_IMAGES, Bench, one_batch, ways_of
from .photographs import write_photographs
from .surroundings import peak_rss_bytes, surroundings
from .timing import ratio, summary, time_in_turn

MODEL = "torchvision:resnet50"
LAYERS = ("conv1", "layer1", "layer2", "layer3", "layer4")
"""The default model's layers; of others, the recommended ones."""

REPEATS = 5
IMAGES = {"cpu": 32, "cuda": 512}
FILES = {"cpu": 96, "cuda": 4096}
"""Pictures of a timed pass, and JPEG files of an end-to-end run."""

GOALS = {"ratio_to_bare": 1.10, "speedup_over_per_layer": 6.0, "end_to_end_share": 0.9}
"""For two CPU cores, the default model and layers: at most the first, at least the others."""

_DISTINCT = 96  # pictures that are made; further files are copies of them under other names
_OWN_WEIGHTS = ("efficientnet-lite0", *GROUND_TRUTHS)

Progress = Callable[[str, int, int], None]
"""Called with (what is done, steps done, steps in all)."""


def run_benchmark(
    model: str = MODEL,
    layers: Sequence[str] | None = None,
    device: str | None = None,
    batch: int = BATCH,
    images: int | None = None,
    repeats: int = REPEATS,
    dtype: str | None = None,
    *,
    weights: str | Path | None = None,
    threads: int = 1,
    workers: int | None = None,
    files: int | None = None,
    k: int = EXEMPLARS,
    samples: int | None = SAMPLES,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The figures as plain data (`docs/performance.md` says what each means).

    model: a target's name; weights: None takes random ones where the network needs a file. layers None: LAYERS for the
    default model, the recommended ones of others. images: of a timed pass, files: JPEG files from end to end (more
    than `batch`). workers: processes that decode, None: one for each core (less one on a CPU, where the network
    computes). threads: of torch on the CPU. Raises UserError for unknown names and numbers that do not fit.
    """
    found_device = resolve_device(device)
    images, files = images or IMAGES[found_device.type], files or FILES[found_device.type]
    _check_counts(batch, images, files, repeats)
    network = load_network(model, weights if weights is not None else _default_weights(model))
    target = NetworkTarget(network, found_device, resolve_dtype(dtype), threads)
    if layers is None:
        layers = LAYERS if model == MODEL else list(network.layers)
    if workers is None:
        cores = len(os.sched_getaffinity(0))
        workers = max(1, cores - 1) if found_device.type == "cpu" else cores
    specs = network.specs(layers)
    with _jpeg_files(files) as directory, cpu_threads(threads), freed_blocks_kept():
        dataset = open_dataset(directory)
        with dataset.decoded(range(files), network.preprocess, workers) as decoded:
            pixels = [picture.pixels for picture in decoded if picture.pixels is not None]
        maxima = _maxima(target, specs, pixels, batch)
        bench = Bench(target, specs, dataset, pixels, maxima, batch, images, workers, k, samples)
        ways = ways_of(bench)
        total = (repeats + 1) * len(ways)
        done = 0

        def advance(name: str) -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(name, done, total)

        memory = _warm_up(ways, bench, advance)
        times = time_in_turn(ways, repeats, target.device, advance)
    return _report(bench, model, repeats, times, memory)


def bytes_moved(shape: Sequence[int], itemsize: int, spec: LayerSpec, k: int, samples: int | None) -> dict[str, int]:
    """Bytes of memory that a layer's output of this shape makes the pass and the tally move, by computation.

    output: the read that both need. samples and counts: what the pass reads again and adds to. topk: maxima written
    and read, slots read and written. tally: the output read a second time, written transposed, and each level of the
    quantiles' sample read and written (twice the values in all levels together).
    """
    view = view_cells(torch.empty(tuple(shape), device="meta"), spec.layout, spec.prefix)
    images, rows, columns, units = view.shape
    output = view.numel() * itemsize
    sampled = images * units * math.ceil(rows * columns / sampling_stride(rows * columns, samples))
    return {
        "output": output,
        "samples": sampled * itemsize,
        "counts": sampled * 8,
        "topk": images * units * 8 + units * k * 24,
        "tally": output * 7,
    }


def _default_weights(model: str) -> str | None:
    """Random weights where the network needs a file: they cost no less time."""
    spec = spec_of(model)
    takes_file = spec.partition(":")[0] in ("torchvision", "timm") or spec in TARGETS.keys() - set(_OWN_WEIGHTS)
    return "random" if takes_file else None


def _check_counts(batch: int, images: int, files: int, repeats: int) -> None:
    if min(batch, images, repeats) < 1:
        raise UserError("batch, images and repeats must be at least 1.")
    if files <= batch or files < images:
        raise UserError(f"{files} files are too few: give more than a batch ({batch}), and no fewer than {images}.")


@contextmanager
def _jpeg_files(count: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="maia-bench-") as name:
        directory = Path(name)
        made = write_photographs(directory, min(count, _DISTINCT))
        for number in range(len(made), count):
            shutil.copyfile(made[number % len(made)], directory / f"{number:06d}.jpg")
        yield directory


def _maxima(
    target: NetworkTarget, specs: Mapping[str, LayerSpec], pixels: Sequence[np.ndarray], batch: int
) -> dict[str, np.ndarray]:
    found: dict[str, list[np.ndarray]] = {layer: [] for layer in specs}
    for first in range(0, len(pixels), batch):
        some = torch.from_numpy(np.stack(pixels[first : first + batch]))

        def visit(layer: str, output: torch.Tensor) -> None:
            spec = specs[layer]
            found[layer].append(
                reduce_layer(output, spec.layout, None, prefix=spec.prefix, positions=False).maxima.cpu().numpy()
            )

        target.forward(some, list(specs), visit)
    return {layer: np.concatenate(parts) for layer, parts in found.items()}


def _warm_up(
    ways: Mapping[str, Callable[[], object]], bench: Bench, advance: Callable[[str], None]
) -> dict[str, int | None]:
    """Every way once, not timed; the memory after the pass alone, and after all."""
    found: dict[str, int | None] = {}
    for name, way in ways.items():
        way()
        advance(name)
        if name == "pass":
            found["peak_rss_bytes"] = peak_rss_bytes()
            cuda = bench.target.device.type == "cuda"
            found["peak_gpu_bytes"] = torch.cuda.max_memory_allocated(bench.target.device) if cuda else None
    return found | {"peak_rss_bytes_with_tally": peak_rss_bytes()}


def _report(
    bench: Bench, model: str, repeats: int, times: dict[str, list[float]], memory: dict[str, int | None]
) -> dict[str, Any]:
    images, rest = bench.images, len(bench.pixels) - bench.batch
    counts = {"decode": rest, "end_to_end": rest, "finish_chunk": None}
    per_second = {name: counts.get(name, images) for name in times}
    rates = {name: summary([n / s for s in times[name]]) for name, n in per_second.items() if n is not None}
    bare = times["bare_to_deepest"]
    chunk = CHUNK[bench.target.device.type]
    whole = [
        p + e + f * images / chunk
        for p, e, f in zip(times["pass"], times["encode_pictures"], times["finish_chunk"], strict=True)
    ]
    slower = [max(d / rest, b / images) for d, b in zip(times["decode"], bare, strict=True)]
    shares = [s / (e / rest) for s, e in zip(slower, times["end_to_end"], strict=True)]
    figures = {
        "ratio_to_bare": ratio(times["pass"], bare),
        "ratio_to_bare_full": ratio(times["pass"], times["bare_full"]),
        "ratio_with_parts": ratio(whole, bare),
        "ratio_all_positions": ratio(times["pass_all_positions"], bare),
        "ratio_first_images": ratio(times["pass_first_images"], bare),
        "tally_ratio_to_bare_full": ratio(times["per_layer_tally"], times["bare_full"]),
        "speedup_over_per_layer": ratio(times["per_layer_tally"], times["pass"]),
        "end_to_end_share": summary(shares),
    }
    moved = {
        layer: bytes_moved(shape, bench.target.dtype.itemsize, bench.specs[layer], bench.k, bench.samples)
        for layer, shape in _shapes(bench).items()
    }
    medians = {name: figure["median"] for name, figure in figures.items()}
    return (
        {"benchmark": "extraction", **medians}
        | {
            "images_per_s": rates["pass"]["median"],
            "decode_images_per_s": rates["decode"]["median"],
            "forward_images_per_s": rates["bare_to_deepest"]["median"],
            "end_to_end_images_per_s": rates["end_to_end"]["median"],
            **memory,
        }
        | {
            "model": model,
            "description": bench.target.network.description,
            "dtype": dtype_name(bench.target.dtype),
            "layers": {layer: spec.units for layer, spec in bench.specs.items()},
            "batch": bench.batch,
            "images": images,
            "files": len(bench.pixels),
            "repeats": repeats,
            "threads": bench.target.threads,
            "workers": bench.workers,
            "k": bench.k,
            "samples": bench.samples,
            "typical_images": TYPICAL_IMAGES,
            "chunk": chunk,
            "tally_resolution": RESOLUTION,
            "sketch_bytes": sum(spec.units for spec in bench.specs.values()) * BINS * 8,
            "branches": _branches(bench),
        }
        | surroundings(bench.target.device)
        | {
            "figures": figures,
            "rates": rates,
            "seconds": {name: summary(values) for name, values in times.items()},
            "bytes_moved_per_batch": moved,
        }
    )


def _shapes(bench: Bench) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    images = next(bench.stacked())
    bench.target.forward(images, list(bench.specs), lambda layer, x: found.update({layer: tuple(x.shape)}))
    return found


def _branches(bench: Bench) -> dict[str, dict[str, str]]:
    """Which branch of each kernel ran, by layer: what the states of a pass say."""
    running = bench.new_pass(bench.samples, True)
    one_batch(bench, running)
    return {layer: dict(state.branches) for layer, state in running.states.items()}
