"""The offline world as a service: text to pictures, edits, and which scene a picture shows."""

import threading
from collections import OrderedDict
from typing import TypeVar

import numpy as np
from PIL import Image

from ..errors import ExperimentError
from ..pictures import pixel_hash
from .catalogue import Purpose
from .dataset import dataset_scene
from .drawn_ahead import DrawnAhead
from .edits import edit_scene
from .language import parse_prompt
from .renderer import render
from .scene import Rendering, Scene

REMEMBERED_SCENES = 20_000
"""Pictures whose scenes a World remembers; the least recently used are forgotten first."""
REMEMBERED_RENDERINGS = 32
"""Renderings (about 250 KB each) kept for masks."""

_T = TypeVar("_T")


class _Recent(OrderedDict[str, _T]):
    """Mapping that keeps the most recently used entries. Not thread-safe by itself."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity

    def keep(self, key: str, value: _T) -> None:
        self[key] = value
        self.move_to_end(key)
        while len(self) > self.capacity:
            self.popitem(last=False)

    def use(self, key: str) -> _T | None:
        if key in self:
            self.move_to_end(key)
        return self.get(key)


class World:
    """Draws prompts, edits and dataset scenes, and remembers which picture shows which scene.

    Pictures are RGB PIL images of 224x224. Safe to use from several threads. A picture whose pixels were changed
    (cropped, blurred, pasted) is unknown: `scene_of` says None, and callers decide what that means.
    """

    def __init__(self, scenes: int = REMEMBERED_SCENES, renderings: int = REMEMBERED_RENDERINGS) -> None:
        self._scenes: _Recent[Scene] = _Recent(scenes)
        self._renderings: _Recent[Rendering] = _Recent(renderings)
        self._lock = threading.Lock()

    def draw(self, prompt: str, seed: int, purpose: Purpose = "exploration") -> Image.Image:
        """The picture of a prompt and seed. Raises ExperimentError for one that cannot be drawn."""
        return self.register(parse_prompt(prompt, seed, purpose))[0]

    def edited(self, image: Image.Image, instruction: str) -> Image.Image:
        """The picture after its instruction. Raises ExperimentError for either that it cannot use."""
        return self.register(edit_scene(self._known(image), instruction))[0]

    def dataset_image(self, k: int) -> Image.Image:
        """Picture k of the dataset; always the same."""
        return self.register(dataset_scene(k))[0]

    def dataset_scene(self, k: int) -> Scene:
        """Scene k of the dataset; nothing is drawn."""
        return dataset_scene(k)

    def drawn_ahead(self) -> DrawnAhead:
        """The dataset's pictures for one pass over them, which this world does not remember."""
        return DrawnAhead()

    def register(self, scene: Scene) -> tuple[Image.Image, Rendering]:
        """Draw a scene and remember its picture."""
        rendering = render(scene)
        image = Image.fromarray(np.ascontiguousarray(rendering.image))
        key = pixel_hash(image)
        with self._lock:
            self._scenes.keep(key, scene)
            self._renderings.keep(key, rendering)
        return image, rendering

    def scene_of(self, image: Image.Image) -> Scene | None:
        """The scene that a picture shows; None when no picture with these pixels is remembered."""
        key = pixel_hash(image)
        with self._lock:
            return self._scenes.use(key)

    def rendering_of(self, image: Image.Image) -> tuple[Scene, Rendering] | None:
        """Scene and exact masks of a picture, drawn again when they are not at hand; None when it is not known."""
        key = pixel_hash(image)
        with self._lock:
            scene, rendering = self._scenes.use(key), self._renderings.use(key)
        if scene is None:
            return None
        if rendering is None:
            rendering = render(scene)
            with self._lock:
                self._renderings.keep(key, rendering)
        return scene, rendering

    def _known(self, image: Image.Image) -> Scene:
        if not isinstance(image, Image.Image):
            raise ExperimentError(f"an edit needs a PIL image, not {type(image).__name__}.")
        scene = self.scene_of(image)
        if scene is None:
            raise ExperimentError(
                "it is no picture that this world drew (or its pixels were changed since), so it cannot be edited: "
                "edit pictures as text2image, the exemplars or an earlier edit returned them, or give a prompt instead."
            )
        return scene
