"""Detectors with random weights, of any size: for tests, and to be timed. They find nothing that means anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..diffusion.quiet import quiet
from .phrases import MARKS

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True)
class DetectorSize:
    """Arguments of transformers' configurations: of Swin, of BERT, of Grounding DINO beside them, and of SAM's three
    parts. side: pixels of the shorter side of Grounding DINO's pictures; segmenter_side: of SAM's square input; patch:
    of SAM."""

    swin: Mapping[str, Any]
    text: Mapping[str, Any]
    grounding: Mapping[str, Any]
    vision: Mapping[str, Any]
    prompt: Mapping[str, Any]
    mask_decoder: Mapping[str, Any]
    side: int
    segmenter_side: int
    patch: int


_SWIN_T = {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24], "window_size": 7, "image_size": 224}
_TINY_FFN = {"encoder_ffn_dim": 128, "decoder_ffn_dim": 128, "encoder_layers": 2, "decoder_layers": 2}
_TINY_HEADS = {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "num_queries": 20, "max_text_len": 32}

SIZES: dict[str, DetectorSize] = {
    "tiny": DetectorSize(
        swin={
            "embed_dim": 16,
            "depths": [1] * 4,
            "num_heads": [1, 2, 2, 4],
            "window_size": 4,
            "image_size": 64,
        },
        text={"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2},
        grounding={"d_model": 64, **_TINY_FFN, **_TINY_HEADS},
        vision={
            "hidden_size": 32,
            "output_channels": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "window_size": 4,
            "global_attn_indexes": [1],
            "num_pos_feats": 16,
            # As configured, an encoder with random weights tells no two pictures apart.
            "initializer_range": 0.2,
        },
        prompt={"hidden_size": 32},
        mask_decoder={"hidden_size": 32, "mlp_dim": 64, "num_attention_heads": 2, "iou_head_hidden_dim": 32},
        side=64,
        segmenter_side=64,
        patch=8,
    ),
    # Swin-T and SAM ViT-B as published. Sizes of pictures are those of the paper's published code: 224 for Grounding
    # DINO, 1024 for SAM, which takes no others.
    "base": DetectorSize(
        swin=_SWIN_T,
        text={},
        grounding={},
        vision={"initializer_range": 0.02},
        prompt={},
        mask_decoder={},
        side=224,
        segmenter_side=1024,
        patch=16,
    ),
}


def random_grounding(size: DetectorSize, words: Sequence[str] = (), seed: int = 0) -> tuple[Any, Any]:
    """(GroundingDinoForObjectDetection, its processor), float32. words: that are one token each (`vocabulary`)."""
    from transformers import (  # type: ignore[attr-defined]
        BertConfig,
        BertTokenizerFast,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessor,
        GroundingDinoProcessor,
        SwinConfig,
    )

    entries = vocabulary(words)
    config = GroundingDinoConfig(
        backbone_config=SwinConfig(**{**size.swin, "out_indices": [2, 3, 4]}),
        text_config=BertConfig(**{"vocab_size": len(entries), **size.text}),
        **size.grounding,
    )
    with quiet(), torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = GroundingDinoForObjectDetection(config).eval()
        for layer in model.model.encoder.layers:
            # As configured, the text would hardly reach the picture's features.
            layer.fusion_layer.vision_param.data.fill_(1.0)
            layer.fusion_layer.text_param.data.fill_(1.0)
        # As configured, boxes would stay where they start, and most scores be 0 or 1.
        for head in (*model.bbox_embed, model.model.encoder_output_bbox_embed):
            torch.nn.init.normal_(head.layers[-1].weight, std=0.02)
        text_layer = model.model.encoder.layers[-1].text_enhancer_layer
        text_layer.layer_norm_after.weight.data.fill_(config.d_model**-0.5)
        tokenizer = BertTokenizerFast(vocab=entries, do_lower_case=True)
        edges = {"shortest_edge": size.side, "longest_edge": 2 * size.side}
        processor = GroundingDinoProcessor(GroundingDinoImageProcessor(size=edges), tokenizer)
    return model, processor


def random_segmenter(size: DetectorSize, seed: int = 0) -> tuple[Any, Any]:
    """(SamModel, its processor), float32."""
    from transformers import (
        SamConfig,
        SamImageProcessor,
        SamMaskDecoderConfig,
        SamModel,
        SamProcessor,
        SamPromptEncoderConfig,
        SamVisionConfig,
    )

    square: dict[str, Any] = {"image_size": size.segmenter_side, "patch_size": size.patch}
    config = SamConfig(
        vision_config=SamVisionConfig(**square, **size.vision),
        prompt_encoder_config=SamPromptEncoderConfig(**square, **size.prompt),
        mask_decoder_config=SamMaskDecoderConfig(**size.mask_decoder),
    )
    with quiet(), torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = SamModel(config).eval()
        side = size.segmenter_side
        processor = SamImageProcessor(size={"longest_edge": side}, pad_size={"height": side, "width": side})
    return model, SamProcessor(processor)


def write_random(directory: Path, size: DetectorSize, words: Sequence[str] = (), seed: int = 0) -> tuple[Path, Path]:
    """Both as folders in transformers' format: directory/grounding and directory/segmenter."""
    folders = directory / "grounding", directory / "segmenter"
    made = random_grounding(size, words, seed), random_segmenter(size, seed)
    with quiet():
        for folder, (model, processor) in zip(folders, made, strict=True):
            model.save_pretrained(folder)
            processor.save_pretrained(folder)
    return folders


def vocabulary(words: Sequence[str] = ()) -> dict[str, int]:
    """A WordPiece vocabulary in which every text of Latin letters and digits can be written.

    words: further entries, lower case; "##ing" is one that continues a word. The marks have the numbers that Grounding
    DINO knows them by (`phrases.MARKS`).
    """
    fixed = {"[PAD]": 0, "[UNK]": 100, "[MASK]": 103, **MARKS}
    taken = {number: entry for entry, number in fixed.items()}
    entries = [taken.get(number, f"[unused{number}]") for number in range(max(taken) + 1)]
    pieces = [*LETTERS, *(f"##{letter}" for letter in LETTERS), *words]
    entries += [entry for entry in dict.fromkeys(pieces) if entry not in fixed]
    return {entry: number for number, entry in enumerate(entries)}
