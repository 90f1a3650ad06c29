"""How often the describer is right, by family, on held-out scenes and on held-out drawings."""

from dataclasses import dataclass, field

import numpy as np

from .catalogue import Purpose
from .dense import CELL, GRID
from .describer import Describer, Sight
from .describer_scenes import EVALUATION_SEED, picture, random_scene
from .renderer import render
from .scene import Rendering, Scene

SCENES = 250
FAMILIES = ("noun", "colour", "pattern", "background", "false objects")


@dataclass
class Tally:
    """Right and asked, by family. "false objects": pieces named where no object is, of all named."""

    right: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FAMILIES, 0))
    asked: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FAMILIES, 0))

    def add(self, family: str, right: bool) -> None:
        self.right[family] += right
        self.asked[family] += 1

    def line(self) -> str:
        return ", ".join(
            f"{family} {self.right[family] / max(1, self.asked[family]):.3f} of {self.asked[family]}"
            for family in FAMILIES
        )


def compare(scene: Scene, rendering: Rendering, sight: Sight, tally: Tally) -> None:
    """Adds one picture: each true object is compared with the seen object that covers most of it (none: all wrong)."""
    if scene.surface is not None:
        tally.add("colour", bool(sight.surface and sight.surface[0] == scene.surface[0]))
        tally.add("pattern", bool(sight.surface and sight.surface[1] == scene.surface[1]))
        return
    tally.add("background", sight.background == scene.background)
    shares = [
        (rendering.objects == i + 1).reshape(GRID, CELL, GRID, CELL).mean(axis=(1, 3))
        for i in range(len(scene.objects))
    ]
    for entry, share in zip(scene.objects, shares, strict=True):
        overlaps = [share[seen.cells].sum() for seen in sight.objects]
        seen = sight.objects[int(np.argmax(overlaps))] if overlaps and max(overlaps) > 0 else None
        for family in ("noun", "colour", "pattern"):
            tally.add(family, seen is not None and getattr(seen, family) == getattr(entry, family))
    for seen in sight.objects:
        tally.add("false objects", not any(share[seen.cells].sum() > 0.2 * seen.cells.sum() for share in shares))


def measure(describer: Describer, purpose: Purpose, scenes: int = SCENES) -> Tally:
    """The describer on scenes that nothing was trained on, half of them restored from masked images."""
    tally = Tally()
    for i in range(scenes):
        scene = random_scene(EVALUATION_SEED + i, purpose)
        rendering = render(scene)
        compare(scene, rendering, describer.see(picture(scene, rendering)), tally)
    return tally


def report(describer: Describer) -> str:
    """Two lines: accuracy on exploration drawings in new scenes, and on the evaluation drawings."""
    return "\n".join(
        f"{purpose} drawings: {measure(describer, purpose).line()}" for purpose in ("exploration", "evaluation")
    )
