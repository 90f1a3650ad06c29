"""Undoes the mask of a picture in torch: which region is bright, and the picture before the rest was darkened.

A masked picture (kernels/mask.py) keeps a region, darkens the rest to a quarter, and draws an outline of exactly one
colour, two pixels wide, just outside the region. This is `models/testbed/masked_view.py` for a tower: in batches, on
any device, without labelling pieces. What is certain is the same; where no pixel of a piece tells, it is simpler.
"""

import torch

from ....kernels.mask import DARKEN, OUTLINE

_DARK_LIMIT = round(DARKEN * 255)
"""No darkened channel is brighter."""
_CROWD = 4
"""Outline pixels in a 3x3 square, itself included, from which one belongs to an outline, with those that hang together
with it: others are chance. At a picture's edge and between close pieces an outline's pixels have fewer."""
_STEPS = 8
"""Steps of a flood between two looks at whether it still rises."""
_FILLS = 2
"""Steps in which a strip is filled from what is beside it."""


def restore(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """float [B, 3, H, W] with whole values 0..255 to (the restored picture, likewise; the region, float 0 or 1
    [B, 1, H, W]).

    The region is everything in a picture without an outline, nothing in a dark one without. A picture's answer does not
    depend on the others of its batch.
    """
    line = _outline(pixels)
    brightest = pixels.amax(1, keepdim=True)
    certain = (brightest > _DARK_LIMIT) & ~line
    region = _flood(certain, ~line)
    region = region | _dark_inside(region, line)
    plain = ~line.flatten(1).any(1)[:, None, None, None]
    region = torch.where(plain, certain.flatten(1).any(1)[:, None, None, None], region)
    restored = torch.where(region, pixels, (pixels / DARKEN).clamp(max=255))
    return _filled(restored, line, ~line & ~region), region.to(pixels.dtype)


def _outline(pixels: torch.Tensor) -> torch.Tensor:
    colour = pixels.new_tensor(OUTLINE)[None, :, None, None]
    line = (pixels == colour).all(1, keepdim=True)
    return _flood(_sum3(line.to(torch.uint8)) >= _CROWD, line)


def _grown(mask: torch.Tensor) -> torch.Tensor:
    """bool: the pixels of a mask and their eight neighbours."""
    rows = mask.clone()
    rows[..., 1:, :] |= mask[..., :-1, :]
    rows[..., :-1, :] |= mask[..., 1:, :]
    grown = rows.clone()
    grown[..., 1:] |= rows[..., :-1]
    grown[..., :-1] |= rows[..., 1:]
    return grown


def _sum3(values: torch.Tensor) -> torch.Tensor:
    """The sum over every pixel's 3x3 square; zeros lie beyond the picture's edge."""
    rows = values.clone()
    rows[..., 1:, :] += values[..., :-1, :]
    rows[..., :-1, :] += values[..., 1:, :]
    total = rows.clone()
    total[..., 1:] += rows[..., :-1]
    total[..., :-1] += rows[..., 1:]
    return total


def _flood(start: torch.Tensor, free: torch.Tensor) -> torch.Tensor:
    """bool: the free pixels that can be reached from `start` through free ones."""
    reached = start & free
    while True:
        before = reached
        for _ in range(_STEPS):
            reached = _grown(reached) & free
        if torch.equal(before, reached):
            return reached


def _dark_inside(region: torch.Tensor, line: torch.Tensor) -> torch.Tensor:
    """bool: pieces of the region that are dark by themselves (a black object).

    An outline that no known piece explains encloses one: it is what lies beside that line and cannot be reached from
    the picture's edge. Outlines are two pixels wide.
    """
    lost = line & ~_grown(_grown(region))
    if not lost.any():
        return torch.zeros_like(region)
    free = ~line & ~region
    edge = torch.zeros_like(free)
    edge[..., [0, -1], :] = True
    edge[..., [0, -1]] = True
    enclosed = free & ~_flood(edge, free)
    return _flood(_grown(lost) & enclosed, enclosed)


def _filled(picture: torch.Tensor, line: torch.Tensor, outside: torch.Tensor) -> torch.Tensor:
    """The picture with its outlines painted over: from what is outside the region, where it is near, else from all."""
    known = torch.where(outside.flatten(1).any(1)[:, None, None, None], outside, ~line)
    left = line
    for step in range(2 * _FILLS):
        if step == _FILLS:
            known = ~left
        weight = known.to(picture.dtype)
        total, count = _sum3(picture * weight), _sum3(weight)
        now = left & (count > 0.5)
        picture = torch.where(now, total / count.clamp(min=1), picture)
        known, left = known | now, left & ~now
    return picture
