"""How similar pictures and concepts are: by CLIP, or in the offline world by words, without any weights."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from PIL import Image

from ...agent.backbones.scripted.evidence import concepts_in, members_of
from ...agent.services import Services
from ...models.diffusion.quiet import quiet
from ...models.errors import ExperimentError, UserError, first_line
from ...models.targets import nearest_first
from ...models.testbed.scene import Concept, Scene, concept_present, find_concept

BATCH = 32
"""Rows of a forward through CLIP."""


class ImageTextSimilarity(Protocol):
    """Compares pictures with concepts. name: for people, and in the facts of a result."""

    name: str

    async def __call__(self, services: Services, images: Sequence[Image.Image], concepts: Sequence[str]) -> np.ndarray:
        """float32 [images, concepts], higher is more alike. Raises UserError for concepts that it cannot judge,
        ExperimentError where one of the pictures cannot be used."""
        ...


class DescriberWords:
    """1 for a concept that whoever describes the run's pictures names in one of them, 0 for any other: the same eyes
    that the experimenter has, in the place of CLIP. Concepts are those of the offline world."""

    name = "words of the describer"

    async def __call__(self, services: Services, images: Sequence[Image.Image], concepts: Sequence[str]) -> np.ndarray:
        """See `ImageTextSimilarity`."""
        _known(concepts)
        seen = [concepts_in(line) for line in await services.describe(images)]
        return np.array([[bool(members_of(word) & own) for word in concepts] for own in seen], np.float32)


class SceneWords:
    """1 for a concept that the picture's scene holds, 0 for any other: an image-text model that never errs."""

    name = "words of the scene"

    def __init__(self, scene_of: Callable[[Image.Image], Scene | None]) -> None:
        """scene_of: `World.scene_of`."""
        self._scene_of = scene_of

    async def __call__(self, services: Services, images: Sequence[Image.Image], concepts: Sequence[str]) -> np.ndarray:
        """See `ImageTextSimilarity`."""
        known = _known(concepts)
        rows = []
        for image in images:
            scene = self._scene_of(image)
            if scene is None:
                raise ExperimentError("it is no picture that the offline world drew, so its scene is not known.")
            rows.append([concept_present(scene, concept) for concept in known])
        return np.array(rows, np.float32)


def _known(concepts: Sequence[str]) -> list[Concept]:
    found = [find_concept(word) for word in concepts]
    for word, concept in zip(concepts, found, strict=True):
        if concept is None:
            from ...agent.backbones.scripted.hypotheses import CONCEPTS

            raise UserError(
                f"the offline world has no word {word!r} to judge pictures by: choose from "
                f"{nearest_first(word, CONCEPTS)}; or compare pictures and concepts with CLIP."
            )
    return [concept for concept in found if concept is not None]


class ClipSimilarity:
    """Cosines of CLIP's embeddings of pictures and of the bare concepts, as CLIP-Dissect takes them.

    truncated: concepts that were longer than the text encoder reads, until now, and were cut.
    """

    def __init__(self, model: Any, tokenizer: Any, processor: Any, name: str, device: str = "cpu") -> None:
        self.name = name
        self.truncated = 0
        self._model, self._tokenizer, self._processor, self._device = model, tokenizer, processor, device
        self._texts: tuple[tuple[str, ...], np.ndarray] | None = None
        self._lock = threading.Lock()

    @classmethod
    def load(cls, folder: Path, device: str = "cpu") -> Self:
        """CLIP of a local folder in transformers' format, in float32. Nothing is fetched.

        Raises UserError for a folder that is missing, damaged, lacks weights, or holds another kind of model.
        """
        from safetensors import SafetensorError
        from transformers import AutoTokenizer, CLIPImageProcessor, CLIPModel

        place = folder.expanduser()
        if not (place / "config.json").is_file():
            raise UserError(f"{place} holds no CLIP: name a folder with config.json, weights, tokenizer and processor.")
        with quiet():
            try:
                loaded: Any = CLIPModel.from_pretrained(
                    place, local_files_only=True, dtype="float32", output_loading_info=True
                )
                model, report = loaded
                tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=True)
                processor = CLIPImageProcessor.from_pretrained(place, local_files_only=True)
            except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, SafetensorError) as problem:
                raise UserError(
                    f"the CLIP in {place} cannot be read ({first_line(problem)}): copy the folder again."
                ) from None
        if missing := sorted(report["missing_keys"]):
            more = f" and {len(missing) - 1} more" if missing[1:] else ""
            raise UserError(f"the weights in {place} lack {missing[0]}{more}: copy the folder again.")
        return cls(model.eval().to(device), tokenizer, processor, place.resolve().name, device)

    async def __call__(self, services: Services, images: Sequence[Image.Image], concepts: Sequence[str]) -> np.ndarray:
        """See `ImageTextSimilarity`. The concepts' embeddings are kept until others are asked for."""
        return await asyncio.to_thread(self.similarities, images, concepts)

    def similarities(self, images: Sequence[Image.Image], concepts: Sequence[str]) -> np.ndarray:
        """Cosines -1 … 1: float32 [images, concepts]."""
        with self._lock:
            if self._texts is None or self._texts[0] != tuple(concepts):
                self._texts = (tuple(concepts), self._embedded(list(concepts), self._text_features))
            cosines = self._embedded(list(images), self._image_features) @ self._texts[1].T
        return np.asarray(np.clip(cosines, -1.0, 1.0), np.float32)

    def _embedded(self, items: list[Any], features: Callable[[list[Any]], Any]) -> np.ndarray:
        import torch

        parts = []
        with torch.inference_mode():
            for start in range(0, len(items), BATCH):
                rows = features(items[start : start + BATCH]).float()
                parts.append(torch.nn.functional.normalize(rows, dim=1).cpu().numpy())
        return np.concatenate(parts)

    def _text_features(self, texts: list[str]) -> Any:
        limit = self._model.config.text_config.max_position_embeddings
        whole = self._tokenizer(texts)["input_ids"]
        self.truncated += sum(len(ids) > limit for ids in whole)
        inputs = self._tokenizer(texts, padding=True, truncation=True, max_length=limit, return_tensors="pt")
        return self._model.get_text_features(**inputs.to(self._device)).pooler_output

    def _image_features(self, images: list[Image.Image]) -> Any:
        inputs = self._processor([image.convert("RGB") for image in images], return_tensors="pt")
        return self._model.get_image_features(pixel_values=inputs["pixel_values"].to(self._device)).pooler_output
