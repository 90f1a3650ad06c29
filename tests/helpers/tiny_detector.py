"""Concept detectors of some hundred thousand random weights, built once for all test processes.

What they find means nothing, but differs from picture to picture and concept to concept. Random weights are sure of
much: with SOME_FOUND, which is the default here, they find some concepts in some pictures, with NOTHING_FOUND none.
"""

import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from maia.models.detectors.architectures import SIZES, write_random
from maia.models.detectors.grounded import GroundedDetector, load_detector
from PIL import Image

WORDS = ("dog", "leash", "train", "instrument", "car", "window", "snow", "##board", "stripes", "snake")
"""One token each; other words are spelled letter by letter."""

SOME_FOUND = {"box_threshold": 0.905, "dilation": 0.02}
"""Masks of random weights are spots all over the picture, which are to stay apart."""

NOTHING_FOUND = {"box_threshold": 0.999}


@cache
def tiny_folders(segmenter: str = "sam") -> tuple[Path, Path]:
    """Folders of Grounding DINO and of a segmenter ("sam" or "sam2"); not to be changed."""
    place = Path(os.environ["MAIA_TEST_CACHE"]) / "detector"
    _build(place, lambda draft: write_random(draft, SIZES["tiny"], WORDS))
    if segmenter == "sam":
        return place / "grounding", place / "segmenter"
    other = place.with_name("detector-sam2")
    _build(other, _write_sam2)
    return place / "grounding", other


def own_folders(directory: Path) -> tuple[Path, Path]:
    """Copies that a test may damage."""
    grounding, segmenter = (Path(shutil.copytree(f, directory / f.name)) for f in tiny_folders())
    return grounding, segmenter


@cache
def tiny_detector(segmenter: str = "sam", **options: Any) -> GroundedDetector:
    """options: of `load_detector`, SOME_FOUND where they say nothing else. One for all tests that ask for the same."""
    return load_detector(*tiny_folders(segmenter), **{**SOME_FOUND, **options})


def pictures(*sizes: tuple[int, int], seed: int = 0) -> list[Image.Image]:
    """Of (width, height): blurred noise in colours."""
    rng = np.random.default_rng(seed)
    made = []
    for width, height in sizes:
        coarse = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        made.append(coarse.resize((width, height), Image.Resampling.BICUBIC))
    return made


def _build(place: Path, write: Any) -> None:
    if place.exists():
        return
    draft = Path(tempfile.mkdtemp(dir=place.parent))
    write(draft)
    try:
        os.rename(draft, place)
    except OSError:  # another process was first
        shutil.rmtree(draft)


def _write_sam2(folder: Path) -> None:
    import torch
    from transformers import (
        Sam2Config,
        Sam2HieraDetConfig,
        Sam2ImageProcessor,
        Sam2MaskDecoderConfig,
        Sam2Model,
        Sam2Processor,
        Sam2PromptEncoderConfig,
        Sam2VisionConfig,
    )

    hiera = Sam2HieraDetConfig(
        hidden_size=12,
        image_size=[64, 64],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[12, 24, 48, 96],
        num_attention_heads_per_stage=[1, 2, 4, 8],
        window_size_per_stage=[8, 4, 4, 2],
        window_positional_embedding_background_size=[4, 4],
        global_attention_blocks=[3],
    )
    vision = Sam2VisionConfig(
        backbone_config=hiera,
        backbone_channel_list=[96, 48, 24, 12],
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
        fpn_hidden_size=32,
    )
    config = Sam2Config(
        vision_config=vision,
        prompt_encoder_config=Sam2PromptEncoderConfig(hidden_size=32, image_size=64, patch_size=16),
        mask_decoder_config=Sam2MaskDecoderConfig(
            hidden_size=32, mlp_dim=64, num_attention_heads=2, iou_head_hidden_dim=32
        ),
    )
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = Sam2Model(config)
    model.save_pretrained(folder)
    processor = Sam2ImageProcessor(size={"height": 64, "width": 64}, mask_size={"height": 16, "width": 16})
    Sam2Processor(processor, target_size=64).save_pretrained(folder)
