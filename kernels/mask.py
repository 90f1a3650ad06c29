"""The masked image: the region of a picture where a unit is active, the rest darkened, the border outlined.

The reference implementation (numpy and torch on the CPU), and `mask_batch`, which does the same for many pictures where
they are, on a GPU with Triton (mask_triton.py); the appearance is the API's, so describers may rely on
OUTLINE and DARKEN to find the region again.
"""

import numpy as np
import torch
from torch.nn.functional import interpolate

from .dispatch import Branch, choose, on_device_of

DARKEN = 0.25
"""Factor on the brightness of what is outside the region."""

OUTLINE: tuple[int, int, int] = (255, 214, 0)
"""RGB of the outline."""

OUTLINE_WIDTH = 2
"""Width of the outline in pixels."""

_DARKENED = np.rint(DARKEN * np.arange(256)).astype(np.uint8)


def region(activation_map: np.ndarray, height: int, width: int, threshold: float) -> np.ndarray:
    """bool [height, width]: where the map, brought to the picture's size, is above the threshold.

    activation_map: float32 [h, w], at least 1x1, finite. It is upsampled bilinearly with corners not aligned (the
    centre of map cell i lies at (i + 0.5) * height / h), the convention of torch's interpolate and of the peers'
    masks. A map of the picture's size is compared as it is, so that exact binary masks stay exact.
    The comparison is strict and in float32: a map that nowhere exceeds the threshold gives an empty region.

    Raises ValueError for a map that is not a finite 2-D array or a threshold that is not a number.
    """
    values = np.asarray(activation_map, dtype=np.float32)
    if values.ndim != 2 or values.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"an activation map is a finite, non-empty 2-D array, not one of shape {values.shape}")
    if np.isnan(threshold):
        raise ValueError("the threshold is not a number")
    if values.shape != (height, width):
        tensor = torch.from_numpy(np.ascontiguousarray(values))[None, None]
        wider = interpolate(tensor, size=(height, width), mode="bilinear", align_corners=False)[0, 0].numpy()
        # Rounding may lift an interpolated value above those that it lies between.
        values = np.minimum(wider, values.max())
    return values > np.float32(threshold)


def outline(inside: np.ndarray, width: int = OUTLINE_WIDTH) -> np.ndarray:
    """bool [H, W]: the pixels outside the region at a Chebyshev distance of 1 to `width` from it.

    The outline lies outside, so that it hides nothing of the region; at the picture's edge there is none.
    """
    grown = inside
    for _ in range(width):
        rows = grown.copy()
        rows[1:] |= grown[:-1]
        rows[:-1] |= grown[1:]
        grown = rows.copy()
        grown[:, 1:] |= rows[:, :-1]
        grown[:, :-1] |= rows[:, 1:]
    return grown & ~inside


def apply_region(image: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3]: the image with everything outside the bool [H, W] region darkened, and the region outlined.

    A darkened channel is round(DARKEN * p), halves to even. An empty region gives a dark picture without outline.
    """
    masked = np.where(inside[..., None], image, _DARKENED[image])
    masked[outline(inside)] = OUTLINE
    return masked


def mask_image(image: np.ndarray, activation_map: np.ndarray, threshold: float) -> np.ndarray:
    """The masked image of a unit's map: uint8 [H, W, 3] from uint8 [H, W, 3] and float32 [h, w].

    The region is `region(activation_map, H, W, threshold)`; inside it the picture is untouched.
    Raises ValueError for an image that is not uint8 [H, W, 3], and what `region` raises.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"an image is uint8 [H, W, 3], not {image.dtype} {list(image.shape)}")
    return apply_region(image, region(activation_map, image.shape[0], image.shape[1], threshold))


def mask_batch(
    images: torch.Tensor, maps: torch.Tensor, thresholds: torch.Tensor, branch: Branch = "auto"
) -> torch.Tensor:
    """The masked images of many maps: uint8 [N, H, W, 3], each `mask_image(images[n], maps[n], thresholds[n])`.

    images: uint8 [N, H, W, 3]; maps: float32 [N, h, w], finite; thresholds: float32 [N], not NaN; all on one device.
    A pixel may differ from `mask_image` only where it, or a neighbour in the outline's reach, has an upsampled value
    within float32 rounding of the threshold: max(h, w) * 2^-21 of the map's largest magnitude.
    Whether maps are finite is not checked: it would make the CPU wait for a GPU; a NaN is above no threshold.
    Raises ValueError for shapes and dtypes that do not fit, BranchUnavailable (see dispatch.py).
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(f"images are uint8 [N, H, W, 3], not {images.dtype} {list(images.shape)}")
    count, height, width = images.shape[:3]
    if maps.dtype != torch.float32 or maps.ndim != 3 or len(maps) != count or not maps.shape[1] * maps.shape[2]:
        raise ValueError(f"maps are float32 [{count}, h, w], at least 1x1, not {maps.dtype} {list(maps.shape)}")
    if thresholds.dtype != torch.float32 or tuple(thresholds.shape) != (count,):
        raise ValueError(f"thresholds are float32 [{count}], not {thresholds.dtype} {list(thresholds.shape)}")
    if not images.numel():
        return images.clone()
    if choose(branch, images) == "triton":
        from .mask_triton import paint

        darkened = torch.from_numpy(_DARKENED).to(images.device)
        with on_device_of(images):
            return paint(images, maps, thresholds, darkened, OUTLINE, OUTLINE_WIDTH)
    if tuple(maps.shape[1:]) != (height, width):
        wider = interpolate(maps[:, None], size=(height, width), mode="bilinear", align_corners=False)[:, 0]
        maps = torch.minimum(wider, maps.amax(dim=(1, 2), keepdim=True))
    inside = maps > thresholds[:, None, None]
    masked = images.float().mul_(DARKEN).round_().to(torch.uint8)  # round is to even, as np.rint is
    masked[_grown(inside)] = torch.tensor(OUTLINE, dtype=torch.uint8, device=images.device)
    return torch.where(inside[..., None], images, masked)


def _grown(inside: torch.Tensor) -> torch.Tensor:
    """bool [N, H, W]: `inside` and all within a Chebyshev distance of OUTLINE_WIDTH; one side after the other."""
    for dimension in (1, 2):
        side, grown = inside.shape[dimension], inside.clone()
        for step in range(1, min(OUTLINE_WIDTH, side - 1) + 1):
            grown.narrow(dimension, step, side - step).logical_or_(inside.narrow(dimension, 0, side - step))
            grown.narrow(dimension, 0, side - step).logical_or_(inside.narrow(dimension, step, side - step))
        inside = grown
    return inside
