"""Grounding DINO in two halves: what a picture costs once, and what each concept costs on top of it."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from .base import BadPicture
from .phrases import LENGTH_STEP, Phrase, padded, phrase_of
from .substitution import Held, HeldBackbone, HeldText, RowwiseFusion, exchanged

LONGEST_TO_SHORTEST = 1333 / 800
"""The longer side at most, by the shorter, where a resolution is given: as in Grounding DINO's own 800 and 1333."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """A picture as the model takes it. values: [1, 3, h, w]; mask: [1, h, w], 1 where there is picture."""

    values: torch.Tensor
    mask: torch.Tensor

    @property
    def shape(self) -> tuple[int, int]:
        return int(self.mask.shape[1]), int(self.mask.shape[2])


@dataclass(frozen=True, eq=False)
class PictureFeatures:
    """What the image backbone says of one picture. maps: [d, h, w] of each level, projected; masks [h, w] and
    positions [d, h, w]: of the backbone's levels, which are the first ones; pixel_mask: [h, w]."""

    maps: tuple[torch.Tensor, ...]
    masks: tuple[torch.Tensor, ...]
    positions: tuple[torch.Tensor, ...]
    pixel_mask: torch.Tensor

    @property
    def shape(self) -> tuple[int, int]:
        return int(self.pixel_mask.shape[0]), int(self.pixel_mask.shape[1])


@dataclass(frozen=True, eq=False)
class Candidates:
    """All of a model's candidates for one concept. probabilities: float32 [n, t], by token of the padded text; boxes:
    float32 [n, 4], centre x, centre y, width, height as shares of the picture."""

    probabilities: np.ndarray
    boxes: np.ndarray


