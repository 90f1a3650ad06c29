"""SAM and SAM 2: the segment inside each of a picture's boxes, with the image encoder run once a picture."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

MODEL_TYPES = ("sam", "sam2", "sam2_video")
"""Of a segmenter's config.json. Published SAM 2 checkpoints are of the last one."""

# Of a box that fills up a batch: any one will do.
_FILLER = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, eq=False)
class SegmenterFeatures:
    """What the image encoder says of one picture. maps: [1, d, h, w] each, one of SAM, several of SAM 2; size: (height,
    width) of the picture in pixels; resized: (height, width) as the model sees it, without padding."""

    maps: tuple[torch.Tensor, ...]
    size: tuple[int, int]
    resized: tuple[int, int]


class Segmenter:
    """A SamModel or Sam2Model and its processor.

    boxes: of each forward of the mask decoder, pictures: of the image encoder. Forwards with fewer are filled up,
    as the bits of a row depend on the number of rows (but on neither its place nor the others).
    """

    def __init__(self, model: Any, processor: Any, boxes: int = 1, pictures: int = 1):
        self.model, self.processor = model.eval(), processor
        self.boxes, self.pictures = boxes, pictures

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return next(self.model.parameters()).dtype

    @torch.inference_mode()
    def encode(self, images: Sequence[Image.Image]) -> list[SegmenterFeatures]:
        """One forward of the image encoder. images: at most `self.pictures`, of any sizes."""
        # One at a time: the processor resizes pictures of one size together, which may round otherwise.
        read = [self.processor.image_processor(image.convert("RGB"), return_tensors="pt") for image in images]
        values = [one["pixel_values"][0] for one in read]
        values += [torch.zeros_like(values[0])] * (self.pictures - len(values))
        found = self.model.get_image_embeddings(torch.stack(values).to(self.device, self.dtype))
        levels = [found] if isinstance(found, torch.Tensor) else list(found)
        features = []
        for row, (image, one) in enumerate(zip(images, read, strict=True)):
            # Where the processor does not tell, pictures are stretched to the whole input.
            resized = one["reshaped_input_sizes"][0] if "reshaped_input_sizes" in one else one["pixel_values"].shape[2:]
            features.append(
                SegmenterFeatures(
                    tuple(level[row : row + 1] for level in levels),
                    (image.height, image.width),
                    (int(resized[0]), int(resized[1])),
                )
            )
        return features

    def segments(self, features: SegmenterFeatures, boxes: np.ndarray) -> Iterator[np.ndarray]:
        """bool [h, w] in pixels of the picture, of each box in turn. boxes: float32 [n, 4], x0 y0 x1 y1 in pixels.

        One mask a box, which SAM means for prompts that leave no doubt what is asked for.
        """
        (height, width), (high, wide) = features.size, features.resized
        scaled = np.asarray(boxes, np.float64) * np.array([wide / width, high / height] * 2)
        for first in range(0, len(scaled), self.boxes):
            some = scaled[first : first + self.boxes].tolist()
            masks = self._masks(features, some + [list(_FILLER)] * (self.boxes - len(some)))
            yield from masks[: len(some)]

    @torch.inference_mode()
    def _masks(self, features: SegmenterFeatures, boxes: list[list[float]]) -> np.ndarray:
        """bool [n, h, w] of boxes in the pixels of the resized picture."""
        # float32 whatever the weights: half precision would move boxes by up to a pixel.
        given = torch.tensor([boxes], device=self.device, dtype=torch.float32)
        whole = features.maps[0] if len(features.maps) == 1 else list(features.maps)
        output = self.model(image_embeddings=whole, input_boxes=given, multimask_output=False)
        # float32: half precision moves the masks' edges.
        low = output.pred_masks[0].float()
        sizes = {"original_sizes": [features.size]}
        if "reshaped_input_sizes" in self.processor.model_input_names:
            sizes["reshaped_input_sizes"] = [features.resized]
        masks = self.processor.post_process_masks([low], **sizes)[0]
        return np.asarray(masks[:, 0].cpu().numpy())
