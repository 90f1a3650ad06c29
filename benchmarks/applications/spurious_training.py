"""ResNet-18 on Spawrious, trained as in the paper's appendix F2, and as a target that experiments can ask.

The paper gives one epoch, learning rate 1e-4, weight decay 1e-4 and a dropout of .1 on the last layer. It does not say
which optimiser, batch and first weights it took: here Adam (as in the dataset's own baselines), batches of 64, and
torchvision's ImageNet weights unless random ones are asked for. Pictures are not augmented.
"""

import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...models.errors import UserError
from ...models.files import write_whole
from .spawrious_folder import BREEDS, Sample

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ...models.networks.network import Network

LAYER = "layer4"
"""Its units are those of the last layer: averaged over positions they are the 512 inputs of the classifier."""
SIDE = 224
WEIGHTS, CHECKPOINT, LOG = "network.safetensors", "training.pt", "training.json"
TARGET = f"{__name__}:trained_network"
"""The trained network's name as a target; its weights are the file WEIGHTS of a study."""
RANDOM = "random"


@dataclass(frozen=True)
class Recipe:
    """How the network is trained. initial: a file or folder of torchvision's ResNet-18, RANDOM, or None: where weights
    are kept ($MAIA_WEIGHTS). every: steps between checkpoints. steps: at most (None: the whole epoch)."""

    learning_rate: float = 1e-4
    weight_decay: float = 1e-4
    dropout: float = 0.1
    batch: int = 64
    seed: int = 0
    initial: str | None = None
    every: int = 25
    steps: int | None = None


def build_module(dropout: float = Recipe.dropout) -> "nn.Module":
    """torchvision's ResNet-18 with as many classes as there are breeds, with torch's random weights."""
    from torch import nn
    from torchvision import models

    module = models.resnet18(weights=None)
    module.fc = nn.Sequential(nn.Dropout(dropout), nn.Linear(512, len(BREEDS)))
    return module


def trained_network(weights: Path | None) -> "Network":
    """The network of a finished training, from its file. Raises UserError where there is none, or another's."""
    from ...models.networks.build import make_network
    from ...models.networks.network import Preprocess
    from ...models.networks.weights import WeightFiles, load_state, read_state
    from ..baselines.milan import IMAGENET_MEAN, IMAGENET_STD

    file = None if weights is None else Path(weights) / WEIGHTS if Path(weights).is_dir() else Path(weights)
    if file is None or not file.is_file():
        raise UserError(
            f"{TARGET} needs the file {WEIGHTS} that `maia spurious --data` has trained: name it (--weights)."
        )
    module = build_module().eval()
    load_state(module, read_state(file, WeightFiles((WEIGHTS,), "maia spurious")), file)
    preprocess = Preprocess(SIDE, SIDE, "bilinear", IMAGENET_MEAN, IMAGENET_STD)
    description = "ResNet-18 trained on Spawrious' one-to-one easy set"
    return make_network(
        TARGET.replace(".", "-"), module, preprocess, {LAYER: LAYER}, "classes", f"{TARGET}/1", description
    )


