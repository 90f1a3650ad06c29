"""A detector's two checkpoints from local folders: checked, read whole or not at all, and known by a hash."""

import hashlib
from pathlib import Path
from typing import Any

import torch

from ..diffusion.quiet import quiet
from ..errors import UserError, first_line
from ..vlm.checkpoint import read_json
from ..vlm.weight_files import weight_files
from .phrases import wrong_marks
from .segments import MODEL_TYPES

GROUNDING_TYPE = "grounding-dino"
"""model_type of config.json."""

_PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt")
_HASHED = (*_PROCESSOR_FILES, *_TOKENIZER_FILES, "tokenizer_config.json", "special_tokens_map.json", "config.json")

# Tables that follow from the configuration, which some files hold and some do not, and a norm that no output passes.
_NOT_MISSED = ("relative_position_index", "swin.layernorm")


def read_grounding(folder: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    """(model, processor) of Grounding DINO, on the CPU. Raises UserError that says which file is missing or damaged."""
    model_type = check_folder(folder, "Grounding DINO")
    if model_type != GROUNDING_TYPE:
        raise UserError(
            f"{folder} holds a {model_type!r} model: name the folder of a Grounding DINO checkpoint, whose config.json "
            f"says model_type {GROUNDING_TYPE!r}."
        )
    _one_of(folder, _TOKENIZER_FILES, "Grounding DINO")
    backbone = (read_json(folder / "config.json", "Grounding DINO").get("backbone_config") or {}).get(
        "model_type", "swin"
    )
    if backbone != "swin":
        raise UserError(
            f"the Grounding DINO in {folder} has the image backbone {backbone!r}: name one with 'swin', as the "
            "published ones have."
        )
    from transformers import GroundingDinoForObjectDetection

    model, processor = _read(folder, GroundingDinoForObjectDetection, dtype)
    if wrong := wrong_marks(processor.tokenizer):
        raise UserError(
            f"the tokenizer in {folder} is not Grounding DINO's, as it numbers {', '.join(map(repr, wrong))} "
            "otherwise: copy its tokenizer files from the checkpoint that the weights are of."
        )
    return model, processor


def read_segmenter(folder: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    """(model, processor) of SAM or SAM 2, on the CPU. Raises UserError as `read_grounding`."""
    model_type = check_folder(folder, "the segmenter")
    if model_type not in MODEL_TYPES:
        raise UserError(
            f"{folder} holds a {model_type!r} model: name the folder of a segmenter whose config.json says model_type "
            f"{' or '.join(map(repr, MODEL_TYPES))}."
        )
    from transformers import AutoModelForMaskGeneration

    return _read(folder, AutoModelForMaskGeneration, dtype)


def check_folder(folder: Path, what: str) -> str:
    """The checkpoint's model_type, with its files looked at. what: what messages call it. Raises UserError."""
    if not folder.is_dir():
        raise UserError(
            f"there is no folder {folder} for {what}: name the folder of a checkpoint with config.json, its weights "
            "and its processor's files."
        )
    if not (folder / "config.json").is_file():
        raise UserError(f"{what} has no config.json in {folder}: name the folder that holds the checkpoint's files.")
    config = read_json(folder / "config.json", what)
    _one_of(folder, _PROCESSOR_FILES, what)
    weight_files(folder, what)
    return str(config.get("model_type"))


def content_hash(folder: Path) -> str:
    """Hex sha256 of the files that decide what the checkpoint answers: names and bytes."""
    digest = hashlib.sha256()
    weights = weight_files(folder, str(folder))
    files = [*weights, *(folder / name for name in _HASHED if (folder / name).is_file())]
    for file in sorted(files):
        digest.update(f"{file.name} {file.stat().st_size}\n".encode())
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def _one_of(folder: Path, names: tuple[str, ...], what: str) -> None:
    if not any((folder / name).is_file() for name in names):
        raise UserError(
            f"{what} has neither {' nor '.join(names)} in {folder}: download all files of the checkpoint into it."
        )


def _read(folder: Path, model_class: Any, dtype: torch.dtype) -> tuple[Any, Any]:
    """Raises UserError where a file cannot be read, or the weights are not all there: transformers would draw them."""
    from transformers import AutoProcessor

    try:
        with quiet():
            processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
            model, told = model_class.from_pretrained(
                folder, local_files_only=True, dtype=dtype, output_loading_info=True, ignore_mismatched_sizes=True
            )
    except Exception as problem:  # each library has its own for a damaged file
        raise UserError(
            f"the checkpoint in {folder} cannot be read ({first_line(problem)}): download config.json, the weights and "
            "the processor's files again."
        ) from problem
    # Both are told here, not raised, so that they can be named.
    missing = [name for name in told["missing_keys"] if not any(known in name for known in _NOT_MISSED)]
    wrong = [*sorted(missing), *sorted(str(key) for key in told["mismatched_keys"])]
    if wrong:
        raise UserError(
            f"the weights in {folder} do not go with its config.json ({len(wrong)} tensors are missing or of another "
            f"shape, such as {wrong[0]}): download both again from one checkpoint."
        )
    return model, processor
