"""How fast the index pass is: against the bare forward, against the usual pass for every layer, and from JPEG files.

All ways are timed in one process, in turn, on the same pictures with the same threads; ratios are medians over the
turns, each of times that were taken one shortly after the other.

What a pass costs beyond the forward depends on how many exemplars it finds, and they get rarer as it goes on: in the
first batch every image is among the best of every unit, and over N images k * (1 + ln(N / k)) are. So the pass is
timed as it is on average over `TYPICAL_IMAGES` images: the running top-k starts from values that let that share of
(image, unit) pairs in. `pass_first_images` starts from nothing.
"""

import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...engine.dataset import Dataset, open_dataset
from ...engine.exemplars import EXEMPLARS, SAMPLES
from ...engine.index_build import BATCH, CHUNK
from ...engine.index_files import Part, encode_pictures, write_part
from ...engine.index_pass import NetworkPass, finished_part
from ...engine.targets import NetworkTarget, dtype_name, resolve_device, resolve_dtype
from ...kernels.reduce import Layout, reduce_layer, sampling_stride, view_cells
from ...kernels.sketch import BINS
from ...models.errors import UserError
from ...models.networks.network import LayerSpec
from ...models.registry import TARGETS, load_network, spec_of
from ...models.threads import cpu_threads
from ..baselines.per_layer_tally import RESOLUTION, RunningQuantiles, RunningTopK, tally_per_layer
from .photographs import write_photographs
from .surroundings import peak_rss_bytes, surroundings
from .timing import ratio, seconds_of, summary, time_in_turn

MODEL = "torchvision:resnet50"
LAYERS = ("conv1", "layer1", "layer2", "layer3", "layer4")
"""The default model's layers; of others, the recommended ones."""

REPEATS = 5
IMAGES = {"cpu": 32, "cuda": 512}
FILES = {"cpu": 96, "cuda": 4096}
"""Pictures of a timed pass, and JPEG files of an end-to-end run."""

TYPICAL_IMAGES = 50_000
"""The dataset whose average share of exemplars a timed pass finds: ImageNet's validation set."""

GOALS = {"ratio_to_bare": 1.10, "speedup_over_per_layer": 6.0, "end_to_end_share": 0.9}
"""For two CPU cores, the default model and layers: at most the first, at least the others."""

_DISTINCT = 96  # pictures that are made; further files are copies of them under other names
_OWN_WEIGHTS = ("efficientnet-lite0", "ground-truth")

Progress = Callable[[str, int, int], None]
"""Called with (what is done, steps done, steps in all)."""


@dataclass(frozen=True)
class Bench:
    """What is timed. files: the directory of JPEG files; maxima: float32 [N, C] of all of them, by layer."""

    target: NetworkTarget
    specs: dict[str, LayerSpec]
    dataset: Dataset
    pixels: list[np.ndarray]
    maxima: dict[str, np.ndarray]
    batch: int
    images: int
    workers: int
    k: int
    samples: int | None

    def batches(self) -> Iterator[range]:
        """Ordinals of the timed batches."""
        for first in range(0, self.images, self.batch):
            yield range(first, min(first + self.batch, self.images))

    def stacked(self) -> Iterator[torch.Tensor]:
        """uint8 [batch, S, S, 3] of each timed batch; the last is filled up with zeros, as the pass does."""
        size = self.target.network.preprocess.size
        for ordinals in self.batches():
            images = torch.zeros((self.batch, size, size, 3), dtype=torch.uint8)
            for row, ordinal in enumerate(ordinals):
                images[row] = torch.from_numpy(self.pixels[ordinal])
            yield images

    def inputs(self) -> Iterator[torch.Tensor]:
        """The network's inputs of each timed batch, in its dtype on its device."""
        for images in self.stacked():
            on_device = images.to(self.target.device, non_blocking=True)
            yield self.target.network.preprocess.normalise(on_device).to(self.target.dtype)

    def new_pass(self, samples: int | None, typical: bool) -> NetworkPass:
        """The index builder's pass; `typical`: as in the midst of a dataset, see above."""
        running = NetworkPass(self.target, list(self.specs), self.k, samples, self.batch, pictures=True)
        for layer, state in running.states.items():
            if typical:
                state.know(typical_best(self.maxima[layer], self.k))
            state.take_part()  # touches all memory, which a long pass has done long ago
        return running


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
    with _jpeg_files(files) as directory, cpu_threads(threads):
        dataset = open_dataset(directory)
        with dataset.decoded(range(files), network.preprocess, workers) as decoded:
            pixels = [picture.pixels for picture in decoded if picture.pixels is not None]
        maxima = _maxima(target, specs, pixels, batch)
        bench = Bench(target, specs, dataset, pixels, maxima, batch, images, workers, k, samples)
        ways = _ways(bench)
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


