"""`maia bench detector`: pictures a second of the concept detector, against one picture and concept at a time.

Both have the same weights, which are random, and find the same number of boxes. The other way is what a script does
that asks two models in turn: for each picture and concept a whole forward of Grounding DINO, and of SAM with its image
encoder (so the paper's published code). It is measured a second time with SAM run only where something was found, in
pictures with half of the concepts in them. Ways are timed in turn in one process, so that what disturbs the machine
disturbs all alike; figures are medians over the turns.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...models.detectors.architectures import SIZES, random_grounding, random_segmenter
from ...models.detectors.base import (
    NOTHING,
    Detection,
    best_first,
    boxes_in_pixels,
    dilate,
    dilation_radius,
    match_boxes,
    merge_masks,
)
from ...models.detectors.grounded import DTYPES, PICTURES_SHARE, ROWS, GroundedDetector
from ...models.detectors.grounding import Candidates, Grounding
from ...models.detectors.phrases import Phrase
from ...models.detectors.segments import Segmenter
from ...models.errors import UserError
from ...models.threads import cpu_threads
from .surroundings import surroundings, version
from .timing import ratio, summary, time_in_turn

CONCEPTS = ("dog", "leash", "train", "instrument", "stripes", "snake")
"""One token each."""

BOXES = 2
"""That are found for a concept in a picture where it is."""

REPEATS = 3
IMAGES = {"cpu": 1, "cuda": 16}
PICTURE = (640, 480)
"""Width and height in pixels."""

GOALS = {"speedup": 4.0}
"""At least, on a CPU with 6 concepts."""

PACKAGES = ("transformers", "scipy")

Say = Callable[[str], None]


class BestBoxes(GroundedDetector):
    """Finds BOXES boxes of each concept that is there, the best ones: random weights are sure of nothing."""

    there: frozenset[str] = frozenset(CONCEPTS)

    def _detection(self, candidates: Candidates, phrase: Phrase, width: int, height: int) -> Detection:
        if phrase.concept not in self.there:
            return NOTHING
        return best_boxes(candidates, phrase.tokens, width, height)


def best_boxes(candidates: Candidates, tokens: Sequence[int], width: int, height: int) -> Detection:
    """The BOXES best candidates of the concept at those tokens, whatever their scores."""
    _, scores, _ = match_boxes(candidates.probabilities, tokens, 0.0, 0.0)
    boxes, scores = best_first(boxes_in_pixels(candidates.boxes, width, height), scores)
    return Detection(float(scores[0]), boxes[:BOXES], scores[:BOXES])


class OneByOne:
    """The same answers by plain forwards of transformers' models, one picture and one concept at a time."""

    def __init__(self, detector: BestBoxes, without_need: bool) -> None:
        """without_need: whether SAM's image encoder also runs where nothing was found."""
        self.detector, self.without_need = detector, without_need

    @torch.inference_mode()
    def detect(self, images: Sequence[Image.Image], concepts: Sequence[str]) -> list[dict[str, Detection]]:
        """As `GroundedDetector.detect`."""
        return [{concept: self._one(image, concept) for concept in concepts} for image in images]

    def _one(self, image: Image.Image, concept: str) -> Detection:
        grounding = self.detector.grounding
        inputs = grounding.processor(images=image, text=f"{concept}.", return_tensors="pt").to(grounding.device)
        inputs["pixel_values"] = inputs["pixel_values"].to(grounding.dtype)
        output = grounding.model(**inputs)
        probabilities = output.logits[0].float().sigmoid().cpu().numpy()
        tokens = range(1, inputs["input_ids"].shape[1] - 2)
        found = NOTHING
        if concept in self.detector.there:
            found = best_boxes(
                Candidates(probabilities, output.pred_boxes[0].float().cpu().numpy()), tokens, *image.size
            )
        if not found.found and not self.without_need:
            return found
        mask = self._mask(image, found.boxes)
        return Detection(found.score, found.boxes, found.scores, mask if found.found else None)

    def _mask(self, image: Image.Image, boxes: np.ndarray) -> np.ndarray:
        """The whole segmenter; its image encoder alone for no boxes."""
        segmenter = self.detector.segmenter
        shape = (image.height, image.width)
        given = {"input_boxes": [boxes.tolist()]} if len(boxes) else {}
        inputs = segmenter.processor(image, return_tensors="pt", **given).to(segmenter.device)
        pixels = inputs["pixel_values"].to(segmenter.dtype)
        if not given:
            segmenter.model.get_image_embeddings(pixels)
            return np.zeros(shape, bool)
        output = segmenter.model(pixel_values=pixels, input_boxes=inputs["input_boxes"].float(), multimask_output=False)
        masks = segmenter.processor.post_process_masks(
            output.pred_masks.float(), inputs["original_sizes"], inputs["reshaped_input_sizes"]
        )[0]
        union = merge_masks(masks[:, 0].cpu().numpy(), shape)
        return dilate(union, dilation_radius(image.width, image.height, self.detector.dilation))


