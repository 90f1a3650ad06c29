"""Whole checkpoints with random weights, for tests and measurements: each family's classes and files, small.

What the rows say follows transformers' configuration classes and the files of the published checkpoints. vLLM's
attention on CPUs needs heads of 32 numbers or more.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..diffusion.quiet import quiet
from ..errors import UserError
from .sample_texts import SAMPLE_TEXTS


@dataclass(frozen=True)
class Size:
    """Of the language model. vocabulary: entries at most."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    context: int = 16384


SIZES = {
    "tiny": Size(hidden=128, intermediate=256, layers=2, heads=4, kv_heads=2, vocabulary=1024),
    "small": Size(hidden=512, intermediate=1536, layers=6, heads=8, kv_heads=4, vocabulary=2048),
}


@dataclass(frozen=True)
class RandomFamily:
    """How a checkpoint of one family is put together.

    tokens: special tokens by their names in tokenizer_config.json (image_token is one); all: further ones. template:
    the chat template. model: class in transformers. text, vision: (class of configuration, arguments beyond the
    size's). config: further arguments of the whole configuration, from the tokens' ids. processor, image_processor:
    (class, arguments). renamed: beginnings of weights' names, ours -> published, where the library saves others.
    """

    tokens: Mapping[str, str]
    more_tokens: tuple[str, ...]
    template: str
    model: str
    text: tuple[str, Mapping[str, Any]]
    vision: tuple[str, Mapping[str, Any]]
    config: Callable[[Callable[[str], int]], Mapping[str, Any]]
    processor: tuple[str, Mapping[str, Any]]
    image_processor: tuple[str, Mapping[str, Any]]
    renamed: Mapping[str, str] = field(default_factory=dict)


_CLIP = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 56,
    "patch_size": 14,
    "projection_dim": 32,
}
_PINPOINTS = [[56, 112], [112, 56], [112, 112], [168, 56], [56, 168]]

# Pictures before texts, whatever their order was. The beginning is written here, not left to the tokenizer, so that
# prompts are the same whether or not special tokens are asked for when they are tokenized.
_LLAVA_NEXT_TEMPLATE = """\
{{ bos_token }}{% for message in messages %}
{% if message['role'] not in ['system', 'user', 'assistant'] %}
{{ raise_exception('there is no such role') }}
{% endif %}
{{ {'system': '<<SYS>>\\n', 'user': '[INST] ', 'assistant': ' '}[message['role']] }}
{%- if message['content'] is string %}
{{ message['content'] }}
{%- else %}
{%- for part in message['content'] if part['type'] in ['image', 'image_url'] %}
{{ '<image>\\n' }}
{%- endfor %}
{%- for part in message['content'] if part['type'] == 'text' %}
{{- part['text'] }}
{%- endfor %}
{%- endif %}
{{- {'system': '\\n<</SYS>>\\n\\n', 'user': ' [/INST]', 'assistant': eos_token + ' '}[message['role']] }}
{%- endfor %}
"""

