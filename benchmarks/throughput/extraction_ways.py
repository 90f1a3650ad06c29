"""The ways that the extraction benchmark times: the index pass, the bare forward, the usual pass, decoding.

What a pass costs beyond the forward depends on how many exemplars it finds, and they get rarer as it goes on: in the
first batch every image is among the best of every unit, and over N images k * (1 + ln(N / k)) are. So the pass is
timed as it is on average over `TYPICAL_IMAGES` images: the running top-k starts from values that let that share of
(image, unit) pairs in. `pass_first_images` starts from nothing.
"""

import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from ...engine.dataset import Dataset
from ...engine.index_build import CHUNK
from ...engine.index_files import Part, encode_pictures, write_part
from ...engine.index_pass import NetworkPass, finished_part
from ...engine.targets import NetworkTarget
from ...models.networks.network import LayerSpec
from ..baselines.per_layer_tally import RunningQuantiles, RunningTopK, tally_per_layer
from .timing import seconds_of

TYPICAL_IMAGES = 50_000
"""The dataset whose average share of exemplars a timed pass finds: ImageNet's validation set."""


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


def ways_of(bench: Bench) -> dict[str, Callable[[], object]]:
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
        one_batch(bench, running)
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
        one_batch(bench, running, ordinals)


def one_batch(bench: Bench, running: NetworkPass, ordinals: range | None = None) -> None:
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
