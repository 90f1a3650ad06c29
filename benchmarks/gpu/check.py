"""The check for a machine with a CUDA GPU: are the kernels right, and how near to the memory's speed are they?

    python -m maia.benchmarks.gpu.check [--json FILE]        (or: make gpu-check)

Checks every kernel against float64 (correctness.py), times them with CUDA events beside a copy of memory in the same
run, and runs the extraction benchmark on ResNet-152. Ends with exit code 1 where a kernel is wrong, and with 2 without
a GPU. Goals that are missed are told and end nothing.

The kernels were verified under Triton's interpreter, and compiled for sm_90 without running; no GPU has run them yet.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import torch

from ...kernels.mask import mask_batch
from ...kernels.reduce import reduce_layer, sampling_stride
from ...kernels.sketch import BINS
from ...kernels.topk import merge_topk
from ...models.errors import UserError
from .correctness import check_all
from .traffic import GOAL, copy_bandwidth, mask_bytes, reduce_bytes, speed_row, topk_bytes

RESNET_LAYERS = {
    "conv1": (64, 112), "layer1": (256, 56), "layer2": (512, 28), "layer3": (1024, 14), "layer4": (2048, 7),
}  # fmt: skip
"""Units and side of the map of ResNet-152's layers, on pictures of 224 pixels."""

BATCHES = (64, 256)
SAMPLES = 16
SLOTS = 15
RATIO_GOAL = 1.05
"""The index pass against the bare forward."""

_WARM_UP, _REPEATS = 10, 50
_COPIED = 2**30
_COLD = 2**29  # Inputs are taken in turn until they are this much together: far more than any GPU's cache.


def require_gpu() -> torch.device:
    """The CUDA device. Raises UserError where there is none."""
    if not torch.cuda.is_available():
        raise UserError(
            "This check times kernels on a CUDA GPU, and torch finds none here: run `make gpu-check` on a machine with"
            " an NVIDIA GPU (`make test` checks the same kernels under Triton's interpreter)."
        )
    return torch.device("cuda", torch.cuda.current_device())


def seconds_of(function: Callable[[], object]) -> list[float]:
    """Seconds that the GPU takes for each of _REPEATS calls, by CUDA events, after _WARM_UP calls."""
    for _ in range(_WARM_UP):
        function()
    starts = [torch.cuda.Event(enable_timing=True) for _ in range(_REPEATS)]
    ends = [torch.cuda.Event(enable_timing=True) for _ in range(_REPEATS)]
    # All is queued at once, so that the time between events is the GPU's and not that of the launching CPU.
    torch.cuda.synchronize()
    torch.cuda._sleep(50_000_000)
    for start, end in zip(starts, ends, strict=True):
        start.record()
        function()
        end.record()
    torch.cuda.synchronize()
    return [start.elapsed_time(end) / 1000 for start, end in zip(starts, ends, strict=True)]


