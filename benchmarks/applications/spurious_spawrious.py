"""Spawrious as a problem: the folder's splits, the network trained on them, and its last layer over each."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from ...models.errors import UserError
from .spawrious_folder import BREEDS, NAMES, PHRASES, Sample, Spawrious, balanced_sets, open_spawrious
from .spurious_features import Counted, complete, features_of
from .spurious_problem import Problem
from .spurious_rows import BALANCED_SETS, BALANCED_SIZE, Split
from .spurious_training import LAYER, TARGET, WEIGHTS, Recipe, train


def spawrious_problem(
    folder: Path,
    out: Path,
    recipe: Recipe,
    progress: Callable[[str], Counted],
    device: str | None = None,
    limit: int | None = None,
) -> Problem:
    """Trains, then measures all splits; what is in `out` already is not done again.

    limit: see `open_spawrious`. Raises UserError: no Spawrious, a training that diverges, weights that are missing.
    """
    from ...engine.targets import NetworkTarget, load_target, resolve_device

    found = open_spawrious(folder, recipe.seed, limit)
    chosen = resolve_device(device)
    log = train(found.training, out / "network", recipe, str(chosen), progress("training steps"))
    target = load_target(TARGET, weights=out / "network" / WEIGHTS, device=chosen)
    assert isinstance(target, NetworkTarget)
    notes: list[str] = []
    if log["unreadable"]:
        notes.append(f"{len(log['unreadable'])} training pictures could not be read and count nowhere.")
    validation, _ = _measured(target, found.validation, "validation", out, notes, progress)
    test, _ = _measured(target, found.test, "test", out, notes, progress)
    pool, pooled = _measured(target, found.pool, "pool", out, notes, progress)
    samples = [found.pool[row] for row in pooled]
    try:
        balanced = balanced_sets(samples, BALANCED_SIZE, BALANCED_SETS, recipe.seed)
    except UserError as problem:
        balanced = []
        notes.append(f"No balanced rows: {problem}")
    if balanced and len(balanced[0]) != BALANCED_SIZE:
        notes.append(f"Balanced sets have {len(balanced[0])} pictures, not {BALANCED_SIZE}: the folder allows no more.")
    return Problem(
        name="Spawrious O2O-easy",
        classes=tuple(NAMES[breed] for breed in BREEDS),
        surroundings=tuple(PHRASES.values()),
        target=target,
        weights=str(out / "network" / WEIGHTS),
        layer=LAYER,
        pooling="mean",
        exemplars=_linked(found.validation, out / "exemplars"),
        validation=validation,
        test=test,
        pool=pool,
        pool_places=np.array([sample.place for sample in samples]),
        balanced=balanced,
        original=_right(target, test),
        facts=_facts(found, log, recipe),
        notes=notes,
    )


def _measured(
    target: "object", samples: list[Sample], name: str, out: Path, notes: list[str], progress: Callable[[str], Counted]
) -> tuple[Split, list[int]]:
    """The split's features, and the positions of the pictures that could be read."""
    from ...engine.targets import NetworkTarget

    assert isinstance(target, NetworkTarget)

    def draw(i: int) -> Image.Image:
        with Image.open(samples[i].path) as image:
            return image.convert("RGB")

    told = [str(sample.path) for sample in samples]
    features = features_of(target, LAYER, "mean", draw, told, out / "features" / name, progress(f"{name} pictures"))
    labels = np.array([sample.label for sample in samples])
    there = np.flatnonzero(~np.isnan(features).any(1)).tolist()
    return Split(*complete(features, labels, name, notes)), there


def _right(target: "object", test: Split) -> np.ndarray:
    """What the network's own last layer gets right: its input are the features that were measured."""
    import torch
    from torch import nn

    from ...engine.targets import NetworkTarget

    assert isinstance(target, NetworkTarget)
    classifier = target.network.module.get_submodule("network.fc")
    assert isinstance(classifier, nn.Module)
    with torch.inference_mode():
        features = torch.from_numpy(test.features).to(target.device)
        found = classifier(features).argmax(1).cpu().numpy()
    return np.asarray(found == test.labels, dtype=bool)


def _linked(samples: list[Sample], folder: Path) -> Path:
    """The pictures under names that tell nothing but a number: exemplars are taken from these."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, sample in enumerate(samples):
        link = folder / f"{number:06d}{sample.path.suffix.lower()}"
        if not link.is_symlink():
            link.symlink_to(sample.path.resolve())
    return folder


def _facts(found: Spawrious, log: dict[str, object], recipe: Recipe) -> dict[str, object]:
    losses = log["losses"]
    last = losses[-10:] if isinstance(losses, list) else []
    return {
        "pictures": ", ".join(f"{name} {count}" for name, count in found.counts.items()),
        "training": f"one epoch, batches of {recipe.batch}, learning rate {recipe.learning_rate:g}",
        "first weights": recipe.initial or "torchvision's, of ImageNet",
        "loss at the end": f"{sum(last) / len(last):.3f}" if last else "unknown",
    }
