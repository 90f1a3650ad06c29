"""The values that the paper publishes (Shaham et al., "A Multimodal Automated Interpretability Agent", 2024), as data.

Tables A3 (by layer), A4 (over p95), A5 (ablations, figure 7), A7 (usefulness to people) and 1 (two-alternative forced
choice), under the names that targets, layers and methods have here. Transcribed from a scanned text, and checked where
that can be done: averages of table A3 are means over units, that is, of the rows weighted by their numbers of units,
within rounding. Those that are not (`printed_averages_that_disagree` computes them):

- DINO-ViT, CLIP-Dissect +: printed 0.44, the rows give 0.46.
- DINO-ViT, MAIA -: printed 0.54, the rows give -0.22; table A5 has -0.23, so that a sign and digits were probably lost.
- Human, ResNet-152 +: printed 4.15, the rows give 4.03; DINO-ViT: printed 1.97 and -0.23, the rows give 2.75 and -0.55.
  People labelled 25 % of each layer's units (C3), which the paper does not count; quarters rounded up, down or to the
  nearest do not explain it.

The paper does not say which units it drew: `unit_lists` draws as many from each layer.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from ...models.errors import UserError
from ...models.targets import nearest_first

ALL_LAYERS = "all layers"
"""The row that the paper calls "Avg."."""
METHODS = {"milan": "MILAN", "clip-dissect": "CLIP-Dissect", "agent": "MAIA", "human": "Human"}
"""Our names of the paper's methods, in the order of its columns."""
TARGETS = {"resnet152": "ResNet-152", "dino-vits8": "DINO-ViT", "clip-rn50": "CLIP-RN50"}
"""Our names of the paper's networks (section 4.1)."""
CITED = "Shaham et al., 2024"

PlusMinus = tuple[float, float]
"""Mean activation over positive prompts' images, and over neutral ones'."""


@dataclass(frozen=True)
class PaperRow:
    """A row of table A3. layer: as it is called here. units: of MAIA, MILAN and CLIP-Dissect; people had a quarter."""

    target: str
    layer: str
    paper_layer: str
    units: int
    values: dict[str, PlusMinus]


def _row(target: str, layer: str, paper_layer: str, units: int, *cells: float) -> PaperRow:
    pairs = zip(cells[::2], cells[1::2], strict=True)
    return PaperRow(target, layer, paper_layer, units, dict(zip(METHODS, pairs, strict=True)))


TABLE_A3 = (
    _row("resnet152", "conv1", "conv. 1", 10, 7.23, 3.38, 6.7, 2.71, 7.28, 3.53, 7.83, 3.16),
    _row("resnet152", "layer1", "res. 1", 15, 0.82, 0.73, 0.83, 0.55, 0.78, 0.69, 0.46, 0.64),
    _row("resnet152", "layer2", "res. 2", 20, 0.98, 0.92, 1.02, 0.66, 1.02, 0.90, 0.83, 0.95),
    _row("resnet152", "layer3", "res. 3", 25, 1.28, 0.72, 0.98, 0.68, 1.28, 0.70, 2.59, 0.58),
    _row("resnet152", "layer4", "res. 4", 30, 5.41, 2.04, 7.1, 1.61, 7.10, 1.74, 7.89, 1.99),
    _row("dino-vits8", "blocks.1.mlp", "MLP 1", 5, 1.10, 0.94, 0.76, 0.94, 1.19, 0.74, 0.63, 0.34),
    _row("dino-vits8", "blocks.3.mlp", "MLP 3", 5, 0.63, 0.96, 0.96, 1.06, 0.81, 0.87, 0.55, 0.89),
    _row("dino-vits8", "blocks.5.mlp", "MLP 5", 20, 0.85, 1.01, 1.11, 0.94, 1.33, 0.97, 0.84, 0.84),
    _row("dino-vits8", "blocks.7.mlp", "MLP 7", 20, 1.42, 0.77, 1.16, 0.66, 1.67, 0.82, 2.58, 0.54),
    _row("dino-vits8", "blocks.9.mlp", "MLP 9", 25, 3.50, -1.15, 0.81, -0.83, 6.31, -0.81, 8.64, -1.06),
    _row("dino-vits8", "blocks.11.mlp", "MLP 11", 25, -1.56, -1.94, -1.12, -1.65, -1.41, -1.84, -0.61, -2.49),
    _row("clip-rn50", "layer1", "res. 1", 10, 1.92, 2.16, 2.34, 1.82, 2.10, 2.07, 1.65, 2.15),
    _row("clip-rn50", "layer2", "res. 2", 20, 2.54, 2.46, 2.61, 1.91, 2.78, 2.39, 2.22, 2.81),
    _row("clip-rn50", "layer3", "res. 3", 30, 2.24, 1.70, 2.33, 1.45, 2.27, 1.70, 2.41, 1.96),
    _row("clip-rn50", "layer4", "res. 4", 40, 3.56, 1.30, 4.75, 1.36, 4.90, 1.39, 4.92, 1.29),
)
"""Raw activations by layer."""

