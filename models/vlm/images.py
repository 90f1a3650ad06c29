"""How many tokens a picture is, in plain arithmetic: a rule for each way in which processors cut pictures up.

A rule gets the picture's width and height in pixels and the values of `Family.image_values`. The numbers are those of
transformers' processors (models/*/processing_*.py), which vLLM follows; tests compare them. Tokens that a template or
a processor writes around a picture are not among them (`tokens.py` adds them).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .families import Family, ImageRule

Values = Mapping[str, Any]


def best_grid(width: int, height: int, grids: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Of `grids` (height, width in pixels each) the one that keeps most of the picture, and of those the one that
    wastes least: (height, width)."""

    def fit(grid: Sequence[int]) -> tuple[int, int]:
        scale = min(grid[1] / width, grid[0] / height)
        kept = min(int(width * scale) * int(height * scale), width * height)
        return kept, kept - grid[0] * grid[1]

    best = max(grids, key=fit)
    return best[0], best[1]


def anyres(width: int, height: int, values: Values) -> int:
    """LLaVA-NeXT: the whole picture in one tile, and tiles of the best grid without their padding, each row of patches
    followed by a token that ends it. values: side (of a tile), patch, pinpoints (the grids), extra (tokens that the
    vision tower has beyond its patches)."""
    patches = values["side"] // values["patch"]
    grid_height, grid_width = best_grid(width, height, values["pinpoints"])
    rows, columns = patches * (grid_height // values["side"]), patches * (grid_width // values["side"])
    if width / height > columns / rows:
        # Seven places, as the model itself rounds: 0.1 + 0.2 may not lose a row.
        kept = int(round(height * (columns / width), 7))
        rows -= (rows - kept) // 2 * 2
    else:
        kept = int(round(width * (rows / height), 7))
        columns -= (columns - kept) // 2 * 2
    return rows * columns + rows + patches * patches + values.get("extra", 0)


def fixed(width: int, height: int, values: Values) -> int:
    """Gemma 3: as many for every picture. values: tokens, around (text that the processor writes around them)."""
    return int(values["tokens"])


def crop(width: int, height: int, values: Values) -> int:
    """LLaVA: the picture's middle in patches. values: side, patch, extra (as above)."""
    return (values["side"] // values["patch"]) ** 2 + values.get("extra", 0)


def patches(width: int, height: int, values: Values) -> int:
    """Qwen: sides rounded to whole blocks of merge x merge patches, within a least and a most number of pixels.

    values: patch, merge, least, most (pixels). Raises ValueError for a side more than 200 times the other one.
    """
    block = values["patch"] * values["merge"]
    if max(width, height) > 200 * min(width, height):
        raise ValueError(f"a picture of {width} x {height} pixels is too narrow: its sides may differ 200 times")
    rows, columns = round(height / block), round(width / block)
    if rows * columns * block**2 > values["most"]:
        scale = math.sqrt(width * height / values["most"])
        rows = max(1, math.floor(height / scale / block))
        columns = max(1, math.floor(width / scale / block))
    elif rows * columns * block**2 < values["least"]:
        scale = math.sqrt(values["least"] / (width * height))
        rows, columns = math.ceil(height * scale / block), math.ceil(width * scale / block)
    return rows * columns


def rows(width: int, height: int, values: Values) -> int:
    """Mistral 3: blocks of merge x merge patches, each row followed by a token that ends it; larger pictures are
    shrunk. values: patch, merge, side (of the longer side at most)."""
    block = values["patch"] * values["merge"]
    ratio = max(width / values["side"], height / values["side"])
    if ratio > 1:
        width, height = math.floor(width / ratio), math.floor(height / ratio)
    return (math.ceil(width / block) + 1) * math.ceil(height / block)


RULES: Mapping[ImageRule, Callable[[int, int, Values], int]] = {
    "anyres": anyres,
    "fixed": fixed,
    "crop": crop,
    "patches": patches,
    "rows": rows,
}


def image_values(family: Family, config: Mapping[str, Any], processor: Mapping[str, Any]) -> Values:
    """What the family's rule needs, as this checkpoint has it; the family's own value where its files say nothing.

    config: config.json; processor: `Checkpoint.processor`.
    """
    vision = config.get("vision_config") or {}
    size, crop_size = processor.get("size") or {}, processor.get("crop_size") or {}
    told: dict[str, Any] = {"patch": vision.get("patch_size")}
    if family.image_rule in ("anyres", "crop"):
        told["side"] = crop_size.get("height") or size.get("shortest_edge") or vision.get("image_size")
        told["pinpoints"] = processor.get("image_grid_pinpoints") or config.get("image_grid_pinpoints")
        # CLIP has a class token beyond its patches; the strategy "default" leaves the first token out.
        default = (config.get("vision_feature_select_strategy") or "default") == "default"
        told["extra"] = (vision.get("model_type", "clip_vision_model") == "clip_vision_model") - default
    elif family.image_rule == "patches":
        told["patch"] = processor.get("patch_size") or told["patch"]
        told["merge"] = processor.get("merge_size") or vision.get("spatial_merge_size")
        told["least"] = processor.get("min_pixels") or size.get("shortest_edge")
        told["most"] = processor.get("max_pixels") or size.get("longest_edge")
    elif family.image_rule == "rows":
        told["merge"] = config.get("spatial_merge_size") or processor.get("spatial_merge_size")
        told["side"] = size.get("longest_edge")
    elif family.image_rule == "fixed":
        told["tokens"] = processor.get("image_seq_length") or config.get("mm_tokens_per_image")
    return {**family.image_values, **{name: value for name, value in told.items() if value is not None}}
