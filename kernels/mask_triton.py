"""The Triton kernels of `mask.mask_batch`: the region, then the picture.

Two kernels, because a pixel's outline needs its neighbours' regions: the first writes one byte a pixel, the second
reads 25 of them, which come from the cache, and a picture's bytes once.
"""

import torch
import triton
import triton.language as tl

_BLOCK = 512


@triton.jit
def _source(position, source, target):
    """Left neighbour, right neighbour and the right one's weight of output positions, corners not aligned."""
    # Rounded correctly, so that it is exactly 1 for a map of the picture's size, which stays as it is.
    scale = tl.div_rn(source.to(tl.float32), target.to(tl.float32))
    at = tl.maximum((position.to(tl.float32) + 0.5) * scale - 0.5, 0.0)
    low = tl.minimum(at.to(tl.int32), source - 1)
    return low, tl.minimum(low + 1, source - 1), at - low.to(tl.float32)


# Sizes of 1 stay numbers that the kernel is given: Triton would make constants of them, which have no type.
@triton.jit(do_not_specialize=["h", "w", "height", "width"])
def _region_kernel(maps, thresholds, inside, h, w, height, width, BLOCK: tl.constexpr):
    """inside uint8 [N, height, width] from contiguous maps [N, h, w]; program (block of pixels, picture)."""
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    picture = tl.program_id(1).to(tl.int64)
    mask = pixel < height * width
    top, bottom, down = _source(pixel // width, h, height)
    left, right, across = _source(pixel % width, w, width)
    base = maps + picture * h * w
    top_left = tl.load(base + top * w + left, mask=mask, other=0.0)
    top_right = tl.load(base + top * w + right, mask=mask, other=0.0)
    bottom_left = tl.load(base + bottom * w + left, mask=mask, other=0.0)
    bottom_right = tl.load(base + bottom * w + right, mask=mask, other=0.0)
    upper = top_left * (1.0 - across) + top_right * across
    lower = bottom_left * (1.0 - across) + bottom_right * across
    value = upper * (1.0 - down) + lower * down
    # Rounding may lift an interpolated value above those that it lies between.
    highest = tl.maximum(tl.maximum(top_left, top_right), tl.maximum(bottom_left, bottom_right))
    value = tl.minimum(value, highest)
    above = value > tl.load(thresholds + picture)
    tl.store(inside + picture * height * width + pixel, above.to(tl.uint8), mask=mask)


@triton.jit
def _paint_kernel(
    images, inside, darkened, masked, height, width,
    RED: tl.constexpr, GREEN: tl.constexpr, BLUE: tl.constexpr, OUTLINE_WIDTH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """masked uint8 [N, height, width, 3]; darkened uint8 [256]: the table of brightnesses outside."""
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    picture = tl.program_id(1).to(tl.int64)
    mask = pixel < height * width
    row, column = pixel // width, pixel % width
    base = inside + picture * height * width
    here = tl.load(base + pixel, mask=mask, other=0) != 0
    near = tl.zeros((BLOCK,), tl.int32)
    for shift in tl.static_range((2 * OUTLINE_WIDTH + 1) * (2 * OUTLINE_WIDTH + 1)):
        other_row = row + (shift // (2 * OUTLINE_WIDTH + 1) - OUTLINE_WIDTH)
        other_column = column + (shift % (2 * OUTLINE_WIDTH + 1) - OUTLINE_WIDTH)
        within = mask & (other_row >= 0) & (other_row < height) & (other_column >= 0) & (other_column < width)
        near |= tl.load(base + other_row * width + other_column, mask=within, other=0).to(tl.int32)
    first = picture * height * width * 3 + pixel.to(tl.int64) * 3
    for channel in tl.static_range(3):
        colour = RED if channel == 0 else (GREEN if channel == 1 else BLUE)
        value = tl.load(images + first + channel, mask=mask, other=0)
        dark = tl.load(darkened + value.to(tl.int32), mask=mask, other=0)
        outside = tl.where(near != 0, colour, dark)
        tl.store(masked + first + channel, tl.where(here, value, outside).to(tl.uint8), mask=mask)


def paint(
    images: torch.Tensor,
    maps: torch.Tensor,
    thresholds: torch.Tensor,
    darkened: torch.Tensor,
    outline: tuple[int, int, int],
    outline_width: int,
) -> torch.Tensor:
    """uint8 [N, H, W, 3]; see `mask.mask_batch`, which checks. darkened: uint8 [256]. N, H, W >= 1."""
    count, height, width = images.shape[:3]
    images, maps, thresholds = images.contiguous(), maps.contiguous(), thresholds.contiguous()
    inside = torch.empty((count, height, width), dtype=torch.uint8, device=images.device)
    masked = torch.empty_like(images)
    grid = (triton.cdiv(height * width, _BLOCK), count)
    _region_kernel[grid](maps, thresholds, inside, maps.shape[1], maps.shape[2], height, width, BLOCK=_BLOCK)
    _paint_kernel[grid](
        images, inside, darkened, masked, height, width,
        RED=outline[0], GREEN=outline[1], BLUE=outline[2], OUTLINE_WIDTH=outline_width, BLOCK=_BLOCK,
    )  # fmt: skip
    return masked
