"""What the bits of an image's activations depend on: its place in the batch, the other images, the batch's size,
the number of threads. The index pass relies on the first two being "no": see `engine.index_pass`.

    python -m maia.benchmarks.throughput.batch_bits [--model NAME …] [--device cuda] [--json FILE]
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from ...engine.targets import NetworkTarget, resolve_device
from ...models.registry import load_network
from .surroundings import surroundings

MODELS = ("resnet18", "torchvision:resnet50", "dino-vits8")
BATCH = 16


def batch_bits(model: str, device: str | None = None, layers: list[str] | None = None) -> dict[str, dict[str, bool]]:
    """Of each layer, whether the bits stay the same: {"place", "others", "size", "threads": bool}, random weights.

    place: the batch permuted. others: half of the other images replaced by zeros. size: half a batch. threads: two
    CPU threads instead of one (on a GPU there is no such entry).
    """
    network = load_network(model, "random")
    target = NetworkTarget(network, resolve_device(device), torch.float32, 1)
    names = layers or list(network.layers)
    size = network.preprocess.size
    pixels = torch.randint(0, 256, (BATCH, size, size, 3), dtype=torch.uint8, generator=torch.manual_seed(0))
    order = torch.randperm(BATCH, generator=torch.manual_seed(1))
    fewer = pixels.clone()
    fewer[BATCH // 2 :] = 0

    def outputs(given: torch.Tensor) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = {}
        target.forward(given, names, lambda layer, x: found.update({layer: x.clone()}))
        return found

    whole, permuted = outputs(pixels), outputs(pixels[order])
    others, half = outputs(fewer), outputs(pixels[: BATCH // 2])
    rows = order.to(target.device)
    table = {
        name: {
            "place": torch.equal(whole[name][rows], permuted[name]),
            "others": torch.equal(whole[name][: BATCH // 2], others[name][: BATCH // 2]),
            "size": torch.equal(whole[name][: BATCH // 2], half[name]),
        }
        for name in names
    }
    if target.device.type == "cpu":
        target.threads = 2
        doubled = outputs(pixels)
        for name in names:
            table[name]["threads"] = torch.equal(whole[name], doubled[name])
    return table


def main() -> None:
    """Prints a table for each model; exit code 1 if bits depend on place or on the other images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", default=None, help="may be given more than once")
    parser.add_argument("--device")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    tables = {model: batch_bits(model, given.device) for model in given.model or MODELS}
    for model, table in tables.items():
        for layer, row in table.items():
            words = "  ".join(f"{name}: {'same' if same else 'OTHER'}" for name, same in row.items())
            print(f"{model:24} {layer:20} {words}")
    report: dict[str, Any] = {"benchmark": "batch_bits", "batch": BATCH, "same": tables}
    if given.json:
        given.json.write_text(json.dumps(report | surroundings(resolve_device(given.device)), indent=1) + "\n")
    if not all(row["place"] and row["others"] for table in tables.values() for row in table.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