def detector_bench_command(
    json_file: Path | None = None,
    repeats: int = REPEATS,
    quick: bool = False,
    device: str | None = None,
    threads: int = 1,
    say: Say = print,
) -> dict[str, Any]:
    """Measure, tell the figures line by line, and write them to a file.

    quick: tiny networks, for a first look: their figures say nothing of real ones. device: None: a GPU if there is one.
    Raises UserError as `measure`.
    """
    result = measure("tiny" if quick else "base", device=device, repeats=repeats, threads=threads, say=say)
    for line in lines(result):
        say(line)
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def measure(
    size: str = "base",
    *,
    device: str | None = None,
    dtype: str | None = None,
    images: int | None = None,
    concepts: Sequence[str] = CONCEPTS,
    repeats: int = REPEATS,
    batch: int | None = None,
    threads: int = 1,
    say: Say = lambda line: None,
) -> dict[str, Any]:
    """The figures as plain data.

    speedup: pictures a second of the detector by those of one picture and concept at a time, all concepts in each
    picture, the median of ratios of times taken one shortly after the other; speedup_half_found: with half of the
    concepts there, where the other way leaves SAM out for what was not found. images_per_s, naive_images_per_s: of the
    first. agreement: the largest difference of a score between both ways, and the share of pixels whose mask differs.

    size: of `architectures.SIZES`. images: of a timed pass. batch: pairs of picture and concept in a forward. threads:
    of the CPU. Raises UserError for numbers below 1, unknown sizes, dtypes and devices.
    """
    place = _device(device)
    images = images or IMAGES[place.type]
    if min(images, repeats, threads, len(concepts)) < 1:
        raise UserError("images, repeats, threads and concepts must be at least 1.")
    detector, dtype = _detector(size, place, dtype, concepts, batch, threads)
    pictures = _pictures(images)
    half = frozenset(concepts[: (len(concepts) + 1) // 2])

    def way(other: OneByOne | None, there: frozenset[str]) -> Callable[[], list[dict[str, Detection]]]:
        def run() -> list[dict[str, Detection]]:
            detector.there = there
            return (other or detector).detect(pictures, concepts)

        return run

    ways = {
        "ours": way(None, frozenset(concepts)),
        "naive": way(OneByOne(detector, without_need=True), frozenset(concepts)),
        "naive_half_found": way(OneByOne(detector, without_need=False), half),
        "ours_half_found": way(None, half),
    }
    say(f"{images} pictures, {len(concepts)} concepts, {size} networks with random weights on {place} ...")
    with cpu_threads(threads):
        warm = {name: run() for name, run in ways.items()}
        seconds = time_in_turn(ways, repeats, place, lambda name: say(f"  {name}"))
    rates = {name: summary([images / value for value in values]) for name, values in seconds.items()}
    figures = {
        "speedup": ratio(seconds["naive"], seconds["ours"]),
        "speedup_half_found": ratio(seconds["naive_half_found"], seconds["ours_half_found"]),
    }
    around = surroundings(place)
    around["versions"] |= {name: version(name) for name in PACKAGES}
    return {
        "benchmark": "detector",
        **{name: figure["median"] for name, figure in figures.items()},
        "images_per_s": rates["ours"]["median"],
        "naive_images_per_s": rates["naive"]["median"],
        "agreement": _agreement(warm["ours"], warm["naive"]),
        "concepts": list(concepts),
        "images": images,
        "picture": list(PICTURE),
        "boxes_a_concept": BOXES,
        "size": size,
        "grounding_side": SIZES[size].side,
        "segmenter_side": SIZES[size].segmenter_side,
        "dtype": dtype,
        "batch": detector.grounding.rows,
        "threads": threads,
        "repeats": repeats,
        "figures": figures,
        "rates": rates,
        **around,
    }


def lines(result: dict[str, Any]) -> list[str]:
    """What a person reads of the figures."""
    count = len(result["concepts"])
    agreement = result["agreement"]
    return [
        f"{result['images_per_s']:.3g} pictures/s with {count} concepts; one at a time with whole models: "
        f"{result['naive_images_per_s']:.3g}",
        f"speedup {result['speedup']:.2f} (goal on a CPU: {GOALS['speedup']:g}), "
        f"{result['speedup_half_found']:.2f} where half of the concepts are found",
        f"both ways: scores differ by {agreement['score']:.1e} at most, {agreement['pixels']:.1e} of the masks' pixels",
    ]


def _device(device: str | None) -> torch.device:
    try:
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as problem:
        raise UserError(f"{device!r} is no device: choose cpu or cuda.") from problem
    if place.type not in IMAGES or (place.type == "cuda" and not torch.cuda.is_available()):
        raise UserError(f"the device {place} cannot be used here: choose cpu{' or cuda' * torch.cuda.is_available()}.")
    return place


def _detector(
    size: str, device: torch.device, dtype: str | None, concepts: Sequence[str], batch: int | None, threads: int
) -> tuple[BestBoxes, str]:
    """With random weights; and the dtype that it computes in."""
    if size not in SIZES:
        raise UserError(f"there is no size {size!r}: choose {', '.join(SIZES)}.")
    dtype = dtype or ("float32" if device.type == "cpu" else "float16")
    if dtype not in DTYPES:
        raise UserError(f"there is no dtype {dtype!r}: choose {', '.join(DTYPES)}.")
    rows = batch or ROWS[device.type]
    pictures = max(1, rows // PICTURES_SHARE)
    grounding, grounding_processor = random_grounding(SIZES[size], concepts)
    segmenter, segmenter_processor = random_segmenter(SIZES[size])
    detector = BestBoxes(
        Grounding(grounding.to(device, DTYPES[dtype]), grounding_processor, rows, pictures),
        Segmenter(segmenter.to(device, DTYPES[dtype]), segmenter_processor, rows, pictures),
        f"random {size}",
        threads=threads,
    )
    return detector, dtype


def _pictures(count: int) -> list[Image.Image]:
    """Blurred noise in colours."""
    rng = np.random.default_rng(0)
    coarse = [Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)) for _ in range(count)]
    return [picture.resize(PICTURE, Image.Resampling.BICUBIC) for picture in coarse]


def _agreement(ours: Sequence[dict[str, Detection]], naive: Sequence[dict[str, Detection]]) -> dict[str, float]:
    pairs = [(one[c], other[c]) for one, other in zip(ours, naive, strict=True) for c in one]
    differ = [
        float((one.mask != other.mask).mean())
        for one, other in pairs
        if one.mask is not None and other.mask is not None
    ]
    return {
        "score": max(abs(one.score - other.score) for one, other in pairs),
        "pixels": float(np.mean(differ)) if differ else 0.0,
    }
