"""How checkpoints with random weights are put together, family by family: classes, small sizes, chat templates.

The classes and their arguments are those of transformers; the names of special tokens, and what the templates write
around messages, are those of the published checkpoints.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .small.facts import PICTURES, PROCESSOR, TEMPLATE
from .small.slots import SLOTS


@dataclass(frozen=True)
class Size:
    """Of the language model. head: numbers of a head (vLLM's attention on CPUs needs 32 or more); vocabulary: entries
    at most."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head: int
    vocabulary: int
    context: int = 16384


@dataclass(frozen=True)
class RandomFamily:
    """tokens: special tokens by the names that the tokenizer has for them; more_tokens: those without a name;
    plain_tokens: entries of the vocabulary that stand for themselves. stops: tokens that end an answer. template: the
    chat template.

    model: class in transformers. text, vision: class of the configuration, and its arguments (the language model's
    are beyond those that every one has). config: further arguments of the whole configuration, from the ids of tokens.
    processor, image_processor, video_processor: class and arguments. renamed: beginnings of weights' names, ours ->
    published, where the library saves others than are published.
    """

    tokens: Mapping[str, str]
    stops: tuple[str, ...]
    template: str
    model: str
    text: tuple[str, Callable[[Size], Mapping[str, Any]]]
    vision: tuple[str, Callable[[Size], Mapping[str, Any]]]
    config: Callable[[Callable[[str], int]], Mapping[str, Any]]
    processor: tuple[str, Mapping[str, Any]]
    image_processor: tuple[str, Mapping[str, Any]]
    video_processor: tuple[str, Mapping[str, Any]] | None = None
    more_tokens: tuple[str, ...] = ()
    plain_tokens: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)


_PUBLISHED_TOWER = {"vision_tower.": "vision_tower.vision_model."}
_TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
_CLIP = {**_TOWER, "image_size": 56, "patch_size": 14, "projection_dim": 32}
_SQUARE = {"size": {"shortest_edge": 56}, "crop_size": {"height": 56, "width": 56}}
_PINPOINTS = [[56, 112], [112, 56], [112, 112], [168, 56], [56, 168]]
_LLAVA_CONFIG = {
    "vision_feature_layer": -2,
    "vision_feature_select_strategy": "default",
    "tie_word_embeddings": False,
}
_LLAVA_PROCESSOR = {"patch_size": 14, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
_LLAVA_TOKENS = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "image_token": "<image>"}

# Both: pictures before texts, whatever their order was. The beginning is written by the template, not left to the
# tokenizer, so that a prompt is the same whether or not special tokens are asked for when it is tokenized.
_PICTURES_FIRST = """\
{%- if message['content'] is string %}
{{- message['content'] }}
{%- else %}
{%- for part in message['content'] if part['type'] in ['image', 'image_url'] %}
{{- '<image>\\n' }}
{%- endfor %}
{%- for part in message['content'] if part['type'] == 'text' %}
{{- part['text'] }}
{%- endfor %}
{%- endif %}
"""
_LLAVA_NEXT_TEMPLATE = (
    """\
{{- bos_token }}
{%- for message in messages %}
{{- {'system': '<<SYS>>\\n', 'user': '[INST] ', 'assistant': ' '}[message['role']] }}
"""
    + _PICTURES_FIRST
    + """\
{{- {'system': '\\n<</SYS>>\\n\\n', 'user': ' [/INST]', 'assistant': eos_token + ' '}[message['role']] }}
{%- endfor %}
"""
)
_LLAVA_TEMPLATE = (
    """\
{{- bos_token }}
{%- for message in messages %}
{{- {'system': '', 'user': 'USER: ', 'assistant': 'ASSISTANT: '}[message['role']] }}
"""
    + _PICTURES_FIRST
    + """\
{{- ' ' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- 'ASSISTANT:' }}
{%- endif %}
"""
)

