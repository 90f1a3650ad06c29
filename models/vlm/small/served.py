"""The small backbone in vLLM, whose own LLaVA does not know its tower. vLLM alone imports this file."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from vllm.config import VllmConfig
from vllm.model_executor.models.llava import (
    LlavaDummyInputsBuilder,
    LlavaForConditionalGeneration,
    LlavaMultiModalProcessor,
    LlavaProcessingInfo,
)
from vllm.model_executor.models.utils import init_vllm_registered_model, maybe_prefix
from vllm.multimodal import MULTIMODAL_REGISTRY
from vllm.multimodal.parse import ImageSize

from .config import slot_words
from .facts import SIDE, TOKENS
from .tower import Tower

_TOWER = "model.vision_tower.tower."


class SmallProcessingInfo(LlavaProcessingInfo):
    """Every picture is cut to one size and becomes the same number of tokens."""

    def get_num_image_tokens(self, *, image_width: int, image_height: int) -> int:
        return TOKENS

    def get_image_size_with_most_features(self) -> ImageSize:
        return ImageSize(width=SIDE, height=SIDE)


@MULTIMODAL_REGISTRY.register_processor(
    LlavaMultiModalProcessor, info=SmallProcessingInfo, dummy_inputs=LlavaDummyInputsBuilder
)
class ServedMaiaLlava(LlavaForConditionalGeneration):
    """vLLM's LLaVA around our tower, which computes in float32 whatever the language model's dtype is."""

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        nn.Module.__init__(self)
        config: Any = vllm_config.model_config.hf_config
        self.config = config
        self.multimodal_config = vllm_config.model_config.multimodal_config
        self.configure_mm_token_handling(
            vocab_size=config.text_config.vocab_size, mm_token_ids=[config.image_token_index]
        )
        with self._mark_tower_model(vllm_config, "image"):
            slots = tuple(len(words) for _, words in slot_words(config.vision_config))
            self.add_module("vision_tower", Tower(slots, config.vision_config.hidden_size).float())
            self.add_module("multi_modal_projector", nn.Identity())
        with self._mark_language_model(vllm_config):
            self.language_model = init_vllm_registered_model(
                vllm_config=vllm_config,
                hf_config=config.text_config,
                architectures=["LlamaForCausalLM"],
                prefix=maybe_prefix(prefix, "language_model"),
            )
        self.make_empty_intermediate_tensors = self.language_model.make_empty_intermediate_tensors

    def _image_pixels_to_features(self, vision_tower: nn.Module, pixel_values: Any) -> torch.Tensor:
        """Tokens in the language model's dtype, [B, 9, hidden]."""
        tokens: torch.Tensor = vision_tower(pixel_values)
        return tokens.to(pixel_values.dtype)

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> set[str]:
        """The tower's statistics are buffers, which vLLM's loader would leave out."""
        tower: dict[str, torch.Tensor] = {}

        def others() -> Iterable[tuple[str, torch.Tensor]]:
            for name, values in weights:
                if name.startswith(_TOWER):
                    tower[name.removeprefix(_TOWER)] = values
                else:
                    yield name, values

        loaded = super().load_weights(others())
        self.vision_tower.load_state_dict(tower)
        return loaded | {f"vision_tower.{name}" for name in tower}
