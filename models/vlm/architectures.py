"""Whole checkpoints with random weights, for tests and measurements: what transformers and vLLM load."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..diffusion.quiet import quiet
from ..errors import UserError
from .random_families import RANDOM_FAMILIES, RandomFamily, Size
from .sample_texts import SAMPLE_TEXTS

SIZES = {
    "tiny": Size(hidden=128, intermediate=256, layers=2, heads=4, kv_heads=2, head=32, vocabulary=1024),
    "small": Size(hidden=512, intermediate=1536, layers=6, heads=8, kv_heads=4, head=64, vocabulary=2048),
}

INITIALIZER_RANGE = 0.1
"""Standard deviation of the weights: five times the usual, so that what a tiny model says depends on what it reads."""


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
    with quiet():
        tokenizer = _tokenizer(row, numbers, texts)
        model = _model(row, numbers, tokenizer, seed)
        model.save_pretrained(path)
        _rename(path / "model.safetensors", row.renamed)
        _processor(row, tokenizer).save_pretrained(path)
    return path


def _tokenizer(row: RandomFamily, size: Size, texts: Iterable[str] | None) -> Any:
    """Byte-level BPE, padding on the left: generation goes on at a row's end."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [*row.tokens.values(), *row.more_tokens]
    trainer = trainers.BpeTrainer(
        vocab_size=size.vocabulary - len(row.plain_tokens),
        special_tokens=special,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    lines = (line for text in (SAMPLE_TEXTS if texts is None else texts) for line in text.splitlines(keepends=True))
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in row.plain_tokens])
    usual = {name: token for name, token in row.tokens.items() if name in ("pad_token", "bos_token", "eos_token")}
    named = {name: token for name, token in row.tokens.items() if name not in usual}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        padding_side="left",
        extra_special_tokens=named,
        additional_special_tokens=list(row.more_tokens),
        **usual,
    )


def _class(name: str) -> Any:
    """A class of transformers, or of our own architecture."""
    import transformers

    from .small import config, modeling

    modeling.register()
    return next(getattr(room, name) for room in (transformers, config, modeling) if hasattr(room, name))


def _processor(row: RandomFamily, tokenizer: Any) -> Any:
    import transformers

    name, arguments = row.image_processor
    parts = {"image_processor": getattr(transformers, name)(**arguments), "tokenizer": tokenizer}
    if row.video_processor is not None:
        name, arguments = row.video_processor
        parts["video_processor"] = getattr(transformers, name)(**arguments)
    name, arguments = row.processor
    return getattr(transformers, name)(**parts, chat_template=row.template, **arguments)


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
    text = _class(cls)(
        **{
            "vocab_size": size.vocabulary,
            "hidden_size": size.hidden,
            "intermediate_size": size.intermediate,
            "num_hidden_layers": size.layers,
            "num_attention_heads": size.heads,
            "num_key_value_heads": size.kv_heads,
            "head_dim": size.head,
            "max_position_embeddings": size.context,
            "initializer_range": INITIALIZER_RANGE,
            **ends,
            **arguments(size),
        }
    )
    cls, arguments = row.vision
    vision = _class(cls)(**arguments(size))
    model = _class(row.model)
    config = model.config_class(text_config=text, vision_config=vision, **row.config(tokenizer.convert_tokens_to_ids))
    config.architectures = [row.model]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = model(config).to(torch.float32).eval()
        for weight in built.parameters():
            # Gemma's connector: with zeros no picture would reach the language model.
            if weight.ndim > 1 and not weight.any():
                torch.nn.init.normal_(weight, std=INITIALIZER_RANGE)
    stops = [tokenizer.convert_tokens_to_ids(token) for token in row.stops]
    built.generation_config = transformers.GenerationConfig(**{**ends, "eos_token_id": stops})
    return built


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