def typical_best(maxima: np.ndarray, k: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Exemplars of images seen before, so that of these maxima float32 [N, C] the typical share will be taken.

    For `LayerState.know`: units, ids and values. Every unit has k equal values, just above those of its images that
    are not to be taken; how many are is drawn at random for each unit.
    """
    count, units = maxima.shape
    share = min(1.0, k * (1 + math.log(max(TYPICAL_IMAGES, k) / k)) / TYPICAL_IMAGES)
    taken = np.minimum(np.random.default_rng(seed).binomial(count, share, units), count - 1)
    ordered = -np.sort(-np.nan_to_num(maxima, nan=-np.inf), axis=0)
    bound = np.nextafter(ordered[taken, np.arange(units)], np.float32(np.inf))
    return {
        "units": np.repeat(np.arange(units, dtype=np.int32), k),
        "ids": np.tile(count + np.arange(k, dtype=np.int64), units),
        "values": np.repeat(bound.astype(np.float32), k),
    }


def bytes_moved(shape: Sequence[int], itemsize: int, spec: LayerSpec, k: int, samples: int | None) -> dict[str, int]:
    """Bytes of memory that a layer's output of this shape makes the pass and the tally move, by computation.

    output: the read that both need. samples and counts: what the pass reads again and adds to. topk: maxima written
    and read, slots read and written. tally: the output read a second time, written transposed, and each level of the
    quantiles' sample read and written (twice the values in all levels together).
    """
    view = view_cells(torch.empty(tuple(shape), device="meta"), _layout(spec), spec.prefix)
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


def _layout(spec: LayerSpec) -> Layout:
    return spec.layout


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


def _ways(bench: Bench) -> dict[str, Callable[[], object]]:
    """The ways that are timed, the pass itself first: its memory is measured before the others need theirs.

    bare_to_deepest has one hook, which stops it. bare_full and the tally run with torch's own settings: on a GPU that
    is TF32 and whatever algorithm cuDNN likes, where the index pass keeps to float32 and deterministic algorithms.
    """
    target, device = bench.target, bench.target.device
    deepest = target.extraction(list(bench.specs)).order[-1]

    def timed_pass(samples: int | None, typical: bool) -> float:
        running = bench.new_pass(samples, typical)
        return seconds_of(lambda: pass_over(bench, running), device)

    def bare() -> None:
        for images in bench.stacked():
            target.forward(images, [deepest], lambda layer, output: None)

    def full() -> None:
        with torch.inference_mode():
            for x in bench.inputs():
                target.network.module(x)

    def finish() -> float:
        running = bench.new_pass(bench.samples, True)
        _one_batch(bench, running)
        return seconds_of(lambda: finished_part(bench.dataset, running.states, None, []), device)

    def encode() -> None:
        encode_pictures(dict(enumerate(bench.pixels[: bench.images])))

    return {
        "pass": lambda: timed_pass(bench.samples, True),
        "bare_to_deepest": bare,
        "end_to_end": lambda: _end_to_end(bench),
        "decode": lambda: _decode(bench),
        "pass_all_positions": lambda: timed_pass(None, True),
        "pass_first_images": lambda: timed_pass(bench.samples, False),
        "bare_full": full,
        "finish_chunk": finish,
        "encode_pictures": encode,
        "per_layer_tally": lambda: tally(bench),
    }


def pass_over(bench: Bench, running: NetworkPass) -> None:
    """The index builder's pass over the timed pictures."""
    for ordinals in bench.batches():
        _one_batch(bench, running, ordinals)


def _one_batch(bench: Bench, running: NetworkPass, ordinals: range | None = None) -> None:
    ordinals = ordinals or next(bench.batches())
    running.forward({o: bench.pixels[o] for o in ordinals}, [bench.dataset.phase(o) for o in ordinals])


def tally(bench: Bench) -> dict[str, tuple[RunningTopK, RunningQuantiles]]:
    """The usual way over the timed pictures, results included. The last batch holds no rows of zeros."""

    def inputs() -> Iterator[torch.Tensor]:
        for ordinals, x in zip(bench.batches(), bench.inputs(), strict=True):
            yield x[: len(ordinals)]

    found = tally_per_layer(bench.target.network.module, bench.specs, inputs, bench.k)
    for topk, quantiles in found.values():
        topk.result()
        quantiles.quantiles((0.95, 0.99))
    return found


def _decode(bench: Bench) -> float:
    """Seconds to decode all files but the first batch, with which the workers start."""
    count = len(bench.pixels)
    with bench.dataset.decoded(range(count), bench.target.network.preprocess, bench.workers) as decoded:
        stream = iter(decoded)
        for _ in islice(stream, bench.batch):
            pass
        return seconds_of(lambda: sum(1 for _ in stream), bench.target.device)


def _end_to_end(bench: Bench) -> float:
    """Seconds from JPEG files to a part of an index on disk, for all files but the first batch.

    Taking the histograms for a part costs the same whatever the number of its images. It is charged as in a part of
    CHUNK images, which would take minutes to measure on a CPU.
    """
    running, count = bench.new_pass(bench.samples, True), len(bench.pixels)
    device, chunk = bench.target.device, CHUNK[bench.target.device.type]
    with (
        tempfile.TemporaryDirectory(prefix="maia-bench-") as parts,
        bench.dataset.decoded(range(count), bench.target.network.preprocess, bench.workers) as decoded,
    ):
        stream = iter(decoded)
        pixels: dict[int, np.ndarray] = {}

        def stretch(first: int, stop: int) -> None:  # as NetworkPass.run, but for the part
            for start in range(first, stop, bench.batch):
                found = islice(stream, min(bench.batch, stop - start))
                good = {picture.ordinal: picture.pixels for picture in found if picture.pixels is not None}
                running.forward(good, [bench.dataset.phase(ordinal) for ordinal in good])
                pixels.update(good)

        def write() -> None:
            pictures = encode_pictures({ordinal: pixels[ordinal] for ordinal in made[0].keys})
            write_part(Path(parts), bench.batch, count, replace(made[0], pictures=pictures))

        stretch(0, bench.batch)
        seconds = seconds_of(lambda: stretch(bench.batch, count), device)
        made: list[Part] = []
        taking = seconds_of(lambda: made.append(finished_part(bench.dataset, running.states, None, [])), device)
        return seconds + seconds_of(write, device) + taking * min(1.0, (count - bench.batch) / chunk)


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
    _one_batch(bench, running)
    return {layer: dict(state.branches) for layer, state in running.states.items()}