class Grounding:
    """A GroundingDinoForObjectDetection and its processor; the model itself is left as it is.

    rows: of each forward of the half that depends on the concept; pictures: of the other. Forwards with fewer are
    filled up, as the bits of a row depend on the number of rows (but on neither its place nor the others).
    resolution: pixels that a picture's shorter side is resized to; None: what the processor says (800).
    May be used by several threads: they take turns.
    """

    def __init__(self, model: Any, processor: Any, rows: int = 1, pictures: int = 1, resolution: int | None = None):
        self.model, self.processor = model.eval(), processor
        self.rows, self.pictures, self.resolution = rows, pictures, resolution
        inner = model.model
        self._backbone, self._text = HeldBackbone(inner.backbone.position_embedding), HeldText()
        self._maps = [Held() for _ in inner.input_proj_vision]
        parts: dict[str, nn.Module] = {
            "model.backbone": self._backbone,
            "model.text_backbone": self._text,
            "model.input_proj_vision": nn.ModuleList(self._maps),
        }
        for number in range(len(inner.encoder.layers)):
            path = f"model.encoder.layers.{number}.fusion_layer.attn"
            parts[path] = RowwiseFusion(model.get_submodule(path))
        self._head = exchanged(model, parts)
        self._texts: dict[Phrase, torch.Tensor] = {}
        self._lock = threading.Lock()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return next(self.model.parameters()).dtype

    def phrase(self, concept: str) -> Phrase:
        """Raises UserError for a concept that cannot be asked for: see `phrase_of`."""
        config = self.model.config
        limit = min(config.max_text_len, getattr(config.text_config, "max_position_embeddings", config.max_text_len))
        return phrase_of(self.processor.tokenizer, concept, limit // LENGTH_STEP * LENGTH_STEP)

    def pixels(self, image: Image.Image, place: int = 0) -> Pixels:
        """Raises BadPicture, with `place`, for one that leaves fewer positions than the model has candidates."""
        size = {}
        if self.resolution is not None:
            longest = round(self.resolution * LONGEST_TO_SHORTEST)
            size = {"size": {"shortest_edge": self.resolution, "longest_edge": longest}}
        read = self.processor.image_processor(images=[image.convert("RGB")], return_tensors="pt", **size)
        values = read["pixel_values"]
        # A processor that pads nothing tells no mask.
        found = Pixels(values, read.get("pixel_mask", torch.ones_like(values[:, 0], dtype=torch.int64)))
        config, positions = self.model.config, self._positions(*found.shape)
        if config.two_stage and positions < config.num_queries:
            height, width = found.shape
            raise BadPicture(
                f"the picture is too narrow for the detector: of {image.width} x {image.height} pixels it makes "
                f"{width} x {height}, which leave {positions} places to look at, and it needs {config.num_queries}.",
                place,
            )
        return found

    def _positions(self, height: int, width: int) -> int:
        """How many the maps have: their strides double from level to level, and sides are rounded up."""
        config = self.model.config
        first = config.backbone_config.patch_size * 2 ** (min(config.backbone_config.out_indices) - 1)
        strides = [first * 2**level for level in range(config.num_feature_levels)]
        return sum(-(-height // stride) * -(-width // stride) for stride in strides)

    @torch.inference_mode()
    def encode(self, pictures: Sequence[Pixels]) -> list[PictureFeatures]:
        """One forward of the image backbone. pictures: of one shape, at most `self.pictures`."""
        values = _filled([picture.values[0] for picture in pictures], self.pictures)
        pixel_mask = _filled([picture.mask[0] for picture in pictures], self.pictures).to(self.device)
        inner = self.model.model
        levels, positions = inner.backbone(values.to(self.device, self.dtype), pixel_mask)
        maps: list[torch.Tensor] = []
        for number, project in enumerate(inner.input_proj_vision):
            # The first level beyond the backbone's is made from its last map, each further one from the one before.
            source = levels[number][0] if number < len(levels) else levels[-1][0] if number == len(levels) else maps[-1]
            maps.append(project(source))
        return [
            PictureFeatures(
                tuple(level[row] for level in maps),
                tuple(mask[row] for _, mask in levels),
                tuple(position[row] for position in positions),
                pixel_mask[row],
            )
            for row in range(len(pictures))
        ]

    @torch.inference_mode()
    def candidates(self, rows: Sequence[tuple[PictureFeatures, Phrase]]) -> list[Candidates]:
        """One forward of all that follows the backbone. rows: at most `self.rows`, pictures of one shape, texts of one
        length."""
        filled = [*rows, *[rows[-1]] * (self.rows - len(rows))]
        pictures, phrases = [picture for picture, _ in filled], [phrase for _, phrase in filled]
        with self._lock:
            texts = torch.stack([self._encoded(phrase) for phrase in phrases])
            self._hold(pictures, texts)
            try:
                output = self._head(
                    # Only its shape is asked for, as the backbone is not run.
                    pixel_values=torch.zeros(1, device=self.device).expand(len(filled), 3, *pictures[0].shape),
                    pixel_mask=torch.stack([picture.pixel_mask for picture in pictures]),
                    **self._tokens(phrases),
                    return_dict=True,
                )
            finally:
                self._hold([], None)
        length = phrases[0].length
        probabilities = output.logits[: len(rows), :, :length].float().sigmoid().cpu().numpy()
        boxes = output.pred_boxes[: len(rows)].float().cpu().numpy()
        return [Candidates(*pair) for pair in zip(probabilities, boxes, strict=True)]

    def _hold(self, pictures: Sequence[PictureFeatures], texts: torch.Tensor | None) -> None:
        """What the exchanged parts answer in the next forward; nothing for no pictures."""
        self._text.value = None if texts is None else texts.to(self.device)
        if not pictures:
            self._backbone.value = None
            for held in self._maps:
                held.value = None
            return
        for level, held in enumerate(self._maps):
            held.value = torch.stack([picture.maps[level] for picture in pictures])
        levels = range(len(pictures[0].masks))
        masks = [torch.stack([picture.masks[level] for picture in pictures]) for level in levels]
        positions = [torch.stack([picture.positions[level] for picture in pictures]) for level in levels]
        self._backbone.value = [(None, mask) for mask in masks], positions

    def _tokens(self, phrases: Sequence[Phrase]) -> dict[str, torch.Tensor]:
        pairs = [padded(phrase, self.processor.tokenizer.pad_token_id) for phrase in phrases]
        ids = torch.tensor([ids for ids, _ in pairs], device=self.device)
        mask = torch.tensor([mask for _, mask in pairs], device=self.device)
        return {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}

    def _encoded(self, phrase: Phrase) -> torch.Tensor:
        """[length, width] on the CPU, by a forward of the text encoder for this phrase alone; once for each."""
        if phrase not in self._texts:
            from transformers.models.grounding_dino.modeling_grounding_dino import (
                generate_masks_with_special_tokens_and_transfer_map as masks_of,
            )

            tokens = self._tokens([phrase])
            attention, positions = masks_of(tokens["input_ids"])  # type: ignore[arg-type]
            output = self.model.model.text_backbone(
                tokens["input_ids"], attention[:, None], tokens["token_type_ids"], positions, return_dict=True
            )
            self._texts[phrase] = output.last_hidden_state[0].cpu()
        return self._texts[phrase]


def _filled(rows: Sequence[torch.Tensor], count: int) -> torch.Tensor:
    """Stacked, with zeros for rows that are missing."""
    return torch.stack([*rows, *[torch.zeros_like(rows[0])] * (count - len(rows))])
