"""The vision tower: nine image tokens a picture, each a mixture of the language model's own word embeddings."""

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from .config import MaiaVisionConfig, slot_words
from .features import Eye
from .head import SlotHead

SHARPNESS = 2.0
"""Factor on the slots' logits: of two words that are about as likely both are heard, of others the likelier."""
_AT_ONCE = 16
"""Pictures that go through EfficientNet together."""


class Tower(nn.Module):
    """pixels, float [B, 3, 224, 224] in 0..1, to float32 [B, 9, hidden]. Its own arithmetic is float32 whatever the
    language model's is. A picture's tokens do not depend on the others of its batch, up to rounding.

    slots: number of words of each slot. words: the embeddings of all slots' words, [sum, hidden].
    """

    def __init__(self, slots: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        self.slots = slots
        self.eye = Eye()
        self.head = SlotHead(slots)
        self.words = nn.Parameter(torch.zeros(sum(slots), hidden), requires_grad=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.cat([self._tokens(part) for part in pixels.split(_AT_ONCE)])

    def _tokens(self, pixels: torch.Tensor) -> torch.Tensor:
        logits, _, _ = self.head(*self.eye(pixels))
        tokens = []
        for values, words in zip(logits, self.words.float().split(self.slots), strict=True):
            tokens.append(torch.softmax(SHARPNESS * values, -1) @ words)
        return torch.stack(tokens, 1)


class MaiaVisionTower(PreTrainedModel):
    """The tower as transformers builds it from a configuration."""

    config_class = MaiaVisionConfig
    config: MaiaVisionConfig
    main_input_name = "pixel_values"
    input_modalities = "image"

    def __init__(self, config: MaiaVisionConfig) -> None:
        super().__init__(config)
        self.tower = Tower(tuple(len(words) for _, words in slot_words(config)), config.hidden_size)
        self.post_init()

    def forward(self, pixel_values: torch.Tensor, **_: object) -> BaseModelOutputWithPooling:
        """last_hidden_state: float32 [B, 9, hidden]."""
        return BaseModelOutputWithPooling(last_hidden_state=self.tower(pixel_values))
