"""The adapter's layers: of the language model alone, found on the model itself and verified after wrapping."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..models.errors import UserError
from ..models.vlm.adapters import check_adapter
from ..models.vlm.checkpoint import Checkpoint
from .finetune_options import LoraChoice

LANGUAGE = "language_model"
CONNECTORS = ("multi_modal_projector", "merger")
"""Names of modules between vision tower and language model."""

ADAPTER = "default"
"""Name of the adapter that is trained."""


def target_pattern(model: Any, choice: LoraChoice, connector: bool = False) -> str:
    """A regular expression over module paths for peft's `target_modules`: the layers named in `choice.targets` inside
    the model's language model, and, if `connector`, all linear layers of its connector.

    Raises UserError for a name that no linear layer of the language model has, with those that there are.
    """
    linear = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    inside = [name for name in linear if LANGUAGE in name.split(".")]
    known = list(dict.fromkeys(name.rsplit(".", 1)[-1] for name in inside))
    unknown = [name for name in choice.targets if name not in known]
    if unknown:
        raise UserError(
            f"lora: the language model has no layer {', '.join(unknown)}: targets can be {', '.join(known) or 'none'}."
        )
    names = "|".join(map(re.escape, choice.targets))
    pattern = rf"(?:.*\.)?{LANGUAGE}\.(?:.*\.)?(?:{names})"
    if connector:
        between = [name for name in linear if set(CONNECTORS) & set(name.split(".")) and LANGUAGE not in name]
        pattern = "|".join([pattern, *map(re.escape, between)])
    return pattern


def with_adapter(model: Any, choice: LoraChoice, connector: bool = False) -> Any:
    """The model with a new adapter, whose weights are float32 and the only ones that are trained.

    The adapter changes nothing at first (its second matrices are zero); its first matrices are drawn from torch's
    generator. Raises UserError (see `target_pattern`).
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=choice.rank,
        lora_alpha=choice.alpha,  # type: ignore[arg-type]
        lora_dropout=choice.dropout,
        target_modules=target_pattern(model, choice, connector),
        bias="none",
        task_type="CAUSAL_LM",
    )
    wrapped = get_peft_model(model, config)
    check_trained(wrapped, connector)
    return wrapped


def with_trained_adapter(model: Any, folder: Path, checkpoint: Checkpoint, connector: bool = False) -> Any:
    """The model with the adapter in `folder`, to be trained on. Raises UserError for one of another base."""
    from peft import PeftModel

    check_adapter(folder, checkpoint)
    wrapped = PeftModel.from_pretrained(model, str(folder), adapter_name=ADAPTER, is_trainable=True)
    wrapped.peft_config[ADAPTER].base_model_name_or_path = str(checkpoint.path)
    check_trained(wrapped, connector)
    return wrapped


def check_trained(model: Any, connector: bool = False) -> None:
    """Raises UserError unless the parameters that are trained are those of an adapter in the language model (and, if
    `connector`, in the connector)."""
    trained = [name for name, weight in model.named_parameters() if weight.requires_grad]
    allowed = (LANGUAGE, *CONNECTORS) if connector else (LANGUAGE,)
    wrong = [name for name in trained if ".lora_" not in name or not set(allowed) & set(name.split("."))]
    if wrong or not trained:
        shown = ", ".join(wrong[:3]) if wrong else "nothing"
        raise UserError(f"training would change {shown}: choose lora targets inside the language model.")


def trained_weights(model: Any) -> tuple[int, Sequence[torch.nn.Parameter]]:
    """How many numbers are trained, and the parameters that hold them."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    return sum(weight.numel() for weight in weights), weights
