"""Checkpoints of vision-language models read with transformers: from local files alone, and without their code."""

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import torch

from ..diffusion.quiet import quiet
from ..errors import UserError, first_line

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
LOCAL = {"local_files_only": True, "trust_remote_code": False}
SHOWN = 3
"""Names that a message lists."""


def read_processor(path: Path) -> Any:
    """The checkpoint's processor: chat template, tokenizer (padding on the left) and image processor.

    Raises UserError where it is none, or has no chat template.
    """
    from transformers import AutoProcessor

    register()
    try:
        with quiet():
            processor = AutoProcessor.from_pretrained(path, **LOCAL)
    except Exception as problem:
        raise UserError(
            f"the processor of {path} cannot be read ({first_line(problem)}): get its tokenizer's and processor's "
            "files again from the model's source."
        ) from problem
    if getattr(processor, "image_processor", None) is None or getattr(processor, "tokenizer", None) is None:
        raise UserError(f"{path} has no processor for pictures and text: choose a vision-language model.")
    if not processor.chat_template:
        raise UserError(f"{path} has no chat template: put the chat_template.jinja of the model's source there.")
    processor.tokenizer.padding_side = "left"
    return processor


def read_model(
    path: Path, dtype: str, device: torch.device | None, quantize: bool = False, adapter: Path | None = None
) -> Any:
    """The model with its weights, ready to answer, on the device. device: None: in the host's memory.

    dtype: "bf16", "fp16" or "fp32", of weights and arithmetic. quantize: linear layers but the last in 4 bits (nf4,
    QLoRA: Dettmers et al. 2023), computing in dtype. adapter: folder of a LoRA adapter, which is applied beside the
    weights. Raises UserError for what is incomplete or cannot be read, and torch.OutOfMemoryError.
    """
    from transformers import AutoModelForImageTextToText, BitsAndBytesConfig

    register()
    options: dict[str, Any] = {}
    if quantize:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=DTYPES[dtype]
        )
    if device is not None:
        options["device_map"] = {"": device}
    try:
        with quiet():
            read: Any = AutoModelForImageTextToText.from_pretrained(
                path, dtype=DTYPES[dtype], output_loading_info=True, **LOCAL, **options
            )
            model, told = read
    except torch.OutOfMemoryError:
        raise
    except Exception as problem:
        raise UserError(
            f"the model of {path} cannot be read ({first_line(problem)}): get it again from its source, in the format "
            "of transformers."
        ) from problem
    if missing := sorted(told["missing_keys"]):
        raise UserError(
            f"{path} lacks weights, as {', '.join(missing[:SHOWN])} ({len(missing)} in all): get it again from its "
            "source."
        )
    if adapter is not None:
        model = _with_adapter(model, adapter)
    return model.eval().requires_grad_(False)


def register() -> None:
    """Tells transformers of the architectures that are ours; a second call does nothing."""
    from .small.modeling import register as register_small

    register_small()


def check_dtype(dtype: str, device: torch.device) -> None:
    """Raises UserError where the device cannot compute in it: fp16 needs a GPU, bf16 on a GPU compute capability 8."""
    if dtype == "fp16" and device.type == "cpu":
        raise UserError("dtype fp16 needs a GPU, and the vision-language model is on the CPU: choose bf16 or fp32.")
    if dtype == "bf16" and device.type == "cuda" and torch.cuda.get_device_capability(device)[0] < 8:
        raise UserError(f"dtype bf16 needs compute capability 8 or more, and {device} has less: choose fp16.")


def check_4bit(device: torch.device) -> None:
    """Raises UserError where bitsandbytes is missing or cannot quantize on the device: a small matrix is tried."""
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UserError(
            "quantization 4bit needs bitsandbytes, which is not installed: run `pip install bitsandbytes`, or leave "
            "quantization out."
        )
    try:
        functional = importlib.import_module("bitsandbytes.functional")
        packed, state = functional.quantize_4bit(torch.eye(64, device=device), quant_type="nf4")
        exact = torch.equal(functional.dequantize_4bit(packed, state), torch.eye(64, device=device))
    except Exception as problem:
        raise UserError(
            f"quantization 4bit: bitsandbytes does not run on {device} ({first_line(problem)}): install the build for "
            "this machine, or leave quantization out."
        ) from problem
    if not exact:
        raise UserError(f"quantization 4bit: bitsandbytes computes wrongly on {device}: leave quantization out.")


def _with_adapter(model: Any, adapter: Path) -> Any:
    """The model with the adapter's layers in place."""
    if importlib.util.find_spec("peft") is None:
        raise UserError(
            f"the adapter {adapter} needs peft, which is not installed: run `pip install peft`, or leave adapter out."
        )
    if not (adapter / "adapter_config.json").is_file():
        raise UserError(
            f"{adapter} is no LoRA adapter, since it has no adapter_config.json: give the adapter's folder."
        )
    from peft import PeftModel

    try:
        with quiet():
            wrapped = PeftModel.from_pretrained(model, str(adapter), local_files_only=True)
    except Exception as problem:
        raise UserError(
            f"the adapter {adapter} does not fit the model ({first_line(problem)}): choose the adapter that was "
            "trained for this checkpoint."
        ) from problem
    return wrapped.get_base_model()
