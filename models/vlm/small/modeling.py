"""The small backbone in transformers: LLaVA around the tower, without a projector."""

from typing import Any

import torch
from torch import nn
from transformers import AutoModel, AutoModelForImageTextToText, LlavaForConditionalGeneration, LlavaModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from .config import MaiaLlavaConfig, MaiaVisionConfig, register_configs
from .decoding import GROUPED, growing_cache, register_attention
from .tower import MaiaVisionTower


class MaiaLlavaModel(LlavaModel):
    """The tower and the language model, without the language model's last layer."""

    config_class = MaiaLlavaConfig

    def __init__(self, config: MaiaLlavaConfig) -> None:
        super(LlavaModel, self).__init__(config)
        self.vision_tower = AutoModel.from_config(config.vision_config)
        self.add_module("multi_modal_projector", nn.Identity())
        self.language_model = AutoModel.from_config(config.text_config)
        self.language_model.set_attn_implementation(GROUPED)
        self.post_init()

    def get_image_features(
        self, pixel_values: torch.Tensor, return_dict: bool | None = None, **_: Any
    ) -> BaseModelOutputWithPooling:
        """pooler_output: a [9, hidden] tensor for each picture."""
        tokens = self.vision_tower(pixel_values).last_hidden_state
        pictures: Any = list(tokens)  # as LLaVA's own, whose type says otherwise
        return BaseModelOutputWithPooling(last_hidden_state=tokens, pooler_output=pictures)


class MaiaLlavaForConditionalGeneration(LlavaForConditionalGeneration):
    """The small backbone."""

    config_class = MaiaLlavaConfig
    _keep_in_fp32_modules_strict = ["vision_tower"]  # noqa: RUF012

    def __init__(self, config: MaiaLlavaConfig) -> None:
        super(LlavaForConditionalGeneration, self).__init__(config)
        self.model = MaiaLlavaModel(config)
        text: Any = config.text_config
        self.lm_head = nn.Linear(text.hidden_size, text.vocab_size, bias=False)
        self.post_init()

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """As transformers' own, with the cache of `decoding.py`."""
        kwargs.setdefault("past_key_values", growing_cache(self.config.text_config))
        return super().generate(*args, **kwargs)  # type: ignore[misc]


def register() -> None:
    """Tells transformers of the architecture, so that its Auto classes load such a checkpoint; a second call does
    nothing."""
    register_configs()
    register_attention()
    AutoModel.register(MaiaVisionConfig, MaiaVisionTower, exist_ok=True)
    AutoModel.register(MaiaLlavaConfig, MaiaLlavaModel, exist_ok=True)
    AutoModelForImageTextToText.register(MaiaLlavaConfig, MaiaLlavaForConditionalGeneration, exist_ok=True)
