"""A network of a few thousand weights, and pictures for it: what tests of index and extraction run on."""

from pathlib import Path

import numpy as np
import torch
from maia.engine.targets import NetworkTarget
from maia.models.networks.network import LayerSpec, Network, Preprocess
from PIL import Image
from torch import nn

SIZE = 20
LAYERS = {
    "early": LayerSpec("early", 5, "map"),
    "late": LayerSpec("late", 4, "map"),
    "logits": LayerSpec("logits", 3, "vector"),
}


class Tiny(nn.Module):
    """early [B, 5, 10, 10] after ReLU, late [B, 4, 5, 5], logits [B, 3]. late's unit 0 is dead; early has many ties."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.early = nn.Sequential(nn.Conv2d(3, 5, 3, 2, 1), nn.ReLU())
        self.late = nn.Conv2d(5, 4, 3, 2, 1)
        self.logits = nn.Linear(4, 3)
        with torch.no_grad():
            self.late.weight[0], self.late.bias[0] = 0.0, -0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits(self.late(self.early(x)).amax((2, 3)))


def tiny_network(seed: int = 0) -> Network:
    """The network; another seed has other weights and another fingerprint."""
    preprocess = Preprocess(SIZE, SIZE + 2, "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    return Network("tiny", Tiny(seed).eval(), preprocess, LAYERS, f"tiny-{seed}", "a test's network")


def tiny_target(seed: int = 0) -> NetworkTarget:
    """The network as a target on the CPU, one thread."""
    return NetworkTarget(tiny_network(seed), torch.device("cpu"), torch.float32, 1)


def picture(seed: int, width: int = 26, height: int = 22) -> Image.Image:
    """Blocks of random colours; every seventh picture is the same grey, so that activations tie."""
    if seed % 7 == 3:
        return Image.new("RGB", (width, height), (90, 90, 90))
    blocks = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST)


def write_pictures(folder: Path, count: int, bad_every: int | None = None, with_bad: bool = True) -> Path:
    """PNG files c0/000.png .. in `folder`; every bad_every-th name is a bad file, or left out (with_bad False)."""
    for k in range(count):
        path = folder / f"c{k % 3}" / f"{k:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if bad_every and k % bad_every == bad_every - 1:
            if with_bad:
                path.write_bytes([b"", b"no picture at all", b"\x89PNG\r\n\x1a\n cut"][k % 3])
        else:
            picture(k).save(path)
    return folder


def contents(directory: Path) -> dict[str, bytes]:
    """Every file of an index by name, without locks."""
    files = (
        path for path in directory.rglob("*") if path.is_file() and path.suffix != ".lock" and path.name != ".lock"
    )
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}