_QWEN_TOKENS = {"pad_token": "<|endoftext|>", "eos_token": "<|im_end|>"}
_QWEN_MORE_TOKENS = ("<|im_start|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
_QWEN_DEFAULT = """\
{%- if messages[0]['role'] != 'system' %}
{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
{%- endif %}
"""
_QWEN_TEMPLATE = """\
{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' }}
{%- if message['content'] is string %}
{{- message['content'] }}
{%- else %}
{%- for part in message['content'] %}
{{- '<|vision_start|><|image_pad|><|vision_end|>' if part['type'] in ['image', 'image_url'] else part['text'] }}
{%- endfor %}
{%- endif %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""


def _qwen_config(token: Callable[[str], int]) -> Mapping[str, Any]:
    return {
        "image_token_id": token("<|image_pad|>"),
        "video_token_id": token("<|video_pad|>"),
        "vision_start_token_id": token("<|vision_start|>"),
        "vision_end_token_id": token("<|vision_end|>"),
        "tie_word_embeddings": False,
    }


def _mrope(size: Size) -> dict[str, Any]:
    """Half of a head's numbers, shared out to time, height and width."""
    third = size.head // 2 // 3
    return {"rope_type": "default", "mrope_section": [size.head // 2 - 2 * third, third, third]}


# The system's text heads the first user message; turns must alternate.
_GEMMA_TEMPLATE = """\
{{- bos_token }}
{%- set start = namespace(text='') %}
{%- if messages[0]['role'] == 'system' %}
{%- set said = messages[0]['content'] %}
{%- set start.text = (said if said is string else said[0]['text']) + '\\n\\n' %}
{%- set messages = messages[1:] %}
{%- endif %}
{%- for message in messages %}
{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('user and assistant must alternate') }}
{%- endif %}
{{- '<start_of_turn>' + ('model' if message['role'] == 'assistant' else 'user') + '\\n' }}
{{- start.text if loop.first else '' }}
{%- if message['content'] is string %}
{{- message['content'] | trim }}
{%- else %}
{%- for part in message['content'] %}
{{- '<start_of_image>' if part['type'] in ['image', 'image_url'] else (part['text'] | trim) }}
{%- endfor %}
{%- endif %}
{{- '<end_of_turn>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<start_of_turn>model\\n' }}
{%- endif %}
"""

_MISTRAL_TEMPLATE = """\
{{- bos_token }}
{%- if messages[0]['role'] != 'system' %}
{{- '[SYSTEM_PROMPT]You are a helpful assistant. Today is ' + strftime_now('%Y-%m-%d') + '.[/SYSTEM_PROMPT]' }}
{%- endif %}
{%- for message in messages %}
{{- {'system': '[SYSTEM_PROMPT]', 'user': '[INST]', 'assistant': ''}[message['role']] }}
{%- if message['content'] is string %}
{{- message['content'] }}
{%- else %}
{%- for part in message['content'] %}
{{- '[IMG]' if part['type'] in ['image', 'image_url'] else part['text'] }}
{%- endfor %}
{%- endif %}
{{- {'system': '[/SYSTEM_PROMPT]', 'user': '[/INST]', 'assistant': eos_token}[message['role']] }}
{%- endfor %}
"""

_SMALL_TOKENS = {"pad_token": "<|endoftext|>", "eos_token": "<|im_end|>", "image_token": "<image>"}


RANDOM_FAMILIES: dict[str, RandomFamily] = {
    "llava-next": RandomFamily(
        tokens=_LLAVA_TOKENS,
        stops=("</s>",),
        template=_LLAVA_NEXT_TEMPLATE,
        model="LlavaNextForConditionalGeneration",
        text=("MistralConfig", lambda size: {"sliding_window": None}),
        vision=("CLIPVisionConfig", lambda size: _CLIP),
        config=lambda token: {
            "image_token_index": token("<image>"),
            "image_grid_pinpoints": _PINPOINTS,
            **_LLAVA_CONFIG,
        },
        processor=("LlavaNextProcessor", _LLAVA_PROCESSOR),
        image_processor=("LlavaNextImageProcessor", {"image_grid_pinpoints": _PINPOINTS, **_SQUARE}),
        renamed=_PUBLISHED_TOWER,
    ),
    "llava": RandomFamily(
        tokens=_LLAVA_TOKENS,
        stops=("</s>",),
        template=_LLAVA_TEMPLATE,
        model="LlavaForConditionalGeneration",
        text=("LlamaConfig", lambda size: {}),
        vision=("CLIPVisionConfig", lambda size: _CLIP),
        config=lambda token: {"image_token_index": token("<image>"), **_LLAVA_CONFIG},
        processor=("LlavaProcessor", _LLAVA_PROCESSOR),
        image_processor=("LlavaImageProcessor", _SQUARE),
        renamed=_PUBLISHED_TOWER,
    ),
    "qwen2.5-vl": RandomFamily(
        tokens=_QWEN_TOKENS,
        more_tokens=_QWEN_MORE_TOKENS,
        stops=("<|im_end|>", "<|endoftext|>"),
        template=_QWEN_DEFAULT + _QWEN_TEMPLATE,
        model="Qwen2_5_VLForConditionalGeneration",
        text=("Qwen2_5_VLTextConfig", lambda size: {"rope_parameters": _mrope(size)}),
        vision=(
            "Qwen2_5_VLVisionConfig",
            lambda size: {
                "depth": 2,
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_heads": 2,
                "window_size": 56,
                "fullatt_block_indexes": [1],
                "out_hidden_size": size.hidden,
            },
        ),
        config=_qwen_config,
        processor=("Qwen2_5_VLProcessor", {}),
        image_processor=("Qwen2VLImageProcessor", {"size": {"shortest_edge": 3136, "longest_edge": 50176}}),
        video_processor=("Qwen2VLVideoProcessor", {}),
    ),
    "qwen3-vl": RandomFamily(
        tokens=_QWEN_TOKENS,
        more_tokens=_QWEN_MORE_TOKENS,
        stops=("<|im_end|>", "<|endoftext|>"),
        template=_QWEN_TEMPLATE,
        model="Qwen3VLForConditionalGeneration",
        text=("Qwen3VLTextConfig", lambda size: {"rope_parameters": {**_mrope(size), "mrope_interleaved": True}}),
        vision=(
            "Qwen3VLVisionConfig",
            lambda size: {
                "depth": 2,
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_heads": 2,
                "num_position_embeddings": 64,
                "deepstack_visual_indexes": [0],
                "out_hidden_size": size.hidden,
            },
        ),
        config=_qwen_config,
        processor=("Qwen3VLProcessor", {}),
        image_processor=(
            "Qwen2VLImageProcessor",
            {"patch_size": 16, "size": {"shortest_edge": 4096, "longest_edge": 65536}},
        ),
        video_processor=("Qwen3VLVideoProcessor", {}),
    ),
    "gemma-3": RandomFamily(
        tokens={
            "pad_token": "<pad>",
            "eos_token": "<eos>",
            "bos_token": "<bos>",
            "boi_token": "<start_of_image>",
            "eoi_token": "<end_of_image>",
            "image_token": "<image_soft_token>",
        },
        more_tokens=("<start_of_turn>", "<end_of_turn>"),
        plain_tokens=("\n", "\n\n", "\n\n\n", "\n\n\n\n"),  # vLLM looks them up by these names
        stops=("<eos>", "<end_of_turn>"),
        template=_GEMMA_TEMPLATE,
        model="Gemma3ForConditionalGeneration",
        text=(
            "Gemma3TextConfig",
            lambda size: {
                "query_pre_attn_scalar": size.head,
                "sliding_window": 512,
                "layer_types": ["full_attention" if layer % 2 else "sliding_attention" for layer in range(size.layers)],
            },
        ),
        vision=(
            "SiglipVisionConfig",
            lambda size: {**_TOWER, "image_size": 56, "patch_size": 14, "vision_use_head": False},
        ),
        config=lambda token: {
            "mm_tokens_per_image": 4,
            "boi_token_index": token("<start_of_image>"),
            "eoi_token_index": token("<end_of_image>"),
            "image_token_index": token("<image_soft_token>"),
            "tie_word_embeddings": True,
        },
        processor=("Gemma3Processor", {"image_seq_length": 4}),
        image_processor=("Gemma3ImageProcessor", {"size": {"height": 56, "width": 56}}),
        renamed=_PUBLISHED_TOWER,
    ),
    "mistral-small-3": RandomFamily(
        tokens={"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"},
        more_tokens=("[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[IMG]", "[IMG_BREAK]", "[IMG_END]"),
        stops=("</s>",),
        template=_MISTRAL_TEMPLATE,
        model="Mistral3ForConditionalGeneration",
        text=("MistralConfig", lambda size: {"sliding_window": None}),
        vision=("PixtralVisionConfig", lambda size: {**_TOWER, "image_size": 224, "patch_size": 14}),
        config=lambda token: {
            "image_token_index": token("[IMG]"),
            "spatial_merge_size": 2,
            "vision_feature_layer": -1,
            "tie_word_embeddings": False,
        },
        processor=("PixtralProcessor", {"patch_size": 14, "spatial_merge_size": 2}),
        image_processor=(
            "PixtralImageProcessor",
            {"size": {"longest_edge": 224}, "patch_size": {"height": 14, "width": 14}},
        ),
    ),
    "maia-small": RandomFamily(
        tokens=_SMALL_TOKENS,
        more_tokens=("<|im_start|>",),
        stops=("<|im_end|>",),
        template=TEMPLATE,
        model="MaiaLlavaForConditionalGeneration",
        text=("LlamaConfig", lambda size: {"tie_word_embeddings": True}),
        vision=(
            "MaiaVisionConfig",
            lambda size: {"hidden_size": size.hidden, "slots": [[name, list(words)] for name, words in SLOTS.items()]},
        ),
        config=lambda token: {
            "image_token_index": token("<image>"),
            "image_seq_length": len(SLOTS),
            "vision_feature_layer": -1,
            "vision_feature_select_strategy": "full",
            "tie_word_embeddings": True,
        },
        processor=("LlavaProcessor", PROCESSOR),
        image_processor=("CLIPImageProcessor", PICTURES),
    ),
}
"""By the names of families.yaml."""