# As printed; doubtful: DINO-ViT's 0.44 and 0.54, and its values of people (see above).
TABLE_A3_AVERAGES = (
    _row("resnet152", ALL_LAYERS, "Avg.", 100, 2.99, 1.42, 3.37, 1.14, 3.50, 1.33, 4.15, 1.34),
    _row("dino-vits8", ALL_LAYERS, "Avg.", 100, 1.03, -0.32, 0.44, -0.2, 1.93, 0.54, 1.97, -0.23),
    _row("clip-rn50", ALL_LAYERS, "Avg.", 100, 2.79, 1.74, 3.36, 1.55, 3.41, 1.75, 3.29, 1.89),
)

TABLE_A4: dict[str, dict[str, PlusMinus]] = {
    "resnet152": {"milan": (1.51, 0.83), "clip-dissect": (1.55, 0.75), "agent": (1.63, 0.78), "human": (2.34, 0.63)},
    "clip-rn50": {"milan": (1.53, 0.77), "clip-dissect": (1.89, 0.77), "agent": (1.9, 0.76), "human": (1.4, 0.75)},
}
"""Over p95, all layers. Not for DINO-ViT, whose activations go below zero (C1). The scan's heading calls the second
network "CLIP-RN 15"."""

ABLATIONS = {
    "agent: exemplars only": "ImageNet",
    "agent: generated only": "SD-v1.5",
    "agent: other generator": "DALL-E",
}
"""Our names of the settings of section 4.3, and the columns of table A5 that hold them."""

TABLE_A5: dict[str, dict[str, PlusMinus]] = {
    "resnet152": {"ImageNet": (3.53, 1.54), "SD-v1.5": (3.56, 1.33), "DALL-E": (4.64, 1.53)},
    "dino-vits8": {"ImageNet": (1.48, -0.37), "SD-v1.5": (1.98, -0.23), "DALL-E": (1.88, -0.27)},
    "clip-rn50": {"ImageNet": (2.34, 1.90), "SD-v1.5": (3.62, 1.75), "DALL-E": (4.34, 1.90)},
}
"""Raw activations by image source, over the quarter of the units that people labelled (C2).

Doubtful: whether "SD-v1.5" is generated images alone, as section 4.3's second setting and the heading suggest, or the
whole agent: the column lies close to table A3's averages of MAIA, and the paper names no fourth one.
"""

TABLE_1: dict[tuple[str, str], tuple[float, float]] = {
    ("agent", "milan"): (0.73, 4e-4),
    ("agent", "human"): (0.53, 1e-3),
    ("human", "milan"): (0.83, 5e-4),
}
"""Share of trials in which the first was favoured over the second, and the half width that the paper gives as a 95 %
interval. Doubtful: so narrow an interval needs millions of trials; it may be a variance."""