def measure_copy(device: torch.device) -> float:
    """Bytes per second, read and written, of a copy of 1 GiB."""
    source = torch.empty(_COPIED, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    times = sorted(seconds_of(lambda: target.copy_(source)))
    return copy_bandwidth(_COPIED, times[len(times) // 2])


def time_reduce(
    name: str, batch: int, dtype: torch.dtype, channels_last: bool, count: bool, device: torch.device, copy: float
) -> dict[str, Any]:
    """One layer of ResNet-152, rectified normal values: with positions and counts, or the maxima alone."""
    units, side = RESNET_LAYERS[name]
    shape = (batch, units, side, side)
    first = torch.randn(shape, device=device).relu_().to(dtype)
    if channels_last:
        first = first.contiguous(memory_format=torch.channels_last)
    copies = max(1, -(-_COLD // (first.numel() * first.itemsize)))
    inputs = cycle([first, *(first.clone() for _ in range(copies - 1))])
    counts = torch.zeros(units, BINS, dtype=torch.int32, device=device) if count else None
    phases = torch.randint(0, 2**32, (batch,), device=device)

    def run() -> object:
        return reduce_layer(next(inputs), "map", counts, phases, SAMPLES, positions=count)

    sampled = -(-side * side // sampling_stride(side * side, SAMPLES)) if count else 0
    moved = reduce_bytes(batch, side * side, units, dtype.itemsize, count, sampled)
    layout = "channels last" if channels_last else "NCHW"
    work = "maxima, positions, counts" if count else "maxima"
    row = {"kernel": "reduce", "layer": name, "shape": list(shape), "dtype": str(dtype).removeprefix("torch.")}
    return row | {"layout": layout, "work": work} | speed_row(moved, seconds_of(run), copy)


def time_topk(batch: int, device: torch.device, copy: float) -> dict[str, Any]:
    """A merge into the slots of 2048 units, none empty."""
    units = RESNET_LAYERS["layer4"][0]
    values = torch.randn(units, SLOTS, device=device).abs().add_(2).sort(dim=1, descending=True).values
    ids = torch.arange(SLOTS, device=device).expand(units, SLOTS).contiguous()
    candidates, new = torch.randn(batch, units, device=device), torch.arange(SLOTS, SLOTS + batch)
    times = seconds_of(lambda: merge_topk(values, ids, candidates, new))
    return {"kernel": "topk", "shape": [batch, units, SLOTS]} | speed_row(topk_bytes(units, SLOTS, batch), times, copy)


def time_mask(device: torch.device, copy: float) -> dict[str, Any]:
    """Masks of 512 winners with maps of 7x7."""
    count, side = 512, 224
    images = torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, device=device)
    maps, thresholds = torch.randn(count, 7, 7, device=device), torch.zeros(count, device=device)
    times = seconds_of(lambda: mask_batch(images, maps, thresholds))
    return {"kernel": "mask", "shape": list(images.shape)} | speed_row(mask_bytes(count, side, side, 49), times, copy)


def time_all(device: torch.device, copy: float) -> list[dict[str, Any]]:
    """Rows of all kernels; each reduction is timed in both layouts and two precisions."""
    rows = []
    for batch in BATCHES:
        for name in RESNET_LAYERS:
            for dtype in (torch.float32, torch.bfloat16):
                for channels_last in (False, True):
                    for count in (True, False):
                        rows.append(time_reduce(name, batch, dtype, channels_last, count, device, copy))
        rows.append(time_topk(batch, device, copy))
    return [*rows, time_mask(device, copy)]


def driver() -> str | None:
    """The version of the NVIDIA driver, or None where nvidia-smi does not say."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[0].strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def run_check(device: torch.device) -> dict[str, Any]:
    """All that the check measures, as data; prints a line for each finding."""
    from ..throughput.extraction import run_benchmark
    from ..throughput.surroundings import surroundings

    checks = list(check_all(device, "triton"))
    wrong = [row for row in checks if not row["equal"]]
    print(f"{len(checks) - len(wrong)} of {len(checks)} checks against float64 passed")
    for row in wrong:
        print(f"  WRONG: {row}")
    copy = measure_copy(device)
    print(f"copy: {copy / 1e9:.0f} GB/s (goal of a reduction: {GOAL:.0%} of it)")
    timings = time_all(device, copy)
    for row in timings:
        what = " ".join(str(row[key]) for key in ("kernel", "layer", "shape", "dtype", "layout", "work") if key in row)
        share, micros = row["share_of_copy_bandwidth"], row["seconds_median"] * 1e6
        print(f"{share:6.1%} (goal {GOAL:.0%}) {micros:9.1f} us  {what}")
    extraction = run_benchmark(
        model="torchvision:resnet152", layers=list(RESNET_LAYERS), device=str(device), batch=BATCHES[0],
        images=BATCHES[0] * 16, repeats=5, dtype="float32",
    )  # fmt: skip
    print(f"index pass: {extraction['ratio_to_bare']:.3f} times the bare forward (goal {RATIO_GOAL})")
    return {
        "correctness": checks,
        "copy_bytes_per_second": copy,
        "timings": timings,
        "extraction": extraction,
        "goals": {"share_of_copy_bandwidth": GOAL, "ratio_to_bare": RATIO_GOAL},
        "driver": driver(),
        **surroundings(device),
    }


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0, 1 where a kernel is wrong, 2 without a GPU."""
    parser = argparse.ArgumentParser(prog="python -m maia.benchmarks.gpu.check", description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    chosen = parser.parse_args(arguments)
    try:
        found = run_check(require_gpu())
    except UserError as error:
        print(f"maia: {error}", file=sys.stderr)
        return 2
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0 if all(row["equal"] for row in found["correctness"]) else 1


if __name__ == "__main__":
    sys.exit(main())
