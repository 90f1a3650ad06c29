"""The check for a machine with a CUDA GPU: kernels, generators, swaps, memory and the concept detector.

    python -m maia.benchmarks.gpu.check [--json FILE] [--only kernels|models] [--minutes M]     (or: make gpu-check)

Kernels: each against float64 (correctness.py), then timed with CUDA events beside a copy of memory in the same run, and
the extraction benchmark on ResNet-152. Models: pipelines of SD-1.5's and InstructPix2Pix's shape with random weights
against their network's own time, plain diffusers, other batches, the bus, and what plans count with; Grounding DINO
with SAM of base size against one concept at a time (measures.py).
What cannot be measured costs its own row; what would not end within M minutes is not begun, and told.

Ends with exit code 1 where a kernel is wrong or a picture is not what was promised, and with 2 without a GPU. Goals
that are missed are told and end nothing. NOT RUN ON A GPU YET: the kernels were verified under Triton's interpreter and
compiled for sm_90, the measurements of models ran on the CPU with tiny pipelines.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
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
from .measures import lab_setup, measure_models
from .rows import Findings
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

PARTS = ("kernels", "models")
MINUTES = 8.0
"""For everything together; what has begun is brought to its end."""

_WARM_UP, _REPEATS = 10, 50
_COPIED = 2**30
_COLD = 2**29  # Inputs are taken in turn until they are this much together: far more than any GPU's cache.


def require_gpu() -> torch.device:
    """The CUDA device. Raises UserError where there is none."""
    if not torch.cuda.is_available():
        raise UserError(
            "This check measures on a CUDA GPU, and torch finds none here: run `make gpu-check` on a machine with"
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


def check_kernels(device: torch.device) -> dict[str, Any]:
    """All that is found of the kernels, as data; prints a line for each finding."""
    from ..throughput.extraction import run_benchmark

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
    }


def check_models(device: torch.device, deadline: float) -> dict[str, Any]:
    """All that is found of generators, swaps, memory and the detector: rows, printed as they come. deadline: of
    time.monotonic."""
    findings = Findings(deadline)
    measure_models(device, findings, lab_setup())
    missed = [row for row in findings.rows if row["met"] is False]
    failed = [row for row in findings.rows if "error" in row]
    print(f"{len(findings.rows)} rows: {len(missed)} goals missed, {len(failed)} not measured")
    return {"models": findings.rows}


def run_check(
    device: torch.device, parts: Sequence[str], minutes: float, keep: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """What the parts find, as data. keep: gets all that has been found after each part."""
    from ..throughput.surroundings import surroundings, version

    deadline = time.monotonic() + 60 * minutes
    found: dict[str, Any] = {"driver": driver(), **surroundings(device)}
    found["generator_libraries"] = {name: version(name) for name in ("diffusers", "transformers", "accelerate")}
    for part in parts:
        started = time.monotonic()
        try:
            found |= check_kernels(device) if part == "kernels" else check_models(device, deadline)
        # One part that fails must not cost the other.
        except Exception as error:
            found[f"{part}_error"] = f"{type(error).__name__}: {error}"
            print(f"  the part {part} failed: {found[f'{part}_error']}")
        found[f"{part}_seconds"] = time.monotonic() - started
        keep(found)
    return found


def is_right(found: dict[str, Any]) -> bool:
    """No part failed, no kernel is wrong, and no picture is other than promised."""
    if any(f"{part}_error" in found for part in PARTS):
        return False
    kernels = all(row["equal"] for row in found.get("correctness", []))
    return kernels and all(row["met"] for row in found.get("models", []) if row.get("promise"))


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0, 1 where a kernel or a picture is wrong, 2 without a GPU."""
    parser = argparse.ArgumentParser(prog="python -m maia.benchmarks.gpu.check", description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--only", choices=PARTS, help="one part alone")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"for everything (default: {MINUTES:g})")
    chosen = parser.parse_args(arguments)

    def keep(found: dict[str, Any]) -> None:
        if chosen.json:
            chosen.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

    try:
        found = run_check(require_gpu(), [chosen.only] if chosen.only else PARTS, chosen.minutes, keep)
    except UserError as error:
        print(f"maia: {error}", file=sys.stderr)
        return 2
    return 0 if is_right(found) else 1


if __name__ == "__main__":
    sys.exit(main())