TABLE_A7: dict[str, dict[str, tuple[float, float]]] = {
    "resnet152": {"milan": (66.0, 0.06), "agent": (78.5, 0.05), "human": (85.45, 0.04)},
    "clip-rn50": {"milan": (57.19, 0.06), "agent": (65.21, 0.06), "human": (69.6, 0.06)},
    "dino-vits8": {"milan": (48.0, 0.06), "agent": (67.39, 0.06), "human": (81.2, 0.05)},
}
"""Right choices of one set in four in per cent (chance: 25), and the half width of the 95 % interval as printed.

Doubtful: beside per cents, 0.06 is probably a share, that is, 6 points.
"""


LAYER_SIZES: dict[str, dict[str, int]] = {
    "resnet152": {"conv1": 64, "layer1": 256, "layer2": 512, "layer3": 1024, "layer4": 2048},
    "clip-rn50": {"layer1": 256, "layer2": 512, "layer3": 1024, "layer4": 2048},
    "dino-vits8": {f"blocks.{block}.mlp": 1536 for block in (1, 3, 5, 7, 9, 11)},
}
"""Units of each layer that the paper drew from, as the architectures have them."""


def paper_row(target: str, layer: str) -> PaperRow | None:
    """Table A3's row of this target and layer (`ALL_LAYERS` for its average); None where the paper has none."""
    rows = (row for row in (*TABLE_A3, *TABLE_A3_AVERAGES) if (row.target, row.layer) == (target, layer))
    return next(rows, None)


def paper_counts(target: str) -> dict[str, int]:
    """How many units the paper drew from each layer. Raises UserError for a target that it has not."""
    if target not in TARGETS:
        raise UserError(f"the paper has no units of {target}: choose from {nearest_first(target, list(TARGETS))}.")
    return {row.layer: row.units for row in TABLE_A3 if row.target == target}


def unit_lists(target: str, counts: Mapping[str, int], sizes: Mapping[str, int], seed: int) -> str:
    """Units drawn uniformly without replacement from each layer, as `--units` takes them: "conv1=3,9:layer1=0,77".

    counts: how many of each layer (`paper_counts` has the paper's). sizes: how many units each layer has
    (`Target.layers`). Indices are sorted; layers stand in the order of counts, without those of count 0. The same seed
    and a larger count give the same units and further ones. Raises UserError for a layer that the target lacks, a count
    that is negative or larger than the layer, and where nothing is asked for.
    """
    parts = []
    for layer, count in counts.items():
        if layer not in sizes:
            raise UserError(f"{target} has no layer {layer!r}: choose from {nearest_first(layer, list(sizes))}.")
        if not 0 <= count <= sizes[layer]:
            raise UserError(f"{target} has {sizes[layer]} units in {layer}, not {count}: ask for 0 to {sizes[layer]}.")
        order = list(range(sizes[layer]))
        random.Random(f"{seed}/paper units/{target}/{layer}").shuffle(order)
        if count:
            parts.append(f"{layer}={','.join(map(str, sorted(order[:count])))}")
    if not parts:
        raise UserError(f"no units of {target} are asked for: name a layer and a count of at least 1.")
    return ":".join(parts)


def printed_averages_that_disagree() -> dict[tuple[str, str, str], tuple[float, float]]:
    """Of table A3: (target, method, "+" or "-") -> (printed average, mean of the rows weighted by units).

    Those further apart than rounding explains: half of the last digit for the rows and half for the average.
    """
    found = {}
    for average in TABLE_A3_AVERAGES:
        rows = [row for row in TABLE_A3 if row.target == average.target]
        for method in METHODS:
            for place, sign in enumerate("+-"):
                printed = average.values[method][place]
                weighted = sum(row.units * row.values[method][place] for row in rows) / sum(row.units for row in rows)
                if abs(printed - weighted) > 0.01 + 1e-9:
                    found[average.target, method, sign] = (printed, weighted)
    return found