RANDOM_FAMILIES: dict[str, RandomFamily] = {
    "llava-next": RandomFamily(
        tokens={"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "image_token": "<image>"},
        more_tokens=(),
        template=_LLAVA_NEXT_TEMPLATE,
        model="LlavaNextForConditionalGeneration",
        text=("MistralConfig", {"sliding_window": None}),
        vision=("CLIPVisionConfig", _CLIP),
        config=lambda token: {
            "image_token_index": token("<image>"),
            "image_grid_pinpoints": _PINPOINTS,
            "vision_feature_layer": -2,
            "vision_feature_select_strategy": "default",
            "tie_word_embeddings": False,
        },
        processor=(
            "LlavaNextProcessor",
            {"patch_size": 14, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1},
        ),
        image_processor=(
            "LlavaNextImageProcessor",
            {
                "image_grid_pinpoints": _PINPOINTS,
                "size": {"shortest_edge": 56},
                "crop_size": {"height": 56, "width": 56},
            },
        ),
        renamed={"vision_tower.": "vision_tower.vision_model."},
    ),
}
"""By the names of families.yaml."""


def build_random(
    path: Path, family: str, size: str = "tiny", seed: int = 0, texts: Iterable[str] | None = None
) -> Path:
    """Writes a checkpoint with random weights (float32) into the folder `path`, and returns `path`.

    size: of SIZES. texts: the tokenizer is trained on these (None: SAMPLE_TEXTS). The same arguments give the same
    weights and files. Raises UserError for a family that is not in RANDOM_FAMILIES, or an unknown size.
    """
    if family not in RANDOM_FAMILIES:
        raise UserError(f"no checkpoint can be built of {family!r}: choose from {', '.join(RANDOM_FAMILIES)}.")
    if size not in SIZES:
        raise UserError(f"there is no size {size!r}: choose from {', '.join(SIZES)}.")
    row, numbers = RANDOM_FAMILIES[family], SIZES[size]
    import transformers

    with quiet():
        tokenizer = _tokenizer(row, numbers, texts)
        model = _model(row, numbers, tokenizer, seed)
        model.save_pretrained(path)
        _rename(path / "model.safetensors", row.renamed)
        name, arguments = row.image_processor
        image_processor = getattr(transformers, name)(**arguments)
        name, arguments = row.processor
        processor = getattr(transformers, name)(image_processor, tokenizer, chat_template=row.template, **arguments)
        processor.save_pretrained(path)
    return path


def _tokenizer(row: RandomFamily, size: Size, texts: Iterable[str] | None) -> Any:
    """Byte-level BPE, padding on the left: generation goes on at a row's end."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [*row.tokens.values(), *row.more_tokens]
    trainer = trainers.BpeTrainer(
        vocab_size=size.vocabulary,
        special_tokens=special,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    lines = (line for text in (SAMPLE_TEXTS if texts is None else texts) for line in text.splitlines(keepends=True))
    tokenizer.train_from_iterator(lines, trainer)
    usual = {name: token for name, token in row.tokens.items() if name in ("pad_token", "bos_token", "eos_token")}
    named = {name: token for name, token in row.tokens.items() if name not in usual}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        padding_side="left",
        extra_special_tokens=named,
        additional_special_tokens=list(row.more_tokens),
        **usual,
    )


def _model(row: RandomFamily, size: Size, tokenizer: Any, seed: int) -> Any:
    """The model with fresh weights, float32, on the CPU."""
    import torch
    import transformers

    ends = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    cls, arguments = row.text
    text = getattr(transformers, cls)(
        **{
            "vocab_size": size.vocabulary,
            "hidden_size": size.hidden,
            "intermediate_size": size.intermediate,
            "num_hidden_layers": size.layers,
            "num_attention_heads": size.heads,
            "num_key_value_heads": size.kv_heads,
            "head_dim": size.hidden // size.heads,
            "max_position_embeddings": size.context,
            "initializer_range": INITIALIZER_RANGE,
            **ends,
            **arguments,
        }
    )
    cls, arguments = row.vision
    vision = getattr(transformers, cls)(**arguments)
    model = getattr(transformers, row.model)
    config = model.config_class(text_config=text, vision_config=vision, **row.config(tokenizer.convert_tokens_to_ids))
    config.architectures = [row.model]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = model(config).to(torch.float32).eval()
    built.generation_config = transformers.GenerationConfig(**ends)
    return built


INITIALIZER_RANGE = 0.1
"""Standard deviation of the weights: five times the usual, so that what a tiny model says depends on what it reads."""


def _rename(file: Path, renamed: Mapping[str, str]) -> None:
    """Gives weights their published names. Names that are published already stay."""
    if not renamed:
        return
    from safetensors.torch import load_file, save_file

    weights = {}
    for name, tensor in load_file(file).items():
        for ours, published in renamed.items():
            if name.startswith(ours) and not name.startswith(published):
                name = published + name.removeprefix(ours)
                break
        weights[name] = tensor
    save_file(weights, file, metadata={"format": "pt"})