def train(
    samples: Sequence[Sample],
    folder: Path,
    recipe: Recipe,
    device: str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Train for one epoch and write WEIGHTS and LOG into the folder; returns LOG's content.

    A training that was killed goes on from its last checkpoint, and ends with the same weights on the same machine. One
    that is finished is not repeated. Raises UserError where it diverges (checkpoints hold finite weights only), where
    the folder holds a training of something else, and for initial weights that are missing.
    """
    told = {"recipe": asdict(recipe), "samples": len(samples), "first": [str(s.path.name) for s in samples[:3]]}
    if (folder / LOG).is_file() and (folder / WEIGHTS).is_file():
        log: dict[str, Any] = json.loads((folder / LOG).read_text(encoding="utf-8"))
        _same(folder, log, told)
        return log
    import torch
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    state = _Training(samples, recipe, device)
    state.resume(folder, told)
    while state.step < state.steps:
        loss = state.advance()
        if not math.isfinite(loss):
            raise UserError(
                f"the training diverged: the loss of step {state.step + 1} of {state.steps} is {loss}; give a lower "
                f"--learning-rate (it is {recipe.learning_rate:g}) and another --out; {folder / CHECKPOINT} holds the "
                "last weights that were sound."
            )
        if state.step % recipe.every == 0 and state.finite():
            state.keep(folder, told)
        progress(state.step, state.steps)
    if not state.finite():
        raise UserError(
            f"the training diverged: weights are not finite after {state.step} steps; give a lower --learning-rate (it "
            f"is {recipe.learning_rate:g}) and another --out."
        )
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.module.state_dict().items()}
    write_whole(folder / WEIGHTS, save(tensors))
    log = told | {
        "losses": state.losses,
        "unreadable": sorted(state.unreadable),
        "device": device,
        "torch": torch.__version__,
    }
    write_whole(folder / LOG, (json.dumps(log, indent=1) + "\n").encode())
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return log


class _Training:
    """Network, optimiser and place in the epoch."""

    def __init__(self, samples: Sequence[Sample], recipe: Recipe, device: str) -> None:
        import torch

        self.samples, self.recipe, self.device = samples, recipe, device
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.order = torch.randperm(len(samples), generator=self.generator).tolist()
        whole = math.ceil(len(samples) / recipe.batch)
        self.steps = whole if recipe.steps is None else min(whole, recipe.steps)
        self.step, self.losses = 0, list[float]()
        self.unreadable: set[str] = set()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.module = build_module(recipe.dropout)
        self.optimiser: torch.optim.Adam | None = None

    def resume(self, folder: Path, told: dict[str, Any]) -> None:
        """From the folder's checkpoint, else from the initial weights."""
        import torch

        file = folder / CHECKPOINT
        found = None
        if file.is_file():
            try:
                found = torch.load(file, map_location="cpu", weights_only=True)
            except Exception as problem:  # of pickle, zipfile, torch
                raise UserError(f"{file} is damaged ({type(problem).__name__}): delete it to begin again.") from None
            _same(folder, json.loads(found["told"]), told)
        if found is None:
            _initial(self.module, self.recipe)
        self.module.to(self.device).train()
        self.optimiser = torch.optim.Adam(
            self.module.parameters(), lr=self.recipe.learning_rate, weight_decay=self.recipe.weight_decay
        )
        if found is not None:
            self.module.load_state_dict(found["module"])
            self.optimiser.load_state_dict(found["optimiser"])
            self.step, self.losses = int(found["step"]), list(found["losses"])
            self.unreadable = set(found["unreadable"])

    def advance(self) -> float:
        """One step; the loss. Weights change only where it is finite."""
        import torch
        from torch.nn.functional import cross_entropy

        assert self.optimiser is not None
        size = self.recipe.batch
        chosen = [self.samples[i] for i in self.order[self.step * size : (self.step + 1) * size]]
        pixels, labels = self._batch(chosen)
        if len(labels):
            with torch.random.fork_rng(devices=[] if self.device == "cpu" else None):
                torch.manual_seed(self.recipe.seed * 1_000_003 + self.step)  # of dropout: of the step alone
                loss = cross_entropy(self.module(pixels), labels)
            value = float(loss.detach())
            if not math.isfinite(value):
                return value
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
            self.losses.append(round(value, 5))
        else:
            value = 0.0
        self.step += 1
        return value

    def finite(self) -> bool:
        """Whether all weights are."""
        import torch

        return all(bool(torch.isfinite(tensor).all()) for tensor in self.module.state_dict().values())

    def keep(self, folder: Path, told: dict[str, Any]) -> None:
        """Write the checkpoint."""
        import torch

        assert self.optimiser is not None
        buffer = io.BytesIO()
        state = {
            "told": json.dumps(told),
            "module": self.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "losses": self.losses,
            "unreadable": sorted(self.unreadable),
        }
        torch.save(state, buffer)
        write_whole(folder / CHECKPOINT, buffer.getvalue())

    def _batch(self, chosen: Sequence[Sample]) -> "tuple[torch.Tensor, torch.Tensor]":
        import torch
        from PIL import Image

        from ..baselines.milan import IMAGENET_MEAN, IMAGENET_STD

        pixels, labels = [], []
        for sample in chosen:
            try:
                with Image.open(sample.path) as image:
                    small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            except (OSError, ValueError, SyntaxError):
                self.unreadable.add(str(sample.path))
                continue
            pixels.append(np.asarray(small))
            labels.append(sample.label)
        if not labels:
            return torch.zeros(0, 3, SIDE, SIDE), torch.zeros(0, dtype=torch.long)
        data = torch.from_numpy(np.stack(pixels)).to(self.device).float() / 255
        mean, std = (torch.tensor(values, device=self.device) for values in (IMAGENET_MEAN, IMAGENET_STD))
        return ((data - mean) / std).permute(0, 3, 1, 2), torch.tensor(labels, device=self.device)


def _initial(module: "nn.Module", recipe: Recipe) -> None:
    """ImageNet's weights but for the last layer. Raises UserError where they are missing or of another network."""
    from ...models.networks.load import load_architecture

    if recipe.initial == RANDOM:
        return
    try:
        found = load_architecture("resnet18", "resnet18", Path(recipe.initial) if recipe.initial else None)
    except UserError as problem:
        raise UserError(
            f"{problem} (This is for the training's first weights: name them with --initial, or give --initial random.)"
        ) from None
    body: Any = found.module
    state = {name: tensor for name, tensor in body.network.state_dict().items() if not name.startswith("fc.")}
    module.load_state_dict(state, strict=False)


def _same(folder: Path, old: dict[str, Any], told: dict[str, Any]) -> None:
    different = [name for name in told if old.get(name) != told[name]]
    if different:
        raise UserError(
            f"{folder} holds a training of something else ({', '.join(different)} differ): give the same options as "
            "then, or another --out."
        )
