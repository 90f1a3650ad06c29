"""Grounding DINO finds boxes for a concept, a segmenter draws what is inside them: the paper's detector (4.2, C4)."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import nn

from ..errors import UserError, first_line
from ..threads import cpu_threads
from .base import (
    BOX_THRESHOLD,
    DILATION,
    MIN_SIDE,
    NOTHING,
    TEXT_THRESHOLD,
    Detection,
    best_first,
    boxes_in_pixels,
    check_picture,
    dilate,
    dilation_radius,
    match_boxes,
    merge_masks,
)
from .folder import content_hash, read_grounding, read_segmenter
from .grounding import Candidates, Grounding, PictureFeatures, Pixels
from .phrases import Phrase
from .segments import Segmenter, SegmenterFeatures

ROWS = {"cpu": 1, "cuda": 16}
"""Pairs of picture and concept in a forward. A CPU is no faster with several; a GPU is idle with one."""

PICTURES_SHARE = 4
"""An image encoder's forward has one picture for this many of those pairs, as each picture is asked for several."""

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

_Item = TypeVar("_Item")

# To be raised when other answers come from the same weights.
_VERSION = 1


class GroundedDetector:
    """A `ConceptDetector` of two models.

    The image backbone runs once a picture, whatever the number of concepts, and the segmenter's image encoder once for
    each picture in which something was found, if masks are asked for. Each concept is asked in a text of its own.
    Device, number of threads and rows of a forward change the last bits only and are not part of the fingerprint.
    """

    def __init__(
        self,
        grounding: Grounding,
        segmenter: Segmenter,
        weights: str,
        *,
        box_threshold: float = BOX_THRESHOLD,
        text_threshold: float = TEXT_THRESHOLD,
        dilation: float = DILATION,
        threads: int = 1,
    ) -> None:
        """weights: changes with the weights and the processors. dilation: see `load_detector`. threads: of the CPU, if
        that is the device. Raises UserError for numbers out of range."""
        check_options(box_threshold, text_threshold, dilation, threads)
        self.grounding, self.segmenter = grounding, segmenter
        self.box_threshold, self.text_threshold, self.dilation = box_threshold, text_threshold, dilation
        self.threads = threads
        definition = [_VERSION, weights, box_threshold, text_threshold, dilation, grounding.resolution]
        definition.append([str(grounding.dtype), str(segmenter.dtype)])
        self._fingerprint = hashlib.sha256(json.dumps(definition).encode()).hexdigest()

    @property
    def fingerprint(self) -> str:
        """Changes with weights, processors, thresholds, dilation, resolution and dtype."""
        return self._fingerprint

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.grounding.device

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The networks with all weights, for whoever moves them."""
        return {"grounding": self.grounding.model, "segmenter": self.segmenter.model}

    def check(self, concepts: Sequence[str]) -> None:
        """Raises UserError for the first concept that cannot be asked for: see `phrases.phrase_of`."""
        for concept in concepts:
            self.grounding.phrase(concept)

    def detect(
        self, images: Sequence[Image.Image], concepts: Sequence[str], masks: bool = True
    ) -> list[dict[str, Detection]]:
        """One dict a picture, by concept, in the order given: see `ConceptDetector.detect`.

        Pictures of one size share forwards. The pixels of all that are given are held in memory (13 MB each at 800 x
        1333), so give some tens at a time. Raises UserError, BadPicture, torch.OutOfMemoryError.
        """
        return self.detect_each(images, [concepts] * len(images), masks)

    def detect_each(
        self, images: Sequence[Image.Image], concepts: Sequence[Sequence[str]], masks: bool = True
    ) -> list[dict[str, Detection]]:
        """As `detect`, with concepts of each picture's own, so that pictures with few share forwards."""
        named = {concept: self.grounding.phrase(concept) for row in concepts for concept in row}
        for place, image in enumerate(images):
            check_picture(image, place)
        asked = [[named[concept] for concept in dict.fromkeys(row)] for row in concepts]
        found: list[dict[str, Detection]] = [{} for _ in images]
        with self._settings():
            pixels = {
                place: self.grounding.pixels(image, place)
                for place, (image, phrases) in enumerate(zip(images, asked, strict=True))
                if phrases
            }
            for places in self._windows(pixels, asked):
                features = self._encoded([pixels[place] for place in places])
                for place, phrase, candidates in self._candidates(places, features, asked):
                    found[place][phrase.concept] = self._detection(candidates, phrase, *images[place].size)
            if masks:
                self._add_masks(images, found)
        return [{concept: one[concept] for concept in row} for one, row in zip(found, concepts, strict=True)]

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """Of the CPU, if that is the device; and what it cannot compute is told."""
        if self.device.type != "cpu":
            yield
            return
        try:
            with cpu_threads(self.threads):
                yield
        except RuntimeError as problem:
            if self.grounding.dtype is torch.float32:
                raise
            raise UserError(
                f"the detector cannot run in {self.grounding.dtype} on a CPU ({first_line(problem)}): use dtype "
                "float32."
            ) from problem

    def _windows(self, pixels: Mapping[int, Pixels], asked: Sequence[Sequence[Phrase]]) -> Iterator[list[int]]:
        """Places of pictures of one shape, as many at a time as fill a forward of each half."""
        shapes: dict[tuple[int, int], list[int]] = {}
        for place, one in pixels.items():
            shapes.setdefault(one.shape, []).append(place)
        for places in shapes.values():
            window: list[int] = []
            for place in places:
                window.append(place)
                pairs = sum(len(asked[other]) for other in window)
                if len(window) >= self.grounding.pictures and pairs >= self.grounding.rows:
                    yield window
                    window = []
            if window:
                yield window

    def _encoded(self, pixels: Sequence[Pixels]) -> list[PictureFeatures]:
        return [one for some in _chunks(pixels, self.grounding.pictures) for one in self.grounding.encode(some)]

    def _candidates(
        self, places: Sequence[int], features: Sequence[PictureFeatures], asked: Sequence[Sequence[Phrase]]
    ) -> Iterator[tuple[int, Phrase, Candidates]]:
        """Of each picture and each phrase asked of it; texts of one padded length share forwards."""
        by_length: dict[int, list[tuple[int, PictureFeatures, Phrase]]] = {}
        for place, one in zip(places, features, strict=True):
            for phrase in asked[place]:
                by_length.setdefault(phrase.length, []).append((place, one, phrase))
        for rows in by_length.values():
            for some in _chunks(rows, self.grounding.rows):
                answers = self.grounding.candidates([(one, phrase) for _, one, phrase in some])
                for (place, _, phrase), candidates in zip(some, answers, strict=True):
                    yield place, phrase, candidates

    def _detection(self, candidates: Candidates, phrase: Phrase, width: int, height: int) -> Detection:
        if np.isnan(candidates.probabilities).any() or np.isnan(candidates.boxes).any():
            raise UserError(
                f"the detector's numbers overflow in {self.grounding.dtype}: use dtype bfloat16 or float32, or get "
                "weights that are whole."
            )
        kept, scores, _ = match_boxes(candidates.probabilities, phrase.tokens, self.box_threshold, self.text_threshold)
        if not kept.any():
            return NOTHING
        boxes, scores = best_first(boxes_in_pixels(candidates.boxes[kept], width, height), scores[kept])
        return Detection(float(scores[0]), boxes, scores)

    def _add_masks(self, images: Sequence[Image.Image], found: list[dict[str, Detection]]) -> None:
        """Puts the masks into what was found; pictures in which nothing was found are not looked at."""
        shown = [place for place, one in enumerate(found) if any(detection.found for detection in one.values())]
        for places in _chunks(shown, self.segmenter.pictures):
            for place, features in zip(places, self.segmenter.encode([images[p] for p in places]), strict=True):
                found[place] = found[place] | self._masked(features, found[place])

    def _masked(self, features: SegmenterFeatures, by_concept: Mapping[str, Detection]) -> dict[str, Detection]:
        """The boxes of all concepts of one picture share the segmenter's forwards."""
        there = {concept: detection for concept, detection in by_concept.items() if detection.found}
        segments = self.segmenter.segments(features, np.concatenate([d.boxes for d in there.values()]))
        height, width = features.size
        radius = dilation_radius(width, height, self.dilation)
        masked = {}
        for concept, detection in there.items():
            union = merge_masks(islice(segments, len(detection.boxes)), features.size)
            masked[concept] = replace(detection, mask=dilate(union, radius))
        return masked


