"""A checkpoint's folder, read and checked from its small files, before anything is loaded."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from ..errors import UserError
from .chat import ChatMessage
from .families import Family, families, family_of
from .templates import ChatTemplate
from .weight_files import weight_files

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_VISION_KEYS = ("vision_config", "visual", "mm_vision_tower", "vision_tower")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """name: what messages call it. family: its row, with system_role and images_first as its own template has them.

    architecture: of config.json. context: tokens that it reads. config: config.json; processor: the settings of the
    image processor and what processor_config.json says beside; template: its chat template. weights: files.
    tokenizer: tokenizer.json. dtype: of the weights ("bfloat16"), None if not told. quantization: method that the
    weights are quantized with already ("bitsandbytes", "awq"), None: not. adds_special_tokens: the tokenizer must put
    its own special tokens before the rendered prompt (vLLM's `add_special_tokens`), as the template writes none.
    """

    path: Path
    name: str
    family: Family
    architecture: str
    context: int
    config: Mapping[str, Any]
    processor: Mapping[str, Any]
    template: ChatTemplate
    tokenizer: Path
    weights: tuple[Path, ...]
    dtype: str | None
    quantization: str | None
    adds_special_tokens: bool

    @property
    def text_config(self) -> Mapping[str, Any]:
        """The language model's part of config.json; all of it where it is not nested."""
        return text_config(self.config)

    @property
    def vision_config(self) -> Mapping[str, Any]:
        """The vision tower's part of config.json."""
        return self.config.get("vision_config") or {}

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weight files."""
        return sum(file.stat().st_size for file in self.weights)


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The language model's part of a config.json; all of it where it is not nested."""
    return config.get("text_config") or config


def read_checkpoint(path: Path, name: str | None = None) -> Checkpoint:
    """The checkpoint in the folder `path`. name: what messages call it (None: the folder's name).

    Loads neither torch nor transformers. Raises UserError that says what the folder lacks or which file is damaged.
    """
    what = name or path.name
    if not path.is_dir():
        raise UserError(f"{what}: there is no folder {path}: check the path, or set $MAIA_WEIGHTS to where it is.")
    config = _required(path, "config.json", what, "give the folder that holds the checkpoint")
    architecture, row = _family(config, what)
    processor = _processor(path, what)
    tokenizer_config = _tokenizer_config(path, what)
    template = _template(path, tokenizer_config, processor, what)
    context = text_config(config).get("max_position_embeddings") or row.context
    quantization = config.get("quantization_config") or {}
    return Checkpoint(
        path=path,
        name=what,
        family=replace(row, system_role=template.takes_system, images_first=template.moves_images_first),
        architecture=architecture,
        context=int(context),
        config=config,
        processor=processor,
        template=template,
        tokenizer=path / "tokenizer.json",
        weights=weight_files(path, what),
        dtype=config.get("dtype") or config.get("torch_dtype") or text_config(config).get("dtype"),
        quantization=quantization.get("quant_method"),
        adds_special_tokens=_adds_special_tokens(load_tokenizer(path / "tokenizer.json", what), template),
    )


def read_json(file: Path, what: str) -> dict[str, Any]:
    """A JSON object. Raises UserError if it cannot be read."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{what}: {file} cannot be read ({error}): download it again.") from error
    if not isinstance(data, dict):
        raise UserError(f"{what}: {file} holds no JSON object: download it again.")
    return data


def _required(path: Path, file: str, what: str, remedy: str) -> dict[str, Any]:
    if not (path / file).is_file():
        raise UserError(f"{what} has no {file} in {path}: {remedy}.")
    return read_json(path / file, what)


def _family(config: Mapping[str, Any], what: str) -> tuple[str, Family]:
    names = config.get("architectures")
    names = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    row = family_of(names)
    if row is not None:
        return next(name for name in names if name in row.architectures), row
    shown = ", ".join(names) or "no architecture named in config.json"
    known = "; ".join(f"{row.name} ({', '.join(row.architectures)})" for row in families().values())
    if not any(config.get(key) for key in _VISION_KEYS):
        raise UserError(f"{what} is a text-only model ({shown}): choose a vision-language model of {known}.")
    raise UserError(f"{what} is of no known family ({shown}): choose a checkpoint of {known}.")


def _processor(path: Path, what: str) -> dict[str, Any]:
    """The processor's settings, with those of its image processor on top."""
    whole, image = path / "processor_config.json", path / "preprocessor_config.json"
    if not whole.is_file() and not image.is_file():
        raise UserError(
            f"{what} has no processor (neither processor_config.json nor preprocessor_config.json in {path}): copy it "
            "from the checkpoint that it was made from."
        )
    settings = read_json(whole, what) if whole.is_file() else {}
    nested = settings.pop("image_processor", None)
    # As transformers does: the newer file's settings of the image processor go before those of the older file.
    if not isinstance(nested, dict):
        nested = read_json(image, what) if image.is_file() else {}
    return {**settings, **nested}


def _tokenizer_config(path: Path, what: str) -> dict[str, Any]:
    if not (path / "tokenizer.json").is_file():
        raise UserError(
            f"{what} has no tokenizer.json in {path}: copy it from the checkpoint that it was made from (tekken.json "
            "and tokenizer.model are not read)."
        )
    file = path / "tokenizer_config.json"
    return read_json(file, what) if file.is_file() else {}


def _template(path: Path, tokenizer: Mapping[str, Any], processor: Mapping[str, Any], what: str) -> ChatTemplate:
    source = _template_source(path, tokenizer, processor, what)
    if source is None:
        raise UserError(
            f"{what} has no chat template in {path}: copy chat_template.jinja from the instruction-tuned checkpoint of "
            "its family."
        )
    tokens = {}
    for name in ("bos_token", "eos_token", "pad_token", "unk_token"):
        value = tokenizer.get(name)
        value = value.get("content") if isinstance(value, dict) else value
        if isinstance(value, str):
            tokens[name] = value
    template = ChatTemplate(source, tokens)
    try:
        problem = template.check()
        images = template.takes_images
    except jinja2.TemplateError as error:
        problem, images = str(error), True
    if problem is None and not images:
        problem = "pictures leave no placeholder in the prompt"
    if problem is not None:
        raise UserError(
            f"{what}: its chat template cannot be used ({problem}): copy chat_template.jinja from the "
            "instruction-tuned checkpoint of its family."
        )
    return template


def _template_source(path: Path, tokenizer: Mapping[str, Any], processor: Mapping[str, Any], what: str) -> str | None:
    """In the order in which transformers and vLLM look: the processor's, then the tokenizer's."""
    if isinstance(processor.get("chat_template"), str):
        return processor["chat_template"]
    if (path / "chat_template.json").is_file():
        return read_json(path / "chat_template.json", what).get("chat_template")
    if (path / "chat_template.jinja").is_file():
        return (path / "chat_template.jinja").read_text(encoding="utf-8")
    named = tokenizer.get("chat_template")
    if isinstance(named, list):  # several, by name
        named = {entry.get("name"): entry.get("template") for entry in named if isinstance(entry, dict)}.get("default")
    return named if isinstance(named, str) else None


def load_tokenizer(file: Path, what: str) -> "Tokenizer":
    """The tokenizer of a tokenizer.json, with neither truncation nor padding. Raises UserError if it is damaged."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises Exception itself
        raise UserError(f"{what}: {file} cannot be read ({error}): download it again.") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _adds_special_tokens(tokenizer: "Tokenizer", template: ChatTemplate) -> bool:
    """Whether the tokenizer puts special tokens before a text, and the template leaves them out."""
    added = tokenizer.encode("", add_special_tokens=True).tokens
    rendered = template.render([ChatMessage("user", ("x",))])
    return bool(added) and not rendered.startswith(added[0])
