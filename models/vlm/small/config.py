"""The configurations of the small backbone, and its registration with transformers."""

from typing import Any

from transformers import AutoConfig, LlavaConfig, PreTrainedConfig

from .facts import PATCH, SIDE, TOKENS


class MaiaVisionConfig(PreTrainedConfig):
    """slots: what each image token may say, as [name, [words]]; hidden_size: numbers of a token."""

    model_type = "maia_llava_vision"
    base_config_key = "vision_config"

    hidden_size: int = 576
    image_size: int = SIDE
    patch_size: int = PATCH
    slots: list | None = None


class MaiaLlavaConfig(LlavaConfig):
    """LLaVA with the tower of `tower.py` and no projector."""

    model_type = "maia_llava"


def register_configs() -> None:
    """Tells transformers of the two configurations; a second call does nothing."""
    for config in (MaiaVisionConfig, MaiaLlavaConfig):
        AutoConfig.register(config.model_type, config, exist_ok=True)


def slot_words(config: MaiaVisionConfig) -> list[tuple[str, tuple[str, ...]]]:
    """The slots of a configuration: (name, words) each. Raises ValueError where there are not nine."""
    slots: list[Any] = config.slots or []
    if len(slots) != TOKENS:
        raise ValueError(f"the vision part has {TOKENS} slots, not {len(slots)}")
    return [(str(name), tuple(words)) for name, words in slots]