def load_detector(
    grounding: Path,
    segmenter: Path,
    *,
    box_threshold: float = BOX_THRESHOLD,
    text_threshold: float = TEXT_THRESHOLD,
    dilation: float = DILATION,
    resolution: int | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | str | None = None,
    batch: int | None = None,
    threads: int = 1,
) -> GroundedDetector:
    """The detector of two local folders in transformers' format: Grounding DINO, and SAM or SAM 2.

    box_threshold, text_threshold: see `match_boxes`. dilation: radius as a share of the picture's scale
    (`dilation_radius`); 0 leaves masks as they are. resolution: pixels of a picture's shorter side for Grounding DINO;
    None: its processor's own, 800 (the paper's published code gives it 224). dtype: None is float16 on a GPU, float32
    on a CPU. batch: pairs of picture and concept in a forward (None: ROWS). threads: of the CPU, if that is the device.

    Raises UserError that names what is missing, damaged or out of range.
    """
    place = torch.device(device)
    check_options(box_threshold, text_threshold, dilation, threads)
    if resolution is not None and resolution < MIN_SIDE:
        raise UserError(f"the detector's resolution is {resolution}: it must be at least {MIN_SIDE} pixels.")
    rows = batch if batch is not None else ROWS.get(place.type, ROWS["cuda"])
    if rows < 1:
        raise UserError(f"the detector's batch is {rows}: it must be at least 1.")
    number = _dtype(dtype, place)
    pictures = max(1, rows // PICTURES_SHARE)
    grounding_model, grounding_processor = read_grounding(Path(grounding), number)
    segmenter_model, segmenter_processor = read_segmenter(Path(segmenter), number)
    return GroundedDetector(
        Grounding(grounding_model.to(place), grounding_processor, rows, pictures, resolution),
        Segmenter(segmenter_model.to(place), segmenter_processor, rows, pictures),
        content_hash(Path(grounding)) + content_hash(Path(segmenter)),
        box_threshold=box_threshold,
        text_threshold=text_threshold,
        dilation=dilation,
        threads=threads,
    )


def check_options(box_threshold: float, text_threshold: float, dilation: float, threads: int) -> None:
    """Raises UserError for numbers out of range."""
    for name, value in (("box_threshold", box_threshold), ("text_threshold", text_threshold)):
        if not 0 <= value < 1:
            raise UserError(f"the detector's {name} is {value}: it must be at least 0 and below 1.")
    if not 0 <= dilation <= 1:
        raise UserError(f"the detector's dilation is {dilation}: it is a share of the picture's scale, from 0 to 1.")
    if threads < 1:
        raise UserError(f"the detector's threads are {threads}: there must be at least 1.")


def _dtype(dtype: torch.dtype | str | None, device: torch.device) -> torch.dtype:
    if dtype is None:
        return torch.float32 if device.type == "cpu" else torch.float16
    if isinstance(dtype, str):
        if dtype not in DTYPES:
            raise UserError(f"the detector's dtype is {dtype!r}: choose {', '.join(DTYPES)}.")
        return DTYPES[dtype]
    return dtype


def _chunks(items: Sequence[_Item], count: int) -> Iterator[Sequence[_Item]]:
    for first in range(0, len(items), count):
        yield items[first : first + count]
